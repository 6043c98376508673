"""Line splitting: bytes in, decoded lines out; without I/O."""

import codecs
from collections import deque
from collections.abc import Callable
from typing import Any

__tracebackhide__ = True

UTF_8 = "utf-8"
"""Python's name for it."""
SLICE = 16
"""Lines to deliver between two readings of the clock."""


class LineSplitter:
    r"""Split a stream of bytes into decoded lines, whatever its chunks.

    A line ends at ``\n`` and is returned without ``\n`` or ``\r\n``. The bytes ``\n`` and ``\r`` are never a part of another
    UTF-8 character, so a block that ends with one can be decoded as a whole.

    Args:
        errors: how to decode bytes that are not UTF-8, as for :meth:`bytes.decode`. With ``"strict"``, a line with a bad byte
            is returned with backslash escapes: a bad byte must not hide the line.
        carriage_return: whether ``\r`` ends a line too, for the updates of a progress bar.
        encoding: the encoding of the bytes. Any other than UTF-8 is converted first, because ``\n`` need not be one byte.

    >>> lines = LineSplitter()
    >>> lines.feed(b"one\r\ntw"), lines.feed(b"o\n  \xff\nend"), lines.finish()
    (['one'], ['two', '  \\xff'], ['end'])
    >>> LineSplitter(carriage_return=True).feed(b" 10 %\r 20 %\rdone\r\n")
    [' 10 %', ' 20 %', 'done']
    """

    def __init__(self, errors: str = "strict", *, carriage_return: bool = False, encoding: str = UTF_8) -> None:
        self._errors = errors
        self._decoder: codecs.IncrementalDecoder | None = None
        if encoding != UTF_8:
            self._decoder = codecs.getincrementaldecoder(encoding)("backslashreplace" if errors == "strict" else errors)
            self._errors = "surrogatepass"  # an error handler may have inserted one
        self._carriage_return = carriage_return
        self._after_return = False
        # Pieces of the unfinished line: joining them at every chunk would be quadratic for a long line.
        self._tail: list[bytes] = []

    def feed(self, data: bytes) -> list[str]:
        """Add a chunk; return the lines that it completes."""
        if self._decoder is not None:
            data = self._decoder.decode(data).encode(UTF_8, "surrogatepass")
        if self._carriage_return:
            data = self._with_newlines_only(data)
        cut = data.rfind(b"\n")
        if cut < 0:
            if data:
                self._tail.append(data)
            return []
        block = b"".join([*self._tail, data[:cut]])
        self._tail = [data[cut + 1 :]] if cut + 1 < len(data) else []
        try:
            lines = block.decode("utf-8", self._errors).split("\n")
        except UnicodeDecodeError:
            lines = [self._decode(line) for line in block.split(b"\n")]
        return [line.removesuffix("\r") for line in lines] if b"\r" in block else lines

    def finish(self) -> list[str]:
        """Return the last line if it has no line end, otherwise nothing."""
        if self._decoder is not None:
            self._tail.append(self._decoder.decode(b"", final=True).encode(UTF_8, "surrogatepass"))
        rest = b"".join(self._tail)
        self._tail = []
        return [self._decode(rest)] if rest else []

    def _with_newlines_only(self, data: bytes) -> bytes:
        r"""Return a chunk with ``\n`` for each line end; the two bytes of ``\r\n`` may be in two chunks."""
        if self._after_return and data.startswith(b"\n"):
            data = data[1:]
            self._after_return = False
        if data:
            self._after_return = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _decode(self, line: bytes) -> str:
        try:
            return line.decode("utf-8", self._errors)
        except UnicodeDecodeError:
            return line.decode("utf-8", "backslashreplace")


class Stream:
    r"""One output stream of a process: its bytes, and its lines for a sink.

    Args:
        sink: the callable for the lines; ``None``: the bytes are not split into lines.
        errors: as for :class:`LineSplitter`.
        carriage_return: as for :class:`LineSplitter`.
        keep: how many of the last bytes to keep; ``None``: all.
        encoding: as for :class:`LineSplitter`, under Python's name for it (``codecs.lookup``).

    Attributes:
        heard: whether the last chunk completed a line.
        bad: the first decoding error, if *errors* is strict and only the last bytes are kept: it may be in dropped bytes.

    >>> stream = Stream(print, keep=2)
    >>> stream.feed(b"a\nb"), stream.finish(), stream.data()
    (['a'], ['b'], b'\nb')
    """

    def __init__(
        self,
        sink: Callable[[str], Any] | None = None,
        errors: str = "strict",
        *,
        carriage_return: bool = False,
        keep: int | None = None,
        encoding: str = UTF_8,
    ) -> None:
        self.sink = sink
        self.heard = False
        self.bad: UnicodeDecodeError | None = None
        self._carriage_return = carriage_return
        self._keep = keep
        self._encoding = encoding
        self._strict = None if keep is None or errors != "strict" else codecs.getincrementaldecoder(encoding)()
        self._chunks: deque[bytes] = deque()
        self._held = self._total = 0
        self._dropped = b""
        self._splitter = None if sink is None else LineSplitter(errors, carriage_return=carriage_return, encoding=encoding)

    def feed(self, data: bytes) -> list[str]:
        """Keep a chunk; return the lines to deliver."""
        if self._keep is None:
            self._chunks.append(data)
        else:
            self._keep_last(data, self._keep)
        if self._splitter is None:
            self.heard = b"\n" in data or (self._carriage_return and b"\r" in data)
            return []
        lines = self._splitter.feed(data)
        self.heard = bool(lines)
        return lines

    def finish(self) -> list[str]:
        """Return the last line if it has no line end and there is a sink, otherwise nothing."""
        return [] if self._splitter is None else self._splitter.finish()

    def begins_in_line(self) -> bool:
        """Return whether the start of the first line of :meth:`data` was dropped."""
        if self._keep is None or self._total <= self._keep:
            return False
        before = self._dropped + b"".join(self._chunks)[: -self._keep or None]
        return before[-1:] not in {b"\n", b"\r"}

    def data(self) -> bytes:
        """Return the kept bytes; if earlier ones were dropped, from the first whole character on."""
        whole = b"".join(self._chunks)
        self._chunks = deque([whole])
        if self._keep is None or self._total <= self._keep:
            return whole
        kept = whole[len(whole) - self._keep :]
        if self._encoding != UTF_8:
            return kept[self._start(kept) :]
        # At most three bytes of a UTF-8 character follow its first.
        nowhere = len(kept) if len(kept) < 4 else 0  # noqa: PLR2004  a longer run is not UTF-8
        start = next((index for index, byte in enumerate(kept[:4]) if byte & 0xC0 != 0x80), nowhere)  # noqa: PLR2004  10xxxxxx
        return kept[start:]

    def _start(self, kept: bytes) -> int:
        """Return the position of the first whole character, as far as it can be known."""
        width = next((size for name, size in _WIDTHS.items() if self._encoding.startswith(name)), 0)
        if width:
            return (self._keep_from() + width - 1) // width * width - self._keep_from()
        for start in range(min(_LONGEST, len(kept))):
            try:
                kept[start:].decode(self._encoding)
            except UnicodeDecodeError:
                continue
            return start
        return 0

    def _keep_from(self) -> int:
        assert self._keep is not None
        return self._total - self._keep

    def _keep_last(self, data: bytes, keep: int) -> None:
        if self._strict is not None:
            try:
                self._strict.decode(data)
            except UnicodeDecodeError as exc:
                self.bad, self._strict = exc, None
        if self._chunks and len(self._chunks[-1]) < _SMALL:
            self._chunks[-1] += data  # many small chunks would need more memory than their bytes
        else:
            self._chunks.append(data)
        self._total += len(data)
        self._held += len(data)
        while self._chunks and self._held - len(self._chunks[0]) >= keep:
            dropped = self._chunks.popleft()
            self._held -= len(dropped)
            self._dropped = dropped[-1:] or self._dropped


_WIDTHS = {"utf-16": 2, "utf-32": 4}
"""Bytes of a unit, for encodings in which any byte can begin a unit."""
_LONGEST = 4
"""Maximum length of a character in the other encodings, in bytes."""
_SMALL = 1 << 12
"""Maximum length of a chunk that the next one is joined to, where only the last bytes are kept."""
