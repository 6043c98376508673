"""Turn what the system or virtualenv raises into errors of ours."""

import contextlib
from collections.abc import Generator

from venvrunner._create.removal import with_name
from venvrunner.exceptions import CreationError, VenvError

__tracebackhide__ = True

CREATE = "create an environment"


@contextlib.contextmanager
def explained(venv_dir: str, what: str = CREATE) -> Generator[None]:
    """Turn an error that leaves the block into one that names the environment and what was tried."""
    try:
        yield
    except VenvError:
        raise
    except (SystemExit, OSError, RuntimeError, ValueError) as exc:
        # virtualenv has printed what it said with its SystemExit.
        reason = "virtualenv refused" if isinstance(exc, SystemExit) else with_name(str(exc), venv_dir)
        msg = f"can't {what} in {venv_dir!r}: {reason}!"
        raise CreationError(msg) from exc
