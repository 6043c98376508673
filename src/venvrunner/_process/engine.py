"""Which driver runs a command."""

import contextlib
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Protocol

from venvrunner._process.command import Command
from venvrunner._process.group import HAS_SELECTABLE_PIPES
from venvrunner._process.lines import Stream
from venvrunner._process.sinks import is_coroutine_function


class Driver(Protocol):
    """Runs commands in place of the drivers that start a process, or around them."""

    def run(self, command: Command, streams: Mapping[int, Stream]) -> int:
        """Run a command and return its exit status."""
        ...

    async def run_async(self, command: Command, streams: Mapping[int, Stream]) -> int:
        """Same as :meth:`run`, but a coroutine."""
        ...


_WATCHER: ContextVar[Driver | None] = ContextVar("venvrunner.watcher", default=None)
_DRIVER: ContextVar[Driver | None] = ContextVar("venvrunner.driver", default=None)


def watched_by(watcher: Driver) -> AbstractContextManager[None]:
    """Let a driver see the commands of a block, whatever else drives them; it hands them to :func:`run` again."""
    return _kept(_WATCHER, watcher)


def driven_by(driver: Driver) -> AbstractContextManager[None]:
    """Let a driver run the commands of a block, instead of starting processes.

    No option, because who patches `log_run` is to see what its caller said.
    """
    return _kept(_DRIVER, driver)


@contextlib.contextmanager
def _kept(variable: ContextVar[Driver | None], driver: Driver | None) -> Generator[None]:
    token = variable.set(driver)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # a coroutine is closed in another context than its own
            variable.reset(token)


def run(command: Command, streams: Mapping[int, Stream]) -> int:
    """Run a command and return its exit status; from any thread, also inside a running event loop.

    The sync driver runs it, unless a sink is an ``async def`` or pipes can't be waited for (Windows).
    """
    for variable in (_WATCHER, _DRIVER):
        if (driver := variable.get()) is not None:
            with _kept(variable, None):  # a command that a callback runs is another one's business
                return driver.run(command, streams)
    if HAS_SELECTABLE_PIPES and not any(is_coroutine_function(stream.sink) for stream in streams.values()):
        from venvrunner._process import sync_driver  # noqa: PLC0415  only one of the two is needed

        return sync_driver.run(command, streams)
    from venvrunner._process import bridge  # noqa: PLC0415  the same

    return bridge.run(command, streams)


async def run_async(command: Command, streams: Mapping[int, Stream]) -> int:
    """Run a command on the running event loop and return its exit status."""
    for variable in (_WATCHER, _DRIVER):
        if (driver := variable.get()) is not None:
            with _kept(variable, None):  # the same
                return await driver.run_async(command, streams)
    from venvrunner._process import async_driver  # noqa: PLC0415  asyncio is slow to import

    return await async_driver.run(command, streams)
