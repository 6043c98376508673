"""What the commands of a test did, told by the report of a test that fails."""

import contextlib
import shlex
import subprocess
from collections.abc import Generator, Iterable, MutableMapping, Sequence
from typing import Any, TypeVar

import pytest

from venvrunner._process.command import StrPath, check_args, strings
from venvrunner._process.sinks import Redactor
from venvrunner.exceptions import CommandTimeoutError

TITLE = "venvrunner commands"
"""The heading in the report."""
_LINES = 20
"""Lines that are shown of each stream."""
_CHARS = 500
"""Characters that are shown of a line."""

_Done = TypeVar("_Done", bound=subprocess.CompletedProcess[str])


class Journal:
    """The commands of the test that is running; as a plugin, it adds them to the report of a failure."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

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
        entry = Entry(check_args(args), options.get("secrets", ()))
        self._entries.append(entry)
        try:
            yield entry
        except subprocess.CalledProcessError as exc:
            entry.end(f"exit code {exc.returncode}", exc.stdout, exc.stderr)
            raise
        except CommandTimeoutError as exc:
            entry.end(f"ended after {exc.timeout:g} seconds", exc.output, exc.stderr)
            raise
        except BaseException as exc:
            entry.end(f"ended by {type(exc).__name__}")
            raise

    def pytest_runtest_logfinish(self) -> None:
        """Forget what a test did, as soon as it has been reported."""
        self._entries.clear()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add the commands to the report of a failure."""
        report = yield
        if report.failed and self._entries:
            text = "\n".join(entry.text() for entry in self._entries)
            # pytest-xdist can't send what is no UTF-8, such as a name of a file that is none.
            report.sections.append((TITLE, text.encode(errors="backslashreplace").decode()))
        return report


class Entry:
    """One command and what became of it.

    Args:
        args: the command line.
        secrets: what has to be masked in it and in its output.
    """

    def __init__(self, args: list[str], secrets: Iterable[str]) -> None:
        self._args = args
        self._secrets = secrets
        self.end("still running")

    def end(self, outcome: str, stdout: str | None = None, stderr: str | None = None) -> None:
        """Note how it ended, and what it wrote."""
        self._outcome = outcome
        self._output = {"stdout": stdout, "stderr": stderr}

    def done(self, result: _Done) -> _Done:
        """Note a result, and return it."""
        self.end(f"exit code {result.returncode}", result.stdout, result.stderr)
        return result

    def text(self) -> str:
        r"""Return it for people, with the last lines of its output; credentials are masked.

        >>> entry = Entry(["git", "clone", "https://me:pw@host/x"], [])
        >>> _ = entry.done(subprocess.CompletedProcess([], 128, "", "fatal: no such host\n"))
        >>> print(entry.text())
        $ git clone 'https://****@host/x'
        exit code 128
        stderr: fatal: no such host
        """
        redactor = Redactor(self._secrets)
        parts = [f"$ {shlex.join(redactor.mask_all(self._args))}", self._outcome]
        for name, text in self._output.items():
            if text and text.strip():
                lines = text.rstrip("\r\n").rsplit("\n", _LINES)
                if len(lines) > _LINES:
                    lines[0] = f"… {lines[0].count(chr(10)) + 1} lines …"
                # Masked before it is cut: half a credential is no longer recognised.
                shown = [_cut(line) for line in redactor.mask("\n".join(lines)).split("\n")]
                parts.append("\n".join([f"{name}: {shown[0]}"] if len(shown) == 1 else [f"{name}:", *shown]))
        return "\n".join(parts)


def _cut(line: str) -> str:
    return line if len(line) <= _CHARS else f"{line[:_CHARS]} …"
