"""The commands that are running: who stops them from outside, and when the program itself is about to end."""

import atexit
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from venvrunner._process.critical_section import surely

__tracebackhide__ = True

_MARGIN = 1.0
"""Seconds on top of the grace that the commands of other threads have when the interpreter ends."""
_PAUSE = 0.005
"""Seconds between two looks at whether they have ended."""


class Stoppable(Protocol):
    """A command that is running."""

    grace: float
    thread: int
    """The thread in which it is waited for."""

    def request_stop(self, reason: str, *, interrupt: bool = False) -> None:
        """Have it ended by whoever waits for it, with an exception that names the reason; from any thread."""
        ...

    def abandon(self) -> None:
        """Kill it at once."""
        ...


class Running:
    """A set of running commands, of one runner or of the whole process.

    It is usable from any thread, from a callback and from a signal handler: no lock is taken.
    """

    def __init__(self) -> None:
        # A dict, not a WeakSet: its operations are atomic.
        self._commands: dict[int, weakref.ref[Stoppable]] = {}
        self._owner = os.getpid()

    def add(self, command: Stoppable) -> None:
        """Note a command that is about to start."""
        self._commands[id(command)] = weakref.ref(command)

    def discard(self, command: Stoppable) -> None:
        """Forget a command that has ended."""
        self._commands.pop(id(command), None)

    def __iter__(self) -> Iterator[Stoppable]:
        """Iterate over the commands that run now; none in a fork of the process that started them."""
        if os.getpid() == self._owner:
            yield from (command for ref in list(self._commands.values()) if (command := ref()) is not None)

    def stop(self, reason: str) -> None:
        """Request the end of all commands that run now, and return without waiting for it."""
        for command in self:
            command.request_stop(reason)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy as an empty set: a copy has started nothing."""
        return type(self), ()


EVERYTHING = Running()
"""All commands of this process."""


def _end_everything() -> None:
    """End what daemon threads have started; Python has waited for all other threads by now."""
    left = [command for command in EVERYTHING if command.thread != threading.main_thread().ident]
    for command in EVERYTHING:
        if command not in left:
            command.abandon()  # an event loop that has ended will never go on with it
    for command in left:
        command.request_stop("the interpreter is exiting")
    end = time.monotonic() + 2 * max((command.grace for command in left), default=0.0) + _MARGIN
    while any(command in left for command in EVERYTHING) and time.monotonic() < end:
        time.sleep(_PAUSE)
    for command in EVERYTHING:
        command.abandon()


atexit.register(surely, _end_everything)


class Interruption:
    """Tells whether Ctrl-C has reached the main thread since this was made, for those who wait in other threads.

    Python runs signal handlers in the main thread only, and a command has a session of its own, so the terminal does not tell
    it either. What other threads can see is the ``KeyboardInterrupt`` that the main thread is handling, or has ended with.
    """

    def __init__(self) -> None:
        self._known = list(_interrupts())

    def seen(self) -> bool:
        """Return, once for each, whether there is a new one."""
        new = [error for error in _interrupts() if not any(error is known for known in self._known)]
        self._known += new
        return bool(new)


def _interrupts() -> Iterator[BaseException]:
    """Yield the ``KeyboardInterrupt`` objects that the main thread has to do with."""
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
    return error  # that of a triple before Python 3.12


def asyncio_was_interrupted() -> bool:
    """Return whether the first Ctrl-C has come to ``asyncio.run``, which only cancels the main task then."""
    runner = getattr(getattr(signal.getsignal(signal.SIGINT), "func", None), "__self__", None)
    return bool(getattr(runner, "_interrupt_count", 0))


def is_of_ctrl_c(cancel: BaseException) -> bool:
    """Return whether a cancel is due to Ctrl-C, as far as it tells: that of trio has a reason (from trio 0.31 on)."""
    return "KeyboardInterrupt" in f"{getattr(cancel, 'source', '')} {getattr(cancel, 'reason', '')}"
