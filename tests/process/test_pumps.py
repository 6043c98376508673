"""Where pipes can't be waited for, as on Windows, threads read them; tried here by forcing it."""

import asyncio
import io
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from helpers.callers import Caller
from helpers.waiting import DEADLINE, wait_until
from venvrunner._process import async_driver, child, spawn, sync_driver

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


@pytest.fixture(autouse=True)
def _without_selectable_pipes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for module in (async_driver, child, sync_driver):
        monkeypatch.setattr(module, "HAS_SELECTABLE_PIPES", False)
    yield
    # A thread ends with its pipe, which may be a moment after the call.
    wait_until(lambda: not [one for one in threading.enumerate() if one.name == "venvrunner-pump"], "the threads end")


def test_all_lines_are_delivered_exactly(drive: Caller) -> None:
    """Also to a callback that is slow now and then: what waits is bounded, and nothing is lost."""
    lines: list[str] = []

    def take(line: str) -> None:
        lines.append(line)
        if len(lines) % 50_000 == 0:
            threading.Event().wait(0.02)

    result = drive(["seq", "200000"], None, take)
    assert lines == [str(number) for number in range(1, 200_001)]
    assert result.stdout == "".join(f"{line}\n" for line in lines)


def test_input_and_output_do_not_block_each_other(drive: Caller) -> None:
    """Both are larger than a pipe."""
    text = "x" * 1_000_000
    assert drive(["cat"], input=text).stdout == text


def test_a_child_that_reads_no_input_ends(drive: Caller) -> None:
    """Which is its right."""
    assert drive(["true"], input="x" * 1_000_000).returncode == 0


def test_a_daemon_with_the_pipe_does_not_hold_the_call(drive: Caller, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The output of the command is complete, and the call ends before the daemon does."""
    gate = tmp_path_factory.mktemp("gate") / "open"
    wait = f"while [ ! -e {gate} ]; do sleep 0.01; done"
    begun = time.monotonic()
    assert drive(["sh", "-c", f"({wait}) & seq 1000"]).stdout.endswith("\n1000\n")
    assert time.monotonic() - begun < DEADLINE
    gate.touch()


class WindowsPipe(io.FileIO):
    """A pipe as Windows has it: while another thread waits in a read or a write, closing it waits too."""

    busy = False
    waited: ClassVar[list[str]] = []

    def read(self, size: int | None = -1, /) -> bytes:
        self.busy = True
        data = super().read(-1 if size is None else size)
        self.busy = False
        return data or b""

    def write(self, data: "ReadableBuffer", /) -> int:
        self.busy = True
        count = super().write(data)
        self.busy = False
        return count or 0

    def close(self) -> None:
        if self.busy:
            self.waited.append(self.mode)
        super().close()


def test_no_pipe_is_closed_while_a_thread_waits_in_it(
    drive: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Otherwise, a daemon with the pipe would hold the call on Windows."""

    def opened(argv: list[str], options: dict[str, Any], start: Any = spawn._open) -> Any:
        process = start(argv, options)
        for name, mode in ("stdin", "wb"), ("stdout", "rb"), ("stderr", "rb"):
            with getattr(process, name) as pipe:
                setattr(process, name, WindowsPipe(os.dup(pipe.fileno()), mode))
        return process

    monkeypatch.setattr(spawn, "_open", opened)
    monkeypatch.setattr(WindowsPipe, "waited", [])
    gate = tmp_path_factory.mktemp("gate") / "open"
    daemon = f"(while [ ! -e {gate} ]; do sleep 0.01; done) &"
    assert drive(["sh", "-c", f"exec 3<&0; {daemon} seq 10"], input="x" * 1_000_000).stdout.endswith("\n10\n")
    waited = list(WindowsPipe.waited)
    gate.touch()
    assert waited == []


def test_a_timeout_ends_the_command(drive: Caller) -> None:
    """With the output until then."""
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        drive(["sh", "-c", "echo begun; exec sleep 60"], timeout=0.5)
    error: Any = caught.value  # typeshed has bytes
    assert error.stdout == "begun\n"


def test_many_run_at_once() -> None:
    """Each with threads of its own."""
    from venvrunner.subprocess_util import async_log_run  # as late as a caller does

    async def main() -> list[subprocess.CompletedProcess[str]]:
        return list(await asyncio.gather(*(async_log_run(["seq", "1000"]) for _number in range(20))))

    assert {result.stdout.count("\n") for result in asyncio.run(main())} == {1000}
