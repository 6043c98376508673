"""Worker threads, step by step: what a coroutine and its thread say to each other, whatever comes between."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from helpers.waiting import DEADLINE
from venvrunner._process import context, worker


class Slow:
    """A call that is cancelled as a creation is, and takes its time to clean up."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.cleaning = threading.Event()
        self.may_end = threading.Event()
        self.has_ended = False

    def __call__(self) -> str:
        self.begun.set()
        try:
            context.sleep(DEADLINE)
        except worker.CancelledError:
            self.cleaning.set()
            assert self.may_end.wait(DEADLINE)
            self.has_ended = True
            raise
        return "never"


def end_soon(call: Slow) -> None:
    """Let a call end as soon as it cleans up and the loop is blocked."""

    def end() -> None:
        call.cleaning.wait(DEADLINE)
        call.may_end.wait(0.05)
        call.may_end.set()

    threading.Thread(target=end).start()


def begin(call: Callable[[], Any]) -> tuple[Coroutine[Any, Any, Any], Any]:
    """Start a call on the running loop, but resume its coroutine by hand; return also what it awaits."""
    coroutine = worker.call(call)
    return coroutine, coroutine.send(None)


@pytest.mark.asyncio
async def test_ctrl_c_while_a_cancelled_call_cleans_up_is_raised_at_the_end() -> None:
    """As `asyncio.run` raises the second one."""
    call = Slow()
    coroutine, _future = begin(call)
    assert call.begun.wait(DEADLINE)
    coroutine.throw(asyncio.CancelledError())
    future = coroutine.throw(KeyboardInterrupt())
    call.may_end.set()
    await asyncio.wait_for(asyncio.wait([future]), DEADLINE)
    with pytest.raises(KeyboardInterrupt):
        coroutine.send(None)
    assert call.has_ended


@pytest.mark.asyncio
async def test_a_coroutine_that_is_closed_ends_its_call_first() -> None:
    """Also while it cleans up after a cancellation."""
    for cancelled in (False, True):
        call = Slow()
        coroutine, _future = begin(call)
        assert call.begun.wait(DEADLINE)
        if cancelled:
            coroutine.throw(asyncio.CancelledError())
        end_soon(call)
        coroutine.close()
        assert call.has_ended
    coroutine, future = begin(lambda: "done")
    await asyncio.wait_for(asyncio.wait([future]), DEADLINE)
    coroutine.close()


@pytest.mark.asyncio
async def test_interruptions_without_end_block_the_loop_until_the_call_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than go on without it."""
    monkeypatch.setattr(worker, "_INTERRUPTIONS", 2)
    call = Slow()
    coroutine, _future = begin(call)
    assert call.begun.wait(DEADLINE)
    coroutine.throw(asyncio.CancelledError())
    coroutine.throw(asyncio.CancelledError())
    end_soon(call)
    with pytest.raises(asyncio.CancelledError):
        coroutine.throw(asyncio.CancelledError())
    assert call.has_ended


@pytest.mark.asyncio
async def test_a_command_that_was_asked_for_too_late_never_starts() -> None:
    """The cancellation comes between the question and the answer, or before both."""
    started: list[str] = []
    asked, may_ask = threading.Event(), threading.Event()

    async def start() -> None:
        started.append("started")

    def ask() -> None:
        active = context.current().worker
        assert active is not None
        asked.set()
        assert may_ask.wait(DEADLINE)
        active.run(start)

    for cancels_first in (False, True):
        asked.clear()
        may_ask.clear()
        coroutine, future = begin(ask)
        assert asked.wait(DEADLINE)
        if not cancels_first:
            may_ask.set()
            await asyncio.wait_for(asyncio.wait([future]), DEADLINE)
        with pytest.raises(asyncio.CancelledError):  # noqa: PT012  the coroutine may end at once
            future = coroutine.throw(asyncio.CancelledError())
            may_ask.set()
            await asyncio.wait_for(asyncio.wait([future]), DEADLINE)
            coroutine.send(None)
    assert not started


def test_two_callers_are_the_same_only_if_one_thread_makes_both() -> None:
    """And not for two of its tasks, or for one that has ended."""

    class Task:
        pass

    mine, task, other = context.caller(), Task(), Task()
    first = mine._replace(task=lambda: task)
    assert mine.is_same(context.caller())
    assert first.is_same(mine)
    assert mine.is_same(first)
    assert first.is_same(first._replace(task=lambda: task))
    assert not first.is_same(first._replace(task=lambda: other))
    assert not first.is_same(first._replace(task=lambda: None))
    assert not first._replace(task=lambda: None).is_same(first._replace(task=lambda: None))
    assert not context.NO_CALLER.is_same(context.NO_CALLER)
