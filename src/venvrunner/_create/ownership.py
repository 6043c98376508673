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
    one file for each fork, with the fork's path in it; as long as that is a fork, the environment is frozen.
"""

import contextlib
import json
import os
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from typing import Any, cast

from venvrunner._create import users
from venvrunner._create.locks import is_at, open_lock_file, try_lock, unlock, without_waiting
from venvrunner._create.patience import Patience
from venvrunner._create.users import Commands, Descriptor, User
from venvrunner._process.signals import deferred, surely
from venvrunner.exceptions import CreationError

__tracebackhide__ = True

STATE = ".venvrunner"


class Ownership:
    """The state of one environment's folder.

    Args:
        venv_dir: an absolute path; nothing needs to be there.
    """

    def __init__(self, venv_dir: str) -> None:
        self.venv_dir = venv_dir
        self._state = os.path.join(venv_dir, STATE)

    @contextlib.contextmanager
    def held(self, wait: float, hindrances: Callable[[], Iterable[str]] = list, *, make: bool = False) -> Generator[None]:
        """Hold the lock for a block, as soon as it is free and there are no hindrances.

        Args:
            wait: seconds to wait at most.
            hindrances: asked while the lock is held; names what else has to be waited for.
            make: whether to make the environment's folder if it is not there.

        Raises:
            VenvInUseError: that did not come in time.
            CreationError: the lock can't be had at all, for instance in a read-only folder.
        """
        patience = Patience(self.venv_dir, wait)
        hold = _Hold(self._open_lock, os.path.join(self._state, "lock"), make=make)
        try:
            while found := hold.attempt(hindrances):
                time.sleep(patience.pause(found))
            yield
        finally:
            surely(hold.release)

    @contextlib.asynccontextmanager
    async def held_async(self, wait: float, hindrances: Callable[[], Iterable[str]] = list) -> AsyncGenerator[None]:
        """Same as :meth:`held`, but other tasks get their turn while it waits: one of them may hold the lock."""
        import asyncio  # noqa: PLC0415  slow to import

        patience = Patience(self.venv_dir, wait)
        hold = _Hold(self._open_lock, os.path.join(self._state, "lock"), make=False)
        try:
            while found := hold.attempt(hindrances):  # noqa: ASYNC110  a lock of another process sends no event
                await asyncio.sleep(patience.pause(found))
            yield
        finally:
            surely(hold.release)

    def _open_lock(self, path: str, *, make: bool) -> int:
        try:
            if make:
                os.makedirs(self.venv_dir, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._state)
            if os.path.islink(self._state):
                msg = f"{self._state!r} is a link"
                raise OSError(msg)  # noqa: TRY301  told like the system's own
            return open_lock_file(path)
        except OSError as exc:
            is_there = not make or os.path.lexists(os.path.join(self.venv_dir, "pyvenv.cfg"))
            what = "change the environment" if is_there else "create an environment"
            msg = f"can't {what} in {self.venv_dir!r}: {exc}!"
            raise CreationError(msg) from exc

    def enter(self) -> User:
        """Note that a runner uses the environment, until it is let go of; to be called while the lock is held."""
        return users.enter(self._new("user"))

    def commands(self) -> Commands:
        """Return where the commands of one runner note that they use the environment."""
        return Commands(self._new("user"))

    def users(self, but: User | None = None) -> list[str]:
        """Return who else uses the environment; see :func:`.users.others`; to be called while the lock is held."""
        return users.others(self._files("user"), but)

    def _new(self, kind: str) -> str:
        return os.path.join(self._state, f"{kind}-{os.urandom(8).hex()}")

    def _files(self, kind: str) -> list[str]:
        try:
            names = os.listdir(self._state)
        except OSError:
            return []
        return [os.path.join(self._state, name) for name in names if name.startswith(kind + "-")]

    def note_fork(self, fork_dir: str) -> None:
        """Freeze the environment for a fork; to be called while the lock is held."""
        with open(self._new("fork"), "xb") as file:
            file.write(os.fsencode(fork_dir))

    def forks(self) -> list[str]:
        """Return the paths of the forks that there are; to be called while the lock is held."""
        found: list[str] = []
        for path in self._files("fork"):
            try:
                with open(path, "rb", opener=without_waiting) as file:
                    fork_dir = os.fsdecode(file.read())
            except OSError:
                continue  # nothing of ours
            parent = Ownership(fork_dir).parent()
            if parent is not None and os.path.realpath(parent) == os.path.realpath(self.venv_dir):
                found.append(fork_dir)
            else:
                os.unlink(path)
        return sorted(found)

    def begin(self, parent_dir: str | None = None) -> None:
        """Note that the environment is not finished: the first step of a creation or a deletion.

        Args:
            parent_dir: the environment that this one will need.
        """
        parent = None if parent_dir is None else portable(parent_dir)
        replace_file(self._state_file, json.dumps({"parent": parent}) + "\n")

    def finish(self, purpose: dict[str, Any]) -> None:
        """Note that the environment is finished, and what for: the last step of a creation."""
        with open(self._state_file, "a", encoding="utf-8", opener=without_waiting) as file:
            file.write(json.dumps(purpose) + "\n")

    def parent(self) -> str | None:
        """Return the environment that this one is a fork of and needs."""
        notes = self._notes()
        parent = notes[0].get("parent") if notes else None
        if not isinstance(parent, str) or "\0" in parent:
            return None
        return os.fsdecode(parent.encode("utf-8", "surrogateescape"))

    def purpose(self) -> dict[str, Any] | None:
        """Return what the environment was made for; ``None``: it was made by something else, or is not finished."""
        notes = self._notes()
        return notes[1] if notes and len(notes) > 1 else None

    def unfinished(self) -> bool:
        """Tell whether this is what an interrupted creation or deletion has left."""
        notes = self._notes()
        return notes is not None and not notes[1:]

    @property
    def _state_file(self) -> str:
        return os.path.join(self._state, "state")

    def _notes(self) -> list[dict[str, Any]] | None:
        """Return the lines that are complete; ``None``: there is no such file."""
        text = _read_file(self._state_file)
        if text is None:
            return None
        notes: list[dict[str, Any]] = []
        with contextlib.suppress(ValueError):
            for line in text.splitlines():
                note: object = json.loads(line)
                if not isinstance(note, dict):
                    break
                notes.append(cast("dict[str, Any]", note))
        return notes

    def abandon(self) -> None:
        """Remove the state if there is nothing but a lock that nobody holds: nobody has begun anything."""
        path = os.path.join(self._state, "lock")
        with contextlib.suppress(OSError):
            if os.listdir(self.venv_dir) == [STATE] and os.listdir(self._state) == ["lock"]:
                descriptor = open_lock_file(path)
                try:
                    if try_lock(descriptor):
                        self.clear()
                finally:
                    os.close(descriptor)
        with contextlib.suppress(OSError):
            os.rmdir(self._state)

    def clear(self) -> None:
        """Remove the state, the lock last: whoever waits for it begins anew."""
        import shutil  # noqa: PLC0415  slow to import

        lock = os.path.join(self._state, "lock")
        for entry in list(os.scandir(self._state)):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)  # nothing of ours
            elif entry.path != lock:
                os.unlink(entry.path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(lock)
        with contextlib.suppress(OSError):  # somebody begins anew already
            os.rmdir(self._state)


class _Hold:
    """The lock of an environment, held or not."""

    def __init__(self, open_lock: Callable[..., int], path: str, *, make: bool) -> None:
        self._open_lock = open_lock
        self._path = path
        self._make = make
        self._lock = Descriptor()

    def attempt(self, hindrances: Callable[[], Iterable[str]]) -> list[str]:
        """Take the lock if it is free and there are no hindrances; else return what has to be waited for."""
        with deferred():
            number = self._lock.number = self._open_lock(self._path, make=self._make)
        if not (try_lock(number) and is_at(number, self._path)):
            found = [users.read_name(number)]
        elif not (found := list(hindrances())):
            users.write_name(number)
            return []
        self._lock.close()
        return found

    def release(self) -> None:
        """Let the lock go, if it is held."""
        if self._lock.number is not None:
            unlock(self._lock.number)
            self._lock.close()


def portable(path: str) -> str:
    """Return a path as text that means the same under every locale.

    >>> portable("/m\u00f6we")
    '/m\u00f6we'
    """
    return os.fsencode(path).decode("utf-8", "surrogateescape")


def _read_file(path: str) -> str | None:
    """Return what is in a file: nothing if it is no text, ``None`` if it is not there."""
    try:
        with open(path, encoding="utf-8", opener=without_waiting) as file:
            return file.read()
    except UnicodeDecodeError:
        return ""
    except (OSError, ValueError):
        return None


def replace_file(path: str, text: str) -> None:
    """Write a file that is new, whatever is there: not through a link, and not into a file that has other names."""
    new = path + ".new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    with open(new, "x", encoding="utf-8") as file:
        file.write(text)
    os.replace(new, path)
