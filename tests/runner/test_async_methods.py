"""The asynchronous methods that create, fork, change and delete: other tasks run beside them, and a cancel leaves nothing."""

import asyncio
import concurrent.futures
import contextvars
import gc
import inspect
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

import venvrunner
from helpers.environments import OFFLINE, install
from helpers.stores import PREPARING, use_store
from helpers.waiting import DEADLINE, wait_until
from helpers.wheels import make_wheel
from venvrunner import (
    InterpreterNotFoundError,
    LockFileError,
    NoSuchPackageError,
    VenvExistsError,
    VenvInUseError,
    VenvRunner,
    VenvSpec,
    _async_runner,
)
from venvrunner._process import worker

pytestmark = pytest.mark.usefixtures("uvloop_opened")

BACKEND = f"""
import os, signal
def get_requires_for_build_wheel(config_settings=None):
    signal.alarm({DEADLINE * 2:.0f})  # a test that fails does not hang
    with open(os.environ["BEGUN"], "w") as file:
        file.write("begun")
    with open(os.environ["GATE"]) as file:
        file.read()
    raise SystemExit("the gate was opened")
"""
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "slow"
version = "1.0"
"""


def names(folder: Path) -> list[str]:
    """Return the names in a directory, sorted."""
    return sorted(os.listdir(folder))


class Gate:
    """A pair of pipes: a process says that it has begun, and waits until it may go on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.begun = folder / "begun"
        self.gate = folder / "gate"
        for path in (self.begun, self.gate):
            os.mkfifo(path)

    async def wait(self) -> None:
        """Wait in another task until the process has begun."""
        await asyncio.wait_for(asyncio.to_thread(self.begun.read_text), DEADLINE)

    async def open(self) -> None:
        """Let the process go on."""
        await asyncio.wait_for(asyncio.to_thread(self.gate.write_text, "go"), DEADLINE)


@pytest.fixture
def gate(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """The pipes of a test."""
    gate = Gate(tmp_path_factory.mktemp("gate"))
    monkeypatch.setenv("BEGUN", str(gate.begun))
    monkeypatch.setenv("GATE", str(gate.gate))
    return gate


@pytest.fixture
def slow_project(gate: Gate) -> Path:
    """A project that cannot be installed before the gate is open."""
    project = gate.folder / "slow"
    project.mkdir()
    (project / "backend.py").write_text(BACKEND)
    (project / "pyproject.toml").write_text(PROJECT)
    return project


@pytest.fixture
def slow_interpreter(gate: Gate) -> Path:
    """An interpreter that does not say its version before the gate is open."""
    path = gate.folder / "python"
    done = gate.folder / "done"
    path.write_text(
        f"#!/bin/sh\n[ -e {done} ] || {{ echo begun > {gate.begun}; read line < {gate.gate}; touch {done}; }}\n"
        f'exec {sys.executable} "$@"\n'
    )
    path.chmod(0o755)
    return path


def _uvloop(main: Coroutine[Any, Any, Any]) -> Any:
    uvloop = pytest.importorskip("uvloop")
    try:
        return uvloop.run(main)
    finally:
        gc.collect()


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Run a coroutine on each loop in turn."""
    return {"asyncio": asyncio.run, "uvloop": _uvloop}[request.param]


async def each_life(top: Path) -> list[str]:
    """Create, fork, change and delete with the asynchronous methods."""
    names: list[str] = []
    async with VenvRunner.async_temporary() as parent:
        fork = await parent.async_fork("fork", top)
        names.append((await fork.async_log_run(["python", "-c", "print('runs')"])).stdout.strip())
        await fork.async_delete()
        names += (await parent.async_uninstall("pip")).removed
    spec = VenvSpec(with_pip=False)
    async with spec.async_temporary() as bare:
        assert bare.installed() == {}
    named = await spec.async_create("named", top)
    again = await spec.async_create("named", top)
    assert (again.name, again.top_dir) == ("named", top)
    await again.async_delete()
    del named
    without_block = await VenvRunner.async_temporary(with_pip=False)
    await without_block.async_delete()
    paths = [parent.venv_dir, bare.venv_dir, without_block.venv_dir, fork.venv_dir, again.venv_dir]
    assert not [path for path in paths if os.path.exists(path)]  # noqa: ASYNC240  nothing else runs
    return names


def test_each_method_does_what_its_twin_does(run: Callable[[Coroutine[Any, Any, Any]], Any], tmp_path: Path) -> None:
    """On asyncio and uvloop."""
    assert run(each_life(tmp_path)) == ["runs", "pip"]
    assert not names(tmp_path)


def test_trio_runs_them_too(tmp_path: Path) -> None:
    """As it runs commands."""
    trio = pytest.importorskip("trio")
    assert trio.run(each_life, tmp_path) == ["runs", "pip"]


@pytest.mark.parametrize(
    ("method", "twin"),
    [
        (VenvRunner.async_fork, VenvRunner.fork),
        (VenvRunner.async_uninstall, VenvRunner.uninstall),
        (VenvRunner.async_delete, VenvRunner.delete),
        (VenvRunner.async_lock, VenvRunner.lock),
        (VenvRunner.async_temporary, VenvRunner.temporary),
        (VenvSpec.async_create, VenvSpec.create),
        (VenvSpec.async_temporary, VenvSpec.temporary),
    ],
)
def test_twins_take_the_same_arguments(method: Callable[..., Any], twin: Callable[..., Any]) -> None:
    """In the same order, with the same defaults."""
    mine, other = inspect.signature(method), inspect.signature(twin)
    assert mine.parameters == other.parameters


def test_a_creation_takes_the_arguments_of_the_constructor() -> None:
    """By the same names."""
    known = set(inspect.signature(VenvRunner).parameters) - {"name", "top_dir"}
    assert venvrunner.venv.CreateOptions.__annotations__.keys() == known


# Other tasks run.


@pytest.mark.asyncio
async def test_another_task_runs_while_an_interpreter_is_asked(slow_interpreter: Path, gate: Gate, tmp_path: Path) -> None:
    """The interpreter answers only after that task has let it."""
    creation = asyncio.create_task(VenvRunner.async_create("venv", tmp_path, python=slow_interpreter, with_pip=False))
    await gate.wait()
    assert not creation.done()
    await gate.open()
    async with await asyncio.wait_for(creation, DEADLINE) as venv:
        assert (await venv.async_log_run(["python", "-c", "print(1)"])).stdout == "1\n"


@pytest.mark.asyncio
async def test_another_task_runs_while_the_installer_runs(slow_project: Path, gate: Gate) -> None:
    """The installer fails only after that task has let it; the error and its note are those of the constructor."""
    creation = asyncio.ensure_future(VenvRunner.async_temporary(requirements=[slow_project]).__aenter__())
    await gate.wait()
    assert not creation.done()
    await gate.open()
    with pytest.raises(subprocess.CalledProcessError) as caught:
        await asyncio.wait_for(creation, DEADLINE)
    assert "the gate was opened" in "".join(caught.value.__notes__)


@pytest.mark.asyncio
async def test_callbacks_are_called_on_the_loop(tmp_path: Path) -> None:
    """Plain ones and coroutine functions, in the task's own context."""
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("of the task")
    seen: list[tuple[str, threading.Thread]] = []

    async def take(line: str) -> None:
        await asyncio.sleep(0)
        seen.append((variable.get(), threading.current_thread()))

    async with VenvRunner.async_temporary() as venv:
        await venv.async_install(make_wheel(tmp_path, "pocket"), stdout_loglevel=take, extra_env=OFFLINE)
        await venv.async_uninstall("pocket", stdout_loglevel=take)
    assert set(seen) == {("of the task", threading.current_thread())}


@pytest.mark.asyncio
async def test_the_context_of_the_task_is_that_of_the_creation(tmp_path: Path) -> None:
    """What a subclass reads there is what the task has set."""
    variable = contextvars.ContextVar("variable", default="unset")
    seen: list[str] = []

    class Mine(VenvRunner):
        def environment(self, env: Any = None) -> dict[str, str]:
            seen.append(variable.get())
            return super().environment(env)

    variable.set("of the task")
    async with Mine.async_temporary(requirements=[make_wheel(tmp_path, "pocket")]) as venv:
        assert type(venv) is Mine
        assert "pocket" in venv.installed()
    assert set(seen) == {"of the task"}


@pytest.mark.asyncio
async def test_errors_keep_their_types_and_their_notes(tmp_path: Path) -> None:
    """As without a loop."""
    with pytest.raises(InterpreterNotFoundError, match="not a path, a version or a range"):
        await VenvRunner.async_create("venv", tmp_path, python="3.x")
    with pytest.raises(ValueError, match="exist must be one of"):
        await VenvRunner.async_create("venv", tmp_path, exist="maybe")  # type: ignore[arg-type]  # it is tested
    with pytest.raises(TypeError, match="promt= is unknown"):
        async with VenvRunner.async_temporary(promt="x"):  # type: ignore[call-arg]  # it is tested
            pass
    with pytest.raises(NoSuchPackageError) as caught:
        async with VenvRunner.async_temporary() as venv:
            await venv.async_install("no-such-package", no_index=True)
    assert caught.value.__notes__
    assert not names(tmp_path)


@pytest.mark.asyncio
async def test_the_store_serves_asynchronous_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is prepared by the first, and all have its packages."""
    use_store(tmp_path, monkeypatch)
    caplog.set_level(logging.INFO)
    for _number in range(2):
        async with VenvRunner.async_temporary(requirements=["pocket"], cached=True) as venv:
            assert "pocket" in venv.installed()
    async with await VenvRunner.async_create("venv", tmp_path, requirements=["pocket"], cached=True) as venv:
        assert "pocket" in venv.installed()
    assert caplog.text.count(PREPARING) == 1


# Many at once.


@pytest.mark.asyncio
async def test_many_creations_of_one_name_need_no_executor(tmp_path: Path) -> None:
    """Each waits in a thread of its own: one thread of the loop's executor is enough, and is free."""
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        asyncio.get_running_loop().set_default_executor(executor)
        creations = [VenvRunner.async_create("venv", tmp_path, with_pip=False, exist="reuse") for _number in range(20)]
        venvs = await asyncio.wait_for(asyncio.gather(*creations), DEADLINE)
        assert await asyncio.to_thread(lambda: "free") == "free"
    assert {venv.venv_dir for venv in venvs} == {str(tmp_path / "venv")}


@pytest.mark.asyncio
async def test_a_task_can_recreate_its_environment_and_another_cannot(tmp_path: Path) -> None:
    """As two threads."""
    first = await VenvRunner.async_create("venv", tmp_path, with_pip=False)
    second = await VenvRunner.async_create("venv", tmp_path, with_pip=False)
    assert first.venv_dir == second.venv_dir
    with pytest.raises(VenvInUseError, match=f"in use by process {os.getpid()} "):
        await asyncio.create_task(VenvRunner.async_create("venv", tmp_path, with_pip=False, wait=0))
    # A call without a task counts as one of the thread, as it always has.
    VenvRunner("venv", tmp_path, with_pip=False, wait=0)
    with pytest.raises(VenvExistsError):
        await VenvRunner.async_create("venv", tmp_path, with_pip=False, exist="error")


@pytest.mark.asyncio
async def test_the_runner_of_a_task_that_has_ended_counts(tmp_path: Path) -> None:
    """Whoever has its result may use it."""
    venv = await asyncio.create_task(VenvRunner.async_create("venv", tmp_path, with_pip=False))
    with pytest.raises(VenvInUseError):
        await VenvRunner.async_create("venv", tmp_path, with_pip=False, wait=0)
    async with venv:
        pass
    await VenvRunner.async_create("venv", tmp_path, with_pip=False, wait=0)


# Cancellations.


async def _cancelled(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _twice(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _failing_sibling(task: "asyncio.Task[Any]") -> None:
    async def join() -> None:
        await task

    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(join())
            group.create_task(fail())

    with pytest.raises(ExceptionGroup):
        await both()


async def _timeout(task: "asyncio.Task[Any]") -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await task


ENDS = {"cancel": _cancelled, "two cancels": _twice, "a task group": _failing_sibling, "a timeout": _timeout}
"""The ways in which a task ends while the installer runs."""


@pytest.mark.parametrize("way", ENDS)
def test_a_cancel_ends_the_installer_and_leaves_nothing(
    way: str, slow_project: Path, gate: Gate, tmp_path: Path, run: Callable[[Coroutine[Any, Any, Any]], Any]
) -> None:
    """Neither a process nor a file, by the time that the call ends."""
    top = tmp_path / "a" / "b"

    async def main() -> None:
        task = asyncio.create_task(VenvRunner.async_create("venv", top, requirements=[slow_project]))
        await gate.wait()
        await asyncio.wait_for(ENDS[way](task), DEADLINE)
        assert task.done()

    run(main())
    assert not names(tmp_path)


@pytest.mark.asyncio
async def test_a_cancel_waits_for_an_interpreter_that_is_asked(slow_interpreter: Path, gate: Gate, tmp_path: Path) -> None:
    """Nothing is created when it answers."""
    task = asyncio.create_task(VenvRunner.async_create("venv", tmp_path, python=slow_interpreter, with_pip=False))
    await gate.wait()
    for _cancel in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    await gate.open()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, DEADLINE)
    assert not names(tmp_path)


@pytest.mark.asyncio
async def test_a_cancel_ends_the_wait_for_an_environment(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And the environment stays as it was."""
    first = await VenvRunner.async_create("venv", tmp_path, with_pip=False)
    task = asyncio.create_task(VenvRunner.async_create("venv", tmp_path, with_pip=False, wait=1000))
    await asyncio.to_thread(wait_until, lambda: "waiting for" in caplog.text, "the second waits")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, DEADLINE)
    assert (await first.async_log_run(["python", "-c", "print(1)"])).stdout == "1\n"


@pytest.mark.asyncio
async def test_a_lock_file_is_fetched_by_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the loop can serve it, and a cancel does not wait for a server that does not answer."""
    monkeypatch.setenv("NO_PROXY", "*")
    asked, done = asyncio.Event(), asyncio.Event()
    text = 'lock-version = "1.0"\ncreated-by = "hand"\npackages = []\n'

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readline()).decode()
        if "slow" in line:
            asked.set()
            await reader.read()  # until the client has gone
            done.set()
        status = "200 OK" if "pylock" in line else "404 Not Found"
        writer.write(f"HTTP/1.0 {status}\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with await VenvRunner.async_create("venv", tmp_path, lock=f"{url}/pylock.toml") as venv:
            await venv.async_delete()
        with pytest.raises(LockFileError, match="404"):
            await VenvRunner.async_create("venv", tmp_path, lock=f"{url}/none.toml")
        task = asyncio.create_task(VenvRunner.async_create("venv", tmp_path, lock=f"{url}/slow.toml"))
        await asyncio.wait_for(asked.wait(), DEADLINE)
        await asyncio.wait_for(_cancelled(task), DEADLINE)
        await asyncio.wait_for(done.wait(), DEADLINE)
    assert not names(tmp_path)


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 20])
@pytest.mark.parametrize("with_pip", [True, False])
def test_a_cancel_at_any_turn_of_the_loop_leaves_nothing(turns: int, tmp_path: Path, *, with_pip: bool) -> None:
    """Whether it comes before, while or after the environment is created."""

    async def main() -> None:
        task = asyncio.create_task(VenvRunner.async_create("venv", tmp_path, with_pip=with_pip))
        for _turn in range(turns):
            await asyncio.sleep(0)
        if task.cancel():
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, DEADLINE)
        else:  # it was complete
            await task.result().async_delete()
        assert not names(tmp_path)

    asyncio.run(main())


class Late(VenvRunner):
    """A runner whose creation is cancelled when it is complete, before the task gets it."""

    _cancel: Callable[[], object]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.cancelled()

    def fork(self, *args: Any, **options: Any) -> Any:
        fork = super().fork(*args, **options)
        self.cancelled()
        return fork

    @classmethod
    def cancelled(cls) -> None:
        cls._cancel()


@pytest.fixture
def late() -> Callable[[Awaitable[Any]], Coroutine[Any, Any, None]]:
    """A function that awaits a call which `Late` cancels at its end."""

    async def expect(call: Awaitable[Any]) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(call)
        happened = threading.Event()

        def cancel() -> None:
            task.cancel()
            loop.call_soon(happened.set)

        def end() -> None:
            loop.call_soon_threadsafe(cancel)
            assert happened.wait(DEADLINE)

        Late._cancel = staticmethod(end)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, DEADLINE)
        Late._cancel = staticmethod(lambda: None)

    Late._cancel = staticmethod(lambda: None)
    return expect


@pytest.mark.asyncio
async def test_a_complete_environment_is_removed_if_nobody_gets_it(late: Callable[..., Any], tmp_path: Path) -> None:
    """Unless it was there before."""
    await late(Late.async_create("venv", tmp_path, with_pip=False))
    assert not names(tmp_path)
    await late(Late.async_temporary(with_pip=False).__aenter__())
    parent = await Late.async_create("venv", tmp_path, with_pip=False)
    await late(parent.async_fork("fork", tmp_path))
    assert names(tmp_path) == ["venv"]
    await late(Late.async_create("venv", tmp_path, with_pip=False, exist="reuse"))
    assert (await parent.async_log_run(["python", "-c", "print(1)"])).stdout == "1\n"


@pytest.mark.asyncio
async def test_what_another_thread_uses_by_then_stays(late: Callable[..., Any], tmp_path: Path) -> None:
    """The cancellation propagates all the same."""
    others: list[VenvRunner] = []

    def use() -> None:
        others.append(VenvRunner.open(tmp_path / "venv"))

    class ByAnother(Late):
        @classmethod
        def cancelled(cls) -> None:
            thread = threading.Thread(target=use)
            thread.start()
            thread.join()
            super().cancelled()

    await late(ByAnother.async_create("venv", tmp_path, with_pip=False, wait=0))
    assert others[0].log_run(["python", "-c", "print(1)"]).stdout == "1\n"


@pytest.mark.asyncio
async def test_a_cancel_in_the_exit_still_deletes() -> None:
    """The cancel propagates when the environment is gone."""
    for turns in range(6):
        entered = asyncio.Event()
        paths: list[str] = []

        async def use(entered: asyncio.Event = entered, paths: list[str] = paths) -> None:
            async with VenvRunner.async_temporary(with_pip=False) as venv:
                paths.append(venv.venv_dir)
                entered.set()

        task = asyncio.create_task(use())
        await entered.wait()
        for _turn in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert [os.path.exists(path) for path in paths] == [False]  # noqa: ASYNC240  nothing else runs


def test_a_loop_that_ends_ends_the_creation(slow_project: Path, gate: Gate, tmp_path: Path) -> None:
    """Nobody can await any more: the creation is undone when the coroutine is dropped."""
    loop = asyncio.new_event_loop()
    task: Any = loop.create_task(VenvRunner.async_create("venv", tmp_path, requirements=[slow_project]))
    loop.run_until_complete(gate.wait())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    task._log_destroy_pending = False
    del task
    gc.collect()
    assert not names(tmp_path)


def test_a_loop_whose_thread_has_ended_ends_the_creation(
    slow_project: Path, gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It will never run the installer that the creation asks for."""
    monkeypatch.setattr(worker, "_LOOK", 0.01)
    kept: list[Any] = []

    def begin() -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(VenvRunner.async_create("venv", tmp_path, requirements=[slow_project]))
        loop.run_until_complete(gate.wait())
        loop.run_until_complete(loop.shutdown_default_executor())
        kept.extend([loop, task])

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    wait_until(lambda: not names(tmp_path), "the creation is undone")
    loop, task = kept
    task._log_destroy_pending = False
    loop.close()
    del task
    kept.clear()
    gc.collect()


CTRL_C = """
import asyncio, faulthandler, sys
from venvrunner import VenvRunner
faulthandler.dump_traceback_later(60, exit=True)
async def main():
    async with VenvRunner.async_temporary(requirements=[sys.argv[1]]):
        pass
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_the_installer_and_leaves_nothing(times: int, slow_project: Path, gate: Gate, tmp_path: Path) -> None:
    """As `asyncio.run` handles it: the first cancels the task, the second is raised at once."""
    env = {**os.environ, "PYTHONPATH": str(Path(venvrunner.__file__).parents[1]), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-W", "error", "-c", CTRL_C, str(slow_project)]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        gate.begun.read_text()
        for _time in range(times):
            process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=DEADLINE * 2)[0] == "interrupted\n"
    assert not names(tmp_path)


@pytest.mark.asyncio
async def test_an_exception_of_a_callback_ends_the_installer(tmp_path: Path) -> None:
    """The same object propagates, also one that is no `Exception`."""
    wheel = make_wheel(tmp_path, "pocket")
    for error in (LookupError("mine"), SystemExit(3)):

        def fail(line: str, error: BaseException = error) -> None:
            raise error

        async with VenvRunner.async_temporary() as venv:
            with pytest.raises(type(error)) as caught:
                await venv.async_install(wheel, stdout_loglevel=fail, extra_env=OFFLINE)
        assert caught.value is error


# Without a thread.


@pytest.mark.asyncio
async def test_without_a_thread_nothing_is_created_and_all_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says why."""
    venv = await VenvRunner.async_temporary(with_pip=False)

    class Full(threading.Thread):
        def start(self) -> None:
            if self.name == "venvrunner-worker":
                msg = "can't start new thread"
                raise RuntimeError(msg)
            super().start()

    monkeypatch.setattr(threading, "Thread", Full)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        await VenvRunner.async_create("venv", tmp_path)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        async with venv:
            pass
    assert not os.path.exists(venv.venv_dir)  # noqa: ASYNC240  nothing else runs
    assert not names(tmp_path)


def test_without_a_loop_there_is_one_clear_error(tmp_path: Path) -> None:
    """It names the loops that work."""
    call = VenvRunner.async_create("venv", tmp_path)
    with pytest.raises(RuntimeError, match="asyncio, uvloop or trio"):
        call.send(None)
    assert not names(tmp_path)


# The advice.


@pytest.fixture
def advised(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """The warnings of the logger so far, in a process that has had none before."""
    monkeypatch.setattr(_async_runner, "_advised", [])
    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    handler.setLevel(logging.WARNING)
    logging.getLogger("venvrunner").addHandler(handler)
    yield lambda: records
    logging.getLogger("venvrunner").removeHandler(handler)


@pytest.mark.filterwarnings("error")
def test_a_creation_that_blocks_a_loop_says_so_once(advised: Callable[[], list[str]], tmp_path: Path) -> None:
    """With the call to use instead; in a thread, or without a loop, nothing blocks one."""

    async def main() -> None:
        await asyncio.to_thread(VenvRunner, "venv", tmp_path, with_pip=False)
        assert not advised()
        with VenvRunner.temporary(with_pip=False):
            pass
        VenvRunner("other", tmp_path, with_pip=False)

    with VenvRunner.temporary(with_pip=False):
        pass
    asyncio.run(main())
    assert advised() == ["VenvRunner.temporary() blocks the running event loop. Use VenvRunner.async_temporary() instead."]


def test_the_constructor_says_so_too(advised: Callable[[], list[str]], tmp_path: Path) -> None:
    """On trio as well."""
    trio = pytest.importorskip("trio")

    async def main() -> None:
        await trio.lowlevel.checkpoint()
        VenvRunner("venv", tmp_path, with_pip=False)

    trio.run(main)
    assert advised() == ["VenvRunner() blocks the running event loop. Use VenvRunner.async_create() instead."]


def test_a_fork_has_what_its_parent_has(tmp_path: Path) -> None:
    """Created, and changed, by one task."""

    async def main() -> list[str]:
        async with VenvRunner.async_temporary() as parent:
            await asyncio.to_thread(install, parent, make_wheel(tmp_path, "pocket"))
            async with await parent.async_fork("fork", tmp_path, standalone=True) as fork:
                with pytest.raises(VenvExistsError, match="already exists"):
                    await parent.async_fork("fork", tmp_path, exist="error")
                return list((await fork.async_uninstall("pocket")).removed)

    assert asyncio.run(main()) == ["pocket"]
