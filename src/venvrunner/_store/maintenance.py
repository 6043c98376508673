"""Maintenance of the store: what is in it, what is removed first, and whether it is intact."""

import base64
import contextlib
import csv
import hashlib
import os
import re
import shutil
import time
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from venvrunner._process import context
from venvrunner._store import location
from venvrunner._store.entries import KEY, Entry, all_entries, size_of
from venvrunner._venv import deletion
from venvrunner._venv.change import STATE
from venvrunner._venv.copying import entries
from venvrunner._venv.file_locks import without_waiting
from venvrunner._venv.health import defect
from venvrunner._venv.layout import CURRENT
from venvrunner._venv.state import Ownership
from venvrunner._venv.users import User
from venvrunner.exceptions import VenvError

__tracebackhide__ = True

_DAY = 86_400.0
_ABANDONED = {"entries": 3600.0, "locks": 3600.0, "shortcuts": 3600.0, "wheels": _DAY}
"""Seconds after which what an interrupted preparation has left is removed: a file takes an instant, but a wheel hours."""
_LEFT = {
    "entries": re.compile(rf"{KEY.pattern}\.json\.[0-9a-f]{{8}}\.new"),
    "locks": re.compile(rf"pylock\.{KEY.pattern}\.toml\.[0-9a-f]{{8}}\.new"),
    "shortcuts": re.compile(rf"{KEY.pattern}\.[0-9a-f]{{8}}\.new"),
    "wheels": re.compile(r"venvrunner-\w+"),
}
"""The names of what is written before it gets its place, by the directory of the store that it is in."""
_KEPT = {"locks": re.compile(rf"pylock\.{KEY.pattern}\.toml"), "shortcuts": KEY}
"""The names of small files that are removed when they are old, by the directory of the store that they are in."""
_NOTHING = re.compile(r"(?!)")
_NOTE = re.compile(rf"({KEY.pattern})\.json")
_ALGORITHMS = {"sha256", "sha384", "sha512"}
_TEMPORARY = re.compile(r".*[/\\]venvrunner-[a-z0-9_]{8}[/\\]venv", re.DOTALL)
"""The paths of temporary environments; a fork anywhere else stays when its process ends."""
_MANY = 50
"""How many notes of forks an environment may have before those of forks that are gone are removed."""


class Item(NamedTuple):
    """One entry or wheel, as `venvrunner store list` shows it.

    Attributes:
        kind: ``"environment"`` or ``"wheel"``.
        key: the name of its directory.
        what: what it contains.
        python: its interpreter; ``""`` for a wheel.
        size: its size in bytes.
        last_use: when it was last used, in seconds since the epoch.
        path: its directory.
    """

    kind: str
    key: str
    what: list[str]
    python: str
    size: int
    last_use: float
    path: str


def items(store: str) -> list[Item]:
    """Return everything in a store, the most recently used first."""
    found = [*_environments(store), *_wheels(store)]
    return sorted(found, key=lambda item: item.last_use, reverse=True)


def _environments(store: str) -> Iterator[Item]:
    for entry in all_entries(store):
        with contextlib.suppress(OSError):
            path = entry.venv_dir
            if (note := entry.note()) is None:  # unfinished
                yield Item("environment", entry.key, [], "", size_of(path), os.stat(path).st_mtime, path)
            else:
                yield Item("environment", entry.key, note.what, note.python, note.size, entry.last_use(), path)


def _wheels(store: str) -> Iterator[Item]:
    with contextlib.suppress(OSError):
        for directory in entries(os.path.join(store, "wheels")):
            with contextlib.suppress(OSError):
                if KEY.fullmatch(directory.name) and directory.is_dir(follow_symlinks=False):
                    names = sorted(os.listdir(directory.path))
                    last = os.stat(directory.path).st_mtime
                    yield Item("wheel", directory.name, names, "", size_of(directory.path), last, directory.path)


def prune(store: str, max_size: int, unused_for: float | None = None, keep: Collection[str] = ()) -> tuple[int, int]:
    """Remove what was used least recently, until the store is small enough; nothing that is in use.

    What an interrupted preparation has left is removed too, and so are old resolutions.

    Args:
        store: the directory of the store.
        max_size: the number of bytes that may stay.
        unused_for: also remove everything that has not been used for so many seconds; default: nothing more.
        keep: the keys of entries that stay.

    Returns:
        the number of removed items, and their total size in bytes.
    """
    left = list(reversed(items(store)))
    total, now = sum(item.size for item in left), time.time()
    count = freed = 0
    # An entry can be removed only after its forks; twice is enough, since no fork in the store has forks there.
    for item in (*left, *(item for item in left if item.kind == "environment")):
        is_old = unused_for is not None and now - item.last_use >= unused_for
        is_unfinished = item.kind == "environment" and not item.python
        if item.key in keep or not (is_old or is_unfinished or total > max_size) or not os.path.lexists(item.path):
            continue
        if _remove(store, item):
            total, count, freed = total - item.size, count + 1, freed + item.size
    _tidy(store, unused_for)
    return count, freed


def _remove(store: str, item: Item) -> bool:
    """Remove an item, and return whether that was possible: it may be in use, or another process may be creating it."""
    if item.kind == "wheel":
        shutil.rmtree(item.path, ignore_errors=True)
        return not os.path.lexists(item.path)
    return remove_entry(Entry(store, item.key))


def remove_entry(entry: Entry) -> bool:
    """Remove an entry unless it is in use or being created, and return whether it was removed."""
    with location.free_turn(entry.store, entry.key) as is_free:
        return is_free and discard(entry)


def discard(entry: Entry) -> bool:
    """Remove an entry unless it is in use, and return whether it was removed; call it in the turn of the entry."""
    try:
        # Unlike for a deletion by its user, a runner of this caller counts too.
        if Ownership(entry.venv_dir).users(context.NO_CALLER):
            return False
        thaw(entry.venv_dir)
        deletion.delete(entry.venv_dir, User(), wait=0)
        entry.forget()
    except (VenvError, OSError):
        return False
    return True


def thaw(venv_dir: str) -> None:
    """Remove the notes of temporary forks whose process was killed: they would keep the entry for as long as they exist.

    Raises:
        VenvError, OSError: another process changes the entry, or it cannot be read.
    """
    if not Ownership(venv_dir).count_fork_notes():
        return
    with Ownership(venv_dir).held(0, follow=False) as change:
        for fork_dir in Ownership(venv_dir, change.state).forks():
            fork = Ownership(fork_dir)
            note = (fork.purpose() or {}).get("note")
            if isinstance(note, str) and _TEMPORARY.fullmatch(fork_dir) and not _is_used(fork):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(venv_dir, STATE, os.path.basename(note)))


def _is_used(fork: Ownership) -> bool:
    """Return whether a fork has a runner, a running command or forks."""
    return bool(fork.users(context.NO_CALLER) or fork.forks())


def _tidy(store: str, unused_for: float | None) -> None:
    """Remove what is not listed: leftovers, resolutions that are old, notes without an entry, and notes of former forks."""
    limit = 30 * _DAY if unused_for is None else unused_for
    for kind, pattern in _LEFT.items():
        with contextlib.suppress(OSError):
            for one in entries(os.path.join(store, kind)):
                with contextlib.suppress(OSError):
                    age = time.time() - one.stat(follow_symlinks=False).st_mtime
                    if pattern.fullmatch(one.name) and age >= _ABANDONED[kind]:
                        shutil.rmtree(one.path) if one.is_dir(follow_symlinks=False) else os.unlink(one.path)
                    elif _KEPT.get(kind, _NOTHING).fullmatch(one.name) and age >= limit:
                        os.unlink(one.path)
                    elif kind == "entries" and (found := _NOTE.fullmatch(one.name)):
                        _forget_if_gone(Entry(store, found[1]))
    for entry in all_entries(store):
        with contextlib.suppress(OSError, VenvError):
            _forget_former_forks(entry)


def _forget_if_gone(entry: Entry) -> None:
    with location.free_turn(entry.store, entry.key) as is_free:
        if is_free and not os.path.lexists(entry.venv_dir):
            entry.forget()


def _forget_former_forks(entry: Entry) -> None:
    owner = Ownership(entry.venv_dir)
    if owner.count_fork_notes() > _MANY:
        with owner.held(0, follow=False) as change:
            Ownership(entry.venv_dir, change.state).forks()


def verify(store: str) -> dict[str, list[str]]:
    """Compare every file of every entry with the RECORD of its package, and return what is wrong, by key.

    A damaged entry is not used again: it is created anew when it is next needed. Damaged wheels are removed.
    """
    found: dict[str, list[str]] = {}
    for entry in all_entries(store):
        # Without a note it is unfinished, so that it is not used.
        if entry.note() is not None and (wrong := list(_defects(entry))):
            found[entry.key] = wrong
            entry.distrust()
    for wheel in _wheels(store):
        if wrong := [f"{name!r} is damaged" for name in wheel.what if not _is_whole(os.path.join(wheel.path, name))]:
            found[wheel.key] = wrong
            shutil.rmtree(wheel.path, ignore_errors=True)
    return found


def _is_whole(path: str) -> bool:
    import zipfile  # slow to import
    import zlib

    try:
        with zipfile.ZipFile(path) as wheel:
            return wheel.testzip() is None
    except (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error):
        return False


def _defects(entry: Entry) -> Iterator[str]:
    if Ownership(entry.venv_dir).purpose() is None:
        yield "it is not an environment"
    elif (reason := defect(Ownership(entry.venv_dir))) is not None:
        yield reason
    elif not entry.is_usable():
        yield "something was installed or removed"
    with contextlib.suppress(FileNotFoundError):
        for directory in CURRENT.package_directories(entry.venv_dir):
            for one in entries(directory):
                if one.name.endswith(".dist-info") and one.is_dir():
                    yield from _wrong_files(directory, os.path.join(one.path, "RECORD"))


def _wrong_files(directory: str, record: str) -> Iterator[str]:
    try:
        with open(record, encoding="utf-8", newline="", opener=without_waiting) as file:
            rows: list[Any] = list(csv.reader(file))
    except (OSError, ValueError, csv.Error):
        yield f"{record!r} cannot be read"
        return
    for row in rows:
        path = os.path.normpath(os.path.join(directory, row[0])) if row else ""
        algorithm, _, expected = row[1].partition("=") if len(row) > 1 else ("", "", "")
        if not path or algorithm not in {"", *_ALGORITHMS}:
            continue
        if not expected:
            # Bytecode is written and replaced at any time, and virtualenv's mark of its own files is not kept.
            if "__pycache__" not in path and not path.endswith((".pyc", ".virtualenv")) and not os.path.lexists(path):
                yield f"{path!r} is gone"
            continue
        try:
            with open(path, "rb", opener=without_waiting) as file:
                actual = hashlib.file_digest(file, algorithm).digest()
        except OSError:
            yield f"{path!r} is gone"
            continue
        if base64.urlsafe_b64encode(actual).rstrip(b"=").decode() != expected.rstrip("="):
            yield f"{path!r} has changed"
