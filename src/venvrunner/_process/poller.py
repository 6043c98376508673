"""Waiting in the calling thread until a descriptor is ready, without an event loop."""

import contextlib
import os
import select
import sys
from collections.abc import Collection, Mapping
from io import FileIO
from typing import IO, Any

from venvrunner._process.clock import monotonic

__tracebackhide__ = True

LONGEST = 3600.0
"""Maximum seconds of one wait: poll() takes milliseconds as a C int."""
_MOMENT = 0.1
"""Maximum seconds of a wait that a signal does not interrupt."""


class SelfPipe:
    """A descriptor that another thread or a signal handler makes readable."""

    def __init__(self) -> None:
        if hasattr(os, "eventfd"):
            number = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._read_end: IO[bytes] = FileIO(number, "r+")
            self._write_end: IO[bytes] = self._read_end
        else:
            numbers = os.pipe()
            for number in numbers:
                os.set_blocking(number, False)
            self._read_end, self._write_end = FileIO(numbers[0], "r"), FileIO(numbers[1], "w")
        self.fd = self._read_end.fileno()

    def notify(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # it is already readable, or closed
            self._write_end.write((1).to_bytes(8, sys.byteorder))

    def drain(self) -> None:
        with contextlib.suppress(OSError):
            self._read_end.read(8)

    def close(self) -> None:
        self._read_end.close()
        self._write_end.close()


class Poller:
    """Wait in the calling thread, without an event loop."""

    _self_pipe: SelfPipe | None = None

    def __init__(self) -> None:
        # poll() needs no descriptor of its own, unlike epoll and kqueue.
        self._poll: Any = select.poll()
        self._registered: dict[int, bool] = {}

    def open(self) -> None:
        """Open the descriptors. Call it where no signal handler interrupts."""
        self_pipe = self._self_pipe = SelfPipe()
        self._poll.register(self_pipe.fd, select.POLLIN)

    def wake(self) -> None:
        """End the wait. Call it from any thread or signal handler."""
        if self._self_pipe is not None:
            self._self_pipe.notify()

    def wait(self, interests: Mapping[int, bool], until: float | None) -> Collection[int]:
        """Wait until a descriptor is ready, a time is reached or :meth:`wake` is called; return those that are ready."""
        seconds = LONGEST if until is None else min(LONGEST, max(0.0, until - monotonic()))
        if self._registered != interests:
            for fd in self._registered.keys() - interests.keys():
                with contextlib.suppress(KeyError):
                    self._poll.unregister(fd)
            for fd, writing in interests.items():
                self._poll.register(fd, select.POLLOUT if writing else select.POLLIN)
            self._registered = dict(interests)
        ready = {fd for fd, _event in self._poll.poll(seconds * 1000)}
        if self._self_pipe is not None and self._self_pipe.fd in ready:
            self._self_pipe.drain()
        return ready

    def close(self) -> None:
        """Close the descriptors."""
        if self._self_pipe is not None:
            self._self_pipe.close()


class Sleeper:
    """Wait in the calling thread where pipes can't be waited for (Windows): threads that read them wake it."""

    def __init__(self) -> None:
        import threading  # Windows only

        self._event = threading.Event()
        self.wake = self._event.set

    def open(self) -> None:
        """Do nothing."""

    def wait(self, _interests: Mapping[int, bool], until: float | None) -> Collection[int]:
        """Wait briefly, until woken or until a time: Windows runs no signal handler while a thread waits for a lock."""
        self._event.wait(_MOMENT if until is None else min(_MOMENT, max(0.0, until - monotonic())))
        self._event.clear()
        return ()

    def close(self) -> None:
        """Do nothing."""
