"""What a caller may ask of the output: a limit to silence, one stream for both, updates as lines, and bounded memory."""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import venvrunner
from helpers.callers import Caller
from helpers.system import LINUX
from helpers.waiting import DEADLINE
from venvrunner import CommandError, CommandTimeoutError

BEGIN = "import os, signal, sys, time\nprint('begun', flush=True)\n"
FOREVER = "\nwhile True: signal.pause()"


class Gate:
    """A file for which a child waits."""

    def __init__(self, directory: Path, name: str = "gate") -> None:
        self.path = directory / name
        self.wait = f"\nwhile not os.path.exists({str(self.path)!r}): time.sleep(0.005)\n"

    def open(self) -> None:
        self.path.touch()


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


# Silence.


def test_silence_for_too_long_ends_a_command(call: Caller) -> None:
    """It is a timeout that says that it was silence, with the output so far; what the timeout would be is another time."""
    with pytest.raises(CommandTimeoutError) as caught:
        call.run(BEGIN + FOREVER, silence_timeout=1, timeout=10 * DEADLINE)
    error: Any = caught.value
    assert str(error) == f"Command '{error.cmd}' printed no line for 1.0 seconds"
    assert (error.silence, error.timeout, error.stdout) == (True, 1.0, "begun\n")
    assert error.__notes__ == ["The last lines of stdout:\nbegun"]


def test_a_timeout_is_not_silence(call: Caller) -> None:
    """Where the time is up first, the exception says so."""
    with pytest.raises(CommandTimeoutError, match=r"timed out after 0\.5 seconds") as caught:
        call.run(BEGIN + FOREVER, silence_timeout=10 * DEADLINE, timeout=0.5)
    assert caught.value.silence is False


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("level", ["callable", None], ids=["callable", "nowhere"])
def test_a_line_now_and_then_breaks_the_silence(drive: Caller, stream: str, level: str | None) -> None:
    """Each line of either stream starts the time again, also if the lines go nowhere; the command may run for any time."""
    source = f"import sys, time\nfor n in range(15): print(n, file=sys.{stream}, flush=True); time.sleep(0.1)"
    sinks = (None, None) if level is None else (lambda line: None, lambda line: None)
    begun = time.monotonic()
    result = drive.run(source, None, *sinks, silence_timeout=1)
    assert time.monotonic() - begun > 1
    assert getattr(result, stream).split() == [str(number) for number in range(15)]


def test_bytes_without_a_line_are_silence(drive: Caller) -> None:
    """A progress bar that never ends its line says nothing; with `carriage_return="line"` each update is a line."""
    source = (
        "import sys, time\nfor n in range(600): sys.stdout.write(f'\\r{n} %'); sys.stdout.flush(); time.sleep(0.01)\nprint()"
    )
    with pytest.raises(CommandTimeoutError, match="printed no line for"):
        drive.run(source, silence_timeout=1.5)
    source = source.replace("range(600)", "range(200)")
    assert drive.run(source, silence_timeout=1.5, carriage_return="line").stdout.endswith("\r199 %\n")


@pytest.mark.parametrize("kind", ["plain", "async def"])
def test_the_time_of_a_callback_does_not_count(drive: Caller, gate: Gate, kind: str) -> None:
    """A slow callback keeps a command from writing, or from being heard: that is not the command's silence."""

    def slow(line: str) -> None:
        time.sleep(0.6)
        if line == "2":
            gate.open()

    async def slow_too(line: str) -> None:
        slow(line)

    source = f"import os, time\nprint('begun\\n1\\n2', flush=True){gate.wait}print('done')"
    result = drive.run(source, None, slow if kind == "plain" else slow_too, silence_timeout=0.5)
    assert result.stdout == "begun\n1\n2\ndone\n"


@pytest.mark.parametrize("kind", ["plain", "async def"])
def test_silence_counts_from_the_end_of_a_callback(drive: Caller, kind: str) -> None:
    """After the callback the command has all of its time again, and not more."""
    ended: list[float] = []

    def slow(_line: str) -> None:
        time.sleep(0.6)
        ended.append(time.monotonic())

    async def slow_too(line: str) -> None:
        slow(line)

    with pytest.raises(CommandTimeoutError, match="printed no line for"):
        drive.run(BEGIN + FOREVER, None, slow if kind == "plain" else slow_too, silence_timeout=0.5, grace=DEADLINE)
    assert 0.5 <= time.monotonic() - ended[0] < DEADLINE


# One stream for both.

BOTH = """
import os
for n in range(500):
    os.write(1 + n % 3 % 2, b"line %d\\n" % n)
"""
"""Source that writes to both streams in turn."""


def test_one_stream_for_both_has_the_true_order(call: Caller) -> None:
    """With `merge_stderr`, lines come as they were written, to where those of standard output go."""
    expected = [f"line {number}" for number in range(500)]
    out, err = list[str](), list[str]()
    result = call.run(BOTH, None, out.append, err.append, merge_stderr=True)
    assert (out, err) == (expected, [])
    assert (result.stdout.splitlines(), result.stderr) == (expected, "")


def test_two_streams_for_both_have_their_own_order_only() -> None:
    """The test above can fail: half of its lines go to standard error."""
    result = subprocess.run([sys.executable, "-c", BOTH], capture_output=True, check=True)
    assert min(result.stdout.count(b"\n"), result.stderr.count(b"\n")) > 100


def test_one_stream_for_both_is_logged_as_standard_output(drive: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """At its level; there is no other stream."""
    caplog.set_level(logging.DEBUG, "venvrunner")
    drive(["sh", "-c", "echo out; echo err >&2"], None, "info", "error", merge_stderr=True)
    assert [(one.levelname, one.getMessage()) for one in caplog.records[1:-1]] == [
        ("INFO", "stdout: out"),
        ("INFO", "stdout: err"),
    ]


def test_a_failure_with_one_stream_shows_its_last_lines(call: Caller) -> None:
    """They are in `stdout`, and the note says so; `stderr` is empty."""
    with pytest.raises(CommandError) as caught:
        call.run("import sys; print('out', flush=True); sys.exit('why')", merge_stderr=True)
    assert (caught.value.stdout, caught.value.stderr) == ("out\nwhy\n", "")
    assert caught.value.__notes__ == ["The last lines of stdout:\nout\nwhy"]


def test_a_timeout_with_one_stream_has_all_of_it(drive: Caller) -> None:
    """What both streams had until then, in order."""
    with pytest.raises(CommandTimeoutError) as caught:
        drive(["sh", "-c", "echo 1; echo 2 >&2; echo 3; exec sleep 60"], timeout=0.5, merge_stderr=True)
    error: Any = caught.value
    assert (error.stdout, error.stderr) == ("1\n2\n3\n", "")


# Updates as lines.


def test_each_update_of_a_progress_bar_is_a_line(call: Caller) -> None:
    """With `carriage_return="line"`; the text of the result is exact as ever, and `\\r\\n` is one line end."""
    text = " 10 %\r 20 %\rdone\r\n\rerror\r"
    source = f"import os\nfor byte in {text.encode()!r}: os.write(1, bytes([byte])); os.write(2, bytes([byte]))"
    out, err = list[str](), list[str]()
    result = call.run(source, None, out.append, err.append, carriage_return="line")
    assert out == err == [" 10 %", " 20 %", "done", "", "error"]
    assert (result.stdout, result.stderr) == (text, text)


def test_without_it_a_carriage_return_is_a_character(call: Caller) -> None:
    """`None` is the default: a callable gets the line as it is."""
    lines: list[str] = []
    for options in ({}, {"carriage_return": None}):
        call.run("import os; os.write(1, b' 10 %\\r 20 %\\rdone\\r\\n')", None, lines.append, **options)
    assert lines == [" 10 %\r 20 %\rdone"] * 2


def test_an_update_comes_when_it_is_printed(drive: Caller, gate: Gate) -> None:
    """Not with the next one: the command waits until the first was delivered."""
    lines: list[str] = []

    def take(line: str) -> None:
        lines.append(line)
        gate.open()

    source = f"import os, sys, time\nsys.stdout.write(' 10 %\\r'); sys.stdout.flush(){gate.wait}print(' 20 %')"
    drive.run(source, None, take, carriage_return="line", timeout=DEADLINE)
    assert lines == [" 10 %", " 20 %"]


def test_each_update_breaks_the_silence_of_a_heartbeat(drive: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """Where an update is a line, a progress bar is not silent; else it is."""
    caplog.set_level(logging.INFO, "venvrunner")
    source = "import sys, time\nfor n in range(120): sys.stdout.write(f'{n} %\\r'); sys.stdout.flush(); time.sleep(0.01)"
    drive.run(source, heartbeat=1)
    assert caplog.messages
    assert all(message.startswith("Still running after ") for message in caplog.messages)
    caplog.clear()
    # Between two updates a loaded machine may take its time.
    drive.run(source, heartbeat=1, carriage_return="line")
    assert not [message for message in caplog.messages if not message.startswith("Still running after 0 s")][1:]


# Bounded memory.


@pytest.mark.parametrize("keep", [0, 4, 10, 1000, 10**9], ids=str)
def test_the_result_keeps_the_last_bytes(call: Caller, keep: int) -> None:
    """Of each stream, as many as asked for; every line is delivered nevertheless."""
    source = "import sys\nfor n in range(1000): print(n); print(-n, file=sys.stderr)"
    out, err = list[str](), list[str]()
    result = call.run(source, None, out.append, err.append, keep=keep)
    assert out == [str(number) for number in range(1000)]
    assert err == [str(-number) for number in range(1000)]
    for text, lines in ((result.stdout, out), (result.stderr, err)):
        whole = "\n".join([*lines, ""])
        assert text == whole[max(0, len(whole) - keep) :]


def test_what_is_kept_begins_with_a_whole_character(call: Caller) -> None:
    """A bad byte is an error under `strict`; half a character that is left from cutting must not be one."""
    for keep in range(4, 13):
        text = call.run("import os; os.write(1, ('€' * 100).encode())", keep=keep).stdout
        assert text == "€" * (keep // 3)


@pytest.mark.parametrize("is_read", [True, False])
def test_a_bad_byte_is_an_error_also_in_what_is_not_kept(drive: Caller, is_read: bool) -> None:
    """As without `keep`; with another `errors` it is none."""
    source = "import os; os.write(1, b'bad \\xff\\n'); os.write(1, b'good\\n')"
    lines: list[str] = []
    with pytest.raises(UnicodeDecodeError):
        drive.run(source, None, lines.append if is_read else None, keep=5)
    assert lines == (["bad \\xff", "good"] if is_read else [])
    assert drive.run(source, keep=5, errors="replace").stdout == "good\n"


def test_a_failure_has_what_is_kept(call: Caller) -> None:
    """In its attributes and in its note."""
    with pytest.raises(CommandError) as caught:
        call.run("import sys; sys.exit('\\n'.join(map(str, range(1000))))", keep=8)
    assert caught.value.stderr == "998\n999\n"
    assert caught.value.__notes__ == ["The last lines of stderr:\n998\n999"]


def test_a_timeout_has_what_is_kept(drive: Caller) -> None:
    """The last bytes until then."""
    with pytest.raises(CommandTimeoutError) as caught:
        drive(["sh", "-c", "seq 1000; exec sleep 60"], timeout=1, keep=8)
    output: object = caught.value.stdout
    assert output == "99\n1000\n"[-8:]


MEASURE = """
import asyncio, sys
from venvrunner.subprocess_util import async_lines, async_log_run, lines, log_run

ALL = int(sys.argv[1])
LINES = ["sh", "-c", f"yes 'a line of some length' | head -c {ALL}"]
ZEROS = ["head", "-c", str(ALL), "/dev/zero"]


async def iterate(args):
    async for _line in async_lines(args):
        pass


def run():
    WAY


def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:")) // 1024


before = peak()
run()
print(peak() - before)
"""
"""Source that prints by how many MB its memory has grown at most. `ru_maxrss` would be that of the test run."""

WAYS = {
    "sync": "assert len(log_run(ZEROS, keep=1000).stdout) == 1000",
    "sync, both": "assert len(log_run(ZEROS, keep=1000, merge_stderr=True).stdout) == 1000",
    "sync, callback": "assert len(log_run(LINES, None, len, keep=1000).stdout) == 1000",
    "async": "assert len(asyncio.run(async_log_run(ZEROS, keep=1000)).stdout) == 1000",
    "async, callback": "assert len(asyncio.run(async_log_run(LINES, None, len, keep=1000)).stdout) == 1000",
    "sync, lines": "assert sum(1 for _line in lines(LINES)) > 1000",
    "async, lines": "asyncio.run(iterate(LINES))",
}


@pytest.mark.skipif(not LINUX, reason="the peak of a process is read from /proc")
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_memory_is_bounded(way: str) -> None:
    """200 MB of output need a few MB where 1000 bytes are kept; an iterator over the lines keeps little by itself."""
    env = {**os.environ, "PYTHONPATH": str(Path(str(venvrunner.__file__)).parents[1])}
    command = [sys.executable, "-c", MEASURE.replace("WAY", way), str(200_000_000)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 30, "MB"


@pytest.mark.skipif(not LINUX, reason="the peak of a process is read from /proc")
def test_the_measure_of_the_memory_can_fail() -> None:
    """A tenth of that output takes its place where all is kept."""
    env = {**os.environ, "PYTHONPATH": str(Path(str(venvrunner.__file__)).parents[1])}
    source = MEASURE.replace("WAY", "log_run(ZEROS)")
    done = subprocess.run([sys.executable, "-c", source, str(20_000_000)], env=env, capture_output=True, text=True, check=True)
    assert int(done.stdout) > 30, done.stdout
