"""Stores that many processes and threads use at once: one prepares, the others wait and are told, and nothing in use goes."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.processes import end_all
from helpers.programs import SOURCE
from helpers.projects import make_slow_project
from helpers.stores import PREPARING, TAKE, builds, environments, make_project, store, take
from helpers.waiting import DEADLINE, wait_until
from venvrunner import VenvRunner
from venvrunner._store import maintenance

__all__ = ["store"]


def start(*args: object, code: str = TAKE, **env: str) -> "subprocess.Popen[str]":
    """Start a process that takes an environment from the store."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)],
        env={**os.environ, "PYTHONPATH": SOURCE, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def results(processes: "list[subprocess.Popen[str]]") -> tuple[list[str], str]:
    """Return what each process printed, and what all have logged."""
    try:
        done = [process.communicate() for process in processes]
    finally:
        end_all([process for process in processes if process.returncode is None])
    logged = "".join(error for _output, error in done)
    assert [process.returncode for process in processes] == [0] * len(processes), logged
    return [output for output, _error in done], logged


@pytest.mark.slow
@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_one_of_many_processes_prepares(store: Path, tmp_path: Path, installer: str) -> None:
    """Sixteen at once on an empty store: one build, one entry for each content, and equal environments."""
    project = make_project(tmp_path / "project", requires="needy")
    found, logged = results([start(installer, project) for _ in range(16)])
    assert len(set(found)) == 1
    assert "needy" in found[0]
    assert builds(tmp_path) == 1
    assert logged.count(PREPARING) == len(environments(store)) == 2


def test_those_that_wait_log_for_which_process(store: Path, tmp_path: Path) -> None:
    """Ctrl-C ends such a wait at once, and the others get what the first has prepared."""
    gate = tmp_path / "gate"
    project = make_slow_project(tmp_path / "project", gate)
    processes = [start("uv", project) for _ in range(3)]
    try:
        threads, lines = [], dict[int, str]()

        def look(process: "subprocess.Popen[str]") -> None:
            lines[process.pid] = next((line for line in process.stderr or () if "waiting for" in line or PREPARING in line), "")

        for process in processes:
            threads.append(threading.Thread(target=look, args=[process]))
            threads[-1].start()
        # Two of them log that they wait; the first logs nothing before the gate is open.
        wait_until(lambda: len(lines) == 2, "two processes wait")
        first = next(process for process in processes if process.pid not in lines)
        assert all(f"in use by process {first.pid} (" in line for line in lines.values())
        stopped = next(process for process in processes if process is not first)
        stopped.send_signal(signal.SIGINT)
        assert stopped.wait(DEADLINE) != 0
        assert first.poll() is None
        gate.touch()
        for thread in threads:
            thread.join()
        rest = [process for process in processes if process is not stopped]
        assert len({process.communicate()[0] for process in rest}) == 1
        assert [process.returncode for process in rest] == [0, 0]
    finally:
        gate.touch()
        end_all(processes)


def in_threads(number: int, action: Callable[[], object]) -> list[object]:
    """Do something in several threads at once, and return what each returned or raised."""
    found: list[object] = []
    together = threading.Barrier(number)

    def work() -> None:
        together.wait()
        try:
            found.append(action())
        except BaseException as exc:  # noqa: BLE001  it is looked at below
            found.append(exc)

    threads = [threading.Thread(target=work) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_threads_share_one_preparation(store: Path, tmp_path: Path) -> None:
    """As processes do."""
    project = make_project(tmp_path / "project")
    assert in_threads(5, lambda: take(project)) == [["mine", "pocket"]] * 5
    assert builds(tmp_path) == 1
    assert len(environments(store)) == 2


def test_copies_of_one_entry_do_not_stop_each_other(store: Path, tmp_path: Path) -> None:
    """An entry is held while it is copied; even with ``wait=0``, which is for users of the target, the others wait for that."""
    take("needy", with_pip=True)

    def copy() -> object:
        name = f"venv{threading.get_ident()}"
        with VenvRunner(name, tmp_path, requirements=["needy"], installer="uv", cached=True, wait=0) as venv:
            return sorted(venv.installed())

    assert in_threads(8, copy) == [["needy", "pip", "pocket"]] * 8
    assert len(environments(store)) == 1


MANY = """
import os, sys
from venvrunner import VenvRunner
for number in range(int(sys.argv[1])):
    name = ["needy", "pocket", "wires"][(number + os.getpid()) % 3]
    with VenvRunner.temporary(requirements=[name], installer="uv", with_pip=False, cached=True) as venv:
        assert name in venv.installed()
        assert venv.log_run(["python", "-c", f"import {name if name != 'wires' else 'wires_hook'}"]).returncode == 0
print("done")
"""


@pytest.mark.slow
def test_a_store_that_is_too_small_for_all_of_them_serves_each(store: Path) -> None:
    """Workers whose entries push each other out: each environment is complete as long as it is used."""
    found, _logged = results([start(6, code=MANY, VENVRUNNER_STORE_MAX_SIZE="1") for _ in range(5)])
    assert found == ["done\n"] * 5
    assert maintenance.verify(str(store)) == {}


def test_the_child_of_a_fork_of_this_process_deletes_nothing(store: Path) -> None:
    """After `os.fork`, the child has no right to what its parent uses, and its end removes neither fork nor entry."""
    with VenvRunner.temporary(requirements=["pocket"], installer="uv", with_pip=False, cached=True) as venv:
        pid = os.fork()
        if not pid:
            maintenance.prune(str(store), 0, 0)
            venv.__exit__(None, None, None)
            del venv
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert venv.log_run(["python", "-c", "import pocket; print(pocket.VERSION)"]).stdout == "1.0\n"
        assert len(environments(store)) == 1
