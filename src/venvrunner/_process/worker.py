"""Worker threads: each makes one synchronous call for a coroutine, and runs its commands on the event loop of the coroutine.

So an asynchronous method is its synchronous twin in a thread. The loop is only busy with the commands: it reads their output,
calls the caller's callbacks, and a cancellation stops them as it does for any other command.

Each call has a thread of its own, and none of the loop's executor: calls that wait for each other never wait for a free thread.
"""

import _thread
import contextvars
import threading
import weakref
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Generic, TypeVar

from venvrunner._process import context
from venvrunner._process.critical_section import surely, uninterrupted
from venvrunner._process.readiness import loop_waiter, running_task
from venvrunner._process.session import HAS_SELECTABLE_PIPES

__tracebackhide__ = True

_Result = TypeVar("_Result")
_LOOK = 0.5
"""Seconds between two checks whether the event loop has ended without a word."""
_INTERRUPTIONS = 100
"""How many times a signal handler may raise while the thread ends, before the loop is blocked until it has ended."""


async def call(action: Callable[[], _Result], undo: Callable[[_Result], object] | None = None) -> _Result:
    """Call a function in a thread of its own, and return its result. Works on any event loop that commands run on.

    A cancellation stops the command that the function runs, or ends its wait for a lock, and raises there; it propagates here
    when the function has cleaned up and ended.

    Args:
        action: the function. It runs in a copy of the caller's context, and counts as a call of the current task.
        undo: called in the thread with the result, if the function has returned and its result can no longer be delivered.

    Raises:
        BaseException: the exception of the function, or the cancellation.
    """
    worker = _Worker(action, undo)
    try:
        worker.start()
        while not worker.has_ended:
            await worker.serve()
    except GeneratorExit:  # the loop has ended: nothing can be awaited
        surely(worker.abandon)
        raise
    except BaseException as exc:
        further = await worker.end()
        if further is not None and type(further) is not type(exc):
            raise further from None
        raise
    finally:
        worker.close()
    return worker.result()


class CancelledError(BaseException):
    """Raised in a worker thread whose coroutine was cancelled."""


class _Failing:
    """What may end with an exception that is raised in another thread."""

    _error: BaseException | None = None

    def _raise(self) -> None:
        """Raise the exception, if there is one; it is not kept."""
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # or the traceback and the error would form a cycle


class _Request(_Failing):
    """A coroutine that a worker thread asks the loop to run."""

    def __init__(self, start: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self._start = start
        self._context = context.current()._replace(worker=None)
        self._outcome: Any = None
        self._error = CancelledError()
        self.answered = threading.Event()

    async def perform(self) -> None:
        """Run the coroutine; a cancellation propagates, and the thread gets one of its own."""
        try:
            with context.restored(self._context):
                self._outcome = await self._start()
            self._error = None
        except Exception as exc:  # noqa: BLE001  it is raised in the thread
            self._error = exc
        finally:
            self.answered.set()

    def outcome(self) -> Any:
        """Return the result of the coroutine, or raise its exception."""
        self._raise()
        return self._outcome


class _Worker(_Failing, Generic[_Result]):
    """A thread that makes a call, and what the coroutine that waits for it must do meanwhile.

    The thread and the loop exchange single attributes, which needs no lock: a signal handler may raise between any two steps
    of the loop's thread.
    """

    _value: _Result

    def __init__(self, action: Callable[[], _Result], undo: Callable[[_Result], object] | None) -> None:
        self._action = action
        self._undo = undo
        self._waiter = loop_waiter(has_pipes=HAS_SELECTABLE_PIPES)
        self._loop_thread = threading.current_thread()
        task = running_task()
        self.caller = context.Caller(weakref.ref(self._loop_thread), None if task is None else weakref.ref(task))
        self._request: _Request | None = None
        self._is_taken = False
        self._cancelled = threading.Event()
        self._ended = threading.Event()
        self._starters: list[int] = []
        work = partial(contextvars.copy_context().run, self._work)
        self._thread = threading.Thread(target=work, name="venvrunner-worker", daemon=False)

    # In the thread.

    def _begin(self) -> None:
        """Start the thread from another one, which waits in place of the loop until it runs."""
        try:
            self._thread.start()
        except RuntimeError as exc:  # there are too many threads
            self._end(exc)

    def _end(self, error: BaseException | None) -> None:
        self._error = error
        self._ended.set()
        self._waiter.wake()

    def _work(self) -> None:
        error: BaseException | None = None
        try:
            with context.surrounded(worker=self):
                self._value = self._action()
                if self._undo is not None:
                    self._deliver(self._undo)
        except BaseException as exc:  # noqa: BLE001  it is raised again in the coroutine
            error = exc
        finally:
            self._end(error)
            del error  # or the traceback and the error would form a cycle

    def _deliver(self, undo: Callable[[_Result], object]) -> None:
        """Ask the loop to take the result, and undo it if the coroutine was cancelled before."""
        try:
            self.run(self._take)
        except CancelledError:
            value = self._value
            del self._value
            undo(value)
            raise

    def run(self, start: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run a coroutine on the event loop, and return its result."""
        request = self._request = _Request(start)
        if self._cancelled.is_set():
            raise CancelledError
        self._waiter.wake()
        while not request.answered.wait(_LOOK):
            if not self._loop_thread.is_alive():
                raise CancelledError
        return request.outcome()

    def sleep(self, seconds: float) -> None:
        """Sleep, or raise if the coroutine is cancelled."""
        if self._cancelled.wait(seconds):
            raise CancelledError

    # On the loop.

    def start(self) -> None:
        """Start the thread; a signal handler cannot raise between its start and the note of it."""
        uninterrupted(self._waiter.open, quick=True)
        self._starters.extend(map(_thread.start_new_thread, [self._begin], [()]))

    @property
    def has_ended(self) -> bool:
        """Whether the thread has ended or is about to, or was never started."""
        return self._is_taken or self._ended.is_set() or not self._starters

    async def _take(self) -> None:
        """Take the result: from here on, nothing is awaited, so no cancellation can come."""
        self._is_taken = True

    async def serve(self) -> None:
        """Run the coroutine that the thread asks for, or wait until it asks or has ended."""
        request, self._request = self._request, None
        if request is None:
            await self._waiter.wait({}, None)
        else:
            await request.perform()

    async def end(self) -> BaseException | None:
        """Cancel the call and wait until it has ended; return the last further cancellation or exception of a handler."""
        further: BaseException | None = None
        with self._waiter.shielded():
            for _interruption in range(_INTERRUPTIONS):
                try:
                    self._cancel()
                    while not self.has_ended:
                        await self._waiter.wait({}, None)
                    break
                except GeneratorExit:
                    surely(self.abandon)
                    raise
                except BaseException as exc:  # noqa: BLE001  it is returned
                    further = exc
        if not self.has_ended:
            surely(self.abandon)
        return further

    def abandon(self) -> None:
        """Cancel the call and block until it has ended."""
        self._cancel()
        if not self.has_ended:
            self._ended.wait()

    def _cancel(self) -> None:
        self._cancelled.set()
        request, self._request = self._request, None
        if request is not None:
            request.answered.set()

    def close(self) -> None:
        """Close what the wait needed."""
        self._waiter.close()

    def result(self) -> _Result:
        """Return the result of the function, or raise its exception."""
        self._raise()
        value = self._value
        del self._value  # the thread may still be there when the caller drops it
        return value
