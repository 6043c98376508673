"""Removal of directories by descriptor: never through a link, with at most two open (``shutil.rmtree``: one per level)."""

import contextlib
import errno
import os
from collections.abc import Collection
from typing import NamedTuple

from venvrunner._venv.open_directory import Directory, allow_owner, is_junction, open_by_descriptor, remove_entry, unlink
from venvrunner._venv.sharing_violations import insist

__tracebackhide__ = True

_RETURNS = 10
"""How many times in total a directory that is not empty yet is visited again."""


def remove_tree(path: str, known: os.stat_result | None = None) -> None:
    """Remove a directory, if it exists, with all its contents, read-only ones included; an empty one takes no descriptor.

    Args:
        path: the directory.
        known: its status; a different directory at the path is not removed.

    Raises:
        OSError: the directory cannot be removed, or is a different one.
    """
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return
    except OSError:
        with Directory(path) as directory:
            if known is not None and not directory.has_status(known):
                msg = f"{path!r} was replaced by another directory"
                raise OSError(msg) from None
            if directory.number is None:
                _empty_by_path(path, ())
            else:
                _Emptying(directory.detach()).run(())
        with contextlib.suppress(FileNotFoundError):
            insist(os.rmdir, path)


def empty(directory: Directory, keep: Collection[str] = ()) -> None:
    """Remove all entries of an open directory except those named in *keep*."""
    if directory.number is None:
        _empty_by_path(directory.path, keep)
    else:
        _Emptying(os.dup(directory.number)).run(keep)


class _Level(NamedTuple):
    """A directory that is being emptied."""

    name: str
    status: os.stat_result
    directories: list[str]


class _Emptying:
    """Empties a directory, depth first, with only the current level open.

    Args:
        number: the descriptor of the directory; it is closed at the end.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._levels: list[_Level] = []
        self._returns = _RETURNS

    def run(self, keep: Collection[str]) -> None:
        try:
            self._enter("", keep)
            while True:
                level = self._levels[-1]
                if level.directories:
                    self._descend(level.directories.pop())
                elif len(self._levels) > 1:
                    self._ascend()
                else:
                    break
        finally:
            os.close(self._number)

    def _enter(self, name: str, keep: Collection[str] = ()) -> None:
        """Remove the files of the open directory, and remember its subdirectories."""
        status = os.fstat(self._number)
        allow_owner(self._number)
        directories: list[str] = []
        with os.scandir(self._number) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries if entry.name not in keep]
        for entry_name, is_directory in found:
            if is_directory:
                directories.append(entry_name)
            else:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(entry_name, dir_fd=self._number)
        self._levels.append(_Level(name, status, directories))

    def _descend(self, name: str) -> None:
        try:
            os.rmdir(name, dir_fd=self._number)  # an empty directory need not be opened
        except FileNotFoundError:
            return
        except OSError as exc:
            if exc.errno == errno.EBUSY:  # another file system or directory is mounted there
                raise
            try:
                number = open_by_descriptor(name, self._number)
            except FileNotFoundError:
                return
            self._switch(number)
            self._enter(name)

    def _ascend(self) -> None:
        name, _status, _directories = self._levels.pop()
        parent = open_by_descriptor("..", self._number)
        if not os.path.samestat(os.fstat(parent), self._levels[-1].status):
            os.close(parent)
            msg = f"{name!r} was moved while it was being deleted"
            raise OSError(msg)
        self._switch(parent)
        try:
            os.rmdir(name, dir_fd=self._number)
        except FileNotFoundError:
            pass
        except OSError:  # a running process has written into it
            if not self._returns:
                raise
            self._returns -= 1
            self._levels[-1].directories.append(name)

    def _switch(self, number: int) -> None:
        os.close(self._number)
        self._number = number


def _empty_by_path(path: str, keep: Collection[str]) -> None:
    with os.scandir(path) as entries:
        found = [entry for entry in entries if entry.name not in keep]
    for entry in found:
        if entry.is_dir(follow_symlinks=False) and not is_junction(entry.stat(follow_symlinks=False)):
            _empty_by_path(entry.path, ())
            remove_entry(os.rmdir, entry.path)
        else:
            unlink(entry.path)
