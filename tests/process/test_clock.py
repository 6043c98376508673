"""The clock of commands: a test that replaces the one of the module `time` does not reach it."""

import threading
import time
from pathlib import Path

import pytest

from helpers.programs import SOURCE
from helpers.waiting import DEADLINE
from venvrunner._process.clock import alarm, monotonic


def test_it_is_the_clock_of_the_system() -> None:
    """Not the same object, which freezegun would look for, but the same time."""
    assert monotonic is not time.monotonic
    assert time.monotonic() <= monotonic() <= time.monotonic()


def test_no_wait_depends_on_a_clock_that_can_be_frozen() -> None:
    """Each would never end; the durations of runs on the command line are no waits, and the contract is a test itself."""
    package = Path(SOURCE) / "venvrunner"
    using = {
        path.relative_to(package).as_posix() for path in package.rglob("*.py") if "time.monotonic" in path.read_text("utf-8")
    }
    assert using == {"_process/clock.py", "_cli/execution.py", "testing/_contract_core.py"}


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
