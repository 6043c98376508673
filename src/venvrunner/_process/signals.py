"""Keep Python's signal handlers from raising in the middle of something."""

import contextlib
import signal
import threading
from collections.abc import Callable, Generator
from importlib import import_module
from types import FrameType
from typing import Any

__tracebackhide__ = True

try:
    # The public functions make an enum member of every answer; for all signals, that takes a quarter of a short process.
    _plain: Any = import_module("_signal")
except ImportError:
    _plain = signal

_NUMBERS = tuple(map(int, signal.valid_signals()))
_IMPATIENT = {getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)}
Handler = Callable[[int, FrameType | None], Any]
Received = list[tuple[int, FrameType | None]]


@contextlib.contextmanager
def deferred() -> Generator[Received]:
    """Put off every Python signal handler, such as Ctrl-C's, until the end of the block.

    A handler that raises between ``fork`` and the assignment of its result would leave a child that nobody knows.
    Outside the main thread nothing is to be done: handlers run in the main thread.

    Yields:
        the signals that came so far.
    """
    received: Received = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    handlers: dict[int, Handler] = {}

    def record(signum: int, frame: FrameType | None) -> None:
        received.append((signum, frame))

    try:
        for signum in _NUMBERS:
            handler = _plain.getsignal(signum)
            if callable(handler):
                handlers[signum] = handler
                try:
                    _plain.signal(signum, record)
                except ValueError:  # a subinterpreter, or a main thread by name only: no handler runs here either
                    handlers.clear()
                    break
        yield received
    finally:
        _restore(dict(handlers))
        # Once each, as the system does with signals that come while they are blocked.
        _call(handlers, dict(received))


def _call(handlers: dict[int, Handler], pending: dict[int, FrameType | None]) -> None:
    """Call handlers, all of them even if one raises."""
    try:
        while pending:
            number = next(iter(pending))
            handlers[number](number, pending.pop(number))
    finally:
        if pending:
            _call(handlers, pending)


def impatience(received: Received) -> int:
    """Count the signals by which somebody says that it takes too long; others are none of the ladder's business."""
    return sum(number in _IMPATIENT for number, _frame in received)


def _restore(handlers: dict[int, Handler]) -> None:
    """Put handlers back, all of them even if one that is back already raises."""
    try:
        for number, handler in list(handlers.items()):
            _plain.signal(number, handler)
            del handlers[number]
    finally:
        if handlers:
            _restore(handlers)


def surely(action: Callable[[], None]) -> None:
    """Do something that no signal handler can prevent.

    A handler may still raise in the first steps, before it is put off; then the action is done again. A timer whose
    handler raises many times a millisecond gets through all the same.

    Args:
        action: may be done twice.

    >>> surely(lambda: print("done"))
    done
    """
    try:
        with deferred():
            action()
    except BaseException:
        with deferred():
            action()
        raise
