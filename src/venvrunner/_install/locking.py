"""Lock files written here: resolved by an installer, checked, and put in place of the old file at once."""

import contextlib
import os
import re
import stat
import subprocess
import tomllib
from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any, NamedTuple

from venvrunner._install import installation
from venvrunner._install.installation import Installer, Target
from venvrunner._install.portable import check_directories, outside, portable
from venvrunner._install.pylock import Lock, LockText, read_lock, unusable
from venvrunner._install.request import Request
from venvrunner._install.steps import Steps
from venvrunner._install.toml import lock_text
from venvrunner._process.critical_section import surely
from venvrunner._process.invocation import CompletedCommand
from venvrunner._types import StrPath
from venvrunner._venv.paths import absolute
from venvrunner._venv.sharing_violations import insist
from venvrunner.exceptions import InstallationError, InvalidPathError, InvalidRequirementError

__tracebackhide__ = True

_NAME = r"pylock\.([^.]+\.)?toml"
"""The names that installers recognize (PEP 751)."""
_OUTSIDE = re.compile(r"^ValueError: (?P<quote>['\"])(?P<path>.+?)(?P=quote) is not in the subpath of ", re.MULTILINE)
"""The message of pip for a directory that is not below that of the lock file."""


class LockOrder(NamedTuple):
    """One checked order of a lock file.

    Attributes:
        path: the absolute path of the lock file.
        request: what to resolve.
        options: the keywords of the call.
        universal: resolve for all platforms and Pythons.
    """

    path: str
    request: Request
    options: Mapping[str, Any]
    universal: bool


def make_order(path: StrPath, request: Request, options: Mapping[str, Any], universal: object) -> LockOrder:
    """Check an order before anything starts.

    Raises:
        TypeError: a value has the wrong type.
        InvalidPathError: the file cannot have this name, or cannot be written.
        InvalidRequirementError: there is nothing to lock.
        LockFileError: a directory is outside the lock file's own.
    """
    if not isinstance(universal, bool):
        msg = f"universal must be True or False, not {type(universal).__name__}."
        raise TypeError(msg)
    found = lock_path(path)
    if request.is_empty():
        msg = "there is nothing to lock. Name a requirement, a path, a URL, a requirements file or a dependency group."
        raise InvalidRequirementError(msg)
    check_directories((*request.requirements, *request.editable), found)
    return LockOrder(found, request, options, universal)


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


def _accept(_lock: Lock) -> None:
    """Accept every valid lock file."""


def write_lock(
    installer: Installer, order: LockOrder, target: Target, check: Callable[[Lock], object] = _accept
) -> Steps[subprocess.CompletedProcess[str]]:
    """Yield the command that resolves a request, be sent its outcome, and replace a lock file with the result.

    If anything fails, the old file keeps its contents, and there is no other file beside it.

    Args:
        installer: the installer whose resolver is used.
        order: what to lock.
        target: the environment that the packages are selected for.
        check: called with the lock file before it replaces the old one; it may raise.

    Raises:
        InstallationError: the request cannot be resolved.
        LockFileError: the installer wrote a file that is not valid, or a directory is outside the lock file's own.
        InvalidPathError: the file cannot be written.
    """
    path = order.path
    # Beside the old file, because pip writes paths that are relative to its directory.
    new = os.path.join(os.path.dirname(path), f"pylock.{os.urandom(8).hex()}.toml")
    try:
        with _writing(path), open(new, "xb"):
            pass  # that the directory can be written to is known before the installer starts
        os.unlink(new)  # uv would prefer the versions in an existing file
        done = yield from installation.lock(installer, order.request, target, order.options, new, universal=order.universal)
        if isinstance(done, CompletedCommand):  # a patched log_run writes nothing
            replace_lock(path, _contents(new, path), new, check)
    except InstallationError as exc:
        if match := _OUTSIDE.search(exc.stderr or ""):
            raise outside(match["path"], path, match["path"]) from exc
        raise
    finally:
        surely(partial(_remove, new))
    return done


def replace_lock(path: str, table: Mapping[str, Any], new: str, check: Callable[[Lock], object] = _accept) -> None:
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
        with contextlib.suppress(FileNotFoundError):
            os.chmod(new, stat.S_IMODE(os.stat(path).st_mode))
        insist(os.replace, new, path)


@contextlib.contextmanager
def _writing(path: str) -> Generator[None]:
    try:
        yield
    except OSError as exc:
        msg = f"the lock file {path!r} cannot be written: {exc.strerror or exc}."
        raise InvalidPathError(msg) from exc


def _contents(new: str, path: str) -> dict[str, Any]:
    """Return the contents of the lock file that an installer has written, after a check."""
    try:
        with open(new, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        raise unusable(path, "the installer has written none", "Check env=, extra_env= and configuration files.") from None
    except (OSError, ValueError) as exc:
        raise unusable(path, exc) from exc
    read_lock(LockText(path, text))
    return tomllib.loads(text)


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
