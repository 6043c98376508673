"""Critical sections: functions that run to their end, even if signal handlers raise meanwhile.

Python runs signal handlers in the main thread only, between any two steps of its code, and a handler may raise there: the
handler of Ctrl-C does. Handlers are never replaced here, because Python does not know all of them: ``faulthandler`` and C
libraries install their own. Instead, a critical section runs in a helper thread, where no handler runs, and the main thread
waits. In a process with one thread, a quick section runs there, while the signals that have a handler are blocked (POSIX,
``pthread_sigmask``): this saves two switches between threads.
"""

import _thread
import contextvars
import os
import signal
import sys
import threading
from collections.abc import Callable, Sized
from typing import Any, Generic, TypeVar

from venvrunner._process.clock import monotonic

__tracebackhide__ = True

_Result = TypeVar("_Result")
_LEVELS = 6
"""How many times a handler may raise between two steps of the wait before the main thread stops waiting."""
_LOOK = 1.0
"""Seconds after which the main thread checks whether the helper thread has begun at all."""
_ONE_THREAD = 3
"""The link count of ``/proc/self/task`` in a process with one thread: the directory has two links, and one for each thread."""
# Not the functions of the module signal: they look up the names of all signals, which costs more than the rest.
_signal: Any = sys.modules.get("_signal")
_BLOCKS_SIGNALS = hasattr(_signal, "pthread_sigmask") and sys.implementation.name == "cpython"
"""Whether signals can be blocked; PyPy may run their handlers later than at the call."""
_SYNCHRONOUS = {getattr(signal, f"SIG{name}", 0) for name in ("ABRT", "BUS", "FPE", "ILL", "SEGV", "SYS", "TRAP")}
"""Signals that report a fault of the process itself: blocked, they end it at once, without their handlers (POSIX)."""
_DEFERRED = set(_signal.valid_signals()) - _SYNCHRONOUS if _BLOCKS_SIGNALS else set[int]()


def uninterrupted(
    action: Callable[[], _Result],
    *,
    interrupted: Callable[[BaseException], object] | None = None,
    quick: bool = False,
    spawns: bool = False,
    timeout: float = -1,
) -> _Result:
    """Run a function to its end, whatever signal handlers raise meanwhile.

    The function is called directly in other threads than the main one, because no handler runs there, and at the exit of the
    interpreter, because it starts no more threads.

    Args:
        action: the function. It runs in a copy of the caller's context.
        interrupted: called in the main thread with each exception of a handler, for a function that can be hurried.
        quick: whether to create no thread object, or no thread at all, which saves time; the function must not ask for its
            thread.
        spawns: whether the function starts a process, which would inherit blocked signals.
        timeout: seconds to wait for the function, which then continues alone; default -1: no limit.

    Returns:
        the result of the function.

    Raises:
        BaseException: the last exception of a handler, after the function has ended; if there is none, that of the function.

    >>> uninterrupted(lambda: "done")
    'done'
    """
    if threading.get_ident() != threading.main_thread().ident or sys.is_finalizing():
        return action()
    blocks = quick and not spawns and interrupted is None and timeout < 0 and _can_block_signals()
    work = _Work(action, interrupted, quick=quick, blocks=blocks, timeout=timeout)
    _complete(work)
    if work.interruption is not None:
        raise work.interruption from work.error
    error, work.error = work.error, None  # the frames of the traceback refer to the work
    if error is not None:
        try:
            raise error
        finally:
            del error  # or the traceback and the error would form a cycle
    return work.result


def surely(action: Callable[[], object], unless_empty: Sized | None = None) -> None:
    """Call a function to its end, even if a signal handler raises before its first step.

    In :func:`uninterrupted`, a handler can raise at the call itself. This function then calls the action again.

    Args:
        action: the function; it must tolerate a second call.
        unless_empty: what the function is about; it is not called if this is empty.

    Raises:
        BaseException: as for :func:`uninterrupted`.

    >>> surely(lambda: print("done"))
    done
    """
    try:
        if unless_empty is None or len(unless_empty):
            uninterrupted(action)
    except BaseException:
        uninterrupted(action)
        raise


class _Work(Generic[_Result]):
    """A function for a helper thread.

    Attributes:
        result: the result of the function.
        error: the exception of the function.
        interruption: the last exception of a signal handler meanwhile.
    """

    result: _Result
    error: BaseException | None = None
    interruption: BaseException | None = None

    def __init__(
        self,
        action: Callable[[], _Result],
        interrupted: Callable[[BaseException], object] | None,
        *,
        quick: bool,
        blocks: bool,
        timeout: float,
    ) -> None:
        self._action = action
        self._interrupted = interrupted
        self._quick = quick
        self._blocks = blocks
        self._timeout = timeout
        self._context = contextvars.copy_context()
        # Taken by the thread when it begins, or by the main thread when it cannot know whether one was started.
        self._claim = _thread.allocate_lock()
        self._lock = _thread.allocate_lock()
        self._lock.acquire()
        self._ended = False

    def advance(self) -> None:
        """Do the work here with blocked signals, or start the thread if it was not, and wait until it has ended."""
        if self._blocks:
            self._run_with_blocked_signals()
        elif not self._claim.locked():
            try:
                # Not Thread.start: a handler that raises in it leaves a thread that cannot register itself.
                _thread.start_new_thread(self._run if self._quick else self._run_in_thread_object, ())
            except RuntimeError:  # no thread can be started: there are too many, or the interpreter is exiting
                self._run()
        end = None if self._timeout < 0 else monotonic() + self._timeout
        while not self._ended:
            try:
                seconds = _LOOK if end is None else min(_LOOK, end - monotonic())
                if seconds <= 0:
                    break
                if not self._lock.acquire(timeout=seconds):
                    self._run()  # does nothing if the thread has begun; it may have died before that for lack of memory
            except BaseException as exc:  # noqa: BLE001  it is raised at the end
                self.interruption = exc
                if self._interrupted is not None:
                    self._interrupted(exc)

    def _run_with_blocked_signals(self) -> None:
        # The others would end the process, or stop it until it continues, as Ctrl-Z does: both may happen at any time.
        handlers = {number: _signal.getsignal(number) for number in _DEFERRED}
        handled = [number for number, handler in handlers.items() if handler is None or callable(handler)]
        mask = _signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            _signal.pthread_sigmask(signal.SIG_BLOCK, handled)  # runs the handlers of the signals that came before
            self._run()
        finally:
            _signal.pthread_sigmask(signal.SIG_SETMASK, mask)  # runs the handlers of the signals that came meanwhile

    def _run_in_thread_object(self) -> None:
        # With an explicit daemon flag: its default comes from the current thread, which has none.
        try:
            threading.Thread(target=self._run, name="venvrunner-critical-section", daemon=False).start()
        except RuntimeError:  # no further thread can be started
            self._run()

    def _run(self) -> None:
        if not self._claim.acquire(blocking=False):
            return  # another thread has begun
        try:
            self.result = self._context.run(self._action)
        except BaseException as exc:  # noqa: BLE001  it is raised again in the main thread
            self.error = exc
        finally:
            self._ended = True
            self._lock.release()


def _complete(work: _Work[_Result], levels: int = _LEVELS) -> None:
    """Do the work, even if handlers raise between two steps that are not in a ``try``."""
    try:
        work.advance()
    except BaseException as exc:
        work.interruption = exc
        if levels:
            try:
                _complete(work, levels - 1)
            except BaseException:
                _complete(work, levels - 1)
                raise
        else:
            raise


def _can_block_signals() -> bool:
    """Return whether this is the only thread (Linux): another one would get the signals that this one blocks."""
    try:
        return _BLOCKS_SIGNALS and os.stat("/proc/self/task").st_nlink == _ONE_THREAD
    except OSError:  # /proc is not mounted, or shows another PID namespace
        return False
