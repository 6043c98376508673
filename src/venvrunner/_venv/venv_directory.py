"""The directory of an environment: checked before its creation, marked as an environment, cleared and removed."""

import contextlib
import os

from venvrunner._venv.change import CONFIG, LOCK, STATE, Change, refusal
from venvrunner._venv.errors import CREATE, explained
from venvrunner._venv.open_directory import Directory
from venvrunner._venv.removal import empty
from venvrunner._venv.state import Ownership, create_file, replace_file
from venvrunner.exceptions import NotAVenvError

__tracebackhide__ = True


def check(venv_dir: str, what: str = CREATE) -> None:
    """Check that a path is free, an environment, or an empty directory.

    An unreadable directory passes here: it is made readable when it is opened, and checked then.

    Args:
        venv_dir: an absolute path.
        what: the operation, for the message.

    Raises:
        NotAVenvError: the path is something else, or a link, whatever it points to.
    """
    with explained(venv_dir, what):
        if not exists(venv_dir):
            return
    if os.path.isdir(venv_dir) and not os.path.islink(venv_dir):
        config = os.path.join(venv_dir, CONFIG)
        if os.path.isfile(config):
            return
        with explained(venv_dir, what):
            try:
                found = os.listdir(venv_dir)
            except (FileNotFoundError, PermissionError):  # unreadable, or another process has deleted it
                return
        # Another process may have begun to fill it between the two checks; pyvenv.cfg is its first file.
        if not set(found) - {STATE} or os.path.isfile(config):
            return
    raise NotAVenvError(refusal(venv_dir))


def exists(path: str) -> bool:
    """Return whether a path exists; ``os.path.lexists`` returns ``False`` also where this raises.

    Raises:
        OSError: it is unknown, for example without the permission to search the parent directory.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def is_there(venv_dir: str) -> bool:
    """Return whether an environment exists, usable or not."""
    return os.path.lexists(os.path.join(venv_dir, CONFIG))


def mark(directory: Directory, state: Directory) -> None:
    """Mark a directory as an environment with an empty ``pyvenv.cfg``: its first file, removed only after its contents."""
    if not create_file(directory.spot(CONFIG), ""):
        # The temporary file is written in the state directory: next to pyvenv.cfg, it would look like a file of the user's.
        replace_file(directory.spot(CONFIG), state.spot(CONFIG), "")


def check_place(directory: Directory) -> None:
    """Check that the path of an environment still names its directory.

    Raises:
        NotAVenvError: another process has replaced it with a link or another directory.
    """
    if not directory.is_at(directory.path):
        raise NotAVenvError(refusal(directory.path))


def clear(directory: Directory) -> None:
    """Remove the contents of an environment except ``pyvenv.cfg`` and the state directory; call it with the lock held."""
    empty(directory, keep={STATE, CONFIG})


def remove(change: Change) -> None:
    """Remove the contents of an environment, then ``pyvenv.cfg``, then the state directory; call it with the lock held."""
    directory, state = change.directory, change.state
    with contextlib.suppress(OSError):  # the disk may be full
        Ownership(directory.path, state).begin()
    Ownership(directory.path, state).let_go()
    empty(directory, keep={STATE, CONFIG})
    empty(directory, keep={STATE})
    empty(state, keep={LOCK})
    change.remove_lock()
    if directory.has_link(STATE):
        directory.unlink(STATE)
    with contextlib.suppress(OSError):  # another process is already creating the next environment
        directory.rmdir(STATE)
