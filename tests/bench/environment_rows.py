"""Rows about environments: what a new one costs, and what a fork costs."""

import itertools
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from statistics import median

from measure import OURS, ROWS, Contestants, Effort, Result, duration, peer, timed

from venvrunner import VenvRunner

STDLIB = "stdlib venv"
VIRTUALENV = "virtualenv's API"
UV = "uv venv"
UV_INSTALL = "uv venv + uv pip install --offline"
PACKAGES = ["pytest", "requests"]
FORKS = 1000


@timed("new environment with pip", rounds=10, limits={STDLIB: 1 / 100, VIRTUALENV: 1 / 5})
def with_pip(folder: str) -> Contestants:
    new, antsibull = names(folder), peer("antsibull_core.venv")
    return {
        OURS: lambda: VenvRunner(next(new), folder),
        STDLIB: lambda: venv.create(os.path.join(folder, next(new)), with_pip=True, symlinks=True),
        VIRTUALENV: virtualenv(folder, new, "--no-download"),
        "uv venv --seed": uv("venv", "--seed", "--quiet", folder=folder, new=new),
        "antsibull-core (online)": antsibull and (lambda: antsibull.VenvRunner(next(new), folder)),
    }


@timed("new bare environment", rounds=40, limits={UV: 1})
def bare(folder: str) -> Contestants:
    new = names(folder)
    return {
        OURS: lambda: VenvRunner(next(new), folder, with_pip=False),
        UV: uv("venv", "--quiet", folder=folder, new=new),
        STDLIB: lambda: venv.create(os.path.join(folder, next(new)), symlinks=True),
        VIRTUALENV: virtualenv(folder, new, "--no-seed"),
    }


@timed(f"fork of an environment with {' and '.join(PACKAGES)}", rounds=40, limits={UV_INSTALL: 1 / 15}, most=0.005)
def fork(folder: str) -> Contestants:
    new = names(folder)
    parent = VenvRunner("parent", folder, requirements=PACKAGES)
    return {
        OURS: lambda: parent.fork(next(new), folder),
        UV_INSTALL: uv_install(folder, new),
        "fork(standalone=True)": lambda: parent.fork(next(new), folder, standalone=True),
    }


def thousand_forks(effort: Effort) -> Result:
    """Fork a thousand times, keep all, and compare the last hundred with the first."""
    with tempfile.TemporaryDirectory() as folder, VenvRunner("parent", folder, requirements=PACKAGES) as parent:
        before = descriptors()
        times: list[float] = []
        kept = []
        for number in range(effort.rounds(FORKS)):
            begin = time.perf_counter()
            kept.append(parent.fork(f"fork-{number}", folder))
            times.append(time.perf_counter() - begin)
        more = descriptors() - before
        kept.clear()
        tenth = len(times) // 10
        first, last = median(times[:tenth]), median(times[-tenth:])
        left = descriptors() - before
    return Result(
        title=f"{len(times):,} forks, all alive",
        ours=f"{duration(first)} at first, {duration(last)} at last",
        beside=f"{more} descriptors while alive, {left} after",
        ratio=f"{last / first:.2f}",
        budget="flat; none left",
        ok=last < 2 * first and left == 0,
    )


ROWS["thousand-forks"] = thousand_forks


def descriptors() -> int:
    """Count what this process has open, where that can be seen."""
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def names(folder: str) -> Iterator[str]:
    """Return names that were not used yet."""
    return (f"{os.path.basename(folder)}-{number}" for number in itertools.count())


def virtualenv(folder: str, new: Iterator[str], *options: str) -> Callable[[], object] | None:
    module = peer("virtualenv")
    if module is None:
        return None

    def run() -> None:
        args = ["--no-periodic-update", *options, os.path.join(folder, next(new))]
        module.session_via_cli(args, setup_logging=False).run()

    return run


def uv(*args: str, folder: str, new: Iterator[str]) -> Callable[[], object] | None:
    module = peer("uv")
    if module is None:
        return None
    command = [module.find_uv_bin(), *args, "--python", sys.executable]
    return lambda: subprocess.run([*command, os.path.join(folder, next(new))], check=True, capture_output=True)


def uv_install(folder: str, new: Iterator[str]) -> Callable[[], object] | None:
    module = peer("uv")
    if module is None:
        return None
    program = module.find_uv_bin()

    def run(*options: str) -> None:
        target = os.path.join(folder, next(new))
        subprocess.run([program, "venv", "--quiet", "--python", sys.executable, target], check=True)
        subprocess.run([program, "pip", "install", "--quiet", *options, "--python", target, *PACKAGES], check=True)

    run()  # fills uv's cache
    return lambda: run("--offline")
