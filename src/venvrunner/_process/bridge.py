"""The bridge from sync to async: it runs a coroutine for a caller that is not async."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from venvrunner._process.critical_section import surely, uninterrupted
from venvrunner._process.session import HAS_JOBS

__tracebackhide__ = True

_Result = TypeVar("_Result")
_LOOK = 0.1 if HAS_JOBS else 3600.0
"""Seconds between two moments at which a signal handler can run, on systems where it does not interrupt a wait."""


def wait_for(start: Callable[[], Coroutine[Any, Any, _Result]], hurry: Callable[[], object]) -> _Result:
    """Run a coroutine on an event loop of its own, and return its result.

    The loop runs in this thread, or in a helper thread if another loop is running in this one.

    Args:
        start: returns the coroutine.
        hurry: called when a signal handler raises a second time, while the coroutine is still ending.
    """
    if _loop_is_running():
        return _Helper(start, hurry).result()
    return asyncio.run(start())


def _loop_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Helper(Generic[_Result]):
    """A thread with an event loop: an exception in the waiting caller cancels the coroutine there."""

    def __init__(self, start: Callable[[], Coroutine[Any, Any, _Result]], hurry: Callable[[], object]) -> None:
        self._start = start
        self._hurry = hurry
        self._started = threading.Event()
        # Not Thread.join: when it is interrupted, it considers the thread ended (bpo-45274).
        self._ended = threading.Event()
        self._outcome: _Result | BaseException = RuntimeError("the helper thread did not run")
        self._thread = threading.Thread(target=contextvars.copy_context().run, args=(self._work,))

    def result(self) -> _Result:
        """Return the result of the coroutine, when it has ended."""
        try:
            uninterrupted(self._thread.start)
            while not self._ended.wait(_LOOK):  # Windows runs no signal handler while a thread waits for a lock
                pass
        finally:
            try:
                self._finish()
            except BaseException:
                surely(self._cancel)
                self._ended.wait()
                raise
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome

    def _work(self) -> None:
        try:
            self._outcome = asyncio.run(self._main())
        except BaseException as exc:  # noqa: BLE001  it is raised again in the caller's thread
            self._outcome = exc
        finally:
            self._started.set()
            self._ended.set()

    async def _main(self) -> _Result:
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._started.set()
        return await self._start()

    def _finish(self) -> None:
        """Cancel the coroutine and wait until the thread has ended; a further interrupt hurries it."""
        if self._thread.ident is not None and not self._ended.is_set():
            uninterrupted(self._cancel)
            uninterrupted(self._ended.wait, interrupted=self._interrupted)

    def _cancel(self) -> None:
        if self._thread.ident is not None:
            self._started.wait()
            # RuntimeError: the loop is closed, so the thread is about to end.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._task.cancel)

    def _interrupted(self, error: BaseException) -> None:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            self._hurry()
