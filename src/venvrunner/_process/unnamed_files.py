"""Unnamed files: only their descriptors lead to them, and no other child of this process inherits them."""

import errno
import os
import tempfile

__tracebackhide__ = True


def unnamed_file() -> int:
    """Return the descriptor of a new, empty file; in memory where the system can do that.

    Raises:
        OSError: no descriptor is available, or no temporary file can be created.
    """
    try:
        return os.memfd_create("venvrunner")
    except (AttributeError, OSError) as exc:  # not Linux, an old C library, or a sandbox
        if isinstance(exc, OSError) and exc.errno in {errno.EMFILE, errno.ENFILE}:
            raise
        with tempfile.TemporaryFile(buffering=0) as file:
            return os.dup(file.fileno())


def write_all(fd: int, data: bytes) -> None:
    """Write data to a descriptor, in as many pieces as the system needs.

    Raises:
        OSError: it cannot be written.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def above_standard_streams(fd: int) -> int:
    """Return a descriptor, moved if it is that of a standard stream, which ``Popen`` would use: this process has closed it."""
    if fd > 2:  # noqa: PLR2004  standard error
        return fd
    import fcntl  # POSIX only

    copy = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(fd)
    return copy
