"""What all runners are: a command, an environment for it, and the two ways to run it."""

import contextlib
import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Unpack, cast

from venvrunner import subprocess_util
from venvrunner._process import context
from venvrunner._process.checks import refuse_strings
from venvrunner._process.command import RunOptions
from venvrunner._process.drivers import Inner
from venvrunner._process.running_commands import Running
from venvrunner._process.supervisor import GRACE
from venvrunner._types import StrPath
from venvrunner.environment import additions
from venvrunner.exceptions import InvalidCommandError
from venvrunner.subprocess_util import CompletedCommand, OutputCallbackType

__tracebackhide__ = True

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

        Returns:
            the command line, as a new list of ``str``.

        Raises:
            TypeError, ValueError: *args* is not a command line of this environment.

        >>> from venvrunner import FakeVenvRunner
        >>> runner = FakeVenvRunner()
        >>> runner.resolve(["python", "-V"]) == [runner.python_executable, "-V"]
        True
        """

    @abstractmethod
    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment variables that a command gets.

        Args:
            env: what the caller gives as ``env=``; default ``None``: nothing, so that those of this process count.

        Returns:
            all variables of the command, as a new dict.

        Raises:
            TypeError, ValueError: *env* can't be the variables of a process.

        >>> from venvrunner import FakeVenvRunner
        >>> FakeVenvRunner().environment()["PIP_NO_INPUT"]
        '1'
        """

    @abstractmethod
    def install_package(self, package_name: str) -> subprocess.CompletedProcess[str]:
        """Install one package.

        Args:
            package_name: a requirement, an existing path or a URL.

        Returns:
            the command line of the installer, its exit status and what it printed.

        Raises:
            NotImplementedError: this runner has no environment of its own to change.
            ValueError: it is nothing that can be installed; nothing was started.
            subprocess.CalledProcessError: the installer failed.

        >>> from venvrunner import VenvRunner
        >>> with VenvRunner.temporary() as venv:
        ...     venv.install_package("pip").returncode  # it is there already
        0
        """

    def log_run(
        self,
        args: Sequence[StrPath],
        logger: object = None,
        stdout_loglevel: str | int | OutputCallbackType | None = None,
        stderr_loglevel: str | int | OutputCallbackType | None = "debug",
        check: bool = True,  # noqa: FBT001, FBT002  the established signature
        *,
        errors: str = "strict",
        **options: Unpack[RunOptions],
    ) -> CompletedCommand:
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
        if isinstance(args, str):
            refuse_strings(args, logger, stdout_loglevel)
        argv = self._prepared(args, options)
        with self._in_use() as around, self._around(around):
            # Called through the module, so that a patch of it is seen.
            return subprocess_util.log_run(argv, logger, stdout_loglevel, stderr_loglevel, check, errors=errors, **options)

    async def async_log_run(
        self,
        args: Sequence[StrPath],
        logger: object = None,
        stdout_loglevel: str | int | OutputCallbackType | None = None,
        stderr_loglevel: str | int | OutputCallbackType | None = "debug",
        check: bool = True,  # noqa: FBT001, FBT002  the established signature
        *,
        errors: str = "strict",
        **options: Unpack[RunOptions],
    ) -> CompletedCommand:
        """Same as :meth:`log_run`, but a coroutine; any number of them may run at once."""
        if isinstance(args, str):
            refuse_strings(args, logger, stdout_loglevel)
        argv = self._prepared(args, options)
        with self._in_use() as around, self._around(around):
            return await subprocess_util.async_log_run(
                argv, logger, stdout_loglevel, stderr_loglevel, check, errors=errors, **options
            )

    def lines(
        self,
        args: Sequence[StrPath],
        *,
        logger: object = None,
        stdout_loglevel: str | int | OutputCallbackType | None = None,
        stderr_loglevel: str | int | OutputCallbackType | None = "debug",
        check: bool = True,
        errors: str = "strict",
        **options: Unpack[RunOptions],
    ) -> Generator[str, None, CompletedCommand]:
        """Same as :func:`.subprocess_util.lines`, but ``args[0]`` is a command of the environment.

        Args:
            args: the command and its arguments.
            logger: any object with methods named like levels; default: the logger ``venvrunner``.
            stdout_loglevel: where lines of standard output go as well; a name or a plain callable.
            stderr_loglevel: where lines of standard error go; a name or a plain callable.
            check: raise at the end if the exit status is not zero.
            errors: how to decode what is not UTF-8, as for :meth:`bytes.decode`.
            **options: as for :meth:`log_run`; but *keep* is 65,536 by default.

        Returns:
            an iterator over the lines of standard output, without their ends; to leave the loop ends the command.

        Raises:
            TypeError, ValueError: an argument is wrong; nothing was started. While iterating: as :meth:`log_run`.

        >>> from venvrunner import FakeVenvRunner
        >>> for line in FakeVenvRunner().lines(["python", "-c", "print('one'); print('two')"]):
        ...     print(line)
        one
        two
        """
        argv = self._prepared(args, options)
        levels: Any = {"stdout_loglevel": stdout_loglevel, "stderr_loglevel": stderr_loglevel}
        found = subprocess_util.lines(argv, logger=logger, check=check, errors=errors, **levels, **options)

        def iterate() -> Generator[str, None, CompletedCommand]:
            with contextlib.closing(found), self._in_use() as around:
                try:
                    with self._around(around):  # it starts here; then the loop's body is on its own
                        first = next(found)
                except StopIteration as end:
                    return cast("CompletedCommand", end.value)
                yield first
                return (yield from found)

        return iterate()

    def async_lines(
        self,
        args: Sequence[StrPath],
        *,
        logger: object = None,
        stdout_loglevel: str | int | OutputCallbackType | None = None,
        stderr_loglevel: str | int | OutputCallbackType | None = "debug",
        check: bool = True,
        errors: str = "strict",
        **options: Unpack[RunOptions],
    ) -> AsyncGenerator[str, None]:
        """Same as :meth:`lines`, but an async iterator; see :func:`.subprocess_util.async_lines`."""
        argv = self._prepared(args, options)
        levels: Any = {"stdout_loglevel": stdout_loglevel, "stderr_loglevel": stderr_loglevel}
        found = Inner(subprocess_util.async_lines(argv, logger=logger, check=check, errors=errors, **levels, **options))

        async def iterate() -> AsyncGenerator[str, None]:
            async with contextlib.aclosing(found):
                with self._in_use() as around:
                    try:
                        with self._around(around):
                            first = await anext(found)
                    except StopAsyncIteration:
                        return
                    yield first
                    async for line in found:
                        yield line

        return iterate()

    def stop(self) -> None:
        """End every command that runs through this runner now; from any thread or task, a callback or a signal handler.

        This returns at once. Each of the calls ends its command as at a timeout, and raises
        :class:`~venvrunner.CommandStoppedError` with the output so far. The runner works afterwards.

        >>> from venvrunner import CommandStoppedError, FakeVenvRunner
        >>> runner = FakeVenvRunner()
        >>> try:
        ...     runner.log_run(["sh", "-c", "echo ready; sleep 60"], stdout_loglevel=lambda line: runner.stop())
        ... except CommandStoppedError as error:
        ...     print(error.stdout, end="")
        ready
        """
        self._running.stop("stop() was called on its runner")

    def make_extra_environ(self) -> dict[str, str]:
        """Return the variables that a command of the environment needs on top of those of this process.

        With this, every runner is an isolated environment to ``build.ProjectBuilder.from_isolated_env``.

        Returns:
            the variables of :meth:`environment` that this process does not have, or with another value. A variable that
            :meth:`environment` removes is here with a value that has the same effect, such as an empty ``PYTHONPATH``.

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
        """Run a hook of a build back end; the method itself is a subprocess runner for ``pyproject_hooks`` and ``build``.

        For another logger, use ``functools.partial``. What a back end prints need not be UTF-8.

        Args:
            cmd: the command line; it begins with :attr:`python_executable`.
            cwd: the working directory; default: that of this process.
            extra_environ: variables on top of the environment's.
            logger: as for :meth:`log_run`.
            stdout_loglevel: as there, but ``"info"`` by default.
            stderr_loglevel: same.
            timeout: seconds, after which the hook and its group are ended; default ``None``: never.
            grace: seconds between SIGTERM and SIGKILL then; default 5.
            heartbeat: seconds of silence after which the logger is told that the hook still runs; default 10, ``None``: never.
            secrets: strings to mask in logs and messages; default: none.

        Raises:
            InvalidCommandError: the command line begins with another interpreter.
            CommandError: the hook failed; ``build`` makes a ``BuildBackendException`` of it.
            CommandTimeoutError: the time was up.

        >>> from venvrunner import FakeVenvRunner
        >>> runner = FakeVenvRunner()
        >>> runner.hook_runner([runner.python_executable, "-c", "print('built')"], stdout_loglevel=print)
        built
        """
        if not cmd or cmd[0] != self.python_executable:
            msg = (
                f"{cmd[0] if cmd else ''!r} is not the interpreter of this environment, {self.python_executable!r}! "
                "Give whoever calls the hooks python_executable= of this runner."
            )
            raise InvalidCommandError(msg)
        self.log_run(
            ["python", *cmd[1:]],
            logger,
            stdout_loglevel,
            stderr_loglevel,
            errors="backslashreplace",
            cwd=cwd,
            extra_env=extra_environ,
            timeout=timeout,
            grace=grace,
            heartbeat=heartbeat,
            secrets=secrets,
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return what is copied and pickled: all but the commands that run through this runner."""
        return {name: value for name, value in vars(self).items() if name != "_running_commands"}

    def _prepared(self, args: Sequence[StrPath], options: RunOptions) -> list[str]:
        """Return the command line that is run, and put its environment variables among its keywords."""
        options["env"] = self.environment(options.get("env"))
        return self.resolve(args)

    def _in_use(self) -> AbstractContextManager[Mapping[str, Any]]:
        """Return the context manager that a command runs under; it yields attributes of :class:`.context.CallContext`."""
        return nullcontext({})

    @property
    def _running(self) -> Running:
        """The commands that run through this runner."""
        found: Running | None = vars(self).get("_running_commands")
        return cast("Running", vars(self).setdefault("_running_commands", Running())) if found is None else found

    def _around(self, around: Mapping[str, Any]) -> AbstractContextManager[None]:
        """Surround a command that runs in the block, so that it is known to its environment and to :meth:`stop`."""
        return context.surrounded(stoppers=(*context.current().stoppers, self._running), **around)
