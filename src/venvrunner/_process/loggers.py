"""Loggers of every library, as callers give them, and the record that one of the standard library gets."""

import logging
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from venvrunner._process.preformatted import unchanged

__tracebackhide__ = True

Log = Callable[[str], Any]
"""Logs a text."""
Maker = Callable[[dict[str, object]], Log]
"""Makes that of the attributes of the records."""

_NAMES = (__name__.partition(".")[0], "asyncio", "concurrent", "threading", "anyio", "trio", "uvloop")
_BETWEEN = tuple(f"{name}." for name in _NAMES)
"""The packages whose frames are between a line of output and the caller's own code."""
_STANDARD = (logging.Logger, logging.LoggerAdapter)
_SOURCE = logging.addLevelName.__code__.co_filename
_NUMBERS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
"""The methods of the standard library that only log at a level."""


class Levels:
    """The levels of a logger: how it logs finished text at each, which is found out once.

    Args:
        logger: any object with methods named like levels.

    Raises:
        TypeError: it is the name of a logger.

    >>> import logging
    >>> Levels(logging.getLogger()).log("loud")
    Traceback (most recent call last):
    ...
    ValueError: 'loud' is not a log level of RootLogger! Use a name such as 'debug' or 'error', a callable, or None.
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
        """Return what logs a text at a level, whatever braces or percent signs it has.

        Args:
            level: the name of the level.
            **extra: further attributes for records of the standard library, which also name the line that called this package.

        Raises:
            ValueError: the logger has no such level.
        """
        make = self._makers.get(level)
        if make is None:
            make = self._makers[level] = _maker(self._logger, level)
        return make(extra)


def log_method(logger: object, level: str, **extra: object) -> Log:
    """Same as :meth:`Levels.log`, for a single one."""
    return Levels(logger).log(level, **extra)


def _maker(logger: object, level: str) -> Maker:
    """Return what makes a function that logs at a level, of the attributes of its records.

    Raises:
        ValueError: the logger has no such level.
    """
    # These have methods that are no levels, such as setLevel.
    standard = issubclass(type(logger), _STANDARD)
    is_level = not standard or level == "exception" or level.upper() in logging.getLevelNamesMapping()
    method = getattr(logger, level, None) if is_level and not level.startswith("_") else None
    if not callable(method):
        msg = (
            f"{level!r} is not a log level of {type(logger).__name__}!"
            " Use a name such as 'debug' or 'error', a callable, or None."
        )
        raise ValueError(msg)  # noqa: TRY004  the level is wrong, not the type
    if standard and (make := _record_maker(logger, method, level)) is not None:
        return make
    log = unchanged(method, str) if _formats_only_arguments(logger) else unchanged(method)
    return lambda _extra: log


def _formats_only_arguments(logger: object) -> bool:
    """Return whether a logger is of a library that formats a message only if there are arguments to put in."""
    while type(logger).__module__.partition(".")[0] == "structlog" and (inner := getattr(logger, "_logger", None)) is not None:
        logger = inner
    return type(logger).__module__.partition(".")[0] in {"structlog", "loguru", "logging"}


def _record_maker(logger: Any, method: Callable[..., Any], level: str) -> Maker | None:
    """Return that of a logger of the standard library, or of a subclass; ``None`` if it does not take the keywords."""
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
    """Return what makes functions that call the method, which adds so many frames that it does not count itself."""
    number = getattr(logging, level.upper(), logging.ERROR)
    is_own = not _is_original(method)  # and may log at any level

    def make(extra: dict[str, object]) -> Log:
        def log_by_method(text: str) -> None:
            if is_own or logger.isEnabledFor(number):  # to look for the caller takes longer than all the rest of a line
                method(text, extra=extra, stacklevel=_stacklevel() + more)

        return log_by_method

    return make


def _steps(logger: Any, method: Callable[..., Any]) -> tuple[list[Any], Any]:
    """Return the methods that a text passes through on its way into a record, and the logger that makes the record."""
    steps = [method]
    while issubclass(type(logger), logging.LoggerAdapter):
        steps += [logger.log, logger.process]
        logger = logger.logger
    if len(steps) > 1:
        steps.append(logger.log)
    return [*steps, getattr(logger, "_log", None)], logger  # what subclasses override; a foreign logger need not have it


def _adds_frame(method: Callable[..., Any]) -> bool:
    """Return whether a method is one more frame below the caller's code, which it does not count itself."""
    code = getattr(method, "__code__", None)
    if code is None or _is_original(method) or method.__name__ == "process":
        return False
    return "stacklevel" not in repr((code.co_consts, code.co_varnames))


def _direct_maker(logger: Any, number: int) -> Maker:
    """Return what makes functions that make a record as ``Logger.info`` and the like do, but look for the caller only once."""
    frame = _caller()
    path, line, function = frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name
    if not getattr(logging, "_srcfile", True):  # a documented way to have no callers looked for
        path, line, function = "(unknown file)", 0, "(unknown function)"

    def make(extra: dict[str, object]) -> Log:
        def log(text: str) -> None:
            if logger.isEnabledFor(number):
                logger.handle(logger.makeRecord(logger.name, number, path, line, text, (), None, function, extra, None))

        return log

    return make


def _is_original(*functions: Callable[..., Any]) -> bool:
    """Return whether functions are of the standard library's logging, and no wrapper that only says so."""
    return {getattr(getattr(function, "__code__", None), "co_filename", None) for function in functions} == {_SOURCE}


def _takes_keywords(logger: Any, method: Callable[..., Any]) -> bool:
    """Return whether a logger of the standard library takes its keywords: methods of subclasses need not."""
    keywords: dict[str, object] = {"extra": None, "stacklevel": 1}
    while issubclass(type(logger), logging.LoggerAdapter) and _takes(logger.log, 0, "", **keywords):
        logger = logger.logger
    if not issubclass(type(logger), logging.Logger):
        return False
    return _takes(method, "", **keywords) and _takes(logger._log, 0, "", (), **keywords)  # noqa: SLF001  what subclasses override


def _takes(method: Callable[..., Any], *args: object, **keywords: object) -> bool:
    if _is_original(method):
        return True
    import inspect  # slow to import, and most loggers are just what the standard library has

    try:
        inspect.signature(method).bind(*args, **keywords)
    except (TypeError, ValueError):
        return False
    return True


def _stacklevel() -> int:
    """Return how many frames are between the function that calls this one and the caller's own code, plus one."""
    level, frame = 1, sys._getframe(1)  # noqa: SLF001  inspect would build a list of all frames for each line
    while frame.f_back is not None and f"{frame.f_globals.get('__name__')}.".startswith(_BETWEEN):
        level, frame = level + 1, frame.f_back
    return level


def _caller() -> FrameType:
    """Return the frame of the caller's own code."""
    frame = sys._getframe(1)  # noqa: SLF001  the same
    while frame.f_back is not None and f"{frame.f_globals.get('__name__')}.".startswith(_BETWEEN):
        frame = frame.f_back
    return frame
