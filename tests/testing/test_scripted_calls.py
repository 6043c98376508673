"""Doubles answer calls of functions: by a script, and by a recording."""

import asyncio
import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from helpers.recordings import calls
from venvrunner import CallError, CommandTimeoutError, ExpectationError, RecordingError, Runner, VenvRunner
from venvrunner.testing import RecordingVenvRunner, ReplayVenvRunner, ScriptedVenvRunner

Call = Callable[..., Any]


def way(runner: Runner, name: str) -> Call:
    """Return one of the two methods as a plain function."""
    if name == "call":
        return runner.call

    def call(*args: Any, **keywords: Any) -> Any:
        return asyncio.run(runner.async_call(*args, **keywords))

    return call


@pytest.fixture(params=["call", "async_call"])
def name(request: pytest.FixtureRequest) -> str:
    """Each of both methods in turn."""
    text: str = request.param
    return text


def test_a_call_gets_the_value_that_the_script_says(name: str) -> None:
    """As a real one would return it: a tuple is a list."""
    with ScriptedVenvRunner() as venv:
        venv.answer_call("tools:build", "docs", 2, returns={"pages": (1, 2)}, kwargs={"strict": True}, stdout="built\n")
        lines: list[str] = []
        assert way(venv, name)("tools:build", "docs", 2, strict=True, stdout_loglevel=lines.append) == {"pages": [1, 2]}
        assert lines == ["built"]
        assert venv.calls[0].args == ["python", "tools:build", '"docs"', "2", "strict=true"]


def test_a_call_fails_as_the_script_says(name: str) -> None:
    """With the exception as the cause if it is pickled, as in a real environment."""
    with ScriptedVenvRunner() as venv:
        venv.answer_call("tools:build", raises=FileNotFoundError("no docs"), stderr="looking\n", times=2)
        venv.answer_call("tools:check", raises=json.JSONDecodeError("bad", "", 0))
        venv.answer_call("tools:empty", raises=KeyError)
        call = way(venv, name)
        with pytest.raises(CallError, match=r"^tools:build raised FileNotFoundError: no docs\.") as caught:
            call("tools:build")
        assert (caught.value.remote_type, caught.value.returncode, caught.value.stderr) == ("FileNotFoundError", 1, "looking\n")
        assert caught.value.__cause__ is None
        with pytest.raises(CallError) as pickled:
            call("tools:build", pickle=True)
        assert isinstance(pickled.value.__cause__, FileNotFoundError)
        with pytest.raises(CallError, match=r"raised json\.decoder\.JSONDecodeError: bad"):
            call("tools:check")
        with pytest.raises(CallError, match=r"raised KeyError\."):
            call("tools:empty")


def test_arguments_match_by_patterns() -> None:
    """Equal values, regular expressions for text, functions, and objects that say what they are equal to."""
    with ScriptedVenvRunner() as venv:
        venv.answer_call("m:f", re.compile("a+"), returns="text")
        venv.answer_call("m:f", lambda value: value == 5, returns="function")
        venv.answer_call("m:f", {"x": ANY}, returns="inner")
        venv.answer_call("m:f", ANY, 1, returns="any")
        venv.answer_call("m:f", kwargs={"x": ANY, "y": ..., "z": 1}, returns="keywords")
        venv.answer_call("m:f", "first", ..., returns="rest")
        venv.answer_call("m:f", {1, 2}, returns="set")
        assert venv.call("m:f", "aaa") == "text"
        assert venv.call("m:f", 5) == "function"
        assert venv.call("m:f", {"x": [1]}) == "inner"
        assert venv.call("m:f", "x", 1) == "any"
        assert venv.call("m:f", x=1, y=2, z=1) == "keywords"
        assert venv.call("m:f", "first", 2, three=3) == "rest"
        venv.answer_call("m:f", lambda text: text == "{1, 2}", returns="shown")
        assert venv.call("m:f", {1, 2}, pickle=True) == "shown"
        venv._answers.clear()
        venv.answer_call("m:f", re.compile("b"), kwargs={"w": ..., "x": re.compile("c")})
        with pytest.raises(
            ExpectationError, match=r"the call \['python', 'm:f', '\"b\"', 'w=1', 'y=2'\] was not expected"
        ) as caught:
            venv.call("m:f", "b", w=1, y=2)
        assert "  - re.compile('b')\n  - w=...\n  - x=re.compile('c')" in str(caught.value)
        venv._unexpected.clear()
        venv._answers.clear()


def test_a_value_is_refused_as_by_a_real_environment() -> None:
    """If JSON cannot carry it; with pickle it is the same object."""
    with ScriptedVenvRunner() as venv:
        venv.answer_call("m:f", returns={"a": {1}}, times=2)
        venv.answer_call("m:f", returns={1: 2})
        with pytest.raises(CallError, match=r"m:f returned a value that JSON cannot carry: value\['a'\] is a set\. Return"):
            venv.call("m:f")
        assert venv.call("m:f", pickle=True) == {"a": {1}}
        with pytest.raises(CallError, match="value has the key 1, which is an int"):
            venv.call("m:f")


def test_a_function_is_matched_by_its_name() -> None:
    """Its source is not compared; the checks are those of a real call."""

    def build(x: Any) -> Any:
        return x

    with ScriptedVenvRunner() as venv:
        venv.answer_call(build, 1, returns=2)
        assert venv.call(build, 1) == 2
        with pytest.raises(ValueError, match="is not the name of a function"):
            venv.answer_call("m.f")
        with pytest.raises(ValueError, match="is not the name of a function"):
            venv.call("m.f")


def test_an_answer_to_the_command_line_is_no_value() -> None:
    """But it can end the call in other ways."""
    with ScriptedVenvRunner() as venv:
        venv.answer(["python", "m:f"], returncode=3, stderr="why\n")
        venv.answer(["python", "m:g"], returncode=None)
        with pytest.raises(
            CallError, match=r"^m:f returned no value\. Its process returned non-zero exit status 3\."
        ) as caught:
            venv.call("m:f")
        assert caught.value.__notes__ == ["The last lines of stderr:\nwhy"]
        with pytest.raises(CommandTimeoutError):
            venv.call("m:g", timeout=5)


def test_a_callback_of_a_call_may_make_another() -> None:
    """Each has its own value."""
    with ScriptedVenvRunner() as venv:
        venv.answer_call("m:outer", returns=1, stdout="x\n")
        venv.answer_call("m:inner", returns=2)
        venv.answer(["tool"])
        found: list[Any] = []

        def more(_line: str) -> None:
            venv.log_run(["tool"])
            found.append(venv.call("m:inner"))

        assert venv.call("m:outer", stdout_loglevel=more) == 1
        assert found == [2]


def test_calls_are_recorded_and_replayed(name: str, venv: VenvRunner, tmp_path: Path) -> None:
    """Values, failures and output; paths and secrets in them as everywhere in a recording."""
    path = tmp_path / "calls.json"

    def work(what: Any, token: Any = "") -> Any:
        import sys

        print("working on", what)
        if what == "bad":
            raise ValueError("bad " + token)
        if what == "gone":
            import os

            os._exit(4)
        return {sys.prefix: [what, token, None, float("inf")]}

    def run(runner: Runner, prefix: str, token: str) -> None:
        call = way(runner, name)
        assert call(work, "good", secrets=iter(["hunter2"]), token="hunter2") == {prefix: ["good", token, None, float("inf")]}
        with pytest.raises(CallError) as caught:
            call(work, "bad", secrets=["hunter2"], token="hunter2")
        assert (caught.value.remote_type, caught.value.stdout) == ("ValueError", "working on bad\n")
        assert caught.value.remote_message == f"bad {token}"
        assert 'raise ValueError("bad " + token)' in caught.value.__notes__[0]
        with pytest.raises(CallError, match=r"returned no value\. Its process returned non-zero exit status 4"):
            call(work, "gone")

    with RecordingVenvRunner(venv, path) as recording:
        run(recording, venv.venv_dir, "hunter2")
        with pytest.raises(ValueError, match="pickle=True cannot be recorded"):
            way(recording, name)(work, "x", pickle=True)
    first = calls(path)[0]
    assert first["args"] == ["python", f"{__name__}:work", '"good"', 'token="****"']
    assert first["returned"] == {"{venv}": ["good", "****", None, float("inf")]}
    assert "hunter2" not in path.read_text(encoding="utf-8")
    with ReplayVenvRunner(path, venv_dir="/elsewhere/venv") as replay:
        run(replay, "/elsewhere/venv", "****")


def test_a_recorded_double_is_recorded(tmp_path: Path) -> None:
    """Its values too, although it runs nothing."""
    path = tmp_path / "calls.json"
    with ScriptedVenvRunner() as venv, RecordingVenvRunner(venv, path) as recording:
        venv.answer_call("m:f", returns=[(1, 2)])
        assert recording.call("m:f") == [[1, 2]]
    with ReplayVenvRunner(path) as replay:
        assert replay.call("m:f") == [[1, 2]]


def test_a_damaged_report_is_refused(tmp_path: Path, venv: VenvRunner) -> None:
    """As is every other part of a recording."""
    path = tmp_path / "calls.json"
    with RecordingVenvRunner(venv, path) as recording, pytest.raises(CallError):
        recording.call("json:loads", "{")
    whole = json.loads(path.read_text(encoding="utf-8"))
    whole["calls"][0]["failed"]["headline"] = 5
    path.write_text(json.dumps(whole), encoding="utf-8")
    with pytest.raises(RecordingError, match="5 is not a str"):
        ReplayVenvRunner(path)


def test_all_ways_to_call_have_one_signature() -> None:
    """Of real runners and of doubles, sync and async."""

    def parameters(function: Callable[..., Any]) -> Any:
        return inspect.signature(function, eval_str=True).parameters

    expected = parameters(Runner.call)
    for cls in (Runner, VenvRunner, ScriptedVenvRunner, RecordingVenvRunner, ReplayVenvRunner):
        assert parameters(cls.call) == parameters(cls.async_call) == expected
        assert inspect.iscoroutinefunction(cls.async_call)
