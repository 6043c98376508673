"""The command ``cache``: where the cache of prepared environments is, its size, and what can be removed."""

import argparse
from collections.abc import Sequence

from venvrunner._cli.display import say
from venvrunner._cli.exit_codes import FAILURE
from venvrunner._create import cache, seed
from venvrunner.exceptions import VenvError

__tracebackhide__ = True


def main(argv: Sequence[str]) -> int:
    """Run the command, and return the exit code.

    Args:
        argv: the arguments after ``cache``.
    """
    parser = argparse.ArgumentParser(
        prog="venvrunner cache",
        description="Manage the cache: the archives from which new environments are unpacked.",
        epilog=f"The cache can be deleted at any time. Set {cache.VARIABLE} to use another directory.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "what",
        choices=["dir", "size", "prune"],
        help="show the directory of the cache; show its size in bytes; remove files that can no longer be used",
    )
    what = parser.parse_args(argv).what
    try:
        return _answer(what)
    except (VenvError, OSError) as exc:
        say(str(exc))
        return FAILURE


def _answer(what: str) -> int:
    if what == "dir":
        print(cache.location())  # noqa: T201  a command line prints
    elif what == "size":
        print(cache.size())  # noqa: T201  a command line prints
    else:
        print("removed {} files, {} bytes".format(*cache.prune(seed.is_current)))  # noqa: T201  a command line prints
    return 0
