"""One command with several Pythons, as a real process: prefixes, streams, the table, exit codes, and that nothing is left."""

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from functools import partial
from pathlib import Path

import pytest

from helpers.command_line import PATIENCE, PROGRAM, run, started
from helpers.processes import alive, is_pending
from helpers.programs import SOURCE
from helpers.waiting import wait_until
from helpers.wheels import make_command_wheel

FIRST = "{}.{}".format(*sys.version_info)
SECOND = f"=={FIRST}.*"
BOTH = ["--python", FIRST, "--python", SECOND]
"""The same interpreter under two names: every machine has it."""
WIDTH = max(len(FIRST), len(SECOND))


def lines(prefix: str, *texts: str) -> list[str]:
    """Return lines behind the prefix of a Python."""
    return [f"{prefix.ljust(WIDTH)} | {text}" for text in texts]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_output_of_each_python_has_a_prefix_and_stays_on_its_stream(jobs: str, tmp_path: Path) -> None:
    """Whole lines, in order for each Python; the table on standard error says what was installed."""
    wheel = make_command_wheel(tmp_path)
    code = "import sys; print('one'); print('two', end=''); print('bad', file=sys.stderr); sys.stdin.read() and 1 / 0"
    done = run(*BOTH, "-j", jobs, "--with", str(wheel), "--", "python", "-c", code, stdin=b"for nobody")
    assert done.returncode == 0, done.stderr
    output, errors = done.stdout.decode().splitlines(), done.stderr.decode().splitlines()
    assert sorted(output) == sorted(lines(FIRST, "one", "two") + lines(SECOND, "one", "two"))
    for python in (FIRST, SECOND):
        assert [line for line in output if line.startswith(f"{python.ljust(WIDTH)} |")] == lines(python, "one", "two")
        assert [line for line in errors if line.startswith(f"{python.ljust(WIDTH)} |")] == lines(
            python, f"Installing {wheel}", "bad"
        )
    assert re.fullmatch(r"PYTHON +STATUS +SECONDS +INSTALLED", errors[-3])
    assert re.fullmatch(rf"{re.escape(FIRST)} +passed +\d+\.\d +pocket 1\.0", errors[-2])


def test_the_exit_code_is_the_highest_of_all() -> None:
    """The table has each."""
    code = "import os, sys; sys.exit(3 if os.path.exists('begun') else open('begun', 'w').close() or 2)"
    with_codes = run(*BOTH, "--cwd", os.environ["TMPDIR"], "--", "python", "-c", code)
    os.unlink(Path(os.environ["TMPDIR"], "begun"))
    assert with_codes.returncode == 3
    rows = with_codes.stderr.decode().splitlines()[-2:]
    assert [re.split(r"  +", row)[1] for row in rows] == ["failed (2)", "failed (3)"]


@pytest.mark.usefixtures("few_interpreters")
def test_a_missing_python_is_loud_or_skipped() -> None:
    """The others run in any case."""
    command = ["--python", "9.99", "--python", FIRST, "--", "python", "-c", "print('ran')"]
    done = run(*command)
    assert (done.returncode, done.stdout.decode()) == (125, f"{FIRST} | ran\n")
    assert done.stderr.decode().startswith("9.99 | no interpreter matches '9.99'. Use --python with the path or ")
    assert re.search(r"^9\.99 +missing \(125\) ", done.stderr.decode(), re.MULTILINE)
    done = run("--skip-missing", *command)
    assert (done.returncode, done.stdout.decode()) == (0, f"{FIRST} | ran\n")
    assert re.search(r"^9\.99 +skipped ", done.stderr.decode(), re.MULTILINE)


@pytest.mark.usefixtures("few_interpreters")
@pytest.mark.parametrize("python", ["pyhton3", "3..12", os.sep])
def test_a_wrong_python_is_not_skipped(python: str) -> None:
    """It is wrong on each machine, so that nothing would ever be tested with it."""
    done = run("--skip-missing", "--python", python, "--python", FIRST, "--", "python", "-c", "print('ran')")
    assert (done.returncode, done.stdout.split()[-1]) == (125, b"ran")


@pytest.mark.usefixtures("few_interpreters")
def test_pythons_that_are_all_skipped_are_an_error() -> None:
    """A job that tested nothing must not pass."""
    done = run("--skip-missing", "--python", "9.98", "--python", "9.99", "--", "python", "-V")
    assert done.returncode == 125
    assert done.stderr.decode().splitlines()[-1].startswith("venvrunner: none of the Pythons was found. ")


def test_a_failed_installation_is_shown_and_the_others_run(tmp_path: Path) -> None:
    """What the installer printed, why and what to do, behind the prefix."""
    done = run(*BOTH, "--with", "nope", "--", "python", "-c", "print('ran')", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (125, b"")
    text = done.stderr.decode()
    for python in (FIRST, SECOND):
        assert f"{python.ljust(WIDTH)} | ERROR: No matching distribution found for nope\n" in text
        assert f"{python.ljust(WIDTH)} | Check the spelling, and where the installer searched: " in text
    assert text.count("error (125)") == 2
    assert os.listdir(os.environ["TMPDIR"]) == []


@pytest.mark.parametrize(("option", "shown"), [("-q", False), ("-v", True)])
def test_quiet_and_verbose_count_for_each_python(option: str, shown: bool, tmp_path: Path) -> None:
    """The installer's lines are shown behind the prefix, or nothing is, except for the table."""
    done = run(*BOTH, option, "--with", str(make_command_wheel(tmp_path)), "--", "python", "-c", "")
    text = done.stderr.decode()
    assert (f"{SECOND} | Successfully installed pocket-1.0" in text) == shown
    assert ("added    pocket  1.0" in text) == shown
    assert text.startswith("PYTHON") != shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_and_leaves_nothing(number: signal.Signals) -> None:
    """128+n; no command, and no environment."""
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with started(*BOTH, "-j", "2", "--", "python", "-c", code) as process:
        assert process.stdout is not None
        pids = [int(process.stdout.readline().split()[-1]) for _python in BOTH[::2]]
        process.send_signal(number)
        process.wait(PATIENCE)
        assert process.stderr is not None
        name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
        assert process.stderr.read().decode().splitlines()[-1] == f"venvrunner: Stopped by {name}: nothing is left running."
    assert process.returncode == 128 + number
    assert not any(alive(pid) for pid in pids)
    assert os.listdir(os.environ["TMPDIR"]) == []


def test_a_second_signal_skips_the_grace() -> None:
    """Of commands that ignore the first one; the next Python's turn does not come."""
    code = "import signal, time\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\nprint('deaf', flush=True)\ntime.sleep(600)"
    with started(*BOTH, "--", "python", "-c", code) as process:
        assert process.stdout is not None
        assert process.stdout.readline().endswith(b"deaf\n")
        for _time in range(2):
            process.send_signal(signal.SIGINT)
            wait_until(lambda: not is_pending(process.pid, signal.SIGINT), "the signal is taken")
        assert process.stdout.read() == b""
    assert process.returncode == 130
    assert os.listdir(os.environ["TMPDIR"]) == []


def on_a_terminal(*args: str, columns: int = 0, **env: str) -> str:
    """Run the command line with its output on a terminal, and return what it shows."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environ = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "CI"}}
    environ |= {"PYTHONPATH": SOURCE, "TERM": "xterm", **env}
    with subprocess.Popen([*PROGRAM, *args], stdout=slave, stderr=slave, env=environ) as process:
        os.close(slave)
        shown = b""
        with contextlib.suppress(OSError):  # the other side is closed
            while data := os.read(master, 4096):
                shown += data
    os.close(master)
    assert process.returncode == 0, shown
    return shown.decode()


def test_prefixes_are_coloured_only_on_a_terminal_that_has_colours() -> None:
    """A colour for each Python."""
    command = [*BOTH, "--", "python", "-c", "print('mine')"]
    assert f"\x1b[36m{FIRST.ljust(WIDTH)} | \x1b[0mmine" in on_a_terminal(*command)
    assert "\x1b[" not in on_a_terminal(*command, NO_COLOR="1")
    assert "\x1b[" not in on_a_terminal(*command, TERM="dumb")


@pytest.mark.parametrize("columns", [30, 80, 200])
def test_the_table_is_cut_to_the_terminal(columns: int, tmp_path: Path) -> None:
    """A long list of packages does not wrap."""
    wheels = [str(make_command_wheel(tmp_path, "pocket" * 5 + letter)) for letter in "abcde"]
    options = [text for wheel in wheels for text in ("--with", wheel)]
    rows = on_a_terminal("-q", *BOTH, *options, "--", "python", "-c", "", columns=columns).splitlines()
    assert rows[0].startswith("PYTHON")
    assert all(len(row) <= columns for row in rows)
    assert ("pocketpocketpocketpocketpocketc 1.0" in rows[1]) == (columns == 200)


def test_on_github_actions_each_installation_is_a_group_and_the_job_has_a_summary(tmp_path: Path) -> None:
    """No command of GitHub is in a line behind a prefix; the groups do not overlap."""
    summary = tmp_path / "summary.md"
    code = "print('::error::mine'); print('  ::error::mine'); print('a ##[error]b\\r::warning::c')"
    here = partial(run, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary))
    done = here(*BOTH, "-j", "2", "--with", str(make_command_wheel(tmp_path)), "--", "python", "-c", code)
    assert done.returncode == 0, done.stderr
    for line in re.split(r"[\r\n]", done.stdout.decode()):
        assert not line.lstrip().startswith("::")
        assert "##[" not in line
    commands = [line for line in done.stderr.decode().splitlines() if line.startswith("::")]
    assert [command.split(":")[2].split()[0] for command in commands] == ["group", "endgroup"] * 2
    table = summary.read_text(encoding="utf-8")
    assert f"| {FIRST} | passed | " in table
    assert "pocket 1.0 |" in table
    failed = here("--python", FIRST, "--", "python", "-c", "raise SystemExit(3)", "https://me:s3cr3t@host/x", "\udcff")
    assert failed.returncode == 3
    text = summary.read_text(encoding="utf-8")
    assert f"| {FIRST} | failed (3) | " in text
    assert "https://****@host/x \\udcff\n" in text


def test_a_failure_in_a_matrix_is_an_annotation() -> None:
    """One for each Python; the last line of each is what to do."""
    done = run(*BOTH, "--with", "nope", "--", "python", "-V", GITHUB_ACTIONS="true")
    assert len(re.findall(r"^::error title=venvrunner::nope could not be", done.stderr.decode(), re.MULTILINE)) == 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-j", "0"], "argument -j/--jobs: must be a positive whole number, not '0'."),
        (["-j", "many"], "argument -j/--jobs: must be a positive whole number, not 'many'."),
        (["--keep", "kept"], "--keep and --reuse have one directory, and take one --python."),
        (["--reuse", "kept"], "--keep and --reuse have one directory, and take one --python."),
    ],
)
def test_options_that_a_matrix_cannot_have_are_2(args: list[str], message: str, tmp_path: Path) -> None:
    """Before anything starts."""
    done = run(*BOTH, *args, "--", "python", "-V", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().splitlines()[-1] == f"venvrunner: error: {message}"


def test_a_missing_python_is_an_annotation_too(few_interpreters: None) -> None:
    """On GitHub Actions, nobody reads a log that is green at its end."""
    done = run("--python", "9.99", "--python", FIRST, "--", "python", "-V", GITHUB_ACTIONS="true")
    assert done.returncode == 125
    assert done.stderr.startswith(b"::error title=venvrunner::no interpreter matches ")
