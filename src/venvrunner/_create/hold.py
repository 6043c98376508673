"""Hold an environment for a change: its lock, and what is undone if the change fails."""

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from types import TracebackType

from venvrunner._create.cleanup import Cleanup, Owned
from venvrunner._create.errors import explained
from venvrunner._create.locks import LockFile, is_inconclusive
from venvrunner._create.notes import read_name, write_name
from venvrunner._create.patience import Patience
from venvrunner._create.removal import remove_tree
from venvrunner._process.guard import uninterrupted
from venvrunner._process.waiters import loop_waiter

__tracebackhide__ = True

STATE = ".venvrunner"
"""The directory in an environment that has the lock, among other things."""
LOCK = "lock"
"""The file that is locked."""

Hindrances = Callable[[], Iterable[str]]
"""Names what has to be waited for while the lock is held; it runs where no signal handler does, in another thread."""


class Held:
    """Holds the lock of an environment for a block, ``with`` or ``async with``.

    Args:
        venv_dir: an absolute path.
        wait: seconds to wait at most.
        hindrances: what else has to be waited for.
        make: create the environment's directory if it does not exist; it is removed again if the block raises.
    """

    def __init__(self, venv_dir: str, wait: float, hindrances: Hindrances, *, make: bool) -> None:
        self._patience = Patience(venv_dir, wait)
        self._hindrances = hindrances
        self._change = Change(venv_dir, make=make)
        self._end = Cleanup(self, self._change.end)

    def __enter__(self) -> "Change":
        """Wait for the lock.

        Raises:
            VenvInUseError: that did not come in time.
            CreationError: the lock can't be had at all, for instance in a read-only directory.
        """
        try:
            while found := self._attempt():
                time.sleep(self._patience.pause(found))
        except BaseException:
            self._end.now()
            raise
        return self._change

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Release the lock; after an exception, undo the change first."""
        self._change.is_done = kind is None
        with contextlib.suppress(OSError):  # it is tried again later
            self._end.now()

    async def __aenter__(self) -> "Change":
        """Wait for the lock; other tasks run meanwhile, and one of them may hold it."""
        try:
            while found := self._attempt():
                await _sleep(self._patience.pause(found))
        except BaseException:
            self._end.now()
            raise
        return self._change

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Same as the end of a ``with`` block: nothing is awaited, so no cancel gets in between."""
        self.__exit__(kind, error, traceback)

    def _attempt(self) -> list[str]:
        return uninterrupted(lambda: self._change.attempt(self._hindrances), quick=True)


class Change(Owned):
    """A change of an environment.

    Args:
        venv_dir: an absolute path.
        make: as for :class:`Held`.

    Attributes:
        undo: called before the lock is released, unless the change is done.
        is_done: whether it is.
    """

    undo: Callable[[], object] | None = None
    is_done = False

    def __init__(self, venv_dir: str, *, make: bool) -> None:
        super().__init__()
        self._venv_dir = venv_dir
        self._state = os.path.join(venv_dir, STATE)
        self._path = os.path.join(self._state, LOCK)
        self._make = make
        self._made: list[str] = []
        self._aside: str | None = None
        self._file = LockFile()

    def attempt(self, hindrances: Hindrances) -> list[str]:
        """Take the lock if it is free and there are no hindrances; else return what has to be waited for."""
        is_new = self._make and not os.path.lexists(os.path.join(self._venv_dir, "pyvenv.cfg"))
        with explained(self._venv_dir, "create an environment" if is_new else "change the environment"):
            number = self._open()
            if not (self._file.try_lock() and self._file.is_at(self._path)):
                found = [read_name(number)]
            elif not (found := list(hindrances())):
                write_name(number)
                return []
            self._file.close()
            return found

    def _open(self) -> int:
        if self._make:
            self._made = self._made or _missing_folders(self._venv_dir)
            os.makedirs(self._venv_dir, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(self._state)
        if os.path.islink(self._state):
            msg = f"{self._state!r} is a link"
            raise OSError(msg)
        return self._file.open(self._path)

    def end(self) -> None:
        """Release the lock; more than once does no harm.

        Raises:
            OSError: what was to be removed is set aside, and could not be removed yet.
        """
        undo, self.undo = self.undo, None
        if not self.is_done and undo is not None:
            try:
                undo()
            except OSError as exc:  # the first cause propagates, not this; it is known to be unfinished
                if is_inconclusive(exc):
                    self._set_aside()
        self._file.unlock()
        self._file.close()
        if self._aside is not None:
            remove_tree(self._aside)
        if not self.is_done and self._made:
            abandon(self._venv_dir)
            remove_empty(self._made)

    def _set_aside(self) -> None:
        """Rename the environment, which takes no descriptor, to remove it when the lock has released its own."""
        aside = f"{self._venv_dir}-{os.urandom(8).hex()}.deleted"
        with contextlib.suppress(OSError):
            os.rename(self._venv_dir, aside)
            self._aside = aside


def abandon(venv_dir: str) -> None:
    """Remove the state if there is nothing but a lock that is free: no other process has begun anything."""
    state = os.path.join(venv_dir, STATE)
    path = os.path.join(state, LOCK)
    file = LockFile()
    with contextlib.suppress(OSError):
        if os.listdir(venv_dir) == [STATE] and os.listdir(state) == [LOCK]:
            try:
                file.open(path)
                if file.try_lock():
                    os.unlink(path)
            finally:
                file.close()
    with contextlib.suppress(OSError):
        os.rmdir(state)


def _missing_folders(path: str) -> list[str]:
    """Return which directories have to be created for one to exist, the innermost first."""
    missing: list[str] = []
    while not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    return missing


def remove_empty(folders: Iterable[str]) -> None:
    """Remove those directories that are empty."""
    for folder in folders:
        with contextlib.suppress(OSError):
            os.rmdir(folder)


async def _sleep(seconds: float) -> None:
    """Sleep on whatever event loop is running."""
    waiter = loop_waiter(has_pipes=True)
    try:
        waiter.open()
        await waiter.wait({}, time.monotonic() + seconds)
    finally:
        waiter.close()
