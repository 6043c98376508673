"""Test a project as its users get it: installed, in a new environment for each test."""

import pytest

from venvrunner import CommandError, VenvRunner

pytestmark = pytest.mark.venv(requirements=["."])


def test_the_command_prints_the_sum(venv_runner: VenvRunner) -> None:
    assert venv_runner.log_run(["total", "1", "2", "39"]).stdout == "42\n"


def test_the_command_explains_a_wrong_number(venv_runner: VenvRunner) -> None:
    with pytest.raises(CommandError) as caught:
        venv_runner.log_run(["total", "one"])
    assert caught.value.returncode == 2
    assert "'one' is not a number" in caught.value.stderr


def test_the_function_returns_the_sum(venv_runner: VenvRunner) -> None:
    assert venv_runner.call("total:total", [1, 2, 39]) == 42


def test_nothing_else_is_installed(venv_runner: VenvRunner) -> None:
    assert set(venv_runner.installed()) == {"pip", "total"}
