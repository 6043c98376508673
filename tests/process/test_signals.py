"""Ctrl-C, alarms and other things that a host program does with signals and forks, each in a program of its own."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import venvrunner
from helpers.processes import adopted_ones_reaped, alive, end_all
from helpers.programs import MEASURED
from helpers.system import LINUX
from helpers.waiting import DEADLINE, wait_until
from venvrunner import CommandTimeoutError
from venvrunner._process import procfs
from venvrunner.subprocess_util import async_log_run

HEAD = """
import asyncio, faulthandler, gc, logging, os, random, signal, sys, threading, time
from venvrunner.subprocess_util import async_log_run, log_run

logging.getLogger("asyncio").setLevel("ERROR")  # its debug mode warns of what is slow
STUBBORN = ["sh", "-c", "trap '' TERM; sleep 60 & echo $$ $!; wait"]
PATIENT = ["sh", "-c", "trap 'echo > " + sys.argv[1] + "' INT TERM; sleep 60 & echo $$ $!; while :; do wait; sleep 60 & done"]


def say(line):
    print(line, flush=True)


async def say_too(line):
    say(line)


def in_loop(call):
    # Not asyncio.run: its first Ctrl-C only asks for a cancel, which a loop that is blocked, by whatever call, never sees.
    async def main():
        call()

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


def descriptors():
    return sorted(os.listdir("/proc/self/fd"))


def check_nothing_left():
    try:
        left = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return
    raise AssertionError(f"a process is left: {left}")
"""
"""What every program below begins with. Its sinks tell this test the numbers of child and grandchild."""

WAYS = {
    "sync": "log_run({command}, None, say, grace={grace})",
    "async": "asyncio.run(async_log_run({command}, None, say, grace={grace}))",
    "sync with async def": "log_run({command}, None, say_too, grace={grace})",
    "sync in a loop": "in_loop(lambda: log_run({command}, None, say, grace={grace}))",
    "helper thread": "in_loop(lambda: log_run({command}, None, say_too, grace={grace}))",
}
"""The ways to a command, as source."""


class Program:
    """An interpreter that runs a program, with all warnings as errors."""

    def __init__(self, source: str, marker: Path, measured: dict[str, str]) -> None:
        env = {**os.environ, **measured, "PYTHONPATH": str(Path(venvrunner.__file__).parents[1])}
        command = [sys.executable, "-X", "dev", "-W", "error", "-c", HEAD + source, str(marker)]
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def tree(self) -> Callable[[], bool]:
        """Wait until child and grandchild are known; return what tells whether both are gone."""
        line = self.line()
        pids = [int(word) for word in line.split()]
        assert len(pids) == 2, self.process.communicate()
        return lambda: not any(alive(pid) for pid in pids)

    def end(self) -> tuple[int, str, str]:
        stdout, stderr = self.process.communicate(timeout=3 * DEADLINE)
        return self.process.returncode, stdout, stderr


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Program]]:
    """Return what starts a program; those of a failed test are ended."""
    programs: list[Program] = []

    def begin(source: str) -> Program:
        # Alarms would also ring in coverage's own code, which may hold its lock then, and where Python itself never looks for
        # signals: between the call that opens a file and the assignment of its number.
        programs.append(Program(source, tmp_path / "marker", {} if "setitimer" in source else MEASURED))
        return programs[-1]

    yield begin
    end_all(program.process for program in programs)


@pytest.mark.parametrize("way", WAYS)
def test_ctrl_c_ends_the_grandchild_too(start: Callable[[str], Program], way: str) -> None:
    """The program sees KeyboardInterrupt, and what ignores SIGTERM is gone by then."""
    source = WAYS[way].format(command="STUBBORN", grace=0.1)
    program = start(f"""
try:
    {source}
except KeyboardInterrupt:
    check_nothing_left()
    print("interrupted")
""")
    gone = program.tree()
    program.process.send_signal(signal.SIGINT)
    assert program.end() == (0, "interrupted\n", "")
    assert gone()


@pytest.mark.parametrize("way", WAYS)
def test_a_second_ctrl_c_hurries_and_leaves_nothing(start: Callable[[str], Program], tmp_path: Path, way: str) -> None:
    """It comes while the child may take its time to end."""
    program = start(WAYS[way].format(command="PATIENT", grace=1000))
    gone = program.tree()
    program.process.send_signal(signal.SIGINT)
    wait_until((tmp_path / "marker").exists, "the polite signal")
    program.process.send_signal(signal.SIGINT)
    returncode, _stdout, stderr = program.end()
    assert returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in stderr
    wait_until(gone, "the tree is gone", 1)


@pytest.mark.parametrize("way", WAYS)
def test_many_ctrl_c_leave_nothing(start: Callable[[str], Program], way: str) -> None:
    """An impatient user holds the keys."""
    program = start(WAYS[way].format(command="STUBBORN", grace=0.2))
    gone = program.tree()
    pause = threading.Event()
    while program.process.poll() is None:
        program.process.send_signal(signal.SIGINT)
        pause.wait(0.005)
    program.end()
    wait_until(gone, "the tree is gone", 1)


def test_an_interrupt_of_the_cleanup_itself_leaves_nothing(start: Callable[[str], Program]) -> None:
    """As by a Ctrl-C that comes before the cleanup can catch it."""
    source = """
from venvrunner._process.supervisor import Supervisor

def interrupted(*args, **options):
    raise KeyboardInterrupt

def fail(line):
    say(line)
    Supervisor.stop = interrupted
    raise ValueError

asyncio.run(async_log_run(STUBBORN, None, fail))
"""
    program = start(source)
    gone = program.tree()
    assert program.end()[0] == -signal.SIGINT
    wait_until(gone, "the tree is gone", 1)


ALARMS = """
class Alarm(Exception):
    pass

def ring(signum, frame):
    raise Alarm

COMMAND = ["sh", "-c", "echo one; sleep 0.01 & echo two >&2; wait"]

faulthandler.dump_traceback_later(50, exit=True)  # a program that hangs says where
signal.signal(signal.SIGALRM, ring)
times = []
for _ in range(5):
    begun = time.perf_counter()
    log_run(COMMAND, None, str)
    times.append(time.perf_counter() - begun)
usual = min(times)
before = descriptors()
rung = 0
for number in range(200):
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 1.1 * usual))
            log_run(COMMAND, None, str, grace=1)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Alarm:
        rung += 1
    check_nothing_left()
    assert signal.getsignal(signal.SIGALRM) is ring
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert descriptors() == before, (number, before, descriptors())
print("some" if rung > 20 else rung)
"""


def test_an_alarm_of_the_host_may_raise_at_any_moment(start: Callable[[str], Program]) -> None:
    """200 times at random: the command, the descriptors and the host's signal handlers are as they were."""
    returncode, stdout, stderr = start(ALARMS).end()
    # What an alarm raises inside a __del__ is told on stderr by the interpreter and goes no further.
    assert (returncode, stdout) == (0, "some\n"), stderr


STORM = """
class Alarm(Exception):
    pass

armed = False

def ring(signum, frame):
    if armed:  # a signal may be delivered a moment after the timer was stopped
        raise Alarm

def files():
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            found[number] = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            pass
    return {number: what for number, what in found.items() if not what.endswith("/fd")}

def has_child():
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True

from venvrunner.subprocess_util import lines

COMMAND = ["sh", "-c", "echo one; sleep 0.005 & echo two >&2; wait"]
WAYS = {
    "log_run": lambda: log_run(COMMAND, None, str, grace=0.2),
    "lines": lambda: list(lines(COMMAND, grace=0.2)),
    "contain": lambda: log_run(COMMAND, None, str, grace=0.2, contain=True),
}
faulthandler.dump_traceback_later(90, exit=True)  # a program that hangs says where
signal.signal(signal.SIGALRM, ring)
durations = []
for _time in range(5):
    began = time.monotonic()
    WAYS[WAY]()
    durations.append(time.monotonic() - began)
# Often, but not so often that a slow machine does nothing else.
pause = max(3e-4, min(durations) / 30)
before = files()
rung = 0
for number in range(ROUNDS):
    try:
        try:
            armed = True
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 30 * pause), pause)
            WAYS[WAY]()
        finally:
            armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Alarm:
        rung += 1
    armed = False
    signal.setitimer(signal.ITIMER_REAL, 0)
    # What a helper thread has begun, it ends; which may be a moment later than the exception.
    end = time.monotonic() + 10
    while (has_child() or files() != before) and time.monotonic() < end:
        time.sleep(0.001)
    assert not has_child(), number
    assert files() == before, (number, before, files())
print("some" if rung > ROUNDS / 5 else rung)
"""


@pytest.mark.parametrize("way", ["log_run", "lines", "contain"])
@pytest.mark.parametrize("rounds", [150, pytest.param(3000, marks=pytest.mark.slow)])
def test_a_storm_of_signals_leaves_nothing(start: Callable[[str], Program], way: str, rounds: int) -> None:
    """A handler that raises about thirty times in the time that a command takes, and through all of its end."""
    source = STORM.replace("WAYS[WAY]", f"WAYS[{way!r}]").replace("ROUNDS", str(rounds)).replace("(90,", f"({90 + rounds},")
    program = start(source)
    with adopted_ones_reaped(program.process.pid) if LINUX else contextlib.nullcontext():
        stdout, stderr = program.process.communicate(timeout=120 + rounds)
    # What an alarm raises inside a __del__ is written to stderr by the interpreter and goes no further.
    assert (program.process.returncode, stdout) == (0, "some\n"), stderr


def test_the_end_of_an_async_call_opens_nothing_where_a_handler_may_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler raises in the main thread, between any two steps: the number of a file just opened would be lost."""
    threads: list[int] = []
    listed = procfs.processes

    def processes() -> Sequence[procfs.Process]:
        threads.append(threading.get_ident())
        return listed()

    monkeypatch.setattr(procfs, "processes", processes)
    with pytest.raises(CommandTimeoutError):
        asyncio.run(async_log_run(["sleep", "60"], timeout=0.05))
    assert threads
    assert threading.get_ident() not in threads


KEPT = """
import ctypes

libc = ctypes.CDLL(None, use_errno=True)

class Action(ctypes.Structure):
    _fields_ = [("handler", ctypes.c_void_p), ("rest", ctypes.c_char * 152)]

def actions():
    found = {}
    for number in range(1, 65):
        action = Action()
        if not libc.sigaction(number, None, ctypes.byref(action)):
            found[number] = (action.handler, bytes(action.rest))
    return found

# Python knows a handler of its own for each of these; what the system has is another one since.
signal.signal(signal.SIGUSR1, lambda *args: None)
faulthandler.register(signal.SIGUSR1, chain=False)
signal.signal(signal.SIGUSR2, lambda *args: None)
signal.siginterrupt(signal.SIGUSR2, False)
libc.signal(signal.SIGINT, ctypes.cast(libc.abs, ctypes.c_void_p))
before = actions()
log_run(["true"])
try:
    log_run(["sh", "-c", "trap '' TERM; sleep 60 & wait"], timeout=0.1, grace=0.1)
except Exception:
    pass
asyncio.run(async_log_run(["true"]))
now = actions()
now[signal.SIGINT] = before[signal.SIGINT]  # asyncio.run itself sets that one
assert now == before, [number for number in before if now[number] != before[number]]
log_run(["true"])
print("kept")
"""


def test_handlers_that_python_does_not_know_stay(start: Callable[[str], Program]) -> None:
    """That of faulthandler, one that a C library has installed, and whether system calls are restarted."""
    assert start(KEPT).end() == (0, "kept\n", "")


LOST = """
from venvrunner import ExitCodeLostError, FakeVenvRunner

def both(*args, **options):
    for way in (log_run, lambda *args, **kwargs: asyncio.run(async_log_run(*args, **kwargs))):
        try:
            way(*args, **options)
        except Exception as error:
            print(type(error).__name__, repr(error.stdout), str(error).partition("lost: ")[2][:25], flush=True)
"""


@pytest.mark.parametrize(
    ("thief", "reason"),
    [
        ("signal.signal(signal.SIGCHLD, signal.SIG_IGN)", "this process ignores SIGC"),
        (
            "signal.signal(signal.SIGCHLD, lambda *args: [os.waitpid(-1, os.WNOHANG) for _ in os.listdir('/proc/self/task')])",
            "another part of this proc",
        ),
    ],
    ids=["ignored", "reaped by a handler"],
)
@pytest.mark.parametrize("check", [True, False])
def test_a_lost_exit_code_is_an_error(start: Callable[[str], Program], thief: str, reason: str, check: bool) -> None:
    """Neither 0 nor 255: whether the command succeeded is not known. The error has its output."""
    program = start(f"{LOST}\n{thief}\nboth(['sh', '-c', 'echo one; sleep 0.1'], check={check}, timeout=20)")
    assert program.end() == (0, f"ExitCodeLostError 'one\\n' {reason}\n" * 2, "")


def test_a_host_that_ignores_sigchld_can_end_commands(start: Callable[[str], Program]) -> None:
    """A timeout is a timeout, and nothing hangs or is left."""
    source = """
logging.disable()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for way in (log_run, lambda *args, **kwargs: asyncio.run(async_log_run(*args, **kwargs))):
    try:
        way(STUBBORN, None, say, timeout=1, grace=0.1)
    except Exception as error:
        print(type(error).__name__, flush=True)
"""
    program = start(source)
    for _way in range(2):
        gone = program.tree()
        assert program.line() == "CommandTimeoutError\n"
        assert gone()
    assert program.end() == (0, "", "")


def test_the_signal_handlers_of_the_host_are_called(start: Callable[[str], Program]) -> None:
    """A handler that does not raise runs at once, also while a command runs, and the command goes on."""
    source = """
signal.signal(signal.SIGUSR1, lambda signum, frame: say("handled"))
print(log_run(["sh", "-c", f"kill -USR1 {os.getpid()}; sleep 0.3; echo end"], None, say).returncode)
"""
    returncode, stdout, stderr = start(source).end()
    assert (returncode, stdout.split(), stderr) == (0, ["handled", "end", "0"], "")


def test_a_forked_process_of_the_host_can_run_commands(start: Callable[[str], Program]) -> None:
    """It inherits nothing that would be in the way."""
    source = """
def both():
    assert log_run(["echo", "sync"]).stdout == "sync\\n"
    assert asyncio.run(async_log_run(["echo", "async"])).stdout == "async\\n"
    check_nothing_left()
log_run(["true"])
pid = os.fork()
if not pid:
    both()
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
both()
"""
    assert start(source).end() == (0, "7\n", "")


def test_a_callback_may_fork(start: Callable[[str], Program]) -> None:
    """What the forked process does, also an exception that leaves the call, does not end the command of its parent."""
    source = """
def fork(line):
    pid = os.fork()
    if not pid:
        raise SystemExit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
print(log_run(["sh", "-c", "echo one; sleep 0.3; echo two >&2"], None, fork, check=False))
"""
    returncode, stdout, _stderr = start(source).end()
    assert (returncode, stdout.split("\n")[0]) == (0, "7")
    assert re.search(r"returncode=0, stdout='one\\n', stderr='two\\n'", stdout)


def test_the_exit_of_a_forked_process_ends_no_command_of_its_parent(start: Callable[[str], Program]) -> None:
    """It inherits what ends commands at the exit of their own program."""
    source = """
import atexit

def fork(line):
    pid = os.fork()
    if not pid:
        atexit._run_exitfuncs()
        os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)

print(asyncio.run(async_log_run(["sh", "-c", "echo one; sleep 0.3; echo two >&2"], None, fork)).stderr)
"""
    assert start(source).end() == (0, "7\ntwo\n\n", "")


def test_a_thread_may_fork_while_a_command_runs(start: Callable[[str], Program]) -> None:
    """The process that it forks has our ends of the pipes, and does not hold up the call."""
    source = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
forked = []

def fork():
    pid = os.fork()
    if not pid:
        time.sleep(60)
        os._exit(0)
    forked.append(pid)

def sink(line):
    if forked:
        return
    thread = threading.Thread(target=fork)
    thread.start()
    thread.join()

print(log_run(["sh", "-c", "echo one; sleep 0.1; echo two"], None, sink, timeout=20).stdout.split(), flush=True)
for pid in forked:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
"""
    assert start(source).end() == (0, "['one', 'two']\n", "")


def test_a_coroutine_that_is_thrown_away_leaves_nothing(start: Callable[[str], Program]) -> None:
    """Without its loop nothing can be awaited: the group is killed at once, and GeneratorExit stays what it was."""
    source = """
import warnings
warnings.simplefilter("ignore", ResourceWarning)  # asyncio's own, of transports that nobody can close without a loop
logging.disable()
before = descriptors()
loop = asyncio.new_event_loop()

async def begin():
    begun = asyncio.Event()
    def sink(line):
        say(line)
        begun.set()
    task = asyncio.create_task(async_log_run(STUBBORN, None, sink))
    await begun.wait()
    return task

task = loop.run_until_complete(begin())
coroutine = task.get_coro()
loop.close()
coroutine.close()
del task, coroutine, loop
end = time.monotonic() + 10
while threading.active_count() > 1 and time.monotonic() < end:
    time.sleep(0.01)
gc.collect()
# From Python 3.12 on, asyncio has a pidfd of its own, which nobody can close without the loop.
assert len(descriptors()) - len(before) <= (sys.version_info >= (3, 12)), (before, descriptors())
check_nothing_left()
print("closed")
"""
    program = start(source)
    gone = program.tree()
    assert program.end() == (0, "closed\n", "")
    assert gone()


def test_a_handler_that_does_not_raise_cuts_no_grace(start: Callable[[str], Program]) -> None:
    """A resized terminal, or another child that ends, is no reason to hurry a command that cleans up."""
    source = """
for number in (signal.SIGCHLD, signal.SIGUSR1):
    signal.signal(number, lambda *args: None)
CLEANS = f"trap 'kill -USR1 {os.getpid()}; sleep 0.3; echo cleaned; exit' TERM; sleep 60 & echo; wait"
try:
    log_run(["sh", "-c", CLEANS], timeout=1, grace=20)
except Exception as error:
    print(repr(error.stdout))
"""
    returncode, stdout, stderr = start(source).end()
    assert (returncode, stdout) == (0, "'\\ncleaned\\n'\n"), stderr


def test_every_handler_is_called_even_if_one_raises(start: Callable[[str], Program]) -> None:
    """A Ctrl-C at the wrong moment does not swallow the signal by which the host is told to end."""
    source = """
told = []
signal.signal(signal.SIGTERM, lambda *args: told.append("SIGTERM"))
STOPS = f"trap 'kill -INT {os.getpid()}; kill -TERM {os.getpid()}; sleep 0.1; exit' TERM; echo; while :; do sleep 0.1; done"
try:
    log_run(["sh", "-c", STOPS], timeout=1, grace=20)
except KeyboardInterrupt:
    print("KeyboardInterrupt", told)
"""
    returncode, stdout, stderr = start(source).end()
    assert (returncode, stdout) == (0, "KeyboardInterrupt ['SIGTERM']\n"), stderr


ELSEWHERE = """
import _thread
done = _thread.allocate_lock()
done.acquire()

def work():
    from venvrunner.subprocess_util import log_run
    print(log_run(["echo", "one"]).stdout, end="", flush=True)
    done.release()

_thread.start_new_thread(work, ())
done.acquire()
"""


def test_a_main_thread_by_name_only_can_run_commands() -> None:
    """`threading` takes the first thread that imports it for the main one; where it errs, handlers can't be set."""
    env = {**os.environ, "PYTHONPATH": str(Path(venvrunner.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-S", "-c", ELSEWHERE], env=env, capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert done.stdout == "one\n", done.stderr
