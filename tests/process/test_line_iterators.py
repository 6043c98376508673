"""`lines()` and `async_lines()`: a loop over the lines of a command, whose end is the end of the command."""

import asyncio
import contextlib
import gc
import inspect
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

import venvrunner
from helpers.callers import Caller
from helpers.processes import alive
from helpers.waiting import DEADLINE, wait_until
from venvrunner import (
    CommandError,
    CommandTimeoutError,
    CompletedCommand,
    FakeVenvRunner,
    OutputDecodeError,
    VenvRunner,
    subprocess_util,
)
from venvrunner._process.supervisor import GRACE
from venvrunner.testing import RecordingVenvRunner, ReplayVenvRunner, ScriptedVenvRunner

KINDS = [f"{mode}-{target}" for target in ("module", "venv", "fake") for mode in ("sync", "async")]
TREE = "trap '' TERM; sleep 60 & echo $$ $!; while :; do echo more; sleep 0.01; done"
"""A child and a grandchild that ignore SIGTERM, say who they are, and write on."""


class Loop:
    """A loop over lines, sync or async, of a module function or a runner: `for` is a function here."""

    def __init__(self, target: Any, *, is_async: bool, python: str = "python") -> None:
        self.target = target
        self.is_async = is_async
        self.python = python

    def code(self, source: str, *args: str) -> list[str]:
        """Return a command line that runs Python source."""
        return [self.python, "-c", source, *args]

    def __call__(self, args: Any, body: Callable[[str], Any] | None = None, **options: Any) -> list[str]:
        """Run the loop; its body may raise, and returns true to leave it early. Return the lines that it got."""
        got: list[str] = []

        def handle(line: str) -> Any:
            got.append(line)
            return body is not None and body(line)

        if not self.is_async:
            with contextlib.closing(self.target.lines(args, **options)) as found:
                for line in found:
                    if handle(line):
                        break
            return got

        async def main() -> None:
            async with contextlib.aclosing(self.target.async_lines(args, **options)) as found:
                async for line in found:
                    if handle(line):
                        break
            assert asyncio.all_tasks() == {asyncio.current_task()}, "a task is left"

        asyncio.run(main())
        return got


@pytest.fixture(params=KINDS)
def loop(request: pytest.FixtureRequest, venv: VenvRunner) -> Loop:
    """Each of {lines, async_lines} x {module function, VenvRunner, FakeVenvRunner} in turn."""
    mode, _, kind = request.param.partition("-")
    targets: dict[str, Any] = {"module": subprocess_util, "venv": venv, "fake": FakeVenvRunner()}
    return Loop(targets[kind], is_async=mode == "async", python=sys.executable if kind == "module" else "python")


@pytest.fixture(params=["sync", "async"])
def plain(request: pytest.FixtureRequest) -> Loop:
    """Both functions of the module."""
    return Loop(subprocess_util, is_async=request.param == "async", python=sys.executable)


class Tree:
    """A body that learns the numbers of child and grandchild from the first line, and then does something."""

    def __init__(self, then: Callable[[], Any]) -> None:
        self.pids: list[int] = []
        self._then = then

    def __call__(self, line: str) -> Any:
        self.pids = [int(word) for word in line.split()]
        return self._then()

    @property
    def gone(self) -> bool:
        assert len(self.pids) == 2, "the tree has not grown"
        return not any(alive(pid) for pid in self.pids)


def sh(loop: Loop, script: str) -> list[str]:
    """Return a command line for a shell script that every loop can run."""
    return loop.code(f"import os; os.execvp('sh', ['sh', '-c', {script!r}])")


def raiser(error: BaseException) -> Callable[[], Any]:
    def fail() -> None:
        raise error

    return fail


# The lines.


def test_the_lines_are_those_of_standard_output(loop: Loop) -> None:
    """Without their ends, as a callback gets them: indentation, blank lines and the last one without an end."""
    source = "import sys; sys.stdout.write('  a  \\n\\n\\tb\\r\\n{0} %s\\nno end é'); print('err', file=sys.stderr)"
    assert loop(loop.code(source)) == ["  a  ", "", "\tb", "{0} %s", "no end é"]


@pytest.mark.parametrize("count", [0, 1, 100_000])
def test_every_line_is_delivered_in_order(plain: Loop, count: int) -> None:
    """From none to very many."""
    assert plain(["seq", str(count)]) == [str(number) for number in range(1, count + 1)]


def test_a_line_comes_when_it_is_printed(loop: Loop, tmp_path: Path) -> None:
    """The command waits until the body has had it."""
    gate = tmp_path / "gate"

    def body(line: str) -> None:
        if line == "first":
            gate.touch()

    source = (
        f"import os, time; print('first', flush=True)\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.005)\nprint(2)"
    )
    assert loop(loop.code(source), body, timeout=DEADLINE) == ["first", "2"]


def test_nothing_starts_before_the_first_line_is_asked_for(loop: Loop, tmp_path: Path) -> None:
    """An iterator that is never used, or closed before, runs nothing."""
    marker = tmp_path / "marker"
    args = loop.code(f"open({str(marker)!r}, 'w')")

    async def close() -> None:
        await loop.target.async_lines(args).aclose()

    if loop.is_async:
        loop.target.async_lines(args)
        asyncio.run(close())
    else:
        loop.target.lines(args)
        loop.target.lines(args).close()
    gc.collect()
    assert not marker.exists()
    assert loop(args) == []
    assert marker.exists()


def test_a_slow_body_slows_the_command(plain: Loop, tmp_path: Path) -> None:
    """What it has not taken stays in the pipe: the command can't run ahead by more than a few reads."""
    progress = tmp_path / "progress"
    source = f"""
import sys
line = "x" * 1023 + "\\n"
for number in range(20_000):
    sys.stdout.write(line)
    sys.stdout.flush()
    if number % 10 == 9:
        with open({str(progress)!r}, "w") as file:
            file.write(str(number))
"""
    seen: list[int] = []
    pause = threading.Event()

    def body(_line: str) -> bool:
        wait_until(lambda: progress.exists() and stands_still(), "the command waits")
        seen.append(int(progress.read_text()))
        return True

    def stands_still() -> bool:
        before = progress.read_text()
        pause.wait(0.2)
        return bool(before) and progress.read_text() == before

    assert len(plain(plain.code(source), body)) == 1
    assert seen[0] < 2_000, "it has written more than a pipe and a read can hold"


def test_lines_go_to_the_log_as_well(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    """At the levels that are named; by default those of standard error alone, at debug, between command and exit code."""
    caplog.set_level(logging.DEBUG, "venvrunner")
    source = "import sys; print('out'); print('err', file=sys.stderr)"
    assert loop(loop.code(source)) == ["out"]
    begin, line, end = caplog.messages
    assert begin.startswith("Running subprocess: ")
    assert (line, end.partition(" after ")[0]) == ("stderr: err", "exit code 0")
    caplog.clear()
    assert loop(loop.code(source), stdout_loglevel="info", stderr_loglevel=None) == ["out"]
    assert caplog.messages[1:-1] == ["stdout: out"]
    both: list[str] = []
    assert loop(loop.code(source), stdout_loglevel=both.append, stderr_loglevel=both.append) == ["out"]
    assert sorted(both) == ["err", "out"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"merge_stderr": True}, ["a\rb", "c"]),
        ({"carriage_return": "line"}, ["a", "b"]),
        ({"errors": "replace", "keep": 0}, ["a\rb"]),
        ({"input": "ignored", "cwd": "/", "extra_env": {"A": "1"}}, ["a\rb"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_the_options_are_those_of_log_run(loop: Loop, options: dict[str, Any], expected: list[str]) -> None:
    """With the same meaning."""
    source = "import os; os.write(1, b'a\\rb\\n'); os.write(2, b'c\\n')"
    assert loop(loop.code(source), **options) == expected


@pytest.mark.parametrize(
    ("args", "options", "kind"),
    [
        ([], {}, ValueError),
        ("python", {}, TypeError),
        (["python"], {"timeout": -1}, ValueError),
        (["python"], {"shell": True}, TypeError),
        (["python"], {"no_such_keyword": 1}, TypeError),
        (["python"], {"stdout_loglevel": "loud"}, ValueError),
        (["python"], {"errors": "no-such-handler"}, ValueError),
    ],
    ids=repr,
)
def test_a_wrong_argument_is_refused_by_the_call_itself(
    loop: Loop, args: Any, options: dict[str, Any], kind: type[Exception]
) -> None:
    """Not by the first line, which may be asked for somewhere else."""
    call = loop.target.async_lines if loop.is_async else loop.target.lines
    with pytest.raises(kind):
        call(args, **options)


@pytest.mark.parametrize("name", ["lines", "async_lines"])
def test_logger_and_levels_are_keywords(name: str) -> None:
    """And runners have the same ones as the functions of the module."""
    function = getattr(subprocess_util, name)
    signature = inspect.signature(function)
    first, *others = signature.parameters.values()
    assert first.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert all(one.kind in {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD} for one in others)
    for cls in (VenvRunner, FakeVenvRunner, ScriptedVenvRunner, ReplayVenvRunner, RecordingVenvRunner):
        _self, *parameters = inspect.signature(getattr(cls, name)).parameters.values()
        assert parameters == [first, *others], cls


# The end.


def test_the_value_of_the_generator_is_the_result(venv: VenvRunner) -> None:
    """What `log_run` would return, for `yield from`; the last 65,536 bytes of the output are kept."""

    def use(target: Any, args: list[str], **options: Any) -> Generator[str, None, Any]:
        return (yield from target.lines(args, **options))

    for target, python in ((subprocess_util, sys.executable), (venv, "python"), (FakeVenvRunner(), "python")):
        for options, size in (({}, 1 << 16), ({"keep": 10}, 10), ({"keep": None}, 100_000)):
            generator = use(target, [python, "-c", "import sys; print('x' * 99_999); sys.exit(3)"], check=False, **options)
            assert next(generator) == "x" * 99_999
            with pytest.raises(StopIteration) as caught:
                next(generator)
            result = caught.value.value
            assert isinstance(result, CompletedCommand)
            assert (result.returncode, len(result.stdout), result.stderr) == (3, size, "")
            assert result.args[1] == "-c"
            assert result.duration > 0


def test_a_command_without_a_line_has_a_result(venv: VenvRunner) -> None:
    """The generator ends at once, with its value."""
    for target in (venv, FakeVenvRunner()):
        with pytest.raises(StopIteration) as caught:
            next(target.lines(["python", "-c", "pass"]))
        assert caught.value.value.returncode == 0


def test_a_failure_is_raised_after_the_last_line(loop: Loop) -> None:
    """As by `log_run`; the lines have come before. With `check=False` there is none."""
    source, got = "import sys; print('out'); sys.exit('why')", list[str]()
    with pytest.raises(CommandError) as caught:
        loop(loop.code(source), got.append)
    assert got == ["out"]
    error = caught.value
    assert (error.returncode, error.stdout, error.stderr) == (1, "out\n", "why\n")
    assert error.__notes__ == ["The last lines of stderr:\nwhy"]
    assert loop(loop.code(source), check=False) == ["out"]


def test_a_bad_byte_is_raised_after_the_last_line(loop: Loop) -> None:
    """The line comes with its escape first."""
    source, got = "import os; os.write(1, b'bad \\xff\\nmore\\n')", list[str]()
    with pytest.raises(OutputDecodeError):
        loop(loop.code(source), got.append)
    assert got == ["bad \\xff", "more"]
    assert loop(loop.code(source), errors="replace") == ["bad \ufffd", "more"]


@pytest.mark.parametrize("options", [{"timeout": 1}, {"silence_timeout": 1}], ids=lambda options: next(iter(options)))
def test_a_timeout_is_raised_by_the_loop(loop: Loop, options: dict[str, float]) -> None:
    """With what was read until then; the lines have come before."""
    got: list[str] = []
    with pytest.raises(CommandTimeoutError) as caught:
        loop(sh(loop, "echo begun; exec sleep 60"), got.append, **options)
    error: Any = caught.value
    assert (got, error.stdout) == (["begun"], "begun\n")
    assert error.silence == ("silence_timeout" in options)


def test_the_time_is_up_while_the_body_is_slow(plain: Loop) -> None:
    """Its time counts; the timeout is raised where the next line is asked for."""
    got: list[str] = []

    def slow(line: str) -> None:
        got.append(line)
        if len(got) == 1:
            time.sleep(1.2)

    with pytest.raises(CommandTimeoutError):
        plain(["sh", "-c", "echo 1; echo 2; exec sleep 60"], slow, timeout=1)
    assert got[0] == "1"


@pytest.mark.parametrize("level", ["callable", "missing command"])
def test_what_is_raised_inside_comes_out_of_the_loop(plain: Loop, level: str) -> None:
    """The exception of a callback, as it is; and that of the start."""
    error = LookupError("from the callback")
    if level == "missing command":
        with pytest.raises(FileNotFoundError, match="there-is-no-such-command"):
            plain(["there-is-no-such-command"])
        return
    tree = Tree(raiser(error))
    with pytest.raises(LookupError) as caught:
        plain(["sh", "-c", TREE], stdout_loglevel=tree, grace=0.1)
    assert caught.value is error
    assert tree.gone


# Leaving early.


def test_a_break_ends_the_command(loop: Loop) -> None:
    """With all that it started, when the iterator is closed; no exception comes of it."""
    tree = Tree(lambda: True)
    assert len(loop(sh(loop, TREE), tree, grace=0.1)) == 1
    assert tree.gone


@pytest.mark.parametrize("error", [LookupError("from the body"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_an_exception_in_the_body_ends_the_command(plain: Loop, error: BaseException) -> None:
    """It propagates as it is; the iterator is closed by `closing`, or as below."""
    tree = Tree(raiser(error))
    with pytest.raises(type(error)) as caught:
        plain(["sh", "-c", TREE], tree, grace=0.1)
    assert caught.value is error
    assert tree.gone


@pytest.mark.parametrize("kind", ["module", "venv", "fake"])
def test_a_plain_for_loop_needs_no_closing(kind: str, venv: VenvRunner) -> None:
    """Python closes a generator as soon as the last reference to it goes: at the break, if the loop has the only one."""
    target: Any = {"module": subprocess_util, "venv": venv, "fake": FakeVenvRunner()}[kind]
    caller = Caller(target, is_async=False, python=sys.executable if kind == "module" else "python")
    tree = Tree(lambda: True)
    for line in target.lines(caller.code(f"import os; os.execvp('sh', ['sh', '-c', {TREE!r}])"), grace=0.1):
        if tree(line):
            break
    assert tree.gone


@pytest.mark.parametrize("kind", ["module", "venv", "fake"])
@pytest.mark.parametrize("way", ["turns", "end of the loop"])
def test_an_async_loop_without_closing_ends_the_command_too(kind: str, way: str, venv: VenvRunner) -> None:
    """The event loop closes what is left of an async generator: at its next turns, or when it ends itself."""
    target: Any = {"module": subprocess_util, "venv": venv, "fake": FakeVenvRunner()}[kind]
    caller = Caller(target, is_async=True, python=sys.executable if kind == "module" else "python")
    tree = Tree(lambda: True)

    async def main() -> None:
        async for line in target.async_lines(caller.code(f"import os; os.execvp('sh', ['sh', '-c', {TREE!r}])"), grace=0.1):
            if tree(line):
                break
        end = time.monotonic() + DEADLINE
        while way == "turns" and not tree.gone:
            assert time.monotonic() < end, "it is still there"
            await asyncio.sleep(0.01)

    asyncio.run(main())
    # A loop that ends may cancel the task that closes the generator before its first step: then all is killed at once.
    wait_until(lambda: tree.gone, "the tree is gone", 2)


def test_leaving_early_is_polite_first(loop: Loop, tmp_path: Path) -> None:
    """The command has its grace, and its first signal."""
    ended = tmp_path / "ended"
    script = f"trap 'echo done > {ended}; exit 0' TERM; echo begun; while :; do sleep 0.01; done"
    assert loop(sh(loop, script), lambda _line: True, grace=DEADLINE) == ["begun"]
    assert ended.read_text() == "done\n"


def test_a_cancel_inside_the_loop_ends_the_command() -> None:
    """While it waits for a line, and while the body does something else."""

    async def main(*, is_busy: bool) -> None:
        tree, begun = Tree(lambda: None), asyncio.Event()

        async def run() -> None:
            async with contextlib.aclosing(subprocess_util.async_lines(["sh", "-c", TREE], grace=0.1)) as found:
                async for line in found:
                    if not tree.pids:
                        tree(line)
                    begun.set()
                    if is_busy:
                        await asyncio.Event().wait()

        task = asyncio.create_task(run())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert tree.gone

    for is_busy in (False, True):
        asyncio.run(main(is_busy=is_busy))


def test_other_tasks_get_their_turn() -> None:
    """A fast command does not keep a loop to itself."""

    async def main() -> int:
        turns, is_done = 0, False

        async def count() -> None:
            nonlocal turns
            while not is_done:
                turns += 1
                await asyncio.sleep(0)

        counter = asyncio.create_task(count())
        total = 0
        async with contextlib.aclosing(subprocess_util.async_lines(["seq", "300000"])) as found:
            async for _line in found:
                total += 1
        is_done = True
        await counter
        assert total == 300_000
        return turns

    assert asyncio.run(main()) > 5


def test_several_loops_at_once(venv: VenvRunner) -> None:
    """Of one runner, on one loop and in turn in one thread: each has its own lines."""

    async def one(number: int) -> list[str]:
        return [line async for line in venv.async_lines(["python", "-c", f"print({number}); print({number})"])]

    async def main() -> list[list[str]]:
        return await asyncio.gather(*(one(number) for number in range(10)))

    assert asyncio.run(main()) == [[str(number)] * 2 for number in range(10)]
    commands = [venv.lines(["python", "-c", f"for n in range(3): print({number}, n)"]) for number in range(3)]
    assert [list(row) for row in zip(*commands, strict=True)] == [[f"{number} {n}" for number in range(3)] for n in range(3)]


def test_the_body_may_run_commands(loop: Loop) -> None:
    """Of the same runner, in any way; it is on its own, also where a double answers the command of the loop."""
    target = loop.target
    texts: list[str] = []

    def body(line: str) -> None:
        if loop.is_async:
            return
        texts.append(target.log_run(loop.code(f"print('inner', {line!r})")).stdout)
        texts.extend(target.lines(loop.code(f"print('more', {line!r})")))

    assert loop(loop.code("print(1); print(2)"), body) == ["1", "2"]
    assert texts == ([] if loop.is_async else ["inner 1\n", "more 1", "inner 2\n", "more 2"])


def test_a_loop_may_run_in_any_thread(plain: Loop) -> None:
    """And be closed there."""
    outcomes: list[object] = []

    def work() -> None:
        tree = Tree(lambda: True)
        plain(["sh", "-c", TREE], tree, grace=0.1)
        outcomes.append(tree.gone)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(DEADLINE)
    assert outcomes == [True]


def test_a_generator_may_go_on_in_another_thread() -> None:
    """As a framework that calls sync generators from a pool does; and it can be closed in a third one."""
    found = subprocess_util.lines(["sh", "-c", TREE], grace=0.1)
    tree = Tree(lambda: None)
    seen: list[str] = []

    def in_thread(action: Callable[[], Any]) -> None:
        thread = threading.Thread(target=action)
        thread.start()
        thread.join(DEADLINE)
        assert not thread.is_alive()

    in_thread(lambda: tree(next(found)))
    in_thread(lambda: seen.append(next(found)))
    in_thread(found.close)
    assert seen == ["more"]
    assert tree.gone


def test_a_venv_stays_in_use_until_the_loop_ends(tmp_path: Path) -> None:
    """What it runs needs it: it can't be deleted meanwhile."""
    with VenvRunner("used", tmp_path, with_pip=False) as venv:
        found = venv.lines(["python", "-c", "import signal; print('begun', flush=True); signal.pause()"])
        assert next(found) == "begun"
        found.close()
        venv.delete()
    assert not (tmp_path / "used").exists()


# Doubles.


@pytest.fixture(params=["scripted", "replay", "recording", "recording of a double"])
def double(request: pytest.FixtureRequest, venv: VenvRunner, tmp_path: Path) -> Any:
    """A runner of each kind that starts nothing, or records what is started."""
    args = ["python", "-c", "print('one'); print('two'); raise SystemExit(3)"]

    def scripted() -> ScriptedVenvRunner:
        runner = ScriptedVenvRunner(tmp_path / "scripted")
        runner.answer(args, stdout="one\ntwo\n", returncode=3, times=None)
        return runner

    if request.param == "scripted":
        return scripted()
    if request.param == "recording":
        return RecordingVenvRunner(venv, tmp_path / "recording.json")
    if request.param == "recording of a double":
        return RecordingVenvRunner(scripted(), tmp_path / "recording.json")
    with RecordingVenvRunner(venv, tmp_path / "recording.json") as recording:
        for _time in range(3):
            recording.log_run(args, check=False)
    return ReplayVenvRunner(tmp_path / "recording.json")


ARGS = ["python", "-c", "print('one'); print('two'); raise SystemExit(3)"]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_double_has_lines_too(double: Any, mode: str) -> None:
    """In the same way, with the same result, exceptions and early end."""
    loop, got = Loop(double, is_async=mode == "async"), list[str]()
    assert loop(ARGS, check=False) == ["one", "two"]
    with pytest.raises(CommandError) as caught:
        loop(ARGS, got.append)
    assert (got, caught.value.returncode, caught.value.stdout) == (["one", "two"], 3, "one\ntwo\n")
    assert loop(ARGS, lambda _line: True) == ["one"]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_loop_over_lines_is_recorded(venv: VenvRunner, tmp_path: Path, mode: str) -> None:
    """As a call of `log_run` is: it can be replayed in either way, and one that was left early too."""
    path = tmp_path / "recording.json"
    endless = ["python", "-c", "import signal; print('begun', flush=True); signal.pause()"]

    def use(runner: Any, mode: str) -> list[list[str]]:
        loop = Loop(runner, is_async=mode == "async")
        return [loop(ARGS, check=False), loop(endless, lambda _line: True)]

    with RecordingVenvRunner(venv, path) as recording:
        assert use(recording, mode) == [["one", "two"], ["begun"]]
    for replayed in ("sync", "async"):
        with ReplayVenvRunner(path) as replay:
            assert use(replay, replayed) == [["one", "two"], ["begun"]]
    with ReplayVenvRunner(path) as replay:
        assert replay.log_run(ARGS, check=False).stdout == "one\ntwo\n"
        with pytest.raises(CommandTimeoutError):
            replay.log_run(endless, timeout=60)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_leaving_a_double_early_takes_no_time(tmp_path: Path, mode: str) -> None:
    """No process has to be waited for, also if the answer never ends by itself."""
    runner = ScriptedVenvRunner(tmp_path / "scripted")
    runner.answer(["tool"], stdout="one\ntwo\n", returncode=None)
    begun = time.monotonic()
    assert Loop(runner, is_async=mode == "async")(["tool"], lambda _line: True) == ["one"]
    assert time.monotonic() - begun < GRACE


def test_the_body_of_a_loop_over_a_double_is_on_its_own(tmp_path: Path) -> None:
    """A command that it runs elsewhere does not get an answer of the double."""
    runner = ScriptedVenvRunner(tmp_path / "scripted")
    runner.answer(["tool"], stdout="one\ntwo\n")
    fake = FakeVenvRunner()
    for line in runner.lines(["tool"]):
        assert fake.log_run(["python", "-c", f"print('real', {line!r})"]).stdout == f"real {line}\n"


def test_iterators_are_what_they_are_typed_as() -> None:
    """Generators, so that they can be closed."""
    found: Iterator[str] = subprocess_util.lines(["true"])
    assert isinstance(found, Generator)
    more: AsyncIterator[str] = subprocess_util.async_lines(["true"])
    assert isinstance(more, AsyncGenerator)


LEFT_OPEN = """
import asyncio, sys
from venvrunner import FakeVenvRunner
from venvrunner.subprocess_util import async_lines

KEPT = []

async def main():
    for lines in (async_lines, FakeVenvRunner().async_lines):
        iterator = lines(["sh", "-c", "echo $$; exec sleep 60"], grace=0.1)
        KEPT.append(iterator)
        print(await anext(iterator), flush=True)

"""


@pytest.mark.parametrize("run", ["asyncio.run(main())", "__import__('uvloop').run(main())"], ids=["asyncio", "uvloop"])
def test_a_loop_that_ends_closes_its_iterators_in_silence(run: str) -> None:
    """It closes all async generators at once that it knows; the inner ones are ours to close."""
    if "uvloop" in run:
        pytest.importorskip("uvloop")
    env = {**os.environ, "PYTHONPATH": str(Path(str(venvrunner.__file__)).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", LEFT_OPEN + run], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2
    wait_until(lambda: not any(map(alive, pids)), "the commands are left")


def test_an_iterator_that_is_left_at_the_exit_is_closed() -> None:
    """Its program ends, and so does the command."""
    source = """
from venvrunner.subprocess_util import lines
iterator = lines(["sh", "-c", "echo $$; exec sleep 60"], grace=0.1)
print(next(iterator), flush=True)
"""
    env = {**os.environ, "PYTHONPATH": str(Path(str(venvrunner.__file__)).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", source], env=env, capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    wait_until(lambda: not alive(int(done.stdout)), "the command is left")
