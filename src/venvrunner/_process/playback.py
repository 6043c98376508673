"""Delivers output that is known already as that of a command; nothing is started."""

import time
from collections.abc import Awaitable, Iterable, Iterator, Mapping
from typing import cast

from venvrunner._process.command import Command, TimedOut
from venvrunner._process.lines import Stream
from venvrunner._process.sinks import Sink, is_coroutine_function
from venvrunner._process.sync_driver import refuse_awaitable

Output = Iterable[tuple[int, bytes]]
"""What a command has written: 1 or 2 for the stream, and the bytes, in their order."""


class Playback:
    """Does to the streams of a command what the drivers do, as if a process had written the output at once.

    Args:
        command: its time limit counts for slow sinks too.
        streams: where lines go.
        output: what it has written.
        returncode: its exit status; ``None``: it does not end, and its time is up as soon as all is delivered.
    """

    def __init__(self, command: Command, streams: Mapping[int, Stream], output: Output, returncode: int | None) -> None:
        self._streams = streams
        self._output = output
        self._returncode = returncode
        self._limit = None if command.timeout is None else time.monotonic() + command.timeout

    def run(self) -> int:
        """Deliver; return the exit status.

        Raises:
            TimedOut: the time was up.
            TypeError: a sink returned an awaitable.
            BaseException: what a sink raised.
        """
        if any(is_coroutine_function(stream.sink) for stream in self._streams.values()):
            from venvrunner._process import bridge  # noqa: PLC0415  asyncio is slow to import

            return bridge.wait_for(self.run_async)
        for sink, line in self._lines():
            result: object = sink(line)
            if result is not None and isinstance(result, Awaitable):
                refuse_awaitable(sink, result)
        return self._end()

    async def run_async(self) -> int:
        """Same as :meth:`run`, but a coroutine: a sink may return an awaitable."""
        import asyncio  # noqa: PLC0415  slow to import

        from venvrunner._process.async_driver import within_limit  # noqa: PLC0415  the same

        await asyncio.sleep(0)  # other tasks get their turn, and a cancel finds its place
        for sink, line in self._lines():
            result: object = sink(line)
            if result is not None and isinstance(result, Awaitable):
                await within_limit(cast("Awaitable[object]", result), self._limit)
        return self._end()

    def _lines(self) -> Iterator[tuple[Sink, str]]:
        for number, data in self._output:
            self._check_time()
            yield from self._deliver(self._streams[number], self._streams[number].feed(data))
        self._check_time()
        if self._returncode is not None:
            for stream in self._streams.values():
                yield from self._deliver(stream, stream.finish())

    def _deliver(self, stream: Stream, lines: list[str]) -> Iterator[tuple[Sink, str]]:
        for line in lines if stream.sink is not None else ():
            yield cast("Sink", stream.sink), line
            self._check_time()

    def _check_time(self) -> None:
        if self._limit is not None and time.monotonic() >= self._limit:
            raise TimedOut

    def _end(self) -> int:
        if self._returncode is None:
            raise TimedOut
        return self._returncode
