"""Waiting for an event with a deadline."""

import threading
import time
from collections.abc import Callable

DEADLINE = 20.0
"""Seconds to wait for what must happen; reached only by a failing test, also on a loaded machine."""


def wait_until(condition: Callable[[], object], what: str, seconds: float = DEADLINE) -> None:
    """Wait for a condition without an event, with a deadline."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain: {what}"
        pause.wait(0.005)
