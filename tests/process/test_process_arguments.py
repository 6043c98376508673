"""What a caller may say about a process: each wrong value is one clear error before anything starts, each right one holds."""

import io
import json
import logging
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.callers import Caller
from venvrunner import CommandTimeoutError, Runner
from venvrunner.environment import UNLESS_SET

SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


def shown(result: Any) -> dict[str, str]:
    """Return the environment that a command printed, without what an interpreter's start or readline adds behind our back."""
    env: dict[str, str] = json.loads(result.stdout)
    return {name: env[name] for name in env.keys() - {"LC_CTYPE", "__CF_USER_TEXT_ENCODING", "COLUMNS", "LINES"}}


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the default logger got; asyncio has one of its own for its debug mode."""
    return [record.getMessage() for record in caplog.records if record.name == "venvrunner"]


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"timeout": -1}, ValueError, "timeout must be a non-negative number of seconds, not -1."),
    ({"timeout": -0.5}, ValueError, "timeout must be a non-negative number of seconds, not -0.5."),
    ({"timeout": -math.inf}, ValueError, "timeout must be a non-negative number of seconds, not -inf."),
    ({"timeout": math.nan}, ValueError, "timeout must be a non-negative number of seconds, not nan."),
    ({"timeout": "5"}, TypeError, "timeout must be a number of seconds, not str."),
    ({"timeout": True}, TypeError, "timeout must be a number of seconds, not bool."),
    ({"timeout": [5]}, TypeError, "timeout must be a number of seconds, not list."),
    ({"timeout": 1j}, TypeError, "timeout must be a number of seconds, not complex."),
    ({"grace": -1}, ValueError, "grace must be a non-negative number of seconds, not -1."),
    ({"grace": math.nan}, ValueError, "grace must be a non-negative number of seconds, not nan."),
    ({"grace": "1"}, TypeError, "grace must be a number of seconds, not str."),
    ({"grace": False}, TypeError, "grace must be a number of seconds, not bool."),
    ({"heartbeat": 0}, ValueError, "heartbeat must be a positive number of seconds, not 0."),
    ({"heartbeat": -1}, ValueError, "heartbeat must be a positive number of seconds, not -1."),
    ({"heartbeat": math.nan}, ValueError, "heartbeat must be a positive number of seconds, not nan."),
    ({"heartbeat": "1"}, TypeError, "heartbeat must be a number of seconds, not str."),
    ({"heartbeat": True}, TypeError, "heartbeat must be a number of seconds, not bool."),
    ({"silence_timeout": 0}, ValueError, "silence_timeout must be a positive number of seconds, not 0."),
    ({"silence_timeout": -1}, ValueError, "silence_timeout must be a positive number of seconds, not -1."),
    ({"silence_timeout": math.nan}, ValueError, "silence_timeout must be a positive number of seconds, not nan."),
    ({"silence_timeout": "1"}, TypeError, "silence_timeout must be a number of seconds, not str."),
    ({"silence_timeout": True}, TypeError, "silence_timeout must be a number of seconds, not bool."),
    ({"stop_signal": "SIGINT"}, TypeError, "stop_signal must be a signal such as signal.SIGINT, not str."),
    ({"stop_signal": True}, TypeError, "stop_signal must be a signal such as signal.SIGINT, not bool."),
    ({"stop_signal": 0}, ValueError, "stop_signal must be a signal such as signal.SIGINT, not 0."),
    ({"stop_signal": -15}, ValueError, "stop_signal must be a signal such as signal.SIGINT, not -15."),
    ({"stop_signal": 4711}, ValueError, "stop_signal must be a signal such as signal.SIGINT, not 4711."),
    ({"merge_stderr": 1}, TypeError, "merge_stderr must be True or False, not int."),
    ({"merge_stderr": None}, TypeError, "merge_stderr must be True or False, not NoneType."),
    ({"contain": "yes"}, TypeError, "contain must be True or False, not str."),
    ({"carriage_return": "\r"}, ValueError, "carriage_return must be 'line' or None, not '\\r'."),
    ({"carriage_return": True}, ValueError, "carriage_return must be 'line' or None, not True."),
    ({"keep": -1}, ValueError, "keep must be a non-negative number of bytes or None, not -1."),
    ({"keep": 1.5}, TypeError, "keep must be a number of bytes or None, not float."),
    ({"keep": True}, TypeError, "keep must be a number of bytes or None, not bool."),
    ({"keep": "1"}, TypeError, "keep must be a number of bytes or None, not str."),
    ({"input": "a\ud800"}, ValueError, "input contains an unpaired surrogate, which cannot be encoded."),
    ({"input": b"text"}, TypeError, "input must be a str, not bytes."),
    ({"input": 5}, TypeError, "input must be a str, not int."),
    ({"input": ["a"]}, TypeError, "input must be a str, not list."),
    ({"input": "a", "stdin": subprocess.DEVNULL}, ValueError, "input= and stdin= cannot be used together."),
    ({"input": "", "stdin": 0}, ValueError, "input= and stdin= cannot be used together."),
    ({"stdin": subprocess.PIPE}, ValueError, "stdin=PIPE cannot be used"),
    ({"stdin": subprocess.PIPE, "input": "a"}, ValueError, "stdin"),
    ({"stdin": "text"}, TypeError, "stdin"),
    ({"stdin": b"text"}, TypeError, "stdin"),
    ({"env": {"A": 1}}, TypeError, "['A'] must be a str, not int."),
    ({"env": {"A": None}}, TypeError, "['A'] must be a str, not NoneType."),
    ({"env": {"A": Path("x")}}, TypeError, f"['A'] must be a str, not {type(Path()).__name__}."),
    ({"env": {"A": b"x"}}, TypeError, "['A'] must be a str, not bytes."),
    ({"env": {1: "x"}}, TypeError, "1 must be a str, not int."),
    ({"env": {b"A": "x"}}, TypeError, "b'A' must be a str, not bytes."),
    ({"env": {"PATH": 5}}, TypeError, "['PATH'] must be a str, not int."),
    ({"env": {"": "x"}}, ValueError, "'' is not a valid environment variable"),
    ({"env": {"A=B": "x"}}, ValueError, "'A=B' is not a valid environment variable"),
    ({"env": {"A": "x\0y"}}, ValueError, "'A' is not a valid environment variable"),
    ({"env": {"A\0": "x"}}, ValueError, "'A\\x00' is not a valid environment variable"),
    ({"env": ["A=1"]}, TypeError, "env"),
    ({"env": "A=1"}, TypeError, "env"),
    ({"extra_env": {"A": 1}}, TypeError, "['A'] must be a str, not int."),
    ({"extra_env": {"A=B": "x"}}, ValueError, "'A=B' is not a valid environment variable"),
    ({"extra_env": {"": "x"}}, ValueError, "'' is not a valid environment variable"),
    ({"extra_env": {"A": "\0"}}, ValueError, "'A' is not a valid environment variable"),
    ({"extra_env": {2: "x"}}, TypeError, "2 must be a str, not int."),
    ({"extra_env": ["A=1"]}, TypeError, "extra_env"),
    ({"extra_env": 5}, TypeError, "extra_env"),
    ({"secrets": "hunter2"}, TypeError, "secrets must be a list of strings, not str."),
    ({"secrets": [b"hunter2"]}, TypeError, "secrets must be a list of strings, but item 0 is bytes."),
    ({"secrets": [None]}, TypeError, "secrets must be a list of strings, but item 0 is NoneType."),
    ({"secrets": 5}, TypeError, "secrets must be a list of strings, not int."),
]


@pytest.mark.parametrize(("options", "kind", "message"), WRONG, ids=[repr(options) for options, _kind, _message in WRONG])
def test_a_wrong_value_is_one_clear_error_before_anything_starts(
    call: Caller,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    options: dict[str, Any],
    kind: type[Exception],
    message: str,
) -> None:
    """The message names the parameter and what is wrong with it; no process was started and nothing was logged."""
    caplog.set_level(logging.DEBUG)
    marker = tmp_path / "marker"
    with pytest.raises(kind) as caught:
        call(call.code(f"open({str(marker)!r}, 'w')"), **options)
    assert type(caught.value) is kind
    assert message in str(caught.value)
    assert not marker.exists()
    assert not logged(caplog)


@pytest.mark.parametrize("args", [None, 5, object()], ids=["None", "int", "object"])
def test_what_is_not_a_command_line_is_a_type_error(call: Caller, caplog: pytest.LogCaptureFixture, args: object) -> None:
    """The message names `args`, and says that it is to be a list."""
    caplog.set_level(logging.DEBUG, "venvrunner")
    with pytest.raises(TypeError, match="args must be a list"):
        call(args)
    assert not logged(caplog)


def test_the_marker_of_the_test_above_would_be_seen(call: Caller, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With right values, the same command makes its file and its log record."""
    caplog.set_level(logging.DEBUG)
    marker = tmp_path / "marker"
    call(call.code(f"open({str(marker)!r}, 'w')"), timeout=60, grace=1.5, input="", env=None, extra_env=None, secrets=())
    assert marker.exists()
    assert logged(caplog)


SECONDS = [60, 60.5, math.inf, 10**7, 1e10, 1e300, 10**400]


@pytest.mark.parametrize(
    "options",
    [
        {
            "timeout": None,
            "heartbeat": None,
            "silence_timeout": None,
            "stop_signal": None,
            "carriage_return": None,
            "keep": None,
        },
        *({name: seconds} for name in ("timeout", "grace", "heartbeat", "silence_timeout") for seconds in SECONDS),
    ],
    ids=lambda options: str(options)[:20],
)
def test_any_number_of_seconds_is_a_limit(drive: Caller, options: dict[str, Any]) -> None:
    """Months mean "no limit" to a caller, and must not be too large for the system."""
    assert drive.run("print(1)", None, lambda line: None, **options).stdout == "1\n"


@pytest.mark.parametrize("grace", [30, math.inf, 1e10], ids=str)
def test_a_long_grace_lets_a_command_clean_up(drive: Caller, tmp_path: Path, grace: float) -> None:
    """No hard signal comes while the grace lasts, and an endless grace is not none."""
    marker = tmp_path / "marker"
    source = (
        "import signal, sys, time\n"
        f"def clean_up(*args): time.sleep(0.3); open({str(marker)!r}, 'w').close(); sys.exit()\n"
        "signal.signal(signal.SIGTERM, clean_up); print('ready', flush=True)\n"
        "while True: time.sleep(0.01)"  # pause() would miss a signal that comes just before it
    )

    def fail(line: str) -> None:
        raise InterruptedError(line)

    with pytest.raises(InterruptedError, match="ready"):
        drive.run(source, None, fail, grace=grace)
    assert marker.exists()


def test_a_timeout_of_zero_is_up_at_once(call: Caller) -> None:
    """Zero is a time like any other, not "none"."""
    with pytest.raises(CommandTimeoutError, match=r"timed out after 0\.0 seconds"):
        call.run("import signal; signal.pause()", timeout=0)


def test_env_is_the_whole_environment(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing ambient comes through beside `env`; a venv's runner adds only what makes its environment."""
    monkeypatch.setenv("VENVRUNNER_AMBIENT", "1")
    env = {"GIVEN": "é", "EMPTY": "", "PATH": os.environ["PATH"]}
    got = shown(call.run(SHOW, env=env))
    if "VIRTUAL_ENV" in got:
        added = {"VIRTUAL_ENV", "PIP_USER", "PIP_NO_INPUT", "PIP_DISABLE_PIP_VERSION_CHECK", *UNLESS_SET}
        asking = {"GIT_TERMINAL_PROMPT", "GIT_SSH_COMMAND", "GIT_ASKPASS", "GCM_INTERACTIVE", "SSH_ASKPASS_REQUIRE"}
        assert got.keys() - env.keys() == added | asking
        assert got["PATH"].endswith(os.pathsep + env.pop("PATH"))
    assert {name: got[name] for name in env} == env
    assert "VIRTUAL_ENV" in got or got == env


@pytest.mark.parametrize("env", [{}, {"ONLY": "1"}], ids=["empty", "one"])
def test_an_environment_may_be_as_small_as_the_caller_likes(drive: Caller, env: dict[str, str]) -> None:
    """An empty `env` is empty, not "the default"."""
    assert shown(drive.run(SHOW, env=env)) == env


def test_env_none_means_the_default(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller may hand on its own default."""
    monkeypatch.setenv("VENVRUNNER_AMBIENT", "1")
    assert shown(call.run(SHOW, env=None)) == shown(call.run(SHOW))
    assert shown(call.run(SHOW, env=None))["VENVRUNNER_AMBIENT"] == "1"


@pytest.mark.parametrize("with_env", [True, False])
def test_extra_env_lies_on_top(call: Caller, monkeypatch: pytest.MonkeyPatch, with_env: bool) -> None:
    """It adds and replaces, and `None` removes, whether there or not; all else stays as without it."""
    for name in ("CHANGED", "REMOVED", "STAYS"):
        monkeypatch.setenv(name, "before")
    options: dict[str, Any] = {"env": dict(os.environ)} if with_env else {}
    before = shown(call.run(SHOW, **options))
    extra = {"ADDED": "1", "CHANGED": "2", "REMOVED": None, "NEVER_THERE": None, "EMPTY": ""}
    got = shown(call.run(SHOW, extra_env=extra, **options))
    assert before["STAYS"] == "before"
    del before["REMOVED"]
    assert got == {**before, "ADDED": "1", "CHANGED": "2", "EMPTY": ""}


def test_extra_env_overrides_what_the_runner_sets(call: Caller) -> None:
    """The caller has the last word, also about the variables that a runner sets itself."""
    got = shown(call.run(SHOW, extra_env={"PIP_NO_INPUT": "0", "GIT_TERMINAL_PROMPT": None, "PYTHONPATH": "/mine"}))
    assert (got["PIP_NO_INPUT"], got.get("GIT_TERMINAL_PROMPT"), got["PYTHONPATH"]) == ("0", None, "/mine")


def test_the_mappings_of_the_caller_are_not_changed(call: Caller) -> None:
    """Options and arguments are read, never written to; the result of a runner has a list of its own."""
    env, extra, args = {**os.environ, "A": "1"}, {"A": None, "B": "2"}, call.code("pass")
    copies = dict(env), dict(extra), list(args)
    result = call(args, env=env, extra_env=extra)
    assert (env, extra, args) == copies
    assert (result.args is args) == (not isinstance(call.target, Runner))


def test_standard_input_is_empty_by_default(call: Caller) -> None:
    """A command can't wait for a human: it gets the end of the file at once."""
    source = "import os, sys; print(repr(sys.stdin.read()), os.path.samestat(os.fstat(0), os.stat(os.devnull)))"
    assert call.run(source).stdout == "'' True\n"
    assert call.run(source, stdin=None, input=None).stdout == "'' True\n"


def test_input_is_all_of_standard_input(call: Caller) -> None:
    """The text arrives as it is, then the file ends; an empty one ends at once."""
    source = "import sys; print(ascii(sys.stdin.buffer.read().decode()))"
    for text in ("", "one\r\ntwo é", "\0"):
        assert call.run(source, input=text).stdout == f"{text!a}\n"


def test_a_command_need_not_read_its_input(call: Caller) -> None:
    """It is the command's right to stop reading, and no error."""
    assert call.run("import sys; print(sys.stdin.read(3))", input="abc" * 1_000_000).stdout == "abc\n"
    assert call.run("import os; os.close(0); print(1)", input="abc" * 1_000_000).stdout == "1\n"


def test_stdin_is_a_file_or_a_descriptor(call: Caller, tmp_path: Path) -> None:
    """A file of the caller's is handed on, and stays open."""
    path = tmp_path / "input"
    path.write_text("from a file")
    with path.open() as file:
        assert call.run("import sys; print(sys.stdin.read())", stdin=file).stdout == "from a file\n"
        file.seek(0)
        assert call.run("import sys; print(sys.stdin.read())", stdin=file.fileno()).stdout == "from a file\n"
        assert not file.closed


def test_a_file_without_a_descriptor_is_no_stdin(drive: Caller, tmp_path: Path) -> None:
    """Text in memory is what `input` is for; nothing is started for it."""
    marker = tmp_path / "marker"
    with pytest.raises((TypeError, ValueError)):
        drive([sys.executable, "-c", f"open({str(marker)!r}, 'w')"], stdin=io.StringIO("text"))
    assert not marker.exists()
