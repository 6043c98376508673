"""Delete an environment, and nothing else."""

import contextlib
import os
import threading
from collections.abc import Generator

from venvrunner._create import place
from venvrunner._create.errors import explained
from venvrunner._create.hold import Change, remove_empty
from venvrunner._create.ownership import Ownership
from venvrunner._create.users import User
from venvrunner._process.guard import uninterrupted
from venvrunner.exceptions import CreationError

__tracebackhide__ = True


def delete(venv_dir: str, user: User, *, wait: float, alone: bool = False) -> None:
    """Remove an environment with all that is in it.

    Args:
        venv_dir: an absolute path; if nothing is there, nothing is done.
        user: who deletes it.
        alone: whether nobody else can be using it who counts.
        wait: seconds to wait for others who use it.

    Raises:
        NotAVenvError: something else is there; it was not touched.
        VenvInUseError: somebody uses it, or it has forks that need it.
        CreationError: it can't be removed.
    """
    if _is_to_be_deleted(venv_dir):
        deletion = _Deletion(venv_dir, user, wait=wait, alone=alone)
        with deletion.tolerated(), deletion.held as change:
            deletion.perform(change)


async def delete_async(venv_dir: str, user: User, *, wait: float, alone: bool = False) -> None:
    """Same as :func:`delete`, but other tasks run while it waits: one of them may hold the environment."""
    if _is_to_be_deleted(venv_dir):
        deletion = _Deletion(venv_dir, user, wait=wait, alone=alone)
        with deletion.tolerated():
            async with deletion.held as change:
                deletion.perform(change)


def _is_to_be_deleted(venv_dir: str) -> bool:
    place.check(venv_dir)
    return os.path.lexists(venv_dir)


class _Deletion:
    """The deletion of an environment.

    Attributes:
        held: what holds it meanwhile.
    """

    def __init__(self, venv_dir: str, user: User, *, wait: float, alone: bool) -> None:
        thread = threading.current_thread()
        self._owner = Ownership(venv_dir)
        self._user = user
        self.held = self._owner.held(wait, lambda: [] if alone else self._owner.users(thread, user))

    def perform(self, change: Change) -> None:
        uninterrupted(lambda: self._remove(change), quick=True)

    def _remove(self, change: Change) -> None:
        venv_dir = self._owner.venv_dir
        with explained(venv_dir, "delete the environment"):
            place.check(venv_dir)
            self._owner.refuse_if_frozen("deleted")
            change.undo = lambda: place.remove(self._owner)  # one that has begun is completed
            place.remove(self._owner)
            remove_empty([venv_dir])
            self._user.leave()
            change.undo = None  # another process may create the next one now

    @contextlib.contextmanager
    def tolerated(self) -> Generator[None]:
        """Accept an error if the environment is gone all the same."""
        try:
            yield
        except CreationError:
            if os.path.lexists(self._owner.venv_dir):
                raise
