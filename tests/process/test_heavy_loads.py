"""Much output, long lines, slow callbacks and many commands: exact, bounded and without a trace."""

import asyncio
import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import venvrunner
from helpers.callers import Caller
from helpers.processes import descriptors
from helpers.system import LINUX
from helpers.waiting import wait_until
from venvrunner.subprocess_util import async_log_run, log_run

MEGABYTE = 1_000_000
AHEAD = 2 * MEGABYTE
"""More than the buffers between a child and a callback hold."""


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


FILL = ("x" * 90 + "\n") * 10 + "ä" * 40 + "x\n"


def block(number: int) -> str:
    """Return 1,000 bytes that no other block has, with characters that some read will split."""
    return f"{number:08}{FILL}"


BLOCK = f"""
import os, sys
def blocks(*numbers):
    return "".join(f"{{number:08}}" + {FILL!r} for number in range(*numbers)).encode()
"""


def test_a_hundred_megabytes_come_back_exact(drive: Caller) -> None:
    """One stream, with a callback: the lines and the text are the same characters."""
    source = BLOCK + "for n in range(0, 100_000, 50): sys.stdout.buffer.write(blocks(n, n + 50))"
    seen = hashlib.sha256()
    result = drive.run(source, None, lambda line: seen.update(line.encode() + b"\n"))
    expected = hashlib.sha256()
    for number in range(100_000):
        expected.update(block(number).encode())
    assert len(result.stdout.encode()) == 100 * MEGABYTE
    assert digest(result.stdout) == seen.hexdigest() == expected.hexdigest()


def test_two_streams_at_once_come_back_exact(drive: Caller) -> None:
    """Twice 50 MB, in turns."""
    source = BLOCK + "for n in range(0, 100_000, 50): (sys.stdout, sys.stderr)[n // 50 % 2].buffer.write(blocks(n, n + 50))"
    result = drive.run(source, None, None, None)
    for stream, text in enumerate((result.stdout, result.stderr)):
        expected = hashlib.sha256()
        for start in range(50 * stream, 100_000, 100):
            expected.update("".join(map(block, range(start, start + 50))).encode())
        assert len(text.encode()) == 50 * MEGABYTE
        assert digest(text) == expected.hexdigest()


@pytest.mark.parametrize("with_callback", [True, False])
def test_a_line_may_be_64_mib_long(drive: Caller, with_callback: bool) -> None:
    """Also without an end, and in time that grows with the length and not with its square."""
    lines: list[str] = []
    source = (
        "import sys; sys.stdout.write('short\\n')\nfor _ in range(1 << 10): sys.stdout.write('0123456789abcdef' * (1 << 12))"
    )
    result = drive.run(source, None, lines.append if with_callback else None)
    long = "0123456789abcdef" * (1 << 22)
    assert len(long) == 64 << 20
    assert result.stdout == "short\n" + long
    assert lines == (["short", long] if with_callback else [])


PROGRESS = """
import os, sys
progress = os.open(sys.argv[1], os.O_WRONLY)
size = int(sys.argv[2])
for number in range(int(sys.argv[3])):
    line = f"{number} ".encode().ljust(size - 1, b"x") + b"\\n"
    while line:
        line = line[os.write(1, line):]
    os.pwrite(progress, str((number + 1) * size).encode(), 0)
"""
"""Source of a child that writes lines, and into a file how many bytes that were."""


def written(progress: Path) -> int:
    """Return how many bytes the child has written; in one read, as the number may get longer between two."""
    with progress.open("rb", buffering=0) as file:
        return int(file.read(32) or b"0")


@pytest.mark.parametrize("kind", ["plain", "async def"])
def test_a_slow_callback_slows_the_child(drive: Caller, tmp_path: Path, kind: str) -> None:
    """2,000 lines of 10 kB to a callback that takes a millisecond: the child never gets far ahead."""
    progress = tmp_path / "progress"
    progress.write_text("0")
    seen: list[str] = []
    ahead: list[int] = []
    pause = threading.Event()

    def slow(line: str) -> None:
        seen.append(line.split(maxsplit=1)[0])
        ahead.append(written(progress) - 10_000 * len(seen))
        pause.wait(0.001)

    async def slow_too(line: str) -> None:
        seen.append(line.split(maxsplit=1)[0])
        ahead.append(written(progress) - 10_000 * len(seen))
        done = asyncio.Event()
        asyncio.get_running_loop().call_later(0.001, done.set)
        await done.wait()

    drive(drive.code(PROGRESS, str(progress), "10000", "2000"), None, slow if kind == "plain" else slow_too)
    assert seen == [str(number) for number in range(2000)]
    assert max(ahead) < AHEAD


@pytest.mark.parametrize("kind", ["plain", "async def"])
def test_a_callback_that_waits_stops_the_child(drive: Caller, tmp_path: Path, kind: str) -> None:
    """Of 50 MB the child can write no more than the buffers hold, also while the event loop goes on."""
    progress = tmp_path / "progress"
    progress.write_text("0")
    pause = threading.Event()
    reached: list[int] = []
    lines = 0

    def wait_for_standstill() -> None:
        same, last = 0, -1
        while same < 20:
            size = written(progress)
            same, last = (same + 1 if size == last else 0), size
            pause.wait(0.01)
        reached.append(last)

    def stopping(line: str) -> None:
        nonlocal lines
        lines += 1
        if lines == 100:
            wait_for_standstill()

    async def stopping_too(line: str) -> None:
        nonlocal lines
        lines += 1
        if lines == 100:
            await asyncio.to_thread(wait_for_standstill)

    result = drive(drive.code(PROGRESS, str(progress), "1000", "50000"), None, stopping if kind == "plain" else stopping_too)
    assert reached[0] < AHEAD
    assert (lines, len(result.stdout)) == (50_000, 50 * MEGABYTE)


@pytest.mark.skipif(not LINUX, reason="descriptors are counted in /proc")
def test_two_hundred_runs_leave_nothing(drive: Caller) -> None:
    """No descriptor, no thread and no task more than before."""
    before = len(descriptors()), threading.active_count()
    if drive.is_async:

        async def main() -> None:
            here = len(descriptors())
            for number in range(200):
                assert (await async_log_run(["echo", f"{number}"], None, str)).stdout == f"{number}\n"
                assert len(asyncio.all_tasks()) == 1
            assert len(descriptors()) == here
            wait_until(lambda: threading.active_count() == before[1], "the threads of asyncio end")

        asyncio.run(main())
    else:
        for number in range(200):
            assert log_run(["echo", f"{number}"], None, str).stdout == f"{number}\n"
    assert (len(descriptors()), threading.active_count()) == before


def test_a_hundred_commands_at_once() -> None:
    """On one loop, each with its own output."""

    async def main() -> list[str]:
        runs = (async_log_run(["sh", "-c", f"read line; echo {n} $line"], input="said\n") for n in range(100))
        return [result.stdout for result in await asyncio.gather(*runs)]

    assert asyncio.run(main()) == [f"{n} said\n" for n in range(100)]


AT_ONCE = """
import asyncio, errno, gc, logging, os, resource, sys, threading
from concurrent.futures import ThreadPoolExecutor
from venvrunner.subprocess_util import async_log_run, log_run

COMMAND = ["sh", "-c", "read line; echo $line; sleep 0.2"]
logging.getLogger("asyncio").setLevel("ERROR")  # its debug mode warns of what is slow


def descriptors():
    return len(os.listdir("/dev/fd"))


def in_thread(barrier):
    barrier.wait()
    try:
        return log_run(COMMAND, None, str, input="said\\n").stdout
    except OSError as error:
        return error


def in_threads():
    barrier = threading.Barrier(100)
    with ThreadPoolExecutor(100) as pool:
        return list(pool.map(in_thread, [barrier] * 100))


async def on_loop():
    before = descriptors()
    runs = [async_log_run(COMMAND, None, str, input="said\\n") for _ in range(100)]
    results = await asyncio.gather(*runs, return_exceptions=True)
    assert len(asyncio.all_tasks()) == 1, "tasks are left"
    if sys.version_info >= (3, 11, 4):
        assert descriptors() == before, f"{descriptors() - before} descriptors are left"
    return [getattr(result, "stdout", result) for result in results]


async def warm_up():
    await async_log_run(["true"])

asyncio.run(warm_up())
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
before = descriptors()
outcomes = in_threads() if sys.argv[1] == "threads" else asyncio.run(on_loop())
complete = sum(outcome == "said\\n" for outcome in outcomes)
errors = [outcome for outcome in outcomes if outcome != "said\\n"]
unclear = [error for error in errors if not isinstance(error, OSError) or error.errno != errno.EMFILE]
assert not unclear, f"neither complete nor a clear error: {unclear}"
assert complete, "none is complete"
gc.collect()
# Before 3.11.4, a Popen that finds no descriptor leaks those it has made already (gh-87474), whoever calls it.
if sys.version_info >= (3, 11, 4):
    assert descriptors() == before, f"{descriptors() - before} descriptors are left"
try:
    pid, status = os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print(complete, "of", len(outcomes))
else:
    raise AssertionError(f"process {pid} is left: {status}")
"""


@pytest.mark.parametrize("way", ["threads", "loop"])
def test_too_many_commands_at_once_are_a_clear_error(way: str) -> None:
    """100 at once with 256 descriptors: each is complete or an OSError that says why, and nothing is leaked."""
    env = {**os.environ, "PYTHONPATH": str(Path(venvrunner.__file__).parents[1])}
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", AT_ONCE, way],
        env=env, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith("of 100\n")
