"""The pip for environments without pip: the wheel that virtualenv contains."""

import os
import re
from collections.abc import Iterable

from venvrunner._create.interpreters import bundled_wheels, check_pip
from venvrunner._venv.pyvenv_cfg import read_settings
from venvrunner.exceptions import CreationError

__tracebackhide__ = True

_METADATA = re.compile(r"pip-(?P<version>[^-]+)\.dist-info")


def pip_version(directories: Iterable[str]) -> str | None:
    """Return the version of the first pip in some package directories; ``""`` if it is unknown, ``None`` without pip."""
    for directory in directories:
        if os.path.isfile(os.path.join(directory, "pip", "__main__.py")):
            found = (_METADATA.fullmatch(name) for name in os.listdir(directory))
            return next((match["version"] for match in found if match), "")
    return None


def pip_wheel(venv_dir: str) -> str:
    """Return the path of a pip wheel that runs on an environment's Python.

    Raises:
        CreationError: virtualenv contains no such wheel.
    """
    version = _version(venv_dir)
    wheel = bundled_wheels().get_embed_wheel("pip", version)
    if wheel is None:
        check_pip(version)
        msg = f"{venv_dir!r} has no pip, and virtualenv contains none for Python {version}. Use installer='uv'."
        raise CreationError(msg)
    return str(wheel.path)


def _version(venv_dir: str) -> str:
    """Return the version of an environment's Python, such as ``3.12``, from ``pyvenv.cfg``."""
    settings = read_settings(venv_dir)
    version = settings.get("version_info") or settings.get("version", "")
    return ".".join(version.split(".")[:2])
