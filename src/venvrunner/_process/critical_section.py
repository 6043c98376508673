"""Run what no signal handler may split.

Python runs signal handlers in the main thread only, between any two steps of its code, and a handler may raise there:
Ctrl-C does. Handlers are never replaced here, because Python does not know all of them: ``faulthandler`` and C libraries
install their own. What must not be split runs in a helper thread instead, where no handler runs; the main thread waits.
"""

import _thread
import contextvars
import sys
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

__tracebackhide__ = True

_Result = TypeVar("_Result")
_LEVELS = 3
"""How often a handler may raise between two steps of the wait itself before the work goes on alone."""
_LOOK = 1.0
"""Seconds after which the main thread looks whether the helper thread has begun at all."""


def uninterrupted(
    action: Callable[[], _Result],
    *,
    interrupted: Callable[[BaseException], object] | None = None,
    quick: bool = False,
    patience: float = -1,
) -> _Result:
    """Run a function to its end, whatever signal handlers raise meanwhile.

    Outside the main thread no handler runs, and the function is called directly; so it is when the interpreter is about to
    end, and starts no more threads.

    Args:
        action: the function. It runs in a copy of the caller's context.
        interrupted: called in the main thread with each exception of a handler, for work that can be hurried.
        quick: whether to save the time of a complete thread object: the function must not ask for its thread.
        patience: seconds to wait at most; default -1: for ever. Then the function goes on by itself.

    Returns:
        what the function returns.

    Raises:
        BaseException: what the last handler raised, once the function has ended; else what the function raised.

    >>> uninterrupted(lambda: "done")
    'done'
    """
    if threading.get_ident() != threading.main_thread().ident or sys.is_finalizing():
        return action()
    work = _Work(action, interrupted, quick=quick, patience=patience)
    _see_through(work)
    if work.interruption is not None:
        raise work.interruption from work.error
    error, work.error = work.error, None  # the frames of the traceback hold the work
    if error is not None:
        try:
            raise error
        finally:
            del error  # or the traceback would hold it in a circle
    return work.result


def surely(action: Callable[[], object]) -> None:
    """Do something that no signal handler can prevent.

    A handler may still raise at the very call, before the first step of what is called; then the action is done again.

    Args:
        action: may be done twice.

    Raises:
        BaseException: as for :func:`uninterrupted`.

    >>> surely(lambda: print("done"))
    done
    """
    try:
        uninterrupted(action)
    except BaseException:
        uninterrupted(action)
        raise


class _Work(Generic[_Result]):
    """A function for a helper thread.

    Attributes:
        result: what the function returned.
        error: what it raised.
        interruption: what the last signal handler raised meanwhile.
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
        patience: float,
    ) -> None:
        self._action = action
        self._interrupted = interrupted
        self._quick = quick
        self._patience = patience
        self._context = contextvars.copy_context()
        # Taken by the thread as it begins, or by the main thread when it can't know whether one was started.
        self._claim = _thread.allocate_lock()
        self._lock = _thread.allocate_lock()
        self._lock.acquire()
        self._ended = False

    def advance(self) -> None:
        """Start the thread if it was not, and wait until it has ended."""
        if not self._claim.locked():
            try:
                # Not Thread.start: a handler that raises in it leaves a thread that can't register itself.
                _thread.start_new_thread(self._run if self._quick else self._run_in_thread_object, ())
            except RuntimeError:  # no thread is to be had: too many, or the interpreter is about to end
                self._run()
        end = None if self._patience < 0 else time.monotonic() + self._patience
        while not self._ended:
            try:
                seconds = _LOOK if end is None else min(_LOOK, end - time.monotonic())
                if seconds <= 0:
                    break
                if not self._lock.acquire(timeout=seconds):
                    self._run()  # does nothing if the thread has begun; it may have died before, of too little memory
            except BaseException as exc:  # noqa: BLE001  it is raised in the end
                self.interruption = exc
                if self._interrupted is not None:
                    self._interrupted(exc)

    def _run_in_thread_object(self) -> None:
        # Which daemon is said, or the thread object would ask for that of the present thread, which has none.
        try:
            threading.Thread(target=self._run, name="venvrunner-guard", daemon=False).start()
        except RuntimeError:  # no further thread is to be had
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


def _see_through(work: _Work[_Result], levels: int = _LEVELS) -> None:
    """Do the work, also if handlers raise between two steps that are not in a ``try``."""
    try:
        work.advance()
    except BaseException as exc:
        work.interruption = exc
        if levels:
            try:
                _see_through(work, levels - 1)
            except BaseException:
                _see_through(work, levels - 1)
                raise
        else:
            raise
