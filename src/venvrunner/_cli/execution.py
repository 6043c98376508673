"""The execution of a command in one environment: create it, install, run, delete, and tell how it ended."""

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any

from venvrunner import Receipt, VenvRunner
from venvrunner._cli.display import Lines, texts
from venvrunner._cli.environments import Order, prepare
from venvrunner._cli.exit_codes import FAILURE, NOT_EXECUTABLE, NOT_FOUND, SIGNAL, TIMEOUT
from venvrunner._cli.outcome import Outcome
from venvrunner._cli.streams import CopiedStream, OutputClosedError
from venvrunner._cli.time_limit import time_limit
from venvrunner._process import drivers
from venvrunner._process.command import Command, RunOptions, Stopped, TimedOut
from venvrunner._process.flow import Run
from venvrunner._process.session import lost_reason
from venvrunner._venv.pyvenv_cfg import read_settings
from venvrunner.exceptions import VenvError

if TYPE_CHECKING:
    from venvrunner._reports import Status

__tracebackhide__ = True

_PIPE = 13
"""The number of SIGPIPE, which ends a program when nothing reads its output."""


class _FailedError(Exception):
    """The command has no exit code of its own.

    Args:
        exit_code: the exit code instead.
        status: how it ended.
        why: the message, and notes.
    """

    def __init__(self, exit_code: int, status: "Status", why: list[str]) -> None:
        super().__init__(why[0])
        self.exit_code = exit_code
        self.status: Status = status
        self.why = why


class Execution:
    """The execution of a command in one environment.

    Args:
        label: the Python, as the user named it.
        order: what the environment is to have.
        command: the command line.
        options: the options of the command line.
        show: returns the context manager that shows the progress until the command runs.
        streams: the streams that do not go straight through.
        check: raises if a signal has been received.
    """

    def __init__(
        self,
        label: str,
        order: Order,
        command: Sequence[str],
        options: argparse.Namespace,
        show: Callable[[], AbstractContextManager[Lines]],
        streams: Mapping[int, CopiedStream],
        check: Callable[[], object] = bool,
    ) -> None:
        self._label = label
        self._order = order
        self._command = command
        self._options = options
        self._show = show
        self._streams = streams
        self._check = check
        self._receipts: list[Receipt] = []
        self._python = ("", "")
        self._began = self._duration = 0.0

    def perform(self) -> Outcome:
        """Return how it ended, after the environment was deleted unless it is kept."""
        started, why = time.time(), list[str]()
        status: Status = "passed"
        try:
            with ExitStack() as stack:
                exit_code = self._run(self._prepared(stack))
            if exit_code:
                status = "failed"
        except _FailedError as exc:
            exit_code, status, why = exc.exit_code, exc.status, exc.why
        except (VenvError, OSError) as exc:
            exit_code, status, why = FAILURE, "error", texts(exc)
        ends = {number: stream.end() for number, stream in self._streams.items()}
        return Outcome(
            self._label,
            self._command,
            exit_code,
            status,
            started,
            self._duration,
            self._receipts,
            self._python,
            ends.get(1, ""),
            ends.get(2, ""),
            why,
        )

    def _prepared(self, stack: ExitStack) -> VenvRunner:
        thread = threading.current_thread()
        mine = None if thread is threading.main_thread() else thread.ident
        with time_limit(self._options.install_timeout, thread=mine), self._show() as display:
            return prepare(self._order, display, stack, self._receipts, self._check)

    def _run(self, venv: VenvRunner) -> int:
        settings = read_settings(venv.venv_dir)
        version = settings.get("version_info", "") or settings.get("version", "")
        # The one in a temporary environment is gone when the report is read.
        executable = settings.get("executable", venv.python_executable)
        self._python = executable, ".".join(version.split(".")[:3])
        try:
            argv = venv.resolve(self._command)
        except ValueError as exc:
            raise _FailedError(NOT_FOUND, "error", texts(exc)) from None
        began = time.monotonic()
        try:
            return self._status(argv, self._started(argv, venv.environment()))
        except OutputClosedError:
            raise _FailedError(
                SIGNAL + _PIPE, "error", ["what reads the output has ended, so the command was stopped."]
            ) from None
        except OSError as exc:
            hint = "Check its mode, and the interpreter in its first line."
            why = f"{argv[0]!r} cannot be run: {exc.strerror}. {hint}"
            raise _FailedError(NOT_EXECUTABLE, "error", [why]) from None
        except TimedOut:
            limit = f"{self._options.timeout:g} seconds"
            why = f"{self._command[0]!r} timed out after {limit}. Use a larger --timeout."
            raise _FailedError(TIMEOUT, "timeout", [why]) from None
        except Stopped:
            raise _FailedError(SIGNAL, "error", [f"{self._command[0]!r} was stopped."]) from None
        finally:
            self._duration = time.monotonic() - began
            for stream in self._streams.values():
                stream.finish()

    def _started(self, argv: list[str], env: dict[str, str]) -> Run:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # pyright: ignore[reportUnnecessaryComparison]  the calling process may have closed it
                stream.flush()
        options = self._options
        keywords: RunOptions = {
            "env": env,
            "extra_env": dict(options.variables),
            "timeout": options.timeout,
            "stdin": subprocess.DEVNULL if sys.stdin is None or self._has_company() else 0,  # pyright: ignore[reportUnnecessaryComparison]  it may be closed
            "contain": options.contain,
            "cwd": options.cwd,
        }
        return drivers.run(Run(Command(argv, keywords), self._streams))

    def _has_company(self) -> bool:
        """Return whether other commands run at the same time, or later: none of them gets standard input."""
        return len(self._options.python) > 1

    def _status(self, argv: list[str], run: Any) -> int:
        if run.returncode is None:
            raise _FailedError(FAILURE, "error", [f"{argv[0]!r} {lost_reason()}"])
        code: int = run.returncode
        return SIGNAL - code if code < 0 else code
