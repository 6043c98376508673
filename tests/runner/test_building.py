"""Building: a runner is an environment for `build`, and the output of hooks goes to a logger."""

import functools
import json
import logging
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from build import BuildBackendException, ProjectBuilder
from pyproject_hooks import quiet_subprocess_runner

from helpers.environments import ONLINE
from venvrunner import CommandError, CommandTimeoutError, FakeVenvRunner, InvalidCommandError, Runner, VenvRunner
from venvrunner.environment import REMOVED

if TYPE_CHECKING:
    from build.env import IsolatedEnv

EPOCH = {"SOURCE_DATE_EPOCH": "1700000000"}

BACKEND = """import os, sys, zipfile
def get_requires_for_build_wheel(config_settings=None):
    return []
def build_wheel(folder, config_settings=None, metadata_directory=None):
    print("out {of} %s the back end")
    print("err", file=sys.stderr)
    sys.stdout.flush()
    sys.stdout.buffer.write(b"caf\\xe9\\n")
    if os.path.exists("broken"):
        raise SystemExit("the back end has given up")
    name = "mine-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        archive.writestr("mine.py", "PREFIX_IS_OWN = %r" % (sys.prefix != sys.base_prefix))
        archive.writestr("mine-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: mine\\nVersion: 1.0\\n")
        archive.writestr("mine-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr("mine-1.0.dist-info/RECORD", "")
    return name
"""


def write(folder: Path, files: dict[str, str]) -> Path:
    """Write the files of a project."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a back end of its own, which needs nothing."""
    pyproject = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    return write(tmp_path / "project", {"pyproject.toml": pyproject, "backend.py": BACKEND})


def wheel(runner: Runner, project: Path, folder: Path, **options: object) -> Path:
    """Build a wheel as a front end does."""
    hooks = functools.partial(runner.hook_runner, **options)  # type: ignore[arg-type]  # checked where it is called
    builder = ProjectBuilder.from_isolated_env(runner, project, runner=hooks)
    if isinstance(runner, VenvRunner):
        if builder.build_system_requires:
            runner.install(*builder.build_system_requires)
        if requires := builder.get_requires_for_build("wheel"):
            runner.install(*requires)
    return Path(builder.build("wheel", folder))


def contents(path: Path) -> dict[str, bytes]:
    """Return the files of a wheel; compiled ones hold the name of the directory they were compiled in."""
    with zipfile.ZipFile(path) as archive:
        return {
            name: b"" if name.endswith((".so", "RECORD")) else archive.read(name)
            for name in archive.namelist()
            if not name.endswith("/")
        }


def test_a_runner_is_an_isolated_environment(venv: VenvRunner) -> None:
    """Typed as such, and its variables make the environment the active one also for another subprocess runner."""
    environment: IsolatedEnv = venv
    extra = dict(environment.make_extra_environ() or {})
    assert environment.python_executable == venv.python_executable
    assert extra["VIRTUAL_ENV"] == venv.venv_dir
    assert extra["PATH"].startswith(str(Path(venv.python_executable).parent))
    fake: IsolatedEnv = FakeVenvRunner()
    assert fake.python_executable == sys.executable


EFFECTS = """import json, os, site, subprocess, sys
def get_requires_for_build_wheel(config_settings=None):
    names = %(names)r
    found = {"path": [entry for entry in sys.path if entry != os.getcwd()], "prefixes": [sys.prefix, sys.base_prefix]}
    found |= {"executable": sys.executable, "flags": repr(sys.flags), "user": site.getuserbase(), "platlib": sys.platlibdir}
    found |= {"shown": {name: os.environ.get(name, "") for name in names if not name.startswith(("PYTHON", "UV_", "PIP_"))}}
    if any(name.startswith("PIP_") for name in names):
        from pip._internal.cli.main_parser import create_main_parser
        from pip._internal.commands import create_command
        found["pip"] = repr(vars(create_main_parser().get_default_values()))
        found["install"] = repr(vars(create_command("install").parser.get_default_values()))
    if any(name.startswith("UV_") for name in names):
        found["uv"] = subprocess.run([%(uv)r, "python", "find"], capture_output=True, text=True, check=False).stdout
    with open("effects.json", "w") as file:
        json.dump(found, file)
    return []
"""
"""What Python, pip and uv make of their variables, in their own words."""
HARMFUL = {"PIP_DRY_RUN": "1", "PIP_USER": "1", "PIP_IGNORE_INSTALLED": "1", "PIP_REQUIRE_VIRTUALENV": "1"}
HARMFUL |= {"UV_SYSTEM_PYTHON": "1", "PYTHONINSPECT": "1"}


@pytest.mark.parametrize("name", sorted(REMOVED))
def test_a_build_is_as_isolated_as_a_command(
    name: str, venv: VenvRunner, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `build`'s own runner, which only adds variables: each one that a command does not get has no effect on a hook."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    backend = EFFECTS % {"names": [name], "uv": str(Path(sys.executable).with_name("uv"))}
    write(project, {"backend.py": backend})

    def effects() -> object:
        assert ProjectBuilder.from_isolated_env(venv, project).get_requires_for_build("wheel") == set()
        return json.loads((project / "effects.json").read_text())

    monkeypatch.delenv(name, raising=False)
    expected = effects()
    monkeypatch.setenv(name, HARMFUL.get(name, str(elsewhere)))
    assert effects() == expected


def test_a_build_imports_nothing_of_the_hosts_pythonpath(
    venv: VenvRunner, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module beside the host's own does not become part of a build."""
    write(tmp_path / "host", {"hosts_own.py": "", "sitecustomize.py": "raise SystemExit('the host is here')"})
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "host"))
    source = "def get_requires_for_build_wheel(config_settings=None):\n    import hosts_own\n    return []\n"
    write(project, {"backend.py": source})
    with pytest.raises(BuildBackendException) as caught:
        ProjectBuilder.from_isolated_env(venv, project, runner=quiet_subprocess_runner).get_requires_for_build("wheel")
    assert isinstance(caught.value.exception, subprocess.CalledProcessError)
    assert b"No module named 'hosts_own'" in caught.value.exception.output


@pytest.mark.parametrize("kind", ["venv", "fake"])
def test_a_wheel_is_built_with_the_output_in_the_callers_logger(
    kind: str, venv: VenvRunner, project: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Line by line, at the level that the caller chose, and nothing in it is interpreted."""
    runner: Runner = venv if kind == "venv" else FakeVenvRunner()
    with caplog.at_level(logging.DEBUG, "mine"):
        built = wheel(
            runner, project, tmp_path, logger=logging.getLogger("mine"), stderr_loglevel="warning", secrets=["back end"]
        )
    messages = [(record.name, record.levelname, record.getMessage()) for record in caplog.records]
    assert ("mine", "INFO", "stdout: out {of} %s the ****") in messages
    assert ("mine", "INFO", "stdout: caf\\xe9") in messages
    assert ("mine", "WARNING", "stderr: err") in messages
    assert contents(built)["mine.py"] == f"PREFIX_IS_OWN = {kind == 'venv' or sys.prefix != sys.base_prefix}".encode()


def test_the_wheel_is_what_build_makes(venv: VenvRunner, project: Path, tmp_path: Path) -> None:
    """File by file and byte by byte."""
    ours = wheel(venv, project, tmp_path / "ours")
    FakeVenvRunner().log_run(
        ["python", "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "theirs"), str(project)],
        errors="replace",
    )
    assert contents(ours) == contents(tmp_path / "theirs" / ours.name)


def test_a_hook_that_fails_says_why(venv: VenvRunner, project: Path, tmp_path: Path) -> None:
    """`build` gets the exception that it knows, with the back end's last words."""
    (project / "broken").touch()
    with pytest.raises(BuildBackendException) as caught:
        wheel(venv, project, tmp_path)
    assert isinstance(caught.value.exception, CommandError)
    assert "the back end has given up" in caught.value.exception.__notes__[0]


def test_a_hook_that_hangs_is_ended(venv: VenvRunner, project: Path, tmp_path: Path) -> None:
    """With all that it has started, when its time is up."""
    (project / "backend.py").write_text("import time\ntime.sleep(600)\n")
    with pytest.raises(BuildBackendException) as caught:
        wheel(venv, project, tmp_path, timeout=1)
    assert isinstance(caught.value.exception, CommandTimeoutError)


@pytest.mark.parametrize("cmd", [[], [sys.executable + "x", "-c", ""], ["python", "-c", ""]])
def test_another_interpreter_is_refused(cmd: list[str], venv: VenvRunner) -> None:
    """A front end that was made for another environment would build in the wrong one."""
    with pytest.raises(InvalidCommandError, match="python_executable="):
        venv.hook_runner(cmd)


PROJECTS = {
    "hatchling": {
        "pyproject.toml": """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "mine"
version = "1.0"
[project.scripts]
mine = "mine:main"
""",
        "mine/__init__.py": "def main() -> None: ...\n",
    },
    "flit-core": {
        "pyproject.toml": """[build-system]
requires = ["flit-core"]
build-backend = "flit_core.buildapi"
[project]
name = "mine"
version = "1.0"
description = "mine"
""",
        "mine/__init__.py": "",
    },
    "setuptools": {
        "pyproject.toml": """[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "mine"
version = "1.0"
""",
        "mine/__init__.py": "",
    },
    "C extension": {
        "pyproject.toml": """[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "mine"
version = "1.0"
""",
        "setup.py": 'from setuptools import Extension, setup\nsetup(ext_modules=[Extension("mine", ["mine.c"])])\n',
        "mine.c": """#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "mine", 0, -1, 0};
PyMODINIT_FUNC PyInit_mine(void) { return PyModule_Create(&module); }
""",
    },
}


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("back_end", PROJECTS)
def test_real_back_ends_build_what_build_makes(back_end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in an environment of its own, with what it needs from the index; the result works."""
    for name, value in (EPOCH | ONLINE).items():
        monkeypatch.setenv(name, value)
    source = write(tmp_path / "ours", PROJECTS[back_end])
    with VenvRunner.temporary() as venv:
        ours = wheel(venv, source, tmp_path)
        venv.install(str(ours))
        venv.log_run(["python", "-c", "import mine"])
    copy = write(tmp_path / "copy", PROJECTS[back_end])
    FakeVenvRunner().log_run(["python", "-m", "build", "--wheel", "--outdir", str(tmp_path / "theirs"), str(copy)])
    assert contents(ours) == contents(tmp_path / "theirs" / ours.name)
