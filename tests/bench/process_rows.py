"""Rows about running a process: what a call costs, and what a line costs."""

import asyncio
import logging
import os
import subprocess
from collections.abc import Callable, Coroutine
from typing import Any

from measure import OURS, Contestants, peer, timed

from venvrunner import VenvRunner, subprocess_util
from venvrunner._process.loggers import Levels
from venvrunner._process.sinks import line_sink
from venvrunner._redaction import Redactor

ANTSIBULL = "antsibull-core"
STDLIB = "subprocess.run"
PASS = "`log_run` of `python -c pass`"
LINES = 500_000
LINE = "line {:06d} of what a build prints, as long as they often are\n"


def ignore(line: str) -> None:
    """Take a line: the cheapest callback in Python."""


@timed('`log_run(["true"])`', rounds=60, runs=10, limits={STDLIB: 1.15})
def true(folder: str) -> Contestants:
    command = ["true"]
    antsibull, anyio, tee = peer("antsibull_core.subprocess_util"), peer("anyio"), peer("subprocess_tee")
    sh, plumbum = peer("sh"), peer("plumbum")
    return {
        OURS: lambda: subprocess_util.log_run(command),
        STDLIB: lambda: subprocess.run(command, capture_output=True, text=True, check=True),
        "subprocess.run without capture": lambda: subprocess.run(command, check=True),
        ANTSIBULL: antsibull and (lambda: antsibull.log_run(command)),
        "anyio": anyio and (lambda: anyio.run(anyio.run_process, command)),
        "sh": sh and sh.Command("true"),
        "plumbum": plumbum and plumbum.local["true"].run,
        "subprocess-tee": tee and (lambda: tee.run(command, tee=False)),
    }


@timed("500,000 lines to a callback", rounds=15, limits={STDLIB: 1.6})
def lines_to_a_callback(folder: str) -> Contestants:
    command = print_lines(folder)
    antsibull = peer("antsibull_core.subprocess_util")
    return {
        OURS: lambda: subprocess_util.log_run(command, stdout_loglevel=ignore),
        STDLIB: lambda: subprocess.run(command, capture_output=True, text=True, check=True),
        ANTSIBULL: antsibull and (lambda: antsibull.log_run(command, stdout_loglevel=ignore)),
    }


@timed("500,000 lines, no callback", rounds=15, limits={STDLIB: 1.1})
def lines(folder: str) -> Contestants:
    command = print_lines(folder)
    antsibull, anyio = peer("antsibull_core.subprocess_util"), peer("anyio")
    return {
        OURS: lambda: subprocess_util.log_run(command),
        STDLIB: lambda: subprocess.run(command, capture_output=True, text=True, check=True),
        ANTSIBULL: antsibull and (lambda: antsibull.log_run(command)),
        "anyio (bytes)": anyio and (lambda: in_loop(lambda: anyio.run_process(command))),
    }


@timed("500,000 lines to a callback, async", rounds=15, limits={STDLIB: 1.2})
def async_lines_to_a_callback(folder: str) -> Contestants:
    command = print_lines(folder)
    antsibull = peer("antsibull_core.subprocess_util")
    return {
        OURS: lambda: in_loop(lambda: subprocess_util.async_log_run(command, stdout_loglevel=ignore)),
        STDLIB: lambda: subprocess.run(command, capture_output=True, text=True, check=True),
        ANTSIBULL: antsibull and (lambda: in_loop(lambda: antsibull.async_log_run(command, stdout_loglevel=ignore))),
    }


@timed('`log_run(["true"], contain=True)`, beyond one without', rounds=40, most=0.02, beyond="without")
def contained(folder: str) -> Contestants:
    return {
        OURS: lambda: subprocess_util.log_run(["true"], contain=True),
        "without": lambda: subprocess_util.log_run(["true"]),
    }


@timed('`venv.call("posixpath:join", "a", "b")`', rounds=60, limits={PASS: 1.3})
def call(folder: str) -> Contestants:
    def join(*parts: str) -> list[str]:
        return ["/".join(parts)]

    venv = VenvRunner("venv", folder)
    return {
        OURS: lambda: venv.call("posixpath:join", "a", "b"),
        PASS: lambda: venv.log_run(["python", "-c", "pass"]),
        "of a function by its source": lambda: venv.call(join, "a", "b"),
    }


@timed("100 commands at once, on uvloop", rounds=10, limits={"asyncio": 1.05})
def many_on_uvloop(folder: str) -> Contestants:
    async def main() -> None:
        await asyncio.gather(*(subprocess_util.async_log_run(["true"]) for _number in range(100)))

    uvloop = peer("uvloop")
    return {
        OURS: (lambda: uvloop.run(main())) if uvloop else (lambda: asyncio.run(main())),
        "asyncio": lambda: asyncio.run(main()),
    }


@timed("1,000 lines to a standard logger that makes records", rounds=60, most=0.004)
def lines_to_a_logger(folder: str) -> Contestants:
    class Taker(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            """Take a record."""

    logger = logging.Logger("bench", logging.INFO)  # noqa: LOG001  it is gone with the row
    logger.addHandler(Taker())
    text = "line 000001 of what a build prints, as long as they often are"

    def ours() -> None:
        sink = line_sink("info", "stdout", Levels(logger), Redactor(), ["tool"])
        assert sink is not None
        for _number in range(1000):
            sink(text)

    def bare() -> None:
        for _number in range(1000):
            logger.info(text)

    return {OURS: ours, "`Logger.info`": bare}


def print_lines(folder: str) -> list[str]:
    """Return a command that prints many lines and itself takes next to no time, so that the reader is what is measured."""
    path = os.path.join(folder, "lines.txt")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(LINE.format(number) for number in range(LINES))
    return ["cat", path]


def in_loop(call: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Run a coroutine on an event loop of its own, and keep its result to ourselves.

    Returned from the main task, the whole output would be turned into its `repr` twice by CPython: `asyncio.run` restores
    its signal handler, the signal module asks whether the handler is an enum member, and the error that says no shows the
    handler, which shows the task, which shows its result.
    """

    async def main() -> None:
        await call()

    asyncio.run(main())
