"""What no signal handler may split, where no thread does what it should."""

import _thread
import contextlib
import gc
import weakref
from collections.abc import Callable
from functools import partial

import pytest

from helpers.programs import run_python
from helpers.system import LINUX
from helpers.waiting import wait_until
from venvrunner._process.critical_section import surely, uninterrupted


def _refused(_function: Callable[..., object], _args: object) -> int:
    msg = "can't start new thread"
    raise RuntimeError(msg)


def _dead(_function: Callable[..., object], _args: object) -> int:
    """Do as a thread that dies of too little memory before its first step."""
    return 0


@pytest.mark.parametrize("start", [_refused, _dead])
@pytest.mark.parametrize("quick", [True, False])
def test_the_work_is_done_without_a_helper_thread(
    start: Callable[..., int], quick: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the main thread, once."""
    monkeypatch.setattr(_thread, "start_new_thread", start)
    done: list[str] = []
    uninterrupted(lambda: done.append("quick"), quick=quick)
    surely(lambda: done.append("surely"))
    assert done == ["quick", "surely"]


def test_the_very_exception_propagates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the main thread has to do the work itself."""
    error = ValueError("mine")

    def fail() -> None:
        raise error

    for start in (_thread.start_new_thread, _dead):
        monkeypatch.setattr(_thread, "start_new_thread", start)
        with pytest.raises(ValueError, match="mine") as caught:
            uninterrupted(fail)
        assert caught.value is error


def test_a_failure_holds_nothing_in_a_circle() -> None:
    """What the work had in its hands goes with the exception, and not at the next collection of garbage."""

    class Thing:
        pass

    def fail(thing: Thing) -> None:
        raise ValueError(thing)

    thing = Thing()
    alive = weakref.ref(thing)
    gc.disable()
    try:
        with contextlib.suppress(ValueError):
            uninterrupted(partial(fail, thing))
        del thing
        wait_until(lambda: alive() is None, "the thing is held")  # the helper thread may still be at its last step
    finally:
        gc.enable()


BLOCKED = """
import contextlib, os, signal, sys, threading
from venvrunner._process.critical_section import surely, uninterrupted
from venvrunner.subprocess_util import log_run

class Interruption(Exception):
    pass

def interrupt(number, _frame):
    raise Interruption(number)

for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, interrupt)
main = threading.get_ident()
own = {signal.SIGWINCH}
signal.pthread_sigmask(signal.SIG_SETMASK, own)

def mask():
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())

done = []
def work(error=None):
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT):
        os.kill(os.getpid(), number)
    unhandled = {signal.SIGTERM, signal.SIGTSTP}
    done.append((threading.get_ident() == main, signal.SIGUSR1 in mask(), bool(unhandled & mask())))
    if error is not None:
        raise error
    return "done"
"""


@pytest.mark.skipif(not LINUX, reason="only Linux counts the threads of a process cheaply")
@pytest.mark.parametrize(
    ("code", "shown"),
    [
        # The signals of the work are handled when it has ended, its own exception is the cause of the last one.
        ("uninterrupted(work, quick=True)", "Interruption"),
        ("uninterrupted(lambda: work(ValueError('mine')), quick=True)", "Interruption from ValueError('mine')"),
        # The mask of the caller stays as it was.
        ("print(uninterrupted(lambda: (done.append((True, True, False)), 'result')[1], quick=True))", "result"),
    ],
)
def test_a_quick_function_runs_with_blocked_signals(code: str, shown: str) -> None:
    """If they have a handler; SIGTERM and Ctrl-Z do without one what they always do."""
    program = f"""
try:
    {code}
except Interruption as exc:
    print("Interruption", *(["from", repr(exc.__cause__)] if exc.__cause__ else []))
assert done == [(True, True, False)], done
assert mask() == own, mask()
print(len(log_run(["cat", "/proc/self/status"]).stdout.split("SigBlk:")[1].split()[0].replace("0", "")))
"""
    result = run_python(BLOCKED + program)
    # A command gets the mask of the caller, which is one signal.
    assert (result.stdout, result.returncode) == (f"{shown}\n1\n", 0), result.stderr


@pytest.mark.skipif(not LINUX, reason="only Linux counts the threads of a process cheaply")
def test_a_handler_may_be_an_object_without_a_hash() -> None:
    """Or one that compares in its own way: what it is equal to does not count."""
    result = run_python(
        BLOCKED
        + """
class Handler:
    def __eq__(self, other):
        raise AssertionError
    def __call__(self, number, _frame):
        raise Interruption(number)

for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, Handler())
with contextlib.suppress(Interruption):
    uninterrupted(work, quick=True)
assert done == [(True, True, False)], done
"""
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.skipif(not LINUX, reason="only Linux counts the threads of a process cheaply")
def test_another_thread_would_get_the_blocked_signals() -> None:
    """So the function runs in a helper thread, and so does one that starts a process."""
    result = run_python(
        BLOCKED
        + """
event = threading.Event()
threading.Thread(target=event.wait, daemon=True).start()

def note():
    done.append((threading.get_ident() == main, signal.SIGUSR1 in mask()))

uninterrupted(note, quick=True)
event.set()
uninterrupted(note, quick=True, spawns=True)
assert done == [(False, False)] * 2, done
"""
    )
    assert result.returncode == 0, result.stderr
