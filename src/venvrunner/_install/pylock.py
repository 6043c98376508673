"""Lock files (PEP 751): read and checked, together with the caller's choice of extras and groups."""

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from venvrunner import subprocess_util
from venvrunner._install.lock_formats import other_kind
from venvrunner._install.requirement_forms import WEB
from venvrunner._process import context
from venvrunner._redaction import Redactor
from venvrunner._types import StrPath
from venvrunner.exceptions import CommandError, LockFileError

__tracebackhide__ = True

if TYPE_CHECKING:
    from packaging.pylock import Pylock


DIGESTS = {"sha512": 128, "sha384": 96, "sha256": 64}
"""The hashes that both installers accept, the strongest first, with their number of hexadecimal digits."""


class LockText(os.PathLike[str]):
    """The path of a lock file that has been read; it need no longer exist, because its text is used.

    Args:
        path: the path that it was read from.
        text: its text.

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
        """Return the path, as other path objects do."""
        return self._path

    def __repr__(self) -> str:
        """Return the path in a description."""
        return f"<lock file {self._path!r}>"

    def __eq__(self, other: object) -> bool:
        """Return whether the texts are equal."""
        return isinstance(other, LockText) and self.text == other.text

    def __hash__(self) -> int:
        """Return the hash of the text."""
        return hash(self.text)


class Choice(NamedTuple):
    """A caller's choice from a lock file.

    Attributes:
        extras: the names of extras; ``None``: none.
        groups: the names of dependency groups; ``None``: the file's default groups.
        projects: install the directories that the file lists.
    """

    extras: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    projects: bool = True


class Lock(NamedTuple):
    """A valid lock file.

    Attributes:
        path: its absolute path, or its URL.
        text: its text.
        content: its parsed contents.
        choice: the caller's choice from it.
    """

    path: str
    text: str
    content: "Pylock"
    choice: Choice

    def contents(self) -> tuple[str, ...]:
        """Return the texts that identify the contents of an environment: the file, the choice, and paths that may change."""
        chosen = () if self.choice == Choice() else (f"choice = {self.choice!r}",)
        return (f"lock = {self.text}", *chosen, *self._changing_paths())

    def needs_its_directory(self) -> bool:
        """Return whether it installs anything from a path, so that it depends on the machine."""
        sources = [
            source
            for package in self.content.packages
            for source in (*(package.wheels or ()), package.sdist, package.archive, package.vcs)
        ]
        by_path = any(source is not None and source.url is None for source in sources)
        return by_path or (self.choice.projects and any(package.directory is not None for package in self.content.packages))

    def is_remote(self) -> bool:
        """Return whether it was read from a URL."""
        return WEB.fullmatch(self.path) is not None

    def absolute(self, path: str) -> str:
        """Return the absolute form of a path that is relative to the lock file.

        Raises:
            LockFileError: the lock file is at a URL.
        """
        if self.is_remote():
            remedy = "Download it together with these files, or leave out directories with lock_projects=False."
            raise unusable(self.path, f"it lists the path {path!r}, but was read from a URL", remedy)
        return os.path.abspath(os.path.join(os.path.dirname(self.path), path))

    def directories(self) -> tuple[list[str], list[str]]:
        """Return the directories to install, and those to install in editable mode."""
        found = self._directories()
        return [path for path, editable in found if not editable], [path for path, editable in found if editable]

    def _directories(self) -> list[tuple[str, bool]]:
        if not self.choice.projects or self.is_remote():
            return []
        found = [package.directory for package in self.content.packages if package.directory is not None]
        return [(self.absolute(os.path.join(one.path, one.subdirectory or "")), bool(one.editable)) for one in found]

    def _changing_paths(self) -> list[str]:
        """Return the directories to install; of editable ones only the metadata files, since their code is never stale."""
        metadata = ("pyproject.toml", "setup.cfg", "setup.py")
        found: list[str] = []
        for path, editable in self._directories():
            found += [os.path.join(path, name) for name in metadata] if editable else [path]
        return found


def read_lock(path: StrPath, choice: Choice = Choice()) -> Lock:  # noqa: B008  it is immutable
    """Read and check a lock file.

    Args:
        path: its path or URL.
        choice: the caller's choice from it.

    Raises:
        LockFileError: the file does not exist, is not a valid lock file, has an unknown version, or lacks a chosen name.

    >>> read_lock("pylock.toml")
    Traceback (most recent call last):
    ...
    venvrunner.exceptions.LockFileError: the lock file 'pylock.toml' cannot be used: it does not exist. \
Write it, for example with 'pip lock', or pass the right path.
    """
    import tomllib  # slow to import, and rarely needed

    from packaging import pylock  # slow to import, and rarely needed

    name = os.fspath(path)
    text, table = "", None
    try:
        text = path.text if isinstance(path, LockText) else _text(name)
        table = tomllib.loads(text)
        content = pylock.Pylock.from_dict(table)
    except pylock.PylockUnsupportedVersionError as exc:
        raise unusable(name, exc, "Write it with a tool that supports version 1.0.") from exc
    except FileNotFoundError as exc:
        remedy = "Write it, for example with 'pip lock', or pass the right path."
        raise unusable(name, "it does not exist", remedy) from exc
    except OSError as exc:
        raise unusable(name, exc.strerror or exc) from exc
    except (pylock.PylockValidationError, ValueError, RecursionError) as exc:
        why, remedy = other_kind(name, text, table) or (exc, "")
        raise unusable(name, why, remedy) from exc
    lock = Lock(name if WEB.fullmatch(name) else os.path.abspath(name), text, content, choice)
    _check_names(lock, "lock_extras", "extras", choice.extras, content.extras or ())
    groups = [*(content.dependency_groups or ()), *(content.default_groups or ())]
    _check_names(lock, "lock_groups", "dependency groups", choice.groups, groups)
    return lock


def unusable(path: str, why: object, remedy: str = "") -> LockFileError:
    """Return the error for a lock file that cannot be used, with all credentials masked."""
    msg = Redactor().mask(f"the lock file {path!r} cannot be used: {str(why).rstrip('.!')}. {remedy}".rstrip())
    return LockFileError(msg)


def _text(path: str) -> str:
    if WEB.fullmatch(path):
        return _fetched(path).replace("\r\n", "\n")
    with open(path, encoding="utf-8", newline="") as file:
        return file.read().replace("\r\n", "\n")  # the same text on all platforms; TOML allows both


def _fetched(url: str) -> str:
    """Return the text at a URL; in a worker thread, a command fetches it, which a cancellation ends.

    Raises:
        OSError: the text cannot be fetched.
    """
    from venvrunner._install import fetch  # slow to import

    worker = context.current().worker
    if worker is None or not sys.executable:
        return fetch.fetch(url)
    command = [sys.executable, "-I", str(fetch.__file__)]
    try:
        text: str = worker.run(lambda: subprocess_util.async_log_run(command, stderr_loglevel=None, input=url)).stdout
    except CommandError as exc:
        raise OSError(str(exc.stderr).strip()) from None
    return text


def _check_names(lock: Lock, keyword: str, what: str, chosen: tuple[str, ...] | None, known: Iterable[str]) -> None:
    from packaging.utils import canonicalize_name  # slow to import

    names = sorted({str(canonicalize_name(name)) for name in known})
    for name in chosen or ():
        if canonicalize_name(name) not in names:
            has = f"its {what} are {', '.join(map(repr, names))}" if names else f"it has no {what}"
            remedy = f"Use one of these in {keyword}=." if names else f"Lock with its {what}, or leave out {keyword}=."
            raise unusable(lock.path, f"{name!r} is not in it: {has}", remedy)
