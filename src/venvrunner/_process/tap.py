"""Lets a command run as ever, and keeps what it writes."""

from collections import deque
from collections.abc import Mapping, MutableSequence

from venvrunner._process import engine
from venvrunner._process.command import Command
from venvrunner._process.lines import Stream


class Tap:
    """A driver in front of the one that runs a command; of several commands, what the last of them did is kept.

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

    def begin(self, command: Command) -> None:
        """Take note of a command that is about to run."""
        self.chunks, self.returncode = deque(maxlen=self._limit), None

    def run(self, command: Command, streams: Mapping[int, Stream]) -> int:
        """Same as :func:`.engine.run`."""
        self.begin(command)
        self.returncode = engine.run(command, self._tapped(streams))
        return self.returncode

    async def run_async(self, command: Command, streams: Mapping[int, Stream]) -> int:
        """Same as :func:`.engine.run_async`."""
        self.begin(command)
        self.returncode = await engine.run_async(command, self._tapped(streams))
        return self.returncode

    def _tapped(self, streams: Mapping[int, Stream]) -> dict[int, Stream]:
        return {number: _Tapped(number, stream, self.chunks) for number, stream in streams.items()}


class _Tapped(Stream):
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
        return self._stream.feed(data)

    def finish(self) -> list[str]:
        return self._stream.finish()

    def data(self) -> bytes:
        return self._stream.data()
