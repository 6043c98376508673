"""The cache directory: one file for each prepared environment. Without it, everything works, but more slowly."""

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
"""The environment variable that overrides the directory."""
SUFFIX = ".pack"
_NEW = ".new"
_OURS = re.compile(rf"[0-9a-f]{{32}}{re.escape(SUFFIX)}|[0-9a-f]{{16}}{re.escape(_NEW)}")
"""The names of files that may be removed: the variable may name a directory with other files, such as Git's pack files."""
_STORE_TAKES = 60.0
"""Seconds after which an unfinished write counts as interrupted."""


def directory() -> str | None:
    """Return the cache directory, which only this user can write to; ``None`` if there cannot be one.

    A directory that other users can write to is not used unless it is empty, because it may contain their code. Nothing is
    removed from it either, because the variable may name any directory.
    """
    try:
        return private(location())
    except (OSError, InvalidPathError):
        return None


def private(path: str, mode: int = 0o755) -> str | None:
    """Return a directory that only this user can write to, created if it does not exist; ``None`` if there cannot be one.

    Args:
        path: the directory.
        mode: the permissions that it may have at most.
    """
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        status = os.lstat(path)
        mine = getattr(os, "geteuid", lambda: status.st_uid)()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != mine:
            return None
        others = status.st_mode & 0o777 & ~mode
        if others and hasattr(os, "geteuid"):  # on Windows, the mode does not describe other users' access
            os.chmod(path, status.st_mode & ~others)
            if status.st_mode & 0o022 and os.listdir(path):
                os.chmod(path, status.st_mode)
                return None
    except OSError:
        return None
    return path


def location() -> str:
    """Return the path of the cache directory, whether it exists or not.

    Without a writable home directory, as in many containers, it is in the directory for temporary files.

    Raises:
        InvalidPathError: the variable has a relative path, and the working directory was deleted.
        FileNotFoundError: there is no directory for temporary files either.
    """
    if (chosen := chosen_by(VARIABLE)) is not None:
        return chosen
    if not os.environ.get(VARIABLE) and (usual := usual_location("venvrunner")) is not None:
        return usual
    import tempfile  # rarely needed

    user = getattr(os, "geteuid", str)()
    return os.path.join(tempfile.gettempdir(), f"venvrunner-cache-{user}")


def chosen_by(variable: str) -> str | None:
    """Return the absolute path that an environment variable names; ``None`` if it names none, or a home that is unknown.

    Raises:
        InvalidPathError: the path is relative, and the working directory was deleted.
    """
    path = os.path.expanduser(os.environ.get(variable, ""))
    return absolute(path) if path and not path.startswith("~") else None


def usual_location(program: str) -> str | None:
    """Return the system's cache directory for a program; ``None`` if this user cannot create it."""
    from platformdirs import user_cache_dir  # slow to import

    try:
        path = user_cache_dir(program, appauthor=False)
    except RuntimeError:  # there is neither a HOME nor a passwd entry for the user
        return None
    if not os.path.isabs(path):  # an older platformdirs leaves the "~"
        return None
    existing = path
    while not os.path.lexists(existing):
        existing = os.path.dirname(existing)
    return path if os.path.isdir(existing) and os.access(existing, os.W_OK | os.X_OK) else None


def load(key: str) -> bytes | None:
    """Return the data stored under a key; ``None`` if there is none."""
    path = directory()
    with contextlib.suppress(OSError):
        if path is not None:
            with open(os.path.join(path, key + SUFFIX), "rb", opener=without_waiting) as file:
                return file.read()
    return None


def store(key: str, data: bytes) -> None:
    """Store data under a key atomically; a failure is ignored."""
    path = directory()
    if path is None:
        return
    new = os.path.join(path, os.urandom(8).hex() + _NEW)
    try:
        with open(new, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(data)
        insist(os.replace, new, os.path.join(path, key + SUFFIX))
    except OSError:  # for example a full disk
        with contextlib.suppress(OSError):
            os.unlink(new)


def files() -> Iterator[os.DirEntry[str]]:
    """Yield the files that this package has written to the cache directory, including those of an interrupted write."""
    with contextlib.suppress(OSError, InvalidPathError):
        for entry in entries(location()):
            if _OURS.fullmatch(entry.name) and not entry.is_symlink() and not entry.is_dir():
                yield entry


def size() -> int:
    """Return the size of the cache directory in bytes, including the cached facts about interpreters."""
    total = 0
    for directory_path, _directories, names in os.walk(location()):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(directory_path, name)).st_size
    return total


def prune(is_current: Callable[[bytes], bool]) -> tuple[int, int]:
    """Remove archives that are no longer current, and the files of interrupted writes.

    Args:
        is_current: returns whether an archive is current.

    Returns:
        the number of removed files, and their total size in bytes.
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
