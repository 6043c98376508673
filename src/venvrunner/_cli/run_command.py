"""The main command: run one command in an environment of its own, or in one for each of several Pythons."""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial

from venvrunner._cli.display import explain, shown
from venvrunner._cli.environments import Order, order_of
from venvrunner._cli.execution import Execution
from venvrunner._cli.options import add_help, add_output, add_packages, add_sources, check_output, seconds
from venvrunner._cli.parser import COMMAND_GOES_LAST, Parser
from venvrunner._cli.signals import Signals, guarded

__tracebackhide__ = True

_USAGE = "%(prog)s [OPTION]... -- COMMAND [ARG]..."
_DESCRIPTION = """\
Create a virtual environment, install packages, run one command in it, and
delete it. The command's standard output and standard error pass through
unchanged. The messages of venvrunner and of the installer go to standard error."""

_EPILOG = """\
examples:
  venvrunner --with build -- python -m build --wheel .
  venvrunner --with . --with pytest -- pytest -q
  venvrunner --python 3.12 -r requirements.txt -- python script.py
  venvrunner --lock pylock.toml -e . -- pytest -q
  venvrunner --reuse .venv --with ruff -- ruff --version
  venvrunner --cached --with ruff -- ruff --version

other commands, each with its own --help:
  venvrunner lock     write a lock file of what requirements resolve to
  venvrunner store    list, prune and verify what --cached has prepared
  venvrunner cache    show and prune what new environments are created from

exit codes:
  the command's own; 128+n if signal n ended the command or venvrunner
  124   the command timed out
  125   the environment could not be created, or the installation failed
  126   the command cannot be run
  127   the environment has no such command
  2     the arguments are wrong

Ctrl-C, SIGTERM and SIGHUP stop the command and all its children; then the
environment is deleted."""


def main(argv: Sequence[str]) -> int:
    """Run the command, and return the exit code.

    Args:
        argv: the arguments.
    """
    options, command = _parse(argv)
    return guarded(partial(_run, options, command))


def parser() -> Parser:
    """Return the parser of the options."""
    found = Parser("venvrunner", _USAGE, _DESCRIPTION, _EPILOG)
    add = found.group("packages")
    add("--with", metavar="REQ", dest="requirements", several=True, help="install a requirement, a path or a URL")
    add_packages(add, "install")
    add("--lock", metavar="FILE", help="install exactly what a lock file (PEP 751) lists; -r pylock.toml does so too")
    add_sources(found.group("where packages come from"))
    add = found.group("environment")
    add("--python", metavar="P", several=True, help="the interpreter: a path, a version or a range (default: the running one)")
    add(
        "--cached", action="store_true",
        help="take what --with, --group or --lock name from the store; the first time, it is prepared there",
    )  # fmt: skip
    add("--keep", metavar="DIR", help="create the environment in DIR and keep it; an existing one is recreated")
    add("--reuse", metavar="DIR", help="the same, but keep an existing one that was created for the same arguments")
    add = found.group("command")
    add("--env", metavar="NAME=VALUE", dest="variables", several=True, type=_variable, help="set a variable of the command")
    add("--cwd", metavar="DIR", help="run the command in this directory")
    add("--timeout", metavar="S", type=seconds, help="stop the command after this many seconds")
    add(
        "--contain", action="store_true",
        help="stop all that the command leaves running, daemons included; kill the command too if this program is killed",
    )  # fmt: skip
    add = found.group("output")
    add_output(add)
    add("--version", action="store_true", help="show the version of venvrunner, and exit")
    add_help(add)
    return found


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        msg = f"must be NAME=VALUE, not {text!r}."
        raise argparse.ArgumentTypeError(msg)
    return name, value


def _parse(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return the options, and the command: all that follows the first ``--``, whatever it looks like."""
    found = parser()
    end = found.end_of_options(argv)
    options, unknown = found.parse_known_args(argv[:end])
    if unknown:
        found.refuse(unknown[0], COMMAND_GOES_LAST)
    if options.version:
        print(f"venvrunner {_version()}")  # noqa: T201  a command line prints
        found.exit()
    if end < len(argv) and argv[end] != "--":
        found.refuse(argv[end], COMMAND_GOES_LAST)
    command = list(argv[end + 1 :])
    if not command:
        found.error("no command. Put it at the end, after '--'.")
    _check(found, options)
    return options, command


def _check(found: Parser, options: argparse.Namespace) -> None:
    """End the program if options do not fit each other, or name a directory that cannot be used."""
    for name in ("keep", "reuse"):
        if getattr(options, name) == "":
            found.error(f"--{name} must name a directory, such as .venv, but is empty.")
    if None not in {options.keep, options.reuse}:
        found.error("--keep recreates the environment, and --reuse keeps it. Use one of them.")
    check_output(found, options)
    if options.cwd is not None and not os.path.isdir(options.cwd):
        found.error(f"--cwd: the directory {options.cwd!r} does not exist.")
    try:
        options.order = order_of(options)
    except ValueError as exc:
        found.error(str(exc))


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and rarely needed

    try:
        return version("venvrunner")
    except PackageNotFoundError:  # a zipapp has no metadata
        return "of unknown version"


def _run(options: argparse.Namespace, command: list[str], signals: Signals) -> int:
    order: Order = options.order
    show = partial(
        shown, is_long=not order.is_empty(), unfinished="the command was not run", quiet=options.quiet, verbose=options.verbose
    )  # fmt: skip
    label = order.python or "{}.{}".format(*sys.version_info)
    outcome = Execution(label, order, command, options, show, {}, signals.check).perform()
    if outcome.why:
        explain(outcome.why)
    return outcome.exit_code
