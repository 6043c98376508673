"""Make an environment, and clear the place for it."""

import os

from venvrunner._process.signals import deferred
from venvrunner.environment import CREATION_PREFIX, get_clean_environment
from venvrunner.exceptions import CreationError, NotAVenvError


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
    missing = _missing_folders(venv_dir)
    try:
        # Threads of virtualenv would go on writing after an exception, so a Ctrl-C has to wait for them.
        with deferred():
            _create(venv_dir, python)
    except NotAVenvError:
        raise
    except BaseException:
        with deferred():
            _remove(venv_dir, missing)
        raise


def clear(venv_dir: str) -> None:
    """Remove an environment that is there, so that one can be made.

    Raises:
        NotAVenvError: something else is there. A link is, whatever it points to.
    """
    if not os.path.lexists(venv_dir):
        return
    if not os.path.islink(venv_dir) and os.path.isdir(venv_dir):
        if os.path.isfile(os.path.join(venv_dir, "pyvenv.cfg")):
            with deferred():
                _remove(venv_dir, [venv_dir])
            return
        if not os.listdir(venv_dir):
            return
    msg = f"{venv_dir!r} is in the way and no virtual environment! It was not touched; move it, or choose another name."
    raise NotAVenvError(msg)


def _create(venv_dir: str, python: str | None) -> None:
    import virtualenv  # noqa: PLC0415  it takes 0.2 s

    # Neither variables nor a virtualenv.ini of the user's may change what is made.
    env = {name: value for name, value in get_clean_environment().items() if not name.startswith(CREATION_PREFIX)}
    env["VIRTUALENV_CONFIG_FILE"] = os.devnull
    args = ["--no-download", "--no-periodic-update", "--activators=", venv_dir]
    if python is not None:
        args = [f"--python={python}", *args]
    try:
        # The interpreter is looked for first: an environment that is there is not given up for one that can't be.
        session = virtualenv.session_via_cli(args, setup_logging=False, env=env)
        clear(venv_dir)
        os.makedirs(venv_dir, exist_ok=True)
        session.run()
    except NotAVenvError:
        raise
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
