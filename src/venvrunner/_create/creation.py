"""Make an environment: what may be in the way, what is kept, and what a failure leaves, which is nothing."""

import threading
from collections.abc import Callable
from typing import Any, Literal, get_args

from venvrunner._create import archive, interpreters, seed
from venvrunner._create.interpreter import Interpreter
from venvrunner._create.recipe import Recipe, check_order, misfit_of, purpose_of
from venvrunner._process.critical_section import uninterrupted
from venvrunner._venv import venv_directory
from venvrunner._venv.change import Hindrances, check_open
from venvrunner._venv.errors import explained
from venvrunner._venv.layout import CURRENT
from venvrunner._venv.pyvenv_cfg import copy_settings
from venvrunner._venv.removal import Directory
from venvrunner._venv.state import Ownership
from venvrunner._venv.users import User
from venvrunner._venv.waiting import logger
from venvrunner.exceptions import VenvExistsError

__tracebackhide__ = True

Exist = Literal["clear", "reuse", "error"]


def create(venv_dir: str, user: User, order: Recipe, fill: Callable[[], object], *, exist: Exist, wait: float) -> None:
    """Make an environment, or take the one that is there if it fits; without the network.

    Args:
        venv_dir: an absolute path.
        user: who is going to use it, which is noted in it.
        order: what it is to be.
        fill: called when it can run commands, to install the requirements.
        exist: what to do with one that is there.
        wait: seconds to wait for others who use it.

    Raises:
        NotAVenvError: something else is there; it was not touched.
        VenvExistsError: there is one, and *exist* is ``"error"``.
        VenvInUseError: somebody uses the one that is there.
        InterpreterNotFoundError: there is no such interpreter.
        CreationError: it can't be made; what was made of it is removed.
        ValueError: an option is wrong.
    """
    _check_options(order, exist, wait)
    venv_directory.check(venv_dir)
    # The interpreter is looked for first: an environment that is there is not given up for one that can't be.
    interpreter = interpreters.find(order.python)
    if order.with_pip:
        interpreters.check_pip(interpreter.version)
    purpose = purpose_of(venv_dir, interpreter, order)

    def build(directory: Directory) -> None:
        def write() -> None:
            with explained(venv_dir):
                _write(directory, interpreter, order)

        uninterrupted(write)
        fill()

    occupy(venv_dir, user, purpose, build, exist=exist, wait=wait)


def occupy(
    venv_dir: str,
    user: User,
    purpose: dict[str, Any],
    build: Callable[[Directory], object],
    *,
    exist: Exist,
    wait: float,
    parent_dir: str | None = None,
) -> None:
    """Take a folder for an environment, and have it built there unless it is there and fits.

    Args:
        venv_dir: an absolute path.
        user: as for :func:`create`.
        purpose: what the environment is for; one with the same purpose fits.
        build: makes it in the directory, which has nothing but an empty pyvenv.cfg then.
        exist: as for :func:`create`.
        wait: as for :func:`create`.
        parent_dir: the environment that it needs.

    Raises:
        VenvError: as for :func:`create`.
    """
    venv_directory.check(venv_dir)
    if exist == "error":
        _refuse_existing(venv_dir)

    def begin() -> tuple[bool, str | None]:
        """Return whether it is to be built, and why one that is there does not do."""
        directory = change.directory
        owner = Ownership(venv_dir, change.state)

        def undo() -> None:
            user.leave()
            venv_directory.remove(change)

        with explained(venv_dir):
            is_there = check_open(directory)
            reason = misfit_of(owner, purpose) if exist == "reuse" or owner.unfinished() else None
            if exist == "reuse" and reason is None:
                owner.enter(user)
                return False, None
            owner.refuse_if_frozen("made anew")
            if not is_there:  # else it is what it was, until that it is not finished is noted
                change.undo = undo
            directory.make_writable()
            change.state.make_writable()
            owner.begin(parent_dir)
            change.undo = undo
            venv_directory.mark(directory, change.state)
            venv_directory.clear(directory)
            owner.enter(user)
            venv_directory.check_place(directory)  # what fills it goes by its path
            return True, reason if is_there else None

    def finish() -> None:
        with explained(venv_dir):
            venv_directory.check_place(change.directory)
            Ownership(venv_dir, change.state).finish(purpose)

    if exist == "reuse" and _is_ready_made(venv_dir, purpose):
        return
    hindrances = _hindrances(venv_dir, purpose, exist)
    with Ownership(venv_dir).held(wait, hindrances, make=True, follow=False) as change:
        is_to_be_built, reason = uninterrupted(begin, quick=True)
        if reason is not None:
            logger().info("%r is made anew: %s", venv_dir, reason)
        if is_to_be_built:
            build(change.directory)
            uninterrupted(finish, quick=True)


def _is_ready_made(venv_dir: str, purpose: dict[str, Any]) -> bool:
    """Return whether an environment fits that no process of this user can change, so that nothing is noted in it."""
    owner = Ownership(venv_dir)
    with explained(venv_dir):
        return venv_directory.is_there(venv_dir) and not owner.is_changeable() and misfit_of(owner, purpose) is None


def _hindrances(venv_dir: str, purpose: dict[str, Any], exist: Exist) -> Hindrances:
    thread = threading.current_thread()

    def hindrances(state: Directory) -> list[str]:
        if exist == "error":
            _refuse_existing(venv_dir)
        owner = Ownership(venv_dir, state)
        return [] if exist == "reuse" and misfit_of(owner, purpose) is None else owner.users(thread)

    return hindrances


def _check_options(order: Recipe, exist: str, wait: float) -> None:
    if exist not in get_args(Exist):
        msg = f"exist must be one of {', '.join(map(repr, get_args(Exist)))}, not {exist!r}!"
        raise ValueError(msg)
    if not wait >= 0:
        msg = f"wait must be a number of seconds, 0 or more, not {wait!r}!"
        raise ValueError(msg)
    check_order(order)


def _write(directory: Directory, interpreter: Interpreter, order: Recipe) -> None:
    try:
        _fill(directory, seed.get(interpreter, with_pip=order.with_pip), interpreter, order)
    except archive.DamagedError:
        venv_directory.clear(directory)
        _fill(directory, seed.get(interpreter, with_pip=order.with_pip, fresh=True), interpreter, order)
    changes: dict[str, str] = {}
    if order.system_site_packages:
        changes["include-system-site-packages"] = "true"
    if order.prompt is not None:
        changes["prompt"] = repr(order.prompt)
    if changes:
        copy_settings(directory.firm_path, directory.firm_path, changes)


def _fill(directory: Directory, data: bytes | None, interpreter: Interpreter, order: Recipe) -> None:
    if data is None:
        seed.build(directory.path, interpreter, with_pip=order.with_pip)
        return
    archive.unpack(data, directory.firm_path, CURRENT.scripts(directory.path))
    if CURRENT.find_command(directory.firm_path, "python") is None:
        msg = "it has no interpreter"
        raise archive.DamagedError(msg)


def _refuse_existing(venv_dir: str) -> None:
    if venv_directory.is_there(venv_dir):
        msg = f"there is an environment in {venv_dir!r} already! Take another name, or say exist='reuse' or exist='clear'."
        raise VenvExistsError(msg)
