"""The options that several commands share, and what their values mean."""

import argparse
from collections.abc import Callable
from typing import Any, cast, get_args

from venvrunner._install.options import ResolveOptions
from venvrunner.installing import InstallerName

__tracebackhide__ = True

Add = Callable[..., None]
"""A function that adds an option to a group."""


def add_packages(add: Add, verb: str) -> None:
    """Add the options that name packages.

    Args:
        add: adds an option.
        verb: what the command does with them: "install" or "lock".
    """
    add(
        "-r", "--requirements-file", metavar="FILE", dest="files", several=True,
        help=f"{verb} what a requirements file lists",
    )  # fmt: skip
    add("-e", "--editable", metavar="DIR", several=True, help=f"{verb} a project in editable mode")
    add(
        "--group", metavar="NAME", dest="groups", several=True,
        help=f"{verb} a dependency group of ./pyproject.toml, or of PATH/pyproject.toml:NAME",
    )  # fmt: skip
    add(
        "-c", "--constraint", metavar="FILE", dest="constraints", several=True,
        help="limit the versions to those that a constraints file allows",
    )  # fmt: skip


def add_sources(add: Add) -> None:
    """Add the options that choose the installer, and where it gets packages from."""
    add("--installer", choices=get_args(InstallerName), default="pip", help="the installer: pip (default) or uv")
    add("--index-url", metavar="URL", help="the package index, instead of the configured one")
    add(
        "--find-links", metavar="PLACE", dest="links", several=True,
        help="a directory of wheels, or a page with links to them",
    )  # fmt: skip
    add("--no-index", action="store_true", help="search --find-links only, and no index")
    add("--install-timeout", metavar="S", type=seconds, help="give up if the installation takes longer, in seconds")


def add_output(add: Add) -> None:
    """Add the options that decide what venvrunner shows."""
    add("-q", "--quiet", action="store_true", help="show nothing of the installation unless it fails")
    add("-v", "--verbose", action="store_true", help="show all of the installer's output, and how it is called")


def check_output(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End the program if the options that decide what venvrunner shows contradict each other."""
    if options.quiet and options.verbose:
        parser.error("--quiet shows less, and --verbose more. Use one of them.")


def add_help(add: Add) -> None:
    """Add the option that shows the help."""
    add("-h", "--help", action="help", help="show this help, and exit")


def seconds(text: str) -> float:
    """Return a positive number of seconds.

    Raises:
        argparse.ArgumentTypeError: the text is not one.

    >>> seconds("0.5")
    0.5
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        msg = f"must be a positive number of seconds, not {text!r}."
        raise argparse.ArgumentTypeError(msg)
    return value


def is_lock_file(path: str) -> bool:
    """Return whether a file has the name of a lock file (PEP 751).

    >>> is_lock_file("ci/pylock.test.toml"), is_lock_file("requirements.txt")
    (True, False)
    """
    if not path.endswith(".toml"):
        return False
    from venvrunner._install.requirements import is_lock_name  # slow to import

    return is_lock_name(path)


def resolution(options: argparse.Namespace) -> ResolveOptions:
    """Return the keywords for what the shared options mean, without those that are not given."""
    found: dict[str, Any] = {
        "requirements_files": options.files,
        "editable": options.editable,
        "dependency_groups": options.groups,
        "constraints": options.constraints,
        **sources(options),
    }
    return cast("ResolveOptions", {name: value for name, value in found.items() if value})


def sources(options: argparse.Namespace) -> dict[str, Any]:
    """Return the keywords for where packages come from, without those that are not given."""
    found = {"index_url": options.index_url, "find_links": options.links, "no_index": options.no_index}
    return {name: value for name, value in found.items() if value}
