"""What an exception shows: no secret in its text, its notes or its repr, and none of our frames in a report of pytest."""

import asyncio
import os
import pickle
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

import venvrunner
from helpers.callers import Caller
from venvrunner import (
    CommandError,
    CommandStoppedError,
    CommandTimeoutError,
    ExitCodeLostError,
    OutputDecodeError,
    VenvRunner,
)

TOKEN = "tok-3f9a/b+c"
URL = f"https://me:{TOKEN}@index.example/simple"


def shown(error: BaseException) -> str:
    """Return all that a traceback, a logger or a debugger shows of an exception, without the lines of source."""
    chain: list[str] = []
    current: BaseException | None = error
    while current is not None:
        chain += [
            str(current),
            repr(current),
            *getattr(current, "__notes__", []),
            *map(repr, vars(current).get("__notes__", [])),
        ]
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\n".join(chain)


FAILURES: dict[str, tuple[Any, dict[str, Any]]] = {
    "no such command": ([f"no-such-{TOKEN.replace('/', '-')}"], {}),
    "no such cwd": (["true"], {"cwd": f"/no-such/{TOKEN}"}),
    "no such user": (["true"], {"user": TOKEN}),
    "no such group": (["true"], {"group": TOKEN}),
    "exit code": (["sh", "-c", f"echo {TOKEN} >&2; exit 3"], {}),
    "timeout": (["sh", "-c", f"echo {TOKEN}; exec sleep 60"], {"timeout": 0.3}),
    "bad byte": (["sh", "-c", f"echo {TOKEN}; printf '\\377'"], {}),
    "one string": (f"echo {TOKEN}", {}),  # the mistake
    "a NUL": ([f"{TOKEN}\0"], {}),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_no_secret_leaves_a_call_in_an_exception(drive: Caller, failure: str) -> None:
    """Whatever class it is of, in any form of its text, also of what it was raised from."""
    args, options = FAILURES[failure]
    secrets = [TOKEN, TOKEN.replace("/", "-")]
    with pytest.raises(Exception) as caught:  # noqa: PT011  each has another class
        drive(args, secrets=secrets, **options)
    text = shown(caught.value)
    assert not [secret for secret in secrets if secret in text]


def test_the_output_is_not_in_the_repr_of_a_decoding_error(drive: Caller) -> None:
    """`repr(UnicodeDecodeError)` has its object, which is all of the output; ours keeps it to itself, and pickles."""
    with pytest.raises(UnicodeDecodeError) as caught:
        drive(["sh", "-c", "echo the output; printf '\\377'"])
    error = caught.value
    assert isinstance(error, OutputDecodeError)
    assert (error.object, error.start) == (b"the output\n\xff", 11)
    assert "the output" not in repr(error)
    assert str(error) == str(UnicodeDecodeError(*error.args))
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.args) == (type(error), error.args)


SUITE = """
import asyncio, pytest
from venvrunner import FakeVenvRunner, VenvRunner
from venvrunner.subprocess_util import async_log_run, lines, log_run

CALLS = [
    (["sh", "-c", "exit 3"], {}),
    (["sleep", "60"], {"timeout": 0.2}),
    (["no-such-command"], {}),
    (["true"], {"cwd": "/no-such-directory"}),
    (["true"], {"user": "no-such-user"}),
    (["true"], {"timeot": 5}),
]

def secrets():
    return {"secrets": ["tok" + "en-of-mine"], "extra_env": {"PIP_INDEX_URL": "http://me:" + "pass" + "-of-mine@host/"}}

@pytest.mark.parametrize("way", ["sync", "async", "fake", "lines"])
@pytest.mark.parametrize("number", range(len(CALLS)))
def test_call(number, way):
    args, options = CALLS[number]
    if way == "sync":
        log_run(args, **options, **secrets())
    elif way == "fake":
        FakeVenvRunner().log_run(args, **options, **secrets())
    elif way == "lines":
        list(lines(args, **options, **secrets()))
    else:
        asyncio.run(async_log_run(args, **options, **secrets()))

def test_install():
    venv = VenvRunner.open({venv})
    venv.install("no-such-package", no_index=True, **secrets())

def test_create(tmp_path):
    VenvRunner("v", tmp_path, requirements=["no-such @ http://me:" + "pass" + "-of-mine@127.0.0.1:1/x.whl"])
"""


@pytest.mark.parametrize("arguments", [[], ["--tb=long", "-vv"]], ids=["default", "long"])
def test_a_report_of_pytest_shows_no_secret_and_no_frame_of_ours(
    tmp_path: Path, venv: VenvRunner, arguments: list[str]
) -> None:
    """It shows the arguments of each frame, such as `secrets=['tok…']` and the `Popen` object of the standard library."""
    (tmp_path / "test_it.py").write_text(SUITE.replace("{venv}", repr(venv.venv_dir)))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "-p",
        "no:venvrunner",
        *arguments,
        "--basetemp",
        "basetemp",
    ]
    env = {**os.environ, "PYTHONPATH": str(Path(venvrunner.__file__).parents[1])}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert "26 failed" in done.stdout, done.stdout
    assert "token-of-mine" not in done.stdout
    assert "pass-of-mine" not in done.stdout
    package = str(Path(venvrunner.__file__).parent)
    locations = [line for line in done.stdout.splitlines() if package in line and ".py:" in line]
    # The frame that raised is the last one, which pytest never hides.
    assert len(locations) <= done.stdout.count("_ test_"), locations


def test_a_failure_has_no_frame_of_the_standard_library(drive: Caller) -> None:
    """Its local variables would show the whole command line and environment."""
    with pytest.raises(FileNotFoundError) as caught:
        drive(["no-such-command-anywhere"])
    files = {Path(frame.filename).name for frame in traceback.extract_tb(caught.value.__traceback__)}
    assert "subprocess.py" not in files
    assert caught.value.__context__ is None


# Starts that fail say what failed.


def test_a_missing_cwd_is_named_as_the_cwd(drive: Caller, tmp_path: Path) -> None:
    """The error of the system names only a path, which could be the command's."""
    with pytest.raises(FileNotFoundError, match="given as cwd= does not exist") as caught:
        drive(["true"], cwd=tmp_path / "missing")
    assert caught.value.filename == str(tmp_path / "missing")


def test_a_file_as_cwd_is_named_as_the_cwd(drive: Caller, tmp_path: Path) -> None:
    """It exists, and can't be entered."""
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="given as cwd= cannot be entered"):
        drive(["true"], cwd=tmp_path / "file")


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ("#!/no/such/python", "The interpreter '/no/such/python' that the script names does not exist"),
        ("#! /no/such/python -E", "The interpreter '/no/such/python' that the script names does not exist"),
        ("#!/bin/sh\r", "Windows line ends: convert them"),
    ],
)
@pytest.mark.parametrize("by", ["path", "PATH"])
def test_a_script_without_its_interpreter_says_so(drive: Caller, tmp_path: Path, first: str, reason: str, by: str) -> None:
    """The system reports the script as missing, which exists; the class of the error stays."""
    script = tmp_path / "script"
    script.write_bytes(f"{first}\necho hello\n".encode())
    script.chmod(0o755)
    name, env = (str(script), None) if by == "path" else ("script", {"PATH": str(tmp_path)})
    with pytest.raises(FileNotFoundError) as caught:
        drive([name], env=env)
    assert reason in str(caught.value)
    assert caught.value.filename == str(script)


def test_the_error_for_a_file_that_is_not_a_program_says_so(drive: Caller, tmp_path: Path) -> None:
    """Without '#!' the system does not know how to run it."""
    script = tmp_path / "script"
    script.write_text("echo hello\n")
    script.chmod(0o755)
    with pytest.raises(OSError, match="no '#!' line") as caught:
        drive([str(script)])
    assert caught.value.filename == str(script)


def test_the_class_and_number_of_a_failed_start_stay(drive: Caller, tmp_path: Path) -> None:
    """Callers tell a missing command from one that they may not run."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    with pytest.raises(PermissionError) as caught:
        drive([str(script)])
    assert (caught.value.errno, caught.value.filename) == (13, str(script))


def test_a_raised_stop_iteration_is_what_the_caller_gets() -> None:
    """From a sync call it is the very exception; a coroutine can't raise it (PEP 479), so it is the cause of another."""
    error = StopIteration("from the callback")

    def fail(line: str) -> None:
        raise error

    with pytest.raises(StopIteration) as caught:
        venvrunner.subprocess_util.log_run(["echo", "x"], None, fail)
    assert caught.value is error
    with pytest.raises(RuntimeError) as caught_too:
        asyncio.run(venvrunner.subprocess_util.async_log_run(["echo", "x"], None, fail))
    assert caught_too.value.__cause__ is error


def test_a_stop_iteration_leaves_an_installation_too(venv: VenvRunner) -> None:
    """The installation itself is driven by a generator."""
    error = StopIteration("from the callback")

    def fail(line: str) -> None:
        raise error

    with pytest.raises(StopIteration) as caught:
        venv.install("no-such-package", no_index=True, stderr_loglevel=fail, stdout_loglevel=fail)
    assert caught.value is error


def test_exceptions_of_commands_pickle() -> None:
    """As pytest-xdist and multiprocessing send them: class, text, output and masked text."""
    errors: list[Any] = [
        CommandError(3, ["x", TOKEN], "out", "err", shown=["x", "****"]),
        CommandTimeoutError(["x", TOKEN], 2.0, "out", "err", shown=["x", "****"], silence=True),
        CommandStoppedError(["x", TOKEN], "stop() was called", "out", "err", shown=["x", "****"]),
        ExitCodeLostError(["x", TOKEN], "ended", "out", "err", shown=["x", "****"]),
    ]
    for error in errors:
        error.add_note("a note")
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), repr(copy), vars(copy)) == (type(error), str(error), repr(error), vars(error))
        assert TOKEN not in str(copy) + repr(copy)
        assert (copy.stdout, copy.stderr, list(copy.cmd)) == ("out", "err", ["x", TOKEN])
