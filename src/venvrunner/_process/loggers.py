"""Loggers of any library: log finished text unchanged, and name the caller's line in standard records."""

import logging
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from venvrunner._process.preformatted import unchanged

__tracebackhide__ = True

Log = Callable[[str], Any]
"""A function that logs a string."""
Maker = Callable[[dict[str, object]], Log]
"""A function that takes the attributes of the records and returns a :data:`Log`."""

_NAMES = (__name__.partition(".")[0], "asyncio", "concurrent", "threading", "anyio", "trio", "uvloop")
_BETWEEN = tuple(f"{name}." for name in _NAMES)
"""The packages whose frames lie between a line of output and the caller's code."""
_STANDARD = (logging.Logger, logging.LoggerAdapter)
_SOURCE = logging.addLevelName.__code__.co_filename
_NUMBERS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
"""The methods of a standard logger that only log at a level, with its number."""


class Levels:
    """The levels of a logger, and the way to log finished text at each, determined once.

    Args:
        logger: any object with methods named like levels.

    Raises:
        TypeError: *logger* is the name of a logger.

    >>> import logging
    >>> Levels(logging.getLogger()).log("loud")
    Traceback (most recent call last):
    ...
    ValueError: 'loud' is not a log level of RootLogger. Use a name such as 'debug' or 'error', a callable, or None.
    """

    def __init__(self, logger: object) -> None:
        if isinstance(logger, str):
            msg = f"logger must be a logger, not a str. Use logging.getLogger({logger!r})."
            if logger.lower() in _NUMBERS:
                msg = f"logger must be a logger, not a str. For a level, use stdout_loglevel={logger!r}."
            raise TypeError(msg)
        self._logger = logger
        self._makers: dict[str, Maker] = {}

    def log(self, level: str, **extra: object) -> Log:
        """Return a function that logs a string at a level, unchanged by braces or percent signs in it.

        Args:
            level: the name of the level.
            **extra: further attributes for standard records, which also name the caller's line.

        Raises:
            ValueError: the logger has no such level.
        """
        make = self._makers.get(level)
        if make is None:
            make = self._makers[level] = _maker(self._logger, level)
        return make(extra)


def log_method(logger: object, level: str, **extra: object) -> Log:
    """Same as :meth:`Levels.log`, for one level of a logger."""
    return Levels(logger).log(level, **extra)


def _maker(logger: object, level: str) -> Maker:
    """Return a function that takes the attributes of records and returns a function that logs at a level.

    Raises:
        ValueError: the logger has no such level.
    """
    # Standard loggers have methods that are not levels, such as setLevel.
    standard = issubclass(type(logger), _STANDARD)
    is_level = not standard or level == "exception" or level.upper() in logging.getLevelNamesMapping()
    method = getattr(logger, level, None) if is_level and not level.startswith("_") else None
    if not callable(method):
        msg = (
            f"{level!r} is not a log level of {type(logger).__name__}."
            " Use a name such as 'debug' or 'error', a callable, or None."
        )
        raise ValueError(msg)  # noqa: TRY004  the level is wrong, not the type
    if standard and (make := _record_maker(logger, method, level)) is not None:
        return make
    log = unchanged(method, str) if _formats_only_arguments(logger) else unchanged(method)
    return lambda _extra: log


def _formats_only_arguments(logger: object) -> bool:
    """Return whether a logger is of a library that formats a message only if it has arguments."""
    while type(logger).__module__.partition(".")[0] == "structlog" and (inner := getattr(logger, "_logger", None)) is not None:
        logger = inner
    return type(logger).__module__.partition(".")[0] in {"structlog", "loguru", "logging"}


def _record_maker(logger: Any, method: Callable[..., Any], level: str) -> Maker | None:
    """Return the maker for a standard logger or a subclass; ``None`` if its method lacks the keywords."""
    steps, base = _steps(logger, method)
    is_original = _is_original(*steps)
    if not is_original and not _takes_keywords(logger, method):
        return None
    is_untouched = (
        is_original and _is_original(base.makeRecord, base.handle) and logging.getLogRecordFactory() is logging.LogRecord
    )
    if base is logger and level in _NUMBERS and is_original and _is_original(base.findCaller):
        make = _direct_maker(logger, _NUMBERS[level])
    else:
        make = _method_maker(logger, method, level, sum(map(_adds_frame, steps)))
    return make if is_untouched else lambda extra: unchanged(make(extra))


def _method_maker(logger: Any, method: Callable[..., Any], level: str, more: int) -> Maker:
    """Return the maker for a logger whose method must be called; *more* is the number of frames to skip in addition."""
    number = getattr(logging, level.upper(), logging.ERROR)
    is_own = not _is_original(method)  # and may log at any level

    def make(extra: dict[str, object]) -> Log:
        def log_by_method(text: str) -> None:
            if is_own or logger.isEnabledFor(number):  # finding the caller takes longer than the rest of a line
                method(text, extra=extra, stacklevel=_stacklevel() + more)

        return log_by_method

    return make


def _steps(logger: Any, method: Callable[..., Any]) -> tuple[list[Any], Any]:
    """Return the methods that a string passes through before it is a record, and the logger that makes the record."""
    steps = [method]
    while issubclass(type(logger), logging.LoggerAdapter):
        steps += [logger.log, logger.process]
        logger = logger.logger
    if len(steps) > 1:
        steps.append(logger.log)
    return [*steps, getattr(logger, "_log", None)], logger  # subclasses override it; a foreign logger need not have it


def _adds_frame(method: Callable[..., Any]) -> bool:
    """Return whether a method adds a frame below the caller's code without adjusting ``stacklevel``."""
    code = getattr(method, "__code__", None)
    if code is None or _is_original(method) or method.__name__ == "process":
        return False
    return "stacklevel" not in repr((code.co_consts, code.co_varnames))


def _direct_maker(logger: Any, number: int) -> Maker:
    """Return a maker that creates records as ``Logger.info`` and the like do, but finds the caller only once."""
    frame = _caller()
    path, line, function = frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name
    if not getattr(logging, "_srcfile", True):  # the documented way to switch off the search for callers
        path, line, function = "(unknown file)", 0, "(unknown function)"

    def make(extra: dict[str, object]) -> Log:
        def log(text: str) -> None:
            if logger.isEnabledFor(number):
                logger.handle(logger.makeRecord(logger.name, number, path, line, text, (), None, function, extra, None))

        return log

    return make


def _is_original(*functions: Callable[..., Any]) -> bool:
    """Return whether functions are those of the standard library's logging, not wrappers with the same name."""
    return {getattr(getattr(function, "__code__", None), "co_filename", None) for function in functions} == {_SOURCE}


def _takes_keywords(logger: Any, method: Callable[..., Any]) -> bool:
    """Return whether a logger takes the keywords of a standard logger: methods of subclasses need not."""
    keywords: dict[str, object] = {"extra": None, "stacklevel": 1}
    while issubclass(type(logger), logging.LoggerAdapter) and _takes(logger.log, 0, "", **keywords):
        logger = logger.logger
    if not issubclass(type(logger), logging.Logger):
        return False
    return _takes(method, "", **keywords) and _takes(logger._log, 0, "", (), **keywords)  # noqa: SLF001  subclasses override it


def _takes(method: Callable[..., Any], *args: object, **keywords: object) -> bool:
    if _is_original(method):
        return True
    import inspect  # slow to import, and most loggers are plain standard ones

    try:
        inspect.signature(method).bind(*args, **keywords)
    except (TypeError, ValueError):
        return False
    return True


def _stacklevel() -> int:
    """Return how many frames are between the function that calls this one and the caller's code, plus one."""
    level, frame = 1, sys._getframe(1)  # noqa: SLF001  inspect would build a list of all frames for each line
    while frame.f_back is not None and f"{frame.f_globals.get('__name__')}.".startswith(_BETWEEN):
        level, frame = level + 1, frame.f_back
    return level


def _caller() -> FrameType:
    """Return the frame of the caller's code."""
    frame = sys._getframe(1)  # noqa: SLF001  inspect would build a list of all frames
    while frame.f_back is not None and f"{frame.f_globals.get('__name__')}.".startswith(_BETWEEN):
        frame = frame.f_back
    return frame
