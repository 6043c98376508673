"""The cache folder: one file for each prepared environment. Nothing depends on it but time."""

import contextlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterator

from venvrunner._venv.copying import entries
from venvrunner._venv.file_locks import without_waiting
from venvrunner._venv.paths import absolute
from venvrunner._venv.sharing_violations import insist
from venvrunner.exceptions import InvalidPathError

__tracebackhide__ = True

VARIABLE = "VENVRUNNER_CACHE_DIR"
"""The variable that names another folder."""
SUFFIX = ".pack"
_NEW = ".new"
_OURS = re.compile(rf"[0-9a-f]{{32}}{re.escape(SUFFIX)}|[0-9a-f]{{16}}{re.escape(_NEW)}")
"""The names of files that may be removed: somebody may have named a folder that holds other things, Git's packs, say."""
_STORE_TAKES = 60.0
"""Seconds after which a store that is not finished never will be."""


def folder() -> str | None:
    """Return the cache folder, which nobody else can write; ``None`` if there can't be one.

    A folder that others can write is not used, unless it is empty: they may have put code into it. Nothing is removed from it
    either, as it may be any folder that the user has named.
    """
    try:
        path = location()
        os.makedirs(path, mode=0o700, exist_ok=True)
        status = os.lstat(path)
        mine = getattr(os, "geteuid", lambda: status.st_uid)()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != mine:
            return None
        if status.st_mode & 0o022 and hasattr(os, "geteuid"):  # elsewhere the bits say nothing of other users
            os.chmod(path, status.st_mode & ~0o022)
            if os.listdir(path):
                os.chmod(path, status.st_mode)
                return None
    except (OSError, InvalidPathError):
        return None
    return path


def location() -> str:
    """Return where the cache folder is, or would be.

    Without a home directory that this user can write to, as in many containers, that is in the directory for temporary files.

    Raises:
        InvalidPathError: the variable has a relative path, and the working directory was deleted.
        FileNotFoundError: there is no directory for temporary files either.
    """
    path = os.path.expanduser(os.environ.get(VARIABLE, ""))
    if path and not path.startswith("~"):  # else nothing tells where that is
        return absolute(path)
    if not path and (usual := usual_place("venvrunner")) is not None:
        return usual
    import tempfile  # rarely needed

    user = getattr(os, "geteuid", str)()
    return os.path.join(tempfile.gettempdir(), f"venvrunner-cache-{user}")


def usual_place(program: str) -> str | None:
    """Return where the system has the cache of a program; ``None``: this user cannot have a directory there."""
    from platformdirs import user_cache_dir  # slow to import

    try:
        path = user_cache_dir(program, appauthor=False)
    except RuntimeError:  # there is neither a HOME nor an entry for the user
        return None
    if not os.path.isabs(path):  # an older platformdirs has left the "~" there
        return None
    existing = path
    while not os.path.lexists(existing):
        existing = os.path.dirname(existing)
    return path if os.path.isdir(existing) and os.access(existing, os.W_OK | os.X_OK) else None


def load(key: str) -> bytes | None:
    """Return what is stored under a key."""
    path = folder()
    with contextlib.suppress(OSError):
        if path is not None:
            with open(os.path.join(path, key + SUFFIX), "rb", opener=without_waiting) as file:
                return file.read()
    return None


def store(key: str, data: bytes) -> None:
    """Store something, all of it or nothing."""
    path = folder()
    if path is None:
        return
    new = os.path.join(path, os.urandom(8).hex() + _NEW)
    try:
        with open(new, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(data)
        insist(os.replace, new, os.path.join(path, key + SUFFIX))
    except OSError:  # no space, say
        with contextlib.suppress(OSError):
            os.unlink(new)


def files() -> Iterator[os.DirEntry[str]]:
    """Yield the files that this package has put into the cache folder, also those of an interrupted store."""
    with contextlib.suppress(OSError, InvalidPathError):
        for entry in entries(location()):
            if _OURS.fullmatch(entry.name) and not entry.is_symlink() and not entry.is_dir():
                yield entry


def size() -> int:
    """Return how many bytes are in the cache folder, with what is known of interpreters."""
    total = 0
    for folder_path, _folders, names in os.walk(location()):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder_path, name)).st_size
    return total


def prune(is_current: Callable[[bytes], bool]) -> tuple[int, int]:
    """Remove what can't be of use any more: packs that are not current, and what an interrupted store has left.

    Args:
        is_current: tells of a pack whether it can.

    Returns:
        how many files were removed, and how many bytes they had.
    """
    count = freed = 0
    for entry in files():
        with contextlib.suppress(OSError):
            if entry.name.endswith(SUFFIX):
                with open(entry.path, "rb", opener=without_waiting) as file:
                    if is_current(file.read()):
                        continue
            elif time.time() - entry.stat().st_mtime < _STORE_TAKES:
                continue
            freed += entry.stat().st_size
            os.unlink(entry.path)
            count += 1
    return count, freed
