"""One command and its options, checked before anything starts; without I/O."""

import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import IO, Any, Literal, TypedDict

from venvrunner._process import checks
from venvrunner._process.keywords import check_keywords
from venvrunner._process.lines import UTF_8
from venvrunner._process.supervisor import GRACE, Limit
from venvrunner._types import StrPath

__tracebackhide__ = True


class PopenOptions(TypedDict, total=False):
    """The keywords that :class:`subprocess.Popen` takes, with the same meanings."""

    cwd: StrPath | None
    umask: int
    user: str | int | None
    group: str | int | None
    extra_groups: Iterable[str | int] | None
    preexec_fn: Callable[[], Any] | None
    close_fds: bool
    pass_fds: Sequence[int]
    restore_signals: bool
    executable: StrPath | None
    creationflags: int
    startupinfo: Any
    pipesize: int


class RunOptions(PopenOptions, total=False):
    r"""The keywords of :func:`~venvrunner.subprocess_util.log_run`, of its async and iterator forms, and of runners.

    The keywords from ``cwd`` on have the same meaning as for :class:`subprocess.Popen`; some are for POSIX or Windows only.

    Attributes:
        timeout: seconds after which the command and its session are stopped; default ``None``: no limit.
        input: text for standard input; default ``None``: standard input is empty.
        silence_timeout: seconds without a line after which the command is stopped; default ``None``: no limit. The time that a
            callback takes does not count.
        stdin: a file or a descriptor to use as standard input, not ``PIPE``; default ``None``.
        env: all environment variables; default ``None``: use this process's environment. A runner completes them.
        extra_env: variables to set on top of ``env``; the value ``None`` removes one; default ``None``.
        secrets: strings to mask in logs and messages; default: none. Credentials in URLs are always masked.
        grace: seconds between two signals when the command is stopped; default 5.
        stop_signal: the first signal of a stop, a number such as ``signal.SIGINT``; default SIGTERM. SIGKILL follows.
        heartbeat: seconds without a line after which, and at each multiple, "Still running" is logged at info level; default
            ``None``: never; 10 for an installation and a build hook.
        merge_stderr: whether standard error is merged into standard output, in order; default false. ``stderr`` is then "".
        carriage_return: ``"line"``: a carriage return ends a line too, so each update of a progress bar is a line; default
            ``None``.
        keep: how many of the last bytes of each stream the result keeps; default ``None``: all.
        contain: whether the call waits for, or kills, every process that the command starts, daemons included; they are also
            killed when this process dies (Linux and Windows); default false.
        encoding: the encoding of the output and of ``input``, such as ``"cp850"`` for a Windows program; default ``None``:
            UTF-8.
        cwd: the working directory; default ``None``: that of this process.
        umask: the file mode creation mask (POSIX); default -1: that of this process.
        user: name or number of the user to run as (POSIX); default ``None``: that of this process.
        group: name or number of the group to run as (POSIX); default ``None``: that of this process.
        extra_groups: supplementary groups (POSIX); default ``None``: those of this process.
        preexec_fn: called in the child before the command starts (POSIX); unsafe if there are threads; default ``None``.
        close_fds: whether the command inherits only the descriptors of its streams; default true.
        pass_fds: further descriptors that the command inherits (POSIX); default: none.
        restore_signals: whether SIGPIPE and similar signals get their default action again (POSIX); default true.
        executable: the program to run in place of ``args[0]``, which stays its name; default ``None``.
        creationflags: Windows only; default 0.
        startupinfo: Windows only; default ``None``.
        pipesize: capacity of the pipes in bytes (Linux); default -1: the system's default.

    >>> from venvrunner.subprocess_util import log_run
    >>> options: RunOptions = {"input": "no\n", "timeout": 60, "cwd": "/"}
    >>> log_run(["cat"], **options).stdout
    'no\n'
    """

    timeout: float | None
    silence_timeout: float | None
    input: str | None
    stdin: int | IO[Any] | None
    env: Mapping[str, str] | None
    extra_env: Mapping[str, str | None] | None
    secrets: Iterable[str]
    grace: float
    stop_signal: int
    heartbeat: float | None
    merge_stderr: bool
    carriage_return: Literal["line"] | None
    keep: int | None
    contain: bool
    encoding: str | None


KEYWORDS = {*RunOptions.__annotations__, "logger", "stdout_loglevel", "stderr_loglevel", "check", "errors"}
"""All keywords of ``log_run``: its own and those of ``RunOptions``."""

_OWN = RunOptions.__annotations__.keys() - PopenOptions.__annotations__.keys()
_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "timeout": partial(checks.seconds, "timeout"),
    "silence_timeout": partial(checks.seconds, "silence_timeout", above_zero=True),
    "grace": partial(checks.seconds, "grace"),
    "heartbeat": partial(checks.seconds, "heartbeat", above_zero=True),
    "stop_signal": checks.signal_of,
    "merge_stderr": partial(checks.flag, "merge_stderr"),
    "contain": partial(checks.flag, "contain"),
    "carriage_return": checks.carriage_return,
    "keep": partial(checks.count, "keep"),
    "encoding": checks.encoding,
}
"""The checks of options that need no other option; each option is an attribute of a command."""


class Command:
    """One command with checked options.

    Args:
        args: the command line; not empty, of ``str`` or path-like objects.
        options: see :class:`RunOptions`.

    Attributes:
        given: the command line as the caller gave it, for the result.
        input: the bytes for standard input; ``None``: no bytes are written to it.
        popen: the keywords for :class:`subprocess.Popen`.

    Raises:
        TypeError, ValueError: an argument is invalid; the message says which and why.

    >>> Command(["tool", "--flag"], {"timeout": 5}).argv
    ['tool', '--flag']
    >>> Command("tool --flag", {})
    Traceback (most recent call last):
    ...
    TypeError: args must be a list of arguments, not a string. Use ['tool', '--flag'].
    """

    timeout: float | None = None
    silence_timeout: float | None = None
    grace: float = GRACE
    heartbeat: float | None = None
    stop_signal: int = checks.signal_of(None)
    merge_stderr: bool = False
    contain: bool = False
    carriage_return: bool = False
    keep: int | None = None
    encoding: str = UTF_8

    def __init__(self, args: Sequence[StrPath], options: RunOptions) -> None:
        self.secrets = checks.strings("secrets", options.get("secrets", ()))
        self.argv = checks.check_args(args, self.secrets)
        check_keywords(options, KEYWORDS)
        # As in subprocess, a result has the object that the caller gave, unless that was an iterator.
        self.given = self.argv if hasattr(type(args), "__next__") else args
        self.popen: dict[str, Any] = {}
        for name, value in options.items():
            if name in _CHECKS and (checked := _CHECKS[name](value)) is not None:
                setattr(self, name, checked)
            elif name not in _OWN:
                self.popen[name] = value
        stdin = options.get("stdin")
        self.input = checks.input_of(options.get("input"), stdin, self.encoding)
        self.popen["env"] = checks.environment_of(options.get("env"), options.get("extra_env"))
        self.popen["stdin"] = subprocess.DEVNULL if stdin is None else stdin


class TimedOut(Exception):  # noqa: N818  an event inside the package that no caller sees
    """The command reached a limit and must be stopped."""

    def __init__(self, limit: Limit = Limit.TIME) -> None:
        super().__init__(limit)
        self.limit = limit


class Stopped(Exception):  # noqa: N818  an event inside the package that no caller sees
    """A stop of the command was requested from outside."""

    def __init__(self, reason: str, *, interrupt: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.interrupt = interrupt
