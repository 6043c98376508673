"""Who uses an environment holds it: against other processes, other threads, and when a process was killed."""

import asyncio
import contextvars
import gc
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from helpers.processes import alive, descriptors, end_all
from helpers.programs import SOURCE
from helpers.waiting import DEADLINE, wait_until
from venvrunner import VenvInUseError, VenvRunner

USE = """
import sys
from venvrunner import VenvInUseError, VenvRunner
try:
    venv = VenvRunner("venv", sys.argv[1], exist=sys.argv[2], wait=float(sys.argv[3]), with_pip=False)
except VenvInUseError as exc:
    print("refused", exc)
else:
    print(venv.log_run(["python", "-c", "import sys; print(sys.prefix)"]).stdout.strip())
"""


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start processes that run Python source; those that still run are killed in the end."""
    processes: list[subprocess.Popen[str]] = []

    def run(source: str, *args: str) -> subprocess.Popen[str]:
        env = {**os.environ, "PYTHONPATH": SOURCE}
        command = [sys.executable, "-c", source, *args]
        process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield run
    end_all(processes)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


HOLD = """
import sys
from venvrunner import VenvRunner
venv = VenvRunner("venv", sys.argv[1], with_pip=False)
print("made", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("count", [2, 8])
@pytest.mark.parametrize("exist", ["clear", "reuse"])
def test_processes_on_one_target_have_it_one_after_the_other(
    count: int, exist: str, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    """Each finds a whole environment that no other process removes while it uses it."""
    processes = [start(USE, str(tmp_path), exist, str(DEADLINE * 3)) for _ in range(count)]
    outputs = [process.communicate()[0] for process in processes]
    assert outputs == [f"{tmp_path / 'venv'}\n"] * count


def test_the_error_for_recreating_an_environment_in_use_names_the_process(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The runner of the other process is enough, also while nothing runs; waiting is told once."""
    other = start(HOLD, str(tmp_path))
    assert line(other) == "made\n"
    (tmp_path / "venv" / "mine").touch()
    with pytest.raises(VenvInUseError, match=rf"still in use after 0\.3 s by process {other.pid} \(.*Stop that") as caught:
        VenvRunner("venv", tmp_path, wait=0.3)
    assert isinstance(caught.value, RuntimeError)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 1
    assert f"waiting for {str(tmp_path / 'venv')!r}" in told[0]
    with pytest.raises(VenvInUseError):
        VenvRunner.open(tmp_path / "venv", wait=0.3).delete()
    assert (tmp_path / "venv" / "mine").exists()
    other.communicate()
    assert VenvRunner("venv", tmp_path, wait=DEADLINE, with_pip=False).python_executable
    assert not (tmp_path / "venv" / "mine").exists()


CHILD = """
import sys
from venvrunner import VenvRunner
venv = VenvRunner("venv", sys.argv[1], with_pip=False)
venv.log_run(["python", "-c", "import os, sys, time; print(os.getpid(), flush=True); time.sleep(60)"], None,
             lambda line: print(line, flush=True))
"""


def test_a_command_that_survives_its_host_still_holds_the_environment(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    """The lock is inherited, so it lasts as long as the last process that works in the environment."""
    host = start(CHILD, str(tmp_path))
    child = int(line(host))
    try:
        host.kill()
        host.wait()
        with pytest.raises(VenvInUseError, match=f"process {host.pid} "):
            VenvRunner("venv", tmp_path, wait=0.2)
    finally:
        os.kill(child, signal.SIGKILL)
    assert VenvRunner("venv", tmp_path, wait=DEADLINE, with_pip=False).python_executable


DAEMON = """
import subprocess, sys
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdout=-3, stderr=-3, close_fds=False).pid)
"""


def test_a_daemon_that_a_command_has_left_holds_the_environment(tmp_path: Path) -> None:
    """Also against the thread that made it, and when the runner is gone."""
    venv = VenvRunner("venv", tmp_path, with_pip=False)
    pid = int(venv.log_run(["python", "-c", DAEMON]).stdout)
    try:
        with pytest.raises(VenvInUseError):
            VenvRunner("venv", tmp_path, wait=0.1)
        del venv
        gc.collect()
        with pytest.raises(VenvInUseError):
            VenvRunner("venv", tmp_path, wait=0.1)
    finally:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not alive(pid), "the daemon is gone")
    assert VenvRunner("venv", tmp_path, wait=DEADLINE, with_pip=False).python_executable


def test_a_thread_may_recreate_what_it_created(tmp_path: Path) -> None:
    """Code that says it twice works; both runners then use the new environment."""
    first = VenvRunner("venv", tmp_path, with_pip=False)
    second = VenvRunner("venv", tmp_path, with_pip=False, wait=0)
    assert first.log_run(["python", "-c", "print(1)"]).stdout == second.log_run(["python", "-c", "print(1)"]).stdout


def test_another_thread_may_not_while_the_runner_is_there(tmp_path: Path) -> None:
    """It waits, and is told that it is this very process; when the runner is dropped it goes on."""
    venv: VenvRunner | None = VenvRunner("venv", tmp_path, with_pip=False)
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(VenvInUseError, match=f"process {os.getpid()} "):
            pool.submit(VenvRunner, "venv", tmp_path, wait=0.1).result()
        other = pool.submit(VenvRunner, "venv", tmp_path, wait=DEADLINE, with_pip=False)
        del venv
        gc.collect()
        assert other.result().python_executable


def test_the_end_of_a_block_lets_go(tmp_path: Path) -> None:
    """The object may live on; the environment may be recreated by any process."""
    with VenvRunner("venv", tmp_path, with_pip=False) as venv, ThreadPoolExecutor(1) as pool, pytest.raises(VenvInUseError):
        pool.submit(VenvRunner, "venv", tmp_path, wait=0).result()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(VenvRunner, "venv", tmp_path, wait=0, with_pip=False).result().venv_dir == venv.venv_dir
    assert venv.log_run(["python", "-c", "print(1)"]).stdout == "1\n"


def test_a_command_that_runs_holds_it_against_its_own_thread(tmp_path: Path) -> None:
    """A callback that would recreate the environment under its command gets the error, and the command goes on."""
    venv = VenvRunner("venv", tmp_path, with_pip=False)
    caught: list[str] = []

    def again(_line: str) -> None:
        with pytest.raises(VenvInUseError) as error:
            VenvRunner("venv", tmp_path, wait=0)
        caught.append(str(error.value))

    result = venv.log_run(["python", "-c", "print(1, flush=True); import sys; print(sys.prefix)"], None, again)
    assert result.stdout.splitlines() == ["1", venv.venv_dir]
    assert len(caught) == 2


def test_twenty_threads_make_environments_at_once(tmp_path: Path) -> None:
    """Each its own, all whole."""
    with ThreadPoolExecutor(20) as pool:
        made = list(pool.map(lambda number: VenvRunner(f"venv{number}", tmp_path, with_pip=False), range(20)))
    assert {venv.log_run(["python", "-c", "import sys; print(sys.prefix)"]).stdout.strip() for venv in made} == {
        str(tmp_path / f"venv{number}") for number in range(20)
    }


def test_twenty_threads_reuse_one_environment_at_once(tmp_path: Path) -> None:
    """One makes it, the others wait for it and take it."""
    with ThreadPoolExecutor(20) as pool:
        made = list(pool.map(lambda _: VenvRunner("venv", tmp_path, exist="reuse", wait=DEADLINE, with_pip=False), range(20)))
        (tmp_path / "venv" / "mark").touch()
        list(pool.map(lambda venv: venv.log_run(["python", "-c", ""]), made))
    assert (tmp_path / "venv" / "mark").exists()


def test_an_environment_is_made_inside_a_running_event_loop(tmp_path: Path) -> None:
    """In the loop's thread and in another; twenty commands at once hold it, each for itself."""

    async def main() -> list[str]:
        here = VenvRunner("here", tmp_path, with_pip=False)
        there = await asyncio.to_thread(VenvRunner, "there", tmp_path, with_pip=False)
        runs = [venv.async_log_run(["python", "-c", "print(1)"]) for venv in (here, there) for _ in range(10)]
        return [result.stdout for result in await asyncio.gather(*runs)]

    assert asyncio.run(main()) == ["1\n"] * 20


def test_many_runners_need_one_descriptor(tmp_path: Path) -> None:
    """It is there with the first runner of a process on a file system, for all of them."""
    before = descriptors().keys()
    runners = [VenvRunner(f"venv{number}", tmp_path, with_pip=False) for number in range(50)]
    assert len(descriptors().keys() - before) <= 1
    with ThreadPoolExecutor(1) as pool, pytest.raises(VenvInUseError):
        pool.submit(VenvRunner, "venv49", tmp_path, wait=0).result()
    del runners


def test_runners_share_a_descriptor_whatever_became_of_others(tmp_path: Path) -> None:
    """The notes of some were removed, or something else stands where they were: the next runner needs no file of its own."""
    first = VenvRunner("first", tmp_path, with_pip=False)
    others = [VenvRunner(f"other-{number}", tmp_path, with_pip=False) for number in range(8)]
    for number, other in enumerate(others):
        state = Path(other.venv_dir, ".venvrunner")
        shutil.rmtree(state)
        if number % 2:
            state.touch()
    before = descriptors().keys()
    last = VenvRunner("last", tmp_path, with_pip=False)
    assert descriptors().keys() == before
    assert [venv.log_run(["python", "-c", "print(1)"]).stdout for venv in (first, last)] == ["1\n"] * 2


def test_a_command_inherits_one_descriptor_and_no_other(tmp_path: Path) -> None:
    """The one that says that the environment is in use; what the caller passes is passed as well."""
    venv = VenvRunner("venv", tmp_path, with_pip=False)
    code = ["python", "-c", "import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[3:-1])"]
    read, write = os.pipe()
    try:
        alone = eval(venv.log_run(code).stdout)
        both = eval(venv.log_run(code, pass_fds=[read]).stdout)
        none = eval(venv.log_run(code, close_fds=False).stdout)
        inherited = eval(subprocess.check_output([sys.executable, *code[1:]], close_fds=False))
    finally:
        os.close(read)
        os.close(write)
    assert len(alone) == 1
    assert read in both
    assert len(both) == 2
    assert none == inherited  # what the starter of the tests left open


def test_a_forked_process_of_the_host_does_not_speak_for_it(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    """Its end does not take back the note of its parent."""
    source = """
import os, sys
from venvrunner import VenvRunner
venv = VenvRunner("venv", sys.argv[1], with_pip=False)
pid = os.fork()
if not pid:
    sys.exit(0)  # with all that runs at an exit
os.waitpid(pid, 0)
print(len([name for name in os.listdir(venv.venv_dir + "/.venvrunner") if name.startswith("user-")]))
"""
    assert start(source, str(tmp_path)).communicate()[0] == "1\n"


def test_nothing_is_noted_when_all_is_over(tmp_path: Path) -> None:
    """Neither runners nor commands leave files behind."""
    venv = VenvRunner("venv", tmp_path, with_pip=False)
    venv.log_run(["python", "-c", ""])
    ended = threading.Event()
    venv.log_run(["python", "-c", "print(1)"], None, lambda _line: ended.set())
    assert ended.is_set()
    del venv
    gc.collect()
    assert {path.name for path in (tmp_path / "venv" / ".venvrunner").iterdir()} == {"lock", "state"}


def test_the_number_of_a_thread_that_has_ended_gives_no_right(tmp_path: Path) -> None:
    """The system gives it to the next thread; that one waits like any other."""
    made: list[object] = []

    def make() -> None:
        try:
            made.append(VenvRunner("venv", tmp_path, with_pip=False, wait=0))
        except VenvInUseError as exc:
            made.append(exc)

    for _time in range(2):
        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
    assert [type(item) for item in made] == [VenvRunner, VenvInUseError]


def test_a_temporary_environment_does_not_wait_for_a_daemon() -> None:
    """It belongs to no other process: it goes at once, and the exception of the block is what propagates."""
    error = LookupError("mine")
    pids: list[int] = []

    def use() -> None:
        with VenvRunner.temporary(with_pip=False) as venv:
            pids.append(int(venv.log_run(["python", "-c", DAEMON]).stdout))
            raise error

    with pytest.raises(LookupError) as caught:
        use()
    os.kill(pids[0], signal.SIGKILL)
    assert caught.value is error
    assert not hasattr(error, "__notes__")


def test_forks_of_a_temporary_environment_hide_no_exception_of_its_block(tmp_path: Path) -> None:
    """That it could not be deleted is a note; without an exception it is the error itself."""
    error = LookupError("mine")
    folders: list[Path] = []

    def use(*, fails: bool) -> None:
        with VenvRunner.temporary(with_pip=False) as venv:
            folders.append(Path(venv.venv_dir).parent)
            venv.fork(f"fork-{fails}", tmp_path)
            if fails:
                raise error

    with pytest.raises(LookupError) as caught:
        use(fails=True)
    assert "it has forks that need it" in caught.value.__notes__[0]
    with pytest.raises(VenvInUseError, match="it has forks that need it"):
        use(fails=False)
    for folder in folders:
        shutil.rmtree(folder)


def test_a_command_may_end_in_another_context_than_it_began_in(tmp_path: Path) -> None:
    """That of a coroutine does, if it is thrown away when its loop is gone; it gives its descriptor back all the same."""
    venv = VenvRunner("venv", tmp_path, with_pip=False)
    before = descriptors().keys()
    command = venv._in_use()
    contextvars.Context().run(command.__enter__)
    contextvars.Context().run(command.__exit__, None, None, None)
    assert descriptors().keys() == before
