"""The clock of commands: a test that replaces the one of the module `time` does not reach it."""

import threading
import time

import pytest

from helpers.waiting import DEADLINE
from venvrunner._process.clock import alarm, monotonic


def test_it_is_the_clock_of_the_system() -> None:
    """Not the same object, which freezegun would look for, but the same time."""
    assert monotonic is not time.monotonic
    assert time.monotonic() <= monotonic() <= time.monotonic()


def test_an_alarm_rings_only_while_the_clock_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then a thread calls the function at the time, unless it has been ended before."""
    rung = threading.Event()
    assert alarm(monotonic(), rung.set) is None
    monkeypatch.setattr(time, "monotonic", lambda: 1.0)
    assert alarm(None, rung.set) is None
    early = alarm(monotonic() + DEADLINE, rung.set)
    assert early is not None
    early()
    assert not rung.is_set()
    end = alarm(monotonic(), rung.set)
    assert rung.wait(DEADLINE)
    assert end is not None
    end()
