"""The parser of the command line's options."""

import argparse
from collections.abc import Callable
from typing import Any

__tracebackhide__ = True

COMMAND_GOES_LAST = " The command goes after '--'."


def unrecognized(argument: str, names: list[str], after: str) -> str:
    """Return the message for an argument that is not an option.

    Args:
        argument: the argument.
        names: the names of all options.
        after: the last sentence.
    """
    message = f"unrecognized argument {argument!r}."
    if not argument.startswith("-"):
        return f"{message}{after}"
    from difflib import get_close_matches  # slow to import, and rarely needed

    guess = "".join(f" Did you mean {match!r}?" for match in get_close_matches(argument.partition("=")[0], names, 1))
    return f"{message}{guess} The options are {', '.join(names)}.{after}"


def new_parser(
    prog: str, usage: str, description: str, epilog: str
) -> tuple[argparse.ArgumentParser, list[str], Callable[..., None]]:
    """Return a parser, the names of its options, and the function that adds an option to both."""
    parser = argparse.ArgumentParser(
        prog=prog,
        usage=f"%(prog)s {usage}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    names = ["-h", "--help"]

    def add(*flags: str, **details: Any) -> None:
        names.extend(flags)
        parser.add_argument(*flags, **details)

    return parser, names, add
