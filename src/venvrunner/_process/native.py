"""Rules of the operating system: names of variables and of programs, line ends, and the default of ``PATH``."""

import os
import sys

__tracebackhide__ = True

PROGRAM_SUFFIXES = (".com", ".exe", ".bat", ".cmd")
"""The suffixes of programs on Windows, in the order of its default PATHEXT, whose other suffixes are not programs."""


def variable_name(name: str) -> str:
    """Return the name of an environment variable as in ``os.environ``: in upper case on Windows, where case is ignored."""
    return name.upper() if sys.platform == "win32" else name


def variable_names(names: list[str]) -> list[str]:
    """Same as :func:`variable_name`, for several names."""
    return [name.upper() for name in names] if sys.platform == "win32" else names


def without_case(variables: dict[str, str]) -> dict[str, str]:
    """Return variables with names as in ``os.environ``; of two spellings of a name, the last one counts."""
    return {name.upper(): value for name, value in variables.items()} if sys.platform == "win32" else variables


def native_text(text: str) -> str:
    r"""Return the text of a stream with ``\n`` for the line ends of this system: on Windows, programs write ``\r\n``."""
    return text.replace("\r\n", "\n") if sys.platform == "win32" else text


def default_path() -> str:
    """Return ``PATH`` for processes without that variable; on Windows, ``os.defpath`` begins with the current directory."""
    return f"{system_root()}\\System32;{system_root()}" if sys.platform == "win32" else os.defpath


def system_root() -> str:
    """Return the Windows directory."""
    return os.environ.get("SYSTEMROOT") or r"C:\Windows"
