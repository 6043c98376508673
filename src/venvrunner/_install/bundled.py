"""The pip for environments that have none: the wheel that virtualenv brings."""

import os
from collections.abc import Iterable

from venvrunner._create.fork import layers
from venvrunner._create.layout import CURRENT
from venvrunner._create.settings import read_settings
from venvrunner.exceptions import CreationError


def has_pip(venv_dirs: Iterable[str]) -> bool:
    """Tell whether one of an environment and its ancestors has pip."""
    return any(
        os.path.isfile(os.path.join(layer, "pip", "__main__.py"))
        for venv_dir in venv_dirs
        for folder in CURRENT.package_folders(venv_dir)
        for layer in layers(folder)
    )


def pip_wheel(venv_dir: str) -> str:
    """Return the path of a wheel of pip that runs on an environment's Python.

    Raises:
        CreationError: there is none.
    """
    from virtualenv.seed.wheels.embed import get_embed_wheel  # noqa: PLC0415  slow to import

    version = _version(venv_dir)
    wheel = get_embed_wheel("pip", version)
    if wheel is None:
        msg = f"the environment in {venv_dir!r} has no pip, and there is none for Python {version}! Make it with_pip=True."
        raise CreationError(msg)
    return str(wheel.path)


def _version(venv_dir: str) -> str:
    """Return the version of an environment's Python, as ``3.12``; virtualenv, uv and the standard library name it so."""
    settings = read_settings(venv_dir)
    version = settings.get("version_info") or settings.get("version", "")
    return ".".join(version.split(".")[:2])
