"""The main command: run one command in an environment of its own, or in one for each of several Pythons."""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial

from venvrunner._cli import github
from venvrunner._cli.display import Lines, complain, display_for, explain, logged, show, shown
from venvrunner._cli.environments import Order, order_of
from venvrunner._cli.execution import Execution
from venvrunner._cli.exit_codes import FAILURE
from venvrunner._cli.options import add_help, add_output, add_packages, add_sources, check_output, seconds
from venvrunner._cli.outcome import Outcome
from venvrunner._cli.parser import COMMAND_GOES_LAST, Parser
from venvrunner._cli.signals import Signals, guarded
from venvrunner._cli.streams import CopiedStream, writer
from venvrunner._venv.paths import absolute
from venvrunner.exceptions import InvalidPathError, VenvError

__tracebackhide__ = True

_USAGE = """%(prog)s [OPTION]... -- COMMAND [ARG]...
       %(prog)s [OPTION]... SCRIPT.py [ARG]..."""
_DESCRIPTION = """\
Create a virtual environment, install packages, run one command in it, and
delete it. The command's standard output and standard error pass through
unchanged. The messages of venvrunner and of the installer go to standard error.

A script (SCRIPT.py) runs with the Python and the packages that its inline
metadata (PEP 723) asks for, which --cached keeps for the next time."""

_EPILOG = """\
examples:
  venvrunner --with build -- python -m build --wheel .
  venvrunner --with . --with pytest -- pytest -q
  venvrunner --python 3.12 -r requirements.txt -- python script.py
  venvrunner report.py --verbose
  venvrunner --lock pylock.toml -e . -- pytest -q
  venvrunner --python 3.11 --python 3.12 -j 2 --with pytest -- pytest -q
  venvrunner --reuse .venv --with ruff -- ruff --version
  venvrunner --cached --with ruff -- ruff --version

other commands, each with its own --help:
  venvrunner lock     write a lock file of what requirements resolve to
  venvrunner store    list, prune and verify what --cached has prepared
  venvrunner cache    show and prune the archives of empty environments
  venvrunner pythons  list the interpreters that --python can find
  venvrunner doctor   say what is wrong with this machine, and what to do
  venvrunner completion
                      print the script that completes these options in a shell

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
    add = found.group("several Pythons: with --python more than once")
    add("-j", "--jobs", metavar="N", type=_count, default=1, help="run with N Pythons at the same time (default: 1)")
    add("--skip-missing", action="store_true", help="skip a Python that is not found, instead of failing")
    add = found.group("output")
    add("--json", metavar="FILE", help="write what was run and installed, and how it ended, as JSON")
    add("--junit", metavar="FILE", help="the same as JUnit XML, which CI services show")
    add_output(add)
    add("--version", action="store_true", help="show the version of venvrunner, and exit")
    add_help(add)
    found.set_defaults(script=None)
    return found


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        msg = f"must be a positive whole number, not {text!r}."
        raise argparse.ArgumentTypeError(msg)
    return int(text)


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
    _check(found, options)
    command = list(argv[end + 1 :])
    if end < len(argv) and argv[end] != "--":
        if not argv[end].endswith(".py"):
            found.refuse(argv[end], COMMAND_GOES_LAST)
        options.script = absolute(argv[end])
        return options, ["python", options.script, *command]
    if not command:
        found.error("no command. Put it at the end, after '--'.")
    return options, command


def _scripted(options: argparse.Namespace) -> Order:
    """Return what the options ask for, with what a script asks for in its inline metadata.

    Raises:
        VenvError: the metadata is wrong.
    """
    order: Order = options.order
    if options.script is None:
        return order
    from venvrunner import VenvSpec  # few runs have a script

    with logged(Lines()):
        spec = VenvSpec.from_script(options.script)
    python = order.python or spec.python
    return order._replace(python=python, requirements=[*spec.requirements, *order.requirements], cached=True)


def _check(found: Parser, options: argparse.Namespace) -> None:
    """End the program if options do not fit each other, or name a directory that cannot be used."""
    for name in ("keep", "reuse"):
        if getattr(options, name) == "":
            found.error(f"--{name} must name a directory, such as .venv, but is empty.")
    if None not in {options.keep, options.reuse}:
        found.error("--keep recreates the environment, and --reuse keeps it. Use one of them.")
    if len(options.python) > 1 and (options.keep or options.reuse):
        found.error("--keep and --reuse have one directory, and take one --python.")
    check_output(found, options)
    if options.cwd is not None and not os.path.isdir(options.cwd):
        found.error(f"--cwd: the directory {options.cwd!r} does not exist.")
    try:
        for path in [path for path in (options.json, options.junit) if path is not None]:
            from venvrunner._reports import report_path  # few runs are reported

            report_path(path)
        options.order = order_of(options)
    except (InvalidPathError, ValueError) as exc:
        found.error(str(exc))


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and rarely needed

    try:
        return version("venvrunner")
    except PackageNotFoundError:  # a zipapp has no metadata
        return "of unknown version"


def _run(options: argparse.Namespace, command: list[str], signals: Signals) -> int:
    try:
        order = _scripted(options)
    except VenvError as exc:
        complain(exc)
        return FAILURE
    outcomes = _several(options, order, command) if len(options.python) > 1 else [_one(options, order, command, signals)]
    code = max(outcome.exit_code for outcome in outcomes)
    if github.is_here():
        from venvrunner._cli.summary import add_to_job  # only there

        add_to_job(command, outcomes)
    try:
        _report(options, outcomes)
    except (VenvError, OSError) as exc:
        complain(exc)
        return max(code, FAILURE)
    return code


def _report(options: argparse.Namespace, outcomes: Sequence[Outcome]) -> None:
    """Write the reports that were asked for."""
    if options.json is None and options.junit is None:
        return
    from venvrunner._reports import json_text, junit_text, write_report  # few runs are reported

    runs = [outcome.report() for outcome in outcomes]
    if options.json is not None:
        write_report(options.json, json_text(runs))
    if options.junit is not None:
        write_report(options.junit, junit_text(runs))


def _one(options: argparse.Namespace, order: Order, command: list[str], signals: Signals) -> Outcome:
    display = display_for(is_long=not order.is_empty(), quiet=options.quiet, verbose=options.verbose)
    show = partial(shown, display, "the command was not run")
    streams: dict[int, CopiedStream] = {}
    if options.json is not None or options.junit is not None:
        streams = {number: CopiedStream(writer(out)) for number, out in ((1, sys.stdout), (2, sys.stderr))}
    label = order.python or "{}.{}".format(*sys.version_info)
    outcome = Execution(label, order, command, options, show, streams, signals.check).perform()
    if outcome.why:
        explain(outcome.why)
    return outcome


def _several(options: argparse.Namespace, order: Order, command: list[str]) -> list[Outcome]:
    from venvrunner._cli.matrix import Matrix  # few runs have one
    from venvrunner._cli.summary import table, width

    outcomes = Matrix(order, command, options).perform()
    show(table(outcomes, width()))
    if all(outcome.status == "skipped" for outcome in outcomes):
        explain(["none of the Pythons was found. Install one, or leave out --skip-missing to see where they were searched."])
        return [outcome._replace(exit_code=FAILURE) for outcome in outcomes]
    return outcomes
