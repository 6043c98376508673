"""Notes in locked files: which process has the file locked, for error messages."""

import contextlib
import functools
import os
import sys

from venvrunner._redaction import Redactor

__tracebackhide__ = True

_SHOWN = 200
"""Maximum length of the command line of a process in a note."""
UNKNOWN = "another process"
"""The description of a process whose note is missing or unreadable."""


def write_name(descriptor: int) -> None:
    """Write the ID and the command line of this process into a file that it has locked."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"process {os.getpid()} ({_command_line()})".encode("utf-8", "backslashreplace"))


def read_name(descriptor: int) -> str:
    """Return which process has a file locked, as its note describes it."""
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        return os.read(descriptor, 10 * _SHOWN).decode("utf-8", "replace") or UNKNOWN
    except OSError:
        return UNKNOWN


@functools.cache
def _command_line() -> str:
    return " ".join(Redactor().mask(" ".join(sys.orig_argv)).split())[:_SHOWN]
