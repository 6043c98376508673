"""`python -m venvrunner`, as a real process: what passes through, what it ends with, and that nothing is left."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

from helpers.command_line import MODULE, PATIENCE, PROGRAM, run, started
from helpers.processes import alive, is_pending
from helpers.programs import SOURCE
from helpers.waiting import wait_until
from helpers.wheels import make_command_wheel, make_wheel

PYTHON = ["--", "python", "-c"]


def temporary_files() -> list[str]:
    """Return what is in the directory for temporary files."""
    return os.listdir(os.environ["TMPDIR"])


def test_both_streams_pass_through_unchanged() -> None:
    """Every byte of the command's own output arrives on the stream that it was written to, and nothing else does."""
    code = "import sys; sys.stdout.buffer.write(bytes(range(256))); sys.stderr.buffer.write(bytes(range(255, -1, -1)))"
    result = run(*PYTHON, code)
    assert (result.stdout, result.stderr) == (bytes(range(256)), bytes(range(255, -1, -1)))
    assert result.returncode == 0


def test_output_passes_through_live() -> None:
    """A part of a line arrives while the command still runs, and what is typed reaches it."""
    code = "import sys; print('name? ', end='', flush=True); print('<' + sys.stdin.readline().strip() + '>')"
    with started(*PYTHON, code) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        prompt = b""
        while not prompt.endswith(b"? "):
            piece = process.stdout.read(1)
            assert piece, "the output ended before the question"
            prompt += piece
        assert process.poll() is None
        process.stdin.write(b"me\n")
        assert prompt + process.stdout.read() == b"name? <me>\n"
    assert process.returncode == 0


@pytest.mark.parametrize("size", [0, 300_000])
def test_standard_input_passes_through(size: int) -> None:
    """The command reads what venvrunner is given, to its end."""
    code = "import sys; print(len(sys.stdin.buffer.read()))"
    assert run(*PYTHON, code, stdin=b"\0" * size).stdout == b"%d\n" % size


@pytest.mark.parametrize(
    ("code", "status"),
    [("pass", 0), ("raise SystemExit(3)", 3), ("raise SystemExit(255)", 255)]
    + [(f"import os; os.kill(os.getpid(), {number})", 128 + number) for number in (signal.SIGKILL, signal.SIGTERM)],
)
def test_the_exit_status_is_that_of_the_command(code: str, status: int) -> None:
    """A command that a signal ended gives 128 and the number of the signal, as in a shell."""
    result = run(*PYTHON, code)
    assert (result.returncode, result.stderr) == (status, b"")


def test_a_missing_command_is_127() -> None:
    """The message names the command and what to do."""
    result = run("--", "no-such-command")
    assert (result.returncode, result.stdout) == (127, b"")
    assert b"no-such-command' does not exist!" in result.stderr


@pytest.mark.parametrize("command", ["/bin/sh", "../sh", "..", "a/b", ""])
def test_a_command_outside_the_environment_is_127(command: str) -> None:
    """Only commands of the environment are run."""
    result = run("--", command, "-c", "echo escaped")
    assert (result.returncode, result.stdout) == (127, b"")
    assert result.stderr.startswith(b"venvrunner: ")


def test_the_time_limit_is_124() -> None:
    """--timeout ends the command; the message says so."""
    result = run("--timeout", "0.3", *PYTHON, "import time; print('began', flush=True); time.sleep(600)")
    assert result.returncode == 124
    assert b"timed out after 0.3 seconds" in result.stderr


@pytest.mark.parametrize(
    "args",
    [
        ["--with", "no-such-package-anywhere"], ["--with", "./no-such-file.whl"], ["--with=--pre"], ["--with", ""],
        ["-r", "no-such-file.txt"], ["--python", "9.99"], ["--python", "/no/such/python"],
    ],
)  # fmt: skip
@pytest.mark.usefixtures("few_interpreters")
def test_an_environment_that_cannot_be_made_or_filled_is_125(args: list[str], tmp_path: Path) -> None:
    """The command is not run, and one message of venvrunner says why, without a traceback."""
    result = run(*args, *PYTHON, "print('was run')", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (125, b"")
    assert b"venvrunner: " in result.stderr
    assert b"Traceback" not in result.stderr
    assert temporary_files() == []


@pytest.mark.parametrize(
    "args",
    [
        [], ["--"], ["python"], ["python", "--", "python"], ["--bogus", "--", "python"], ["--with", "--", "python"],
        ["--timeout", "soon", "--", "python"], ["--timeout", "0", "--", "python"], ["--timeout", "nan", "--", "python"],
        ["--timeout=-1", "--", "python"], ["--pyth", "3", "--", "python"],
    ],
)  # fmt: skip
def test_wrong_arguments_are_2(args: list[str]) -> None:
    """The usage and one message; nothing is made."""
    result = run(*args)
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr.startswith(b"usage: venvrunner ")
    assert b"error: " in result.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--wth", "build"], "unrecognized argument '--wth'. Did you mean '--with'? "),
        (["--time=3"], "unrecognized argument '--time=3'. Did you mean '--timeout'? "),
        (["--zzz"], "unrecognized argument '--zzz'. See 'venvrunner --help'. "),
        (["python", "-V"], "unrecognized argument 'python'. The command goes after '--'."),
    ],
)
def test_a_misspelled_option_gets_a_suggestion(args: list[str], message: str) -> None:
    """Or is sent to the help; and the message says where the command goes."""
    result = run(*args, "--", "true")
    assert result.returncode == 2
    last = result.stderr.decode().splitlines()[-1]
    assert last.startswith(f"venvrunner: error: {message}")
    assert last.endswith("The command goes after '--'.")


def test_the_version_is_shown() -> None:
    """On standard output, for scripts."""
    result = run("--version")
    assert (result.returncode, result.stdout.decode(), result.stderr) == (0, f"venvrunner {version('venvrunner')}\n", b"")


def test_the_console_script_is_the_same_program() -> None:
    """`venvrunner` is `python -m venvrunner`: an installation has it as a command."""
    (script,) = entry_points(group="console_scripts", name="venvrunner")
    code = "import sys; from importlib.metadata import EntryPoint; sys.exit(EntryPoint(*sys.argv.pop().split('|')).load()())"
    argv = [sys.executable, "-c", code, *PYTHON, "print('mine')", f"{script.name}|{script.value}|{script.group}"]
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": SOURCE}, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "mine\n", "")


def test_the_help_is_worth_reading() -> None:
    """--help names every option, the exit statuses, and examples."""
    result = run("--help")
    assert (result.returncode, result.stderr) == (0, b"")
    for word in (
        "--python",
        "--with",
        "-r",
        "--timeout",
        "--keep",
        "COMMAND",
        "124",
        "125",
        "127",
        "128+n",
        "examples:",
        "Ctrl-C",
    ):
        assert word in result.stdout.decode()
    assert all(len(line) <= 80 for line in result.stdout.decode().splitlines())


@pytest.mark.parametrize("command", ["", "lock", "store", "store prune", "cache", "completion"])
def test_every_help_fits_a_terminal_of_80_columns(command: str) -> None:
    """Also what is not wrapped by itself."""
    done = run(*command.split(), "--help")
    assert (done.returncode, done.stderr) == (0, b"")
    assert [line for line in done.stdout.decode().splitlines() if len(line) > 80] == []


def test_everything_after_the_first_dashes_belongs_to_the_command() -> None:
    """Options and further dashes are passed on as they are."""
    result = run(*PYTHON, "import sys; print(sys.argv[1:])", "--", "--help", "--with", "x", "", "a b")
    assert result.stdout == b"['--', '--help', '--with', 'x', '', 'a b']\n"


def test_a_local_wheel_is_installed_with_its_command(tmp_path: Path) -> None:
    """--with takes a path, more than once; what pip says goes to standard error."""
    first, second = make_command_wheel(tmp_path), make_command_wheel(tmp_path, "parcel")
    result = run("--with", f"./{first.name}", "--with", str(second), "--", "pocket", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, b"pocket 1.0\n")
    assert b"Successfully installed parcel-1.0 pocket-1.0" in result.stderr


def test_a_requirements_file_is_installed(tmp_path: Path) -> None:
    """-r takes a file, relative to the working directory."""
    (tmp_path / "requirements.txt").write_text(f"# a comment\n{make_command_wheel(tmp_path)}\n")
    assert run("-r", "requirements.txt", "--", "pocket", cwd=tmp_path).stdout == b"pocket 1.0\n"


@pytest.mark.parametrize("python", [sys.executable, "{}.{}".format(*sys.version_info)])
def test_the_interpreter_can_be_chosen(python: str) -> None:
    """--python takes a path or a version."""
    result = run("--python", python, *PYTHON, "import sys; print('%d.%d' % sys.version_info[:2])")
    assert result.stdout == b"%d.%d\n" % sys.version_info[:2], result.stderr


def test_a_kept_environment_stays_and_is_recreated(tmp_path: Path) -> None:
    """--keep makes the environment there; the next run recreates it."""
    show = "import sys; print(sys.prefix)"
    for _time in range(2):
        result = run("--keep", "kept", *PYTHON, show, cwd=tmp_path)
        assert result.stdout.decode() == f"{tmp_path / 'kept'}\n", result.stderr
        assert (tmp_path / "kept" / "pyvenv.cfg").is_file()
        assert not (tmp_path / "kept" / "old").exists()
        (tmp_path / "kept" / "old").touch()
    again = subprocess.run([tmp_path / "kept" / "bin" / "python", "-c", show], capture_output=True, text=True, check=True)
    assert again.stdout == f"{tmp_path / 'kept'}\n"


@pytest.mark.parametrize("keep", ["mine", "mine/work.txt", "/", ".", ""])
def test_keep_never_replaces_a_directory_that_is_not_an_environment(keep: str, tmp_path: Path) -> None:
    """--keep refuses a directory with other things in it, and touches nothing."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work.txt").write_text("precious")
    result = run("--keep", keep, *PYTHON, "print('was run')", cwd=tmp_path)
    assert result.returncode in {2, 125}
    assert result.stdout == b""
    assert b"Traceback" not in result.stderr
    assert (tmp_path / "mine" / "work.txt").read_text() == "precious"
    assert os.listdir(tmp_path) == ["mine"]


def test_on_github_actions_the_installation_is_a_group(tmp_path: Path) -> None:
    """The markers go where pip's words go, to standard error; the command's own output is outside of the group."""
    code = "import pocket, sys; print('outside', file=sys.stderr); pocket.main()"
    result = run("--with", str(make_command_wheel(tmp_path)), *PYTHON, code, GITHUB_ACTIONS="true")
    assert result.stdout == b"pocket 1.0\n"
    assert re.fullmatch(rb"::group::Installing .*pocket.*\n(.*\n)+::endgroup::\noutside\n", result.stderr), result.stderr
    plain = run("--with", str(make_command_wheel(tmp_path)), *PYTHON, code)
    assert b"::" not in plain.stderr


def test_a_group_is_closed_after_a_failure_too() -> None:
    """A failed installation swallows neither the annotation nor the message; the last line is what to do."""
    result = run("--with", "no-such-package-anywhere", *PYTHON, "pass", GITHUB_ACTIONS="true")
    assert re.search(rb"::endgroup::\n::error title=venvrunner::no-such-package.*\nvenvrunner: no-such-package", result.stderr)
    assert result.stderr.splitlines()[-1].startswith(b"Check the spelling, ")


def test_credentials_are_masked() -> None:
    """A password in a URL shows neither in the title nor in pip's output nor in the error."""
    with socket.socket() as closed:  # bound, and not listening: a connection is refused
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        url = f"http://me:hunter2@{address}/pocket-1.0.tar.gz"
        result = run("--with", url, *PYTHON, "pass", NO_PROXY="127.0.0.1", no_proxy="127.0.0.1", PIP_RETRIES="0")
    assert result.returncode == 125
    assert address.encode() in result.stderr
    assert b"****@" in result.stderr
    assert b"hunter2" not in result.stderr + result.stdout


def test_a_credential_in_a_wrong_requirement_is_masked() -> None:
    """The refusal of a requirement does not show it either."""
    result = run("--with", "http://me:hunter2@host.invalid/a b", *PYTHON, "pass")
    assert result.returncode == 125
    assert b"hunter2" not in result.stderr


@pytest.mark.parametrize("program", [PROGRAM, MODULE], ids=["script", "module"])
def test_files_in_the_working_directory_do_not_fool_it(program: list[str], tmp_path: Path) -> None:
    """Modules named like those that venvrunner needs lie in a project's directory, and are not taken for them."""
    for name in ("pip", "virtualenv", "packaging", "logging", "shutil", "argparse"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('fooled by {name}')")
    result = run("--with", str(make_command_wheel(tmp_path)), "--", "pocket", cwd=tmp_path, program=program)
    assert result.stdout == b"pocket 1.0\n", result.stderr


SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("progress", ["*", "*/venv", "*/venv/lib/python*/site-packages/*"])
def test_a_signal_during_creation_leaves_nothing(progress: str, number: signal.Signals) -> None:
    """However far it is: 128+n, and the temporary directory is gone."""
    temporary = Path(os.environ["TMPDIR"])
    with started(*PYTHON, "import time; time.sleep(600)") as process:
        wait_until(lambda: list(temporary.glob(progress)), "the creation gets there")
        process.send_signal(number)
    assert process.returncode == 128 + number
    assert temporary_files() == []


_DROPPED = """
import os, sys
from venvrunner import VenvRunner, __main__

class Last:
    def __del__(self):
        os.kill(os.getpid(), {number})
        os.getpid()

make = VenvRunner.{where}
def drop(*args, **options):
    done = make(*args, **options)
    Last()
    return done
VenvRunner.{where} = drop
sys.exit(__main__.main(["--with", {wheel!r}, "--", "python", "-c", "print('was run')"]))
"""


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("where", ["temporary", "install"])
def test_a_signal_whose_exception_is_dropped_ends_it_all_the_same(where: str, number: signal.Signals, tmp_path: Path) -> None:
    """As in a finalizer, where Python only writes that it was ignored: the command is not run."""
    source = _DROPPED.format(number=int(number), where=where, wheel=str(make_command_wheel(tmp_path)))
    env = {**os.environ, "PYTHONPATH": SOURCE, "PIP_NO_INDEX": "1"}
    done = subprocess.run([sys.executable, "-c", source], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (128 + number, ""), done.stderr
    assert re.search("ignored (in|while)", done.stderr)  # "while calling deallocator" from Python 3.14 on
    assert temporary_files() == []


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_during_installation_leaves_nothing(number: signal.Signals) -> None:
    """While pip waits for a server that never answers: 128+n, no pip and no temporary directory are left."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/pocket-1.0.tar.gz"
        with started("--with", url, *PYTHON, "print('was run')", NO_PROXY="*", no_proxy="*") as process:
            connection, _address = server.accept()
            with connection:
                process.send_signal(number)
                process.wait(PATIENCE)
                assert process.stdout is not None
                assert process.stdout.read() == b""
    assert process.returncode == 128 + number
    assert temporary_files() == []


_STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
print(os.getpid(), flush=True)
time.sleep(600)
"""


@contextmanager
def stubborn() -> Iterator[subprocess.Popen[bytes]]:
    """Run a command and its child that both ignore SIGTERM, and see to it that both and all files are gone in the end."""
    with started(*PYTHON, _STUBBORN) as process:
        assert process.stdout is not None
        lines = b""
        while lines.count(b"\n") < 2:
            piece = process.stdout.read(100)
            assert piece, "the output ended too early"
            lines += piece
        pids = [int(line) for line in lines.split()]
        yield process
    assert not any(alive(pid) for pid in pids)
    assert temporary_files() == []


@pytest.mark.parametrize("number", [SIGNALS[0], *(pytest.param(number, marks=pytest.mark.slow) for number in SIGNALS[1:])])
def test_a_signal_ends_a_command_and_its_children_that_ignore_it(number: signal.Signals) -> None:
    """128+n, after the grace; no process and no temporary directory are left."""
    with stubborn() as process:
        process.send_signal(number)
    assert process.returncode == 128 + number


def test_a_second_ctrl_c_leaves_nothing_either() -> None:
    """Who presses Ctrl-C twice does not wait for the grace, and nothing is left all the same."""
    with stubborn() as process:
        for _time in range(2):
            # The second one comes when the first has been taken: the signal is not pending any more.
            process.send_signal(signal.SIGINT)
            wait_until(lambda: not is_pending(process.pid, signal.SIGINT), "the signal is taken")
    assert process.returncode == 130


def test_an_empty_directory_to_keep_is_refused(tmp_path: Path) -> None:
    """An unset variable of a script must not mean the working directory, which may be an environment."""
    (tmp_path / "pyvenv.cfg").touch()
    (tmp_path / "precious").touch()
    done = run("--keep", "", *PYTHON, "", cwd=tmp_path)
    assert done.returncode == 2
    assert b"--keep must name a directory" in done.stderr
    assert (tmp_path / "precious").exists()


def test_an_ignored_hang_up_stays_ignored() -> None:
    """`nohup` means what it says."""
    code = "import os, signal; os.kill(os.getppid(), signal.SIGHUP); print('still there')"
    command = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", sys.executable, "-m", "venvrunner", *PYTHON, code]
    env = {**os.environ, "PYTHONPATH": SOURCE}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "still there\n"), done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_standard_stream_does_no_harm(closed: str) -> None:
    """A service manager may start it without one."""
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "venvrunner", *PYTHON, "raise SystemExit(7)"]
    assert subprocess.run(command, env={**os.environ, "PYTHONPATH": SOURCE}, check=False).returncode == 7


def test_a_requirement_gives_no_command_to_github() -> None:
    """A line break in it does not begin a line of the log."""
    done = run("--with", "a\n::error::injected", *PYTHON, "", GITHUB_ACTIONS="true")
    assert done.returncode == 125
    (line,) = [line for line in done.stderr.splitlines() if line.startswith(b"::")]
    assert line.startswith(b"::error title=venvrunner::'a\\n::error::injected' contains a line break ")


def test_a_command_that_cannot_be_run_is_126(tmp_path: Path) -> None:
    """It is there, and its first line is wrong; the message names it."""
    wheel = make_wheel(tmp_path, "broken", modules={}, scripts={"broken": "#!/nowhere/python\n"})
    done = run("--with", str(wheel), "--", "broken")
    assert done.returncode == 126
    assert re.search(rb"venvrunner: '.*/broken' cannot be run: ", done.stderr)
