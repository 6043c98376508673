"""`stop()` of a runner: every command that runs through it ends, whoever calls it, and the runner works afterwards."""

import asyncio
import contextlib
import copy
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import venvrunner
from helpers.callers import Caller
from helpers.processes import alive
from helpers.projects import make_slow_project
from helpers.waiting import DEADLINE, wait_until
from venvrunner import CommandStoppedError, FakeVenvRunner, Runner, VenvError, VenvRunner
from venvrunner._process.supervisor import GRACE
from venvrunner.testing import RecordingVenvRunner, ReplayVenvRunner, ScriptedVenvRunner

ENDLESS = "import os, signal; signal.alarm(60); print('begun', os.getpid(), flush=True)\nwhile True: signal.pause()"
"""Source of a child that does not end by itself; but for the alarm: a stop that does nothing then fails, and does not hang."""
ARGS = ["python", "-c", ENDLESS]
WAYS = ["log_run", "async_log_run", "lines", "async_lines"]
KINDS = ["venv", "fake", "recording"]
DOUBLES = ["scripted", "replay", "recording of a double"]


@pytest.fixture
def make(venv: VenvRunner, tmp_path: Path) -> Callable[[str], Runner]:
    """Return what makes a runner of any kind."""

    def scripted() -> ScriptedVenvRunner:
        double = ScriptedVenvRunner(tmp_path / "scripted")
        double.answer(ARGS, stdout="begun 0\n", returncode=None)
        double.answer(["python", "-c", "print(1)"], stdout="1\n")
        return double

    def replay() -> ReplayVenvRunner:
        path = tmp_path / "recording.json"
        with RecordingVenvRunner(scripted(), path) as recording:
            with pytest.raises(CommandStoppedError):
                recording.log_run(ARGS, None, lambda _line: recording.stop())
            recording.log_run(["python", "-c", "print(1)"])
        return ReplayVenvRunner(path)

    kinds: dict[str, Callable[[], Runner]] = {
        "venv": lambda: VenvRunner.open(venv.venv_dir),
        "fake": FakeVenvRunner,
        "recording": lambda: RecordingVenvRunner(venv, tmp_path / "unused.json"),
        "scripted": scripted,
        "replay": replay,
        "recording of a double": lambda: RecordingVenvRunner(scripted(), tmp_path / "unused.json"),
    }
    return lambda kind: kinds[kind]()


def call(runner: Runner, way: str, args: list[str], sink: Callable[[str], Any], **options: Any) -> None:
    """Run a command in one of the four ways, with a sink for its lines."""
    if way == "log_run":
        runner.log_run(args, None, sink, **options)
    elif way == "lines":
        for line in runner.lines(args, **options):
            sink(line)
    else:
        asyncio.run(call_async(runner, way, args, sink, **options))


async def call_async(runner: Runner, way: str, args: list[str], sink: Callable[[str], Any], **options: Any) -> None:
    """Same as `call`, for the two ways of a loop."""
    if way == "async_log_run":
        await runner.async_log_run(args, None, sink, **options)
    else:
        async for line in runner.async_lines(args, **options):
            sink(line)


def in_thread(action: Callable[[], object]) -> Callable[[], None]:
    """Do something in a thread of its own; return what waits for its end."""
    thread = threading.Thread(target=action)
    thread.start()
    return lambda: thread.join(DEADLINE)


class Begun:
    """A sink that notes the process, and that it has begun."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.event = threading.Event()
        self.pid = 0
        self._then = then

    def __call__(self, line: str) -> None:
        assert line.startswith("begun ")
        self.pid = int(line.split()[1])
        self.event.set()
        self._then()


def check_stopped(error: CommandStoppedError, runner: Runner, begun: Begun) -> None:
    """The exception says what there is to say, and nothing runs."""
    assert (error.cmd, error.stderr) == (runner.resolve(ARGS), "")
    assert (error.stdout, error.output) == (f"begun {begun.pid}\n",) * 2
    assert str(error) == f"Command '{error.cmd}' was stopped: stop() was called on its runner"
    assert not begun.pid or not alive(begun.pid)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_another_thread_stops_a_command(make: Callable[[str], Runner], kind: str, way: str) -> None:
    """The call raises with the output so far, the process is gone, and the runner works afterwards."""
    runner, begun = make(kind), Begun()

    def stop() -> None:
        assert begun.event.wait(DEADLINE)
        runner.stop()

    join = in_thread(stop)
    with pytest.raises(CommandStoppedError) as caught:
        call(runner, way, ARGS, begun)
    join()
    check_stopped(caught.value, runner, begun)
    assert runner.log_run(["python", "-c", "print(1)"]).stdout == "1\n"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_another_thread_may_be_the_one_that_waits(make: Callable[[str], Runner], kind: str, way: str) -> None:
    """The main thread stops what runs in a worker, where no signal and no exception could reach it."""
    runner, begun = make(kind), Begun()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(call, runner, way, ARGS, begun)
        assert begun.event.wait(DEADLINE)
        runner.stop()
        error = future.exception(DEADLINE)
    assert isinstance(error, CommandStoppedError)
    check_stopped(error, runner, begun)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [*KINDS, *DOUBLES])
def test_a_callback_stops_its_own_command(make: Callable[[str], Runner], kind: str, way: str) -> None:
    """Or the body of the loop over its lines; with a double too."""
    runner = make(kind)
    begun = Begun(runner.stop)
    with pytest.raises(CommandStoppedError) as caught:
        call(runner, way, ARGS, begun)
    check_stopped(caught.value, runner, begun)
    assert runner.log_run(["python", "-c", "print(1)"]).stdout == "1\n"


@pytest.mark.parametrize("way", ["async_log_run", "async_lines"])
@pytest.mark.parametrize("kind", [*KINDS, *DOUBLES])
def test_another_task_stops_a_command(make: Callable[[str], Runner], kind: str, way: str) -> None:
    """On the same loop; that task goes on at once. A double has no process whose grace could be waited for."""
    runner = make(kind)

    async def main() -> None:
        ready = asyncio.Event()
        begun = Begun(ready.set)
        task = asyncio.create_task(call_async(runner, way, ARGS, begun))
        await ready.wait()
        runner.stop()
        assert not task.done()
        with pytest.raises(CommandStoppedError) as caught:
            await task
        check_stopped(caught.value, runner, begun)

    start = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - start < GRACE


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_signal_handler_stops_the_command_that_its_thread_waits_for(
    make: Callable[[str], Runner], kind: str, way: str
) -> None:
    """It runs in the middle of the wait, and returns as any handler does."""
    runner = make(kind)
    begun = Begun(lambda: in_thread(lambda: os.kill(os.getpid(), signal.SIGUSR1)))
    previous = signal.signal(signal.SIGUSR1, lambda *_args: runner.stop())
    try:
        with pytest.raises(CommandStoppedError) as caught:
            call(runner, way, ARGS, begun)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    check_stopped(caught.value, runner, begun)


@pytest.mark.parametrize("kind", KINDS)
def test_every_command_of_the_runner_ends(make: Callable[[str], Runner], kind: str) -> None:
    """Those of all threads and of a loop; none of another runner."""
    runner, other = make(kind), FakeVenvRunner()
    sinks = [Begun() for _way in range(6)]
    foreign = Begun()
    with ThreadPoolExecutor(7) as pool:
        futures = [pool.submit(call, runner, way, ARGS, sink) for way, sink in zip([*WAYS, *WAYS[:2]], sinks, strict=True)]
        stranger = pool.submit(call, other, "log_run", ARGS, foreign)
        assert all(sink.event.wait(DEADLINE) for sink in [*sinks, foreign])
        runner.stop()
        assert all(isinstance(future.exception(DEADLINE), CommandStoppedError) for future in futures)
        assert alive(foreign.pid)
        assert not stranger.done()
        other.stop()
        assert isinstance(stranger.exception(DEADLINE), CommandStoppedError)
    assert not any(alive(sink.pid) for sink in [*sinks, foreign])


def test_a_command_that_a_callback_runs_is_one_of_its_runner() -> None:
    """Both end: the inner one first, whose exception the callback may even catch."""
    runner = FakeVenvRunner()
    inner, errors = Begun(runner.stop), list[BaseException]()

    def run_another(_line: str) -> None:
        try:
            runner.log_run(ARGS, None, inner)
        except CommandStoppedError as exc:
            errors.append(exc)

    with pytest.raises(CommandStoppedError) as caught:
        runner.log_run(ARGS, None, run_another)
    assert len(errors) == 1
    assert errors[0] is not caught.value
    assert not alive(inner.pid)


@pytest.mark.parametrize("way", WAYS)
def test_a_stopped_command_ends_politely(way: str) -> None:
    """By its `stop_signal` or SIGTERM, with its grace; what it says then is in the exception."""
    runner = FakeVenvRunner()
    script = "trap 'echo last words; exit 0' USR1; echo begun $$; while :; do sleep 0.01; done"
    with pytest.raises(CommandStoppedError) as caught:
        call(runner, way, ["sh", "-c", script], Begun(runner.stop), stop_signal=signal.SIGUSR1, grace=DEADLINE)
    assert re.fullmatch(r"begun \d+\nlast words\n", caught.value.stdout)


def test_a_second_stop_changes_nothing() -> None:
    """It is the one before the first has taken effect, or after; a grace is not shortened."""
    runner = FakeVenvRunner()

    def stop_twice() -> None:
        runner.stop()
        runner.stop()

    script = "trap 'runs=$((runs + 1)); sleep 0.3; echo last words; exit 0' TERM; echo begun $$; while :; do sleep 0.01; done"
    with pytest.raises(CommandStoppedError) as caught:
        runner.log_run(["sh", "-c", script], None, Begun(stop_twice), grace=DEADLINE)
    assert caught.value.stdout.endswith("last words\n")
    runner.stop()
    assert runner.log_run(["python", "-c", "print(1)"]).stdout == "1\n"


def test_a_stop_without_a_command_is_forgotten(make: Callable[[str], Runner]) -> None:
    """It counts for what runs now, not for what comes."""
    for kind in [*KINDS, *DOUBLES]:
        runner = make(kind)
        runner.stop()
        assert runner.log_run(["python", "-c", "print(1)"]).stdout == "1\n"


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_stops_its_own_commands_only(duplicate: Callable[[Runner], Runner]) -> None:
    """Also the copy of a runner that has run a command."""
    runner = FakeVenvRunner()
    runner.log_run(["true"])
    other = duplicate(runner)
    done = runner.log_run(["sh", "-c", "echo one; echo two"], None, lambda line: other.stop())
    assert done.stdout == "one\ntwo\n"


def test_the_exception_is_ours_and_travels() -> None:
    """It pickles with its output, its notes and its mask."""
    runner = FakeVenvRunner()
    with pytest.raises(CommandStoppedError) as caught:
        runner.log_run([*ARGS, "--token=hunter2"], None, Begun(runner.stop), secrets=["hunter2"])
    error = caught.value
    assert isinstance(error, VenvError)
    assert isinstance(error, RuntimeError)
    assert error.cmd[-1] == "--token=hunter2"
    copy = pickle.loads(pickle.dumps(error))
    for one in (error, copy):
        assert "hunter2" not in f"{one} {one!r} {one.__notes__}"
        assert "--token=****" in str(one)
    assert (vars(copy), str(copy)) == (vars(error), str(error))
    assert error.__notes__[0].startswith("The last lines of stdout:\nbegun ")


def test_the_log_has_the_end_of_a_stopped_command(caplog: pytest.LogCaptureFixture) -> None:
    """At debug, with the reason."""
    caplog.set_level("DEBUG", "venvrunner")
    runner = FakeVenvRunner()
    with pytest.raises(CommandStoppedError) as caught:
        runner.log_run(ARGS, None, Begun(runner.stop))
    assert re.fullmatch(rf"stopped after \d+\.\d\d s: {re.escape(str(caught.value))}", caplog.messages[-1])


@pytest.mark.parametrize("kind", ["plain", "async def"])
def test_a_callback_that_waits_does_not_hold_up_a_stop(drive: Caller, kind: str) -> None:
    """An awaitable is cancelled; a plain callback ends first, as nothing else can end it."""
    runner, begun, gate = FakeVenvRunner(), threading.Event(), threading.Event()
    ended: list[str] = []

    def wait(line: str) -> None:
        begun.set()
        assert gate.wait(DEADLINE)
        ended.append(line)

    async def wait_too(line: str) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(line)

    def stop() -> None:
        assert begun.wait(DEADLINE)
        runner.stop()
        gate.set()

    join = in_thread(stop)
    with pytest.raises(CommandStoppedError):
        Caller(runner, is_async=drive.is_async, python="python").run(ENDLESS, None, wait if kind == "plain" else wait_too)
    join()
    assert len(ended) == 1


def test_an_installation_is_stopped_too(tmp_path: Path) -> None:
    """It is a command of its runner; nothing of it runs on, and the next one works."""
    gate = tmp_path / "gate"
    project = make_slow_project(tmp_path / "slow", gate)
    with VenvRunner.temporary(with_pip=False, installer="uv") as venv:

        def stop() -> None:
            wait_until(lambda: builds(tmp_path), "the build begins")
            venv.stop()

        join = in_thread(stop)
        with pytest.raises(CommandStoppedError, match=r"was stopped: stop\(\) was called on its runner"):
            venv.install(str(project), no_index=True)
        join()
        assert not builds(tmp_path)
        gate.touch()
        assert venv.install(str(project), no_index=True).added == {"slow": "1.0"}


def builds(directory: Path) -> list[int]:
    """Return the processes that work for a project below a directory (Linux)."""
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and os.readlink(f"/proc/{name}/cwd").startswith(str(directory)):
                found.append(int(name))
    return found


def test_a_fork_of_the_process_stops_nothing_of_it(tmp_path: Path) -> None:
    """It has started none of the commands that it knows of."""
    source = f"""
import os, sys
from venvrunner import FakeVenvRunner
runner = FakeVenvRunner()

def take(line):
    pid = os.fork()
    if not pid:
        runner.stop()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    open({str(tmp_path / "gate")!r}, "w").close()

script = "echo begun; until test -e {tmp_path / "gate"}; do sleep 0.01; done; echo done"
print(runner.log_run(["sh", "-c", script], None, take).stdout)
"""
    env = {**os.environ, "PYTHONPATH": str(Path(str(venvrunner.__file__)).parents[1])}
    done = subprocess.run([sys.executable, "-c", source], env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "begun\ndone\n\n", done.stderr
