"""What is dropped is cleaned up, and a handler that raises meanwhile reaches the program; and what few descriptors leave."""

import _thread
import asyncio
import errno
import operator
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import venvrunner
from helpers.waiting import DEADLINE
from venvrunner import CreationError, VenvInUseError, VenvRunner
from venvrunner._venv import file_locks
from venvrunner._venv.cleanup import Cleanup
from venvrunner._venv.state import Ownership


class Owner:
    """Something that owes a cleanup."""


def drop_and_wait(holder: list[Owner], before: Callable[[], object] = int) -> None:
    """Drop what a list holds, by C code alone; then wait for a signal that may be sent again a moment later."""
    list(map(operator.call, [before, holder.clear]))
    threading.Event().wait(DEADLINE)


def test_a_signal_just_before_a_finalizer_splits_nothing_and_is_not_lost() -> None:
    """All in C code: the handler would run at the first step of a finalizer in Python, which only prints what it raises."""
    done: list[str] = []
    holder = [Owner()]
    cleanup = Cleanup(holder[0], lambda: done.append("cleaned up"))
    with pytest.raises(KeyboardInterrupt):
        drop_and_wait(holder, _thread.interrupt_main)
    assert done == ["cleaned up"]
    assert not cleanup.is_pending


AUDITED = """
import _thread, operator, sys, threading
from venvrunner._venv.cleanup import Cleanup

class Owner:
    pass

def drop_and_wait():
    list(map(operator.call, [_thread.interrupt_main, holder.clear]))
    threading.Event().wait(float(sys.argv[1]))

sys.addaudithook(lambda event, args: None)
for _ in range(20):
    done = []
    holder = [Owner()]
    cleanup = Cleanup(holder[0], lambda: done.append("cleaned up"))
    try:
        drop_and_wait()
    except KeyboardInterrupt:
        assert done == ["cleaned up"], done
        assert not cleanup.is_pending
    else:
        raise AssertionError("the signal is lost")
"""


def test_a_signal_before_a_finalizer_is_not_lost_among_audit_hooks() -> None:
    """Such a hook is Python that runs in the middle of C code: filelock has one that looks at each new thread."""
    env = {**os.environ, "PYTHONPATH": str(Path(venvrunner.__file__).parents[1])}
    command = [sys.executable, "-c", AUDITED, str(DEADLINE)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=10 * DEADLINE)
    assert (done.returncode, done.stderr) == (0, "")


class Alarm(Exception):  # noqa: N818  no error
    """What a handler raises."""


def test_what_a_handler_raises_while_a_finalizer_waits_reaches_the_program() -> None:
    """After the cleanup, and also if the program waits in a call of the system by then."""
    done: list[str] = []

    class Handler:
        def ring(self, signum: int, frame: object) -> None:
            raise Alarm

    def act() -> None:
        signal.pthread_kill(_main, signal.SIGUSR1)
        done.append("cleaned up")

    _main = _thread.get_ident()
    holder = [Owner()]
    Cleanup(holder[0], act)
    before = signal.signal(signal.SIGUSR1, Handler().ring)
    try:
        with pytest.raises(Alarm):
            drop_and_wait(holder)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert done == ["cleaned up"]


def test_a_cleanup_that_fails_is_tried_again() -> None:
    """When the next one succeeds, for instance: there are descriptors again."""
    done: list[str] = []

    def fail_once() -> None:
        done.append("tried")
        if len(done) == 1:
            raise OSError

    holder = [Owner(), Owner()]
    cleanups = [Cleanup(holder[0], fail_once), Cleanup(holder[1], lambda: done.append("another"))]
    del holder[0]
    assert cleanups[0].is_pending
    holder.clear()
    assert done == ["tried", "another", "tried"]
    assert not any(cleanup.is_pending for cleanup in cleanups)


def test_lock_files_are_for_their_user_alone(tmp_path: Path) -> None:
    """No other user can lock them, whatever the umask."""
    before = os.umask(0)
    try:
        venv = VenvRunner("venv", tmp_path, with_pip=False)
        venv.log_run(["python", "-c", ""])
    finally:
        os.umask(before)
    notes = [path for path in Path(venv.venv_dir, ".venvrunner").iterdir() if path.name != "state"]
    assert {path.name.partition("-")[0] for path in notes} == {"lock", "user"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in notes} == {0o600}


def test_a_runner_whose_use_cannot_be_noted_on_a_full_disk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only in a read-only directory, where no process can change it, is an environment used without a note."""
    path = VenvRunner("venv", tmp_path, with_pip=False).venv_dir
    real = os.open

    def fill(name: str, flags: int, *given: int, **where: Any) -> int:
        if os.path.basename(name).startswith("user-") and flags & os.O_CREAT:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(name, flags, *given, **where)

    def refuse(*paths: str, **where: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "open", fill)
    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(CreationError, match="No space left on device"):
        VenvRunner.open(path)


def test_two_paths_of_one_environment_are_one(tmp_path: Path) -> None:
    """The runners of a thread do not keep it from recreating and deleting, by whatever path they know the environment."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    first = VenvRunner("venv", tmp_path / "link", with_pip=False)
    second = VenvRunner("venv", tmp_path / "real", with_pip=False, wait=0)
    second.delete()
    assert not os.path.exists(first.venv_dir)


def test_a_lock_of_a_range_in_the_file_is_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, where the unlocking of another place than the one that was locked is an error."""
    locked: dict[tuple[int, int], int] = {}

    class Locking:
        LK_NBLCK, LK_UNLCK = 1, 2

        def locking(self, number: int, mode: int, size: int) -> None:
            status, place = os.fstat(number), os.lseek(number, 0, os.SEEK_CUR)
            if mode == self.LK_UNLCK:
                if locked.pop((status.st_ino, place), None) != number:
                    raise PermissionError(errno.EACCES, "not locked")
            elif locked.setdefault((status.st_ino, place), number) != number:
                raise PermissionError(errno.EACCES, "locked")

    monkeypatch.setattr(file_locks, "_flock", None)
    monkeypatch.setattr(file_locks, "_locking", Locking())
    before = sorted(os.listdir("/proc/self/fd"))
    with Ownership(str(tmp_path)).held(0, make=True):
        pass
    assert sorted(os.listdir("/proc/self/fd")) == before


LIMITED = """
import os, resource, sys
from venvrunner import VenvError, VenvRunner

top, free = sys.argv[1], int(sys.argv[2])
parent = VenvRunner("parent", top, with_pip=False)
named = VenvRunner("named", top, with_pip=False)
parent.fork("new", top).delete()
VenvRunner.open(parent.venv_dir)  # all is loaded
actions = {
    "create": lambda: VenvRunner("new", top, with_pip=False).delete(),
    "fork": lambda: parent.fork("new", top).delete(),
    "open": lambda: VenvRunner.open(parent.venv_dir),
    "delete": named.delete,
}
before = sorted(os.listdir("/proc/self/fd"))
for name, action in actions.items():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        try:
            while True:
                taken.append(os.dup(0))
        except OSError:
            pass
        for _ in range(free):
            os.close(taken.pop())
        try:
            action()
        except VenvError as exc:
            assert "Too many open files" in str(exc), exc
        finally:
            for number in taken:
                os.close(number)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert set(os.listdir(top)) <= {"parent", "named"}, (name, os.listdir(top))
    assert sorted(os.listdir("/proc/self/fd")) == before, name
parent.log_run(["python", "-c", ""])
named.delete()
assert os.listdir(top) == ["parent"]
"""


@pytest.mark.parametrize("free", range(6))
def test_few_descriptors_leave_no_half_environment(free: int, tmp_path: Path) -> None:
    """Created, forked, opened and deleted with so many: all of it, or a clear error and nothing; at once and without a word."""
    env = {**os.environ, "PYTHONPATH": str(Path(venvrunner.__file__).parents[1])}
    command = [sys.executable, "-W", "error", "-c", LIMITED, str(tmp_path), str(free)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=3 * DEADLINE)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


@pytest.mark.asyncio
async def test_the_end_of_an_async_block_lets_the_holding_task_go_on() -> None:
    """It waits on the loop; a cancel meanwhile does not lose the cleanup."""
    paths: list[str] = []
    released = threading.Event()
    loop = asyncio.get_running_loop()

    async def use(*, cancelled: bool) -> None:
        async with VenvRunner.async_temporary(with_pip=False) as venv:
            paths.append(venv.venv_dir)
            held = asyncio.Event()

            def change() -> None:
                with venv._changing():
                    loop.call_soon_threadsafe(held.set)
                    assert released.wait(DEADLINE)

            task = asyncio.create_task(asyncio.to_thread(change))
            await held.wait()
            loop.call_soon(user.cancel if cancelled else released.set)
        await task

    user = asyncio.create_task(use(cancelled=False))
    await asyncio.wait_for(user, DEADLINE)
    released.clear()
    user = asyncio.create_task(use(cancelled=True))
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(user, DEADLINE)
    released.set()
    assert [path for path in paths if os.path.exists(path)] == []  # noqa: ASYNC240  nothing else runs


def test_waiting_for_an_environment_of_the_same_loop_is_an_error_in_time(tmp_path: Path) -> None:
    """As in a sync block."""
    venv = VenvRunner("venv", tmp_path, with_pip=False)
    other = VenvRunner.open(venv.venv_dir, wait=0.05)
    with venv._changing(), pytest.raises(VenvInUseError), other._changing():
        pass
