"""Entries: the environments in the store, each with a note that says what it is and when it was last used."""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from venvrunner._create import archive
from venvrunner._venv.copying import entries
from venvrunner._venv.file_locks import without_waiting
from venvrunner._venv.layout import CURRENT
from venvrunner._venv.sharing_violations import insist
from venvrunner._venv.state import Ownership

__tracebackhide__ = True

_NOTE = ".json"


class Entry(NamedTuple):
    """One environment in the store.

    Args:
        store: the directory of the store.
        key: its key, which is the name of its directory.
    """

    store: str
    key: str

    @property
    def venv_dir(self) -> str:
        """The directory of the environment."""
        return os.path.join(self.store, "entries", self.key)

    @property
    def _note(self) -> str:
        return self.venv_dir + _NOTE

    def note(self) -> dict[str, Any]:
        """Return what the note says; empty if there is none."""
        try:
            with open(self._note, encoding="utf-8", opener=without_waiting) as file:
                found: object = json.load(file)
        except (OSError, ValueError, RecursionError):
            return {}
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}

    def is_usable(self) -> bool:
        """Return whether the environment is complete and unchanged, as far as that is cheap to see."""
        note = self.note()
        return bool(note) and note.get("stamps") == stamps(self.venv_dir) and self._is_finished()

    def _is_finished(self) -> bool:
        try:
            status = os.lstat(self.venv_dir)
            mine = getattr(os, "geteuid", lambda: status.st_uid)()
            return status.st_uid == mine and Ownership(self.venv_dir).purpose() is not None
        except OSError:
            return False

    def write(self, what: list[str], python: str, parent: str | None = None) -> None:
        """Write the note, which makes the entry usable.

        Args:
            what: what was installed, for people.
            python: its interpreter, for people.
            parent: the key of the entry that it is a fork of.

        Raises:
            OSError: it cannot be written.
        """
        note = {
            "what": what,
            "python": python,
            "parent": parent,
            "size": size_of(self.venv_dir),
            "stamps": stamps(self.venv_dir),
        }
        new = f"{self.venv_dir}.{os.urandom(4).hex()}.new"
        try:
            archive.write(new, json.dumps(note).encode(), executable=False)
            insist(os.replace, new, self._note)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(new)
            raise

    def touch(self) -> None:
        """Record that the entry, and those that it is a fork of, have been used now."""
        with contextlib.suppress(OSError):
            os.utime(self._note)
        parent = self.note().get("parent")
        if isinstance(parent, str) and parent != self.key:
            self._replace(key=parent).touch()

    def last_use(self) -> float:
        """Return when the entry was last used, in seconds since the epoch.

        Raises:
            OSError: it has no note.
        """
        return os.stat(self._note).st_mtime

    def forget(self) -> None:
        """Remove the note."""
        with contextlib.suppress(FileNotFoundError):
            insist(os.unlink, self._note)


class Prepared(NamedTuple):
    """An entry of the store, ready to be forked or copied.

    Attributes:
        entry: the entry.
        editable: the directories to install in editable mode in the fork or copy.
        lock: the lock file with what the requirements resolved to; ``None`` if the caller has passed one.
    """

    entry: Entry
    editable: tuple[str, ...] = ()
    lock: str | None = None


def all_entries(store: str) -> Iterator[Entry]:
    """Yield the entries of a store, finished or not."""
    with contextlib.suppress(FileNotFoundError):
        for entry in entries(os.path.join(store, "entries")):
            if entry.is_dir(follow_symlinks=False) and "." not in entry.name:
                yield Entry(store, entry.name)


def stamps(venv_dir: str) -> list[list[Any]]:
    """Return the times of the package directories, in whole seconds: they change if something is installed or removed.

    Archives of a store keep them, but may cut fractions.
    """
    found: list[list[Any]] = []
    for path in CURRENT.package_directories(venv_dir):
        with contextlib.suppress(OSError):
            found.append([os.path.relpath(path, venv_dir), int(os.stat(path).st_mtime)])
    return found


def size_of(directory: str) -> int:
    """Return the size of all files in a directory, in bytes."""
    total = 0
    for parent, _directories, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size
    return total
