"""Inheritance between package directories: files that make Python's ``site`` add the parent's packages at each start.

Before Python 3.15 these are import lines in ``.pth`` files. Python 3.18 ignores such lines and instead calls the functions
that ``.start`` files name, which exist since 3.15 (PEP 829, https://peps.python.org/pep-0829/). From 3.15 to 3.17 all import
lines run before that and may need inherited packages, so the first import line is still written.
"""

import os
import re

from venvrunner._create import archive
from venvrunner._venv.pyvenv_cfg import read_settings

__tracebackhide__ = True

_NAME = "venvrunner_parent"
_FIRST = f"00_{_NAME}"
"""Sorts before the names of all other files, which may import inherited packages."""
_LAST = f"~{_NAME}"
"""Sorts after the names of all other files: the paths that they add, such as editable projects, precede inherited ones.

Earlier releases also wrote a ``.pth`` file with this name.
"""
_BEGIN = f"00_{_NAME}_begin"
"""The name of the ``.start`` file: if it had the name of a ``.pth`` file, it would disable that file."""
_OWN = re.compile(rf"({_FIRST}|{_LAST}|{_BEGIN})\.(pth|start)|_{_NAME}_[0-9a-f]+\.py")
_LINE = (
    "import os, site, sys; _begin = len(sys.path); {add}; site.addpackage = lambda *file,"
    " _read=site.addpackage, _own=sitedir, _inherited=sys.path[_begin:], _sys=sys:"
    " (_read(*file), file[0] == _own and _sys.path.sort(key=_inherited.__contains__))[0]\n"
)
"""Adds the inherited packages, and moves them behind the paths that each following file of the same directory adds.

``site`` calls ``addpackage`` for each ``.pth`` file. A second file that sorts last would do too, but each file of a fork costs.
"""
_FIRST_WITH_START_FILES = (3, 15)

_MODULE = '''"""Adds the packages of the parent environment after those of this fork."""

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
    """Return whether a file in a package directory was written by :func:`inherit`.

    >>> is_own("~venvrunner_parent.pth"), is_own("other.pth")
    (True, False)
    """
    return _OWN.fullmatch(name) is not None


def inherit(directory: str, packages: str, venv_dir: str) -> None:
    """Make a package directory inherit the packages of another; its own come first.

    The files that are written are ASCII: the encoding in which they are read depends on the locale.

    Args:
        directory: the directory to inherit from.
        packages: the package directory that inherits.
        venv_dir: an environment of the same Python.

    Raises:
        OSError: a file cannot be written.
    """
    if os.path.dirname(directory) == os.path.dirname(packages):
        directory = os.path.join(os.pardir, os.path.basename(directory))  # the environment may be moved
    add = f"site.addsitedir(os.path.join(sitedir, os.fsdecode({os.fsencode(directory)!r})))"
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
            f"{_FIRST}.pth": _LINE.format(add=add),
        }
    for name, text in files.items():
        archive.write(os.path.join(packages, name), text.encode(), executable=False)


def _version(venv_dir: str) -> tuple[int, ...]:
    """Return the version of an environment's Python from ``pyvenv.cfg``, where every tool writes it."""
    settings = read_settings(venv_dir)
    found = re.match(r"(\d+)\.(\d+)", settings.get("version_info") or settings.get("version", ""))
    return () if found is None else tuple(map(int, found.groups()))
