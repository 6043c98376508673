"""Command runners: run a command in an environment, sync or async, with defaults for its keywords, and stop it."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import MappingProxyType
from typing import Any, Self, Unpack, cast

from venvrunner import subprocess_util
from venvrunner._process import context
from venvrunner._process.checks import kept_secrets, refuse_text
from venvrunner._process.command import RunOptions
from venvrunner._process.drivers import Inner
from venvrunner._process.failures import masked
from venvrunner._process.invocation import check_options
from venvrunner._process.keywords import merged, own_copies, shown, use_defaults
from venvrunner._process.running_commands import Running
from venvrunner._types import StrPath
from venvrunner.subprocess_util import CompletedCommand, LogRunOptions, OutputCallbackType

__tracebackhide__ = True


class CommandRunner(ABC):
    """The part of all runners that runs commands."""

    _defaults: Mapping[str, Any] = MappingProxyType({})
    """The keywords that calls have unless they are given: see :meth:`with_options`."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Let the methods that a subclass overrides use the defaults of :meth:`with_options` too."""
        super().__init_subclass__(**keywords)
        use_defaults(cls)

    @abstractmethod
    def resolve(self, args: Sequence[StrPath]) -> list[str]:
        """Return the command line that runs for *args*, for callers that use ``Popen`` themselves.

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
            env: the variables to start from; default ``None``: use this process's environment.

        Returns:
            all variables of the command, as a new dict.

        Raises:
            TypeError, ValueError: *env* has an invalid name or value.

        >>> from venvrunner import FakeVenvRunner
        >>> FakeVenvRunner().environment()["PIP_NO_INPUT"]
        '1'
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
            logger: any object with methods named like log levels; default: the logger ``venvrunner``.
            stdout_loglevel: a log level for lines of standard output, a callable that gets the bare line, or ``None``.
            stderr_loglevel: a log level for lines of standard error, a callable that gets the bare line, or ``None``.
            check: raise if the exit code is not zero.
            errors: how to decode bytes that are not UTF-8, as for :meth:`bytes.decode`.
            **options: see :class:`.RunOptions`; ``env`` is completed by :meth:`environment`.

        Returns:
            the command line that :meth:`resolve` returns, the exit code, the exact text of both streams, and the ``duration``.

        Raises:
            ValueError: ``args[0]`` is not a command of the environment. Others: as for :func:`.subprocess_util.log_run`.
        """
        argv = self._prepared(args, options, logger, stdout_loglevel)
        return self._run(self._in_use(), argv, logger, stdout_loglevel, stderr_loglevel, check, errors=errors, **options)

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
        """Same as :meth:`log_run`, but a coroutine. Any number of calls may run at the same time."""
        argv = self._prepared(args, options, logger, stdout_loglevel)
        return await self._run_async(
            self._in_use(), argv, logger, stdout_loglevel, stderr_loglevel, check, errors=errors, **options
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
            logger: any object with methods named like log levels; default: the logger ``venvrunner``.
            stdout_loglevel: what else to do with lines of standard output: a log level or a plain callable.
            stderr_loglevel: what to do with lines of standard error: a log level or a plain callable.
            check: raise after the last line if the exit code is not zero.
            errors: how to decode bytes that are not UTF-8, as for :meth:`bytes.decode`.
            **options: as for :meth:`log_run`, except that *keep* is 65,536 by default.

        Returns:
            an iterator over the lines of standard output without their line ends. Leaving the loop early stops the command.

        Raises:
            TypeError, ValueError: an argument is invalid; nothing was started. While iterating: as :meth:`log_run`.

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
                    with self._around(around):  # the command starts here; commands in the loop's body are not part of it
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

    def with_options(self, **options: Unpack[LogRunOptions]) -> Self:
        """Return a runner that differs only in its defaults: its calls have these keywords unless they are given.

        The new runner has the same environment, and this one stays as it is. :meth:`log_run`, :meth:`async_log_run`,
        :meth:`lines` and :meth:`async_lines` use all defaults; :meth:`call`, and methods that install, uninstall or lock, use
        all but *check*; :meth:`hook_runner` uses those that it takes itself, and the others except *check* and *errors* for its
        command. A keyword of a call wins, even if it is ``None``; only *secrets* and the variables of *extra_env* add up, so
        that no call unmasks a secret. A fork starts without defaults.

        :meth:`stop` of the new runner stops only the commands that it has started itself. :meth:`stop` of this one stops those
        of the new runner too.

        Args:
            **options: see :class:`.LogRunOptions`. Defaults of this runner that are not given again stay.

        Returns:
            the new runner.

        Raises:
            TypeError, ValueError: a keyword is unknown, or its value is invalid, as for :meth:`log_run`.

        >>> from venvrunner import FakeVenvRunner
        >>> loud = FakeVenvRunner().with_options(stdout_loglevel=print, timeout=60)
        >>> loud.log_run(["python", "-c", "print('hello')"]).returncode
        hello
        0
        """
        kept_secrets(options)
        check_options(options)
        runner = object.__new__(type(self))
        vars(runner).update(vars(self))
        vars(runner)["_defaults"] = merged(self._defaults, own_copies(options))
        vars(runner)["_running_commands"] = Running(self._running)
        return runner

    def stop(self) -> None:
        """Stop every running command of this runner, from any thread, task, callback or signal handler.

        The method returns at once, and the runner stays usable. Each call stops its command and raises
        :class:`~venvrunner.CommandStoppedError` with the output.

        >>> from venvrunner import CommandStoppedError, FakeVenvRunner
        >>> runner = FakeVenvRunner()
        >>> try:
        ...     runner.log_run(["sh", "-c", "echo ready; sleep 60"], stdout_loglevel=lambda line: runner.stop())
        ... except CommandStoppedError as error:
        ...     print(error.stdout, end="")
        ready
        """
        self._running.stop("stop() was called on its runner")

    def __repr__(self) -> str:
        """Return the usual text for an object, and the defaults of :meth:`with_options`."""
        return f"{object.__repr__(self)}{shown(self._defaults)}"

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to copy or pickle: everything except the running commands."""
        return {name: value for name, value in vars(self).items() if name != "_running_commands"}

    def _prepared(self, args: Sequence[StrPath], options: RunOptions, *further: object) -> list[str]:
        """Return the command line to run, and set ``env`` in its keywords; *further* are the next positional arguments.

        A message about a wrong argument masks the secrets among the keywords, as those of :mod:`.subprocess_util` do.
        """
        try:
            if not isinstance(args, list):
                refuse_text(args, *further, secrets=kept_secrets(options))
            options["env"] = self.environment(options.get("env"))
            return self.resolve(args)
        except (TypeError, ValueError) as exc:
            failure = masked(exc, kept_secrets(options))
        raise failure

    def _run(
        self, block: AbstractContextManager[Mapping[str, Any]], argv: list[str], *given: Any, **options: Any
    ) -> CompletedCommand:
        """Run a command line to its end, for every method that does so.

        Args:
            block: the block that the command runs in, as :meth:`_in_use` returns it.
            argv: the command line.
            *given: the next arguments of :func:`.subprocess_util.log_run`.
            **options: its keywords.
        """
        if (worker := context.current().worker) is not None:
            return cast("CompletedCommand", worker.run(lambda: self._run_async(block, argv, *given, **options)))
        with block as around, self._around(around):
            # Called through the module, so that a patch of the function takes effect.
            return subprocess_util.log_run(argv, *given, **options)

    async def _run_async(
        self, block: AbstractContextManager[Mapping[str, Any]], argv: list[str], *given: Any, **options: Any
    ) -> CompletedCommand:
        """Same as :meth:`_run`, but a coroutine."""
        with block as around, self._around(around):
            return await subprocess_util.async_log_run(argv, *given, **options)

    def _in_use(self) -> AbstractContextManager[Mapping[str, Any]]:
        """Return the context manager that a command runs under. It yields attributes of :class:`.context.CallContext`."""
        return nullcontext({})

    @property
    def _running(self) -> Running:
        """The running commands of this runner."""
        found: Running | None = vars(self).get("_running_commands")
        return cast("Running", vars(self).setdefault("_running_commands", Running())) if found is None else found

    def _around(self, around: Mapping[str, Any]) -> AbstractContextManager[None]:
        """Set the context of a command that starts in the block, so that its environment and :meth:`stop` know it."""
        return context.surrounded(self._running, **around)


use_defaults(CommandRunner)
