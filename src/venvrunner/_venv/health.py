"""The health of an environment: its defect, if it has one, found without running anything."""

import os
import re
from collections.abc import Iterable

from venvrunner._venv import venv_directory
from venvrunner._venv.copying import entries
from venvrunner._venv.layout import CURRENT
from venvrunner._venv.paths import same
from venvrunner._venv.pyvenv_cfg import read_settings
from venvrunner._venv.state import Ownership

__tracebackhide__ = True

_PYTHON = re.compile(r"(?P<kind>python|pypy)(?P<version>\d+\.\d+)t?(\.exe)?")
"""The name of an interpreter, and of the directory of its standard library."""


def defect(owner: Ownership) -> str | None:
    """Return why an environment is not usable, as the end of a sentence; ``None`` if no defect is found.

    Raises:
        OSError: the environment cannot be read.
    """
    if not os.path.isfile(os.path.join(owner.venv_dir, "pyvenv.cfg")):
        return "it has no pyvenv.cfg"
    if owner.unfinished():
        return "its creation or deletion was interrupted"
    if CURRENT.find_command(owner.venv_dir, "python") is None:
        return "its interpreter is gone"
    return _wrong_version(owner.venv_dir) or _wrong_parent(owner)


def _wrong_version(venv_dir: str) -> str | None:
    has, needs = _versions_of_packages(venv_dir), _versions_of_interpreter(venv_dir)
    if not has or not needs or has & needs or {kind for kind, _ in has} != {kind for kind, _ in needs}:
        return None
    return f"its interpreter is Python {_shown(needs)}, but its packages are for Python {_shown(has)}"


def _shown(versions: set[tuple[str, str]]) -> str:
    return " or ".join(sorted(version for _kind, version in versions))


def _versions_of_packages(venv_dir: str) -> set[tuple[str, str]]:
    """Return the interpreters that an environment has package directories for; empty if the names do not contain them."""
    return _parsed(os.path.basename(os.path.dirname(path)) for path in CURRENT.package_directories(venv_dir))


def _versions_of_interpreter(venv_dir: str) -> set[tuple[str, str]]:
    """Return the version of an environment's interpreter, from its name or else from the standard libraries beside it."""
    command = CURRENT.find_command(venv_dir, "python")
    if command is None:  # it was removed meanwhile
        return set()
    real = os.path.realpath(command)
    if found := _parsed([os.path.basename(real)]):
        return found
    if same(os.path.dirname(real), CURRENT.scripts(venv_dir)):  # a copy
        home = read_settings(venv_dir).get("home", "")
        real = os.path.realpath(os.path.join(home, os.path.basename(real)))
    library = os.path.join(os.path.dirname(os.path.dirname(real)), "lib")
    try:
        names = [entry.name for entry in entries(library) if os.path.isfile(os.path.join(entry.path, "os.py"))]
    except OSError:
        return set()
    return _parsed(names)


def _parsed(names: Iterable[str]) -> set[tuple[str, str]]:
    return {(match["kind"], match["version"]) for name in names if (match := _PYTHON.fullmatch(name))}


def _wrong_parent(owner: Ownership) -> str | None:
    parent_dir = owner.parent()
    if parent_dir is None:
        return None
    if not venv_directory.is_there(parent_dir):
        return f"its parent {parent_dir!r} is gone"
    if reason := defect(Ownership(parent_dir)):
        return f"its parent {parent_dir!r} is not usable: {reason}"
    missing = [path for path in _inherited(parent_dir, owner.venv_dir) if not os.path.isdir(path)]
    return f"its parent no longer has {missing[0]!r}" if missing else None


def _inherited(parent_dir: str, venv_dir: str) -> list[str]:
    """Return the package directories of a parent that a fork looks into."""
    return [os.path.join(parent_dir, os.path.relpath(path, venv_dir)) for path in CURRENT.package_directories(venv_dir)]
