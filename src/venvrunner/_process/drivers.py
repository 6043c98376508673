"""The four ways to run a command: sync or async, to its end or line by line, all with the flow of :mod:`.flow`."""

import sys
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Generator
from typing import Generic, Self, TypeVar

from venvrunner._process.async_driver import AsyncDriver
from venvrunner._process.flow import Run
from venvrunner._process.sync_driver import SyncDriver

__tracebackhide__ = True

_Item = TypeVar("_Item")


def run(current: Run) -> Run:
    """Run a command to its end and deliver its lines. Works in any thread and inside a running event loop.

    Before any exception propagates, the session of the command is stopped and every descriptor is closed.

    Args:
        current: the run of the command.

    Returns:
        the same run, with its exit code and its duration.

    Raises:
        TimedOut, Stopped: the command was stopped.
        OSError: the command could not be started.
        TypeError: a sink returned an awaitable.
        BaseException: the exception of a sink or of a signal handler.
    """
    if current.needs_loop():
        from venvrunner._process import bridge  # asyncio is slow to import

        return bridge.wait_for(lambda: run_async(current), current.hurry)
    driver = SyncDriver(current)
    try:
        with driver:
            driver.advance()
    finally:
        driver.settle()
    return current


def lines(current: Run, taken: deque[str]) -> Generator[str, None, Run]:
    """Same as :func:`run`, but yield the lines that a sink puts into *taken*. Closing the generator stops the command."""
    driver = SyncDriver(current)
    try:
        with driver:
            while driver.advance(taken):
                while taken:
                    yield taken.popleft()
    finally:
        driver.settle()
    yield from taken
    return current


async def run_async(current: Run) -> Run:
    """Same as :func:`run`, but on the running event loop: a sink may return an awaitable; cancellation stops the command."""
    driver = AsyncDriver(current)
    try:
        async with driver:
            await driver.advance()
    finally:
        driver.settle()
    return current


async def async_lines(current: Run, taken: deque[str]) -> AsyncGenerator[str | Run]:
    """Same as :func:`lines`, but on the running event loop. The last item is the run: async generators return nothing."""
    driver = AsyncDriver(current, awaits_at_close=True)
    try:
        async with driver:
            while await driver.advance(taken):
                while taken:
                    yield taken.popleft()
    finally:
        driver.settle()
    for line in taken:
        yield line
    yield current


class Inner(Generic[_Item]):
    """An async generator that only another async generator iterates over and closes.

    An event loop that ends closes all async generators that it knows at the same time, so an outer one would find its inner
    one already closing. This class hides the inner one from the loop (``sys.set_asyncgen_hooks``).
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
