"""The command ``lock``: write a lock file."""

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

from venvrunner import VenvRunner
from venvrunner._cli.display import complain, display_for, in_one_line, logged, reported, say, shown
from venvrunner._cli.exit_codes import FAILURE
from venvrunner._cli.options import add_help, add_output, add_packages, add_sources, check_output, resolution
from venvrunner._cli.parser import Parser
from venvrunner._cli.signals import Signals, guarded
from venvrunner._cli.time_limit import time_limit
from venvrunner._install.replacement import lock_path
from venvrunner.exceptions import InvalidPathError, VenvError

__tracebackhide__ = True

_USAGE = "%(prog)s [OPTION]... [REQ]..."
_DESCRIPTION = """\
Write a lock file (PEP 751) of what requirements resolve to. Nothing is
installed. The file replaces an old one at once; if anything fails, the old one
stays. The messages of venvrunner and of the installer go to standard error."""

_EPILOG = """\
examples:
  venvrunner lock -r requirements.in
  venvrunner lock --group test -o pylock.test.toml
  venvrunner lock . --installer uv --universal --python 3.11

exit codes:
  0     the lock file was written
  125   the requirements cannot be resolved, or the file cannot be written
  128+n signal n ended venvrunner
  2     the arguments are wrong"""


def main(argv: Sequence[str]) -> int:
    """Run the command, and return the exit code.

    Args:
        argv: the arguments after ``lock``.
    """
    return guarded(partial(_lock, _parse(argv)))


def parser() -> Parser:
    """Return the parser of the options."""
    found = Parser("venvrunner lock", _USAGE, _DESCRIPTION, _EPILOG)
    add = found.group("packages")
    add("requirements", metavar="REQ", nargs="*", help="a requirement, a path or a URL")
    add_packages(add, "lock")
    add = found.group("lock file")
    add("-o", "--output", metavar="FILE", default="pylock.toml", help="the lock file (default: pylock.toml)")
    add("--python", metavar="P", help="the interpreter: a path, a version or a range (default: the running one)")
    add("--universal", action="store_true", help="resolve for all platforms and newer Pythons; needs --installer uv")
    add_sources(found.group("where packages come from"))
    add = found.group("output")
    add_output(add)
    add_help(add)
    return found


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    found = parser()
    options, unknown = found.parse_known_intermixed_args(argv)
    if unknown:
        found.refuse(unknown[0])
    if not (options.requirements or options.files or options.groups or options.editable):
        found.error("nothing to lock. Name a requirement, -r FILE, -e DIR or --group NAME.")
    if options.universal and options.installer != "uv":
        found.error("--universal needs --installer uv.")
    check_output(found, options)
    try:
        lock_path(options.output)
    except InvalidPathError as exc:
        found.error(str(exc))
    return options


def _lock(options: argparse.Namespace, signals: Signals) -> int:
    names = [*options.requirements, *options.files, *options.groups, *options.editable]
    unfinished = f"{options.output} was not written"
    try:
        with (
            time_limit(options.install_timeout),
            shown(display_for(is_long=True, quiet=options.quiet, verbose=options.verbose), unfinished) as display,
            logged(display),
            VenvRunner.temporary(python=options.python, installer=options.installer) as venv,
        ):
            signals.check()
            display.begin(f"Locking {in_one_line(names)}")
            how: Any = {**resolution(options), **reported(display), "universal": options.universal}
            venv.lock(options.output, *options.requirements, **how)
            signals.check()
    except (VenvError, OSError) as exc:
        complain(exc)
        return FAILURE
    if not options.quiet:
        say(f"Wrote {options.output}")
    return 0
