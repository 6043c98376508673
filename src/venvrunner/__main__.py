"""The command line: which command the arguments name.

The command's own output passes through unchanged; the messages of venvrunner go to standard error.
"""

import os
import sys

# "python -m" puts the working directory first on sys.path: a file there must not shadow a module of the standard library.
if not sys.flags.safe_path and sys.path[0] != os.path.dirname(os.path.dirname(os.path.abspath(__file__))):
    del sys.path[0]

from collections.abc import Sequence
from importlib import import_module

from venvrunner import _cli

_COMMANDS = ("cache", "completion", "doctor", "lock", "pythons", "store")
"""The names of the commands other than to run one; each is a module of ``_cli``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Args:
        argv: the arguments; default: those of this process.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    name, rest = ("run", arguments) if not arguments or arguments[0] not in _COMMANDS else (arguments[0], arguments[1:])
    code: int = import_module(f"{_cli.__name__}.{name}_command").main(rest)  # each command imports what it needs
    return code


if __name__ == "__main__":
    sys.exit(main())
