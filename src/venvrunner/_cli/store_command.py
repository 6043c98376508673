"""The command line of the store: where it is, what is in it, what is removed, and whether it is intact."""

import argparse
import json
import re
import time
from collections.abc import Sequence
from typing import Any

from venvrunner._cli.display import say
from venvrunner._cli.exit_codes import FAILURE
from venvrunner._cli.output import table
from venvrunner._store import location, maintenance
from venvrunner._store.maintenance import Item
from venvrunner.exceptions import VenvError

__tracebackhide__ = True

DAMAGED = 1
"""The exit code if an entry is damaged."""
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_THOUSAND = 1000
_EPILOG = f"""\
examples:
  venvrunner store list
  venvrunner store prune --max-size 1GB --unused-for 30d

The store can be deleted at any time. Set {location.VARIABLE} to use
another directory, and {location.SIZE_VARIABLE} to change its limit,
which is 5GB."""


def main(argv: Sequence[str]) -> int:
    """Run the command line, and return the exit code.

    Args:
        argv: the arguments after ``store``.
    """
    options = _parser().parse_args(argv)
    try:
        return int(options.run(options))
    except (VenvError, OSError, ValueError) as exc:
        say(str(exc))
        return FAILURE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="venvrunner store",
        description="Manage the store of prepared environments, for --cached and the pytest plugin.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
        command.set_defaults(run=run)
        command.add_argument("--json", action="store_true", help="print JSON")
        return command

    add("dir", _dir, "show the directory of the store")
    add("list", _list, "show what is in the store, for which Python, its size and its last use")
    add("size", _size, "show the size of the store in bytes")
    prune = add("prune", _prune, "remove what was used least recently; nothing that is in use")
    size = "keep at most this much, such as 1GB (default: the limit)"
    prune.add_argument("--max-size", metavar="SIZE", type=_size_of, help=size)
    age = "also remove what was not used for this time, such as 30d"
    prune.add_argument("--unused-for", metavar="TIME", type=_time_of, help=age)
    add("verify", _verify, "compare every file with the record of its package; damaged environments are not used again")
    return parser


def _size_of(text: str) -> int:
    try:
        return location.parse_size(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def _time_of(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if match is None:
        msg = f"{text!r} is not a time. Write for instance 12h or 30d."
        raise argparse.ArgumentTypeError(msg)
    return float(match[1]) * _SECONDS[match[2]]


def _print(options: argparse.Namespace, value: object, text: str) -> None:
    print(json.dumps(value) if options.json else text)  # noqa: T201  a command line prints


def _dir(options: argparse.Namespace) -> int:
    _print(options, {"dir": location.location()}, location.location())
    return 0


def _list(options: argparse.Namespace) -> int:
    items = maintenance.items(location.existing())
    rows = [("KIND", "CONTENTS", "PYTHON", "SIZE", "LAST USE"), *map(_row, items)]
    _print(options, [item._asdict() for item in items], table(rows) if items else "the store is empty")
    return 0


def _row(item: Item) -> tuple[str, str, str, str, str]:
    what = ", ".join(item.what) or ("unfinished" if item.kind == "environment" and not item.python else "no packages")
    python = " ".join(item.python.split()[:2])
    return item.kind, what, python, _shown(item.size), time.strftime("%Y-%m-%d %H:%M", time.localtime(item.last_use))


def _shown(size: int) -> str:
    """Return a size for people.

    >>> _shown(512), _shown(27_300_000)
    ('512 B', '27.3 MB')
    """
    number, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while number >= _THOUSAND and len(units) > 1:
        number, units = number / _THOUSAND, units[1:]
    return f"{number:.0f} {units[0]}" if units[0] == "B" else f"{number:.1f} {units[0]}"


def _size(options: argparse.Namespace) -> int:
    size = sum(item.size for item in maintenance.items(location.existing()))
    _print(options, {"size": size, "max_size": location.max_size()}, str(size))
    return 0


def _prune(options: argparse.Namespace) -> int:
    limit = location.max_size() if options.max_size is None else options.max_size
    count, freed = maintenance.prune(location.existing(), limit, options.unused_for)
    _print(options, {"removed": count, "bytes": freed}, f"removed {count} items, {freed} bytes")
    return 0


def _verify(options: argparse.Namespace) -> int:
    damaged = maintenance.verify(location.existing())
    lines = [f"{key}: {defect}" for key, defects in damaged.items() for defect in defects]
    _print(options, damaged, "\n".join(lines) if lines else "all environments are intact")
    return DAMAGED if damaged else 0
