"""Recordings: made with a real environment once, readable, neutral, and replayed without a process."""

import asyncio
import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from helpers.processes import children
from helpers.recordings import BOTH, calls
from helpers.waiting import DEADLINE, wait_until
from helpers.wheels import make_wheel
from venvrunner import (
    CommandError,
    CommandStoppedError,
    CommandTimeoutError,
    ExitCodeLostError,
    ExpectationError,
    FakeVenvRunner,
    InvalidCommandError,
    LockFileError,
    NoSuchPackageError,
    RecordingError,
    VenvRunner,
)
from venvrunner.testing import RecordingVenvRunner, ReplayVenvRunner, ScriptedVenvRunner


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the recording goes; the directory is not there."""
    return tmp_path / "recordings" / "calls.json"


def forbid_processes(patch: pytest.MonkeyPatch) -> None:
    """Let every start of a process fail."""
    patch.setattr(subprocess, "Popen", None)


def test_a_replay_is_as_it_was(venv: VenvRunner, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts, lines, status, and the order of lines within a stream; without a process."""
    source = "import sys; sys.stdout.buffer.write(b'  a\\r\\n\\xc3\\xa9\\xff{0}\\n\\nno end'); sys.exit(3)"

    def run(runner: Any) -> tuple[Any, ...]:
        lines: list[str] = []
        first = runner.log_run(["python", "-c", source], None, lines.append, check=False, errors="replace")
        second = asyncio.run(runner.async_log_run(["python", "-c", BOTH], None, lines.append))
        with pytest.raises(CommandError) as caught:
            runner.log_run(["python", "-c", source], errors="replace")
        return first.stdout, first.stderr, first.returncode, second.stdout, second.stderr, lines, caught.value.returncode

    with RecordingVenvRunner(venv, path) as recording:
        expected = run(recording)
    forbid_processes(monkeypatch)
    with ReplayVenvRunner(path) as replay:
        assert run(replay) == expected
        assert replay.calls[0].args == ["python", "-c", source]


def test_a_replay_is_in_the_encoding_of_its_call(venv: VenvRunner, path: Path) -> None:
    """Input and output of a call with another encoding are recorded as they are."""
    source = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"

    def run(runner: Any) -> str:
        text: str = runner.log_run(["python", "-c", source], encoding="latin-1", input="größe").stdout
        return text

    with RecordingVenvRunner(venv, path) as recording:
        assert run(recording) == "größe"
    assert run(ReplayVenvRunner(path)) == "größe"


def test_output_is_in_the_order_in_which_lines_came(venv: VenvRunner, path: Path) -> None:
    """Of one stream after the other, when the command waits in between."""
    source = "import sys\nprint('1', flush=True); input()\nprint('2', file=sys.stderr, flush=True); input()\nprint('3')"
    reader, writer = os.pipe()

    def go_on(line: str) -> None:
        os.write(writer, b"\n")

    with RecordingVenvRunner(venv, path) as recording:
        recording.log_run(["python", "-c", source], None, go_on, go_on, stdin=reader)
    os.close(reader)
    os.close(writer)
    assert calls(path)[0]["output"] == ["stdout: 1\n", "stderr: 2\n", "stdout: 3\n"]


def test_paths_are_neutral_in_the_file_and_those_of_now_in_a_replay(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Environment, working directory, temporary directory, home, and what the caller names."""
    source = "import os, sys; print(sys.prefix, os.getcwd(), os.environ['HOME'], *sys.argv[1:])"

    def run(runner: Any, project: Path) -> str:
        work = tmp_path / f"work-{project.name}"
        work.mkdir()
        args = ["python", "-c", source, str(project / "x"), tempfile.gettempdir(), "{tmp}", "{{home}"]
        text: str = runner.log_run(args, cwd=str(work), extra_env={"HOME": os.path.expanduser("~")}).stdout
        return text.replace(str(work), "WORK")

    one, two = tmp_path / "one", tmp_path / "two"
    monkeypatch.setenv("HOME", "/home/one")
    with VenvRunner.temporary() as venv:
        with RecordingVenvRunner(venv, path, paths={"project": one, "work": tmp_path / "work-one"}) as recording:
            first = run(recording, one)
        assert first.split()[0] == venv.venv_dir
    assert "/home/one" not in path.read_text()
    assert str(tmp_path) not in path.read_text()
    assert tempfile.gettempdir() not in path.read_text()
    assert calls(path)[0]["args"][3:] == ["{project}/x", "{tmp}", "{{tmp}", "{{{{home}"]

    monkeypatch.setenv("HOME", "/home/two")
    with ReplayVenvRunner(path, venv_dir="/v", paths={"project": two, "work": tmp_path / "work-two"}) as replay:
        assert run(replay, two).split() == [
            "/v",
            "WORK",
            "/home/two",
            str(two / "x"),
            tempfile.gettempdir(),
            "{tmp}",
            "{{home}",
        ]
    with pytest.raises(RecordingError, match="recorded with paths= for project, work"):
        ReplayVenvRunner(path)


def test_equal_calls_are_answered_in_their_order(venv: VenvRunner, path: Path, tmp_path: Path) -> None:
    """Each once; another `cwd` or `input` is another call."""
    source = "import os, sys; n = len(os.listdir(sys.argv[1])); open(f'{sys.argv[1]}/{n}', 'w'); print(n, sys.stdin.read())"
    (tmp_path / "counted").mkdir()

    def run(runner: Any, **options: Any) -> str:
        text: str = runner.log_run(["python", "-c", source, tmp_path / "counted"], **options).stdout
        return text

    with RecordingVenvRunner(venv, path) as recording:
        texts = [run(recording), run(recording, input="a"), run(recording, cwd="/"), run(recording)]
    assert texts == ["0 \n", "1 a\n", "2 \n", "3 \n"]
    replay = ReplayVenvRunner(path)
    assert [run(replay, cwd="/"), run(replay), run(replay, input="a"), run(replay)] == ["2 \n", "0 \n", "1 a\n", "3 \n"]
    with pytest.raises(ExpectationError, match="already given once"):
        run(replay)


def test_an_unknown_call_is_reported_with_the_nearest_one(venv: VenvRunner, path: Path) -> None:
    """And how to record again; what was recorded and not called for is told too."""
    with RecordingVenvRunner(venv, path) as recording:
        recording.log_run(["python", "-c", BOTH], cwd=tempfile.gettempdir())
    replay = ReplayVenvRunner(path)
    with pytest.raises(ExpectationError) as caught:
        replay.log_run(["python", "-c", BOTH], cwd="/")
    message = str(caught.value)
    assert f"If it is intended, record {str(path)!r} again with RecordingVenvRunner." in message
    assert f"  - cwd={tempfile.gettempdir()!r}\n  + cwd='/'" in message
    with pytest.raises(ExpectationError, match="not used"), ReplayVenvRunner(path):
        pass


def test_commands_at_once_are_recorded_and_replayed(venv: VenvRunner, path: Path) -> None:
    """From one loop and from threads; the file has them in the order of the calls."""
    count = 20

    async def gather(runner: Any) -> list[str]:
        calls = (runner.async_log_run(["python", "-S", "-c", f"print({n})"]) for n in range(count))
        return [result.stdout for result in await asyncio.gather(*calls)]

    def in_threads(runner: Any) -> list[str]:
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda n: runner.log_run(["python", "-S", "-c", f"print(-{n})"]).stdout, range(8)))

    with RecordingVenvRunner(venv, path) as recording:
        expected = asyncio.run(gather(recording)), in_threads(recording)
    assert [call["args"][-1] for call in calls(path)[:count]] == [f"print({n})" for n in range(count)]
    with ReplayVenvRunner(path) as replay:
        assert (asyncio.run(gather(replay)), in_threads(replay)) == expected


@pytest.mark.parametrize("way", ["sync", "async"])
def test_what_could_not_be_started_is_recorded_too(way: str, venv: VenvRunner, path: Path) -> None:
    """Callers probe for optional tools that way; also with a secret; what a replay refuses by itself is not recorded."""

    def run(runner: Any, *args: Any, **options: Any) -> Any:
        if way == "sync":
            return runner.log_run(*args, **options)
        return asyncio.run(runner.async_log_run(*args, **options))

    def failures(runner: Any) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for args, options in (
            (["no-such-tool", "--token=hunter2"], {"secrets": ["hunter2"]}),
            (["no-such-tool", "--token=hunter3"], {"secrets": ["hunter3"]}),
            (["python", "-c", ""], {"cwd": str(path / "none")}),
        ):
            with pytest.raises((InvalidCommandError, OSError)) as caught:
                run(runner, args, **options)
            found.append((type(caught.value), str(caught.value), getattr(caught.value, "errno", None)))
        return found

    with RecordingVenvRunner(venv, path) as recording:
        expected = failures(recording)
        for wrong in ([], ["python", 1], ["/bin/ls"]):
            with pytest.raises((ValueError, TypeError)):
                run(recording, wrong)
        with pytest.raises(TypeError):
            run(recording, ["python"], shell=True)
    assert [call["raised"][0] for call in calls(path)] == ["InvalidCommandError"] * 2 + ["FileNotFoundError"]
    with ReplayVenvRunner(path, venv_dir=venv.venv_dir) as replay:
        assert replay.resolve(["no-such-tool", "--token=hunter2"])
        assert failures(replay) == expected


def test_a_missing_command_of_this_environment_is_missing_in_a_replay(path: Path) -> None:
    """The error is that of the system, with all its parts."""
    with RecordingVenvRunner(FakeVenvRunner(), path) as recording, pytest.raises(FileNotFoundError) as real:
        recording.log_run(["no-such-tool"])
    with ReplayVenvRunner(path) as replay, pytest.raises(FileNotFoundError) as caught:
        replay.log_run(["no-such-tool"])
    assert (caught.value.args, caught.value.filename) == (real.value.args, real.value.filename)


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize(
    "options",
    [{"user": "no-such-user"}, {"group": "no-such-group"}, {"preexec_fn": lambda: 1 / 0}, {"umask": "x"}],
    ids=" ".join,
)
def test_a_start_that_fails_otherwise_is_no_command_that_hangs(options: Any, way: str, path: Path) -> None:
    """Not all that a start raises is an OSError: a user who is not there is a KeyError."""

    def failure(runner: Any) -> tuple[type, str]:
        ways: dict[str, Any] = {
            "sync": lambda: runner.log_run(["python", "-c", ""], **options),
            "async": lambda: asyncio.run(runner.async_log_run(["python", "-c", ""], **options)),
        }
        with pytest.raises((KeyError, TypeError, subprocess.SubprocessError)) as caught:
            ways[way]()
        return type(caught.value), str(caught.value)

    with RecordingVenvRunner(FakeVenvRunner(), path) as recording:
        expected = failure(recording)
    with ReplayVenvRunner(path) as replay:
        assert failure(replay) == expected


def test_an_installation_that_is_cancelled_while_it_waits_is_replayed(venv: VenvRunner, path: Path) -> None:
    """Before anything of it was started: another one has its turn."""

    async def cancelled(runner: Any, begun: asyncio.Event | None = None) -> None:
        task = asyncio.ensure_future(runner.async_install("pocket", no_index=True))
        await (asyncio.sleep(0) if begun is None else begun.wait())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def record(recording: Any) -> None:
        begun = asyncio.Event()

        async def wait(*_args: Any, **_options: Any) -> None:
            begun.set()
            await asyncio.Event().wait()

        with mock.patch.object(venv, "async_install", wait):
            await cancelled(recording, begun)

    with RecordingVenvRunner(venv, path) as recording:
        asyncio.run(record(recording))
    with ReplayVenvRunner(path) as replay:
        asyncio.run(cancelled(replay))


def test_only_a_plain_name_is_recorded(path: Path) -> None:
    """A replay stands for an environment, so it would refuse the path; said before the command runs."""
    recording = RecordingVenvRunner(FakeVenvRunner(), path)
    marker = path.parent.parent / "made"
    for command in (recording.python_executable, "./tool"):
        args = [command, "-c", f"open({str(marker)!r}, 'w')"]
        with pytest.raises(InvalidCommandError, match=r"plain name|absolute path"):
            recording.log_run(args)
        with pytest.raises(InvalidCommandError, match=r"plain name|absolute path"):
            asyncio.run(recording.async_log_run(args))
    assert not marker.exists()
    recording.save()
    assert calls(path) == []


def test_an_installation_that_fails_early_fails_in_a_replay(venv: VenvRunner, path: Path, tmp_path: Path) -> None:
    """Though the interpreter has said already what fits it."""
    lock = tmp_path / "pylock.toml"
    lock.write_text('lock-version = "1.0"\ncreated-by = "me"\nrequires-python = ">=3.99"\npackages = []\n')
    paths = {"project": tmp_path}
    with RecordingVenvRunner(venv, path, paths=paths) as recording, pytest.raises(LockFileError) as real:
        recording.install(lock=lock)
    assert calls(path)[0]["raised"][0] == "LockFileError"
    with ReplayVenvRunner(path, paths=paths) as replay, pytest.raises(LockFileError) as caught:
        replay.install(lock=lock)
    assert str(caught.value) == str(real.value)
    assert replay.installed() == venv.installed()


@pytest.mark.parametrize("way", ["callable", "callable of a coroutine", "OSError of a callable", "cancel", "decoding"])
def test_a_command_that_an_exception_ended_is_replayed(way: str, venv: VenvRunner, path: Path) -> None:
    """The same exception ends it again; what was written until then arrives first."""
    source = "import sys, time; sys.stdout.buffer.write(b'a\\n\\xff\\n'); sys.stdout.flush(); " + (
        "pass" if way == "decoding" else "time.sleep(3600)"
    )
    lines: list[str] = []

    def stop(line: str) -> None:
        lines.append(line)
        raise OSError(28, "full") if way.startswith("OSError") else LookupError

    async def cancelled(runner: Any, args: list[str]) -> None:
        ready = asyncio.Event()

        def note(line: str) -> None:
            lines.append(line)
            ready.set()

        task = asyncio.ensure_future(runner.async_log_run(args, None, note, errors="replace"))
        await ready.wait()
        task.cancel()
        await task

    def outcome(runner: Any) -> list[object]:
        lines.clear()
        args = ["python", "-c", source]
        ended: dict[str, Any] = {
            "cancel": lambda: asyncio.run(cancelled(runner, args)),
            "decoding": lambda: runner.log_run(args, None, lines.append),
            "callable of a coroutine": lambda: asyncio.run(runner.async_log_run(args, None, stop, errors="replace")),
        }
        run = ended.get(way, lambda: runner.log_run(args, None, stop, errors="replace"))
        with pytest.raises((LookupError, OSError, asyncio.CancelledError, UnicodeDecodeError)) as caught:
            run()
        return [type(caught.value), lines[:1]]

    with RecordingVenvRunner(venv, path) as recording:
        expected = outcome(recording)
    with ReplayVenvRunner(path) as replay:
        assert outcome(replay) == expected


@pytest.mark.parametrize("way", ["sync", "async", "before a line", "double"])
def test_a_command_that_was_stopped_is_recorded_as_one_that_did_not_end(way: str, venv: VenvRunner, path: Path) -> None:
    """The exception arrives as it is, and a replay delivers what was printed until then; it can be stopped too."""
    args = ["python", "-c", "import signal; print('begun', flush=True); signal.pause()"]
    silent = ["python", "-c", "import signal; signal.pause()"]
    double = ScriptedVenvRunner()
    double.answer(args, stdout="begun\n", returncode=None)

    def stop(runner: Any) -> None:
        def run() -> None:
            if way == "async":
                asyncio.run(runner.async_log_run(args, None, lambda _line: runner.stop()))
            else:
                runner.log_run(args, None, lambda _line: runner.stop())

        with pytest.raises(CommandStoppedError) as caught:
            run()
        assert caught.value.stdout == "begun\n"

    with RecordingVenvRunner(double if way == "double" else venv, path) as recording:
        if way == "before a line":

            def stop_it() -> None:
                wait_until(lambda: any(line.endswith("signal.pause() ") for line in children().values()), "it runs")
                recording.stop()

            thread = threading.Thread(target=stop_it)
            thread.start()
            with pytest.raises(CommandStoppedError):
                recording.log_run(silent)
            thread.join(DEADLINE)
        else:
            stop(recording)
    (call,) = calls(path)
    assert "raised" not in call
    assert call["returncode"] is None
    with ReplayVenvRunner(path) as replay:
        if way == "before a line":
            with pytest.raises(CommandTimeoutError):
                replay.log_run(silent, timeout=60)
        else:
            stop(replay)


def test_a_lost_exit_code_is_recorded_as_no_end(path: Path, venv: VenvRunner) -> None:
    """It is not known what the command did: its replay does not invent it."""
    args = ["python", "-c", "print('done')"]

    def steal(_number: int, _frame: object) -> None:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

    previous = signal.signal(signal.SIGCHLD, steal)
    try:
        with RecordingVenvRunner(venv, path) as recording, pytest.raises(ExitCodeLostError):
            recording.log_run(args)
    finally:
        signal.signal(signal.SIGCHLD, previous)
    (call,) = calls(path)
    assert "raised" not in call
    assert (call["output"], call["returncode"]) == (["stdout: done\n"], None)


def test_a_timeout_is_replayed_at_once(venv: VenvRunner, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the output until then."""
    args = ["python", "-c", "import time; print('begun', flush=True); time.sleep(3600)"]
    with RecordingVenvRunner(venv, path) as recording, pytest.raises(CommandTimeoutError) as real:
        recording.log_run(args, timeout=1)
    recording.save()
    assert calls(path)[0]["returncode"] is None
    with ReplayVenvRunner(path) as replay, pytest.raises(CommandTimeoutError) as caught:
        replay.log_run(args, timeout=3600)
    assert caught.value.stdout == real.value.stdout
    with ReplayVenvRunner(path) as replay:
        again = RecordingVenvRunner(replay, path)
        with pytest.raises(CommandTimeoutError):
            again.log_run(args, timeout=3600)
        again.save()
    assert calls(path)[0]["returncode"] is None


@pytest.mark.parametrize("way", ["sync", "async"])
def test_an_installation_is_replayed_with_its_receipt(way: str, path: Path, tmp_path: Path) -> None:
    """And `installed` before and after it; a failure is of the same kind; nothing of the installer's own is in the file."""
    wheel = make_wheel(tmp_path, "pocket", "3.0")

    def run(runner: Any) -> list[object]:
        found = [runner.installed()]
        if way == "sync":
            receipt = runner.install_package(str(wheel))
        else:
            receipt = asyncio.run(runner.async_install(str(wheel), no_index=True, deps=False))
        found += [receipt.added, receipt.returncode, runner.installed()]
        with pytest.raises(NoSuchPackageError) as caught:
            runner.install("no-such-thing", no_index=True)
        found += [caught.value.returncode, caught.value.stderr]
        return [*found, runner.uninstall("pocket").removed, "pocket" in runner.installed()]

    paths = {"wheels": tmp_path}
    venv = VenvRunner.temporary(installer="uv", with_pip=False)
    with venv, RecordingVenvRunner(venv, path, paths=paths) as recording:
        expected = run(recording)
    options = [] if way == "sync" else ["--no-deps", "--no-index"]
    assert calls(path)[0]["args"] == ["pip", "install", *options, f"{{wheels}}/{wheel.name}"]
    assert calls(path)[0]["installed"] == {"pocket": "3.0"}
    with ReplayVenvRunner(path, venv_dir=venv.venv_dir, paths=paths) as replay:
        assert run(replay) == expected


def test_the_rest_is_asked_of_the_runner(venv: VenvRunner, path: Path) -> None:
    """A recording stands for the runner in every other way, and records no installation where there is none."""
    recording: Any = RecordingVenvRunner(venv, path)
    assert (recording.venv_dir, recording.name, recording.top_dir) == (venv.venv_dir, venv.name, venv.top_dir)
    assert recording.installed() == venv.installed()
    with pytest.raises(AttributeError):
        _ = recording.no_such_thing
    mocked: Any = mock.create_autospec(FakeVenvRunner, instance=True)
    with pytest.raises(TypeError, match="cannot be recorded"):
        RecordingVenvRunner(mocked, path).log_run(["python"])
    fake = RecordingVenvRunner(FakeVenvRunner(), path)
    for install in (fake.install_package, fake.install, fake.uninstall):
        with pytest.raises(NotImplementedError):
            install("pocket")
