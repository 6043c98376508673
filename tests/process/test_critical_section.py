"""What no signal handler may split, where no thread does what it should."""

import _thread
import contextlib
import gc
import weakref
from collections.abc import Callable
from functools import partial

import pytest

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
