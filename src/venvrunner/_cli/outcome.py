"""Outcomes: how the run of a command in one environment ended."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from venvrunner import Receipt

if TYPE_CHECKING:
    from venvrunner._reports import RunReport, Status

__tracebackhide__ = True


class Outcome(NamedTuple):
    """How the run of a command in one environment ended.

    Attributes:
        label: the Python, as the user named it.
        argv: the command line, as the user wrote it.
        exit_code: the exit code of the run.
        status: how it ended, as reports have it.
        started: when the command was started, or would have been; in seconds since the epoch.
        duration: how long the command ran, in seconds.
        receipts: what was installed.
        python: the interpreter and its version; empty if there is none.
        stdout_end: the end of standard output, if it was kept.
        stderr_end: the end of standard error, if it was kept.
        why: the error, as its message and notes; empty if the command ran to its end.
    """

    label: str
    argv: Sequence[str]
    exit_code: int
    status: "Status"
    started: float
    duration: float = 0.0
    receipts: Sequence[Receipt] = ()
    python: tuple[str, str] = ("", "")
    stdout_end: str = ""
    stderr_end: str = ""
    why: Sequence[str] = ()

    def packages(self) -> str:
        """Return what was installed, in one line.

        >>> Outcome("3.12", ["pytest"], 0, "passed", 0.0).packages()
        'nothing'
        """
        names: dict[str, str] = {}
        for receipt in self.receipts:
            names |= receipt.added | {name: new for name, (_old, new) in receipt.changed.items()}
        return ", ".join(f"{name} {version}" for name, version in names.items()) or "nothing"

    def report(self) -> "RunReport":
        """Return it as reports have it."""
        from venvrunner._reports import PythonReport, RunReport  # few runs are reported

        executable, version = self.python
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started))
        return RunReport(
            list(self.argv),
            self.status,
            started,
            self.duration,
            None if self.why and not self.duration else self.exit_code,
            PythonReport(executable or None, version or self.label),
            self.receipts,
            self.stdout_end,
            self.stderr_end,
            "\n".join(self.why) or ("" if self.status == "passed" else f"The exit code is {self.exit_code}."),
        )
