"""What a runner holds of its environment: the right to use it, and, of a temporary one, the folder around it."""

import contextlib
import weakref
from collections.abc import Generator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

from venvrunner._create import creation
from venvrunner._create.locks import CHILDREN_INHERIT
from venvrunner._create.ownership import Ownership
from venvrunner._create.temporary import TemporaryPlace
from venvrunner._create.users import Commands, User
from venvrunner.exceptions import VenvError

__tracebackhide__ = True


class Handle:
    """An environment in use, until it is deleted or let go of, or the last reference to this is gone.

    Args:
        venv_dir: an absolute path.
        wait: seconds to wait for others, wherever that is needed.
    """

    def __init__(self, venv_dir: str, wait: float) -> None:
        self.venv_dir = venv_dir
        self.wait = wait
        self._owner = Ownership(venv_dir)
        self._commands = self._owner.commands()
        self._folder: TemporaryPlace | None = None

    def use(self, user: User) -> None:
        """Keep the note that the environment is used."""
        self._user = user
        self._end = weakref.finalize(self, _let_go, self._owner, user, self._commands, None)

    def belong_to(self, folder: TemporaryPlace) -> None:
        """Remove a temporary folder together with the environment, which is in it."""
        self._end.detach()
        self._folder = folder
        self._end = weakref.finalize(self, _let_go, self._owner, self._user, self._commands, folder)

    @contextlib.contextmanager
    def command(self) -> Generator[Mapping[str, Any]]:
        """Note a command as a user of the environment, for as long as one of its processes lives.

        Yields:
            what surrounds the command: the descriptors that it inherits.
        """
        with self._commands.note() as descriptor:
            yield {"passed": () if descriptor is None or not CHILDREN_INHERIT else (descriptor,)}

    def changing(self) -> AbstractContextManager[None]:
        """Hold the environment for a change.

        Raises:
            VenvInUseError: somebody else is changing it, or it has forks.
        """
        return self._owner.held(self.wait, self._hindrances)

    def changing_async(self) -> AbstractAsyncContextManager[None]:
        """Same as :meth:`changing`, for a coroutine."""
        return self._owner.held_async(self.wait, self._hindrances)

    def _hindrances(self) -> list[str]:
        creation.refuse_if_frozen(self._owner, "changed")
        return []

    def delete(self) -> None:
        """Delete the environment and let go of it; see :func:`.creation.delete`.

        A temporary one is nobody else's, so it does not wait for a daemon that a command has left.
        """
        creation.delete(self.venv_dir, self._user, wait=self.wait, alone=self._folder is not None)
        self._end()
        if self._folder is not None:
            self._folder.remove()  # if forks have kept it until now

    def leave(self, error: BaseException | None) -> None:
        """Let go of the environment, and delete it first if it is a temporary one.

        Args:
            error: the exception that is on its way; a failure only adds a note to it.
        """
        try:
            if self._folder is not None and self._end.alive:
                self.delete()
        except VenvError as exc:
            if error is None:
                raise
            error.add_note(str(exc))
        finally:
            self._end()


def _let_go(owner: Ownership, user: User, commands: Commands, folder: TemporaryPlace | None) -> None:
    """Take the note back, and remove the folder unless something in it is needed; also when nobody is left to ask."""
    user.leave()
    commands.leave()
    if folder is not None and not owner.forks():
        folder.remove()
