"""Make an environment in a place that is free or holds one."""

import contextlib
import os
from collections.abc import Generator
from typing import TYPE_CHECKING

from venvrunner._process.signals import deferred, surely
from venvrunner.environment import CREATION_PREFIX, get_clean_environment
from venvrunner.exceptions import CreationError, NotAVenvError

if TYPE_CHECKING:
    from virtualenv.run.session import Session


def create(venv_dir: str, *, python: str | None = None) -> None:
    """Make an environment with pip, in place of one that may be there; without the network.

    Args:
        venv_dir: an absolute path.
        python: the interpreter, as a path or a version; ``None``: the running one.

    Raises:
        NotAVenvError: something else is there; it was not touched.
        CreationError: it can't be made; what was made of it is removed.
    """
    if python == "":
        msg = "python='' is no interpreter! Leave it out for the running one, or give a path or a version."
        raise CreationError(msg)
    check(venv_dir)
    # The interpreter is looked for first: an environment that is there is not given up for one that can't be.
    with _explained(venv_dir, python):
        session = _session(venv_dir, python)
    missing = _missing_folders(venv_dir)
    try:
        # Threads of virtualenv would go on writing after an exception, so a Ctrl-C has to wait for them.
        with deferred(), _explained(venv_dir, python):
            _remove(venv_dir, [])
            os.makedirs(venv_dir, exist_ok=True)
            session.run()
    except BaseException:
        surely(lambda: _remove(venv_dir, missing))
        raise


def check(venv_dir: str) -> None:
    """Make sure that nothing is in the way but an environment or an empty folder.

    Raises:
        NotAVenvError: something else is there. A link is, whatever it points to.
    """
    if not os.path.lexists(venv_dir):
        return
    is_folder = os.path.isdir(venv_dir) and not os.path.islink(venv_dir)
    if is_folder and (os.path.isfile(os.path.join(venv_dir, "pyvenv.cfg")) or not os.listdir(venv_dir)):
        return
    msg = f"{venv_dir!r} is in the way and no virtual environment! It was not touched; move it, or choose another name."
    raise NotAVenvError(msg)


def _session(venv_dir: str, python: str | None) -> "Session":
    import virtualenv  # noqa: PLC0415  it takes 0.2 s

    # Neither variables nor a virtualenv.ini of the user's may change what is made.
    env = {name: value for name, value in get_clean_environment().items() if not name.startswith(CREATION_PREFIX)}
    env["VIRTUALENV_CONFIG_FILE"] = os.devnull
    args = ["--no-download", "--no-periodic-update", "--activators=", venv_dir]
    if python is not None:
        args = [f"--python={python}", *args]
    return virtualenv.session_via_cli(args, setup_logging=False, env=env)


@contextlib.contextmanager
def _explained(venv_dir: str, python: str | None) -> Generator[None]:
    """Turn what virtualenv raises into an error of ours."""
    try:
        yield
    except (SystemExit, OSError, RuntimeError, ValueError) as exc:
        # virtualenv has printed what it said with its SystemExit.
        reason = "virtualenv refused" if isinstance(exc, SystemExit) else exc
        wanted = "" if python is None else f" with Python {python!r}"
        msg = f"can't create an environment in {venv_dir!r}{wanted}: {reason}!"
        raise CreationError(msg) from exc


def _missing_folders(path: str) -> list[str]:
    """Return what has to be made for a folder to be there, the innermost first."""
    missing: list[str] = []
    while not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    return missing


def _remove(venv_dir: str, folders: list[str]) -> None:
    """Remove all that is in an environment, and those folders that are empty then."""
    import shutil  # noqa: PLC0415  slow to import

    if not os.path.isdir(venv_dir):
        return
    for entry in list(os.scandir(venv_dir)):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
    for folder in folders:
        if os.listdir(folder):
            break
        os.rmdir(folder)
