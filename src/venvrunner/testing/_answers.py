"""What a double is told to answer, and what it says of a call that has no answer; without I/O."""

import difflib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, cast

from venvrunner._process.sinks import Redactor

__tracebackhide__ = True

_BEGIN = re.compile(r"@@ -[01][, ]")
"""The head of a difference that begins with the first line."""


class Call(NamedTuple):
    """A command that a double was asked to run.

    Attributes:
        args: the plain name of the command, and its arguments.
        cwd: where it was to run; ``None``: here.
        input: the text for its standard input.
        env: all its environment variables; ``None``: those of this process.
        timeout: the seconds it had.
    """

    args: list[str]
    cwd: str | None
    input: str | None
    env: Mapping[str, str] | None
    timeout: float | None


SideEffect = BaseException | type[BaseException] | Callable[[Call], object]


class Question(NamedTuple):
    """That of a call which an answer has to fit."""

    args: Sequence[object]
    cwd: str | None = None
    input: str | None = None

    def lines(self) -> list[str]:
        """Return what a message shows of it."""
        shown: list[str] = []
        for arg in self.args:
            parts = arg.splitlines(keepends=True) or [""] if isinstance(arg, str) else [arg]  # source code, line by line
            shown += ["..." if part is ... else repr(part) for part in parts]
        for name, value in (("cwd", self.cwd), ("input", self.input)):
            if value is not None:
                shown.append(f"{name}={value!r}")
        return shown

    def masked(self, redactor: Redactor) -> "Question":
        """Return it without credentials."""
        cwd, text = (None if value is None else redactor.mask(value) for value in self[1:])
        return Question([redactor.mask(arg) if isinstance(arg, str) else arg for arg in self.args], cwd, text)


@dataclass
class Answer:
    """What a call gets that fits.

    Args:
        question: its arguments may be patterns, see :func:`fits`.
        output: what the command writes: 1 or 2 for the stream, and bytes, or text in the encoding of the call.
        returncode: its exit status; ``None``: it does not end.
        installed: versions of packages that are there afterwards, by normalized names; ``None`` for what is gone.
        side_effect: an exception that is raised instead, or a function that is called first.
        times: how often it is given; ``None``: any number of times.
    """

    question: Question
    output: Sequence[tuple[int, str | bytes]] = ()
    returncode: int | None = 0
    installed: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    side_effect: SideEffect | None = None
    times: int | None = 1
    used: int = 0

    def is_left(self) -> bool:
        """Tell whether it can be given once more."""
        return self.times is None or self.used < self.times

    def is_owed(self) -> bool:
        """Tell whether it has to be given once more."""
        return self.times is not None and self.used < self.times

    def answers(self, question: Question) -> bool:
        """Tell whether it is meant for a call."""
        return self.question[1:] == question[1:] and fits(self.question.args, [str(arg) for arg in question.args])


def fits(pattern: Sequence[object], args: Sequence[str]) -> bool:
    """Tell whether a command line fits a pattern.

    Args:
        pattern: for each argument a str or path, a regular expression for all of it, a function that tells whether it fits, or
            anything that is equal to it, such as ``unittest.mock.ANY``; ``...`` stands for any number of arguments.
        args: the command line.

    >>> fits(["pip", "install", ..., re.compile("req.*")], ["pip", "install", "--pre", "requests"])
    True
    """
    here = there = 0
    gap: tuple[int, int] | None = None
    while there < len(args):
        if here < len(pattern) and pattern[here] is ...:
            here += 1
            gap = here, there  # it stands for nothing, until what follows does not fit
        elif here < len(pattern) and _fits(pattern[here], args[there]):
            here, there = here + 1, there + 1
        elif gap is not None:
            gap = here, there = gap[0], gap[1] + 1
        else:
            return False
    return all(item is ... for item in pattern[here:])


def _fits(expected: object, arg: str) -> bool:
    if isinstance(expected, re.Pattern):
        return cast("re.Pattern[str]", expected).fullmatch(arg) is not None
    if isinstance(expected, os.PathLike):
        return os.fspath(cast("os.PathLike[str]", expected)) == arg
    if expected == arg:
        return True
    return callable(expected) and not isinstance(expected, type) and bool(expected(arg))


def no_answer(question: Question, answers: Sequence[Answer], advice: str, redactor: Redactor | None = None) -> str:
    r"""Return the message for a call that has no answer, with what is different from the nearest one; credentials are masked.

    >>> print(no_answer(Question(["pip", "lost"]), [Answer(Question(["pip", "list"]))], "Script it."))
    the call ['pip', 'lost'] was not expected! Script it.
    The nearest answer (-) and the call (+):
        'pip'
      - 'list'
      + 'lost'
    """
    redactor = redactor or Redactor()
    shown = question.masked(redactor)
    call = shown.lines()
    message = f"the call {list(shown.args)!r} was not expected! {advice}"
    if not answers:
        return f"{message}\nThere is no answer at all."
    masked = [answer.question.masked(redactor).lines() for answer in answers]
    lines, nearest = max(zip(masked, answers, strict=True), key=lambda pair: _likeness(pair[0], call))
    if nearest.answers(question):
        return f"{message}\nThe answer to it was already given {nearest.used} times."
    return "\n".join([message, "The nearest answer (-) and the call (+):", *_difference(lines, call)])


def _difference(one: Sequence[str], other: Sequence[str]) -> Iterator[str]:
    """Yield lines of both, those that differ with some around, also of long scripts (ndiff is cubic)."""
    if one == other:
        yield "  They differ in what is masked."
    for line in islice(difflib.unified_diff(one, other, lineterm=""), 2, None):
        if not _BEGIN.match(line):
            yield "  …" if line.startswith("@@") else f"  {line[0]} {line[1:]}"


def _likeness(one: Sequence[str], other: Sequence[str]) -> tuple[float, float]:
    whole = difflib.SequenceMatcher(None, one, other).ratio()
    return whole, difflib.SequenceMatcher(None, "\n".join(one), "\n".join(other)).quick_ratio()
