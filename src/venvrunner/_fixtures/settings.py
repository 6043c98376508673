"""The settings of a suite: what all of its environments have in common."""

import time
from typing import Any

import pytest

from venvrunner._fixtures.marks import SEVERAL, in_settings, said
from venvrunner._fixtures.parents import ParentOptions, Wanted, anchored_interpreter, wanted
from venvrunner._stored import DAY, oldest
from venvrunner.exceptions import VenvError

__tracebackhide__ = True


def suite(config: pytest.Config) -> Wanted:
    """Return what the settings and the command line say of each environment.

    Raises:
        pytest.fail.Exception: a setting is wrong.
    """
    option, root = config.getoption("venv_python"), str(config.rootpath)
    several: Any = {name: config.getini(f"venv_{name}") for name in SEVERAL}
    locked: ParentOptions = {
        "lock": config.getini("venv_lock") or None,
        "installer": config.getoption("venv_installer") or config.getini("venv_installer"),
        "python": config.getini("venv_python") or None,
    }
    if option:
        locked["python"] = anchored_interpreter(option, str(config.invocation_params.dir))
    try:
        return wanted(locked, root=root).plus(wanted(several, root=root))
    except (TypeError, ValueError, VenvError) as exc:
        msg = f"{said(exc)}\n{in_settings(config, 'in the settings of virtual environments for tests')}"
        raise pytest.fail.Exception(msg, pytrace=False) from None


def since(config: pytest.Config) -> float | None:
    """Return the time from which on a resolution in the store counts; ``None`` if the store is not to be used."""
    if not config.getini("venv_store"):
        return None
    # The other processes of a run take what the first one resolves again.
    return time.time() if config.getoption("venv_refresh") else oldest(DAY)
