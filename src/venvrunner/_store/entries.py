"""Entries: the environments in the store, each with a note that says what it is and when it was last used."""

import contextlib
import json
import os
import re
import stat
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from venvrunner._create import archive
from venvrunner._venv.copying import entries, shareable_files
from venvrunner._venv.file_locks import without_waiting
from venvrunner._venv.health import defect
from venvrunner._venv.layout import CURRENT
from venvrunner._venv.paths import same
from venvrunner._venv.sharing_violations import insist
from venvrunner._venv.state import Ownership

__tracebackhide__ = True

_NOTE = ".json"
KEY = re.compile(r"[0-9a-f]{32}")
"""The names of entries and of the directories of wheels."""


class Note(NamedTuple):
    """What the file beside an entry says, which is written last.

    Attributes:
        what: what was installed, for people.
        python: its interpreter, for people.
        parent: the key of the entry that it is a fork of.
        size: its size in bytes.
        stamps: the times of its directories; see :func:`stamps`.
        shared: the names, sizes and times of files that a copy may share with it, so that an edit of the copy changes them.
    """

    what: list[str]
    python: str
    parent: str | None
    size: int
    stamps: list[list[Any]]
    shared: list[list[Any]]


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

    def note(self) -> Note | None:
        """Return the note; ``None`` if there is none, or none that can be read."""
        try:
            with open(self._note, encoding="utf-8", opener=without_waiting) as file:
                found: object = json.load(file)
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(found, dict):
            return None
        values = cast("dict[str, Any]", found)
        fields: list[Any] = [values.get(name) for name in Note._fields]
        note = Note(*fields)
        is_valid = isinstance(note.what, list) and isinstance(note.python, str) and isinstance(note.size, int)
        is_fork = isinstance(note.parent, str) and KEY.fullmatch(note.parent) is not None
        if (
            not is_valid
            or not isinstance(note.stamps, list)
            or not isinstance(note.shared, list)
            or not (note.parent is None or is_fork)
        ):
            return None
        return note._replace(what=list(map(str, note.what)))

    def is_usable(self) -> bool:
        """Return whether the environment is complete, in its place and unchanged, as far as that is cheap to see."""
        note = self.note()
        try:
            if note is None or note.stamps != stamps(self.venv_dir):
                return False
            shared = [self._shared(str(name)) for name, _size, _time in note.shared]
            return shared == note.shared and self._is_intact(note.parent)
        except (OSError, ValueError, TypeError):
            return False

    def _shared(self, name: str) -> list[Any]:
        status = os.lstat(os.path.join(self.venv_dir, name))
        return [name, status.st_size, int(status.st_mtime)]

    def _is_intact(self, parent: str | None) -> bool:
        status, owner = os.lstat(self.venv_dir), Ownership(self.venv_dir)
        mine = getattr(os, "geteuid", lambda: status.st_uid)()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != mine or not owner.is_in_place():
            return False
        found = owner.parent()
        if parent is None or found is None:
            return parent is found
        parent_dir = self._replace(key=parent).venv_dir
        return same(found, parent_dir) and Ownership(parent_dir).knows_fork(str((owner.purpose() or {}).get("note")))

    def is_sound(self) -> bool:
        """Return whether the environment is usable, and so is everything that a fork needs of it."""
        try:
            return self.is_usable() and defect(Ownership(self.venv_dir)) is None
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
        files = [file.name for file in shareable_files(self.venv_dir)]
        _set_back([*_stamped(self.venv_dir), *(os.path.join(self.venv_dir, name) for name in files)])
        shared = [self._shared(name) for name in files]
        note = Note(what, python, parent, size_of(self.venv_dir), stamps(self.venv_dir), shared)
        write_file(self._note, json.dumps(note._asdict()))

    def touch(self) -> None:
        """Record that the entry, and the one that it is a fork of, have been used now."""
        note = self.note()
        parent = None if note is None or note.parent is None else self._replace(key=note.parent)
        for entry in (self, parent):
            with contextlib.suppress(OSError):
                if entry is not None:
                    os.utime(entry.venv_dir + _NOTE)

    def last_use(self) -> float:
        """Return when the entry was last used, in seconds since the epoch.

        Raises:
            OSError: it has no note.
        """
        return os.stat(self._note).st_mtime

    def distrust(self) -> None:
        """Change the note so that the entry is not used again, but still shown and checked.

        Raises:
            OSError: it cannot be changed.
        """
        if (note := self.note()) is not None:
            write_file(self._note, json.dumps(note._replace(stamps=[])._asdict()))

    def forget(self) -> None:
        """Remove the note, so that the entry is not used again.

        Raises:
            OSError: it cannot be removed.
        """
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
            if KEY.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                yield Entry(store, entry.name)


def write_file(path: str, text: str) -> None:
    """Replace a file of the store at once; only this user can read it.

    Raises:
        OSError: it cannot be written.
    """
    new = f"{path}.{os.urandom(4).hex()}.new"
    try:
        archive.write(new, text.encode("utf-8", "surrogateescape"), executable=False)
        os.chmod(new, 0o600)
        insist(os.replace, new, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise


def stamps(venv_dir: str) -> list[list[Any]]:
    """Return the times of the directories in which a change of the packages shows, in whole seconds.

    Archives of a store keep these times, but may cut their fractions.
    """
    return [[os.path.relpath(path, venv_dir), int(os.stat(path).st_mtime)] for path in _stamped(venv_dir)]


def _set_back(paths: list[str]) -> None:
    """Move the times of files and directories back, so that a change in the same second shows too."""
    for path in paths:
        before = int(os.stat(path).st_mtime) - 2
        os.utime(path, (before, before))


def _stamped(venv_dir: str) -> list[str]:
    return [*CURRENT.package_directories(venv_dir), CURRENT.scripts(venv_dir)]


def size_of(directory: str) -> int:
    """Return the size of all files in a directory, in bytes."""
    total = 0
    for parent, _directories, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size
    return total
