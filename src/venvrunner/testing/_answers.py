"""Answers of test doubles: match them with calls, and explain a call that has none; without I/O."""

import difflib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, cast

from venvrunner._call.request import Reply
from venvrunner._redaction import Redactor

__tracebackhide__ = True

_BEGIN = re.compile(r"@@ -[01][, ]")
"""The header of a hunk that begins at the first line."""


class Call(NamedTuple):
    """A call of a test double.

    Attributes:
        args: the plain name of the command, and its arguments.
        cwd: the working directory; ``None``: that of this process.
        input: the text for standard input; ``None``: standard input is empty.
        env: all environment variables; ``None``: those of this process.
        timeout: the time limit in seconds; ``None``: no limit.
    """

    args: list[str]
    cwd: str | None
    input: str | None
    env: Mapping[str, str] | None
    timeout: float | None


SideEffect = BaseException | type[BaseException] | Callable[[Call], object]


class Question(NamedTuple):
    """The part of a call that an answer must match."""

    args: Sequence[object]
    cwd: str | None = None
    input: str | None = None

    def lines(self) -> list[str]:
        """Return the lines that a message shows."""
        shown: list[str] = []
        for arg in self.args:
            parts = arg.splitlines(keepends=True) or [""] if isinstance(arg, str) else [arg]  # source code, line by line
            shown += ["..." if part is ... else repr(part) for part in parts]
        for name, value in (("cwd", self.cwd), ("input", self.input)):
            if value is not None:
                shown.append(f"{name}={value!r}")
        return shown

    def masked(self, redactor: Redactor) -> "Question":
        """Return a copy with credentials masked."""
        cwd, text = (None if value is None else redactor.mask(value) for value in self[1:])
        return Question([redactor.mask(arg) if isinstance(arg, str) else arg for arg in self.args], cwd, text)


@dataclass
class Answer:
    """The answer to calls that match.

    Args:
        question: the call to match; its arguments may be patterns, see :func:`fits`.
        output: the output of the command: 1 or 2 for the stream, and bytes, or text in the encoding of the call.
        returncode: the exit code; ``None``: the command does not exit.
        installed: the packages that the command installs, as versions by normalized names; ``None`` for a removed one.
        side_effect: an exception to raise instead, or a function to call first.
        times: how many times the answer is given; ``None``: any number of times.
        reply: the outcome of a function, if it is the answer to a call of one.
    """

    question: Question
    output: Sequence[tuple[int, str | bytes]] = ()
    returncode: int | None = 0
    installed: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    side_effect: SideEffect | None = None
    times: int | None = 1
    used: int = 0
    reply: Reply | None = None

    def is_left(self) -> bool:
        """Return whether the answer may be given again."""
        return self.times is None or self.used < self.times

    def is_owed(self) -> bool:
        """Return whether the answer must be given again."""
        return self.times is not None and self.used < self.times

    def answers(self, question: Question) -> bool:
        """Return whether the answer matches a call."""
        return self.question[1:] == question[1:] and fits(self.question.args, [str(arg) for arg in question.args])


def fits(pattern: Sequence[object], args: Sequence[str]) -> bool:
    """Return whether a command line matches a pattern.

    Args:
        pattern: an item for each argument: a str or a path, a regular expression for the whole argument, a function that
            returns whether the argument matches, or an object that is equal to it, such as ``unittest.mock.ANY``. ``...``
            matches any number of arguments.
        args: the command line.

    >>> fits(["pip", "install", ..., re.compile("req.*")], ["pip", "install", "--pre", "requests"])
    True
    """
    item = position = 0
    gap: tuple[int, int] | None = None
    while position < len(args):
        if item < len(pattern) and pattern[item] is ...:
            item += 1
            gap = item, position  # it matches no argument, until the next item does not match
        elif item < len(pattern) and _fits(pattern[item], args[position]):
            item, position = item + 1, position + 1
        elif gap is not None:
            gap = item, position = gap[0], gap[1] + 1
        else:
            return False
    return all(rest is ... for rest in pattern[item:])


def _fits(expected: object, arg: str) -> bool:
    if isinstance(expected, re.Pattern):
        return cast("re.Pattern[str]", expected).fullmatch(arg) is not None
    if isinstance(expected, os.PathLike):
        return os.fspath(cast("os.PathLike[str]", expected)) == arg
    if expected == arg:
        return True
    return callable(expected) and not isinstance(expected, type) and bool(expected(arg))


def no_answer(question: Question, answers: Sequence[Answer], advice: str, redactor: Redactor | None = None) -> str:
    r"""Return the message for a call without an answer, with the difference from the nearest one and with credentials masked.

    >>> print(no_answer(Question(["pip", "lost"]), [Answer(Question(["pip", "list"]))], "Script it."))
    the call ['pip', 'lost'] was not expected. Script it.
    The nearest answer (-) and the call (+):
        'pip'
      - 'list'
      + 'lost'
    """
    redactor = redactor or Redactor()
    shown = question.masked(redactor)
    call = shown.lines()
    message = f"the call {list(shown.args)!r} was not expected. {advice}"
    if not answers:
        return f"{message}\nThere are no answers."
    masked = [answer.question.masked(redactor).lines() for answer in answers]
    lines, nearest = max(zip(masked, answers, strict=True), key=lambda pair: _likeness(pair[0], call))
    if nearest.answers(question):
        times = "once" if nearest.used == 1 else f"{nearest.used} times"
        return f"{message}\nIts answer was already given {times}."
    return "\n".join([message, "The nearest answer (-) and the call (+):", *_difference(lines, call)])


def _difference(one: Sequence[str], other: Sequence[str]) -> Iterator[str]:
    """Yield a unified difference of lines; ndiff would be cubic in the length of a script."""
    if one == other:
        yield "  They differ only in masked credentials."
    for line in islice(difflib.unified_diff(one, other, lineterm=""), 2, None):
        if not _BEGIN.match(line):
            yield "  …" if line.startswith("@@") else f"  {line[0]} {line[1:]}"


def _likeness(one: Sequence[str], other: Sequence[str]) -> tuple[float, float]:
    whole = difflib.SequenceMatcher(None, one, other).ratio()
    return whole, difflib.SequenceMatcher(None, "\n".join(one), "\n".join(other)).quick_ratio()
