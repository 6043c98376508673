"""Ctrl-C, the exit of the interpreter and a fork, while other threads wait for commands; each in a program of its own."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import venvrunner
from helpers.processes import alive, end_all
from helpers.waiting import DEADLINE, wait_until

HEAD = """
import asyncio, atexit, faulthandler, os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from venvrunner.subprocess_util import async_log_run, log_run

faulthandler.dump_traceback_later(60, exit=True)
SLEEP = ["sh", "-c", "echo $$; exec sleep 60"]

def say(line):
    os.write(1, f"{line}\\n".encode())  # at once, whatever other threads write

def run():
    log_run(SLEEP, None, say)
"""

WAYS = {
    "pool in a block": (
        4,
        """
with ThreadPoolExecutor(4) as pool:
    futures = [pool.submit(run) for _number in range(4)]
    for future in futures:
        future.result()
""",
    ),
    "pool without a block": (
        2,
        """
pool = ThreadPoolExecutor(2)
futures = [pool.submit(run) for _number in range(2)]
futures[0].result()
""",
    ),
    "to_thread": (
        3,
        """
async def main():
    await asyncio.gather(*(asyncio.to_thread(run) for _number in range(3)))
asyncio.run(main())
""",
    ),
    "join": (
        1,
        """
thread = threading.Thread(target=run)
thread.start()
thread.join()
""",
    ),
    "main thread": (1, "run()"),
    "asyncio": (1, "asyncio.run(async_log_run(SLEEP, None, say))"),
}


def start(source: str) -> "subprocess.Popen[str]":
    env = {**os.environ, "PYTHONPATH": str(Path(venvrunner.__file__).parents[1])}
    command = [sys.executable, "-c", HEAD + source]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def pids_of(program: "subprocess.Popen[str]", count: int) -> list[int]:
    assert program.stdout is not None
    return [int(program.stdout.readline()) for _number in range(count)]


def check_gone(pids: list[int]) -> None:
    wait_until(lambda: not any(map(alive, pids)), "the commands have ended", 2)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("way", WAYS)
def test_ctrl_c_reaches_the_commands_of_every_thread(way: str, times: int) -> None:
    """The program ends soon, as it does where the terminal's signal reaches the commands themselves."""
    count, source = WAYS[way]
    program = start(source)
    try:
        pids = pids_of(program, count)
        for _time in range(times):
            program.send_signal(signal.SIGINT)
        try:
            program.communicate(timeout=DEADLINE / 2)
        except subprocess.TimeoutExpired:
            # Python drops a KeyboardInterrupt that is raised in a finalizer of its own, once in a thousand times: press again.
            program.send_signal(signal.SIGINT)
            program.communicate(timeout=DEADLINE)
        assert program.returncode
        check_gone(pids)
    finally:
        end_all([program])


def test_ctrl_c_in_a_terminal_reaches_the_commands(tmp_path: Path) -> None:
    """The key, not the signal: the terminal knows only the program's own group."""
    pid, terminal = pty.fork()
    if not pid:
        env = {**os.environ, "PYTHONPATH": str(Path(venvrunner.__file__).parents[1])}
        os.execve(sys.executable, [sys.executable, "-c", HEAD + WAYS["pool in a block"][1]], env)
    try:
        with open(terminal, "rb", buffering=0, closefd=False) as screen:
            pids: list[int] = []
            text = b""
            while len(pids) < 4:
                text += screen.read(100)
                pids = [int(word) for word in text.split(b"\n")[:-1]]
        os.write(terminal, b"\x03")
        wait_until(lambda: not any(map(alive, pids)), "the commands have ended")
        os.waitpid(pid, 0)
    finally:
        os.close(terminal)


def test_the_exit_ends_the_commands_of_daemon_threads() -> None:
    """Which Python does not wait for."""
    program = start("threading.Thread(target=run, daemon=True).start()\nsys.stdin = None\ntime.sleep(0.5)")
    try:
        pids = pids_of(program, 1)
        program.communicate(timeout=DEADLINE)
        assert program.returncode == 0
        check_gone(pids)
    finally:
        end_all([program])


def test_a_daemon_thread_handles_the_end_of_its_command_before_the_exit() -> None:
    """Python aborts a program whose daemon thread prints, its traceback for instance, while the interpreter ends."""
    source = """
threading.excepthook = lambda args: (time.sleep(0.1), say(args.exc_type.__name__))
threading.Thread(target=run, daemon=True).start()
time.sleep(0.5)
"""
    program = start(source)
    try:
        stdout, _stderr = program.communicate(timeout=DEADLINE)
        assert (program.returncode, stdout.splitlines()[1:]) == (0, ["CommandStoppedError"])
    finally:
        end_all([program])


def test_a_normal_end_of_main_waits_for_other_threads() -> None:
    """As Python does: their commands are not ended."""
    source = """
def slow():
    say(log_run(["sh", "-c", "sleep 0.5; echo complete"]).stdout.strip())
threading.Thread(target=slow).start()
"""
    program = start(source)
    assert program.communicate(timeout=DEADLINE) == ("complete\n", "")


def test_the_commands_of_a_cleanup_are_not_ended() -> None:
    """They start after the Ctrl-C that the main thread is handling."""
    source = """
def clean(number):
    return log_run(["sh", "-c", f"sleep 0.5; echo cleaned {number}"]).stdout.strip()
try:
    say("ready")
    while True:
        time.sleep(0.02)
except KeyboardInterrupt:
    with ThreadPoolExecutor(2) as pool:
        for line in pool.map(clean, range(2)):
            say(line)
"""
    program = start(source)
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    program.send_signal(signal.SIGINT)
    assert program.communicate(timeout=DEADLINE) == ("cleaned 0\ncleaned 1\n", "")


CHILD = """
import os, signal, sys, time
seen = []
signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
def end(number, frame):
    open(sys.argv[1], "w").write(repr([*seen, number]))
    os._exit(0)
signal.signal(signal.SIGTERM, end)
print(os.getpid(), flush=True)
while True:  # a signal that comes just before a sleep does not end it
    time.sleep(0.02)
"""


TRIO = """
import trio
async def main():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: async_log_run(command, None, say, grace=0.3))
        await trio.sleep_forever()
trio.run(main)
"""


@pytest.mark.parametrize(
    "call",
    [
        "log_run(command, None, say, grace=0.3)",
        "asyncio.run(async_log_run(command, None, say, grace=0.3))",
        "ThreadPoolExecutor(1).submit(lambda: log_run(command, None, say, grace=0.3)).result()",
        TRIO,
    ],
    ids=["sync", "async", "pool", "trio"],
)
def test_ctrl_c_sends_sigint_first(call: str, tmp_path: Path) -> None:
    """Then SIGTERM, after the grace; also to a command in a task that is cancelled since another has got the Ctrl-C."""
    if call is TRIO:
        pytest.importorskip("trio", minversion="0.31")
    marker = tmp_path / "seen"
    program = start(f"command = [sys.executable, '-c', {CHILD!r}, {str(marker)!r}]\n{call}")
    try:
        pids = pids_of(program, 1)
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=DEADLINE)
        assert marker.read_text() == repr([int(signal.SIGINT), int(signal.SIGTERM)])
        check_gone(pids)
    finally:
        end_all([program])


def test_ctrl_c_lets_a_python_child_clean_up(tmp_path: Path) -> None:
    """Its `finally` runs, as that of a test that pytest tears down."""
    marker = tmp_path / "cleaned"
    child = f"""
import os, time
try:
    print(os.getpid(), flush=True)
    while True:
        time.sleep(0.02)
finally:
    open({str(marker)!r}, "w").close()
"""
    program = start(f"log_run([sys.executable, '-c', {child!r}], None, say, stderr_loglevel=None)")
    try:
        pids = pids_of(program, 1)
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=DEADLINE)
        assert marker.exists()
        check_gone(pids)
    finally:
        end_all([program])


def test_the_exit_of_a_fork_ends_no_command_of_its_parent() -> None:
    """It has inherited what ends commands at the exit."""
    source = """
import warnings

def fork(line):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork among threads
        pid = os.fork()
    if not pid:
        atexit._run_exitfuncs()
        os._exit(0)
    os.waitpid(pid, 0)
say(log_run(["sh", "-c", "echo one; sleep 0.3; echo two"], None, fork).stdout)
"""
    program = start(source)
    assert program.communicate(timeout=DEADLINE) == ("one\ntwo\n\n", "")
