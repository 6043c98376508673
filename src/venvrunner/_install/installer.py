"""The interface of installers, and the environment that they install into."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from venvrunner._install.locked_file import LockedFile
from venvrunner._install.request import Request

__tracebackhide__ = True


class Installer(Protocol):
    """Builds command lines, and runs nothing."""

    @property
    def index_variable(self) -> str:
        """The environment variable that overrides the index that the user has configured."""
        ...

    @property
    def starts_python(self) -> bool:
        """Whether it finds installed packages with the environment's Python, instead of reading one directory itself."""
        ...

    @property
    def file_variable(self) -> str:
        """The environment variable that names a configuration file."""
        ...

    def install(self, request: Request, python: str) -> list[str]:
        """Return the command line for an installation."""
        ...

    def reported(self, command: list[str], path: str, variables: Mapping[str, str]) -> tuple[list[str], str]:
        """Return an installation that also writes a report of pip's format to a file.

        Args:
            command: the command line, from :meth:`install`.
            path: the file.
            variables: the environment variables of the installer.

        Returns:
            the command line and ``""``, or the same command line and why it writes no report.
        """
        ...

    def overruled(
        self, env: Mapping[str, str], venv_dir: str, cwd: str, *, is_exact: bool
    ) -> tuple[Mapping[str, str | None], str]:
        """Return the settings that keep the user's configuration from redirecting an installation.

        Args:
            env: the other environment variables of the installer.
            venv_dir: the environment.
            cwd: the installer's working directory.
            is_exact: override constraints and other limits too.

        Returns:
            environment variables, where ``None`` removes one, and the text of a configuration file or ``""``.
        """
        ...

    def lock_file(self, files: Iterable[LockedFile]) -> tuple[str, str]:
        """Return the name and the text of a file that makes :meth:`install` install exactly these files."""
        ...

    def uninstall(self, names: Iterable[str], python: str) -> list[str]:
        """Return the command line that removes packages."""
        ...

    def wheel(self, request: Request, python: str, output: str) -> list[str]:
        """Return the command line that builds the wheel of the one requirement, a local directory."""
        ...

    def lock(self, request: Request, python: str, output: str, *, universal: bool) -> tuple[list[str], list[str]]:
        """Return the command line that resolves a request and writes a lock file.

        Returns:
            the command line, and the lines of a requirements file whose path must be appended to it, if there are any.

        Raises:
            InstallerNotFoundError: the installer is too old.
            InvalidRequirementError: the installer cannot lock what is requested.
        """
        ...


class Target(NamedTuple):
    """The environment that an installation goes into.

    Args:
        venv_dir: the environment.
        python: its interpreter.
        directory: a temporary directory, which only this user can read.
        variables: the environment variables of the installer.
    """

    venv_dir: str
    python: str
    directory: str
    variables: Mapping[str, str]
