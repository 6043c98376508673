"""Failed starts: the system's error with a clear reason and with secrets masked."""

import errno
import os
import subprocess
from collections.abc import Iterable
from typing import Any

from venvrunner._process.command import Command
from venvrunner._redaction import Redactor

__tracebackhide__ = True

_SHEBANG = 256
"""Bytes of a script's first line that Linux reads (``execve(2)``)."""


def explained(error: Exception, command: Command) -> Exception:
    """Return a new exception of the same class for a failed start, with a clear reason and with secrets masked.

    A new one, because pytest shows local variables: those of the original's frames have the command line and the environment.

    Args:
        error: the exception.
        command: the command that was not started.
    """
    redactor = Redactor(command.secrets)
    if isinstance(error, OSError) and error.errno is not None:
        reason, filename = _reason(error, command)
        where = () if filename is None else (redactor.mask(os.fsdecode(filename)),)
        return type(error)(error.errno, redactor.mask(reason), *where)
    if isinstance(error, KeyError | subprocess.SubprocessError | TypeError | ValueError | OSError):
        return type(error)(*_masked_args(error, redactor))
    return error


def masked(error: Exception, secrets: Iterable[str]) -> Exception:
    """Return an exception about an argument, with its secrets masked.

    Args:
        error: the exception; it is returned itself if it shows no secret.
        secrets: the strings to mask.
    """
    args = _masked_args(error, Redactor(secrets))
    return error if args == error.args else type(error)(*args)


def _masked_args(error: Exception, redactor: Redactor) -> tuple[object, ...]:
    return tuple(redactor.mask(arg) if isinstance(arg, str) else arg for arg in error.args)


def _reason(error: OSError, command: Command) -> tuple[str, Any]:
    """Return the reason for a system error, and the file that it is about."""
    reason, filename = error.strerror or "", error.filename
    cwd = command.popen.get("cwd")
    if cwd is not None and filename == cwd:
        what = "does not exist" if error.errno == errno.ENOENT else f"cannot be entered ({reason})"
        return f"The directory given as cwd= {what}", cwd
    words = os.fsdecode(filename or "").split()
    if error.errno == errno.ENOENT and len(words) > 1 and filename == command.argv[0] and not os.path.dirname(words[0]):
        return f"{reason}; pass each argument as a separate item: {words}", filename
    path = _program(command)
    more = None if path is None else _reason_of(error.errno, path)
    return (reason, filename) if more is None else (more, path)


def _reason_of(number: int | None, path: str) -> str | None:
    """Return why an existing program cannot be run, if the system's own message is misleading."""
    match number:
        case errno.ENOENT if (interpreter := _interpreter(path)) is not None:
            ends = ". The file has Windows line ends: convert them" if interpreter.endswith("\r") else ""
            return f"The interpreter {interpreter!r} that the script names does not exist{ends}"
        case errno.ENOEXEC:
            return "Exec format error: the file has no '#!' line and is not a program for this machine"
        case errno.EACCES if _is_on_noexec(path):
            return "Permission denied: the file system is mounted noexec"
        case _:
            return None


def _program(command: Command) -> str | None:
    """Return the path of the program; ``None`` if it does not exist."""
    name = os.fsdecode(command.popen.get("executable") or command.argv[0])
    base = os.fsdecode(command.popen.get("cwd") or ".")
    if os.path.dirname(name):
        candidates = [os.path.join(base, name)]
    else:
        candidates = [os.path.join(base, path, name) for path in os.get_exec_path(command.popen.get("env"))]
    return next((path for path in candidates if os.path.isfile(path)), None)


def _interpreter(path: str) -> str | None:
    """Return the interpreter that a script names in its first line, if that does not exist."""
    try:
        with open(path, "rb") as file:
            first = file.read(_SHEBANG).partition(b"\n")[0]
    except OSError:
        return None
    if not first.startswith(b"#!"):
        return None
    words = os.fsdecode(first[2:]).strip(" \t").split(" ")
    return words[0] if words[0] and not os.path.exists(words[0]) else None


def _is_on_noexec(path: str) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_NOEXEC)
    except (AttributeError, OSError):
        return False
