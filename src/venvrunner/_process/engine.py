"""Which driver runs a command."""

from collections.abc import Mapping

from venvrunner._process.command import Command
from venvrunner._process.group import HAS_SELECTABLE_PIPES
from venvrunner._process.lines import Stream
from venvrunner._process.sinks import is_coroutine_function


def run(command: Command, streams: Mapping[int, Stream]) -> int:
    """Run a command and return its exit status; from any thread, also inside a running event loop.

    The sync driver runs it, unless a sink is an ``async def`` or pipes can't be waited for (Windows).
    """
    if HAS_SELECTABLE_PIPES and not any(is_coroutine_function(stream.sink) for stream in streams.values()):
        from venvrunner._process import sync_driver  # noqa: PLC0415  only one of the two is needed

        return sync_driver.run(command, streams)
    from venvrunner._process import bridge  # noqa: PLC0415  the same

    return bridge.run(command, streams)


async def run_async(command: Command, streams: Mapping[int, Stream]) -> int:
    """Run a command on the running event loop and return its exit status."""
    from venvrunner._process import async_driver  # noqa: PLC0415  asyncio is slow to import

    return await async_driver.run(command, streams)
