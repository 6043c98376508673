"""Suites of a user of the pytest plugin, each run in a pytest of its own."""

import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

import pytest

import venvrunner
from helpers.programs import MEASURED
from helpers.waiting import DEADLINE
from helpers.wheels import make_wheel

SOURCES = Path(str(venvrunner.__file__)).parents[1]


def run_suite(
    pytester: pytest.Pytester,
    suite: str,
    *args: str,
    plugins: Sequence[str] = (),
    settings: str | None = "",
    env: Mapping[str, str] | None = None,
    measured: bool = True,
    timeout: float = 3 * DEADLINE,
) -> pytest.RunResult:
    """Run the tests of a module; every warning is an error.

    Args:
        pytester: the directory for it.
        suite: the module's text.
        args: further arguments for pytest.
        plugins: what pytest loads besides this package's plugin; nothing is loaded because it is installed.
        settings: lines for ``[pytest]`` of pytest.ini; ``None``: the suite has its settings in another file.
        env: environment variables.
        measured: whether coverage measures that pytest too, if it measures the tests.
        timeout: after how many seconds pytest is ended.
    """
    pytester.makepyfile(test_suite=textwrap.dedent(suite))
    if settings is not None:
        common = "[pytest]\nfilterwarnings = error\naddopts = --strict-markers\n"
        pytester.makefile(".ini", pytest=common + textwrap.dedent(settings))
    loaded = [word for name in ("venvrunner.pytest_plugin", *plugins) for word in ("-p", name)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        patch.setenv("PYTHONPATH", str(SOURCES))
        patch.setenv("PIP_NO_INDEX", "1")
        # To list the interpreters of a machine starts each of them.
        patch.setenv("PATH", os.pathsep.join([os.path.dirname(sys.executable), os.defpath]))
        for name, value in ((MEASURED if measured else {}) | dict(env or {})).items():
            patch.setenv(name, value)
        return pytester.runpytest_subprocess(*loaded, "-p", "no:cacheprovider", *args, timeout=timeout)


def environments(pytester: pytest.Pytester) -> list[Path]:
    """Return the environments, and directories for some, that a run has left in pytest's directory for temporary files."""
    found = [Path(folder, name) for folder, *names in os.walk(pytester.path) for name in chain(*names)]
    return [path for path in found if path.name == "pyvenv.cfg" or path.name.startswith("venvrunner-")]


def make_wheelhouse(pytester: pytest.Pytester, *names: str) -> Path:
    """Make a directory of wheels."""
    folder = pytester.mkdir("wheelhouse")
    for name in names:
        make_wheel(folder, name)
    return folder
