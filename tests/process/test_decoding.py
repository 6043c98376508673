"""From the bytes of a command to text: line by line for the callback, exact in the result."""

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.callers import Caller
from venvrunner import CommandError, CommandTimeoutError, FakeVenvRunner, OutputDecodeError, VenvRunner

BAD = b"one\nbad \xff byte\n\xe2\x82\nlast \xc3"
BAD_LINES = ["one", "bad \\xff byte", "\\xe2\\x82", "last \\xc3"]
HANDLERS = ["replace", "ignore", "surrogateescape", "backslashreplace"]


def writes(*chunks: bytes, then: str = "", stream: str = "stdout") -> str:
    """Return source that writes each chunk by a call of its own, and then does something else."""
    return f"import os, sys\nfor chunk in {chunks!r}: os.write(sys.{stream}.fileno(), chunk)\n{then}"


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("status", [0, 3])
def test_a_bad_byte_never_kills_a_command(call: Caller, tmp_path: Path, check: bool, stream: str, status: int) -> None:
    """Under strict the line is delivered with escapes, the child ends as it would, and then the error is raised."""
    marker = tmp_path / "marker"
    then = f"open({str(marker)!r}, 'w').write('ended by itself'); sys.exit({status})"
    lines: list[str] = []
    with pytest.raises(UnicodeDecodeError) as caught:
        call.run(writes(BAD, b"\nmore", then=then, stream=stream), None, lines.append, lines.append, check)
    assert marker.read_text() == "ended by itself"
    assert lines == [*BAD_LINES, "more"]
    error = caught.value
    assert type(error) is OutputDecodeError
    assert (error.start, error.object[error.start : error.start + 1]) == (BAD.index(b"\xff"), b"\xff")


def test_the_error_of_a_bad_byte_is_the_first_one(call: Caller) -> None:
    """With bad bytes in both streams, it is that of standard output, as with `subprocess.run`."""
    source = "import os; os.write(2, b'err \\xfe'); os.write(1, b'output \\xff')"
    with pytest.raises(UnicodeDecodeError) as caught:
        call.run(source)
    assert (caught.value.object, caught.value.start) == (b"output \xff", 7)


def test_the_error_of_a_bad_byte_shows_no_output(call: Caller) -> None:
    """Its `repr`, which logs and reports show, says where the byte is; `object` has the output."""
    with pytest.raises(OutputDecodeError) as caught:
        call.run(writes(b"a secret \xff"))
    assert repr(caught.value) == "OutputDecodeError('utf-8', <10 bytes>, 9, 10, 'invalid start byte')"
    assert str(caught.value) == "'utf-8' codec can't decode byte 0xff in position 9: invalid start byte"
    assert caught.value.object == b"a secret \xff"


def test_a_bad_byte_counts_also_when_the_lines_go_nowhere(call: Caller) -> None:
    """The returned text is what must be right."""
    with pytest.raises(UnicodeDecodeError):
        call.run(writes(b"\xff"), None, None, None)


def test_a_logged_line_with_a_bad_byte_is_readable(call: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """A log gets the escapes too."""
    caplog.set_level(logging.INFO, "venvrunner")
    with pytest.raises(UnicodeDecodeError):
        call.run(writes(BAD), None, "info")
    got = [record.getMessage() for record in caplog.records if record.name == "venvrunner"]
    assert got == [f"stdout: {line}" for line in BAD_LINES]


@pytest.mark.parametrize("errors", HANDLERS)
def test_errors_says_how_a_bad_byte_is_decoded(call: Caller, errors: str) -> None:
    """Lines and text have the same characters, and those of `bytes.decode`."""
    lines: list[str] = []
    result = call.run(writes(BAD), None, lines.append, errors=errors)
    assert result.stdout == BAD.decode("utf-8", errors)
    assert "\n".join(lines) == result.stdout


@pytest.mark.parametrize("errors", HANDLERS)
def test_a_failed_command_has_its_decoded_output(call: Caller, errors: str) -> None:
    """A handler that can decode everything leaves the failure of the command as the error."""
    with pytest.raises(CommandError) as caught:
        call.run(writes(BAD, then="sys.exit(3)", stream="stderr"), errors=errors)
    assert caught.value.stderr == BAD.decode("utf-8", errors)


@pytest.mark.parametrize("errors", ["strict", "replace", "surrogatepass"])
def test_a_timeout_with_a_bad_byte_is_a_timeout(drive: Caller, errors: str) -> None:
    """The partial output is decoded somehow: it may end inside a character, and the cause is the time."""
    source = writes(b"bad \xff\n\xe2\x82", then="import signal; signal.pause()")
    with pytest.raises(CommandTimeoutError) as caught:
        drive.run(source, errors=errors, timeout=2)
    assert str(caught.value.stdout).startswith("bad ")


@pytest.mark.parametrize("errors", ["no-such-handler", "", "Strict", "xmlcharrefreplace", "namereplace"])
def test_a_handler_that_cannot_decode_is_refused(
    call: Caller, tmp_path: Path, caplog: pytest.LogCaptureFixture, errors: str
) -> None:
    """One clear error before anything is started; else the first bad byte would end the command."""
    caplog.set_level(logging.DEBUG, "venvrunner")
    marker = tmp_path / "marker"
    with pytest.raises(ValueError, match=f"errors='{errors}'"):
        call.run(writes(b"\xff", then=f"open({str(marker)!r}, 'w')"), None, print, errors=errors)
    assert not marker.exists()
    assert not [record for record in caplog.records if record.name == "venvrunner"]


@pytest.mark.parametrize("errors", [5, b"strict"])
def test_a_handler_is_named_by_a_str(call: Caller, errors: object) -> None:
    """The message says which argument is wrong."""
    with pytest.raises(TypeError, match="errors"):
        call.run("", errors=errors)


def test_a_character_may_be_split_across_writes(call: Caller) -> None:
    """Each byte may arrive alone; no half of a character is ever taken for a bad byte."""
    text = "é€😀 zwölf\r\n漢字\n\U0010ffff"
    lines: list[str] = []
    result = call.run(writes(*(bytes([byte]) for byte in text.encode())), None, lines.append)
    assert lines == ["é€😀 zwölf", "漢字", "\U0010ffff"]
    assert result.stdout == text


def test_a_character_split_across_two_reads_is_whole(call: Caller, tmp_path: Path) -> None:
    """The second half comes only after the lines before it were delivered, so the halves are read apart."""
    gate = tmp_path / "gate"
    wait = f"import time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.001)\nos.write(1, b'\\x82\\xac\\n')"
    lines: list[str] = []

    def take(line: str) -> None:
        lines.append(line)
        gate.touch()

    assert call.run(writes(b"go\n\xe2", then=wait), None, take).stdout == "go\n€\n"
    assert lines == ["go", "€"]


def test_lines_of_one_stream_come_in_order(call: Caller) -> None:
    """Each stream's own order is kept, whatever the other one does."""
    source = "import sys\nfor n in range(3000): print('o', n, flush=not n % 7); print('e', n, file=sys.stderr)"
    out: list[str] = []
    err: list[str] = []
    result = call.run(source, None, out.append, err.append)
    assert out == [f"o {number}" for number in range(3000)] == result.stdout.splitlines()
    assert err == [f"e {number}" for number in range(3000)] == result.stderr.splitlines()


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_line_may_have_any_length(call: Caller, end: str) -> None:
    """Eight megabytes without a line end are one line, with an end or without."""
    lines: list[str] = []
    result = call.run(f"import sys; sys.stdout.write('ab€d' * 2_000_000 + {end!r} + 'z\\n')", None, lines.append)
    long = "ab€d" * 2_000_000
    assert [len(line) for line in lines] == ([len(long), 1] if end else [len(long) + 1])
    assert digest(result.stdout) == digest(f"{long}{end}z\n")
    assert digest("\n".join([*lines, ""])) == digest(result.stdout)


def digest(text: str) -> str:
    """Stand for a text that would fill the report of a failure."""
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        pytest.param(b"\n\n a\n\n", ["", "", " a", ""], id="blank lines"),
        pytest.param(b"\ta  \r\nb", ["\ta  ", "b"], id="indentation"),
        pytest.param(b"1%\r2%\r\n", ["1%\r2%"], id="a lone CR"),
        pytest.param(b"a\0b\n\0", ["a\0b", "\0"], id="NULs"),
        pytest.param("a\x0bb\x85c\u2028d\n".encode(), ["a\x0bb\x85c\u2028d"], id="other line ends"),
        pytest.param(b"", [], id="nothing"),
    ],
)
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_lines_and_text_are_exact(call: Caller, data: bytes, lines: list[str], stream: str) -> None:
    """Only the line end is stripped from a delivered line, and nothing from the returned text."""
    got: list[str] = []
    result = call.run(writes(data, stream=stream), None, got.append, got.append)
    assert got == lines
    assert getattr(result, stream) == data.decode()


def test_text_is_utf_8_whatever_the_locale(call: Caller) -> None:
    """The caller's locale changes nothing."""
    assert call.run(writes("é€".encode()), extra_env={"LC_ALL": "C", "PYTHONIOENCODING": "latin-1"}).stdout == "é€"


@pytest.mark.parametrize("take", [None, lambda line: None], ids=["no callback", "callback"])
def test_input_is_text_in_utf_8(call: Caller, take: Callable[[str], None] | None) -> None:
    """What goes in is encoded as what comes out is decoded; line ends stay."""
    text = "é€😀\r\n\0end" * 100_000
    source = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"
    assert digest(call.run(source, None, take, input=text).stdout) == digest(text)


def test_what_was_read_can_be_written_again(call: Caller) -> None:
    """What `errors="surrogateescape"` has returned becomes the same bytes as `input`."""
    source = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"
    text = call.run(writes(BAD), errors="surrogateescape").stdout
    again = call.run(source, input=text, errors="surrogateescape").stdout
    assert again == text == BAD.decode("utf-8", "surrogateescape")
    with pytest.raises(OutputDecodeError) as caught:
        call.run(source, input=text)
    assert caught.value.object == BAD


@pytest.mark.parametrize("encoding", ["latin-1", "cp850", "utf-16", "utf-8"])
def test_a_command_may_speak_another_encoding(call: Caller, encoding: str) -> None:
    """Lines, result and input are text in it."""
    source = "import sys; data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data); sys.stderr.buffer.write(data)"
    out: list[str] = []
    err: list[str] = []
    done = call.run(source, None, out.append, err.append, encoding=encoding, input="größe\n12 µm\n")
    assert (done.stdout, done.stderr) == ("größe\n12 µm\n", "größe\n12 µm\n")
    assert out == err == ["größe", "12 µm"]


def test_a_bad_byte_of_another_encoding_is_an_error_too(call: Caller) -> None:
    """It says which encoding that is; the lines have come."""
    lines: list[str] = []
    with pytest.raises(OutputDecodeError) as caught:
        call.run(writes(b"one\n\xff\n"), None, lines.append, encoding="ascii")
    assert caught.value.encoding == "ascii"
    assert lines == ["one", "\\xff"]
    assert call.run(writes(b"\xff"), encoding="ascii", errors="replace").stdout == "\ufffd"


@pytest.mark.parametrize(("encoding", "kind"), [("hex", ValueError), ("no-such", ValueError), ("", ValueError), (8, TypeError)])
def test_an_encoding_that_does_not_exist_is_refused(call: Caller, encoding: object, kind: type[Exception]) -> None:
    """Nothing is started; the message names it."""
    with pytest.raises(kind, match="encoding"):
        call.run("pass", encoding=encoding)


def test_input_must_be_in_the_encoding(call: Caller) -> None:
    """A character that it does not have is refused before the start."""
    with pytest.raises(ValueError, match="input contains a character that 'ascii' does not have"):
        call.run("pass", encoding="ascii", input="é")


def test_python_children_of_runners_write_utf_8(venv: VenvRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under every locale, unless the user has chosen otherwise."""
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("PYTHONCOERCECLOCALE", "0")
    monkeypatch.delenv("PYTHONUTF8", raising=False)
    source = "import sys; print(sys.flags.utf8_mode, sys.stdout.encoding, 'é')"
    for runner in (venv, FakeVenvRunner()):
        assert runner.log_run(["python", "-c", source]).stdout == "1 utf-8 é\n"
        source_other = "import sys; print(sys.flags.utf8_mode)"
        assert runner.log_run(["python", "-c", source_other], extra_env={"PYTHONUTF8": "0"}).stdout == "0\n"
