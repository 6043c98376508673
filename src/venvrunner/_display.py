"""What the command line shows until the command runs: one live line on a terminal, plain lines elsewhere."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager

from venvrunner._install.installation import HEARTBEAT
from venvrunner._process.critical_section import surely, uninterrupted
from venvrunner._process.sinks import Redactor

TYPE_CHECKING = False  # as in the package itself
if TYPE_CHECKING:
    from rich.console import Console


def say(message: str) -> None:
    """Print a message of venvrunner to standard error, with credentials masked."""
    _print(f"venvrunner: {message}")


def complain(error: BaseException) -> None:
    """Print an exception as Python does at the end of a traceback: its message and its notes, with what to do last."""
    say(str(error))
    for note in getattr(error, "__notes__", ()):
        _print(note)


@contextmanager
def shown(*, is_long: bool) -> Generator["Lines"]:
    """Show what is done in the block; at its end, standard error is as if there had been plain lines only.

    Args:
        is_long: whether it can take so long that a live line is worth its start.
    """
    display = _display(is_long=is_long)
    try:
        try:
            uninterrupted(display.open)
            yield display
        finally:
            surely(display.close)
    except Exception:
        display.explain()
        raise


def _display(*, is_long: bool) -> "Lines":
    if os.environ.get("GITHUB_ACTIONS") == "true":
        return Group()
    if is_long and sys.stderr is not None and sys.stderr.isatty():  # pyright: ignore[reportUnnecessaryComparison]  as below
        try:
            from rich.console import Console  # slow to import, and an extra
        except ImportError:
            return Lines()
        console = Console(stderr=True)
        if console.is_interactive:
            return LiveLine(console)
    return Lines()


class Lines:
    """Plain lines, each as it comes. It is also the logger of an installation.

    Attributes:
        heartbeat: as for an installation.
    """

    heartbeat: float | None = HEARTBEAT

    def open(self) -> None:
        """Begin."""

    def installing(self, what: str) -> None:
        """Show what is to be installed."""
        say(f"Installing {what}")

    def line(self, text: str) -> None:
        """Show a line of the installer."""
        _print(text)

    def debug(self, text: str) -> None:
        """Show nothing: the command line of the installer is no news."""

    def info(self, text: str) -> None:
        """Show that the installer still runs."""
        say(text)

    def close(self) -> None:
        """End; more than once does no harm."""

    def explain(self) -> None:
        """Show what is needed to understand a failure, if it was not shown before."""


class Group(Lines):
    """The same lines, folded into a group of the log of GitHub Actions."""

    _is_open = False

    def installing(self, what: str) -> None:
        """Begin the group."""
        self._is_open = True
        _print(f"::group::Installing {what.replace('%', '%25')}")

    def close(self) -> None:
        """End the group."""
        if self._is_open:
            self._is_open = False
            _print("::endgroup::")


class LiveLine(Lines):
    """One line with the time and the last that was said, which is gone in the end.

    Args:
        console: a terminal.
    """

    heartbeat = None

    def __init__(self, console: "Console") -> None:
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # as above
        from rich.table import Column  # as above

        # With a ratio it is this column that is cut where the terminal is narrow.
        text = TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True))
        columns = (SpinnerColumn(), TimeElapsedColumn(), text)
        self._progress = Progress(*columns, console=console, transient=True, expand=True, redirect_stdout=False)
        self._task = self._progress.add_task("Making the environment", total=None)
        self._lines: list[str] = []

    def open(self) -> None:
        """Show the line."""
        self._progress.start()

    def installing(self, what: str) -> None:
        """Show it in the line."""
        self._show(f"Installing {what}")

    def line(self, text: str) -> None:
        """Show it in the line, and keep it."""
        self._lines.append(text)
        if text.strip():
            self._show(text)

    def close(self) -> None:
        """Remove the line, so that the command finds the terminal as it was."""
        self._progress.stop()

    def explain(self) -> None:
        """Print what was in the line, one after the other."""
        for line in self._lines:
            _print(line)

    def _show(self, text: str) -> None:
        # What moves the cursor would break the line.
        plain = "".join(character if character.isprintable() else " " for character in Redactor().mask(text))
        self._progress.update(self._task, description=plain.strip())


def _print(text: str) -> None:
    if sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison]  it was closed by whoever started this
        print(Redactor().mask(text), file=sys.stderr, flush=True)  # noqa: T201  a command line prints
