"""Changes of an environment: each holds the lock of the environment, and is undone if it fails."""

import contextlib
import errno
import os
from collections.abc import Callable, Iterable
from types import TracebackType

from venvrunner._process import context
from venvrunner._process.critical_section import uninterrupted
from venvrunner._venv.cleanup import Cleanup, Owned
from venvrunner._venv.errors import explained
from venvrunner._venv.file_locks import CLOSE_FIRST, LockFile, give_to_owner, is_inconclusive
from venvrunner._venv.lock_notes import read_name, write_name
from venvrunner._venv.open_directory import LINK, Directory, Spot
from venvrunner._venv.removal import remove_tree
from venvrunner._venv.sharing_violations import insist
from venvrunner._venv.waiting import WaitPolicy
from venvrunner.exceptions import NotAVenvError

__tracebackhide__ = True

CONFIG = "pyvenv.cfg"
"""The file that makes a directory an environment (PEP 405)."""
STATE = ".venvrunner"
"""The state directory of an environment, which contains the lock."""
LOCK = "lock"
"""The file that is locked."""
_TRIES = 10
"""How many times to try again if another process deletes the directory at the same moment."""

Hindrances = Callable[[Directory], Iterable[str]]
"""Returns descriptions of what to wait for, given the open state directory; called with the lock held and signals deferred."""


def no_hindrances(_state: Directory) -> Iterable[str]:
    """Wait for nothing but the lock."""
    return ()


def refusal(venv_dir: str) -> str:
    """Return the message for a path that exists and is not an environment."""
    return f"{venv_dir!r} already exists and is not a virtual environment. It was left untouched: move it or use another name."


def check_open(directory: Directory) -> bool:
    """Check that an open directory is an environment or empty.

    Returns:
        whether it is an environment, usable or not.

    Raises:
        NotAVenvError: it has other contents.
    """
    if directory.has_file(CONFIG):
        return True
    # Another process may begin to fill it between the two checks; pyvenv.cfg is its first file.
    if set(directory.names()) - {STATE} and not directory.has_file(CONFIG):
        raise NotAVenvError(refusal(directory.path))
    return False


def open_state(directory: Directory, *, make: bool = False) -> Directory:
    """Open the state directory of an environment, but never through a link.

    Args:
        directory: the environment's directory.
        make: create the state directory if it does not exist.

    Raises:
        OSError: the state directory cannot be opened or created, or is a link or a file.
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
        with contextlib.suppress(OSError):  # for example no descriptor is free
            if not state.names():
                give_to_owner(state.number, directory.spot(STATE).directory_status())
    return state


def _make_state(spot: Spot) -> bool:
    try:
        os.mkdir(spot.name, dir_fd=spot.dir_fd)
    except FileExistsError:
        return False
    return True


class Held:
    """Holds the lock of an environment for a block.

    Args:
        venv_dir: an absolute path.
        wait: the maximum wait, in seconds.
        hindrances: called with the lock held; returns what else to wait for.
        make: create the environment's directory if it does not exist; it is removed again if the block raises.
        follow: accept a link to the environment.
    """

    def __init__(self, venv_dir: str, wait: float, hindrances: Hindrances, *, make: bool, follow: bool) -> None:
        self._wait_policy = WaitPolicy(venv_dir, wait)
        self._hindrances = hindrances
        self._change = Change(venv_dir, make=make, follow=follow)
        self._end = Cleanup(self, self._change.end)

    def __enter__(self) -> "Change":
        """Wait for the lock.

        Raises:
            VenvInUseError: the environment was still in use when the time was up.
            CreationError: the lock cannot be taken at all, for example in a read-only directory.
        """
        try:
            while found := self._attempt():
                context.sleep(self._wait_policy.pause(found))
        except BaseException:
            self._give_up()
            raise
        return self._change

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Release the lock; after an exception, undo the change first."""
        self._change.is_done = kind is None
        with contextlib.suppress(OSError):  # it is tried again later
            self._end.now()

    def _give_up(self) -> None:
        with contextlib.suppress(OSError):  # the first cause propagates
            self._end.now()

    def _attempt(self) -> list[str]:
        return uninterrupted(lambda: self._change.attempt(self._hindrances), quick=True)


class Change(Owned):
    """A change of an environment.

    Args:
        venv_dir: an absolute path.
        make: create the environment's directory if it does not exist; it is removed again unless the change is done.
        follow: accept a link to the environment.

    Attributes:
        undo: called before the lock is released, unless the change is done.
        is_done: whether the change is done.
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
        """The environment's directory, open while the lock is held: another user cannot redirect what is done in it."""
        assert self._directory is not None
        return self._directory

    @property
    def state(self) -> Directory:
        """The state directory, open while the lock is held: another user cannot redirect what is done in it."""
        assert self._state is not None
        return self._state

    def attempt(self, hindrances: Hindrances) -> list[str]:
        """Take the lock if it is free and there are no hindrances; otherwise return descriptions of what to wait for."""
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
            except FileNotFoundError:  # another process deleted what this one had found or created
                self._close()
        return self._open_once()

    def _open_once(self) -> int:
        if self._make:
            self._made = self._made or _missing_directories(self._venv_dir)
            os.makedirs(self._venv_dir, exist_ok=True)
        self._directory = directory = self._open_directory()
        if not check_open(directory) and self._follow and not self._make:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.path.join(self._venv_dir, CONFIG))
        self._state = state = open_state(directory, make=True)
        spot = state.spot(LOCK)
        number = self._file.open(spot)
        # Each environment needs a file of its own; another process may have created it between the opening and the lock.
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
        """Undo the change unless it is done, and release the lock; further calls do nothing.

        Raises:
            OSError: the environment was renamed for its removal, and could not be removed yet.
        """
        undo, self.undo = self.undo, None
        if not self.is_done and undo is not None:
            try:
                undo()
            except OSError as exc:  # the first cause propagates, not this; the environment stays marked as unfinished
                if is_inconclusive(exc):
                    self._set_aside()
        self._file.unlock()
        self._file.close()
        if self._aside is not None:
            self._close()  # to free descriptors for the removal
            remove_tree(*self._aside)
            self._aside = None
        if not self.is_done and self._made:
            if self._directory is not None:
                _abandon(self._directory, self._state)
            remove_empty(self._made)
        self._close()

    def remove_lock(self) -> None:
        """Remove the locked file; where it must be closed first, another process may lock it in between."""
        with contextlib.suppress(OSError) if CLOSE_FIRST else contextlib.nullcontext():
            self._file.remove(self.state.spot(LOCK))

    def _set_aside(self) -> None:
        """Rename the environment, which needs no descriptor; it is removed once the lock has released one."""
        aside = f"{self._venv_dir}-{os.urandom(8).hex()}.deleted"
        with contextlib.suppress(OSError):
            os.rename(self._venv_dir, aside)
            if self.directory.is_at(aside):
                self._aside = aside, os.lstat(aside)
            else:  # another user has replaced it
                os.rename(aside, self._venv_dir)


def _abandon(directory: Directory, state: Directory | None) -> None:
    """Remove the state directory if it contains only a free lock, so that no other process has started a change."""
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


def _missing_directories(path: str) -> list[str]:
    """Return the directories that must be created for a path to exist, the innermost first."""
    missing: list[str] = []
    while not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    return missing


def remove_empty(directories: Iterable[str]) -> None:
    """Remove the directories that are empty, and leave the others."""
    for directory in directories:
        with contextlib.suppress(OSError):
            insist(os.rmdir, directory)
