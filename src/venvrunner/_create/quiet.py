"""Warnings of virtualenv and python-discovery about their own directories, kept off the host's standard error."""

import contextlib
import threading
from collections.abc import Generator
from typing import TYPE_CHECKING

from venvrunner._venv.waiting import logger

__tracebackhide__ = True

if TYPE_CHECKING:
    from logging import LogRecord

_LOGGERS = (
    "python_discovery._cache",
    "python_discovery._cached_py_info",
    "virtualenv.app_data",
    "virtualenv.app_data.cache_migration",
)


@contextlib.contextmanager
def silenced() -> Generator[None]:
    """Log warnings of python-discovery and virtualenv to our own logger at level debug, for a block and in this thread.

    Python writes a warning to standard error if the host has not configured logging.
    """
    import logging  # slow to import

    thread = threading.get_ident()

    def is_kept(record: "LogRecord") -> bool:
        if record.levelno < logging.WARNING or record.thread != thread:
            return True
        logger().debug("%s: %s", record.name, record.getMessage())
        return False

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for one in loggers:
        one.addFilter(is_kept)
    try:
        yield
    finally:
        for one in loggers:
            one.removeFilter(is_kept)
