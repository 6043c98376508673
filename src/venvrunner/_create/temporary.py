"""A directory that exists for a while."""

import contextlib
import functools
import tempfile
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from venvrunner._create.cleanup import Cleanup, Owned
from venvrunner._create.removal import remove_tree
from venvrunner._process.guard import uninterrupted
from venvrunner.exceptions import CreationError

__tracebackhide__ = True

__all__ = ["TemporaryPlace", "remove_tree", "temporary_folder"]


class TemporaryPlace(Owned):
    """A new directory: it is removed if the ``with`` block raises, and else left to whoever has taken it over by then.

    Args:
        folder: where to create it; default: the system's directory for temporary files.
    """

    def __init__(self, folder: str | None = None) -> None:
        super().__init__()
        self._folder = folder
        self._names: list[str] = []
        self._end = Cleanup(self, functools.partial(_remove, self._names))

    @property
    def name(self) -> str:
        """The path."""
        return self._names[0]

    def remove(self) -> None:
        """Remove the directory with all that is in it; more than once does no harm."""
        if self.is_ours:
            _remove(self._names)

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
            self._names.append(tempfile.mkdtemp(prefix="venvrunner-", dir=self._folder))
        except OSError as exc:
            where = "" if self._folder is None else f" in {self._folder!r}"
            msg = f"cannot create a temporary directory{where}: {exc}"
            raise CreationError(msg) from exc

    def finish(self) -> None:
        """Remove the directory now; if that is not possible, it is removed later, at the latest at the interpreter's exit."""
        with contextlib.suppress(OSError):  # no descriptor is free, say: it is tried again later
            self._end.now()


class temporary_folder(AbstractContextManager[str]):  # noqa: N801  used like a function
    """Create a directory and remove it after the block, neither of which a signal can leave half done.

    Args:
        folder: as for :class:`TemporaryPlace`.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._place = TemporaryPlace(folder)

    def __enter__(self) -> str:
        """Create the directory and return its path."""
        return self._place.__enter__().name

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Remove the directory."""
        self._place.finish()


def _remove(names: list[str]) -> None:
    for name in names:
        remove_tree(name)
