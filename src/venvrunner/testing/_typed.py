"""Installations as calls that a person would type, whatever installer does them; without I/O."""

import os
from collections.abc import Iterable, Iterator
from typing import Any, cast

from venvrunner._install.request import RequestOptions
from venvrunner._install.requirements import package_names
from venvrunner._process.refused import check_keywords
from venvrunner.installing import InstallOptions, ReportOptions, split_options

__tracebackhide__ = True

_PIP = {
    "requirements_files": "requirement",
    "constraints": "constraint",
    "extra_index_urls": "extra-index-url",
    "dependency_groups": "group",
}
"""Options whose name is another one for pip."""


def install_call(requirements: Iterable[str], options: InstallOptions) -> tuple[list[str], dict[str, Any]]:
    """Return an installation as a person would type it, and the keywords of ``log_run``; refuse what an installer refuses.

    >>> install_call(["pocket"], {"constraints": [], "upgrade": True, "timeout": 5})
    (['pip', 'install', '--upgrade', 'pocket'], {'timeout': 5})
    """
    names = list(requirements)
    _request, rest = split_options(names, options)
    kept: dict[str, Any] = dict(options)
    typed: list[str] = [] if kept.pop("deps", True) else ["--no-deps"]
    for name in RequestOptions.__annotations__:
        flag = f"--{_PIP.get(name, name)}".replace("_", "-")
        value = kept.get(name)
        values: Any = [value] if isinstance(value, str | os.PathLike) else value or []
        typed += [flag] if value is True else [f"{flag}={os.fspath(one)}" for one in values]
    return ["pip", "install", *typed, *names], rest


def uninstall_call(names: Iterable[str], options: ReportOptions) -> list[str]:
    """Return the removal of packages as a person would type it; refuse what is no name, none, and an unknown keyword."""
    check_keywords(options, ReportOptions.__annotations__)
    return ["pip", "uninstall", "--yes", *package_names(names)]


def changed_by(call: list[str]) -> tuple[list[str], str]:
    """Return what a call is to change, and how.

    >>> changed_by(["pip", "install", "--upgrade", "--requirement=r.txt", "pocket"])
    (['r.txt', 'pocket'], 'installed')
    """
    files = ("--requirement=", "--editable=", "--lock=")
    what = [arg.partition("=")[2] if arg.startswith(files) else arg for arg in call[2:]]
    return [arg for arg in what if not arg.startswith("-")], "installed" if call[1] == "install" else "removed"


def kept_options(options: InstallOptions) -> InstallOptions:
    """Return the keywords of an installation in a form that can be read more than once."""
    kept = {name: list(cast("Any", value)) if isinstance(value, Iterator) else value for name, value in options.items()}
    return cast("InstallOptions", kept)
