"""Sharing violations: Windows refuses calls while another process has a file open, as virus scanners often do briefly."""

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from venvrunner._process.clock import monotonic

__tracebackhide__ = True

_P = ParamSpec("_P")
_Result = TypeVar("_Result")

_REFUSED = {5, 32, 145}
"""ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION, ERROR_DIR_NOT_EMPTY: a removed file keeps its name until it is closed."""
_TIMEOUT = 2.0
"""Seconds after which the refusal is raised."""
_PAUSE = (0.001, 0.05)
"""Seconds between two attempts: the first pause and the longest."""


def insist(action: Callable[_P, _Result], *args: _P.args, **keywords: _P.kwargs) -> _Result:
    """Call a system function, and retry for a while if another process has the file open.

    Only Windows errors are retried: elsewhere an open file can be removed and replaced.

    Raises:
        OSError: the last refusal after two seconds; any other error at once.

    >>> insist(len, "abc")
    3
    """
    try:
        return action(*args, **keywords)
    except OSError as exc:
        if not is_refused_for_now(exc):
            raise
    end, pause = monotonic() + _TIMEOUT, _PAUSE[0]
    while True:
        time.sleep(pause)
        pause = min(2 * pause, _PAUSE[1])
        try:
            return action(*args, **keywords)
        except OSError as exc:
            if not is_refused_for_now(exc) or monotonic() > end:
                raise


def is_refused_for_now(error: OSError) -> bool:
    """Return whether Windows may have refused a call because of an open file.

    >>> is_refused_for_now(PermissionError(13, "Permission denied"))
    False
    """
    return getattr(error, "winerror", None) in _REFUSED
