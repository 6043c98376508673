"""A folder that is there for a while."""

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Generator
from typing import Any

from venvrunner._process.signals import deferred, surely

__tracebackhide__ = True


class TemporaryPlace:
    """A new folder, which stays until it is removed; unlike tempfile's own, it may also be left behind on purpose.

    Args:
        folder: where to make it; default: the system's folder for temporary files.
    """

    def __init__(self, folder: str | None = None) -> None:
        self.name = tempfile.mkdtemp(prefix="venvrunner-", dir=folder)

    def remove(self) -> None:
        """Remove the folder with all that is in it; more than once does no harm."""
        remove_tree(self.name)


@contextlib.contextmanager
def temporary_place(folder: str | None = None) -> Generator[TemporaryPlace]:
    """Make a folder that stays after the block, unless the block raises."""
    place: TemporaryPlace | None = None
    try:
        with deferred():
            place = TemporaryPlace(folder)
        yield place
    except BaseException:
        if place is not None:
            surely(place.remove)
        raise


@contextlib.contextmanager
def temporary_folder(folder: str | None = None) -> Generator[str]:
    """Make a folder and remove it after the block, neither of which a signal can leave half done."""
    with temporary_place(folder) as place:
        try:
            yield place.name
        finally:
            surely(place.remove)


def remove_tree(path: str) -> None:
    """Remove a folder with all that is in it; that it is gone already does no harm."""
    shutil.rmtree(path, onerror=_insist)


def _insist(action: Callable[..., Any], path: str, _error: object) -> None:
    """Remove what is in a read-only folder too, and do not mind what is gone already."""
    if not os.path.lexists(path):
        return
    os.chmod(os.path.dirname(path), stat.S_IRWXU)
    if os.path.isdir(path) and not os.path.islink(path):
        os.chmod(path, stat.S_IRWXU)
        shutil.rmtree(path)
    else:
        os.unlink(path)
