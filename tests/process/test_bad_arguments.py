"""What can't be honoured is refused with one clear error, before anything is started or logged."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from helpers.callers import Caller, make_caller
from venvrunner import InvalidCommandError, VenvRunner


@pytest.fixture(autouse=True)
def nothing_happens(venv: VenvRunner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No process is started, and no command line is logged. (The environment itself was made before.)"""

    def refuse(self: object, args: object, **options: object) -> NoReturn:
        msg = f"a process was started: {args}"
        raise AssertionError(msg)

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    caplog.set_level(logging.DEBUG, "venvrunner")
    yield
    assert not [record for record in caplog.get_records("call") if record.name == "venvrunner"]


@pytest.fixture(params=["sync-venv", "async-venv"])
def command(request: pytest.FixtureRequest) -> Caller:
    """Each of the two ways to run a command of a virtual environment."""
    return make_caller(request.param, request)


@pytest.fixture
def scripts(venv: VenvRunner) -> Path:
    """The script directory of the environment."""
    return Path(venv.python_executable).parent


def test_a_process_would_be_noticed(drive: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """The fixture of this file can fail."""
    with pytest.raises(AssertionError, match=r"a process was started: .*echo"):
        drive(["echo"])
    assert caplog.messages == ["Running subprocess: ['echo']"]
    caplog.clear()


@pytest.mark.parametrize("name", ["/x", "/", "//x", "/bin/sh", "/a/../b"])
@pytest.mark.parametrize("kind", [str, Path])
def test_an_absolute_path_is_no_command_of_the_environment(command: Caller, kind: type[Any], name: str) -> None:
    """The message is exactly the established one, also for a path that is there."""
    args = [kind(name), "x"]
    with pytest.raises(ValueError, match="absolute") as caught:
        command(args)
    assert str(caught.value) == f"{str(args[0])!r} must not be an absolute path!"
    assert isinstance(caught.value, InvalidCommandError)


def test_the_absolute_path_of_a_command_is_none_either(command: Caller, venv: VenvRunner) -> None:
    """One way to name a command is enough."""
    for path in (venv.python_executable, sys.executable, "/usr/bin/python3.12", "C:\\python.exe"):
        if os.path.isabs(path):
            with pytest.raises(ValueError, match=r"must not be an absolute path! Use 'python'\.$"):
                command([path])


@pytest.mark.parametrize("name", ["no-such-command", "é", "{0}%s", "...", "-", "-c"])
def test_a_missing_command_is_named_with_its_directory(command: Caller, scripts: Path, name: str) -> None:
    """The message starts exactly as established, and help follows; what the system has does not count."""
    with pytest.raises(ValueError, match="does not exist") as caught:
        command([name])
    head, help_ = f"{str(scripts / name)!r} does not exist!", " Install the package that provides this command first."
    assert str(caught.value) == head + help_
    assert isinstance(caught.value, InvalidCommandError)


@pytest.mark.parametrize("name", ["sh", "env", "ls"])
def test_a_command_of_the_system_is_named_with_the_call_that_runs_it(command: Caller, scripts: Path, name: str) -> None:
    """What the system has does not count; the message says how to run it."""
    with pytest.raises(ValueError, match="does not exist") as caught:
        command([name])
    head, rest = str(caught.value).split("! ", 1)
    assert head == f"{str(scripts / name)!r} does not exist"
    call = f"subprocess_util.log_run([{name!r}, ...], env=venv.environment())."
    assert rest == f"Install the package that provides this command. To run the system's command, use {call}"


@pytest.mark.parametrize("text", ["python --version", "no such", "no\nsuch", "pip  install x"])
def test_a_command_line_in_one_item_is_taken_apart_in_the_message(command: Caller, scripts: Path, text: str) -> None:
    """It is the most frequent mistake of who knows shells."""
    with pytest.raises(ValueError, match="does not exist") as caught:
        command([text])
    advice = f"Pass each argument as a separate item: {text.split()}."
    assert str(caught.value) == f"{str(scripts / text)!r} does not exist! {advice}"


def test_arguments_that_are_given_one_by_one_are_a_clear_error(call: Caller) -> None:
    """They would be taken for the logger and for a level."""
    with pytest.raises(TypeError, match=r"not several strings\. Use log_run\(\['python', '-m', 'build'\]\)\.$"):
        call("python", "-m", "build")
    with pytest.raises(TypeError, match=r"^args must be a list of arguments, not a string\. Use \['python', '-V'\]\.$"):
        call("python -V")


@pytest.mark.parametrize("name", ["success_codes", "silent", "external"])
def test_a_keyword_of_nox_is_answered_with_what_it_is_called_here(call: Caller, name: str) -> None:
    """Who comes from `session.run` knows these."""
    words = {"success_codes": "check=False", "silent": "stderr_loglevel=None", "external": r"subprocess_util\.log_run\(\)"}
    with pytest.raises(TypeError, match=f"^{name}= can't be used here: .*{words[name]}"):
        call.run("pass", **{name: True})


def test_a_misspelled_option_of_an_environment_gets_a_suggestion() -> None:
    """As for the keywords of a command; nothing is made."""
    temporary: Any = VenvRunner.temporary
    with pytest.raises(
        TypeError, match=r"^requirments= is unknown. Did you mean requirements=\? The keywords are: cached, dir, installer, "
    ):
        temporary(requirments=["pocket"])


@pytest.mark.parametrize(
    ("python", "advice"),
    [
        (3.12, "float. Write python='3.12'."),
        (3.1, "float. Write python='3.1', or '3.10': a number drops the trailing zero."),
        (3, "int. Write python='3'."),
        ((3, 12), "tuple. Write python='3.12'."),
        (["3.12"], "list. Write for instance python='3.12'."),
    ],
)
def test_a_version_that_is_no_text_is_written_as_text_in_the_message(tmp_path: Path, python: Any, advice: str) -> None:
    """The number is what most people write first."""
    with pytest.raises(TypeError) as caught:
        VenvRunner("name", tmp_path, python=python)
    assert str(caught.value) == f"python must be a str or a path, not {advice}"
    assert not list(tmp_path.iterdir())


def test_a_typing_error_gets_a_suggestion(command: Caller, scripts: Path) -> None:
    """The help names what is nearest."""
    with pytest.raises(ValueError, match="does not exist") as caught:
        command(["pyhton"])
    assert str(caught.value).startswith(f"{str(scripts / 'pyhton')!r} does not exist! Did you mean 'python'")


@pytest.mark.parametrize("kind", ["folder", "dangling link"])
def test_what_is_not_a_file_does_not_exist_as_a_command(command: Caller, scripts: Path, kind: str) -> None:
    """A directory, or a link to nothing, in the script directory."""
    path = scripts / "no-file"
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(scripts / "nowhere")
    try:
        with pytest.raises(ValueError, match="does not exist") as caught:
            command(["no-file"])
        assert str(caught.value).startswith(f"{str(path)!r} does not exist!")
    finally:
        path.rmdir() if kind == "folder" else path.unlink()


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "./python", "../bin/python", "a/b", "a\\b", "bin/", "python/", "..\\python", "../../../../bin/sh",
        "\0", "python\0", "py\0thon", "C:", "C:python",
    ],
)  # fmt: skip
def test_what_is_not_one_plain_file_name_is_refused_the_same_way(command: Caller, name: str) -> None:
    """It would leave the environment, or is no name at all; each is a ValueError that shows it."""
    with pytest.raises(ValueError, match="must") as caught:
        command([name, "x"])
    assert type(caught.value) in {ValueError, InvalidCommandError}
    assert repr(name) in str(caught.value) or name == ""
    assert "args[0]" in str(caught.value) or "plain name of a command" in str(caught.value)


def test_resolve_refuses_what_log_run_refuses(venv: VenvRunner) -> None:
    """A caller that uses Popen itself is as safe."""
    for name in ("/x", "no-such-command", "..", "a/b", "", "\0"):
        with pytest.raises(ValueError, match=r"must|does not exist"):
            venv.resolve([name])


@pytest.mark.parametrize(
    ("args", "kind", "said"),
    [
        ([], ValueError, "args must not be empty."),
        ((), ValueError, "args must not be empty."),
        ([""], ValueError, r"args\[0\] must not be empty."),
        (["", "x"], ValueError, r"args\[0\] must not be empty."),
        ("", TypeError, "args must be a list of arguments, not a string."),
        ("echo hello", TypeError, r"not a string. Use \['echo', 'hello'\]"),
        (b"echo", TypeError, r"args must be a list of arguments, not a string."),
        (Path("echo"), TypeError, "args must be a list of arguments"),
        (None, TypeError, "args must be a list of arguments, not NoneType"),
        (5, TypeError, "args must be a list of arguments, not int"),
        ([1], TypeError, r"args\[0\] must be a str or a path, not int: 1."),
        ([None], TypeError, r"args\[0\] must be a str or a path, not NoneType"),
        ([b"echo"], TypeError, r"args\[0\] must be a str or a path, not bytes"),
        (["echo", 1], TypeError, r"args\[1\] must be a str or a path, not int: 1."),
        (["echo", b"x"], TypeError, r"args\[1\] must be a str or a path, not bytes"),
        (["echo", ["x"]], TypeError, r"args\[1\] must be a str or a path, not list"),
        (["echo", "a\0b"], ValueError, r"args\[1\] must not have a NUL character"),
        (["a\0b"], ValueError, r"args\[0\] must not have a NUL character"),
    ],
    ids=repr,
)
def test_what_is_not_a_command_line_is_refused(call: Caller, args: Any, kind: type[Exception], said: str) -> None:
    """An empty list is a ValueError, a string or an item of another type a TypeError; the message says which."""
    with pytest.raises(kind, match=said) as caught:
        call(args)
    assert type(caught.value) is kind


WHY = {
    "stdout": (subprocess.PIPE, "the output is read line by line and returned; use stdout_loglevel and stderr_loglevel"),
    "stderr": (subprocess.STDOUT, "the output is read line by line and returned; use merge_stderr=True to get it in stdout"),
    "capture_output": (True, "the output is read line by line and returned"),
    "shell": (
        True,
        r"a command is a list of arguments; for a shell command line, use subprocess_util\.log_run\(\['sh', '-c', line\]\)",
    ),
    "text": (True, "the output is text already"),
    "universal_newlines": (True, "the output is text already"),
    "bufsize": (1, "output is delivered as soon as it arrives"),
    "limit": (1 << 20, "a line may have any length"),
    "start_new_session": (False, "every command leads a session of its own"),
    "process_group": (0, "every command leads a session of its own"),
}


@pytest.mark.parametrize("name", WHY)
def test_a_keyword_that_cannot_be_honoured_is_refused_with_the_reason(call: Caller, name: str) -> None:
    """Silently ignored it would mislead; passed on it would break the promises."""
    value, why = WHY[name]
    with pytest.raises(TypeError, match=f"^{name}= can't be used here: .*{why}"):
        call.run("pass", **{name: value})


@pytest.mark.parametrize("name", ["bogus", "time_out", "Timeout", "args", "loop", "program"])
def test_an_unknown_keyword_is_refused(call: Caller, name: str) -> None:
    """A spelling mistake is not passed on to fail somewhere else; the message has the keywords that there are."""
    with pytest.raises(TypeError, match=name) as caught:
        call(call.code("pass"), **{name: 1})
    if name != "args":  # Python itself says that it was given twice
        guess = "Did you mean timeout=? " if name in {"time_out", "Timeout"} else ""
        assert str(caught.value).startswith(f"{name}= is unknown. {guess}The keywords are: carriage_return, check, ")
        assert " stdout_loglevel, stop_signal, timeout, umask, user." in str(caught.value)


@pytest.mark.parametrize("stream", ["stdout_loglevel", "stderr_loglevel"])
@pytest.mark.parametrize("level", ["loud", "", "DEBUG", "name", "_log", "__class__", "handlers", "de bug", "{0}"])
def test_a_name_that_is_no_level_is_refused(call: Caller, stream: str, level: str) -> None:
    """Not when the first line comes, but before anything is started; the message names the logger's class."""
    with pytest.raises(ValueError, match=r"is not a log level of Logger\. Use a name such as") as caught:
        call.run("pass", **{stream: level})
    assert str(caught.value).startswith(repr(level))


def test_the_name_of_a_logger_is_no_logger(call: Caller) -> None:
    """The message says how to get it."""
    with pytest.raises(TypeError, match=r"^logger must be a logger, not a str\. Use logging\.getLogger\('build'\)\.$"):
        call.run("pass", logger="build")
    with pytest.raises(TypeError, match=r"^logger must be a logger, not a str\. For a level, use stdout_loglevel='info'\.$"):
        call.run("pass", "info")


@pytest.mark.parametrize("level", ["log", "setLevel", "addHandler"])
@pytest.mark.parametrize("adapt", [False, True], ids=["Logger", "LoggerAdapter"])
def test_a_method_that_is_no_level_is_refused(drive: Caller, level: str, adapt: bool) -> None:
    """Called with a line, it would do something else than log it, or fail in the middle of a run."""
    logger = logging.Logger("of.its.own")  # noqa: LOG001  no other test finds it
    with pytest.raises(ValueError, match="is not a log level of Logger"):
        drive.run("pass", logging.LoggerAdapter(logger) if adapt else logger, level)


@pytest.mark.parametrize("stream", ["stdout_loglevel", "stderr_loglevel"])
@pytest.mark.parametrize("level", [11, b"debug", True, ["debug"], 0, False, 10.0, object()], ids=lambda value: str(value)[:7])
def test_a_level_of_another_type_is_refused(call: Caller, stream: str, level: object) -> None:
    """A number is a level if it has a name; `True` and 0 are none."""
    shown = level if isinstance(level, int | float) else type(level).__name__
    said = f"^{stream} must be a log level such as 'info' or logging.INFO, a callable or None, not {shown}.$"
    with pytest.raises(TypeError, match=said):
        call.run("pass", **{stream: level})


@pytest.mark.parametrize("logger", [5, object(), print], ids=lambda value: type(value).__name__)
def test_a_logger_that_cannot_log_is_refused(call: Caller, logger: object) -> None:
    """The command line is logged at debug: what has no such method is no logger."""
    with pytest.raises((TypeError, ValueError), match=f"'debug' is not a log level of {type(logger).__name__}."):
        call.run("pass", logger)


def test_a_sixth_parameter_by_position_is_refused(call: Caller) -> None:
    """New parameters are keyword-only."""
    with pytest.raises(TypeError, match="positional argument"):
        call(call.code("pass"), None, None, "debug", True, "strict")


def test_an_environment_of_one_more_positional_parameter_is_refused(tmp_path: Path) -> None:
    """Nothing is made either."""
    make: Any = VenvRunner
    with pytest.raises(TypeError, match="positional argument"):
        make("name", tmp_path, "python")
    assert not list(tmp_path.iterdir())
