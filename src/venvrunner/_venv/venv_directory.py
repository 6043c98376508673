"""The folder of an environment: what may be in it, and how it is emptied."""

import contextlib
import os

from venvrunner._venv.change import CONFIG, LOCK, STATE, Change, refusal
from venvrunner._venv.errors import CREATE, explained
from venvrunner._venv.removal import Directory
from venvrunner._venv.state import Ownership, replace_file
from venvrunner.exceptions import NotAVenvError

__tracebackhide__ = True


def check(venv_dir: str, what: str = CREATE) -> None:
    """Make sure that nothing is in the way but an environment or an empty directory.

    Args:
        venv_dir: an absolute path.
        what: what is tried, for the message.

    Raises:
        NotAVenvError: something else is there. A link is, whatever it points to. What cannot be read is made readable
            when it is opened, and checked then.
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
            except (FileNotFoundError, PermissionError):  # somebody has deleted it meanwhile, say
                return
        # Somebody else may have begun to fill it between the two looks; the file is there before anything else is.
        if not set(found) - {STATE} or os.path.isfile(config):
            return
    raise NotAVenvError(refusal(venv_dir))


def exists(path: str) -> bool:
    """Return whether there is anything at a path; ``os.path.lexists`` says no where it cannot know.

    Raises:
        OSError: that cannot be known, for instance without the right to search the directory.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def is_there(venv_dir: str) -> bool:
    """Tell whether an environment is there, be it a broken one."""
    return os.path.lexists(os.path.join(venv_dir, CONFIG))


def mark(directory: Directory, state: Directory) -> None:
    """Make a directory known for an environment before anything else is in it, and as long as anything else is in it."""
    # Beside it, the new file would look like something of the user's.
    replace_file(directory.spot(CONFIG), state.spot(CONFIG), "")


def check_place(directory: Directory) -> None:
    """Make sure that the path of an environment still names its directory.

    Raises:
        NotAVenvError: another process has put a link or another directory there.
    """
    if not directory.is_at(directory.path):
        raise NotAVenvError(refusal(directory.path))


def clear(directory: Directory) -> None:
    """Remove what was there of an environment, but keep it known as one; to be called while its lock is held."""
    directory.empty(keep={STATE, CONFIG})


def remove(change: Change) -> None:
    """Empty the directory of an environment whose lock is held; it is known as one until nothing else is in it."""
    directory, state = change.directory, change.state
    with contextlib.suppress(OSError):  # the disk may be full
        Ownership(directory.path, state).begin()
    Ownership(directory.path, state).let_go()
    directory.empty(keep={STATE, CONFIG})
    directory.empty(keep={STATE})
    state.empty(keep={LOCK})
    change.remove_lock()
    if directory.has_link(STATE):
        directory.unlink(STATE)
    with contextlib.suppress(OSError):  # another process begins already
        directory.rmdir(STATE)
