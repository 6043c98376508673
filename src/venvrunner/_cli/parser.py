"""The parser of a command's options: in groups, with a suggestion for a misspelled one."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

__tracebackhide__ = True

COMMAND_GOES_LAST = " The command goes after '--'."


class Parser(argparse.ArgumentParser):
    """A parser that shows its options in groups.

    Args:
        prog: how the command is called.
        usage: what follows it, one line for each form.
        description: what the command does.
        epilog: examples and exit codes.
    """

    def __init__(self, prog: str, usage: str, description: str, epilog: str) -> None:
        super().__init__(
            prog=prog,
            usage=usage,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            add_help=False,
        )

    def group(self, title: str) -> Callable[..., None]:
        """Return the function that adds an option to a new group."""
        group = self.add_argument_group(title)

        def add(*flags: str, several: bool = False, **details: Any) -> None:
            if several:
                details |= {"action": "append", "default": []}
                details["help"] += "; may be repeated"
            group.add_argument(*flags, **details)

        return add

    def refuse(self, argument: str, after: str = "") -> NoReturn:
        """End the program because an argument is not an option.

        Args:
            argument: the argument.
            after: the last sentence.
        """
        message = f"unrecognized argument {argument!r}."
        if argument.startswith("-"):
            from difflib import get_close_matches  # slow to import, and rarely needed

            names = [flag for action in self._actions for flag in action.option_strings]
            matches = get_close_matches(argument.partition("=")[0], names, 1)
            message += f" Did you mean {matches[0]!r}?" if matches else f" See '{self.prog} --help'."
        self.error(f"{message}{after}")

    def end_of_options(self, argv: Sequence[str]) -> int:
        """Return the index of the first argument that is neither an option nor the value of one; ``--`` counts as such.

        >>> parser = Parser("prog", "prog", "", "")
        >>> add = parser.group("options")
        >>> add("-q", action="store_true")
        >>> add("-e", "--env")
        >>> parser.end_of_options(["-q", "--env", "a", "-eb", "--env=c", "script.py", "-q"])
        5
        >>> parser.end_of_options(["-q"])
        1
        """
        index = 0
        while index < len(argv) and (argument := argv[index]) != "--":
            if not argument.startswith("-"):
                break
            action = self._option_string_actions.get(argument)
            index += 2 if action is not None and action.nargs is None else 1
        return min(index, len(argv))
