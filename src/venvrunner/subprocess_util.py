r"""Run a command: its output streamed line by line, its text returned, nothing left behind.

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
    "OutputCallbackType",
    "RunOptions",
    "async_lines",
    "async_log_run",
    "lines",
    "log_run",
    "stderr_callback",
    "stdout_callback",
]

_KEEP_OF_LINES = 1 << 16
"""Bytes of output that are kept by default where the caller gets each line anyway."""


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
    r"""Run a command, stream its lines and return its output; works in any thread and inside a running event loop.

    The call ends when the command ends. If it is left in any other way (timeout, Ctrl-C, an exception in a callback), the
    command and its session are ended first: SIGTERM (after Ctrl-C, SIGINT before it), *grace* seconds, SIGKILL.

    Args:
        args: the command line; ``args[0]`` is looked up in ``PATH``.
        logger: takes the command line at debug level, and lines whose log level is a name; any object with such
            methods. Default: the logger ``venvrunner``.
        stdout_loglevel: where lines of standard output go: a log level (``"info"`` or ``logging.INFO``), a callable (also
            ``async def``) that gets the bare line, or ``None``.
        stderr_loglevel: the same for standard error.
        check: raise if the exit status is not zero.
        errors: how to decode what is not UTF-8, as for :meth:`bytes.decode`. ``"strict"`` raises when the command has ended.
        **options: ``timeout``, ``silence_timeout``, ``input``, ``stdin``, ``env``, ``extra_env``, ``secrets``, ``grace``,
            ``stop_signal``, ``heartbeat``, ``merge_stderr``, ``carriage_return``, ``keep``, ``contain``, ``cwd`` and others of
            :class:`subprocess.Popen`: see :class:`RunOptions`.

    Returns:
        the command line as given, the exit status, the exact text of both streams, and the ``duration`` in seconds.

    Raises:
        subprocess.CalledProcessError: the exit status is not zero and *check* is true; a :class:`~venvrunner.CommandError`.
        subprocess.TimeoutExpired: the time was up, with the output until then; a :class:`~venvrunner.CommandTimeoutError`.
        CommandStoppedError: its end was requested, by :meth:`.Runner.stop` or by Ctrl-C while this was another thread.
        ExitCodeLostError: the system does not tell its exit status.
        FileNotFoundError: the command, the ``cwd`` or the interpreter of the script does not exist; the message says which.
        UnicodeDecodeError: there was a bad byte and *errors* is ``"strict"``; an :class:`~venvrunner.OutputDecodeError`.
        TypeError, ValueError: an argument is wrong; nothing was started.

    >>> log_run(["sh", "-c", "echo one; echo two"], stdout_loglevel=lambda line: print("got", line)).stdout
    got one
    got two
    'one\ntwo\n'
    """
    invocation = Invocation(args, logger, stdout_loglevel, stderr_loglevel, errors, options)
    with invocation:
        run = drivers.run(invocation.command, invocation.streams)
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
    r"""Same as :func:`log_run`, but a coroutine: a cancel ends the command and its group before it propagates.

    Lines of one call are delivered one after the other, never two callbacks at a time; other tasks get their turn.

    >>> import asyncio
    >>> asyncio.run(async_log_run(["echo", "hello"])).stdout
    'hello\n'
    """
    invocation = Invocation(args, logger, stdout_loglevel, stderr_loglevel, errors, options)
    with invocation:
        run = await drivers.run_async(invocation.command, invocation.streams)
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

    The command starts with the first line that is asked for, and waits while the loop takes its time. A loop that is left
    early, or an iterator that is closed, ends the command as an exception in :func:`log_run` does.

    Args:
        args: as for :func:`log_run`.
        logger: as for :func:`log_run`.
        stdout_loglevel: where lines of standard output go as well; a name or a plain callable.
        stderr_loglevel: where lines of standard error go; a name or a plain callable.
        check: raise at the end if the exit status is not zero.
        errors: as for :func:`log_run`.
        **options: as for :func:`log_run`; but *keep* is 65,536 by default.

    Returns:
        an iterator over the lines, without their ends. What :func:`log_run` would return is its value, for ``yield from``.

    Raises:
        TypeError, ValueError: an argument is wrong; nothing was started. While iterating: as :func:`log_run`.

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
            run = yield from drivers.lines(invocation.command, invocation.streams, taken)
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

    A loop that is left early ends the command at the next turn of the event loop; use ``contextlib.aclosing`` to wait for it.

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
            inner = drivers.Inner(drivers.async_lines(invocation.command, invocation.streams, taken))
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
    options = {"keep": _KEEP_OF_LINES, **options}
    return Invocation(args, logger, stdout_loglevel, stderr_loglevel, errors, options, taken=taken)
