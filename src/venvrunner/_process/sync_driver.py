"""The synchronous driver: it runs a command in the calling thread, and stops it on an exception."""

import contextlib
import threading
from collections.abc import Collection, Mapping
from typing import Any, cast

from venvrunner._process import context
from venvrunner._process.clock import monotonic
from venvrunner._process.command import Stopped
from venvrunner._process.critical_section import surely, uninterrupted
from venvrunner._process.flow import EscapedError, Pending, Run, Wait
from venvrunner._process.poller import Poller, Sleeper
from venvrunner._process.running_commands import Interruption
from venvrunner._process.session import HAS_SELECTABLE_PIPES

__tracebackhide__ = True

WATCH = 0.1
"""Seconds between two checks for Ctrl-C, outside the main thread."""
CTRL_C = "the program was interrupted (Ctrl-C)"


class SyncDriver:
    """Drive a run in the calling thread. The end of the block closes everything; an exception stops the command first."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._waiter = Poller() if HAS_SELECTABLE_PIPES else Sleeper()
        run.wake, run.open_waiter = self._waiter.wake, self._waiter.open
        is_main = threading.get_ident() == threading.main_thread().ident
        self._interruption = None if is_main else Interruption()
        self._answer: Collection[int] | None = None
        self._is_settled = False

    def __enter__(self) -> None:
        try:
            self.run.__enter__()
            self.run.begin()
            self._flow = self.run.attend()
        except BaseException as exc:
            self.__exit__(type(exc), exc, None)
            raise

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        try:
            if error is not None:
                self._end(error)
            self._close()
        finally:
            self.settle()
        if isinstance(error, EscapedError):
            raise error.error from None

    def settle(self) -> None:
        """Kill the command and close everything, if a signal handler prevented the normal end; otherwise do nothing."""
        if not self._is_settled:
            surely(self._kill_and_close)

    def advance(self, taken: Collection[str] = ()) -> bool:
        """Run until *taken* has lines, or to the end of the command; return false at the end."""
        with context.alone():
            while True:
                try:
                    request = self._flow.send(self._answer)
                except StopIteration:
                    return False
                self._answer = None
                if isinstance(request, Pending):
                    _refuse(request)
                elif request is not None:
                    self._answer = self._wait(request)
                    if self._interruption is not None and self._interruption.seen():
                        self.run.request_stop(CTRL_C, interrupt=True)
                elif taken:
                    return True

    def _wait(self, request: Wait) -> Collection[int]:
        until = request.until
        if self._interruption is not None:
            look = monotonic() + WATCH
            until = look if until is None else min(until, look)
        interests: Mapping[int, bool] = {} if self.run.source is None else self.run.source.interests()
        return self._waiter.wait(interests, until)

    def _end(self, error: BaseException) -> None:
        """Stop the command and its session; an exception of a signal handler meanwhile skips the rest of the grace."""
        if self.run.is_mine():
            interrupt = isinstance(error, KeyboardInterrupt) or (isinstance(error, Stopped) and error.interrupt)
            try:
                uninterrupted(lambda: self._terminate(interrupt=interrupt), interrupted=self._hurry)
            except BaseException:
                surely(self.run.abandon)
                raise

    def _hurry(self, interruption: BaseException) -> None:
        if isinstance(interruption, KeyboardInterrupt | SystemExit):
            self.run.hurry()

    def _terminate(self, *, interrupt: bool) -> None:
        flow, answer = self.run.terminate(interrupt=interrupt), None
        try:
            while True:
                request = flow.send(answer)
                assert isinstance(request, Wait)
                answer = self._wait(request)
                if self._interruption is not None and self._interruption.seen():
                    self.run.hurry()
        except StopIteration:
            pass
        except Exception:  # noqa: BLE001  the first cause propagates, not its consequences (no memory, say)
            self.run.abandon()

    def _close(self) -> None:
        self.run.close()
        self._waiter.close()
        self.run.__exit__()
        self._is_settled = True

    def _kill_and_close(self) -> None:
        if self.run.is_mine():
            self.run.abandon()
        self._close()


def _refuse(request: Pending) -> None:
    """Refuse the awaitable of a sink that is not an ``async def`` function: without a loop, it cannot be awaited.

    Raises:
        TypeError: always.
    """
    with contextlib.suppress(AttributeError):
        cast("Any", request.awaitable).close()  # otherwise Python warns that the coroutine was never awaited
    msg = f"the callback {request.sink!r} returned an awaitable. Use an async def function, or async_log_run."
    raise TypeError(msg)
