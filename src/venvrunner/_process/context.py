"""The context of a call: interceptors, inherited descriptors, the sets of commands it belongs to, and its worker thread.

It is a context variable, not an argument: a caller who patches ``log_run`` sees only the arguments of the call.
"""

import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Mapping
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


class Caller(NamedTuple):
    """The thread that makes a call and, on an event loop, its task; these references do not keep them alive."""

    thread: Callable[[], threading.Thread | None]
    task: Callable[[], object] | None = None

    def is_same(self, other: "Caller") -> bool:
        """Return whether two calls cannot happen at the same time: one thread makes both, and not two of its tasks."""
        thread = self.thread()
        if thread is None or other.thread() is not thread:
            return False
        if self.task is None or other.task is None:
            return True
        task = self.task()
        return task is not None and other.task() is task


NO_CALLER = Caller(lambda: None)
"""A caller that is the same as no other."""


class Worker(Protocol):
    """A thread that makes a call for a coroutine."""

    caller: Caller
    """The caller of the coroutine."""

    def run(self, start: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run a coroutine on the event loop, and return its result."""
        ...

    def sleep(self, seconds: float) -> None:
        """Sleep, or raise if the coroutine that waits for the thread is cancelled."""
        ...


class CallContext(NamedTuple):
    """The context of the next command.

    Attributes:
        watcher: an interceptor that only watches.
        driver: an interceptor that may replace the process.
        passed: descriptors that the command inherits.
        stoppers: the sets of running commands that the command joins, so that they can stop it.
        worker: the thread that makes the call for a coroutine; ``None``: the caller's own thread makes it.
    """

    watcher: Interceptor | None = None
    driver: Interceptor | None = None
    passed: tuple[int, ...] = ()
    stoppers: tuple[Any, ...] = ()
    worker: Worker | None = None


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


def restored(value: CallContext) -> AbstractContextManager[None]:
    """Return a block whose commands run in a context that :func:`current` has returned."""
    return _Surrounded(value)


def caller() -> Caller:
    """Return the thread that makes the current call, or the task that another thread makes it for."""
    worker = current().worker
    return Caller(weakref.ref(threading.current_thread())) if worker is None else worker.caller


def sleep(seconds: float) -> None:
    """Sleep in the current call; in a worker thread, a cancellation ends the sleep."""
    worker = current().worker
    if worker is None:
        time.sleep(seconds)
    else:
        worker.sleep(seconds)


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
