"""Sinks for lines: a log level or a callable; logged lines are masked."""

import logging
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from venvrunner._process.loggers import Levels
from venvrunner._process.redraws import is_redrawn, redrawn
from venvrunner._redaction import Redactor, masked, merged

__tracebackhide__ = True

__all__ = [
    "OutputCallback",
    "Sink",
    "is_coroutine_function",
    "line_sink",
    "stderr_callback",
    "stdout_callback",
]

OutputCallback = Callable[[str], Any] | Callable[[str], Awaitable[Any]]
Sink = Callable[[str], Any]

_MARKS = [chr(number) for number in range(0xFDD0, 0xFDF0)]
"""Noncharacters, which Unicode reserves for internal uses such as marking masked characters."""


def line_sink(
    target: str | int | OutputCallback | None, prefix: str, levels: Levels, redactor: Redactor, command: Sequence[str] = ()
) -> Sink | None:
    """Return the sink for the lines of one stream; ``None`` for no sink.

    Args:
        target: the name or the number of a level, a callable that gets the bare line, or ``None``.
        prefix: the prefix of logged lines: the name of the stream.
        levels: the levels of the logger, which gets each line as a terminal would show it.
        redactor: masks logged lines; a callable gets them unmasked.
        command: the masked command line, for log records.

    Raises:
        TypeError, ValueError: *target* is of another type, or the logger has no such level.

    >>> line_sink(None, "stdout", Levels(None), Redactor()) is None
    True
    """
    if target is None or callable(target):
        return target
    if isinstance(target, int) and target and target in logging.getLevelNamesMapping().values():
        target = logging.getLevelName(target).lower()
    if not isinstance(target, str):
        shown = repr(target) if isinstance(target, int | float) else type(target).__name__
        msg = f"{prefix}_loglevel must be a log level such as 'info' or logging.INFO, a callable or None, not {shown}."
        raise TypeError(msg)
    log, mask = levels.log(target, stream=prefix, command=command), redactor.mask
    return lambda line: log(f"{prefix}: {_shown(line, redactor) if is_redrawn(line) else mask(line)}")


def _shown(line: str, redactor: Redactor) -> str:
    """Return a line as a terminal shows it, masked.

    A credential may be complete only before a part of it is overwritten, or only after that. Both are masked.
    """
    shown, spans = redrawn(line), redactor.spans(line)
    hidden = redactor.spans(shown)
    if spans:
        mark = next((mark for mark in _MARKS if mark not in line), _MARKS[0])
        pieces, end = list[str](), 0
        for begin, after in spans:
            pieces += [line[end:begin], re.sub(r"[^\r\b\x1b]", mark, line[begin:after])]
            end = after
        marked = redrawn("".join([*pieces, line[end:]]))
        if len(marked) != len(shown):  # a credential contains terminal codes
            return redactor.mask(redrawn(redactor.mask(line)))
        hidden += (match.span() for match in re.finditer(f"{mark}+", marked))
    return masked(shown, merged(hidden))


def stdout_callback(line: str) -> None:
    r"""Print a line to the current ``sys.stdout``: a callback for ``stdout_loglevel``.

    Characters that the stream cannot encode are printed as escape sequences, such as ``\u20ac``.

    Args:
        line: the line without its end.

    >>> stdout_callback("as it came")
    as it came
    """
    _print(line, sys.stdout)


def stderr_callback(line: str) -> None:
    r"""Print a line to the current ``sys.stderr``: a callback for ``stderr_loglevel``.

    Characters that the stream cannot encode are printed as escape sequences, such as ``\u20ac``.

    Args:
        line: the line without its end.

    >>> stderr_callback("as it came")
    """
    _print(line, sys.stderr)


def _print(line: str, stream: Any) -> None:
    if stream is None:  # a program without a console
        return
    try:
        print(line, file=stream)
    except UnicodeEncodeError:
        try:
            print(_encodable(line, getattr(stream, "encoding", None)), file=stream)
        except UnicodeEncodeError:  # its encoding is not the one it names
            print(_encodable(line, "ascii"), file=stream)


def _encodable(line: str, encoding: object) -> str:
    """Return a line with escape sequences for characters that an encoding lacks; an unknown encoding counts as ASCII."""
    try:
        return line.encode(str(encoding), "backslashreplace").decode(str(encoding))
    except (LookupError, UnicodeError):
        return line.encode("ascii", "backslashreplace").decode("ascii")


def is_coroutine_function(sink: Sink | None) -> bool:
    """Return whether a sink is an ``async def``, also as a method, a partial, a mock or a callable object.

    >>> import asyncio
    >>> is_coroutine_function(asyncio.sleep), is_coroutine_function(print)
    (True, False)
    """
    if sink is None or getattr(sink, "__module__", None) == __name__:  # defined here: a log level, or a callback that prints
        return False
    import inspect  # slow to import, and most calls have no callable of their own

    while isinstance(sink, partial):
        sink = sink.func
    return inspect.iscoroutinefunction(sink) or inspect.iscoroutinefunction(getattr(sink, "__call__", None))  # noqa: B004  the question is its kind, not whether it is callable
