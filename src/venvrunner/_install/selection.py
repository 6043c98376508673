"""Selection from a lock file: the one file, directory or commit of each package to install in an environment."""

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from venvrunner._install.lock_mismatch import why_unfit
from venvrunner._install.locked_file import LockedFile
from venvrunner._install.metadata import Distribution, normalized
from venvrunner._install.pylock import DIGESTS, Lock, unusable
from venvrunner._install.requirement_forms import FILE, quoted
from venvrunner._install.requirements import check_credentials, requirement
from venvrunner._venv.paths import local_path, within
from venvrunner.exceptions import InvalidRequirementError, LockFileError

__tracebackhide__ = True

if TYPE_CHECKING:
    from packaging.pylock import Package, PackageArchive, PackageDirectory, PackageSdist, PackageVcs, PackageWheel

_URL = re.compile(r"(https?|file)://[^\s\x00-\x20\x7f-\x9f]+", re.IGNORECASE)
_REPOSITORY = re.compile(r"(https?|file|ssh|git)://[^\s\x00-\x20\x7f-\x9f#]+", re.IGNORECASE)
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.IGNORECASE)
"""The full ID of a commit, which is a hash of its contents; a shorter ID, or a number, can later name another commit."""
_PINNED = re.compile(r"(?P<name>[\w.-]+) @ \w+\+.+@(?P<commit>[0-9a-fA-F]{40,64})(#.*)?")
_CONTENT_ADDRESSED = ("git", "hg")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_WITHOUT_DIRECTORY = {
    "uv": "lock without it: uv export --no-emit-project, or --no-emit-local for all local directories",
    "pip": "lock its requirements instead of the directory: pip lock -r requirements.txt",
    "pdm": "lock without it: pdm export without --self and --editable-self",
    "poetry-plugin-export": "lock without its group: poetry export --without GROUP",
}
"""How to write a lock file without directories, by the tool that wrote it."""
_WITHOUT_PACKAGE = {"uv": "lock without it: uv export --no-emit-package {name}"}


class Selection(NamedTuple):
    """The selected packages.

    Attributes:
        files: the files, which are checked by their hashes.
        requirements: directories, and repositories with the full ID of a commit; they have no hash.
        editable: the URLs of directories to install in editable mode.
        remark: a warning for the caller, or ``""``.
    """

    files: list[LockedFile]
    requirements: tuple[str, ...]
    editable: tuple[str, ...]
    remark: str = ""


def select(lock: Lock, description: str, *, require_hashes: bool = False) -> Selection:
    """Return the packages to install, with one source for each.

    Args:
        lock: the lock file, with the caller's choice.
        description: the output of :mod:`.describe`.
        require_hashes: refuse directories and repositories.

    Raises:
        LockFileError: no source of a package matches the environment, or it cannot be installed exactly.
    """
    from packaging.tags import Tag  # slow to import

    environment, names = json.loads(description)
    tags = [Tag(*name.split("-")) for name in names]
    chosen = _chosen(lock, environment, tags, lock.choice.extras, lock.choice.groups)
    remark = "" if chosen else _remark(lock, environment, tags)
    files: list[LockedFile] = []
    requirements: list[str] = []
    editable: list[str] = []
    for package, source in chosen:
        kind = type(source).__name__
        is_project = kind == "PackageDirectory" and lock.choice.projects
        if require_hashes and (is_project or kind == "PackageVcs"):
            remedy = "Leave out directories with lock_projects=False." if is_project else ""
            raise unusable(lock.path, f"{package.name!r} has no hash, but require_hashes=True needs one", remedy)
        if kind == "PackageVcs":
            requirements.append(_repository(lock, package, source))
        elif kind != "PackageDirectory":
            files.append(_locked(lock, package, source))
        elif is_project:
            url = _directory(lock, package, source)
            if source.editable:
                editable.append(url)
            else:
                requirements.append(f"{package.name} @ {url}")
    return Selection(files, tuple(requirements), tuple(editable), remark)


def _chosen(
    lock: Lock, environment: Mapping[str, str], tags: list[Any], extras: Any, groups: Any
) -> "list[tuple[Package, Any]]":
    from packaging.pylock import PylockSelectError  # slow to import

    try:
        return list(lock.content.select(environment=environment, tags=tags, extras=extras, dependency_groups=groups))  # type: ignore[arg-type]  # a marker environment
    except (PylockSelectError, ValueError) as exc:
        raise unusable(lock.path, *why_unfit(lock.content, environment, tags, exc)) from exc


def _remark(lock: Lock, environment: Mapping[str, str], tags: list[Any]) -> str:
    """Return the warning if nothing is selected by default and the caller has made no choice; otherwise ``""``."""
    content, (extras, groups, _projects) = lock.content, lock.choice
    declared = {"lock_groups": sorted(content.dependency_groups or ()), "lock_extras": sorted(content.extras or ())}
    if extras is not None or groups is not None or not any(declared.values()):
        return ""
    try:
        count = len(_chosen(lock, environment, tags, declared["lock_extras"], declared["lock_groups"]))
    except LockFileError:  # it is raised when the caller selects them
        count = len(content.packages)
    if not count:
        return ""
    choices = " or ".join(f"{name}={names!r}" for name, names in declared.items() if names)
    return f"the lock file {lock.path!r} has nothing to install by default. Select from its {count} packages with {choices}."


def _locked(lock: Lock, package: "Package", source: Any) -> LockedFile:
    kind = {"PackageWheel": "wheels", "PackageSdist": "sdist"}.get(type(source).__name__, "archive")
    path, url = _place(lock, package, source)
    others: list[PackageWheel | PackageSdist] = [*(package.wheels or []), *([package.sdist] if package.sdist else [])]
    return LockedFile(
        package=package.name,
        version="" if kind == "archive" else str(package.version or _parsed(lock, source.filename)[1]),
        kind=kind,
        path=path,
        url=url,
        digest=_digest(lock, package, source.hashes),
        others=tuple(_digest(lock, package, other.hashes) for other in others if other is not source),
        subdirectory=_subdirectory(lock, package, source),
    )


def _directory(lock: Lock, package: "Package", source: "PackageDirectory") -> str:
    """Return the URL of a directory, which must be the lock file's own or one below it, as part of the same project."""
    created_by = lock.content.created_by.partition(" ")[0].lower()
    tool_way = _WITHOUT_DIRECTORY.get(created_by, "lock without it")
    remedy = f"Leave out all directories with lock_projects=False, or {tool_way}."
    if _UNSAFE.search(source.path):
        raise unusable(lock.path, f"{source.path!r} of {package.name!r} is not a plain path", remedy)
    path = lock.absolute(os.path.join(source.path, _subdirectory(lock, package, source)))
    if not os.path.isdir(path):
        raise unusable(lock.path, f"{package.name!r} is the directory {path!r}, which does not exist", remedy)
    if within(os.path.realpath(path), lock.absolute(os.curdir)) is None:
        why = f"{package.name!r} is the directory {source.path!r}, which is outside the lock file's own directory"
        raise unusable(lock.path, f"{why} and has no hash", remedy)
    return quoted(Path(path).as_uri())


def _repository(lock: Lock, package: "Package", source: "PackageVcs") -> str:
    """Return the requirement for a commit of a repository."""
    created_by = lock.content.created_by.partition(" ")[0].lower()
    tool_way = _WITHOUT_PACKAGE.get(created_by, "leave it out of the lock").format(name=package.name)
    remedy = f"Lock the full id of a commit, or {tool_way}."
    if source.type not in _CONTENT_ADDRESSED:
        why = f"{package.name!r} is a repository of type {source.type!r}, whose commit ids are not hashes"
        raise unusable(lock.path, why, remedy)
    if not _COMMIT.fullmatch(source.commit_id):
        why = f"{package.name!r} is a repository at {source.commit_id!r}, which is not the full id of a commit and can change"
        raise unusable(lock.path, why, remedy)
    url = source.url or Path(lock.absolute(source.path or "")).as_uri()
    if not _REPOSITORY.fullmatch(url):
        raise unusable(lock.path, f"{url!r} of {package.name!r} is not the URL of a repository")
    part = _subdirectory(lock, package, source)
    where = f"{source.type}+{quoted(url)}@{source.commit_id}" + (f"#subdirectory={part}" if part else "")
    try:
        return requirement(f"{package.name} @ {where}")
    except InvalidRequirementError as exc:
        raise unusable(lock.path, exc) from None


def _place(lock: Lock, package: "Package", source: "PackageWheel | PackageSdist | PackageArchive") -> tuple[str, str]:
    """Return the path and the URL of a file; the path is ``""`` unless the file is on this machine."""
    if source.path is not None and not lock.is_remote() and not _UNSAFE.search(source.path):
        path = lock.absolute(source.path)
        if os.path.isfile(path):
            return path, Path(path).as_uri()
    if source.url is None:
        raise unusable(lock.path, f"{package.name!r} needs the file {source.path!r}, which does not exist")
    if not _URL.fullmatch(source.url):
        raise unusable(lock.path, f"{source.url!r} of {package.name!r} is not the URL of a file")
    try:
        check_credentials(source.url)
    except InvalidRequirementError as exc:
        raise unusable(lock.path, exc) from None
    name, path = getattr(source, "name", None), ""
    if (match := FILE.fullmatch(source.url)) and os.path.isfile(local := local_path(match["path"])):
        path = local  # uv reads no URL of an archive that is a local file
    if name is not None and not _is_same_file(lock, name, unquote(urlsplit(source.url).path).rpartition("/")[2]):
        raise unusable(lock.path, f"the URL of {package.name!r} does not end with its name {name!r}")
    return path, source.url


def _is_same_file(lock: Lock, name: str, in_url: str) -> bool:
    """Return whether two file names are equal apart from their spelling: ``jaraco.text-1-…`` is ``jaraco_text-1-…``."""
    try:
        return name == in_url or _parsed(lock, name) == _parsed(lock, in_url)
    except LockFileError:
        return False


def _parsed(lock: Lock, filename: str) -> tuple[Any, ...]:
    from packaging.utils import parse_sdist_filename, parse_wheel_filename  # slow to import

    try:
        if filename.endswith(".whl"):
            return parse_wheel_filename(filename)
        return (*parse_sdist_filename(filename), os.path.splitext(filename)[1])
    except ValueError as exc:
        raise unusable(lock.path, exc) from exc


def _digest(lock: Lock, package: "Package", hashes: Mapping[str, str]) -> str:
    for algorithm, length in DIGESTS.items():
        if (digits := hashes.get(algorithm)) is not None and re.fullmatch(f"[0-9a-fA-F]{{{length}}}", digits):
            return f"{algorithm}:{digits.lower()}"
    raise unusable(lock.path, f"{package.name!r} has a file without a valid hash of {', '.join(reversed(DIGESTS))}")


def _subdirectory(lock: Lock, package: "Package", source: object) -> str:
    text: str = getattr(source, "subdirectory", None) or ""
    if not re.fullmatch(r"[\w./+-]*", text, re.ASCII) or text.startswith("/") or ".." in text.split("/"):
        raise unusable(lock.path, f"the subdirectory {text!r} of {package.name!r} is not a plain path below it")
    return text


def has_other_commit(requirements: Iterable[str], present: Mapping[str, Distribution]) -> bool:
    """Return whether a package is installed from another commit than the locked one; pip only compares the version.

    >>> locked = "mine @ git+https://host.example/r@" + 40 * "a"
    >>> has_other_commit([locked], {"mine": Distribution("1.0", "git+https://host.example/r@" + 40 * "b", None)})
    True
    """
    for text in requirements:
        match = _PINNED.fullmatch(text)
        package = None if match is None else present.get(normalized(match["name"]))
        if match is not None and package is not None and match["commit"] not in (package.source or ""):
            return True
    return False


def is_other_file(present: Mapping[str, Distribution], file: LockedFile) -> bool:
    """Return whether a package is certainly not installed from the locked file, whatever its version.

    That is so if it is editable, or from another archive. Which file of an index a package came from is unknown.
    """
    package = present.get(normalized(file.package))
    if package is None:
        return False
    source = package.source or ""
    if file.kind != "archive":
        return source.startswith("-e ")
    algorithm, digits = file.digest.split(":")
    return digits not in source if f"#{algorithm}=" in source else not source.startswith(quoted(file.url))
