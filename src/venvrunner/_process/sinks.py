"""Where lines go: a log level, a callable or nowhere; and what is masked on the way into a log."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, cast

from venvrunner._redaction import MASK, Redactor, userinfos

__tracebackhide__ = True

__all__ = [
    "MASK",
    "OutputCallback",
    "Redactor",
    "Sink",
    "is_coroutine_function",
    "line_sink",
    "log_method",
    "stderr_callback",
    "stdout_callback",
    "userinfos",
]

OutputCallback = Callable[[str], Any] | Callable[[str], Awaitable[Any]]
Sink = Callable[[str], Any]

_BETWEEN = (__name__.partition(".")[0] + ".", "asyncio.", "concurrent.", "threading.")
"""Where the modules are that stand between a line of output and the caller's own code."""


def log_method(logger: object, level: str, **extra: object) -> Sink:
    """Return what logs a finished text at a level of the logger, whatever braces or percent signs it has.

    Args:
        logger: any object with methods named like levels.
        level: such a name.
        **extra: what records of the standard library have besides; they also name the line that called this package.

    Raises:
        ValueError: the logger has no such level.
        TypeError: it is the name of one.

    >>> import logging
    >>> log_method(logging.getLogger(), "loud")
    Traceback (most recent call last):
    ...
    ValueError: 'loud' is not a log level of RootLogger! Use a name such as 'debug' or 'error', a callable, or None.
    """
    import logging  # noqa: PLC0415  slow to import

    if isinstance(logger, str):
        msg = f"logger must be a logger, not a str! Use logging.getLogger({logger!r})."
        raise TypeError(msg)
    # These have methods that are no levels, such as setLevel.
    standard = (logging.Logger, logging.LoggerAdapter)
    is_level = not issubclass(type(logger), standard) or level.upper() in {*logging.getLevelNamesMapping(), "EXCEPTION"}
    method = getattr(logger, level, None) if is_level and not level.startswith("_") else None
    if not callable(method):
        msg = (
            f"{level!r} is not a log level of {type(logger).__name__}!"
            " Use a name such as 'debug' or 'error', a callable, or None."
        )
        raise ValueError(msg)  # noqa: TRY004  the level is wrong, not the type
    if "twiggy" in sys.modules and any(cls.__module__.partition(".")[0] == "twiggy" for cls in type(logger).__mro__):
        # twiggy formats its first argument even when there is nothing to put in.
        return lambda text: method("{0}", text)
    if issubclass(type(logger), standard) and _takes_keywords(logger, method):
        return _record_sink(logger, method, level, extra)
    return cast("Sink", method)


def _record_sink(logger: Any, method: Callable[..., Any], level: str, extra: dict[str, object]) -> Sink:
    import logging  # noqa: PLC0415  slow to import

    number = getattr(logging, level.upper(), logging.ERROR)
    is_own = getattr(method, "__module__", None) != "logging"  # and may log at any level
    code = getattr(method, "__code__", None) if is_own else None
    # Its own frame is one more, unless it counts that itself.
    more = 0 if code is None or "stacklevel" in repr((code.co_consts, code.co_varnames)) else 1

    def log(text: str) -> None:
        if is_own or logger.isEnabledFor(number):  # to look for the caller takes longer than all the rest of a line
            method(text, extra=extra, stacklevel=_stacklevel() + more)

    return log


def _takes_keywords(logger: Any, method: Callable[..., Any]) -> bool:
    """Tell whether a logger of the standard library takes its keywords: methods that somebody else has written need not."""
    import logging  # noqa: PLC0415  slow to import

    keywords: dict[str, object] = {"extra": None, "stacklevel": 1}
    while issubclass(type(logger), logging.LoggerAdapter) and _takes(logger.log, 0, "", **keywords):
        logger = logger.logger
    if not issubclass(type(logger), logging.Logger):
        return False
    return _takes(method, "", **keywords) and _takes(logger._log, 0, "", (), **keywords)  # noqa: SLF001  what subclasses override


def _takes(method: Callable[..., Any], *args: object, **keywords: object) -> bool:
    if getattr(method, "__module__", None) == "logging":
        return True
    import inspect  # noqa: PLC0415  slow to import, and most loggers are just what the standard library has

    try:
        inspect.signature(method).bind(*args, **keywords)
    except (TypeError, ValueError):
        return False
    return True


def _stacklevel() -> int:
    """Return how many frames lie between the function that calls this one and the caller's own code, plus one."""
    level, frame = 1, sys._getframe(1)  # noqa: SLF001  inspect would build a list of all frames for each line
    while frame.f_back is not None and f"{frame.f_globals.get('__name__')}.".startswith(_BETWEEN):
        level, frame = level + 1, frame.f_back
    return level


def line_sink(
    target: str | OutputCallback | None, prefix: str, logger: object, redactor: Redactor, command: Sequence[str] = ()
) -> Sink | None:
    """Return what takes the lines of one stream.

    Args:
        target: a level name, a callable that gets the bare line, or ``None``.
        prefix: what a logged line begins with: the name of the stream.
        logger: for level names.
        redactor: masks logged lines; a callable gets the truth.
        command: the masked command line, for log records.

    Raises:
        TypeError, ValueError: *target* is neither.

    >>> line_sink(None, "stdout", None, Redactor()) is None
    True
    """
    if target is None or callable(target):
        return target
    if not isinstance(target, str):
        msg = f"{prefix}_loglevel must be the name of a log level, a callable or None, not {type(target).__name__}!"
        raise TypeError(msg)
    method = log_method(logger, target, stream=prefix, command=command)
    return lambda line: method(f"{prefix}: {redactor.mask(line)}")


def stdout_callback(line: str) -> None:
    """Print a line to the present ``sys.stdout``: a callback for ``stdout_loglevel``.

    Args:
        line: the line without its end.

    >>> stdout_callback("as it came")
    as it came
    """
    print(line)  # noqa: T201  printing is what it is for


def stderr_callback(line: str) -> None:
    """Print a line to the present ``sys.stderr``: a callback for ``stderr_loglevel``.

    Args:
        line: the line without its end.

    >>> stderr_callback("as it came")
    """
    print(line, file=sys.stderr)  # noqa: T201  printing is what it is for


def is_coroutine_function(sink: Sink | None) -> bool:
    """Tell whether a sink is an ``async def``, also as a method, a partial, a mock or an object with such a call.

    >>> import asyncio
    >>> is_coroutine_function(asyncio.sleep), is_coroutine_function(print)
    (True, False)
    """
    if sink is None or getattr(sink, "__module__", None) == __name__:  # made here: a log level, or a callback to print
        return False
    import inspect  # noqa: PLC0415  slow to import, and most calls have no callable of their own

    while isinstance(sink, partial):
        sink = sink.func
    return inspect.iscoroutinefunction(sink) or inspect.iscoroutinefunction(getattr(sink, "__call__", None))  # noqa: B004  it is asked what kind it is, not whether it can be called
