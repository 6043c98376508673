"""A lock on an open file: it lasts until the last process that has the descriptor closes it, also by being killed."""

import contextlib
import errno
import functools
import os
import stat
from importlib import import_module
from typing import Any

from venvrunner._process import context
from venvrunner._venv.cleanup import Owned
from venvrunner._venv.removal import Spot
from venvrunner._venv.sharing_violations import insist
from venvrunner._venv.waiting import logger

__tracebackhide__ = True

_flock: Any
_locking: Any
try:
    _flock, _locking = import_module("fcntl"), None
except ImportError:  # Windows
    _flock, _locking = None, import_module("msvcrt")

_REFUSED = {errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK, 0}
"""What the system says of a file that is locked; 0: Wine."""
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}
_MISSING = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What flock(2) says where there are no locks: on NFS without a lock daemon, and in some containers."""
_INCONCLUSIVE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO}

CHILDREN_INHERIT = _flock is not None
"""Whether a child process can be given the lock, with ``pass_fds``."""
CLOSE_FIRST = _flock is None
"""Whether a file that is open cannot be removed."""
_FAR = 1 << 30
"""Which byte Windows locks: nobody else can read a locked byte, and the name of who has the lock is at the start."""


_NEVER_WAIT = getattr(os, "O_NONBLOCK", 0)
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | _NEVER_WAIT


def is_inconclusive(error: OSError) -> bool:
    """Return whether an error says nothing of the file: no descriptor or memory is free, or the disk fails.

    >>> is_inconclusive(OSError(errno.EMFILE, "Too many open files")), is_inconclusive(FileNotFoundError())
    (True, False)
    """
    return error.errno in _INCONCLUSIVE


def is_refused(error: OSError) -> bool:
    """Return whether an error says that a directory is read-only for this process.

    >>> is_refused(PermissionError(errno.EACCES, "")), is_refused(OSError(errno.ENOSPC, "No space left on device"))
    (True, False)
    """
    return error.errno in _READ_ONLY


def without_waiting(path: str, flags: int, *, dir_fd: int | None = None) -> int:
    """Open a file, an *opener* of :func:`open`. What is not one is refused: a pipe may wait, and a device may never end.

    Raises:
        OSError: it can't be opened, or is not a regular file (``EINVAL``).
    """
    number = os.open(path, flags | _NEVER_WAIT, 0o666, dir_fd=dir_fd)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return number


def _may_give_away() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def give_to_owner(number: int, folder: os.stat_result) -> None:
    """Let what root has just made in a directory belong to the directory's owner, who would be locked out else.

    Args:
        number: the descriptor of what was made, which nobody else can have put there.
        folder: the status of the directory.
    """
    if _may_give_away() and folder.st_uid != 0:
        with contextlib.suppress(OSError):  # root of a container may have no right to
            os.fchown(number, folder.st_uid, folder.st_gid)


class LockFile(Owned):
    """A file to lock, open or not.

    A signal handler that raises between the call that opens a file and the note of its number would lose the descriptor, and
    one between the note and the call that closes it would close the next file of that number. So each pair is one step of
    Python's, in which no handler runs: a C function that calls both.

    A fork of this process has none of its lock files open: it would keep the locks that this process releases.

    Where the system has no locks, one warning says so; then a lock only counts within this process.
    """

    _path = ""
    _claim: tuple[int, int] | None = None

    @property
    def number(self) -> int | None:
        """The descriptor, if it is open."""
        return _open.get(self)

    def open(self, spot: Spot, *, make: bool = True) -> int:
        """Open the file and return the descriptor; a link is refused.

        Args:
            spot: the file.
            make: create it if it does not exist; else reading it must do, as it may be another user's.

        Raises:
            OSError: it can't be opened.
        """
        self._path = spot.path
        if not make:
            return self._open_as(spot, os.O_RDONLY)
        if _may_give_away():
            with contextlib.suppress(FileExistsError):
                self._open_as(spot, os.O_RDWR | os.O_CREAT | os.O_EXCL)
                give_to_owner(_open[self], spot.folder())
                return _open[self]
        self._open_as(spot, os.O_RDWR | os.O_CREAT)
        if _flock is not None:
            self._close_to_others()
        return _open[self]

    def _open_as(self, spot: Spot, flags: int) -> int:
        opening = functools.partial(os.open, mode=0o600, dir_fd=spot.dir_fd)
        _open.update(zip([self], map(opening, [spot.name], [flags | _FLAGS]), strict=True))
        return _open[self]

    def _close_to_others(self) -> None:
        """Let nobody else open the file: to lock it takes no right to write."""
        status = os.fstat(_open[self])
        if status.st_mode & 0o077 and status.st_nlink == 1:
            with contextlib.suppress(OSError):  # it is another user's
                os.fchmod(_open[self], 0o600)

    @property
    def is_shared(self) -> bool:
        """Whether the open file has other names: ``cp -al`` has made it a file of two directories, say."""
        return os.fstat(_open[self]).st_nlink > 1

    def close(self) -> None:
        """Close it, if it is open; more than once does no harm."""
        self._drop_claim()
        any(map(os.close, iter(functools.partial(_open.pop, self, None), None)))

    def remove(self, spot: Spot) -> None:
        """Remove the file, which is closed first where that is needed; another process may lock it in between.

        Args:
            spot: where it is.

        Raises:
            OSError: that is not possible; on Windows, another process has the file open.
        """
        if CLOSE_FIRST:
            self.close()
        with contextlib.suppress(FileNotFoundError):
            insist(os.unlink, spot.name, dir_fd=spot.dir_fd)

    def try_lock(self) -> bool:
        """Lock the file, unless another descriptor has it locked, of this process or of another (``flock(2)``)."""
        try:
            if _flock is not None:
                _flock.flock(self.number, _flock.LOCK_EX | _flock.LOCK_NB)
            else:
                self._lock_byte(_locking.LK_NBLCK)
        except OSError as exc:
            if exc.errno in _REFUSED:
                return False
            if exc.errno not in _MISSING:
                raise
            return self._lock_here(exc)
        return True

    def _lock_byte(self, mode: int) -> None:
        """Lock or unlock on Windows, which does so where the descriptor has been read or written up to."""
        os.lseek(_open[self], _FAR, os.SEEK_SET)
        _locking.locking(_open[self], mode, 1)

    def _lock_here(self, error: OSError) -> bool:
        """Lock the file within this process, and warn once that other processes do not see that."""
        status = os.fstat(_open[self])
        if not _warned:
            _warned.append(self._path)
            logger().warning("%r cannot be locked (%s): nothing protects it from other processes", self._path, error.strerror)
        self._claim = status.st_dev, status.st_ino
        return _claims.setdefault(self._claim, self) is self

    def _drop_claim(self) -> None:
        if self._claim is not None and _claims.get(self._claim) is self:
            del _claims[self._claim]
        self._claim = None

    def unlock(self) -> None:
        """Unlock the file, also for processes that have inherited the descriptor by a fork of this one."""
        self._drop_claim()
        if self.number is None:
            return
        if _flock is None:
            with contextlib.suppress(OSError):  # it is not locked; to close it unlocks it too, but perhaps only later
                self._lock_byte(_locking.LK_UNLCK)
            return
        try:
            _flock.flock(self.number, _flock.LOCK_UN)
        except OSError as exc:
            if exc.errno not in _MISSING:
                raise

    def is_at(self, spot: Spot) -> bool:
        """Return whether the open file is still the one at a place."""
        try:
            there = os.stat(spot.name, dir_fd=spot.dir_fd, follow_symlinks=False)
            return os.path.samestat(os.fstat(_open[self]), there)
        except OSError:
            return False


_open: dict[LockFile, int] = {}
"""The descriptors of the files that are open now."""
_claims: dict[tuple[int, int], LockFile] = {}
"""The files that are locked within this process, where the system has no locks: by device and number."""
_warned: list[str] = []


def _close_all() -> None:
    """Close them, in a new fork of this process.

    That of a command which is about to start stays open: with a *preexec_fn*, ``subprocess`` forks in the same way.
    """
    passed = context.current().passed
    for number in _open.values():
        if number not in passed:
            with contextlib.suppress(OSError):
                os.close(number)
    _open.clear()
    _claims.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_all)
