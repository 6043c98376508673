"""The six ways to run a command."""

import asyncio
import sys
from typing import Any

import pytest

from venvrunner import FakeVenvRunner, subprocess_util


class Caller:
    """One of the six ways to run a command, to be called like `log_run`."""

    def __init__(self, target: Any, *, is_async: bool, python: str) -> None:
        self.target = target
        self.is_async = is_async
        self.python = python

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.is_async:
            return self.target.log_run(*args, **kwargs)

        async def main() -> Any:
            try:
                return await self.target.async_log_run(*args, **kwargs)
            finally:
                assert asyncio.all_tasks() == {asyncio.current_task()}, "a task is left"

        return asyncio.run(main())

    def code(self, source: str, *args: str) -> list[str]:
        """Return a command line that runs Python source."""
        return [self.python, "-c", source, *args]

    def run(self, source: str, *args: Any, **kwargs: Any) -> Any:
        """Run Python source."""
        return self(self.code(source), *args, **kwargs)


CALLERS = [f"{mode}-{target}" for target in ("module", "venv", "fake") for mode in ("sync", "async")]


def make_caller(name: str, request: pytest.FixtureRequest) -> Caller:
    """Return one of the CALLERS."""
    mode, _, kind = name.partition("-")
    target: Any = subprocess_util
    python = sys.executable
    if kind == "venv":
        target, python = request.getfixturevalue("venv"), "python"
    elif kind == "fake":
        target, python = FakeVenvRunner(), "python"
    return Caller(target, is_async=mode == "async", python=python)
