"""The directory of the store, its limit, and the checks that nobody else can write to it."""

import contextlib
import os
import re
from collections.abc import Generator

from venvrunner._create import cache
from venvrunner._venv.file_locks import LockFile
from venvrunner._venv.lock_notes import read_name, write_name
from venvrunner._venv.open_directory import Spot
from venvrunner._venv.paths import absolute
from venvrunner._venv.waiting import WaitPolicy

__tracebackhide__ = True

VARIABLE = "VENVRUNNER_STORE_DIR"
"""The environment variable that overrides the directory."""
SIZE_VARIABLE = "VENVRUNNER_STORE_MAX_SIZE"
"""The environment variable that overrides the limit."""
WAIT = 1800.0
"""Seconds to wait for another process that prepares the same environment, which may include building packages."""
DEFAULT_SIZE = 5 * 10**9
_UNITS = {"": 1, "B": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
_PARTS = ("entries", "locks", "shortcuts", "turns", "wheels")
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# This directory is the store of venvrunner: it can be deleted.\n"
"""Tells backup programs to skip the directory (https://bford.info/cachedir/)."""


def location() -> str:
    """Return the path of the store, whether it exists or not.

    Raises:
        InvalidPathError: the variable has a relative path, and the working directory was deleted.
        FileNotFoundError: there is no directory for it at all.
    """
    path = os.path.expanduser(os.environ.get(VARIABLE, ""))
    if path and not path.startswith("~"):  # a remaining "~" cannot be resolved
        return absolute(path)
    return os.path.join(cache.location(), "store")


def directory() -> str | None:
    """Return the path of the store, which is created if it does not exist; ``None`` if there cannot be one.

    A directory is used only if it belongs to this user, and no other user can write to it: it contains code that runs.
    """
    path = location()
    if cache.private(path, mode=0o700) is None:
        return None
    try:
        for name in _PARTS:
            os.makedirs(os.path.join(path, name), mode=0o700, exist_ok=True)
        with contextlib.suppress(FileExistsError), open(os.path.join(path, "CACHEDIR.TAG"), "x", encoding="utf-8") as file:
            file.write(_TAG)
    except OSError:
        return None
    return path


def parse_size(text: str) -> int:
    """Return a number of bytes.

    >>> parse_size("1GB"), parse_size("1.5 MiB"), parse_size("7")
    (1000000000, 1572864, 7)

    Raises:
        ValueError: the text is not a size.
    """
    match = re.fullmatch(r"\s*(?P<number>\d+(\.\d+)?)\s*(?P<unit>([KMGT]I?)?)B?\s*", text, re.IGNORECASE)
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
    import time  # only where something is prepared

    path = os.path.join(store, "turns", key[:2])
    policy, file = WaitPolicy(path, WAIT), LockFile()
    try:
        number = file.open(Spot.at(path))
        while not file.try_lock():
            time.sleep(policy.pause([read_name(number)]))
        write_name(number)
        yield
    finally:
        file.close()
