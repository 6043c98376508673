"""Pipes: how many bytes they hold, and threads that read them where pipes can't be waited for (Windows)."""

import contextlib
import struct
import threading
from collections import deque
from collections.abc import Callable
from typing import IO

from venvrunner._process.clock import monotonic

__tracebackhide__ = True

with contextlib.suppress(ImportError):  # Windows has neither
    import fcntl
    import termios

CAPACITY = 1 << 20
"""Maximum capacity of a pipe in bytes, unless root raises it (``/proc/sys/fs/pipe-max-size``)."""
_CHUNK = 1 << 16
_AHEAD = 4
"""Chunks that may wait for delivery before reading pauses."""
_IDLE = 0.2
"""Seconds without data after which a pump counts as having read everything."""


def pending(fd: int) -> int | None:
    """Return the number of bytes that can be read from a pipe now; ``None``: unknown.

    >>> import os
    >>> reader, writer = os.pipe()
    >>> os.write(writer, b"abc"), pending(reader)
    (3, 3)
    >>> os.close(reader), os.close(writer)
    (None, None)
    """
    try:
        answer = fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4)  # pyright: ignore[reportPossiblyUnboundVariable]  NameError is caught
    except (OSError, NameError):
        return None
    return int(struct.unpack("i", answer)[0])


def capacity(fd: int) -> int:
    """Return the capacity of a pipe in bytes: at most that many are pending.

    >>> import os
    >>> reader, writer = os.pipe()
    >>> capacity(reader) >= 4096
    True
    >>> os.close(reader), os.close(writer)
    (None, None)
    """
    try:
        return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)  # pyright: ignore[reportPossiblyUnboundVariable]  NameError is caught
    except (OSError, AttributeError, NameError):
        return CAPACITY


class Pump:
    """Read a pipe in a thread of its own, for systems where pipes can't be waited for (Windows).

    Args:
        pipe: the pipe; the thread closes it at its end.
        wake: called from the thread when there is data.
    """

    def __init__(self, pipe: IO[bytes], wake: Callable[[], object]) -> None:
        self._pipe = pipe
        self._wake = wake
        self._chunks: deque[bytes | BaseException] = deque()
        self._room = threading.Semaphore(_AHEAD)
        self.closed = False
        self._last_data = 0.0
        threading.Thread(target=self._run, name="venvrunner-pump", daemon=True).start()

    def take(self, share: int) -> bytes | None:
        """Return at most *share* bytes; ``b""`` at the end of the pipe, ``None`` if no data is available yet.

        Raises:
            OSError: the pipe cannot be read.
        """
        if not self._chunks:
            return None
        data = self._chunks.popleft()
        if isinstance(data, BaseException):
            raise data
        if len(data) > share:
            self._chunks.appendleft(data[share:])
            return data[:share]
        self._room.release()
        return data

    def pending(self) -> int | None:
        """Return ``None``, because the thread may hold bytes that are not counted yet, and restart the idle time."""
        self._last_data = monotonic()
        return None

    def is_idle(self) -> bool:
        """Return whether no data has arrived for the idle time."""
        return not self._chunks and monotonic() >= self._last_data + _IDLE

    def close(self) -> None:
        """Let the thread end at the next data or at the end of the pipe."""
        self.closed = True
        self._room.release()

    @staticmethod
    def write(pipe: IO[bytes], text: bytes) -> None:
        """Write to a pipe and close it, in a thread of its own."""

        def run() -> None:
            with contextlib.suppress(OSError), pipe:
                pipe.write(text)

        threading.Thread(target=run, name="venvrunner-pump", daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(OSError), self._pipe:
            while not self.closed:
                self._room.acquire()
                try:
                    data = self._pipe.read(_CHUNK)  # unbuffered: the bytes that are available
                except (OSError, ValueError) as exc:
                    self._chunks.append(exc)
                    self._wake()
                    return
                self._chunks.append(data)
                self._last_data = monotonic()
                self._wake()
                if not data:
                    return
