"""The files of recordings: readable, neutral, without secrets, and written as a whole."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.recordings import BOTH, calls
from venvrunner import (
    FakeVenvRunner,
    InvalidCommandError,
    LockFileError,
    RecordingError,
    VenvRunner,
)
from venvrunner.testing import RecordingVenvRunner, ReplayVenvRunner, ScriptedVenvRunner
from venvrunner.testing._file import lines_of
from venvrunner.testing._placeholders import Placeholders


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the recording goes; the directory is not there."""
    return tmp_path / "recordings" / "calls.json"


def test_the_file_is_for_people(venv: VenvRunner, path: Path) -> None:
    """JSON, a line of output on a line, with the name of its stream; only what matters; a final newline."""
    with RecordingVenvRunner(venv, path) as recording:
        recording.log_run(["python", "-c", BOTH])
        recording.log_run(["python", "-c", "print(input())"], input="é\n", cwd="/", env={"A": "1"})
        recording.log_run(["python", "-c", "for n in range(40): print(n, 'and some more')"])
    text = path.read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert '\n      "args": ["python", "-c", "print(input())"],\n' in text
    assert '\n        "stdout: 29 and some more\\n",\n        "stdout: 30 and some more\\n",\n' in text
    first, second, _third = calls(path)
    assert sorted(first.pop("output")) == ["stderr: err\n", "stdout:   out\n"]
    assert first == {"args": ["python", "-c", BOTH], "returncode": 0}
    expected = {"args": ["python", "-c", "print(input())"], "cwd": "/", "input": "é\n", "output": ["stdout: é\n"]}
    assert second == {**expected, "returncode": 0}
    assert json.loads(text)["version"] == 1


@given(
    st.lists(
        st.sampled_from(
            ["{", "}", "{tmp}", "tmp}", "{home}", "/tmp", "/tmp/v", "/home/me", "/", "x", "-I", ".", " ", "é", "\x1b[1m"]
        )
    )
)
def test_every_text_comes_back_from_its_neutral_form(parts: list[str]) -> None:
    """Whatever looks like a placeholder, or is one."""
    places = Placeholders({"venv": "/tmp/v", "tmp": "/tmp", "home": "/home/me"})
    text = "".join(parts)
    assert places.actual(places.neutral(text)) == text


@pytest.mark.parametrize(
    ("text", "neutral"),
    [
        ("/tmp", "{tmp}"),
        ("in /tmp.", "in {tmp}."),
        ("-I/tmp/v/include:/tmp/x", "-I{venv}/include:{tmp}/x"),
        ("file:///tmp/x", "file://{tmp}/x"),
        ('{"a": "/tmp"}', '{"a": "{tmp}"}'),
        ("\x1b[1m/tmp/x\x1b[0m \x1b[38;5;4m/tmp", "\x1b[1m{tmp}/x\x1b[0m \x1b[38;5;4m{tmp}"),
        ("/var/tmp /tmpfs /tmp-x /tmp.bak", "/var/tmp /tmpfs /tmp-x /tmp.bak"),
    ],
)
def test_only_whole_paths_are_neutral(text: str, neutral: str) -> None:
    """A directory whose name begins alike is another one."""
    assert Placeholders({"venv": "/tmp/v", "tmp": "/tmp", "root": "/"}).neutral(text) == neutral


def test_a_path_below_the_root_has_one_separator() -> None:
    """The home directory of a container may be the root."""
    places = Placeholders({"home": "/"})
    assert [places.actual(text) for text in ("{home}/x", "{home}", "{{home}/x")] == ["/x", "/", "{home}/x"]


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.sampled_from([b"a", b"\n", b"\r\n", b"\xff", b"b\nc", b"\n\n"]))))
def test_lines_are_those_of_the_chunks(chunks: list[tuple[int, bytes]]) -> None:
    """However the output was cut, nothing is lost, and each line is whole."""
    lines = lines_of(chunks)
    for number in (1, 2):
        data = b"".join(data for stream, data in chunks if stream == number)
        assert [line for stream, line in lines if stream == number] == data.splitlines(keepends=True) or b"\r" in data
        assert b"".join(line for stream, line in lines if stream == number) == data
    assert all(line.count(b"\n") <= 1 for _stream, line in lines)


def test_a_secret_is_nowhere_in_the_file(path: Path) -> None:
    """Those of the recording, of any call, and credentials in URLs; arguments that have one still match."""
    url = "https://me:pa55word@host/simple"
    source = "import sys; print(*sys.argv[1:]); print(sys.argv, file=sys.stderr)"

    def run(runner: Any, first: str, second: str) -> str:
        runner.log_run(["python", "-c", source, url, f"--token={first}"], input=first)
        text: str = runner.log_run(["python", "-c", source, second], secrets=[second]).stdout
        return text

    with RecordingVenvRunner(FakeVenvRunner(), path, secrets=["hunter2"]) as recording:
        assert run(recording, "hunter2", "swordfish") == "swordfish\n"
    text = path.read_text()
    assert not [secret for secret in ("hunter2", "swordfish", "pa55word") if secret in text]
    with ReplayVenvRunner(path, secrets=["none"]) as replay:
        assert run(replay, "none", "other") == "****\n"


def test_a_block_that_fails_leaves_the_file(venv: VenvRunner, path: Path) -> None:
    """A recording of half a test would replace a good one; `save` writes at any time."""
    with RecordingVenvRunner(venv, path) as recording:
        recording.log_run(["python", "-c", BOTH])
    before = path.read_bytes()
    with pytest.raises(LookupError), RecordingVenvRunner(venv, path):
        raise LookupError
    assert path.read_bytes() == before
    RecordingVenvRunner(venv, path).save()
    assert calls(path) == []


def test_the_file_is_written_as_a_whole_or_not_at_all(venv: VenvRunner, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk leaves the old one, and nothing beside it."""
    recording = RecordingVenvRunner(venv, path)
    recording.save()
    before = path.read_bytes()

    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="No space left"):
            recording.save()
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


WRONG: dict[str, tuple[Any, str]] = {
    "no file": (None, "it does not exist."),
    "no JSON": (b"{", "it is not JSON ("),
    "no text": (b"\xff\xfe\xff", "it is not JSON ("),
    "something else": (b"[1]", "it is not a venvrunner recording."),
    "another version": ({"version": 2}, "it has version 2, but this venvrunner reads version 1."),
    "no calls": ({"calls": None}, "it is invalid: "),
    "a call without arguments": ({"calls": [{"output": [], "returncode": 0}]}, "it is invalid: "),
    "a call that is none": ({"calls": ["pip"]}, "it is invalid: "),
    "arguments that are none": ({"calls": [{"args": [1], "output": [], "returncode": 0}]}, "it is invalid: "),
    "an unknown stream": ({"calls": [{"args": ["a"], "output": ["stdlog: a"], "returncode": 0}]}, "it is invalid: "),
    "no status": ({"calls": [{"args": ["a"], "output": []}]}, "it is invalid: "),
    "an empty call": ({"calls": [{"args": [], "output": [], "returncode": 0}]}, "it is invalid: "),
    "an unknown exception": ({"calls": [{"args": ["a"], "raised": ["SystemExit", "0"]}]}, "it is invalid: "),
    "no reason": ({"calls": [{"args": ["a"], "raised": ["OSError"]}]}, "it is invalid: "),
    "too deep": (b"[" * 100_000, "it is not JSON ("),
    "a version that is none": ({"installed": {"pip": 1}}, "it is invalid: "),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_file_is_one_clear_error(what: str, tmp_path: Path) -> None:
    """It names the file, says why, and what to do."""
    content, why = WRONG[what]
    path = tmp_path / "calls.json"
    if isinstance(content, dict):
        good = {"format": "venvrunner recording", "version": 1, "paths": [], "installed": {}, "calls": []}
        path.write_text(json.dumps({**good, **content}))
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(RecordingError) as caught:
        ReplayVenvRunner(path)
    assert str(caught.value).startswith(f"{str(path)!r} cannot be replayed: {why}")
    assert str(caught.value).endswith("Record it with RecordingVenvRunner.")


def test_the_name_of_a_path_is_an_identifier(venv: VenvRunner, path: Path) -> None:
    """Or it could not be told from the text around it; and it is not that of another path."""
    with pytest.raises(ValueError, match="'my path' is not a valid name for a path"):
        RecordingVenvRunner(venv, path, paths={"my path": "/x"})
    for name in ("venv", "cwd", "tmp", "home"):
        with pytest.raises(ValueError, match=f"'{name}' is already the name of a built-in path"):
            RecordingVenvRunner(venv, path, paths={name: "/x"})


def test_a_path_fits_by_whatever_name_it_was_recorded(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The home directory of now may be the working directory; and a link may lead there."""
    home, link = tmp_path / "home", tmp_path / "link"
    home.mkdir()
    link.symlink_to(home)
    monkeypatch.setenv("HOME", str(home))
    with RecordingVenvRunner(FakeVenvRunner(), path) as recording:
        recording.log_run(["python", "-c", "", home / "x"])
    assert calls(path)[0]["args"][-1] == "{home}/x"
    monkeypatch.chdir(home)
    with ReplayVenvRunner(path) as replay:
        replay.log_run(["python", "-c", "", home / "x"])
    monkeypatch.setenv("HOME", str(link))
    with ReplayVenvRunner(path) as replay:
        replay.log_run(["python", "-c", "", home / "x"])


def test_only_what_was_a_placeholder_becomes_a_path(path: Path) -> None:
    """Without an environment, `{venv}` is a text as any other."""
    with RecordingVenvRunner(FakeVenvRunner(), path) as recording:
        recording.log_run(["python", "-c", "import sys; print(sys.argv[1])", "{venv}"])
    with ReplayVenvRunner(path) as replay:
        assert replay.log_run(["python", "-c", "import sys; print(sys.argv[1])", "{venv}"]).stdout == "{venv}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="the rights of POSIX")
def test_the_file_has_the_rights_of_any_other(venv: VenvRunner, path: Path) -> None:
    """It goes into version control, and others read it."""
    RecordingVenvRunner(venv, path).save()
    other = path.with_name("other")
    other.touch()
    assert path.stat().st_mode == other.stat().st_mode


def test_a_secret_of_a_call_that_is_not_started_is_masked(venv: VenvRunner, path: Path) -> None:
    """There is no such command, or another double answers; where it was to run is kept all the same."""
    scripted = ScriptedVenvRunner()
    scripted.answer(["upload", ...], stdout=b"\xff")
    with RecordingVenvRunner(scripted, path) as recording:
        recording.log_run(
            ["upload", "hunter2xx"], secrets=iter(["hunter2xx"]), cwd="/", input="hunter2xx", errors="surrogateescape"
        )
    expected = {"args": ["upload", "****"], "cwd": "/", "input": "****", "output": ["stdout: \udcff"], "returncode": 0}
    assert calls(path) == [expected]
    with RecordingVenvRunner(venv, path) as recording, pytest.raises(InvalidCommandError):
        recording.log_run(["nosuch", "--token=hunter2xx"], secrets=["hunter2xx"])
    assert "--token=****" in path.read_text()
    assert "hunter" not in path.read_text()


def test_a_secret_of_an_installation_that_fails_early_is_masked(venv: VenvRunner, path: Path, tmp_path: Path) -> None:
    """Before an installer has been told of it."""
    lock = tmp_path / "pylock.toml"
    lock.write_text('lock-version = "1.0"\ncreated-by = "me"\nrequires-python = ">=3.99"\npackages = []\n')
    with RecordingVenvRunner(venv, path) as recording, pytest.raises(LockFileError):
        recording.install(lock=lock, index_url="https://idx/hunter2xx/simple", secrets=["hunter2xx"])
    assert "hunter" not in path.read_text()


def test_a_name_that_is_always_refused_is_not_recorded(venv: VenvRunner, path: Path) -> None:
    """A replay refuses it by itself."""
    with RecordingVenvRunner(venv, path) as recording, pytest.raises(InvalidCommandError):
        recording.log_run(["/bin/ls"])
    with ReplayVenvRunner(path) as replay, pytest.raises(InvalidCommandError):
        replay.log_run(["/bin/ls"])
