"""A fault injector: the n-th call of the system fails, once or from then on, for every n; nothing is left afterwards."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import venvrunner
from helpers.system import POPEN_LEAKS
from helpers.waiting import DEADLINE

PROGRAM = """
import asyncio, builtins, errno, faulthandler, fcntl, gc, os, shutil, subprocess, sys, tempfile, time
from venvrunner import FakeVenvRunner, VenvError, VenvRunner
from venvrunner.subprocess_util import async_log_run, lines, log_run
from venvrunner.testing import RecordingVenvRunner

faulthandler.dump_traceback_later(240, exit=True)  # a program that hangs says where
KIND, OPERATION, MODE = sys.argv[1:]
PLACES = {
    "open": [(os, "open"), (builtins, "open")],
    "pipe": [(os, "pipe")],
    "eventfd": [(os, "eventfd")],
    "pidfd": [(os, "pidfd_open")],
    "blocking": [(os, "set_blocking")],
    "mkdir": [(os, "mkdir")],
    "write": [(os, "write")],
    "read": [(os, "read")],
    "rename": [(os, "replace"), (os, "rename")],
    "unlink": [(os, "unlink")],
    "rmdir": [(os, "rmdir")],
    "link": [(os, "link"), (os, "symlink")],
    "list": [(os, "listdir"), (os, "scandir")],
    "flock": [(fcntl, "flock")],
    "fork": [(subprocess, "_fork_exec")],
    "thread": [],
}
ERRORS = {"open": errno.EMFILE, "pipe": errno.EMFILE, "eventfd": errno.EMFILE, "pidfd": errno.EMFILE, "fork": errno.EAGAIN}
NUMBER = ERRORS.get(KIND, errno.EIO)
top = os.path.join(tempfile.gettempdir(), "top")
os.mkdir(top)
armed, count, at = False, 0, -1

def fails():
    global count
    if not armed:
        return False
    count += 1
    return count - 1 == at if MODE == "once" else 0 <= at <= count - 1

def patched(function):
    def call(*args, **options):
        if fails():
            raise OSError(NUMBER, os.strerror(NUMBER))
        return function(*args, **options)
    return call

for owner, name in PLACES[KIND]:
    setattr(owner, name, patched(getattr(owner, name)))

def create():
    VenvRunner("v", top, with_pip=False)

def temporary():
    with VenvRunner.temporary(with_pip=False):
        pass

def delete():
    VenvRunner.open(os.path.join(top, "d")).delete()

def fork():
    VenvRunner.open(os.path.join(top, "p")).fork("f", top)

def record():
    recording.save()

OPERATIONS = {
    "log_run": lambda: log_run(["cat"], input="text"),
    "async_log_run": lambda: asyncio.run(async_log_run(["cat"], input="text")),
    "lines": lambda: list(lines(["echo", "one"])),
    "contain": lambda: log_run(["true"], contain=True),
    "create": create,
    "temporary": temporary,
    "delete": delete,
    "fork": fork,
    "record": record,
}
operation = OPERATIONS[OPERATION]

def prepare():
    for name in ("v", "f", "d"):
        shutil.rmtree(os.path.join(top, name), ignore_errors=True)
    if OPERATION == "delete":
        VenvRunner("d", top, with_pip=False).__exit__(None, None, None)

if OPERATION == "fork":
    VenvRunner("p", top, with_pip=False).__exit__(None, None, None)
recording = RecordingVenvRunner(FakeVenvRunner(), os.path.join(top, "recording.json"))
recording.log_run(["true"])

def files():
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            found[number] = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            pass
    return {number: what for number, what in found.items() if not what.endswith("/fd")}

def has_child():
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True

def reasons(error):
    while error is not None:
        yield str(error)
        yield from getattr(error, "__notes__", ())
        error = error.__cause__ or error.__context__

def attempt(n):
    global armed, count, at
    prepare()
    armed, count, at = True, 0, n
    error = None
    try:
        operation()
    except (VenvError, OSError) as exc:
        error = exc
    finally:
        armed = False
    if error is not None:
        text = " ".join(reasons(error))
        assert os.strerror(NUMBER) in text, (n, repr(error), text)
    error = None
    return count

for _time in range(2):
    attempt(-1)
total = attempt(-1)
gc.collect()
before = files()
for n in range(total):
    attempt(n)
    # What could not be let go of then is let go of as soon as it is possible.
    VenvRunner.temporary(with_pip=False).delete()
    end = time.monotonic() + 10
    def left():
        names = set(os.listdir(tempfile.gettempdir())) - {"top"}
        beside = set(os.listdir(top)) - {"p", "v", "f", "d", "recording.json"}
        return names | beside or has_child() or files() != before
    while left() and time.monotonic() < end:
        gc.collect()
        time.sleep(0.001)
    assert not left(), (n, os.listdir(tempfile.gettempdir()), os.listdir(top), has_child(), before, files())
    attempt(-1)  # and the next call works
print(total)
"""

PROCESS = ["open", "pipe", "eventfd", "pidfd", "blocking", "write", "read", "fork"]
DIRECTORY = ["open", "mkdir", "write", "rename", "unlink", "rmdir", "link", "list", "flock"]
CASES = [
    *((kind, operation) for operation in ("log_run", "async_log_run", "lines", "contain") for kind in PROCESS),
    *((kind, operation) for operation in ("create", "temporary", "delete", "fork") for kind in DIRECTORY),
    *((kind, "record") for kind in ("open", "rename")),
]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc shows what is left")
@pytest.mark.parametrize("mode", ["once", pytest.param("from then on", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("kind", "operation"), CASES)
def test_a_failure_of_the_system_leaves_nothing(kind: str, operation: str, mode: str, tmp_path: Path) -> None:
    """No process, descriptor or temporary file; the error names the first cause; and the next call works."""
    if kind == "pipe" and POPEN_LEAKS:
        pytest.skip("Popen itself leaves descriptors open before Python 3.11.4 (gh-87474)")
    env = {
        **os.environ,
        "PYTHONPATH": str(Path(venvrunner.__file__).parents[1]),
        "TMPDIR": str(tmp_path),
        "VENVRUNNER_CACHE_DIR": os.environ["VENVRUNNER_CACHE_DIR"],
    }
    command = [sys.executable, "-c", PROGRAM, kind, operation, mode]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=20 * DEADLINE, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().isdigit()
