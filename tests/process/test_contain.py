"""`contain=True` on Linux: nothing that a command starts outlives the call, and the command notices nothing else of it."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest

import venvrunner
from helpers.processes import alive, children, descriptors
from helpers.programs import MEASURED
from helpers.system import LINUX, POPEN_LEAKS
from helpers.waiting import DEADLINE, wait_until
from venvrunner._process import subreaper as subreaper_module
from venvrunner._process.subreaper import Subreaper
from venvrunner.exceptions import CommandTimeoutError, ContainmentError
from venvrunner.subprocess_util import log_run

if not LINUX:
    pytest.skip("a subreaper needs Linux", allow_module_level=True)

from venvrunner._process import descendants

NOBODY = 65534
"""A user with no rights."""
ROOT = Path(str(subreaper_module.__file__)).parents[2]
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can change the user")

UP = "sh -c 'echo $$; exec sleep 61'"
"""What reports its number when it is up, and then stays."""
DAEMONS = {
    "child": f"{UP} &",
    "session": f"setsid {UP} &",
    "double-fork": f"({UP} &)",
    "daemon": f"setsid sh -c '({UP.replace(chr(39), chr(34)).replace('$$', chr(92) + '$$')} &)'",
    "job": f'bash -c "set -m; {UP.replace("$$", chr(92) + "$$")} & wait" &',
    "timeout": f"timeout 100 {UP} &",
    "nohup": f"nohup {UP} &",
    "deaf": "sh -c 'trap \"\" TERM; echo $$; exec sleep 61' &",
    "deaf-session": "setsid sh -c 'trap \"\" TERM INT HUP; echo $$; exec sleep 61' &",
}
"""Shell lines that start something that outlives its parent, if it is let."""
daemons = pytest.mark.parametrize("daemon", DAEMONS.values(), ids=DAEMONS.keys())

HELPER = """
import os, signal, subprocess, sys
from venvrunner._process.subreaper import Subreaper

def say(*words):  # print() writes the line end apart, if its output is unbuffered
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def start(argv, grace=5.0, **options):
    subreaper = Subreaper()
    argv, options = subreaper.wrap(argv, {"start_new_session": True, **options}, grace=grace)
    process = subprocess.Popen(argv, **options)
    subreaper.started()
    return process, subreaper

def contained(argv, **options):
    process, subreaper = start(argv, stdout=subprocess.PIPE, **options)
    output = process.communicate()[0]
    code = subreaper.outcome()
    subreaper.close()
    return code, output

def plain(argv, **options):
    done = subprocess.run(argv, stdout=subprocess.PIPE, start_new_session=True, **options)
    return done.returncode, done.stdout
"""


@contextlib.contextmanager
def started(argv: list[str], *, grace: float = 5.0, **options: Any) -> "Iterator[tuple[subprocess.Popen[bytes], Subreaper]]":
    """Start a command under a subreaper; end both in any case."""
    subreaper = Subreaper()
    try:
        wrapped, popen = subreaper.wrap(argv, {"start_new_session": True, **options}, grace=grace)
        process = subprocess.Popen(wrapped, **popen)
        subreaper.started()
        with process:
            try:
                yield process, subreaper
            finally:
                subreaper.close()
                try:
                    process.wait(DEADLINE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise
    finally:
        subreaper.close()


def contained(argv: list[str], *, input: bytes | None = None, **options: Any) -> "subprocess.CompletedProcess[bytes]":  # noqa: A002  as subprocess.run
    """Run a command under a subreaper, as `subprocess.run` does."""
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    with started(argv, **options) as (process, subreaper):
        stdout, stderr = process.communicate(input, timeout=DEADLINE)
        return subprocess.CompletedProcess(argv, subreaper.outcome(), stdout, stderr)


def plain(argv: list[str], **options: Any) -> "subprocess.CompletedProcess[bytes]":
    """Run a command without one."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(argv, start_new_session=True, timeout=DEADLINE, check=False, **options)


def both(argv: list[str], **options: Any) -> bytes:
    """Run a command in both ways; return its output, which is the same."""
    expected, found = plain(argv, **options), contained(argv, **options)
    assert (found.returncode, found.stdout, found.stderr) == (expected.returncode, expected.stdout, expected.stderr)
    return found.stdout


def python(source: str, *args: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", source, *args]


@contextlib.contextmanager
def helper(source: str, *args: str, interpreter: str = sys.executable, **options: Any) -> "Iterator[subprocess.Popen[bytes]]":
    """Start a Python process that has the functions of HELPER; kill it in any case."""
    options = {"env": {**os.environ, "PYTHONPATH": str(ROOT)}, **options}
    argv = [interpreter, "-c", HELPER + source, *args]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def words(process: "subprocess.Popen[bytes]") -> list[str]:
    """Return the words of the next line; the deadline of the test run holds for it."""
    assert process.stdout is not None
    return process.stdout.readline().decode().split()


def number(process: "subprocess.Popen[bytes]") -> int:
    """Return the number that a process has printed, of a process that is up."""
    pid = int(words(process)[0])
    assert alive(pid)
    return pid


def let_go(process: "subprocess.Popen[bytes]") -> None:
    """Let a command that waits for a line go on."""
    assert process.stdin is not None
    process.stdin.close()


@pytest.fixture(autouse=True)
def _watchdog() -> Iterator[None]:
    """End a test that hangs: kill what it has started, so that its reads come to an end."""
    before, done = children().keys(), threading.Event()

    def watch() -> None:
        patience = 3 * DEADLINE
        while not done.wait(patience):
            for pid in children().keys() - before:
                os.kill(pid, signal.SIGKILL)
            patience = 0.05  # their orphans become children of this process

    thread = threading.Thread(target=watch)
    thread.start()
    yield
    done.set()
    thread.join()


@pytest.mark.parametrize(
    ("line", "code"), [("true", 0), ("exit 3", 3), ("kill -9 $$", -9), ("kill -TERM $$", -15), ("exit 255", 255)]
)
def test_the_exit_code_is_that_of_the_command(line: str, code: int) -> None:
    """An exit status, or the negative number of a signal."""
    assert contained(["sh", "-c", line]).returncode == code
    assert plain(["sh", "-c", line]).returncode == code


@daemons
def test_nothing_outlives_a_normal_end(daemon: str) -> None:
    """What the command leaves is ended by SIGTERM, or by SIGKILL after the grace; the exit code stays its own."""
    with started(["sh", "-c", f"{daemon}\nread line; exit 7"], grace=0.1, stdin=-1, stdout=-1) as (process, subreaper):
        pid = number(process)
        let_go(process)
        process.wait(DEADLINE)
        assert not alive(pid)
        assert subreaper.outcome() == 7


@daemons
def test_sigkill_reaches_everything(daemon: str) -> None:
    """An order to kill leaves nothing, and the command is reported as killed."""
    with started(["sh", "-c", f"{daemon}\nread line; exit 7"], stdin=-1, stdout=-1) as (process, subreaper):
        pid = number(process)
        subreaper.send(signal.SIGKILL)
        process.wait(DEADLINE)
        assert not alive(pid)
        assert subreaper.outcome() == -signal.SIGKILL


@daemons
def test_close_kills_what_is_left(daemon: str) -> None:
    """Who drops a subreaper gives up the command with it."""
    with started(["sh", "-c", f"{daemon}\nread line; exit 7"], stdin=-1, stdout=-1) as (process, subreaper):
        pid = number(process)
        subreaper.close()
        process.wait(DEADLINE)
        assert not alive(pid)


@daemons
@pytest.mark.parametrize("death", ["kill", "exec"])
def test_nothing_outlives_the_parent(daemon: str, death: str) -> None:
    """A parent that dies, or replaces itself by another program, takes everything with it."""
    source = """
process, subreaper = start(["sh", "-c", sys.argv[1] + "\\nread line"], stdin=subprocess.PIPE)
say(process.pid)
sys.stdin.read()
os.execvp("sleep", ["sleep", "60"])
"""
    with helper(source, daemon) as process:
        found = {number(process), number(process)}
        if death == "kill":
            process.kill()
        else:
            let_go(process)
        wait_until(lambda: not any(map(alive, found)), "the subreaper or the daemon is left")


def test_a_polite_signal_reaches_every_process() -> None:
    """In the group, the session and outside of both: each gets the signal once."""
    source = """
import os, signal, sys
watched = {signal.SIGINT, signal.SIGRTMIN}
signal.pthread_sigmask(signal.SIG_BLOCK, watched)
depth = int(sys.argv[1])
parent = os.getpid()
for level in range(depth):
    if os.fork():
        break
    if level % 3 == 0:
        os.setsid()
    elif level % 3 == 1:
        os.setpgid(0, 0)
os.write(1, b"up\\n")
while True:
    os.write(1, b"%d\\n" % signal.sigwait(watched))
"""
    with started(python(source, "6"), stdout=-1) as (process, subreaper):
        assert [words(process) for _ in range(7)] == [["up"]] * 7
        for signum in (signal.SIGRTMIN, signal.SIGINT):  # of the first, the system keeps each one
            subreaper.send(signum)
            assert [words(process) for _ in range(7)] == [[str(int(signum))]] * 7
        subreaper.send(signal.SIGTERM)
        process.wait(DEADLINE)
        assert subreaper.outcome() == -signal.SIGTERM
        assert process.stdout is not None
        assert process.stdout.read() == b""  # no signal came twice


def test_a_daemon_has_its_grace() -> None:
    """It gets SIGTERM and the time to clean up, and the subreaper waits no longer than that takes."""
    line = "setsid sh -c 'trap \"echo cleaned; exit\" TERM; echo $$; while :; do sleep 0.01; done' & read line; exit 0"
    with started(["sh", "-c", line], grace=3 * DEADLINE, stdin=-1, stdout=-1) as (process, subreaper):
        number(process)
        let_go(process)
        process.wait(DEADLINE)
        assert words(process) == ["cleaned"]
        assert subreaper.outcome() == 0


def test_a_daemon_has_no_grace_after_an_order_to_kill() -> None:
    """Also when the command has ended, and the subreaper waits for what it has left."""
    line = "setsid sh -c 'trap \"echo got it\" TERM; echo $$; while :; do sleep 0.01; done' & read line; exit 0"
    with started(["sh", "-c", line], grace=3 * DEADLINE, stdin=-1, stdout=-1) as (process, subreaper):
        pid = number(process)
        let_go(process)
        assert words(process) == ["got", "it"]
        subreaper.send(signal.SIGKILL)
        process.wait(DEADLINE)
        assert not alive(pid)
        assert subreaper.outcome() == 0


@pytest.mark.parametrize("session", ["one session", "a session each"])
def test_a_chain_of_forks_ends(session: str) -> None:
    """Each process forks and exits at once: by the time that all of /proc is read, none of those found is alive."""
    source = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork():
    sys.exit()
while True:
    if sys.argv[1] == "a session each":
        os.setsid()
    if os.fork():
        os._exit(0)
"""
    others = ["sh", "-c", "for i in $(seq 200); do sleep 61 & done; echo up; wait"]
    with subprocess.Popen(others, stdout=-1, process_group=0) as crowd:
        try:
            assert words(crowd) == ["up"]
            assert contained(python(source, session), grace=0.05).returncode == 0
        finally:
            os.killpg(crowd.pid, signal.SIGKILL)


def test_a_tree_that_grows_ends() -> None:
    """A fork bomb, bounded by its depth."""
    source = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for level in range(6):
    os.fork()
    os.setpgid(0, 0) if os.getpid() != os.getsid(0) else None
os.write(1, b"up\\n")
signal.pause()
"""
    with started(python(source), stdout=-1) as (process, subreaper):
        assert [words(process) for _ in range(64)] == [["up"]] * 64
        subreaper.send(signal.SIGKILL)
        process.wait(DEADLINE)
        assert subreaper.outcome() == -signal.SIGKILL


def test_a_stopped_process_ends() -> None:
    """SIGKILL reaches what SIGTERM does not wake."""
    line = "setsid sh -c 'echo $$; kill -STOP $$' & read line; exit 0"
    with started(["sh", "-c", line], grace=0.05, stdin=-1, stdout=-1) as (process, subreaper):
        pid = number(process)
        wait_until(lambda: " T " in Path(f"/proc/{pid}/stat").read_text(), "it does not stop")
        let_go(process)
        process.wait(DEADLINE)
        assert subreaper.outcome() == 0


def test_a_command_cannot_stop_its_guardian() -> None:
    """Not longer than until it is to end."""
    line = "kill -STOP $PPID; echo $$; exec sleep 61"
    with pytest.raises(CommandTimeoutError) as caught:
        log_run(["sh", "-c", line], timeout=1, contain=True)
    assert not alive(int(caught.value.stdout or 0))


def test_a_stopped_guardian_sees_that_its_parent_has_died() -> None:
    """The death of the parent wakes it, and it ends what the command has started."""
    source = f"""
import os
from venvrunner.subprocess_util import log_run
def die(line):
    os.write(1, f"{{line}}\\n".encode())
    os.kill(os.getpid(), {int(signal.SIGKILL)})
log_run(["sh", "-c", "kill -STOP $PPID; echo $$; exec sleep 61"], None, die, contain=True)
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", source], env=env, stdout=-1, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == -signal.SIGKILL
    pid = int(done.stdout)
    wait_until(lambda: not alive(pid), "the command is left")


def test_no_zombie_is_left_while_the_command_runs() -> None:
    """The subreaper reaps the orphans that it adopts."""
    line = "for i in 1 2 3 4 5; do (sh -c 'echo $$' &) ; done; read line"
    with started(["sh", "-c", line], stdin=-1, stdout=-1) as (process, _subreaper):
        pids = [int(words(process)[0]) for _ in range(5)]
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "a zombie is left")
        let_go(process)


def test_the_guardian_survives_signals() -> None:
    """A command that signals its parent, or a shell that signals all jobs, does not end the subreaper before its work."""
    names = "HUP INT QUIT TERM USR1 USR2 PIPE ALRM TSTP TTIN CHLD"
    line = f"for name in {names}; do kill -$name $PPID; done; {DAEMONS['session']} read line; exit 3"
    with started(["sh", "-c", line], stdin=-1, stdout=-1) as (process, subreaper):
        pid = number(process)
        let_go(process)
        process.wait(DEADLINE)
        assert not alive(pid)
        assert subreaper.outcome() == 3


@pytest.mark.parametrize("options", [{}, pytest.param({"user": NOBODY}, marks=as_root)], ids=["same user", "other user"])
def test_a_killed_guardian_takes_the_command_with_it(options: dict[str, Any]) -> None:
    """The exit code is unknown then, which is an error of its own."""
    with started(["sh", "-c", "echo $$; exec sleep 61"], stdout=-1, **options) as (process, subreaper):
        pid = number(process)
        process.kill()
        process.wait(DEADLINE)
        wait_until(lambda: not alive(pid), "the command is left")
        with pytest.raises(LookupError, match="The subreaper was killed"):
            subreaper.outcome()


def test_the_thread_that_starts_a_command_may_end() -> None:
    """Only the death of the process counts."""
    subreaper = Subreaper()
    argv, options = subreaper.wrap(["sh", "-c", "read line; exit 3"], {"start_new_session": True, "stdin": -1}, grace=1)
    found: list[subprocess.Popen[bytes]] = []
    thread = threading.Thread(target=lambda: found.append(subprocess.Popen(argv, **options)))
    thread.start()
    thread.join()
    with found[0] as process:
        subreaper.started()
        let_go(process)
        process.wait(DEADLINE)
        assert subreaper.outcome() == subreaper.outcome() == 3
    subreaper.close()


def test_a_parent_that_dies_at_any_moment_leaves_nothing() -> None:
    """Before, during and after the start of the subreaper and of the command."""
    source = """
say("up")
process, subreaper = start(["sh", "-c", "setsid sleep 61 & (sleep 62 &) ; sleep 63"])
process.wait()
"""
    before = children().keys()
    pause = threading.Event()
    for _ in range(30):
        with helper(source) as process:
            assert words(process) == ["up"]
            pause.wait(random.uniform(0, 0.03))
            process.kill()
        wait_until(lambda: not children().keys() - before, "something is left")


@pytest.mark.parametrize("end", ["death", "close"])
def test_a_fork_of_the_parent_keeps_nothing_alive(end: str) -> None:
    """It has copies of the pipes, so their end of file says nothing; and it can neither order nor close anything."""
    source = """
process, subreaper = start(["sh", "-c", "setsid sh -c 'echo $$; exec sleep 61' & wait"])
say(process.pid)
if os.fork() == 0:
    subreaper.send(signal.SIGKILL)
    subreaper.close()
    say(os.getpid())
    signal.pause()
if os.fork() == 0:
    say(os.getpid())
    signal.pause()
sys.stdin.read()
subreaper.close()
signal.pause()
"""
    with helper(source) as process:
        found = [number(process) for _ in range(4)]
        assert all(map(alive, found))
        if end == "death":
            process.kill()
        else:
            let_go(process)
        wait_until(lambda: sum(map(alive, found)) == 2, "the subreaper or the daemon is left")
        for pid in found:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("end", ["normal", "kill", "inner parent"])
def test_guardians_nest(end: str) -> None:
    """A contained command may use a subreaper itself; the outer one ends everything."""
    inner = (
        HELPER
        + f"""
process, subreaper = start(["sh", "-c", {DAEMONS["deaf-session"]!r} + "read line; exit 5"], grace=0.05)
say(os.getpid())
process.wait()
sys.exit(subreaper.outcome())
"""
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with started([sys.executable, "-c", inner], grace=0.05, stdin=-1, stdout=-1, env=env) as (process, subreaper):
        found = [number(process), number(process)]
        if end == "normal":
            let_go(process)
        elif end == "kill":
            subreaper.send(signal.SIGKILL)
        else:
            os.kill(next(pid for pid in found if b"venvrunner" in Path(f"/proc/{pid}/cmdline").read_bytes()), signal.SIGKILL)
        process.wait(DEADLINE)
        assert not any(map(alive, found))
        assert subreaper.outcome() == (5 if end == "normal" else -signal.SIGKILL)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_order_before_the_start_counts(signum: int) -> None:
    """A command whose end is ordered while the subreaper still starts ends like one that has started."""
    subreaper = Subreaper()
    argv, options = subreaper.wrap(["sleep", "61"], {"start_new_session": True}, grace=1)
    subreaper.send(signum)
    with subprocess.Popen(argv, **options) as process:
        subreaper.started()
        process.wait(DEADLINE)
        assert subreaper.outcome() == -signum
    subreaper.close()


def test_a_command_that_is_killed_before_its_start_is_not_tried() -> None:
    """Not even to find that it does not exist."""
    for _ in range(10):
        subreaper = Subreaper()
        argv, options = subreaper.wrap(["/no/such/command"], {"start_new_session": True}, grace=1)
        subreaper.send(signal.SIGKILL)
        with subprocess.Popen(argv, **options) as process:
            subreaper.started()
            process.wait(DEADLINE)
            assert subreaper.outcome() == -signal.SIGKILL
        subreaper.close()


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A directory of programs that can't be run, each for a reason of its own."""
    directory = tmp_path / "programs"
    directory.mkdir()
    for name, content, mode in (
        ("no-permission", "#!/bin/sh\n", 0o644),
        ("no-format", "echo hello\n", 0o755),
        ("no-interpreter", "#!/no/such/interpreter\n", 0o755),
    ):
        (directory / name).write_text(content)
        (directory / name).chmod(mode)
    (directory / "directory").mkdir()
    return directory


@pytest.mark.parametrize("name", ["missing", "no-permission", "no-format", "no-interpreter", "directory", "no-format/x", "env"])
@pytest.mark.parametrize("form", ["path", "name", "executable"])
def test_a_command_that_cannot_start_raises_as_popen_does(name: str, form: str, programs: Path) -> None:
    """The same error, for the same file; the first one that says more than that a program is missing on PATH."""
    options: dict[str, Any] = {"env": {"PATH": f"{programs}:/no/such/directory:/usr/bin:/bin"}}
    argv = [name if form == "name" else str(programs / name)]
    if form == "executable":
        argv, options = ["other"], {"executable": str(programs / name)}
    errors = []
    for run in (plain, contained):
        try:
            run(argv, **options)
        except OSError as exc:
            errors.append((type(exc), exc.errno, exc.strerror, exc.filename))
    assert len(errors) == (0 if (name, form) == ("env", "name") else 2)
    assert len(set(errors)) <= 1


def test_a_missing_cwd_raises_as_popen_does(tmp_path: Path) -> None:
    """The working directory is entered before the subreaper is run."""
    for run in (plain, contained):
        with pytest.raises(FileNotFoundError) as raised:
            run(["true"], cwd=tmp_path / "missing")
        assert raised.value.filename == tmp_path / "missing"


@pytest.mark.parametrize(
    ("argv", "options", "error"),
    [
        (["true", "a\0b"], {}, ValueError),
        (["true"], {"env": {"A=": "b"}}, ValueError),
        (["true"], {"env": {"A": "b\0"}}, ValueError),
        (["true", 3], {}, TypeError),
        (["true"], {"env": {"A": 3}}, TypeError),
        (["true", "x" * 200_000], {}, OSError),
        (["true"], {"user": -1}, ValueError),
        (["true"], {"group": -1}, ValueError),
        (["true"], {"extra_groups": [-1]}, ValueError),
        (["true"], {"user": 1.5}, TypeError),
    ],
)
def test_a_wrong_argument_raises_as_popen_does(argv: list[Any], options: dict[str, Any], error: type[Exception]) -> None:
    """The checks are those of subprocess, and so are the classes of their errors."""
    for run in (contained,) if POPEN_LEAKS else (plain, contained):
        with pytest.raises(error):
            run(argv, **options)


@pytest.mark.parametrize(
    ("argv", "options", "match"),
    [
        ([""], {"executable": "/bin/true"}, "must not be empty"),
        (["true"], {"preexec_fn": print, "user": 0}, "preexec_fn cannot be combined with user"),
    ],
)
def test_what_a_guardian_cannot_do_is_refused(argv: list[str], options: dict[str, Any], match: str) -> None:
    """Rather than done in another way than without it."""
    with pytest.raises(ValueError, match=match):
        contained(argv, **options)


def test_the_streams_pass_untouched() -> None:
    """Any bytes, far more than a pipe holds, and both streams apart."""
    data = random.Random(1).randbytes(4 << 20)
    assert both(["sh", "-c", "tee /dev/stderr"], input=data) == data


def test_the_streams_may_be_files(tmp_path: Path) -> None:
    """They are inherited as they are: at their position."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with path.open("rb", buffering=0) as file:
        file.seek(4)
        assert contained(["cat"], stdin=file).stdout == b"456789"
    with path.open("ab") as file:
        assert contained(["echo", "more"], stdout=file).returncode == 0
    assert path.read_bytes() == b"0123456789more\n"


def is_broken(fd: int) -> bool:
    """Return whether a pipe has no reader."""
    try:
        os.write(fd, b"x")
    except BrokenPipeError:
        return True
    return False


def test_closed_streams_are_seen_as_closed() -> None:
    """The subreaper keeps no copy: a command that closes its output has closed it, and one that reads no more, too."""
    with started(["sh", "-c", "exec sleep 61 >&- <&-"], stdin=-1, stdout=-1) as (process, _subreaper):
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.read() == b""
        stdin = process.stdin.fileno()
        wait_until(lambda: is_broken(stdin), "the subreaper has a copy of standard input")


@pytest.mark.parametrize(
    "env",
    [None, {}, {"LC_ALL": "C"}, {"LC_CTYPE": "C", "B": "1", "A": "x=y"}, {"LANG": "C", "PATH": "/bin:/usr/bin", "U": "\udcff"}],
    ids=["inherited", "empty", "LC_ALL", "LC_CTYPE", "LANG"],
)
def test_the_environment_is_untouched(env: dict[str, str] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its order too. In the C locale, Python sets LC_CTYPE for its children: the command must not see that."""
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    shown = both(["/usr/bin/env"], env=env)
    assert (b"PYTHONWARNINGS=error" in shown) == (env is None)
    assert b"LC_CTYPE=C.UTF-8" not in shown


@pytest.mark.parametrize(
    ("before", "options"),
    [
        ("", ""),
        ("", "restore_signals=False"),
        ("signal.signal(signal.SIGPIPE, signal.SIG_DFL)", "restore_signals=False"),
        ("for s in (1, 2, 15, 20, 25): signal.signal(s, signal.SIG_IGN)", ""),
        ("for s in (1, 2, 15, 20, 25): signal.signal(s, signal.SIG_IGN)", "restore_signals=False"),
        ("signal.signal(signal.SIGCHLD, signal.SIG_IGN)", ""),
        ("signal.pthread_sigmask(signal.SIG_BLOCK, [2, 10, 15, 17, 34, 64])", ""),
        ("import faulthandler; faulthandler.register(10)", ""),
    ],
)
def test_signals_are_those_of_a_plain_start(before: str, options: str) -> None:
    """The same are blocked, ignored and pending."""
    source = f"""
{before}
argv = ["grep", "-E", "(Sig|Shd)(Pnd|Blk|Ign|Cgt)", "/proc/self/status"]
shown = plain(argv, {options})[1]
process, subreaper = start(argv, stdout=subprocess.PIPE, {options})
assert shown == process.stdout.read(), shown
say(shown.decode().split()[:6])
"""
    with helper(source) as process:
        assert "SigBlk:" in str(words(process))


@pytest.mark.parametrize("kind", ["none", "pass_fds", "close_fds"])
def test_descriptors_are_those_of_a_plain_start(kind: str) -> None:
    """Those that the subreaper needs are closed, those that were passed are there, and nowhere else."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, kind == "close_fds")
    kinds: dict[str, dict[str, Any]] = {"none": {}, "pass_fds": {"pass_fds": [writer]}, "close_fds": {"close_fds": False}}
    source = "import os; print([fd for fd in range(200) if os.path.exists(f'/proc/self/fd/{fd}')])"
    shown = both(python(source), **kinds[kind]).decode()
    assert (f", {writer}" in shown) == (kind != "none")
    os.close(writer)
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_the_guardian_gives_up_passed_descriptors() -> None:
    """The reader of a pipe sees the end of file when the command closes its end."""
    reader, writer = os.pipe()
    line = f"exec {writer}>&-; exec sleep 61"
    with started(["bash", "-c", line], pass_fds=[writer]):
        os.close(writer)
        assert os.read(reader, 1) == b""
    os.close(reader)


def test_a_parent_without_standard_streams_works() -> None:
    """The numbers below 3 are those of the command, never of a pipe of ours."""
    source = """
out = os.dup(1)
for fd in (0, 1, 2):
    os.close(fd)
process, subreaper = start(["sleep", "61"], stdin=out, stdout=out, stderr=out)
subreaper.send(signal.SIGTERM)
process.wait()
os.write(out, b"%d\\n" % subreaper.outcome())
"""
    with helper(source) as process:
        assert words(process) == ["-15"]


@pytest.mark.parametrize("umask", [-1, 0o077, 0o022])
def test_the_umask_is_that_of_a_plain_start(umask: int) -> None:
    """Given or inherited."""
    assert both(["sh", "-c", "umask"], umask=umask)


def test_the_working_directory_is_the_command_s_alone(tmp_path: Path) -> None:
    """The subreaper leaves it, so that it can be unmounted or deleted."""
    assert both(["pwd"], cwd=tmp_path) == f"{tmp_path}\n".encode()
    with started(["sh", "-c", "echo $$; exec sleep 61"], cwd=tmp_path, stdout=-1) as (process, _subreaper):
        assert os.readlink(f"/proc/{number(process)}/cwd") == str(tmp_path)
        wait_until(lambda: os.readlink(f"/proc/{process.pid}/cwd") == "/", "the subreaper stays in the directory")


def test_a_relative_program_is_found_from_the_working_directory(tmp_path: Path) -> None:
    """As without a subreaper, for a path and for a directory of PATH."""
    (tmp_path / "tool").write_text("#!/bin/sh\necho $0\n")
    (tmp_path / "tool").chmod(0o755)
    assert both(["./tool"], cwd=tmp_path)
    assert both(["tool"], cwd=tmp_path, env={"PATH": ".:/bin"})


def test_preexec_fn_reaches_the_command() -> None:
    """What it sets is inherited."""
    now = os.nice(0)
    assert both(["nice"], preexec_fn=lambda: os.nice(1)) == f"{min(now + 1, 19)}\n".encode()


def test_the_command_leads_a_session_of_its_own() -> None:
    """As without a subreaper."""
    source = "import os; print(os.getpid() == os.getsid(0) == os.getpgid(0))"
    assert both(python(source)) == b"True\n"


@as_root
@pytest.mark.parametrize(
    "ids",
    [{"user": NOBODY}, {"group": NOBODY}, {"user": NOBODY, "group": NOBODY, "extra_groups": [1, 2]}, {"extra_groups": []}],
)
def test_the_user_is_that_of_a_plain_start(ids: dict[str, Any]) -> None:
    """The subreaper itself keeps its rights: it need not be readable for another user, and can end what that one starts."""
    argv = ["grep", "-E", "Uid|Gid|Groups|Cap", "/proc/self/status"]
    shown = both(argv, **ids)
    assert (str(NOBODY).encode() in shown) == any(one in ids for one in ("user", "group"))


@as_root
def test_what_another_user_has_started_ends_too() -> None:
    """Root can signal everyone."""
    with started(["sh", "-c", f"{DAEMONS['deaf-session']} read line"], user=NOBODY, grace=0.05, stdin=-1, stdout=-1) as (
        process,
        _,
    ):
        pid = number(process)
        let_go(process)
        process.wait(DEADLINE)
        assert not alive(pid)


@as_root
def test_a_user_that_cannot_be_changed_to_raises() -> None:
    """As without a subreaper: the command does not run as the wrong user."""
    source = f"""
os.setgroups([])
os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
for run in (plain, contained):
    try:
        run(["true"], user=1)
    except PermissionError as exc:
        say(exc.errno, exc.strerror)
"""
    with _as_nobody(source) as process:
        assert words(process) == words(process) == ["1", "Operation", "not", "permitted"]


@contextlib.contextmanager
def _as_nobody(source: str) -> "Iterator[subprocess.Popen[bytes]]":
    """Start a helper that becomes another user, whose interpreter that user can read too."""
    interpreter = "/usr/bin/python3"
    source_dir = os.path.dirname(os.path.dirname(str(venvrunner.__file__)))
    probe = f"import sys; assert sys.version_info >= (3, 11); sys.path.insert(0, {source_dir!r}); import venvrunner"
    done = subprocess.run([interpreter, "-c", probe], user=NOBODY, cwd="/", capture_output=True, check=False)
    if done.returncode:
        pytest.skip("the system's python3 is too old, or this package can't be read by other users")
    with helper(source, interpreter=interpreter) as process:
        yield process


@as_root
def test_what_cannot_be_ended_is_reported() -> None:
    """A subreaper that may not signal a process neither waits for ever nor says that nothing is left."""
    source = f"""
import ctypes
if ctypes.CDLL(None).prctl(24, 5, 0, 0, 0) == 0 and len(sys.argv) < 3:  # PR_CAPBSET_DROP, CAP_KILL
    os.execv(sys.executable, [sys.executable, "-c", {HELPER!r} + sys.argv[1], sys.argv[1], "again"])
process, subreaper = start(["sh", "-c", "sh -c 'echo $$; exec sleep 61' & wait"], user={NOBODY})
sys.stdin.read(1)
subreaper.send(signal.SIGKILL)
process.wait()
try:
    subreaper.outcome()
except Exception as exc:
    say(type(exc).__name__, exc)
"""
    with helper(source, source) as process:
        pid = number(process)
        let_go(process)
        said = " ".join(words(process))
        assert said.startswith("ContainmentError The command left processes ")
        assert str(pid) in said
        os.kill(pid, signal.SIGKILL)


def test_no_descriptor_is_left() -> None:
    """Three while the command runs, none afterwards."""
    before = descriptors().keys()
    with started(["sleep", "61"]) as (_process, subreaper):
        assert len(descriptors().keys() - before) == 3
        subreaper.close()
        assert descriptors().keys() == before
        subreaper.close()
        subreaper.send(signal.SIGTERM)


def test_a_failed_start_leaves_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of the descriptors can't be had."""
    calls = {"count": 0}
    pipe = os.pipe

    def failing() -> tuple[int, int]:
        calls["count"] += 1
        if calls["count"] == 2:
            raise OSError(24, "Too many open files")
        return pipe()

    before = descriptors().keys()
    monkeypatch.setattr(os, "pipe", failing)
    subreaper = Subreaper()
    with pytest.raises(OSError, match="Too many open files"):
        subreaper.wrap(["true"], {}, grace=1)
    subreaper.close()
    assert descriptors().keys() == before


def test_orders_do_not_block_and_raise_no_sigpipe() -> None:
    """Whether or not the subreaper reads them, and in a process that SIGPIPE would end."""
    source = """
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
process, subreaper = start(["true"])
process.wait()
for _ in range(70_000):
    subreaper.send(signal.SIGTERM)
say(subreaper.outcome())
"""
    with helper(source) as process:
        assert words(process) == ["0"]


def test_it_works_without_new_system_calls() -> None:
    """Before Linux 5.3, and in a sandbox, there is no descriptor of a process, and no memory file before Linux 3.17."""
    source = """
del os.pidfd_open, os.memfd_create
process, subreaper = start(["sh", "-c", sys.argv[1] + "\\nread line; exit 6"], grace=0.05, stdin=subprocess.PIPE)
sys.stdin.readline()
process.stdin.close()
process.wait()
say(subreaper.outcome())
process, subreaper = start(["sh", "-c", sys.argv[1] + "\\nread line"], stdin=subprocess.PIPE)
if os.fork() == 0:  # the pipes stay open
    say(os.getpid())
    signal.pause()
process.wait()
"""
    with helper(source, DAEMONS["deaf-session"]) as process:
        pid = number(process)
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert words(process) == ["6"]
        assert not alive(pid)
        found = {number(process), number(process)}
        process.kill()
        wait_until(lambda: sum(map(alive, found)) == 1, "the daemon outlives the parent")
        os.kill(next(filter(alive, found)), signal.SIGKILL)


def test_a_stranger_gets_no_signal() -> None:
    """A number is signalled only if the chain of its parents leads to us, and is proven to."""
    with subprocess.Popen(["sleep", "61"]) as stranger, subprocess.Popen(["sleep", "61"]) as root:
        assert not descendants._signal_descendant(stranger.pid, signal.SIGKILL, root.pid)
        assert not descendants._signal_descendant(1, signal.SIGKILL, root.pid)
        assert alive(stranger.pid)
        assert descendants._signal_descendant(stranger.pid, signal.SIGKILL, os.getpid())
        stranger.wait(DEADLINE)
        assert not descendants._signal_descendant(stranger.pid, signal.SIGKILL, os.getpid())
        root.kill()


def _no_proc(_path: str) -> str:
    raise FileNotFoundError


@pytest.mark.parametrize(
    ("target", "name", "value", "reason"),
    [
        (sys, "executable", "", "sys.executable does not name a Python interpreter"),
        (sys, "executable", "/no/such/python", "sys.executable does not name a Python interpreter"),
        (os, "readlink", _no_proc, "/proc is not mounted"),
        (os, "readlink", lambda _path: "1", "/proc is not mounted"),
    ],
)
def test_a_system_without_the_means_is_one_clear_error(
    target: object, name: str, value: object, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One error says what is missing and what it means to go without."""
    monkeypatch.setattr(target, name, value)
    with pytest.raises(ContainmentError, match=f"contain=True is not possible here: {reason}.*Leave out contain=True"):
        Subreaper()


def test_a_system_without_prctl_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one whose Python has no ctypes."""
    subreaper_module._compiled.cache_clear()
    monkeypatch.setitem(sys.modules, "_ctypes", None)
    monkeypatch.setitem(sys.modules, "ctypes", None)
    with pytest.raises(ContainmentError, match="prctl cannot be called"):
        Subreaper()


def test_the_guardian_needs_no_isolation() -> None:
    """In an interpreter that imports site, its work is the same; this is also where its coverage is measured."""
    source = """
from venvrunner._process import subreaper as module
module._START = module._START.replace("posix._exit(0)", "pass")  # coverage saves what it has at a normal exit

def begin(line):
    subreaper = Subreaper()
    options = {"start_new_session": True, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    argv, options = subreaper.wrap(["sh", "-c", line], options, grace=0.05)
    process = subprocess.Popen([word for word in argv if word not in {"-I", "-S"}], **options)
    subreaper.started()
    process.stdout.readline()
    return process, subreaper

def end(process, subreaper):
    process.wait()
    say(subreaper.outcome())
    subreaper.close()

process, subreaper = begin(sys.argv[1] + "\\nread line; exit 3")
process.stdin.close()
end(process, subreaper)
process, subreaper = begin(sys.argv[1] + "\\nread line")
subreaper.send(signal.SIGWINCH)
subreaper.send(signal.SIGKILL)
end(process, subreaper)
process, subreaper = begin(sys.argv[1] + "\\nread line")
subreaper.close()
process.wait()
say("end")
"""
    with helper(source, DAEMONS["deaf-session"], env={**os.environ, **MEASURED, "PYTHONPATH": str(ROOT)}) as process:
        assert [words(process) for _ in range(3)] == [["3"], ["-9"], ["end"]]


@as_root
def test_a_new_pid_namespace_is_one_clear_error() -> None:
    """The numbers in /proc are not those that a signal needs there, so no signal is sent."""
    source = """
import ctypes
clone_newpid = 0x20000000
if ctypes.CDLL(None).unshare(clone_newpid):
    say("refused")
else:
    try:
        contained(["true"])
    except Exception as exc:
        say(type(exc).__name__, exc)
"""
    with helper(source) as process:
        said = " ".join(words(process))
        if said == "refused":
            pytest.skip("this system refuses PID namespaces")
        assert said.startswith("ContainmentError contain=True is not possible here: /proc shows the processes of another PID")


def test_an_import_hook_does_not_change_the_guardian(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its modules are run as they are written, whatever has loaded them here."""

    class Hook:
        def get_source(self, name: str) -> str:
            return Path(str(descendants.__file__)).read_text()

    for hook in (SourceFileLoader(descendants.__name__, str(descendants.__file__)), Hook(), object()):
        subreaper_module._compiled.cache_clear()
        monkeypatch.setattr(descendants, "__loader__", hook)
        assert contained(["echo", "up"]).stdout == b"up\n"
    subreaper_module._compiled.cache_clear()
