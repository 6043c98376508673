"""What a runner holds of its environment: the right to use it, and, of a temporary one, the directory around it."""

import contextlib
from collections.abc import Generator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

from venvrunner._process.critical_section import uninterrupted
from venvrunner._venv import deletion
from venvrunner._venv.cleanup import Cleanup, Owned
from venvrunner._venv.errors import explained
from venvrunner._venv.removal import Directory
from venvrunner._venv.state import Ownership
from venvrunner._venv.temporary import TemporaryDirectory
from venvrunner._venv.users import User
from venvrunner._venv.venv_directory import exists
from venvrunner.exceptions import VenvError, VenvInUseError

__tracebackhide__ = True


class _Belongings:
    """What is given back when a runner no longer uses its environment."""

    def __init__(self, owner: Ownership) -> None:
        self.owner = owner
        self.user = User()
        self.commands = owner.commands()
        self.folder: TemporaryDirectory | None = None

    def give_back(self) -> None:
        """Take the notes back, and remove the temporary directory unless something in it is needed."""
        self.user.leave()
        if self.folder is not None and not self._has_forks():
            self.folder.remove()
        else:
            self.commands.leave()

    def _has_forks(self) -> bool:
        try:
            with self.owner.opened() as owner:
                return bool(owner.forks())
        except FileNotFoundError:
            return False


class Lease(Owned):
    """An environment in use, until it is deleted or let go of, or the last reference to this is gone.

    A fork of this process has a handle too, with which it can run commands; what is to be given back is not its own.

    Args:
        venv_dir: an absolute path.
        wait: seconds to wait for others, wherever that is needed.

    Attributes:
        user: what notes in the environment that it is used.
    """

    def __init__(self, venv_dir: str, wait: float) -> None:
        super().__init__()
        self.venv_dir = venv_dir
        self.wait = wait
        self._owner = Ownership(venv_dir)
        self._belongings = _Belongings(self._owner)
        self.user = self._belongings.user
        self._end = Cleanup(self, self._belongings.give_back)

    def belong_to(self, folder: TemporaryDirectory) -> None:
        """Remove a temporary directory together with the environment, which is in it."""
        self._belongings.folder = folder

    def command(self) -> AbstractContextManager[Mapping[str, Any]]:
        """Note a command as a user of the environment, for as long as one of its processes lives.

        Returns:
            a context manager; it yields what surrounds the command: the descriptors that it inherits.
        """
        return self._belongings.commands.note()

    def changing(self) -> AbstractContextManager[Any]:
        """Hold the environment for a change.

        Raises:
            VenvInUseError: somebody else is changing it, or it has forks.
        """
        return self._owner.held(self.wait, self._hindrances)

    def changing_async(self) -> AbstractAsyncContextManager[Any]:
        """Same as :meth:`changing`, for a coroutine."""
        return self._owner.held(self.wait, self._hindrances)

    def _hindrances(self, state: Directory) -> list[str]:
        Ownership(self.venv_dir, state).refuse_if_frozen("changed")
        return []

    def delete(self) -> None:
        """Delete the environment and let go of it; see :func:`.deletion.delete`.

        A temporary one is nobody else's, so it does not wait for a daemon that a command has left.

        Raises:
            VenvInUseError: this process is a fork of the one that has the environment; or as there.
        """
        if not self.is_ours:
            msg = f"{self.venv_dir!r} is in use by process {self.pid}, of which this one is a fork. Delete it in that process."
            raise VenvInUseError(msg)
        if self._is_in_place:
            deletion.delete(self.venv_dir, self.user, wait=self.wait, alone=self._is_temporary)
        uninterrupted(self._let_go, quick=True)

    async def _delete_async(self) -> None:
        if self._is_in_place:
            await deletion.delete_async(self.venv_dir, self.user, wait=self.wait, alone=True)
        uninterrupted(self._let_go, quick=True)

    @property
    def _is_temporary(self) -> bool:
        return self._belongings.folder is not None

    @property
    def _is_in_place(self) -> bool:
        """Whether it is not known that something else is at the path by now."""
        return self._belongings.folder is None or self._belongings.folder.is_there

    def _let_go(self) -> None:
        with explained(self.venv_dir, "delete the environment"):
            self._end.now()
            if self._belongings.folder is not None:
                self._belongings.folder.remove()  # if forks have kept it until now

    def leave(self, error: BaseException | None) -> None:
        """Let go of the environment, and delete it first if it is a temporary one.

        Args:
            error: the exception that is on its way; a failure only adds a note to it.
        """
        with self._leaving(error):
            if self._is_to_be_deleted():
                self.delete()

    async def leave_async(self, error: BaseException | None) -> None:
        """Same as :meth:`leave`, but other tasks run while it waits: one of them may be changing the environment."""
        with self._leaving(error):
            if self._is_to_be_deleted():
                await self._delete_async()

    def _is_to_be_deleted(self) -> bool:
        return self._is_temporary and self._end.is_pending and self.is_ours

    @contextlib.contextmanager
    def _leaving(self, error: BaseException | None) -> Generator[None]:
        try:
            yield
        except VenvError as exc:
            self._give_back()
            with contextlib.suppress(OSError):
                if not exists(self.venv_dir):
                    return
            if error is None:
                raise
            error.add_note(str(exc))
        finally:
            self._give_back()

    def _give_back(self) -> None:
        with contextlib.suppress(OSError):  # it is tried again when this is dropped, and at the interpreter's exit
            self._end.now()
