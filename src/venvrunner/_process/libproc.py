"""The session of a child on macOS, by libproc: list its processes, and signal them and no other process.

A pair of a PID and a process version is never used twice, and the kernel compares both when it sends a signal by an audit
token, which makes a token the counterpart of Linux's pidfd. A process gets a new version when it executes another program.
"""

import contextlib
import errno
import functools
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any

__tracebackhide__ = True

_UNIQUE_IDENTIFIER = 17
"""PROC_PIDUNIQIDENTIFIERINFO: the structure that ``proc_pidinfo`` fills in. It refuses a zombie."""
_SIZE, _VERSION = 56, slice(32, 36)
"""The size of that structure, and the bytes of the process version in it."""
_PID_WORD, _VERSION_WORD = 5, 7
"""Words of an audit token (``audit_token_t``): the only ones that the kernel reads for a signal."""
_SPARE = 64
"""Spare room for processes that start between two calls."""
_TRIES = 5
"""How many times to retry with a process that executes another program at that moment."""


def is_there() -> bool:
    """Return whether the system has the functions: a macOS newer than 14.1, and a Python with ctypes."""
    return _library() is not None


class MacSession:
    """The session that a child leads, with processes that left its group by ``setpgid``, as ``timeout`` and shells do.

    The tests run it against fakes of the system's calls, and not yet on macOS.

    Args:
        leader: the child, which is reaped last.
        send_to_group: sends a signal to the process group that it leads.
    """

    keeps_leader = True

    def __init__(self, leader: int, send_to_group: Callable[[int], None]) -> None:
        self._id = leader
        self._send_to_group = send_to_group
        self._owner = os.getpid()
        self._gone = False

    def send(self, signum: int) -> None:
        """Send a signal to every member of the session: to its first group at once, to the others one by one."""
        if self._gone or os.getpid() != self._owner:  # a fork of the owner must not signal another process's child
            return
        self._send_to_group(signum)
        for pid in members(self._id) or ():
            with contextlib.suppress(OSError):
                if os.getpgid(pid) != self._id:
                    send(pid, self._id, signum)

    def leader_reaped(self) -> None:
        """Note at once whether the leader was the last of its session."""
        self._gone = members(self._id) == []

    def lingers(self) -> bool:
        """Return false: processes that a successful command leaves continue."""
        return False

    def close(self) -> None:
        """Do nothing."""

    def ended(self) -> bool:
        """Return whether no living member is left."""
        if self._gone or os.getpid() != self._owner:
            return True
        if members(self._id) != []:
            return False
        self._send_to_group(signal.SIGKILL)  # a member that forks and exits may have hidden its child from the listing
        return members(self._id) == []


def members(session: int) -> Sequence[int] | None:
    """Return the living processes of a session; ``None``: unknown."""
    library, ctypes = _library(), _ctypes()
    numbers: Any = ()
    room = count = library.proc_listallpids(None, 0)
    while 0 < room <= count:  # the list may be cut off
        room = 2 * count + _SPARE
        numbers = (ctypes.c_int * room)()
        count = library.proc_listallpids(numbers, ctypes.sizeof(numbers))
    if count <= 0:
        return None
    pids: list[int] = numbers[:count]
    return [pid for pid in pids if pid > 1 and _is_in(pid, session) and _version(pid) is not None]


def send(pid: int, session: int, signum: int) -> bool:
    """Send a signal to a process if it is in a session; return whether the process got it.

    The version is read first. If the PID belongs to another process when the signal is sent, the versions differ, and the
    kernel sends nothing.
    """
    library, ctypes = _library(), _ctypes()
    for _ in range(_TRIES):
        version = _version(pid)
        if version is None or not _is_in(pid, session):
            return False
        token = (ctypes.c_uint32 * 8)()
        token[_PID_WORD], token[_VERSION_WORD] = pid, version
        code = library.proc_signal_with_audittoken(token, signum)
        if code != errno.ESRCH:
            return bool(code == 0)
    return False


def _is_in(pid: int, session: int) -> bool:
    try:
        return os.getsid(pid) == session
    except OSError:
        return False


def _version(pid: int) -> int | None:
    ctypes = _ctypes()
    found = (ctypes.c_uint8 * _SIZE)()
    # The third argument has 64 bits, and ctypes would pass an int as 32.
    if _library().proc_pidinfo(pid, _UNIQUE_IDENTIFIER, ctypes.c_uint64(0), found, _SIZE) != _SIZE:
        return None
    return int.from_bytes(bytes(found)[_VERSION], "little")


@functools.cache
def _library() -> Any:
    try:
        library: Any = _ctypes().CDLL(None)
        calls = library.proc_listallpids, library.proc_pidinfo, library.proc_signal_with_audittoken
    except (ImportError, AttributeError, OSError):
        return None
    return library if all(calls) else None


def _ctypes() -> Any:
    import ctypes  # macOS only

    return ctypes
