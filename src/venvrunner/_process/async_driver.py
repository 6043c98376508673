"""The asynchronous driver: it runs a command on the running event loop, and stops it on cancellation."""

import threading
from collections.abc import Collection, Mapping
from functools import partial

from venvrunner._process import context
from venvrunner._process.clock import monotonic
from venvrunner._process.command import Stopped
from venvrunner._process.critical_section import surely, uninterrupted
from venvrunner._process.flow import EscapedError, Pending, Run, Wait
from venvrunner._process.readiness import loop_waiter
from venvrunner._process.running_commands import Interruption, asyncio_was_interrupted, is_of_ctrl_c
from venvrunner._process.session import HAS_SELECTABLE_PIPES
from venvrunner._process.sync_driver import CTRL_C, WATCH

__tracebackhide__ = True

_TURN = 0.01
"""Seconds of delivery after which other tasks of the loop run."""
_INTERRUPTIONS = 100
"""How many times a signal handler may raise while a command is stopped, before it is killed at once."""


class AsyncDriver:
    """Drive a run on the running event loop. The end of the block closes everything; an exception stops the command first.

    Args:
        run: the run.
        awaits_at_close: whether the block can still await after a ``GeneratorExit``, as an async generator can.
    """

    def __init__(self, run: Run, *, awaits_at_close: bool = False) -> None:
        self.run = run
        self._awaits_at_close = awaits_at_close
        self.waiter = loop_waiter(has_pipes=HAS_SELECTABLE_PIPES)
        run.wake, run.open_waiter = self.waiter.wake, self.waiter.open
        is_main = threading.get_ident() == threading.main_thread().ident
        self._interruption = Interruption()
        self._turn_began = monotonic()
        self._watch = None if is_main else WATCH
        self._answer: Collection[int] | None = None
        self._is_settled = False

    async def __aenter__(self) -> None:
        try:
            self.run.__enter__()
            self.run.begin()
            self._flow = self.run.attend()
        except BaseException as exc:
            await self.__aexit__(type(exc), exc, None)
            raise

    async def __aexit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        try:
            if isinstance(error, GeneratorExit) and not self._awaits_at_close:
                surely(self.run.abandon)  # the loop has ended: nothing can be awaited
            elif error is not None:
                await self._end(error)
            self._close()
        finally:
            self.settle()
        if isinstance(error, EscapedError):
            # PEP 479: a StopIteration that leaves a coroutine becomes a RuntimeError.
            raise error.error from None

    def settle(self) -> None:
        """Kill the command and close everything, if a signal handler prevented the normal end; otherwise do nothing."""
        if not self._is_settled:
            surely(self._kill_and_close)

    async def advance(self, taken: Collection[str] = ()) -> bool:
        """Same as :meth:`.SyncDriver.advance`, but other tasks of the loop run in between."""
        with context.alone():
            while True:
                try:
                    request = self._flow.send(self._answer)
                except StopIteration:
                    return False
                self._answer = None
                if isinstance(request, Pending):
                    await self.waiter.result_of(request.awaitable, self.run.supervisor.limit)
                elif request is not None:
                    self._answer = await self._wait(request)
                    self._turn_began = monotonic()
                    if self._watch is not None and self._interruption.seen():
                        self.run.request_stop(CTRL_C, interrupt=True)
                elif taken:
                    return True
                elif monotonic() - self._turn_began > _TURN:
                    await self.waiter.turn()
                    self._turn_began = monotonic()

    async def _wait(self, request: Wait) -> Collection[int]:
        until = request.until
        if self._watch is not None:
            look = monotonic() + self._watch
            until = look if until is None else min(until, look)
        interests: Mapping[int, bool] = {} if self.run.source is None else self.run.source.interests()
        return await self.waiter.wait(interests, until)

    async def _end(self, error: BaseException) -> None:
        """Stop the command after an exception; a further cancellation changes nothing and is raised at the end."""
        if not self.run.is_mine():
            return
        interrupt = isinstance(error, KeyboardInterrupt) or (isinstance(error, Stopped) and error.interrupt)
        if not isinstance(error, Exception):  # a cancellation: did Ctrl-C cause it?
            interrupt = self._interruption.seen() or asyncio_was_interrupted() or is_of_ctrl_c(error) or interrupt
        with self.waiter.shielded():
            further = await self._terminate(interrupt=interrupt)
        if further is not None and type(further) is not type(error):
            raise further

    async def _terminate(self, *, interrupt: bool) -> BaseException | None:
        """Send the signals of the stop; return the last cancellation, or exception of a signal handler, meanwhile."""
        further: BaseException | None = None
        answer: Collection[int] | None = None
        flow = self.run.terminate(interrupt=interrupt)
        for _interruption in range(_INTERRUPTIONS):
            try:
                while True:
                    request = uninterrupted(partial(flow.send, answer), quick=True, spawns=True)
                    assert isinstance(request, Wait)
                    answer, cancel = await self._wait_on(request)
                    further = cancel or further
            except StopIteration:
                return further
            except GeneratorExit:
                surely(self.run.abandon)
                raise
            except Exception:  # noqa: BLE001  the first cause propagates, not its consequences (no memory, say)
                break
            except BaseException as exc:  # noqa: BLE001  a signal handler raised in the flow; a new flow continues from there
                further = self._noted(exc)
                flow, answer = self.run.terminate(interrupt=interrupt), None
        surely(self.run.abandon)
        return further

    async def _wait_on(self, request: Wait) -> tuple[Collection[int] | None, BaseException | None]:
        """Wait; return a cancellation, or an exception of a signal handler, instead of raising it."""
        try:
            return await self._wait(request), None
        except GeneratorExit:
            raise
        except BaseException as exc:  # noqa: BLE001  it is returned
            return None, self._noted(exc)

    def _noted(self, interruption: BaseException) -> BaseException:
        if isinstance(interruption, KeyboardInterrupt | SystemExit) or self._interruption.seen():
            self.run.hurry()
        return interruption

    def _close(self) -> None:
        self.waiter.close()
        self.run.close()
        self.run.__exit__()
        self._is_settled = True

    def _kill_and_close(self) -> None:
        if self.run.is_mine():
            self.run.abandon()
        self._close()
