"""Runs a command on an asyncio event loop, by its subprocess protocol: the one driver for every platform."""

import asyncio
import contextlib
import os
import subprocess
import time
from collections import deque
from collections.abc import Awaitable, Mapping
from typing import Any, cast

from venvrunner._process.command import Command, TimedOut
from venvrunner._process.group import START_OPTIONS, ProcessGroup, process_group
from venvrunner._process.lines import SLICE, Stream
from venvrunner._process.pipes import pending
from venvrunner._process.supervisor import Stop, Supervisor

_AHEAD = 1 << 18
"""Bytes of one pipe that may wait for delivery; more stay in the pipe and slow the child."""
_TURN = 0.01
"""Seconds of delivery after which other tasks get their turn."""
_PAUSE = 0.02
"""Seconds between two looks at a process group, which sends no event."""
_CLOSE = 1.0
"""Seconds that the loop has to close the descriptors of a child."""


async def run(command: Command, streams: Mapping[int, Stream]) -> int:
    """Run a command to its end and deliver its lines; return its exit status.

    Same as the run of the sync driver, but a sink may return an awaitable, and a cancel ends the process group too.
    """
    child = _Child(command, streams)
    try:
        await child.start(command)
        returncode = await child.attend()
        await child.close()
    except GeneratorExit:
        # The loop is gone: nothing can be awaited any more.
        child.abandon()
        raise
    except BaseException:
        await child.stop()
        raise
    return returncode


class _Child(asyncio.SubprocessProtocol):
    """The loop calls the methods of the protocol, which only take note; `attend` and `stop` act on it."""

    def __init__(self, command: Command, streams: Mapping[int, Stream]) -> None:
        self._streams = streams
        self._transport: asyncio.SubprocessTransport | None = None
        self._group: ProcessGroup | None = None
        self._loop = asyncio.get_running_loop()
        self._life = Supervisor(streams, now=time.monotonic(), timeout=command.timeout, grace=command.grace)
        self._chunks: deque[tuple[int, bytes]] = deque()
        self._undelivered = dict.fromkeys(streams, 0)
        self._paused: set[int] = set()
        self._news = asyncio.Event()
        self._stdin_lost = False
        self._closed = False
        self._turn_began = time.monotonic()

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self._group = process_group(self._transport.get_pid())

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._chunks.append((fd, data))
        self._undelivered[fd] += len(data)
        if self._undelivered[fd] > _AHEAD and fd not in self._paused:
            self._paused.add(fd)
            self._pipe(fd).pause_reading()
        self._news.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd in self._streams:
            self._chunks.append((fd, b""))
            self._news.set()
        else:
            self._stdin_lost = True

    def process_exited(self) -> None:
        assert self._transport is not None
        assert self._group is not None
        # From here on the number is good only while the group has members; ask at once, see PosixGroup.
        self._group.alive()
        owed = {fd: count + self._in_pipe(fd) for fd, count in self._undelivered.items()}
        self._life.exited(cast("int", self._transport.get_returncode()), owed, time.monotonic())
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._news.set()

    # What run calls.

    async def start(self, command: Command) -> None:
        """Start the process. A cancel waits until it is known whether there is one."""
        pipe = subprocess.PIPE if self._streams else None
        options: dict[str, Any] = {**command.popen, **START_OPTIONS, "stdout": pipe, "stderr": pipe}
        if command.input is not None:
            options["stdin"] = subprocess.PIPE
        spawn = self._loop.create_task(self._spawn(command, options))
        cancelled: asyncio.CancelledError | None = None
        while not spawn.done():
            try:
                await asyncio.wait([spawn])
            except asyncio.CancelledError as exc:
                cancelled = exc
        failure = None if spawn.cancelled() else spawn.exception()
        if cancelled is not None:
            raise cancelled
        if failure is not None:
            raise failure
        if command.input is not None:
            stdin = cast("asyncio.WriteTransport", self._pipe(0))
            stdin.write(command.input)
            stdin.write_eof()

    async def attend(self) -> int:
        """Deliver until the normal end; return the exit status."""
        while not self._life.ended:
            while self._chunks:
                await self._take(*self._chunks.popleft())
            self._tick()
            if not self._life.ended:
                await self._wait(self._life.deadline)
        for stream in self._streams.values():
            await self._deliver(stream, stream.finish())
        assert self._life.returncode is not None
        return self._life.returncode

    async def stop(self) -> None:
        """End the process group. What is still read is kept and not delivered; a further cancel hurries."""
        if self._group is None:
            return
        cancelled: asyncio.CancelledError | None = None
        self._life.stop(time.monotonic())
        while not self._stopped():
            try:
                await self._wait(time.monotonic() + _PAUSE)
            except asyncio.CancelledError as exc:
                cancelled = exc
                self._life.stop(time.monotonic())
            except GeneratorExit:
                self.abandon()
                raise
        while True:
            try:
                await self.close()
            except asyncio.CancelledError as exc:
                cancelled = exc
            else:
                break
        if cancelled is not None:
            raise cancelled

    async def close(self) -> None:
        """Close every descriptor, and wait until the loop has done so."""
        self._shut()
        end = time.monotonic() + _CLOSE
        while not self._closed and time.monotonic() < end:
            await self._wait(end)

    def abandon(self) -> None:
        """Kill without waiting for anything."""
        if self._group is not None:
            self._group.send(Stop.HARD)
            self._shut()

    async def _spawn(self, command: Command, options: dict[str, Any]) -> None:
        try:
            await self._loop.subprocess_exec(lambda: self, *command.argv, **options)
        except OSError:
            # From Python 3.12 on, the loop forgets a child that it has started and then can't watch, for want of a
            # descriptor for its pidfd. The child's pipes are connected within a few turns; that shows us the child.
            await self._turns()
            if self._transport is not None:
                self.abandon()
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(self._transport.get_pid(), 0)  # noqa: ASYNC222  it was just killed
                self._group = None
                await self._turns()
            raise

    async def _turns(self) -> None:
        for _turn in range(20):
            await asyncio.sleep(0)

    def _stopped(self) -> bool:
        """Do what is due while stopping; tell whether nothing is left to do."""
        assert self._group is not None
        while self._chunks:
            fd, data = self._chunks.popleft()
            self._streams[fd].feed(data)
            self._delivered(fd, len(data))
        if self._life.returncode is not None and not self._group.alive():
            self._life.group_empty()
        self._life.tick(time.monotonic())
        for stop in self._life.signals():
            self._group.send(stop)
        return self._life.ended

    def _shut(self) -> None:
        assert self._transport is not None
        stdin = self._transport.get_pipe_transport(0)
        if stdin is not None and not self._stdin_lost:
            # close() would wait for somebody to read the rest.
            cast("asyncio.WriteTransport", stdin).abort()
        self._transport.close()

    async def _take(self, fd: int, data: bytes) -> None:
        stream = self._streams[fd]
        await self._deliver(stream, stream.feed(data) if data else stream.finish())
        if data:
            self._delivered(fd, len(data))
            self._life.received(fd, len(data), time.monotonic())
        else:
            self._life.eof(fd, time.monotonic())

    def _delivered(self, fd: int, count: int) -> None:
        self._undelivered[fd] -= count
        if fd in self._paused and self._undelivered[fd] <= _AHEAD:
            self._paused.remove(fd)
            self._pipe(fd).resume_reading()

    async def _deliver(self, stream: Stream, lines: list[str]) -> None:
        sink = stream.sink
        if sink is None:
            return
        for start in range(0, len(lines), SLICE):
            for line in lines[start : start + SLICE]:
                result: object = sink(line)
                if result is not None and isinstance(result, Awaitable):
                    await self._within_limit(cast("Awaitable[object]", result))
            self._tick()
            if time.monotonic() - self._turn_began > _TURN:
                await asyncio.sleep(0)
                self._turn_began = time.monotonic()

    async def _within_limit(self, awaitable: Awaitable[object]) -> None:
        if self._life.limit is None:
            await awaitable
            return
        scope = asyncio.timeout(self._life.limit - time.monotonic())
        try:
            async with scope:
                await awaitable
        except TimeoutError:
            if scope.expired():
                raise TimedOut from None
            raise

    def _tick(self) -> None:
        self._life.tick(time.monotonic())
        if self._life.timed_out:
            raise TimedOut

    async def _wait(self, deadline: float | None) -> None:
        alarm = None
        if deadline is not None:
            alarm = self._loop.call_later(max(0.0, deadline - time.monotonic()), self._news.set)
        try:
            await self._news.wait()
        finally:
            self._news.clear()
            if alarm is not None:
                alarm.cancel()

    def _pipe(self, fd: int) -> Any:
        assert self._transport is not None
        return self._transport.get_pipe_transport(fd)

    def _in_pipe(self, fd: int) -> int:
        pipe = self._pipe(fd).get_extra_info("pipe")
        try:
            return 0 if pipe is None else pending(pipe.fileno())
        except ValueError:  # closed: it came to its end
            return 0
