"""A lock on an open file: it lasts until the last process that has the descriptor closes it, also by being killed."""

import errno
import os
from importlib import import_module
from typing import Any

__tracebackhide__ = True

_flock: Any
_locking: Any
try:
    _flock, _locking = import_module("fcntl"), None
except ImportError:  # Windows
    _flock, _locking = None, import_module("msvcrt")

_REFUSED = {errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}

CHILDREN_INHERIT = _flock is not None
"""Whether a child process can be given the lock, with ``pass_fds``."""


_NEVER_WAIT = getattr(os, "O_NONBLOCK", 0)
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | _NEVER_WAIT


def open_lock_file(path: str, *, make: bool = True) -> int:
    """Open a file to be locked; a link is refused.

    Args:
        path: the file.
        make: whether to make it if it is not there; else reading it must do, as it may be another user's.

    Raises:
        OSError: it can't be opened.
    """
    return os.open(path, (os.O_RDWR | os.O_CREAT if make else os.O_RDONLY) | _FLAGS, 0o666)


def without_waiting(path: str, flags: int) -> int:
    """Open a file, an *opener* of :func:`open`: what may be a pipe where a file should be would wait for its other end."""
    return os.open(path, flags | _NEVER_WAIT)


def try_lock(descriptor: int) -> bool:
    """Lock an open file, unless another descriptor has it locked, of this process or of another (``flock(2)``)."""
    try:
        if _flock is not None:
            _flock.flock(descriptor, _flock.LOCK_EX | _flock.LOCK_NB)
        else:
            _locking.locking(descriptor, _locking.LK_NBLCK, 1)
    except OSError as exc:
        if exc.errno in _REFUSED:
            return False
        raise
    return True


def unlock(descriptor: int) -> None:
    """Unlock an open file, also for processes that have inherited the descriptor by a fork of this one."""
    if _flock is not None:
        _flock.flock(descriptor, _flock.LOCK_UN)
    else:
        _locking.locking(descriptor, _locking.LK_UNLCK, 1)


def is_at(descriptor: int, path: str) -> bool:
    """Tell whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except OSError:
        return False
