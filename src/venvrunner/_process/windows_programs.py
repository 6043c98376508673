"""Programs on Windows: find the one that a command line runs, never in the current directory; quote for batch files."""

import errno
import ntpath
import os
import re
from collections.abc import Callable, Sequence

from venvrunner._process.native import PROGRAM_SUFFIXES

__tracebackhide__ = True

_BATCH = (".bat", ".cmd")
_REFUSED = '"%\r\n'
"""Characters that cmd.exe interprets even in quotes."""
_PLAIN = re.compile(r"[\w#$*+./:?@\\-]*[\w#$*+./:?@-]", re.ASCII)
"""An argument that needs no quotes."""


_is_file = os.path.isfile


def names_of(command: str) -> list[str]:
    """Return the possible file names of a command, in the order to try.

    A file without a program's suffix is not a program: it may be a shell script beside its ``.bat``.

    >>> names_of("tool"), names_of("tool.EXE")[:2]
    (['tool.com', 'tool.exe', 'tool.bat', 'tool.cmd'], ['tool.EXE', 'tool.EXE.com'])
    """
    names = [command + suffix for suffix in PROGRAM_SUFFIXES]
    return [command, *names] if command.lower().endswith(PROGRAM_SUFFIXES) else names


def find(command: str, path: str, is_file: Callable[[str], bool] = _is_file) -> str:
    """Return the path of a command's program, by its own path or from the directories of ``PATH``.

    Windows itself would first search the directory of this program and the current one, and would try only ``.exe``.

    Args:
        command: a name or a path.
        path: the value of ``PATH``; relative directories in it are skipped.
        is_file: returns whether a path is a file.

    Raises:
        FileNotFoundError: no such program exists.
    """
    if ntpath.basename(command) != command:
        candidates = [command, *names_of(command)]
    else:
        directories = [directory.strip('"') for directory in path.split(";")]
        candidates = [
            ntpath.join(directory, name)
            for directory in directories
            if ntpath.splitdrive(directory)[0] and ntpath.isabs(directory)
            for name in names_of(command)
        ]
    for candidate in candidates:
        if is_file(candidate):
            return candidate
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), command)


def is_batch(program: str) -> bool:
    """Return whether a program is a batch file, whose arguments cmd.exe reads by its own rules."""
    return program.lower().rstrip(". ").endswith(_BATCH)


def batch_line(program: str, arguments: Sequence[str]) -> str:
    r"""Return the command line for cmd.exe that runs a batch file with exactly these arguments.

    Raises:
        ValueError: cmd.exe would change an argument, or run a part of it.

    >>> print(batch_line("C:\\v\\tool.bat", ["a b", "x&calc", "--flag"]))
    cmd.exe /e:ON /v:OFF /d /c ""C:\v\tool.bat" "a b" "x&calc" --flag"
    >>> batch_line("tool.bat", ["%PATH%"])
    Traceback (most recent call last):
    ...
    ValueError: args[1] contains '%', which cmd.exe would change for the batch file 'tool.bat'. Run its program directly.
    """
    words = [f'"{program}"']
    for number, argument in enumerate((program, *arguments)):
        bad = next((char for char in argument if char in _REFUSED), None)
        if bad is not None:
            msg = (
                f"args[{number}] contains {bad!r}, which cmd.exe would change for the batch file"
                f" {ntpath.basename(program)!r}. Run its program directly."
            )
            raise ValueError(msg)
        if number:
            words.append(argument if _PLAIN.fullmatch(argument) else _quoted(argument))
    return f'cmd.exe /e:ON /v:OFF /d /c "{" ".join(words)}"'


def _quoted(argument: str) -> str:
    """Return an argument in quotes, with backslashes before the closing quote doubled: otherwise they would escape it."""
    end = len(argument) - len(argument.rstrip("\\"))
    return f'"{argument}{end * chr(92)}"'


def prepared(
    argv: list[str], executable: str | None, path: str, root: str, is_file: Callable[[str], bool] = _is_file
) -> tuple[list[str] | str, str]:
    """Return the command line and the program for ``Popen``.

    Args:
        argv: the command line.
        executable: the caller's program; ``None``: ``argv[0]``.
        path: the value of ``PATH``.
        root: the Windows directory.
        is_file: returns whether a path is a file.

    Raises:
        FileNotFoundError, ValueError: as for :func:`find` and :func:`batch_line`.
    """
    program = find(argv[0], path, is_file) if executable is None else executable
    if is_batch(program):
        return batch_line(program, argv[1:]), ntpath.join(root, "System32", "cmd.exe")
    return argv, program
