"""Expected packages: the names that must be in an environment after an installation, as far as they are known before."""

import os
import re
from collections.abc import Iterable, Iterator

from venvrunner._install.metadata import normalized
from venvrunner._install.request import Request
from venvrunner._install.requirement_forms import FILE, WEB, split_extras, split_marker
from venvrunner._install.requirements import is_lock_name
from venvrunner._venv.paths import local_path

__tracebackhide__ = True

ASK = """import sys
from importlib.metadata import PackageNotFoundError, version
for name in sys.argv[1:]:
    try:
        version(name)
    except PackageNotFoundError:
        print(name)
"""
"""Prints each argument for which the interpreter finds no package."""
_HASHES = re.compile(r"\s--?[a-z].*")
_PLAIN_FILES = (".txt", ".in")
"""The suffixes of plain requirements files; uv reads scripts and projects too."""


def expected_names(request: Request) -> set[str]:
    """Return the normalized names of the packages that must be installed afterwards, in any version.

    Requirements with a marker, and those without a known name, are not included. Versions are ignored: a constraint or an
    override of the user's may select another one.

    >>> sorted(expected_names(Request(requirements=("Zope.Interface", "x; python_version < '3'", "/w/y-1-py3-none-any.whl"))))
    ['y', 'zope-interface']
    """
    names: set[str | None] = set()
    for text in (*request.requirements, *request.editable):
        name = _name(text)
        names.add(_named_by_place(text) if name is None else name)
    for path in request.requirements_files:
        if is_lock_name(path):
            names |= set(_lock_names(path))
        elif path.lower().endswith(_PLAIN_FILES):
            names |= set(map(_name, _lines(path)))
    return {name for name in names if name}


def _name(text: str) -> str | None:
    """Return the name of a requirement; ``""`` if a marker may exclude it, ``None`` if the text is not a requirement."""
    from packaging.requirements import InvalidRequirement, Requirement  # slow to import

    try:
        found = Requirement(text)
    except (InvalidRequirement, RecursionError):
        return None
    return "" if found.marker is not None else normalized(found.name)


def _named_by_place(text: str) -> str:
    """Return the name of a wheel, or of a project's directory from its ``pyproject.toml``; ``""`` if it is unknown."""
    place, marker = split_marker(text)
    if marker:
        return ""
    place, _extras = split_extras(place)
    path, is_whole = place, True
    if url := FILE.fullmatch(place):
        path, is_whole = local_path(url["path"]), not url["rest"]  # a fragment may name a project below the path
    elif WEB.fullmatch(place):
        from urllib.parse import unquote, urlsplit  # slow to import

        path, is_whole = unquote(urlsplit(place).path), False
    if path.lower().endswith(".whl"):
        from packaging.utils import InvalidWheelFilename, parse_wheel_filename  # slow to import

        try:
            return str(parse_wheel_filename(os.path.basename(path))[0])
        except InvalidWheelFilename:
            return ""
    return _project(path) if is_whole and os.path.isdir(path) else ""


def _project(directory: str) -> str:
    import tomllib  # slow to import

    try:
        with open(os.path.join(directory, "pyproject.toml"), "rb") as file:
            name: object = tomllib.load(file)["project"]["name"]
    except (OSError, LookupError, ValueError, TypeError, RecursionError):
        return ""
    return normalized(name) if isinstance(name, str) else ""


def _lines(path: str) -> Iterator[str]:
    """Yield the requirements of a file without comments and hashes; options and nested files are skipped."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read().replace("\\\n", " ")
    except (OSError, ValueError):
        return
    for line in text.split("\n"):
        kept = _HASHES.sub("", line.partition(" #")[0]).strip()
        if kept and kept[0] not in "-#":
            yield kept


def _lock_names(path: str) -> Iterable[str]:
    import tomllib  # slow to import

    with open(path, "rb") as file:
        return [normalized(package["name"]) for package in tomllib.load(file)["packages"]]
