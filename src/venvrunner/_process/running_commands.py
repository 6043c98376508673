"""The sets of running commands: stop them from outside, on Ctrl-C in another thread, and at the interpreter's exit."""

import atexit
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from venvrunner._process.clock import monotonic
from venvrunner._process.critical_section import surely

__tracebackhide__ = True

_MARGIN = 1.0
"""Seconds in addition to the grace for the commands of other threads at the interpreter's exit."""
_LAST = 0.5
"""Maximum seconds that these threads then have for the exception: Python aborts if one prints while the interpreter ends."""
_PAUSE = 0.005
"""Seconds between two checks whether they have ended."""


class Stoppable(Protocol):
    """A command that is running."""

    grace: float
    thread: int
    """The thread that waits for the command."""

    def request_stop(self, reason: str, *, interrupt: bool = False) -> None:
        """Make the waiting call stop the command and raise an exception with the reason. Call it from any thread."""
        ...

    def hurry(self) -> None:
        """Skip the rest of the grace. Call it from any thread."""
        ...

    def abandon(self) -> None:
        """Kill the command at once."""
        ...


class Running:
    """A set of running commands: those of one runner, or of the whole process.

    Use it from any thread, callback or signal handler: it takes no lock.

    Args:
        above: a set that the commands of this one belong to as well.
    """

    def __init__(self, above: "Running | None" = None) -> None:
        # A dict, not a WeakSet: its operations are atomic.
        self._commands: dict[int, weakref.ref[Stoppable]] = {}
        self._owner = os.getpid()
        self._above = above

    def add(self, command: Stoppable) -> None:
        """Add a command that is about to start."""
        self._commands[id(command)] = weakref.ref(command)
        if self._above is not None:
            self._above.add(command)

    def discard(self, command: Stoppable) -> None:
        """Remove a command that has ended."""
        self._commands.pop(id(command), None)
        if self._above is not None:
            self._above.discard(command)

    def __iter__(self) -> Iterator[Stoppable]:
        """Iterate over the running commands; over none in a fork of the process that started them."""
        if os.getpid() == self._owner:
            yield from (command for ref in list(self._commands.values()) if (command := ref()) is not None)

    def stop(self, reason: str) -> None:
        """Request a stop of all running commands, and return without waiting for it."""
        for command in self:
            command.request_stop(reason)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy as an empty set: a copy has started no command."""
        return type(self), ()


EVERYTHING = Running()
"""All commands of this process."""


def _end_everything() -> None:
    """Stop the commands of daemon threads; Python has waited for all other threads by now."""
    left = [command for command in EVERYTHING if command.thread != threading.main_thread().ident]
    for command in EVERYTHING:
        if command not in left:
            command.abandon()  # its event loop has ended and will never continue it
    for command in left:
        command.request_stop("the interpreter is exiting")
    end = monotonic() + 2 * max((command.grace for command in left), default=0.0) + _MARGIN
    while any(command in left for command in EVERYTHING) and monotonic() < end:
        time.sleep(_PAUSE)
    for command in EVERYTHING:
        command.abandon()
    waiting, end = {command.thread for command in left}, monotonic() + _LAST
    while any(thread.ident in waiting for thread in threading.enumerate()) and monotonic() < end:
        time.sleep(_PAUSE)


atexit.register(surely, _end_everything, EVERYTHING._commands)  # noqa: SLF001  of this module


class Interruption:
    """Detects in other threads whether Ctrl-C has reached the main thread since this object was created.

    Python runs signal handlers in the main thread only, and a command has a session of its own, so the terminal does not
    signal it either. Other threads can see the ``KeyboardInterrupt`` that the main thread is handling, or has ended with.
    """

    def __init__(self) -> None:
        self._known = list(_interrupts())

    def seen(self) -> bool:
        """Return whether there is a new interrupt; true only once for each."""
        new = [error for error in _interrupts() if not any(error is known for known in self._known)]
        self._known += new
        return bool(new)


def _interrupts() -> Iterator[BaseException]:
    """Yield the ``KeyboardInterrupt`` objects that the main thread is handling or has ended with."""
    ended_with = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    for error in (ended_with, _handled_by_main_thread()):
        cause = error
        while cause is not None:
            if isinstance(cause, KeyboardInterrupt):
                yield cause
            cause = cause.__context__


def _handled_by_main_thread() -> BaseException | None:
    handled: Callable[[], dict[int, Any]] | None = getattr(sys, "_current_exceptions", None)
    if handled is None:  # PyPy
        return None
    found: Any = handled().get(threading.main_thread().ident or 0)
    error: BaseException | None = found if found is None or isinstance(found, BaseException) else found[1]
    return error  # before Python 3.12, it is the second item of a triple


def asyncio_was_interrupted() -> bool:
    """Return whether ``asyncio.run`` has got its first Ctrl-C, on which it only cancels the main task."""
    runner = getattr(getattr(signal.getsignal(signal.SIGINT), "func", None), "__self__", None)
    return bool(getattr(runner, "_interrupt_count", 0))


def is_of_ctrl_c(cancel: BaseException) -> bool:
    """Return whether a cancellation is known to come from Ctrl-C: one of trio has a reason (from trio 0.31 on)."""
    return "KeyboardInterrupt" in f"{getattr(cancel, 'source', '')} {getattr(cancel, 'reason', '')}"
