"""The display of the command line until the command runs: one live line on a terminal, plain lines elsewhere."""

import os
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from venvrunner._cli import github
from venvrunner._cli.signals import SignalledError
from venvrunner._install.options import HEARTBEAT
from venvrunner._process.critical_section import surely, uninterrupted
from venvrunner._redaction import Redactor
from venvrunner.installing import ReportOptions

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from rich.console import Console


_SPINNER = "\N{BRAILLE PATTERN DOTS-124}"
"""A character of the live line's spinner."""
_current: ContextVar["Lines | None"] = ContextVar("_current", default=None)
"""The display of what the library logs."""


def say(message: str) -> None:
    """Print a message of venvrunner to standard error, with credentials masked."""
    show(f"venvrunner: {message}")


def show(text: str) -> None:
    """Print text to standard error, with credentials masked; on GitHub Actions, no line of it is a command."""
    masked = Redactor().mask(text)
    _write(github.inert(masked) if github.is_here() else masked)


def complain(error: BaseException) -> None:
    """Print the message and the notes of an exception, as at the end of a traceback; the last note says what to do."""
    explain(texts(error))


def explain(why: Sequence[str]) -> None:
    """Print an error, as its message and notes; on GitHub Actions, also as an annotation."""
    if github.is_here():
        _write(annotation(why))
    say(why[0])
    for note in why[1:]:
        show(note)


def annotation(why: Sequence[str]) -> str:
    """Return the command that annotates a job on GitHub Actions with an error: its message, and its last note."""
    return github.command("error", Redactor().mask("\n".join([why[0], *why[1:][-1:]])), title="venvrunner")


def texts(error: BaseException) -> list[str]:
    """Return the message and the notes of an exception, in the words of the command line."""
    from venvrunner._cli.wording import worded  # only for messages

    return [worded(str(text)) for text in (error, *getattr(error, "__notes__", ()))]


@contextmanager
def shown(display: "Lines", unfinished: str) -> Generator["Lines"]:
    """Show the progress of a block; at its end, a live line is removed, and after a failure the installer's lines are printed.

    Args:
        display: the display.
        unfinished: what has not happened if a signal ends the block.
    """
    try:
        try:
            uninterrupted(display.open)
            yield display
        finally:
            surely(display.close)
    except SignalledError as exc:
        say(f"Stopped by {exc.name}: {unfinished}.")
        raise
    except Exception:
        display.explain()
        raise


@contextmanager
def logged(display: "Lines") -> Generator[None]:
    """Show what the library logs in a block, such as that an environment is being prepared, or by which process.

    The context tells the displays of several blocks apart, not the thread: the library also works in helper threads.
    """
    import logging  # not needed by every run

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if _current.get() is display:
                from venvrunner._cli.wording import worded  # only for messages

                display.note(worded(record.getMessage()))

    token = _current.set(display)
    logger, handler = logging.getLogger("venvrunner"), Handler(logging.INFO)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        _current.reset(token)


def in_one_line(names: Iterable[str]) -> str:
    """Return names in one line: GitHub Actions may read the start of a line as a command."""
    return " ".join(", ".join(names).split())


def reported(display: "Lines") -> ReportOptions:
    """Return the keywords that show an installer's output on a display."""
    shown: ReportOptions = {"logger": display, "stdout_loglevel": display.line, "stderr_loglevel": display.line}
    return {**shown, "heartbeat": display.heartbeat}


def display_for(*, is_long: bool, quiet: bool, verbose: bool) -> "Lines":
    """Return the display that standard error can show.

    Args:
        is_long: whether it may be needed long enough to be worth starting a live line.
        quiet: show nothing unless there is a failure.
        verbose: show everything, line by line.
    """
    if quiet:
        return Quiet()
    if github.is_here():
        return Group(verbose=verbose)
    if is_long and not verbose and _can_animate():
        try:
            from rich.console import Console  # slow to import, and an extra
        except ImportError:
            return Lines()
        console = Console(stderr=True)
        if console.is_interactive:
            return LiveLine(console)
    return Lines(verbose=verbose)


def _can_animate() -> bool:
    """Return whether standard error is a terminal that a person looks at, and has the characters of the spinner."""
    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("CI"):  # pyright: ignore[reportUnnecessaryComparison]  it may be closed
        return False
    try:
        _SPINNER.encode(sys.stderr.encoding)
    except UnicodeEncodeError:
        return False
    return True


class Lines:
    """Plain lines, each printed at once; also the logger of an installation.

    Args:
        verbose: show also how the installer is called, and what it has changed.

    Attributes:
        heartbeat: the ``heartbeat=`` of the installation.
    """

    heartbeat: float | None = HEARTBEAT

    def __init__(self, *, verbose: bool = False) -> None:
        self._verbose = verbose

    def open(self) -> None:
        """Start the display."""

    def begin(self, what: str) -> None:
        """Show what the installer does."""
        say(what)

    def line(self, text: str) -> None:
        """Show a line of the installer."""
        show(text)

    def debug(self, text: str) -> None:
        """Show the command line of the installer."""
        if self._verbose:
            show(text)

    def result(self, text: str) -> None:
        """Show what an installation has changed."""
        if self._verbose:
            show(text)

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
        self.close()
        self._is_open = True
        _write(github.command("group", Redactor().mask(what)))

    def close(self) -> None:
        """End the group."""
        if self._is_open:
            self._is_open = False
            _write(github.command("endgroup", ""))


class Quiet(Lines):
    """Nothing, until a failure shows all lines."""

    heartbeat = None

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []

    def begin(self, what: str) -> None:
        """Show nothing."""

    def line(self, text: str) -> None:
        """Keep a line of the installer for :meth:`explain`."""
        self._lines.append(text)

    def note(self, text: str) -> None:
        """Show nothing."""

    def explain(self) -> None:
        """Print all lines of the installer."""
        for line in self._lines:
            show(line)


class PrefixedLines(Quiet):
    """Lines behind a prefix, beside those of others; what the installer prints is shown only if it fails.

    On GitHub Actions, where groups cannot overlap, all lines come at the end, as a group.

    Args:
        write: writes text, behind the prefix if that is wanted.
        label: the title of the group.
        quiet: show nothing unless there is a failure.
        verbose: show everything.
    """

    def __init__(self, write: Callable[..., object], label: str, *, quiet: bool, verbose: bool) -> None:
        super().__init__()
        self._put = write
        self._label = label
        self._is_quiet = quiet
        self._verbose = verbose
        self._title = ""

    def begin(self, what: str) -> None:
        """Show what the installer does."""
        self._title = what
        self.note(what)

    def line(self, text: str) -> None:
        """Keep a line of the installer, or show it."""
        super().line(text)
        if self._verbose and not github.is_here():
            self._put(Redactor().mask(text))

    def note(self, text: str) -> None:
        """Show what the library logs."""
        if not self._is_quiet and not (github.is_here() and text == self._title):
            self._put(Redactor().mask(text))

    def close(self) -> None:
        """Show the group."""
        if github.is_here() and self._title and not self._is_quiet:
            lines = [github.inert(Redactor().mask(line)) for line in self._lines]
            title = github.command("group", Redactor().mask(f"{self._label}: {self._title}"))
            self._put("\n".join([title, *lines, github.command("endgroup", "")]), prefixed=False)
            self._lines.clear()

    def explain(self) -> None:
        """Show all lines of the installer."""
        if not self._verbose or github.is_here():
            for line in self._lines:
                self._put(Redactor().mask(line))


class LiveLine(Quiet):
    """A live line with the elapsed time and the last line of output; it is removed at the end.

    Args:
        console: a terminal.
    """

    def __init__(self, console: "Console") -> None:
        super().__init__()
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

    def open(self) -> None:
        """Show the live line."""
        self._progress.start()

    def begin(self, what: str) -> None:
        """Show in the live line what the installer does."""
        self._show(what)

    def line(self, text: str) -> None:
        """Show a line of the installer in the live line, and keep it for :meth:`explain`."""
        super().line(text)
        if text.strip():
            self._show(text)

    def note(self, text: str) -> None:
        """Show in the live line what the library logs."""
        self._show(text)

    def close(self) -> None:
        """Remove the live line, and restore the terminal for the command."""
        self._progress.stop()

    def _show(self, text: str) -> None:
        # A character that moves the cursor would break the line.
        plain = "".join(character if character.isprintable() else " " for character in Redactor().mask(text))
        self._progress.update(self._task, description=plain.strip())


def _write(line: str) -> None:
    if sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison]  the calling process may have closed it
        print(line, file=sys.stderr, flush=True)  # noqa: T201  a command line prints
