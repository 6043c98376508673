"""Installations and lock files as pip command lines, whatever installer runs them; without I/O."""

import os
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, cast

from venvrunner._install.exclude_newer import shown_cutoff
from venvrunner._install.requirements import package_names
from venvrunner._process.keywords import check_keywords
from venvrunner._types import StrPath
from venvrunner.installing import InstallOptions, LockOptions, ReportOptions, lock_order, split_options

__tracebackhide__ = True

_PIP = {
    "requirements_files": "requirement",
    "constraints": "constraint",
    "extra_index_urls": "extra-index-url",
    "dependency_groups": "group",
    "exclude_newer": "uploaded-prior-to",
    "build_constraints": "build-constraint",
}
"""Keywords that have another name in pip."""
_ORDER = (
    *("requirements_files", "constraints", "editable", "dependency_groups"),
    *("lock", "lock_extras", "lock_groups", "lock_projects"),
    *("index_url", "extra_index_urls", "find_links", "no_index", "require_hashes", "upgrade", "pre", "exclude_newer"),
    *("build_constraints", "config_settings"),
)
"""The keywords in the order of their options, which must stay the same: recordings have it."""
_VERBS = {"install": "installed", "lock": "locked", "uninstall": "removed"}
_Options = TypeVar("_Options", InstallOptions, LockOptions)


def install_call(requirements: Iterable[StrPath], options: InstallOptions) -> tuple[list[str], dict[str, Any]]:
    """Return an installation as a pip command line, and the keywords for ``log_run``; refuse what an installer refuses.

    >>> install_call(["pocket"], {"constraints": [], "upgrade": True, "timeout": 5})
    (['pip', 'install', '--upgrade', 'pocket'], {'timeout': 5})
    """
    names = list(requirements)
    request, rest = split_options(names, options)
    return ["pip", "install", *_typed_options(options, request.config_settings), *map(_typed, names)], rest


def lock_call(path: StrPath, requirements: Iterable[StrPath], options: LockOptions) -> tuple[list[str], dict[str, Any]]:
    """Return an order of a lock file as a pip command line, and the keywords for ``log_run``; refuse what a runner refuses.

    >>> lock_call("pylock.toml", ["pocket"], {"pre": True, "timeout": 5})
    (['pip', 'lock', '--output=pylock.toml', '--pre', 'pocket'], {'timeout': 5})
    """
    names = list(requirements)
    order = lock_order(path, names, options)
    typed = [*_typed_options(options, order.request.config_settings), *(["--universal"] if order.universal else [])]
    return ["pip", "lock", f"--output={os.fspath(path)}", *typed, *map(_typed, names)], dict(order.options)


def _typed_options(options: InstallOptions | LockOptions, config_settings: Iterable[str]) -> list[str]:
    """Return the keywords of a request as options of pip."""
    kept: dict[str, Any] = {**options, "config_settings": config_settings}
    if (limit := options.get("exclude_newer")) is not None:
        kept["exclude_newer"] = shown_cutoff(limit)
    typed: list[str] = [] if kept.pop("deps", True) else ["--no-deps"]
    for name in _ORDER:
        flag = f"--{_PIP.get(name, name)}".replace("_", "-")
        value = kept.get(name)
        values: Any = [value] if isinstance(value, str | os.PathLike) else value or []
        typed += [flag] if value is True else [f"{flag}={os.fspath(one)}" for one in values]
    return typed


def _typed(requirement: StrPath) -> str:
    """Return a requirement as text; a path that could be a package name gets the prefix ``./``."""
    text = os.fspath(requirement)
    is_bare = isinstance(requirement, os.PathLike) and os.path.basename(text) == text
    return os.path.join(".", text) if is_bare and not text.startswith(".") else text


def uninstall_call(names: Iterable[str], options: ReportOptions) -> list[str]:
    """Return a removal as a pip command line; refuse invalid names, no names, and unknown keywords."""
    check_keywords(options, ReportOptions.__annotations__)
    return ["pip", "uninstall", "--yes", *package_names(names)]


def changed_by(call: list[str]) -> tuple[list[str], str]:
    """Return the requirements or names that a call changes, and the verb for it.

    >>> changed_by(["pip", "install", "--upgrade", "--requirement=r.txt", "pocket"])
    (['r.txt', 'pocket'], 'installed')
    """
    files = ("--requirement=", "--editable=", "--lock=")
    what = [arg.partition("=")[2] if arg.startswith(files) else arg for arg in call[2:]]
    return [arg for arg in what if not arg.startswith("-")], _VERBS[call[1]]


def kept_options(options: _Options) -> _Options:
    """Return the keywords of a request with iterators as lists, to be read more than once."""
    kept = {name: list(cast("Any", value)) if isinstance(value, Iterator) else value for name, value in options.items()}
    return cast("_Options", kept)
