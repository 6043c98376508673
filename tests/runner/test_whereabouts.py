"""Where an environment is and which Python it has, as attributes of its runner."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from venvrunner import CreationError, FakeVenvRunner, VenvRunner
from venvrunner.testing import RecordingVenvRunner, ScriptedVenvRunner

ASK = (
    "import json, sys, sysconfig as s; print(json.dumps([s.get_path('scripts'), s.get_path('purelib'), sys.version_info[:3]]))"
)


def attributes(runner: Any) -> list[Any]:
    found: list[str] = [runner.scripts_dir, runner.site_packages, runner.python_version]
    assert [type(text) for text in found] == [str] * 3
    return [*found[:2], [int(part) for part in found[2].split(".")]]


def asked(runner: Any) -> list[Any]:
    """Return what the interpreter itself says."""
    found: list[Any] = json.loads(runner.log_run(["python", "-c", ASK]).stdout)
    return found


def test_they_are_what_the_interpreter_says(venv: VenvRunner, tmp_path: Path) -> None:
    """Of an environment, of forks of both kinds, and of one that another tool has made."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "stdlib"], check=True)
    stdlib = VenvRunner.open(tmp_path / "stdlib")
    with VenvRunner.temporary() as parent:
        forks = parent.fork("fork", tmp_path), parent.fork("standalone", tmp_path, standalone=True)
        for runner in (venv, stdlib, parent, *forks, RecordingVenvRunner(venv, "never-written.json"), FakeVenvRunner()):
            assert attributes(runner) == asked(runner)
        for fork in forks:
            fork.delete()


def test_an_upgraded_environment_has_the_directory_of_its_version(tmp_path: Path) -> None:
    """Those of earlier versions are still there."""
    venv = VenvRunner("venv", tmp_path, with_pip=False)
    expected = asked(venv)
    os.makedirs(os.path.join(venv.venv_dir, "lib", "python3.1", "site-packages"))
    assert attributes(venv) == expected


def test_a_version_that_is_not_written_down_is_asked_for(tmp_path: Path) -> None:
    """Tools may leave it out of `pyvenv.cfg`."""
    venv = VenvRunner("venv", tmp_path, with_pip=False)
    settings = Path(venv.venv_dir, "pyvenv.cfg")
    settings.write_text("".join(f"{line}\n" for line in settings.read_text().splitlines() if not line.startswith("version")))
    assert (
        venv.with_options(check=False, timeout=0.0, cwd="/there/is/no/such/directory").python_version
        == FakeVenvRunner().python_version
    )
    assert attributes(venv) == asked(venv)


def test_an_environment_that_is_gone_is_an_error(tmp_path: Path) -> None:
    venv = VenvRunner("venv", tmp_path, with_pip=False)
    venv.delete()
    with pytest.raises(CreationError, match=r"cannot read the version of Python in '.*venv': .*pyvenv\.cfg"):
        venv.python_version  # noqa: B018  the access raises
    with pytest.raises(CreationError, match=r"cannot find the packages in '.*venv': .*there is no site-packages directory\."):
        venv.site_packages  # noqa: B018  the access raises
    assert venv.scripts_dir.startswith(venv.venv_dir)


def test_a_scripted_environment_has_them_too() -> None:
    """As a new environment of this interpreter would have them."""
    with VenvRunner.temporary(with_pip=False) as real:
        scripted = ScriptedVenvRunner(real.venv_dir)
        assert attributes(scripted) == attributes(real)
