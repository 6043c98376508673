"""The base of all runners: commands, calls of functions and build hooks in an environment."""

import os
import subprocess
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from venvrunner._command_runner import CommandRunner
from venvrunner._process.supervisor import GRACE
from venvrunner.environment import additions
from venvrunner.exceptions import InvalidCommandError
from venvrunner.subprocess_util import OutputCallbackType

if TYPE_CHECKING:
    from venvrunner._call.exchange import Exchange
    from venvrunner._call.request import Request

__tracebackhide__ = True

__all__ = ["Runner"]


class Runner(CommandRunner):
    """Run commands in an environment: the common type of real and fake runners.

    A function that takes a ``Runner`` works with a :class:`VenvRunner`, a :class:`FakeVenvRunner` and your own test double.

    >>> from venvrunner import FakeVenvRunner
    >>> def version(runner: Runner) -> str:
    ...     return runner.log_run(["python", "-c", "print('3.x')"]).stdout.strip()
    >>> version(FakeVenvRunner())
    '3.x'
    """

    @property
    @abstractmethod
    def python_executable(self) -> str:
        """The absolute path of the interpreter that the command ``python`` runs."""

    @abstractmethod
    def install_package(self, package_name: str) -> subprocess.CompletedProcess[str]:
        """Install one package.

        Args:
            package_name: a requirement, an existing path or a URL.

        Returns:
            the command line of the installer, its exit code and its output.

        Raises:
            NotImplementedError: this runner has no environment of its own.
            ValueError: *package_name* cannot be installed; nothing was started.
            subprocess.CalledProcessError: the installer failed.

        >>> from venvrunner import VenvRunner
        >>> with VenvRunner.temporary() as venv:
        ...     venv.install_package("pip").returncode  # already installed
        0
        """

    def call(
        self,
        function: str | Callable[..., Any],
        /,
        *args: Any,
        pickle: bool = False,
        kwargs: Mapping[str, Any] | None = None,
        **keywords: Any,
    ) -> Any:
        """Call a function in the environment, and return its value. Its output is streamed as that of a command.

        Arguments and value are plain data: they travel as JSON, so tuples arrive as lists. What JSON cannot carry is refused.
        A coroutine function is run to its end. Modules in the working directory are not found.

        Args:
            function: ``"package.module:function"``; or a function that needs nothing around it, which is sent by its source.
            *args: its arguments.
            pickle: send arguments, value and exception by ``pickle``; default false. With true, you have to trust the
                environment: whoever can change a package in it can run any code in this process.
            kwargs: keywords of the function, also those that have the name of an option; default ``None``.
            **keywords: the keywords of :meth:`log_run` are options of the call, such as ``timeout``, ``logger`` or ``cwd``,
                except ``check``. All others are keywords of the function.

        Returns:
            what the function returned.

        Raises:
            CallError: the function raised an exception, does not exist, or returned no plain data. A note has its traceback.
            TypeError, ValueError: an argument is invalid; nothing was started. Others: as for :meth:`log_run`.

        >>> from venvrunner import FakeVenvRunner
        >>> FakeVenvRunner().call("textwrap:shorten", "one two three", width=10, timeout=60)
        'one [...]'
        """
        from venvrunner._call.request import Request

        with self._exchange(Request(function, args, kwargs, keywords, pickle=pickle)) as exchange:
            done = self.log_run(exchange.args, check=False, **exchange.options)
            return exchange.value(done)

    async def async_call(
        self,
        function: str | Callable[..., Any],
        /,
        *args: Any,
        pickle: bool = False,
        kwargs: Mapping[str, Any] | None = None,
        **keywords: Any,
    ) -> Any:
        """Same as :meth:`call`, but a coroutine. Any number of calls may run at the same time."""
        from venvrunner._call.request import Request

        with self._exchange(Request(function, args, kwargs, keywords, pickle=pickle)) as exchange:
            done = await self.async_log_run(exchange.args, check=False, **exchange.options)
            return exchange.value(done)

    def make_extra_environ(self) -> dict[str, str]:
        """Return the variables that a command of the environment needs on top of this process's environment.

        ``build.ProjectBuilder.from_isolated_env`` accepts a runner as an isolated environment because of this method.

        Returns:
            the variables of :meth:`environment` that this process lacks or has with another value. A variable that
            :meth:`environment` removes is set to a value with the same effect, such as an empty ``PYTHONPATH``.

        >>> from venvrunner import FakeVenvRunner
        >>> FakeVenvRunner().make_extra_environ()["PIP_NO_INPUT"]
        '1'
        """
        return additions(self.environment(), os.environ)

    def hook_runner(
        self,
        cmd: Sequence[str],
        cwd: str | None = None,
        extra_environ: Mapping[str, str] | None = None,
        *,
        logger: object = None,
        stdout_loglevel: str | int | OutputCallbackType | None = "info",
        stderr_loglevel: str | int | OutputCallbackType | None = "info",
        timeout: float | None = None,
        grace: float = GRACE,
        heartbeat: float | None = 10.0,
        secrets: Iterable[str] = (),
    ) -> None:
        """Run a hook of a build back end: pass this method as the subprocess runner to ``pyproject_hooks`` or ``build``.

        To set the keywords, wrap it in ``functools.partial``. Bytes of the output that are not UTF-8 are escaped.

        Args:
            cmd: the command line; it begins with :attr:`python_executable`.
            cwd: the working directory; default: that of this process.
            extra_environ: variables on top of those of :meth:`environment`.
            logger: any object with methods named like log levels; default: the logger ``venvrunner``.
            stdout_loglevel: what to do with lines of standard output, as for :meth:`log_run`; default ``"info"``.
            stderr_loglevel: what to do with lines of standard error, as for :meth:`log_run`; default ``"info"``.
            timeout: seconds after which the hook and its session are stopped; default ``None``: no limit.
            grace: seconds between two signals when the hook is stopped; default 5.
            heartbeat: seconds without a line after which "Still running" is logged at info level; default 10, ``None``: never.
            secrets: strings to mask in logs and messages; default: none.

        Raises:
            InvalidCommandError: the command line begins with another interpreter.
            CommandError: the hook failed; ``build`` turns this into a ``BuildBackendException``.
            CommandTimeoutError: the timeout was reached.

        >>> from venvrunner import FakeVenvRunner
        >>> runner = FakeVenvRunner()
        >>> runner.hook_runner([runner.python_executable, "-c", "print('built')"], stdout_loglevel=print)
        built
        """
        if not cmd or cmd[0] != self.python_executable:
            msg = (
                f"{cmd[0] if cmd else ''!r} is not the interpreter of this environment. "
                f"Call the hooks with python_executable={self.python_executable!r}."
            )
            raise InvalidCommandError(msg)
        self.log_run(
            ["python", *cmd[1:]],
            logger,
            stdout_loglevel,
            stderr_loglevel,
            check=True,
            errors="backslashreplace",
            cwd=cwd,
            extra_env=extra_environ,
            timeout=timeout,
            grace=grace,
            heartbeat=heartbeat,
            secrets=secrets,
        )

    def _exchange(self, request: "Request") -> "Exchange":
        """Return the context manager that a call of a function runs in: it makes the command line, and has the outcome."""
        from venvrunner._call.exchange import exchange_for

        return exchange_for(request)
