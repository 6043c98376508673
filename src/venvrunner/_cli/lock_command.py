"""The command ``lock``: write a lock file."""

import argparse
from collections.abc import Sequence
from functools import partial
from typing import get_args

from venvrunner import VenvRunner
from venvrunner._cli.display import complain, in_one_line, reported, say, shown
from venvrunner._cli.exit_codes import FAILURE
from venvrunner._cli.parser import new_parser, unrecognized
from venvrunner._cli.signals import Signals, guarded
from venvrunner._install.replacement import lock_path
from venvrunner.exceptions import InvalidPathError, VenvError
from venvrunner.installing import InstallerName

__tracebackhide__ = True

_DESCRIPTION = """\
Write a lock file (PEP 751) of what requirements resolve to. Nothing is installed.

The file replaces an old one at once; if anything fails, the old one stays. The messages of venvrunner and the
output of the installer go to standard error."""

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
    return guarded(partial(_lock, _parse([*argv])))


def _parse(argv: list[str]) -> argparse.Namespace:
    parser, names, add = new_parser("venvrunner lock", "[OPTION]... [REQ]...", _DESCRIPTION, _EPILOG)
    parser.add_argument("requirements", metavar="REQ", nargs="*", help="a requirement, a path or a URL")
    add("-o", "--output", metavar="FILE", default="pylock.toml", help="the lock file (default: pylock.toml)")
    add(
        "-r", "--requirements-file", metavar="FILE", dest="files", action="append", default=[],
        help="lock what a requirements file lists; may be repeated",
    )  # fmt: skip
    add(
        "--group", metavar="NAME", dest="groups", action="append", default=[],
        help="lock a dependency group of ./pyproject.toml, or of PATH/pyproject.toml:NAME; may be repeated",
    )  # fmt: skip
    add("--python", metavar="P", help="the interpreter: a path, a version or a range (default: the running one)")
    add("--installer", choices=get_args(InstallerName), default="pip", help="the installer that resolves (default: pip)")
    add("--universal", action="store_true", help="resolve for all platforms and newer Pythons; needs --installer uv")
    add("--index-url", metavar="URL", help="the package index, instead of the configured one")
    add(
        "--find-links", metavar="PLACE", dest="links", action="append", default=[],
        help="a directory of wheels, or a page with links to them; may be repeated",
    )  # fmt: skip
    add("--no-index", action="store_true", help="search --find-links only")
    options, unknown = parser.parse_known_intermixed_args(argv)
    if unknown:
        parser.error(unrecognized(unknown[0], names, ""))
    if not (options.requirements or options.files or options.groups):
        parser.error("nothing to lock. Name a requirement, -r FILE or --group NAME.")
    if options.universal and options.installer != "uv":
        parser.error("--universal needs --installer uv.")
    try:
        lock_path(options.output)
    except InvalidPathError as exc:
        parser.error(str(exc))
    return options


def _lock(options: argparse.Namespace, signals: Signals) -> int:
    names = [*options.requirements, *options.files, *options.groups]
    try:
        with (
            shown(is_long=True) as display,
            VenvRunner.temporary(python=options.python, installer=options.installer) as venv,
        ):
            signals.check()
            display.begin(f"Locking {in_one_line(names)}")
            venv.lock(
                options.output,
                *options.requirements,
                requirements_files=options.files,
                dependency_groups=options.groups,
                index_url=options.index_url,
                find_links=options.links,
                no_index=options.no_index,
                universal=options.universal,
                **reported(display),
            )
            signals.check()
    except (VenvError, OSError) as exc:
        complain(exc)
        return FAILURE
    say(f"Wrote {options.output}")
    return 0
