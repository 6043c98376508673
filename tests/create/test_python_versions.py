"""Environments of other Pythons than the one that runs venvrunner: created, filled, forked and used in the same way."""

import sys
from pathlib import Path
from typing import get_args

import pytest

from helpers.wheels import make_wheel
from venvrunner import InterpreterNotFoundError, VenvRunner
from venvrunner.installing import InstallerName

HOST = "{}.{}".format(*sys.version_info)
VERSIONS = ["3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15", "pypy3.11"]
OTHERS = [name for name in VERSIONS if name != HOST]

IDENTITY = (
    "import sys; print(sys.implementation.name[:4] * (sys.implementation.name == 'pypy') + '%d.%d' % sys.version_info[:2])"
)


@pytest.fixture(scope="module", params=OTHERS)
def parent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VenvRunner:
    """Return an environment of such a Python, with pip."""
    wanted = request.param if request.param.startswith("pypy") else f"cpython{request.param}"
    folder = tmp_path_factory.mktemp(request.param)
    try:
        venv = VenvRunner("parent", folder, python=wanted)
    except InterpreterNotFoundError:
        pytest.skip(f"NOT TESTED: {wanted} is not on this machine")
    assert venv.log_run(["python", "-c", IDENTITY]).stdout == f"{request.param}\n"
    return venv


@pytest.mark.parametrize("installer", get_args(InstallerName))
def test_environments_of_other_pythons_are_filled(installer: InstallerName, parent: VenvRunner, tmp_path: Path) -> None:
    """A wheel with a command is locked, installed, listed, run and removed, in a fork too."""
    wheel = make_wheel(tmp_path, "pocket", "1.0")
    venv = VenvRunner("venv", tmp_path, python=parent.python_executable, installer=installer)
    venv.lock(tmp_path / "pylock.toml", str(wheel), no_index=True)
    receipt = venv.install(lock=tmp_path / "pylock.toml")
    assert dict(receipt.added) == {"pocket": "1.0"}
    fork = venv.fork("fork", tmp_path)
    flat = fork.fork("flat", tmp_path, standalone=True)
    copy = venv.fork("copy", tmp_path, standalone=True)
    for runner in (venv, fork, flat, copy):
        assert runner.installed()["pocket"] == "1.0"
        assert runner.log_run(["pocket"]).stdout == f"pocket 1.0 {runner.venv_dir}\n"
        assert runner.log_run(["python", "-W", "error", "-m", "pip", "--version"]).stdout.startswith(
            f"pip {runner.installed()['pip']}"
        )
    copy.uninstall("pocket")
    assert "pocket" not in copy.installed()
    fork.delete()
    venv.delete()
    assert flat.log_run(["pocket"]).stdout == f"pocket 1.0 {flat.venv_dir}\n"
    assert copy.log_run(["python", "-c", IDENTITY]).stdout == parent.log_run(["python", "-c", IDENTITY]).stdout
