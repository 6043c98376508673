"""The configuration files of pip: settings that would redirect an installation are dropped, all others stay in effect."""

import functools
import os
import re
from collections.abc import Mapping
from typing import cast

from venvrunner._types import StrPath
from venvrunner._venv import layout
from venvrunner._venv.paths import absolute
from venvrunner.environment import REMOVED

__tracebackhide__ = True

FILE_VARIABLE = "PIP_CONFIG_FILE"
NO_LIMITS = {"PIP_CONSTRAINT": os.devnull, "PIP_NO_BINARY": ":none:", "PIP_ONLY_BINARY": ":none:", "PIP_REQUIRE_HASHES": "0"}
"""The variables that lift the user's limits, including those in files; an empty value would not."""
_PREFIX = "PIP_"
_INSTEAD = {"help", "version"}
"""Settings that replace the installation; pip ignores variables with these names."""
_HARMFUL = {name.removeprefix(_PREFIX).lower().replace("_", "-") for name in REMOVED if name.startswith(_PREFIX)} | _INSTEAD
"""The settings whose variables are removed from the environment of a command, and the ones above."""
_SECTIONS = ("global", "install", "uninstall")
"""The sections that apply to an installation; ``[download]``, for example, may be for other platforms."""
_SUSPECT = rf"^\s*(--)?({'|'.join(sorted(_HARMFUL)).replace('-', '[-_]')})\s*[=:]"


def overruled(env: Mapping[str, str], venv_dir: str, cwd: str = "") -> dict[str, str]:
    """Return the variables that keep pip's configuration files from redirecting an installation.

    A variable cannot reset a setting in a file: pip ignores an empty variable. So if a file would redirect an installation,
    pip reads no file, and gets all other settings of the sections ``[global]`` and ``[install]`` as variables.

    Args:
        env: the environment variables of the command.
        venv_dir: the environment.
        cwd: the working directory of the command; default: that of this process.

    Returns:
        the variables; none if no file would redirect an installation.

    >>> overruled({"PIP_CONFIG_FILE": os.devnull}, "/v")
    {}
    """
    paths = files(env, venv_dir, cwd)
    if not _is_one_suspect(paths):
        return {}
    settings = _settings(list(filter(None, map(_read, paths))))
    if not any(value and section in _SECTIONS and name in _HARMFUL for (section, name), value in settings.items()):
        return {}
    kept = {
        _PREFIX + name.upper().replace("-", "_"): value
        for wanted in ("global", "install")
        for (section, name), value in settings.items()
        if section == wanted and value and name not in _HARMFUL
    }
    return {name: value for name, value in kept.items() if not env.get(name)} | {FILE_VARIABLE: os.devnull}


def located(env: Mapping[str, str] | None, cwd: StrPath | None) -> Mapping[str, str] | None:
    """Return variables with an absolute path of the configuration file, so that it can be read from here.

    Args:
        env: the caller's ``env=``; ``None``: the variables of this process.
        cwd: the working directory of the command; ``None``: that of this process.

    >>> located({"PIP_CONFIG_FILE": "mine.conf"}, "/project"), located({"A": "1"}, "/project")
    ({'PIP_CONFIG_FILE': '/project/mine.conf'}, {'A': '1'})
    """
    variables: object = os.environ if env is None else env
    if cwd is None or not isinstance(variables, Mapping):
        return env  # a wrong type is reported later
    given = cast("Mapping[str, str]", variables)
    chosen = given.get(FILE_VARIABLE)
    if not isinstance(chosen, str) or not chosen or os.path.isabs(chosen):
        return env
    return {**given, FILE_VARIABLE: os.path.join(absolute(os.fsdecode(cwd)), chosen)}


def files(env: Mapping[str, str], venv_dir: str, cwd: str = "") -> list[str]:
    """Return the paths of the configuration files that pip reads; later ones override earlier ones.

    The rules are pip's: https://pip.pypa.io/en/stable/topics/configuration/
    """
    chosen = env.get(FILE_VARIABLE)
    if chosen == os.devnull:
        return []
    if chosen:
        chosen = os.path.join(cwd, chosen)
    system, user = layout.pip_directories(env)
    if chosen and os.path.exists(chosen):
        user = []
    found = [os.path.join(directory, layout.CURRENT.pip_settings) for directory in (*system, *user, venv_dir)]
    return [*found, chosen] if chosen else found


def _is_one_suspect(paths: list[str]) -> bool:
    """Return whether a file may have a harmful setting; an unchanged file is not read again, since every command checks."""
    for path in paths:
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            continue
        if _seems_harmful(path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns):
            return True
    return False


@functools.lru_cache(maxsize=64)
def _seems_harmful(path: str, *identity: int) -> bool:
    text = _read(path)
    return text is not None and re.search(_SUSPECT, text, re.IGNORECASE | re.MULTILINE) is not None


def _read(path: str) -> str | None:
    """Return the text of a file as pip would read it; ``None`` if it cannot be read, which pip reports."""
    try:
        with open(path, encoding="locale") as file:
            return file.read()
    except (OSError, ValueError):
        return None


def _settings(texts: list[str]) -> dict[tuple[str, str], str]:
    """Return values by section and name; none if pip refuses a file."""
    import configparser  # slow to import, and rarely needed

    found: dict[tuple[str, str], str] = {}
    for text in texts:
        parser = configparser.RawConfigParser()
        parser.optionxform = _normalized  # type: ignore[assignment]  # as its documentation shows it
        try:
            parser.read_string(text)
        except configparser.Error:
            return {}
        found.update({(section, name): value for section in parser.sections() for name, value in parser.items(section)})
    return found


def _normalized(name: str) -> str:
    return name.lower().replace("_", "-").removeprefix("--")
