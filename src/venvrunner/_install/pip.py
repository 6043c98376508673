"""The command lines of pip; nothing is run here."""

import os
from collections.abc import Iterable

OWN = ("-I", "-m", "pip")
"""How an interpreter runs its environment's pip. ``-I``: a ``pip.py`` in the working directory must not be taken for it."""


def from_wheel(path: str) -> tuple[str, ...]:
    """Return how an interpreter runs the pip in a wheel (as pip's own documentation says), for environments without pip.

    >>> from_wheel("/wheels/pip-25.0-py3-none-any.whl")
    ('-I', '/wheels/pip-25.0-py3-none-any.whl/pip')
    """
    return "-I", os.path.join(path, "pip")


def install(requirements: Iterable[str], requirements_files: Iterable[str] = ()) -> list[str]:
    """Return pip's arguments for an installation; behind ``--`` nothing is an option.

    Args:
        requirements: checked ones.
        requirements_files: absolute paths.

    >>> install(["wheel"], ["/r.txt"])
    ['install', '--requirement=/r.txt', '--', 'wheel']
    """
    files = [f"--requirement={path}" for path in requirements_files]
    return ["install", *files, "--", *requirements]
