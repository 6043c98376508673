"""The start of coverage in a command of a test's environment; a ``.pth`` file runs this file with the interpreter's start.

It runs with any version of Python, and imports nothing of this package, which the environment does not have.
"""

import atexit
import importlib.machinery
import importlib.util
import json
import os
import sys
from typing import Any

WARNINGS = (
    *("already-imported", "couldnt-parse", "dynamic-conflict", "include-ignored", "module-not-imported", "module-not-measured"),
    *("module-not-python", "no-ctracer", "no-data-collected", "no-sysmon", "trace-changed"),
)
"""The warnings of coverage, which would be lines of the command's standard error."""


def start(directory: str) -> None:
    """Start to measure this process, unless its own coverage has started; an error is left as a file for the report.

    Args:
        directory: the directory of ``settings.json``, in which the data is stored.
    """
    started = getattr(sys.modules.get("coverage"), "process_startup", None)
    if hasattr(started, "coverage") or _is_installer(getattr(sys, "orig_argv", [])):
        return
    try:
        with open(os.path.join(directory, "settings.json"), encoding="utf-8") as file:
            settings = json.load(file)
        coverage = _module(settings["site"])
        measured = coverage.Coverage(data_file=os.path.join(directory, "data"), data_suffix=True, **settings["arguments"])
        for name, value in settings["options"].items():
            measured.set_option(name, value)
        measured.set_option("run:disable_warnings", list(WARNINGS))
        measured.start()
    except Exception as exc:  # noqa: BLE001  the command runs as it does without coverage, whatever is wrong
        for name in [name for name in sys.modules if name.partition(".")[0] == "coverage"]:
            del sys.modules[name]
        _explain(directory, exc)
        return
    # Python may read the .pth file twice, and the coverage of the environment has such a file too.
    coverage.process_startup.coverage = measured
    atexit.register(_save, measured, directory)


def _explain(directory: str, error: Exception) -> None:
    """Write why this process cannot be measured."""
    version = ".".join(map(str, sys.version_info[:3]))
    with open(os.path.join(directory, f"error-{os.getpid()}"), "w", encoding="utf-8") as file:
        file.write(f"Python {version}: {type(error).__name__}: {error}")


def _save(measured: Any, directory: str) -> None:
    """Write the data, if the tests have not ended before the command."""
    measured.stop()
    if os.path.isdir(directory):
        measured.save()


def _module(site: str) -> Any:
    """Return the environment's coverage, or else that of the tests; nothing else in its directory can be imported."""
    if importlib.util.find_spec("coverage") is None:
        spec = importlib.machinery.PathFinder.find_spec("coverage", [site])
        assert spec is not None
        assert spec.loader is not None
        sys.modules["coverage"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return importlib.import_module("coverage")


def _is_installer(command: "list[str]") -> bool:
    """Return whether pip runs, as an installation starts it, which would be slower for nothing."""
    return command[1:4] == ["-I", "-m", "pip"]
