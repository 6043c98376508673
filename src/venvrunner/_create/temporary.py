"""A folder that is there for a while."""

import contextlib
from collections.abc import Generator

from venvrunner._process.signals import deferred, surely


@contextlib.contextmanager
def temporary_folder() -> Generator[str]:
    """Make a folder and remove it, neither of which a signal can leave half done."""
    import tempfile  # noqa: PLC0415  slow to import

    folder: tempfile.TemporaryDirectory[str] | None = None
    try:
        with deferred():
            folder = tempfile.TemporaryDirectory(prefix="venvrunner-")
        yield folder.name
    finally:
        if folder is not None:
            surely(folder.cleanup)
