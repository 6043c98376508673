"""The matrix: one command with several Pythons, each in an environment of its own, some at the same time."""

import argparse
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

from venvrunner._cli import github
from venvrunner._cli.display import PrefixedLines, annotation, say, shown, texts
from venvrunner._cli.environments import Order
from venvrunner._cli.execution import Execution
from venvrunner._cli.exit_codes import FAILURE
from venvrunner._cli.outcome import Outcome
from venvrunner._cli.signals import SignalledError
from venvrunner._cli.streams import PrefixedStream, writer
from venvrunner._create import interpreters
from venvrunner._process.running_commands import EVERYTHING
from venvrunner._redaction import Redactor
from venvrunner.exceptions import InterpreterNotFoundError

__tracebackhide__ = True

_COLOURS = (36, 33, 35, 32, 34)
"""ANSI colours of the prefixes, in turn."""
_AGAIN = 0.05
"""Seconds between two stops of all commands: a thread may be about to start another one."""


class _CancelledError(BaseException):
    """The matrix ends before this Python's turn, or between two of its steps."""


class Matrix:
    """One command with several Pythons.

    Args:
        order: what each environment is to have.
        command: the command line.
        options: the options of the command line.
    """

    def __init__(self, order: Order, command: Sequence[str], options: argparse.Namespace) -> None:
        self._order = order
        self._command = command
        self._options = options
        self._turn = threading.Lock()
        self._out, self._err = writer(sys.stdout, self._turn), writer(sys.stderr, self._turn)
        self._found: dict[int, Outcome] = {}
        self._broken: list[BaseException] = []
        self._is_cancelled = False
        pythons: list[str] = options.python
        self._waiting = deque(enumerate(pythons))
        self._width = max(map(len, pythons))

    def perform(self) -> list[Outcome]:
        """Run the command with each Python, and return the outcomes, in the order of the Pythons.

        Raises:
            SignalledError: a signal has ended it; no command runs any more, and no temporary environment is left.
        """
        count = min(self._options.jobs, len(self._waiting))
        threads = [threading.Thread(target=self._work, name=f"venvrunner-matrix-{number}") for number in range(count)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except SignalledError as exc:
            self._is_cancelled = True
            _stop(threads)
            say(f"Stopped by {exc.name}: nothing is left running.")
            raise
        if self._broken:
            raise self._broken[0]
        return [self._found[number] for number in sorted(self._found)]

    def _work(self) -> None:
        """Take one Python after the other."""
        try:
            while not self._is_cancelled:
                try:
                    number, python = self._waiting.popleft()
                except IndexError:
                    return
                self._found[number] = self._outcome(number, python)
        except _CancelledError:
            pass
        except BaseException as exc:  # noqa: BLE001  the main thread raises it
            self._broken.append(exc)

    def _check(self) -> None:
        if self._is_cancelled:
            raise _CancelledError

    def _outcome(self, number: int, python: str) -> Outcome:
        label = python.ljust(self._width)
        tell = partial(self._say, _prefix(label, number, sys.stderr))
        try:
            interpreters.find(python)
        except InterpreterNotFoundError as exc:
            status: Any = "skipped" if self._options.skip_missing and interpreters.is_missing(exc) else "missing"
            if status == "missing":
                _complain(tell, texts(exc))
            code = 0 if status == "skipped" else FAILURE
            return Outcome(python, self._command, code, status, time.time(), why=texts(exc))
        display = PrefixedLines(tell, python, quiet=self._options.quiet, verbose=self._options.verbose)
        is_safe = not github.is_here()
        streams = {
            1: PrefixedStream(self._out, _prefix(label, number, sys.stdout), is_safe=is_safe),
            2: PrefixedStream(self._err, _prefix(label, number, sys.stderr), is_safe=is_safe),
        }
        order = self._order._replace(python=python)
        show = partial(shown, display, "the command was not run")
        found = Execution(python, order, self._command, self._options, show, streams, self._check).perform()
        if found.why and not self._is_cancelled:
            _complain(tell, found.why)
        return found

    def _say(self, prefix: bytes, text: str, *, prefixed: bool = True) -> None:
        encoding = "utf-8" if sys.stderr is None else sys.stderr.encoding  # pyright: ignore[reportUnnecessaryComparison]  it may be closed
        lines = (github.inert(text) if prefixed and github.is_here() else text).splitlines()
        data = [(prefix if prefixed else b"") + line.encode(encoding, "backslashreplace") + b"\n" for line in lines]
        self._err(b"".join(data))


def _complain(tell: Any, why: Sequence[str]) -> None:
    if github.is_here():
        tell(annotation(why), prefixed=False)
    for text in why:
        tell(Redactor().mask(text))


def _prefix(label: str, number: int, stream: Any) -> bytes:
    """Return the prefix of a Python's lines, coloured on a terminal that has colours."""
    plain = f"{label} | "
    has_colours = stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
    return (f"\x1b[{_COLOURS[number % len(_COLOURS)]}m{plain}\x1b[0m" if has_colours else plain).encode()


def _stop(threads: Sequence[threading.Thread]) -> None:
    """Stop all commands until the threads have ended; a further signal ends them at once."""
    while True:
        try:
            while any(thread.is_alive() for thread in threads):
                for command in EVERYTHING:
                    command.request_stop("venvrunner was stopped")
                for thread in threads:
                    if thread.ident is not None:
                        thread.join(_AGAIN)
        except SignalledError:
            for command in EVERYTHING:
                command.hurry()
        else:
            return
