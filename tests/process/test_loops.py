"""The same promises on every event loop: asyncio, uvloop and trio."""

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import venvrunner
from helpers.processes import children
from helpers.waiting import DEADLINE
from venvrunner import CommandStoppedError, FakeVenvRunner
from venvrunner.subprocess_util import async_lines, async_log_run

Main = Callable[[], Coroutine[Any, Any, Any]]
Loop = Callable[[Main], Any]


pytestmark = pytest.mark.usefixtures("uvloop_opened")


def _uvloop(main: Main) -> Any:
    uvloop = pytest.importorskip("uvloop")
    try:
        return uvloop.run(main())
    finally:
        gc.collect()  # it closes descriptors of its own when the loop object is gone


def _trio(main: Main) -> Any:
    trio = pytest.importorskip("trio")
    return trio.run(main)


ASYNCIO_KIND: dict[str, Loop] = {"asyncio": lambda main: asyncio.run(main()), "uvloop": _uvloop}


@pytest.fixture(params=[*ASYNCIO_KIND, "trio"])
def loop(request: pytest.FixtureRequest) -> Loop:
    """Each loop in turn, as what runs a coroutine function."""
    return {**ASYNCIO_KIND, "trio": _trio}[request.param]


@pytest.fixture(params=ASYNCIO_KIND)
def asyncio_loop(request: pytest.FixtureRequest) -> Loop:
    """Each loop that has the interface of asyncio's."""
    return ASYNCIO_KIND[request.param]


def test_every_line_arrives_at_a_callback_that_is_slow_now_and_then(loop: Loop) -> None:
    """What the command has written when it ends is owed in full, however late it is read."""
    lines: list[str] = []

    def take(line: str) -> None:
        lines.append(line)
        if len(lines) % 50_000 == 0:
            threading.Event().wait(0.05)

    async def main() -> str:
        return (await async_log_run(["seq", "400000"], None, take)).stdout

    stdout = loop(main)
    assert lines == [str(number) for number in range(1, 400_001)]
    assert stdout == "".join(f"{line}\n" for line in lines)


def test_input_of_any_size_is_written(loop: Loop) -> None:
    """And a command that reads none of it ends as it would."""

    async def main() -> None:
        text = "x" * 5_000_000
        assert (await async_log_run(["cat"], input=text)).stdout == text
        for _number in range(40):
            assert (await async_log_run(["true"], input="x" * 100_000)).returncode == 0

    loop(main)


def test_the_options_of_popen_reach_the_child(loop: Loop, tmp_path: Path) -> None:
    """Those too that a loop's own subprocess support refuses."""
    read, write = os.pipe()
    try:

        async def main() -> None:
            assert (await async_log_run(["sh", "-c", "umask"], umask=0o27)).stdout == "0027\n"
            assert (await async_log_run(["true"], pipesize=4096)).returncode == 0
            os.write(write, b"passed")
            code = f"import os; print(os.read({read}, 10))"
            assert (await async_log_run([sys.executable, "-c", code], pass_fds=[read])).stdout == "b'passed'\n"
            assert (await async_log_run(["pwd"], cwd=tmp_path)).stdout == f"{tmp_path}\n"
            if os.geteuid() == 0:
                result = await async_log_run(["sh", "-c", "id -u; id -g; id -G"], user=1, group=1, extra_groups=[2])
                assert result.stdout.split() == ["1", "1", "1", "2"]

        loop(main)
    finally:
        os.close(read)
        os.close(write)


def test_the_streams_are_pipes_and_a_missing_command_is_named(loop: Loop) -> None:
    """As with `subprocess.run`; some loops give a child sockets."""

    async def main() -> None:
        assert (await async_log_run(["sh", "-c", "echo x > /dev/stdout"])).stdout == "x\n"
        with pytest.raises(FileNotFoundError, match="no-such-command"):
            await async_log_run(["no-such-command"])

    loop(main)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc shows the signals of a process")
def test_the_signals_of_the_child_are_those_of_subprocess(loop: Loop) -> None:
    """Its mask, and what it ignores."""
    command = ["grep", "-E", "Sig(Blk|Ign|Cgt)", "/proc/self/status"]
    expected = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    async def main() -> str:
        return (await async_log_run(command)).stdout

    assert loop(main) == expected


def test_a_timeout_has_the_output_so_far(loop: Loop) -> None:
    """And nothing runs any more."""

    async def main() -> None:
        with pytest.raises(subprocess.TimeoutExpired) as caught:
            await async_log_run(["sh", "-c", "echo begun; exec sleep 60"], timeout=1)
        error: Any = caught.value
        assert error.stdout == "begun\n"

    loop(main)


@pytest.mark.parametrize("kind", ["plain", "async def"])
def test_the_exception_of_a_callback_propagates_as_it_is(loop: Loop, kind: str) -> None:
    """The same object, in no group."""
    error = LookupError("from the callback")

    def fail(line: str) -> None:
        raise error

    async def fail_too(line: str) -> None:
        raise error

    async def main() -> None:
        with pytest.raises(LookupError) as caught:
            await async_log_run(["sh", "-c", "echo x; exec sleep 60"], None, fail if kind == "plain" else fail_too)
        assert caught.value is error

    loop(main)


def test_an_async_callback_that_never_returns_is_ended_by_the_timeout(loop: Loop) -> None:
    """It is cancelled where it waits."""
    ended: list[str] = []

    async def never(line: str) -> None:
        try:
            await async_log_run(["sleep", "60"])
        finally:
            ended.append(line)

    async def main() -> None:
        with pytest.raises(subprocess.TimeoutExpired):
            await async_log_run(["sh", "-c", "echo begun; exec sleep 60"], None, never, timeout=1)

    loop(main)
    assert ended == ["begun"]


def test_another_thread_can_stop_a_command(loop: Loop) -> None:
    """The loop wakes up for it."""
    runner = FakeVenvRunner()

    async def main() -> None:
        begun = threading.Event()

        def stop() -> None:
            begun.wait(DEADLINE)
            runner.stop()

        thread = threading.Thread(target=stop)
        thread.start()
        with pytest.raises(CommandStoppedError):
            await runner.async_log_run(["sh", "-c", "echo begun; exec sleep 60"], None, lambda _line: begun.set())
        thread.join()

    loop(main)


def test_a_loop_over_lines_can_be_left(loop: Loop) -> None:
    """The command is ended when the iterator is closed."""

    async def main() -> list[str]:
        taken: list[str] = []
        async with contextlib.aclosing(async_lines(["sh", "-c", "seq 3; exec sleep 60"])) as lines:
            async for line in lines:
                taken.append(line)
                if line == "3":
                    break
        return taken

    assert loop(main) == ["1", "2", "3"]


def test_a_hundred_commands_run_at_once(asyncio_loop: Loop) -> None:
    """On one loop, each with its own output."""

    async def main() -> list[str]:
        results = await asyncio.gather(*(async_log_run(["echo", str(number)]) for number in range(100)))
        return [result.stdout for result in results]

    assert asyncio_loop(main) == [f"{number}\n" for number in range(100)]


def test_without_a_loop_there_is_one_clear_error() -> None:
    """It names the loops that work."""
    call = async_log_run(["true"])
    with pytest.raises(RuntimeError, match="asyncio, uvloop or trio"):
        call.send(None)


# Cancels, by whomever.


@pytest.mark.parametrize("cancels", [1, 3])
def test_a_cancel_at_any_turn_of_the_start_leaves_nothing(asyncio_loop: Loop, cancels: int) -> None:
    """And does not hang."""

    async def main() -> None:
        before = children().keys()
        for turns in range(25):
            task = asyncio.ensure_future(async_log_run(["sleep", "60"], grace=5))
            for _turn in range(turns):
                await asyncio.sleep(0)
            for _cancel in range(cancels):
                task.cancel()
                await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, DEADLINE)
            assert children().keys() <= before, turns

    asyncio_loop(main)


@pytest.mark.parametrize("turns", range(10))
def test_the_cancel_of_every_other_task_does_not_hang(asyncio_loop: Loop, turns: int) -> None:
    """No task of ours exists that could be cancelled, so the call is not hurt."""

    async def main() -> None:
        task = asyncio.ensure_future(async_log_run(["sh", "-c", "sleep 0.05; echo done"]))
        for _turn in range(turns):
            await asyncio.sleep(0)
        for other in asyncio.all_tasks() - {task, asyncio.current_task()}:
            other.cancel()
        assert (await asyncio.wait_for(task, DEADLINE)).stdout == "done\n"

    asyncio_loop(main)


HANGS = {
    "a failing sibling": """
async def bad():
    raise ValueError

async def main():
    await asyncio.gather(async_log_run(["sleep", "61"]), bad())
""",
    "the end of main": """
async def main():
    for turns in range(8):
        asyncio.create_task(async_log_run(["sleep", "61"]))
        for _turn in range(turns):
            await asyncio.sleep(0)
""",
    "a timeout of twenty": """
async def main():
    async with asyncio.timeout(0.3):
        await asyncio.gather(*(async_log_run(["sleep", "61"]) for _number in range(20)))
""",
    "a closed loop": """
class closed:
    loop = asyncio.new_event_loop()

async def main():
    task = closed.loop.create_task(async_log_run(["sleep", "61"]))
    def begin():
        closed.loop.call_later(0.3, closed.loop.stop)
        closed.loop.run_forever()
        closed.loop.close()
    await asyncio.to_thread(begin)
    closed.loop = None
    task._log_destroy_pending = False
    del task
""",
}
"""Programs whose loop ends, or is left, while commands run."""


@pytest.mark.parametrize("run", ["asyncio.run(main())", "__import__('uvloop').run(main())"], ids=ASYNCIO_KIND)
@pytest.mark.parametrize("way", HANGS)
def test_a_loop_that_ends_meanwhile_ends_its_commands(way: str, run: str) -> None:
    """The program ends, and nothing that it has started is left."""
    if "uvloop" in run:
        pytest.importorskip("uvloop")
    source = f"""
import asyncio, faulthandler, gc, os
from venvrunner.subprocess_util import async_log_run
faulthandler.dump_traceback_later(40, exit=True)
{HANGS[way]}
try:
    {run}
except (ValueError, TimeoutError):
    pass
gc.collect()
try:
    print(os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT))
except ChildProcessError:
    print("nothing")
"""
    env = {**os.environ, "PYTHONPATH": str(Path(venvrunner.__file__).parents[1])}
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", source], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "nothing\n"), done.stderr
    assert time.monotonic() - begun < DEADLINE
