"""What runs on macOS only, by logic: its system calls are fakes here; the processes, files and events behind them are real."""

import errno
import os
from types import SimpleNamespace
from typing import Any

import pytest

from conftest import LINUX, Caller
from venvrunner import CommandTimeoutError
from venvrunner._process import child, kqueue
from venvrunner._process.child import Child
from venvrunner.subprocess_util import async_log_run

pytestmark = pytest.mark.skipif(not LINUX, reason="the fakes stand on Linux's own calls")


class Without:
    """The module `os` without some of its functions."""

    def __init__(self, *missing: str) -> None:
        self.missing = missing

    def __getattr__(self, name: str) -> Any:
        if name in self.missing:
            raise AttributeError(name)
        return getattr(os, name)


# The exit of a child: kqueue(2).


class Queue:
    """A kqueue for exits: readable when the child exits, as a pidfd is.

    It refuses a child that has exited, as macOS does. `control` is called with what is waited for and with no wish for events.
    """

    opened: list["Queue"]
    is_early = False

    def __init__(self) -> None:
        self.fd = os.memfd_create("queue")
        self.opened.append(self)
        self.closed = False

    def control(self, events: list[Any], max_events: int, timeout: int) -> list[Any]:
        assert (len(events), max_events, timeout) == (1, 0, 0)
        assert (events[0].filter, events[0].flags, events[0].fflags) == ("PROC", "ADD", "NOTE_EXIT")
        pid = events[0].ident
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            raise ProcessLookupError(errno.ESRCH, "No such process")
        if self.is_early:
            read_end, write_end = os.pipe()
            os.close(write_end)
        else:
            read_end = os.pidfd_open(pid)
        os.dup2(read_end, self.fd, inheritable=False)
        os.close(read_end)
        return []

    def fileno(self) -> int:
        return self.fd

    def close(self) -> None:
        assert not self.closed
        self.closed = True
        os.close(self.fd)


@pytest.fixture
def queues(monkeypatch: pytest.MonkeyPatch) -> list[Queue]:
    """Take `pidfd_open` away and put a kqueue in its place; return those that are opened."""

    def kevent(ident: int, filter: str, flags: str, fflags: str) -> Any:  # noqa: A002  the system's names
        return SimpleNamespace(ident=ident, filter=filter, flags=flags, fflags=fflags)

    opened: list[Queue] = []
    monkeypatch.setattr(Queue, "opened", opened, raising=False)
    constants = {"KQ_FILTER_PROC": "PROC", "KQ_EV_ADD": "ADD", "KQ_NOTE_EXIT": "NOTE_EXIT"}
    monkeypatch.setattr(kqueue, "select", SimpleNamespace(kqueue=Queue, kevent=kevent, **constants))
    monkeypatch.setattr(child, "os", Without("pidfd_open"))
    return opened


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that grows with each look at whether a command has ended."""
    seen: list[Any] = []
    look = Child.look

    def counted(self: Child) -> Any:
        seen.append(self)
        return look(self)

    monkeypatch.setattr(Child, "look", counted)
    return seen


FEW = 8
"""More looks than one command's events can cause, and less than those of polling in half a second."""


def test_an_exit_is_an_event(drive: Caller, queues: list[Queue], looks: list[Any]) -> None:
    """Nothing wakes up while the command runs, and its end is noticed even if a daemon has its pipes."""
    result = drive(["sh", "-c", "exec >&- 2>&-; sleep 0.5; exit 3"], check=False)
    assert result.returncode == 3
    assert len(looks) < FEW
    assert [queue.closed for queue in queues] == [True]


def test_without_kqueue_an_exit_is_polled(drive: Caller, queues: list[Queue], looks: list[Any]) -> None:
    """The same command, where there is no kqueue either: the test above can fail."""
    del kqueue.select.kqueue
    assert drive(["sh", "-c", "exec >&- 2>&-; sleep 0.5; exit 3"], check=False).returncode == 3
    assert len(looks) > FEW
    assert not queues


def test_trio_waits_for_the_same_event(queues: list[Queue], looks: list[Any]) -> None:
    """Its selector takes the descriptor like any other."""
    trio = pytest.importorskip("trio")

    async def main() -> int:
        return (await async_log_run(["sh", "-c", "sleep 0.5; exit 3"], check=False)).returncode

    assert trio.run(main) == 3
    assert len(looks) < FEW
    assert [queue.closed for queue in queues] == [True]


def test_a_child_that_has_exited_before_is_noticed(drive: Caller, queues: list[Queue], monkeypatch: pytest.MonkeyPatch) -> None:
    """kevent(2) refuses a zombie with ESRCH; its output and its exit code are delivered."""
    control = Queue.control

    def late(self: Queue, events: list[Any], *rest: int) -> list[Any]:
        os.waitid(os.P_PID, events[0].ident, os.WEXITED | os.WNOWAIT)
        with pytest.raises(ProcessLookupError):
            control(self, events, *rest)
        raise ProcessLookupError(errno.ESRCH, "No such process")

    monkeypatch.setattr(Queue, "control", late)
    result = drive(["sh", "-c", "echo done; exit 3"], check=False)
    assert (result.stdout, result.returncode) == ("done\n", 3)
    assert [queue.closed for queue in queues] == [True]


def test_an_event_before_the_zombie_is_no_end(drive: Caller, queues: list[Queue], monkeypatch: pytest.MonkeyPatch) -> None:
    """NOTE_EXIT may come while the child is still exiting; only its exit status ends the command."""
    monkeypatch.setattr(Queue, "is_early", True)
    result = drive(["sh", "-c", "echo begun; sleep 0.1; echo done; exit 3"], check=False)
    assert (result.stdout, result.returncode) == ("begun\ndone\n", 3)
    assert [queue.closed for queue in queues] == [True]


def test_a_killed_command_sends_the_event_too(drive: Caller, queues: list[Queue]) -> None:
    """A timeout ends it, and its queue is closed."""
    with pytest.raises(CommandTimeoutError):
        drive(["sleep", "60"], timeout=0.1)
    assert [queue.closed for queue in queues] == [True]
