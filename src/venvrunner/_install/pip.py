"""The command lines of pip; nothing is run here."""

import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from venvrunner._install import pip_settings
from venvrunner._install.locked_file import LockedFile, requirement_lines
from venvrunner._install.request import Request

__tracebackhide__ = True


class Pip(NamedTuple):
    """Builds command lines of one pip.

    Args:
        start: how an interpreter runs it.

    >>> Pip.own().install(Request(requirements=("wheel",), requirements_files=("/r.txt",)), "/v/bin/python")
    ['/v/bin/python', '-I', '-m', 'pip', 'install', '--requirement=/r.txt', '--', 'wheel']
    """

    start: tuple[str, ...]

    @property
    def index_variable(self) -> str:
        """The environment variable that says where to look; before a ``pip.conf``."""
        return "PIP_INDEX_URL"

    @property
    def starts_python(self) -> bool:
        """Whether it asks the environment's Python what is installed, so that it sees what a fork inherits."""
        return True

    @property
    def file_variable(self) -> str:
        """The environment variable that names the configuration file."""
        return pip_settings.FILE_VARIABLE

    @classmethod
    def own(cls) -> "Pip":
        """Return that of the environment. ``-I``: a ``pip.py`` in the working directory must not be taken for it."""
        return cls(("-I", "-m", "pip"))

    @classmethod
    def from_wheel(cls, path: str) -> "Pip":
        """Return the pip in a wheel (run as pip's own documentation says), for environments without pip."""
        return cls(("-I", os.path.join(path, "pip")))

    def install(self, request: Request, python: str) -> list[str]:
        """Return the command line for an installation; behind ``--`` nothing is an option."""
        return [python, *self.start, "install", *request.options(), "--", *request.requirements]

    def lock_file(self, files: Iterable[LockedFile]) -> tuple[str, str]:
        """Return the name and the text of a file with which :meth:`install` installs exactly these files."""
        return "locked.txt", "\n".join(requirement_lines(files, indexed=False))

    def overruled(
        self, env: Mapping[str, str], venv_dir: str, cwd: str, *, is_exact: bool
    ) -> tuple[Mapping[str, str | None], str]:
        """Return the variables that keep configuration files from moving an installation, and no file."""
        limits = pip_settings.NO_LIMITS if is_exact else {}
        return {**pip_settings.overruled(env, venv_dir), **limits}, ""

    def uninstall(self, names: Iterable[str], python: str) -> list[str]:
        """Return the command line that removes packages, without asking."""
        return [python, *self.start, "uninstall", "--yes", "--", *names]
