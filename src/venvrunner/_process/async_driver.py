"""Runs a command on an asyncio event loop, by its subprocess protocol: the one driver for every platform."""

import asyncio
import time
from collections.abc import Awaitable, Mapping
from typing import cast

from venvrunner._process.command import Command, TimedOut
from venvrunner._process.group import ProcessGroup
from venvrunner._process.lines import SLICE, Stream
from venvrunner._process.link import Link
from venvrunner._process.supervisor import Stop, Supervisor

_TURN = 0.01
"""Seconds of delivery after which other tasks get their turn."""
_PAUSE = 0.02
"""Seconds between two looks at a process group, which sends no event."""


async def run(command: Command, streams: Mapping[int, Stream]) -> int:
    """Run a command to its end and deliver its lines; return its exit status.

    Same as the run of the sync driver, but a sink may return an awaitable, and a cancel ends the process group too.
    """
    child = _Child(command, streams)
    try:
        await child.link.start(command)
        returncode = await child.attend()
        await child.link.close()
    except GeneratorExit:
        # The loop is gone: nothing can be awaited any more.
        child.link.abandon()
        raise
    except BaseException:
        await child.stop()
        raise
    return returncode


async def within_limit(awaitable: Awaitable[object], limit: float | None) -> None:
    """Await what a sink has returned, until a time of the steady clock.

    Raises:
        TimedOut: the time is up.
    """
    if limit is None:
        await awaitable
        return
    scope = asyncio.timeout(limit - time.monotonic())
    try:
        async with scope:
            await awaitable
    except TimeoutError:
        if scope.expired():
            raise TimedOut from None
        raise


class _Child:
    def __init__(self, command: Command, streams: Mapping[int, Stream]) -> None:
        self.link = Link(streams, self._exited)
        self._streams = streams
        self._life = Supervisor(
            streams, now=time.monotonic(), timeout=command.timeout, grace=command.grace, heartbeat=command.heartbeat
        )
        self._on_silence = command.on_silence
        self._turn_began = time.monotonic()

    async def attend(self) -> int:
        """Deliver until the normal end; return the exit status."""
        chunks = self.link.chunks
        while not self._life.ended:
            while chunks and not self._life.ended:
                await self._take(*chunks.popleft())
            if self.link.bug is not None:
                raise self.link.bug
            self._tick()
            if (seconds := self._life.silence()) is not None:
                self._on_silence(seconds)
            if not self._life.ended:
                await self.link.wait(self._life.deadline)
        for stream in self._streams.values():
            await self._deliver(stream, stream.finish())
        assert self._life.returncode is not None
        return self._life.returncode

    async def stop(self) -> None:
        """End the process group. What is still read is kept and not delivered; a further cancel hurries."""
        group = self.link.group
        if group is None:
            return
        further: BaseException | None = None
        self._life.stop(time.monotonic())
        closed = False
        while not closed:
            try:
                while self._is_stopping(group):
                    await self.link.wait(time.monotonic() + _PAUSE)
                await self.link.close()
                closed = True
            except GeneratorExit:
                self.link.abandon()
                raise
            except BaseException as exc:  # noqa: BLE001  a further cancel or Ctrl-C; it is raised in the end
                further = exc
                self._life.stop(time.monotonic())
        if further is not None:
            raise further

    def _exited(self, returncode: int, owed: Mapping[int, int]) -> None:
        self._life.exited(returncode, owed, time.monotonic())

    def _is_stopping(self, group: ProcessGroup) -> bool:
        """Do what is due while stopping; tell whether something is left to do."""
        try:
            self._do_what_is_due(group)
        except Exception:  # noqa: BLE001  the first cause propagates, not what comes of it (no memory, say)
            group.send(Stop.HARD)
            return False
        return not self._life.ended

    def _do_what_is_due(self, group: ProcessGroup) -> None:
        while self.link.chunks:
            fd, data = self.link.chunks.popleft()
            self._streams[fd].feed(data)
            self.link.delivered(fd, len(data))
        if self._life.returncode is None and self.link.bug is not None:
            self.link.note_exit()
        if self._life.returncode is not None and group.ended():
            self._life.group_empty()
        self._life.tick(time.monotonic())
        for stop in self._life.signals():
            group.send(stop)

    async def _take(self, fd: int, data: bytes) -> None:
        stream = self._streams[fd]
        share = self._life.share(fd)
        if len(data) > share:
            self.link.chunks.appendleft((fd, data[share:]))
            data = data[:share]
        await self._deliver(stream, stream.feed(data) if data else stream.finish())
        if data:
            self.link.delivered(fd, len(data))
            self._life.received(fd, len(data), time.monotonic())
        else:
            self._life.eof(fd, time.monotonic())

    async def _deliver(self, stream: Stream, lines: list[str]) -> None:
        sink = stream.sink
        if sink is None:
            return
        for start in range(0, len(lines), SLICE):
            for line in lines[start : start + SLICE]:
                result: object = sink(line)
                if result is not None and isinstance(result, Awaitable):
                    await within_limit(cast("Awaitable[object]", result), self._life.limit)
            self._tick()
            if time.monotonic() - self._turn_began > _TURN:
                await asyncio.sleep(0)
                self._turn_began = time.monotonic()

    def _tick(self) -> None:
        self._life.tick(time.monotonic())
        if self._life.timed_out:
            raise TimedOut
