"""Lock files written here: resolved by an installer, checked, and put in place of the old file at once."""

import contextlib
import os
import re
import subprocess
from collections.abc import Mapping
from typing import Any

from venvrunner._install import installation
from venvrunner._install.installation import Installer, Target
from venvrunner._install.pylock import read_lock
from venvrunner._install.request import Request
from venvrunner._install.steps import Steps
from venvrunner._types import StrPath
from venvrunner._venv.paths import absolute
from venvrunner._venv.sharing_violations import insist
from venvrunner.exceptions import InvalidPathError, InvalidRequirementError

__tracebackhide__ = True

_NAME = r"pylock\.([^.]+\.)?toml"
"""The names that installers recognize (PEP 751)."""


def lock_path(path: StrPath) -> str:
    """Return the absolute path of a lock file to write, after a check.

    Raises:
        TypeError: *path* is not a path.
        InvalidPathError: no installer would recognize the name, or its directory does not exist.

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
    return found


def check_lockable(request: Request) -> None:
    """Check that a request can be resolved into a lock file.

    Raises:
        InvalidRequirementError: it names a lock file, or nothing.
    """
    if request.lock is not None:
        msg = "lock= is already a lock file. Pass the requirements that it was made from."
        raise InvalidRequirementError(msg)
    if request.is_empty():
        msg = "there is nothing to lock. Name a requirement, a path, a URL or a requirements file."
        raise InvalidRequirementError(msg)


def write_lock(
    installer: Installer, request: Request, target: Target, options: Mapping[str, Any], path: str, *, universal: bool = False
) -> Steps[subprocess.CompletedProcess[str]]:
    """Yield the command that resolves a request, be sent its outcome, and replace a lock file with the result.

    Args:
        installer: the installer whose resolver is used.
        request: what to resolve, checked by :func:`check_lockable`.
        target: the environment that the packages are selected for.
        options: the keywords of the call.
        path: the lock file, from :func:`lock_path`; it keeps its contents if anything fails.
        universal: resolve for all platforms and Pythons.

    Raises:
        InstallationError: the request cannot be resolved.
        LockFileError: the installer wrote a file that is not valid.
        InvalidPathError: the file cannot be written.
    """
    # Beside the old file, because paths in it are relative to its directory.
    new = os.path.join(os.path.dirname(path), f"pylock.{os.urandom(8).hex()}.toml")
    try:
        done = yield from installation.lock(installer, request, target, options, new, universal=universal)
        read_lock(new)
        insist(os.replace, new, path)
    except OSError as exc:
        msg = f"the lock file {path!r} cannot be written: {exc.strerror or exc}."
        raise InvalidPathError(msg) from exc
    finally:
        with contextlib.suppress(OSError):
            os.unlink(new)
    return done
