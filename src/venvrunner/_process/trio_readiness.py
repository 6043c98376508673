"""Readiness of descriptors on the event loop of trio."""

import contextlib
import selectors
from collections.abc import Awaitable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import Any, cast

from venvrunner._process.clock import alarm, monotonic
from venvrunner._process.command import TimedOut
from venvrunner._process.poller import LONGEST, SelfPipe
from venvrunner._process.supervisor import Limit

__tracebackhide__ = True


class TrioWaiter:
    """Wait on trio's loop, which watches one descriptor: that of a selector."""

    def __init__(self, trio: Any) -> None:
        self._trio = trio
        self._registered: dict[int, bool] = {}
        self._token = trio.lowlevel.current_trio_token()
        self._scope: Any = None

    def open(self) -> None:
        self._self_pipe = SelfPipe()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._self_pipe.fd, selectors.EVENT_READ)

    def wake(self) -> None:
        self._self_pipe.notify()
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
        end_alarm = alarm(until, self.wake)
        try:
            with self._trio.move_on_after(LONGEST if until is None else max(0.0, until - monotonic())):
                await self._trio.lowlevel.wait_readable(cast("Any", self._selector).fileno())  # epoll or kqueue
        finally:
            if end_alarm is not None:
                end_alarm()
        ready = {key.fd for key, _events in self._selector.select(0)}
        if self._self_pipe.fd in ready:
            self._self_pipe.drain()
        return ready

    async def turn(self) -> None:
        await self._trio.lowlevel.checkpoint()

    async def result_of(self, awaitable: Awaitable[object], limit: float | None) -> None:
        seconds = float("inf") if limit is None else max(0.0, limit - monotonic())
        end_alarm = alarm(limit, self.wake)
        try:
            with self._trio.move_on_after(seconds) as self._scope:
                await awaitable
        finally:
            scope, self._scope = self._scope, None
            if end_alarm is not None:
                end_alarm()
        if scope.cancelled_caught and limit is not None and monotonic() >= limit:
            raise TimedOut(Limit.TIME)

    def shielded(self) -> AbstractContextManager[Any]:
        scope: AbstractContextManager[Any] = self._trio.CancelScope(shield=True)
        return scope

    def close(self) -> None:
        if hasattr(self, "_selector"):
            self._selector.close()
            self._self_pipe.close()

    def _on_wake(self) -> None:
        if self._scope is not None:
            self._scope.cancel()
