"""The signals that end the command line, as exceptions."""

import signal
from collections.abc import Callable, Iterable
from types import FrameType
from typing import NoReturn

from venvrunner._cli.exit_codes import SIGNAL

__tracebackhide__ = True

_ENDING = ["SIGINT", "SIGTERM", "SIGHUP"]


def guarded(task: "Callable[[Signals], int]") -> int:
    """Return the exit code of a task, or that of the signal that ended it.

    Args:
        task: the task; it checks the signals after each step.
    """
    signals = Signals()
    signals.take(_ENDING)
    try:
        return task(signals)
    except SignalledError as exc:
        return exc.status


class SignalledError(SystemExit):
    """A signal that ends the program, as an exception that no ``except Exception`` catches."""

    def __init__(self, signum: int) -> None:
        super().__init__(SIGNAL + signum)
        self.status = SIGNAL + signum
        self.name = "Ctrl-C" if signum == signal.SIGINT else signal.Signals(signum).name


class InterruptError(SignalledError, KeyboardInterrupt):
    """Ctrl-C as such an exception: as a ``KeyboardInterrupt``, it also makes the command get SIGINT first."""


class Signals:
    """Raises an exception for each signal that ends the program, and remembers the signal.

    Python drops an exception that a handler raises in a finalizer, in the callback of a weak reference (each import has one),
    or where C code checks for signals and ignores errors.
    """

    def __init__(self) -> None:
        self._received: list[int] = []

    def take(self, names: Iterable[str]) -> None:
        """Install handlers for these signals, except for those that are ignored, as under nohup."""
        for name in names:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._raise)

    def check(self) -> None:
        """Raise the exception of a received signal again if Python dropped it."""
        if self._received:
            raise _error_of(self._received[0])

    def _raise(self, signum: int, frame: FrameType | None) -> NoReturn:
        self._received.append(signum)
        raise _error_of(signum)


def _error_of(signum: int) -> SignalledError:
    return InterruptError(signum) if signum == signal.SIGINT else SignalledError(signum)
