"""Runs the async driver for a caller that is not async."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from venvrunner._process import async_driver
from venvrunner._process.command import Command
from venvrunner._process.lines import Stream
from venvrunner._process.signals import deferred, impatience, surely

_PAUSE = 0.02
"""Seconds between two looks for a further signal."""

Start = Callable[[], Coroutine[Any, Any, int]]


def run(command: Command, streams: Mapping[int, Stream]) -> int:
    """Run a command on an event loop of its own: here, or in a helper thread if a loop is running here."""
    return wait_for(lambda: async_driver.run(command, streams))


def wait_for(start: Start) -> int:
    """Same as :func:`run`, for any coroutine that is started by a call."""
    if _loop_is_running():
        return _Helper(start).result()
    return asyncio.run(start())


def _loop_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Helper:
    """A thread with an event loop; what interrupts the caller cancels what runs there."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._started = threading.Event()
        # Not Thread.join: interrupted, it takes the thread for ended (bpo-45274).
        self._ended = threading.Event()
        self._outcome: int | BaseException = RuntimeError("the helper thread did not run")
        self._thread = threading.Thread(target=contextvars.copy_context().run, args=(self._work,))

    def result(self) -> int:
        """Wait for the end; return the exit status."""
        try:
            with deferred():
                self._thread.start()
            self._ended.wait()
        finally:
            try:
                surely(self._finish)
            except BaseException:
                # A handler can raise at the call itself, before the first line of what is called.
                surely(self._finish)
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

    async def _main(self) -> int:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._started.set()
        return await self._start()

    def _finish(self) -> None:
        """Cancel until the thread has ended; a further interrupt hurries it, as in the driver itself."""
        if self._thread.ident is None:
            return
        with deferred() as received:
            self._started.wait()
            heard = -1
            while not self._ended.is_set():
                if impatience(received) > heard:
                    heard = impatience(received)
                    # RuntimeError: the loop is closed, so the thread is about to end.
                    with contextlib.suppress(RuntimeError):
                        self._loop.call_soon_threadsafe(self._task.cancel)  # type: ignore[union-attr]  # the running task has started
                self._ended.wait(_PAUSE)
            self._thread.join()
