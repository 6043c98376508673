"""The event loop's side of one child process: starting, chunks and back-pressure, closing; without policy."""

import asyncio
import contextlib
import os
import subprocess
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, cast

from venvrunner._process.command import Command
from venvrunner._process.group import ProcessGroup, process_group, start_options
from venvrunner._process.pipes import pending
from venvrunner._process.signals import surely
from venvrunner._process.supervisor import Stop

_AHEAD = 1 << 18
"""Bytes of one pipe that may wait for delivery; more stay in the pipe and slow the child."""
_CLOSE = 1.0
"""Seconds that the loop has to close the descriptors of a child."""
_TURNS = 20
"""Turns of the loop in which everything that needs no event has happened."""


class Link(asyncio.SubprocessProtocol):
    """One child on the running loop. The loop calls the methods of the protocol, which only take note.

    Args:
        streams: the pipes to read: 1 and 2, or none.
        on_exit: told the exit status and the bytes of each pipe that are not delivered yet, when the child has ended.

    Attributes:
        group: the child's process group; ``None`` until there is a child.
        chunks: what was read and not taken yet; an empty chunk is the end of a pipe.
        bug: what *on_exit* raised; the loop would only log it.
    """

    def __init__(self, streams: Iterable[int], on_exit: Callable[[int, Mapping[int, int]], None]) -> None:
        self.group: ProcessGroup | None = None
        self.chunks: deque[tuple[int, bytes]] = deque()
        self.bug: BaseException | None = None
        self._on_exit = on_exit
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.SubprocessTransport | None = None
        self._undelivered = dict.fromkeys(streams, 0)
        self._paused: set[int] = set()
        self._news = asyncio.Event()
        self._stdin_lost = False
        self._closed = False

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self.group = process_group(self._transport.get_pid())
        # For the handler of a signal that raises where nothing can catch it, as asyncio.run's own does at each further Ctrl-C.
        self._last_resort = weakref.finalize(self, surely, partial(self.group.send, Stop.HARD))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.chunks.append((fd, data))
        self._undelivered[fd] += len(data)
        if self._undelivered[fd] > _AHEAD and fd not in self._paused:
            self._paused.add(fd)
            self._pipe(fd).pause_reading()
        self._news.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd in self._undelivered:
            self.chunks.append((fd, b""))
            self._news.set()
        else:
            self._stdin_lost = True

    def process_exited(self) -> None:
        # The loop has called this "soon", and so it does with data that it has read already: that is neither in the pipe
        # nor known here. Let it arrive first, and let nothing more be read, so that what is owed can be counted.
        for fd in self._undelivered:
            self._pipe(fd).pause_reading()
        self._loop.call_soon(self._try_to_note_exit)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._news.set()

    # What the driver calls.

    async def start(self, command: Command) -> None:
        """Start the process. A cancel waits until it is known whether there is one."""
        pipe = subprocess.PIPE if self._undelivered else None
        options: dict[str, Any] = {**start_options(command.popen), "stdout": pipe, "stderr": pipe}
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
            stdin = self._pipe(0)
            stdin.write(command.input)
            stdin.write_eof()

    async def wait(self, deadline: float | None) -> None:
        """Wait for news or a time of the steady clock."""
        alarm = None
        if deadline is not None:
            alarm = self._loop.call_later(max(0.0, deadline - time.monotonic()), self._news.set)
        try:
            await self._news.wait()
        finally:
            self._news.clear()
            if alarm is not None:
                alarm.cancel()

    def note_exit(self) -> None:
        """Tell that the process has ended, and what of its output is still to be delivered."""
        assert self._transport is not None
        assert self.group is not None
        # From here on the number is good only while the group has members; ask at once, see PosixGroup.
        self.group.leader_ended()
        owed = {fd: count + self._in_pipe(fd) for fd, count in self._undelivered.items()}
        self._on_exit(cast("int", self._transport.get_returncode()), owed)

    def delivered(self, fd: int, count: int) -> None:
        """Let the loop read on when enough was delivered."""
        self._undelivered[fd] -= count
        if fd in self._paused and self._undelivered[fd] <= _AHEAD:
            self._paused.remove(fd)
            self._pipe(fd).resume_reading()

    async def close(self) -> None:
        """Close every descriptor, and wait until the loop has done so."""
        self._shut()
        end = time.monotonic() + _CLOSE
        while not self._closed and time.monotonic() < end:
            await self.wait(end)
        self._last_resort.detach()

    def abandon(self) -> None:
        """Kill and close without waiting for anything; the loop may be closed already."""
        if self.group is None:
            return
        surely(partial(self.group.send, Stop.HARD))
        self._last_resort.detach()
        files = [self._file(fd) for fd in range(3)]
        with contextlib.suppress(RuntimeError):
            self._shut()
        for file in files:
            if file is not None:
                file.close()

    def _try_to_note_exit(self) -> None:
        try:
            self.note_exit()
        except BaseException as exc:  # noqa: BLE001  the loop would only log it, and the call would never end
            self.bug = exc
        for fd in self._undelivered.keys() - self._paused:
            self._pipe(fd).resume_reading()
        self._news.set()

    async def _spawn(self, command: Command, options: dict[str, Any]) -> None:
        try:
            await self._loop.subprocess_exec(lambda: self, *command.argv, **options)
        except Exception:
            # The loop forgets a child that it has started and then can't watch, for want of a thread or (from Python
            # 3.12 on) of a descriptor for its pidfd. Its pipes are connected within a few turns, which shows us the child.
            await self._turns()
            if self._transport is not None:
                self.abandon()
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(self._transport.get_pid(), 0)  # noqa: ASYNC222  it was just killed
                self.group = None
                await self._turns()
            raise

    async def _turns(self) -> None:
        for _turn in range(_TURNS):
            await asyncio.sleep(0)

    def _shut(self) -> None:
        assert self._transport is not None
        if self._pipe(0) is not None and not self._stdin_lost:
            # close() would wait for somebody to read the rest.
            self._pipe(0).abort()
        self._transport.close()

    def _pipe(self, fd: int) -> Any:
        assert self._transport is not None
        return self._transport.get_pipe_transport(fd)

    def _file(self, fd: int) -> Any:
        """Return what the loop reads or writes: a file or a socket, which may be closed."""
        pipe = self._pipe(fd)
        return None if pipe is None else pipe.get_extra_info("pipe")

    def _in_pipe(self, fd: int) -> int:
        file = self._file(fd)
        try:
            return 0 if file is None else pending(file.fileno())
        except ValueError:  # closed: it came to its end
            return 0
