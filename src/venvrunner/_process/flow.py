"""The flow of one command from start to exit: read, deliver and decide, written once for all drivers.

The two generators of :class:`Run` never wait. They yield requests, which a driver answers: :class:`Wait` with the descriptors
that are ready, :class:`Pending` when an awaitable has ended, and ``None`` when other tasks have run.
"""

import contextlib
import os
import threading
from collections.abc import Awaitable, Callable, Collection, Generator, Iterable, Mapping
from typing import Any, NamedTuple, Self

from venvrunner._process import context
from venvrunner._process.clock import monotonic
from venvrunner._process.command import Command, Stopped, TimedOut
from venvrunner._process.critical_section import uninterrupted
from venvrunner._process.lines import SLICE, Stream
from venvrunner._process.running_commands import EVERYTHING, Running
from venvrunner._process.session import KILL, signal_number
from venvrunner._process.sinks import is_coroutine_function
from venvrunner._process.source import Source
from venvrunner._process.spawn import is_replaced, start
from venvrunner._process.supervisor import Phase, Stop, Supervisor

__tracebackhide__ = True


class Wait(NamedTuple):
    """A request to wait until a descriptor is ready, or until a time of the monotonic clock."""

    until: float | None


class Pending(NamedTuple):
    """A request to await the result of a sink."""

    sink: object
    awaitable: Awaitable[object]


class EscapedError(Exception):
    """A sink raised ``StopIteration``, which cannot leave a generator (PEP 479)."""

    def __init__(self, error: StopIteration) -> None:
        super().__init__(error)
        self.error = error


Flow = Generator[Wait | Pending | None, Collection[int] | None, None]


class Run:
    """One run of a command.

    Args:
        command: the command.
        streams: the streams 1 and 2, with a sink for their lines; fewer if the child inherits one from this process, or if
            one is merged into the other.
        on_silence: called at each heartbeat with the seconds since the start; default: nothing is done.
        cancellable: whether the caller can cancel the wait for a command that never exits.

    Attributes:
        source: the source of the output; ``None`` until the command has started.
        supervisor: decides what happens next.
        wake: ends the driver's wait; called from any thread. Set by the driver.
        open_waiter: opens the descriptors that the driver needs to wait. Set by the driver.
        duration: seconds from the start to the exit of the command.
    """

    source: Source | None = None
    supervisor: Supervisor
    duration: float = 0.0

    def __init__(
        self,
        command: Command,
        streams: Mapping[int, Stream],
        on_silence: Callable[[float], object] = bool,
        *,
        cancellable: bool = False,
    ) -> None:
        self.grace = command.grace
        self.wake: Callable[[], object] = lambda: None
        self.open_waiter: Callable[[], object] = lambda: None
        self._command = command
        self._streams = streams
        self._on_silence = on_silence
        self._cancellable = cancellable
        self._owner = os.getpid()
        self.thread = threading.get_ident()
        self._around = context.current()
        self._stop: Stopped | None = None
        self._hurried = False
        self._is_stopping = False
        self._sets: tuple[Running, ...] = (EVERYTHING, *self._around.stoppers)

    def __enter__(self) -> Self:
        """Add the command to the sets of running commands."""
        for commands in self._sets:
            commands.add(self)
        return self

    def __exit__(self, *_error: object) -> None:
        """Remove the command from these sets."""
        for commands in self._sets:
            commands.discard(self)

    def needs_loop(self) -> bool:
        """Return whether a sink is a coroutine function, which only an event loop can run."""
        return any(is_coroutine_function(stream.sink) for stream in self._streams.values() if stream.sink is not None)

    def is_mine(self) -> bool:
        """Return whether this process has started the command: a fork of it must not stop another process's child."""
        return self.source is not None and os.getpid() == self._owner

    @property
    def returncode(self) -> int | None:
        """The exit code; ``None``: it is lost."""
        assert self.source is not None
        return self.source.returncode

    def begin(self) -> None:
        """Start the command. Call it where no signal handler interrupts."""
        if self._stop is not None:
            raise self._stop
        passed = self._around.passed
        if passed and self._command.popen.get("close_fds", True):
            self._command.popen["pass_fds"] = (*self._command.popen.get("pass_fds", ()), *passed)
        source = None
        for interceptor in (self._around.watcher, self._around.driver):
            if interceptor is not None and source is None:
                with context.alone():  # a double may call the caller's function, which may run commands of its own
                    self._streams, source = interceptor.begin(self._command, self._streams, cancellable=self._cancellable)
        command = self._command
        self.supervisor = Supervisor(
            self._streams,
            now=monotonic(),
            timeout=command.timeout,
            grace=command.grace,
            heartbeat=command.heartbeat,
            silence_timeout=command.silence_timeout,
        )
        self._began = monotonic()
        if source is not None:
            uninterrupted(self.open_waiter, quick=True)
            self.source = source
        elif is_replaced() or command.popen.get("preexec_fn") is not None:
            self._start()  # in the caller's thread: a fake, or the caller's function, may ask for it
        else:
            uninterrupted(self._start, quick=True, spawns=True)

    def _start(self) -> None:
        self.open_waiter()
        self.source = start(self._command, self._streams, self.wake)

    def attend(self) -> Flow:
        """Deliver lines until the normal end."""
        source, supervisor = self.source, self.supervisor
        assert source is not None
        while not supervisor.ended:
            self._check()
            if (seconds := supervisor.silence()) is not None:
                self._on_silence(seconds)
            ready = yield Wait(self._next_look())
            self._check()
            for number, data in source.take(ready or (), self._shares()):
                yield from self._take(number, data)
                if supervisor.ended:
                    break
            self._look()
        for stream in self._streams.values():
            if lines := stream.finish():
                yield from self._deliver(stream, lines)
        self.duration = monotonic() - self._began
        for interceptor in (self._around.driver, self._around.watcher):
            if interceptor is not None:
                interceptor.end(self.returncode)

    def terminate(self, *, interrupt: bool) -> Flow:
        """Stop the command and its session; keep the output that is still read, but deliver none of it.

        After an exception in this generator, a new one continues the stop.

        Args:
            interrupt: whether Ctrl-C is the cause.
        """
        source, supervisor = self.source, self.supervisor
        assert source is not None
        self._is_stopping = True
        supervisor.stop(monotonic(), interrupt=interrupt and self._command.stop_signal != signal_number(Stop.INTERRUPT, 0))
        while not supervisor.ended:
            if self._hurried:
                supervisor.hurry(monotonic())
            for stop in supervisor.signals():
                source.send(signal_number(stop, self._command.stop_signal))
            if source.empty():
                supervisor.group_empty()
                continue
            ready = yield Wait(self._next_look())
            try:
                self._keep(source.take(ready or (), self._shares()))
            except Exception:  # noqa: BLE001  the grace matters more than the output
                source.mute()
            self._look()
            if supervisor.has_exited:
                if source.empty():
                    supervisor.group_empty()
                    break
                supervisor.leader_gone(monotonic())
                if supervisor.phase is Phase.KILLING:  # a member may have started another before the signal reached it
                    source.send(KILL)
            supervisor.tick(monotonic())
        with contextlib.suppress(OSError):
            self._keep(source.rest())

    def _keep(self, chunks: Iterable[tuple[int, bytes]]) -> None:
        for number, data in chunks:
            self._streams[number].feed(data)

    def request_stop(self, reason: str, *, interrupt: bool = False) -> None:
        """Make the driver stop the command. Call it from any thread, callback or signal handler."""
        if self._stop is None:
            self._stop = Stopped(reason, interrupt=interrupt)
        self.wake()

    def hurry(self) -> None:
        """Skip the rest of the grace. Call it from any thread or signal handler."""
        self._hurried = True
        self.wake()

    def abandon(self) -> None:
        """Kill the command and close everything, without further delivery. A second call does nothing."""
        if self.source is not None:
            self.source.kill()
            self.source.close()

    def close(self) -> None:
        """Close every descriptor."""
        if self.source is not None:
            self.source.close()

    def _check(self) -> None:
        self.supervisor.tick(monotonic())
        if self.supervisor.reached is not None:
            raise TimedOut(self.supervisor.reached)
        if self._stop is not None:
            raise self._stop

    def _next_look(self) -> float | None:
        assert self.source is not None
        deadline, pause = self.supervisor.deadline, self.source.pause()
        if pause is None:
            return deadline
        look = monotonic() + pause
        return look if deadline is None else min(look, deadline)

    def _shares(self) -> dict[int, int]:
        return {number: self.supervisor.share(number) for number in self._streams}

    def _look(self) -> None:
        """Check whether the command has exited, and how much of its output is still unread."""
        assert self.source is not None
        owed = self.source.look()
        if owed is not None:
            self.supervisor.exited(owed, monotonic())
        if self.supervisor.phase is Phase.DRAINING:
            for number in self.source.dry():
                self.supervisor.dry(number, monotonic())

    def _take(self, number: int, data: bytes) -> Flow:
        stream = self._streams[number]
        lines = stream.feed(data) if data else stream.finish()
        if lines:
            yield from self._deliver(stream, lines)
        elif data and stream.heard:
            self.supervisor.heard(monotonic())
        if data:
            self.supervisor.received(number, len(data), monotonic())
        else:
            self.supervisor.eof(number, monotonic())

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
            self.supervisor.heard(monotonic())
            self._check()
            yield None
