"""Opening of an existing environment: an unusable one is refused, and one that was moved or copied is repaired."""

import os

from venvrunner._create import relocation
from venvrunner._process.critical_section import uninterrupted
from venvrunner._venv.change import Change
from venvrunner._venv.errors import explained
from venvrunner._venv.health import defect
from venvrunner._venv.packages import lineage
from venvrunner._venv.state import Ownership, new_note
from venvrunner._venv.users import User
from venvrunner._venv.venv_directory import is_there
from venvrunner.exceptions import CreationError, InvalidPathError

__tracebackhide__ = True


def open_existing(venv_dir: str, user: User, *, wait: float) -> None:
    """Open an existing environment, whichever tool created it.

    Args:
        venv_dir: an absolute path.
        user: the user to record in the environment, if it is writable.
        wait: how long to wait, in seconds, while another process changes the environment or its parent.

    Raises:
        InvalidPathError: the environment is not usable, or was moved and cannot be repaired.
        VenvInUseError: another process is changing it.
        CreationError: the user cannot be recorded, although the environment is writable.
    """
    owner = Ownership(venv_dir)

    def enter(change: Change, note: str | None) -> None:
        owner = Ownership(venv_dir, change.state)
        with explained(venv_dir, "use the environment"):
            _refuse_broken(owner)
            if not owner.is_in_place():
                relocation.repair(venv_dir)
                owner.note_place(note)
            owner.enter(user)

    with explained(venv_dir, "use the environment"):
        is_changeable = owner.is_changeable()
        may_change = is_changeable and owner.unfinished()  # another process may be creating or deleting it now
    if not may_change:
        _refuse_broken(owner)
    if not os.access(venv_dir, os.W_OK):
        _refuse_moved(owner)
    if not is_changeable:
        return  # no process of this user can change the environment
    try:
        with owner.held(wait) as change:
            _refuse_broken(owner)
            with explained(venv_dir, "use the environment"):
                note = _freeze_parent(owner, wait)
                for ancestor in map(Ownership, lineage(venv_dir)[1:]):
                    if ancestor.is_in_place():
                        _freeze_parent(ancestor, wait)
            uninterrupted(lambda: enter(change, note), quick=True)
    except CreationError:
        _refuse_broken(owner)  # it was deleted meanwhile
        raise


def _freeze_parent(owner: Ownership, wait: float) -> str | None:
    """Record a fork in its parent, if its record is missing because either was moved, or the fork was copied.

    Returns:
        the name of the fork's note in its parent; ``None``: it is not a fork, or this user cannot change its parent.
    """
    parent_dir, name = owner.parent(), (owner.purpose() or {}).get("note")
    parent = None if parent_dir is None else Ownership(os.path.realpath(parent_dir))
    if parent is None or not parent.is_changeable():
        return None
    if isinstance(name, str) and owner.is_in_place():
        if parent.knows_fork(name):
            return name
    else:
        name = new_note("fork")  # the recorded name may belong to the original

    def write(change: Change) -> None:
        with explained(owner.venv_dir, "use the environment"):
            Ownership(parent.venv_dir, change.state).note_fork(os.path.realpath(owner.venv_dir), name)

    with parent.held(wait, follow=False) as change:
        uninterrupted(lambda: write(change), quick=True)
    return name


def _refuse_broken(owner: Ownership) -> None:
    with explained(owner.venv_dir, "use the environment"):
        reason = defect(owner)
    if reason is not None:
        verb = "Recreate" if is_there(owner.venv_dir) else "Create"
        top_dir, name = os.path.split(owner.venv_dir)
        msg = f"{owner.venv_dir!r} is not usable: {reason}. {verb} it with VenvRunner({name!r}, {top_dir!r})."
        raise InvalidPathError(msg)


def _refuse_moved(owner: Ownership) -> None:
    with explained(owner.venv_dir, "use the environment"):
        strays = [] if owner.is_in_place() else relocation.strays(owner.venv_dir)
    if strays:
        path, directory, _script = strays[0]
        msg = (
            f"{owner.venv_dir!r} was moved or copied: its command {os.path.basename(path)!r} still runs the interpreter in"
            f" {directory!r}. Open it once as a user who can write to it, which repairs it, or recreate it."
        )
        raise InvalidPathError(msg)
