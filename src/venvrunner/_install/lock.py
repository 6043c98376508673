"""Lock files (PEP 751): what they say, which of their files fit an interpreter, and how installers are told."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from venvrunner._install.requirements import check_credentials, quoted
from venvrunner._process.sinks import Redactor
from venvrunner._types import StrPath
from venvrunner.exceptions import InvalidRequirementError, LockFileError

__tracebackhide__ = True

if TYPE_CHECKING:
    from packaging.pylock import Package, PackageArchive, PackageSdist, PackageWheel, Pylock

_DIGESTS = {"sha512": 128, "sha384": 96, "sha256": 64}
"""What both installers accept, the strongest first, and the number of hexadecimal digits."""
_URL = re.compile(r"(https?|file)://[^\s\x00-\x20\x7f-\x9f]+", re.IGNORECASE)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class LockText(os.PathLike[str]):
    """The path of a lock file that was read already, and need not be there any more: its text counts.

    Args:
        path: where it was.
        text: what was in it.

    >>> LockText("here", "a = 1") == LockText("there", "a = 1")
    True
    """

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self.text = text

    def __fspath__(self) -> str:
        """Return the path."""
        return self._path

    def __str__(self) -> str:
        """Return the path, as that of other paths."""
        return self._path

    def __repr__(self) -> str:
        """Show the path."""
        return f"<lock file {self._path!r}>"

    def __eq__(self, other: object) -> bool:
        """Tell whether the texts are equal."""
        return isinstance(other, LockText) and self.text == other.text

    def __hash__(self) -> int:
        """Return that of the text."""
        return hash(self.text)


class Lock(NamedTuple):
    """A lock file that was read and is valid.

    Attributes:
        path: its absolute path.
        text: what is in it.
        content: what it says.
    """

    path: str
    text: str
    content: "Pylock"

    def needs_its_folder(self) -> bool:
        """Tell whether it names files by paths, which are nothing on another machine."""
        files = [
            file
            for package in self.content.packages
            for file in (*(package.wheels or ()), package.sdist, package.archive, package.directory)
        ]
        return any(file is not None and getattr(file, "url", None) is None for file in files)


class LockedFile(NamedTuple):
    """The one file that is to be installed for a package.

    Attributes:
        package: the package's normalized name.
        version: its version; ``""`` for a file of no index.
        kind: as PEP 751 names it: ``"wheels"``, ``"sdist"`` or ``"archive"``.
        path: its absolute path; ``""``: it has to be fetched.
        url: where it is.
        digest: its strongest digest, as ``algorithm:digits``.
        others: those of the other files that the lock file has for this package.
        subdirectory: the folder of the project in it; ``""``: its top.
    """

    package: str
    version: str
    kind: str
    path: str
    url: str
    digest: str
    others: tuple[str, ...] = ()
    subdirectory: str = ""

    def direct_line(self) -> str:
        """Return the line of a requirements file for a file of no index."""
        part = f"#subdirectory={self.subdirectory}" if self.subdirectory else ""
        return f"{self.package} @ {quoted(self.url)}{part} --hash={self.digest}"

    def pinned_line(self, *, others: bool) -> str:
        """Return the line of a requirements file for one of an index."""
        digests = (self.digest, *self.others) if others else (self.digest,)
        return " ".join([f"{self.package}=={self.version}", *(f"--hash={digest}" for digest in digests)])


def read_lock(path: StrPath) -> Lock:
    """Read a lock file and check it.

    Raises:
        LockFileError: there is none, it is no valid lock file, or one of a version that is not known.

    >>> read_lock("pylock.toml")
    Traceback (most recent call last):
    ...
    venvrunner.exceptions.LockFileError: the lock file 'pylock.toml' can't be used: there is no such file! \
Write it, with 'pip lock' for instance, or name the right one.
    """
    import tomllib  # noqa: PLC0415  slow to import, and few have a lock file

    from packaging import pylock  # noqa: PLC0415  the same

    name = os.fspath(path)
    try:
        text = path.text if isinstance(path, LockText) else _text(name)
        content = pylock.Pylock.from_dict(tomllib.loads(text))
    except pylock.PylockUnsupportedVersionError as exc:
        raise _unusable(name, exc, "Write it again with a tool that knows version 1.0.") from exc
    except FileNotFoundError as exc:
        remedy = "Write it, with 'pip lock' for instance, or name the right one."
        raise _unusable(name, "there is no such file", remedy) from exc
    except OSError as exc:
        raise _unusable(name, exc.strerror) from exc
    except (pylock.PylockValidationError, ValueError) as exc:
        raise _unusable(name, exc) from exc
    return Lock(os.path.abspath(name), text, content)


def _text(path: str) -> str:
    with open(path, encoding="utf-8", newline="") as file:
        return file.read().replace("\r\n", "\n")  # as TOML has it, and the same on all platforms


def select(lock: Lock, description: str) -> list[LockedFile]:
    """Return the files that are to be installed, one for each package.

    Args:
        lock: the lock file.
        description: what :mod:`.describe` has printed.

    Raises:
        LockFileError: no file of a package fits, or one that does can't be installed exactly.
    """
    from packaging.pylock import PylockSelectError  # noqa: PLC0415  slow to import
    from packaging.tags import Tag  # noqa: PLC0415  same

    environment, tags = json.loads(description)
    try:
        chosen = list(lock.content.select(environment=environment, tags=[Tag(*tag.split("-")) for tag in tags]))
    except (PylockSelectError, ValueError) as exc:
        raise _unusable(lock.path, exc, "Lock for this Python and platform too.") from exc
    return [_locked(lock, package, source) for package, source in chosen]


def requirement_lines(files: Iterable[LockedFile], *, indexed: bool) -> Iterator[str]:
    """Yield the lines of a requirements file that installs exactly these files.

    Args:
        files: the files.
        indexed: whether the installer finds them by itself, where its user has said. It then may take any file that the lock
            file has for a package.
    """
    files = list(files)
    if not indexed and all(file.kind == "wheels" for file in files):
        yield "--no-index"  # else the installer needs the index for what builds the others
    for file in files:
        if file.kind == "archive":
            yield file.direct_line()
            continue
        if not indexed:
            yield f"--find-links {quoted(file.url)}"
        yield file.pinned_line(others=indexed)


def pylock_text(files: Iterable[LockedFile]) -> str:
    """Return a lock file that has only these files. JSON's strings, lists and numbers are TOML's."""
    lines = ['lock-version = "1.0"', 'created-by = "venvrunner"']
    files = list(files)
    if not files:
        lines.append("packages = []")
    for file in files:
        place = f"path = {_string(file.path)}" if file.path else f"url = {_string(quoted(file.url))}"
        algorithm, digits = file.digest.split(":")
        part = f", subdirectory = {_string(file.subdirectory)}" if file.subdirectory else ""
        entry = f"{{ {place}, hashes = {{ {algorithm} = {_string(digits)} }}{part} }}"
        lines += ["[[packages]]", f"name = {_string(file.package)}"]
        lines += [f"version = {_string(file.version)}"] if file.version else []
        lines += [f"{file.kind} = " + (f"[{entry}]" if file.kind == "wheels" else entry)]
    return "\n".join(lines) + "\n"


def _locked(lock: Lock, package: "Package", source: Any) -> LockedFile:
    kind = {"PackageWheel": "wheels", "PackageSdist": "sdist", "PackageArchive": "archive"}.get(type(source).__name__)
    if kind is None:
        remedy = "Leave it out of the lock, and install it by itself with editable= and deps=False."
        raise _unusable(lock.path, f"{package.name!r} is a folder or a repository, which has no hash", remedy)
    path, url = _place(lock, package, source)
    others: list[PackageWheel | PackageSdist] = [*(package.wheels or []), *([package.sdist] if package.sdist else [])]
    return LockedFile(
        package=package.name,
        version="" if kind == "archive" else str(package.version or _version_in(lock, source.filename)),
        kind=kind,
        path=path,
        url=url,
        digest=_digest(lock, package, source.hashes),
        others=tuple(_digest(lock, package, other.hashes) for other in others if other is not source),
        subdirectory=_subdirectory(lock, package, source),
    )


def _place(lock: Lock, package: "Package", source: "PackageWheel | PackageSdist | PackageArchive") -> tuple[str, str]:
    """Return the path and the URL of a file: the path where both are given and there is such a file."""
    if source.path is not None and not _UNSAFE.search(source.path):
        path = os.path.abspath(os.path.join(os.path.dirname(lock.path), source.path))
        if os.path.isfile(path):
            return path, Path(path).as_uri()
    if source.url is None:
        raise _unusable(lock.path, f"{package.name!r} needs {source.path!r}, and there is no such file")
    if not _URL.fullmatch(source.url):
        raise _unusable(lock.path, f"{source.url!r} of {package.name!r} is no address of a file")
    try:
        check_credentials(source.url)
    except InvalidRequirementError as exc:
        raise _unusable(lock.path, exc) from None
    name = getattr(source, "name", None)
    if name is not None and unquote(urlsplit(source.url).path).rpartition("/")[2] != name:
        raise _unusable(lock.path, f"the address of {package.name!r} does not end with its name {name!r}")
    return "", source.url


def _digest(lock: Lock, package: "Package", hashes: Mapping[str, str]) -> str:
    for algorithm, length in _DIGESTS.items():
        if (digits := hashes.get(algorithm)) is not None and re.fullmatch(f"[0-9a-fA-F]{{{length}}}", digits):
            return f"{algorithm}:{digits.lower()}"
    raise _unusable(lock.path, f"{package.name!r} has a file without a valid hash of {', '.join(reversed(_DIGESTS))}")


def _subdirectory(lock: Lock, package: "Package", source: object) -> str:
    text: str = getattr(source, "subdirectory", None) or ""
    if not re.fullmatch(r"[\w./+-]*", text, re.ASCII) or text.startswith("/") or ".." in text.split("/"):
        raise _unusable(lock.path, f"the subdirectory {text!r} of {package.name!r} is no plain path in its archive")
    return text


def _version_in(lock: Lock, filename: str) -> str:
    from packaging.utils import parse_sdist_filename, parse_wheel_filename  # noqa: PLC0415  slow to import

    try:
        return str((parse_wheel_filename if filename.endswith(".whl") else parse_sdist_filename)(filename)[1])
    except ValueError as exc:
        raise _unusable(lock.path, exc) from exc


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _unusable(path: str, why: object, remedy: str = "") -> LockFileError:
    msg = Redactor().mask(f"the lock file {path!r} can't be used: {str(why).rstrip('.!')}! {remedy}".rstrip())
    return LockFileError(msg)
