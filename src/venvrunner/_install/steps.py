"""Steps: a generator that yields commands and is sent their outcomes, so that it does not decide how they run."""

import subprocess
from collections.abc import Callable, Generator
from typing import Any, NamedTuple, TypeVar

__tracebackhide__ = True


class Call(NamedTuple):
    """A command to run, with its keywords for ``log_run``."""

    argv: list[str]
    options: dict[str, Any]


_Result = TypeVar("_Result")
Steps = Generator[Call, subprocess.CompletedProcess[str], _Result]
Outcome = subprocess.CompletedProcess[str] | BaseException | None
"""The outcome of a call; ``None`` before the first call."""


def run(steps: Steps[_Result], perform: Callable[[Call], subprocess.CompletedProcess[str]]) -> _Result:
    """Perform the steps one after the other, and return their result."""
    outcome: Outcome = None
    while isinstance(step := _next(steps, outcome), Call):
        try:
            outcome = perform(step)
        except BaseException as exc:  # noqa: BLE001  the steps decide how to handle it
            outcome = exc
    return step


def _next(steps: Steps[_Result], outcome: Outcome) -> Call | _Result:
    if isinstance(outcome, StopIteration):  # from a callback; a generator cannot raise it (PEP 479)
        steps.close()
        raise outcome
    try:
        if isinstance(outcome, BaseException):
            return steps.throw(outcome)
        return next(steps) if outcome is None else steps.send(outcome)
    except StopIteration as end:
        result: _Result = end.value
        return result
