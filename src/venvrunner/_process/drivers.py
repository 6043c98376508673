"""Runs a command for a caller: sync or async, as a whole or line by line; all of it is the one flow of :mod:`.flow`."""

import sys
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Generator, Mapping
from typing import Generic, Self, TypeVar

from venvrunner._process.async_driver import AsyncDriver
from venvrunner._process.command import Command
from venvrunner._process.flow import Run
from venvrunner._process.lines import Stream
from venvrunner._process.sinks import is_coroutine_function
from venvrunner._process.sync_driver import SyncDriver

__tracebackhide__ = True

_Item = TypeVar("_Item")


def run(command: Command, streams: Mapping[int, Stream]) -> Run:
    """Run a command to its end and deliver its lines; from any thread, also inside a running event loop.

    Whatever is raised, all that the command started is ended first and every descriptor closed.

    Args:
        command: what to run.
        streams: where the lines of 1 and 2 go; empty if the child is to inherit both.

    Returns:
        the run, with its exit status and its duration.

    Raises:
        TimedOut, Stopped: the command was ended.
        OSError: it could not be started.
        TypeError: a sink returned an awaitable.
        BaseException: what a sink or a signal handler raised.
    """
    if any(map(is_coroutine_function, [stream.sink for stream in streams.values()])):
        from venvrunner._process import bridge  # asyncio is slow to import

        current = Run(command, streams)
        return bridge.wait_for(lambda: _attend(current), current.hurry)
    drive = SyncDriver(Run(command, streams))
    try:
        with drive:
            drive.advance()
    finally:
        drive.settle()
    return drive.run


def lines(command: Command, streams: Mapping[int, Stream], taken: deque[str]) -> Generator[str, None, Run]:
    """Same as :func:`run`, but yield the lines that a sink puts into a queue; closing the generator ends the command."""
    drive = SyncDriver(Run(command, streams))
    try:
        with drive:
            while drive.advance(taken):
                while taken:
                    yield taken.popleft()
    finally:
        drive.settle()
    yield from taken
    return drive.run


async def run_async(command: Command, streams: Mapping[int, Stream]) -> Run:
    """Same as :func:`run`, but on the running event loop: a sink may return an awaitable, and a cancel ends the command too."""
    return await _attend(Run(command, streams, cancellable=True))


async def _attend(run: Run) -> Run:
    drive = AsyncDriver(run)
    try:
        async with drive:
            await drive.advance()
    finally:
        drive.settle()
    return run


async def async_lines(command: Command, streams: Mapping[int, Stream], taken: deque[str]) -> AsyncGenerator[str | Run]:
    """Same as :func:`lines`, on the running event loop; yield the run at last, as an async generator returns nothing."""
    drive = AsyncDriver(Run(command, streams, cancellable=True), awaits_at_close=True)
    try:
        async with drive:
            while await drive.advance(taken):
                while taken:
                    yield taken.popleft()
    finally:
        drive.settle()
    for line in taken:
        yield line
    yield drive.run


class Inner(Generic[_Item]):
    """An async generator that another one iterates over and closes.

    An event loop that ends closes all async generators that it knows, at the same time: the outer one would find that the
    inner one is being closed already. So the loop must not know the inner one (``sys.set_asyncgen_hooks``).
    """

    def __init__(self, generator: AsyncGenerator[_Item]) -> None:
        self._generator = generator

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Awaitable[_Item]:
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, None)
        try:
            return self._generator.__anext__()
        finally:
            sys.set_asyncgen_hooks(*hooks)

    def aclose(self) -> Awaitable[None]:
        return self._generator.aclose()
