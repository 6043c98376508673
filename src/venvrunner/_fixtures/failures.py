"""Failures of tests: their report has the commands of the test, and names the one that ended it."""

from typing import Any

import pytest

from venvrunner.exceptions import VenvError

__tracebackhide__ = True

TITLE = "venvrunner commands"
"""The heading in the report."""
_WIDTH = 80
_PACKAGE = "venvrunner."


def add_commands(report: pytest.TestReport, text: str) -> None:
    """Add the commands of a test to the report of its failure, which ``--junitxml`` has too.

    Args:
        report: the report. The text is added to its ``sections``, which ``--junitxml`` ignores, only if the failure itself
            takes no text.
        text: the commands, their exit codes and output.
    """
    failure: Any = report.longrepr
    if isinstance(failure, str):
        report.longrepr = "\n".join([failure, f" {TITLE} ".center(_WIDTH, "-"), text])
    elif hasattr(failure, "addsection"):
        failure.addsection(TITLE, text, "-")
    else:
        report.sections.append((TITLE, text))


def shorten(report: pytest.TestReport, error: BaseException, ended: str | None) -> None:
    """Name the command that ended a test in the summary of its failure, and leave out what the commands below it show.

    Args:
        report: the report.
        error: the exception that ended the test.
        ended: how the command of the exception ended, and its command line; ``None``: the exception is not that of a command.
    """
    crash: Any = getattr(report.longrepr, "reprcrash", None)
    if crash is None:
        return
    if ended is None:
        crash.message = crash.message.replace(f"{VenvError.__module__}.", "", 1)
        return
    crash.message = ended
    qualified = f"{type(error).__module__}.{type(error).__qualname__}: "
    chain: Any = getattr(report.longrepr, "chain", None)  # a native traceback has none, and stays as it is
    lines: list[str] = chain[-1][0].reprentries[-1].lines if chain else []
    for number, line in enumerate(lines):
        indent, found, _ = line.partition(qualified)
        if found and line.startswith("E   "):
            lines[number:] = [f"{indent}{type(error).__name__}: {ended}"]
            break


def end_in_test(error: BaseException) -> None:
    """Cut the hidden frames of this package off the end of a traceback: pytest's debugger ignores marks of whole modules."""
    last = None
    frame = error.__traceback__
    while frame is not None:
        module = frame.tb_frame.f_globals
        if not (str(module.get("__name__")).startswith(_PACKAGE) and module.get("__tracebackhide__")):  # the contract has tests
            last = frame
        frame = frame.tb_next
    if last is not None:
        last.tb_next = None
