"""What a locked file says, for people: which process has it locked."""

import contextlib
import functools
import os
import sys

from venvrunner._process.sinks import Redactor

__tracebackhide__ = True

_SHOWN = 200
"""Characters of a command line that are shown of a user of an environment."""
UNKNOWN = "another process"
"""What a locked file is said to be of if it does not say."""


def write_name(descriptor: int) -> None:
    """Write into a locked file which process has it locked."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"process {os.getpid()} ({_command_line()})".encode("utf-8", "backslashreplace"))


def read_name(descriptor: int) -> str:
    """Read which process has a file locked."""
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        return os.read(descriptor, 10 * _SHOWN).decode("utf-8", "replace") or UNKNOWN
    except OSError:
        return UNKNOWN


@functools.cache
def _command_line() -> str:
    return " ".join(Redactor().mask(" ".join(sys.orig_argv)).split())[:_SHOWN]
