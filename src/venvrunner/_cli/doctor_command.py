"""The command ``doctor``: what is wrong with this machine, and what to do about it."""

import argparse
from collections.abc import Sequence

from venvrunner._cli.machine_checks import Finding, findings
from venvrunner._cli.output import print_json, print_text
from venvrunner._redaction import Redactor

__tracebackhide__ = True

WRONG = 1
"""The exit code if something is wrong."""
_EPILOG = """\
Nothing is changed and nothing is left. The exit code is 0 if all is well, and 1 if something is wrong."""


def main(argv: Sequence[str]) -> int:
    """Run the command, and return the exit code.

    Args:
        argv: the arguments after ``doctor``.
    """
    parser = argparse.ArgumentParser(
        prog="venvrunner doctor",
        description="Check this machine: Python, directories, file locks, installers. Say what is wrong, and what to do.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    found = [one._replace(message=_masked(one.message), remedy=_masked(one.remedy)) for one in findings()]
    is_ok = all(one.is_ok for one in found)
    if options.json:
        checks = [{"check": one.check, "ok": one.is_ok, "message": one.message, "remedy": one.remedy} for one in found]
        print_json({"ok": is_ok, "checks": checks})
    else:
        print_text("\n".join(line for one in found for line in _lines(one)))
    return 0 if is_ok else WRONG


def _masked(text: str) -> str:
    return Redactor().mask(text)


def _lines(one: Finding) -> list[str]:
    if one.is_ok:
        return [f"ok       {one.check}: {one.message}"]
    return [f"PROBLEM  {one.check}: {one.message.rstrip('.')}.", f"         {one.remedy}"]
