"""Errors of the system and of virtualenv, turned into ``CreationError`` with the path of the environment."""

import contextlib
import re
from collections.abc import Generator

from venvrunner._venv.open_directory import FIRM
from venvrunner.exceptions import CreationError, VenvError

__tracebackhide__ = True

CREATE = "create an environment"


@contextlib.contextmanager
def explained(venv_dir: str, what: str = CREATE) -> Generator[None]:
    """Turn an error that leaves the block into a ``CreationError`` that names the environment and the operation.

    Args:
        venv_dir: the environment.
        what: the operation, to follow "cannot".

    Raises:
        CreationError: the block raised an error of the system or of virtualenv.
    """
    try:
        yield
    except VenvError:
        raise
    except (SystemExit, OSError, RuntimeError, ValueError) as exc:
        # A path through a descriptor means nothing to a reader. virtualenv has already printed the reason for its SystemExit.
        reason = (
            "virtualenv failed" if isinstance(exc, SystemExit) else re.sub(FIRM + r"\d+", lambda _match: venv_dir, str(exc))
        )
        msg = f"cannot {what} in {venv_dir!r}: {reason.rstrip('.')}."
        raise CreationError(msg) from exc
