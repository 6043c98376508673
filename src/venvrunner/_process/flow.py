"""One command from its start to its end: reading, delivering and deciding, written once for all drivers.

The two generators here never wait. They yield what they need, and the driver that runs them sends them the answer:
:class:`Wait` is answered with the descriptors that are ready, :class:`Pending` when an awaitable has ended; ``None`` is the
moment at which other tasks may have their turn.
"""

import contextlib
import os
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Generator, Iterable, Mapping
from typing import Any, NamedTuple, Self

from venvrunner._process import context
from venvrunner._process.command import Command, Stopped, TimedOut
from venvrunner._process.critical_section import uninterrupted
from venvrunner._process.lines import SLICE, Stream
from venvrunner._process.running_commands import EVERYTHING, Running
from venvrunner._process.session import KILL, signal_number
from venvrunner._process.source import Source
from venvrunner._process.spawn import is_replaced, start
from venvrunner._process.supervisor import Phase, Stop, Supervisor

__tracebackhide__ = True


class Wait(NamedTuple):
    """A request to wait until a descriptor is ready, or until a time of the steady clock."""

    until: float | None


class Pending(NamedTuple):
    """A request to await what a sink has returned."""

    sink: object
    awaitable: Awaitable[object]


class EscapedError(Exception):
    """A sink raised ``StopIteration``, which can't leave a generator (PEP 479)."""

    def __init__(self, error: StopIteration) -> None:
        super().__init__(error)
        self.error = error


Flow = Generator[Wait | Pending | None, Collection[int] | None, None]


class Run:
    """One run of a command.

    Args:
        command: what to run.
        streams: where the lines of 1 and 2 go; fewer if a stream is inherited, or merged into another.
        cancellable: whether the caller can end the wait for a command that goes on for ever.

    Attributes:
        source: where the output comes from; ``None`` until it has begun.
        wake: called from other threads, so that whoever waits looks again; set by the driver, as is the next.
        open_waiter: opens what is needed to wait.
        duration: seconds that the command took, once it has ended.
    """

    source: Source | None = None
    life: Supervisor
    duration: float = 0.0

    def __init__(self, command: Command, streams: Mapping[int, Stream], *, cancellable: bool = False) -> None:
        self.grace = command.grace
        self.wake: Callable[[], object] = lambda: None
        self.open_waiter: Callable[[], object] = lambda: None
        self._command = command
        self._streams = streams
        self._cancellable = cancellable
        self._owner = os.getpid()
        self.thread = threading.get_ident()
        self._around = context.current()
        self._stop: Stopped | None = None
        self._hurried = False
        self._is_stopping = False
        self._sets: tuple[Running, ...] = (EVERYTHING, *self._around.stoppers)

    def __enter__(self) -> Self:
        """Note the command as a running one."""
        for commands in self._sets:
            commands.add(self)
        return self

    def __exit__(self, *_error: object) -> None:
        """Forget it."""
        for commands in self._sets:
            commands.discard(self)

    def is_mine(self) -> bool:
        """Return whether the command has begun, and in this process: a fork of it must not end what is not its own."""
        return self.source is not None and os.getpid() == self._owner

    @property
    def returncode(self) -> int | None:
        """The exit status; ``None``: it was lost."""
        assert self.source is not None
        return self.source.returncode

    def begin(self) -> None:
        """Start the command; not to be interrupted."""
        if self._stop is not None:
            raise self._stop
        passed = self._around.passed
        if passed and self._command.popen.get("close_fds", True):
            self._command.popen["pass_fds"] = (*self._command.popen.get("pass_fds", ()), *passed)
        source = None
        for attendant in (self._around.watcher, self._around.driver):
            if attendant is not None and source is None:
                with context.alone():  # a double may call a function of the caller's, which runs commands of its own
                    self._streams, source = attendant.begin(self._command, self._streams, cancellable=self._cancellable)
        command = self._command
        self.life = Supervisor(
            self._streams,
            now=time.monotonic(),
            timeout=command.timeout,
            grace=command.grace,
            heartbeat=command.heartbeat,
            silence_timeout=command.silence_timeout,
        )
        self._began = time.monotonic()
        if source is not None:
            uninterrupted(self.open_waiter, quick=True)
            self.source = source
        elif is_replaced() or command.popen.get("preexec_fn") is not None:
            self._start()  # where the caller is: a fake, or a function of the caller's, may look at its thread
        else:
            uninterrupted(self._start, quick=True)

    def _start(self) -> None:
        self.open_waiter()
        self.source = start(self._command, self._streams, self.wake)

    def attend(self) -> Flow:
        """Deliver until the normal end."""
        source, life = self.source, self.life
        assert source is not None
        while not life.ended:
            self._check()
            if (seconds := life.silence()) is not None:
                self._command.on_silence(seconds)
            ready = yield Wait(self._next_look())
            self._check()
            for number, data in source.take(ready or (), self._shares()):
                yield from self._take(number, data)
                if life.ended:
                    break
            self._look()
        for stream in self._streams.values():
            if lines := stream.finish():
                yield from self._deliver(stream, lines)
        self.duration = time.monotonic() - self._began
        for attendant in (self._around.driver, self._around.watcher):
            if attendant is not None:
                attendant.end(self.returncode)

    def climb(self, *, interrupt: bool) -> Flow:
        """End the command and all that it started; what is still read is kept and not delivered.

        After an exception, a new one goes on where this has stopped.

        Args:
            interrupt: whether Ctrl-C is the cause.
        """
        source, life = self.source, self.life
        assert source is not None
        self._is_stopping = True
        life.stop(time.monotonic(), interrupt=interrupt and self._command.stop_signal != signal_number(Stop.INTERRUPT, 0))
        while not life.ended:
            if self._hurried:
                life.hurry(time.monotonic())
            for stop in life.signals():
                source.send(signal_number(stop, self._command.stop_signal))
            if source.empty():
                life.group_empty()
                continue
            ready = yield Wait(self._next_look())
            try:
                self._keep(source.take(ready or (), self._shares()))
            except Exception:  # noqa: BLE001  what is read is of less use than the grace
                source.mute()
            self._look()
            if life.has_exited:
                if source.empty():
                    life.group_empty()
                    break
                life.leader_gone(time.monotonic())
                if life.phase is Phase.KILLING:  # a member may have started another before the signal reached it
                    source.send(KILL)
            life.tick(time.monotonic())
        with contextlib.suppress(OSError):
            self._keep(source.rest())

    def _keep(self, chunks: Iterable[tuple[int, bytes]]) -> None:
        for number, data in chunks:
            self._streams[number].feed(data)

    def request_stop(self, reason: str, *, interrupt: bool = False) -> None:
        """Have whoever waits for the command end it; from any thread, a callback or a signal handler."""
        if self._stop is None:
            self._stop = Stopped(reason, interrupt=interrupt)
        self.wake()

    def hurry(self) -> None:
        """Leave out what is left of the grace; from any thread or a signal handler."""
        self._hurried = True
        self.wake()

    def abandon(self) -> None:
        """Kill and close without delivering anything more; more than once does no harm."""
        if self.source is not None:
            self.source.kill()
            self.source.close()

    def close(self) -> None:
        """Close every descriptor."""
        if self.source is not None:
            self.source.close()

    def _check(self) -> None:
        self.life.tick(time.monotonic())
        if self.life.reached is not None:
            raise TimedOut(self.life.reached)
        if self._stop is not None:
            raise self._stop

    def _next_look(self) -> float | None:
        assert self.source is not None
        deadline, pause = self.life.deadline, self.source.pause()
        if pause is None:
            return deadline
        look = time.monotonic() + pause
        return look if deadline is None else min(look, deadline)

    def _shares(self) -> dict[int, int]:
        return {number: self.life.share(number) for number in self._streams}

    def _look(self) -> None:
        """See whether the command has ended, and what it still owes."""
        assert self.source is not None
        owed = self.source.look()
        if owed is not None:
            self.life.exited(owed, time.monotonic())
        if self.life.phase is Phase.DRAINING:
            for number in self.source.dry():
                self.life.dry(number, time.monotonic())

    def _take(self, number: int, data: bytes) -> Flow:
        stream = self._streams[number]
        lines = stream.feed(data) if data else stream.finish()
        if lines:
            yield from self._deliver(stream, lines)
        elif data and stream.heard:
            self.life.heard(time.monotonic())
        if data:
            self.life.received(number, len(data), time.monotonic())
        else:
            self.life.eof(number, time.monotonic())

    def _deliver(self, stream: Stream, lines: list[str]) -> Flow:
        sink = stream.sink
        if sink is None:
            return
        for first in range(0, len(lines), SLICE):
            for line in lines[first : first + SLICE]:
                try:
                    result: Any = sink(line)
                except StopIteration as exc:
                    raise EscapedError(exc) from None
                if result is not None and isinstance(result, Awaitable):
                    yield Pending(sink, result)
            self.life.heard(time.monotonic())
            self._check()
            yield None
