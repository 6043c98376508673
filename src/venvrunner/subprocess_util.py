r"""Run a command: its output streamed line by line, its text returned, nothing left behind.

>>> log_run(["echo", "hello"]).stdout
'hello\n'
"""

import subprocess
from collections.abc import Sequence
from subprocess import CalledProcessError
from typing import Unpack

from venvrunner._process import engine
from venvrunner._process.command import RunOptions, StrPath, TimedOut
from venvrunner._process.invocation import Invocation
from venvrunner._process.sinks import OutputCallback as OutputCallbackType
from venvrunner._process.sinks import stderr_callback, stdout_callback

__all__ = [
    "CalledProcessError",
    "OutputCallbackType",
    "RunOptions",
    "async_log_run",
    "log_run",
    "stderr_callback",
    "stdout_callback",
]


def log_run(
    args: Sequence[StrPath],
    logger: object = None,
    stdout_loglevel: str | OutputCallbackType | None = None,
    stderr_loglevel: str | OutputCallbackType | None = "debug",
    check: bool = True,  # noqa: FBT001, FBT002  the established signature
    *,
    errors: str = "strict",
    **options: Unpack[RunOptions],
) -> subprocess.CompletedProcess[str]:
    r"""Run a command, stream its lines and return its output; works in any thread and inside a running event loop.

    The call ends when the command ends. If it is left in any other way (timeout, Ctrl-C, an exception in a callback), the
    command and all processes of its group are ended first: SIGTERM, *grace* seconds, SIGKILL.

    Args:
        args: the command line; ``args[0]`` is looked up in ``PATH``.
        logger: takes the command line at debug level, and lines whose log level is a name; any object with such
            methods. Default: the logger ``venvrunner``.
        stdout_loglevel: where lines of standard output go: the name of a log level, a callable (also ``async def``) that
            gets the bare line, or ``None``.
        stderr_loglevel: the same for standard error.
        check: raise if the exit status is not zero.
        errors: how to decode what is not UTF-8, as for :meth:`bytes.decode`. ``"strict"`` raises when the command has ended.
        **options: ``timeout``, ``input``, ``stdin``, ``env``, ``extra_env``, ``secrets``, ``grace``, ``heartbeat``, ``cwd`` and
            others of :class:`subprocess.Popen`: see :class:`RunOptions`.

    Returns:
        the command line, the exit status and the exact text of both streams.

    Raises:
        subprocess.CalledProcessError: the exit status is not zero and *check* is true; a :class:`~venvrunner.CommandError`.
        subprocess.TimeoutExpired: the time was up, with the output until then; a :class:`~venvrunner.CommandTimeoutError`.
        FileNotFoundError: there is no such command or no such ``cwd``.
        UnicodeDecodeError: there was a bad byte and *errors* is ``"strict"``.
        TypeError, ValueError: an argument is wrong; nothing was started.

    >>> log_run(["sh", "-c", "echo one; echo two"], stdout_loglevel=lambda line: print("got", line)).stdout
    got one
    got two
    'one\ntwo\n'
    """
    invocation = Invocation(args, logger, stdout_loglevel, stderr_loglevel, errors, options)
    try:
        returncode = engine.run(invocation.command, invocation.streams)
    except TimedOut:
        raise invocation.timeout() from None
    return invocation.result(returncode, check=check)


async def async_log_run(
    args: Sequence[StrPath],
    logger: object = None,
    stdout_loglevel: str | OutputCallbackType | None = None,
    stderr_loglevel: str | OutputCallbackType | None = "debug",
    check: bool = True,  # noqa: FBT001, FBT002  the established signature
    *,
    errors: str = "strict",
    **options: Unpack[RunOptions],
) -> subprocess.CompletedProcess[str]:
    r"""Same as :func:`log_run`, but a coroutine: a cancel ends the command and its group before it propagates.

    Lines of one call are delivered one after the other, never two callbacks at a time; other tasks get their turn.

    >>> import asyncio
    >>> asyncio.run(async_log_run(["echo", "hello"])).stdout
    'hello\n'
    """
    invocation = Invocation(args, logger, stdout_loglevel, stderr_loglevel, errors, options)
    try:
        returncode = await engine.run_async(invocation.command, invocation.streams)
    except TimedOut:
        raise invocation.timeout() from None
    return invocation.result(returncode, check=check)
