"""Locking: requirements that an installer resolves into a lock file."""

import re
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from venvrunner._install import installation
from venvrunner._install.installer import Installer, Target
from venvrunner._install.portable import check_directories, outside
from venvrunner._install.pylock import Lock, LockText, read_lock, unusable
from venvrunner._install.replacement import accept, lock_path, replace_lock, replacement
from venvrunner._install.request import Request
from venvrunner._install.steps import Steps
from venvrunner._process.invocation import CompletedCommand
from venvrunner._types import StrPath
from venvrunner.exceptions import InstallationError, InvalidRequirementError

__tracebackhide__ = True

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


def write_lock(
    installer: Installer, order: LockOrder, target: Target, check: Callable[[Lock], object] = accept
) -> Steps[subprocess.CompletedProcess[str]]:
    """Yield the command that resolves a request, be sent its outcome, and replace a lock file with the result.

    A failure leaves the old file as it was, and no other file beside it.

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
    # Beside the old file, because pip writes paths that are relative to its directory. And that this can be written to is known
    # before the installer starts.
    with replacement(path) as new:
        try:
            done = yield from installation.lock(installer, order.request, target, order.options, new, universal=order.universal)
        except InstallationError as exc:
            if match := _OUTSIDE.search(exc.stderr or ""):
                raise outside(match["path"], path, match["path"]) from exc
            raise
        if isinstance(done, CompletedCommand):  # a patched log_run writes nothing
            replace_lock(path, _contents(new, path), new, check)
    return done


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
