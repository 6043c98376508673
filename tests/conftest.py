"""What every test gets: proof that nothing is left, one real environment, and the six ways to run a command."""

import _thread
import asyncio
import contextlib
import ctypes
import importlib
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

pytest.register_assert_rewrite("helpers")

from helpers.callers import CALLERS, Caller, make_caller
from helpers.processes import alive, children, descriptors, reap
from helpers.programs import MEASURED
from helpers.system import LINUX
from helpers.waiting import wait_until
from venvrunner import VenvRunner

hypothesis.settings.register_profile("venvrunner", deadline=None)  # no test judges by the time that it takes
hypothesis.settings.load_profile("venvrunner")


@pytest.fixture
def few_interpreters(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the interpreters of this machine but one: an error lists them all, and to ask them takes seconds."""
    folder = tmp_path_factory.mktemp("few")
    (folder / "python3").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HOME", str(folder))


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if not thread.name.startswith("pytest")}


def _state() -> tuple[object, ...]:
    environ = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return environ, os.getcwd(), {number: signal.getsignal(number) for number in signal.valid_signals()}


@pytest.fixture(scope="session", autouse=True)
def _measure_few_children() -> None:
    """Let coverage measure only those children that ask for it with MEASURED: it costs each 0.1 s."""
    for name in [name for name in os.environ if name.startswith("COVERAGE_PROCESS")]:
        MEASURED[name] = os.environ.pop(name)


@pytest.fixture(scope="session", autouse=True)
def _adopt_orphans() -> None:
    """Make this process the parent of every orphan below it, so that none can hide (Linux)."""
    if LINUX:
        pr_set_child_subreaper = 36
        ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


@pytest.fixture(scope="session", autouse=True)
def _trace_helper_threads() -> Iterator[None]:
    """Let coverage measure threads without a thread object too: what no signal may interrupt runs in one."""
    trace, start = threading.gettrace(), _thread.start_new_thread
    if trace is None:
        yield
        return

    def begin(function: Callable[..., object], args: tuple[Any, ...]) -> None:
        sys.settrace(trace)
        function(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_thread, "start_new_thread", lambda function, args: start(begin, (function, args)))
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Begin with an empty cache, and leave the user's alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VENVRUNNER_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _take_signals() -> None:
    """Take Ctrl-C and a hang-up, which a shell's background job, or nohup, ignores together with all its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("SIGHUP", "SIGTERM"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)


@pytest.fixture(scope="session")
def uvloop_opened() -> None:
    """Let uvloop open the pipe that it keeps as long as the process lives, before descriptors are counted."""
    with contextlib.suppress(ImportError):
        importlib.import_module("uvloop").run(asyncio.sleep(0))


@pytest.fixture(scope="session")
def temporary_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory for temporary files of every test: ``mktemp`` for each would read the names of thousands each time."""
    return tmp_path_factory.mktemp("tmp")


@pytest.fixture(autouse=True)
def nothing_left(temporary_directory: Path, venv: VenvRunner) -> Iterator[None]:
    """No process, descriptor, thread, temporary file or change of this process is left by any test.

    A test that leaves a daemon on purpose ends it itself. The session's environment is there before, with its descriptor.
    """
    folder = temporary_directory
    # A monkeypatch of its own: the test's is undone before the checks below.
    patch = pytest.MonkeyPatch()
    patch.setenv("TMPDIR", str(folder))
    patch.setattr(tempfile, "tempdir", str(folder))
    state = _state()
    threads = _threads()
    if LINUX:
        before, processes = descriptors(), children()
    yield
    now = _state()
    patch.undo()
    assert now == state, "the environment, the working directory or a signal handler was changed"
    wait_until(lambda: _threads() <= threads, "a thread is left")
    files = list(folder.iterdir())
    if files:  # by this test, not by the next one
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(exist_ok=True)
    assert not files, f"temporary files are left: {files}"
    if LINUX:
        left = {pid: line for pid, line in children().items() if pid not in processes}
        if left:
            with contextlib.suppress(AssertionError):
                wait_until(lambda: not any(alive(pid) for pid in left), "", 0.2)
            left = {pid: line for pid, line in left.items() if alive(pid)}
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert not left, f"processes are left: {left}"
        reap()
        after = descriptors()
        assert after.keys() <= before.keys(), f"descriptors are left: { {k: v for k, v in after.items() if k not in before} }"


@pytest.fixture(scope="session")
def venv(tmp_path_factory: pytest.TempPathFactory) -> VenvRunner:
    """One real environment for the whole session; tests do not install into it."""
    return VenvRunner("venv", tmp_path_factory.mktemp("session"))


@pytest.fixture(params=CALLERS)
def call(request: pytest.FixtureRequest) -> Caller:
    """Each of {log_run, async_log_run} x {module function, VenvRunner, FakeVenvRunner} in turn."""
    return make_caller(request.param, request)


@pytest.fixture(params=["sync-module", "async-module"])
def drive(request: pytest.FixtureRequest) -> Caller:
    """Each driver in turn, for what the runners add nothing to."""
    return make_caller(request.param, request)
