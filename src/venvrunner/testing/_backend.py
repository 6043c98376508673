"""The event loop for the asynchronous tests of the contract."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

_Result = TypeVar("_Result")


class Backend:
    """Run async functions on asyncio; override the methods for another event loop.

    >>> async def answer() -> int:
    ...     return 42
    >>> Backend().run(answer)
    42
    """

    def run(self, main: Callable[[], Awaitable[_Result]]) -> _Result:
        """Return the result of an async function that runs on a new loop."""

        async def call() -> _Result:
            return await main()

        return asyncio.run(call())

    async def gather(self, *functions: Callable[[], Awaitable[_Result]]) -> list[_Result]:
        """Return the results of async functions that run at the same time."""
        return list(await asyncio.gather(*(function() for function in functions)))

    async def turn(self) -> None:
        """Let other tasks run."""
        await asyncio.sleep(0)
