"""Rows about what an import costs, each in a fresh interpreter."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec

from measure import MISSING, OURS, ROWS, Contestants, Effort, Result, timed

BARE = "bare Python"
BUDGET = 0.02
UNWANTED = ["asyncio", "virtualenv"]


@timed("`import venvrunner`", rounds=40, most=BUDGET, beyond=BARE)
def import_package(folder: str) -> Contestants:
    return imports(folder, "import venvrunner")


# Shown without a budget: more than half of it is subprocess.
@timed("`from venvrunner import VenvRunner`", rounds=40, beyond=BARE)
def import_runner(folder: str) -> Contestants:
    return imports(folder, "from venvrunner import VenvRunner")


def modules_after_import(effort: Effort) -> Result:
    """Check what the import must not load."""
    code = f"import sys; from venvrunner import VenvRunner; print(*(name for name in {UNWANTED} if name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    title = f"of {', '.join(UNWANTED)}, loaded by it"
    return Result(title, loaded or "none", MISSING, MISSING, "none", ok=not loaded)


ROWS["modules-after-import"] = modules_after_import


def imports(folder: str, statement: str) -> Contestants:
    """Return our import and those of others, each as a whole run of an interpreter."""
    # The byte code is kept beside the measurement: whether the shell's PYTHON* variables allow that must not matter.
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON") or name == "PYTHONPATH"}
    env["PYTHONPYCACHEPREFIX"] = folder

    def run(code: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", code], env=env, check=True)

    return {
        OURS: run(statement),
        BARE: run("pass"),
        "`import subprocess`": run("import subprocess"),
        "antsibull_core.venv": run("import antsibull_core.venv") if find_spec("antsibull_core") else None,
        "nox": run("import nox") if find_spec("nox") else None,
    }
