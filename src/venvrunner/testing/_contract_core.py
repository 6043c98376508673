"""The contract of all runners: tests of results, output, logging, errors and masking."""

import inspect
import logging
import os
import pathlib
import pickle
import re
import subprocess
import time
from typing import Any, cast

import pytest

from venvrunner import subprocess_util
from venvrunner.runner import Runner
from venvrunner.testing._backend import Backend
from venvrunner.testing._contract_usage import UsageContract
from venvrunner.testing._examples import (
    BAD_BYTE,
    ENDLESS,
    EXACT,
    FAILURE,
    LINES,
    LOGGED,
    NUMBERED,
    SECRET,
    TEXT,
    TOKEN,
    Handler,
    Log,
    Run,
    parameters,
)


class RunnerContract(UsageContract):
    """Test the promises of every runner: derive a class named ``Test…`` with a fixture ``runner``.

    >>> [name for name in dir(RunnerContract) if name.startswith("test_")][0]
    'test_a_bad_byte_hides_no_line'
    """

    def test_it_is_a_runner(self, runner: Runner) -> None:
        """It has the type that functions ask for."""
        assert isinstance(runner, Runner)

    @pytest.mark.parametrize("name", ["log_run", "async_log_run"])
    def test_it_has_the_established_signature(self, runner: Runner, name: str) -> None:
        """Names, order, kinds and defaults of all parameters."""
        assert parameters(getattr(runner, name)) == parameters(subprocess_util.log_run)
        assert inspect.iscoroutinefunction(getattr(runner, name)) == (name == "async_log_run")

    def test_python_is_an_absolute_path(self, runner: Runner) -> None:
        """It is the interpreter that the command `python` runs."""
        assert os.path.isabs(runner.python_executable)
        assert runner.resolve(["python"]) == [runner.python_executable]

    @pytest.mark.parametrize("command", [os.path.abspath("python"), "..", ".", "a/b", "a\\b", "../python", ""])
    def test_only_a_plain_name_is_a_command(self, runner: Runner, call: Run, command: str) -> None:
        """A command is never a path: it cannot leave the environment."""
        message = "must not be an absolute path!" if os.path.isabs(command) else None
        for refuse in (call, runner.resolve):
            with pytest.raises(ValueError, match=message):
                refuse([command])

    def test_the_variables_are_a_new_dict(self, runner: Runner) -> None:
        """A change of the dict changes nothing else."""
        variables = runner.environment()
        assert all(type(text) is str for pair in variables.items() for text in pair)
        variables["VENVRUNNER_CONTRACT"] = "1"
        changed = {**os.environ, **runner.environment()}
        os.environ.pop("VENVRUNNER_CONTRACT", None)
        assert "VENVRUNNER_CONTRACT" not in changed
        assert runner.environment({"VENVRUNNER_CONTRACT": "2"})["VENVRUNNER_CONTRACT"] == "2"

    def test_the_process_is_left_alone(self, call: Run) -> None:
        """Neither its variables nor its working directory change."""
        before = dict(os.environ), os.getcwd()
        call(NUMBERED[0].args, extra_env={"VENVRUNNER_CONTRACT": "1"})
        assert (dict(os.environ), os.getcwd()) == before

    def test_the_result_has_what_was_run(self, runner: Runner, call: Run) -> None:
        """`args` is a new list of str: what `resolve` returns, also for a tuple and for paths."""
        *args, last = NUMBERED[0].args
        given = cast("Any", (*args, pathlib.PurePath(last)))
        result = call(given)
        assert isinstance(result, subprocess.CompletedProcess)
        argv: Any = result.args
        assert [type(arg) for arg in argv] == [str] * len(given)
        assert argv == runner.resolve(given) == runner.resolve(NUMBERED[0].args)
        assert argv[1:] == [*args[1:], last]
        assert (type(result.args), result.returncode) == (list, 0)

    def test_the_result_has_the_duration(self, call: Run) -> None:
        """In seconds, from the start of the command to its end."""
        begun = time.monotonic()
        duration: Any = cast("Any", call(NUMBERED[0].args)).duration
        assert type(duration) is float
        assert 0.0 <= duration <= time.monotonic() - begun

    @pytest.mark.parametrize("level", [None, "debug", Log().debug], ids=["none", "name", "callable"])
    def test_the_texts_are_exact(self, call: Run, level: Any) -> None:
        """Each character as it was written, without decoration, whatever happens to the lines."""
        result = call(EXACT.args, Log(), level, level)
        assert (result.stdout, result.stderr) == (TEXT, f"err: {TEXT}")

    def test_a_callable_gets_the_bare_line(self, call: Run) -> None:
        """Without decoration and without its end; indentation and blank lines are kept."""
        out, err = list[str](), list[str]()
        call(EXACT.args, None, out.append, err.append)
        assert out == LINES
        assert err == [f"err: {LINES[0]}", *LINES[1:]]

    def test_an_async_callable_is_awaited(self, call: Run, backend: Backend) -> None:
        """By `log_run` and `async_log_run`, one line after the other."""
        lines: list[str] = []

        async def take(line: str) -> None:
            await backend.turn()
            lines.append(line)

        call(EXACT.args, None, take)
        assert lines == LINES

    def test_lines_are_logged_with_the_name_of_their_stream(self, call: Run) -> None:
        """At the named level, unchanged by braces and percent signs; the command and its end at debug."""
        log = Log()
        result = call(EXACT.args, log, "info", "warning")
        assert log.records[0] == ("debug", f"Running subprocess: {result.args!r}")
        assert [text for level, text in log.records if level == "info"] == [f"stdout: {line}" for line in LOGGED]
        errors = [text.removeprefix("stderr: ") for level, text in log.records if level == "warning"]
        assert errors == [f"err: {LOGGED[0]}", *LOGGED[1:]]
        assert len(log.records) == 2 + 2 * len(LOGGED)

    def test_the_end_is_logged(self, call: Run) -> None:
        """Last, at debug: the exit code and the seconds that the command took; after a timeout, the reason for the stop."""
        for example in (NUMBERED[0], FAILURE):
            log = Log()
            call(example.args, log, check=False)
            level, text = log.records[-1]
            assert level == "debug"
            assert re.fullmatch(rf"exit code {example.returncode} after \d+\.\d\d s", text)
        log = Log()
        with pytest.raises(subprocess.TimeoutExpired) as caught:
            call(ENDLESS.args, log, timeout=0.5)
        level, text = log.records[-1]
        assert level == "debug"
        assert re.fullmatch(rf"stopped after \d+\.\d\d s: {re.escape(str(caught.value))}", text)

    def test_by_default_only_standard_error_is_logged(self, call: Run) -> None:
        """At debug."""
        log = Log()
        call(NUMBERED[0].args, log)
        assert log.records[1:-1] == [("debug", "stderr: err 0")]

    def test_the_default_logger_is_that_of_the_package(self, call: Run) -> None:
        """With `logger=None` and without."""
        logger, handler = logging.getLogger("venvrunner"), Handler()
        level = logger.level
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            call(NUMBERED[0].args, None, "info")
            call(NUMBERED[0].args, stdout_loglevel="info")
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)
        assert handler.texts == ["stdout: out 0"] * 2

    def test_a_failure_raises(self, runner: Runner, call: Run) -> None:
        """A `CalledProcessError` with a list, the exit code and both texts; a note has the last lines of standard error."""
        with pytest.raises(subprocess.CalledProcessError) as caught:
            call(FAILURE.args)
        error: Any = caught.value
        assert (type(error.cmd), error.cmd) == (list, runner.resolve(FAILURE.args))
        assert (error.returncode, error.stdout, error.stderr) == (4, "out\n", "first\nwhy\n")
        assert "first\nwhy" in "".join(error.__notes__)

    def test_without_check_a_failure_is_a_result(self, call: Run) -> None:
        """Given by position, the fifth."""
        result = call(FAILURE.args, None, None, None, False)  # noqa: FBT003  the established signature
        assert (result.returncode, result.stdout, result.stderr) == (4, "out\n", "first\nwhy\n")

    def test_an_exception_travels_between_processes(self, call: Run) -> None:
        """It pickles, with its message, its notes and its output."""
        with pytest.raises(subprocess.CalledProcessError) as caught:
            call(FAILURE.args)
        copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  it is our own
        assert (str(copy), vars(copy)) == (str(caught.value), vars(caught.value))

    def test_a_timeout_is_the_standard_exception(self, runner: Runner, call: Run) -> None:
        """With the output so far, as text."""
        with pytest.raises(subprocess.TimeoutExpired) as caught:
            call(ENDLESS.args, timeout=0.5)
        assert caught.value.cmd == runner.resolve(ENDLESS.args)
        partial: object = caught.value.stdout
        assert isinstance(partial, str)
        assert "begun\n".startswith(partial)

    def test_a_bad_byte_hides_no_line(self, call: Run) -> None:
        """Each line is delivered, the bad byte escaped; then the exception is raised, unless `errors` says otherwise."""
        lines: list[str] = []
        with pytest.raises(UnicodeDecodeError):
            call(BAD_BYTE.args, None, lines.append)
        assert lines == ["good", "\\xff bad"]
        assert call(BAD_BYTE.args, errors="replace").stdout == "good\n\ufffd bad\n"

    def test_secrets_are_masked_where_people_look(self, call: Run) -> None:
        """In the log, and in message, repr and notes of an exception; attributes and callables have the unmasked text."""
        log, lines = Log(), list[str]()
        with pytest.raises(subprocess.CalledProcessError) as caught:
            call(SECRET.args, log, "info", lines.append, secrets=[TOKEN])
        error = caught.value
        shown = [str(error), repr(error), *error.__notes__, *(text for _level, text in log.records)]
        assert TOKEN not in "\n".join(shown)
        assert "stdout: out ****" in shown
        assert lines == [f"err {TOKEN}"]
        assert (error.cmd[-1], error.stdout) == (f"--token={TOKEN}", f"out {TOKEN}\n")

    def test_what_a_callable_raises_propagates(self, call: Run) -> None:
        """The same exception object, without a wrapper."""
        failure = LookupError("from the callable")

        def fail(line: str) -> None:
            raise failure

        with pytest.raises(LookupError) as caught:
            call(NUMBERED[0].args, None, fail)
        assert caught.value is failure

    @pytest.mark.parametrize(
        ("args", "options", "kind"),
        [
            ([], {}, ValueError),
            ([""], {}, ValueError),
            (["a\0b"], {}, ValueError),
            ("python --version", {}, TypeError),
            (["python", 1], {}, TypeError),
            (None, {"no_such_keyword": 1}, TypeError),
            (None, {"stdout": subprocess.PIPE}, TypeError),
            (None, {"shell": True}, TypeError),
            (None, {"timeout": -1}, ValueError),
            (None, {"errors": "no-such-handler"}, ValueError),
            (None, {"stdout_loglevel": 1}, TypeError),
        ],
    )
    def test_a_wrong_argument_is_refused(self, call: Run, args: Any, options: dict[str, Any], kind: type[Exception]) -> None:
        """Before anything starts."""
        with pytest.raises(kind):
            call(NUMBERED[0].args if args is None else args, **options)
