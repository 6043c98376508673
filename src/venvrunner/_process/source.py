"""The source of a command's output, as the flow sees it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol


class Source(Protocol):
    """The source of a command's output: a child, or the canned output of a double.

    Attributes:
        returncode: the exit code; ``None``: the command has not exited, or its exit code is lost.
    """

    returncode: int | None

    def interests(self) -> Mapping[int, bool]:
        """Return the descriptors to wait for; true: until it can be written to, false: until it can be read."""
        ...

    def pause(self) -> float | None:
        """Return the seconds until the next check, for changes that send no event."""
        ...

    def take(self, ready: Iterable[int], share: Mapping[int, int]) -> Iterator[tuple[int, bytes]]:
        """Write and read without waiting; yield the number of a stream and bytes, no bytes at its end.

        Args:
            ready: the descriptors that are ready.
            share: how many bytes of each stream to read at most.
        """
        ...

    def mute(self) -> None:
        """Stop writing and reading."""
        ...

    def rest(self) -> Iterator[tuple[int, bytes]]:
        """Yield the output that can still be read without waiting, after all writers have ended."""
        ...

    def look(self) -> Mapping[int, int] | None:
        """Return the number of unread bytes of each stream, once, when the command has exited; otherwise ``None``."""
        ...

    def dry(self) -> Iterable[int]:
        """Return the streams of an exited command that have no more data, where :meth:`look` could not count the bytes."""
        ...

    def send(self, signum: int) -> None:
        """Send a signal to the command and its session."""
        ...

    def kill(self) -> None:
        """Kill the command and its session, and wait a few seconds at most for its exit."""
        ...

    def empty(self) -> bool:
        """Return whether the command and its session have ended."""
        ...

    def close(self) -> None:
        """Close every descriptor. A second call does nothing."""
        ...
