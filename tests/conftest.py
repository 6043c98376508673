"""What every test gets: proof that nothing is left, one real environment, and the six ways to run a command."""

import asyncio
import contextlib
import ctypes
import importlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from venvrunner import FakeVenvRunner, VenvRunner, subprocess_util

DEADLINE = 20.0
"""Seconds to wait for what must happen; reached only by a failing test, also on a loaded machine."""

MEASURED: dict[str, str] = {}
"""Environment variables for children that run what no test runs in its own process."""

LINUX = sys.platform == "linux"
POPEN_LEAKS = sys.version_info < (3, 11, 4)
"""Whether a ``Popen`` that fails leaves descriptors open (gh-87474)."""

hypothesis.settings.register_profile("venvrunner", deadline=None)  # no test judges by the time that it takes
hypothesis.settings.load_profile("venvrunner")


@pytest.fixture
def few_interpreters(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the interpreters of this machine but one: an error lists them all, and to ask them takes seconds."""
    folder = tmp_path_factory.mktemp("few")
    (folder / "python3").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HOME", str(folder))


def wait_until(condition: Callable[[], object], what: str, seconds: float = DEADLINE) -> None:
    """Wait for an event that nobody sends, with a deadline."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain: {what}"
        pause.wait(0.005)


def children() -> dict[int, str]:
    """Return the living processes below this one, orphans included (Linux)."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if int(parent) == os.getpid() and state != "Z":
                found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
    return found


def reap() -> None:
    """Reap all dead children, those of others that were adopted above all: thousands of them make every look at /proc slow."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def alive(pid: int) -> bool:
    """Tell whether a process runs and is more than a zombie."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def end_all(processes: Iterable[subprocess.Popen[Any]]) -> None:
    """Kill what a failed test has left running, and close its pipes."""
    for process in processes:
        with contextlib.suppress(OSError):
            process.kill()
        process.communicate()


def descriptors() -> dict[str, str]:
    """Return the open descriptors and what they are."""
    found = {}
    for entry in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found[entry] = os.readlink(f"/proc/self/fd/{entry}")
    return found


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


@pytest.fixture(autouse=True)
def nothing_left(tmp_path_factory: pytest.TempPathFactory, venv: VenvRunner) -> Iterator[None]:
    """No process, descriptor, thread, temporary file or change of this process is left by any test.

    A test that leaves a daemon on purpose ends it itself. The session's environment is there before, with its descriptor.
    """
    folder = tmp_path_factory.mktemp("tmp")
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
    assert not list(folder.iterdir()), "a temporary file is left"
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


class Caller:
    """One of the six ways to run a command, to be called like `log_run`."""

    def __init__(self, target: Any, *, is_async: bool, python: str) -> None:
        self.target = target
        self.is_async = is_async
        self.python = python

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.is_async:
            return self.target.log_run(*args, **kwargs)

        async def main() -> Any:
            try:
                return await self.target.async_log_run(*args, **kwargs)
            finally:
                assert asyncio.all_tasks() == {asyncio.current_task()}, "a task is left"

        return asyncio.run(main())

    def code(self, source: str, *args: str) -> list[str]:
        """Return a command line that runs Python source."""
        return [self.python, "-c", source, *args]

    def run(self, source: str, *args: Any, **kwargs: Any) -> Any:
        """Run Python source."""
        return self(self.code(source), *args, **kwargs)


CALLERS = [f"{mode}-{target}" for target in ("module", "venv", "fake") for mode in ("sync", "async")]


def make_caller(name: str, request: pytest.FixtureRequest) -> Caller:
    """Return one of the CALLERS."""
    mode, _, kind = name.partition("-")
    target: Any = subprocess_util
    python = sys.executable
    if kind == "venv":
        target, python = request.getfixturevalue("venv"), "python"
    elif kind == "fake":
        target, python = FakeVenvRunner(), "python"
    return Caller(target, is_async=mode == "async", python=python)


@pytest.fixture(params=CALLERS)
def call(request: pytest.FixtureRequest) -> Caller:
    """Each of {log_run, async_log_run} x {module function, VenvRunner, FakeVenvRunner} in turn."""
    return make_caller(request.param, request)


@pytest.fixture(params=["sync-module", "async-module"])
def drive(request: pytest.FixtureRequest) -> Caller:
    """Each driver in turn, for what the runners add nothing to."""
    return make_caller(request.param, request)
