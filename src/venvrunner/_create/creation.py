"""Make an environment: what may be in the way, what is kept, and what a failure leaves, which is nothing."""

import contextlib
import os
from collections.abc import Callable
from typing import Any, Literal, get_args

from venvrunner._create import interpreters, pack, place, template
from venvrunner._create.interpreters import Interpreter
from venvrunner._create.layout import CURRENT
from venvrunner._create.ownership import STATE, Ownership
from venvrunner._create.patience import logger
from venvrunner._create.purpose import Order, check_order, misfit_of, purpose_of
from venvrunner._create.settings import copy_settings
from venvrunner._create.users import User
from venvrunner._process.signals import deferred, surely
from venvrunner.exceptions import CreationError, InvalidPathError, VenvExistsError, VenvInUseError

__tracebackhide__ = True

Exist = Literal["clear", "reuse", "error"]
_NAMED = 3
"""How many forks an error names."""


def create(venv_dir: str, order: Order, fill: Callable[[], object], *, exist: Exist, wait: float) -> User:
    """Make an environment, or take the one that is there if it fits; without the network.

    Args:
        venv_dir: an absolute path.
        order: what it is to be.
        fill: called when it can run commands, to install the requirements.
        exist: what to do with one that is there.
        wait: seconds to wait for others who use it.

    Returns:
        the note that it is used.

    Raises:
        NotAVenvError: something else is there; it was not touched.
        VenvExistsError: there is one, and *exist* is ``"error"``.
        VenvInUseError: somebody uses the one that is there.
        InterpreterNotFoundError: there is no such interpreter.
        CreationError: it can't be made; what was made of it is removed.
        ValueError: an option is wrong.
    """
    _check_options(order, exist, wait)
    place.check(venv_dir)
    # The interpreter is looked for first: an environment that is there is not given up for one that can't be.
    interpreter = interpreters.find(order.python)
    purpose = purpose_of(venv_dir, interpreter, order)

    def build() -> None:
        with deferred(), place.explained(venv_dir):
            _write(venv_dir, interpreter, order)
        fill()

    return occupy(venv_dir, purpose, build, exist=exist, wait=wait)


def occupy(
    venv_dir: str,
    purpose: dict[str, Any],
    build: Callable[[], object],
    *,
    exist: Exist,
    wait: float,
    parent_dir: str | None = None,
) -> User:
    """Take a folder for an environment, and have it built there unless it is there and fits.

    Args:
        venv_dir: an absolute path.
        purpose: what the environment is for; one with the same purpose fits.
        build: makes it in the folder, which has nothing but an empty pyvenv.cfg then.
        exist: as for :func:`create`.
        wait: as for :func:`create`.
        parent_dir: the environment that it needs.

    Returns:
        the note that it is used.

    Raises:
        VenvError: as for :func:`create`.
    """
    place.check(venv_dir)
    if exist == "error":
        _refuse_existing(venv_dir)
    owner = Ownership(venv_dir)
    missing = place.missing_folders(venv_dir)

    def hindrances() -> list[str]:
        if exist == "error":
            _refuse_existing(venv_dir)
        return [] if exist == "reuse" and misfit_of(owner, purpose) is None else owner.users()

    try:
        with owner.held(wait, hindrances, make=True):
            place.check(venv_dir)
            reason = misfit_of(owner, purpose) if exist == "reuse" or owner.unfinished() else None
            if exist == "reuse" and reason is None:
                return owner.enter()
            refuse_if_frozen(owner, "made anew")
            if reason is not None and place.is_there(venv_dir):
                logger().info("%r is made anew: %s", venv_dir, reason)
            may_remove = not place.is_there(venv_dir)
            try:
                with deferred(), place.explained(venv_dir):
                    owner.begin(parent_dir)
                    may_remove = True
                    place.mark(venv_dir)
                    place.remove_contents(venv_dir, keep={STATE, "pyvenv.cfg"})
                user = owner.enter()
                build()
                with deferred(), place.explained(venv_dir):
                    owner.finish(purpose)
            except BaseException:
                if may_remove:  # else an environment is there, and what it was
                    surely(lambda: _remove_what_can_be(owner))
                raise
            return user
    except BaseException:
        surely(lambda: _withdraw(owner, missing))
        raise


def _remove_what_can_be(owner: Ownership) -> None:
    with contextlib.suppress(OSError):  # the first cause propagates, not what comes of it; it is known to be unfinished
        remove(owner)


def _withdraw(owner: Ownership, missing: list[str]) -> None:
    if missing:
        owner.abandon()
    place.remove_empty(missing)


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
    place.check(venv_dir)
    if not os.path.lexists(venv_dir):
        return
    owner = Ownership(venv_dir)
    try:
        with owner.held(wait, lambda: [] if alone else owner.users(user)):
            place.check(venv_dir)
            refuse_if_frozen(owner, "deleted")
            with deferred(), place.explained(venv_dir, "delete the environment"):
                remove(owner)
                place.remove_empty([venv_dir])
                user.leave()
    except CreationError:
        if os.path.lexists(venv_dir):  # or somebody else was faster
            raise


def adopt(venv_dir: str, *, wait: float) -> User:
    """Take an environment as it is.

    Args:
        venv_dir: an absolute path.
        wait: seconds to wait while somebody changes it.

    Raises:
        InvalidPathError: there is no working environment.
        VenvInUseError: somebody is changing it.
    """
    owner = Ownership(venv_dir)
    _refuse_broken(venv_dir)
    if not os.access(venv_dir, os.W_OK):
        return User(None)  # nobody here can change it
    try:
        with owner.held(wait):
            _refuse_broken(venv_dir)
            if owner.unfinished():
                msg = f"{venv_dir!r} is no working environment: its creation was never finished! Make it anew."
                raise InvalidPathError(msg)
            return owner.enter()
    except CreationError:
        _refuse_broken(venv_dir)  # it was deleted meanwhile
        raise


def _refuse_broken(venv_dir: str) -> None:
    reason = None
    if not os.path.isfile(os.path.join(venv_dir, "pyvenv.cfg")):
        reason = "there is no pyvenv.cfg"
    elif CURRENT.find_command(venv_dir, "python") is None:
        reason = "its interpreter is gone"
    if reason is not None:
        msg = f"{venv_dir!r} is no working environment: {reason}! Make it with VenvRunner(name, top_dir)."
        raise InvalidPathError(msg)


def refuse_if_frozen(owner: Ownership, what: str) -> None:
    """Make sure that an environment has no forks, which would see every change; to be called while its lock is held.

    Raises:
        VenvInUseError: it has; they are named.
    """
    if forks := owner.forks():
        more = len(forks) - _NAMED
        names = ", ".join(map(repr, forks[:_NAMED])) + (f" and {more} more" if more > 0 else "")
        msg = f"{owner.venv_dir!r} can't be {what}: it has forks that need it, {names}! Delete these first, or use one of them."
        raise VenvInUseError(msg)


def _check_options(order: Order, exist: str, wait: float) -> None:
    if exist not in get_args(Exist):
        msg = f"exist must be one of {', '.join(map(repr, get_args(Exist)))}, not {exist!r}!"
        raise ValueError(msg)
    if not wait >= 0:
        msg = f"wait must be a number of seconds, 0 or more, not {wait!r}!"
        raise ValueError(msg)
    check_order(order)


def _write(venv_dir: str, interpreter: Interpreter, order: Order) -> None:
    data = template.get(interpreter, with_pip=order.with_pip)
    if data is None:
        template.build(venv_dir, interpreter, with_pip=order.with_pip)
    else:
        pack.unpack(data, venv_dir, CURRENT.scripts(venv_dir))
    changes: dict[str, str] = {}
    if order.system_site_packages:
        changes["include-system-site-packages"] = "true"
    if order.prompt is not None:
        changes["prompt"] = repr(order.prompt)
    if changes:
        copy_settings(venv_dir, venv_dir, changes)


def _refuse_existing(venv_dir: str) -> None:
    if place.is_there(venv_dir):
        msg = f"there is an environment in {venv_dir!r} already! Take another name, or say exist='reuse' or exist='clear'."
        raise VenvExistsError(msg)


def remove(owner: Ownership) -> None:
    """Empty the folder of an environment whose lock is held; it is known for one until nothing else is in it."""
    with contextlib.suppress(OSError):  # the disk may be full
        owner.begin()
    place.remove_contents(owner.venv_dir, keep={STATE, "pyvenv.cfg"})
    place.remove_contents(owner.venv_dir, keep={STATE})
    owner.clear()
