"""The habits of this system: what names of variables and of programs are, line ends, and the default of ``PATH``."""

import os
import sys

__tracebackhide__ = True

PROGRAM_SUFFIXES = (".com", ".exe", ".bat", ".cmd")
"""What the name of a program ends with on Windows, in the order of its own PATHEXT: what else is in there is not a program."""


def variable_name(name: str) -> str:
    """Return the name of an environment variable as ``os.environ`` has it: in capitals on Windows, where case is nothing."""
    return name.upper() if sys.platform == "win32" else name


def variable_names(names: list[str]) -> list[str]:
    """Same as :func:`variable_name`, for several."""
    return [name.upper() for name in names] if sys.platform == "win32" else names


def without_case(variables: dict[str, str]) -> dict[str, str]:
    """Return variables under the names that ``os.environ`` has for them; of two spellings, the last one counts."""
    return {name.upper(): value for name, value in variables.items()} if sys.platform == "win32" else variables


def native_text(text: str) -> str:
    r"""Return the text of a stream with ``\n`` for the line ends of this system: on Windows programs write ``\r\n`` for it."""
    return text.replace("\r\n", "\n") if sys.platform == "win32" else text


def default_path() -> str:
    """Return what ``PATH`` is where no variable says it; on Windows, ``os.defpath`` begins with the current directory."""
    return f"{system_root()}\\System32;{system_root()}" if sys.platform == "win32" else os.defpath


def system_root() -> str:
    """Return the directory of Windows."""
    return os.environ.get("SYSTEMROOT") or r"C:\Windows"
