"""The monotonic clock of commands, which no test can freeze by a patch of the module ``time``."""

import threading
import time
from collections.abc import Callable
from typing import Any

__tracebackhide__ = True


def _unpatched() -> Callable[[], float]:
    """Return the function ``time.monotonic`` of a module object of its own.

    freezegun replaces the function in ``time``, and in each module that has imported the same object, perhaps before this
    module is first imported. A frozen clock would freeze every timeout.
    """
    spec: Any = time.__spec__
    module = spec.loader.create_module(spec)
    spec.loader.exec_module(module)
    found: Callable[[], float] = module.monotonic
    return found


monotonic = _unpatched()


def alarm(until: float | None, function: Callable[[], object]) -> Callable[[], None] | None:
    """Call a function once at a time, from a thread of its own, if a test has frozen the clock of event loops.

    Args:
        until: the time, by :func:`monotonic`; ``None``: never.
        function: the function, which may be called from any thread.

    Returns:
        what ends the thread; ``None``: the clock is not frozen, so that timers of loops run.
    """
    if until is None or type(time.monotonic) is type(monotonic):
        return None
    timer = threading.Timer(max(0.0, until - monotonic()), function)
    timer.daemon = True
    timer.start()

    def end() -> None:
        timer.cancel()
        timer.join()

    return end
