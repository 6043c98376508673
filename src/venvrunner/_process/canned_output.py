"""Canned output: the source of a command that runs no process, for test doubles and faked processes."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from venvrunner._process.clock import monotonic

__tracebackhide__ = True

Output = Iterable[tuple[int, bytes]]
"""The output of a command: 1 or 2 for the stream, and bytes, in the order of writing."""


class CannedOutput:
    """Deliver known output as if a process had written it at once.

    Args:
        output: the output.
        returncode: the exit code; ``None``: the command never exits.
        unending: returns the exception to raise for a command that never exits.
        delay: seconds from the last output until that exception is raised.
    """

    def __init__(
        self,
        output: Output,
        returncode: int | None,
        unending: Callable[[], BaseException] = RuntimeError,
        delay: float = 0.0,
    ) -> None:
        self.returncode = returncode
        self._output = iter(output)
        self._unending = unending
        self._delay = delay
        self._end: float | None = None
        self._exit_reported = False

    def interests(self) -> Mapping[int, bool]:
        return {}

    def pause(self) -> float | None:
        return 0.0 if self._end is None else max(0.0, self._end - monotonic())

    def take(self, ready: Iterable[int], share: Mapping[int, int]) -> Iterator[tuple[int, bytes]]:
        if self._end is None:
            yield from ((number, data) for number, data in self._output if data and number in share)
            self._end = monotonic() + self._delay
            if self.returncode is not None:
                yield from ((number, b"") for number in share)
        elif self.returncode is None and monotonic() >= self._end:
            raise self._unending()

    def mute(self) -> None:
        """Do nothing: nothing is read."""

    def rest(self) -> Iterator[tuple[int, bytes]]:
        yield from ()

    def look(self) -> Mapping[int, int] | None:
        if self._exit_reported or self._end is None or self.returncode is None:
            return None
        self._exit_reported = True
        return {}

    def dry(self) -> Iterable[int]:
        return ()

    def send(self, signum: int) -> None:
        """Do nothing: there is no process."""

    def kill(self) -> None:
        """Do nothing: there is no process."""

    def empty(self) -> bool:
        return True

    def close(self) -> None:
        """Do nothing: there is no process."""
