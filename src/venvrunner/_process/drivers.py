"""Runs a command for a caller: sync or async, as a whole or line by line; all of it is the one flow of :mod:`.flow`."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Collection, Generator, Mapping
from typing import Any, cast

from venvrunner._process import ambient
from venvrunner._process.command import Command, Stopped
from venvrunner._process.flow import EscapedError, Pending, Run, Wait
from venvrunner._process.guard import surely, uninterrupted
from venvrunner._process.lines import Stream
from venvrunner._process.running import Interruption, asyncio_was_interrupted
from venvrunner._process.session import HAS_SELECTABLE_PIPES
from venvrunner._process.sinks import is_coroutine_function
from venvrunner._process.waiters import Poller, Sleeper, loop_waiter

__tracebackhide__ = True

_WATCH = 0.1
"""Seconds between two looks for a Ctrl-C, outside the main thread."""
_TURN = 0.01
"""Seconds of delivery after which other tasks of a loop get their turn."""
_INTERRUPTIONS = 100
"""How often a signal handler may raise in the steps that end a command, before it is killed at once."""
_CTRL_C = "the program was interrupted (Ctrl-C)"


def run(command: Command, streams: Mapping[int, Stream]) -> Run:
    """Run a command to its end and deliver its lines; from any thread, also inside a running event loop.

    Whatever is raised, all that the command started is ended first and every descriptor closed.

    Args:
        command: what to run.
        streams: where the lines of 1 and 2 go; empty if the child is to inherit both.

    Returns:
        the run, with its exit status and its duration.

    Raises:
        TimedOut, Stopped: the command was ended.
        OSError: it could not be started.
        TypeError: a sink returned an awaitable.
        BaseException: what a sink or a signal handler raised.
    """
    if any(is_coroutine_function(stream.sink) for stream in streams.values()):
        from venvrunner._process import bridge  # noqa: PLC0415  asyncio is slow to import

        current = Run(command, streams)
        return bridge.wait_for(lambda: _attend(current), current.hurry)
    drive = _Drive(Run(command, streams))
    with drive:
        drive.advance()
    return drive.run


def lines(command: Command, streams: Mapping[int, Stream], taken: deque[str]) -> Generator[str, None, Run]:
    """Same as :func:`run`, but yield the lines that a sink puts into a queue; closing the generator ends the command."""
    drive = _Drive(Run(command, streams))
    with drive:
        while drive.advance(taken):
            while taken:
                yield taken.popleft()
    yield from taken
    return drive.run


async def run_async(command: Command, streams: Mapping[int, Stream]) -> Run:
    """Same as :func:`run`, but on the running event loop: a sink may return an awaitable, and a cancel ends the command too."""
    return await _attend(Run(command, streams, cancellable=True))


async def _attend(run: Run) -> Run:
    drive = _AsyncDrive(run)
    async with drive:
        await drive.advance()
    return run


async def async_lines(command: Command, streams: Mapping[int, Stream], taken: deque[str]) -> AsyncGenerator[str | Run]:
    """Same as :func:`lines`, on the running event loop; yield the run at last, as an async generator returns nothing."""
    drive = _AsyncDrive(Run(command, streams, cancellable=True), awaits_at_close=True)
    async with drive:
        while await drive.advance(taken):
            while taken:
                yield taken.popleft()
    for line in taken:
        yield line
    yield drive.run


class _Drive:
    """Drives a run in the calling thread; the end of its block closes everything, and ends the command after an exception."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._waiter = Poller() if HAS_SELECTABLE_PIPES else Sleeper()
        run.wake, run.open_waiter = self._waiter.wake, self._waiter.open
        is_main = threading.get_ident() == threading.main_thread().ident
        self._interruption = None if is_main else Interruption()
        self._answer: Collection[int] | None = None

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
        except BaseException:
            surely(self._close)
            raise
        if isinstance(error, EscapedError):
            raise error.error from None

    def advance(self, taken: Collection[str] = ()) -> bool:
        """Go on until there are lines in *taken*, or else to the end of the command; return false at the end."""
        with ambient.alone():
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
                        self.run.request_stop(_CTRL_C, interrupt=True)
                elif taken:
                    return True

    def _wait(self, request: Wait) -> Collection[int]:
        until = request.until
        if self._interruption is not None:
            look = time.monotonic() + _WATCH
            until = look if until is None else min(until, look)
        interests = {} if self.run.source is None else self.run.source.interests()
        return self._waiter.wait(interests, until)

    def _end(self, error: BaseException) -> None:
        """End the command and all that it started; what a signal handler raises meanwhile leaves out the rest of the grace."""
        if self.run.is_mine():
            interrupt = isinstance(error, KeyboardInterrupt) or (isinstance(error, Stopped) and error.interrupt)
            try:
                uninterrupted(lambda: self._climb(interrupt=interrupt), interrupted=self._hurry)
            except BaseException:
                surely(self.run.abandon)
                raise

    def _hurry(self, interruption: BaseException) -> None:
        if isinstance(interruption, KeyboardInterrupt | SystemExit):
            self.run.hurry()

    def _climb(self, *, interrupt: bool) -> None:
        flow, answer = self.run.climb(interrupt=interrupt), None
        try:
            while True:
                request = flow.send(answer)
                assert isinstance(request, Wait)
                answer = self._wait(request)
                if self._interruption is not None and self._interruption.seen():
                    self.run.hurry()
        except StopIteration:
            pass
        except Exception:  # noqa: BLE001  the first cause propagates, not what comes of it (no memory, say)
            self.run.abandon()

    def _close(self) -> None:
        self.run.close()
        self._waiter.close()
        self.run.__exit__()


class _AsyncDrive:
    """Drives a run on the running event loop.

    Args:
        run: what to drive.
        awaits_at_close: whether something can still be awaited at a ``GeneratorExit``, as in an async generator.
    """

    def __init__(self, run: Run, *, awaits_at_close: bool = False) -> None:
        self.run = run
        self._awaits_at_close = awaits_at_close
        self.waiter = loop_waiter(has_pipes=HAS_SELECTABLE_PIPES)
        run.wake, run.open_waiter = self.waiter.wake, self.waiter.open
        is_main = threading.get_ident() == threading.main_thread().ident
        self._interruption = Interruption()
        self._turn_began = time.monotonic()
        self._watch = None if is_main else _WATCH
        self._answer: Collection[int] | None = None

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
                surely(self.run.abandon)  # the loop is gone: nothing can be awaited
            elif error is not None:
                await self._end(error)
            self._close()
        except BaseException:
            surely(self._abandon)
            raise
        if isinstance(error, EscapedError):
            # PEP 479: what a coroutine raises as StopIteration is a RuntimeError to whoever awaits it.
            raise error.error from None

    async def advance(self, taken: Collection[str] = ()) -> bool:
        """Same as that of the sync driver; other tasks get their turn."""
        with ambient.alone():
            while True:
                try:
                    request = self._flow.send(self._answer)
                except StopIteration:
                    return False
                self._answer = None
                if isinstance(request, Pending):
                    await self.waiter.result_of(request.awaitable, self.run.life.limit)
                elif request is not None:
                    self._answer = await self._wait(request)
                    self._turn_began = time.monotonic()
                    if self._watch is not None and self._interruption.seen():
                        self.run.request_stop(_CTRL_C, interrupt=True)
                elif taken:
                    return True
                elif time.monotonic() - self._turn_began > _TURN:
                    await self.waiter.turn()
                    self._turn_began = time.monotonic()

    async def _wait(self, request: Wait) -> Collection[int]:
        until = request.until
        if self._watch is not None:
            look = time.monotonic() + self._watch
            until = look if until is None else min(until, look)
        interests = {} if self.run.source is None else self.run.source.interests()
        return await self.waiter.wait(interests, until)

    async def _end(self, error: BaseException) -> None:
        """Same as that of the sync driver; a further cancel changes nothing, and is raised in the end."""
        if not self.run.is_mine():
            return
        interrupt = isinstance(error, KeyboardInterrupt) or (isinstance(error, Stopped) and error.interrupt)
        if not isinstance(error, Exception):  # a cancel: by asyncio.run's first Ctrl-C, or by the loop that ends after it?
            interrupt = self._interruption.seen() or asyncio_was_interrupted() or interrupt
        with self.waiter.shielded():
            further = await self._climb(interrupt=interrupt)
        if further is not None and type(further) is not type(error):
            raise further

    async def _climb(self, *, interrupt: bool) -> BaseException | None:
        """Climb the ladder; return the last cancel, or exception of a signal handler, that came meanwhile."""
        further: BaseException | None = None
        answer: Collection[int] | None = None
        flow = self.run.climb(interrupt=interrupt)
        for _interruption in range(_INTERRUPTIONS):
            try:
                while True:
                    request = flow.send(answer)
                    assert isinstance(request, Wait)
                    answer, cancel = await self._patiently(request)
                    further = cancel or further
            except StopIteration:
                return further
            except GeneratorExit:
                surely(self.run.abandon)
                raise
            except Exception:  # noqa: BLE001  the first cause propagates, not what comes of it (no memory, say)
                break
            except BaseException as exc:  # noqa: BLE001  a signal handler raised in the flow, which goes on from where the run is
                further = self._noted(exc)
                flow, answer = self.run.climb(interrupt=interrupt), None
        surely(self.run.abandon)
        return further

    async def _patiently(self, request: Wait) -> tuple[Collection[int] | None, BaseException | None]:
        """Wait; a cancel, or what a signal handler raises, is returned."""
        try:
            return await self._wait(request), None
        except GeneratorExit:
            raise
        except BaseException as exc:  # noqa: BLE001  the same
            return None, self._noted(exc)

    def _noted(self, interruption: BaseException) -> BaseException:
        if isinstance(interruption, KeyboardInterrupt | SystemExit) or self._interruption.seen():
            self.run.hurry()
        return interruption

    def _close(self) -> None:
        self.waiter.close()
        self.run.close()
        self.run.__exit__()

    def _abandon(self) -> None:
        self.run.abandon()
        self._close()


def _refuse(request: Pending) -> None:
    """Report a sink that is no ``async def`` and yet returned an awaitable, which can't be awaited any more.

    Raises:
        TypeError: always.
    """
    with contextlib.suppress(AttributeError):
        cast("Any", request.awaitable).close()  # or Python warns of a coroutine that was never awaited
    msg = f"the callback {request.sink!r} returned an awaitable. Use an async def function, or async_log_run."
    raise TypeError(msg)
