"""The line splitter, without a process: its oracle is `bytes.split(b"\\n")`."""

import codecs
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
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


def expected_updates(data: bytes, errors: str = "strict") -> list[str]:
    """Say the same where a carriage return ends a line too."""
    *ended, rest = re.split(rb"\r\n|\r|\n", data)
    return [decoded(line, errors) for line in ended] + ([decoded(rest, errors)] if rest else [])


def split(chunks: Iterable[bytes], errors: str = "strict", **options: Any) -> list[str]:
    """Put chunks through a splitter."""
    splitter = LineSplitter(errors, **options)
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


def test_a_bad_byte_is_noted_also_if_it_is_not_kept() -> None:
    """The first one, under strict; a character that comes in two chunks is not bad."""
    stream = Stream(None, keep=1)
    for chunk in b"\xe2\x82", b"\xac", b"bad \xff", b"\xfe", b"good":
        stream.feed(chunk)
    assert stream.bad is not None
    assert (stream.bad.object, stream.bad.start) == (b"bad \xff", 4)
    other = Stream(None, "replace", keep=1)
    other.feed(b"\xff")
    assert other.bad is None


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
    """What is returned is exact, whether or not the lines are taken."""
    data = b"a\r\nb\xff\n\n\0end"
    for sink in (None, print):
        stream = Stream(sink)
        lines = [*itertools.chain.from_iterable(stream.feed(chunk) for chunk in cut(data, [3, 5])), *stream.finish()]
        assert stream.data() == stream.data() == data
        assert lines == ([] if sink is None else expected(data))


@pytest.mark.parametrize("errors", ERRORS)
@given(data=outputs, places=st.lists(st.integers(min_value=0)))
@example(data=b"10 %\r\n\r\r\n\n", places=[5])
@example(data=b"a\r\n", places=[2, 2])
def test_each_update_is_a_line_on_request(errors: str, data: bytes, places: list[int]) -> None:
    """`\\r` ends a line too, and `\\r\\n` is one line end, also split over two chunks with empty ones between."""
    assert split(cut(data, places), errors, carriage_return=True) == expected_updates(data, errors)


def test_updates_come_as_soon_as_they_end() -> None:
    """The line of a progress bar is delivered at its `\\r`, and the `\\n` of the next chunk adds no blank line."""
    splitter = LineSplitter(carriage_return=True)
    assert splitter.feed(b" 10 %\r 20") == [" 10 %"]
    assert splitter.feed(b" %\r") == [" 20 %"]
    assert splitter.feed(b"\n") == []
    assert splitter.feed(b"\ndone") == [""]
    assert splitter.finish() == ["done"]


@pytest.mark.parametrize("sink", [None, print], ids=["nowhere", "sink"])
def test_a_stream_says_whether_a_line_was_completed(sink: Callable[[str], Any] | None) -> None:
    """By the last chunk, also where the lines go nowhere: the silence of a command is counted in lines."""
    stream, updates = Stream(sink), Stream(sink, carriage_return=True)
    heard = [(stream.feed(data), stream.heard)[1] for data in (b"a", b"b\nc", b"d", b"\r", b"\n")]
    assert heard == [False, True, False, False, True]
    heard = [(updates.feed(data), updates.heard)[1] for data in (b"a", b"b\rc", b"d", b"\n")]
    assert heard == [False, True, False, True]


@pytest.mark.parametrize("sink", [None, print], ids=["nowhere", "sink"])
@given(
    data=st.lists(st.sampled_from([b"a", b"\n", "\u00e9".encode(), "\u20ac".encode(), "\U0001f600".encode()])).map(b"".join),
    places=st.lists(st.integers(min_value=0)),
    keep=st.just(0) | st.integers(4, 40),
)
def test_the_last_bytes_are_kept(sink: Callable[[str], Any] | None, data: bytes, places: list[int], keep: int) -> None:
    """As many as asked for, less what is left of a character that was cut; every line is delivered nevertheless."""
    stream = Stream(sink, keep=keep)
    lines = [*itertools.chain.from_iterable(stream.feed(chunk) for chunk in cut(data, places)), *stream.finish()]
    kept = stream.data()
    assert kept == stream.data()
    assert data.endswith(kept)
    kept.decode("utf-8")
    assert min(len(data), keep) - 3 <= len(kept) <= keep
    assert lines == ([] if sink is None else expected(data))


@given(
    pieces=st.lists(st.sampled_from([b"", b"a", b"bc", b"\n", b"d\n", b"\r\n", b"x" * 5000]), max_size=12),
    keep=st.none() | st.integers(0, 12) | st.integers(4990, 5010),
)
def test_it_is_known_whether_what_is_kept_begins_in_a_line(pieces: list[bytes], keep: int | None) -> None:
    """However the bytes arrived: the byte before the kept ones tells, unless none was dropped."""
    stream, whole = Stream(keep=keep), b"".join(pieces)
    for piece in pieces:
        stream.feed(piece)
    cut = keep is not None and len(whole) > keep
    assert stream.begins_in_line() == (cut and whole[len(whole) - (keep or 0) - 1 :][:1] not in {b"\n", b"\r"})
    stream.data()
    assert stream.begins_in_line() == (cut and whole[len(whole) - (keep or 0) - 1 :][:1] not in {b"\n", b"\r"})


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_less_than_a_character_is_not_kept(keep: int) -> None:
    """The bytes of the end of one character are no text."""
    stream = Stream(keep=keep)
    stream.feed("ab\U0001f600".encode())
    assert stream.data() == b""


def test_bytes_that_are_no_utf_8_are_kept_as_they_are() -> None:
    """Where no character begins nearby, nothing is cut off: the bytes are some other encoding."""
    stream = Stream(keep=6)
    stream.feed(b"\x80" * 20 + b"a")
    assert stream.data() == b"\x80" * 5 + b"a"


@pytest.mark.parametrize("size", [1, 10, 5000, 1 << 16], ids=lambda size: f"chunks of {size}")
def test_what_is_not_kept_needs_no_memory(size: int) -> None:
    """However the output is chunked, little more is held than what is asked for."""
    stream, keep = Stream(keep=1000), 1000
    for _chunk in range(max(40, 40_000 // size)):
        stream.feed(b"x" * size)
        held = sum(map(len, stream._chunks))
        assert held <= keep + max(size, 1 << 12) + size
        assert len(stream._chunks) <= 3
    assert stream.data() == b"x" * keep


def test_data_can_be_asked_for_again_while_the_last_bytes_are_kept() -> None:
    """The kept part moves on with what comes later."""
    stream = Stream(keep=3)
    stream.feed(b"abcd")
    assert stream.data() == b"bcd"
    stream.feed(b"ef")
    assert stream.data() == b"def"


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


ENCODINGS = ["latin-1", "cp850", "shift_jis", "gb18030", "utf-16", "utf-16-be", "utf-32"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(text=st.text(alphabet="aé\r\n", max_size=20), places=st.lists(st.integers(min_value=0)))
def test_lines_of_another_encoding_are_those_of_its_text(encoding: str, text: str, places: list[int]) -> None:
    """Wherever the bytes were cut, also where a line end is several bytes."""
    name = codecs.lookup(encoding).name
    text = text.replace("é", "" if encoding == "shift_jis" else "é")
    assert split(cut(text.encode(encoding), places), encoding=name) == expected(text.encode())


@pytest.mark.parametrize("errors", ["strict", "replace", "surrogateescape", "backslashreplace"])
def test_a_bad_byte_of_another_encoding_shows_in_its_line(errors: str) -> None:
    """As in UTF-8: under strict it is escaped in the line."""
    shown = {"strict": "\\xff", "replace": "\ufffd", "surrogateescape": "\udcff", "backslashreplace": "\\xff"}[errors]
    assert split([b"a\n\xff", b"\nb"], errors, encoding="ascii") == ["a", shown, "b"]
    assert split([b"a\xe3"], errors, encoding="cp932")[0].startswith("a")


@pytest.mark.parametrize(
    ("encoding", "keep"), [("utf-16-le", 5), ("utf-32-le", 6), ("gb18030", 3), ("latin-1", 3), ("ascii", 3)]
)
def test_the_last_bytes_of_another_encoding_begin_with_a_character(encoding: str, keep: int) -> None:
    """They can be decoded as they are; what cannot is kept as it is."""
    text = "ab中中" if encoding not in {"latin-1", "ascii"} else "abcdef"
    stream = Stream(keep=keep, encoding=codecs.lookup(encoding).name)
    for byte in text.encode(encoding):
        stream.feed(bytes([byte]))
    kept = stream.data().decode(encoding)
    assert kept
    assert text.endswith(kept)
    bad = Stream(errors="replace", keep=6, encoding="ascii")
    bad.feed(b"\xff" * 9)
    assert bad.data() == b"\xff" * 6
