"""A replaced `subprocess.Popen`: a signal goes to our own child or to no process at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import venvrunner
from conftest import DEADLINE

GUARDED = """
import asyncio, os, signal, subprocess, sys
from unittest import mock

# Everything that can send a signal only records; this test must never reach a stranger.
sent = []
children = {}
real = {name: getattr(os, name) for name in ("kill", "killpg", "getpgid")}


def recorder(name):
    def record(number, signum):
        sent.append((name, repr(number)))
        if type(number) is int and number in children:
            return real[name](number, signum)
    return record


os.kill, os.killpg = recorder("kill"), recorder("killpg")
signal.pidfd_send_signal = lambda fd, signum, *rest: sent.append(("pidfd", fd))

from venvrunner.subprocess_util import async_log_run, log_run


def attempt(way, command, **options):
    try:
        if way == "sync":
            log_run(command, **options)
        else:
            asyncio.run(asyncio.wait_for(async_log_run(command, **options), 10))
    except Exception as error:
        return type(error).__name__
    return "done"


class Fake:
    def __init__(self, pid):
        self.pid = pid

    def __call__(self, args, **options):
        process = mock.MagicMock()
        process.pid = self.pid
        process.poll.return_value = process.wait.return_value = process.returncode = None
        return process
"""
"""A program whose `os.kill`, `os.killpg` and `pidfd_send_signal` are replaced before anything runs."""


def run_guarded(source: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(Path(venvrunner.__file__).parents[1])}
    command = [sys.executable, "-c", GUARDED + source]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=3 * DEADLINE, check=False)


@pytest.mark.parametrize("pid", ["mock.MagicMock()", "0", "-1", "1", "2", "True", "os.getppid()", "os.getpid()", "'1'", "2.0"])
def test_a_faked_process_number_gets_no_signal(pid: str) -> None:
    """Neither on the polite path nor on the hard one, whatever the fake says its number is."""
    done = run_guarded(f"""
from venvrunner._process.group import process_group
from venvrunner._process.supervisor import Stop
group = process_group({pid})
group.send(Stop.POLITE)
group.send(Stop.HARD)
group.leader_ended()
assert group.ended()
with mock.patch("subprocess.Popen", Fake({pid})):
    attempt("sync", ["true"], timeout=0.2, grace=0.1)
print(sent)
""")
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_child_in_our_own_group_does_not_get_us_signalled() -> None:
    """A wrapper that drops `start_new_session` leaves the child in our group, which is never signalled."""
    done = run_guarded("""
start = subprocess.Popen

def wrapper(*args, **options):
    options.pop("start_new_session", None)
    process = start(*args, **options)
    children[process.pid] = process
    return process

with mock.patch("subprocess.Popen", wrapper):
    print(attempt("sync", ["sleep", "60"], timeout=0.2, grace=0.1))
for process in children.values():
    real["kill"](process.pid, signal.SIGKILL)
print([entry for entry in sent if entry[0] == "killpg"])
""")
    assert done.stdout.splitlines()[-1] == "[]"
