"""The command ``pythons``: which interpreters ``python=`` can find, where each is, and which are broken."""

import argparse
from collections.abc import Sequence
from typing import Any

from venvrunner._cli.output import print_json, print_text, table
from venvrunner._create.known_interpreters import Broken, Known, known_interpreters

__tracebackhide__ = True

_EPILOG = """\
The interpreters are listed in the order of the search: a version or a range means the first that matches.
Broken programs are never used."""


def main(argv: Sequence[str]) -> int:
    """Run the command, and return the exit code.

    Args:
        argv: the arguments after ``pythons``.
    """
    parser = argparse.ArgumentParser(
        prog="venvrunner pythons",
        description="List the interpreters that --python and python= can find: on PATH, and of uv, pyenv, asdf and mise.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    known, broken = known_interpreters()
    if options.json:
        print_json({"pythons": [_plain(one) for one in known], "broken": [one._asdict() for one in broken]})
    else:
        print_text("\n\n".join(filter(None, (_known(known), _broken(broken)))))
    return 0


def _plain(one: Known) -> dict[str, Any]:
    found = one.interpreter
    return {
        "implementation": found.implementation,
        "version": found.version,
        "executable": found.executable,
        "found": list(one.places),
        "default": one.is_default,
    }


def _known(known: Sequence[Known]) -> str:
    if not known:
        return "no interpreter was found"
    rows = [("PYTHON", "FOUND", "EXECUTABLE")]
    for one in known:
        found, places = one.interpreter, ["default"] if one.is_default else []
        rows.append((f"{found.implementation} {found.version}", ", ".join((*places, *one.places)), found.executable))
    return table(rows)


def _broken(broken: Sequence[Broken]) -> str:
    return table([("BROKEN", "REASON"), *broken]) if broken else ""
