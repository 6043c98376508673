"""The forms of a requirement: a URL, a path or a name, with extras or a marker; without I/O."""

import os
import re

from venvrunner._types import StrPath
from venvrunner._venv.paths import local_path

__tracebackhide__ = True

URL = re.compile(r"(https?|file|(git|hg|svn|bzr)\+[a-z]+)://[^\s]+", re.IGNORECASE)
WEB = re.compile(r"https?://[^\s]+", re.IGNORECASE)
FILE = re.compile(r"file:(//(localhost)?(?=/))?(?P<path>[^#]*)(?P<rest>#.*)?", re.IGNORECASE)
REPOSITORY = re.compile(r"(git|hg|svn|bzr)\+[a-z]+://[^\s]+", re.IGNORECASE)
NAMED = re.compile(r"(?P<name>[\w.-]+\s*(\[[^\]]*\])?\s*@\s*)(?P<place>.*)")
NAMED_URL = re.compile(r"[\w.-]+\s*(\[[^\]]*\])?\s*@\s*([a-z+]+://|file:)", re.IGNORECASE)
ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tar.xz", ".txz", ".tlz", ".tar.lz", ".tar.lzma", ".tar")
LISTS = (".txt", ".in", ".toml", ".py", ".cfg", ".lock")
"""Suffixes of files that are not packages; a package name may end with them too."""
_QUOTED = {ord(character): f"%{ord(character):02X}" for character in "$\\'\","}
_FILE_URL = re.compile(r"(?<!\S)file:(//)?(?P<path>/[^\s\[#]*)", re.IGNORECASE)
_EXTRAS = re.compile(r"(?P<path>.+?)(?: *(?P<extras>\[[\w\s.,-]*\]))?")


def quoted(url: str) -> str:
    """Quote the characters of a URL that a requirements file, or uv in a list of URLs, would misread.

    The result is an equivalent URL (RFC 3986, 2.4).

    >>> quoted("https://host.example/a$b")
    'https://host.example/a%24b'
    """
    return url.translate(_QUOTED)


def shown(requirement: str) -> str:
    """Return a requirement for display: with the path of a file instead of its URL.

    >>> shown("file:///a%20b/mine[test] ; python_version > '3'"), shown("mine @ https://host.example/mine.whl")
    ("/a b/mine[test] ; python_version > '3'", 'mine @ https://host.example/mine.whl')
    """
    return _FILE_URL.sub(lambda match: local_path(match["path"]), requirement)


def is_path(text: object) -> bool:
    """Return whether a requirement is or contains a path, so that it depends on the machine.

    >>> is_path("./mine[test]"), is_path("mine @ ../mine"), is_path("mine @ file:///there/mine"), is_path("mine")
    (True, True, False, False)
    """
    return isinstance(text, os.PathLike) or (isinstance(text, str) and _path_in(text) is not None)


def anchored(text: StrPath, directory: str) -> str:
    """Return a requirement; a path in it is resolved against a directory instead of the working directory.

    >>> anchored("./mine[test]", "/project"), anchored("build>=1", "/project"), anchored("x @ https://host/x.whl", "/project")
    ('/project/./mine[test]', 'build>=1', 'x @ https://host/x.whl')
    >>> anchored("x @ file:x.whl", "/project")
    'x @ file:/project/x.whl'
    """
    if not isinstance(text, str):
        return os.path.join(directory, os.fspath(text))
    found = _path_in(text.strip(" "))
    return text if found is None else found[0] + os.path.join(directory, found[1])


def anchored_file(path: StrPath, directory: str) -> StrPath:
    """Return the path of a file, resolved against a directory instead of the working directory; return a URL unchanged.

    >>> anchored_file("pylock.toml", "/project"), anchored_file("https://host.example/pylock.toml", "/project")
    ('/project/pylock.toml', 'https://host.example/pylock.toml')
    """
    return path if isinstance(path, str) and URL.match(path) else os.path.join(directory, path)


def _path_in(text: str) -> tuple[str, str] | None:
    """Return the text before the path in a requirement, and the rest from the path on; ``None`` without a path."""
    match = NAMED.fullmatch(text)
    start = match.start("place") if match else 0
    rest = text[start:]
    if (url := FILE.fullmatch(rest)) is not None:
        return None if url["path"].startswith("/") else (text[: start + url.start("path")], url["path"])
    if URL.match(rest) or not (match or looks_like_path(split_marker(rest)[0])):
        return None
    return text[:start], rest


def looks_like_path(text: str) -> bool:
    path = split_extras(text)[0]
    return path.startswith(".") or path.lower().endswith(ARCHIVES) or any(separator in path for separator in {"/", os.sep})


def split_extras(text: str) -> tuple[str, str]:
    match = _EXTRAS.fullmatch(text)
    return (text, "") if match is None else (match["path"], match["extras"] or "")


def split_marker(text: str) -> tuple[str, str]:
    for found in re.finditer(";", text):
        marker = text[found.end() :].strip(" ")
        if is_marker(marker):
            return text[: found.start()].rstrip(" "), marker
    return text, ""


def is_marker(text: str) -> bool:
    from packaging.markers import InvalidMarker, Marker  # slow to import

    try:
        Marker(text)
    except (InvalidMarker, RecursionError):
        return False
    return True


def misfit(text: str) -> str | None:
    """Return why a string is not a requirement (PEP 508); ``None`` if it is one."""
    from packaging.requirements import InvalidRequirement, Requirement  # slow to import

    try:
        Requirement(text)
    except (InvalidRequirement, RecursionError) as exc:
        return str(exc).partition("\n")[0]
    return None
