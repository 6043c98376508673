"""Lets a command run as ever, and keeps what it writes."""

from collections import deque
from collections.abc import Mapping, MutableSequence

from venvrunner._process.command import Command
from venvrunner._process.lines import Stream
from venvrunner._process.source import Source

__tracebackhide__ = True


class Capture:
    """An attendant that only looks; of several commands, what the last of them did is kept.

    Args:
        limit: how many pieces of its output are kept, the last ones; ``None``: all.

    Attributes:
        chunks: what it has written: 1 or 2 for the stream, and bytes, in their order.
        returncode: its exit status; ``None``: it has not ended by itself.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.chunks: MutableSequence[tuple[int, bytes]] = deque(maxlen=limit)
        self._limit = limit
        self.returncode: int | None = None

    def begin(
        self, command: Command, streams: Mapping[int, Stream], *, cancellable: bool
    ) -> tuple[Mapping[int, Stream], Source | None]:
        """Take note of a command that is about to run."""
        self.chunks, self.returncode = deque(maxlen=self._limit), None
        return {number: _CapturedStream(number, stream, self.chunks) for number, stream in streams.items()}, None

    def end(self, returncode: int | None) -> None:
        """Take note of its exit status."""
        self.returncode = returncode


class _CapturedStream(Stream):
    """A stream whose bytes are noted.

    Args:
        number: of the stream.
        stream: what gets them.
        chunks: where they are noted.
    """

    def __init__(self, number: int, stream: Stream, chunks: MutableSequence[tuple[int, bytes]]) -> None:
        super().__init__(stream.sink)
        self._number = number
        self._stream = stream
        self._noted = chunks

    def feed(self, data: bytes) -> list[str]:
        self._noted.append((self._number, data))
        lines = self._stream.feed(data)
        self.heard = self._stream.heard
        return lines

    def finish(self) -> list[str]:
        return self._stream.finish()

    def data(self) -> bytes:
        return self._stream.data()
