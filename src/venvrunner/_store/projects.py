"""Local projects: told apart by their contents, and built into a wheel once for each."""

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from venvrunner._install.metadata import normalized
from venvrunner._install.requirement_forms import FILE, NAMED, split_extras, split_marker
from venvrunner._store import keys
from venvrunner._venv.paths import local_path, within
from venvrunner._venv.sharing_violations import insist
from venvrunner._venv.temporary import temporary_directory
from venvrunner.exceptions import CreationError, InstallationError, InvalidRequirementError

__tracebackhide__ = True

_BUILDS = 3
"""How many times a project is built whose contents change meanwhile: back ends may write into it, and so may people."""
_FIELDS = ("name", "version", "requires-dist", "requires-python", "provides-extra")
"""The fields of a wheel's metadata that decide what else is installed with it."""


class Project(NamedTuple):
    """A local directory to install.

    Attributes:
        path: the directory.
        extras: the chosen extras, such as ``[test]``, or ``""``.
        marker: the marker of the requirement, such as ``python_version > '3'``, or ``""``.
    """

    path: str
    extras: str = ""
    marker: str = ""


class Wheel(NamedTuple):
    """The wheel of a project.

    Attributes:
        path: the file.
        key: the hash of what it was built from.
        name: the normalized name of the project.
        metadata: the lines of its metadata that decide what else is installed with it.
        project: the project.
    """

    path: str
    key: str
    name: str
    metadata: tuple[str, ...]
    project: Project

    def requirement(self) -> str:
        """Return the requirement that installs the wheel, with the extras and the marker of the project."""
        from pathlib import Path  # slow to import

        marker = f" ; {self.project.marker}" if self.project.marker else ""
        return f"{self.name}{self.project.extras} @ {Path(self.path).as_uri()}{marker}"


def split(requirements: Iterable[str]) -> tuple[list[str], list[Project]]:
    """Return the requirements that an index or a file satisfies, and the local directories.

    >>> split(["idna", "file:///"])
    (['idna'], [Project(path='/', extras='', marker='')])
    """
    others: list[str] = []
    projects: list[Project] = []
    for text in requirements:
        project = _project(text)
        if project is None:
            others.append(text)
        else:
            projects.append(project)
    return others, projects


def _project(text: str) -> Project | None:
    place, marker = split_marker(text)
    named = NAMED.fullmatch(place)
    place, extras = split_extras(place if named is None else named["place"])
    url = FILE.fullmatch(place)
    path = place if url is None else local_path(url["path"])
    if (url is not None and url["rest"]) or not os.path.isabs(path) or not os.path.isdir(path):
        return None
    if named is not None and (found := re.search(r"\[[^\]]*\]", named["name"])):
        extras = found[0]
    return Project(path, extras, marker)


def fingerprint(requirement: str) -> str:
    """Return a requirement with the hash of a local file in place of its path, so that it is the same wherever the file is."""
    place, marker = split_marker(requirement)
    named = NAMED.fullmatch(place)
    where, extras = split_extras(place if named is None else named["place"])
    url = FILE.fullmatch(where)
    if url is None:
        return requirement
    path = local_path(url["path"])
    try:
        found = keys.hash_of_file(path)
    except (OSError, ValueError):
        return requirement
    name = "" if named is None else named["name"]
    return f"{name}{os.path.basename(path)}{extras}#{found}{url['rest'] or ''};{marker}"


def wheel(project: Project, store: str, settings: Sequence[object], build: Callable[[str, str], object]) -> Wheel:
    """Return the wheel of a project, from the store or newly built.

    Args:
        project: the project.
        store: the directory of the store.
        settings: what else the wheel depends on.
        build: builds the wheel of a directory into another directory.

    Raises:
        InvalidRequirementError: the build wrote no wheel, or one that cannot be read.
        CreationError: the contents of the directory change with every build.
        OSError: the directory of the project cannot be read, or the store cannot be written to.
    """
    contents = keys.content(project.path)
    for _ in range(_BUILDS):
        key = keys.digest(settings, contents)
        directory = os.path.join(store, "wheels", key)
        if (path := _wheel_in(directory)) is not None:
            try:
                return _described(path, key, project)
            except InvalidRequirementError:
                shutil.rmtree(directory, ignore_errors=True)  # it is damaged
        with temporary_directory(os.path.join(store, "wheels")) as new:
            _build(project.path, new, build)
            if (built := _wheel_in(new)) is None:
                msg = f"the build of {project.path!r} wrote no wheel."
                raise InvalidRequirementError(msg)
            before, contents = contents, keys.content(project.path)
            if contents == before:
                os.makedirs(directory, mode=0o700, exist_ok=True)
                path = os.path.join(directory, os.path.basename(built))
                insist(os.replace, built, path)
                return _described(path, key, project)
    msg = f"the contents of {project.path!r} change with every build."
    raise CreationError(msg)


def _build(project: str, output: str, build: Callable[[str, str], object]) -> None:
    """Build a wheel of the contents of a project: from a copy, if an earlier build has left something beside them.

    setuptools takes what is in ``build`` for its own, although a source or a header may have changed since.
    """
    if keys.has_leftovers(project):
        with temporary_directory() as directory, contextlib.suppress(InstallationError, OSError):
            copy = os.path.join(directory, os.path.basename(project))
            _copy(project, copy)
            build(copy, output)
            return
    build(project, output)  # also if the copy cannot be built: the build may read what is around the project


def _copy(project: str, copy: str) -> None:
    """Copy the contents of a project; a link in it that leads into it leads into the copy."""
    links: list[keys.Source] = []
    for source in keys.sources(project):
        if source.is_link:
            links.append(source)
        else:
            path = os.path.join(copy, source.name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            shutil.copy2(source.path, path)
    repositories = [name for name in keys.REPOSITORIES if os.path.lexists(os.path.join(project, name))]
    links += [keys.Source(name, os.path.join(project, name), is_link=True) for name in repositories]
    for link in links:
        path, target = os.path.join(copy, link.name), os.path.realpath(link.path)
        if not os.path.lexists(path):  # it leads to a file or directory outside, which was copied
            os.makedirs(os.path.dirname(path), exist_ok=True)
            inside = None if link.name in repositories else within(target, project)
            os.symlink(target if inside is None else os.path.join(copy, inside), path)


def _described(path: str, key: str, project: Project) -> Wheel:
    metadata = _metadata(path)
    with contextlib.suppress(OSError):
        os.utime(os.path.dirname(path))  # when it was last used
    return Wheel(path, key, normalized(dict(metadata)["name"]), tuple(f"{name}: {value}" for name, value in metadata), project)


def _wheel_in(directory: str) -> str | None:
    with contextlib.suppress(OSError):
        names = sorted(name for name in os.listdir(directory) if name.endswith(".whl"))
        return os.path.join(directory, names[0]) if names else None
    return None


def _metadata(path: str) -> list[tuple[str, str]]:
    import zipfile  # slow to import
    import zlib
    from email.parser import BytesHeaderParser  # slow to import

    try:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
            fields = BytesHeaderParser().parsebytes(archive.read(name)).items()
        found = [(field.lower(), str(value)) for field, value in fields if field.lower() in _FIELDS]
        if "name" in dict(found):
            return found
        reason: object = "its metadata has no name"
    except (OSError, StopIteration, ValueError, zipfile.BadZipFile, zlib.error) as exc:
        reason = exc
    msg = f"the wheel {path!r} cannot be read: {reason}."
    raise InvalidRequirementError(msg)
