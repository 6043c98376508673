"""Steps written once for the sync and the async call: a generator yields each command and is sent what became of it."""

import subprocess
from collections.abc import Awaitable, Callable, Generator
from typing import Any, NamedTuple, TypeVar

__tracebackhide__ = True


class Call(NamedTuple):
    """A command that is to be run, with the keywords of ``log_run``."""

    argv: list[str]
    options: dict[str, Any]


_Result = TypeVar("_Result")
Steps = Generator[Call, subprocess.CompletedProcess[str], _Result]
Outcome = subprocess.CompletedProcess[str] | BaseException | None
"""What a call has come to; ``None`` before the first."""


def run(steps: Steps[_Result], perform: Callable[[Call], subprocess.CompletedProcess[str]]) -> _Result:
    """Do the steps one after the other, and return their result."""
    outcome: Outcome = None
    while isinstance(step := _next(steps, outcome), Call):
        try:
            outcome = perform(step)
        except BaseException as exc:  # noqa: BLE001  the steps decide what becomes of it
            outcome = exc
    return step


async def run_async(steps: Steps[_Result], perform: Callable[[Call], Awaitable[subprocess.CompletedProcess[str]]]) -> _Result:
    """Same as :func:`run`, but a coroutine."""
    outcome: Outcome = None
    while isinstance(step := _next(steps, outcome), Call):
        try:
            outcome = await perform(step)
        except BaseException as exc:  # noqa: BLE001  the steps decide what becomes of it
            outcome = exc
    return step


def _next(steps: Steps[_Result], outcome: Outcome) -> Call | _Result:
    if isinstance(outcome, StopIteration):  # by a callback; a generator can't raise it (PEP 479)
        steps.close()
        raise outcome
    try:
        if isinstance(outcome, BaseException):
            return steps.throw(outcome)
        return next(steps) if outcome is None else steps.send(outcome)
    except StopIteration as end:
        result: _Result = end.value
        return result
