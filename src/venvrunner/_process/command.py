"""What is to be run, checked before anything starts; without I/O."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import IO, Any, Literal, TypedDict, cast

from venvrunner._process.refused import check_keywords
from venvrunner._process.sinks import Redactor
from venvrunner._process.supervisor import GRACE, Limit

__tracebackhide__ = True

StrPath = str | os.PathLike[str]


class PopenOptions(TypedDict, total=False):
    """The keywords that go to the process, with the meaning they have for :class:`subprocess.Popen`."""

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
    r"""The keywords of :func:`~venvrunner.subprocess_util.log_run` and all its twins, sync and async, of functions and runners.

    Those from ``cwd`` on mean what they mean for :class:`subprocess.Popen`; POSIX and Windows have each their own.

    Attributes:
        timeout: seconds, after which the command and its group are ended; default ``None``: never.
        input: text for standard input; default ``None``: it is empty.
        silence_timeout: seconds without a line, after which the command is ended; default ``None``: never. The time that a
            callback takes does not count.
        stdin: a file or a descriptor to be standard input instead, not ``PIPE``; default ``None``.
        env: all environment variables; default ``None``: those of this process. A runner completes them.
        extra_env: variables on top of these, where ``None`` removes one; default ``None``: no more.
        secrets: strings to mask in logs and messages; default: none. URLs with a password are masked anyway.
        grace: seconds between two signals, when the command has to be ended; default 5.
        stop_signal: the first signal then, a number such as ``signal.SIGINT``; default SIGTERM. SIGKILL follows.
        heartbeat: seconds without a line, after which, and after as many again, the logger reports at info level that the
            command is still running; default ``None``: never; 10 for an installation and a build hook.
        merge_stderr: whether standard error goes into standard output, in true order; default false. ``stderr`` is "" then.
        carriage_return: ``"line"``: a carriage return ends a line too, so each update of a progress bar is one; default
            ``None``.
        keep: how many bytes of each stream the result keeps, the last ones; default ``None``: all.
        contain: whether the call waits for, or ends, all that the command starts, daemons included, and all ends with this
            process too (Linux); default false.
        cwd: the working directory; default ``None``: that of this process.
        umask: the file mode creation mask (POSIX); default -1: that of this process.
        user: name or number of the user to run as (POSIX); default ``None``: that of this process.
        group: the same for the group; default ``None``.
        extra_groups: supplementary groups (POSIX); default ``None``: those of this process.
        preexec_fn: called in the child just before the command (POSIX), unsafe where there are threads; default ``None``.
        close_fds: whether the command inherits no descriptors but those of its streams; default true.
        pass_fds: descriptors that it inherits nevertheless (POSIX); default: none.
        restore_signals: whether SIGPIPE and the like have their default action again (POSIX); default true.
        executable: the program to run in place of ``args[0]``, which it still sees as its name; default ``None``.
        creationflags: Windows only; default 0.
        startupinfo: Windows only; default ``None``.
        pipesize: bytes that a pipe holds (Linux); default -1: as the system has it.

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


_FOREVER = 1e9
"""Seconds, some thirty years: infinity, for clocks that can't count so far."""

_KEYWORDS = {*RunOptions.__annotations__, "logger", "stdout_loglevel", "stderr_loglevel", "check", "errors"}
"""Those of ``log_run``, which itself takes those that are not in ``RunOptions``."""

_OWN = RunOptions.__annotations__.keys() - PopenOptions.__annotations__.keys()


class Command:
    """One command, ready to run.

    Args:
        args: the command line; not empty, of ``str`` or path-like objects.
        options: see :class:`RunOptions`.

    Attributes:
        on_silence: told at each heartbeat how many seconds ago the command started.

    Raises:
        TypeError, ValueError: an argument is wrong; the message says which and why.

    >>> Command(["tool", "--flag"], {"timeout": 5}).argv
    ['tool', '--flag']
    >>> Command("tool --flag", {})
    Traceback (most recent call last):
    ...
    TypeError: args must be a list of arguments, not a string. Use ['tool', '--flag'].
    """

    def __init__(self, args: Sequence[StrPath], options: RunOptions) -> None:
        self.secrets = strings("secrets", options.get("secrets", ()))
        self.argv = check_args(args, self.secrets)
        check_keywords(options, _KEYWORDS)
        # As subprocess does: what the caller gave, unless it was an iterator.
        self.given = args if isinstance(args, Sequence) else self.argv
        self.timeout = _seconds("timeout", options.get("timeout"))
        self.silence_timeout = _seconds("silence_timeout", options.get("silence_timeout"), above_zero=True)
        self.stop_signal = _signal(options.get("stop_signal"))
        self.merge_stderr = _flag("merge_stderr", options.get("merge_stderr", False))
        self.contain = _flag("contain", options.get("contain", False))
        self.carriage_return = _carriage_return(options.get("carriage_return"))
        self.keep = _count("keep", options.get("keep"))
        self.grace = GRACE if options.get("grace") is None else _seconds("grace", options.get("grace")) or 0.0
        self.heartbeat = _seconds("heartbeat", options.get("heartbeat"), above_zero=True)
        self.on_silence: Callable[[float], object] = lambda _seconds: None
        self.input = _input(options)
        self.popen: dict[str, Any] = {key: value for key, value in options.items() if key not in _OWN}
        self.popen["env"] = _environment(options)
        stdin = options.get("stdin")
        self.popen["stdin"] = subprocess.DEVNULL if stdin is None else stdin


def check_args(args: Sequence[StrPath], secrets: Iterable[str] = ()) -> list[str]:
    """Return a command line as a new list of str.

    Args:
        args: the command line.
        secrets: strings to mask in messages.

    Raises:
        TypeError, ValueError: it is empty, or an item is nothing that a command line can have.

    >>> check_args([])
    Traceback (most recent call last):
    ...
    ValueError: args must not be empty! The first item is the command to run.
    """
    if isinstance(args, str | bytes | os.PathLike):
        words = Redactor(secrets).mask_all(os.fsdecode(args).split()) or ["command"]
        msg = f"args must be a list of arguments, not a string. Use {words}."
        raise TypeError(msg)
    if not isinstance(args, Iterable):
        msg = f"args must be a list of arguments, not {type(args).__name__}!"
        raise TypeError(msg)
    argv = [_text(f"args[{index}]", arg, secrets) for index, arg in enumerate(args)]
    if not argv or not argv[0]:
        msg = f"{'args[0]' if argv else 'args'} must not be empty! The first item is the command to run."
        raise ValueError(msg)
    return argv


def _text(name: str, value: object, secrets: Iterable[str]) -> str:
    path = value
    if not isinstance(value, str) and isinstance(value, os.PathLike):  # str first: to ask an ABC is slow
        path = os.fspath(cast("StrPath", value))
    if not isinstance(path, str):
        msg = f"{name} must be a str or a path, not {type(path).__name__}{_shown(name, path, secrets)}!"
        raise TypeError(msg)
    if "\0" in path:
        msg = f"{name} must not have a NUL character{_shown(name, path, secrets)}!"
        raise ValueError(msg)
    return path


def _shown(name: str, value: object, secrets: Iterable[str]) -> str:
    """Return what a message says of a value: of text after the command nothing, it may be a secret."""
    if name != "args[0]" and isinstance(value, str | bytes):
        return ""
    return f": {Redactor(secrets).mask(repr(value))}"


def _seconds(name: str, value: float | None, *, above_zero: bool = False) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{name} must be a number of seconds, not {type(value).__name__}!"
        raise TypeError(msg)
    if not (value > 0 if above_zero else value >= 0):
        msg = f"{name} must be a number of seconds {'above 0' if above_zero else 'from 0 on'}, not {value}!"
        raise ValueError(msg)
    return float(min(value, _FOREVER))


def _signal(number: int | None) -> int:
    if number is None:
        return int(signal.SIGTERM)
    if isinstance(number, bool) or not isinstance(number, int):
        msg = f"stop_signal must be a signal such as signal.SIGINT, not {type(number).__name__}."
        raise TypeError(msg)
    if number not in signal.valid_signals():
        msg = f"stop_signal must be a signal such as signal.SIGINT, not {number}."
        raise ValueError(msg)
    return int(number)


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        msg = f"{name} must be True or False, not {type(value).__name__}."
        raise TypeError(msg)
    return value


def _count(name: str, value: int | None) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        msg = f"{name} must be a number of bytes or None, not {type(value).__name__}."
        raise TypeError(msg)
    if value is not None and value < 0:
        msg = f"{name} must be a non-negative number of bytes or None, not {value}."
        raise ValueError(msg)
    return value


def _carriage_return(value: str | None) -> bool:
    if value not in {None, "line"}:
        msg = f"carriage_return must be 'line' or None, not {Redactor().mask(repr(value))}."
        raise ValueError(msg)
    return value is not None


def strings(name: str, values: Iterable[str]) -> list[str]:
    """Return several strings as a new list.

    Raises:
        TypeError: they are something else.
    """
    found = list(values) if isinstance(values, Iterable) and not isinstance(values, str | bytes) else None
    if found is None or not all(isinstance(value, str) for value in found):
        msg = f"{name} must be several strings, such as a list of str!"
        raise TypeError(msg)
    return found


def _input(options: RunOptions) -> bytes | None:
    text = options.get("input")
    stdin = options.get("stdin")
    if not (stdin is None or isinstance(stdin, int) or hasattr(stdin, "fileno")):
        msg = f"stdin must be a file or a descriptor, not {type(stdin).__name__}! For text use input=."
        raise TypeError(msg)
    if stdin == subprocess.PIPE:
        msg = "stdin=PIPE can't be used here: the pipe would have no writer. Use input= with the text."
        raise ValueError(msg)
    if text is None:
        return None
    if stdin is not None:
        msg = "input= and stdin= can't be used together! Leave one out."
        raise ValueError(msg)
    if not isinstance(text, str):
        msg = f"input must be a str, not {type(text).__name__}!"
        raise TypeError(msg)
    try:
        # What errors="surrogateescape" has returned becomes the same bytes again.
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        msg = "input contains an unpaired surrogate, which cannot be encoded."
        raise ValueError(msg) from None


def _environment(options: RunOptions) -> dict[str, str] | None:
    env, extra = options.get("env"), options.get("extra_env")
    if env is None and not extra:
        return None
    result = dict(os.environ) if env is None else check_variables("env", env)
    if extra is not None:
        added = check_variables("extra_env", extra)
        result = {name: value for name, value in {**result, **added}.items() if extra.get(name, value) is not None}
    return result


def check_variables(argument: str, variables: Mapping[str, str | None]) -> dict[str, str]:
    """Return environment variables as a new dict.

    Args:
        argument: the name of the argument that they come from.
        variables: the variables. In ``extra_env``, ``None`` may stand for a value, and is returned as "".

    Raises:
        TypeError, ValueError: they can't be the variables of a process.

    >>> check_variables("env", {"A": "1"})
    {'A': '1'}
    """
    if not isinstance(variables, Mapping):
        msg = f"{argument} must be a mapping of variables, such as a dict, not {type(variables).__name__}!"
        raise TypeError(msg)
    result: dict[str, str] = {}
    for name, value in variables.items():
        text = "" if value is None and argument == "extra_env" else value
        for what, item in (("the name of the variable", name), ("the variable", text)):
            if not isinstance(item, str):
                msg = f"{argument}: {what} {name!r} must be a str, not {type(item).__name__}!"
                raise TypeError(msg)
        if not name or "=" in name or "\0" in f"{name}{text}":
            msg = f"{argument}: {name!r} is no valid environment variable: an empty name, '=' in it or a NUL is not possible!"
            raise ValueError(msg)
        result[name] = str(text)
    return result


def check_errors(errors: str) -> str:
    """Return the name of a decoding error handler.

    Raises:
        ValueError: there is no such handler.

    >>> check_errors("replace")
    'replace'
    """
    if not isinstance(errors, str):
        msg = f"errors must be the name of an error handler, not {type(errors).__name__}!"
        raise TypeError(msg)
    try:
        b"\xff".decode("utf-8", errors)
    except UnicodeDecodeError:
        pass
    except (LookupError, TypeError, ValueError):
        msg = f"errors={errors!r} is no way to decode a bad byte! Use 'strict', 'replace' or another of codecs."
        raise ValueError(msg) from None
    return errors


class TimedOut(Exception):  # noqa: N818  an event inside the package, which no caller sees
    """A limit of the command was reached; it is to be ended."""

    def __init__(self, limit: Limit = Limit.TIME) -> None:
        super().__init__(limit)
        self.limit = limit


class Stopped(Exception):  # noqa: N818  the same
    """The end of the command was requested from outside."""

    def __init__(self, reason: str, *, interrupt: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.interrupt = interrupt
