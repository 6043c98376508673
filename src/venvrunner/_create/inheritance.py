"""How a directory of packages leads to another: files in it that Python's ``site`` reads at each start.

Before Python 3.15 these are import lines in ``.pth`` files. Python 3.18 ignores such lines, and calls what ``.start`` files
name, which exist since 3.15 (PEP 829, https://peps.python.org/pep-0829/). From 3.15 to 3.17 all import lines run before that,
and may need what is inherited, so the first line stays there.
"""

import os
import re

from venvrunner._create import archive
from venvrunner._venv.pyvenv_cfg import read_settings

__tracebackhide__ = True

_NAME = "venvrunner_parent"
_FIRST = f"00_{_NAME}"
"""Sorts before the names of all others, which may import what is inherited."""
_LAST = f"~{_NAME}"
"""Sorts behind all others: what they have added, such as editable projects, comes before what is inherited."""
_BEGIN = f"00_{_NAME}_begin"
"""The name of the ``.start`` file: one of the same name as a ``.pth`` file would switch that off."""
_OWN = re.compile(rf"({_FIRST}|{_LAST}|{_BEGIN})\.(pth|start)|_{_NAME}_[0-9a-f]+\.py")
_NOTE = "sys._venvrunner_inherited"
_FIRST_WITH_START_FILES = (3, 15)

_MODULE = '''"""Puts the packages of the environment that this one is a fork of behind its own."""

import os
import site
import sys

_inherited = []


def first():
    if not _inherited:
        sitedir = os.path.dirname(__file__)
        begin = len(sys.path)
        {add}
        _inherited.extend(sys.path[begin:])


def last():
    sys.path.sort(key=_inherited.__contains__)
'''


def is_own(name: str) -> bool:
    """Return whether a file in a directory of packages is one that :func:`lead_to` has written.

    >>> is_own("~venvrunner_parent.pth"), is_own("other.pth")
    (True, False)
    """
    return _OWN.fullmatch(name) is not None


def lead_to(folder: str, packages: str, venv_dir: str) -> None:
    """Put a directory of packages behind another, in ASCII: how such files and paths are read depends on the locale.

    Args:
        folder: the directory that is put behind.
        packages: the one that leads to it.
        venv_dir: an environment of the same Python.

    Raises:
        OSError: that is not possible.
    """
    if os.path.dirname(folder) == os.path.dirname(packages):
        folder = os.path.join(os.pardir, os.path.basename(folder))  # the environment may be moved
    add = f"site.addsitedir(os.path.join(sitedir, os.fsdecode({os.fsencode(folder)!r})))"
    if _version(venv_dir) >= _FIRST_WITH_START_FILES:
        module = f"_{_NAME}_{os.urandom(4).hex()}"  # each fork of a fork has one
        files = {
            f"{module}.py": _MODULE.format(add=add),
            f"{_FIRST}.pth": f"import {module}; {module}.first()\n",
            f"{_BEGIN}.start": f"{module}:first\n",
            f"{_LAST}.start": f"{module}:last\n",
        }
    else:
        files = {
            f"{_FIRST}.pth": f"import os, site, sys; _begin = len(sys.path); {add}; {_NOTE} = sys.path[_begin:]\n",
            f"{_LAST}.pth": f"import sys; sys.path.sort(key={_NOTE}.__contains__)\n",
        }
    for name, text in files.items():
        archive.write(os.path.join(packages, name), text.encode(), executable=False)


def _version(venv_dir: str) -> tuple[int, ...]:
    """Return the version of an environment's Python, as all tools that make environments note it."""
    settings = read_settings(venv_dir)
    found = re.match(r"(\d+)\.(\d+)", settings.get("version_info") or settings.get("version", ""))
    return () if found is None else tuple(map(int, found.groups()))
