"""The contract of runners as pytest classes: derive from one to test your own runner or double.

::

    class TestMyRunner(RunnerContract):
        @pytest.fixture
        def runner(self):
            return MyRunner()

A runner that runs Python for real needs nothing else. A double without processes must answer the :data:`EXAMPLES`.
"""

import inspect
import os
from typing import Any, cast

import pytest

from venvrunner.exceptions import InvalidRequirementError
from venvrunner.runner import Runner
from venvrunner.testing._backend import Backend
from venvrunner.testing._contract_core import RunnerContract
from venvrunner.testing._examples import EXAMPLES, Example, parameters
from venvrunner.venv import VenvRunner

__all__ = ["EXAMPLES", "Backend", "Example", "RunnerContract", "StandInContract", "VenvRunnerContract"]


class VenvRunnerContract(RunnerContract):
    """Test the promises of a runner with an environment of its own, a ``venv_dir``, in addition to those of all runners.

    >>> VenvRunnerContract.__bases__ == (RunnerContract,)
    True
    """

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


class StandInContract(RunnerContract):
    """Test that a runner has the whole interface of a :class:`.VenvRunner`, in addition to the promises of all runners.

    >>> StandInContract.__bases__ == (RunnerContract,)
    True
    """

    def test_it_has_every_public_name_of_a_real_runner(self, runner: Runner) -> None:
        """Methods, class methods, properties and attributes."""
        names = {*dir(VenvRunner), *(name for cls in VenvRunner.__mro__ for name in inspect.get_annotations(cls))}
        blocks = {"__enter__", "__exit__", "__aenter__", "__aexit__"}
        missing = {name for name in names if not name.startswith("_") or name in blocks} - {*dir(runner)}
        assert not missing, f"{type(runner).__name__} lacks {', '.join(sorted(missing))}."

    def test_its_methods_take_the_arguments_of_a_real_runner(self, runner: Runner) -> None:
        """Names, order, kinds and defaults of all parameters; a method is a coroutine function if the real one is."""
        for name in dir(VenvRunner):
            real = getattr(VenvRunner, name)
            if not name.startswith("_") and callable(real):
                method, is_bound = getattr(runner, name), hasattr(real, "__self__")
                assert parameters(method) == parameters(real)[not is_bound :], name
                assert inspect.iscoroutinefunction(method) == inspect.iscoroutinefunction(real), name
