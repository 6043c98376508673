"""What all runners are: a command, an environment for it, and the two ways to run it."""

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Unpack

from venvrunner import subprocess_util
from venvrunner._process.command import RunOptions, StrPath
from venvrunner.subprocess_util import OutputCallbackType

__all__ = ["Runner"]


class Runner(ABC):
    """Runs commands in an environment: the type that real and fake runners share.

    A function that takes a ``Runner`` works with a :class:`VenvRunner`, a :class:`FakeVenvRunner`, and a double of one's own.

    >>> from venvrunner import FakeVenvRunner
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
        with self._in_use():
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
        with self._in_use():
            return await subprocess_util.async_log_run(
                argv, logger, stdout_loglevel, stderr_loglevel, check, errors=errors, **options
            )

    def _in_use(self) -> AbstractContextManager[None]:
        """Return what surrounds a command."""
        return nullcontext()
