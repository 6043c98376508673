"""How a driver waits until a descriptor is ready: by the system itself, or by an event loop."""

import contextlib
import os
import select
import selectors
import sys
import time
from collections.abc import Awaitable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

from venvrunner._process.command import TimedOut
from venvrunner._process.supervisor import Limit

if TYPE_CHECKING:
    import asyncio

__tracebackhide__ = True

_LONGEST = 3600.0
"""Seconds to wait at a time: poll() counts milliseconds, and not very far."""


class _Bell:
    """A descriptor that another thread, or a signal handler, makes readable."""

    def __init__(self) -> None:
        if hasattr(os, "eventfd"):
            number = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._read_end: IO[bytes] = os.fdopen(number, "r+b", buffering=0)
            self._write_end: IO[bytes] = self._read_end
        else:
            numbers = os.pipe()
            for number in numbers:
                os.set_blocking(number, False)
            self._read_end, self._write_end = (open(numbers[end], mode, buffering=0) for end, mode in enumerate(("rb", "wb")))
        self.fd = self._read_end.fileno()

    def ring(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # it is ringing, or closed
            self._write_end.write((1).to_bytes(8, sys.byteorder))

    def quiet(self) -> None:
        with contextlib.suppress(OSError):
            self._read_end.read(8)

    def close(self) -> None:
        self._read_end.close()
        self._write_end.close()


class Poller:
    """Waits in the calling thread, without an event loop."""

    _bell: _Bell | None = None

    def __init__(self) -> None:
        # poll() needs no descriptor of its own, unlike epoll and kqueue.
        self._poll: Any = select.poll()
        self._registered: dict[int, bool] = {}

    def open(self) -> None:
        """Open what is needed; not to be interrupted."""
        bell = self._bell = _Bell()
        self._poll.register(bell.fd, select.POLLIN)

    def wake(self) -> None:
        """Let the wait end; from any thread, or a signal handler."""
        if self._bell is not None:
            self._bell.ring()

    def wait(self, interests: Mapping[int, bool], until: float | None) -> Collection[int]:
        """Return the descriptors that are ready, as soon as there is one, at a time, or when woken."""
        seconds = _LONGEST if until is None else min(_LONGEST, max(0.0, until - time.monotonic()))
        if self._registered != interests:
            for fd in self._registered.keys() - interests.keys():
                with contextlib.suppress(KeyError):
                    self._poll.unregister(fd)
            for fd, writing in interests.items():
                self._poll.register(fd, select.POLLOUT if writing else select.POLLIN)
            self._registered = dict(interests)
        ready = {fd for fd, _event in self._poll.poll(seconds * 1000)}
        if self._bell is not None and self._bell.fd in ready:
            self._bell.quiet()
        return ready

    def close(self) -> None:
        """Close what was opened."""
        if self._bell is not None:
            self._bell.close()


class Sleeper:
    """Waits in the calling thread where pipes can't be waited for (Windows): threads that read them wake it."""

    def __init__(self) -> None:
        import threading  # noqa: PLC0415  Windows only

        self._event = threading.Event()
        self.wake = self._event.set

    def open(self) -> None:
        """Do nothing."""

    def wait(self, _interests: Mapping[int, bool], until: float | None) -> Collection[int]:
        """Wait until woken, or until a time."""
        self._event.wait(None if until is None else max(0.0, until - time.monotonic()))
        self._event.clear()
        return ()

    def close(self) -> None:
        """Do nothing."""


class Waiter(Protocol):
    """Waits on the running event loop."""

    def open(self) -> None:
        """Open what is needed; not to be interrupted."""
        ...

    def wake(self) -> None:
        """Let the wait end; from any thread."""
        ...

    async def wait(self, interests: Mapping[int, bool], until: float | None) -> Collection[int]:
        """Return the descriptors that are ready, as soon as there is one, at a time, or when woken."""
        ...

    async def turn(self) -> None:
        """Let other tasks have their turn."""
        ...

    async def result_of(self, awaitable: Awaitable[object], limit: float | None) -> None:
        """Await what a sink has returned, until a time or until woken.

        Raises:
            TimedOut: the time was up.
        """
        ...

    def shielded(self) -> AbstractContextManager[Any]:
        """Return a scope in which a cancel is not repeated at each turn of the loop."""
        ...

    def close(self) -> None:
        """Give the loop back what it watches; the loop may be closed already."""
        ...


class AsyncioWaiter:
    """Waits on a loop of asyncio's kind, uvloop's among them.

    Of the loop, only ``add_reader``, ``add_writer`` and timers are used. A watched descriptor is reported once: it would be
    reported at each turn of the loop while a sink takes its time.
    """

    def __init__(self, loop: "asyncio.AbstractEventLoop") -> None:
        self._loop = loop
        self._watched: dict[int, bool] = {}
        self._ready: set[int] = set()
        self._future: asyncio.Future[None] | None = None
        self._scope: asyncio.Timeout | None = None
        self._woken = False

    def open(self) -> None:
        """Do nothing: a loop can be woken from other threads."""

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
            timer = None
            if until is not None:
                timer = self._loop.call_later(max(0.0, until - time.monotonic()), self._finish)
            try:
                await self._future
            finally:
                self._future = None
                if timer is not None:
                    timer.cancel()
        self._woken = False
        ready, self._ready = self._ready, set()
        return ready

    async def turn(self) -> None:
        import asyncio  # noqa: PLC0415  loaded by now

        await asyncio.sleep(0)

    async def result_of(self, awaitable: Awaitable[object], limit: float | None) -> None:
        import asyncio  # noqa: PLC0415  loaded by now

        scope = self._scope = asyncio.timeout(None if limit is None else limit - time.monotonic())
        try:
            async with scope:
                await awaitable
        except TimeoutError:
            if not scope.expired():
                raise
            if limit is not None and time.monotonic() >= limit:
                raise TimedOut(Limit.TIME) from None
        finally:
            self._scope = None

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
    """Waits on a loop that can't watch a pipe (asyncio's proactor, on Windows): threads that read the pipes wake it."""

    async def wait(self, interests: Mapping[int, bool], until: float | None) -> Collection[int]:
        return await super().wait({}, until)


class TrioWaiter:
    """Waits on trio's loop, which watches one descriptor: that of a selector."""

    def __init__(self, trio: Any) -> None:
        self._trio = trio
        self._registered: dict[int, bool] = {}
        self._token = trio.lowlevel.current_trio_token()
        self._scope: Any = None

    def open(self) -> None:
        self._bell = _Bell()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._bell.fd, selectors.EVENT_READ)

    def wake(self) -> None:
        self._bell.ring()
        with contextlib.suppress(self._trio.RunFinishedError):
            self._token.run_sync_soon(self._on_wake)

    async def wait(self, interests: Mapping[int, bool], until: float | None) -> Collection[int]:
        for fd in self._registered.keys() - interests.keys():
            with contextlib.suppress(KeyError, ValueError, OSError):  # closed by now
                self._selector.unregister(fd)
        for fd, writing in interests.items():
            if fd not in self._registered:
                self._selector.register(fd, selectors.EVENT_WRITE if writing else selectors.EVENT_READ)
        self._registered = dict(interests)
        with self._trio.move_on_after(_LONGEST if until is None else max(0.0, until - time.monotonic())):
            await self._trio.lowlevel.wait_readable(cast("Any", self._selector).fileno())  # epoll or kqueue
        ready = {key.fd for key, _events in self._selector.select(0)}
        if self._bell.fd in ready:
            self._bell.quiet()
        return ready

    async def turn(self) -> None:
        await self._trio.lowlevel.checkpoint()

    async def result_of(self, awaitable: Awaitable[object], limit: float | None) -> None:
        seconds = float("inf") if limit is None else max(0.0, limit - time.monotonic())
        try:
            with self._trio.move_on_after(seconds) as self._scope:
                await awaitable
        finally:
            scope, self._scope = self._scope, None
        if scope.cancelled_caught and limit is not None and time.monotonic() >= limit:
            raise TimedOut(Limit.TIME)

    def shielded(self) -> AbstractContextManager[Any]:
        scope: AbstractContextManager[Any] = self._trio.CancelScope(shield=True)
        return scope

    def close(self) -> None:
        if hasattr(self, "_selector"):
            self._selector.close()
            self._bell.close()

    def _on_wake(self) -> None:
        if self._scope is not None:
            self._scope.cancel()


def loop_waiter(*, has_pipes: bool) -> Waiter:
    """Return what waits on the event loop that is running in this thread.

    Args:
        has_pipes: whether pipes can be waited for on this system.

    Raises:
        RuntimeError: no loop that is known here is running.
    """
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        with contextlib.suppress(RuntimeError):
            loop = asyncio.get_running_loop()
            return AsyncioWaiter(loop) if has_pipes else ThreadedWaiter(loop)
    trio = sys.modules.get("trio")
    if trio is not None and has_pipes:
        with contextlib.suppress(RuntimeError):
            return TrioWaiter(trio)
    msg = "async_log_run needs a running event loop of asyncio, uvloop or trio. Without one, use log_run."
    raise RuntimeError(msg)
