"""Changes of recordings: the differences that a run with ``--venv-record=changed`` has written, shown at its end."""

import difflib
import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import ClassVar

import pytest

__tracebackhide__ = True

_LINES = 60
"""How many lines of the difference in one file are shown."""


class Changes:
    """A plugin that shows which recordings were written, and what is different in them."""

    NAME: ClassVar = "venvrunner-changes"
    _CARRIED: ClassVar = "venvrunner_changes"

    def __init__(self) -> None:
        self._new = dict[str, list[str]]()
        self._shown = list[list[str]]()

    def recorder(self, item: pytest.Item, path: Path) -> Callable[[str, str], None]:
        """Return a function that keeps the change of a test's recording, from its previous and its new text."""
        name = os.path.relpath(path, item.config.rootpath)

        def record(old: str, new: str) -> None:
            lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), name, name, lineterm="", n=2))
            is_new, left_out = not old, len(lines) - _LINES
            shown = [f"recorded {name}, which is new"] if is_new else [f"recorded {name} again:", *lines[2 : 2 + _LINES]]
            self._new[item.nodeid] = [*shown, f"… {left_out} more lines …"] if left_out > 0 and not is_new else shown

        return record

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add a change to the test's last report, which also reaches the process that shows it."""
        report = yield
        if report.when == "teardown" and item.nodeid in self._new:
            vars(report)[self._CARRIED] = self._new.pop(item.nodeid)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the change that a report has."""
        if change := vars(report).get(self._CARRIED):
            self._shown.append(change)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show all changes."""
        if not self._shown:
            return
        terminalreporter.section("venvrunner recordings")
        for change in sorted(self._shown):
            for line in change:
                colour = {"+": {"green": True}, "-": {"red": True}}.get(line[:1], {})
                terminalreporter.write_line(line, **colour)
