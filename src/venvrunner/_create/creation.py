"""Atomic creation of an environment: a failure leaves nothing behind, and an existing environment is replaced or reused."""

from collections.abc import Callable
from typing import Any, get_args

from venvrunner._create import archive, interpreters, seed
from venvrunner._create.interpreter import Interpreter
from venvrunner._create.recipe import Recipe, misfit_of, purpose_of
from venvrunner._process import context
from venvrunner._process.critical_section import uninterrupted
from venvrunner._types import Exist
from venvrunner._venv import venv_directory
from venvrunner._venv.change import Change, Hindrances, check_open
from venvrunner._venv.errors import explained
from venvrunner._venv.layout import CURRENT
from venvrunner._venv.open_directory import Directory
from venvrunner._venv.pyvenv_cfg import copy_settings
from venvrunner._venv.state import Ownership
from venvrunner._venv.users import User
from venvrunner._venv.waiting import logger
from venvrunner.exceptions import VenvExistsError

__tracebackhide__ = True


def create(venv_dir: str, user: User, recipe: Recipe, fill: Callable[[], object], *, exist: Exist, wait: float) -> None:
    """Create an environment atomically, or reuse an existing one. Only *fill* may use the network.

    Args:
        venv_dir: an absolute path.
        user: the user to record in the environment.
        recipe: the description of the environment, checked.
        fill: called to install the requirements, once the environment can run commands.
        exist: how to treat an existing environment.
        wait: how long to wait for its other users, in seconds.

    Raises:
        NotAVenvError: the path is not an environment; it was left untouched.
        VenvExistsError: an environment exists, and *exist* is ``"error"``.
        VenvInUseError: the existing environment is in use by a runner or a command.
        InterpreterNotFoundError: no interpreter matches.
        CreationError: the environment cannot be created; what was written of it has been removed.
        TypeError, ValueError: an option is wrong.
    """
    check_options(exist, wait)
    venv_directory.check(venv_dir)
    # The interpreter is searched for first: an existing environment is not deleted for one that cannot be created.
    interpreter = interpreters.find(recipe.python)
    if recipe.with_pip:
        interpreters.check_pip(interpreter.version)
    purpose = purpose_of(venv_dir, interpreter, recipe)

    def build(directory: Directory) -> None:
        def write() -> None:
            with explained(venv_dir):
                _write(directory, interpreter, recipe)

        uninterrupted(write)
        fill()

    occupy(venv_dir, user, purpose, build, exist=exist, wait=wait)


def purpose(venv_dir: str, recipe: Recipe) -> dict[str, Any]:
    """Return the record that an existing environment must have to be reused for a recipe.

    Raises:
        InterpreterNotFoundError: no interpreter matches.
    """
    return purpose_of(venv_dir, interpreters.find(recipe.python), recipe)


def check_target(venv_dir: str, purpose: dict[str, Any], exist: Exist) -> None:
    """Check whether an environment can be created at a path, as far as that is known before its lock is held.

    Raises:
        NotAVenvError: the path is not an environment.
        VenvExistsError: an environment exists, and *exist* is ``"error"``.
    """
    venv_directory.check(venv_dir)
    if exist == "error":
        _refuse_existing(venv_dir, purpose)


def is_reusable(venv_dir: str, recipe: Recipe, exist: Exist) -> bool:
    """Return whether an existing environment is to be reused, as far as that is known before its lock is held."""
    return exist == "reuse" and _fits(venv_dir, purpose(venv_dir, recipe))


def occupy(
    venv_dir: str,
    user: User,
    purpose: dict[str, Any],
    build: Callable[[Directory], object],
    *,
    exist: Exist,
    wait: float,
    parent_dir: str | None = None,
    record: dict[str, Any] | None = None,
) -> None:
    """Prepare the directory of an environment and let a function fill it, or reuse an existing environment.

    Args:
        venv_dir: an absolute path.
        user: the user to record in the environment.
        purpose: the record of the environment; one with an equal record can be reused.
        build: creates the environment in the open directory, which has only an empty ``pyvenv.cfg`` and the state directory.
        exist: how to treat an existing environment.
        wait: how long to wait for its other users, in seconds.
        parent_dir: the parent that the environment needs.
        record: the record to write, if it says more than *purpose*; default: *purpose*.

    Raises:
        VenvError: see :func:`create`.
    """
    check_target(venv_dir, purpose, exist)

    def begin(change: Change) -> tuple[bool, str | None]:
        """Return whether the environment must be built, and why an existing one cannot be reused."""
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
            owner.refuse_if_frozen("recreated")
            if not is_there:  # an existing environment stays as it is until it is marked as unfinished
                change.undo = undo
            directory.make_writable()
            change.state.make_writable()
            owner.begin(parent_dir)
            change.undo = undo
            venv_directory.mark(directory, change.state)
            venv_directory.clear(directory)
            owner.enter(user)
            venv_directory.check_place(directory)  # from here on it is filled by its path
            return True, reason if is_there else None

    def finish(change: Change) -> None:
        with explained(venv_dir):
            venv_directory.check_place(change.directory)
            Ownership(venv_dir, change.state).finish(purpose if record is None else record)

    if exist == "reuse" and _is_ready_made(venv_dir, purpose):
        return
    hindrances = _hindrances(venv_dir, purpose, exist)
    with Ownership(venv_dir).held(wait, hindrances, make=True, follow=False) as change:
        is_to_be_built, reason = uninterrupted(lambda: begin(change), quick=True)
        if reason is not None:
            logger().info("recreating %r: %s", venv_dir, reason)
        if is_to_be_built:
            build(change.directory)
            uninterrupted(lambda: finish(change), quick=True)
            user.has_created = True


def _is_ready_made(venv_dir: str, purpose: dict[str, Any]) -> bool:
    """Return whether an environment that this user cannot change can be reused; no user is recorded in it then."""
    return not Ownership(venv_dir).is_changeable() and _fits(venv_dir, purpose)


def _fits(venv_dir: str, purpose: dict[str, Any]) -> bool:
    with explained(venv_dir):
        return venv_directory.is_there(venv_dir) and misfit_of(Ownership(venv_dir), purpose) is None


def _hindrances(venv_dir: str, purpose: dict[str, Any], exist: Exist) -> Hindrances:
    caller = context.caller()

    def hindrances(state: Directory) -> list[str]:
        if exist == "error":
            _refuse_existing(venv_dir, purpose)
        owner = Ownership(venv_dir, state)
        return [] if exist == "reuse" and misfit_of(owner, purpose) is None else owner.users(caller)

    return hindrances


def check_options(exist: str, wait: float) -> None:
    if exist not in get_args(Exist):
        msg = f"exist must be one of {', '.join(map(repr, get_args(Exist)))}, not {exist!r}."
        raise ValueError(msg)
    if not wait >= 0:
        msg = f"wait must be a non-negative number of seconds, not {wait!r}."
        raise ValueError(msg)


def _write(directory: Directory, interpreter: Interpreter, recipe: Recipe) -> None:
    try:
        _fill(directory, seed.get(interpreter, with_pip=recipe.with_pip), interpreter, recipe)
    except archive.DamagedError:
        venv_directory.clear(directory)
        _fill(directory, seed.get(interpreter, with_pip=recipe.with_pip, fresh=True), interpreter, recipe)
    changes: dict[str, str] = {}
    if recipe.system_site_packages:
        changes["include-system-site-packages"] = "true"
    if recipe.prompt is not None:
        changes["prompt"] = repr(recipe.prompt)
    if changes:
        copy_settings(directory.firm_path, directory.firm_path, changes)


def _fill(directory: Directory, data: bytes | None, interpreter: Interpreter, recipe: Recipe) -> None:
    if data is None:
        seed.build(directory.path, interpreter, with_pip=recipe.with_pip)
        return
    archive.unpack(data, directory.firm_path, CURRENT.scripts(directory.path))
    if CURRENT.find_command(directory.firm_path, "python") is None:
        msg = "the archive contains no interpreter"
        raise archive.DamagedError(msg)


def _refuse_existing(venv_dir: str, purpose: dict[str, Any]) -> None:
    if venv_directory.is_there(venv_dir):
        reuse = "" if "fork" in purpose else "exist='reuse' to keep it, "
        msg = f"the environment {venv_dir!r} already exists. Pass {reuse}exist='clear' to recreate it, or use another name."
        raise VenvExistsError(msg)
