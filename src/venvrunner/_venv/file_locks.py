"""File locks (flock): each lasts until the last process that has the descriptor closes it or ends."""

import contextlib
import errno
import functools
import os
import stat
from importlib import import_module
from typing import Any

from venvrunner._process import context
from venvrunner._venv.cleanup import Owned
from venvrunner._venv.open_directory import Spot
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
"""The errors for a file that is already locked; 0: Wine."""
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}
_MISSING = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""The errors of flock(2) where there are no locks: on NFS without a lock daemon, and in some containers."""
_INCONCLUSIVE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO}

CHILDREN_INHERIT = _flock is not None
"""Whether a child process can inherit the lock, with ``pass_fds``."""
CLOSE_FIRST = _flock is None
"""Whether an open file cannot be removed."""
_FAR = 1 << 30
"""The byte that is locked on Windows: other processes cannot read a locked byte, and must read the note at the start."""


_NEVER_WAIT = getattr(os, "O_NONBLOCK", 0)
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | _NEVER_WAIT


def is_inconclusive(error: OSError) -> bool:
    """Return whether an error has nothing to do with the file itself: no descriptor or memory is free, or the disk fails.

    >>> is_inconclusive(OSError(errno.EMFILE, "Too many open files")), is_inconclusive(FileNotFoundError())
    (True, False)
    """
    return error.errno in _INCONCLUSIVE


def is_refused(error: OSError) -> bool:
    """Return whether an error means that a directory is read-only for this process.

    >>> is_refused(PermissionError(errno.EACCES, "")), is_refused(OSError(errno.ENOSPC, "No space left on device"))
    (True, False)
    """
    return error.errno in _READ_ONLY


def without_waiting(path: str, flags: int, *, dir_fd: int | None = None) -> int:
    """Open a regular file, as an *opener* of :func:`open`; a pipe could block, and a device could be endless.

    Raises:
        OSError: it cannot be opened, or is not a regular file (``EINVAL``).
    """
    number = os.open(path, flags | _NEVER_WAIT, 0o666, dir_fd=dir_fd)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return number


def _may_give_away() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def give_to_owner(number: int, directory: os.stat_result) -> None:
    """Give a file that root has just created to the owner of its directory, who could not open it otherwise.

    Args:
        number: the descriptor of the file, which this process must have created.
        directory: the status of the directory.
    """
    if _may_give_away() and directory.st_uid != 0:
        with contextlib.suppress(OSError):  # root in a container may lack the permission
            os.fchown(number, directory.st_uid, directory.st_gid)


class LockFile(Owned):
    """A file to lock, open or not.

    A descriptor would leak if a signal handler raised between the opening of the file and the storing of the descriptor, or
    between the dropping of the descriptor and the closing of the file. So each pair is one C call, in which no handler runs.

    After ``os.fork``, the child closes these files: otherwise it would keep the locks that this process releases.

    Where the system has no locks, one warning is logged, and the lock only works within this process.
    """

    _path = ""
    _claim: tuple[int, int] | None = None

    @property
    def number(self) -> int | None:
        """The descriptor; ``None`` if the file is closed."""
        return _open.get(self)

    def open(self, spot: Spot, *, make: bool = True) -> int:
        """Open the file and return the descriptor; a link is refused.

        Args:
            spot: the file.
            make: create the file if it does not exist; if false, it is only opened for reading, as it may be another user's.

        Raises:
            OSError: the file cannot be opened.
        """
        self._path = spot.path
        if not make:
            return self._open_as(spot, os.O_RDONLY)
        if _may_give_away():
            with contextlib.suppress(FileExistsError):
                self._open_as(spot, os.O_RDWR | os.O_CREAT | os.O_EXCL)
                give_to_owner(_open[self], spot.directory_status())
                return _open[self]
        self._open_as(spot, os.O_RDWR | os.O_CREAT)
        if _flock is not None:
            self._close_to_others()
        return _open[self]

    def _open_as(self, spot: Spot, flags: int) -> int:
        opening = functools.partial(os.open, mode=0o600, dir_fd=spot.dir_fd)
        try:
            _open.update(zip([self], map(opening, [spot.name], [flags | _FLAGS]), strict=True))
        except OSError as exc:
            if exc.errno != errno.ENXIO:
                raise
            os.unlink(spot.name, dir_fd=spot.dir_fd)  # a socket, which no process can lock
            _open.update(zip([self], map(opening, [spot.name], [flags | _FLAGS]), strict=True))
        return _open[self]

    def _close_to_others(self) -> None:
        """Keep other users from opening the file: locking it needs no permission to write."""
        status = os.fstat(_open[self])
        if status.st_mode & 0o077 and status.st_nlink == 1:
            with contextlib.suppress(OSError):  # it belongs to another user
                os.fchmod(_open[self], 0o600)

    @property
    def is_shared(self) -> bool:
        """Whether the open file has other names, for example after ``cp -al`` of its directory."""
        return os.fstat(_open[self]).st_nlink > 1

    def close(self) -> None:
        """Close the file if it is open; further calls do nothing."""
        self._drop_claim()
        any(map(os.close, iter(functools.partial(_open.pop, self, None), None)))

    def remove(self, spot: Spot) -> None:
        """Remove the file; where it must be closed first, another process may lock it in between.

        Args:
            spot: the file.

        Raises:
            OSError: the file cannot be removed; on Windows, another process has it open.
        """
        if CLOSE_FIRST:
            self.close()
        with contextlib.suppress(FileNotFoundError):
            insist(os.unlink, spot.name, dir_fd=spot.dir_fd)

    def try_lock(self) -> bool:
        """Lock the file and return whether that succeeded: another descriptor, here or elsewhere, may have it locked."""
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
        """Lock or unlock on Windows, where the lock applies at the position of the descriptor."""
        os.lseek(_open[self], _FAR, os.SEEK_SET)
        _locking.locking(_open[self], mode, 1)

    def _lock_here(self, error: OSError) -> bool:
        """Lock the file within this process only, and warn once."""
        status = os.fstat(_open[self])
        if not _warned:
            _warned.append(self._path)
            logger().warning(
                "%r cannot be locked (%s): other processes can change or delete the environment while it is in use",
                self._path,
                error.strerror,
            )
        self._claim = status.st_dev, status.st_ino
        return _claims.setdefault(self._claim, self) is self

    def _drop_claim(self) -> None:
        if self._claim is not None and _claims.get(self._claim) is self:
            del _claims[self._claim]
        self._claim = None

    def unlock(self) -> None:
        """Unlock the file, also for processes that inherited the descriptor by ``os.fork``."""
        self._drop_claim()
        if self.number is None:
            return
        if _flock is None:
            with contextlib.suppress(OSError):  # it is not locked; closing unlocks it too, but perhaps only later
                self._lock_byte(_locking.LK_UNLCK)
            return
        try:
            _flock.flock(self.number, _flock.LOCK_UN)
        except OSError as exc:
            if exc.errno not in _MISSING:
                raise

    def is_at(self, spot: Spot) -> bool:
        """Return whether the open file is still the one at a spot."""
        try:
            there = os.stat(spot.name, dir_fd=spot.dir_fd, follow_symlinks=False)
            return os.path.samestat(os.fstat(_open[self]), there)
        except OSError:
            return False


def why_not(number: int) -> str | None:
    """Return why the system cannot lock an open file that nobody has locked; ``None`` if it can, or on Windows.

    >>> import tempfile
    >>> with tempfile.TemporaryFile() as file:
    ...     why_not(file.fileno())
    """
    try:
        if _flock is not None:
            _flock.flock(number, _flock.LOCK_EX | _flock.LOCK_NB)
    except OSError as exc:
        return exc.strerror
    return None


_open: dict[LockFile, int] = {}
"""The descriptors of the open files."""
_claims: dict[tuple[int, int], LockFile] = {}
"""The files that are locked within this process only, by device and inode number."""
_warned: list[str] = []


def _close_all() -> None:
    """Close the open files in a new child by ``os.fork``.

    The files that a starting command inherits stay open: with a *preexec_fn*, ``subprocess`` forks in the same way.
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
