"""The users of an environment: a locked file in its state directory for each runner and for each running command.

A lock ends with its process, so a file that is not locked is a leftover. All runners of a process share one file through hard
links: a thousand runners need one descriptor. A command's processes inherit its file, so its lock lasts as long as they do.
"""

import contextlib
import os
import weakref
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from venvrunner._process import context
from venvrunner._venv.cleanup import Cleanup, Owned
from venvrunner._venv.file_locks import CHILDREN_INHERIT, CLOSE_FIRST, LockFile, is_inconclusive, is_refused
from venvrunner._venv.lock_notes import UNKNOWN, read_name, write_name
from venvrunner._venv.open_directory import LINK, Directory, Spot
from venvrunner._venv.sharing_violations import insist, is_refused_for_now

__tracebackhide__ = True


class User(Owned):
    """A runner as a user of its environment, which it records there.

    Attributes:
        path: the file that records it; ``None`` if there is none.
        has_created: whether the environment was created for it, and not reused or opened.
    """

    has_created = False

    def __init__(self) -> None:
        super().__init__()
        self._caller = context.caller()
        self._holder: _Holder | None = None
        self.path: str | None = None

    def enter(self, spot: Spot) -> None:
        """Record that the environment is in use, unless it is read-only for this process.

        Args:
            spot: a file that does not exist; no other process looks for it before this returns.

        Raises:
            OSError: the record failed for a temporary reason, such as a full disk or no free descriptor.
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
            presence.callers[os.path.basename(spot.path)] = self._caller
            if CLOSE_FIRST:
                presence.users[os.path.basename(spot.path)] = weakref.ref(self)

    def leave(self) -> None:
        """Remove the record; further calls do nothing."""
        path, holder = self.path, self._holder
        if self.is_ours and path is not None and holder is not None:
            presence, name = _presence(), os.path.basename(path)
            presence.callers.pop(name, None)
            holder.names.discard(path)
            if presence.users.pop(name, None) is not None:
                holder.close()  # no other runner has it
            with contextlib.suppress(OSError):
                insist(os.unlink, path)
        self.path = self._holder = None


class Commands:
    """The notes of a runner's commands: a locked file for each command that runs at the same time.

    The files stay until the runner is dropped: creating a file costs more than locking it.

    Args:
        directory: the state directory that contains the files.
        name: the prefix of their names.
    """

    def __init__(self, directory: str, name: str) -> None:
        self._directory = directory
        self._name = name

    def note(self) -> "CommandNote":
        """Return a note for one command."""
        return CommandNote(self._directory, self._name)

    def leave(self) -> None:
        """Remove the files, except those that a process left by a command still has locked."""
        try:
            found = os.listdir(self._directory)
        except ValueError:
            return  # the path cannot be encoded: the directory never existed
        except OSError as exc:
            if is_inconclusive(exc):
                raise
            return  # the directory was deleted, or is no longer readable
        for other in found:
            if other.startswith(self._name):
                _holder_of(Spot.at(os.path.join(self._directory, other)))


class CommandNote(AbstractContextManager[Mapping[str, Any]]):
    """Records a command as a user, for a block and for as long as any process has the descriptor.

    Args:
        directory: the state directory that contains its file.
        name: the prefix of the file's name.
    """

    def __init__(self, directory: str, name: str) -> None:
        self._directory = directory
        self._name = name
        self._file = LockFile()
        self._end = Cleanup(self, self._file.close)

    def __enter__(self) -> Mapping[str, Any]:
        """Return the context that the command runs in: the descriptors that it inherits.

        There are none if the command cannot be recorded, for example because the environment is read-only.

        Raises:
            OSError: no descriptor is free.
        """
        try:
            with Directory(self._directory) as state:
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
                number += 1  # another command has it locked, or a process that a command left
            elif self._file.is_at(spot):  # otherwise another process has removed it as a leftover
                if not os.fstat(descriptor).st_size:
                    write_name(descriptor)
                return descriptor
            self._file.close()


def let_go(spots: Iterable[Spot]) -> None:
    """Close the files that this process has open, on systems where an open file cannot be removed.

    Args:
        spots: the files of an environment that is being removed.
    """
    users = _presence().users
    for spot in spots if CLOSE_FIRST else ():
        known = users.get(os.path.basename(spot.path))
        user = None if known is None else known()
        if user is not None:
            user.leave()


def others(spots: Iterable[Spot], caller: context.Caller, but: User | None = None) -> list[str]:
    """Return the other users of the environment: the runners of one caller do not count, but their commands do.

    Args:
        spots: the files of the users; leftovers of ended processes are removed.
        caller: the thread or task whose runners do not count.
        but: a user that does not count either.
    """
    found: list[str] = []
    callers = _presence().callers
    own = None if but is None or but.path is None else os.path.basename(but.path)
    for spot in spots:
        name = os.path.basename(spot.path)  # names are random; the directory may have several paths
        noted = callers.get(name)
        if (noted is not None and noted.is_same(caller)) or name == own:
            continue
        if (holder := _holder_of(spot)) is not None:
            found.append(holder)
    return found


def _holder_of(spot: Spot) -> str | None:
    """Return which process has a file locked; a file that is not locked is a leftover and is removed."""
    file = LockFile()
    try:
        descriptor = file.open(spot, make=False)
        if not file.try_lock():
            return read_name(descriptor)
        try:
            file.remove(spot)
        except OSError as exc:  # not a file of ours, or another process opened it after it was closed here
            return UNKNOWN if is_refused_for_now(exc) else None
    except FileNotFoundError:
        return None
    except OSError as exc:
        if exc.errno in LINK:
            with contextlib.suppress(OSError):  # not a file of ours
                os.unlink(spot.name, dir_fd=spot.dir_fd)
            return None
        return f"an unknown process ({exc.strerror}: {spot.path!r}; delete this file if that process has ended)"
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
        """Close the file, which releases the lock."""
        self._end.now()

    def link(self, spot: Spot) -> bool:
        """Give the file one more name, and return whether that succeeded."""
        for name in () if CLOSE_FIRST or self._file.number is None else list(self.names):
            try:
                os.link(name, spot.name, dst_dir_fd=spot.dir_fd, follow_symlinks=False)
            except OSError:
                if os.path.lexists(name):
                    return False  # too many links, a file system without links, or the new name's directory is gone
                self.names.discard(name)  # it was removed together with its environment
            else:
                if self._file.is_at(spot):
                    self.names.add(spot.path)
                    return True
                os.unlink(spot.name, dir_fd=spot.dir_fd)
                self.names.discard(name)  # another file has taken its place
        return False


class _Presence(Owned):
    """The locked files of this process: usually one for each file system, and as root one for each owner of environments.

    Attributes:
        callers: the thread or task that made a runner's note, by the name of its file: the objects, because a later thread may
            get the same identifier.
        users: the user that the note belongs to, on systems where an open file cannot be removed.
    """

    def __init__(self) -> None:
        super().__init__()
        # Not a WeakValueDictionary: its callbacks are Python, so a signal handler may raise in them.
        self._holders: dict[tuple[int, int], weakref.ref[_Holder]] = {}
        self.callers: dict[str, context.Caller] = {}
        self.users: dict[str, weakref.ref[User]] = {}

    def note(self, spot: Spot) -> _Holder:
        """Create a locked file, and return the object that has it open."""
        directory = spot.directory_status()
        kind = directory.st_dev, directory.st_uid
        known = self._holders.get(kind)
        holder = None if known is None else known()
        if holder is None or not holder.link(spot):
            holder = _Holder(spot)
            self._holders[kind] = weakref.ref(holder)
        return holder


_latest = _Presence()


def _presence() -> _Presence:
    """Return the locked files of this process: after ``os.fork`` the child starts with none."""
    global _latest  # noqa: PLW0603
    if not _latest.is_ours:
        _latest = _Presence()
    return _latest
