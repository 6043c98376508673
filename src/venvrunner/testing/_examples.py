"""The example commands of the contract, and the helpers of its tests."""

import contextlib
import inspect
import logging
import subprocess
from collections.abc import Callable
from typing import Any, NamedTuple

from venvrunner.runner import Runner
from venvrunner.testing._backend import Backend

Run = Callable[..., subprocess.CompletedProcess[str]]
"""``log_run``, or ``async_log_run`` on a loop of its own."""
Loop = Callable[..., list[str]]
"""A loop over ``lines``, or over ``async_lines`` on an event loop of its own."""


class Example(NamedTuple):
    """A command that the contract runs, with its outcome.

    Attributes:
        args: the command line.
        stdout: its standard output.
        stderr: its standard error.
        returncode: its exit code; ``None``: it does not exit by itself.

    >>> EXAMPLES[0].args[:2], EXAMPLES[0].returncode
    (('python', '-c'), 0)
    """

    args: tuple[str, ...]
    stdout: bytes = b""
    stderr: bytes = b""
    returncode: int | None = 0


def _example(stdout: bytes, stderr: bytes = b"", returncode: int | None = 0, *args: str) -> Example:
    write = f"for file, data in (sys.stdout, {stdout!r}), (sys.stderr, {stderr!r}): file.buffer.write(data); file.flush()\n"
    end = "time.sleep(3600)" if returncode is None else f"sys.exit({returncode})"
    return Example(("python", "-c", f"import sys, time\n{write}{end}", *args), stdout, stderr, returncode)


LINES = ["  a ", "", "\tb\u00e9\u2028\x1b[1m\0 \r", "{0} %s", "no end\U0001f600 "]
TEXT = "  a \r\n\n\tb\u00e9\u2028\x1b[1m\0 \r\r\n{0} %s\nno end\U0001f600 "
LOGGED = ["  a ", "", "\tb\u00e9\u2028\0 ", "{0} %s", "no end\U0001f600 "]
"""The lines as a terminal shows them, and a logger gets them: a carriage return goes back to the start of a line."""
TOKEN = "hunter2-token"  # noqa: S105  made up

EXACT = _example(TEXT.encode(), b"err: " + TEXT.encode())
FAILURE = _example(b"out\n", b"first\nwhy\n", 4)
BAD_BYTE = _example(b"good\n\xff bad\n")
SECRET = _example(f"out {TOKEN}\n".encode(), f"err {TOKEN}\n".encode(), 3, f"--token={TOKEN}")
ENDLESS = _example(b"begun\n", b"", None)
NUMBERED = [_example(f"out {n}\n".encode(), f"err {n}\n".encode(), 0, str(n)) for n in range(20)]

EXAMPLES: list[Example] = [EXACT, FAILURE, BAD_BYTE, SECRET, ENDLESS, *NUMBERED]
"""All commands that the contract runs; each test runs each command at most three times."""


class Log:
    """A logger that keeps its records."""

    def __init__(self) -> None:
        self.records: list[tuple[str, str]] = []

    def __getattr__(self, level: str) -> Callable[[str], None]:
        return lambda text: self.records.append((level, text))


class Handler(logging.Handler):
    """A handler that keeps the texts of standard log records."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def way_to_run(runner: Runner, name: str, backend: Backend) -> Run:
    """Return one of the two ways to run a command as a plain function."""
    if name == "log_run":
        return runner.log_run
    return lambda *args, **options: backend.run(lambda: runner.async_log_run(*args, **options))


def way_to_loop(runner: Runner, name: str, backend: Backend) -> Loop:
    """Return one of the two ways to iterate over lines as a function that returns the lines.

    The function takes the command line, and a function for each line whose true result leaves the loop.
    """

    def loop(args: object, body: Callable[[str], object] | None = None, **options: object) -> list[str]:
        got: list[str] = []
        iterate: Callable[..., Any] = getattr(runner, name)

        def is_last(line: str) -> bool:
            got.append(line)
            return body is not None and bool(body(line))

        async def main() -> None:
            async with contextlib.aclosing(iterate(args, **options)) as lines:
                async for line in lines:
                    if is_last(line):
                        break

        if name == "async_lines":
            backend.run(main)
        else:
            with contextlib.closing(iterate(args, **options)) as lines:
                for line in lines:
                    if is_last(line):
                        break
        return got

    return loop


def parameters(function: Callable[..., object]) -> list[tuple[str, object, object]]:
    """Return name, kind and default of each parameter."""
    return [(item.name, item.kind, item.default) for item in inspect.signature(function).parameters.values()]
