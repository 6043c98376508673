"""Context managers, sync and async, that return themselves and act at the end of a block."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

__tracebackhide__ = True


class Block(ABC):
    """A context manager for ``with`` and ``async with`` that returns itself."""

    @abstractmethod
    def _end(self) -> None:
        """Act at the end of a block that no exception leaves."""

    def __enter__(self) -> Self:
        """Return the object itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Act at the end of the block, unless an exception leaves it."""
        if error is None:
            self._end()

    async def __aenter__(self) -> Self:
        """Return the object itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Same as the end of a ``with`` block."""
        self.__exit__(kind, error, traceback)
