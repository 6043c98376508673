"""Rows about the pytest plugin: what it costs who does not use it, and what an environment for each test costs."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from measure import OURS, Contestants, processor_time, timed

import venvrunner
from venvrunner import VenvRunner

WITHOUT = "pytest without it"
EMPTY = "empty tests"
TESTS = 200
PROJECT = str(Path(__file__).parents[2])
SOURCES = str(Path(str(venvrunner.__file__)).parents[1])
OPTIONS = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
SUITE = "import pytest\n@pytest.mark.parametrize('number', range({count}))\ndef test(number{fixture}): pass\n"


# A small difference of two long times: a wall clock would measure how busy the machine is.
@timed("the pytest plugin, installed and not used", rounds=200, most=0.005, beyond=WITHOUT, clock=processor_time)
def plugin_unused(folder: str) -> Contestants:
    test = write(folder, "test_one.py", SUITE.format(count=1, fixture=""))
    # Made alike: a fork would find its packages by another way.
    has, without = (VenvRunner(name, folder, requirements=["pytest", PROJECT]) for name in ("has", "bare"))
    # Its dependencies stay: one of them has a pytest plugin of its own.
    without.uninstall("venvrunner")

    def start(venv: VenvRunner) -> Callable[[], object]:
        command = [venv.python_executable, *OPTIONS, test]
        env = venv.environment()
        env.pop("PYTHONDONTWRITEBYTECODE", None)  # pytest too keeps what it has compiled
        return lambda: subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True)

    return {OURS: start(has), WITHOUT: start(without)}


@timed(f"{TESTS} tests with an environment each", rounds=5, most=2, beyond=EMPTY)
def plugin_used(folder: str) -> Contestants:
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": SOURCES}

    def run(name: str, fixture: str) -> Callable[[], object]:
        test = write(folder, name, SUITE.format(count=TESTS, fixture=fixture))
        temporary = os.path.join(folder, name.partition(".")[0])
        command = [sys.executable, *OPTIONS, "-p", "venvrunner.pytest_plugin", f"--basetemp={temporary}", test]
        return lambda: subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True)

    return {OURS: run("test_venv.py", ", venv_runner"), EMPTY: run("test_empty.py", "")}


def write(folder: str, name: str, text: str) -> str:
    """Write a file and return its path."""
    path = Path(folder, name)
    path.write_text(text)
    return str(path)
