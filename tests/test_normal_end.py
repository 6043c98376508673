"""The normal end is the child's exit: all it wrote is delivered, nobody waits for what it left, and what it starts with."""

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from conftest import DEADLINE, Caller, alive, wait_until
from venvrunner._process.link import Link
from venvrunner.subprocess_util import log_run

SOON = 10.0
"""Seconds within which a call must return although a process that it left lives for a minute."""
PIPE = 1 << 16
"""Bytes that a pipe holds (Linux)."""

DAEMON = """
import os, subprocess, sys
daemon = subprocess.Popen(["sleep", "60"])
os.write(2, b"%d %d\\n" % (os.getpid(), daemon.pid))
"""
"""Source of a child that leaves a grandchild with its pipes, and says who both are."""


@pytest.fixture
def daemons() -> Iterator[list[int]]:
    """Return a list for processes that are left on purpose; they are ended after the test."""
    found: list[int] = []
    yield found
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: not alive(pid), "the daemon ends")  # type: ignore[misc]  # mypy can't infer a lambda with a default


@pytest.fixture
def soon() -> Iterator[None]:
    """Bound the time of the test."""
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < SOON


def test_a_daemon_does_not_hold_up_the_call_and_lives_on(call: Caller, soon: None, daemons: list[int]) -> None:
    """The child's exit is the end, though a grandchild has its pipes; what a success left keeps running."""
    result = call.run(DAEMON + "print('done')")
    _child, daemon = map(int, result.stderr.split())
    daemons.append(daemon)
    assert result.stdout == "done\n"
    assert alive(daemon)


def test_a_daemon_of_a_failed_command_lives_on_too(drive: Caller, soon: None, daemons: list[int]) -> None:
    """A bad exit status is a normal end."""
    result = drive.run(DAEMON + "sys.exit(3)", check=False)
    daemons.append(int(result.stderr.split()[1]))
    assert result.returncode == 3
    assert alive(daemons[0])


@pytest.mark.parametrize("kind", ["plain", "async def"])
@pytest.mark.parametrize("size", [PIPE, 1 << 20], ids=["a pipe full", "more than a pipe"])
def test_a_slow_callback_gets_all_that_the_child_wrote(drive: Caller, daemons: list[int], kind: str, size: int) -> None:
    """However long it takes after the exit, and though the end of file never comes."""
    # The first line, 16 bytes of the size, says who they are; the others have 8.
    count = size // 8 - 2
    source = f"""
import os, subprocess, sys
daemon = subprocess.Popen(["sleep", "60"])
numbers = "".join(f"{{n:07}}\\n" for n in range({count}))
sys.stdout.write(f"{{os.getpid():7}} {{daemon.pid:7}}\\n" + numbers)
"""
    got: list[str] = []
    pause = threading.Event()

    def wait() -> None:
        # The rest of the output fits into the pipe: from here on the child can end. Its exit is noted, the daemon
        # has the pipe, and every further line is late.
        child, daemon = map(int, got[0].split())
        daemons[:] = [daemon]
        wait_until(lambda: not alive(child), "the child ends")
        pause.wait(0.002)

    def slow(line: str) -> None:
        got.append(line)
        if len(got) > count - 500:
            wait()

    async def slow_too(line: str) -> None:
        got.append(line)
        if len(got) > count - 500:
            await asyncio.to_thread(wait)

    result = drive.run(source, None, slow if kind == "plain" else slow_too)
    assert got[1:] == [f"{n:07}" for n in range(count)]
    assert result.stdout.splitlines() == got


def test_both_streams_are_delivered_in_full_when_all_is_noticed_at_once(drive: Caller, daemons: list[int]) -> None:
    """The callback blocks until the child has written everything to both pipes and is gone."""
    lines = [f"{number}" for number in range(60)]
    text = "\n".join(lines)
    source = f"""
import os, subprocess
daemon = subprocess.Popen(["sleep", "60"])
os.write(1, b"%d %d\\n" % (os.getpid(), daemon.pid))
for stream in (1, 2):
    os.write(stream, {text!r}.encode())
"""
    got: dict[int, list[str]] = {1: [], 2: []}
    pause = threading.Event()

    def slow(stream: int, line: str) -> None:
        if not daemons:
            child, daemon = map(int, line.split())
            daemons.append(daemon)
            wait_until(lambda: not alive(child), "the child ends")
            return
        got[stream].append(line)
        pause.wait(0.01)

    drive.run(source, None, partial(slow, 1), partial(slow, 2))
    assert got == {1: lines, 2: lines}


@pytest.mark.parametrize("kind", [None, "plain", "async def"])
def test_a_daemon_that_writes_on_does_not_hold_up_the_call(
    drive: Caller, soon: None, daemons: list[int], kind: str | None
) -> None:
    """It never lets the pipe get empty, and the callback is slower than it."""
    end = time.monotonic() + SOON
    script = "(while :; do echo more; done) 2>/dev/null & echo $! >&2; echo mine"
    pause = threading.Event()
    seen: list[str] = []

    def slow(line: str) -> None:
        assert time.monotonic() < end, "the call goes on and on"
        seen.append(line)
        if len(seen) % 100 == 0:
            pause.wait(0.01)

    async def slow_too(line: str) -> None:
        slow(line)
        await asyncio.sleep(0)

    result = drive(["sh", "-c", script], None, {None: None, "plain": slow, "async def": slow_too}[kind])
    daemons.append(int(result.stderr))
    assert "mine\n" in result.stdout


def test_what_is_written_right_after_the_exit_is_delivered(drive: Caller) -> None:
    """The end of file is awaited for a moment."""
    script = "(while kill -0 $$; do :; done; echo late) 2>/dev/null & echo first"
    # A loaded machine may be slower than the moment: once is enough.
    assert any(drive(["sh", "-c", script]).stdout == "first\nlate\n" for _attempt in range(10))


def test_a_command_that_closed_its_pipes_is_awaited(drive: Caller) -> None:
    """The end of the pipes is not the end of the child."""
    assert drive(["sh", "-c", "echo begun; exec >&- 2>&-; sleep 0.3; exit 3"], check=False).returncode == 3


def test_the_exit_by_a_signal_is_a_normal_end(drive: Caller) -> None:
    """The status is negative as with subprocess, and all that was written is there."""
    result = drive(["sh", "-c", "echo begun; kill -KILL $$"], check=False)
    assert (result.returncode, result.stdout) == (-signal.SIGKILL, "begun\n")


# What a child starts with.


def test_standard_input_is_empty(call: Caller) -> None:
    """A command that asks gets no answer instead of ours."""
    result = call.run("import os, sys; print(os.path.samestat(os.fstat(0), os.stat(os.devnull)), repr(sys.stdin.read()))")
    assert result.stdout == "True ''\n"


def test_input_is_what_the_command_reads(call: Caller) -> None:
    """As UTF-8, to its end."""
    text = "first\nsécond\0\nno end"
    assert call.run("import shutil, sys; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)", input=text).stdout == text


def test_empty_input_is_input(drive: Caller) -> None:
    """The empty text is an end of file."""
    assert drive(["cat"], input="").stdout == ""


def test_much_input_and_much_output_at_once_do_not_block(drive: Caller) -> None:
    """10 MB in while 10 MB come back, on both streams in turn."""
    text = "".join(f"{n:09}\n" for n in range(1_000_000))
    source = """
import sys
for number, line in enumerate(sys.stdin.buffer):
    (sys.stdout, sys.stderr)[number // 5000 % 2].buffer.write(line)
"""
    result = drive.run(source, None, None, None, input=text)
    numbers = [int(line) for line in (result.stdout + result.stderr).split()]
    assert len(result.stdout) == len(result.stderr) == len(text) // 2
    assert sorted(numbers) == list(range(1_000_000))


@pytest.mark.parametrize("script", ["exit 0", "read line; exit 0", "exec <&-; sleep 0.2; exit 0"])
def test_a_command_need_not_read_its_input(drive: Caller, script: str) -> None:
    """It reads nothing, or a little, or closes its end: that is its right, as with subprocess."""
    assert drive(["sh", "-c", script], input="a line\n" * 1_000_000).returncode == 0


def test_input_that_a_daemon_never_reads_does_not_hold_up_the_call(drive: Caller, soon: None, daemons: list[int]) -> None:
    """The rest is thrown away when the child has ended."""
    result = drive(["sh", "-c", "exec 3<&0; sleep 60 <&3 & echo $!"], input="a line\n" * 1_000_000)
    daemons.append(int(result.stdout))
    assert alive(daemons[0])


def test_stdin_may_be_a_file_or_a_descriptor(drive: Caller, tmp_path: Path) -> None:
    """It is read from where it stands, and stays the caller's."""
    path = tmp_path / "text"
    path.write_text("from a file\n")
    with path.open("rb", buffering=0) as file:
        assert drive(["cat"], stdin=file).stdout == "from a file\n"
        assert not file.closed
        file.seek(5)
        assert drive(["cat"], stdin=file.fileno()).stdout == "a file\n"


def test_a_command_leads_a_session_of_its_own(call: Caller) -> None:
    """No signal of our terminal reaches it, and one signal reaches all of it."""
    result = call.run("import os; print(os.getpid(), os.getsid(0), os.getpgid(0))")
    pid, session, group = map(int, result.stdout.split())
    assert pid == session == group
    assert session != os.getsid(0)


def test_twenty_threads_run_commands_at_once(call: Caller) -> None:
    """Each gets its own output and no other."""

    def run(number: int) -> Any:
        lines: list[str] = []
        result = call.run(f"print({number}); print({number})", None, lines.append, timeout=DEADLINE * 3)
        return lines, result.stdout

    with ThreadPoolExecutor(20) as pool:
        outcomes = list(pool.map(run, range(20)))
    assert outcomes == [([f"{n}", f"{n}"], f"{n}\n{n}\n") for n in range(20)]


@pytest.mark.parametrize("callback", [str, asyncio.sleep], ids=["plain", "async def"])
def test_the_sync_call_works_inside_a_running_loop(callback: Callable[..., Any]) -> None:
    """With a loop in this thread, and with a callback of either kind."""

    async def sink(line: str) -> None:
        await asyncio.sleep(0)

    async def main() -> str:
        return log_run(["echo", "within"], None, callback if callback is str else sink).stdout

    assert asyncio.run(main()) == "within\n"


@pytest.mark.asyncio
async def test_what_the_loop_has_read_and_not_told_yet_is_owed_too() -> None:
    """asyncio hands on exit and data by `call_soon`, in any order; data on its way is neither in the pipe nor here."""
    ended = subprocess.Popen(["true"], start_new_session=True)  # noqa: ASYNC220  it ends at once
    ended.wait()
    owed: list[Mapping[int, int]] = []
    link = Link([1], lambda _returncode, pending: owed.append(pending))
    link.connection_made(StubTransport(ended.pid))
    loop = asyncio.get_running_loop()
    loop.call_soon(link.process_exited)
    loop.call_soon(link.pipe_data_received, 1, b"late")
    while not owed:
        await asyncio.wait_for(link.wait(None), DEADLINE)
    assert owed == [{1: 4}]


class StubTransport(asyncio.SubprocessTransport):
    """A child that has ended, with an empty pipe."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self.pid = pid

    def get_pid(self) -> int:
        return self.pid

    def get_returncode(self) -> int:
        return 0

    def get_pipe_transport(self, fd: int) -> asyncio.ReadTransport:
        return StubPipe()


class StubPipe(asyncio.ReadTransport):
    def pause_reading(self) -> None:
        """There is nothing to read."""

    def resume_reading(self) -> None:
        """There is nothing to read."""
