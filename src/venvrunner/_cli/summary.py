"""The summary of several runs: a table for a terminal, and one for the summary of a job on GitHub Actions."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from venvrunner._cli import github, output
from venvrunner._cli.outcome import Outcome
from venvrunner._redaction import Redactor

__tracebackhide__ = True

_HEAD = ("PYTHON", "STATUS", "SECONDS", "INSTALLED")


def table(outcomes: Sequence[Outcome], columns: int | None = None) -> str:
    """Return a table with a row for each run.

    Args:
        outcomes: how the runs ended.
        columns: the width of the terminal, to which lines are cut; ``None``: they are whole.

    >>> print(table([Outcome("3.12", ["pytest"], 1, "failed", 0.0, 2.5), Outcome("3.99", ["pytest"], 0, "skipped", 0.0)]))
    PYTHON  STATUS      SECONDS  INSTALLED
    3.12    failed (1)  2.5      nothing
    3.99    skipped     0.0
    """
    return "\n".join(line[:columns] for line in output.table([_HEAD, *map(_row, outcomes)]).split("\n"))


def width() -> int | None:
    """Return the width of the terminal that standard error is; ``None`` if it is none."""
    if sys.stderr is None or not sys.stderr.isatty():  # pyright: ignore[reportUnnecessaryComparison]  it may be closed
        return None
    with suppress(OSError):
        return os.get_terminal_size(sys.stderr.fileno()).columns or None
    return None


def _row(outcome: Outcome) -> tuple[str, str, str, str]:
    status = f"{outcome.status} ({outcome.exit_code})" if outcome.exit_code else outcome.status
    packages = "" if outcome.status in {"missing", "skipped"} else outcome.packages()
    return outcome.label, status, f"{outcome.duration:.1f}", packages


def add_to_job(command: Sequence[str], outcomes: Sequence[Outcome]) -> None:
    """Add a table to the summary of the job on GitHub Actions; a file that cannot be written costs the table only."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path or not github.is_here():
        return
    rows = [_HEAD, *map(_row, outcomes)]
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    lines.insert(1, "| --- | --- | ---: | --- |")
    text = "\n".join([f"### {_cell(' '.join(Redactor(()).mask_all(command)))}", "", *lines, "", ""])
    # An argument need not be valid text.
    with suppress(OSError), open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)


def _cell(text: str) -> str:
    r"""Return text for a cell of a table in Markdown.

    >>> _cell("a|b\n<c>")
    'a\\|b &lt;c>'
    """
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
