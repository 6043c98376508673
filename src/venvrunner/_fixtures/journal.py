"""What the commands of a test did, told by the report of a test that fails, and how it has ended."""

import collections
import contextlib
import shlex
import subprocess
from collections.abc import Generator, Iterable, MutableMapping, Sequence
from typing import Any, Literal, TypeVar

import pytest

from venvrunner._process import context
from venvrunner._process.capture import Capture
from venvrunner._process.checks import check_args, strings
from venvrunner._process.sinks import Redactor
from venvrunner._types import StrPath
from venvrunner.exceptions import CommandTimeoutError

__tracebackhide__ = True

TITLE = "venvrunner commands"
"""The heading in the report."""
_COMMANDS = 20
"""The last commands, which are shown."""
_LINES = 20
"""Lines that are shown of each stream."""
_PIECES = 1000
"""Pieces of output that are kept of a running command, should an exception end it."""
_CHARS = 500
"""Characters that are shown of a line."""

_Done = TypeVar("_Done", bound=subprocess.CompletedProcess[str])


class Journal:
    """The commands of the test that is running; as a plugin, it adds them to the report of a failure.

    Attributes:
        outcome: how the test has ended, without its fixtures' ends, as its report has it: ``"passed"``, ``"failed"``, or
            ``"skipped"``, as also who fails as expected; ``None``: not yet, or it was interrupted.
        uses_mark: whether an environment was asked for, of which the mark may speak.
        carried: what each report carries to the process that prints it.
    """

    outcome: Literal["passed", "failed", "skipped"] | None

    def __init__(self) -> None:
        self.carried: dict[str, object] = {}
        self._forget()

    @contextlib.contextmanager
    def note(self, args: Sequence[StrPath], options: MutableMapping[str, Any]) -> Generator["Entry"]:
        """Note a command that runs in the block.

        Args:
            args: the command line.
            options: those of ``log_run``; an iterator of secrets is replaced by what it yields.

        Raises:
            TypeError, ValueError: an argument is wrong.
        """
        if "secrets" in options:
            options["secrets"] = strings("secrets", options["secrets"])
        entry, tap = Entry(check_args(args), options.get("secrets", ())), Capture(_PIECES)
        self._left_out += len(self._entries) == _COMMANDS
        self._entries.append(entry)
        try:
            with context.surrounded(watcher=tap):
                yield entry
            if not entry.has_ended:
                entry.end(*_seen(tap))
        except subprocess.CalledProcessError as exc:
            entry.end(f"exit code {exc.returncode}", exc.stdout, exc.stderr)
            raise
        except CommandTimeoutError as exc:
            entry.end(f"ended after {exc.timeout:g} seconds", exc.output, exc.stderr)
            raise
        except BaseException as exc:
            entry.end(*_seen(tap, f"ended by {type(exc).__name__}"))
            raise

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """Forget what another test did, or the same one when it ran before."""
        self._forget()

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # around those that change a report
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Take note of success, and add the commands to the report of a failure."""
        report = yield
        vars(report).update(self.carried)
        # Also that of a subtest; the test's own is the last. Another fixture may have skipped it.
        if self.outcome != "failed" and (report.when == "call" or (report.when == "setup" and report.skipped)):
            self.outcome = report.outcome
        if report.failed and self._entries:
            left_out = [f"… {self._left_out} commands …"] if self._left_out else []
            text = "\n".join([*left_out, *(entry.text for entry in self._entries)])
            # pytest-xdist can't send what is no UTF-8, such as a name of a file that is none.
            report.sections.append((TITLE, text.encode(errors="backslashreplace").decode()))
        return report

    def _forget(self) -> None:
        self.outcome = None
        self.uses_mark = False
        self._entries = collections.deque[Entry](maxlen=_COMMANDS)
        self._left_out = 0


class Entry:
    r"""One command and what became of it, for people: with the last lines of its output; credentials are masked.

    Args:
        args: the command line.
        secrets: what has to be masked in it and in its output.

    Attributes:
        text: that.
        has_ended: whether the end was noted.

    >>> entry = Entry(["git", "clone", "https://me:pw@host/x"], [])
    >>> _ = entry.done(subprocess.CompletedProcess([], 128, "", "fatal: no such host\n"))
    >>> print(entry.text)
    $ git clone 'https://****@host/x'
    exit code 128
    stderr: fatal: no such host
    """

    def __init__(self, args: list[str], secrets: Iterable[str]) -> None:
        self._redactor = Redactor(secrets)
        self._command = f"$ {shlex.join(self._redactor.mask_all(args))}"
        self.end("still running")
        self.has_ended = False

    def end(self, outcome: str, stdout: str | None = None, stderr: str | None = None) -> None:
        """Note how it ended, and the end of what it wrote."""
        parts = [self._command, outcome]
        for name, text in (("stdout", stdout), ("stderr", stderr)):
            if text and text.strip():
                lines = text.rstrip("\r\n").rsplit("\n", _LINES)
                if len(lines) > _LINES:
                    lines[0] = f"… {lines[0].count(chr(10)) + 1} lines …"
                # Masked before it is cut: half a credential is no longer recognised.
                shown = [_cut(line) for line in self._redactor.mask("\n".join(lines)).split("\n")]
                parts.append("\n".join([f"{name}: {shown[0]}"] if len(shown) == 1 else [f"{name}:", *shown]))
        self.text = "\n".join(parts)
        self.has_ended = True

    def done(self, result: _Done) -> _Done:
        """Note a result, and return it."""
        self.end(f"exit code {result.returncode}", result.stdout, result.stderr)
        return result


def _seen(tap: Capture, *end: str) -> list[str]:
    """Return how a command ended, and what it wrote, as far as nobody else tells."""
    code = [] if tap.returncode is None else [f"exit code {tap.returncode}"]
    output = (b"".join(data for stream, data in tap.chunks if stream == number) for number in (1, 2))
    return [", then ".join([*code, *end]), *(data.decode(errors="backslashreplace") for data in output)]


def _cut(line: str) -> str:
    return line if len(line) <= _CHARS else f"{line[:_CHARS]} …"
