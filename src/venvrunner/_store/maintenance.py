"""Maintenance of the store: what is in it, what is removed first, and whether it is intact."""

import base64
import contextlib
import csv
import hashlib
import os
import shutil
import time
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple, cast

from venvrunner._store.entries import Entry, all_entries, size_of
from venvrunner._venv import deletion
from venvrunner._venv.copying import entries
from venvrunner._venv.file_locks import without_waiting
from venvrunner._venv.layout import CURRENT
from venvrunner._venv.state import Ownership
from venvrunner._venv.users import User
from venvrunner.exceptions import VenvError

__tracebackhide__ = True

_ABANDONED = 86_400.0
"""Seconds after which what an interrupted preparation has left is removed."""


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
            note = entry.note()
            if not note:  # unfinished
                path = entry.venv_dir
                yield Item("environment", entry.key, [], "", size_of(path), os.stat(path).st_mtime, path)
                continue
            what = list(map(str, cast("list[object]", note.get("what") or [])))
            size = int(note.get("size") or 0)
            yield Item("environment", entry.key, what, str(note.get("python")), size, entry.last_use(), entry.venv_dir)


def _wheels(store: str) -> Iterator[Item]:
    with contextlib.suppress(OSError):
        for directory in entries(os.path.join(store, "wheels")):
            with contextlib.suppress(OSError):
                names = sorted(os.listdir(directory.path))
                last = os.stat(directory.path).st_mtime
                yield Item("wheel", directory.name, names, "", size_of(directory.path), last, directory.path)


def prune(store: str, max_size: int, unused_for: float | None = None, keep: Collection[str] = ()) -> tuple[int, int]:
    """Remove what was used least recently, until the store is small enough; nothing that is in use.

    Args:
        store: the directory of the store.
        max_size: the number of bytes that may stay.
        unused_for: also remove everything that has not been used for so many seconds; default: nothing more.
        keep: the keys of entries that stay.

    Returns:
        the number of removed items, and their total size in bytes.
    """
    left = items(store)
    total, now = sum(item.size for item in left), time.time()
    count = freed = 0
    for item in reversed(left):
        is_old = unused_for is not None and now - item.last_use >= unused_for
        is_abandoned = item.kind == "environment" and not item.python and now - item.last_use >= _ABANDONED
        if item.key in keep or not (is_old or is_abandoned or total > max_size):
            continue
        if _remove(store, item):
            total, count, freed = total - item.size, count + 1, freed + item.size
    _remove_locks(store, unused_for)
    return count, freed


def _remove(store: str, item: Item) -> bool:
    if item.kind == "wheel":
        shutil.rmtree(item.path, ignore_errors=True)
        return not os.path.exists(item.path)
    try:
        if not item.python:  # unfinished: another process may create it now
            Entry(store, item.key).forget()
        deletion.delete(item.path, User(), wait=0)
        Entry(store, item.key).forget()
    except (VenvError, OSError):  # it is in use
        return False
    return True


def _remove_locks(store: str, unused_for: float | None) -> None:
    """Remove resolutions that are old: each is a small file, which a later one replaces."""
    limit = 30 * _ABANDONED if unused_for is None else unused_for
    with contextlib.suppress(OSError):
        for file in entries(os.path.join(store, "locks")):
            with contextlib.suppress(OSError):
                if time.time() - file.stat().st_mtime >= limit:
                    os.unlink(file.path)


def verify(store: str) -> dict[str, list[str]]:
    """Compare every file of every entry with the RECORD of its package, and return what is wrong, by key.

    A damaged entry is not used again: it is created anew when it is next needed.
    """
    found: dict[str, list[str]] = {}
    for entry in all_entries(store):
        if not entry.note():
            continue  # unfinished, so that it is not used
        wrong = list(_defects(entry))
        if wrong:
            found[entry.key] = wrong
            entry.forget()
    return found


def _defects(entry: Entry) -> Iterator[str]:
    if Ownership(entry.venv_dir).purpose() is None:
        yield "it is not an environment"
    elif not entry.is_usable():
        yield "something was installed or removed"
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
        if not path or not expected or algorithm not in hashlib.algorithms_guaranteed:
            continue
        try:
            with open(path, "rb", opener=without_waiting) as file:
                actual = hashlib.file_digest(file, algorithm).digest()
        except OSError:
            yield f"{path!r} is gone"
            continue
        if base64.urlsafe_b64encode(actual).rstrip(b"=").decode() != expected.rstrip("="):
            yield f"{path!r} has changed"
