"""The directory of the store, its limit, and the checks that no other user can write to it."""

import contextlib
import os
import re
import stat
from collections.abc import Generator

from venvrunner._create import cache
from venvrunner._process import context
from venvrunner._venv.file_locks import LockFile, without_waiting
from venvrunner._venv.lock_notes import read_name, write_name
from venvrunner._venv.open_directory import Spot
from venvrunner._venv.waiting import WaitPolicy
from venvrunner.exceptions import InvalidPathError

__tracebackhide__ = True

VARIABLE = "VENVRUNNER_STORE_DIR"
"""The environment variable that overrides the directory."""
SIZE_VARIABLE = "VENVRUNNER_STORE_MAX_SIZE"
"""The environment variable that overrides the limit."""
WAIT = 1800.0
"""Seconds to wait for another process that prepares the same environment, which may include building packages."""
DEFAULT_SIZE = 5 * 10**9
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
_PARTS = ("entries", "locks", "shortcuts", "turns", "wheels")
_TAG = "CACHEDIR.TAG"
"""The first file of a store: it tells backup programs to skip the directory (https://bford.info/cachedir/)."""
_TEXT = "Signature: 8a477f597d28d172789f06886806bc55\n# This directory is the store of venvrunner: it can be deleted.\n"


def location() -> str:
    """Return the path of the store, whether it exists or not.

    Raises:
        InvalidPathError: the variable has a relative path, and the working directory was deleted.
        FileNotFoundError: no directory can be found for it.
    """
    return cache.chosen_by(VARIABLE) or os.path.join(cache.location(), "store")


def directory() -> str | None:
    """Return the path of the store, which is created if it does not exist; ``None`` if there cannot be one.

    A directory is used only if it belongs to this user, and no other user can write to it or replace it: it contains code that
    runs. An existing directory with other contents is not used either, because what is old in a store is removed.

    Raises:
        InvalidPathError, OSError: no directory can be found for it.
    """
    path = location()
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        if _is_replaceable(path) or not _is_store(path) or cache.private(path, mode=0o700) is None:
            return None
        with contextlib.suppress(FileExistsError), open(os.path.join(path, _TAG), "x", encoding="utf-8") as file:
            file.write(_TEXT)
        for name in _PARTS:
            os.makedirs(os.path.join(path, name), mode=0o700, exist_ok=True)
    except OSError:
        return None
    return path


def existing() -> str:
    """Return the path of the store for a command that shows or removes what is in it; it need not exist.

    Raises:
        InvalidPathError: there is something else at this path, or another user can change it.
        OSError: it cannot be read, or no directory can be found for it.
    """
    path = location()
    if os.path.lexists(path) and (_is_replaceable(path) or not _is_store(path)):
        msg = f"{path!r} is not a store that only this user can change. Name one, or a new directory, with {VARIABLE}."
        raise InvalidPathError(msg)
    return path


def _is_store(path: str) -> bool:
    """Return whether a directory is a store, or an empty one, which becomes one.

    Raises:
        OSError: it cannot be read.
    """
    if os.path.islink(path):
        return False
    try:
        with open(os.path.join(path, _TAG), encoding="utf-8", errors="replace", opener=without_waiting) as file:
            return file.read(len(_TEXT)) in {_TEXT, ""}  # empty: another process is writing it, or was killed
    except FileNotFoundError:
        return not set(os.listdir(path)) - {_TAG}


def _is_replaceable(path: str) -> bool:
    """Return whether a directory belongs to another user, or another user can put a different one in its place.

    Raises:
        OSError: it cannot be read.
    """
    if not hasattr(os, "geteuid"):  # on Windows, the mode does not describe other users' access
        return False
    parent, trusted = os.path.dirname(path), {0, os.geteuid()}
    mode = os.stat(parent).st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        return True
    return not trusted.issuperset(status.st_uid for status in (os.lstat(path), os.lstat(parent), os.stat(parent)))


def parse_size(text: str) -> int:
    """Return a number of bytes.

    >>> parse_size("1GB"), parse_size("1.5 MiB"), parse_size("7")
    (1000000000, 1572864, 7)

    Raises:
        ValueError: the text is not a size.
    """
    match = re.fullmatch(r"\s*(?P<number>\d{1,15}(\.\d{1,15})?)\s*(?P<unit>([KMGT]I?)?)B?\s*", text, re.IGNORECASE | re.ASCII)
    if match is None:
        msg = f"{text!r} is not a size. Write for instance 500MB or 5GB."
        raise ValueError(msg)
    return int(float(match["number"]) * _UNITS[match["unit"].upper()])


def max_size() -> int:
    """Return the limit of the store in bytes.

    Raises:
        ValueError: the variable is not a size.
    """
    text = os.environ.get(SIZE_VARIABLE, "")
    try:
        return parse_size(text) if text.strip() else DEFAULT_SIZE
    except ValueError as exc:
        msg = f"{SIZE_VARIABLE}: {exc}"
        raise ValueError(msg) from None


@contextlib.contextmanager
def turn(store: str, key: str) -> Generator[None]:
    """Let one process at a time prepare what a key identifies; the others wait, and log for which process.

    Raises:
        VenvInUseError: another process still prepares it after :data:`WAIT` seconds.
        OSError: the lock cannot be taken.
    """
    path = _turn_path(store, key)
    policy, file = WaitPolicy(store, WAIT), LockFile()
    try:
        number = file.open(Spot.at(path))
        while not file.try_lock():
            context.sleep(policy.pause([read_name(number)]))
        write_name(number)
        yield
    finally:
        file.close()


@contextlib.contextmanager
def free_turn(store: str, key: str) -> Generator[bool]:
    """Yield whether no process prepares what a key identifies; if so, none does until the end of the block."""
    file = LockFile()
    try:
        is_free = False
        with contextlib.suppress(OSError):
            number = file.open(Spot.at(_turn_path(store, key)))
            if is_free := file.try_lock():
                write_name(number)
        yield is_free
    finally:
        file.close()


def _turn_path(store: str, key: str) -> str:
    """Return the file to lock: a fixed number of them serves all keys."""
    return os.path.join(store, "turns", key[:2])
