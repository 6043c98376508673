"""The runner of the current environment: it runs commands in the environment that this process runs in."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from venvrunner._process.checks import check_args, check_variables
from venvrunner._types import StrPath
from venvrunner._venv import layout
from venvrunner.environment import current_environment
from venvrunner.exceptions import InvalidCommandError
from venvrunner.runner import Runner

__tracebackhide__ = True

__all__ = ["FakeVenvRunner"]


class FakeVenvRunner(Runner):
    r"""Run commands in the environment that this process runs in, for tests and for code that means "the current one".

    Commands are looked up on ``PATH``, with this interpreter's script directory first; ``python`` is this interpreter.

    >>> FakeVenvRunner().log_run(["python", "-c", "print(1 + 1)"]).stdout
    '2\n'
    """

    @property
    def python_executable(self) -> str:
        """The absolute path of this interpreter."""
        return sys.executable

    def resolve(self, args: Sequence[StrPath]) -> list[str]:
        """Return *args* with this interpreter in place of ``python``.

        Args:
            args: a command and its arguments.

        Returns:
            the command line; any other command stays as it is and is looked up on ``PATH``.

        Raises:
            TypeError, ValueError: *args* is empty or not a list of ``str`` or paths.

        >>> FakeVenvRunner().resolve(["git", "status"])
        ['git', 'status']
        """
        command, *rest = check_args(args)
        if command == "python" and not sys.executable:
            msg = "'python' cannot be resolved: sys.executable is empty. Use the path of an interpreter."
            raise InvalidCommandError(msg)
        return [sys.executable if command == "python" else command, *rest]

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment variables that a command gets: those of this process, plus those that disable prompts.

        Args:
            env: the variables to use exactly as given; default ``None``: use this process's environment.

        Returns:
            all variables of the command, as a new dict.

        Raises:
            TypeError, ValueError: *env* has an invalid name or value.

        >>> FakeVenvRunner().environment({"PATH": "/bin"})
        {'PATH': '/bin'}
        """
        if env is not None:
            return check_variables("env", env)
        return current_environment(layout.current_scripts(), os.environ)

    @staticmethod
    def install_package(package_name: StrPath) -> NoReturn:  # pyright: ignore[reportIncompatibleMethodOverride]  also called on the class
        """Refuse to install: a fake never changes the current environment.

        Args:
            package_name: the requirement; it is only shown in the message.

        Raises:
            NotImplementedError: always.

        >>> FakeVenvRunner().install_package("wheel")
        Traceback (most recent call last):
        ...
        NotImplementedError: FakeVenvRunner cannot install 'wheel' into the running environment. Use VenvRunner.
        """
        msg = f"FakeVenvRunner cannot install {package_name!r} into the running environment. Use VenvRunner."
        raise NotImplementedError(msg)
