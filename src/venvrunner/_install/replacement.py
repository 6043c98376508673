"""The replacement of a lock file: named as installers expect it, checked, and put in place of the old file at once."""

import os
import re
import stat
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from venvrunner._install.portable import portable
from venvrunner._install.pylock import DIGESTS, Lock, LockText, read_lock, unusable
from venvrunner._install.toml import lock_text
from venvrunner._process.critical_section import surely
from venvrunner._types import StrPath
from venvrunner._venv.paths import absolute
from venvrunner._venv.sharing_violations import insist
from venvrunner.exceptions import InvalidPathError

__tracebackhide__ = True

_NAME = r"pylock\.([^.]+\.)?toml"
"""The names that installers recognize (PEP 751)."""


def lock_path(path: StrPath) -> str:
    """Return the absolute path of a lock file to write, after a check.

    Raises:
        TypeError: *path* is not a path.
        InvalidPathError: no installer would recognize the name, or the file cannot be written.

    >>> lock_path("requirements.lock")
    Traceback (most recent call last):
    ...
    venvrunner.exceptions.InvalidPathError: 'requirements.lock' is not the name of a lock file. \
Use 'pylock.toml', or 'pylock.NAME.toml' without dots in NAME (PEP 751).
    """
    if not isinstance(path, str | os.PathLike):
        msg = f"path must be a str or a path, such as 'pylock.toml', not {type(path).__name__}."
        raise TypeError(msg)
    name: str = os.path.basename(os.fspath(path))
    if not re.fullmatch(_NAME, name) or not name.isprintable():
        msg = (
            f"{name!r} is not the name of a lock file. Use 'pylock.toml', or 'pylock.NAME.toml' without dots in NAME (PEP 751)."
        )
        raise InvalidPathError(msg)
    found = absolute(str(os.fspath(path)))
    if not os.path.isdir(os.path.dirname(found)):
        msg = f"the lock file {found!r} cannot be written: its directory does not exist. Create it first."
        raise InvalidPathError(msg)
    if os.path.isdir(found):
        msg = f"the lock file {found!r} cannot be written: it is a directory. Use another name."
        raise InvalidPathError(msg)
    return found


def accept(_lock: Lock) -> None:
    """Accept every valid lock file."""


def check_hashes(lock: Lock) -> None:
    """Check that each file of a lock file has a hash that both installers accept.

    Raises:
        LockFileError: a file has none.
    """
    for package in lock.content.packages:
        for source in (*(package.wheels or ()), package.sdist, package.archive):
            if source is not None and not DIGESTS.keys() & source.hashes.keys():
                why = f"the index has no hash of {', '.join(reversed(DIGESTS))} for {package.name!r}"
                raise unusable(lock.path, why, "Use lock(), which computes them.")


def replace_lock(path: str, table: Mapping[str, Any], new: str, check: Callable[[Lock], object] = accept) -> None:
    """Replace a lock file at once, after a check.

    Args:
        path: the lock file.
        table: its contents.
        new: the path of a file beside it, which becomes the lock file.
        check: called with the lock file before it replaces the old one; it may raise.

    Raises:
        LockFileError: the contents are not valid.
        InvalidPathError: the file cannot be written.
    """
    text = lock_text(portable(table, path))
    check(read_lock(LockText(path, text)))
    with _writing(path):
        with open(new, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        with suppress(FileNotFoundError):
            os.chmod(new, stat.S_IMODE(os.stat(path).st_mode))
        insist(os.replace, new, path)


@contextmanager
def replacement(path: str) -> Generator[str]:
    """Yield the path of a file beside a lock file that may replace it; it does not exist, and at the end it is removed.

    Raises:
        InvalidPathError: no file can be written in that directory.
    """
    new = os.path.join(os.path.dirname(path), f"pylock.{os.urandom(8).hex()}.toml")
    try:
        with _writing(path), open(new, "xb"):
            pass
        os.unlink(new)  # uv would prefer the versions in an existing file
        yield new
    finally:
        surely(partial(_remove, new))


@contextmanager
def _writing(path: str) -> Generator[None]:
    try:
        yield
    except OSError as exc:
        msg = f"the lock file {path!r} cannot be written: {exc.strerror or exc}."
        raise InvalidPathError(msg) from exc


def _remove(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)
