"""The packages that must be in an environment after an installation, as far as their names are known before it."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote, urlsplit

from venvrunner._create.paths import local_path
from venvrunner._install.forms import FILE, WEB, split_extras, split_marker
from venvrunner._install.metadata import normalized
from venvrunner._install.request import Request
from venvrunner._install.requirements import is_lock_name

__tracebackhide__ = True

ASK = """import sys
from importlib.metadata import PackageNotFoundError, version
for name in sys.argv[1:]:
    try:
        version(name)
    except PackageNotFoundError:
        print(name)
"""
"""Prints those of its arguments that are not the names of packages that the interpreter finds."""
_HASHES = re.compile(r"\s--?[a-z].*")


def promised(request: Request) -> dict[str, str]:
    """Return specifiers of versions by normalized names; an empty one is fulfilled by any version.

    What a marker may leave out is not promised, nor what names no package.

    >>> promised(Request(requirements=("Zope.Interface>=5", "x; python_version < '3'", "/w/y-1.0-py3-none-any.whl")))
    {'zope-interface': '>=5', 'y': '==1.0'}
    """
    texts = [*request.requirements, *request.editable]
    for path in request.requirements_files:
        texts += _lock_lines(path) if is_lock_name(path) else _lines(path)
    return dict(filter(None, map(_package, texts)))


def missing(promise: Mapping[str, str], packages: Mapping[str, str], *, changed: bool) -> list[str]:
    """Return the names of promised packages that are not there.

    Args:
        promise: specifiers by names.
        packages: versions by names.
        changed: whether the installer has changed something. Then any version counts: the user may have overridden one.
    """
    return [name for name, specifier in promise.items() if not _fulfilled(specifier, packages.get(name), changed=changed)]


def _fulfilled(specifier: str, version: str | None, *, changed: bool) -> bool:
    if version is None or not specifier or changed:
        return version is not None
    from packaging.specifiers import SpecifierSet  # noqa: PLC0415  slow to import
    from packaging.version import InvalidVersion, Version  # noqa: PLC0415  the same

    try:
        return SpecifierSet(specifier).contains(Version(version), prereleases=True)
    except InvalidVersion:
        return True


def _package(text: str) -> tuple[str, str] | None:
    """Return the name and the specifier of a requirement."""
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415  slow to import

    try:
        found = Requirement(text)
    except (InvalidRequirement, RecursionError):
        return _named_by_place(text)
    return None if found.marker is not None else (normalized(found.name), str(found.specifier))


def _named_by_place(text: str) -> tuple[str, str] | None:
    """Return those of a wheel, or of a project's directory that says its name."""
    place, marker = split_marker(text)
    if marker:
        return None
    place, _extras = split_extras(place)
    path, is_whole = place, True
    if url := FILE.fullmatch(place):
        path, is_whole = local_path(url["path"]), not url["rest"]  # which may name a project below it
    elif WEB.fullmatch(place):
        path, is_whole = unquote(urlsplit(place).path), False
    if path.lower().endswith(".whl"):
        from packaging.utils import InvalidWheelFilename, parse_wheel_filename  # noqa: PLC0415  slow to import

        try:
            name, version, *_rest = parse_wheel_filename(os.path.basename(path))
        except InvalidWheelFilename:
            return None
        return str(name), f"=={version}"
    return _project(path) if is_whole and os.path.isdir(path) else None


def _project(folder: str) -> tuple[str, str] | None:
    import tomllib  # noqa: PLC0415  slow to import

    try:
        with open(os.path.join(folder, "pyproject.toml"), "rb") as file:
            name: object = tomllib.load(file)["project"]["name"]
    except (OSError, LookupError, ValueError, TypeError):
        return None
    return (normalized(name), "") if isinstance(name, str) else None


def _lines(path: str) -> Iterator[str]:
    """Yield the requirements of a file, without comments and hashes; its options, and files that it names, are left out."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read().replace("\\\n", " ")
    except (OSError, ValueError):
        return
    for line in text.splitlines():
        kept = _HASHES.sub("", line.partition(" #")[0]).strip()
        if kept and kept[0] not in "-#":
            yield kept


def _lock_lines(path: str) -> Iterable[str]:
    import tomllib  # noqa: PLC0415  slow to import

    with open(path, "rb") as file:
        packages = tomllib.load(file)["packages"]
    return [package["name"] + (f"=={package['version']}" if "version" in package else "") for package in packages]
