"""The command lines of pip; nothing is run here."""

from collections.abc import Iterable


def install(requirements: Iterable[str], requirements_files: Iterable[str] = ()) -> list[str]:
    """Return the arguments of an interpreter for an installation.

    ``-I``: a ``pip.py`` in the working directory must not be taken for pip. ``--``: what follows is no option.

    Args:
        requirements: checked ones.
        requirements_files: absolute paths.

    >>> install(["wheel"], ["/r.txt"])
    ['-I', '-m', 'pip', 'install', '--requirement=/r.txt', '--', 'wheel']
    """
    files = [f"--requirement={path}" for path in requirements_files]
    return ["-I", "-m", "pip", "install", *files, "--", *requirements]
