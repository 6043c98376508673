"""Calls of functions in doubles: what matches an argument, and the answer in place of a process."""

import contextlib
import json
import re
from contextvars import ContextVar
from typing import Any, Self, cast

from venvrunner._call.exchange import Exchange
from venvrunner._call.program import encoded, has_text_keys
from venvrunner._call.report_program import not_plain
from venvrunner._call.request import Failure, Reply, shown
from venvrunner.testing._answers import Answer

__tracebackhide__ = True

_TAKEN: ContextVar[list[Answer] | None] = ContextVar("venvrunner.testing.taken", default=None)


def take(answer: Answer) -> None:
    """Note the answer that a command gets, for the call that the command belongs to."""
    taken = _TAKEN.get()
    if taken is not None:
        taken.append(answer)


class CannedExchange(Exchange):
    """A call that no process makes: a double answers its command line, which has the arguments as JSON."""

    def __enter__(self) -> Self:
        self.args = self.request.words()
        self._taken: list[Answer] = []
        self._token = _TAKEN.set(self._taken)
        return self

    def _close(self) -> None:
        with contextlib.suppress(ValueError):  # a coroutine may be closed in another context than its own
            _TAKEN.reset(self._token)

    def _reply(self) -> Reply | None:
        # A side effect or a callback may have run further commands after the call's own.
        reply = self._taken[0].reply if self._taken else None
        if reply is None or self.request.pickle:
            return reply
        if reply.failure is not None:
            return Reply(failure=reply.failure._replace(error=None))
        with contextlib.suppress(TypeError, ValueError, RecursionError):
            text = encoded(reply.value)
            if has_text_keys(reply.value):
                return Reply(json.loads(text))
        return Reply(failure=Failure(not_plain(self.request.label, reply.value)))


def failed(label: str, error: BaseException) -> Failure:
    """Return the report of an exception that a function raises."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    raised = f"{name}: {error}" if str(error) else name
    return Failure(f"{label} raised {raised}", name, str(error), raised, error)


class Like:
    """A pattern for the JSON of an argument: a value that may have patterns in it, a regular expression, or a function."""

    def __init__(self, expected: object, name: str = "") -> None:
        self._expected = expected
        self._before = f"{name}=" if name else ""

    def __call__(self, text: str) -> bool:
        if not text.startswith(self._before):
            return False
        try:
            value = json.loads(text[len(self._before) :])
        except ValueError:
            value = text[len(self._before) :]
        expected = self._expected
        if isinstance(expected, re.Pattern):
            return isinstance(value, str) and cast("re.Pattern[str]", expected).fullmatch(value) is not None
        return (
            expected is ...
            or bool(expected == value)
            or (callable(expected) and not isinstance(expected, type) and bool(expected(value)))
        )

    def __repr__(self) -> str:
        return f"{self._before}{'...' if self._expected is ... else repr(self._expected)}"


def pattern(expected: Any, name: str = "") -> object:
    """Return what matches an argument of a call, or a keyword, among the words of its command line."""
    if expected is ...:
        return Like(..., name) if name else ...
    text = shown(expected)
    return f"{name}={text}" if name and _is_json(text) else text if _is_json(text) else Like(expected, name)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
