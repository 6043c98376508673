"""Deletion of an environment, and of nothing else."""

import contextlib
import errno
import os
from collections.abc import Generator

from venvrunner._process import context
from venvrunner._process.critical_section import uninterrupted
from venvrunner._venv import venv_directory
from venvrunner._venv.change import STATE, Change, check_open, remove_empty
from venvrunner._venv.errors import explained
from venvrunner._venv.open_directory import Directory
from venvrunner._venv.sharing_violations import insist
from venvrunner._venv.state import Ownership
from venvrunner._venv.users import User
from venvrunner.exceptions import CreationError

__tracebackhide__ = True

_DELETE = "delete the environment"


def delete(venv_dir: str, user: User, *, wait: float, alone: bool = False) -> None:
    """Delete an environment with all its contents.

    Args:
        venv_dir: an absolute path; if it does not exist, this does nothing.
        user: the user that deletes the environment, and so does not count.
        alone: ignore all other users.
        wait: how long to wait for other users, in seconds.

    Raises:
        NotAVenvError: the path is not an environment; it was left untouched.
        VenvInUseError: the environment is in use by a runner or a command, or has forks that need it.
        CreationError: the directory cannot be removed.
    """
    venv_directory.check(venv_dir, _DELETE)
    with explained(venv_dir, _DELETE):
        is_there = venv_directory.exists(venv_dir)
    if is_there:
        deletion = _Deletion(venv_dir, user, wait=wait, alone=alone)
        with deletion.tolerated(), deletion.held as change:
            deletion.perform(change)


class _Deletion:
    """The deletion of an environment.

    Attributes:
        held: the context manager that holds the lock of the environment meanwhile.
    """

    def __init__(self, venv_dir: str, user: User, *, wait: float, alone: bool) -> None:
        caller = context.caller()
        self._is_alone = alone
        self._venv_dir = venv_dir
        self._user = user

        def hindrances(state: Directory) -> list[str]:
            return [] if alone else Ownership(venv_dir, state).users(caller, user)

        self.held = Ownership(venv_dir).held(wait, hindrances, follow=False)

    def perform(self, change: Change) -> None:
        uninterrupted(lambda: self._remove(change), quick=True)

    def _remove(self, change: Change) -> None:
        directory, state = change.directory, change.state
        with explained(self._venv_dir, _DELETE):
            check_open(directory)
            venv_directory.check_place(directory)
            Ownership(self._venv_dir, state).refuse_if_frozen("deleted")
            if not self._is_alone:
                _check_removable(self._venv_dir)
            remove_note = Ownership(self._venv_dir, state).former_note()
            change.undo = lambda: venv_directory.remove(change)  # a deletion that has begun is completed
            venv_directory.remove(change)
            remove_note()
            self._user.leave()
            change.undo = None  # another process may now create the next environment
            if self._is_alone:
                remove_empty([self._venv_dir])  # its temporary directory is removed next, whatever the mode of this one
            else:
                _remove_empty(self._venv_dir)

    @contextlib.contextmanager
    def tolerated(self) -> Generator[None]:
        """Ignore an error if the environment no longer exists."""
        try:
            yield
        except CreationError:
            with contextlib.suppress(OSError):
                if not venv_directory.exists(self._venv_dir):
                    return
            raise


def _check_removable(venv_dir: str) -> None:
    """Check, before anything in the directory is removed, that only its contents keep it from being removed.

    Raises:
        OSError: the permission is missing, or the directory is a mount point.
    """
    try:
        os.rmdir(venv_dir)
    except OSError as exc:
        if exc.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise


def _remove_empty(venv_dir: str) -> None:
    try:
        insist(os.rmdir, venv_dir)
    except FileNotFoundError:
        pass
    except OSError:
        if not os.path.lexists(os.path.join(venv_dir, STATE)):  # else another process is creating the next environment
            raise
