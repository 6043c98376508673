"""The row about event loops: how long other tasks wait at most while an environment is created, changed and deleted."""

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from statistics import median
from typing import Any

from environment_rows import PACKAGES
from measure import ROWS, Effort, Result, duration

from venvrunner import VenvRunner

BUDGET = 0.02
"""Seconds that another task may wait."""
TICK = 0.001
ROUNDS = 10
AT_ONCE = 8

Life = Callable[[str], Coroutine[Any, Any, object]]


async def asynchronous(folder: str) -> None:
    """Create, install, fork, remove, lock and delete with the methods that are meant for a loop."""
    async with VenvRunner.async_temporary(requirements=PACKAGES) as parent:
        fork = await parent.async_fork("fork", folder)
        await fork.async_install("pip")
        await fork.async_uninstall("pytest")
        await fork.async_lock(os.path.join(folder, "pylock.toml"), "pip")
        await fork.async_delete()


async def at_once(_folder: str) -> None:
    """Create and delete several environments, each by a task of its own."""

    async def live() -> None:
        async with VenvRunner.async_temporary():
            pass

    await asyncio.gather(*(live() for _number in range(AT_ONCE)))


async def synchronous(_folder: str) -> None:
    """Do with the other methods what takes most of the time."""
    with VenvRunner.temporary(requirements=PACKAGES):
        pass


async def idle(_folder: str) -> None:
    """Do nothing: what the machine itself takes."""
    await asyncio.sleep(1)


async def longest_wait(life: Life) -> float:
    """Return the longest time that a ticker waited beside a call, in seconds."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            begin = time.monotonic()
            await asyncio.sleep(TICK)
            longest = max(longest, time.monotonic() - begin - TICK)

    with tempfile.TemporaryDirectory() as folder, cancelled_at_end(asyncio.create_task(tick())):
        await asyncio.sleep(2 * TICK)
        await life(folder)
        await asyncio.sleep(2 * TICK)
    return longest


@contextlib.contextmanager
def cancelled_at_end(task: "asyncio.Task[None]") -> Iterator[None]:
    yield
    task.cancel()


def loop(effort: Effort) -> Result:
    """Measure the longest wait in each round; the machine only adds to it, so the median of the rounds counts."""
    lives: dict[str, Life] = {"ours": asynchronous, f"{AT_ONCE} at once": at_once, "without async": synchronous, "idle": idle}
    waits: dict[str, list[float]] = {name: [] for name in lives}
    for _round in range(effort.rounds(ROUNDS)):
        for name, life in lives.items():
            waits[name].append(asyncio.run(longest_wait(life)))
    found = {name: median(times) for name, times in waits.items()}
    worst = max(found.pop("ours"), found.pop(f"{AT_ONCE} at once"))
    return Result(
        title=f"the longest wait of another task, create to delete, and {AT_ONCE} at once",
        ours=duration(worst),
        beside="; ".join(f"{name} {duration(seconds)}" for name, seconds in found.items()),
        ratio="-",
        budget=duration(BUDGET),
        ok=worst <= BUDGET,
    )


ROWS["loop"] = loop
