"""Readiness of descriptors on an event loop: wait for them on asyncio, uvloop or trio."""

import contextlib
import sys
from collections.abc import Awaitable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from venvrunner._process.clock import alarm, monotonic
from venvrunner._process.command import TimedOut
from venvrunner._process.supervisor import Limit

if TYPE_CHECKING:
    import asyncio

__tracebackhide__ = True


class Waiter(Protocol):
    """A way to wait on the running event loop."""

    def open(self) -> None:
        """Open the descriptors. Call it where no signal handler interrupts."""
        ...

    def wake(self) -> None:
        """End the wait. Call it from any thread."""
        ...

    async def wait(self, interests: Mapping[int, bool], until: float | None) -> Collection[int]:
        """Wait until a descriptor is ready, a time is reached or :meth:`wake` is called; return those that are ready."""
        ...

    async def turn(self) -> None:
        """Let other tasks run."""
        ...

    async def result_of(self, awaitable: Awaitable[object], limit: float | None) -> None:
        """Await the result of a sink, until a time is reached or :meth:`wake` is called.

        Raises:
            TimedOut: the time was reached.
        """
        ...

    def shielded(self) -> AbstractContextManager[Any]:
        """Return a scope in which a library's cancellation is not repeated at each turn of the loop."""
        ...

    def close(self) -> None:
        """Remove all descriptors from the loop, which may be closed already."""
        ...


class AsyncioWaiter:
    """Wait on a loop of asyncio, or of uvloop.

    It uses only ``add_reader``, ``add_writer`` and timers of the loop. A descriptor is unregistered after one event: otherwise
    the loop would report it at each turn while a sink runs.
    """

    def __init__(self, loop: "asyncio.AbstractEventLoop") -> None:
        self._loop = loop
        self._watched: dict[int, bool] = {}
        self._ready: set[int] = set()
        self._future: asyncio.Future[None] | None = None
        self._scope: asyncio.Timeout | None = None
        self._woken = False

    def open(self) -> None:
        """Do nothing: other threads can wake the loop."""

    def wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._on_wake)

    async def wait(self, interests: Mapping[int, bool], until: float | None) -> Collection[int]:
        for fd in self._watched.keys() - interests.keys():
            self._forget(fd)
        for fd, writing in interests.items():
            if fd not in self._watched:
                add = self._loop.add_writer if writing else self._loop.add_reader
                add(fd, self._on_ready, fd)
                self._watched[fd] = writing
        if not self._ready and not self._woken:
            self._future = self._loop.create_future()
            timer, end_alarm = None, alarm(until, self.wake)
            if until is not None:
                timer = self._loop.call_later(max(0.0, until - monotonic()), self._finish)
            try:
                await self._future
            finally:
                self._future = None
                if timer is not None:
                    timer.cancel()
                if end_alarm is not None:
                    end_alarm()
        self._woken = False
        ready, self._ready = self._ready, set()
        return ready

    async def turn(self) -> None:
        import asyncio  # loaded by now

        await asyncio.sleep(0)

    async def result_of(self, awaitable: Awaitable[object], limit: float | None) -> None:
        import asyncio  # loaded by now

        scope = self._scope = asyncio.timeout(None if limit is None else limit - monotonic())
        end_alarm = alarm(limit, self.wake)
        try:
            async with scope:
                await awaitable
        except TimeoutError:
            if not scope.expired():
                raise
            if limit is not None and monotonic() >= limit:
                raise TimedOut(Limit.TIME) from None
        finally:
            self._scope = None
            if end_alarm is not None:
                end_alarm()

    def shielded(self) -> AbstractContextManager[Any]:
        anyio = sys.modules.get("anyio")
        return contextlib.nullcontext() if anyio is None else anyio.CancelScope(shield=True)

    def close(self) -> None:
        for fd in list(self._watched):
            self._forget(fd)

    def _forget(self, fd: int) -> None:
        remove = self._loop.remove_writer if self._watched.pop(fd) else self._loop.remove_reader
        with contextlib.suppress(RuntimeError, ValueError, OSError):  # the loop is closed
            remove(fd)

    def _on_ready(self, fd: int) -> None:
        if fd in self._watched:
            self._forget(fd)
            self._ready.add(fd)
            self._finish()

    def _on_wake(self) -> None:
        self._woken = True
        self._finish()
        if self._scope is not None:
            with contextlib.suppress(RuntimeError):  # it is ending already
                self._scope.reschedule(self._loop.time())

    def _finish(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)


class ThreadedWaiter(AsyncioWaiter):
    """Wait on a loop that can't watch a pipe (asyncio's proactor, on Windows): threads that read the pipes wake it."""

    async def wait(self, interests: Mapping[int, bool], until: float | None) -> Collection[int]:
        return await super().wait({}, until)


def running_task() -> object:
    """Return the task that is running in this thread, of asyncio, uvloop or trio; ``None`` if there is none."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        with contextlib.suppress(RuntimeError):
            return asyncio.current_task()
    trio = sys.modules.get("trio")
    if trio is not None:
        with contextlib.suppress(RuntimeError):
            return trio.lowlevel.current_task()
    return None


def loop_waiter(*, has_pipes: bool) -> Waiter:
    """Return the waiter for the event loop that is running in this thread.

    Args:
        has_pipes: whether pipes can be waited for on this system.

    Raises:
        RuntimeError: no event loop of asyncio, uvloop or trio is running.
    """
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        with contextlib.suppress(RuntimeError):
            loop = asyncio.get_running_loop()
            return AsyncioWaiter(loop) if has_pipes else ThreadedWaiter(loop)
    trio = sys.modules.get("trio")
    if trio is not None and has_pipes:
        with contextlib.suppress(RuntimeError):
            from venvrunner._process.trio_readiness import TrioWaiter  # few need it

            return TrioWaiter(trio)
    msg = "async methods need a running event loop of asyncio, uvloop or trio. Without one, use the same call without async."
    raise RuntimeError(msg)
