"""Who uses an environment, who may change it, and whether it was finished; all of it is kept in the environment itself.

The folder ``.venvrunner`` in an environment holds:

``lock``
    locked while somebody creates, deletes, forks, or installs: for moments, and never while a command just runs.
``state``
    two lines of JSON: which parent it needs, written first, and what it was made for, written last. Without the second, a
    creation or a deletion was interrupted; without the file, it was made by something else.
``user-*``
    one locked file for each runner and for each command that is running; see :mod:`.users`.
``fork-*``
    one file for each fork, with the fork's path in it; as long as that is a fork, the environment is frozen. What a killed
    process has left of one is none.
"""

import contextlib
import errno
import functools
import json
import os
import threading
from collections.abc import Callable, Generator
from typing import Any, cast

from venvrunner._venv import users
from venvrunner._venv.change import LOCK, STATE, Held, Hindrances, no_hindrances, open_state
from venvrunner._venv.file_locks import LockFile, is_inconclusive, without_waiting
from venvrunner._venv.paths import same
from venvrunner._venv.removal import Directory, Spot
from venvrunner._venv.sharing_violations import insist
from venvrunner._venv.users import Commands, User
from venvrunner.exceptions import VenvInUseError

__tracebackhide__ = True

_NOTES = "state"
_NAMED = 3
"""How many forks an error names."""


class Ownership:
    """The state of one environment's folder.

    Args:
        venv_dir: an absolute path; nothing needs to be there.
        state: the folder, if it is open, as it is for every change: then it is this one, whatever its path names by now.
    """

    def __init__(self, venv_dir: str, state: Directory | None = None) -> None:
        self.venv_dir = venv_dir
        self._state = state
        self._path = os.path.join(venv_dir, STATE)

    def held(self, wait: float, hindrances: Hindrances = no_hindrances, *, make: bool = False, follow: bool = True) -> Held:
        """Return what holds the lock for a block, ``with`` or ``async with``, as soon as it is free and nothing hinders.

        Args:
            wait: seconds to wait at most.
            hindrances: asked while the lock is held; names what else has to be waited for.
            make: create the environment's directory if it does not exist.
            follow: accept a link to the environment.

        Raises:
            NotAVenvError: on entry: it is a link, and *follow* is false.
            VenvInUseError: on entry: that did not come in time.
            CreationError: on entry: the lock can't be had at all, for instance in a read-only directory.
        """
        return Held(self.venv_dir, wait, hindrances, make=make, follow=follow)

    @contextlib.contextmanager
    def opened(self) -> Generator["Ownership"]:
        """Yield the same with its folder open, which is made readable for that.

        Raises:
            OSError: that is not possible.
        """
        with Directory(self.venv_dir, follow=True) as directory, open_state(directory) as state:
            yield Ownership(self.venv_dir, state)

    def is_changeable(self) -> bool:
        """Return whether a process of this user can change the environment: its owner can make its directory writable."""
        return os.access(self.venv_dir, os.W_OK) or os.access(self._path, os.W_OK)

    def enter(self, user: User) -> None:
        """Note that a runner uses the environment; to be called while the lock is held.

        Raises:
            OSError: it is not known whether that can be noted.
        """
        user.enter(self._spot(new_note("user")))

    def commands(self) -> Commands:
        """Return where the commands of one runner note that they use the environment."""
        return Commands(self._path, new_note("user"))

    def users(self, thread: threading.Thread, but: User | None = None) -> list[str]:
        """Return who else uses the environment; see :func:`.users.others`; to be called while the lock is held."""
        return users.others(self._files("user"), thread, but)

    def let_go(self) -> None:
        """Close the files of this process's runners, where open ones cannot be removed; to be called while the lock is held."""
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
        """Freeze the environment for a fork; to be called while the lock is held.

        Args:
            fork_dir: the fork.
            name: what :func:`new_note` has returned for it; the fork has it among its own notes.
        """
        spot = self._spot(name)
        with open(spot.name, "xb", opener=_opener(spot)) as file:
            file.write(os.fsencode(fork_dir))

    def knows_fork(self, name: str) -> bool:
        """Return whether a fork is noted under a name."""
        return os.path.lexists(os.path.join(self._path, name))

    def forks(self) -> list[str]:
        """Return the paths of the forks that there are; to be called while the lock is held."""
        found: set[str] = set()
        for spot in self._files("fork"):
            try:
                with open(spot.name, "rb", opener=_opener(spot)) as file:
                    fork_dir = os.fsdecode(file.read())
            except OSError as exc:
                if is_inconclusive(exc):
                    raise
                continue  # nothing of ours
            if Ownership(fork_dir).needs(self.venv_dir):
                found.add(fork_dir)
            else:
                insist(os.unlink, spot.name, dir_fd=spot.dir_fd)
        return sorted(found)

    def needs(self, parent_dir: str) -> bool:
        """Return whether this is a fork of an environment: finished, or about to be."""
        parent = self.parent()
        return parent is not None and same(parent, parent_dir) and (not self.unfinished() or self._is_held())

    def _is_held(self) -> bool:
        """Return whether a process holds the lock; without it, what is unfinished stays so."""
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
        """Make sure that the environment has no forks, which would see every change; to be called while the lock is held.

        Raises:
            VenvInUseError: it has; they are named.
        """
        if forks := self.forks():
            more = len(forks) - _NAMED
            names = ", ".join(map(repr, forks[:_NAMED])) + (f" and {more} more" if more > 0 else "")
            msg = (
                f"{self.venv_dir!r} can't be {what}: it has forks that need it, {names}!"
                " Delete these first, or use one of them."
            )
            raise VenvInUseError(msg)

    def begin(self, parent_dir: str | None = None) -> None:
        """Note that the environment is not finished: the first step of a creation or a deletion.

        Args:
            parent_dir: the environment that this one will need.
        """
        self._write([{"parent": None if parent_dir is None else portable(parent_dir)}])

    def finish(self, purpose: dict[str, Any]) -> None:
        """Note that the environment is finished, and what for: the last step of a creation."""
        begun = self._notes() or [{"parent": None}]  # else something else has taken their place
        self._write([begun[0], purpose])

    def parent(self) -> str | None:
        """Return the environment that this one is a fork of and needs."""
        notes = self._notes()
        parent = notes[0].get("parent") if notes else None
        return local(parent) if isinstance(parent, str) and "\0" not in parent else None

    def purpose(self) -> dict[str, Any] | None:
        """Return what the environment was made for; ``None``: it was made by something else, or is not finished."""
        notes = self._notes()
        return notes[1] if notes and len(notes) > 1 else None

    def is_in_place(self) -> bool:
        """Return whether the environment is where it was made, however that place is spelled."""
        made_in = (self.purpose() or {}).get("folder")
        return isinstance(made_in, str) and same(local(made_in), self.venv_dir)

    def note_place(self, note: str | None = None) -> None:
        """Note where the environment is now; to be called while the lock is held. One that another tool made has no notes.

        Args:
            note: the name under which its parent knows it now.
        """
        notes = self._notes()
        if notes and len(notes) > 1:
            notes[1] |= {"folder": portable(self.venv_dir)} | ({} if note is None else {"note": note})
            self._write(notes)

    def unfinished(self) -> bool:
        """Tell whether this is what an interrupted creation or deletion has left."""
        notes = self._notes()
        return notes is not None and not notes[1:]

    def _write(self, notes: list[dict[str, Any]]) -> None:
        spot = self._spot(_NOTES)
        replace_file(spot, spot, "".join(json.dumps(note) + "\n" for note in notes))

    def _notes(self) -> list[dict[str, Any]] | None:
        """Return the lines that are complete; ``None``: there is no such file."""
        text = _read_file(self._spot(_NOTES))
        if text is None:
            return None
        notes: list[dict[str, Any]] = []
        with contextlib.suppress(ValueError, RecursionError):
            for line in text.splitlines():
                note: object = json.loads(line)
                if not isinstance(note, dict):
                    break
                notes.append(cast("dict[str, Any]", note))
        return notes


def new_note(kind: str) -> str:
    """Return a name for a file among an environment's notes."""
    return f"{kind}-{os.urandom(8).hex()}"


def portable(path: str) -> str:
    """Return a path as text that means the same under every locale.

    >>> portable("/m\u00f6we")
    '/m\u00f6we'
    """
    return os.fsencode(path).decode("utf-8", "surrogateescape")


def local(text: str) -> str:
    """Return the path that :func:`portable` has made a text of."""
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))


def _opener(spot: Spot) -> Callable[[str, int], int]:
    return functools.partial(without_waiting, dir_fd=spot.dir_fd)


def _read_file(spot: Spot) -> str | None:
    """Return what is in a file: nothing if it is not text or no regular file, ``None`` if it cannot be opened."""
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
        return "" if exc.errno == errno.EINVAL else None


def replace_file(spot: Spot, beside: Spot, text: str) -> None:
    """Write a file that is new, whatever is there: not through a link, and not into a file that has other names.

    Args:
        spot: where it is in the end.
        beside: in whose directory it is written, in the same file system.
        text: what is in it.
    """
    new = beside.name + ".new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new, dir_fd=beside.dir_fd)
    with open(new, "x", encoding="utf-8", opener=functools.partial(os.open, mode=0o666, dir_fd=beside.dir_fd)) as file:
        file.write(text)
    insist(os.replace, new, spot.name, src_dir_fd=beside.dir_fd, dst_dir_fd=spot.dir_fd)
