"""The contract of all runners: tests of loops over lines, event loops, threads and stops."""

import os
import pickle
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from venvrunner import subprocess_util
from venvrunner.exceptions import CommandStoppedError
from venvrunner.runner import Runner
from venvrunner.testing._backend import Backend
from venvrunner.testing._examples import (
    ENDLESS,
    EXACT,
    FAILURE,
    LINES,
    NUMBERED,
    Example,
    Log,
    Loop,
    Run,
    parameters,
    way_to_loop,
    way_to_run,
)

_LONG = 60.0
"""Seconds after which a command that ignores a stop is killed, so that a test fails instead of hanging."""


class UsageContract:
    """Test the promises of :class:`.RunnerContract` about loops, threads and stops."""

    @pytest.fixture
    def runner(self) -> Runner:
        """Return a new runner; to be overridden."""
        msg = "RunnerContract needs a runner. Give the test class a fixture named runner that returns one."
        raise NotImplementedError(msg)

    @pytest.fixture
    def backend(self) -> Backend:
        """Return the event loop to run on; override it for a loop other than asyncio's."""
        return Backend()

    @pytest.fixture(params=["log_run", "async_log_run"])
    def call(self, request: pytest.FixtureRequest, runner: Runner, backend: Backend) -> Run:
        """Return `log_run`, then `async_log_run`."""
        return way_to_run(runner, request.param, backend)

    @pytest.fixture(params=["lines", "async_lines"])
    def loop(self, request: pytest.FixtureRequest, runner: Runner, backend: Backend) -> Loop:
        """Return `lines`, then `async_lines`."""
        return way_to_loop(runner, request.param, backend)

    @pytest.mark.parametrize("name", ["lines", "async_lines"])
    def test_its_iterators_have_the_signature_of_the_functions(self, runner: Runner, name: str) -> None:
        """Names, order, kinds and defaults of all parameters."""
        assert parameters(getattr(runner, name)) == parameters(getattr(subprocess_util, name))

    def test_lines_can_be_iterated_over(self, loop: Loop) -> None:
        """Lines of standard output, as a callable gets them."""
        assert loop(EXACT.args) == LINES

    def test_a_failure_is_raised_after_the_last_line(self, loop: Loop) -> None:
        """As by `log_run`; with `check=False`, none is raised."""
        lines: list[str] = []
        with pytest.raises(subprocess.CalledProcessError) as caught:
            loop(FAILURE.args, lines.append)
        assert lines == ["out"]
        assert (caught.value.returncode, caught.value.stderr) == (4, "first\nwhy\n")
        assert loop(FAILURE.args, check=False) == ["out"]

    def test_the_value_of_the_iterator_is_the_result(self, runner: Runner) -> None:
        """The result of `log_run`, for `yield from`."""
        lines = runner.lines(NUMBERED[0].args)
        assert next(lines) == "out 0"
        with pytest.raises(StopIteration) as caught:
            next(lines)
        result: subprocess.CompletedProcess[str] = caught.value.value
        assert issubclass(type(result), subprocess.CompletedProcess)
        assert result.args == runner.resolve(NUMBERED[0].args)
        assert (result.returncode, result.stdout, result.stderr) == (0, "out 0\n", "err 0\n")

    def test_a_loop_can_be_left_early(self, runner: Runner, loop: Loop) -> None:
        """Also with a command that does not exit by itself; the runner works afterwards."""

        def is_enough(_line: str) -> bool:
            return True

        assert loop(ENDLESS.args, is_enough) == ["begun"]
        assert runner.log_run(NUMBERED[0].args).stdout == "out 0\n"

    def test_a_stop_ends_a_command(self, runner: Runner, call: Run) -> None:
        """With an exception that has the output so far, and which pickles; the runner works afterwards."""

        def stop(_line: str) -> None:
            runner.stop()

        with pytest.raises(CommandStoppedError) as caught:
            call(ENDLESS.args, None, stop, timeout=_LONG)
        error = caught.value
        assert (error.cmd, error.stdout, error.stderr) == (runner.resolve(ENDLESS.args), "begun\n", "")
        assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301  it is our own
        assert call(NUMBERED[0].args).stdout == "out 0\n"

    def test_a_stop_ends_a_loop(self, runner: Runner, loop: Loop) -> None:
        """The exception is raised at the next line; a stop while no command runs has no effect."""
        lines: list[str] = []

        def stop(line: str) -> None:
            lines.append(line)
            runner.stop()

        with pytest.raises(CommandStoppedError):
            loop(ENDLESS.args, stop, timeout=_LONG)
        assert lines == ["begun"]
        runner.stop()
        assert loop(NUMBERED[0].args) == ["out 0"]

    @pytest.mark.parametrize("name", ["log_run", "async_log_run"])
    def test_options_become_defaults(self, runner: Runner, backend: Backend, name: str) -> None:
        """Of the runner that `with_options` returns; an argument of a call wins, and the original runner stays as it is."""
        lines: list[str] = []
        call = way_to_run(runner.with_options(stdout_loglevel=lines.append, check=False), name, backend)
        assert call(FAILURE.args).returncode == FAILURE.returncode
        assert lines == ["out"]
        with pytest.raises(subprocess.CalledProcessError):
            call(FAILURE.args, stdout_loglevel=None, check=True)
        with pytest.raises(subprocess.CalledProcessError):
            way_to_run(runner, name, backend)(FAILURE.args)
        assert lines == ["out"]

    @pytest.mark.parametrize("name", ["lines", "async_lines"])
    def test_options_become_defaults_of_loops(self, runner: Runner, backend: Backend, name: str) -> None:
        """As of `log_run`."""
        loop = way_to_loop(runner.with_options(check=False), name, backend)
        assert loop(FAILURE.args) == ["out"]
        with pytest.raises(subprocess.CalledProcessError):
            loop(FAILURE.args, check=True)

    @pytest.mark.parametrize(
        ("options", "kind"),
        [({"no_such_keyword": 1}, TypeError), ({"timeout": -1}, ValueError), ({"stdout_loglevel": 1}, TypeError)],
    )
    def test_a_wrong_option_is_refused(self, runner: Runner, options: dict[str, Any], kind: type[Exception]) -> None:
        """By `with_options`, before any call."""
        with pytest.raises(kind):
            runner.with_options(**options)

    def test_a_stop_reaches_a_runner_with_options(self, runner: Runner, backend: Backend) -> None:
        """Its own `stop` ends its commands, and so does that of the original runner."""
        given = runner.with_options(timeout=_LONG)
        for stopping in (given, runner):

            def stop(_line: str, stopping: Runner = stopping) -> None:
                stopping.stop()

            with pytest.raises(CommandStoppedError):
                given.log_run(ENDLESS.args, None, stop)

    def test_a_callable_may_run_a_command(self, runner: Runner, call: Run) -> None:
        """With the same runner, while the first command runs."""
        texts: list[str] = []

        def run_another(line: str) -> None:
            texts.append(runner.log_run(NUMBERED[1].args).stdout)

        call(NUMBERED[0].args, None, run_another)
        assert texts == ["out 1\n"]

    def test_twenty_at_once_on_one_loop(self, runner: Runner, backend: Backend) -> None:
        """Each has its own lines and its own result."""

        async def one(example: Example) -> tuple[str, list[str]]:
            lines: list[str] = []
            return (await runner.async_log_run(example.args, None, lines.append)).stdout, lines

        async def main() -> list[tuple[str, list[str]]]:
            return await backend.gather(*(partial(one, example) for example in NUMBERED))

        assert backend.run(main) == [(f"out {n}\n", [f"out {n}"]) for n in range(len(NUMBERED))]

    def test_any_thread_may_run_a_command(self, runner: Runner) -> None:
        """Several at once."""

        def one(example: Example) -> str:
            return runner.log_run(example.args).stdout

        with ThreadPoolExecutor(4) as pool:
            texts = list(pool.map(one, NUMBERED[:8]))
        assert texts == [f"out {n}\n" for n in range(8)]

    def test_log_run_works_inside_a_running_loop(self, runner: Runner, backend: Backend) -> None:
        """As in a notebook; also with an `async def` callable."""
        lines: list[str] = []

        async def take(line: str) -> None:
            lines.append(line)

        async def main() -> str:
            runner.log_run(NUMBERED[0].args, None, take)
            return runner.log_run(NUMBERED[1].args).stdout

        assert backend.run(main) == "out 1\n"
        assert lines == ["out 0"]

    @pytest.mark.parametrize("name", ["log_run", "async_log_run"])
    def test_a_patch_of_the_module_function_is_seen(self, runner: Runner, backend: Backend, name: str) -> None:
        """The patch gets the resolved command line, and the established parameters by position."""
        seen: list[Any] = []
        answer = subprocess.CompletedProcess([], 0, "patched", "")

        def patched(*args: Any, **options: Any) -> Any:
            seen.append((args, options["errors"], options["cwd"]))
            return answer

        async def async_patched(*args: Any, **options: Any) -> Any:
            return patched(*args, **options)

        log = Log()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(subprocess_util, name, patched if name == "log_run" else async_patched)
            options: Any = {"errors": "replace", "cwd": os.sep}
            result = way_to_run(runner, name, backend)(NUMBERED[0].args, log, "info", "error", False, **options)  # noqa: FBT003  the established signature
        assert result is answer
        assert seen == [((runner.resolve(NUMBERED[0].args), log, "info", "error", False), "replace", os.sep)]
