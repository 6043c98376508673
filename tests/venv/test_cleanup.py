"""What holds something of the system's lets go of it once, in the process that made it, whatever signals come."""

import copy
import dataclasses
import multiprocessing
import os
import pickle
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import venvrunner
from helpers.waiting import DEADLINE, wait_until
from venvrunner import VenvError, VenvRunner
from venvrunner._venv import removal
from venvrunner._venv.cleanup import Cleanup
from venvrunner._venv.open_directory import open_by_descriptor

HEAD = """
import faulthandler, gc, os, random, signal, sys, tempfile, time
from venvrunner import VenvRunner

faulthandler.dump_traceback_later(100 + ROUNDS / 4, exit=True)  # a program that hangs says where
top = tempfile.gettempdir()

class Alarm(Exception):
    pass

rung = 0

def ring(signum, frame):
    global rung
    rung += 1
    if not is_over:  # a signal that is delivered again comes late, anywhere
        raise Alarm

def files():
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            found[number] = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            pass
    return {number: what for number, what in found.items() if not what.endswith("/fd")}

def in_block():
    with VenvRunner.temporary(with_pip=False):
        pass

def dropped():
    VenvRunner.temporary(with_pip=False)

def deleted():
    VenvRunner.temporary(with_pip=False).delete()

def settle(number):
    # A signal may be delivered again late, and a cleanup that failed is tried again by the next.
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            gc.collect()
            if not os.listdir(top) and files() == before:
                return
            time.sleep(0.001)
            if time.monotonic() > end - 19:
                VenvRunner.temporary(with_pip=False).delete()
        except (Alarm, KeyboardInterrupt):
            pass
    raise AssertionError((number, os.listdir(top), before, files()))

WAY = {"in a block": in_block, "dropped": dropped, "deleted": deleted}[sys.argv[1]]
WAY()
before = files()
"""

STORM = """
signal.signal(signal.SIGALRM, ring)
for number in range(ROUNDS):
    is_over = False
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 0.02), 0.0003)
            WAY()
        finally:
            is_over = True
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Alarm:
        is_over = True
    signal.setitimer(signal.ITIMER_REAL, 0)
    settle(number)
# Counted by the handler: Python drops an exception that it raises in a finalizer.
print("many" if rung > ROUNDS / 10 else rung)
"""

CTRL_C = """
signal.signal(signal.SIGALRM, signal.default_int_handler)
missed = 0
for number in range(ROUNDS):
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 0.012))
        WAY()
        end = time.monotonic() + 0.5  # the signal may be delivered again a moment later
        while time.monotonic() < end:
            time.sleep(0.0005)
        missed += 1
    except KeyboardInterrupt:
        pass
    signal.setitimer(signal.ITIMER_REAL, 0)
    settle(number)
print("all" if not missed else missed)
"""


def run(source: str, *args: str, rounds: int = 0, tmp: Path) -> tuple[int, str, str]:
    """Run a program with a temporary directory of its own."""
    tmp.mkdir(exist_ok=True)
    env = {**os.environ, "PYTHONPATH": str(Path(venvrunner.__file__).parents[1]), "TMPDIR": str(tmp)}
    command = [sys.executable, "-c", source.replace("ROUNDS", str(rounds)), *args]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=10 * DEADLINE + rounds)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("way", ["in a block", "dropped", "deleted"])
@pytest.mark.parametrize("rounds", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_storm_of_signals_leaves_no_directory(way: str, rounds: int, tmp_path: Path) -> None:
    """A handler that raises every 0.3 ms, while an environment is created, used and deleted."""
    returncode, stdout, stderr = run(HEAD + STORM, way, rounds=rounds, tmp=tmp_path / "tmp")
    assert (returncode, stdout) == (0, "many\n"), stderr


@pytest.mark.parametrize("way", ["in a block", "dropped", "deleted"])
@pytest.mark.parametrize("rounds", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_one_ctrl_c_leaves_no_directory_and_is_not_lost(way: str, rounds: int, tmp_path: Path) -> None:
    """At a random moment: the program gets its KeyboardInterrupt, also out of the finalizer of a dropped object."""
    returncode, stdout, stderr = run(HEAD + CTRL_C, way, rounds=rounds, tmp=tmp_path / "tmp")
    assert (returncode, stdout) == (0, "all\n"), stderr


# Forks of this process.


def _drop(venv: list[VenvRunner]) -> None:
    venv.clear()


def _leave(venv: list[VenvRunner]) -> None:
    venv[0].__exit__(None, None, None)


def _nothing(venv: list[VenvRunner]) -> None:
    """The end of the process drops it."""


@pytest.mark.parametrize("action", [_drop, _leave, _nothing], ids=["drop", "leave", "exit"])
def test_a_fork_deletes_nothing_of_its_parents(action: Callable[[list[VenvRunner]], None]) -> None:
    """A multiprocessing worker is the commonest form: it drops what it inherits, or just ends."""
    venv = VenvRunner.temporary(with_pip=False)
    worker = multiprocessing.get_context("fork").Process(target=action, args=([venv],))
    worker.start()
    worker.join(DEADLINE)
    assert worker.exitcode == 0
    assert venv.log_run(["python", "-c", "print('there')"]).stdout == "there\n"
    path = venv.venv_dir
    venv.delete()
    assert not os.path.exists(path)


# Copies.


@dataclasses.dataclass
class Job:
    """What a caller keeps a runner in."""

    venv: VenvRunner


COPIES: dict[str, Callable[[VenvRunner], VenvRunner]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda venv: pickle.loads(pickle.dumps(venv)),
    "asdict": lambda venv: dataclasses.asdict(Job(venv))["venv"],
}


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_opens_the_same_environment_and_owns_nothing(way: str) -> None:
    """It works; to drop it deletes nothing and lets go of nothing that is the original's."""
    with VenvRunner.temporary(with_pip=False) as venv:
        copied = COPIES[way](venv)
        assert (copied.venv_dir, copied.installer) == (venv.venv_dir, venv.installer)
        assert copied.log_run(["python", "-c", "print(1)"]).stdout == "1\n"
        del copied
        assert venv.log_run(["python", "-c", "print(1)"]).stdout == "1\n"
    assert not os.path.exists(venv.venv_dir)


def test_what_holds_a_resource_refuses_to_be_copied() -> None:
    """With the way to do it: send the path, or a specification."""
    with VenvRunner.temporary(with_pip=False) as venv:
        handle: Any = venv._lease
        for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match=r"VenvRunner\.open\(venv_dir\), or send a VenvSpec"):
                duplicate(handle)


# Few descriptors.


@pytest.mark.parametrize("free", range(11))
def test_few_descriptors_leave_nothing_for_good(free: int, tmp_path: Path) -> None:
    """Either it works or there is one clear error; what could not be deleted then is deleted as soon as it can be."""
    VenvRunner.temporary(with_pip=False).delete()  # all is loaded
    used = max(map(int, os.listdir("/proc/self/fd")))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    fill: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1 + free, limits[1]))
        try:
            while len(fill) < used:
                fill.append(os.dup(0))  # what is closed below the highest one is no free one
        except OSError:
            for descriptor in fill[len(fill) - free :] if free else []:
                os.close(descriptor)
                fill.remove(descriptor)
        try:
            with VenvRunner.temporary(with_pip=False) as venv:
                pass
        except (VenvError, OSError):
            venv = None
    finally:
        for descriptor in fill:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    VenvRunner.temporary(with_pip=False).delete()  # and the cleanup that failed is tried again
    assert venv is None or not os.path.exists(venv.venv_dir)


# What has been made unreadable or read-only.

SPOILED = """
import ctypes, os, struct, tempfile
from venvrunner import CreationError, VenvRunner

top = tempfile.gettempdir()
venv = VenvRunner.temporary(with_pip=False)
path = venv.venv_dir
# Without capabilities, modes apply to root as well: the number of the third version, this thread, and three empty sets.
assert ctypes.CDLL(None).capset(struct.pack("Ii", 0x20080522, 0), bytes(24)) == 0
"""

SPOILS = {
    "the environment": "os.chmod(path, 0)",
    "its state": "os.chmod(f'{path}/.venvrunner', 0)",
    "its lock": "os.chmod(f'{path}/.venvrunner/lock', 0)",
    "all, read-only": "[os.chmod(folder, 0o555) for folder, _, _ in os.walk(os.path.dirname(path), topdown=False)]",
}


@pytest.mark.parametrize("spoiled", SPOILS)
def test_a_temporary_environment_is_removed_whatever_its_modes(spoiled: str, tmp_path: Path) -> None:
    """A command may have changed them; they belong to this user, so they can be changed back."""
    source = f"{SPOILED}with venv:\n    {SPOILS[spoiled]}\nassert os.listdir(top) == []"
    returncode, _stdout, stderr = run(source, tmp=tmp_path / "tmp")
    assert (returncode, stderr) == (0, "")


def test_a_directory_that_cannot_be_removed_yet_hides_no_other_error(tmp_path: Path) -> None:
    """What is raised in a block propagates; delete() raises an error of ours; the directory is removed when it can be."""
    source = """
os.chmod(top, 0o555)
try:
    with venv:
        raise KeyError("first")
except KeyError:
    pass
try:
    venv.delete()
except CreationError as exc:
    assert "delete the environment" in str(exc)
else:
    raise AssertionError
os.chmod(top, 0o755)
"""
    returncode, _stdout, stderr = run(SPOILED + source, tmp=tmp_path / "tmp")
    assert (returncode, stderr) == (0, "")
    assert os.listdir(tmp_path / "tmp") == []


def test_a_block_in_a_generator_that_is_left_at_the_exit_ends(tmp_path: Path) -> None:
    """Its end comes while the modules are dropped, when no thread runs any more."""
    source = """
from venvrunner import VenvRunner
def use():
    with VenvRunner.temporary(with_pip=False) as venv:
        yield venv
generator = use()
next(generator)
"""
    returncode, _stdout, stderr = run(source, tmp=tmp_path / "tmp")
    assert (returncode, stderr, os.listdir(tmp_path / "tmp")) == (0, "", [])


WITHOUT_THREADS = """
import _thread, atexit, os, sys, tempfile, threading

starts, is_over = _thread.start_new_thread, []

def start(*given):
    if is_over:
        raise RuntimeError("can't create new thread at interpreter shutdown")
    return starts(*given)

_thread.start_new_thread = start
import venvrunner

kept = [venvrunner.VenvRunner.temporary(with_pip=False)]
atexit.register(kept.clear)
atexit.register(lambda: venvrunner.VenvRunner.temporary(with_pip=False).log_run(["python", "-c", ""]))
left = venvrunner.VenvRunner.temporary(with_pip=False)
threading._register_atexit(is_over.append, True)  # the last one is called first
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="an older Python starts threads until it ends")
def test_at_an_exit_that_starts_no_thread_environments_are_still_deleted(tmp_path: Path) -> None:
    """Python 3.12 starts none once it ends, before it calls what atexit has: a runner that is dropped there prints nothing."""
    assert run(WITHOUT_THREADS, tmp=tmp_path) == (0, "", "")
    assert not list(tmp_path.iterdir())


def test_virtualenv_leaves_no_directory_where_it_has_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It creates a temporary one then, and removes it at the end of its session only."""
    for name in list(os.environ):
        if name.startswith("XDG_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", os.devnull)
    monkeypatch.setenv("VENVRUNNER_CACHE_DIR", str(tmp_path / "cache"))
    source = "from venvrunner import VenvRunner\nVenvRunner.temporary(with_pip=False).delete()"
    returncode, _stdout, stderr = run(source, tmp=tmp_path / "tmp")
    assert (returncode, stderr, os.listdir(tmp_path / "tmp")) == (0, "", [])


class Owner:
    pass


@pytest.mark.parametrize("second", ["now", "exit", "after another"])
def test_two_threads_do_not_clean_up_at_the_same_time(second: str) -> None:
    """The second waits for the first; one that tries again what has failed leaves it to the first."""
    has_begun, may_end = threading.Event(), threading.Event()
    calls: list[str] = []

    def remove() -> None:
        calls.append("begin")
        if len(calls) == 1:
            raise OSError
        has_begun.set()
        assert may_end.wait(DEADLINE)
        calls.append("end")

    owner, other = Owner(), Owner()
    cleanup, another = Cleanup(owner, remove), Cleanup(other, lambda: None)
    assert isinstance(cleanup.attempt(), OSError)
    first = threading.Thread(target=cleanup.now)
    first.start()
    assert has_begun.wait(DEADLINE)
    if second == "after another":
        another.now()
        assert calls == ["begin", "begin"]
        may_end.set()
    else:
        action = cleanup.now if second == "now" else cleanup.attempt
        thread = threading.Thread(target=action)
        thread.start()
        wait_until(lambda: waits(thread) or not thread.is_alive(), "the second is at the lock")
        may_end.set()
        thread.join(DEADLINE)
        another.cancel()
    first.join(DEADLINE)
    assert calls == ["begin", "begin", "end"]
    assert not cleanup.is_pending


def waits(thread: threading.Thread) -> bool:
    """Return whether a thread is at the lock of a cleanup."""
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and frame.f_code is Cleanup._call.__code__


def test_a_directory_that_another_process_removes_meanwhile_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at it and its opening."""
    top = tmp_path / "top"
    (top / "above" / "below").mkdir(parents=True)

    def open_too_late(name: str, number: int) -> int:
        if name == "above":
            shutil.rmtree(top / "above")
        return open_by_descriptor(name, number)

    monkeypatch.setattr(removal, "open_by_descriptor", open_too_late)
    removal.remove_tree(str(top))
    assert not top.exists()


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="a newer Python refuses threads at its end, which has to be found out")
def test_no_thread_is_started_at_an_exit_without_anything_to_clean_up(tmp_path: Path) -> None:
    """In development mode, Python 3.11.2 crashes if a thread is just ending when the interpreter does."""
    source = """
import _thread, threading
from venvrunner import VenvRunner

with VenvRunner.temporary(with_pip=False) as venv:
    venv.log_run(["python", "-c", ""])

starts = _thread.start_new_thread

def start(*given):
    print("a thread is started", flush=True)
    return starts(*given)

def watch():
    _thread.start_new_thread = start

threading._register_atexit(watch)
"""
    assert run(source, tmp=tmp_path) == (0, "", "")
