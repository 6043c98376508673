"""Lookup: the entry that some arguments led to before, found without checking the arguments again."""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from venvrunner._create import interpreters
from venvrunner._description import Description
from venvrunner._store import keys, location
from venvrunner._store.entries import KEY, Entry, Prepared, write_file
from venvrunner._venv.file_locks import without_waiting
from venvrunner.environment import get_clean_environment
from venvrunner.exceptions import VenvError

__tracebackhide__ = True

_PLAIN = r"[\w.,<>=!~*+ \[\]()'\";-]+"
"""Requirements without a path or a URL."""
_LOCAL = r"\b(path|directory)\b"
"""What the text of a lock file contains if it lists something by its path, which may change."""
_ARCHIVES = (".whl", ".zip", ".gz", ".tgz", ".bz2", ".xz", ".tar")


class _Shortcut(NamedTuple):
    """The file that names the entry for some arguments."""

    path: str

    def load(self, store: str, since: float) -> Entry | None:
        """Return the entry if it is usable, and what the requirements resolved to still counts."""
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):
            with open(self.path, encoding="utf-8", opener=without_waiting) as file:
                found = json.load(file)
            if found["lock"] is not None and not os.stat(os.path.join(store, "locks", str(found["lock"]))).st_mtime > since:
                return None
            entry = Entry(store, str(found["entry"]))
            if KEY.fullmatch(entry.key) and entry.is_usable():
                return entry
        return None

    def save(self, found: Prepared) -> None:
        """Remember an entry; a failure costs time only."""
        lock = None if found.lock is None else os.path.basename(found.lock)
        with contextlib.suppress(OSError):
            write_file(self.path, json.dumps({"entry": found.entry.key, "lock": lock}))


def find(
    description: Description, since: float, sources: Mapping[str, Any], prepare: Callable[[], Prepared | None]
) -> Prepared | None:
    """Return the entry for a description, as it was found before or as it is prepared now.

    Args:
        description: the description of an environment, unchecked.
        since: the time from which on a resolution of the requirements counts, in seconds since the epoch.
        sources: where packages come from, as keywords of an installation.
        prepare: checks the description and prepares the entry.

    Raises:
        ValueError: the variable for the limit of the store is wrong.
        VenvError: as *prepare* does.
    """
    location.max_size()  # raises if the variable is wrong, before anything is created
    shortcut = store = None
    with contextlib.suppress(VenvError, OSError, TypeError, ValueError):
        store = location.directory()
        shortcut = None if store is None else _shortcut(store, description, sources)
    if store is not None and shortcut is not None and (entry := shortcut.load(store, since)) is not None:
        entry.touch()
        return Prepared(entry)
    found = prepare()
    if found is not None and shortcut is not None and not found.editable:
        shortcut.save(found)
    return found


def _shortcut(store: str, description: Description, sources: Mapping[str, Any]) -> _Shortcut | None:
    """Return the shortcut for a description; ``None`` if something in it may change that only its check would see.

    Raises:
        VenvError, OSError, TypeError, ValueError: something in it is wrong.
    """
    parts = description._asdict()
    requirements = description.requirements
    if isinstance(requirements, str) or not isinstance(requirements, list | tuple) or not all(map(_is_plain, requirements)):
        return None
    parts["requirements"] = sorted(map(str, requirements))
    if description.lock is not None:
        text = getattr(description.lock, "text", None) or _read(description.lock)
        if re.search(_LOCAL, text):
            return None
        parts["lock"] = text
    parts["python"] = None  # it may be found elsewhere now
    for name in ("lock_extras", "lock_groups"):
        parts[name] = _listed(parts[name])
    if parts["installer"] not in {"pip", "uv"}:
        return None
    base = keys.base(interpreters.find(description.python), description)
    settings = keys.settings(description.installer, get_clean_environment(), os.getcwd())
    return _Shortcut(os.path.join(store, "shortcuts", keys.digest(parts, base, settings, dict(sources))))


def _listed(values: Iterable[str] | None) -> list[str] | None:
    if values is None or isinstance(values, list | tuple):
        return None if values is None else [*values]
    raise TypeError  # an iterator can be read once only


def _is_plain(requirement: object) -> bool:
    return (
        isinstance(requirement, str)
        and re.fullmatch(_PLAIN, requirement) is not None
        and not requirement.strip().startswith((".", "-"))
        and not requirement.strip().lower().endswith(_ARCHIVES)
    )


def _read(path: str | os.PathLike[str]) -> str:
    with open(path, encoding="utf-8", opener=without_waiting) as file:
        return file.read()
