"""One call of `log_run` or `async_log_run`: checked, logged, and concluded in one way for both."""

import subprocess
from collections.abc import Sequence

from venvrunner._process.command import Command, RunOptions, StrPath, check_errors
from venvrunner._process.lines import Stream
from venvrunner._process.sinks import OutputCallback, Redactor, line_sink, log_method
from venvrunner.exceptions import CommandError, CommandTimeoutError

_NOTE_LINES = 10
_NOTE_CHARS = 2000


class Invocation:
    """What is common to the sync and the async call, before and after the process.

    Args:
        args: the command line.
        logger: ``None``: the logger ``venvrunner``.
        stdout_loglevel: where the lines of standard output go.
        stderr_loglevel: where those of standard error go.
        errors: how a bad byte is decoded.
        options: see :class:`~venvrunner._process.command.RunOptions`.

    Raises:
        TypeError, ValueError: an argument is wrong.
    """

    def __init__(
        self,
        args: Sequence[StrPath],
        logger: object,
        stdout_loglevel: str | OutputCallback | None,
        stderr_loglevel: str | OutputCallback | None,
        errors: str,
        options: RunOptions,
    ) -> None:
        self.command = Command(args, options)
        self._errors = check_errors(errors)
        self._redactor = Redactor(self.command.secrets)
        if logger is None:
            import logging  # noqa: PLC0415  slow to import

            logger = logging.getLogger("venvrunner")
        self._shown = self._redactor.mask_all(self.command.argv)
        self.streams = {
            1: Stream(line_sink(stdout_loglevel, "stdout", logger, self._redactor, self._shown), errors),
            2: Stream(line_sink(stderr_loglevel, "stderr", logger, self._redactor, self._shown), errors),
        }
        if self.command.heartbeat is not None:
            log = log_method(logger, "info", stream=None, command=self._shown)
            self.command.on_silence = lambda seconds: log(f"Still running after {seconds:.0f} s: {self._shown!r}")
        log_method(logger, "debug", stream=None, command=self._shown)(f"Running subprocess: {self._shown!r}")

    def result(self, returncode: int, *, check: bool) -> subprocess.CompletedProcess[str]:
        """Return the outcome of a process that ended by itself.

        Raises:
            UnicodeDecodeError: the output has a bad byte and ``errors`` is strict.
            CommandError: it failed and *check* is true.
        """
        stdout, stderr = (self.streams[number].data().decode("utf-8", self._errors) for number in (1, 2))
        argv = self.command.argv
        if check and returncode:
            error = CommandError(returncode, argv, stdout, stderr, shown=self._shown)
            self._add_note(error, stdout, stderr)
            raise error
        return subprocess.CompletedProcess(argv, returncode, stdout, stderr)

    def timeout(self) -> CommandTimeoutError:
        """Return the exception for a command whose time was up."""
        stdout, stderr = (self._partial_text(self.streams[number].data()) for number in (1, 2))
        error = CommandTimeoutError(self.command.argv, self.command.timeout or 0.0, stdout, stderr, shown=self._shown)
        self._add_note(error, stdout, stderr)
        return error

    def _add_note(self, error: BaseException, stdout: str, stderr: str) -> None:
        name, text = ("stderr", stderr) if stderr.strip() else ("stdout", stdout)
        if text.strip():
            lines = text.rstrip("\r\n").rsplit("\n", _NOTE_LINES)[-_NOTE_LINES:]
            # Mask before cutting: half a credential is no longer recognised, and still a secret.
            shown = self._redactor.mask("\n".join(line.rstrip("\r") for line in lines)).rstrip()
            error.add_note(f"The last lines of {name}:\n{shown[-_NOTE_CHARS:]}")

    def _partial_text(self, data: bytes) -> str:
        try:
            return data.decode("utf-8", self._errors)
        except UnicodeDecodeError:
            return data.decode("utf-8", "backslashreplace")
