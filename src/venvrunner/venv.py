"""Runners: which command is run, and in which environment."""

import contextlib
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any, NoReturn, Self, Unpack

from venvrunner import subprocess_util
from venvrunner._create import creation, layout
from venvrunner._create.temporary import temporary_folder
from venvrunner._install import pip
from venvrunner._install.requirements import requirement, requirements_file
from venvrunner._process.command import RunOptions, StrPath, check_args, check_variables
from venvrunner.environment import current_environment, get_clean_environment, venv_environment
from venvrunner.exceptions import InvalidCommandError
from venvrunner.subprocess_util import OutputCallbackType

__all__ = ["FakeVenvRunner", "Runner", "VenvRunner", "get_clean_environment"]


class Runner(ABC):
    """Runs commands in an environment: the type that real and fake runners share.

    A function that takes a ``Runner`` works with a :class:`VenvRunner`, a :class:`FakeVenvRunner`, and a double of one's own.

    >>> def version(runner: Runner) -> str:
    ...     return runner.log_run(["python", "-c", "print('3.x')"]).stdout.strip()
    >>> version(FakeVenvRunner())
    '3.x'
    """

    @property
    @abstractmethod
    def python_executable(self) -> str:
        """The absolute path of the interpreter that ``python`` stands for."""

    @abstractmethod
    def resolve(self, args: Sequence[StrPath]) -> list[str]:
        """Return the command line that is really run for *args*, for callers that use ``Popen`` themselves.

        Args:
            args: a command of the environment and its arguments.

        Raises:
            TypeError, ValueError: *args* is not a command line of this environment.
        """

    @abstractmethod
    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment variables that a command gets.

        Args:
            env: what the caller gives as ``env=``; ``None``: nothing.
        """

    @abstractmethod
    def install_package(self, package_name: str) -> subprocess.CompletedProcess[str]:
        """Install one package.

        Args:
            package_name: a requirement, an existing path or a URL.
        """

    def log_run(
        self,
        args: Sequence[StrPath],
        logger: object = None,
        stdout_loglevel: str | OutputCallbackType | None = None,
        stderr_loglevel: str | OutputCallbackType | None = "debug",
        check: bool = True,  # noqa: FBT001, FBT002  the established signature
        *,
        errors: str = "strict",
        **options: Unpack[RunOptions],
    ) -> subprocess.CompletedProcess[str]:
        """Same as :func:`.subprocess_util.log_run`, but ``args[0]`` is a command of the environment.

        Args:
            args: the command and its arguments.
            logger: as there.
            stdout_loglevel: as there.
            stderr_loglevel: as there.
            check: as there.
            errors: as there.
            **options: as there; ``env`` is completed as :meth:`environment` says.

        Returns:
            as there; ``args`` is what :meth:`resolve` returns.

        Raises:
            ValueError: ``args[0]`` is not a command of the environment; others as there.
        """
        argv = self.resolve(args)
        options["env"] = self.environment(options.get("env"))
        # Called through the module, so that a patch of it is seen.
        return subprocess_util.log_run(argv, logger, stdout_loglevel, stderr_loglevel, check, errors=errors, **options)

    async def async_log_run(
        self,
        args: Sequence[StrPath],
        logger: object = None,
        stdout_loglevel: str | OutputCallbackType | None = None,
        stderr_loglevel: str | OutputCallbackType | None = "debug",
        check: bool = True,  # noqa: FBT001, FBT002  the established signature
        *,
        errors: str = "strict",
        **options: Unpack[RunOptions],
    ) -> subprocess.CompletedProcess[str]:
        """Same as :meth:`log_run`, but a coroutine; any number of them may run at once."""
        argv = self.resolve(args)
        options["env"] = self.environment(options.get("env"))
        return await subprocess_util.async_log_run(
            argv, logger, stdout_loglevel, stderr_loglevel, check, errors=errors, **options
        )


class VenvRunner(Runner):
    """A virtual environment that is made when the object is: ``top_dir/name``, with pip.

    A virtual environment that is already there is made anew. Anything else that is there stays untouched.

    Args:
        name: the name of the environment's folder: one plain name.
        top_dir: the folder to make it in; it is made if it is not there.
        python: the interpreter, as a path or a version; default: the running one.

    Attributes:
        name: as given.
        top_dir: as given.
        venv_dir: the absolute path of the environment; a later change of the working directory does not matter.

    Raises:
        InvalidPathError: no environment can be made there, or none that works.
        NotAVenvError: something that is not a virtual environment is there.
        CreationError: it can't be made.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as top:
    ...     venv = VenvRunner("venv", top)
    ...     venv.log_run(["python", "-c", "import sys; print(sys.prefix)"]).stdout.strip() == venv.venv_dir
    True
    """

    name: str
    top_dir: StrPath
    venv_dir: str

    def __init__(self, name: str, top_dir: StrPath, *, python: str | None = None) -> None:
        self.name = name
        self.top_dir = top_dir
        self.venv_dir = layout.target(name, top_dir)
        creation.create(self.venv_dir, python=python)

    @classmethod
    @contextlib.contextmanager
    def temporary(cls, *, python: str | None = None) -> Generator[Self]:
        """Make an environment in a temporary folder, and delete both on exit.

        Args:
            python: as for the class.

        Yields:
            the runner.

        >>> with VenvRunner.temporary() as venv:
        ...     venv.log_run(["pip", "--version"]).stdout.split()[0]
        'pip'
        """
        with temporary_folder() as folder:
            yield cls("venv", folder, python=python)

    def __repr__(self) -> str:
        """Show where the environment is."""
        return f"{type(self).__name__}({self.name!r}, {self.top_dir!r})"

    @property
    def python_executable(self) -> str:
        """The absolute path of the environment's interpreter."""
        return self.resolve(["python"])[0]

    def resolve(self, args: Sequence[StrPath]) -> list[str]:
        """Return *args* with the absolute path of the command, which is one of the environment.

        Args:
            args: the plain name of a command, and its arguments.

        Raises:
            InvalidCommandError: the name is not plain, or there is no such command.
            TypeError, ValueError: *args* is empty or not a list of ``str`` or paths.
        """
        command, *rest = check_args(args)
        if os.path.isabs(command):
            msg = f"{command!r} must not be an absolute path!"
            raise InvalidCommandError(msg)
        if not layout.is_plain_name(command):
            msg = f"{command!r} must be the plain name of a command! Only commands of the environment can be run."
            raise InvalidCommandError(msg)
        path = layout.CURRENT.find_command(self.venv_dir, command)
        if path is None:
            raise InvalidCommandError(layout.CURRENT.why_not(self.venv_dir, command))
        return [path, *rest]

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment variables that a command gets: cleaned, and with this environment as the active one.

        What *env* has from ``os.environ`` is cleaned like that; what it has of its own is kept.

        Args:
            env: what the caller gives as ``env=``; ``None``: ``os.environ``.
        """
        return venv_environment(self.venv_dir, layout.CURRENT.scripts(self.venv_dir), env, os.environ)

    def install_package(self, package_name: str) -> subprocess.CompletedProcess[str]:
        """Install one package with pip.

        Args:
            package_name: a requirement (PEP 508), an existing path, or a URL.

        Returns:
            what pip printed.

        Raises:
            InvalidRequirementError: it is nothing of the kind; nothing was started.
            subprocess.CalledProcessError: pip failed; a note has its reason.
        """
        return self.install(package_name)

    def install(
        self, *requirements: str, requirements_files: Iterable[StrPath] = (), **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Install several things with one call of pip.

        Args:
            *requirements: each as for :meth:`install_package`.
            requirements_files: paths of requirements files.
            **options: as for :meth:`log_run`, such as ``timeout``, ``logger`` or ``stdout_loglevel``.

        Returns:
            what pip printed.

        Raises:
            InvalidRequirementError: one of them is wrong; nothing was started.
            subprocess.CalledProcessError: pip failed; a note has its reason.
        """
        names = [requirement(text) for text in requirements]
        files = [requirements_file(path) for path in requirements_files]
        # A pip that is ended can't remove what it unpacked, so it gets a temporary folder of its own.
        with temporary_folder() as folder:
            options["extra_env"] = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), folder) | dict(options.get("extra_env") or {})
            return self.log_run(["python", *pip.install(names, files)], **options)


class FakeVenvRunner(Runner):
    r"""Stands for the environment that this process runs in; in tests, and wherever "the current one" is meant.

    Commands are looked up in ``PATH``, with the interpreter's own script folder first; ``python`` is this interpreter.

    >>> FakeVenvRunner().log_run(["python", "-c", "print(1 + 1)"]).stdout
    '2\n'
    """

    @property
    def python_executable(self) -> str:
        """The absolute path of this interpreter."""
        return sys.executable

    def resolve(self, args: Sequence[StrPath]) -> list[str]:
        """Return *args*, with this interpreter for ``python``.

        Args:
            args: a command and its arguments.

        Raises:
            TypeError, ValueError: *args* is empty or not a list of ``str`` or paths.
        """
        command, *rest = check_args(args)
        return [sys.executable if command == "python" else command, *rest]

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment variables that a command gets: those of this process, set so that nothing asks.

        Args:
            env: what the caller gives as ``env=``: it is taken exactly as it is.
        """
        if env is not None:
            return check_variables("env", env)
        return current_environment(layout.current_scripts(), os.environ)

    @staticmethod
    def install_package(package_name: str) -> NoReturn:  # pyright: ignore[reportIncompatibleMethodOverride]  also called on the class
        """Refuse: what is installed in the current environment is not this object's business.

        Raises:
            NotImplementedError: always.
        """
        msg = f"FakeVenvRunner can't install {package_name!r}: it would change the environment that is running!"
        raise NotImplementedError(msg)
