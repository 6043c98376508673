"""Installed packages, read from their metadata without a process."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

__tracebackhide__ = True

_KINDS = (".dist-info", ".egg-info")
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?", re.IGNORECASE)
"""The name of a project; an interrupted pip leaves directories such as ``~lf-1.0.dist-info``."""
_CANONICAL = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))*((a|b|rc)(0|[1-9]\d*))?(\.post(0|[1-9]\d*))?(\.dev(0|[1-9]\d*))?")
"""The versions that are in canonical form (PEP 440, appendix B)."""


class Distribution(NamedTuple):
    """An installed package.

    Attributes:
        version: its version, normalized.
        source: its source as ``pip freeze`` prints it: a URL, with ``-e`` before it if it is editable; ``None`` for an index.
        metadata: the path of its metadata file; ``None`` if that is in a zipped egg.
    """

    version: str
    source: str | None
    metadata: str | None


def installed(directories: Iterable[str]) -> dict[str, Distribution]:
    """Return the packages in some directories, sorted by normalized name; the same packages as ``pip list``.

    Args:
        directories: the directories where Python looks for packages; of two packages with the same name, the first counts.

    Raises:
        OSError: a directory cannot be read.

    >>> installed([])
    {}
    """
    found: dict[str, tuple[str, Distribution]] = {}
    for directory in directories:
        for link, path in _metadata_in(directory):
            identity = _identity(path)
            if identity is not None and identity.name not in found and _NAME.fullmatch(identity.name):
                source = _source(path) if link is None else f"-e {link}"
                found[identity.name] = identity.shown, Distribution(identity.version, source, _file(path))
    # Of two packages that are shown with the same name, the one whose directory has that name counts.
    shown = {name: package for _known, (name, package) in sorted(found.items(), key=lambda item: item[0] == item[1][0])}
    return dict(sorted(shown.items()))


def versions(packages: Mapping[str, Distribution]) -> dict[str, str]:
    """Return only the versions of some packages."""
    return {name: package.version for name, package in packages.items()}


def normalized(name: str) -> str:
    """Return the normalized spelling of a package's name (PEP 503).

    >>> normalized("Zope.Interface")
    'zope-interface'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def _metadata_in(directory: str) -> Iterator[tuple[str | None, str]]:
    """Yield the paths of the metadata in a directory or an egg, each with the directory that an ``.egg-link`` names.

    The order is that of the file system, as for Python and pip: it decides which of two versions of a project counts.
    """
    if directory.lower().endswith(".egg"):
        yield None, os.path.join(directory, "EGG-INFO")
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from ((None, os.path.join(directory, name)) for name in names if name.lower().endswith(_KINDS))
    for name in names:
        if name.endswith(".egg-link"):
            with open(os.path.join(directory, name), encoding="utf-8", errors="surrogateescape") as file:
                lines = [line.strip() for line in file]
            target = next(filter(None, lines), None)
            if target is not None:
                target = os.path.normpath(os.path.join(directory, target))
                yield from ((target, path) for _link, path in _metadata_in(target))


class _Identity(NamedTuple):
    """The name and the version of a package.

    Attributes:
        name: the name that pip identifies it by: from the metadata's directory, else from the metadata.
        shown: the name that pip shows: from the metadata.
        version: the version from the directory, or from the metadata if the directory has no valid version.
    """

    name: str
    shown: str
    version: str


def _identity(path: str) -> _Identity | None:
    """Return the name and the version as pip determines them; ``None`` if it finds none."""
    stem, kind = os.path.splitext(os.path.basename(path))
    name, dash, version = stem.partition("-")
    if kind == ".egg-info":
        version = ""
    elif kind != ".dist-info" or not dash:
        name = version = ""
    headers = _headers(path)
    in_header = headers.get("name", "")
    name = normalized(name or in_header)
    found = _normalized_version(version) or headers.get("version") or version
    if not name or not found:
        return None
    shown = normalized(in_header) if _NAME.fullmatch(in_header) else name
    return _Identity(name, shown, _normalized_version(found) or found)


def _headers(path: str) -> dict[str, str]:
    """Return the name and the version in a metadata file, as far as it has them."""
    for name in ("METADATA", "PKG-INFO", ""):
        if (text := _read(os.path.join(path, name) if name else path)) is not None:
            break
    else:
        return {}
    headers: dict[str, str] = {}
    match = _HEADER.match(text)
    while match is not None and len(headers) < len(_WANTED):  # as in any message, the first other line ends the headers
        if match["name"] and match["name"].lower() in _WANTED:
            headers.setdefault(match["name"].lower(), match["value"].strip())
        match = _HEADER.match(text, match.end())
    return headers


_WANTED = {"name", "version"}
_HEADER = re.compile(r"(?:(?P<name>[!-9;-~]+):(?P<value>.*)|[ \t].*)(?:\n|\Z)")
"""A header line, or a continuation of the header before it."""


def _file(path: str) -> str | None:
    """Return the path of the metadata file."""
    return next(filter(os.path.isfile, (os.path.join(path, "METADATA"), os.path.join(path, "PKG-INFO"), path)), None)


def _read(path: str) -> str | None:
    """Return the text of a file, which may be in a zipped egg; ``None`` if it does not exist."""
    egg, _, name = path.partition(f"{os.sep}EGG-INFO{os.sep}")
    if name and os.path.isfile(egg):
        import zipfile  # slow to import

        try:
            with zipfile.ZipFile(egg) as file:
                return file.read(f"EGG-INFO/{name}").decode("utf-8", "replace")
        except (KeyError, zipfile.BadZipFile):
            return None
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def _source(path: str) -> str | None:
    """Return the source in direct_url.json (https://packaging.python.org/en/latest/specifications/direct-url/)."""
    text = _read(os.path.join(path, "direct_url.json"))
    try:
        found = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(cast("dict[str, Any]", found).get("url"), str):
        return None
    origin = cast("dict[str, Any]", found)
    url = str(origin["url"])
    vcs, archive, local = (_table(origin, name) for name in ("vcs_info", "archive_info", "dir_info"))
    if vcs:
        url = f"{vcs.get('vcs')}+{url}@{vcs.get('commit_id')}"
    parts = [f"{name}={value}" for name, value in sorted(_table(archive, "hashes").items())]
    if not parts and isinstance(archive.get("hash"), str):  # the form before hashes
        parts.append(archive["hash"])
    if origin.get("subdirectory"):
        parts.append(f"subdirectory={origin['subdirectory']}")
    if parts:
        url += "#" + "&".join(parts)
    return f"-e {url}" if local.get("editable") is True else url


def _table(table: dict[str, Any], name: str) -> dict[str, Any]:
    value = table.get(name)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _normalized_version(version: str) -> str | None:
    """Return the normalized spelling of a version; ``None`` if the text is not a version.

    >>> _normalized_version("1.0"), _normalized_version("01.0-ALPHA_1"), _normalized_version("nonsense")
    ('1.0', '1.0a1', None)
    """
    if _CANONICAL.fullmatch(version):
        return version
    if not version:
        return None
    from packaging.version import InvalidVersion, Version  # slow to import, and only needed for odd forms

    try:
        return str(Version(version))
    except InvalidVersion:
        return None
