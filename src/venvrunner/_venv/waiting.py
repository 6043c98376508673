"""Waiting for the users of an environment: the pauses, one log message, and the error when the time is up."""

import os
from collections.abc import Iterable
from typing import Any

from venvrunner._process.clock import monotonic
from venvrunner.exceptions import VenvInUseError

__tracebackhide__ = True

_PAUSE = (0.001, 0.05)
"""Seconds between two attempts at a lock: the first pause and the longest."""


class WaitPolicy:
    """How to wait: a little longer each time, with one warning that names the users, and an error at the end."""

    def __init__(self, venv_dir: str, wait: float) -> None:
        self._venv_dir = venv_dir
        self._wait = wait
        self._end = monotonic() + wait
        self._pause = _PAUSE[0]
        self._is_reported = False

    def pause(self, users: Iterable[str]) -> float:
        """Return how many seconds to wait before the next attempt.

        Args:
            users: descriptions of the current users, as :mod:`.lock_notes` writes them.

        Raises:
            VenvInUseError: the time is up.
        """
        names = list(dict.fromkeys(users))
        described = " and ".join(names)
        if monotonic() >= self._end:
            still = f"still in use after {self._wait:g} s" if self._wait else "in use"
            msg = f"{self._venv_dir!r} is {still} by {described}. {_remedy(names)}"
            raise VenvInUseError(msg)
        if self._pause == _PAUSE[1] and not self._is_reported:
            self._is_reported = True
            logger().warning("waiting for %r, which is in use by %s", self._venv_dir, described)
        pause, self._pause = self._pause, min(self._pause * 2, _PAUSE[1])
        return pause


def _remedy(users: list[str]) -> str:
    if all(user.startswith(f"process {os.getpid()} ") for user in users):
        return "That is this process: leave the other runner's with block, end its command, or use another path."
    return f"Stop {'that process' if len(users) == 1 else 'these processes'} or use another path."


def logger() -> Any:
    """Return the logger ``venvrunner``."""
    import logging  # slow to import

    return logging.getLogger("venvrunner")
