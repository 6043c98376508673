"""The context of the next command: interceptors, inherited descriptors, and the sets of commands it belongs to.

It is a context variable, not an argument: a caller who patches ``log_run`` sees only the arguments of the call.
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
    """Sees a command from its start to its exit, and may replace its process."""

    def begin(
        self, command: Command, streams: Mapping[int, Stream], *, cancellable: bool
    ) -> tuple[Mapping[int, Stream], Source | None]:
        """Return the streams to use, and the source that replaces the process; ``None``: start the process.

        Args:
            command: the command that is about to run.
            streams: its output streams.
            cancellable: whether the caller can cancel the wait for a command that never exits.
        """
        ...

    def end(self, returncode: int | None) -> None:
        """Note the exit code of a command that has exited by itself."""
        ...


class CallContext(NamedTuple):
    """The context of the next command.

    Attributes:
        watcher: an interceptor that only watches.
        driver: an interceptor that may replace the process.
        passed: descriptors that the command inherits.
        stoppers: the sets of running commands that the command joins, so that they can stop it.
    """

    watcher: Interceptor | None = None
    driver: Interceptor | None = None
    passed: tuple[int, ...] = ()
    stoppers: tuple[Any, ...] = ()


_NOTHING = CallContext()
_CONTEXT: ContextVar[CallContext] = ContextVar("venvrunner.context", default=_NOTHING)


def current() -> CallContext:
    """Return the context of the next command."""
    return _CONTEXT.get()


def surrounded(*stoppers: Any, **changes: Any) -> AbstractContextManager[None]:
    """Return a block whose commands run in the current context with changes.

    Args:
        *stoppers: sets of running commands that the commands of the block join too.
        **changes: other attributes of :class:`CallContext`.
    """
    now = _CONTEXT.get()
    return _Surrounded(now._replace(stoppers=(*now.stoppers, *stoppers), **changes))


def alone() -> AbstractContextManager[None]:
    """Return a block whose commands run in an empty context: a command that a callback runs is not part of the first one."""
    return _Surrounded(_NOTHING)


class _Surrounded(AbstractContextManager[None]):
    def __init__(self, value: CallContext) -> None:
        self._value = value

    def __enter__(self) -> None:
        self._token = _CONTEXT.set(self._value)

    def __exit__(self, *_error: object) -> None:
        with suppress(ValueError):  # a coroutine may be closed in another context than its own
            _CONTEXT.reset(self._token)
