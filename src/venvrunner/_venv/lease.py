"""Leases: a runner's right to use its environment, and to delete it if it is temporary."""

import contextlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from venvrunner._process.critical_section import uninterrupted
from venvrunner._venv import deletion
from venvrunner._venv.cleanup import Cleanup, Owned
from venvrunner._venv.errors import explained
from venvrunner._venv.open_directory import Directory
from venvrunner._venv.state import Ownership
from venvrunner._venv.temporary import TemporaryDirectory
from venvrunner._venv.users import User
from venvrunner._venv.venv_directory import exists
from venvrunner.exceptions import VenvError, VenvInUseError

__tracebackhide__ = True


class _Belongings:
    """The resources that a runner releases when it no longer uses its environment."""

    def __init__(self, owner: Ownership) -> None:
        self.owner = owner
        self.user = User()
        self.commands = owner.commands()
        self.directory: TemporaryDirectory | None = None

    def give_back(self) -> None:
        """Remove the notes, and the temporary directory unless the environment in it has forks."""
        self.user.leave()
        if self.directory is not None and not self._has_forks():
            remove_note = self.owner.former_note()
            self.directory.remove()
            remove_note()
        else:
            self.commands.leave()

    def _has_forks(self) -> bool:
        try:
            with self.owner.opened() as owner:
                return bool(owner.forks())
        except FileNotFoundError:
            return False


class Lease(Owned):
    """The use of an environment, until it is deleted or released, or the last reference to this object is gone.

    After ``os.fork``, the child can run commands with its copy of the lease, but cannot release or delete anything.

    Args:
        venv_dir: an absolute path.
        wait: how long to wait for other users, in seconds.

    Attributes:
        user: the runner's record as a user of the environment.
    """

    def __init__(self, venv_dir: str, wait: float) -> None:
        super().__init__()
        self.venv_dir = venv_dir
        self.wait = wait
        self._owner = Ownership(venv_dir)
        self._belongings = _Belongings(self._owner)
        self.user = self._belongings.user
        self._end = Cleanup(self, self._belongings.give_back)

    def belong_to(self, directory: TemporaryDirectory) -> None:
        """Make the environment temporary: it is deleted together with the temporary directory that contains it."""
        self._belongings.directory = directory

    def command(self) -> AbstractContextManager[Mapping[str, Any]]:
        """Return the context manager that a command runs under: it records the command while one of its processes lives.

        It yields the context that the command runs in: the descriptors that it inherits.
        """
        return self._belongings.commands.note()

    def changing(self) -> AbstractContextManager[Any]:
        """Return a context manager that holds the environment for a change.

        Raises:
            VenvInUseError: on entry: another process or thread is changing it, or it has forks.
        """
        return self._owner.held(self.wait, self._hindrances)

    def _hindrances(self, state: Directory) -> list[str]:
        Ownership(self.venv_dir, state).refuse_if_frozen("changed")
        return []

    def delete(self) -> None:
        """Delete the environment and end the lease.

        The deletion of a temporary environment does not wait for a daemon that a command has left.

        Raises:
            NotAVenvError: the path is not an environment; it was left untouched.
            VenvInUseError: the environment is in use or has forks, or this process is an ``os.fork`` child of its user.
            CreationError: the directory cannot be removed.
        """
        if not self.is_ours:
            msg = f"{self.venv_dir!r} is in use by process {self.pid}, which forked this one. Delete it in that process."
            raise VenvInUseError(msg)
        if self._is_in_place:
            deletion.delete(self.venv_dir, self.user, wait=self.wait, alone=self._is_temporary)
        uninterrupted(self._let_go, quick=True)

    @property
    def _is_temporary(self) -> bool:
        return self._belongings.directory is not None

    @property
    def _is_in_place(self) -> bool:
        """Whether the environment is still at its path, as far as that is known."""
        return self._belongings.directory is None or self._belongings.directory.is_there

    def _let_go(self) -> None:
        with explained(self.venv_dir, "delete the environment"):
            self._end.now()
            if self._belongings.directory is not None:
                self._belongings.directory.remove()  # forks may have kept it until now

    def leave(self, error: BaseException | None) -> None:
        """End the lease, and delete the environment first if it is temporary.

        Args:
            error: the exception that is being raised; a failed deletion adds a note to it instead of raising its own.
        """
        try:
            if self._is_temporary and self._end.is_pending and self.is_ours:
                self.delete()
        except VenvError as exc:
            self.give_back()
            with contextlib.suppress(OSError):
                if not exists(self.venv_dir):
                    return
            if error is None:
                raise
            error.add_note(str(exc))
        finally:
            self.give_back()

    def undo(self) -> None:
        """End the lease, and delete the environment if this lease's creation has created it."""
        with contextlib.suppress(VenvError):  # another process already uses it
            if self.user.has_created:
                self.delete()
        self.give_back()

    def give_back(self) -> None:
        """End the lease now, and remove the directory of a temporary environment without waiting; further calls do nothing."""
        with contextlib.suppress(OSError):  # it is retried when this object is dropped, and at exit
            self._end.now()
