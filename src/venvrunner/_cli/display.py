"""The display of the command line until the command runs: one live line on a terminal, plain lines elsewhere."""

import os
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager

from venvrunner._install.installation import HEARTBEAT
from venvrunner._process.critical_section import surely, uninterrupted
from venvrunner._redaction import Redactor
from venvrunner.installing import ReportOptions

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from rich.console import Console


def say(message: str) -> None:
    """Print a message of venvrunner to standard error, with credentials masked."""
    _print(f"venvrunner: {message}")


def complain(error: BaseException) -> None:
    """Print the message and the notes of an exception, as at the end of a traceback; the last note says what to do."""
    say(str(error))
    for note in getattr(error, "__notes__", ()):
        _print(note)


@contextmanager
def shown(*, is_long: bool) -> Generator["Lines"]:
    """Show the progress of a block; at its end, a live line is removed, and after a failure the installer's lines are printed.

    Args:
        is_long: whether the block may take long enough to be worth starting a live line.
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


@contextmanager
def logged(display: "Lines") -> Generator[None]:
    """Show what the library logs in a block, such as that an environment is being prepared, or by which process."""
    import logging  # not needed by every run

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            display.note(record.getMessage())

    logger, handler = logging.getLogger("venvrunner"), Handler(logging.INFO)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


def in_one_line(names: Iterable[str]) -> str:
    """Return names in one line: GitHub Actions may read the start of a line as a command."""
    return " ".join(", ".join(names).split())


def reported(display: "Lines") -> ReportOptions:
    """Return the keywords that show an installer's output on a display."""
    shown: ReportOptions = {"logger": display, "stdout_loglevel": display.line, "stderr_loglevel": display.line}
    return {**shown, "heartbeat": display.heartbeat}


def _display(*, is_long: bool) -> "Lines":
    if os.environ.get("GITHUB_ACTIONS") == "true":
        return Group()
    if is_long and sys.stderr is not None and sys.stderr.isatty():  # pyright: ignore[reportUnnecessaryComparison]  it may be closed
        try:
            from rich.console import Console  # slow to import, and an extra
        except ImportError:
            return Lines()
        console = Console(stderr=True)
        if console.is_interactive:
            return LiveLine(console)
    return Lines()


class Lines:
    """Plain lines, each printed at once; also the logger of an installation.

    Attributes:
        heartbeat: the ``heartbeat=`` of the installation.
    """

    heartbeat: float | None = HEARTBEAT

    def open(self) -> None:
        """Start the display."""

    def begin(self, what: str) -> None:
        """Show what the installer does."""
        say(what)

    def line(self, text: str) -> None:
        """Show a line of the installer."""
        _print(text)

    def debug(self, text: str) -> None:
        """Ignore the command line of the installer."""

    def info(self, text: str) -> None:
        """Show that the installer is still running."""
        say(text)

    def note(self, text: str) -> None:
        """Show what the library logs while it creates an environment."""
        say(text)

    def close(self) -> None:
        """End the display; further calls do nothing."""

    def explain(self) -> None:
        """Show the lines that explain a failure, if they have not been shown."""


class Group(Lines):
    """Plain lines, folded into a group in the log of GitHub Actions."""

    _is_open = False

    def begin(self, what: str) -> None:
        """Start the group."""
        self._is_open = True
        _print(f"::group::{what.replace('%', '%25')}")

    def close(self) -> None:
        """End the group."""
        if self._is_open:
            self._is_open = False
            _print("::endgroup::")


class LiveLine(Lines):
    """A live line with the elapsed time and the last line of output; it is removed at the end.

    Args:
        console: a terminal.
    """

    heartbeat = None

    def __init__(self, console: "Console") -> None:
        from rich.constrain import Constrain  # slow to import, and an extra
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.table import Column

        class Narrow(Progress):
            """Leave room for the ``^C`` that a terminal prints, or the line would wrap and only its end be removed."""

            def get_renderable(self) -> Constrain:
                return Constrain(super().get_renderable(), max(1, console.width - len("^C")))

        # With a ratio, this column is cut on a narrow terminal.
        text = TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True))
        columns = (SpinnerColumn(), TimeElapsedColumn(), text)
        self._progress = Narrow(*columns, console=console, transient=True, expand=True, redirect_stdout=False)
        self._task = self._progress.add_task("Creating the environment", total=None)
        self._lines: list[str] = []

    def open(self) -> None:
        """Show the live line."""
        self._progress.start()

    def begin(self, what: str) -> None:
        """Show in the live line what the installer does."""
        self._show(what)

    def line(self, text: str) -> None:
        """Show a line of the installer in the live line, and keep it for :meth:`explain`."""
        self._lines.append(text)
        if text.strip():
            self._show(text)

    def note(self, text: str) -> None:
        """Show in the live line what the library logs."""
        self._show(text)

    def close(self) -> None:
        """Remove the live line, and restore the terminal for the command."""
        self._progress.stop()

    def explain(self) -> None:
        """Print all lines of the installer."""
        for line in self._lines:
            _print(line)

    def _show(self, text: str) -> None:
        # A character that moves the cursor would break the line.
        plain = "".join(character if character.isprintable() else " " for character in Redactor().mask(text))
        self._progress.update(self._task, description=plain.strip())


def _print(text: str) -> None:
    if sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison]  the calling process may have closed it
        print(Redactor().mask(text), file=sys.stderr, flush=True)  # noqa: T201  a command line prints
