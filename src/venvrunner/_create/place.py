"""The folder of an environment: what may be in it, and how it is emptied."""

import contextlib
import os

from venvrunner._create.errors import explained
from venvrunner._create.hold import LOCK, STATE
from venvrunner._create.ownership import Ownership, replace_file
from venvrunner._create.removal import Directory
from venvrunner.exceptions import NotAVenvError

__tracebackhide__ = True

_CONFIG = "pyvenv.cfg"


def check(venv_dir: str) -> None:
    """Make sure that nothing is in the way but an environment or an empty folder.

    Raises:
        NotAVenvError: something else is there. A link is, whatever it points to.
    """
    if not os.path.lexists(venv_dir):
        return
    if os.path.isdir(venv_dir) and not os.path.islink(venv_dir):
        config = os.path.join(venv_dir, _CONFIG)
        if os.path.isfile(config):
            return
        with explained(venv_dir):
            try:
                found = os.listdir(venv_dir)
            except FileNotFoundError:  # somebody has deleted it meanwhile
                return
        # Somebody else may have begun to fill it between the two looks; the file is there before anything else is.
        if not set(found) - {STATE} or os.path.isfile(config):
            return
    raise NotAVenvError(_refusal(venv_dir))


def _refusal(venv_dir: str) -> str:
    return f"{venv_dir!r} is in the way and no virtual environment! It was not touched; move it, or choose another name."


def is_there(venv_dir: str) -> bool:
    """Tell whether an environment is there, be it a broken one."""
    return os.path.lexists(os.path.join(venv_dir, _CONFIG))


def mark(venv_dir: str) -> None:
    """Make a folder known for an environment before anything else is in it, and as long as anything else is in it."""
    new = os.path.join(venv_dir, STATE, _CONFIG)  # beside it, it would look like something of the user's
    replace_file(new, "")
    os.replace(new, os.path.join(venv_dir, _CONFIG))


def check_open(directory: Directory) -> None:
    """Same as :func:`check`, for a directory that is open, so that no other can take its place meanwhile."""
    if not directory.has_file(_CONFIG) and set(directory.names()) - {STATE}:
        raise NotAVenvError(_refusal(directory.path))


def clear(venv_dir: str) -> None:
    """Remove what was there of an environment, but keep it known as one; to be called while its lock is held."""
    with Directory(venv_dir) as directory:
        check_open(directory)
        directory.empty(keep={STATE, _CONFIG})


def remove(owner: Ownership) -> None:
    """Empty the directory of an environment whose lock is held; it is known as one until nothing else is in it."""
    with contextlib.suppress(OSError):  # the disk may be full
        owner.begin()
    with Directory(owner.venv_dir) as directory:
        check_open(directory)
        directory.empty(keep={STATE, _CONFIG})
        directory.empty(keep={STATE})
        with Directory(STATE, within=directory) as state:
            state.empty(keep={LOCK})
            state.unlink(LOCK)
        with contextlib.suppress(OSError):  # another process begins already
            directory.rmdir(STATE)
