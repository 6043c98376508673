"""Output that is known already, as a source: of a double, or of a faked process."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping

__tracebackhide__ = True

Output = Iterable[tuple[int, bytes]]
"""What a command has written: 1 or 2 for the stream, and the bytes, in their order."""


class CannedOutput:
    """Does as if a process had written the output at once.

    Args:
        output: what it has written.
        returncode: its exit status; ``None``: it never ends by itself.
        unending: returns what to raise then.
        patience: seconds to wait before that is raised, once all is delivered.
    """

    def __init__(
        self,
        output: Output,
        returncode: int | None,
        unending: Callable[[], BaseException] = RuntimeError,
        patience: float = 0.0,
    ) -> None:
        self.returncode = returncode
        self._output = iter(output)
        self._unending = unending
        self._patience = patience
        self._end: float | None = None
        self._told = False

    def interests(self) -> Mapping[int, bool]:
        return {}

    def pause(self) -> float | None:
        return 0.0 if self._end is None else max(0.0, self._end - time.monotonic())

    def take(self, ready: Iterable[int], share: Mapping[int, int]) -> Iterator[tuple[int, bytes]]:
        if self._end is None:
            yield from ((number, data) for number, data in self._output if data and number in share)
            self._end = time.monotonic() + self._patience
            if self.returncode is not None:
                yield from ((number, b"") for number in share)
        elif self.returncode is None and time.monotonic() >= self._end:
            raise self._unending()

    def mute(self) -> None:
        """Do nothing: nothing is read."""

    def rest(self) -> Iterator[tuple[int, bytes]]:
        yield from ()

    def look(self) -> Mapping[int, int] | None:
        if self._told or self._end is None or self.returncode is None:
            return None
        self._told = True
        return {}

    def dry(self) -> Iterable[int]:
        return ()

    def send(self, signum: int) -> None:
        """Do nothing: there is no process."""

    def kill(self) -> None:
        """Do nothing."""

    def empty(self) -> bool:
        return True

    def close(self) -> None:
        """Do nothing."""
