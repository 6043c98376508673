"""How much a pipe holds."""

import struct

try:
    import fcntl
    import termios
except ImportError:  # Windows
    fcntl = termios = None  # type: ignore[assignment]


def pending(fd: int) -> int:
    """Return the number of bytes that can be read from a pipe now; 0 where the system does not tell.

    >>> import os
    >>> reader, writer = os.pipe()
    >>> os.write(writer, b"abc"), pending(reader)
    (3, 3)
    >>> os.close(reader), os.close(writer)
    (None, None)
    """
    if fcntl is None:
        return 0
    try:
        answer = fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4)
    except OSError:
        return 0
    return int(struct.unpack("i", answer)[0])
