"""Forks: environments that start with all packages of a parent.

A fork gets the links and small files of its parent. Files in its package directory make Python look into the parent's too, and
its scripts are copies of the parent's that name the fork's interpreter. Nothing else is copied.
"""

import contextlib
import os
import re
from collections.abc import Callable, Collection
from typing import Any, get_args

from venvrunner._create import archive, creation, inheritance
from venvrunner._create.relocation import ACTIVATE
from venvrunner._process.critical_section import uninterrupted
from venvrunner._types import Exist
from venvrunner._venv import copying, launchers
from venvrunner._venv.change import STATE
from venvrunner._venv.errors import explained
from venvrunner._venv.health import defect
from venvrunner._venv.layout import CURRENT
from venvrunner._venv.open_directory import Directory
from venvrunner._venv.packages import INHERITED, layers, lineage
from venvrunner._venv.paths import begins_alike, within
from venvrunner._venv.pyvenv_cfg import copy_settings
from venvrunner._venv.state import Ownership, new_note, portable
from venvrunner._venv.users import User
from venvrunner.exceptions import CreationError, InvalidPathError

__tracebackhide__ = True

_INTERPRETER = re.compile(r"(python|pypy|graalpy)w?[\d.]*t?(\.exe)?")
_LEFT_OUT = {STATE, "pyvenv.cfg", ".lock"}
_GIT_IGNORE = ".gitignore"
_HEADERS = "include"
"""The directory for the headers of packages, which pip creates when a package has some."""
_NOT_WORTH_A_FILE = {"CACHEDIR.TAG"}
"""Files that are left out of a fork that is not standalone: each costs, and a backup of a fork is small."""
NOT_FOR_FORKS = b"# This file is not for the forks of the environment.\n"
"""The first line of files beside ``pyvenv.cfg`` that forks do not get."""
_CREATE = "create a fork"
_PATIENCE = 30.0
"""Minimum seconds to wait for others that copy a parent which the caller did not choose."""

Share = Callable[[str, str], None]
"""Creates a file with the contents of another, given the old and the new path."""


def fork(
    parent_dir: str,
    venv_dir: str,
    user: User,
    *,
    standalone: bool,
    exist: Exist,
    wait: float,
    purpose: dict[str, Any] | None = None,
    fill: Callable[[], object] | None = None,
) -> None:
    """Create a fork of an environment.

    Args:
        parent_dir: the parent.
        venv_dir: the absolute path of the fork.
        user: the user to record in the fork.
        standalone: give the fork a copy of everything, so that it does not need its parent; only the files that
            :func:`.copying.shareable_files` returns may be shared.
        exist: how to treat an existing environment at *venv_dir*.
        wait: how long to wait, in seconds, for the users of that environment and for changes of the parent.
        purpose: the record of the environment, if the caller could as well have created it without a parent; one with an equal
            record can be reused. Default: the record of a fork, which is never reused.
        fill: called to install something, once the fork can run commands; default: nothing.

    Raises:
        InvalidPathError: a fork cannot have this path.
        CreationError: the parent is not usable, or the fork cannot be created.
        VenvError: see :func:`.creation.create`.
    """
    if exist not in get_args(Exist) or (exist == "reuse" and purpose is None):
        msg = f"exist must be 'clear' or 'error' for a fork, not {exist!r}."
        raise ValueError(msg)
    # The real path: a link in the given path can be removed or changed later.
    parent_dir = os.path.realpath(parent_dir)
    parent = Ownership(parent_dir)
    with explained(venv_dir, _CREATE):
        _check_parent(parent)
        ancestors = lineage(parent_dir)
        _check_paths(venv_dir, ancestors, standalone=standalone)

    name = new_note("fork")

    def note(state: Directory) -> None:
        with explained(venv_dir, _CREATE):
            Ownership(parent_dir, state).note_fork(os.path.realpath(venv_dir), name)

    def make() -> None:
        with explained(venv_dir, _CREATE):
            _make(ancestors, venv_dir, standalone=standalone)

    def build(directory: Directory) -> None:
        copy(directory)
        if fill is not None:
            fill()

    def copy(_directory: Directory) -> None:
        if not parent.is_changeable():
            uninterrupted(make, quick=True)  # this user cannot change the parent
            return
        with parent.held(wait if purpose is None else max(wait, _PATIENCE), follow=False) as change:
            with explained(venv_dir, _CREATE):
                _check_parent(parent)
            if standalone:
                uninterrupted(make, quick=True)
                return
            uninterrupted(lambda: note(change.state), quick=True)
        # From here on the parent is frozen, so its lock is free for other forks.
        uninterrupted(make, quick=True)

    record = {"folder": portable(venv_dir), "fork": portable(parent_dir), "standalone": standalone, "note": name}
    if purpose is not None:
        record = purpose if standalone else record | purpose
    needed = None if standalone else parent_dir
    creation.occupy(venv_dir, user, purpose or record, build, record=record, exist=exist, wait=wait, parent_dir=needed)


def _check_parent(parent: Ownership) -> None:
    if reason := defect(parent):
        msg = f"cannot fork {parent.venv_dir!r}: {reason}. Recreate it first."
        raise CreationError(msg)


def _check_paths(venv_dir: str, ancestors: list[str], *, standalone: bool) -> None:
    wanted = os.path.realpath(venv_dir)
    for ancestor in ancestors:
        if within(wanted, ancestor) is not None:
            msg = f"a fork cannot be in {venv_dir!r}, inside its parent {ancestor!r}. Use another directory."
            raise InvalidPathError(msg)
        if not standalone and begins_alike(os.path.realpath(ancestor), wanted):
            # pip compares the start of real paths to decide whether a package is in the environment (misc.is_local).
            msg = (
                f"a fork cannot be in {venv_dir!r}: its parent's path {ancestor!r} begins with this path, so pip"
                " would mistake the parent's packages for the fork's and remove them. Use another name."
            )
            raise InvalidPathError(msg)


def _make(ancestors: list[str], venv_dir: str, *, standalone: bool) -> None:
    share = (copying.Copier() if standalone else copying.Linker()).copy
    copy_settings(ancestors[0], venv_dir)
    directories = CURRENT.package_directories(ancestors[0])
    left_out = set[str]() if standalone else _left_out_of_forks(ancestors[0], venv_dir)
    _Builder(ancestors, directories, venv_dir, share, left_out).build()
    if standalone:
        _copy_packages(ancestors, directories, venv_dir, share)
    else:
        for directory in directories:
            inheritance.inherit(directory, os.path.join(venv_dir, os.path.relpath(directory, ancestors[0])), venv_dir)


def _left_out_of_forks(parent_dir: str, venv_dir: str) -> set[str]:
    """Return the names that a fork does without, because they have no effect there and each costs a file or directory."""
    found = set(_NOT_WORTH_A_FILE)
    if not _is_in_repository(venv_dir):
        found.add(_GIT_IGNORE)
    with contextlib.suppress(OSError):
        if not os.listdir(os.path.join(parent_dir, _HEADERS)):
            found.add(_HEADERS)
    return found


def _is_in_repository(path: str) -> bool:
    """Return whether a path is in a work tree of git."""
    while (above := os.path.dirname(path)) != path:
        if os.path.lexists(os.path.join(above, ".git")):
            return True
        path = above
    return False


class _Builder:
    """Builds everything in a fork except its packages."""

    def __init__(
        self, ancestors: list[str], directories: Collection[str], venv_dir: str, share: Share, left_out: set[str]
    ) -> None:
        self._left_out = _LEFT_OUT | left_out
        self._parent_dir = ancestors[0]
        self._ancestors = ancestors
        self._venv_dir = venv_dir
        self._share = share
        self._packages = set(directories)
        self._above_packages = {os.path.dirname(path) for path in self._packages}
        self._old_scripts = CURRENT.scripts(self._parent_dir)
        self._new_scripts = CURRENT.scripts(venv_dir)

    def build(self) -> None:
        self._fill(self._parent_dir, self._venv_dir)

    def _fill(self, old: str, new: str) -> None:
        for entry in copying.entries(old):
            target = os.path.join(new, entry.name)
            if old == self._parent_dir and entry.name in self._left_out:
                continue
            if entry.is_symlink():
                self._fill_link(entry.path, target)
            elif entry.is_file():
                self._fill_file(entry, target)
            elif not entry.is_dir():
                continue  # a pipe or a socket, which is useless in another environment
            elif entry.path in self._packages:
                os.mkdir(target)
            elif old not in self._above_packages:
                os.mkdir(target)
                self._fill(entry.path, target)

    def _fill_link(self, old: str, new: str) -> None:
        if further := self._ancestors[1:]:
            real = os.path.realpath(old)
            if any(within(real, ancestor) is not None for ancestor in further):
                self._share(real, new)  # a file that the parent has from its own parent
                return
        os.symlink(archive.link_target(old, self._parent_dir), new)

    def _fill_file(self, entry: os.DirEntry[str], new: str) -> None:
        if os.path.dirname(entry.path) == self._old_scripts:
            self._fill_script(entry, new)
        elif os.path.dirname(entry.path) == self._parent_dir:
            with open(entry.path, "rb") as file:  # a few bytes; tools expect these files not to be links
                content = file.read()
            if not content.startswith(NOT_FOR_FORKS):
                archive.write(new, content, executable=False)
        else:
            self._share(entry.path, new)

    def _fill_script(self, entry: os.DirEntry[str], new: str) -> None:
        if _INTERPRETER.fullmatch(entry.name):
            copying.copy(entry.path, new)
            return
        if ACTIVATE.fullmatch(entry.name):
            return  # it contains the parent's path
        with open(entry.path, "rb") as file:
            start = file.read(2)
            script = launchers.parse(start + file.read(), self._old_scripts) if start in launchers.STARTS else None
        if script is None:
            self._share(entry.path, new)
        else:
            archive.write(new, script.text(self._new_scripts), executable=True)


def _copy_packages(ancestors: list[str], directories: Collection[str], venv_dir: str, share: Share) -> None:
    """Copy the packages of each ancestor into a separate directory, so that overridden packages stay overridden."""
    for directory in directories:
        name = os.path.relpath(directory, ancestors[0])
        packages = os.path.join(venv_dir, name)
        old = (layer for ancestor in ancestors for layer in layers(os.path.join(ancestor, name)))
        new = packages
        for number, layer in enumerate(old):
            if number:
                leading, new = new, os.path.join(os.path.dirname(packages), f"{INHERITED}{number}")
                os.mkdir(new)
                inheritance.inherit(new, leading, venv_dir)
            copying.copy_tree(layer, new, share, leave_out=inheritance.is_own)
