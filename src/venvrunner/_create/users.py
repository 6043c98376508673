"""Who uses an environment: a locked file in its state folder for each runner, and for each command that runs.

Whoever is killed lets go of its lock, so a file that is not locked is a leftover. All runners of a process share one file by
hard links: a thousand need one descriptor. A command's processes inherit its file, so it lasts as long as they do.
"""

import contextlib
import functools
import os
import sys
import threading
import weakref
from collections.abc import Generator, Iterable

from venvrunner._create.locks import is_at, open_lock_file, try_lock
from venvrunner._process.signals import deferred, surely
from venvrunner._process.sinks import Redactor

__tracebackhide__ = True

_SHOWN = 200
"""Characters of a command line that are shown of a user of an environment."""


class User:
    """A runner's note in an environment that it uses it."""

    def __init__(self, mark: "_Mark | None") -> None:
        self._mark = mark

    @property
    def path(self) -> str | None:
        """The file, if there is one."""
        return None if self._mark is None else self._mark.path

    def leave(self) -> None:
        """Take the note back; more than once does no harm."""
        mark, self._mark = self._mark, None
        if mark is not None:
            mark.remove()


def enter(path: str) -> User:
    """Note that a runner uses the environment, until it is let go of.

    Args:
        path: the file; nobody looks for it before this returns.
    """
    return User(_presence.note(path))


class Commands:
    """The notes of a runner's commands: a locked file for each that runs at the same time.

    The files stay until the runner is let go of: to make one costs more than to lock it.

    Args:
        path: what their paths begin with.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._count = 0

    @contextlib.contextmanager
    def note(self) -> Generator[int | None]:
        """Note a command, for a block and as long as a process has the descriptor.

        Yields:
            the descriptor; ``None`` if nothing can be noted there, because the environment is read-only, say.
        """
        lock = Descriptor()
        try:
            with contextlib.suppress(OSError), deferred():
                lock.number = self._lock_one()
            yield lock.number
        finally:
            surely(lock.close)

    def leave(self) -> None:
        """Remove the files, but those that a process still has which a command has left behind."""
        for number in range(self._count):
            _holder_of(f"{self._path}-{number}")

    def _lock_one(self) -> int:
        number = 0
        while True:
            path = f"{self._path}-{number}"
            descriptor = open_lock_file(path)
            try:
                if not try_lock(descriptor):
                    number += 1  # another command has it, or what that has left behind
                elif is_at(descriptor, path):  # or somebody has taken it for a leftover
                    self._count = max(self._count, number + 1)
                    if not os.fstat(descriptor).st_size:
                        write_name(descriptor)
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)


def others(paths: Iterable[str], but: User | None = None) -> list[str]:
    """Return who else uses the environment; runners of this very thread don't count, their commands do.

    Args:
        paths: the files; those left by processes that are gone are removed.
        but: a user who does not count either.
    """
    found: list[str] = []
    me = os.getpid(), threading.current_thread()
    for path in paths:
        if _is_by(path, *me) or (but is not None and but.path == path):
            continue
        if (name := _holder_of(path)) is not None:
            found.append(name)
    return found


def _holder_of(path: str) -> str | None:
    """Return who has a file locked; if nobody has, remove it: it is a leftover."""
    try:
        descriptor = open_lock_file(path, make=False)
    except FileNotFoundError:
        return None
    except OSError as exc:
        if os.path.islink(path):
            with contextlib.suppress(OSError):  # nothing of ours
                os.unlink(path)
            return None
        return f"a process that can't be asked ({exc.strerror})"
    try:
        if not try_lock(descriptor):
            return read_name(descriptor)
        with contextlib.suppress(OSError):  # nothing of ours
            os.unlink(path)
    finally:
        os.close(descriptor)
    return None


class Descriptor:
    """A descriptor that may be open."""

    number: int | None = None

    def close(self) -> None:
        """Close it, if it is open."""
        number, self.number = self.number, None
        if number is not None:
            os.close(number)


class _Holder:
    """A locked file of this process, under any number of names."""

    def __init__(self, path: str) -> None:
        self.names = {path}
        self._descriptor = open_lock_file(path)
        try_lock(self._descriptor)
        write_name(self._descriptor)

    def link(self, path: str) -> bool:
        """Give the file one more name; tell whether that was possible."""
        while self.names:
            name = next(iter(self.names))
            try:
                os.link(name, path)
            except FileNotFoundError:
                self.names.discard(name)  # removed together with its environment
            except OSError:  # too many links, or none at all on this file system
                return False
            else:
                self.names.add(path)
                return True
        return False

    def __del__(self) -> None:
        os.close(self._descriptor)


class _Mark:
    """One name of a locked file."""

    def __init__(self, path: str, holder: _Holder) -> None:
        self.path = path
        self._holder = holder
        self._pid = os.getpid()
        # Not the thread's number, which the next thread may have.
        _threads[path] = self._pid, weakref.ref(threading.current_thread())

    def remove(self) -> None:
        _threads.pop(self.path, None)
        if os.getpid() == self._pid:  # a fork of this process must not speak for it
            self._holder.names.discard(self.path)
            with contextlib.suppress(OSError):
                os.unlink(self.path)


class _Presence:
    """The locked files of this process: usually one for each file system."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders: weakref.WeakValueDictionary[int, _Holder] = weakref.WeakValueDictionary()

    def note(self, path: str) -> _Mark | None:
        """Make a locked file at a path; ``None`` if that is not possible there."""
        with contextlib.suppress(OSError), deferred(), self._lock:
            device = os.stat(os.path.dirname(path)).st_dev
            holder = self._holders.get(device)
            if holder is None or not holder.link(path):
                holder = self._holders[device] = _Holder(path)
            return _Mark(path, holder)
        return None


_presence = _Presence()
_threads: dict[str, tuple[int, weakref.ref[threading.Thread]]] = {}
"""Which process and thread made a runner's note."""


def _is_by(path: str, pid: int, thread: threading.Thread) -> bool:
    noted = _threads.get(path)
    return noted is not None and noted[0] == pid and noted[1]() is thread


def _myself() -> str:
    return f"process {os.getpid()} ({_command_line()})"


@functools.cache
def _command_line() -> str:
    return " ".join(Redactor().mask(" ".join(sys.orig_argv)).split())[:_SHOWN]


def write_name(descriptor: int) -> None:
    """Write into a locked file who has it locked; it is only told to people."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, _myself().encode("utf-8", "backslashreplace"))


def read_name(descriptor: int) -> str:
    """Read who has a file locked."""
    try:
        return os.read(descriptor, 10 * _SHOWN).decode("utf-8", "replace") or "another process"
    except OSError:
        return "another process"
