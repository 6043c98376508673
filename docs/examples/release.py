"""Build a wheel, test it with three Pythons at the same time, and write a JUnit report for each: python release.py."""

import asyncio
import os
from glob import glob
from pathlib import Path

from venvrunner import InterpreterNotFoundError, VenvRunner

PYTHONS = ["3.11", "3.12", "3.13"]


async def build() -> Path:
    async with VenvRunner.async_temporary(requirements=["build"], cached=True) as venv:
        await venv.async_log_run(["python", "-m", "build", "--wheel"], timeout=300)
    return max(map(Path, glob("dist/*.whl")), key=os.path.getmtime)


async def check(python: str, wheel: Path) -> str:
    try:
        async with VenvRunner.async_temporary(python=python, requirements=[wheel, "pytest"], cached=True) as venv:
            tests = venv.with_options(stdout_loglevel=lambda line: print(f"{python} | {line}"), timeout=600)
            args = ["pytest", "-q", f"--junitxml=reports/{python}.xml", "tests"]
            result = await tests.async_log_run(args, check=False)
    except InterpreterNotFoundError:
        return "missing"
    return f"failed ({result.returncode})" if result.returncode else "passed"


async def main() -> int:
    wheel = await build()
    results = await asyncio.gather(*(check(python, wheel) for python in PYTHONS))
    for python, result in zip(PYTHONS, results, strict=True):
        print(f"Python {python}: {result}")
    return int(set(results) != {"passed"})


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
