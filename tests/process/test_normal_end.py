"""The normal end is the child's exit: all it wrote is delivered, what it left is not awaited; and what it starts with."""

import asyncio
import contextlib
import errno
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from helpers.callers import Caller
from helpers.processes import alive
from helpers.waiting import DEADLINE, wait_until
from venvrunner._process import child
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


@pytest.fixture(params=["counted", "unknown"])
def count(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Tell whether the system says how much a pipe holds; it does, and then it does not, as where an ioctl fails."""
    if request.param == "unknown":
        monkeypatch.setattr(child, "pending", lambda _fd: None)
    return bool(request.param == "counted")


@pytest.fixture
def soon() -> Iterator[None]:
    """Bound the time of the test."""
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < SOON


def test_a_daemon_does_not_hold_up_the_call_and_lives_on(call: Caller, count: bool, soon: None, daemons: list[int]) -> None:
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
def test_a_slow_callback_gets_all_that_the_child_wrote(
    drive: Caller, count: bool, daemons: list[int], kind: str, size: int
) -> None:
    """However long it takes after the exit, though the end of file never comes, and whether or not the system counts."""
    # The first line, 16 bytes of the size, says who they are; the others have 8.
    total = size // 8 - 2
    source = f"""
import os, subprocess, sys
daemon = subprocess.Popen(["sleep", "60"])
numbers = "".join(f"{{n:07}}\\n" for n in range({total}))
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
        if len(got) > total - 500:
            wait()

    async def slow_too(line: str) -> None:
        got.append(line)
        if len(got) > total - 500:
            await asyncio.to_thread(wait)

    result = drive.run(source, None, slow if kind == "plain" else slow_too)
    assert got[1:] == [f"{n:07}" for n in range(total)]
    assert result.stdout.splitlines() == got


def test_both_streams_are_delivered_in_full_when_all_is_noticed_at_once(drive: Caller, count: bool, daemons: list[int]) -> None:
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
    drive: Caller, count: bool, soon: None, daemons: list[int], kind: str | None
) -> None:
    """It never lets the pipe get empty, and the callback is slower than it."""
    end = time.monotonic() + SOON
    script = "(while :; do echo more; done) 2>/dev/null & echo $! >&2; echo mine"
    pause = threading.Event()
    seen: list[str] = []

    def slow(line: str) -> None:
        assert time.monotonic() < end, "the call goes on and on"
        seen.append(line)
        # Where it is not counted, as much is read as a pipe can hold at all.
        if len(seen) % (100 if count else 5000) == 0:
            pause.wait(0.01)

    async def slow_too(line: str) -> None:
        slow(line)
        await asyncio.sleep(0)

    result = drive(["sh", "-c", script], None, {None: None, "plain": slow, "async def": slow_too}[kind])
    daemons.append(int(result.stderr))
    assert "mine\n" in result.stdout


def test_what_is_written_right_after_the_exit_is_delivered(drive: Caller) -> None:
    """The end of file is awaited for a moment."""
    # Its process number stays taken until the end of the call, so kill -0 would still find it.
    script = "(until grep -qs ') Z' /proc/$$/stat || ! test -e /proc/$$; do :; done; echo late) & echo first"
    # A loaded machine may be slower than the moment: once is enough.
    assert any(drive(["sh", "-c", script]).stdout == "first\nlate\n" for _attempt in range(10))


def test_much_output_is_delivered_where_it_is_not_counted(drive: Caller, count: bool) -> None:
    """A fast command and a callback that is slow now and then: no line is lost, with the exit code 0 at the end."""
    pause = threading.Event()
    lines: list[str] = []

    def take(line: str) -> None:
        lines.append(line)
        if len(lines) % 20_000 == 0:
            pause.wait(0.01)

    result = drive(["seq", "200000"], None, take)
    assert lines == [str(number) for number in range(1, 200_001)]
    assert result.stdout.count("\n") == 200_000


class FaultyOS:
    """The module `os`, with other functions in places."""

    def __init__(self, **functions: Any) -> None:
        vars(self).update(functions)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EBADF], ids=errno.errorcode.get)
@pytest.mark.parametrize("when", [1, 2], ids=["at once", "later"])
def test_input_that_cannot_be_written_is_an_error(
    drive: Caller, monkeypatch: pytest.MonkeyPatch, number: int, when: int
) -> None:
    """Only a reader that has gone is none; the command would have got less than it was to get, and might be happy with it."""
    calls: list[int] = []

    def write(fd: int, data: Any) -> int:
        calls.append(fd)
        if len(calls) >= when:
            raise OSError(number, os.strerror(number))
        return os.write(fd, data[:10])

    monkeypatch.setattr(child, "os", FaultyOS(write=write))
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        drive(["cat"], input="0123456789" * 10)
    assert caught.value.errno == number
    assert len(calls) >= when


@pytest.mark.parametrize("function", ["write", "read"])
def test_a_failure_of_a_pipe_leaves_the_command_its_grace(
    drive: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, function: str
) -> None:
    """It is ended as after any other exception: politely first, however often the pipe fails meanwhile."""
    ready, ended = tmp_path / "ready", tmp_path / "ended"
    source = f"""
import signal, sys, time

def end(*_args):
    time.sleep(0.2)
    open({str(ended)!r}, "w").close()
    sys.exit()

signal.signal(signal.SIGTERM, end)
open({str(ready)!r}, "w").close()
print("ready", flush=True)
while True:
    time.sleep(0.01)  # pause() would miss a signal that comes just before it
"""

    def fail(*_args: Any) -> Any:
        wait_until(ready.exists, "the command is ready")
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(child, "os", FaultyOS(**{function: fail}))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        drive.run(source, input="text" if function == "write" else None, grace=DEADLINE)
    assert ended.exists()


@pytest.mark.parametrize("when", [1, 2], ids=["at once", "later"])
def test_output_that_cannot_be_read_is_an_error(
    drive: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, when: int
) -> None:
    """What was not read is not in the result, so there is none; lines before it were delivered."""
    calls: list[int] = []

    def read(fd: int, count: int) -> bytes:
        calls.append(fd)
        if len(calls) >= when:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return os.read(fd, count)

    lines: list[str] = []
    gate = tmp_path / "gate"

    def take(line: str) -> None:
        lines.append(line)
        gate.touch()

    monkeypatch.setattr(child, "os", FaultyOS(read=read))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)) as caught:
        drive(["sh", "-c", f"echo one; until test -e {gate}; do sleep 0.01; done; echo two; sleep 60"], None, take)
    assert caught.value.errno == errno.EIO
    assert lines == ["one"] * (when - 1)


@pytest.mark.parametrize("name", ["set_blocking", "pidfd_open"])
def test_a_pipe_that_cannot_be_made_ready_leaves_nothing(drive: Caller, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The command has started by then: it is ended, and the error is that of the system. A pidfd is not needed."""

    def refuse(*_args: Any) -> Any:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(child, "os", FaultyOS(**{name: refuse}))
    if name == "pidfd_open":
        assert drive(["sh", "-c", "cat; sleep 0.1; exit 3"], input="text", check=False).stdout == "text"
        return
    with pytest.raises(OSError, match=os.strerror(errno.EMFILE)) as caught:
        drive(["sleep", "60"], input="text")
    assert caught.value.errno == errno.EMFILE


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
