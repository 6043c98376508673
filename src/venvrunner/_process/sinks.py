"""Where lines go: a log level, a callable or nowhere; and what is masked on the way into a log."""

import logging
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from venvrunner._process.loggers import Levels
from venvrunner._process.redraws import is_redrawn, redrawn
from venvrunner._redaction import MASK, Redactor, masked, merged, userinfos

__tracebackhide__ = True

__all__ = [
    "MASK",
    "OutputCallback",
    "Redactor",
    "Sink",
    "is_coroutine_function",
    "line_sink",
    "stderr_callback",
    "stdout_callback",
    "userinfos",
]

OutputCallback = Callable[[str], Any] | Callable[[str], Awaitable[Any]]
Sink = Callable[[str], Any]

_MARKS = [chr(number) for number in range(0xFDD0, 0xFDF0)]
"""Noncharacters, which Unicode keeps for uses such as marking masked characters."""


def line_sink(
    target: str | int | OutputCallback | None, prefix: str, levels: Levels, redactor: Redactor, command: Sequence[str] = ()
) -> Sink | None:
    """Return what takes the lines of one stream.

    Args:
        target: the name or the number of a level, a callable that gets the bare line, or ``None``.
        prefix: what a logged line begins with: the name of the stream.
        levels: those of the logger, which gets what a terminal would show of a line.
        redactor: masks logged lines; a callable gets the truth.
        command: the masked command line, for log records.

    Raises:
        TypeError, ValueError: *target* is neither.

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
    """Return what a terminal shows of a line, masked.

    A credential may be whole only before a part of it is overwritten, or only after that: both are masked, whatever is left.
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
        if len(marked) != len(shown):  # there are terminal codes within a credential
            return redactor.mask(redrawn(redactor.mask(line)))
        hidden += (match.span() for match in re.finditer(f"{mark}+", marked))
    return masked(shown, merged(hidden))


def stdout_callback(line: str) -> None:
    r"""Print a line to the present ``sys.stdout``: a callback for ``stdout_loglevel``.

    What the stream can't encode is printed as an escape sequence, such as ``\u20ac``.

    Args:
        line: the line without its end.

    >>> stdout_callback("as it came")
    as it came
    """
    _print(line, sys.stdout)


def stderr_callback(line: str) -> None:
    r"""Print a line to the present ``sys.stderr``: a callback for ``stderr_loglevel``.

    What the stream can't encode is printed as an escape sequence, such as ``\u20ac``.

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
        except UnicodeEncodeError:  # it encodes in another way than it says
            print(_encodable(line, "ascii"), file=stream)


def _encodable(line: str, encoding: object) -> str:
    """Return a line with escape sequences for what an encoding does not have; that of ASCII if it is not known."""
    try:
        return line.encode(str(encoding), "backslashreplace").decode(str(encoding))
    except (LookupError, UnicodeError):
        return line.encode("ascii", "backslashreplace").decode("ascii")


def is_coroutine_function(sink: Sink | None) -> bool:
    """Tell whether a sink is an ``async def``, also as a method, a partial, a mock or an object with such a call.

    >>> import asyncio
    >>> is_coroutine_function(asyncio.sleep), is_coroutine_function(print)
    (True, False)
    """
    if sink is None or getattr(sink, "__module__", None) == __name__:  # made here: a log level, or a callback to print
        return False
    import inspect  # slow to import, and most calls have no callable of their own

    while isinstance(sink, partial):
        sink = sink.func
    return inspect.iscoroutinefunction(sink) or inspect.iscoroutinefunction(getattr(sink, "__call__", None))  # noqa: B004  it is asked what kind it is, not whether it can be called
