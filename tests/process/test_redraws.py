"""A logger gets what a terminal shows in the end of a line that is drawn more than once, such as a progress bar."""

import logging
import time
from types import SimpleNamespace

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.callers import Caller
from venvrunner._process.loggers import Levels
from venvrunner._process.redraws import redrawn
from venvrunner._process.sinks import line_sink
from venvrunner._redaction import Redactor


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("", ""),
        ("plain", "plain"),
        ("\r", ""),
        ("abc\r", "abc"),
        ("abc\r\r\r", "abc"),
        ("\rabc", "abc"),
        ("abcdef\rXY", "XYcdef"),
        ("abcdef\rXY\r", "XYcdef"),
        ("abc\rdefghi", "defghi"),
        ("abcdef\rABCD\rXY", "XYCDef"),
        ("ab\rABCDEF\rXY", "XYCDEF"),
        (" 10 %\r 50 %\r100 %", "100 %"),
        ("a\tb\rX", "X\tb"),
        ("ä€😀\rX", "X€😀"),
        ("|\b/\b-\b", "-"),
        ("abc\b\b\b\b\bX", "Xbc"),
        ("N\bNA\bA", "NA"),
        ("Fetching a\r\x1b[KDone", "Done"),
        ("Fetching a\r\x1b[0KDone", "Done"),
        ("Fetching a\x1b[2K\rDone", "Done"),
        ("Fetching a\r\x1b[2KDone", "Done"),
        ("abc\r\x1b[2K", ""),
        ("abc\x1b[2Kx\r", "   x"),
        ("abc\x1b[2K\rx", "x"),
        ("abc\x1b[2Kx\r\x1b[1Gy", "y  x"),
        ("abc\x1b[2K\bx", "  x"),
        ("\x1b[32mok\x1b[0m\r", "ok"),
        ("\x1b[1;32mabc\x1b[0m\r\x1b[31mX\x1b[0m", "Xbc"),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x1b\\\rL", "Link"),
        ("\x1b(Babc\rX\x1b7", "Xbc"),
        ("abc\rX\x1b", "Xbc"),
        ("abc\rX\x1b[3", "X[3"),
        ("abc\rX\x1b]8;", "X]8;"),
    ],
)
def test_a_later_drawing_covers_only_its_own_length(line: str, shown: str) -> None:
    """A carriage return moves the cursor and erases nothing; terminal codes may erase, and show nothing themselves."""
    assert redrawn(line) == shown


PIECES = [
    "a",
    "bc",
    "def",
    " ",
    "0 %",
    "\r",
    "\r\r",
    "\b",
    "\x1b[K",
    "\x1b[0K",
    "\x1b[2K",
    "\x1b[G",
    "\x1b[1G",
    "\x1b[31m",
    "\x1b[0m",
]


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=40))
def test_it_is_what_a_terminal_shows(pieces: list[str]) -> None:
    """One that is emulated, column by column."""
    line = "".join(pieces)
    screen = pyte.Screen(200, 1)
    pyte.Stream(screen).feed(line)
    assert redrawn(line).rstrip() == screen.display[0].rstrip()


@given(pieces=st.lists(st.text(st.characters(exclude_characters="\x1b\b\n")), max_size=10))
def test_without_terminal_codes_every_character_counts(pieces: list[str]) -> None:
    """Of each column, the last character is shown."""
    line = "\r".join(pieces)
    columns: dict[int, str] = {}
    for piece in line.split("\r"):
        columns |= dict(enumerate(piece))
    assert redrawn(line) == "".join(columns.values())


LONG = 1 << 22
ADVERSARIAL = {
    "many short ones": "x" * LONG + "\rx" * LONG,
    "each longer": "\r".join("x" * length for length in range(3000)),
    "erased again and again": "x" * LONG + "\x1b[2Kx" * (LONG // 4),
    "erased one column further left": "x" * LONG + "\x1b[2K\b\bx" * (LONG // 4),
    "erased, and back": "x" * LONG + "\x1b[2K\rx" * (LONG // 4),
    "rest erased": "x" * LONG + "\x1b[Kx\b" * (LONG // 4),
    "codes without end": "\x1b]x" * (LONG // 4) + "\r" + "\x1b[1;" * (LONG // 4),
    "one code without end": "\x1b[" + "1" * LONG + "\r",
}


@pytest.mark.slow
@pytest.mark.parametrize("line", ADVERSARIAL.values(), ids=ADVERSARIAL)
def test_a_line_of_megabytes_cannot_stall_it(line: str) -> None:
    """A command chooses its output: the time grows with the length of a line, not with its square."""
    began = time.process_time()
    redrawn(line)
    assert time.process_time() - began < 100.0  # coverage's share included; its square would be days


def logged(line: str, *secrets: str) -> str:
    """Return what a logger gets of a line."""
    texts: list[str] = []
    sink = line_sink("info", "stdout", Levels(SimpleNamespace(info=texts.append)), Redactor(secrets))
    assert sink is not None
    sink(line)
    (text,) = texts
    return text.removeprefix("stdout: ")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("token hunter2\rdone", "done" + "n ****"),
        ("hunter2", "****"),
        ("hunter2\rXX", "XX****"),
        ("hunter2\r", "****"),
        ("hunter2\rhun", "****"),
        ("XXXXer2\rhunt", "****"),
        ("abc hunter2\rabc", "abc ****"),
        ("huntXX2\rhunter", "****"),
        ("hunter2 hunter2\rXXXX", "XXXX**** ****"),
        ("hunterX\b2", "****"),
        ("hunter2\b\b\b\b\b\b\bX", "X****"),
        ("hunter2\r\x1b[K100 %", "100 %"),
        ("\x1b[31mhunter2\x1b[0m\rX", "X****"),
        ("https://me:pw@host/x\rhttps", "https://****@host/x"),
        ("https://me:pw@host/x\r12345678", "12345678****@host/x"),
        ("a\ufdd0 hunter2\rX", "X\ufdd0 ****"),
        ("plain\rXY", "XYain"),
    ],
)
def test_a_credential_is_masked_before_and_after_a_redraw(line: str, shown: str) -> None:
    """One that was whole before a part of it is overwritten leaves no piece, and one that is whole only then is masked."""
    assert logged(line, "hunter2") == shown


def test_a_secret_with_a_terminal_code_is_masked() -> None:
    """Its code is not carried out."""
    assert logged("abc pass\x1b[Kword end\rX", "pass\x1b[Kword") == "Xbc **** end"


@given(
    pieces=st.lists(
        st.sampled_from(["hunter2", "hun", "ter2", "x", "\r", "\b", "\x1b[K", "\x1b[2K", "https://a:", "pw@h"]), max_size=12
    )
)
def test_no_redraw_lets_a_secret_through(pieces: list[str]) -> None:
    """However it is put together or taken apart."""
    shown = logged("".join(pieces), "hunter2", "pw@h")
    assert "hunter2" not in shown
    assert "pw@h" not in shown


def test_a_logger_gets_the_last_state_and_a_callable_the_bare_line(call: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """The returned text has everything, and so has what a callable gets."""
    caplog.set_level(logging.DEBUG, "venvrunner")
    lines: list[str] = []
    source = r"import sys; sys.stdout.write(' 10 %\r100 %\rdone\n'); sys.stderr.write(' 10 %\r100 %\rdone\n')"
    result = call.run(source, None, "info", lines.append)
    assert [record.getMessage() for record in caplog.records if record.levelname == "INFO"] == ["stdout: done%"]
    assert lines == [" 10 %\r100 %\rdone"]
    assert result.stdout == result.stderr == " 10 %\r100 %\rdone\n"
