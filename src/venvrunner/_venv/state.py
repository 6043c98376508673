"""The state of an environment, kept inside it: its users, its lock, its parent and forks, and whether it is finished.

The directory ``.venvrunner`` in an environment contains:

``lock``
    locked while a process creates, deletes, forks, or installs: briefly, and never while a command merely runs.
``state``
    two lines of JSON: the parent that the environment needs, written first, and the recipe that it was created from,
    written last. Without the second line, a creation or a deletion is in progress or was interrupted; without the file,
    another tool created the environment.
``user-*``
    one locked file for each runner and for each running command; see :mod:`.users`.
``fork-*``
    one file for each fork, with the path of the fork. The environment is frozen while a fork exists at that path; the
    remains of a fork whose creation was killed do not count.
"""

import contextlib
import errno
import functools
import os
from collections.abc import Callable, Generator
from typing import Any, cast

from venvrunner._process.context import Caller
from venvrunner._venv import users
from venvrunner._venv.change import LOCK, STATE, Held, Hindrances, no_hindrances, open_state
from venvrunner._venv.file_locks import LockFile, is_inconclusive, without_waiting
from venvrunner._venv.open_directory import Directory, Spot
from venvrunner._venv.paths import same
from venvrunner._venv.sharing_violations import insist
from venvrunner._venv.users import Commands, User
from venvrunner.exceptions import VenvInUseError

__tracebackhide__ = True

_NOTES = "state"
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NAMED = 3
"""Maximum number of forks that an error names."""


class Ownership:
    """The state of one environment.

    Args:
        venv_dir: an absolute path; it need not exist.
        state: the open state directory; a change passes it, so that it is used even if another directory has its path by now.
    """

    def __init__(self, venv_dir: str, state: Directory | None = None) -> None:
        self.venv_dir = venv_dir
        self._state = state
        self._path = os.path.join(venv_dir, STATE)

    def held(self, wait: float, hindrances: Hindrances = no_hindrances, *, make: bool = False, follow: bool = True) -> Held:
        """Return a context manager, ``with`` or ``async with``, that holds the lock of the environment.

        Args:
            wait: the maximum wait, in seconds.
            hindrances: called with the lock held; returns what else to wait for.
            make: create the environment's directory if it does not exist.
            follow: accept a link to the environment.

        Raises:
            NotAVenvError: on entry: the path is a link, and *follow* is false.
            VenvInUseError: on entry: the environment was still in use when the time was up.
            CreationError: on entry: the lock cannot be taken at all, for example in a read-only directory.
        """
        return Held(self.venv_dir, wait, hindrances, make=make, follow=follow)

    @contextlib.contextmanager
    def opened(self) -> Generator["Ownership"]:
        """Yield this state with its directory open; an unreadable directory is made readable first.

        Raises:
            OSError: the directory cannot be opened.
        """
        with Directory(self.venv_dir, follow=True) as directory, open_state(directory) as state:
            yield Ownership(self.venv_dir, state)

    def is_changeable(self) -> bool:
        """Return whether this user can change the environment; its owner always can, by making its directory writable."""
        return os.access(self.venv_dir, os.W_OK) or os.access(self._path, os.W_OK)

    def enter(self, user: User) -> None:
        """Record a runner as a user of the environment; call it with the lock held.

        Raises:
            OSError: the record failed for a temporary reason; see :meth:`.User.enter`.
        """
        user.enter(self._spot(new_note("user")))

    def commands(self) -> Commands:
        """Return the notes of one runner's commands."""
        return Commands(self._path, new_note("user"))

    def users(self, caller: Caller, but: User | None = None) -> list[str]:
        """Return the other users of the environment, as :func:`.users.others` does; call it with the lock held."""
        return users.others(self._files("user"), caller, but)

    def let_go(self) -> None:
        """Close the files of this process's runners if open files cannot be removed here; call it with the lock held."""
        users.let_go(self._files("user"))

    def _spot(self, name: str) -> Spot:
        return Spot.at(os.path.join(self._path, name)) if self._state is None else self._state.spot(name)

    def _files(self, kind: str) -> list[Spot]:
        try:
            names = os.listdir(self._path) if self._state is None else self._state.names()
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [self._spot(name) for name in names if name.startswith(kind + "-")]

    def note_fork(self, fork_dir: str, name: str) -> None:
        """Freeze the environment for a fork; call it with the lock held.

        Args:
            fork_dir: the path of the fork.
            name: a name from :func:`new_note`, which the state of the fork contains too.
        """
        spot = self._spot(name)
        with open(spot.name, "xb", opener=_opener(spot)) as file:
            file.write(os.fsencode(fork_dir))

    def knows_fork(self, name: str) -> bool:
        """Return whether a fork is recorded under a name."""
        return os.path.lexists(os.path.join(self._path, name))

    def forks(self) -> list[str]:
        """Return the paths of the existing forks, and remove the notes of others; call it with the lock held."""
        found: set[str] = set()
        for spot in self._files("fork"):
            try:
                with open(spot.name, "rb", opener=_opener(spot)) as file:
                    fork_dir = os.fsdecode(file.read())
            except OSError as exc:
                if is_inconclusive(exc):
                    raise
                continue  # not a file of ours
            if Ownership(fork_dir).needs(self.venv_dir):
                found.add(fork_dir)
            else:
                with contextlib.suppress(FileNotFoundError):  # the process that deleted the fork has removed its note too
                    insist(os.unlink, spot.name, dir_fd=spot.dir_fd)
        return sorted(found)

    def count_fork_notes(self) -> int:
        """Return how many forks are recorded, including those that no longer exist."""
        return len(self._files("fork"))

    def former_note(self) -> Callable[[], object]:
        """Return a function that removes the note of this fork in its parent, to be called when the fork has been deleted.

        Otherwise, the notes of temporary forks would pile up in the parent. A note with another path stays: it is the note of
        the fork that this one was copied from.
        """
        parent_dir, name = None, None
        with contextlib.suppress(OSError):
            parent_dir, name = self.parent(), (self.purpose() or {}).get("note")
        if parent_dir is None or not isinstance(name, str) or os.path.basename(name) != name:
            return lambda: None
        note, fork_dir = os.path.join(parent_dir, STATE, name), os.fsencode(os.path.realpath(self.venv_dir))

        def remove() -> None:
            with contextlib.suppress(OSError):  # it is only a leftover: a later look at the forks removes it
                with open(note, "rb", opener=without_waiting) as file:
                    is_ours = file.read() == fork_dir
                if is_ours and not os.path.lexists(self._path):
                    os.unlink(note)

        return remove

    def needs(self, parent_dir: str) -> bool:
        """Return whether this is a fork of an environment, finished or being created."""
        parent = self.parent()
        return parent is not None and same(parent, parent_dir) and (not self.unfinished() or self._is_held())

    def _is_held(self) -> bool:
        """Return whether a process holds the lock; if none does, an unfinished environment stays unfinished."""
        file = LockFile()
        try:
            file.open(self._spot(LOCK), make=False)
            return not file.try_lock()
        except PermissionError:
            return True  # another user's
        except OSError as exc:
            if is_inconclusive(exc):
                raise
            return False
        finally:
            file.close()

    def refuse_if_frozen(self, what: str) -> None:
        """Check that the environment has no forks, which would see every change; call it with the lock held.

        Args:
            what: the refused operation, to follow "cannot be".

        Raises:
            VenvInUseError: the environment has forks; the message names them.
        """
        if forks := self.forks():
            more = len(forks) - _NAMED
            names = ", ".join(map(repr, forks[:_NAMED])) + (f" and {more} more" if more > 0 else "")
            msg = (
                f"{self.venv_dir!r} cannot be {what}: it has forks that need it: {names}."
                " Delete the forks first, or use one of them."
            )
            raise VenvInUseError(msg)

    def begin(self, parent_dir: str | None = None) -> None:
        """Mark the environment as unfinished: the first step of a creation or a deletion.

        Args:
            parent_dir: the environment that this one will need.
        """
        notes = [{"parent": None if parent_dir is None else portable(parent_dir)}]
        if not create_file(self._spot(_NOTES), _lines(notes)):
            self._write(notes)

    def finish(self, purpose: dict[str, Any]) -> None:
        """Mark the environment as finished, and record its recipe: the last step of a creation."""
        if not self._append(purpose):
            begun = self._notes() or [{"parent": None}]  # the file may have been replaced
            self._write([begun[0], purpose])

    def _append(self, note: dict[str, Any]) -> bool:
        """Add a second line to the state file, which costs less than another file; return ``False`` if it must be replaced."""
        if not _NOFOLLOW:
            return False
        spot = self._spot(_NOTES)
        try:
            with open(spot.name, "r+b", buffering=0, opener=_opener(spot, _NOFOLLOW)) as file:
                text = file.read().decode()
                if os.fstat(file.fileno()).st_nlink > 1 or len(_parse(text)) != 1 or not text.endswith("\n"):
                    return False
                line = _lines([note]).encode()
                return file.write(line) == len(line)
        except UnicodeDecodeError:
            return False
        except OSError as exc:
            if is_inconclusive(exc):
                raise
            return False

    def parent(self) -> str | None:
        """Return the parent of this environment, which it needs, or ``None`` if it is not a fork."""
        notes = self._notes()
        parent = notes[0].get("parent") if notes else None
        return local(parent) if isinstance(parent, str) and "\0" not in parent else None

    def purpose(self) -> dict[str, Any] | None:
        """Return the recipe that the environment was created from; ``None`` if another tool created it or it is unfinished."""
        notes = self._notes()
        return notes[1] if notes and len(notes) > 1 else None

    def is_in_place(self) -> bool:
        """Return whether the environment is still where it was created, however that path is spelled."""
        made_in = (self.purpose() or {}).get("folder")
        return isinstance(made_in, str) and same(local(made_in), self.venv_dir)

    def note_place(self, note: str | None = None) -> None:
        """Record the current path of the environment, unless another tool created it; call it with the lock held.

        Args:
            note: the new name of the fork's note in its parent.
        """
        notes = self._notes()
        if notes and len(notes) > 1:
            notes[1] |= {"folder": portable(self.venv_dir)} | ({} if note is None else {"note": note})
            self._write(notes)

    def unfinished(self) -> bool:
        """Return whether a creation or a deletion of the environment is in progress or was interrupted."""
        notes = self._notes()
        return notes is not None and not notes[1:]

    def _write(self, notes: list[dict[str, Any]]) -> None:
        spot = self._spot(_NOTES)
        replace_file(spot, spot, _lines(notes))

    def _notes(self) -> list[dict[str, Any]] | None:
        """Return the complete lines of the state file; ``None`` if it does not exist."""
        text = _read_file(self._spot(_NOTES))
        return None if text is None else _parse(text)


def _lines(notes: list[dict[str, Any]]) -> str:
    import json  # slow to import

    return "".join(json.dumps(note) + "\n" for note in notes)


def _parse(text: str) -> list[dict[str, Any]]:
    """Return the complete lines of a state file."""
    import json  # slow to import

    notes: list[dict[str, Any]] = []
    with contextlib.suppress(ValueError, RecursionError):
        for line in text.splitlines():
            note: object = json.loads(line)
            if not isinstance(note, dict):
                break
            notes.append(cast("dict[str, Any]", note))
    return notes


def new_note(kind: str) -> str:
    """Return a new, unique name for a file in a state directory."""
    return f"{kind}-{os.urandom(8).hex()}"


def portable(path: str) -> str:
    """Return a path as text that names the same file under every locale.

    >>> portable("/m\u00f6we")
    '/m\u00f6we'
    """
    return os.fsencode(path).decode("utf-8", "surrogateescape")


def local(text: str) -> str:
    """Return the path that :func:`portable` turned into a string."""
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))


def _opener(spot: Spot, more_flags: int = 0) -> Callable[[str, int], int]:
    return lambda path, flags: without_waiting(path, flags | more_flags, dir_fd=spot.dir_fd)


def _read_file(spot: Spot) -> str | None:
    """Return the text of a file; ``""`` if it is not text or not a regular file, ``None`` if it cannot be opened."""
    try:
        with insist(open, spot.name, encoding="utf-8", opener=_opener(spot)) as file:
            return file.read()
    except UnicodeDecodeError:
        return ""
    except ValueError:
        return None
    except OSError as exc:
        if is_inconclusive(exc):
            raise
        return "" if exc.errno in {errno.EINVAL, errno.ENXIO} else None  # a held pipe, a socket


def create_file(spot: Spot, text: str) -> bool:
    """Create a file, and return ``False`` if the name is taken, even by a link that leads nowhere."""
    try:
        with open(spot.name, "xb", buffering=0, opener=functools.partial(os.open, mode=0o666, dir_fd=spot.dir_fd)) as file:
            if text:
                file.write(text.encode())
    except FileExistsError:
        return False
    return True


def replace_file(spot: Spot, beside: Spot, text: str) -> None:
    """Replace a file with a new one: never through a link, and never in a file that has other names.

    Args:
        spot: the file.
        beside: the new file is written next to this path first; it must be on the same file system.
        text: the contents.
    """
    new = beside.name + ".new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new, dir_fd=beside.dir_fd)
    with open(new, "x", encoding="utf-8", opener=functools.partial(os.open, mode=0o666, dir_fd=beside.dir_fd)) as file:
        file.write(text)
    insist(os.replace, new, spot.name, src_dir_fd=beside.dir_fd, dst_dir_fd=spot.dir_fd)
