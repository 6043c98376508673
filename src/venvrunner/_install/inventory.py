"""The inventory of installed packages, read without a process unless the environment sees the system's packages."""

import json
import os
from collections.abc import Mapping
from typing import Any

from venvrunner._install.metadata import Distribution, installed
from venvrunner._install.steps import Call, Steps
from venvrunner._venv.errors import explained
from venvrunner._venv.layout import CURRENT
from venvrunner._venv.packages import own_directories, search_path
from venvrunner._venv.pyvenv_cfg import read_settings

__tracebackhide__ = True

LIST = "list the installed packages"
_PRINT_PATH = "import json, sys; print('\\n' + json.dumps([path for path in sys.path if path]))"


def look(venv_dir: str, variables: Mapping[str, str], options: Mapping[str, Any]) -> Steps[dict[str, Distribution]]:
    """Return the installed packages; yield the command that prints the system's directories, if their packages are visible.

    Args:
        venv_dir: the environment.
        variables: the environment variables of its commands.
        options: the keywords of the call that needs them.

    Raises:
        CreationError: a package directory cannot be read.
    """
    with explained(venv_dir, LIST):
        directories = search_path(own_directories(venv_dir), venv_dir)
        sees_system = read_settings(venv_dir).get("include-system-site-packages", "").lower() == "true"
    python = CURRENT.find_command(venv_dir, "python")
    if sees_system and python is not None:
        # Each operating system has its own directories for them, and its own site.py.
        quiet = {"stdout_loglevel": None, "stderr_loglevel": None, "env": variables}
        kept = {name: options[name] for name in ("logger", "timeout") if name in options}
        done = yield Call([python, "-c", _PRINT_PATH], {**kept, **quiet})
        found = json.loads(done.stdout.splitlines()[-1])
        directories += [path for path in found if os.access(path, os.R_OK | os.X_OK)]  # Python skips the others too
    with explained(venv_dir, LIST):
        return installed(directories)
