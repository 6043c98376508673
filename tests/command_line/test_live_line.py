"""What `python -m venvrunner` shows until the command runs: one live line on a real terminal, plain lines elsewhere."""

import contextlib
import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyte
import pytest
from rich.console import Console

from helpers.command_line import PROGRAM
from helpers.programs import MEASURED, SOURCE
from helpers.projects import make_slow_project
from helpers.waiting import DEADLINE
from helpers.wheels import make_wheel
from venvrunner._cli.display import LiveLine

PATIENCE = 4 * DEADLINE
"""Seconds for a whole run: an environment is made, filled and deleted."""

PRINT = ["--", "python", "-c", "print('mine')"]


def environ(**env: str) -> dict[str, str]:
    """Return the variables of a run: those of a usual terminal."""
    unset = {"CI", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES"}
    base = {name: value for name, value in os.environ.items() if name not in unset}
    plain = {"PIP_NO_INDEX": "1", "TERM": "xterm", "GITHUB_ACTIONS": ""}
    return {**base, **MEASURED, **plain, "PYTHONPATH": SOURCE, **env}


class Terminal:
    """A terminal with a run of the command line in it, and its screen, in which never more than one line may be live."""

    def __init__(self, master: int, process: subprocess.Popen[bytes], columns: int) -> None:
        self.process = process
        self.screen = pyte.Screen(columns, 24)
        self.most = 0
        self._stream = pyte.ByteStream(self.screen)
        self._master = master

    @property
    def lines(self) -> list[str]:
        """What stands on the screen."""
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def type(self, keys: bytes) -> None:
        """Type something; the terminal prints it."""
        os.write(self._master, keys)

    def wait_for(self, pattern: str) -> None:
        """Look at the screen until it shows something."""
        self._read(lambda: bool(self._found(pattern)))
        assert self._found(pattern), f"it ended without it: {self.lines}"

    def _found(self, pattern: str) -> list[str]:
        return [line for line in self.lines if re.search(pattern, line)]

    def wait_for_the_end(self) -> int:
        """Look at the screen until the program has ended, and return its exit status."""
        self._read(lambda: False)
        return self.process.wait(PATIENCE)

    def _read(self, is_enough: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not is_enough():
            assert select.select([self._master], [], [], end - time.monotonic())[0], f"waited in vain: {self.lines}"
            try:
                data = os.read(self._master, 4096)
            except OSError:  # the other side is closed
                return
            self._stream.feed(data)
            self.most = max(self.most, len(self.lines))


@contextmanager
def started(*args: str, columns: int = 80, stdout: int | None = None, **env: str) -> Iterator[Terminal]:
    """Start the command line with its standard error, and its standard output unless it is given, on a terminal."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    argv = [*PROGRAM, *args]
    out = slave if stdout is None else stdout
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, master)
        try:
            # A session of its own, with this as its terminal, so that a key is a signal.
            process = subprocess.Popen(
                argv,
                env=environ(**env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=slave,
                start_new_session=True,
                preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),  # noqa: PLW1509  no thread runs here
            )
        finally:
            os.close(slave)
        stack.enter_context(process)
        try:
            yield Terminal(master, process, columns)
        finally:
            if process.poll() is None:
                process.terminate()


@pytest.fixture
def no_rich(tmp_path: Path) -> str:
    """A PYTHONPATH on which there is no rich, and that notes each attempt to import it."""
    (tmp_path / "path").mkdir()
    marker = str(tmp_path / "asked")
    (tmp_path / "path" / "rich.py").write_text(f"open({marker!r}, 'w').close()\nraise ImportError\n")
    return os.pathsep.join([str(tmp_path / "path"), SOURCE])


@pytest.mark.parametrize("columns", [80, 24])
def test_on_a_terminal_there_is_one_live_line(columns: int, tmp_path: Path) -> None:
    """It has the time and the installer's last words, cut to the terminal; when the command begins, it is gone."""
    gate = tmp_path / "gate"
    project = make_slow_project(tmp_path / "slow", gate)
    with started("--with", str(project), *PRINT, columns=columns) as terminal:
        terminal.wait_for(r"^\S 0:00:0\d Creating the |^\S 0:00:0\d Install")
        terminal.wait_for(r"^\S 0:\d\d:\d\d (Prep|Buil)")
        assert terminal.screen.cursor.hidden
        before = terminal.lines[0].split()[1]
        terminal.wait_for(rf"0:(?!{before[2:]})\d\d:\d\d \w")
        gate.touch()
        assert terminal.wait_for_the_end() == 0
        assert terminal.lines == ["mine"]
        assert terminal.most == 1
        assert not terminal.screen.cursor.hidden


def test_standard_output_is_not_touched(tmp_path: Path) -> None:
    """With the live line on a terminal, the command's own bytes and no others go where standard output goes."""
    with (tmp_path / "out").open("wb") as out:
        wheel = make_wheel(tmp_path, "pocket")
        code = "import pocket, sys; sys.stdout.buffer.write(bytes(range(256)))"
        with started("--with", str(wheel), "--", "python", "-c", code, stdout=out.fileno()) as terminal:
            assert terminal.wait_for_the_end() == 0
            assert (terminal.most, terminal.lines) == (1, [])
    assert (tmp_path / "out").read_bytes() == bytes(range(256))


def test_the_output_of_the_installer_is_shown_if_it_fails() -> None:
    """Whole, below each other, then why and what to do; the live line is gone."""
    with started("--with", "no-such-package-anywhere", *PRINT, columns=400) as terminal:
        assert terminal.wait_for_the_end() == 125
        assert any(line.startswith("ERROR: Could not find a version that satisfies") for line in terminal.lines)
        assert any(line.startswith("venvrunner: no-such-package-anywhere could not be ins") for line in terminal.lines)
        assert terminal.lines[-1].startswith("Check the spelling, and where the installer searched: ")
        assert "0:00:" not in "".join(terminal.lines)


@pytest.mark.parametrize("columns", [80, 30])
@pytest.mark.parametrize("how", ["key", "signal"])
def test_ctrl_c_takes_the_live_line_away(how: str, columns: int, tmp_path: Path) -> None:
    """Also what the terminal prints for the key, which would wrap a full line; and the cursor is back."""
    project = make_slow_project(tmp_path / "slow", tmp_path / "gate")
    with started("--with", str(project), *PRINT, columns=columns) as terminal:
        terminal.wait_for("Prep|Buil")
        if how == "key":
            terminal.type(b"\x03")
        else:
            terminal.process.send_signal(signal.SIGINT)
        assert terminal.wait_for_the_end() == 130
        shown = "".join(line.ljust(columns) for line in terminal.lines).rstrip()
        assert shown == "venvrunner: Stopped by Ctrl-C: the command was not run."
        assert not terminal.screen.cursor.hidden


@pytest.mark.parametrize("why", ["dumb", "no rich", "GitHub", "CI", "ASCII", "verbose"])
def test_a_terminal_that_can_do_no_more_gets_plain_lines(why: str, tmp_path: Path, no_rich: str) -> None:
    """Without rich, on a dumb terminal, and where lines are folded into groups: nothing on the screen moves."""
    env = {"dumb": {"TERM": "dumb"}, "no rich": {"PYTHONPATH": no_rich}, "GitHub": {"GITHUB_ACTIONS": "true"}}
    env |= {"CI": {"CI": "true"}, "ASCII": {"PYTHONIOENCODING": "ascii"}, "verbose": {}}
    options = ["--with", str(make_wheel(tmp_path, "pocket")), *(["-v"] if why == "verbose" else [])]
    with started(*options, *PRINT, columns=300, stdout=None, **env[why]) as terminal:
        assert terminal.wait_for_the_end() == 0
        first = "::group::" if why == "GitHub" else "venvrunner: "
        assert terminal.lines[0].startswith(f"{first}Installing ")
        assert "Successfully installed pocket-1.0" in terminal.lines
        assert terminal.lines[-1] == "mine"
    assert (tmp_path / "asked").exists() == (why == "no rich")


def test_rich_is_not_looked_for_without_need(tmp_path: Path, no_rich: str) -> None:
    """Neither if standard error is no terminal, though standard output is one, nor if nothing is to be installed."""
    with started(*PRINT, PYTHONPATH=no_rich) as terminal:
        assert terminal.wait_for_the_end() == 0
        assert terminal.lines == ["mine"]
    argv = [*PROGRAM, "--with", "no-such-package-anywhere", *PRINT]
    master, slave = pty.openpty()
    done = subprocess.run(argv, env=environ(PYTHONPATH=no_rich), stdout=slave, stderr=subprocess.PIPE, check=False)
    os.close(slave)
    os.close(master)
    assert done.returncode == 125
    assert not (tmp_path / "asked").exists()


def test_plain_lines_report_that_a_silent_installation_still_runs(tmp_path: Path) -> None:
    """At the pace of `install`, which is made shorter here."""
    gate = tmp_path / "gate"
    project = make_slow_project(tmp_path / "slow", gate)
    code = "from venvrunner import __main__; from venvrunner._cli.display import Lines; Lines.heartbeat = 0.01; __main__.main()"
    argv = [sys.executable, "-c", code, "--with", str(project), *PRINT]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, env=environ(), stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        told = 0
        for line in process.stderr:
            told += bool(re.match(rb"venvrunner: Still running after \d+ s: \['.*/python', .*/slow'\]\n", line))
            if told == 2:
                gate.touch()
        assert told >= 2
        assert process.stdout.read() == b"mine\n"


def test_output_of_an_installer_cannot_break_the_live_line() -> None:
    """Control characters, markup and braces are shown as what they are, or not at all; credentials are not."""
    console = Console(file=io.StringIO(), force_terminal=True, force_interactive=True, width=80, color_system=None)
    display = LiveLine(console)
    for line in ("a\x1b[2Jb\r\nc\u2028d [bold]{0} https://me:pw@host", "", " "):
        display.line(line)
    display._progress.refresh()
    console.print(display._progress.get_renderable())
    file = console.file
    assert isinstance(file, io.StringIO)
    assert "a [2Jb  c d [bold]{0} https://****@host" in file.getvalue()


def test_a_closed_standard_error_does_not_spill_into_standard_output() -> None:
    """What venvrunner would say is lost then, and the command's output stays its own."""
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", *PROGRAM, "--", "no-such-command"]
    done = subprocess.run(command, env=environ(), stdout=subprocess.PIPE, check=False)
    assert (done.returncode, done.stdout) == (127, b"")
