"""What surrounds a command beyond its arguments.

No options, because a caller who patches ``log_run`` is to see what was called, and nothing else.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol

from venvrunner._process.command import Command
from venvrunner._process.lines import Stream
from venvrunner._process.source import Source

__tracebackhide__ = True


class Interceptor(Protocol):
    """Sees a command from its beginning to its end, and may stand in for its process."""

    def begin(
        self, command: Command, streams: Mapping[int, Stream], *, cancellable: bool
    ) -> tuple[Mapping[int, Stream], Source | None]:
        """Return the streams to use, and what to use in place of a process; ``None``: start one.

        Args:
            command: what is about to run.
            streams: where its output goes.
            cancellable: whether the caller can end the wait for a command that goes on for ever.
        """
        ...

    def end(self, returncode: int | None) -> None:
        """Note the exit status of a command that has ended by itself."""
        ...


class CallContext(NamedTuple):
    """What surrounds the next command.

    Attributes:
        watcher: an attendant that only looks.
        driver: an attendant that may stand in for the process.
        passed: descriptors that the command inherits.
        stoppers: who wants to know of a running command, to stop it.
    """

    watcher: Interceptor | None = None
    driver: Interceptor | None = None
    passed: tuple[int, ...] = ()
    stoppers: tuple[Any, ...] = ()


_NOTHING = CallContext()
_CONTEXT: ContextVar[CallContext] = ContextVar("venvrunner.ambient", default=_NOTHING)


def current() -> CallContext:
    """Return what surrounds the next command."""
    return _CONTEXT.get()


def surrounded(**changes: Any) -> AbstractContextManager[None]:
    """Surround the commands of a block with something more.

    Args:
        **changes: attributes of :class:`CallContext`.
    """
    return _Surrounded(_CONTEXT.get()._replace(**changes))


def alone() -> AbstractContextManager[None]:
    """Surround the commands of a block with nothing: one that a callback runs is not part of the first."""
    return _Surrounded(_NOTHING)


class _Surrounded(AbstractContextManager[None]):
    def __init__(self, value: CallContext) -> None:
        self._value = value

    def __enter__(self) -> None:
        self._token = _CONTEXT.set(self._value)

    def __exit__(self, *_error: object) -> None:
        with suppress(ValueError):  # a coroutine is closed in another context than its own
            _CONTEXT.reset(self._token)
