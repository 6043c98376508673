"""Which program a command line runs on Windows: by its suffix, never from the current directory, batch files by cmd.exe."""

import errno
import ntpath
import os
import re
from collections.abc import Callable, Sequence

from venvrunner._process.native import PROGRAM_SUFFIXES

__tracebackhide__ = True

_BATCH = (".bat", ".cmd")
_REFUSED = '"%\r\n'
"""What cmd.exe reads as something else in quotes too."""
_PLAIN = re.compile(r"[\w#$*+./:?@\\-]*[\w#$*+./:?@-]", re.ASCII)
"""An argument that needs no quotes."""


_is_file = os.path.isfile


def names_of(command: str) -> list[str]:
    """Return the file names that a command may have, in the order in which they are tried.

    A file without such a suffix is not a program: a script for a shell, beside its ``.bat``, say.

    >>> names_of("tool"), names_of("tool.EXE")[:2]
    (['tool.com', 'tool.exe', 'tool.bat', 'tool.cmd'], ['tool.EXE', 'tool.EXE.com'])
    """
    names = [command + suffix for suffix in PROGRAM_SUFFIXES]
    return [command, *names] if command.lower().endswith(PROGRAM_SUFFIXES) else names


def find(command: str, path: str, is_file: Callable[[str], bool] = _is_file) -> str:
    """Return the program that a command is, from the directories of ``PATH``, or as its own path says.

    Windows itself would look into the directory of this program and into the current one before, and know ``.exe`` only.

    Args:
        command: a name or a path.
        path: the value of ``PATH``; what is not absolute in it is left out.
        is_file: tells of a path whether there is a file.

    Raises:
        FileNotFoundError: there is none.
    """
    if ntpath.basename(command) != command:
        candidates = [command, *names_of(command)]
    else:
        folders = [folder.strip('"') for folder in path.split(";")]
        candidates = [
            ntpath.join(folder, name)
            for folder in folders
            if ntpath.splitdrive(folder)[0] and ntpath.isabs(folder)
            for name in names_of(command)
        ]
    for candidate in candidates:
        if is_file(candidate):
            return candidate
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), command)


def is_batch(program: str) -> bool:
    """Return whether cmd.exe runs a program, and reads its arguments by its own rules."""
    return program.lower().rstrip(". ").endswith(_BATCH)


def batch_line(program: str, arguments: Sequence[str]) -> str:
    r"""Return the command line for cmd.exe that runs a batch file with exactly these arguments.

    Raises:
        ValueError: cmd.exe would change one, or run it.

    >>> print(batch_line("C:\\v\\tool.bat", ["a b", "x&calc", "--flag"]))
    cmd.exe /e:ON /v:OFF /d /c ""C:\v\tool.bat" "a b" "x&calc" --flag"
    >>> batch_line("tool.bat", ["%PATH%"])
    Traceback (most recent call last):
    ...
    ValueError: args[1] contains '%', which cmd.exe would not pass on to the batch file 'tool.bat'. Run the program behind it.
    """
    words = [f'"{program}"']
    for number, argument in enumerate((program, *arguments)):
        bad = next((char for char in argument if char in _REFUSED), None)
        if bad is not None:
            msg = (
                f"args[{number}] contains {bad!r}, which cmd.exe would not pass on to the batch file"
                f" {ntpath.basename(program)!r}. Run the program behind it."
            )
            raise ValueError(msg)
        if number:
            words.append(argument if _PLAIN.fullmatch(argument) else _quoted(argument))
    return f'cmd.exe /e:ON /v:OFF /d /c "{" ".join(words)}"'


def _quoted(argument: str) -> str:
    """Quote an argument: backslashes before the last quote are doubled, or they would hide it."""
    end = len(argument) - len(argument.rstrip("\\"))
    return f'"{argument}{end * chr(92)}"'


def prepared(
    argv: list[str], executable: str | None, path: str, root: str, is_file: Callable[[str], bool] = _is_file
) -> tuple[list[str] | str, str]:
    """Return what ``Popen`` gets as the command line and as the program.

    Args:
        argv: the command line.
        executable: the program that the caller names; ``None``: it is ``argv[0]``.
        path: the value of ``PATH``.
        root: the directory of Windows.
        is_file: as for :func:`find`.

    Raises:
        FileNotFoundError, ValueError: as for :func:`find` and :func:`batch_line`.
    """
    program = find(argv[0], path, is_file) if executable is None else executable
    if is_batch(program):
        return batch_line(program, argv[1:]), ntpath.join(root, "System32", "cmd.exe")
    return argv, program
