"""Make and delete an environment, and nothing else."""

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
    import shutil  # noqa: PLC0415  slow to import

    clear(venv_dir)
    made = not os.path.isdir(venv_dir)
    try:
        os.makedirs(venv_dir, exist_ok=True)
        _call_virtualenv(venv_dir, python)
    except BaseException:
        with deferred():
            shutil.rmtree(venv_dir, ignore_errors=True)
            if not made:
                os.makedirs(venv_dir, exist_ok=True)
        raise


def clear(venv_dir: str) -> None:
    """Remove an environment that is there, so that one can be made.

    Raises:
        NotAVenvError: something else is there. A link is, whatever it points to.
    """
    if not os.path.lexists(venv_dir):
        return
    import shutil  # noqa: PLC0415  slow to import

    if not os.path.islink(venv_dir) and os.path.isdir(venv_dir):
        if os.path.isfile(os.path.join(venv_dir, "pyvenv.cfg")):
            shutil.rmtree(venv_dir)
            return
        if not os.listdir(venv_dir):
            return
    msg = f"{venv_dir!r} is in the way and no virtual environment! It was not touched; move it, or choose another name."
    raise NotAVenvError(msg)


def _call_virtualenv(venv_dir: str, python: str | None) -> None:
    import virtualenv  # noqa: PLC0415  it takes 0.2 s

    # Neither variables nor a virtualenv.ini of the user's may change what is made.
    env = {name: value for name, value in get_clean_environment().items() if not name.startswith(CREATION_PREFIX)}
    env["VIRTUALENV_CONFIG_FILE"] = os.devnull
    args = ["--no-download", "--no-periodic-update", "--activators", "", venv_dir]
    if python is not None:
        args = ["--python", python, *args]
    try:
        virtualenv.cli_run(args, setup_logging=False, env=env)
    except (SystemExit, OSError, RuntimeError, ValueError) as exc:
        reason = f"virtualenv ended with status {exc.code}" if isinstance(exc, SystemExit) else exc
        wanted = "" if python is None else f" with Python {python!r}"
        msg = f"can't create an environment in {venv_dir!r}{wanted}: {reason}!"
        raise CreationError(msg) from exc
