"""Turn what the system or virtualenv raises into errors of ours."""

import contextlib
import re
from collections.abc import Generator

from venvrunner._venv.removal import FIRM
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
        # A path by a descriptor says nothing to a reader. virtualenv has printed what it said with its SystemExit.
        reason = (
            "virtualenv refused" if isinstance(exc, SystemExit) else re.sub(FIRM + r"\d+", lambda _match: venv_dir, str(exc))
        )
        msg = f"can't {what} in {venv_dir!r}: {reason}!"
        raise CreationError(msg) from exc
