"""The callbacks that print: no stream can make them fail because of a character."""

import io
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from venvrunner.subprocess_util import stderr_callback, stdout_callback

LINE = "ä € 😀 \udcff plain"
ESCAPED = "\\xe4 \\u20ac \\U0001f600 \\udcff plain"


class Bare:
    """As little as `print` needs.

    Args:
        encoding: what it says of itself; by default it says nothing.
    """

    def __init__(self, encoding: object = None) -> None:
        self.text = ""
        if encoding is not None:
            self.encoding = encoding

    def write(self, text: str) -> None:
        text.encode("ascii")
        self.text += text


def wrapper(encoding: str) -> tuple[io.TextIOWrapper, Callable[[], str]]:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding, write_through=True)
    return stream, lambda: raw.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [
        ("ascii", ESCAPED),
        ("latin-1", "ä \\u20ac \\U0001f600 \\udcff plain"),
        ("cp1252", "ä € \\U0001f600 \\udcff plain"),
        ("utf-8", "ä € 😀 \\udcff plain"),
    ],
)
@pytest.mark.parametrize(("name", "callback"), [("stdout", stdout_callback), ("stderr", stderr_callback)])
def test_what_a_stream_cannot_encode_is_escaped(
    name: str, callback: Callable[[str], None], encoding: str, printed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing else."""
    stream, content = wrapper(encoding)
    monkeypatch.setattr(sys, name, stream)
    callback(LINE)
    callback("plain")
    assert content() == f"{printed}\nplain\n"


@pytest.mark.parametrize(
    "encoding", [None, "ascii", "no-such-encoding", 7, object()], ids=["none", "ascii", "unknown", "number", "object"]
)
def test_a_stream_needs_nothing_but_write(encoding: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says of its encoding may be missing or wrong."""
    stream = Bare(encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    stdout_callback(LINE)
    assert stream.text == f"{ESCAPED}\n"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_stream_may_encode_in_another_way_than_it_says(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a proxy for another stream does."""
    stream = Bare(encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    stdout_callback(LINE)
    assert stream.text == f"{ESCAPED}\n"


def test_a_stream_in_memory_gets_each_character(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no encoding, and needs none."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    stderr_callback(LINE)
    assert stream.getvalue() == f"{LINE}\n"


def test_a_program_without_streams_prints_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows one without a console has none; the other stream is not used instead."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", None)
    stderr_callback(LINE)
    assert stream.getvalue() == ""
    monkeypatch.setattr(sys, "stdout", None)
    stdout_callback(LINE)


def test_another_error_of_a_stream_propagates(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed stream is not a matter of characters."""
    stream: Any = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(ValueError, match="closed file"):
        stdout_callback(LINE)


def test_a_command_goes_on_where_only_ascii_can_be_printed() -> None:
    """A minimal container sets no locale that knows more."""
    source = """
import sys
from venvrunner.subprocess_util import log_run, stderr_callback, stdout_callback
done = log_run(["printf", "ä\\n€\\n"], None, stdout_callback, stderr_callback)
print(ascii(done.stdout))
"""
    env = {"PYTHONIOENCODING": "ascii:strict", "PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    done = subprocess.run([sys.executable, "-c", source], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "\\xe4\n\\u20ac\n'\\xe4\\n\\u20ac\\n'\n"
