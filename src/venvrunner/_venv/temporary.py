"""Temporary directories, which are removed after a block, on an exception, or at exit, but never if they were replaced."""

import contextlib
import functools
import os
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from venvrunner._process.critical_section import uninterrupted
from venvrunner._venv.cleanup import Cleanup, Owned
from venvrunner._venv.removal import remove_tree
from venvrunner.exceptions import CreationError

__tracebackhide__ = True

Identity = tuple[int, int]
"""The identity of a directory, independent of its path: its device and inode number."""


def identity(path: str) -> Identity | None:
    """Return the identity of the directory at a path; ``None`` if the path does not exist."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino


def remove_made(path: str, made: Identity | None) -> None:
    """Remove a directory with all its contents, unless another directory or a link has taken its place.

    A file system may reuse the inode number of a removed directory; the next directory is then mistaken for it.

    Args:
        path: where the directory was created.
        made: the result of :func:`identity` at that time.

    Raises:
        OSError: the directory cannot be removed.
    """
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    if (status.st_dev, status.st_ino) == made:
        remove_tree(path, status)


class TemporaryDirectory(Owned):
    """A new directory, which is removed if the ``with`` block raises and otherwise left to its new owner.

    If another file or directory has taken its place, that is left alone.

    Args:
        directory: its parent directory; default: the system's directory for temporary files.
    """

    def __init__(self, directory: str | None = None) -> None:
        super().__init__()
        self._directory = directory
        self._made: list[tuple[str, Identity | None]] = []
        self._end = Cleanup(self, functools.partial(_remove, self._made))

    @property
    def name(self) -> str:
        """The path."""
        return self._made[0][0]

    @property
    def is_there(self) -> bool:
        """Whether the directory is still at its path."""
        return all(identity(path) == made for path, made in self._made)

    def remove(self) -> None:
        """Remove the directory with all its contents; further calls do nothing."""
        if self.is_ours:
            _remove(self._made)

    def __enter__(self) -> Self:
        """Create the directory.

        Raises:
            CreationError: the directory cannot be created.
        """
        try:
            uninterrupted(self._make, quick=True)
        except BaseException:
            self._end.now()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Remove the directory after an exception."""
        if kind is None:
            self._end.cancel()
        else:
            self.finish()

    def _make(self) -> None:
        try:
            import tempfile  # slow to import; this too fails if no descriptor is free

            path = tempfile.mkdtemp(prefix="venvrunner-", dir=self._directory)
            self._made.append((path, identity(path)))
        except OSError as exc:
            where = "" if self._directory is None else f" in {self._directory!r}"
            msg = f"cannot create a temporary directory{where}: {exc}."
            raise CreationError(msg) from exc

    def finish(self) -> None:
        """Remove the directory now; after a failure, the removal is tried again later, the last time at exit."""
        with contextlib.suppress(OSError):  # for example no descriptor is free: it is tried again later
            self._end.now()


class temporary_directory(AbstractContextManager[str]):  # noqa: N801  used like a function
    """Create a directory, and remove it after the block; a signal leaves neither step half done.

    Args:
        directory: its parent directory; default: the system's directory for temporary files.
    """

    def __init__(self, directory: str | None = None) -> None:
        self._temporary = TemporaryDirectory(directory)

    def __enter__(self) -> str:
        """Create the directory and return its path."""
        return self._temporary.__enter__().name

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Remove the directory."""
        self._temporary.finish()


def _remove(made: list[tuple[str, Identity | None]]) -> None:
    for path, which in made:
        remove_made(path, which)
