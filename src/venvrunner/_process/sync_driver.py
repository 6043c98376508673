"""Runs a command with a selector: no thread, no event loop."""

import os
import selectors
import subprocess
import time
from collections.abc import Awaitable, Mapping
from functools import partial
from typing import IO, Any, cast

from venvrunner._process.command import Command, TimedOut
from venvrunner._process.group import ProcessGroup, process_group, start_options
from venvrunner._process.lines import SLICE, Stream
from venvrunner._process.pipes import pending
from venvrunner._process.signals import deferred, impatience, surely
from venvrunner._process.supervisor import Stop, Supervisor

_PAUSE = (0.001, 0.02)
"""Seconds between two looks at what sends no event: at first, and at most."""
_LONGEST = 3600.0
"""Seconds to wait at a time: poll() counts milliseconds, and not very far."""


def run(command: Command, streams: Mapping[int, Stream]) -> int:
    """Run a command to its end and deliver its lines; return its exit status.

    Whatever is raised, the process group is ended first and every descriptor closed.

    Args:
        command: what to run.
        streams: where the lines of 1 and 2 go; empty if the child is to inherit both.

    Raises:
        TimedOut: the time was up.
        OSError: the command could not be started.
        TypeError: a sink returned an awaitable.
        BaseException: what a sink or a signal handler raised.
    """
    child = _Child(streams)
    try:
        with deferred():
            child.start(command)
        return child.attend()
    except BaseException:
        surely(child.stop)
        raise
    finally:
        try:
            surely(child.close)
        except BaseException:
            # A handler can raise at the call itself, before the first line of what is called.
            surely(child.close)
            raise


class _Child:
    _process: subprocess.Popen[bytes] | None = None
    _group: ProcessGroup
    _life: Supervisor

    def __init__(self, streams: Mapping[int, Stream]) -> None:
        self._streams = streams
        self._owner = os.getpid()
        self._stopping = False
        self._pause = _PAUSE[0]
        self._pipes: dict[int, IO[bytes]] = {}
        self._exit_fd: int | None = None
        # poll() needs no descriptor of its own, unlike epoll and kqueue.
        self._selector: selectors.BaseSelector = getattr(selectors, "PollSelector", selectors.SelectSelector)()

    def start(self, command: Command) -> None:
        options: dict[str, Any] = {**start_options(command.popen), "bufsize": 0}
        if command.input is not None:
            options["stdin"] = subprocess.PIPE
        if self._streams:
            options["stdout"] = options["stderr"] = subprocess.PIPE
        # The options name no encoding, so the pipes are binary.
        process = self._process = cast("subprocess.Popen[bytes]", subprocess.Popen(command.argv, **options))
        self._group = process_group(process.pid)
        self._life = Supervisor(
            self._streams, now=time.monotonic(), timeout=command.timeout, grace=command.grace, heartbeat=command.heartbeat
        )
        self._on_silence = command.on_silence
        self._exit_fd = _exit_descriptor(process.pid)
        if self._exit_fd is not None:
            self._selector.register(self._exit_fd, selectors.EVENT_READ, self._look_for_exit)
        for number, pipe in ((1, process.stdout), (2, process.stderr)):
            if pipe is not None:
                self._pipes[number] = pipe
                self._selector.register(pipe, selectors.EVENT_READ, partial(self._read, number))
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            write = partial(self._write, process.stdin, _Unsent(command.input or b""))
            self._selector.register(process.stdin, selectors.EVENT_WRITE, write)

    def attend(self) -> int:
        """Deliver until the normal end; return the exit status."""
        while not self._life.ended:
            self._step()
        for stream in self._streams.values():
            self._deliver(stream, stream.finish())
        assert self._life.returncode is not None
        return self._life.returncode

    def stop(self) -> None:
        """End the process group. What is still read is kept and not delivered; a further signal hurries."""
        if self._process is None or os.getpid() != self._owner:
            return  # a fork of the owner must not end what is not its own
        with deferred() as received:
            self._stopping = True
            self._pause = _PAUSE[0]
            try:
                self._life.stop(time.monotonic())
                while not self._life.ended:
                    seen = impatience(received)
                    self._step()
                    if impatience(received) > seen:
                        self._life.stop(time.monotonic())
            except Exception:  # noqa: BLE001  the first cause propagates, not what comes of it (no memory, say)
                self._group.send(Stop.HARD)
                self._process.wait()

    def close(self) -> None:
        """Close every descriptor; end the process group first if a signal handler has prevented that."""
        if self._process is not None and not self._life.ended:
            self.stop()
        self._selector.close()
        if self._process is not None:
            for file in (self._process.stdin, self._process.stdout, self._process.stderr):
                if file is not None:
                    file.close()
        exit_fd, self._exit_fd = self._exit_fd, None
        if exit_fd is not None:
            os.close(exit_fd)
        # Its finalizer runs here, where no signal handler can raise in it.
        self._process = None

    def _step(self) -> None:
        for stop in self._life.signals():
            self._group.send(stop)
        for key, _events in self._selector.select(self._wait()):
            key.data()
        if self._exit_fd is None:
            self._look_for_exit()
        if self._stopping and self._life.returncode is not None and self._group.ended():
            self._life.group_empty()
        self._tick()
        if (seconds := self._life.silence()) is not None:
            self._on_silence(seconds)

    def _wait(self) -> float | None:
        deadline = self._life.deadline
        wait = None if deadline is None else min(_LONGEST, max(0.0, deadline - time.monotonic()))
        if self._exit_fd is not None and not self._stopping:
            return wait
        pause, self._pause = self._pause, min(self._pause * 2, _PAUSE[1])
        return pause if wait is None else min(wait, pause)

    def _tick(self) -> None:
        self._life.tick(time.monotonic())
        if self._life.timed_out and not self._stopping:
            raise TimedOut

    def _look_for_exit(self) -> None:
        assert self._process is not None
        if self._life.returncode is not None:
            return
        with deferred():  # interrupted in poll(), Popen would keep its lock and never see the end
            returncode = self._process.poll()
        if returncode is None:
            return
        # From here on the number is good only while the group has members; ask at once, see PosixGroup.
        self._group.leader_ended()
        owed = {number: pending(pipe.fileno()) for number, pipe in self._pipes.items()}
        self._life.exited(returncode, owed, time.monotonic())
        if self._exit_fd is not None:
            self._selector.unregister(self._exit_fd)

    def _read(self, number: int) -> None:
        pipe, stream = self._pipes[number], self._streams[number]
        data = os.read(pipe.fileno(), self._life.share(number))
        lines = stream.feed(data) if data else stream.finish()
        self._deliver(stream, lines)
        if data:
            self._life.received(number, len(data), time.monotonic())
        else:
            self._selector.unregister(pipe)
            self._pipes.pop(number).close()
            self._life.eof(number, time.monotonic())

    def _deliver(self, stream: Stream, lines: list[str]) -> None:
        sink = stream.sink
        if sink is None or self._stopping:
            return
        for start in range(0, len(lines), SLICE):
            for line in lines[start : start + SLICE]:
                result: object = sink(line)
                if result is not None and isinstance(result, Awaitable):
                    refuse_awaitable(sink, result)
            self._tick()

    def _write(self, stdin: IO[bytes], unsent: "_Unsent") -> None:
        try:
            unsent.data = unsent.data[os.write(stdin.fileno(), unsent.data) :]
        except BlockingIOError:
            return
        except OSError:
            # The child reads no further, which is its right: subprocess ignores it too.
            unsent.data = unsent.data[:0]
        if not unsent.data:
            self._selector.unregister(stdin)
            stdin.close()


class _Unsent:
    def __init__(self, data: bytes) -> None:
        self.data = memoryview(data)


def _exit_descriptor(pid: int) -> int | None:
    """Return a descriptor that becomes readable when the child ends, where there is such a thing to be had."""
    if type(pid) is not int:  # a mock's int() is 1
        return None
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def refuse_awaitable(sink: object, result: Any) -> None:
    """Tell of a sink that is no ``async def`` and yet returned an awaitable, which nobody can await any more.

    Raises:
        TypeError: always.
    """
    if hasattr(result, "close"):
        result.close()  # or Python warns of a coroutine that was never awaited
    msg = f"the callback {sink!r} returned an awaitable! Use an async def function, or async_log_run."
    raise TypeError(msg)
