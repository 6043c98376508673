"""Repair an environment that was moved or copied: its scripts name the interpreter of the place that it had before."""

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
"""Scripts for shells, which have their environment's path in the middle."""
_PLAIN = re.compile(rb"[\w@%+=:,./-]+")
"""A path that needs no quotes in any shell."""


class Stray(NamedTuple):
    """A script that belongs to an environment and is run by the interpreter of another place."""

    path: str
    folder: str
    script: launchers.Started


def strays(venv_dir: str) -> list[Stray]:
    """Return the scripts of an environment that name an interpreter of its old place: one that is gone, or of another one.

    A script that an interpreter outside of all environments runs is meant to be.

    Raises:
        OSError: they can't be read.
    """
    folder = CURRENT.scripts(venv_dir)
    found: list[Stray] = []
    for entry in copying.entries(folder) if os.path.isdir(folder) else ():
        if entry.is_symlink() or not entry.is_file():
            continue
        with open(entry.path, "rb") as file:
            start = file.read(2)
            named = launchers.read(start + file.read()) if start in launchers.STARTS else None
        old, script = named if named is not None else (None, None)
        if old is None or script is None or same(old, folder):
            continue
        is_gone = not os.path.lexists(os.path.join(old, script.python))
        is_of_another = os.path.isfile(os.path.join(os.path.dirname(old), "pyvenv.cfg"))
        if (is_gone or is_of_another) and os.path.lexists(os.path.join(folder, script.python)):
            found.append(Stray(entry.path, old, script))
    return found


def repair(venv_dir: str) -> None:
    """Make the scripts of an environment name its own interpreter; those for shells, its own place.

    Raises:
        OSError: that is not possible.
    """
    folder = CURRENT.scripts(venv_dir)
    old_places: set[str] = set()
    for path, old_folder, script in strays(venv_dir):
        _replace(path, script.text(folder))
        old_places.add(os.path.dirname(old_folder))
    new = os.fsencode(venv_dir)
    for entry in copying.entries(folder) if old_places and _PLAIN.fullmatch(new) else ():
        if ACTIVATE.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
            with open(entry.path, "rb") as file:
                text = changed = file.read()
            for old in old_places:
                changed = re.sub(re.escape(os.fsencode(old)) + rb"(?![\w.-])", lambda _match: new, changed)
            if changed != text:
                _replace(entry.path, changed)


def _replace(path: str, text: bytes) -> None:
    """Write a script as a new file: the old one may have another name in the environment that this is a copy of."""
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
