"""The file between a call and its process: each of its forms, and what is no outcome."""

import builtins
import contextlib
import io
import json
import linecache
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from venvrunner import CallError, FakeVenvRunner, Runner
from venvrunner._call import exchange, program, report_program
from venvrunner._call.exchange import Exchange, NamedFile, UnnamedFile, parsed
from venvrunner._call.request import Reply, Request
from venvrunner._process import unnamed_files


def request(**options: Any) -> Request:
    return Request("posixpath:join", ("a", "b"), None, options, pickle=False)


class NamedRunner(FakeVenvRunner):
    """The fake, with the file that Windows has."""

    def _exchange(self, request: Request) -> Exchange:
        return NamedFile(request)


@pytest.fixture(params=[FakeVenvRunner, NamedRunner])
def runner(request: pytest.FixtureRequest) -> Runner:
    """Each form of the file in turn."""
    made: Runner = request.param()
    return made


def test_a_call_works_through_each_form(runner: Runner) -> None:
    """Values and failures."""

    def double(x: Any) -> Any:
        return x * 2

    assert runner.call(double, [1], pickle=True) == [1, 1]
    with pytest.raises(CallError, match="TypeError"):
        runner.call(double, None)


def test_a_named_file_is_private_and_gone_after_the_call(tmp_path: Path) -> None:
    """And no outcome is made up if it is gone before."""
    with NamedFile(request()) as file:
        directory = Path(file.args[3]).parent
        if sys.platform != "win32":
            assert directory.stat().st_mode & 0o77 == 0
        assert file._reply() is None
        Path(file.args[3]).unlink()
        assert file._reply() is None
    assert not directory.exists()


@pytest.mark.parametrize("kind", [NamedFile, UnnamedFile])
def test_a_full_disk_leaves_nothing(kind: type[Exchange], monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is that of the system."""

    def full(*_args: Any, **_options: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exchange, "write_all", full)
    monkeypatch.setattr(exchange, "open", full, raising=False)
    with pytest.raises(OSError, match="No space left"), kind(request()):
        pass


def test_without_memory_files_a_temporary_file_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS, and in a sandbox; but if no descriptor is left, there is none for that either."""

    def refuse(number: int) -> Callable[..., int]:
        def memfd_create(*_args: Any) -> int:
            raise OSError(number, "refused")

        return memfd_create

    monkeypatch.setattr(os, "memfd_create", refuse(38), raising=False)
    assert FakeVenvRunner().call("posixpath:join", "a", "b") == "a/b"
    monkeypatch.setattr(os, "memfd_create", refuse(24))
    with pytest.raises(OSError, match="refused"):
        unnamed_files.unnamed_file()


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors of POSIX")
def test_a_descriptor_of_a_standard_stream_is_moved() -> None:
    """A program that has closed its standard input gets the lowest number for its next file."""
    kept = os.dup(0)
    try:
        os.close(0)
        with UnnamedFile(request()) as file:
            assert int(file.args[3]) > 2
            assert FakeVenvRunner().call("posixpath:join", "a", "b") == "a/b"
    finally:
        os.dup2(kept, 0)
        os.close(kept)


HEADER = program.HEADER


def outcome(kind: str, body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"venvrunner-call {kind} {size}".encode().ljust(HEADER, b"\0") + body


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 200, outcome("json", b"1", 2), outcome("json", b"12", 1), outcome("pickle", b"1"), outcome("other", b"1")],
)
def test_half_an_outcome_is_none(data: bytes) -> None:
    """As is one of another kind; nothing is unpickled that was not asked for."""
    assert parsed(data, request()) is None


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b"\xff", b""])
def test_a_forged_value_is_an_error(body: bytes) -> None:
    """The function may write what it likes."""
    for kind in ("json", "failure"):
        reply = parsed(outcome(kind, body), request())
        assert reply is not None
        assert reply.failure is not None
        assert reply.failure.headline.startswith("the outcome of posixpath:join cannot be read: ")


def test_a_forged_report_is_text() -> None:
    """Whatever is in it."""
    body = json.dumps({"headline": [1], "type": {"a": 1}, "message": None, "traceback": 5, "pickle": "gASVIQ=="}).encode()
    reply = parsed(outcome("failure", body), request())
    assert reply is not None
    assert reply.failure == ("[1]", "{'a': 1}", "None", "5", None)


def test_an_exception_that_does_not_come_back_is_left_out() -> None:
    """Its report is there."""
    wanted = Request("m:f", (), None, {}, pickle=True)
    report = {"headline": "h", "type": None, "message": "", "traceback": "", "pickle": "AAAA"}
    reply = parsed(outcome("failure", json.dumps(report).encode()), wanted)
    assert reply is not None
    assert reply.failure == ("h", None, "", "", None)
    broken = parsed(outcome("pickle", b"nonsense"), wanted)
    assert broken is not None
    assert broken.failure is not None
    assert "cannot be read: UnpicklingError" in broken.failure.headline


def test_arguments_that_cannot_be_pickled_are_refused() -> None:
    """Before anything starts; what the environment cannot unpickle is told by it."""
    with pytest.raises(TypeError, match="the arguments of m:f cannot be pickled: "):
        FakeVenvRunner().call("m:f", lambda: 1, pickle=True)

    class Missing:
        def __reduce__(self) -> Any:
            return int, ("x",)

    with pytest.raises(CallError, match="the arguments of m:f cannot be unpickled in the environment: ValueError: invalid"):
        FakeVenvRunner().call("m:f", Missing(), pickle=True)

    def generate() -> Any:
        return iter([1]), (number for number in range(3))

    with pytest.raises(CallError, match="returned a value that cannot be pickled: TypeError: cannot pickle 'generator'"):
        FakeVenvRunner().call(generate, pickle=True)


@pytest.mark.parametrize("value", [None, 1.5, "\udc80", {"a": [True, float("-inf")]}])
def test_other_interpreters_use_the_package_json(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyPy has no `_json`, and another version may have another form of it."""
    expected = program.encoded(value)
    real = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name == "_json":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    assert program.encoded(value) == expected
    assert program.decoded(expected) == value


class Memory(io.BytesIO):
    """A file in this process, for the program without a process of its own."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  closed below

    def fileno(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()
        super().close()


def run(function: Any, *args: Any, pickle: bool = False, **keywords: Any) -> Reply | None:
    """Run the program in this process."""
    wanted = Request(function, args, None, keywords, pickle=pickle)
    data = wanted.data()
    with Memory(data) as file:
        assert file.readline()
        _version, code, source = file.readline().split()
        file.read(int(code) + int(source))
        argv, path = sys.argv[:], sys.path[:]
        try:
            sys.path.insert(0, os.sep if pickle else "")  # with "-c", and as with PYTHONSAFEPATH=1
            with contextlib.suppress(SystemExit):
                program.main(file)
        finally:
            sys.argv[:], sys.path[:] = argv, path
            linecache.clearcache()  # the report has put the function's source there
        return parsed(file.getvalue(), wanted)


def test_the_program_returns_what_the_function_does() -> None:
    """In this process, so that each of its branches is measured."""

    async def later() -> Any:
        return 1

    def keys() -> Any:
        return {1: 2}

    def leave() -> None:
        raise SystemExit(5)

    def broken() -> None:
        class BrokenError(Exception):
            def __str__(self) -> str:
                raise ValueError

        raise BrokenError

    assert run("posixpath:join", "a", "b") == ("a/b", None)
    assert run("posixpath:join", "a", "b", pickle=True) == ("a/b", None)
    assert run("json:dumps", [1], timeout=5) == ("[1]", None)
    assert run(later) == (1, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program.Outcome, "is_fork", lambda outcome: True)
        with pytest.raises(ValueError, match="Expecting value"):
            run("json:loads", "json")
    found = [
        run("sys:path"),
        run(keys),
        run(leave),
        run(broken),
        run("json:dumps", {1}, pickle=True),
        run("json:dumps", s=1),
    ]
    assert [reply.failure.headline.partition(":")[2].partition(": value")[0] for reply in found if reply and reply.failure] == [
        "path is a list, not a function",
        "keys returned a value that JSON cannot carry",
        "leave raised SystemExit: 5",
        "broken raised broken.<locals>.BrokenError: <its text cannot be shown>",
        "dumps raised TypeError: Object of type set is not JSON serializable",
        "dumps raised TypeError: dumps() missing 1 required positional argument: 'obj'",
    ]


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (1, ""),
        ([1.5, {"a": None}], ""),
        ({"x" * 1000: {1}}, f"value['{'x' * 299}…] is a set"),
        ({(1, 2): 1}, "value has the key (1, 2), which is a tuple, not a str"),
    ],
)
def test_a_flaw_is_found(value: Any, what: str) -> None:
    """Where it is, in a message of bounded length; nothing in plain data."""
    assert report_program.flaw(value, "value") == what
