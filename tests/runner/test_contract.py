"""What callers of the established API rely on, in each of the six ways to run a command."""

import asyncio
import errno
import json
import logging
import os
import pickle
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from helpers.callers import Caller
from helpers.system import LINUX
from venvrunner import (
    CommandError,
    CommandTimeoutError,
    CompletedCommand,
    FakeVenvRunner,
    Runner,
    VenvRunner,
    subprocess_util,
)

BOTH = "import sys; print('  out\\t'); print(' err {0} %s', file=sys.stderr)"
"""One line on each stream, with what a careless handler would lose or format."""


class Words(list[Any]):
    """A sequence that is neither a plain list nor a tuple."""


class Collector:
    """Takes lines, in the forms that a callable can have."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)

    def method(self, line: str) -> None:
        self.lines.append(line)

    async def async_method(self, line: str) -> None:
        await asyncio.sleep(0)
        self.lines.append(line)


class AsyncCollector:
    """An object whose call is an `async def`."""

    def __init__(self, take: Collector) -> None:
        self.take = take

    async def __call__(self, line: str) -> None:
        await self.take.async_method(line)


def function(take: Collector) -> Callable[[str], Any]:
    def callback(line: str) -> None:
        take(line)

    return callback


def async_function(take: Collector) -> Callable[[str], Any]:
    async def callback(line: str) -> None:
        await take.async_method(line)

    return callback


def with_prefix(prefix: str, take: Collector, line: str) -> None:
    take.method(line)


async def async_with_prefix(prefix: str, take: Collector, line: str) -> None:
    await take.async_method(line)


FORMS: dict[str, Callable[[Collector], Callable[[str], Any]]] = {
    "function": function,
    "builtin": lambda take: take.lines.append,
    "bound method": lambda take: take.method,
    "partial": lambda take: partial(with_prefix, "x", take),
    "object": lambda take: take,
    "Mock": lambda take: Mock(side_effect=take.method),
    "async def": async_function,
    "async bound method": lambda take: take.async_method,
    "async partial": lambda take: partial(async_with_prefix, "x", take),
    "partial of an async method": lambda take: partial(take.async_method),
    "async object": AsyncCollector,
    "partial of an async object": lambda take: partial(AsyncCollector(take)),
    "AsyncMock": lambda take: AsyncMock(side_effect=take.method),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_callable_of_any_form_gets_the_bare_line(call: Caller, form: str) -> None:
    """Sync or `async def`, in `log_run` and in `async_log_run`: each line without decoration and without its end."""
    out, err = Collector(), Collector()
    result = call.run(BOTH, None, FORMS[form](out), FORMS[form](err))
    assert (out.lines, err.lines) == (["  out\t"], [" err {0} %s"])
    assert (result.stdout, result.stderr) == ("  out\t\n", " err {0} %s\n")


def test_only_the_sync_call_refuses_a_function_that_returns_an_awaitable(call: Caller) -> None:
    """The sync call can't await what it learns of too late, and says so; the async one awaits it."""
    take = Collector()

    def callback(line: str) -> Awaitable[None]:
        return take.async_method(line)

    if call.is_async:
        call.run(BOTH, None, callback)
        assert take.lines == ["  out\t"]
    else:
        with pytest.raises(TypeError, match=r"returned an awaitable\. Use an async def function, or async_log_run"):
            call.run(BOTH, None, callback)


def test_the_ready_made_callbacks_print_the_bare_line(call: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    """`stdout_callback` and `stderr_callback` print to what is `sys.stdout` and `sys.stderr` at that time."""
    call.run(BOTH, None, subprocess_util.stdout_callback, subprocess_util.stderr_callback)
    assert capsys.readouterr() == ("  out\t\n", " err {0} %s\n")
    call.run(BOTH, None, subprocess_util.stderr_callback, subprocess_util.stdout_callback)
    assert capsys.readouterr() == (" err {0} %s\n", "  out\t\n")


def test_indentation_is_kept(call: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """Only the line end is stripped, for callables and in the log: blanks, tabs and blank lines are the caller's."""
    caplog.set_level(logging.DEBUG, "venvrunner")
    take = Collector()
    source = "import sys; [f.write('  a  \\n\\n\\tb\\t\\r\\n \\x0c') for f in (sys.stdout, sys.stderr)]"
    call.run(source, None, take, "info")
    lines = ["  a  ", "", "\tb\t", " \x0c"]
    assert take.lines == lines
    assert caplog.messages[1:-1] == [f"stderr: {line}" for line in lines]


@pytest.mark.parametrize("kind", [tuple, list, Words], ids=lambda kind: kind.__name__)
def test_the_result_has_what_was_run(call: Caller, kind: Callable[[Any], Any]) -> None:
    """`args` is what the caller gave, as with `subprocess`; of a runner it is the list that was run, all of str."""
    shown = "import json, sys; print(json.dumps(sys.orig_argv))"
    args: Any = kind([*call.code(shown), Path("a") / "b", "", "c d {0} %s '\""])
    result = call(args)
    assert isinstance(result, subprocess.CompletedProcess)
    run = json.loads(result.stdout)
    assert run[3:] == [os.path.join("a", "b"), "", "c d {0} %s '\""]
    if isinstance(call.target, Runner):
        assert type(result.args) is list
        assert all(type(arg) is str for arg in result.args)
        assert result.args == run == call.target.resolve(args)
    else:
        assert result.args is args
        assert [os.fspath(arg) for arg in args] == run


def test_an_iterator_of_arguments_becomes_a_list(call: Caller) -> None:
    """What can be read only once is useless in a result."""
    result = call(iter([*call.code("pass"), Path("a")]))
    assert type(result.args) is list
    assert result.args[1:] == ["-c", "pass", "a"]


@pytest.mark.parametrize("kind", [tuple, list, Words], ids=lambda kind: kind.__name__)
def test_a_failure_has_a_list_of_str(call: Caller, kind: Callable[[Any], Any]) -> None:
    """`cmd` can be quoted and logged, whatever the caller gave; so can that of a timeout."""
    for source, options in (("raise SystemExit(3)", {}), ("import signal; signal.pause()", {"timeout": 0})):
        args: Any = kind([*call.code(source), Path("a") / "b"])
        with pytest.raises((CommandError, CommandTimeoutError)) as caught:
            call(args, **options)
        error: Any = caught.value
        cmd = error.cmd
        assert type(cmd) is list
        assert all(type(arg) is str for arg in cmd)
        assert cmd[1:] == ["-c", source, os.path.join("a", "b")]


def test_the_result_has_the_duration(call: Caller) -> None:
    """In seconds, from the start of the command to its end; the time of a callback counts while the command waits for it."""
    begun = time.monotonic()
    result = call.run("import time; time.sleep(0.2)")
    assert isinstance(result, CompletedCommand)
    assert 0.2 <= result.duration <= time.monotonic() - begun


def test_the_log_has_the_end_of_a_command(call: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """The last record, at debug, with the exit code and the seconds; after a timeout, how it ended."""
    caplog.set_level(logging.DEBUG, "venvrunner")
    for status in (0, 3):
        call.run(f"raise SystemExit({status})", check=False)
        assert re.fullmatch(rf"exit code {status} after \d+\.\d\d s", caplog.messages[-1])
        assert caplog.records[-1].levelname == "DEBUG"
    with pytest.raises(CommandTimeoutError) as caught:
        call.run("import signal; signal.pause()", timeout=0)
    assert re.fullmatch(rf"stopped after \d+\.\d\d s: {re.escape(str(caught.value))}", caplog.messages[-1])
    assert caplog.records[-1].levelname == "DEBUG"


@pytest.mark.parametrize("level", [None, "debug", Collector()], ids=["none", "name", "callable"])
def test_the_texts_are_exact_and_undecorated(call: Caller, level: Any) -> None:
    """Whatever is done with the lines, the result has each character as it was written."""
    text = "  a \r\n\n\tb\u00e9\u2028\x1b[1m\x00 \r\r\nno end\U0001f600 "
    source = "import sys; text = eval(sys.argv[1]); [f.buffer.write(text.encode()) for f in (sys.stdout, sys.stderr)]"
    result = call(call.code(source, ascii(text)), None, level, level)
    assert (result.stdout, result.stderr) == (text, text)


def test_json_of_several_megabytes_comes_back_exact(call: Caller) -> None:
    """One line of 4 MB is, to the last character, what was dumped."""
    source = "import json; print(json.dumps([{'key': n, 'text': 'é {} \\n\\t' * 250} for n in range(1500)]), end='')"
    stdout = call.run(source).stdout
    assert len(stdout) > 4_000_000
    assert stdout == json.dumps([{"key": n, "text": "é {} \n\t" * 250} for n in range(1500)])


def test_a_failed_command_is_what_callers_print(call: Caller) -> None:
    """`cmd` is a list that `shlex.join` takes, `stderr` a str, and the class is the one of `subprocess_util`."""
    args = [*call.code("import sys; print('why', file=sys.stderr); sys.exit(4)"), Path("a b")]
    with pytest.raises(subprocess_util.CalledProcessError) as caught:
        call(args)
    assert type(caught.value.cmd) is list
    assert shlex.split(shlex.join(caught.value.cmd))[1:] == [*args[1:-1], "a b"]
    assert (caught.value.returncode, caught.value.stdout, caught.value.stderr) == (4, "", "why\n")


def test_a_caught_exception_pickles(call: Caller) -> None:
    """What a worker process catches reaches its parent: same class, message, notes and output."""
    caught: list[Any] = []
    examples: list[tuple[str, dict[str, Any], type[Exception]]] = [
        ("import sys; print('out'); print('why', file=sys.stderr); sys.exit(4)", {}, CommandError),
        ("import signal; print('out', flush=True); signal.pause()", {"timeout": 1}, CommandTimeoutError),
    ]
    for source, options, kind in examples:
        with pytest.raises(kind) as info:
            call.run(source, secrets=["import"], **options)
        caught.append(info.value)
    for error in caught:
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert vars(copy) == vars(error)
        assert (str(copy), repr(copy)) == (str(error), repr(error))
        assert "import" not in str(copy)
        assert "import" in copy.cmd[-1]


def test_env_none_and_logger_none_mean_the_default(
    call: Caller, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given explicitly they are the same as not given."""
    caplog.set_level(logging.DEBUG, "venvrunner")
    monkeypatch.setenv("VENVRUNNER_AMBIENT", "1")
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    given, default = (json.loads(call.run(show, **options).stdout) for options in ({"env": None, "logger": None}, {}))
    assert given == default
    assert given["VENVRUNNER_AMBIENT"] == "1"
    assert [record.name for record in caplog.records] == ["venvrunner"] * 4


def test_cwd_goes_to_the_process(call: Caller, tmp_path: Path) -> None:
    """As a str, as a path, and bound with `partial`; the command of a venv is still found."""
    source = "import os; print(os.getcwd())"
    for cwd in (str(tmp_path), tmp_path):
        assert partial(call.run, cwd=cwd)(source).stdout == f"{tmp_path.resolve()}\n"
    assert call.run(source, cwd=None).stdout == f"{os.getcwd()}\n"


def test_a_missing_working_directory_is_named(drive: Caller, tmp_path: Path) -> None:
    """It is not mistaken for a missing command."""
    cwd = tmp_path / "no-such-directory"
    with pytest.raises(FileNotFoundError, match=r"The directory given as cwd= does not exist: '.*no-such-directory'") as caught:
        drive.run("pass", cwd=cwd)
    assert type(caught.value) is FileNotFoundError
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(cwd))


def test_a_working_directory_that_is_a_file_is_named(drive: Caller, tmp_path: Path) -> None:
    """Nor is one that can't be entered."""
    cwd = tmp_path / "file"
    cwd.touch()
    with pytest.raises(
        NotADirectoryError, match=r"The directory given as cwd= cannot be entered \(Not a directory\)"
    ) as caught:
        drive.run("pass", cwd=cwd)
    assert type(caught.value) is NotADirectoryError
    assert caught.value.filename == str(cwd)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
@pytest.mark.parametrize(
    ("first", "said"),
    [
        ("#!/no/such/interpreter", "The interpreter '/no/such/interpreter' that the script names does not exist"),
        ("#! /no/such/interpreter -x", "The interpreter '/no/such/interpreter' that the script names does not exist"),
        ("#!/bin/sh\r", r"'/bin/sh\\r' that the script names does not exist. The file has Windows line ends: convert them"),
    ],
)
@pytest.mark.parametrize("way", ["path", "PATH", "cwd", "executable"])
def test_the_error_for_a_script_without_its_interpreter_says_so(
    drive: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, first: str, said: str
) -> None:
    """The system says that the script, which exists, does not; however it was found."""
    script = tmp_path / "a-script"
    script.write_bytes(f"{first}\necho never\n".encode())
    script.chmod(0o755)
    options: dict[str, Any] = {}
    args = [str(script)]
    if way == "PATH":
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        args = ["a-script"]
    elif way == "cwd":
        args, options = ["./a-script"], {"cwd": tmp_path}
    elif way == "executable":
        args, options = ["name"], {"executable": script}
    with pytest.raises(FileNotFoundError, match=said) as caught:
        drive(args, **options)
    assert type(caught.value) is FileNotFoundError
    assert (caught.value.errno, str(caught.value.filename).endswith("a-script")) == (errno.ENOENT, True)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
def test_the_error_for_a_file_that_is_not_a_program_says_so(drive: Caller, tmp_path: Path) -> None:
    """A script without its first line, which a shell would run and the system does not."""
    script = tmp_path / "a-script"
    script.write_text("echo never\n")
    script.chmod(0o755)
    with pytest.raises(OSError, match="the file has no '#!' line and is not a program for this machine") as caught:
        drive([script])
    assert caught.value.errno == errno.ENOEXEC
    script.chmod(0o644)
    with pytest.raises(PermissionError, match=r"Permission denied: '.*a-script'"):
        drive([script])


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
def test_umask_goes_to_the_process(call: Caller) -> None:
    """The child has it, this process keeps its own."""
    before = os.umask(0o022)
    os.umask(before)
    assert call.run("import os; print(oct(os.umask(0)))", umask=0o027).stdout == "0o27\n"
    assert os.umask(before) == before


@pytest.mark.skipif(not LINUX or os.getuid() != 0, reason="only root may run commands as somebody else")
def test_user_and_group_go_to_the_process(call: Caller) -> None:
    """The child runs as another user."""
    # The environments of the tests may lie where another user can't go, so there only the group changes.
    if isinstance(call.target, VenvRunner):
        source = "import os; print(os.getgid(), os.getgroups())"
        assert call.run(source, group=65534, extra_groups=[65533]).stdout == "65534 [65533]\n"
        assert call.run(source, user="root", group="root", extra_groups=["root", 65533]).stdout == "0 [0, 65533]\n"
        for name in ("user", "group"):
            with pytest.raises(KeyError, match="no-such-name"):
                call.run("pass", **{name: "no-such-name"})
        with pytest.raises(KeyError, match="no-such-name"):
            call.run("pass", extra_groups=["no-such-name"])
    else:
        assert call(["id", "-u"], user=65534).stdout == "65534\n"
        assert call(["id", "-g"], user=65534, group=65534, extra_groups=[]).stdout == "65534\n"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
def test_descriptors_go_to_the_process(call: Caller) -> None:
    """`pass_fds` hands on a pipe of the caller's."""
    reader, writer = os.pipe()
    try:
        call.run(f"import os; os.write({writer}, b'x')", pass_fds=[writer])
        assert os.read(reader, 9) == b"x"
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("kind", ["module", "venv", "fake"])
def test_thirty_commands_at_once_on_one_runner_are_normal_use(kind: str, venv: VenvRunner, tmp_path: Path) -> None:
    """From one loop, all running at the same time, each with its own lines and its own result."""
    target: Any = {"module": subprocess_util, "venv": venv, "fake": FakeVenvRunner()}[kind]
    python = sys.executable if kind == "module" else "python"
    count = 30
    # Each one ends only when all have started.
    source = (
        "import os, sys, time; folder, name, count = sys.argv[1:]; os.mkdir(os.path.join(folder, name))\n"
        "while len(os.listdir(folder)) < int(count): time.sleep(0.02)\n"
        "print('out', name); print('err', name, file=sys.stderr)"
    )

    async def main() -> list[tuple[Any, Collector]]:
        async def one(name: str) -> tuple[Any, Collector]:
            take = Collector()
            args = [python, "-I", "-S", "-c", source, str(tmp_path), name, str(count)]
            return await target.async_log_run(args, None, take, take.async_method, timeout=120), take

        return await asyncio.gather(*(one(str(number)) for number in range(count)))

    for number, (result, take) in enumerate(asyncio.run(main())):
        assert (result.stdout, result.stderr) == (f"out {number}\n", f"err {number}\n")
        assert sorted(take.lines) == [f"err {number}", f"out {number}"]


SYNC = pytest.mark.parametrize("kind", ["module", "venv", "fake"])


def sync_target(kind: str, venv: VenvRunner) -> Caller:
    targets: dict[str, Any] = {"module": subprocess_util, "venv": venv, "fake": FakeVenvRunner()}
    return Caller(targets[kind], is_async=False, python=sys.executable if kind == "module" else "python")


@SYNC
@pytest.mark.parametrize("form", ["function", "async def"])
def test_log_run_works_inside_a_running_loop(kind: str, form: str, venv: VenvRunner) -> None:
    """As in a notebook: with sync and with `async def` callables, and the loop goes on afterwards."""
    call = sync_target(kind, venv)
    take = Collector()

    async def main() -> str:
        text: str = call.run(BOTH, None, FORMS[form](take), timeout=60).stdout
        await asyncio.sleep(0)
        return text

    assert asyncio.run(main()) == "  out\t\n"
    assert take.lines == ["  out\t"]


@SYNC
@pytest.mark.parametrize("form", ["function", "async def"])
def test_log_run_works_in_any_thread(kind: str, form: str, venv: VenvRunner) -> None:
    """Several threads at once; a sync callable is called in the thread that called."""
    call = sync_target(kind, venv)

    def one(number: int) -> None:
        take, where = Collector(), set[threading.Thread]()
        callback = FORMS[form](take)

        def noting(line: str) -> None:
            where.add(threading.current_thread())
            callback(line)

        level = noting if form == "function" else callback
        assert call.run(f"print({number})", None, level, timeout=60).stdout == f"{number}\n"
        assert take.lines == [str(number)]
        assert where <= {threading.current_thread()}

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(8)))
