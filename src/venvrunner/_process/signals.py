"""Keep Python's signal handlers from raising in the middle of something."""

import contextlib
import signal
import threading
from collections.abc import Callable, Generator
from importlib import import_module
from types import FrameType
from typing import Any

try:
    # The public functions make an enum member of every answer; for all signals, that takes a quarter of a short process.
    _plain: Any = import_module("_signal")
except ImportError:
    _plain = signal

_NUMBERS = tuple(map(int, signal.valid_signals()))
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
                _plain.signal(signum, record)
        yield received
    finally:
        _restore(dict(handlers))
        for number, frame in received:
            handlers[number](number, frame)


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
