"""The benchmark: budgets of this package as ratios to its peers, measured side by side. Run it with ``nox -s bench``.

A new row is one function in a module that is imported here, see ``measure.timed``.
"""

import argparse
import os
import platform
import sys

import environment_rows  # noqa: F401  it registers its rows
import import_rows  # noqa: F401  the same
import install_rows  # noqa: F401  the same
import loop_rows  # noqa: F401  the same
import process_rows  # noqa: F401  the same
import pytest_rows  # noqa: F401  the same
import store_rows  # noqa: F401  the same
from measure import ROWS, Effort, table


def main() -> int:
    """Measure, print the table, and return 1 if a budget is exceeded."""
    parser = argparse.ArgumentParser(prog="tests/bench", description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="few rounds: to see whether it runs, not to judge by")
    parser.add_argument("--only", action="append", choices=ROWS, metavar="ROW", help=f"one of {', '.join(ROWS)}; repeatable")
    options = parser.parse_args()
    effort = Effort(quick=options.quick)
    print(machine(), end="\n\n")
    results = []
    for name in options.only or ROWS:
        print(f"measuring {name} ...", file=sys.stderr)
        results.append(ROWS[name](effort))
    print(table(results))
    return 0 if all(result.ok for result in results) else 1


def machine() -> str:
    """Describe the machine in general terms; its name is private."""
    release = ".".join(platform.release().split("-")[0].split(".")[:2])
    load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load unknown"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} cores, {load} at the start, {python}, {platform.system()} {release}. Times of a good round."


if __name__ == "__main__":
    sys.exit(main())
