"""A replaced `subprocess.Popen`: a signal goes to our own child or to no process at all."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import venvrunner
from helpers.callers import Caller
from helpers.waiting import DEADLINE

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


PIDS = ["mock.MagicMock()", "0", "-1", "1", "2", "True", "os.getppid()", "os.getpid()", "'1'", "2.0"]


@pytest.mark.parametrize("pid", PIDS)
def test_a_faked_process_number_gets_no_signal(pid: str) -> None:
    """Neither on the polite path nor on the hard one, sync or async, whatever the fake says its number is."""
    done = run_guarded(f"""
from venvrunner._process.session import group_of
process = Fake({pid})(["true"])
group = group_of(process)
group.send(15)
group.send(9)
group.leader_reaped()
assert group.ended()
with mock.patch("subprocess.Popen", Fake({pid})):
    for way in ("sync", "async"):
        print(attempt(way, ["true"], timeout=0.2, grace=0.1))
print(sent)
""")
    assert (done.stdout.splitlines(), done.stderr) == (["TypeError", "TypeError", "[]"], "")


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_child_in_our_own_group_is_ended_alone(way: str) -> None:
    """A wrapper that drops `start_new_session` leaves the child in our group, which is never signalled."""
    done = run_guarded(f"""
start = subprocess.Popen

def wrapper(*args, **options):
    options.pop("start_new_session", None)
    process = start(*args, **options)
    children[process.pid] = process
    return process

with mock.patch("subprocess.Popen", wrapper):
    print(attempt({way!r}, ["sleep", "60"], timeout=0.2, grace=5))
print([entry for entry in sent if entry[0] != "kill" or int(entry[1]) not in children])
print([process.returncode for process in children.values()])
""")
    assert done.stdout.splitlines() == ["CommandTimeoutError", "[]", "[-15]"], done.stderr


def test_a_plain_mock_is_refused_with_the_way_to_do_it(drive: Caller) -> None:
    """It has no output that could be delivered."""
    with mock.patch("subprocess.Popen"), pytest.raises(TypeError, match="use ScriptedVenvRunner or ReplayVenvRunner"):
        drive(["true"])


def test_the_output_of_a_mock_is_delivered(drive: Caller) -> None:
    """As tests of other code prepare it: `communicate` and `returncode`."""
    lines: list[str] = []
    with mock.patch("subprocess.Popen") as popen:
        popen.return_value.communicate.return_value = (b"one\ntwo\n", "three\n")
        popen.return_value.returncode = 3
        result = drive(["tool"], None, lines.append, None, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (3, "one\ntwo\n", "three\n")
    assert lines == ["one", "two"]


def test_the_files_of_a_mock_are_read(drive: Caller) -> None:
    """Where `communicate` was not prepared."""
    with mock.patch("subprocess.Popen") as popen:
        popen.return_value.stdout, popen.return_value.stderr = io.BytesIO(b"one\n"), io.BytesIO()
        popen.return_value.poll.return_value = 0
        assert drive(["tool"]).stdout == "one\n"


def test_a_subclass_of_popen_is_a_process_like_any_other(drive: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a host that counts its processes has one."""
    started: list[object] = []

    class Counted(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **options: Any) -> None:
            started.append(args[0])
            super().__init__(*args, **options)

    monkeypatch.setattr(subprocess, "Popen", Counted)
    assert drive(["echo", "hello"]).stdout == "hello\n"
    assert started == [["echo", "hello"]]
    with pytest.raises(subprocess.TimeoutExpired):
        drive(["sleep", "60"], timeout=0.2)


@pytest.mark.parametrize("options", [{}, {"contain": True}], ids=["plain", "contain"])
def test_pytest_subprocess_works(drive: Caller, options: dict[str, Any]) -> None:
    """Its registered output is delivered, sync and async; what is not registered is its own error."""
    fake_process = pytest.importorskip("pytest_subprocess").fake_process
    with fake_process.FakeProcess() as fp:
        lines: list[str] = []
        fp.register(["tool", "--flag"], stdout=["one", "two"], stderr=b"why\n", returncode=3, wait=0.05)
        with pytest.raises(subprocess.CalledProcessError) as caught:
            drive(["tool", "--flag"], None, lines.append, **options)
        assert (caught.value.returncode, caught.value.stdout, caught.value.stderr) == (3, "one\ntwo\n", "why\n")
        assert lines == ["one", "two"]
        fp.register(["reader"], stdout="fixed", stdin_callable=lambda text: {"stdout": f"got {text.decode()}"})
        assert "got input" in drive(["reader"], input="input", **options).stdout
        with pytest.raises(Exception, match="not registered"):
            drive(["unknown"], **options)
