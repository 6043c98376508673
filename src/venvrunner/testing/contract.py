"""The contract of runners as pytest classes: derive from one to test your own runner or double.

::

    class TestMyRunner(RunnerContract):
        @pytest.fixture
        def runner(self):
            return MyRunner()

A runner that runs Python for real needs nothing else. A double without processes must answer the :data:`EXAMPLES`.
"""

import os
from typing import Any, cast

import pytest

from venvrunner.exceptions import InvalidRequirementError
from venvrunner.runner import Runner
from venvrunner.testing._backend import Backend
from venvrunner.testing._contract_core import RunnerContract
from venvrunner.testing._examples import EXAMPLES, Example, Run

__all__ = ["EXAMPLES", "Backend", "Example", "RunnerContract", "VenvRunnerContract"]


class VenvRunnerContract(RunnerContract):
    """Test the promises of a runner with an environment of its own, a ``venv_dir``, in addition to those of all runners.

    >>> VenvRunnerContract.__bases__ == (RunnerContract,)
    True
    """

    @pytest.mark.parametrize("command", [os.path.abspath("python"), "..", ".", "a/b", "a\\b", "../python", ""])
    def test_only_a_plain_name_is_a_command(self, runner: Runner, call: Run, command: str) -> None:
        """A command can't leave the environment."""
        message = "must not be an absolute path!" if os.path.isabs(command) else None
        for refuse in (call, runner.resolve):
            with pytest.raises(ValueError, match=message):
                refuse([command])

    def test_a_command_is_one_of_the_environment(self, runner: Runner) -> None:
        """Its path is below `venv_dir`, which is absolute."""
        venv_dir = cast("Any", runner).venv_dir
        assert type(venv_dir) is str
        assert os.path.isabs(venv_dir)
        assert os.path.dirname(os.path.dirname(runner.python_executable)) == venv_dir

    def test_the_environment_is_the_active_one(self, runner: Runner) -> None:
        """By `VIRTUAL_ENV`, and by `PATH`, which begins with its script directory."""
        variables = runner.environment()
        assert variables["VIRTUAL_ENV"] == cast("Any", runner).venv_dir
        assert variables["PATH"].split(os.pathsep)[0] == os.path.dirname(runner.python_executable)

    def test_inherited_variables_are_cleaned_and_those_of_the_caller_kept(self, runner: Runner) -> None:
        """A variable with the value of `os.environ` counts as inherited."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", "inherited")
            assert "PYTHONPATH" not in {**runner.environment(), **runner.environment(dict(os.environ))}
            assert runner.environment({"PYTHONPATH": "chosen"})["PYTHONPATH"] == "chosen"

    @pytest.mark.parametrize("text", ["--pre", "-r requirements.txt", "one\ntwo", "", "./no/such/path"])
    def test_only_a_requirement_is_installed(self, runner: Runner, text: str) -> None:
        """Text that an installer could misread is refused; nothing is started."""
        with pytest.raises(InvalidRequirementError):
            runner.install_package(text)
