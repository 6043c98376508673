"""Interpreters: the identity of an interpreter, and the one that runs this program."""

import os
import sys
from typing import NamedTuple

from venvrunner._venv import layout
from venvrunner._venv.file_locks import without_waiting
from venvrunner._venv.paths import absolute
from venvrunner.exceptions import InterpreterNotFoundError

__tracebackhide__ = True

Stamp = tuple[int, int, str]


class Interpreter(NamedTuple):
    """An interpreter outside of any environment.

    Attributes:
        executable: its absolute path.
        implementation: its name, such as ``cpython`` or ``pypy``.
        version: its version, such as ``3.12.1``.
        stamp: the result of :func:`stamp_of`, which changes with an upgrade in place.
    """

    executable: str
    implementation: str
    version: str
    stamp: Stamp

    def __str__(self) -> str:
        """Return the implementation, the version and the path."""
        return f"{self.implementation} {self.version} ({self.executable})"


def is_running(interpreter: Interpreter) -> bool:
    """Return whether an interpreter is the one that runs this program."""
    try:
        return interpreter == running()
    except InterpreterNotFoundError:
        return False


def running() -> Interpreter:
    """Return the interpreter that runs this program; in an environment, the one that the environment was created for.

    Raises:
        InterpreterNotFoundError: it is unknown, for example because the program is frozen.
    """
    executable = getattr(sys, "_base_executable", None) or sys.executable
    if getattr(sys, "frozen", False):
        reason = f"the program is frozen, and {executable!r} is the program itself"
    elif not executable:
        reason = "sys.executable is empty"
    else:
        version = layout.current_version()
        try:
            return Interpreter(absolute(executable), sys.implementation.name, version, stamp_of(executable))
        except OSError as exc:
            reason = f"{executable!r} cannot be read: {exc.strerror}"
    msg = f"the interpreter of this program is unknown: {reason}. Pass another one, for example python='3.12'."
    raise InterpreterNotFoundError(msg)


def stamp_of(executable: str) -> Stamp:
    """Return the size, the modification time and a hash of an executable: they change when it is replaced.

    Where Python is a shared library, the executable is a small launcher. Then two versions have the same size, and even the
    same time if both come from reproducible archives. Only both ends of a large file are hashed: they include the build ID.

    Raises:
        OSError: the executable cannot be read.
    """
    status = os.stat(executable)
    key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    if key not in _digests:
        import hashlib  # slow to import

        with open(executable, "rb", opener=without_waiting) as file:
            content = file.read(_HASHED)
            file.seek(max(status.st_size - _HASHED, len(content)))
            content += file.read(_HASHED)
        _digests[key] = hashlib.sha256(content).hexdigest()[:16]
    return status.st_size, status.st_mtime_ns, _digests[key]


_HASHED = 65_536
"""Bytes that are hashed at each end of an executable."""
_digests: dict[tuple[int, ...], str] = {}
"""The hashes of the files that have been read, by identity and time."""
