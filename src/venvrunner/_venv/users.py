"""Who uses an environment: a locked file in its state directory for each runner, and for each command that runs.

The lock of a killed process is gone, so a file that is not locked is a leftover. All runners of a process share one file by
hard links: a thousand need one descriptor. A command's processes inherit its file, so it lasts as long as they do.
"""

import contextlib
import os
import threading
import weakref
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from venvrunner._venv.cleanup import Cleanup, Owned
from venvrunner._venv.file_locks import CHILDREN_INHERIT, CLOSE_FIRST, LockFile, is_inconclusive, is_refused
from venvrunner._venv.lock_notes import UNKNOWN, read_name, write_name
from venvrunner._venv.removal import LINK, Directory, Spot
from venvrunner._venv.sharing_violations import insist, is_refused_for_now

__tracebackhide__ = True


class User(Owned):
    """A runner, which notes in its environment that it is used."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = weakref.ref(threading.current_thread())
        self._holder: _Holder | None = None
        self.path: str | None = None

    def enter(self, spot: Spot) -> None:
        """Note that the environment is used from now on, if that is possible there: it may be read-only, say.

        Args:
            spot: a file that does not exist; no other process looks for it before this returns.

        Raises:
            OSError: it could be possible, but is not now: no descriptor is free, or the disk is full, say.
        """
        self.leave()
        presence = _presence()
        try:
            self._holder = presence.note(spot)
        except OSError as exc:
            with contextlib.suppress(OSError):
                os.unlink(spot.name, dir_fd=spot.dir_fd)
            if not is_refused(exc):
                raise
        else:
            self.path = spot.path
            presence.threads[os.path.basename(spot.path)] = self._thread
            if CLOSE_FIRST:
                presence.users[os.path.basename(spot.path)] = weakref.ref(self)

    def leave(self) -> None:
        """Take the note back; more than once does no harm."""
        path, holder = self.path, self._holder
        if self.is_ours and path is not None and holder is not None:
            presence, name = _presence(), os.path.basename(path)
            presence.threads.pop(name, None)
            holder.names.discard(path)
            if presence.users.pop(name, None) is not None:
                holder.close()  # no other runner has it
            with contextlib.suppress(OSError):
                insist(os.unlink, path)
        self.path = self._holder = None


class Commands:
    """The notes of a runner's commands: a locked file for each that runs at the same time.

    The files stay until the runner is dropped: to create one costs more than to lock it.

    Args:
        folder: the directory that they are in.
        name: what their names begin with.
    """

    def __init__(self, folder: str, name: str) -> None:
        self._folder = folder
        self._name = name

    def note(self) -> "CommandNote":
        """Return the note of one command."""
        return CommandNote(self._folder, self._name)

    def leave(self) -> None:
        """Remove the files, but those that a process still has which a command has left behind."""
        try:
            found = os.listdir(self._folder)
        except ValueError:
            return  # its name cannot be encoded: it never existed
        except OSError as exc:
            if is_inconclusive(exc):
                raise
            return  # it is gone, or was made unreadable
        for other in found:
            if other.startswith(self._name):
                _holder_of(Spot.at(os.path.join(self._folder, other)))


class CommandNote(AbstractContextManager[Mapping[str, Any]]):
    """Notes a command, for a block and as long as a process has the descriptor.

    Args:
        folder: the directory that its file is in.
        name: what the file's name begins with.
    """

    def __init__(self, folder: str, name: str) -> None:
        self._folder = folder
        self._name = name
        self._file = LockFile()
        self._end = Cleanup(self, self._file.close)

    def __enter__(self) -> Mapping[str, Any]:
        """Return what surrounds the command: the descriptors that it inherits.

        There is none if nothing can be noted there, because the environment is read-only, say.

        Raises:
            OSError: no descriptor is free.
        """
        try:
            with Directory(self._folder) as state:
                descriptor = self._lock_one(state)
        except OSError as exc:
            self._file.close()
            if is_inconclusive(exc):
                raise
            return {"passed": ()}
        return {"passed": (descriptor,) if CHILDREN_INHERIT else ()}

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Close the descriptor of this process."""
        self._file.close()
        self._end.cancel()

    def _lock_one(self, state: Directory) -> int:
        number = 0
        while True:
            spot = state.spot(f"{self._name}-{number}")
            descriptor = self._file.open(spot)
            if not self._file.try_lock():
                number += 1  # another command has it, or a process that one has left behind
            elif self._file.is_at(spot):  # or another process has taken it for a leftover
                if not os.fstat(descriptor).st_size:
                    write_name(descriptor)
                return descriptor
            self._file.close()


def let_go(spots: Iterable[Spot]) -> None:
    """Close those files of an environment that this process has open, where open files cannot be removed.

    Args:
        spots: the files of an environment that is removed.
    """
    users = _presence().users
    for spot in spots if CLOSE_FIRST else ():
        known = users.get(os.path.basename(spot.path))
        user = None if known is None else known()
        if user is not None:
            user.leave()


def others(spots: Iterable[Spot], thread: threading.Thread, but: User | None = None) -> list[str]:
    """Return who else uses the environment; the runners of one thread do not count, their commands do.

    Args:
        spots: the files; those left by processes that are gone are removed.
        thread: the thread that wants to know.
        but: a user who does not count either.
    """
    found: list[str] = []
    threads = _presence().threads
    own = None if but is None or but.path is None else os.path.basename(but.path)
    for spot in spots:
        name = os.path.basename(spot.path)  # it is random; the directory may have several paths
        noted = threads.get(name)
        if (noted is not None and noted() is thread) or name == own:
            continue
        if (holder := _holder_of(spot)) is not None:
            found.append(holder)
    return found


def _holder_of(spot: Spot) -> str | None:
    """Return who has a file locked; if it is not locked, remove it: it is a leftover."""
    file = LockFile()
    try:
        descriptor = file.open(spot, make=False)
        if not file.try_lock():
            return read_name(descriptor)
        try:
            file.remove(spot)
        except OSError as exc:  # nothing of ours, or another process has opened it after it was closed here
            return UNKNOWN if is_refused_for_now(exc) else None
    except FileNotFoundError:
        return None
    except OSError as exc:
        if exc.errno in LINK:
            with contextlib.suppress(OSError):  # nothing of ours
                os.unlink(spot.name, dir_fd=spot.dir_fd)
            return None
        return f"a process that can't be asked ({exc.strerror}: {spot.path!r}; remove this file if that process is gone)"
    finally:
        file.close()
    return None


class _Holder:
    """A locked file of this process, under any number of names."""

    def __init__(self, spot: Spot) -> None:
        self.names = {spot.path}
        self._file = LockFile()
        self._end = Cleanup(self, self._file.close)
        number = self._file.open(spot)
        self._file.try_lock()
        write_name(number)

    def close(self) -> None:
        """Close it, which releases the lock."""
        self._end.now()

    def link(self, spot: Spot) -> bool:
        """Give the file one more name; return whether that was possible."""
        for name in () if CLOSE_FIRST or self._file.number is None else list(self.names):
            try:
                os.link(name, spot.name, dst_dir_fd=spot.dir_fd, follow_symlinks=False)
            except OSError:
                if os.path.lexists(name):
                    return False  # too many links, none at all on this file system, or no such place for the new one
                self.names.discard(name)  # removed together with its environment
            else:
                if self._file.is_at(spot):
                    self.names.add(spot.path)
                    return True
                os.unlink(spot.name, dir_fd=spot.dir_fd)
                self.names.discard(name)  # something else has taken its place
        return False


class _Presence(Owned):
    """The locked files of this process: usually one for each file system, and as root for each owner of environments.

    Attributes:
        threads: which thread made a runner's note, by its file's name: the object, because the next thread may have the same
            number.
        users: whose note that is, where an open file cannot be removed.
    """

    def __init__(self) -> None:
        super().__init__()
        # No WeakValueDictionary: a signal handler may raise in its callbacks, which are Python.
        self._holders: dict[tuple[int, int], weakref.ref[_Holder]] = {}
        self.threads: dict[str, weakref.ref[threading.Thread]] = {}
        self.users: dict[str, weakref.ref[User]] = {}

    def note(self, spot: Spot) -> _Holder:
        """Create a locked file, and return what holds it."""
        folder = spot.folder()
        kind = folder.st_dev, folder.st_uid
        known = self._holders.get(kind)
        holder = None if known is None else known()
        if holder is None or not holder.link(spot):
            holder = _Holder(spot)
            self._holders[kind] = weakref.ref(holder)
        return holder


_latest = _Presence()


def _presence() -> _Presence:
    """Return those of this process: a fork of it begins with none."""
    global _latest  # noqa: PLW0603
    if not _latest.is_ours:
        _latest = _Presence()
    return _latest
