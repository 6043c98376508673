"""`with_options`: a runner that differs from another one only in the defaults of its calls."""

import asyncio
import copy
import gc
import inspect
import logging
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from helpers.callers import Caller
from venvrunner import CallError, CommandError, CommandStoppedError, CommandTimeoutError, FakeVenvRunner, Runner, VenvRunner
from venvrunner._fixtures.journal import Journal
from venvrunner._fixtures.runners import fake_runner
from venvrunner.testing import RecordingVenvRunner, ReplayVenvRunner, ScriptedVenvRunner
from venvrunner.testing._examples import Handler, Log

SAY = ["python", "-c", "import sys; print('out'); print('err', file=sys.stderr)"]
FAIL = ["python", "-c", "print('out'); raise SystemExit(3)"]
SHOW = ["python", "-c", "import os; print(os.environ.get('ONE'), os.environ.get('TWO'), os.getcwd())"]


@pytest.fixture(params=["venv", "fake"])
def runner(request: pytest.FixtureRequest) -> Runner:
    found: Runner = request.getfixturevalue("venv") if request.param == "venv" else FakeVenvRunner()
    return found


def caller(runner: Runner, *, is_async: bool) -> Caller:
    return Caller(runner, is_async=is_async, python="python")


@pytest.mark.parametrize("is_async", [False, True])
def test_a_call_has_the_defaults(runner: Runner, is_async: bool, tmp_path: Path) -> None:
    """Each keyword of `log_run`; the runner that they were derived from stays as it was."""
    log, lines = Log(), list[str]()
    given = runner.with_options(
        logger=log, stdout_loglevel=lines.append, stderr_loglevel="info", check=False, cwd=tmp_path, extra_env={"ONE": "1"}
    )
    call = caller(given, is_async=is_async)
    assert call(FAIL).returncode == 3
    assert call(SHOW).stdout == f"1 None {tmp_path}\n"
    call(SAY)
    assert lines == ["out", f"1 None {tmp_path}", "out"]
    assert ("info", "stderr: err") in log.records
    with pytest.raises(CommandError):
        caller(runner, is_async=is_async)(FAIL)
    assert caller(runner, is_async=is_async)(SHOW).stdout == f"None None {os.getcwd()}\n"


def test_loops_have_the_defaults(runner: Runner) -> None:
    """`lines` and `async_lines`; `keep` is one of them."""
    taken: list[str] = []
    given = runner.with_options(stdout_loglevel=taken.append, check=False, keep=2)

    async def main() -> list[str]:
        return [line async for line in given.async_lines(FAIL)]

    assert list(given.lines(FAIL)) == asyncio.run(main()) == ["out"]
    assert taken == ["out", "out"]
    lines = given.lines(FAIL)
    next(lines)
    with pytest.raises(StopIteration) as caught:
        next(lines)
    assert caught.value.value.stdout == "t\n"
    with pytest.raises(CommandError):
        list(given.lines(FAIL, check=True))


@pytest.mark.parametrize("is_async", [False, True])
def test_an_argument_of_a_call_wins(runner: Runner, is_async: bool, caplog: pytest.LogCaptureFixture) -> None:
    """By name and by position, also if it equals what `log_run` would take anyway."""
    log, lines = Log(), list[str]()
    given = runner.with_options(logger=log, stdout_loglevel=lines.append, stderr_loglevel="info", check=False, timeout=0.0)
    call = caller(given, is_async=is_async)
    with caplog.at_level(logging.DEBUG):
        call(SAY, None, None, "debug", True, timeout=None)
        call(SAY, logger=None, stdout_loglevel=None, stderr_loglevel="debug", check=True, timeout=None)
    assert (lines, log.records) == ([], [])
    assert [record.getMessage() for record in caplog.records].count("stderr: err") == 2
    with pytest.raises(CommandError):
        call(FAIL, check=True, timeout=60)
    with pytest.raises(CommandTimeoutError):
        call(ENDLESS)


def test_options_of_options_add_up(runner: Runner) -> None:
    """The later ones win; secrets and variables are added to the earlier ones."""
    first = runner.with_options(check=False, timeout=60, secrets=["one-secret"], extra_env={"ONE": "1", "TWO": "1"})
    second = first.with_options(timeout=0.0, secrets=iter(["two-secret"]), extra_env={"TWO": "2"})
    assert first.log_run(FAIL).returncode == second.log_run(FAIL, timeout=60).returncode == 3
    with pytest.raises(CommandTimeoutError):
        second.log_run(ENDLESS)
    assert second.log_run(SHOW, timeout=60, extra_env=None).stdout.startswith("1 2 ")
    assert second.log_run(SHOW, timeout=60, extra_env={"ONE": "3"}).stdout.startswith("3 2 ")
    log = Log()
    for _ in range(2):
        second.log_run(
            ["python", "-c", "print('one-secret two-secret three-secret')"], log, "info", timeout=60, secrets=["three-"]
        )
    assert [text for level, text in log.records if level == "info"] == ["stdout: **** **** ****secret"] * 2


def test_input_and_stdin_replace_each_other(runner: Runner, tmp_path: Path) -> None:
    """A call that has one of them does not have the other one as a default."""
    echo = ["python", "-c", "import sys; print(sys.stdin.read())"]
    (tmp_path / "file").write_text("from a file")
    with (tmp_path / "file").open() as file:
        assert runner.with_options(input="text").log_run(echo, stdin=file).stdout == "from a file\n"
        assert runner.with_options(stdin=file).log_run(echo, input="text").stdout == "text\n"


def test_a_later_change_of_an_argument_has_no_effect() -> None:
    """The variables are copied, and an iterator is read once."""
    variables: dict[str, str | None] = {"ONE": "1"}
    env = {**os.environ, "TWO": "2"}
    given = FakeVenvRunner().with_options(extra_env=variables, env=env)
    variables["ONE"] = env["TWO"] = "changed"
    assert given.log_run(SHOW).stdout.startswith("1 2 ")
    assert FakeVenvRunner().with_options(env=None, extra_env=None).log_run(SHOW).stdout.startswith("None None ")
    assert vars(FakeVenvRunner().with_options(extra_groups=iter([4])))["_defaults"] == {"extra_groups": [4]}
    assert vars(FakeVenvRunner().with_options(extra_groups=None))["_defaults"] == {"extra_groups": None}


@pytest.mark.parametrize(
    "options",
    [
        {"timeot": 5},
        {"timeout": -1},
        {"timeout": "5"},
        {"silence_timeout": 0},
        {"stdout": sys.stdout},
        {"shell": True},
        {"errors": "no-such-handler"},
        {"encoding": "no-such-encoding"},
        {"stdout_loglevel": "loud"},
        {"stderr_loglevel": 1},
        {"logger": "info"},
        {"secrets": "one"},
        {"secrets": [1]},
        {"env": ["A=1"]},
        {"extra_env": {"A": 1}},
        {"input": 1},
        {"input": "text", "stdin": 0},
        {"keep": -1},
        {"contain": 1},
        {"carriage_return": "screen"},
        {"stop_signal": 1000},
    ],
)
def test_an_invalid_default_is_refused_at_once(
    runner: Runner, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """With the message of the call, before there is one, and nothing is logged."""
    with pytest.raises((TypeError, ValueError)) as of_the_call:
        runner.log_run(SAY, **options)
    with caplog.at_level(logging.DEBUG), pytest.raises(type(of_the_call.value)) as of_the_default:
        runner.with_options(**options)
    assert str(of_the_default.value) == str(of_the_call.value)
    assert not caplog.records


def test_a_message_about_a_default_masks_secrets() -> None:
    with pytest.raises(ValueError, match=r"encoding='\*\*\*\*' is not") as caught:
        FakeVenvRunner().with_options(secrets=["hunter2"], encoding="hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("options", [{"secrets": "one"}, {"extra_env": "A=1"}, {"secrets": [1]}])
def test_a_wrong_argument_beside_a_default_is_refused(options: dict[str, Any]) -> None:
    """With the message that a call has without defaults."""
    given = FakeVenvRunner().with_options(secrets=["two"], extra_env={"ONE": "1"})
    with pytest.raises(TypeError) as expected:
        FakeVenvRunner().log_run(SAY, **options)
    with pytest.raises(TypeError) as caught:
        given.log_run(SAY, **options)
    assert str(caught.value) == str(expected.value)


def stopping(runner: Runner) -> Callable[[str], None]:
    def stop(line: str) -> None:
        if line == "ready":
            runner.stop()

    return stop


ENDLESS = ["python", "-c", "import time; print('ready'); time.sleep(60)"]
READY = ["python", "-c", "import sys; print('ready'); sys.stdin.read(); print('done')"]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_stop_ends_the_commands_of_the_runner_and_of_those_derived_from_it(runner: Runner, is_async: bool) -> None:
    """Never those of the runner that it was derived from, or of another one derived from that."""
    first, second = runner.with_options(check=True), runner.with_options(check=True)
    third = second.with_options()
    for stopped, by in [(runner, runner), (first, first), (first, runner), (third, third), (third, second), (third, runner)]:
        with pytest.raises(CommandStoppedError):
            caller(stopped, is_async=is_async)(ENDLESS, None, stopping(by))
    for running, by in [(runner, first), (runner, third), (first, second), (second, first), (second, third)]:
        assert caller(running, is_async=is_async)(READY, None, stopping(by)).stdout == "ready\ndone\n"


def test_a_copy_has_the_defaults(runner: Runner) -> None:
    """By pickle too; it has no running commands, and stops none."""
    given = runner.with_options(check=False, extra_env={"ONE": "1"})
    for copied in (copy.copy(given), copy.deepcopy(given), pickle.loads(pickle.dumps(given))):
        assert type(copied) is type(runner)
        assert copied.log_run(FAIL).returncode == 3
        assert copied.log_run(SHOW).stdout.startswith("1 None ")
        assert given.log_run(READY, None, stopping(copied)).stdout == "ready\ndone\n"
        with pytest.raises(CommandStoppedError):
            copied.log_run(ENDLESS, None, stopping(copied))


def test_a_fixture_pickles_as_a_plain_runner_with_the_defaults() -> None:
    """Another process does not have the class of the fixture."""
    copied = pickle.loads(pickle.dumps(fake_runner(Journal()).with_options(check=False)))
    assert type(copied) is FakeVenvRunner
    assert copied.log_run(FAIL).returncode == 3


def test_it_is_another_runner_of_the_same_class(runner: Runner) -> None:
    """With the same environment and the same signatures, and equal to none but itself."""
    given = runner.with_options()
    assert type(given) is type(runner)
    assert given != runner
    assert given == given  # noqa: PLR0124  that is what is tested
    assert len({given, runner}) == 2
    assert given.python_executable == runner.python_executable
    for name in ("log_run", "async_log_run", "lines", "async_lines", "hook_runner"):
        assert inspect.signature(getattr(given, name)) == inspect.signature(getattr(runner, name))


def test_its_repr_shows_the_defaults(venv: VenvRunner) -> None:
    """But no secret, and none of the values that may have one."""
    given = venv.with_options(timeout=60).with_options(
        secrets=["hunter2"],
        env={"A": "b-value"},
        extra_env={"C": "d-value"},
        input="e-value",
        encoding="latin1",
        cwd="/hunter2",
    )
    assert repr(given) == (
        f"VenvRunner('venv', {venv.top_dir!r})"
        ".with_options(timeout=60, secrets=..., env=..., extra_env=..., input=..., encoding='latin1', cwd='/****')"
    )
    assert repr(ScriptedVenvRunner().with_options(timeout=1)).endswith(">.with_options(timeout=1)")
    assert repr(venv.with_options()) == repr(venv)


def test_a_temporary_environment_lives_as_long_as_one_of_its_runners() -> None:
    """It is deleted with the last of them, without a collection; a `with` block of either deletes it."""
    gc.disable()
    try:
        venv = VenvRunner.temporary(with_pip=False).with_options(timeout=60)
        venv_dir, run = venv.venv_dir, venv.log_run
        del venv
        assert run(["python", "-c", "print(1)"]).stdout == "1\n"
        del run
        assert not os.path.exists(venv_dir)
    finally:
        gc.enable()
    original = VenvRunner.temporary(with_pip=False)
    with original.with_options(timeout=60) as venv:
        assert venv.log_run(SAY).stdout == "out\n"
    assert not os.path.exists(original.venv_dir)


class Loud(FakeVenvRunner):
    """A caller's own runner, which gives each argument on."""

    def log_run(
        self,
        args: Any,
        logger: object = None,
        stdout_loglevel: Any = None,
        stderr_loglevel: Any = "debug",
        check: bool = True,
        *,
        errors: str = "strict",
        **options: Any,
    ) -> Any:
        self.seen = stdout_loglevel, check, options
        return super().log_run(args, logger, stdout_loglevel, stderr_loglevel, check, errors=errors, **options)


def test_the_methods_of_a_subclass_have_the_defaults() -> None:
    """Though they give all arguments on."""
    given = Loud().with_options(stdout_loglevel=print, check=False, timeout=60)
    assert given.log_run(FAIL).returncode == 3
    assert given.seen == (print, False, {"timeout": 60})


def test_a_hook_has_the_defaults_that_it_takes(runner: Runner, tmp_path: Path) -> None:
    """A failure is raised whatever `check` says; `cwd` counts if the caller gives none."""
    lines: list[str] = []
    given = runner.with_options(
        stdout_loglevel=lines.append, check=False, cwd=tmp_path, extra_env={"ONE": "1"}, secrets=["x"], errors="strict"
    )
    python = runner.python_executable
    given.hook_runner([python, *SHOW[1:]])
    given.hook_runner([python, *SHOW[1:]], os.sep, {"TWO": "2"}, secrets=["y"])
    assert lines == [f"1 None {tmp_path}", f"1 2 {os.sep}"]
    with pytest.raises(CommandError):
        given.hook_runner([python, *FAIL[1:]])
    with pytest.raises(CommandTimeoutError):
        runner.with_options(timeout=0.1).hook_runner([python, "-c", "import time; time.sleep(60)"])


@pytest.fixture
def handler() -> Iterator[Handler]:
    """What a logger of the test gets."""
    found = Handler()
    yield found
    found.close()


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_installations_have_the_defaults(installer: Any, handler: Handler) -> None:
    """All but `check`: an installation that fails always raises."""
    logger = logging.getLogger("installations")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    with VenvRunner.temporary(installer=installer) as venv:
        given = venv.with_options(logger=logger, check=False)
        with pytest.raises(CommandError):
            given.install("no-such-package", no_index=True)
        with pytest.raises(CommandError):
            asyncio.run(given.async_install("no-such-package", no_index=True))
        assert [text for text in handler.texts if text.startswith("Running subprocess")]
        del handler.texts[:]
        given.install_package("pip")
        assert list(given.uninstall("pip").removed) == ["pip"]
        assert [text for text in handler.texts if text.startswith("exit code 0")]
        with pytest.raises(CommandTimeoutError):
            given.with_options(timeout=0.0).install("no-such-package", no_index=True)


def test_a_fork_starts_without_defaults(venv: VenvRunner, tmp_path: Path) -> None:
    """It is another environment."""
    with VenvRunner.temporary(with_pip=False) as parent:
        child = parent.with_options(check=False).fork("child", tmp_path)
        with pytest.raises(CommandError):
            child.log_run(FAIL)
        child.delete()


def test_the_doubles_share_what_happens(tmp_path: Path, venv: VenvRunner) -> None:
    """Answers, calls, packages and recordings are of both runners."""
    with ScriptedVenvRunner() as scripted:
        scripted.answer(["tool"], stdout="out\n", returncode=3)
        scripted.answer(["pip", "install", "pocket"], installed={"pocket": "1.0"})
        given = scripted.with_options(check=False)
        assert given.log_run(["tool"]).returncode == 3
        given.install_package("pocket")
        assert scripted.installed() == given.installed() == {"pocket": "1.0"}
        assert len(scripted.calls) == 2
    lines: list[str] = []
    path = tmp_path / "recording.json"
    with RecordingVenvRunner(venv, path) as recording:
        given_recording = recording.with_options(stdout_loglevel=lines.append, check=False, secrets=["out-of-sight"])
        assert given_recording.log_run(FAIL).returncode == 3
        given_recording.log_run(["python", "-c", "print('out-of-sight')"])
        given_recording.install_package("pip")
        with pytest.raises(CommandStoppedError):
            given_recording.log_run(ENDLESS, None, stopping(given_recording))
        assert recording.log_run(READY, None, stopping(given_recording)).returncode == 0
    assert "out-of-sight" not in path.read_text()
    replay = ReplayVenvRunner(path, secrets=["out-of-sight"])
    assert replay.with_options(check=False).log_run(FAIL).returncode == 3
    assert len(replay.calls) == 1
    assert lines[:2] == ["out", "out-of-sight"]


def test_output_may_go_to_a_file_object() -> None:
    """A default may be any object that the call takes."""
    file = StringIO()
    FakeVenvRunner().with_options(stdout_loglevel=file.write).log_run(SAY)
    assert file.getvalue() == "out"


def fail_with(text: str) -> None:
    """Raise an exception: a call sends the source of this function."""
    raise ValueError(text)


@pytest.mark.parametrize("name", ["call", "async_call"])
def test_calls_of_functions_have_the_defaults_too(name: str) -> None:
    """Also their errors, in which the secrets among the defaults are masked."""
    runner, lines = FakeVenvRunner(), list[str]()
    quiet = runner.with_options(stdout_loglevel=lines.append, check=False, extra_env={"ONE": "1"}, secrets=["hunter2"])

    def call(*args: Any, **options: Any) -> Any:
        found = getattr(quiet, name)(*args, **options)
        return asyncio.run(found) if name == "async_call" else found

    assert call("os:getenv", "ONE") == "1"
    assert call("builtins:print", "seen") is None
    assert lines == ["seen"]
    with pytest.raises(CallError) as caught:
        call(fail_with, "token hunter2", secrets=["more"])
    texts = [str(caught.value), *caught.value.__notes__]
    assert "token ****" in texts[0]
    assert "hunter2" not in "".join(texts)
