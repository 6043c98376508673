"""Rows about the store: what an environment costs that was prepared before."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from environment_rows import PACKAGES, UV_INSTALL, names, uv_install
from measure import OURS, Contestants, processor_time, timed
from pytest_rows import EMPTY, OPTIONS, SOURCES, write

from venvrunner import VenvRunner

STANDALONE = "a named copy"
WHEEL = "the build of the wheel alone"
PIP = "pip install, warm"
NOX = "nox -r, a session with them"
LOCKED = ["build", "httpx", "jinja2", "pytest", "requests", "rich", "sphinx", "tox", "twine", "virtualenv"]
"""What the lock file is made of: more than forty packages."""
PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "mine"
version = "1.0"
dependencies = ["requests"]
"""
NOXFILE = """\
import nox
@nox.session
def tools(session):
    session.install("{packages}")
"""


def use_store(folder: str) -> None:
    os.environ["VENVRUNNER_STORE_DIR"] = os.path.join(folder, "store")


@timed(f"{' and '.join(PACKAGES)} from the store", rounds=40, limits={UV_INSTALL: 1 / 20}, most=0.005)
def store(folder: str) -> Contestants:
    use_store(folder)
    new = names(folder)
    Path(folder, "noxfile.py").write_text(NOXFILE.format(packages='", "'.join(PACKAGES)))
    nox = [sys.executable, "-m", "nox", "-r", "-f", os.path.join(folder, "noxfile.py")]
    if subprocess.run(nox, cwd=folder, check=False, capture_output=True).returncode:
        nox = []

    def pip() -> None:
        with VenvRunner.temporary() as venv:
            venv.install(*PACKAGES)

    kept: list[VenvRunner] = []

    def fork() -> None:
        kept[:] = [VenvRunner.temporary(requirements=PACKAGES, cached=True)]

    fork()
    return {
        OURS: fork,
        UV_INSTALL: uv_install(folder, new),
        STANDALONE: lambda: VenvRunner(next(new), folder, requirements=PACKAGES, cached=True),
        PIP: pip,
        NOX: (lambda: subprocess.run(nox, cwd=folder, check=True, capture_output=True)) if nox else None,
    }


@timed("a lock file of 40 packages from the store", rounds=40, most=0.010)
def store_lock(folder: str) -> Contestants:
    use_store(folder)
    lock = os.path.join(folder, "pylock.toml")
    with VenvRunner.temporary() as venv:
        venv.lock(lock, *LOCKED)
    kept: list[VenvRunner] = []

    def fork() -> None:
        kept[:] = [VenvRunner.temporary(lock=lock, cached=True)]

    fork()
    return {OURS: fork}


@timed("a project that was edited, from the store", rounds=5, limits={WHEEL: 1.2})
def store_edit(folder: str) -> Contestants:
    use_store(folder)
    project = Path(folder, "project")
    (project / "src" / "mine").mkdir(parents=True)
    (project / "pyproject.toml").write_text(PROJECT)
    numbers = itertools.count()

    def edit() -> None:
        (project / "src" / "mine" / "__init__.py").write_text(f"NUMBER = {next(numbers)}\n")

    def fork() -> None:
        edit()
        VenvRunner.temporary(requirements=[project], cached=True).delete()

    builder = VenvRunner("builder", folder)

    def build() -> None:
        edit()
        builder.log_run(["pip", "wheel", "--no-deps", "--wheel-dir", os.path.join(folder, "wheels"), project])

    fork()
    return {OURS: fork, WHEEL: build}


@timed("a process that gets one from the store", rounds=20, beyond="a process that imports VenvRunner", clock=processor_time)
def store_process(folder: str) -> Contestants:
    use_store(folder)
    env = {**os.environ, "PYTHONPATH": SOURCES}
    start = "from venvrunner import VenvRunner"
    fork = f"{start}\nVenvRunner.temporary(requirements={PACKAGES!r}, cached=True).delete()"

    def run(code: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", code], env=env, check=True)

    run(fork)()
    return {OURS: run(fork), "a process that imports VenvRunner": run(start)}


@timed("a second run of pytest with an environment", rounds=20, most=0.040, beyond=EMPTY, clock=processor_time)
def store_session(folder: str) -> Contestants:
    use_store(folder)
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": SOURCES}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    marked = f"import pytest\n@pytest.mark.venv(requirements={PACKAGES!r})\ndef test(venv_runner): pass\n"

    def run(name: str, text: str) -> Callable[[], object]:
        test, temporary = write(folder, name, text), os.path.join(folder, name.partition(".")[0])
        command = [sys.executable, *OPTIONS, "-p", "venvrunner.pytest_plugin", f"--basetemp={temporary}", test]
        return lambda: subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True)

    contestants = {OURS: run("test_venv.py", marked), EMPTY: run("test_empty.py", "def test(): pass\n")}
    contestants[OURS]()
    return contestants
