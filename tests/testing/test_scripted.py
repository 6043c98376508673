"""The scripted runner: what fits, what is strict about it, and what callers see of an answer."""

import asyncio
import contextlib
import logging
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from venvrunner import (
    CommandTimeoutError,
    ExpectationError,
    FakeVenvRunner,
    VenvRunner,
    subprocess_util,
)
from venvrunner._process.supervisor import GRACE
from venvrunner.testing import Call, ScriptedVenvRunner


@pytest.fixture(autouse=True)
def _no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here starts a process."""

    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError(args)

    monkeypatch.setattr(subprocess, "Popen", refuse)


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        (["pip", "list"], [["pip", "list"]], [["pip"], ["pip", "list", "-v"], ["pip3", "list"]]),
        (("pip", Path("a") / "b"), [["pip", "a/b"]], [["pip", "a"]]),
        (["pip", ANY], [["pip", "x"], ["pip", ""]], [["pip"], ["pip", "x", "y"]]),
        (["pip", ...], [["pip"], ["pip", "x"], ["pip", "x", "y"]], [["uv"]]),
        (["pip", ..., "--pre"], [["pip", "--pre"], ["pip", "x", "--pre"]], [["pip", "--pre", "x"]]),
        (["pip", ..., "a", ..., "b"], [["pip", "a", "b"], ["pip", "x", "a", "y", "b"]], [["pip", "b", "a"]]),
        ([re.compile(r"python3\.\d+"), ...], [["python3.12", "-V"]], [["python3.12.exe"], ["python"]]),
        (["pip", lambda arg: arg.endswith(".whl")], [["pip", "a.whl"]], [["pip", "a.zip"]]),
        ([...], [["anything", "at", "all"]], []),
    ],
)
def test_an_answer_is_for_the_calls_that_fit_it(pattern: Any, fitting: list[list[str]], others: list[list[str]]) -> None:
    """Texts, paths, regular expressions for all of an argument, functions, equal objects, and `...` for any number."""
    venv = ScriptedVenvRunner()
    venv.answer(pattern, stdout="fits", times=None)
    assert [venv.log_run(args).stdout for args in fitting] == ["fits"] * len(fitting)
    for args in others:
        with pytest.raises(ExpectationError):
            venv.log_run(args)


def test_calls_in_a_row_get_answers_in_a_row() -> None:
    """Each as often as it says; the first that is left and fits."""
    venv = ScriptedVenvRunner()
    venv.answer(["tool", "a"], stdout="1")
    venv.answer(["tool", "a"], stdout="2", times=2)
    venv.answer(["tool", ...], stdout="3", times=None)
    assert [venv.log_run(["tool", "a"]).stdout for _ in range(5)] == ["1", "2", "2", "3", "3"]


def test_an_answer_is_in_the_encoding_of_its_call() -> None:
    """Text is text whatever the call says, bytes are decoded as it says, and `input` is what was given."""
    venv = ScriptedVenvRunner()
    venv.answer(["tool"], stdout="größe", stderr="größe".encode("cp850"), times=None)
    done = venv.log_run(["tool"], encoding="cp850", input="é")
    assert (done.stdout, done.stderr) == ("größe", "größe")
    assert venv.calls[0].input == "é"
    assert venv.log_run(["tool"], errors="replace").stdout == "größe"


SOURCE = "import a\nimport c\n"
ADVICE = "Script it with answer(), or increase times= of an existing answer."


def test_an_unexpected_call_is_reported_with_the_nearest_answer() -> None:
    """As a difference, argument by argument, and source code line by line."""
    venv = ScriptedVenvRunner()
    venv.answer(["pip", "list", "--format=json"])
    venv.answer(["python", "-c", "import a\nimport b\n", ...])
    with pytest.raises(ExpectationError) as caught:
        venv.log_run(["python", "-c", SOURCE])
    assert str(caught.value).splitlines() == [
        f"the call {['python', '-c', SOURCE]!r} was not expected. {ADVICE}",
        "The nearest answer (-) and the call (+):",
        "    'python'",
        "    '-c'",
        "    'import a\\n'",
        "  - 'import b\\n'",
        "  - ...",
        "  + 'import c\\n'",
    ]


def test_the_difference_to_a_short_pattern_begins_where_it_begins() -> None:
    """Nothing is left out in front."""
    venv = ScriptedVenvRunner()
    venv.answer(["tool"])
    with pytest.raises(ExpectationError) as caught:
        venv.log_run(["tool", "-v"])
    assert str(caught.value).splitlines()[2:] == ["    'tool'", "  + '-v'"]


def test_the_difference_of_long_scripts_is_what_differs() -> None:
    """Not all of it; and where it is in what is masked, that is said."""
    venv = ScriptedVenvRunner()
    script = [f"line {number}\n" for number in range(2000)]
    venv.answer(["python", "-c", "".join(script)])
    with pytest.raises(ExpectationError) as caught:
        venv.log_run(["python", "-c", "".join([*script[:1000], "another\n", *script[1001:]])])
    told = str(caught.value).splitlines()[2:]
    assert told[0] == "  …"
    assert [line for line in told if line[2] in "-+"] == ["  - 'line 1000\\n'", "  + 'another\\n'"]
    assert len(told) < 12
    with pytest.raises(ExpectationError) as caught:
        venv.log_run(["python", "-c", "".join(sorted(script, reverse=True))])
    assert "another" not in str(caught.value)
    venv = ScriptedVenvRunner()
    venv.answer(["push", "hunter2"])
    with pytest.raises(ExpectationError, match=r"They differ only in masked credentials\."):
        venv.log_run(["push", "swordfish"], secrets=["hunter2", "swordfish"])


def test_an_answer_that_is_used_up_is_reported() -> None:
    """It is not the arguments that are wrong, but the number of calls."""
    venv = ScriptedVenvRunner()
    venv.answer(["pip", "list"], times=2)
    for _ in range(2):
        venv.log_run(["pip", "list"])
    with pytest.raises(ExpectationError, match="Its answer was already given 2 times"):
        venv.log_run(["pip", "list"])
    with pytest.raises(ExpectationError, match="There are no answers"):
        ScriptedVenvRunner().log_run(["pip", "list"])


def test_an_unexpected_call_shows_no_secret() -> None:
    """What fails in a test is printed in the log of a build."""
    with pytest.raises(ExpectationError) as caught:
        ScriptedVenvRunner().log_run(["tool", "--token=hunter2", "https://me:pw@host"], secrets=["hunter2"])
    assert "hunter2" not in str(caught.value)
    assert "pw" not in str(caught.value)


def test_the_end_of_a_block_reports_unused_answers() -> None:
    """But for answers that may be given any number of times; and not while another exception is on its way."""
    venv = ScriptedVenvRunner()
    venv.answer(["pip", "list"], times=2)
    venv.answer(["uv"], times=None)
    with pytest.raises(ExpectationError, match=r"not used\. .*\n  'pip' 'list'$"), venv:
        venv.log_run(["pip", "list"])
    with pytest.raises(LookupError), venv:
        raise LookupError
    venv.log_run(["pip", "list"])
    venv.assert_all_used()


def test_an_unexpected_call_that_was_caught_is_reported_at_the_end() -> None:
    """Code that expects a failure, and catches everything, does not hide it."""

    async def main() -> None:
        async with ScriptedVenvRunner() as venv:
            with contextlib.suppress(Exception):
                await venv.async_log_run(["tool"])

    with pytest.raises(ExpectationError, match="'tool'"):
        asyncio.run(main())


def test_calls_are_kept(tmp_path: Path) -> None:
    """With all that a command gets, in order, also those without an answer."""
    venv = ScriptedVenvRunner()
    venv.answer(["tool", ...], times=None)
    venv.log_run(("tool", tmp_path), cwd=tmp_path, input="text", extra_env={"A": "1"}, timeout=3)
    with pytest.raises(ExpectationError):
        venv.log_run(["other"])
    first, second = venv.calls
    assert first == Call(["tool", str(tmp_path)], str(tmp_path), "text", {**venv.environment(), "A": "1"}, 3.0)
    assert second == Call(["other"], None, None, venv.environment(), None)


def test_a_side_effect_comes_first() -> None:
    """A function gets the call, before any line is delivered; an exception or its class is raised."""
    seen: list[object] = []
    venv = ScriptedVenvRunner()
    venv.answer(["build"], stdout="built\n", side_effect=lambda call: seen.append(call.args))
    venv.log_run(["build"], stdout_loglevel=seen.append)
    assert seen == [["build"], "built"]
    failure = FileNotFoundError(2, "no such folder")
    venv.answer(["build"], side_effect=failure)
    with pytest.raises(FileNotFoundError) as caught:
        venv.log_run(["build"])
    assert caught.value is failure
    venv.answer(["build"], side_effect=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        venv.log_run(["build"])


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_command_that_does_not_end_is_out_of_time_at_once(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waiting, with its output; and a caller that gives it no time is told so."""
    venv = ScriptedVenvRunner()
    venv.answer(["server"], stdout="ready\nha", stderr="warning\n", returncode=None, times=None)
    lines: list[str] = []

    def run(**options: Any) -> object:
        if way == "sync":
            return venv.log_run(["server"], stdout_loglevel=lines.append, **options)
        return asyncio.run(venv.async_log_run(["server"], stdout_loglevel=lines.append, **options))

    with pytest.raises(CommandTimeoutError) as caught:
        run(timeout=3600)
    output: Any = caught.value.stdout, caught.value.stderr
    assert (output, lines) == (("ready\nha", "warning\n"), ["ready"])
    assert caught.value.__notes__ == ["The last lines of stderr:\nwarning"]
    lines.clear()
    monkeypatch.setattr("venvrunner.testing._double._CANCEL_TIMEOUT", 0)
    with pytest.raises(ExpectationError, match=r"does not end\. Pass timeout="):
        run()
    assert lines == ["ready"]


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_command_that_does_not_end_is_ended_by_its_caller(way: str) -> None:
    """By an exception of a callable; of a coroutine also by a cancel."""
    venv = ScriptedVenvRunner()
    venv.answer(["server"], stdout="ready\n", returncode=None, times=None)

    async def cancelled() -> None:
        ready = asyncio.Event()
        task = asyncio.ensure_future(venv.async_log_run(["server"], None, lambda line: ready.set()))
        await ready.wait()
        task.cancel()
        await task

    def stop(line: str) -> None:
        raise LookupError(line)

    def run() -> object:
        if way == "sync":
            return venv.log_run(["server"], None, stop)
        return asyncio.run(venv.async_log_run(["server"], None, stop))

    with pytest.raises(LookupError, match="ready"):
        run()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    venv.assert_all_used()


@pytest.mark.parametrize("way", ["no time at all", "async", "awaited by the sync call"])
def test_a_slow_callable_can_exceed_the_time(way: str) -> None:
    """As for a real command: the limit counts for the call as a whole."""
    venv = ScriptedVenvRunner()
    venv.answer(["tool"], stdout="a\nb\n")
    taken: list[str] = []

    async def never(line: str) -> None:
        taken.append(line)
        await asyncio.Event().wait()

    ways: dict[str, Any] = {
        "no time at all": lambda: venv.log_run(["tool"], stdout_loglevel=taken.append, timeout=0),
        "async": lambda: asyncio.run(venv.async_log_run(["tool"], stdout_loglevel=never, timeout=0.2)),
        "awaited by the sync call": lambda: venv.log_run(["tool"], stdout_loglevel=never, timeout=0.2),
    }
    with pytest.raises(CommandTimeoutError):
        ways[way]()
    assert taken in ([[]] if way == "no time at all" else [[], ["a"]])


def test_a_sync_call_refuses_an_awaitable_as_ever() -> None:
    """The doubles are no more lenient than the real thing."""
    venv = ScriptedVenvRunner()
    venv.answer(["tool"], stdout="a\n")

    async def take(line: str) -> None:
        pass

    with pytest.raises(TypeError, match=r"returned an awaitable\. Use an async def function, or async_log_run"):
        venv.log_run(["tool"], stdout_loglevel=lambda line: take(line))  # noqa: PLW0108  it hides that it is an async def


def test_a_cancel_finds_its_place() -> None:
    """A coroutine that runs no process can be cancelled all the same."""

    async def main() -> None:
        venv = ScriptedVenvRunner()
        venv.answer(["tool"])
        task = asyncio.create_task(venv.async_log_run(["tool"]))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_answers_are_shared_out_among_threads() -> None:
    """Each answer is given once, whoever asks."""
    venv = ScriptedVenvRunner()
    for number in range(200):
        venv.answer(["tool"], stdout=str(number))
    with venv, ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda _: venv.log_run(["tool"]).stdout, range(200)))
    assert sorted(texts, key=int) == list(map(str, range(200)))


def test_a_process_is_started_for_others_in_the_meantime(monkeypatch: pytest.MonkeyPatch) -> None:
    """A callable or a side effect of a double may run a command for real; it does not get an answer of the double."""
    monkeypatch.undo()
    venv = ScriptedVenvRunner()
    fake = FakeVenvRunner()
    texts: list[str] = []

    def run(_: object) -> None:
        texts.append(fake.log_run(["python", "-c", "print('real')"]).stdout)

    venv.answer(["tool"], stdout="a\n", side_effect=run)
    venv.log_run(["tool"], stdout_loglevel=run)
    assert texts == ["real\n", "real\n"]


def test_the_cancel_of_an_answer_takes_no_time() -> None:
    """An answer that does not end by itself is not a process: it needs no grace."""
    venv = ScriptedVenvRunner()
    venv.answer(["tool"], stdout="begun\n", returncode=None)

    async def main() -> None:
        begun = asyncio.Event()
        task = asyncio.create_task(venv.async_log_run(["tool"], None, lambda _line: begun.set()))
        await begun.wait()
        await asyncio.sleep(0)  # let it go on to wait
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    start = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - start < GRACE


def test_it_looks_like_an_environment(tmp_path: Path) -> None:
    """With the attributes of one, and nothing of it on disk."""
    venv = ScriptedVenvRunner(tmp_path / "top" / "venv")
    assert (venv.venv_dir, venv.top_dir, venv.name) == (str(tmp_path / "top" / "venv"), str(tmp_path / "top"), "venv")
    assert not isinstance(venv, VenvRunner)
    venv.answer(["tool"], returncode=3, times=None)
    with pytest.raises(subprocess_util.CalledProcessError) as caught:
        venv.log_run(["tool"])
    assert caught.value.cmd[0] == str(Path(venv.python_executable).with_name("tool"))
    assert not list(tmp_path.iterdir())


def test_answers_are_logged_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    """The same records as those of a real command."""
    caplog.set_level(logging.DEBUG, "venvrunner")
    venv = ScriptedVenvRunner("/v")
    venv.answer(["tool"], stdout="  a\n", stderr=b"b \xff\n")
    venv.log_run(["tool"], None, "info", errors="replace")
    *lines, end = caplog.messages
    assert lines == [f"Running subprocess: {venv.resolve(['tool'])!r}", "stdout:   a", "stderr: b \ufffd"]
    assert re.fullmatch(r"exit code 0 after \d+\.\d\d s", end)


@pytest.mark.parametrize(
    ("args", "options", "why"),
    [
        ("pip list", {}, "args must be a list"),
        ([], {}, "args must be a list"),
        (["a"], {"times": 0}, "times must be a positive int"),
        (["a"], {"times": "2"}, "times must be an int"),
        (["a"], {"stdout": 3}, "stdout must be a str or bytes, not int"),
        (["a"], {"stderr": None}, "stderr must be a str or bytes, not NoneType"),
        (["a"], {"returncode": "1"}, "returncode must be an int"),
        (["a"], {"side_effect": asyncio.sleep}, "would never be awaited"),
        (["a"], {"side_effect": [OSError(), None]}, "For several effects, call answer"),
        (["a"], {"side_effect": int}, "must be an exception or a function"),
    ],
)
def test_a_wrong_script_is_refused(args: Any, options: dict[str, Any], why: str) -> None:
    """At once, where the mistake is."""
    with pytest.raises((TypeError, ValueError), match=why):
        ScriptedVenvRunner().answer(args, **options)


def test_a_pattern_has_any_length_and_stays_as_it_was_given() -> None:
    """A command line of a whole project's files; a list that its owner goes on using."""
    files = [str(number) for number in range(5000)]
    args: list[object] = ["black", ..., "4999"]
    venv = ScriptedVenvRunner()
    venv.answer(args, stdout="all")
    args.append("more")
    assert venv.log_run(["black", *files]).stdout == "all"


def test_a_pattern_may_ask_the_runner() -> None:
    """Without waiting for itself."""
    venv = ScriptedVenvRunner(installed={"pocket": "1.0"})
    venv.answer(["run", lambda name: name in venv.installed()])
    assert venv.log_run(["run", "pocket"]).returncode == 0


@pytest.mark.parametrize(("returncode", "last"), [(0, "other"), (None, "dist")])
def test_a_secret_is_in_no_message(returncode: int | None, last: str) -> None:
    """Neither that of the call nor that of the answer; and what is masked in both is no difference."""
    venv = ScriptedVenvRunner()
    venv.answer(["upload", "--token=hunter2xx", "https://me:hunter3xx@host", "dist"], returncode=returncode)
    with pytest.raises(ExpectationError) as caught:
        venv.log_run(["upload", "--token=hunter2xx", "https://me:hunter3xx@host", last], secrets=["hunter2xx"])
    assert "hunter" not in str(caught.value)
    assert "- '--token" not in str(caught.value)
