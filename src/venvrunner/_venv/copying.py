"""Copying of files in the cheapest way that the file system supports: a clone of the blocks, a hard link, or the bytes."""

import errno
import functools
import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

from venvrunner._venv.layout import IS_MACOS

__tracebackhide__ = True

_FICLONE = 0x40049409
"""The ioctl that makes a file share another's blocks until one of them is written (ioctl_ficlone(2); Btrfs, XFS and others)."""
_CANNOT = {
    *(errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOTTY, errno.EXDEV, errno.EINVAL),
    *(errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.EACCES),
}


class Copier:
    """Copies files by the first way that works, and skips the ways that have failed."""

    def __init__(self) -> None:
        self._ways: list[Callable[[str, str], None]] = [_clonefile if IS_MACOS else _clone, os.link, copy]

    def copy(self, old: str, new: str) -> None:
        """Create a copy of a file with its mode and time, or a hard link to it."""
        while True:
            try:
                self._ways[0](old, new)
            except OSError as exc:
                if len(self._ways) == 1 or exc.errno not in _CANNOT:
                    raise
                del self._ways[0]
            else:
                return


class Linker(Copier):
    """Creates symbolic links to files; where those are not allowed, as on Windows by default, hard links or copies."""

    def __init__(self) -> None:
        super().__init__()
        self._ways = [os.symlink, os.link, copy]


def copy(old: str, new: str) -> None:
    """Copy the bytes, the mode and the time of a file: compiled modules record the time of their source."""
    import shutil  # slow to import

    shutil.copy2(old, new)


def copy_tree(old: str, new: str, share: Callable[[str, str], None], *, leave_out: Callable[[str], bool]) -> None:
    """Copy all files, links and directories in a directory into another, existing one.

    Args:
        old: the directory to copy from.
        new: an empty directory to copy into.
        share: copies one file.
        leave_out: returns whether a name at the top of *old* is skipped.
    """
    for entry in entries(old):
        target = os.path.join(new, entry.name)
        if leave_out(entry.name):
            continue
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), target)
        elif entry.is_dir():
            os.mkdir(target)
            copy_tree(entry.path, target, share, leave_out=_nothing)
        elif entry.is_file():
            share(entry.path, target)


def _nothing(_name: str) -> bool:
    return False


def entries(directory: str) -> list[os.DirEntry[str]]:
    """Return the entries of a directory."""
    with os.scandir(directory) as found:
        return list(found)


def _clone(old: str, new: str) -> None:
    try:
        ioctl = import_module("fcntl").ioctl
    except ImportError as exc:
        raise OSError(errno.ENOSYS, "no such call") from exc
    status = os.stat(old)
    source = os.open(old, os.O_RDONLY)
    try:
        target = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, status.st_mode & 0o777)
        try:
            ioctl(target, _FICLONE, source)
            os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
        except OSError:
            os.unlink(new)
            raise
        finally:
            os.close(target)
    finally:
        os.close(source)


def _clonefile(old: str, new: str) -> None:
    """Clone a file on macOS (APFS), with its mode, its times and its extended attributes: see clonefile(2)."""
    try:
        clonefile, last_errno = _clonefile_call()
    except (ImportError, AttributeError, OSError) as exc:
        raise OSError(errno.ENOSYS, "no such call") from exc
    if clonefile(os.fsencode(old), os.fsencode(new), 0):
        code = last_errno()
        raise OSError(code, os.strerror(code), old, None, new)


@functools.cache
def _clonefile_call() -> tuple[Callable[[bytes, bytes, int], int], Callable[[], int]]:
    import ctypes  # macOS only

    library: Any = ctypes.CDLL(None, use_errno=True)
    return library.clonefile, ctypes.get_errno
