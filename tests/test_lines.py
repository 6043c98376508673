"""The line splitter, without a process: its oracle is `bytes.split(b"\\n")`."""

import codecs
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from venvrunner._process.lines import LineSplitter, Stream

ERRORS = ["strict", "replace", "ignore", "surrogateescape", "backslashreplace", "surrogatepass"]

PIECES = [b"\n", b"\r", b"\r\n", b"\0", b"a", b" ", b"\t", b"\x0b", b"\x0c", b"\x1c", b"\xff", b"\xe2\x82", b"\xed\xa0\x80"]
CHARACTERS = ["é", "€", "😀", "\x85", "\u2028", "\u2029", "\ufeff"]
outputs = st.lists(st.sampled_from([*PIECES, *(character.encode() for character in CHARACTERS)])).map(b"".join) | st.binary()


def decoded(line: bytes, errors: str) -> str:
    """Decode one line as design section 3 says."""
    try:
        return line.decode("utf-8", errors)
    except UnicodeDecodeError:
        return line.decode("utf-8", "backslashreplace")


def expected(data: bytes, errors: str = "strict") -> list[str]:
    """Say what the lines are, in the simplest way there is: cut the bytes first, decode each line for itself."""
    *ended, rest = data.split(b"\n")
    return [decoded(line, errors).removesuffix("\r") for line in ended] + ([decoded(rest, errors)] if rest else [])


def split(chunks: Iterable[bytes], errors: str = "strict") -> list[str]:
    """Put chunks through a splitter."""
    splitter = LineSplitter(errors)
    return [*itertools.chain.from_iterable(splitter.feed(chunk) for chunk in chunks), *splitter.finish()]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut data at some places."""
    borders = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(borders)]


@pytest.mark.parametrize("errors", ERRORS)
@given(data=outputs, places=st.lists(st.integers(min_value=0)))
@example(data=b"a\r\xff\n", places=[])
@example(data=b"\xed\xa0\x80\n\xff\n", places=[])
@example(data=b"\xed\xa0\x80\n\xff\n", places=[4])
def test_lines_are_those_of_split_however_the_bytes_were_chunked(errors: str, data: bytes, places: list[int]) -> None:
    """The chunks in which output arrives never show in the lines, whatever bytes it has."""
    assert split(cut(data, places), errors) == expected(data, errors)


@pytest.mark.parametrize("errors", ERRORS)
def test_every_byte_boundary_gives_the_same_lines(errors: str) -> None:
    """A chunk may end inside a character, inside `\\r\\n`, or be a single byte."""
    data = "one\r\n  zwei €\n\n😀\r\r\nno\0thing\n".encode() + b"bad \xff\xe2\x82\nend \xf0\x9f"
    for first, second in itertools.combinations_with_replacement(range(len(data) + 1), 2):
        assert split([data[:first], data[first:second], data[second:]], errors) == expected(data, errors)
    assert split((bytes([byte]) for byte in data), errors) == expected(data, errors)


@pytest.mark.parametrize("errors", ["replace", "ignore", "surrogateescape", "backslashreplace"])
@given(data=outputs, places=st.lists(st.integers(min_value=0)))
def test_lines_decode_like_the_whole_text(errors: str, data: bytes, places: list[int]) -> None:
    """The delivered lines and the returned text never disagree about a bad byte."""
    *ended, rest = data.decode("utf-8", errors).split("\n")
    has_rest = not data.endswith(b"\n") and data != b""  # also if all its bytes are ignored
    assert split(cut(data, places), errors) == [line.removesuffix("\r") for line in ended] + [rest] * has_rest


@given(text=outputs.map(lambda data: data.decode("utf-8", "ignore")), places=st.lists(st.integers(min_value=0)))
def test_good_text_is_decoded_strictly(text: str, places: list[int]) -> None:
    """Without a bad byte, strict lines are simply the text's."""
    *ended, rest = text.split("\n")
    assert split(cut(text.encode(), places)) == [line.removesuffix("\r") for line in ended] + [rest] * bool(rest)


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"\n", [""], id="one blank line"),
        pytest.param(b"\r\n", [""], id="one blank line of Windows"),
        pytest.param(b"\n\n\na\n\n", ["", "", "", "a", ""], id="blank lines"),
        pytest.param(b"a\r\nb\nc", ["a", "b", "c"], id="both line ends"),
        pytest.param(b"10%\r20%\r\ndone", ["10%\r20%", "done"], id="a lone CR is no line end"),
        pytest.param(b"a\r\r\n", ["a\r"], id="only one CR belongs to the line end"),
        pytest.param(b"a\r", ["a\r"], id="a CR at the very end belongs to the line"),
        pytest.param(b"  a \t\n", ["  a \t"], id="blanks stay"),
        pytest.param(b"a\0b\n\0", ["a\0b", "\0"], id="NULs"),
        pytest.param(b"\xef\xbb\xbfa\n", ["\ufeffa"], id="a byte order mark is data"),
    ],
)
def test_a_line_ends_at_lf_and_loses_only_its_line_end(data: bytes, lines: list[str]) -> None:
    """`\\n` ends a line, one `\\r` before it goes with it, and all else is kept."""
    assert split([data]) == lines


@pytest.mark.parametrize("character", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"], ids=ascii)
def test_what_str_splitlines_takes_for_a_line_end_is_none(character: str) -> None:
    """Only `\\n` ends a line; these characters are data of the command."""
    assert len(f"a{character}b".splitlines()) == 2
    assert split([f"a{character}b\nc".encode()]) == [f"a{character}b", "c"]


def test_a_bad_byte_shows_in_its_own_line_only() -> None:
    """Under strict, the one bad line has backslash escapes; a line beside it is untouched, also one with a backslash."""
    assert split([b"\\xff \xc3\xa9\nbad \xff\n\xe2\x82\xac"]) == ["\\xff é", "bad \\xff", "€"]


def test_lines_come_as_soon_as_they_end() -> None:
    """No line waits for the next chunk, and none comes before its end."""
    splitter = LineSplitter()
    assert splitter.feed(b"a\nb") == ["a"]
    assert splitter.feed(b"") == []
    assert splitter.feed(b"c\r") == []
    assert splitter.feed(b"\nd\n") == ["bc", "d"]
    assert splitter.finish() == []


def test_a_last_line_is_handed_out_once() -> None:
    """A stream may be finished at its end and again at the end of the process."""
    splitter = LineSplitter()
    splitter.feed(b"rest")
    assert splitter.finish() == ["rest"]
    assert splitter.finish() == []


class CountingBytes(bytes):
    """Bytes that count how many of them are searched."""

    touched = 0

    def rfind(self, *args: Any) -> int:
        CountingBytes.touched += len(self)
        return super().rfind(*args)


@pytest.mark.parametrize("ended", [True, False])
def test_a_long_line_in_many_chunks_is_handled_once(ended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The work for a line grows with its length, not with length times chunks: no byte is searched or joined twice."""
    monkeypatch.setattr(CountingBytes, "touched", 0)
    splitter, chunk = LineSplitter(), CountingBytes(b"x" * 64)
    kept: list[int] = []
    for _number in range(5000):
        assert splitter.feed(chunk) == []
        kept.append(len(splitter._tail))
    lines = splitter.feed(CountingBytes(b"\n")) if ended else splitter.finish()
    assert lines == ["x" * 64 * 5000]
    assert CountingBytes.touched == 64 * 5000 + ended, "each byte is searched for a line end once"
    assert kept == list(range(1, 5001)), "the pieces are not joined before the line is complete"


def test_a_stream_keeps_every_byte_with_or_without_a_sink() -> None:
    """What is returned is exact, whether or not somebody takes the lines."""
    data = b"a\r\nb\xff\n\n\0end"
    for sink in (None, print):
        stream = Stream(sink)
        lines = [*itertools.chain.from_iterable(stream.feed(chunk) for chunk in cut(data, [3, 5])), *stream.finish()]
        assert stream.data() == stream.data() == data
        assert lines == ([] if sink is None else expected(data))


def test_a_stream_goes_on_after_its_data_was_asked_for() -> None:
    """The partial output of a timeout may be followed by more."""
    stream = Stream(print)
    stream.feed(b"a")
    assert stream.data() == b"a"
    assert stream.feed(b"b\n") == ["ab"]
    assert stream.data() == b"ab\n"


@given(data=outputs, places=st.lists(st.integers(min_value=0)))
def test_the_bytes_of_a_stream_are_those_that_were_fed(data: bytes, places: list[int]) -> None:
    """Chunking does not show in the returned bytes either."""
    stream = Stream(print, "replace")
    fed: Iterator[list[str]] = (stream.feed(chunk) for chunk in cut(data, places))
    lines = [*itertools.chain.from_iterable(fed), *stream.finish()]
    assert stream.data() == data
    assert lines == expected(data, "replace")


def test_a_handler_of_the_callers_own_decodes_the_lines() -> None:
    """`errors=` is whatever :mod:`codecs` knows, registered handlers included."""

    def question(error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeDecodeError)
        return "?" * (error.end - error.start), error.end

    codecs.register_error("venvrunner-test", question)
    assert split([b"a\xff\n\xff\xffb"], "venvrunner-test") == ["a?", "??b"]
