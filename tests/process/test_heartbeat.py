"""What prints no line for a while is reported as still running: at a steady pace, through the logger."""

import asyncio
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.callers import Caller
from helpers.projects import make_slow_project
from helpers.waiting import DEADLINE
from venvrunner import VenvRunner, subprocess_util
from venvrunner._process.invocation import Invocation
from venvrunner.installing import InstallerName

SOON = 0.01
"""Seconds, so that a test need not wait."""

WAIT = f"""
import os, sys, time
end = time.monotonic() + {DEADLINE}
while not os.path.exists(sys.argv[1]):
    assert time.monotonic() < end
    time.sleep(0.01)
print('done')
"""
"""Silent until a file is there."""


class Releaser(logging.Handler):
    """Makes the file that a silent child waits for when it was said so many times that it runs still."""

    def __init__(self, gate: Path, count: int = 2) -> None:
        super().__init__()
        self.gate = gate
        self.count = count
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("Still running after "):
            self.records.append(record)
            if len(self.records) == self.count:
                self.gate.touch()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Releaser]:
    """A listener at the default logger."""
    logger = logging.getLogger("venvrunner")
    level, handler = logger.level, Releaser(tmp_path / "gate")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_a_silent_command_is_logged_as_still_running(call: Caller, gate: Releaser) -> None:
    """Again and again until it ends, at info level, with the command line, and the result is as ever."""
    result = call(call.code(WAIT, str(gate.gate), "{0} %s"), heartbeat=SOON, timeout=DEADLINE)
    assert result.stdout == "done\n"
    assert len(gate.records) >= 2
    for record in gate.records:
        assert (record.name, record.levelname) == ("venvrunner", "INFO")
        assert record.getMessage().endswith(f" s: {result.args!r}")


@pytest.mark.parametrize("end", ["", "\\r"], ids=["dots", "updates"])
def test_bytes_without_a_line_do_not_break_the_silence(call: Caller, gate: Releaser, end: str) -> None:
    """The heartbeat counts lines: a progress bar that writes all the time, and never ends its line, is silent."""
    source = WAIT.replace("time.sleep(0.01)", f"time.sleep(0.005); sys.stdout.write('.{end}'); sys.stdout.flush()")
    result = call(call.code(source, str(gate.gate)), heartbeat=10 * SOON, timeout=DEADLINE)
    assert result.stdout.endswith("done\n")
    assert len(gate.records) >= 2


def test_lines_break_the_silence(drive: Caller, gate: Releaser) -> None:
    """Of either stream, also where they go nowhere; each update is a line if the caller says so."""
    for line, options in (("'.', '\\n'", {}), ("'.', '\\r'", {"carriage_return": "line"})):
        source = f"import sys, time\nfor n in range(300): (sys.stdout, sys.stderr)[n % 2].writelines([{line}]); "
        source += "sys.stdout.flush(); sys.stderr.flush(); time.sleep(0.005)"
        drive(drive.code(source), None, None, None, heartbeat=1, **options)
        # The interpreter prints nothing while it starts.
        assert len(gate.records) <= 1
        gate.records.clear()


def test_the_callers_logger_is_used(drive: Caller, gate: Releaser) -> None:
    """And the default one is not."""
    logger = logging.Logger("mine")  # noqa: LOG001  it is gone after the test
    mine = Releaser(gate.gate)
    logger.addHandler(mine)
    drive(drive.code(WAIT, str(gate.gate)), logger, heartbeat=SOON)
    assert len(mine.records) >= 2
    assert not gate.records


def test_secrets_are_masked_in_it(drive: Caller, gate: Releaser) -> None:
    """As in the line that tells of the start."""
    drive(drive.code(WAIT, str(gate.gate), "hunter2", "https://me:pw@host/x"), heartbeat=SOON, secrets=["hunter2"])
    for record in gate.records:
        assert "'****', 'https://****@host/x'" in record.getMessage()


def test_an_async_callback_makes_no_difference(gate: Releaser) -> None:
    """The sync call runs the async driver then."""

    async def take(line: str) -> None:
        assert line == "done"

    subprocess_util.log_run([sys.executable, "-c", WAIT, str(gate.gate)], None, take, heartbeat=SOON)
    assert len(gate.records) >= 2


def test_many_silent_commands_on_one_loop_each_have_their_own(gate: Releaser) -> None:
    """One that waits does not keep another from being told of."""
    gate.count = 12

    async def main() -> None:
        one = [sys.executable, "-c", WAIT, str(gate.gate)]
        await asyncio.gather(*(subprocess_util.async_log_run([*one, str(n)], heartbeat=SOON) for n in range(3)))

    asyncio.run(main())
    assert {record.getMessage().rpartition(", ")[2] for record in gate.records} == {"'0']", "'1']", "'2']"}


def test_a_logger_that_raises_ends_the_command(drive: Caller) -> None:
    """As an exception in a callback does; it is this very exception that propagates."""

    class Broken:
        def debug(self, text: str) -> None: ...

        def info(self, text: str) -> None:
            raise InterruptedError(text)

    with pytest.raises(InterruptedError, match=r"^Still running after \d+ s: "):
        drive.run("import signal; print('began', flush=True); signal.pause()", Broken(), heartbeat=SOON)


def test_a_logger_without_that_level_is_refused_before_anything_starts(drive: Caller, tmp_path: Path) -> None:
    """Only if there is a heartbeat."""

    class Mute:
        def debug(self, text: str) -> None: ...

    source = f"open({str(tmp_path / 'marker')!r}, 'w')"
    with pytest.raises(ValueError, match="'info' is not a log level of Mute"):
        drive.run(source, Mute(), heartbeat=60)
    assert not (tmp_path / "marker").exists()
    drive.run(source, Mute())
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize(("installer", "is_async"), [("pip", False), ("uv", True)])
def test_a_silent_installation_is_logged_as_still_running(
    installer: InstallerName, is_async: bool, gate: Releaser, tmp_path: Path
) -> None:
    """With either installer, while a build takes its time."""
    project = make_slow_project(tmp_path / "slow", gate.gate)
    with VenvRunner.temporary(with_pip=False, installer=installer) as venv:
        if is_async:
            receipt = asyncio.run(venv.async_install(str(project), no_index=True, heartbeat=SOON))
        else:
            receipt = venv.install(str(project), no_index=True, heartbeat=SOON)
    assert receipt.added == {"slow": "1.0"}
    assert len(gate.records) >= 2
    assert gate.records[0].getMessage().endswith(f" s: {receipt.args!r}")


def test_only_an_installer_has_a_heartbeat_by_default(
    venv: VenvRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every 10 seconds; `None` switches it off."""
    found: list[Any] = []

    def spy(*args: Any) -> None:
        found.append(Invocation(*args).command.heartbeat)
        raise InterruptedError

    monkeypatch.setattr("venvrunner.subprocess_util.Invocation", spy)
    for run in (
        lambda: venv.log_run(["python"]),
        lambda: venv.install("a"),
        lambda: venv.install_package("a"),
        lambda: venv.uninstall("a"),
        lambda: asyncio.run(venv.async_install("a")),
        lambda: VenvRunner("venv", tmp_path, requirements=["a"]),
        lambda: venv.install("a", heartbeat=None),
        lambda: venv.uninstall("a", heartbeat=3),
    ):
        with pytest.raises(InterruptedError):
            run()
    assert found == [None, 10, 10, 10, 10, 10, None, 3]


def test_a_wrong_heartbeat_is_refused(venv: VenvRunner, tmp_path: Path) -> None:
    """By an installation too, before the installer starts."""
    with pytest.raises(ValueError, match=r"heartbeat must be a positive number of seconds, not 0\."):
        venv.install(os.fspath(make_slow_project(tmp_path / "slow", tmp_path / "gate")), heartbeat=0)
