"""Cleanup: a function that is called once, in the process that registered it, whatever signal handlers raise.

A finalizer in Python can be interrupted: a signal handler may run before its first step, and Python only prints the exception
that the handler raises there. So dropping an object starts a thread, by C code alone: no handler runs in between, or in that
thread. The dropping thread waits for it with a limit, since it may hold any lock at that moment. Before the wait, it catches
what a handler raises: an audit hook (``sys.addaudithook``) is Python that runs in the middle of the C code.
"""

import _thread
import atexit
import functools
import operator
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, NoReturn, cast

from venvrunner._process.clock import monotonic
from venvrunner._process.critical_section import surely, uninterrupted

if TYPE_CHECKING:
    from types import GeneratorType

__tracebackhide__ = True

_TIMEOUT = 10.0
"""Seconds that the dropping thread waits for the cleanup, which then continues alone."""
_PAUSE = 0.0002
"""Seconds between two checks whether a finalizer has ended."""


_LAST = -1000
"""The priority of the cleanup at the end of a ``multiprocessing`` process: its own children have ended by then."""


class Owned:
    """A system resource that belongs to the process that created it, not to an ``os.fork`` child, and not to a copy."""

    def __init__(self) -> None:
        self._pid = os.getpid()

    @property
    def pid(self) -> int:
        """The ID of the process that created it."""
        return self._pid

    @property
    def is_ours(self) -> bool:
        """Whether this process created it."""
        return self._pid == os.getpid()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be copied or pickled: two objects would release one lock, or close one descriptor twice."""
        msg = (
            f"{type(self).__name__} cannot be copied or pickled: it holds a resource of this process."
            " Send venv_dir and use VenvRunner.open(venv_dir), or send a VenvSpec."
        )
        raise TypeError(msg)


class Cleanup(Owned):
    """A function that is called once: by :meth:`now`, when an object is dropped, or at the interpreter's exit.

    If it fails, it is called again at the next of these moments, or when another cleanup has succeeded. An ``os.fork`` child
    never calls it.

    Args:
        owner: the object; the function must not refer to it.
        action: the function. It may be called twice, but not at the same time, may run in any thread, and must not need a lock
            that the owner's thread may hold.

    >>> class Owner: pass
    >>> owner = Owner()
    >>> cleanup = Cleanup(owner, lambda: print("done"))
    >>> del owner
    done
    >>> cleanup.now()
    """

    def __init__(self, owner: object, action: Callable[[], object]) -> None:
        super().__init__()
        self._action = action
        self.failed = False
        self._turn = _thread.allocate_lock()
        self._threads: list[int] = []
        self._deliverers: list[int] = []
        self._is_over = False
        self._over = _thread.allocate_lock()
        self._over.acquire()
        self._interruption: BaseException | None = None
        self._waiter = cast("GeneratorType[None, object, None]", self._wait())
        next(self._waiter)
        # The last registered callback is called first.
        waiting = weakref.ref(owner, self._waiter.send)
        starting = _Reference(owner, operator.methodcaller("start"))
        starting.start = functools.partial(self._threads.extend, map(_thread.start_new_thread, [self._run], [()]))
        taking = weakref.ref(owner, self._waiter.send)
        self._references: tuple[object, ...] = (waiting, starting, taking)
        if not _threads_start:
            self.start_no_thread()
        _register()
        _pending[id(self)] = self

    @property
    def is_pending(self) -> bool:
        """Whether the function has not been called yet."""
        return id(self) in _pending

    def now(self) -> None:
        """Call the function, unless it has been called.

        Raises:
            BaseException: the error of the function, or of a signal handler that ran meanwhile.
        """
        if not self.is_pending:
            return  # at once: while modules are torn down, no other thread runs
        try:
            uninterrupted(self._call, quick=True)
        except BaseException:
            uninterrupted(self._call, quick=True)  # a handler may have raised before the first step
            raise

    def start_no_thread(self) -> None:
        """Call the function in the thread that drops the object: the interpreter starts no more threads."""
        for reference in self._references:
            if isinstance(reference, _Reference):
                reference.start = dict  # a function without effect

    def cancel(self) -> None:
        """Never call the function."""
        _pending.pop(id(self), None)
        self._references = ()

    def _call(self, *, wait: bool = True) -> None:
        if not self.is_ours or not self.is_pending or not self._turn.acquire(blocking=wait):
            return
        try:
            if not self.is_pending:
                return  # another thread has called it meanwhile
            self._action()
            self.cancel()
        except BaseException:
            self.failed = True
            raise
        finally:
            self._turn.release()
        for other in [other for other in list(_pending.values()) if other.failed]:
            other.attempt(wait=False)  # this may be called by its action

    def attempt(self, *, wait: bool = True) -> BaseException | None:
        """Call the function, unless it has been called, and return the exception that it raised.

        Args:
            wait: wait for another thread that is calling it; otherwise leave it to that.
        """
        try:
            self._call(wait=wait)
        except Exception as exc:  # noqa: BLE001  it is still pending
            return exc
        return None

    def _run(self) -> None:
        """Call the function in the thread that is started when the object is dropped."""
        try:
            self.attempt()
        finally:
            if not self._is_over:
                self._is_over = True
                self._over.release()

    def _wait(self) -> Generator[None, object]:
        """Catch what a handler raises before the thread starts, then wait for its end, in the thread that drops the object.

        This is a generator because a handler may raise before the first step of a function, where no ``try`` catches it; when
        a generator resumes, the ``try`` around the ``yield`` does.
        """
        try:
            try:
                yield
            except GeneratorExit:
                raise
            except BaseException as exc:  # noqa: BLE001  it is delivered
                self._interruption = exc
            yield
            self._await_end()
        except GeneratorExit:
            return
        except BaseException as exc:  # noqa: BLE001  it is delivered
            self._interruption = exc
            # A handler that raises many times a millisecond does so between any two steps.
            try:
                self._await_end()
            except BaseException as exc:  # noqa: BLE001  it is delivered
                self._interruption = exc
                self._await_end()
            yield  # the handler raised before the thread started
        yield

    def _await_end(self) -> None:
        if not self._threads and not self._is_over:  # no thread could start: too many, or the interpreter is ending
            self._run()
        end = monotonic() + _TIMEOUT
        # Threads no longer run once the interpreter finalizes; by then everything has been tried.
        while not self._is_over and (left := end - monotonic()) > 0 and not sys.is_finalizing():
            try:
                self._over.acquire(timeout=left)
            except BaseException as exc:  # noqa: BLE001  it is delivered
                self._interruption = exc
        if self._interruption is not None and not self._deliverers:
            self._deliverers.extend(map(_thread.start_new_thread, [self._deliver], [()]))

    def _deliver(self) -> None:
        """Send the signal again: Python would only print what its handler raised in a finalizer."""
        while self._waiter.gi_running:
            time.sleep(_PAUSE)
        error, self._interruption = self._interruption, None
        if error is not None:
            number, main = _signal_of(error), threading.main_thread().ident
            if number is None or main is None:
                raise error
            if hasattr(signal, "pthread_kill"):
                signal.pthread_kill(main, number)  # this also ends a blocking system call
            else:
                _thread.interrupt_main(signal.Signals(number))


class _Reference(weakref.ref[Any]):
    """A weak reference with an attribute for the function that its callback calls."""

    __slots__ = ("start",)
    start: Callable[[], object]


_pending: dict[int, Cleanup] = {}
_threads_start = True
"""Whether the interpreter still starts threads."""


def _signal_of(error: BaseException) -> int | None:
    """Return the signal whose handler raised an exception in this module; ``None`` if it is unknown."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_globals is globals():
        traceback = traceback.tb_next
    if traceback is None:  # the handler is not written in Python
        return signal.SIGINT if isinstance(error, KeyboardInterrupt) else None
    for value in traceback.tb_frame.f_locals.values():  # the handler's arguments come first
        several = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
        for one in several:
            if isinstance(one, int) and one in signal.valid_signals() and callable(signal.getsignal(one)):
                return one
    return None


def _at_exit() -> None:
    left = list(_pending.values())
    errors = [cleanup.attempt() for cleanup in left]
    for cleanup in left:
        cleanup.cancel()  # those of another process too: no thread runs while modules are torn down
    for error in filter(None, errors):
        raise error


def _at_shutdown() -> None:
    """Find out whether threads can be started at the exit of the interpreter: Python 3.12 starts none from here on."""
    global _threads_start  # noqa: PLW0603  one for the whole process
    try:
        _thread.start_new_thread(dict, ())
    except RuntimeError:
        _threads_start = False
        for cleanup in list(_pending.values()):
            cleanup.start_no_thread()


atexit.register(surely, _at_exit, _pending)
# It runs before all functions of atexit, in which objects may be dropped; concurrent.futures uses it too.
if sys.version_info >= (3, 12):  # an older one starts them, and in development mode, one that is just ending could crash 3.11.2
    getattr(threading, "_register_atexit", atexit.register)(_at_shutdown)
_registered: int | None = None
"""The ID of the process that last called :func:`_register`."""


def _register() -> None:
    """Clean up at the end of a ``multiprocessing`` process too: forked ones do not run ``atexit``."""
    global _registered  # noqa: PLW0603  one for the whole process
    if _registered != (pid := os.getpid()):
        process, util = map(sys.modules.get, ("multiprocessing.process", "multiprocessing.util"))
        if process is not None and util is not None and process.parent_process() is not None:
            util.Finalize(None, surely, (_at_exit,), exitpriority=_LAST)
        _registered = pid
