"""A folder that is there for a while."""

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Generator
from typing import Any

from venvrunner._process.signals import deferred, surely


class TemporaryPlace:
    """A new folder, which stays until it is removed; unlike tempfile's own, it may also be left behind on purpose."""

    def __init__(self) -> None:
        self.name = tempfile.mkdtemp(prefix="venvrunner-")

    def remove(self) -> None:
        """Remove the folder with all that is in it; more than once does no harm."""
        shutil.rmtree(self.name, onerror=_insist)


@contextlib.contextmanager
def temporary_place() -> Generator[TemporaryPlace]:
    """Make a folder that stays after the block, unless the block raises."""
    place: TemporaryPlace | None = None
    try:
        with deferred():
            place = TemporaryPlace()
        yield place
    except BaseException:
        if place is not None:
            surely(place.remove)
        raise


@contextlib.contextmanager
def temporary_folder() -> Generator[str]:
    """Make a folder and remove it after the block, neither of which a signal can leave half done."""
    with temporary_place() as place:
        try:
            yield place.name
        finally:
            surely(place.remove)


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
