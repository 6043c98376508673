"""Environment variables of commands: remove those that break isolation, set those that a runner needs."""

import contextlib
import os
from collections.abc import Iterable, Mapping

from venvrunner._process.checks import check_variables
from venvrunner._process.native import default_path, variable_names

__tracebackhide__ = True

_PYTHON = "points every Python interpreter at modules from outside the environment"
_START = "changes the interactive mode of every Python interpreter"
_ACTIVE = "names another environment as the active one"
_PIP_PLACE = "makes pip install somewhere else"
_PIP_WHAT = "changes what every pip command installs"
_PIP_OTHER = "makes pip choose files for another Python"
_PIP_CHECK = "makes pip check for the environment of the caller's shell"
_UV_PLACE = "makes uv work on something other than the environment"

REMOVED: Mapping[str, str] = {
    "PYTHONPATH": _PYTHON,
    "PYTHONHOME": _PYTHON,
    "PYTHONUSERBASE": _PYTHON,
    "PYTHONPLATLIBDIR": _PYTHON,
    "PYTHONEXECUTABLE": _PYTHON,
    "__PYVENV_LAUNCHER__": _PYTHON,
    "PYTHONSTARTUP": _START,
    "PYTHONINSPECT": _START,
    "VIRTUAL_ENV": _ACTIVE,
    "VIRTUAL_ENV_PROMPT": _ACTIVE,
    "CONDA_PREFIX": _ACTIVE,
    "CONDA_DEFAULT_ENV": _ACTIVE,
    "PIP_TARGET": _PIP_PLACE,
    "PIP_PREFIX": _PIP_PLACE,
    "PIP_ROOT": _PIP_PLACE,
    "PIP_USER": _PIP_PLACE,
    "PIP_PYTHON": _PIP_PLACE,
    "PIP_SRC": _PIP_PLACE,
    "PIP_REQUIREMENT": _PIP_WHAT,
    "PIP_REQUIREMENTS_FROM_SCRIPT": _PIP_WHAT,
    "PIP_EDITABLE": _PIP_WHAT,
    "PIP_GROUP": _PIP_WHAT,
    "PIP_DRY_RUN": _PIP_WHAT,
    "PIP_IGNORE_INSTALLED": _PIP_WHAT,
    "PIP_PLATFORM": _PIP_OTHER,
    "PIP_PYTHON_VERSION": _PIP_OTHER,
    "PIP_IMPLEMENTATION": _PIP_OTHER,
    "PIP_ABI": _PIP_OTHER,
    "PIP_REQUIRE_VIRTUALENV": _PIP_CHECK,
    "PIP_RESPECT_VIRTUALENV": _PIP_CHECK,
    "UV_PYTHON": _UV_PLACE,
    "UV_SYSTEM_PYTHON": _UV_PLACE,
    "UV_PROJECT_ENVIRONMENT": _UV_PLACE,
    "UV_TARGET": _UV_PLACE,
    "UV_PREFIX": _UV_PLACE,
}
"""Variables that break isolation, each with its reason."""

_NEUTRAL: Mapping[str, str] = {"UV_SYSTEM_PYTHON": "0"}
"""Values that act like an unset variable, where the empty string does not: uv rejects it as a boolean."""

CREATION_PREFIX = "VIRTUALENV_"
"""The prefix of virtualenv's own options; variables with it are also removed while an environment is created."""

SSH_BATCH = "-o BatchMode=yes"

NEVER_ASK: Mapping[str, str] = {
    "PIP_NO_INPUT": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "GCM_INTERACTIVE": "never",
    "SSH_ASKPASS_REQUIRE": "never",
    "GIT_SSH_COMMAND": f"ssh {SSH_BATCH}",
}
"""Variables that disable prompts and unrelated notices."""

SET: Mapping[str, str] = {**NEVER_ASK, "PIP_USER": "0"}
"""Variables that a runner sets besides ``VIRTUAL_ENV`` and ``PATH``. ``PIP_USER`` overrides a ``pip.conf``."""

UNLESS_SET: Mapping[str, str] = {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
"""Variables that a runner sets unless they are already set: a Python child then prints lines at once, and in UTF-8."""


def get_clean_environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a copy of the environment without the variables that break isolation.

    Settings of package indexes, proxies, certificates and caches stay: builds need them.

    Args:
        base: the variables to copy; default: ``os.environ``. It is never changed.

    Returns:
        the copy, for instance to pass as ``env=``.

    >>> get_clean_environment({"HOME": "/home/me", "PYTHONPATH": "/elsewhere", "PIP_INDEX_URL": "https://index.example"})
    {'HOME': '/home/me', 'PIP_INDEX_URL': 'https://index.example'}
    """
    env = dict(os.environ if base is None else base)
    removed = _removed(env)
    return {name: value for name, value in env.items() if name not in removed}


def venv_environment(
    venv_dir: str, scripts: str, given: Mapping[str, str] | None, inherited: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment variables for a command of a virtual environment.

    One rule: an inherited variable is cleaned; a variable that the caller set to another value than *inherited* has is kept.

    Args:
        venv_dir: the environment.
        scripts: its script directory, which becomes the first on ``PATH`` unless the caller's ``PATH`` already has it.
        given: the caller's ``env=``; ``None``: *inherited*.
        inherited: the current ``os.environ``.

    >>> env = venv_environment("/v", "/v/bin", {"PYTHONPATH": "/mine", "PIP_USER": "1"}, {"PIP_USER": "1"})
    >>> env["PYTHONPATH"], env["PIP_USER"], env["VIRTUAL_ENV"], env["PATH"].split(os.pathsep)[0]
    ('/mine', '0', '/v', '/v/bin')
    """
    source = dict(inherited) if given is None else check_variables("env", given)
    chosen = set[str]() if given is None else {name for name, value in source.items() if value != inherited.get(name)}
    removed = _removed(source) - chosen
    env = {name: value for name, value in source.items() if name not in removed}
    defaults = _defaults(SET, env) | {"VIRTUAL_ENV": venv_dir}
    env.update({name: value for name, value in defaults.items() if name not in chosen})
    env = {**UNLESS_SET, **env}
    if "PATH" in chosen and scripts in env["PATH"].split(os.pathsep):
        return env  # the caller has chosen its position
    return _with_scripts_first(env, scripts)


def current_environment(scripts: str, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables for a command of the current environment: *inherited*, with prompts disabled.

    Args:
        scripts: the interpreter's script directory, which becomes the first on ``PATH`` unless ``PATH`` already has it: then
            the user has chosen its position, perhaps after a stub.
        inherited: the current ``os.environ``.

    >>> current_environment("/v/bin", {"PYTHONPATH": "/mine", "PATH": "/stubs:/v/bin"})["PATH"]
    '/stubs:/v/bin'
    """
    env = {**UNLESS_SET, **inherited, **_defaults(NEVER_ASK, inherited)}
    return env if _is_on_path(scripts, env.get("PATH", "")) else _with_scripts_first(env, scripts)


def additions(env: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that turn *inherited* into *env*, for a caller that can set variables but not remove them.

    A variable that *env* lacks gets a value that acts like an unset variable, which is nearly always the empty string.

    Args:
        env: the environment variables of a command.
        inherited: the current ``os.environ``.

    >>> additions({"A": "1", "B": "2"}, {"A": "1", "B": "1", "PYTHONPATH": "/elsewhere", "UV_SYSTEM_PYTHON": "1"})
    {'PYTHONPATH': '', 'UV_SYSTEM_PYTHON': '0', 'B': '2'}
    """
    removed = {name: _NEUTRAL.get(name, "") for name in inherited if name not in env}
    return removed | {name: value for name, value in env.items() if inherited.get(name) != value}


def _removed(names: Iterable[str]) -> set[str]:
    """Return the names that break isolation; pip also reads spellings such as ``PIP_target`` and ``PIP_DRY-RUN``."""
    given = list(names)
    return {
        name
        for name, known in zip(given, variable_names(given), strict=True)
        if known in REMOVED or (known.startswith("PIP_") and known.upper().replace("-", "_") in REMOVED)
    }


def _is_on_path(directory: str, path: str) -> bool:
    """Return whether ``PATH`` has a directory, however it is spelled there."""
    entries = path.split(os.pathsep)
    if directory in entries:
        return True
    with contextlib.suppress(OSError):
        wanted = os.stat(directory)
        for entry in filter(None, entries):
            with contextlib.suppress(OSError, ValueError):
                if os.path.samestat(os.stat(entry), wanted):
                    return True
    return False


def _with_scripts_first(env: dict[str, str], scripts: str) -> dict[str, str]:
    return env | {"PATH": scripts + os.pathsep + (env.get("PATH") or default_path())}


def _defaults(table: Mapping[str, str], env: Mapping[str, str]) -> dict[str, str]:
    """Return the table adapted to an environment: batch mode is added to a configured ssh command."""
    defaults = dict(table)
    ssh = env.get("GIT_SSH_COMMAND")
    if ssh:
        defaults["GIT_SSH_COMMAND"] = ssh if "BatchMode" in ssh else f"{ssh} {SSH_BATCH}"
    elif "GIT_SSH" in env:
        # The caller's own program: GIT_SSH_COMMAND would override it.
        del defaults["GIT_SSH_COMMAND"]
    return defaults
