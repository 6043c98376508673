"""Bytes in, decoded lines out; without I/O."""

from venvrunner._process.sinks import Sink

SLICE = 16
"""Lines to deliver between two looks at the clock."""


class LineSplitter:
    r"""Cuts a stream of bytes into decoded lines, however it was chunked.

    A line ends at ``\n`` and nowhere else; it is handed out without ``\n`` or ``\r\n``. The byte ``\n`` never is a part of
    another UTF-8 character, so a block that ends with it can be decoded as a whole.

    Args:
        errors: how to decode what is not UTF-8, as for :meth:`bytes.decode`. With ``"strict"``, a line with a bad byte
            is handed out with backslash escapes: a bad byte must not hide the line.

    >>> lines = LineSplitter()
    >>> lines.feed(b"one\r\ntw"), lines.feed(b"o\n  \xff\nend"), lines.finish()
    (['one'], ['two', '  \\xff'], ['end'])
    """

    def __init__(self, errors: str = "strict") -> None:
        self._errors = errors
        # Pieces of the line that has no end yet: joining them at every chunk would be quadratic for a long line.
        self._tail: list[bytes] = []

    def feed(self, data: bytes) -> list[str]:
        """Take the next chunk; return the lines it completes."""
        cut = data.rfind(b"\n")
        if cut < 0:
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
        """Return the last line if it had no end, else nothing."""
        rest = b"".join(self._tail)
        self._tail = []
        return [self._decode(rest)] if rest else []

    def _decode(self, line: bytes) -> str:
        try:
            return line.decode("utf-8", self._errors)
        except UnicodeDecodeError:
            return line.decode("utf-8", "backslashreplace")


class Stream:
    r"""One output stream of a process: all its bytes, and its lines for a sink.

    Args:
        sink: where the lines go; ``None`` if nobody wants them, then nothing is split.
        errors: as for :class:`LineSplitter`.

    >>> stream = Stream(print)
    >>> stream.feed(b"a\nb"), stream.finish(), stream.data()
    (['a'], ['b'], b'a\nb')
    """

    def __init__(self, sink: Sink | None = None, errors: str = "strict") -> None:
        self.sink = sink
        self._chunks: list[bytes] = []
        self._splitter = LineSplitter(errors)

    def feed(self, data: bytes) -> list[str]:
        """Keep a chunk; return the lines to deliver."""
        self._chunks.append(data)
        return [] if self.sink is None else self._splitter.feed(data)

    def finish(self) -> list[str]:
        """Return the last line if it had no end and there is a sink."""
        return self._splitter.finish()

    def data(self) -> bytes:
        """Return all bytes so far."""
        self._chunks = [b"".join(self._chunks)]
        return self._chunks[0]
