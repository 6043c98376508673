"""A directory that exists for a while."""

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
"""Which directory one is, whatever its path: its device and its number there."""


def identity(path: str) -> Identity | None:
    """Return which directory is at a path; ``None``: there is nothing."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino


def remove_made(path: str, made: Identity | None) -> None:
    """Remove a directory with all that is in it, unless another one, or a link, has taken its place.

    A file system may give the number of a directory that was removed to the next one, which is taken for it then.

    Args:
        path: where it was made.
        made: what :func:`identity` has returned then.

    Raises:
        OSError: that is not possible.
    """
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    if (status.st_dev, status.st_ino) == made:
        remove_tree(path, status)


class TemporaryDirectory(Owned):
    """A new directory: it is removed if the ``with`` block raises, and else left to whoever has taken it over by then.

    Whatever has taken its place meanwhile is left alone.

    Args:
        folder: where to create it; default: the system's directory for temporary files.
    """

    def __init__(self, folder: str | None = None) -> None:
        super().__init__()
        self._folder = folder
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
        """Remove the directory with all that is in it; more than once does no harm."""
        if self.is_ours:
            _remove(self._made)

    def __enter__(self) -> Self:
        """Create the directory.

        Raises:
            CreationError: that is not possible.
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
            import tempfile  # slow to import, and needs a free descriptor like the directory

            path = tempfile.mkdtemp(prefix="venvrunner-", dir=self._folder)
            self._made.append((path, identity(path)))
        except OSError as exc:
            where = "" if self._folder is None else f" in {self._folder!r}"
            msg = f"cannot create a temporary directory{where}: {exc}"
            raise CreationError(msg) from exc

    def finish(self) -> None:
        """Remove the directory now; if that is not possible, it is removed later, at the latest at the interpreter's exit."""
        with contextlib.suppress(OSError):  # no descriptor is free, say: it is tried again later
            self._end.now()


class temporary_directory(AbstractContextManager[str]):  # noqa: N801  used like a function
    """Create a directory and remove it after the block, neither of which a signal can leave half done.

    Args:
        folder: as for :class:`TemporaryDirectory`.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._place = TemporaryDirectory(folder)

    def __enter__(self) -> str:
        """Create the directory and return its path."""
        return self._place.__enter__().name

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Remove the directory."""
        self._place.finish()


def _remove(made: list[tuple[str, Identity | None]]) -> None:
    for path, which in made:
        remove_made(path, which)
