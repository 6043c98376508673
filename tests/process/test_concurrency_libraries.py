"""Libraries that cancel, replace or wrap what a command runs on: anyio, Starlette and gevent."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import venvrunner
from helpers.waiting import DEADLINE
from venvrunner.subprocess_util import async_lines, async_log_run

PATIENT = """
import os, signal, sys, time
def end(number, frame):
    time.sleep(1)
    open(sys.argv[1], "w").close()
    os._exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True:  # a signal that comes just before a sleep does not end it
    time.sleep(0.02)
"""
"""Takes a second to clean up, and says when it has."""


def patient(marker: Path) -> list[str]:
    return [sys.executable, "-c", PATIENT, str(marker)]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("way", ["move_on", "fail_after", "task group"])
def test_a_cancel_of_anyio_leaves_the_command_its_grace(way: str, backend: str, tmp_path: Path) -> None:
    """It is repeated at each turn of the loop: that neither shortens the grace nor keeps the processor busy."""
    anyio = pytest.importorskip("anyio")
    pytest.importorskip(backend)
    marker = tmp_path / "cleaned"
    busy: list[float] = []

    async def main() -> None:
        scope = anyio.CancelScope()

        def cancel(line: str) -> None:
            busy.append(time.process_time())
            scope.cancel()

        if way == "move_on":
            with scope:
                await async_log_run(patient(marker), None, cancel, grace=DEADLINE)
        elif way == "fail_after":
            with pytest.raises(TimeoutError), anyio.fail_after(2):
                await async_log_run(patient(marker), None, lambda _line: busy.append(time.process_time()), grace=DEADLINE)
        else:
            async with anyio.create_task_group() as tasks:
                scope = tasks.cancel_scope
                tasks.start_soon(lambda: async_log_run(patient(marker), None, cancel, grace=DEADLINE))
        busy.append(time.process_time())

    anyio.run(main, backend=backend)
    assert marker.exists()
    assert busy[1] - busy[0] < 0.5


def test_a_client_of_starlette_that_goes_away_ends_the_command(tmp_path: Path) -> None:
    """The response is cancelled while it iterates over the lines of a command, which gets its grace."""
    responses = pytest.importorskip("starlette.responses")
    marker = tmp_path / "cleaned"

    async def body() -> AsyncIterator[str]:
        async for line in async_lines(patient(marker), grace=DEADLINE):
            yield line

    async def main() -> None:
        sent = asyncio.Event()

        async def receive() -> dict[str, str]:
            await sent.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if message.get("body"):
                sent.set()

        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "asgi": {"spec_version": "2.3"}}
        await asyncio.wait_for(responses.StreamingResponse(body())(scope, receive, send), DEADLINE)

    asyncio.run(main())
    assert marker.exists()


GEVENT = """
from gevent import monkey
monkey.patch_all()
import asyncio, faulthandler
import gevent
from venvrunner.subprocess_util import async_log_run, log_run
faulthandler.dump_traceback_later(40, exit=True)
assert log_run(["seq", "3"]).stdout == "1\\n2\\n3\\n"
assert log_run(["cat"], input="x" * 300_000).stdout == "x" * 300_000
assert asyncio.run(async_log_run(["seq", "3"])).stdout == "1\\n2\\n3\\n"
for run in (log_run, lambda *args, **options: asyncio.run(async_log_run(*args, **options))):
    try:
        run(["sh", "-c", "echo begun; exec sleep 60"], timeout=0.5)
    except Exception as error:
        print(type(error).__name__, error.stdout.strip())
    print(run(["sh", "-c", "exit 3"], check=False).returncode)
jobs = [gevent.spawn(log_run, ["sh", "-c", f"sleep 0.2; echo {number}"]) for number in range(20)]
print(*(job.get().stdout.strip() for job in jobs))
"""


def test_gevent_may_have_replaced_everything() -> None:
    """Threads, select and Popen: sync and async calls work, and greenlets run commands at the same time."""
    pytest.importorskip("gevent")
    env = {**os.environ, "PYTHONPATH": str(Path(venvrunner.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", GEVENT], env=env, capture_output=True, text=True, timeout=60, check=False)
    expected = "CommandTimeoutError begun\n3\n" * 2 + " ".join(map(str, range(20))) + "\n"
    assert (done.returncode, done.stdout) == (0, expected), done.stderr
