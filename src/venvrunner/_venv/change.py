"""Hold an environment for a change: its lock, and what is undone if the change fails."""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterable
from types import TracebackType

from venvrunner._process.critical_section import uninterrupted
from venvrunner._process.readiness import loop_waiter
from venvrunner._venv.cleanup import Cleanup, Owned
from venvrunner._venv.errors import explained
from venvrunner._venv.file_locks import CLOSE_FIRST, LockFile, give_to_owner, is_inconclusive
from venvrunner._venv.lock_notes import read_name, write_name
from venvrunner._venv.removal import LINK, Directory, Spot, remove_tree
from venvrunner._venv.sharing_violations import insist
from venvrunner._venv.waiting import WaitPolicy
from venvrunner.exceptions import NotAVenvError

__tracebackhide__ = True

CONFIG = "pyvenv.cfg"
"""The file that makes a directory an environment (PEP 405)."""
STATE = ".venvrunner"
"""The directory in an environment that has the lock, among other things."""
LOCK = "lock"
"""The file that is locked."""
_TRIES = 10
"""How often a directory is made again that another process has deleted at the same moment."""

Hindrances = Callable[[Directory], Iterable[str]]
"""Names what has to be waited for, given the open state; called with the lock held, where no signal handler runs."""


def no_hindrances(_state: Directory) -> Iterable[str]:
    """Wait for nothing but the lock."""
    return ()


def refusal(venv_dir: str) -> str:
    """Return what to say of something that is not an environment."""
    return f"{venv_dir!r} already exists and is not a virtual environment. It was left untouched: move it or use another name."


def check_open(directory: Directory) -> bool:
    """Make sure that an open directory is an environment or empty: no other can take its place meanwhile.

    Returns:
        whether it is an environment, be it a broken one.

    Raises:
        NotAVenvError: it is something else.
    """
    if directory.has_file(CONFIG):
        return True
    # Another process may begin to fill it between the two looks; the file exists before anything else does.
    if set(directory.names()) - {STATE} and not directory.has_file(CONFIG):
        raise NotAVenvError(refusal(directory.path))
    return False


def open_state(directory: Directory, *, make: bool = False) -> Directory:
    """Open the directory of the lock and the notes in an environment, unless a link is in its place.

    Args:
        directory: the environment's directory.
        make: create it if it does not exist.

    Raises:
        OSError: that is not possible.
    """
    is_new = make and _make_state(directory.spot(STATE))
    try:
        state = Directory(STATE, within=directory)
    except OSError as exc:
        if exc.errno not in LINK:
            raise
        msg = f"{os.path.join(directory.path, STATE)!r} is a link or a file, not a directory"
        raise OSError(exc.errno, msg) from exc
    if is_new and state.number is not None:
        with contextlib.suppress(OSError):  # no descriptor is free, say
            if not state.names():
                give_to_owner(state.number, directory.spot(STATE).folder())
    return state


def _make_state(spot: Spot) -> bool:
    try:
        os.mkdir(spot.name, dir_fd=spot.dir_fd)
    except FileExistsError:
        return False
    return True


class Held:
    """Holds the lock of an environment for a block, ``with`` or ``async with``.

    Args:
        venv_dir: an absolute path.
        wait: seconds to wait at most.
        hindrances: what else has to be waited for.
        make: create the environment's directory if it does not exist; it is removed again if the block raises.
        follow: accept a link to the environment.
    """

    def __init__(self, venv_dir: str, wait: float, hindrances: Hindrances, *, make: bool, follow: bool) -> None:
        self._patience = WaitPolicy(venv_dir, wait)
        self._hindrances = hindrances
        self._change = Change(venv_dir, make=make, follow=follow)
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
            self._give_up()
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
            self._give_up()
            raise
        return self._change

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Same as the end of a ``with`` block: nothing is awaited, so no cancel gets in between."""
        self.__exit__(kind, error, traceback)

    def _give_up(self) -> None:
        with contextlib.suppress(OSError):  # the first cause propagates
            self._end.now()

    def _attempt(self) -> list[str]:
        return uninterrupted(lambda: self._change.attempt(self._hindrances), quick=True)


class Change(Owned):
    """A change of an environment.

    Args:
        venv_dir: an absolute path.
        make: as for :class:`Held`.
        follow: as for :class:`Held`.

    Attributes:
        undo: called before the lock is released, unless the change is done.
        is_done: whether it is.
    """

    undo: Callable[[], object] | None = None
    is_done = False

    def __init__(self, venv_dir: str, *, make: bool, follow: bool) -> None:
        super().__init__()
        self._venv_dir = venv_dir
        self._path = os.path.join(venv_dir, STATE, LOCK)
        self._make = make
        self._follow = follow
        self._made: list[str] = []
        self._aside: tuple[str, os.stat_result] | None = None
        self._directory: Directory | None = None
        self._state: Directory | None = None
        self._file = LockFile()

    @property
    def directory(self) -> Directory:
        """The environment's directory while the lock is held: work on it cannot be led elsewhere by another user."""
        assert self._directory is not None
        return self._directory

    @property
    def state(self) -> Directory:
        """The directory with the lock and the notes, while the lock is held: the same holds for it."""
        assert self._state is not None
        return self._state

    def attempt(self, hindrances: Hindrances) -> list[str]:
        """Take the lock if it is free and there are no hindrances; else return what has to be waited for."""
        is_new = self._make and not os.path.lexists(os.path.join(self._venv_dir, CONFIG))
        with explained(self._venv_dir, "create an environment" if is_new else "change the environment"):
            number = self._open()
            if not (self._file.try_lock() and self._file.is_at(Spot.at(self._path))):
                found = [read_name(number)]
            elif not (found := list(hindrances(self.state))):
                write_name(number)
                return []
            self._close()
            return found

    def _open(self) -> int:
        for _ in range(_TRIES if self._make else 0):
            try:
                return self._open_once()
            except FileNotFoundError:  # another process deletes what this one has just found or made
                self._close()
        return self._open_once()

    def _open_once(self) -> int:
        if self._make:
            self._made = self._made or _missing_folders(self._venv_dir)
            os.makedirs(self._venv_dir, exist_ok=True)
        self._directory = directory = self._open_directory()
        if not check_open(directory) and self._follow and not self._make:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.path.join(self._venv_dir, CONFIG))
        self._state = state = open_state(directory, make=True)
        spot = state.spot(LOCK)
        number = self._file.open(spot)
        # Each environment needs its own; another process may have made it between the opening and the lock.
        if self._file.is_shared and self._file.try_lock() and self._file.is_at(spot):
            self._file.remove(spot)
            self._file.close()
            number = self._file.open(spot)
        return number

    def _open_directory(self) -> Directory:
        try:
            return Directory(self._venv_dir, follow=self._follow)
        except OSError as exc:
            if self._follow or exc.errno not in LINK:
                raise
            raise NotAVenvError(refusal(self._venv_dir)) from exc

    def _close(self) -> None:
        self._file.close()
        for directory in (self._state, self._directory):
            if directory is not None:
                directory.close()

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
            self._close()  # each descriptor counts
            remove_tree(*self._aside)
            self._aside = None
        if not self.is_done and self._made:
            if self._directory is not None:
                _abandon(self._directory, self._state)
            remove_empty(self._made)
        self._close()

    def remove_lock(self) -> None:
        """Remove the lock file; where that closes it first, another process may begin before."""
        with contextlib.suppress(OSError) if CLOSE_FIRST else contextlib.nullcontext():
            self._file.remove(self.state.spot(LOCK))

    def _set_aside(self) -> None:
        """Rename the environment, which takes no descriptor, to remove it when the lock has released its own."""
        aside = f"{self._venv_dir}-{os.urandom(8).hex()}.deleted"
        with contextlib.suppress(OSError):
            os.rename(self._venv_dir, aside)
            if self.directory.is_at(aside):
                self._aside = aside, os.lstat(aside)
            else:  # another user has put something else there
                os.rename(aside, self._venv_dir)


def _abandon(directory: Directory, state: Directory | None) -> None:
    """Remove the state if there is nothing but a lock that is free: no other process has begun anything."""
    file = LockFile()
    with contextlib.suppress(OSError):
        if state is not None and directory.names() == [STATE] and state.names() == [LOCK]:
            try:
                file.open(state.spot(LOCK))
                if file.try_lock():
                    file.remove(state.spot(LOCK))
            finally:
                file.close()
    with contextlib.suppress(OSError):
        directory.rmdir(STATE)


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
            insist(os.rmdir, folder)


async def _sleep(seconds: float) -> None:
    """Sleep on whatever event loop is running."""
    waiter = loop_waiter(has_pipes=True)
    try:
        waiter.open()
        await waiter.wait({}, time.monotonic() + seconds)
    finally:
        waiter.close()
