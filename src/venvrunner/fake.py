"""The runner for the environment that this process runs in."""

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

        Returns:
            the command line; any other command is left to ``PATH``.

        Raises:
            TypeError, ValueError: *args* is empty or not a list of ``str`` or paths.

        >>> FakeVenvRunner().resolve(["git", "status"])
        ['git', 'status']
        """
        command, *rest = check_args(args)
        if command == "python" and not sys.executable:
            msg = "'python' is not known here: sys.executable is empty. Give the path of an interpreter."
            raise InvalidCommandError(msg)
        return [sys.executable if command == "python" else command, *rest]

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment variables that a command gets: those of this process, set so that nothing asks.

        Args:
            env: what the caller gives as ``env=``: it is taken exactly as it is; default ``None``: those of this process.

        Returns:
            all variables of the command, as a new dict.

        Raises:
            TypeError, ValueError: *env* can't be the variables of a process.

        >>> FakeVenvRunner().environment({"PATH": "/bin"})
        {'PATH': '/bin'}
        """
        if env is not None:
            return check_variables("env", env)
        return current_environment(layout.current_scripts(), os.environ)

    @staticmethod
    def install_package(package_name: StrPath) -> NoReturn:  # pyright: ignore[reportIncompatibleMethodOverride]  also called on the class
        """Refuse: what is installed in the current environment is not this object's business.

        Args:
            package_name: what is not installed.

        Raises:
            NotImplementedError: always.

        >>> FakeVenvRunner().install_package("wheel")
        Traceback (most recent call last):
        ...
        NotImplementedError: FakeVenvRunner can't install 'wheel': it would change the environment that is running!
        """
        msg = f"FakeVenvRunner can't install {package_name!r}: it would change the environment that is running!"
        raise NotImplementedError(msg)
