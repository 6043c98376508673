"""Capture of a command: let it run unchanged, and keep its output and exit code."""

from collections import deque
from collections.abc import Mapping, MutableSequence

from venvrunner._process.command import Command
from venvrunner._process.lines import Stream
from venvrunner._process.source import Source

__tracebackhide__ = True


class Capture:
    """An interceptor that changes nothing and keeps the output of the last command.

    Args:
        limit: how many of the last chunks of output to keep; ``None``: all.

    Attributes:
        chunks: the output: 1 or 2 for the stream, and bytes, in the order of reading.
        returncode: the exit code; ``None``: the command has not exited by itself.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.chunks: MutableSequence[tuple[int, bytes]] = deque(maxlen=limit)
        self._limit = limit
        self.returncode: int | None = None

    def begin(
        self, command: Command, streams: Mapping[int, Stream], *, cancellable: bool
    ) -> tuple[Mapping[int, Stream], Source | None]:
        """Forget the previous command, and capture the one that is about to run."""
        self.chunks, self.returncode = deque(maxlen=self._limit), None
        return {number: _CapturedStream(number, stream, self.chunks) for number, stream in streams.items()}, None

    def end(self, returncode: int | None) -> None:
        """Keep the exit code."""
        self.returncode = returncode


class _CapturedStream(Stream):
    """A stream that also appends its bytes to a list.

    Args:
        number: 1 or 2 for the stream.
        stream: the stream that gets the bytes.
        chunks: the list.
    """

    def __init__(self, number: int, stream: Stream, chunks: MutableSequence[tuple[int, bytes]]) -> None:
        super().__init__(stream.sink)
        self._number = number
        self._stream = stream
        self._captured = chunks

    def feed(self, data: bytes) -> list[str]:
        self._captured.append((self._number, data))
        lines = self._stream.feed(data)
        self.heard = self._stream.heard
        return lines

    def finish(self) -> list[str]:
        return self._stream.finish()

    def data(self) -> bytes:
        return self._stream.data()
