"""Calls that Windows refuses while another process has a file open; a virus scanner often has, for a moment."""

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

__tracebackhide__ = True

_P = ParamSpec("_P")
_Result = TypeVar("_Result")

_REFUSED = {5, 32, 145}
"""ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION, ERROR_DIR_NOT_EMPTY: a removed file keeps its name until it is closed."""
_PATIENCE = 2.0
"""Seconds after which the refusal is raised."""
_PAUSE = (0.001, 0.05)
"""Seconds between two attempts: at first, and at most."""


def insist(action: Callable[_P, _Result], *args: _P.args, **keywords: _P.kwargs) -> _Result:
    """Call a function of the system again for a while if another process has the file open.

    Only errors of Windows are retried: elsewhere an open file can be removed and replaced.

    Raises:
        OSError: the last refusal, or any other error at once.

    >>> insist(len, "abc")
    3
    """
    try:
        return action(*args, **keywords)
    except OSError as exc:
        if not is_refused_for_now(exc):
            raise
    end, pause = time.monotonic() + _PATIENCE, _PAUSE[0]
    while True:
        time.sleep(pause)
        pause = min(2 * pause, _PAUSE[1])
        try:
            return action(*args, **keywords)
        except OSError as exc:
            if not is_refused_for_now(exc) or time.monotonic() > end:
                raise


def is_refused_for_now(error: OSError) -> bool:
    """Return whether Windows refused a call because of an open file, perhaps.

    >>> is_refused_for_now(PermissionError(13, "Permission denied"))
    False
    """
    return getattr(error, "winerror", None) in _REFUSED
