"""How much a pipe holds."""

import contextlib
import struct

with contextlib.suppress(ImportError):  # Windows has neither
    import fcntl
    import termios


def pending(fd: int) -> int:
    """Return the number of bytes that can be read from a pipe now; 0 where the system does not tell.

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
        return 0
    return int(struct.unpack("i", answer)[0])
