"""The main command: run one command in a temporary environment."""

import argparse
import os
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from venvrunner import VenvOptions, VenvRunner
from venvrunner._cli.display import complain, in_one_line, logged, reported, say, shown
from venvrunner._cli.exit_codes import FAILURE, NOT_EXECUTABLE, NOT_FOUND, SIGNAL, TIMEOUT
from venvrunner._cli.parser import COMMAND_GOES_LAST, new_parser, unrecognized
from venvrunner._cli.signals import Signals, guarded
from venvrunner._process import drivers
from venvrunner._process.command import Command, RunOptions, TimedOut
from venvrunner._process.flow import Run
from venvrunner._process.session import lost_reason
from venvrunner._venv.paths import absolute
from venvrunner.exceptions import VenvError

__tracebackhide__ = True

_DESCRIPTION = """\
Create a temporary virtual environment, install packages, run one command in it, and delete it.

The command's standard output and standard error are passed through unchanged. The messages of venvrunner and
the output of the installer go to standard error."""

_EPILOG = """\
examples:
  venvrunner --with build -- python -m build --wheel .
  venvrunner --with . --with pytest -- pytest -q
  venvrunner --python 3.12 -r requirements.txt -- python script.py
  venvrunner --keep .venv --with ruff -- ruff --version
  venvrunner --cached --with ruff -- ruff --version
  venvrunner store --help
  venvrunner lock --help
  venvrunner cache --help

exit codes:
  the command's own; 128+n if signal n ended the command or venvrunner
  124   the command timed out
  125   the environment could not be created, or the installation failed
  126   the command cannot be run
  127   the environment has no such command
  2     the arguments are wrong

Ctrl-C, SIGTERM and SIGHUP stop the command and all its children; then the environment is deleted."""


def main(argv: Sequence[str]) -> int:
    """Run the command, and return the exit code.

    Args:
        argv: the arguments.
    """
    return guarded(partial(_run, *_parse([*argv])))


def _parse(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser, names, add = new_parser("venvrunner", "[OPTION]... -- COMMAND [ARG]...", _DESCRIPTION, _EPILOG)
    add("--version", action="store_true", help="show the version of venvrunner and exit")
    add("--python", metavar="P", help="the interpreter: a path, a version or a range (default: the running one)")
    add(
        "--with", metavar="REQ", dest="requirements", action="append", default=[],
        help="install a requirement, a path or a URL; may be repeated",
    )  # fmt: skip
    add(
        "-r", "--requirements-file", metavar="FILE", dest="files", action="append", default=[],
        help="install what a requirements file lists; may be repeated",
    )  # fmt: skip
    add("--timeout", metavar="S", type=float, help="stop the command after this many seconds")
    add(
        "--contain", action="store_true",
        help="stop all that the command leaves running, daemons included; kill the command too if this program is killed",
    )  # fmt: skip
    add(
        "--cached", action="store_true",
        help="take the environment with what --with lists from the store; the first time, it is prepared there",
    )  # fmt: skip
    add("--keep", metavar="DIR", help="create the environment in DIR and keep it; an existing one is recreated")
    # Everything after the first "--" belongs to the command, whatever it looks like.
    cut = argv.index("--") if "--" in argv else len(argv)
    options, unknown = parser.parse_known_args(argv[:cut])
    if unknown:
        parser.error(unrecognized(unknown[0], names, COMMAND_GOES_LAST))
    if options.version:
        print(f"venvrunner {_version()}")  # noqa: T201  a command line prints
        parser.exit()
    command = argv[cut + 1 :]
    if not command:
        parser.error("no command. Put it at the end, after '--'.")
    if options.keep == "":
        parser.error("--keep must name a directory, such as .venv, but is empty.")
    if options.timeout is not None and not options.timeout > 0:
        parser.error(f"--timeout must be a positive number of seconds, not {options.timeout:g}.")
    return options, command


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and rarely needed

    try:
        return version("venvrunner")
    except PackageNotFoundError:  # a zipapp has no metadata
        return "of unknown version"


def _run(options: argparse.Namespace, command: list[str], signals: Signals) -> int:
    try:
        with ExitStack() as stack:
            to_install = [*options.requirements, *options.files]
            with shown(is_long=bool(to_install)) as display:
                with logged(display):
                    venv = stack.enter_context(_environment(options))
                signals.check()
                if options.cached:
                    to_install = options.files
                if to_install:
                    display.begin(f"Installing {in_one_line(to_install)}")
                    requirements = () if options.cached else options.requirements
                    venv.install(*requirements, requirements_files=options.files, **reported(display))
                    signals.check()
            try:
                argv = venv.resolve(command)
            except ValueError as exc:
                complain(exc)
                return NOT_FOUND
            try:
                return _status(_pass_through(venv, argv, options))
            except OSError as exc:
                say(f"{argv[0]!r} cannot be run: {exc.strerror}. Check its mode, and the interpreter in its first line.")
                return NOT_EXECUTABLE
    except (VenvError, OSError) as exc:
        complain(exc)
    except TimedOut:
        say(f"{command[0]!r} timed out after {options.timeout} seconds. Use a larger --timeout.")
        return TIMEOUT
    return FAILURE


@contextmanager
def _environment(options: argparse.Namespace) -> Generator[VenvRunner]:
    about: VenvOptions = {"python": options.python, "cached": options.cached}
    if options.cached:
        about["requirements"] = options.requirements
    if options.keep is None:
        with VenvRunner.temporary(**about) as venv:
            yield venv
    else:
        top_dir, name = os.path.split(absolute(options.keep))
        yield VenvRunner(name, top_dir, **about)


def _pass_through(venv: VenvRunner, argv: list[str], options: argparse.Namespace) -> int:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # pyright: ignore[reportUnnecessaryComparison]  the calling process may have closed it
            stream.flush()
    stdin = subprocess.DEVNULL if sys.stdin is None else 0  # pyright: ignore[reportUnnecessaryComparison]  it may be closed
    keywords: RunOptions = {"env": venv.environment(), "timeout": options.timeout, "stdin": stdin, "contain": options.contain}
    returncode = drivers.run(Run(Command(argv, keywords), {})).returncode
    if returncode is None:
        say(f"{argv[0]!r} {lost_reason()}")
        return FAILURE
    return returncode


def _status(returncode: int) -> int:
    return SIGNAL - returncode if returncode < 0 else returncode
