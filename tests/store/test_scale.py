"""Many tasks over few specifications, on several workers: each environment is prepared once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.programs import SOURCE
from helpers.stores import environments, store
from helpers.waiting import DEADLINE

__all__ = ["store"]


TASKS = """
import concurrent.futures, multiprocessing, os, sys
from venvrunner import VenvSpec

def use(spec):
    with spec.temporary(cached=True) as venv:
        return os.getpid(), sorted(venv.installed())

if __name__ == "__main__":
    specs = [VenvSpec(requirements=[name], prompt=prompt) for name in ("pocket", "wires") for prompt in ("a", "b")]
    context = multiprocessing.get_context(sys.argv[1])
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        done = list(pool.map(use, [specs[number % 4] for number in range(200)]))
    assert len({pid for pid, names in done}) == 2
    assert [names for pid, names in done] == 50 * [["pip", "pocket"], ["pip", "pocket"], ["pip", "wires"], ["pip", "wires"]]
"""


@pytest.mark.parametrize("method", ["spawn", pytest.param("forkserver", marks=pytest.mark.slow)])
def test_processes_share_what_is_prepared(store: Path, tmp_path: Path, method: str) -> None:
    """200 tasks over 4 specifications on 2 workers: 4 preparations in all."""
    (tmp_path / "tasks.py").write_text(TASKS)
    env = {**os.environ, "PYTHONPATH": SOURCE}
    command = [sys.executable, str(tmp_path / "tasks.py"), method]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=8 * DEADLINE)
    assert done.returncode == 0, done.stderr
    assert all(line.startswith("waiting for ") for line in done.stderr.splitlines()), done.stderr  # for the other process
    assert len(environments(store)) == 4


SUITE = """
import pytest
@pytest.mark.parametrize("number", range(10))
@pytest.mark.venv(requirements=["pocket"])
def test(venv_runner, number):
    assert venv_runner.log_run(["pocket"]).stdout
"""


def test_workers_and_runs_of_pytest_share_what_is_prepared(store: Path, tmp_path: Path) -> None:
    """With xdist, and once more: one preparation; the setting switches the store off."""
    (tmp_path / "test_pocket.py").write_text(SUITE)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "2",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        "--basetemp",
        str(tmp_path / "base"),
    ]
    env = {**os.environ, "PYTHONPATH": SOURCE, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    plugins = ["-p", "xdist", "-p", "venvrunner.pytest_plugin"]
    for options in ([], [], ["--venv-refresh"], ["-o", "venv_store=false"]):
        done = subprocess.run(
            [*command, *plugins, *options, str(tmp_path / "test_pocket.py")],
            cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=4 * DEADLINE,
        )  # fmt: skip
        assert "10 passed" in done.stdout, done.stdout + done.stderr
        assert len(environments(store)) == 1
    (item,) = environments(store)
    assert not [name for name in os.listdir(store / "entries") if not name.startswith(item.key)]
