"""One call of `log_run` in any of its forms: check its arguments, log it, and return or raise its outcome."""

import logging
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from venvrunner._process import checks, failures
from venvrunner._process.clock import monotonic
from venvrunner._process.command import Command, RunOptions, Stopped, TimedOut
from venvrunner._process.flow import Run
from venvrunner._process.lines import Stream
from venvrunner._process.loggers import Levels
from venvrunner._process.native import native_text
from venvrunner._process.session import lost_reason
from venvrunner._process.sinks import OutputCallback, line_sink
from venvrunner._process.supervisor import Limit
from venvrunner._redaction import Redactor, whole_lines
from venvrunner._types import StrPath
from venvrunner.exceptions import (
    CommandError,
    CommandStoppedError,
    CommandTimeoutError,
    ExitCodeLostError,
    OutputDecodeError,
)

__tracebackhide__ = True

_NOTE_LINES = 10
_NOTE_CHARS = 2000
Level = str | int | OutputCallback | None
_Error = TypeVar("_Error", CommandError, CommandStoppedError, CommandTimeoutError, ExitCodeLostError)


class CompletedCommand(subprocess.CompletedProcess[str]):
    """The outcome of a command: a :class:`subprocess.CompletedProcess` with text output and a duration.

    Attributes:
        duration: seconds from the start of the command to its exit.

    >>> from venvrunner.subprocess_util import log_run
    >>> log_run(["true"]).duration < 60
    True
    """

    duration: float = 0.0


def check_options(given: Mapping[str, Any]) -> None:
    """Check keywords of ``log_run`` as a call does, without a command.

    Raises:
        TypeError, ValueError: an argument is invalid.
    """
    options: Any = dict(given)
    options.pop("check", None)
    logger, stdout_loglevel = options.pop("logger", None), options.pop("stdout_loglevel", None)
    stderr_loglevel, errors = options.pop("stderr_loglevel", "debug"), options.pop("errors", "strict")
    Invocation(["command"], logger, stdout_loglevel, stderr_loglevel, errors, options, only_check=True)


class Invocation:
    """The common part of all calls, before and after the process.

    Args:
        args: the command line.
        logger: the logger; ``None``: the logger ``venvrunner``.
        stdout_loglevel: what to do with the lines of standard output.
        stderr_loglevel: what to do with the lines of standard error.
        errors: the error handler for decoding.
        options: see :class:`~venvrunner._process.command.RunOptions`.
        taken: also gets the lines of standard output, for callers that iterate over them.
        only_check: check the arguments and log nothing; there will be no process.

    Raises:
        TypeError, ValueError: an argument is invalid.
    """

    def __init__(
        self,
        args: Sequence[StrPath],
        logger: object,
        stdout_loglevel: Level,
        stderr_loglevel: Level,
        errors: str,
        options: RunOptions,
        *,
        taken: deque[str] | None = None,
        only_check: bool = False,
    ) -> None:
        secrets = checks.strings("secrets", options.get("secrets", ()))
        try:
            self._prepare(args, logger, (stdout_loglevel, stderr_loglevel), errors, {**options, "secrets": secrets}, taken)
        except (TypeError, ValueError) as exc:
            failure = failures.masked(exc, secrets)
            failure.__context__ = None  # a UnicodeEncodeError there would show the whole text
        else:
            if not only_check:
                self._debug(f"Running subprocess: {self._shown!r}")
            self._began = monotonic()
            return
        raise failure

    def _prepare(
        self,
        args: Sequence[StrPath],
        logger: object,
        levels: tuple[Level, Level],
        errors: str,
        options: RunOptions,
        taken: deque[str] | None,
    ) -> None:
        """Check all arguments; open nothing."""
        if not isinstance(args, list):
            checks.refuse_text(args, logger, levels[0], secrets=options.get("secrets", ()))
        self.command = command = Command(args, options)
        self._errors = checks.check_errors(errors)
        self._redactor = Redactor(command.secrets)
        self._shown = self._redactor.mask_all(command.argv)
        of_logger = Levels(logging.getLogger("venvrunner") if logger is None else logger)
        sinks = {1: line_sink(levels[0], "stdout", of_logger, self._redactor, self._shown)}
        if taken is not None:
            sinks[1] = _both(taken.append, sinks[1])
        if not command.merge_stderr:
            sinks[2] = line_sink(levels[1], "stderr", of_logger, self._redactor, self._shown)
        self._streams = {
            number: Stream(sink, errors, carriage_return=command.carriage_return, keep=command.keep, encoding=command.encoding)
            for number, sink in sinks.items()
        }
        # Now, so that a logger without this level is refused before anything starts.
        self._info = None if command.heartbeat is None else of_logger.log("info", stream=None, command=self._shown)
        self._debug = of_logger.log("debug", stream=None, command=self._shown)

    def run(self, *, cancellable: bool = False) -> Run:
        """Return a run of the command in the current context.

        Args:
            cancellable: whether the caller can cancel the wait for a command that never exits.
        """
        return Run(self.command, self._streams, self._still_running, cancellable=cancellable)

    def _still_running(self, seconds: float) -> None:
        if self._info is not None:
            self._info(f"Still running after {seconds:.0f} s: {self._shown!r}")

    def __enter__(self) -> None:
        """Begin the block that runs the command."""

    def __exit__(self, _kind: object, event: BaseException | None, _traceback: object) -> None:
        """Turn the events of the block into public exceptions."""
        if isinstance(event, TimedOut):
            failure: CommandTimeoutError | CommandStoppedError = self._timeout(event.limit)
        elif isinstance(event, Stopped):
            failure = self._noted(CommandStoppedError(self.command.argv, event.reason, *self._texts(), shown=self._shown))
        else:
            return
        self._debug(f"stopped after {monotonic() - self._began:.2f} s: {failure}")
        raise failure from None

    def result(self, run: Run, *, check: bool) -> CompletedCommand:
        """Return the outcome of a command that exited by itself.

        Raises:
            ExitCodeLostError: its exit code is unknown.
            OutputDecodeError: the output has a bad byte and ``errors`` is strict.
            CommandError: the command failed and *check* is true.
        """
        argv, returncode = self.command.argv, run.returncode
        if returncode is None:
            raise self._noted(ExitCodeLostError(argv, lost_reason(), *self._texts(), shown=self._shown))
        self._debug(f"exit code {returncode} after {run.duration:.2f} s")
        try:
            stdout, stderr = [native_text(data.decode(self.command.encoding, self._errors)) for data in self._data()]
            for stream in self._streams.values():
                if stream.bad is not None:
                    raise stream.bad
        except UnicodeDecodeError as exc:
            failure = OutputDecodeError(*exc.args)
        else:
            if check and returncode:
                raise self._noted(CommandError(returncode, argv, stdout, stderr, shown=self._shown))
            done = CompletedCommand(self.command.given, returncode, stdout, stderr)
            done.duration = run.duration
            return done
        raise failure

    def _timeout(self, limit: Limit) -> CommandTimeoutError:
        is_silence = limit is Limit.SILENCE
        seconds = self.command.silence_timeout if is_silence else self.command.timeout
        stdout, stderr = self._texts()
        error = CommandTimeoutError(self.command.argv, seconds or 0.0, stdout, stderr, shown=self._shown, silence=is_silence)
        return self._noted(error)

    def _noted(self, error: _Error) -> _Error:
        """Return an exception with a note that shows the last lines of the output."""
        stdout, stderr = [
            whole_lines(str(text or ""), is_cut=number in self._streams and self._streams[number].begins_in_line())
            for number, text in ((1, error.stdout), (2, error.stderr))
        ]
        name, text = ("stderr", stderr) if stderr.strip() else ("stdout", stdout)
        if text.strip():
            lines = text.rstrip("\r\n").rsplit("\n", _NOTE_LINES)[-_NOTE_LINES:]
            # Mask before cutting: half a credential is not recognized, but is still a secret.
            shown = self._redactor.mask("\n".join(line.rstrip("\r") for line in lines)).rstrip()
            error.add_note(f"The last lines of {name}:\n{shown[-_NOTE_CHARS:]}")
        return error

    def _data(self) -> list[bytes]:
        return [self._streams[number].data() if number in self._streams else b"" for number in (1, 2)]

    def _texts(self) -> list[str]:
        """Return the output as text; under ``strict``, with bad bytes escaped."""
        texts: list[str] = []
        for data in self._data():
            try:
                texts.append(data.decode(self.command.encoding, self._errors))
            except UnicodeDecodeError:
                texts.append(data.decode(self.command.encoding, "backslashreplace"))
        return [native_text(text) for text in texts]


def _both(first: Callable[[str], Any], second: Callable[[str], Any] | None) -> Callable[[str], Any]:
    if second is None:
        return first
    return _Both(first, second)


class _Both:
    """Call two functions; the ``repr`` is that of the second, for messages."""

    def __init__(self, first: Callable[[str], Any], second: Callable[[str], Any]) -> None:
        self._first = first
        self._second = second

    def __call__(self, line: str) -> Any:
        self._first(line)
        return self._second(line)

    def __repr__(self) -> str:
        return repr(self._second)
