"""Rows about installing: what this package adds to an installer that is called by hand, all offline and warm."""

import os
import subprocess
from collections.abc import Iterator
from itertools import count

from measure import OURS, Contestants, timed

from venvrunner import VenvRunner
from venvrunner._install.uv import Uv
from venvrunner.installing import InstallerName

ROUNDS = 15
BY_HAND = "by hand"
WHEEL = ["iniconfig"]
PACKAGES = ["pytest", "requests"]


@timed("install one wheel, pip", rounds=ROUNDS, limits={BY_HAND: 1.1})
def install_wheel_pip(folder: str) -> Contestants:
    return installations(folder, "pip", WHEEL)


@timed("install one wheel, uv", rounds=ROUNDS, limits={BY_HAND: 1.1})
def install_wheel_uv(folder: str) -> Contestants:
    return installations(folder, "uv", WHEEL)


@timed("install pytest and requests, pip", rounds=ROUNDS, limits={BY_HAND: 1.1})
def install_packages_pip(folder: str) -> Contestants:
    return installations(folder, "pip", PACKAGES)


@timed("install pytest and requests, uv", rounds=ROUNDS, limits={BY_HAND: 1.1})
def install_packages_uv(folder: str) -> Contestants:
    return installations(folder, "uv", PACKAGES)


def installations(folder: str, installer: InstallerName, names: list[str]) -> Contestants:
    """Return ours and the installer itself, each with an environment of its own for every turn."""
    house = os.path.join(folder, "wheels")
    with VenvRunner.temporary() as venv:
        venv.log_run(["pip", "download", "--quiet", f"--dest={house}", *names])
    options = ["--no-index", f"--find-links={house}", "--", *names]
    ours, theirs = (environments(folder, installer) for _ in range(2))

    def by_hand() -> None:
        python, env = next(theirs)
        if installer == "uv":
            command = [Uv.bundled().path, "pip", "install", f"--python={python.python_executable}", "--no-progress", *options]
        else:
            command = [python.python_executable, "-I", "-m", "pip", "install", *options]
        subprocess.run(command, capture_output=True, text=True, check=True, env=env)

    return {OURS: lambda: next(ours)[0].install(*names, find_links=[house], no_index=True), BY_HAND: by_hand}


_NUMBERS = count()


def environments(folder: str, installer: InstallerName) -> Iterator[tuple[VenvRunner, dict[str, str]]]:
    """Return enough fresh environments, all made by now, with their variables."""
    made = [VenvRunner(f"venv-{next(_NUMBERS)}", folder, installer=installer) for _ in range(ROUNDS + 1)]
    for venv in made:
        # What pip compiles for itself at its first start does not count.
        venv.log_run(["python", "-I", "-m", "pip", "--version"])
    return iter([(venv, venv.environment()) for venv in made])
