"""Where the output of a command comes from, as the flow sees it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol


class Source(Protocol):
    """Where the output of a command comes from: a child, or what a double knows already.

    Attributes:
        returncode: the exit status; ``None``: the command has not ended, or its status was lost.
    """

    returncode: int | None

    def interests(self) -> Mapping[int, bool]:
        """Return the descriptors to wait for; true: until it can be written to."""
        ...

    def pause(self) -> float | None:
        """Return the seconds after which to look again, for what sends no event."""
        ...

    def take(self, ready: Iterable[int], share: Mapping[int, int]) -> Iterator[tuple[int, bytes]]:
        """Write and read what can be without waiting; yield the number of a stream and bytes, none at its end.

        Args:
            ready: the descriptors that are ready.
            share: how many bytes of each stream to read at most.
        """
        ...

    def mute(self) -> None:
        """Write and read no more."""
        ...

    def rest(self) -> Iterator[tuple[int, bytes]]:
        """Yield what can still be read without waiting, once all that could write more has ended."""
        ...

    def look(self) -> Mapping[int, int] | None:
        """Return, once, how many bytes of each stream are still to be read, when the command has ended."""
        ...

    def dry(self) -> Iterable[int]:
        """Return the streams of an ended command that hold nothing more, where the system does not tell how much."""
        ...

    def send(self, signum: int) -> None:
        """Send a signal to the command and all that it started."""
        ...

    def kill(self) -> None:
        """Kill the command and all that it started, and wait a few seconds at most until the command has ended."""
        ...

    def empty(self) -> bool:
        """Return whether the command has ended and all that it started too."""
        ...

    def close(self) -> None:
        """Close every descriptor; more than once does no harm."""
        ...
