"""Copying of files in the cheapest way that keeps them apart: clones where the file system has them, or the bytes."""

import errno
import functools
import os
import stat
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, NamedTuple

from venvrunner._venv.layout import IS_MACOS

__tracebackhide__ = True

LARGE = 1 << 20
"""The size in bytes from which a binary file may be shared."""
_FICLONE = 0x40049409
"""The ioctl that makes a file share another's blocks until one of them is written (ioctl_ficlone(2); Btrfs, XFS and others)."""
_CANNOT = {
    *(errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOTTY, errno.EXDEV, errno.EINVAL),
    *(errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.EACCES),
}
_START = 8000
"""How many bytes are searched for a zero byte, which text does not contain. Git has the same rule."""
_DATABASE = b"SQLite format 3\0"
"""The start of a database, which programs change in place."""
_PIECE = 1 << 20
"""How many bytes are read at a time: almost every file takes one read and one write."""
_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
_PERMISSIONS = 0o777
_BY_DESCRIPTOR = os.utime in os.supports_fd


_Fill = Callable[[int, int, os.stat_result], object]
"""Fills an empty file with the contents of another, given both descriptors and the status of the other."""


class Copier:
    """Copies files by the first way that works, and skips the ways that have failed.

    The ways are a clone, a hard link for files that may be shared (see :func:`is_shareable`), and a copy of the bytes.
    """

    def __init__(self) -> None:
        self._clone: Callable[[str, str], None] | None = _clonefile if IS_MACOS else self._ficlone
        self._link: Callable[[str, str], None] | None = os.link
        self._kept: set[int] = set()
        """The modes that new files keep: the process's mask removes nothing from them."""

    def copy(self, old: str, new: str) -> None:
        """Create a copy of a file with its mode and time, or a hard link to it."""
        if self._clone is not None:
            try:
                self._clone(old, new)
            except OSError as exc:
                if exc.errno not in _CANNOT:
                    raise
                self._clone = None
            else:
                return
        if _BY_DESCRIPTOR:
            self._copy_by_descriptor(old, new)
        elif not self._is_linked(old, new, os.stat(old)):
            copy(old, new)

    def _copy_by_descriptor(self, old: str, new: str) -> None:
        """Copy with as few calls as possible: an environment has thousands of files."""
        source = os.open(old, _READ)
        try:
            status = os.fstat(source)
            if not self._is_linked(old, new, status):
                self._create(source, new, status, _copy_bytes)
        finally:
            os.close(source)

    def _is_linked(self, old: str, new: str, status: os.stat_result) -> bool:
        """Return whether a file may be shared, and now has a hard link."""
        if status.st_size < LARGE or self._link is None or not is_shareable(old, status):
            return False
        try:
            self._link(old, new)
        except OSError as exc:
            if exc.errno not in _CANNOT:
                raise
            self._link = None
            return False
        return True

    def _ficlone(self, old: str, new: str) -> None:
        try:
            ioctl = import_module("fcntl").ioctl
        except ImportError as exc:
            raise OSError(errno.ENOSYS, "no such call") from exc
        source = os.open(old, _READ)
        try:
            self._create(source, new, os.fstat(source), lambda source, target, _status: ioctl(target, _FICLONE, source))
        finally:
            os.close(source)

    def _create(self, source: int, new: str, status: os.stat_result, fill: _Fill) -> None:
        """Create a file with the mode and the time of an open one, and remove it again if it cannot be filled."""
        mode = stat.S_IMODE(status.st_mode)
        target = os.open(new, _CREATE, mode)
        try:
            fill(source, target, status)
            if mode not in self._kept:
                self._set_mode(target, mode)
            os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
        except BaseException:
            os.unlink(new)
            raise
        finally:
            os.close(target)

    def _set_mode(self, target: int, mode: int) -> None:
        if stat.S_IMODE(os.fstat(target).st_mode) != mode:
            os.fchmod(target, mode)
        elif not mode & ~_PERMISSIONS:  # a write clears the other bits
            self._kept.add(mode)


def _copy_bytes(source: int, target: int, status: os.stat_result) -> None:
    """Copy the contents of an open file, up to its size: another process may be writing to it."""
    size = status.st_size
    if size < LARGE or status.st_blocks * 512 >= size:
        _copy_piece(source, target, size)
        return
    end = 0
    while end < size:  # the file has holes
        try:
            begin = os.lseek(source, end, os.SEEK_DATA)
            end = min(os.lseek(source, begin, os.SEEK_HOLE), size)
        except OSError as exc:
            if exc.errno != errno.ENXIO:
                raise
            break  # the rest is a hole
        os.lseek(source, begin, os.SEEK_SET)
        os.lseek(target, begin, os.SEEK_SET)
        _copy_piece(source, target, end - begin)
    os.ftruncate(target, min(size, os.fstat(source).st_size))


def _copy_piece(source: int, target: int, left: int) -> None:
    """Copy some bytes; a read and a write take less time for small files than ``sendfile`` and ``copy_file_range`` do."""
    while left > 0 and (data := os.read(source, min(left, _PIECE))):
        left -= len(data)
        written = os.write(target, data)
        while written < len(data):  # a short write: the disk is full, and the next call raises
            written += os.write(target, memoryview(data)[written:])


def is_shareable(path: str, status: os.stat_result) -> bool:
    """Return whether a copy may share a file where the file system cannot clone: a large one that is replaced as a whole.

    These are binary files from 1 MiB on, such as libraries. Text and SQLite databases are changed in place.

    Args:
        path: the path of a regular file.
        status: its status.
    """
    if status.st_size < LARGE:
        return False
    with open(path, "rb", buffering=0) as file:
        start = file.read(_START)
    return b"\0" in start and not start.startswith(_DATABASE)


class Shareable(NamedTuple):
    """A file that a copy may share, and what changes if it is edited.

    Attributes:
        name: its path, relative to the environment.
        size: its size in bytes.
        mtime_ns: its time of modification, in nanoseconds.
    """

    name: str
    size: int
    mtime_ns: int


def shareable_files(venv_dir: str) -> list[Shareable]:
    """Return the files that a standalone fork of an environment shares with it where the file system cannot clone.

    An edit in place changes them in both environments, and their size or time with it. The inherited files of a fork belong to
    its ancestors.

    Raises:
        OSError: a file cannot be read.
    """
    found = ((entry.path, entry.stat(follow_symlinks=False)) for entry in _files(venv_dir))
    return sorted(
        Shareable(os.path.relpath(path, venv_dir), status.st_size, status.st_mtime_ns)
        for path, status in found
        if is_shareable(path, status)
    )


def _files(directory: str) -> Iterator[os.DirEntry[str]]:
    for entry in entries(directory):
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path)
        elif entry.is_file(follow_symlinks=False):
            yield entry


class Linker:
    """Creates symbolic links to files; where those are not allowed, as on Windows by default, hard links or copies."""

    def __init__(self) -> None:
        self._ways: list[Callable[[str, str], None]] = [os.symlink, os.link, copy]

    def copy(self, old: str, new: str) -> None:
        """Create a link to a file by the first way that works, and skip the ways that have failed."""
        while True:
            try:
                self._ways[0](old, new)
            except OSError as exc:
                if len(self._ways) == 1 or exc.errno not in _CANNOT:
                    raise
                del self._ways[0]
            else:
                return


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
