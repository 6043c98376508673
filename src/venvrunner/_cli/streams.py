"""The streams of a command that do not go straight through: copied byte by byte, or line by line behind a prefix."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TextIO

from venvrunner._process.lines import Stream

__tracebackhide__ = True

KEPT = 65_536
"""Maximum number of bytes of a stream's end that a report has."""


class OutputClosedError(Exception):
    """Nothing reads this program's output any more."""


def writer(stream: TextIO | None, turn: AbstractContextManager[object] | None = None) -> Callable[[bytes], None]:
    """Return the function that writes bytes to a standard stream.

    Args:
        stream: the stream; ``None``: it is closed, and what is written is lost.
        turn: held while something is written; default: nothing.
    """
    held = nullcontext() if turn is None else turn

    def write(data: bytes) -> None:
        if stream is None:
            return
        try:
            with held:
                stream.flush()
                stream.buffer.write(data)
                stream.buffer.flush()
        except OSError:
            # What is still buffered must not fail again at the exit: Python would then end with exit code 120.
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
            raise OutputClosedError from None

    return write


class CopiedStream(Stream):
    """A stream whose bytes are passed on unchanged, and whose end is kept.

    Args:
        write: writes bytes.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        super().__init__(keep=KEPT)
        self._write = write

    def feed(self, data: bytes) -> list[str]:
        """Pass on a chunk."""
        lines = super().feed(data)
        self._write(data)
        return lines

    def end(self) -> str:
        """Return the end of the output."""
        return self.data().decode("utf-8", "backslashreplace")


class PrefixedStream(CopiedStream):
    r"""A stream of which each line is passed on behind a prefix, whole: lines of several commands do not mix.

    A carriage return in a line ends it too, so that the prefix stays, and no terminal or CI service takes what follows for a
    line without one.

    Args:
        write: writes bytes.
        prefix: the prefix.
        is_safe: whether ``##[`` is kept; on GitHub Actions it begins a command, even behind a prefix.

    >>> import sys
    >>> stream = PrefixedStream(lambda data: print(data), b"3.12 | ")
    >>> stream.feed(b"one\ntw"), stream.feed(b"o\r\n50 %\r100 %"), stream.finish()
    b'3.12 | one\n'
    b'3.12 | two\n3.12 | 50 %\n'
    b'3.12 | 100 %\n'
    ([], [], [])
    """

    def __init__(self, write: Callable[[bytes], object], prefix: bytes, *, is_safe: bool = True) -> None:
        super().__init__(write)
        self._is_safe = is_safe
        self._prefix = prefix
        self._tail: list[bytes] = []

    def feed(self, data: bytes) -> list[str]:
        """Pass on the lines that a chunk completes."""
        Stream.feed(self, data)
        if b"\n" not in data and b"\r" not in data:
            self._tail.append(data)
            return []
        whole = b"".join([*self._tail, data]).replace(b"\r\n", b"\n")
        held = whole.endswith(b"\r")  # the other half of a line end may follow
        *lines, rest = (whole[:-1] if held else whole).replace(b"\r", b"\n").split(b"\n")
        self._tail = [rest + b"\r" if held else rest]
        self._pass(lines)
        return []

    def finish(self) -> list[str]:
        """Pass on the last line, if it has no line end."""
        rest = b"".join(self._tail).removesuffix(b"\r")
        self._tail = []
        self._pass(rest.replace(b"\r", b"\n").split(b"\n") if rest else [])
        return []

    def _pass(self, lines: list[bytes]) -> None:
        if lines:
            text = b"".join(self._prefix + line + b"\n" for line in lines)
            self._write(text if self._is_safe else text.replace(b"##[", b"## ["))
