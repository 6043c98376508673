"""The time limit of an installation: it stops whatever command runs when the time is over."""

import threading
from collections.abc import Generator
from contextlib import contextmanager

from venvrunner._process.running_commands import EVERYTHING
from venvrunner.exceptions import VenvError

__tracebackhide__ = True

_AGAIN = 0.1
"""Seconds between two stops: after the first, the library may start another command, such as an attempt without the store."""


class TooLongError(VenvError):
    """The installation took longer than its limit."""


@contextmanager
def time_limit(seconds: float | None, *, thread: int | None = None) -> Generator[None]:
    """Stop the commands that run in a block when its time is over.

    Args:
        seconds: the limit; ``None``: none.
        thread: the thread whose commands are stopped; ``None``: those of all threads.

    Raises:
        TooLongError: the time was over, and the block failed.
    """
    if seconds is None:
        yield
        return
    ended, is_over = threading.Event(), threading.Event()

    def watch() -> None:
        if ended.wait(seconds):
            return
        is_over.set()
        while not ended.wait(_AGAIN):
            for command in EVERYTHING:
                if thread is None or command.thread == thread:
                    command.request_stop("the installation took too long")

    watcher = threading.Thread(target=watch, name="venvrunner-time-limit", daemon=True)
    watcher.start()
    try:
        yield
    except Exception as exc:
        if not is_over.is_set():
            raise
        msg = f"the installation took longer than {seconds:g} seconds. Check the index, or use a larger --install-timeout."
        raise TooLongError(msg) from exc
    finally:
        ended.set()
        watcher.join()
