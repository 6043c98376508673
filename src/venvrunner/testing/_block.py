"""What is used in a block and does something at its end."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

__tracebackhide__ = True


class Block(ABC):
    """Can be used in ``with`` and ``async with`` blocks, which get the object itself."""

    @abstractmethod
    def _end(self) -> None:
        """Do what is to be done at the end of a block that no exception leaves."""

    def __enter__(self) -> Self:
        """Return the object itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """End, unless an exception is on its way."""
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
