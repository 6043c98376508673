"""The journal of a test: its commands, which the report of a failed test shows, and the outcome of the test."""

import collections
import contextlib
import shlex
import subprocess
import weakref
from collections.abc import Generator, Iterable, MutableMapping, Sequence
from typing import Any, Literal, TypeVar

import pytest

from venvrunner._fixtures.failures import add_commands, end_in_test, shorten
from venvrunner._process import context
from venvrunner._process.capture import Capture
from venvrunner._process.checks import check_args, kept_secrets
from venvrunner._redaction import Redactor, fills, whole_lines
from venvrunner._types import StrPath
from venvrunner.exceptions import CommandError, CommandTimeoutError

__tracebackhide__ = True

_COMMANDS = 20
"""How many of the last commands are shown."""
_LINES = 20
"""How many of the last lines of each stream are shown."""
_PIECES = 1000
"""How many of the last pieces of output of a running command are kept, in case an exception ends it."""
_CHARS = 500
"""Maximum number of characters of a line that are shown."""

_PLAIN = (CommandError, CommandTimeoutError)
"""The exceptions that say no more than the outcome of a command; the classes below them say why."""
_Done = TypeVar("_Done", bound=subprocess.CompletedProcess[str])


class Journal:
    """The commands of the running test; as a plugin, it adds them to the report of a failure.

    Attributes:
        outcome: the outcome of the test without the teardown of its fixtures, as in its report: ``"passed"``, ``"failed"`` or
            ``"skipped"``, which includes an expected failure; ``None`` before the end, or if the test was interrupted.
        uses_mark: whether an environment was requested to which the mark may apply.
        carried: the items that each report carries to the process that prints it.
    """

    outcome: Literal["passed", "failed", "skipped"] | None

    def __init__(self) -> None:
        self.carried: dict[str, object] = {}
        self._forget()

    @contextlib.contextmanager
    def note(self, args: Sequence[StrPath], options: MutableMapping[str, Any]) -> Generator["Entry"]:
        """Record a command that runs in the block.

        Args:
            args: the command line.
            options: the keywords of ``log_run``; an iterator of secrets is replaced by a list.

        Raises:
            TypeError, ValueError: an argument is wrong.
        """
        secrets = kept_secrets(options)
        self._secrets.update(secrets)
        entry, capture = Entry(check_args(args, secrets), secrets, options.get("keep")), Capture(_PIECES)
        self._left_out += len(self._entries) == _COMMANDS
        self._entries.append(entry)
        try:
            with context.surrounded(watcher=capture):
                yield entry
            if not entry.has_ended:
                entry.end(*_seen(capture))
        except subprocess.CalledProcessError as exc:
            entry.end(f"exit code {exc.returncode}", exc.stdout, exc.stderr, error=exc)
            raise
        except CommandTimeoutError as exc:
            entry.end(f"ended after {exc.timeout:g} seconds", exc.output, exc.stderr, error=exc)
            raise
        except BaseException as exc:
            entry.end(*_seen(capture, f"ended by {type(exc).__name__}"))
            raise

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """Forget the commands of the previous test, or of a previous run of this one."""
        self._forget()

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # around the hooks that change a report
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Record the outcome, and add the commands to the report of a failure."""
        report = yield
        vars(report).update(self.carried)
        # Subtests have reports too; the test's own is the last. Another fixture may have skipped the test.
        if self.outcome != "failed" and (report.when == "call" or (report.when == "setup" and report.skipped)):
            self.outcome = report.outcome
        if report.failed and call.excinfo is not None:
            error = call.excinfo.value
            shorten(report, error, next((entry.summary for entry in self._entries if entry.is_ended_by(error)), None))
        if report.failed and self._entries:
            left_out = [f"… {self._left_out} commands …"] if self._left_out else []
            text = "\n".join([*left_out, *(entry.text for entry in self._entries)])
            # pytest-xdist cannot send text that is not valid UTF-8, such as some file names.
            add_commands(report, text.encode(errors="backslashreplace").decode())
        return report

    @pytest.hookimpl(tryfirst=True)  # before the debugger
    def pytest_exception_interact(self, node: pytest.Item | pytest.Collector, call: pytest.CallInfo[Any]) -> None:
        """Let the debugger start in the test, not in a frame that the report hides."""
        if call.excinfo is not None and not node.config.getoption("fulltrace"):
            end_in_test(call.excinfo.value)

    def masked(self, text: str) -> str:
        """Return a text that comes from the commands of the test, with their credentials masked."""
        return Redactor(self._secrets).mask(text)

    def _forget(self) -> None:
        self._secrets = set[str]()
        self.outcome = None
        self.uses_mark = False
        self._entries = collections.deque[Entry](maxlen=_COMMANDS)
        self._left_out = 0


class Entry:
    r"""The report of one command: its outcome and the last lines of its output, with credentials masked.

    Args:
        args: the command line.
        secrets: the strings to mask in it and in its output.
        keep: how many bytes of each stream its result has; default ``None``: all.

    Attributes:
        text: the report.
        summary: the outcome and the command line.
        has_ended: whether the outcome is recorded.

    >>> entry = Entry(["git", "clone", "https://me:pw@host/x"], [])
    >>> _ = entry.done(subprocess.CompletedProcess([], 128, "", "fatal: no such host\n"))
    >>> print(entry.text)
    $ git clone 'https://****@host/x'
    exit code 128
    stderr: fatal: no such host
    """

    def __init__(self, args: list[str], secrets: Iterable[str], keep: int | None = None) -> None:
        self._keep = keep
        self._redactor = Redactor(secrets)
        self._command = f"$ {shlex.join(self._redactor.mask_all(args))}"
        self.end("still running")
        self.has_ended = False

    def end(
        self, outcome: str, stdout: str | None = None, stderr: str | None = None, *, error: BaseException | None = None
    ) -> None:
        """Record the outcome and the last lines of output, and the exception that reports it."""
        self._error = None if type(error) not in _PLAIN else weakref.ref(error)  # its frames would keep environments
        self.summary = f"{outcome}: {self._command.removeprefix('$ ')}".encode(errors="backslashreplace").decode()
        parts = [self._command, outcome]
        for name, given in (("stdout", stdout), ("stderr", stderr)):
            text = whole_lines(given or "", is_cut=fills(given or "", self._keep))
            if text.strip():
                lines = text.rstrip("\r\n").rsplit("\n", _LINES)
                if len(lines) > _LINES:
                    lines[0] = f"… {lines[0].count(chr(10)) + 1} lines …"
                # Masked before it is cut: half a credential would not be recognized.
                shown = [_cut(line) for line in self._redactor.mask("\n".join(lines)).split("\n")]
                parts.append("\n".join([f"{name}: {shown[0]}"] if len(shown) == 1 else [f"{name}:", *shown]))
        self.text = "\n".join(parts)
        self.has_ended = True

    def is_ended_by(self, error: BaseException) -> bool:
        """Return whether an exception says no more than the outcome and the output of this command."""
        return self._error is not None and self._error() is error

    def done(self, result: _Done) -> _Done:
        """Record a result, and return it."""
        self.end(f"exit code {result.returncode}", result.stdout, result.stderr)
        return result


def _seen(capture: Capture, *end: str) -> list[str]:
    """Return the outcome and the output of a command as far as they were captured."""
    code = [] if capture.returncode is None else [f"exit code {capture.returncode}"]
    output = (b"".join(data for stream, data in capture.chunks if stream == number) for number in (1, 2))
    texts = (data.decode(errors="backslashreplace") for data in output)
    return [", then ".join([*code, *end]), *(whole_lines(text, is_cut=len(capture.chunks) == _PIECES) for text in texts)]


def _cut(line: str) -> str:
    return line if len(line) <= _CHARS else f"{line[:_CHARS]} …"
