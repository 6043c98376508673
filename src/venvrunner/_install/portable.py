"""Portable lock files: relative paths, so that they can be committed, and no credentials, so that they can be shared."""

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from venvrunner._install.requirement_forms import FILE, shown
from venvrunner._venv.paths import local_path, within
from venvrunner.exceptions import LockFileError

__tracebackhide__ = True

_FILE_URL = re.compile(r"(?:(?P<name>[\w.-]+)[^@]* @ )?(?P<url>file:[^\s\[]+)", re.IGNORECASE)


def portable(table: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the contents of a valid lock file in a form that can be committed and shared.

    A file or a directory at or below the lock file's own directory gets a relative path. No URL keeps a password.

    Args:
        table: the contents.
        path: the lock file that they are for; paths are relative to its directory, or absolute.

    Raises:
        LockFileError: a directory is outside the lock file's own.
    """
    return {**table, "packages": [_package(package, path) for package in table.get("packages", [])]}


def check_directories(requirements: tuple[str, ...], path: str) -> None:
    """Check that the directories among some requirements can be in a lock file.

    Args:
        requirements: checked requirements, whose paths are ``file:`` URLs.
        path: the lock file.

    Raises:
        LockFileError: a directory is outside the lock file's own.
    """
    for text in requirements:
        match = _FILE_URL.match(text)
        url = None if match is None else FILE.fullmatch(match["url"])
        directory = "" if url is None else local_path(url["path"])
        if match is not None and os.path.isdir(directory) and _below(directory, path) is None:
            raise outside(directory, path, match["name"] or shown(match["url"]))


def outside(directory: str, path: str, name: str) -> LockFileError:
    """Return the error for a directory that is outside the lock file's own.

    Args:
        directory: the directory.
        path: the lock file.
        name: the name of the project, or its path again.
    """
    what = f"{name!r} is the directory {directory!r}, which" if name != directory else f"the directory {directory!r}"
    msg = (
        f"the lock file {path!r} cannot be written: {what} is outside the lock file's own directory and has no hash. "
        f"Write the lock file to {directory!r} or a directory above it, or build a wheel of it and lock that."
    )
    return LockFileError(msg)


def without_login(url: str) -> str:
    """Return a URL without its user and password; a repository reached by ssh keeps its user, which is not a secret.

    >>> without_login("https://me:pw@host.example/a.whl"), without_login("ssh://git:pw@host.example/r")
    ('https://host.example/a.whl', 'ssh://git@host.example/r')
    """
    parts = urlsplit(url)
    login, at, place = parts.netloc.rpartition("@")
    if not at:
        return url
    user = login.partition(":")[0]
    kept = f"{user}@{place}" if user and parts.scheme.rpartition("+")[2].lower() == "ssh" else place
    return urlunsplit(parts._replace(netloc=kept))


def _package(package: Mapping[str, Any], path: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in package.items():
        if name == "wheels":
            found[name] = [_file(one, path) for one in value]
        elif name in {"sdist", "archive"}:
            found[name] = _file(value, path, is_archive=name == "archive")
        elif name == "directory":
            found[name] = {**value, "path": _directory(value["path"], path, package["name"])}
        elif name == "vcs" and "url" in value:
            found[name] = {**value, "url": without_login(value["url"])}
        else:
            found[name] = without_login(value) if name == "index" else value
    return found


def _file(source: Mapping[str, Any], path: str, *, is_archive: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in source.items():
        url = FILE.fullmatch(value) if name == "url" else None
        if name == "path" or url is not None:
            local = os.path.abspath(os.path.join(os.path.dirname(path), value if url is None else local_path(url["path"])))
            rest = _below(local, path)
            # Elsewhere, wheels of a directory keep their URL; uv reads no URL of an archive that is a local file.
            keeps_url = url is not None and not is_archive
            found |= {"url": value} if rest is None and keeps_url else {"path": local if rest is None else rest}
        else:
            found[name] = without_login(value) if name == "url" else value
    return found


def _directory(value: str, path: str, name: str) -> str:
    url = FILE.fullmatch(value)
    directory = os.path.abspath(os.path.join(os.path.dirname(path), value if url is None else local_path(url["path"])))
    rest = _below(directory, path)
    if rest is None:
        raise outside(directory, path, name)
    return rest or "."


def _below(local: str, path: str) -> str | None:
    """Return a path relative to a lock file's directory; ``None`` if it is not in there, with all links followed."""
    rest = within(os.path.realpath(local), os.path.dirname(path))
    return None if rest is None else rest.replace(os.sep, "/")
