"""The configuration files of uv: settings that would redirect an installation are dropped, all others go into one file."""

import json
import os
from collections.abc import Mapping
from typing import Any, cast

from venvrunner._install.toml import toml
from venvrunner._venv import layout

__tracebackhide__ = True

FILE_VARIABLE = "UV_CONFIG_FILE"
_HARMFUL = {
    "all-extras", "extra", "group", "no-emit-package", "output-file", "prefix", "python", "python-platform", "python-version",
    "system", "target", "universal",
}  # fmt: skip
"""Settings of ``[pip]`` that redirect an installation, select files for another Python, or change what a call does."""
_PROJECT_ONLY = {
    "build-backend", "conflicts", "default-groups", "dependency-groups", "dev-dependencies", "environments", "managed",
    "package", "required-environments", "sources", "workspace",
}  # fmt: skip
"""Settings of a ``pyproject.toml`` that uv refuses in any other file; none applies to ``uv pip``."""
_LIMITS = {
    "constraint-dependencies", "exclude-dependencies", "no-binary", "no-binary-package", "no-build", "no-build-package",
    "only-binary", "override-dependencies", "require-hashes",
}  # fmt: skip
"""Settings that change which packages are installed, or from which kind of file."""
_YES = {"1", "true", "t", "yes", "y", "on"}

Settings = dict[str, Any]


def overruled(env: Mapping[str, str], cwd: str, *, is_exact: bool = False) -> str:
    """Return the text of a configuration file that replaces all others and does not redirect an installation.

    Args:
        env: the environment variables of uv.
        cwd: its working directory.
        is_exact: leave out the user's limits too, because each file has a required hash.

    Returns:
        the text; ``""`` if no file would redirect, or limit, an installation.

    >>> overruled({"UV_NO_CONFIG": "1"}, "/")
    ''
    """
    try:
        files = _files(env, cwd)
        found = [_absolute(settings, os.path.dirname(path)) for path, settings in files]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return ""  # uv reports a file that is invalid
    limits: set[str] = _LIMITS if is_exact else set()
    if not any((_HARMFUL | limits) & settings.get("pip", {}).keys() or limits & settings.keys() for settings in found):
        return ""
    merged: Settings = {}
    for settings in found:
        merged = _combined(merged, settings)
    merged["pip"] = {name: value for name, value in merged.get("pip", {}).items() if name not in _HARMFUL | limits}
    kept = {name: value for name, value in merged.items() if name not in _PROJECT_ONLY | limits}
    lines = [f"{json.dumps(name)} = {toml(value)}\n" for name, value in kept.items()]
    return "".join([f"# {json.dumps([path for path, settings in files if settings])}\n", *lines])


def paths(env: Mapping[str, str], cwd: str) -> list[str]:
    """Return the paths of the configuration files that uv reads.

    >>> paths({"UV_NO_CONFIG": "1"}, "/")
    []
    """
    try:
        return [path for path, _settings in _files(env, cwd)]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return []  # uv reports a file that is invalid


def origins(line: str) -> list[str]:
    """Return the paths of the merged files, from the first line of the text of :func:`overruled`.

    >>> origins('# ["/project/uv.toml"]')
    ['/project/uv.toml']
    """
    return list(json.loads(line.removeprefix("#")))


def _files(env: Mapping[str, str], cwd: str) -> list[tuple[str, Settings]]:
    """Return the paths and contents of the files that uv reads; earlier ones override later ones.

    The rules are uv's: https://docs.astral.sh/uv/concepts/configuration-files/
    """
    if chosen := env.get(FILE_VARIABLE):
        path = os.path.join(cwd, chosen)
        return [(path, _read(path))]
    if env.get("UV_NO_CONFIG", "").lower() in _YES:
        return []
    system, user = layout.config_directories(env)
    start = env.get("UV_WORKING_DIR") or env.get("UV_WORKING_DIRECTORY", "")
    found = [_project(os.path.join(cwd, start, env.get("UV_PROJECT", "")))]
    found += [_file(os.path.join(user, "uv"))]
    found += [next(filter(None, (_file(os.path.join(directory, "uv")) for directory in system)), None)]
    return [file for file in found if file is not None]


def _project(start: str) -> tuple[str, Settings] | None:
    """Return the file of a project: of the directory, the nearest one above it, or the workspace that contains it."""
    directory, nearest = os.path.abspath(start), None
    while True:
        nearest = nearest or _file(directory) or _table(directory)
        project = _table(directory)
        if project is not None and "workspace" in project[1]:
            return _file(directory) or project
        if directory == os.path.dirname(directory):
            return nearest
        directory = os.path.dirname(directory)


def _file(directory: str) -> tuple[str, Settings] | None:
    path = os.path.join(directory, "uv.toml")
    return (path, _read(path)) if os.path.isfile(path) else None


def _table(directory: str) -> tuple[str, Settings] | None:
    path = os.path.join(directory, "pyproject.toml")
    settings = _read(path).get("tool", {}).get("uv") if os.path.isfile(path) else None
    return None if settings is None else (path, settings)


def _read(path: str) -> Settings:
    import tomllib  # slow to import, and few have such a file

    with open(path, "rb") as file:
        return tomllib.load(file)


def _absolute(settings: Settings, directory: str) -> Settings:
    """Return settings with absolute paths; relative ones are resolved against the file's directory."""

    def place(value: object) -> object:
        if isinstance(value, list):
            return [place(one) for one in cast("list[object]", value)]
        if isinstance(value, dict):
            return {name: place(one) if name == "url" else one for name, one in cast("dict[str, object]", value).items()}
        return os.path.join(directory, value) if isinstance(value, str) and ":" not in value else value

    changed: Settings = {
        name: place(value) if name in {"index", "index-url", "extra-index-url", "find-links"} else value
        for name, value in settings.items()
    }
    return changed | ({"pip": _absolute(changed["pip"], directory)} if "pip" in changed else {})


def _combined(first: Settings, second: Settings) -> Settings:
    """Merge two tables as uv does: tables and lists are joined, and of other values the first wins."""
    both = second | first
    for name in first.keys() & second.keys():
        one, other = first[name], second[name]
        if isinstance(one, dict) and isinstance(other, dict):
            both[name] = _combined(cast("Settings", one), cast("Settings", other))
        elif isinstance(one, list) and isinstance(other, list):
            both[name] = [*cast("list[object]", one), *cast("list[object]", other)]
    return both
