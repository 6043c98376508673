"""The folder of an environment: what may be in it, and how it is emptied."""

import contextlib
import os
from collections.abc import Generator, Iterable

from venvrunner._create.ownership import STATE, replace_file
from venvrunner.exceptions import CreationError, NotAVenvError, VenvError

__tracebackhide__ = True


def check(venv_dir: str) -> None:
    """Make sure that nothing is in the way but an environment or an empty folder.

    Raises:
        NotAVenvError: something else is there. A link is, whatever it points to.
    """
    if not os.path.lexists(venv_dir):
        return
    if os.path.isdir(venv_dir) and not os.path.islink(venv_dir):
        config = os.path.join(venv_dir, "pyvenv.cfg")
        if os.path.isfile(config):
            return
        with explained(venv_dir):
            try:
                found = os.listdir(venv_dir)
            except FileNotFoundError:  # somebody has deleted it meanwhile
                return
        # Somebody else may have begun to fill it between the two looks; the file is there before anything else is.
        if not set(found) - {STATE} or os.path.isfile(config):
            return
    msg = f"{venv_dir!r} is in the way and no virtual environment! It was not touched; move it, or choose another name."
    raise NotAVenvError(msg)


def is_there(venv_dir: str) -> bool:
    """Tell whether an environment is there, be it a broken one."""
    return os.path.lexists(os.path.join(venv_dir, "pyvenv.cfg"))


def mark(venv_dir: str) -> None:
    """Make a folder known for an environment before anything else is in it, and as long as anything else is in it."""
    new = os.path.join(venv_dir, STATE, "pyvenv.cfg")  # beside it, it would look like something of the user's
    replace_file(new, "")
    os.replace(new, os.path.join(venv_dir, "pyvenv.cfg"))


def missing_folders(path: str) -> list[str]:
    """Return what has to be made for a folder to be there, the innermost first."""
    missing: list[str] = []
    while not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    return missing


def remove_contents(folder: str, keep: set[str]) -> None:
    """Remove what is in a folder, which is never reached through a link."""
    import shutil  # noqa: PLC0415  slow to import

    for entry in list(os.scandir(folder)):
        if entry.name in keep:
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def remove_empty(folders: Iterable[str]) -> None:
    """Remove those folders that are empty."""
    for folder in folders:
        with contextlib.suppress(OSError):
            os.rmdir(folder)


@contextlib.contextmanager
def explained(venv_dir: str, what: str = "create an environment") -> Generator[None]:
    """Turn what the system or virtualenv raises into an error of ours."""
    try:
        yield
    except VenvError:
        raise
    except (SystemExit, OSError, RuntimeError, ValueError) as exc:
        # virtualenv has printed what it said with its SystemExit.
        reason = "virtualenv refused" if isinstance(exc, SystemExit) else exc
        msg = f"can't {what} in {venv_dir!r}: {reason}!"
        raise CreationError(msg) from exc
