"""Open directories: calls on one reach the same directory even after a rename, and never the target of a link."""

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from typing import NamedTuple, Self

from venvrunner._venv.sharing_violations import insist

__tracebackhide__ = True

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _NOFOLLOW | getattr(os, "O_CLOEXEC", 0)
_PATH = getattr(os, "O_PATH", None)
LINK = {errno.ELOOP, errno.ENOTDIR, errno.EMLINK}
"""The errors that systems raise for a link that must not be followed."""
FIRM = "/proc/self/fd/"
_CLOSED = -1
_JUNCTION = 0xA0000003
"""The tag of a Windows mount point (IO_REPARSE_TAG_MOUNT_POINT)."""
_BY_DESCRIPTOR = os.scandir in os.supports_fd and {os.open, os.unlink, os.rmdir} <= os.supports_dir_fd


class Directory:
    """An open directory: calls on it reach the same directory even after a rename.

    Args:
        path: its path, absolute unless *within* is given.
        within: the open parent directory.
        follow: open the target of a link.

    Raises:
        OSError: it does not exist, cannot be opened, or is a link and *follow* is false.

    Attributes:
        path: the path that was opened.
        number: its descriptor; ``None`` on systems where directories have none.
    """

    path: str
    number: int | None = None

    def __init__(self, path: str, within: "Directory | None" = None, *, follow: bool = False) -> None:
        self.path = path if within is None else os.path.join(within.path, path)
        if _BY_DESCRIPTOR:
            self.number = open_by_descriptor(path, None if within is None else within.number, follow=follow)
        else:
            _check_directory(self.path, follow=follow)

    def __enter__(self) -> Self:
        """Return the directory itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close it; a second call does nothing. All other methods fail from then on: none falls back to the path."""
        number = self.number
        if number is not None and number != _CLOSED:
            self.number = _CLOSED
            os.close(number)

    def spot(self, *names: str) -> "Spot":
        """Return the spot of a file in the directory."""
        name = os.path.join(*names)
        path = os.path.join(self.path, name)
        return Spot(path, path if self.number is None else name, self.number)

    def detach(self) -> int:
        """Return the descriptor, which the caller closes from now on."""
        number, self.number = self.number, _CLOSED
        assert number is not None
        return number

    @property
    def firm_path(self) -> str:
        """A path of this directory that stays valid after a rename (Linux); on other systems, the path that was opened."""
        firm = f"{FIRM}{self.number}"
        return firm if self.number is not None and os.path.isdir(firm) else self.path

    def is_at(self, path: str) -> bool:
        """Return whether a path names this directory itself, not a link to it."""
        if self.number is None:
            return os.path.isdir(path) and not os.path.islink(path)
        try:
            return os.path.samestat(os.fstat(self.number), os.stat(path, follow_symlinks=False))
        except OSError:
            return False

    def has_status(self, status: os.stat_result) -> bool:
        """Return whether a status is that of this directory; true on systems where that is not known."""
        return self.number is None or os.path.samestat(os.fstat(self.number), status)

    def has_file(self, name: str) -> bool:
        """Return whether the directory has a regular file, or a link to one, with this name."""
        return self._mode(name, stat.S_ISREG, follow=True)

    def has_link(self, name: str) -> bool:
        """Return whether the directory has a link with this name."""
        return self._mode(name, stat.S_ISLNK, follow=False)

    def _mode(self, name: str, is_kind: Callable[[int], bool], *, follow: bool) -> bool:
        spot = self.spot(name)
        try:
            return is_kind(os.stat(spot.name, dir_fd=spot.dir_fd, follow_symlinks=follow).st_mode)
        except FileNotFoundError:
            return False

    def names(self) -> list[str]:
        """Return the names of its entries."""
        if self.number is None:
            return os.listdir(self.path)
        if (firm := self.firm_path) != self.path:
            with contextlib.suppress(PermissionError):  # the mode has changed since
                return os.listdir(firm)  # this takes one descriptor, the call below two
        return os.listdir(self.number)

    def make_writable(self) -> None:
        """Give the owner all rights to the directory; another user's directory stays as it is."""
        if self.number is not None:
            allow_owner(self.number)

    def unlink(self, name: str) -> None:
        """Remove a file or a link in it, if that exists."""
        with contextlib.suppress(FileNotFoundError):
            if self.number is None:
                unlink(os.path.join(self.path, name))
            else:
                os.unlink(name, dir_fd=self.number)

    def rmdir(self, name: str) -> None:
        """Remove an empty directory in it."""
        if self.number is None:
            insist(os.rmdir, os.path.join(self.path, name))
        else:
            os.rmdir(name, dir_fd=self.number)


class Spot(NamedTuple):
    """The place of a file: its path, and the arguments that name it in system calls.

    Attributes:
        path: its path.
        name: its name in an open directory, for system calls.
        dir_fd: the descriptor of that directory; ``None`` if *name* is the whole path.
    """

    path: str
    name: str
    dir_fd: int | None = None

    @classmethod
    def at(cls, path: str) -> "Spot":
        """Return the spot of a path, which is resolved at each call."""
        return cls(path, path)

    def directory_status(self) -> os.stat_result:
        """Return the status of its parent directory."""
        return os.stat(os.path.dirname(self.path)) if self.dir_fd is None else os.fstat(self.dir_fd)


def open_by_descriptor(path: str, within: int | None, *, follow: bool = False) -> int:
    """Return a new descriptor of a directory, which is made readable for its owner if it is not.

    Args:
        path: the directory.
        within: the descriptor of the directory that a relative path begins in.
        follow: open the target of a link.
    """
    flags = _FLAGS & ~_NOFOLLOW if follow else _FLAGS
    try:
        return os.open(path, flags, dir_fd=within)
    except PermissionError as exc:
        refused = exc
        if _PATH is None:  # macOS, where the mode of a link can be changed as well
            os.chmod(path, stat.S_IRWXU, dir_fd=within, follow_symlinks=follow)
            return os.open(path, flags, dir_fd=within)
    # The directory is unreadable: make it readable through a descriptor that needs no permission and is not a link's.
    number = os.open(path, _PATH | flags, dir_fd=within)
    try:
        os.chmod(f"{FIRM}{number}", stat.S_IMODE(os.fstat(number).st_mode) | stat.S_IRWXU)
    except FileNotFoundError:  # /proc is not mounted
        raise refused from None
    finally:
        os.close(number)
    return os.open(path, flags, dir_fd=within)


def allow_owner(number: int) -> None:
    """Try to give the owner of an open directory all rights to it; another user's directory may be accessible as it is."""
    mode = os.fstat(number).st_mode
    if mode & stat.S_IRWXU != stat.S_IRWXU:
        with contextlib.suppress(OSError):
            os.fchmod(number, stat.S_IMODE(mode) | stat.S_IRWXU)


def _check_directory(path: str, *, follow: bool) -> None:
    """Check, on systems where a directory cannot be opened, what the opening checks on others.

    Raises:
        OSError: it does not exist, or is a link and *follow* is false.
    """
    status = os.stat(path, follow_symlinks=follow)
    if not stat.S_ISDIR(status.st_mode) or is_junction(status):
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)


def is_junction(status: os.stat_result) -> bool:
    """Return whether a Windows directory is a mount point, which is as unsafe to follow as a link."""
    return getattr(status, "st_reparse_tag", 0) == _JUNCTION


def unlink(path: str) -> None:
    """Remove a file, a link or a junction."""
    remove_entry(os.unlink, path)


def remove_entry(action: Callable[[str], object], path: str) -> None:
    """Remove a file or directory that may be read-only, briefly open elsewhere, or already removed."""
    with contextlib.suppress(FileNotFoundError):
        try:
            action(path)
        except PermissionError:
            os.chmod(path, stat.S_IRWXU)
            insist(action, path)
        except OSError:
            insist(action, path)
