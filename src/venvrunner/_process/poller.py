"""Waits in the calling thread until a descriptor is ready, without an event loop."""

import contextlib
import os
import select
import sys
import time
from collections.abc import Collection, Mapping
from io import FileIO
from typing import IO, Any

__tracebackhide__ = True

LONGEST = 3600.0
"""Seconds to wait at a time: poll() counts milliseconds, and not very far."""
_MOMENT = 0.1
"""Seconds after which a wait ends that a signal does not end."""


class SelfPipe:
    """A descriptor that another thread, or a signal handler, makes readable."""

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

    def ring(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # it is ringing, or closed
            self._write_end.write((1).to_bytes(8, sys.byteorder))

    def quiet(self) -> None:
        with contextlib.suppress(OSError):
            self._read_end.read(8)

    def close(self) -> None:
        self._read_end.close()
        self._write_end.close()


class Poller:
    """Waits in the calling thread, without an event loop."""

    _bell: SelfPipe | None = None

    def __init__(self) -> None:
        # poll() needs no descriptor of its own, unlike epoll and kqueue.
        self._poll: Any = select.poll()
        self._registered: dict[int, bool] = {}

    def open(self) -> None:
        """Open what is needed; not to be interrupted."""
        bell = self._bell = SelfPipe()
        self._poll.register(bell.fd, select.POLLIN)

    def wake(self) -> None:
        """Let the wait end; from any thread, or a signal handler."""
        if self._bell is not None:
            self._bell.ring()

    def wait(self, interests: Mapping[int, bool], until: float | None) -> Collection[int]:
        """Return the descriptors that are ready, as soon as there is one, at a time, or when woken."""
        seconds = LONGEST if until is None else min(LONGEST, max(0.0, until - time.monotonic()))
        if self._registered != interests:
            for fd in self._registered.keys() - interests.keys():
                with contextlib.suppress(KeyError):
                    self._poll.unregister(fd)
            for fd, writing in interests.items():
                self._poll.register(fd, select.POLLOUT if writing else select.POLLIN)
            self._registered = dict(interests)
        ready = {fd for fd, _event in self._poll.poll(seconds * 1000)}
        if self._bell is not None and self._bell.fd in ready:
            self._bell.quiet()
        return ready

    def close(self) -> None:
        """Close what was opened."""
        if self._bell is not None:
            self._bell.close()


class Sleeper:
    """Waits in the calling thread where pipes can't be waited for (Windows): threads that read them wake it."""

    def __init__(self) -> None:
        import threading  # Windows only

        self._event = threading.Event()
        self.wake = self._event.set

    def open(self) -> None:
        """Do nothing."""

    def wait(self, _interests: Mapping[int, bool], until: float | None) -> Collection[int]:
        """Wait until woken, until a time, or for a moment: Windows runs no signal handler as long as a lock is waited for."""
        self._event.wait(_MOMENT if until is None else min(_MOMENT, max(0.0, until - time.monotonic())))
        self._event.clear()
        return ()

    def close(self) -> None:
        """Do nothing."""
