"""How a row of the benchmark is measured, and the table of all rows.

A row is one function in ``ROWS``. Most are made by :func:`timed` from a function that names the contestants.
"""

import gc
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

OURS = "venvrunner"
MISSING = "-"
_QUICK = 10
"""By how much a quick measurement has fewer rounds."""


class Result(NamedTuple):
    """One line of the table."""

    title: str
    ours: str
    beside: str
    ratio: str
    budget: str
    ok: bool


@dataclass(frozen=True)
class Effort:
    """How thoroughly to measure."""

    quick: bool = False

    def rounds(self, full: int) -> int:
        return max(2, full // _QUICK) if self.quick else full


Contestants = Mapping[str, Callable[[], object] | None]
"""What is measured side by side, ours among them; ``None`` stands for a peer that is not installed."""

ROWS: dict[str, Callable[[Effort], Result]] = {}


def timed(
    title: str,
    *,
    rounds: int,
    runs: int = 1,
    limits: Mapping[str, float] | None = None,
    most: float | None = None,
    beyond: str | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Callable[[Callable[[str], Contestants]], Callable[[str], Contestants]]:
    """Make a row of a function that gets the path of a scratch directory and returns the contestants.

    Args:
        title: what is measured.
        rounds: how often each contestant has its turn.
        runs: how often it runs in one turn; several, where what ran before would leave it a cold cache that is its larger part.
        limits: the budgets by contestant: ours may take so many times as long. Other ratios are shown for the first of them.
        most: the budget in seconds.
        beyond: the contestant whose time is taken off every other one's, round by round; the median of that is shown.
        clock: tells the time, in seconds.
    """

    def register(contestants: Callable[[str], Contestants]) -> Callable[[str], Contestants]:
        def row(effort: Effort) -> Result:
            with tempfile.TemporaryDirectory() as folder:
                times = all_rounds(contestants(folder), effort.rounds(rounds), runs, clock)
            base = times.pop(beyond) if beyond else None
            shown = {
                name: None if found is None else _good(found) if base is None else _more(found, base)
                for name, found in times.items()
            }
            return _judge(title, shown, limits or {}, most)

        ROWS[contestants.__name__.replace("_", "-")] = row
        return contestants

    return register


def processor_time() -> float:
    """Return the seconds that processors were busy with processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def all_rounds(contestants: Contestants, rounds: int, runs: int, clock: Callable[[], float]) -> dict[str, list[float] | None]:
    """Return the time of a run of each in every round, in seconds; ``None`` for who is not there.

    All have their turn in each round, in an order that changes from round to round, so that a slow minute of the machine
    counts for all of them. The first round warms up and does not count.
    """
    present = {name: run for name, run in contestants.items() if run is not None}
    times: dict[str, list[float]] = {name: [] for name in present}
    order = list(present)
    shuffle = random.Random(0).shuffle
    gc.collect()
    # What is loaded by now is not garbage of a contestant; each run begins with none of its predecessor's.
    gc.freeze()
    for _round in range(rounds + 1):
        shuffle(order)
        for name in order:
            gc.collect()
            begin = clock()
            for _run in range(runs):
                present[name]()
            times[name].append((clock() - begin) / runs)
    gc.unfreeze()
    return {name: times[name][1:] if name in times else None for name in contestants}


def _good(times: list[float]) -> float:
    """Return the time of a good round: a tenth of all were as fast or faster."""
    return sorted(times)[len(times) // 10]


def _more(times: list[float], base: list[float]) -> float:
    """Return how much longer something takes: two runs in a row met the same machine, so its moods are in no difference."""
    return statistics.median(time - before for time, before in zip(times, base, strict=True))


def peer(module: str) -> Any | None:
    """Return a module if it is installed."""
    try:
        return import_module(module)
    except ImportError:
        return None


def table(results: list[Result]) -> str:
    """Return the results as a table in Markdown."""
    head = ["what", "ours", "beside it", "ratio", "budget", "kept"]
    rows = [[*result[:5], "ok" if result.ok else "**over**"] for result in results]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])


def _judge(title: str, times: Mapping[str, float | None], limits: Mapping[str, float], most: float | None) -> Result:
    ours = times[OURS]
    assert ours is not None
    against = {name: seconds for name in limits if (seconds := times[name]) is not None}
    reference = next(iter(against.values()), None)
    beside = [_beside(name, seconds, reference) for name, seconds in times.items() if name != OURS]
    ratios = [f"{ours / seconds:.2g}" if ours < seconds / 10 else f"{ours / seconds:.2f}" for seconds in against.values()]
    budgets = [f"{limit:.3g} x {name}" for name, limit in limits.items()]
    if most is not None:
        budgets.append(duration(most))
    kept = [ours <= limits[name] * seconds for name, seconds in against.items()]
    return Result(
        title=title,
        ours=duration(ours),
        beside="; ".join(beside) or MISSING,
        ratio=", ".join(ratios) or MISSING,
        budget=" and ".join(budgets) or MISSING,
        ok=all(kept) and (most is None or ours <= most),
    )


def _beside(name: str, seconds: float | None, reference: float | None) -> str:
    if seconds is None:
        return f"{name} {MISSING}"
    if reference is None or seconds is reference:
        return f"{name} {duration(seconds)}"
    return f"{name} {duration(seconds)} ({seconds / reference:.1f} x)"


def duration(seconds: float) -> str:
    """Return a time for people.

    >>> duration(0.00213), duration(0.213), duration(2.13)
    ('2.1 ms', '213 ms', '2.1 s')
    """
    if seconds >= 1:
        return f"{seconds:.1f} s"
    milliseconds = seconds * 1000
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"
