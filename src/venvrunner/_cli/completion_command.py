"""The command ``completion``: print the script with which a shell completes the options."""

import argparse
from collections.abc import Sequence

from venvrunner._cli import lock_command, run_command
from venvrunner._cli.display import say
from venvrunner._cli.exit_codes import FAILURE

__tracebackhide__ = True

_SHELLS = ("bash", "zsh", "tcsh")
_EPILOG = """\
examples:
  venvrunner completion bash >> ~/.bash_completion
  venvrunner completion zsh > ~/.zfunc/_venvrunner

It needs the extra venvrunner[completion]."""


def main(argv: Sequence[str]) -> int:
    """Run the command, and return the exit code.

    Args:
        argv: the arguments after ``completion``.
    """
    parser = argparse.ArgumentParser(
        prog="venvrunner completion",
        description="Print the script with which a shell completes the options of venvrunner.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("shell", choices=_SHELLS, help="the shell")
    shell = parser.parse_args(argv).shell
    try:
        import shtab  # an extra
    except ImportError:
        say("the completion needs the shtab package, which is not installed beside venvrunner. Install venvrunner[completion].")
        return FAILURE
    print(shtab.complete(_whole(), shell))  # noqa: T201  a command line prints
    return 0


def _whole() -> argparse.ArgumentParser:
    """Return one parser with the options of a run, and those of each command that has many."""
    whole = argparse.ArgumentParser("venvrunner", parents=[run_command.parser()], add_help=False)
    commands = whole.add_subparsers()
    commands.add_parser("lock", help="write a lock file", parents=[lock_command.parser()], add_help=False)
    for name, words in _WORDS.items():
        commands.add_parser(name, help=f"the command {name}").add_argument("what", choices=words)
    for name in _REPORTS:
        commands.add_parser(name, help=f"the command {name}").add_argument("--json", action="store_true")
    return whole


_WORDS = {"cache": ("dir", "size", "prune"), "store": ("dir", "list", "size", "prune", "verify"), "completion": _SHELLS}
"""The words that the other commands take."""
_REPORTS = ("doctor", "pythons")
"""The commands that take one option."""
