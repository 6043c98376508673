"""Waiting for others who use an environment: how long, and who is told."""

import time
from collections.abc import Iterable
from typing import Any

from venvrunner.exceptions import VenvInUseError

__tracebackhide__ = True

_PAUSE = (0.001, 0.05)
"""Seconds between two looks at a lock: at first, and at most."""


class WaitPolicy:
    """Waits a little longer each time, tells once for whom, and ends with an error."""

    def __init__(self, venv_dir: str, wait: float) -> None:
        self._venv_dir = venv_dir
        self._wait = wait
        self._end = time.monotonic() + wait
        self._pause = _PAUSE[0]
        self._told = False

    def pause(self, users: Iterable[str]) -> float:
        """Return how many seconds to wait before the next look."""
        who = " and ".join(dict.fromkeys(users))
        if time.monotonic() >= self._end:
            msg = f"{self._venv_dir!r} is in use by {who}! Waited {self._wait:g} s; let it end, or choose another place."
            raise VenvInUseError(msg)
        if self._pause == _PAUSE[1] and not self._told:
            self._told = True
            logger().warning("waiting for %r, which is in use by %s", self._venv_dir, who)
        pause, self._pause = self._pause, min(self._pause * 2, _PAUSE[1])
        return pause


def logger() -> Any:
    """Return the logger that tells of waiting and rebuilding."""
    import logging  # slow to import

    return logging.getLogger("venvrunner")
