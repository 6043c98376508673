"""Job objects (Windows): each holds a child and all processes that it starts."""

import ctypes
import functools
from typing import Any

__tracebackhide__ = True

_ACCOUNTING, _EXTENDED_LIMITS = 1, 9
"""Kinds of information (JOBOBJECTINFOCLASS)."""
_BREAKAWAY_OK, _KILL_ON_JOB_CLOSE = 0x800, 0x2000
"""Flags of the limits (JOBOBJECT_BASIC_LIMIT_INFORMATION)."""
_ENDED = 1
"""The exit code of processes that are killed."""


class _Limits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION, of which only the flags are used."""

    _fields_ = (
        ("times", ctypes.c_int64 * 2),
        ("flags", ctypes.c_uint32),
        ("working_sets", ctypes.c_size_t * 2),
        ("active_processes", ctypes.c_uint32),
        ("affinity", ctypes.c_size_t),
        ("classes", ctypes.c_uint32 * 2),
        ("counters", ctypes.c_uint64 * 6),
        ("memory", ctypes.c_size_t * 4),
    )


class _Accounting(ctypes.Structure):
    """JOBOBJECT_BASIC_ACCOUNTING_INFORMATION, of which only the number of processes is used."""

    _fields_ = (
        ("times", ctypes.c_int64 * 4),
        ("page_faults", ctypes.c_uint32),
        ("total", ctypes.c_uint32),
        ("active", ctypes.c_uint32),
        ("terminated", ctypes.c_uint32),
    )


class Job:
    """A new job object. Its handle is not inherited.

    Args:
        contain: let no process leave the job, and kill all of them when the handle is closed, even by the death of this
            process. Otherwise a process may leave it (CREATE_BREAKAWAY_FROM_JOB), and the others continue.
        system: the functions of Windows; default: the real ones.

    Raises:
        OSError: the system refuses to create the job.
    """

    def __init__(self, *, contain: bool, system: Any = None) -> None:
        self._system = _system() if system is None else system
        self._handle = self._system.CreateJobObjectW(None, None)
        if not self._handle:
            raise _error()
        limits = _Limits(flags=_KILL_ON_JOB_CLOSE if contain else _BREAKAWAY_OK)
        size = ctypes.sizeof(limits)
        if not self._system.SetInformationJobObject(self._handle, _EXTENDED_LIMITS, ctypes.byref(limits), size):
            error = _error()
            self.close()
            raise error

    def take(self, process: int) -> None:
        """Put a process into the job, with all processes that it will start.

        Args:
            process: its handle.

        Raises:
            OSError: the system refuses to assign the process.
        """
        if not self._system.AssignProcessToJobObject(self._handle, process):
            raise _error()

    def active(self) -> int | None:
        """Return how many processes run in the job; ``None``: unknown."""
        found = _Accounting()
        size = ctypes.sizeof(found)
        if not self._system.QueryInformationJobObject(self._handle, _ACCOUNTING, ctypes.byref(found), size, None):
            return None
        return int(found.active)

    def end(self) -> None:
        """Kill all processes in the job at once."""
        self._system.TerminateJobObject(self._handle, _ENDED)

    def close(self) -> None:
        """Close the handle. A second call does nothing."""
        handle, self._handle = self._handle, None
        if handle:
            self._system.CloseHandle(handle)

    def __del__(self) -> None:
        """Close the handle."""
        if getattr(self, "_handle", None):
            self.close()


def resume(process: int, system: Any = None) -> None:
    """Resume a process that was started with CREATE_SUSPENDED.

    Args:
        process: its handle.
        system: as for :class:`Job`.

    Raises:
        OSError: the system refuses to resume it.
    """
    if (_system() if system is None else system).NtResumeProcess(process):
        raise OSError(0, "the process could not be resumed after its start")


def _error() -> OSError:
    names = vars(ctypes)
    if "WinError" not in names:  # a fake of the system
        return OSError(0, "the job object was refused")
    error: OSError = names["WinError"](names["get_last_error"]())
    return error


class _System:
    """The functions of Windows, each with the types of its arguments: a handle has 64 bits."""

    def __init__(self) -> None:
        load: Any = vars(ctypes)["WinDLL"]
        kernel, native = load("kernel32", use_last_error=True), load("ntdll")
        handle, number, pointer = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p
        self.CreateJobObjectW = _typed(kernel.CreateJobObjectW, handle, pointer, ctypes.c_wchar_p)
        self.SetInformationJobObject = _typed(kernel.SetInformationJobObject, number, handle, ctypes.c_int, pointer, number)
        self.QueryInformationJobObject = _typed(
            kernel.QueryInformationJobObject, number, handle, ctypes.c_int, pointer, number, pointer
        )
        self.AssignProcessToJobObject = _typed(kernel.AssignProcessToJobObject, number, handle, handle)
        self.TerminateJobObject = _typed(kernel.TerminateJobObject, number, handle, number)
        self.CloseHandle = _typed(kernel.CloseHandle, number, handle)
        self.NtResumeProcess = _typed(native.NtResumeProcess, ctypes.c_int32, handle)


def _typed(function: Any, result: Any, *arguments: Any) -> Any:
    function.restype, function.argtypes = result, arguments
    return function


@functools.cache
def _system() -> _System:
    return _System()
