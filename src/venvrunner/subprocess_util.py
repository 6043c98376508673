r"""Run a command: stream its lines, return its text, and stop its whole session on a timeout, a cancellation or an exception.

>>> log_run(["echo", "hello"]).stdout
'hello\n'
"""

import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Generator, Sequence
from subprocess import CalledProcessError
from typing import Any, Unpack

from venvrunner._process import drivers
from venvrunner._process.command import RunOptions
from venvrunner._process.invocation import CompletedCommand, Invocation
from venvrunner._process.sinks import OutputCallback as OutputCallbackType
from venvrunner._process.sinks import stderr_callback, stdout_callback
from venvrunner._types import StrPath

__tracebackhide__ = True

__all__ = [
    "CalledProcessError",
    "CompletedCommand",
    "LogRunOptions",
    "OutputCallbackType",
    "RunOptions",
    "async_lines",
    "async_log_run",
    "lines",
    "log_run",
    "stderr_callback",
    "stdout_callback",
]


class LogRunOptions(RunOptions, total=False):
    """All keywords of :func:`log_run`, for :meth:`.Runner.with_options`: these, and :class:`RunOptions`.

    Attributes:
        logger: any object with methods named like log levels; default ``None``: the logger ``venvrunner``.
        stdout_loglevel: where lines of standard output go: a log level, a callable or ``None``; default ``None``.
        stderr_loglevel: where lines of standard error go; default ``"debug"``.
        check: raise if the exit code is not zero; default true.
        errors: how to decode bytes that are not UTF-8; default ``"strict"``.

    >>> options: LogRunOptions = {"stdout_loglevel": "info", "timeout": 60}
    """

    logger: object
    stdout_loglevel: str | int | OutputCallbackType | None
    stderr_loglevel: str | int | OutputCallbackType | None
    check: bool
    errors: str


KEEP_OF_LINES = 1 << 16
"""Bytes of output that an iterator keeps by default: its caller gets each line anyway."""


def log_run(
    args: Sequence[StrPath],
    logger: object = None,
    stdout_loglevel: str | int | OutputCallbackType | None = None,
    stderr_loglevel: str | int | OutputCallbackType | None = "debug",
    check: bool = True,  # noqa: FBT001, FBT002  the established signature
    *,
    errors: str = "strict",
    **options: Unpack[RunOptions],
) -> CompletedCommand:
    r"""Run a command, stream its lines and return its output. Works in any thread and inside a running event loop.

    The call returns when the command exits. On any other end (timeout, Ctrl-C, an exception in a callback), it first stops
    the command and its session, then raises: SIGTERM (after Ctrl-C, SIGINT before it), *grace* seconds, SIGKILL.

    Args:
        args: the command line; ``args[0]`` is looked up on ``PATH``.
        logger: any object with methods named like log levels. It gets the command line at debug level, and the lines of a
            stream whose log level is given. Default: the logger ``venvrunner``.
        stdout_loglevel: what to do with lines of standard output: a log level (``"info"`` or ``logging.INFO``), a callable
            (also ``async def``) that gets the bare line, or ``None`` for nothing.
        stderr_loglevel: what to do with lines of standard error, in the same forms.
        check: raise if the exit code is not zero.
        errors: how to decode bytes that are not UTF-8, as for :meth:`bytes.decode`. ``"strict"`` raises after the command
            has exited.
        **options: ``timeout``, ``silence_timeout``, ``input``, ``stdin``, ``env``, ``extra_env``, ``secrets``, ``grace``,
            ``stop_signal``, ``heartbeat``, ``merge_stderr``, ``carriage_return``, ``keep``, ``contain``, ``cwd`` and others of
            :class:`subprocess.Popen`: see :class:`RunOptions`.

    Returns:
        the command line as given, the exit code, the exact text of both streams, and the ``duration`` in seconds.

    Raises:
        subprocess.CalledProcessError: the exit code is not zero and *check* is true; a :class:`~venvrunner.CommandError`.
        subprocess.TimeoutExpired: a time limit was reached; a :class:`~venvrunner.CommandTimeoutError` with the output so far.
        CommandStoppedError: :meth:`.Runner.stop` was called, or Ctrl-C was pressed while this ran in a thread other than
            the main one.
        ExitCodeLostError: the exit code is unknown.
        FileNotFoundError: the command, the ``cwd`` or the interpreter of the script does not exist; the message says which.
        UnicodeDecodeError: the output has a bad byte and *errors* is ``"strict"``; an :class:`~venvrunner.OutputDecodeError`.
        TypeError, ValueError: an argument is invalid; nothing was started.

    >>> log_run(["sh", "-c", "echo one; echo two"], stdout_loglevel=lambda line: print("got", line)).stdout
    got one
    got two
    'one\ntwo\n'
    """
    invocation = Invocation(args, logger, stdout_loglevel, stderr_loglevel, errors, options)
    with invocation:
        run = drivers.run(invocation.run())
    return invocation.result(run, check=check)


async def async_log_run(
    args: Sequence[StrPath],
    logger: object = None,
    stdout_loglevel: str | int | OutputCallbackType | None = None,
    stderr_loglevel: str | int | OutputCallbackType | None = "debug",
    check: bool = True,  # noqa: FBT001, FBT002  the established signature
    *,
    errors: str = "strict",
    **options: Unpack[RunOptions],
) -> CompletedCommand:
    r"""Same as :func:`log_run`, but a coroutine: cancellation stops the command and its session before it propagates.

    Callbacks of one call run one after the other, never at the same time. Other tasks of the loop run in between.

    >>> import asyncio
    >>> asyncio.run(async_log_run(["echo", "hello"])).stdout
    'hello\n'
    """
    invocation = Invocation(args, logger, stdout_loglevel, stderr_loglevel, errors, options)
    with invocation:
        run = await drivers.run_async(invocation.run(cancellable=True))
    return invocation.result(run, check=check)


def lines(
    args: Sequence[StrPath],
    *,
    logger: object = None,
    stdout_loglevel: str | int | OutputCallbackType | None = None,
    stderr_loglevel: str | int | OutputCallbackType | None = "debug",
    check: bool = True,
    errors: str = "strict",
    **options: Unpack[RunOptions],
) -> Generator[str, None, CompletedCommand]:
    r"""Run a command and iterate over the lines of its standard output as they come.

    The command starts when the first line is requested. A slow loop slows the command. Leaving the loop early, or closing
    the iterator, stops the command as an exception in :func:`log_run` does.

    Args:
        args: the command line; ``args[0]`` is looked up on ``PATH``.
        logger: any object with methods named like log levels; default: the logger ``venvrunner``.
        stdout_loglevel: what else to do with lines of standard output: a log level or a plain callable.
        stderr_loglevel: what to do with lines of standard error: a log level or a plain callable.
        check: raise after the last line if the exit code is not zero.
        errors: how to decode bytes that are not UTF-8, as for :meth:`bytes.decode`.
        **options: as for :func:`log_run`, except that *keep* is 65,536 by default.

    Returns:
        an iterator over the lines without their line ends. Its return value, for ``yield from``, is that of :func:`log_run`.

    Raises:
        TypeError, ValueError: an argument is invalid; nothing was started. While iterating: as :func:`log_run`.

    >>> for line in lines(["sh", "-c", "echo one; echo two; sleep 60"]):
    ...     print(line)
    ...     if line == "two":
    ...         break
    one
    two
    """
    taken: deque[str] = deque()
    invocation = _line_invocation(args, logger, stdout_loglevel, stderr_loglevel, errors, options, taken)

    def iterate() -> Generator[str, None, CompletedCommand]:
        with invocation:
            run = yield from drivers.lines(invocation.run(), taken)
        return invocation.result(run, check=check)

    return iterate()


def async_lines(
    args: Sequence[StrPath],
    *,
    logger: object = None,
    stdout_loglevel: str | int | OutputCallbackType | None = None,
    stderr_loglevel: str | int | OutputCallbackType | None = "debug",
    check: bool = True,
    errors: str = "strict",
    **options: Unpack[RunOptions],
) -> AsyncGenerator[str, None]:
    r"""Same as :func:`lines`, but an async iterator.

    Leaving the loop early stops the command at the next turn of the event loop. To wait for that, use
    ``contextlib.aclosing``.

    >>> import asyncio
    >>> async def main() -> None:
    ...     async for line in async_lines(["sh", "-c", "echo one; echo two"]):
    ...         print(line)
    >>> asyncio.run(main())
    one
    two
    """
    taken: deque[str] = deque()
    invocation = _line_invocation(args, logger, stdout_loglevel, stderr_loglevel, errors, options, taken)

    async def iterate() -> AsyncGenerator[str, None]:
        run: Any = None
        with invocation:
            inner = drivers.Inner(drivers.async_lines(invocation.run(cancellable=True), taken))
            async with contextlib.aclosing(inner):
                async for item in inner:
                    if isinstance(item, str):
                        yield item
                    else:
                        run = item
        invocation.result(run, check=check)

    return iterate()


def _line_invocation(
    args: Sequence[StrPath],
    logger: object,
    stdout_loglevel: str | int | OutputCallbackType | None,
    stderr_loglevel: str | int | OutputCallbackType | None,
    errors: str,
    options: RunOptions,
    taken: deque[str],
) -> Invocation:
    options = {"keep": KEEP_OF_LINES, **options}
    return Invocation(args, logger, stdout_loglevel, stderr_loglevel, errors, options, taken=taken)
