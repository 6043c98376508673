"""Relocation: the repair of a moved or copied environment, whose scripts still name the interpreter at its old path."""

import os
import re
from typing import NamedTuple

from venvrunner._create import archive
from venvrunner._venv import copying, launchers
from venvrunner._venv.layout import CURRENT
from venvrunner._venv.paths import same
from venvrunner._venv.sharing_violations import insist

__tracebackhide__ = True

ACTIVATE = re.compile(r"(de)?activate(_this)?(\.\w+)?", re.IGNORECASE)
"""Scripts for shells, which contain the path of their environment."""
_PLAIN = re.compile(rb"[\w@%+=:,./-]+")
"""A path that needs no quotes in any shell."""


class Stray(NamedTuple):
    """A script of an environment that names an interpreter elsewhere.

    Attributes:
        path: the path of the script.
        directory: the directory of that interpreter.
        script: the parsed script or launcher.
    """

    path: str
    directory: str
    script: launchers.Started


def strays(venv_dir: str) -> list[Stray]:
    """Return the scripts that name a missing interpreter, or the interpreter of another environment.

    A script whose interpreter exists outside of all environments is left as it is.

    Raises:
        OSError: a script cannot be read.
    """
    directory = CURRENT.scripts(venv_dir)
    found: list[Stray] = []
    for entry in copying.entries(directory) if os.path.isdir(directory) else ():
        if entry.is_symlink() or not entry.is_file():
            continue
        with open(entry.path, "rb") as file:
            start = file.read(2)
            named = launchers.read(start + file.read()) if start in launchers.STARTS else None
        old, script = named if named is not None else (None, None)
        if old is None or script is None or same(old, directory):
            continue
        is_gone = not os.path.lexists(os.path.join(old, script.python))
        is_of_another = os.path.isfile(os.path.join(os.path.dirname(old), "pyvenv.cfg"))
        if (is_gone or is_of_another) and os.path.lexists(os.path.join(directory, script.python)):
            found.append(Stray(entry.path, old, script))
    return found


def repair(venv_dir: str) -> None:
    """Rewrite the scripts of an environment with its own interpreter, and its ``activate`` scripts with its own path.

    Raises:
        OSError: a script cannot be read or written.
    """
    directory = CURRENT.scripts(venv_dir)
    old_venv_dirs: set[str] = set()
    for path, old_directory, script in strays(venv_dir):
        _replace(path, script.text(directory))
        old_venv_dirs.add(os.path.dirname(old_directory))
    new = os.fsencode(venv_dir)
    for entry in copying.entries(directory) if old_venv_dirs and _PLAIN.fullmatch(new) else ():
        if ACTIVATE.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
            with open(entry.path, "rb") as file:
                text = changed = file.read()
            for old in old_venv_dirs:
                changed = re.sub(re.escape(os.fsencode(old)) + rb"(?![\w.-])", lambda _match: new, changed)
            if changed != text:
                _replace(entry.path, changed)


def _replace(path: str, text: bytes) -> None:
    """Replace a script with a new file: the old file may be hard-linked into the environment that this one was copied from."""
    mode = os.stat(path).st_mode & 0o777
    temporary = f"{path}-{os.urandom(8).hex()}.new"
    try:
        archive.write(temporary, text, executable=True)
        os.chmod(temporary, mode)
        insist(os.replace, temporary, path)
    except BaseException:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        raise
