"""Where the system has no flock(2): environments work, and one warning says what does not."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.files import listing
from helpers.processes import end_all
from helpers.programs import SOURCE
from helpers.system import LINUX
from helpers.waiting import DEADLINE

FLOCK = {"x86_64": 73, "aarch64": 32}
"""The number of the call on each machine."""

pytestmark = pytest.mark.skipif(
    not LINUX or os.uname().machine not in FLOCK, reason="flock can be taken away only on Linux, and where its number is known"
)

REFUSE = """
import ctypes, errno, struct, sys

def refuse(number, error):
    # A filter of seccomp(2): what the kernel answers to this call, in this process and its children.
    steps = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | error), (0x06, 0, 0, 0x7FFF0000)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps), 8 * len(steps))
    libc = ctypes.CDLL(None, use_errno=True)
    filters = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(program))
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert libc.prctl(22, 2, filters) == 0  # PR_SET_SECCOMP

refuse(int(sys.argv[1]), getattr(errno, sys.argv[2]))
"""

ALL = """
import gc, os, threading
from concurrent.futures import ThreadPoolExecutor
from venvrunner import VenvInUseError, VenvRunner

def files():
    return {name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")}

top = sys.argv[3]
code = ["python", "-c", "import sys; print(sys.prefix)"]
before = files()
with VenvRunner.temporary(with_pip=False) as venv:
    assert venv.log_run(code).stdout == venv.venv_dir + "\\n"
assert not os.path.exists(venv.venv_dir)
venv = VenvRunner("venv", top, wait=0)
venv = VenvRunner("venv", top, wait=0)
again = VenvRunner("venv", top, exist="reuse", wait=0)
fork = venv.fork("fork", top)
assert fork.log_run(["pip", "--version"]).stdout
try:
    venv.delete()
except VenvInUseError as exc:
    assert "fork" in str(exc)
fork.delete()

inside = []
def use(number):
    with VenvRunner("shared", top, wait=60, with_pip=False) as shared:
        inside.append(number)
        assert inside == [number]
        assert shared.log_run(code).stdout == shared.venv_dir + "\\n"
        inside.remove(number)
with ThreadPoolExecutor(4) as pool:
    list(pool.map(use, range(8)))
VenvRunner.open(top + "/shared").delete()
again.delete()
venv.delete()
del venv, again, fork
gc.collect()
assert files() == before, (files(), before)
assert os.listdir(top) == []
print("all")
"""

COLD = """
import sys
from venvrunner import VenvRunner

venv = VenvRunner("venv", sys.argv[3], python=getattr(sys, "_base_executable", sys.executable))
assert venv.log_run(["pip", "--version"]).stdout
print("cold")
"""

SHARE = """
from venvrunner import VenvRunner
venv = VenvRunner("venv", sys.argv[3], exist="reuse", wait=0, with_pip=False)
print(venv.log_run(["python", "-c", "print(1)"]).stdout, end="", flush=True)
sys.stdin.readline()
VenvRunner("venv", sys.argv[3], wait=0, with_pip=False)
print(2, flush=True)
sys.stdin.readline()
"""


def start(source: str, error: str, top: Path, **variables: str) -> subprocess.Popen[str]:
    """Start a program from which a call of the system is taken away; without an *error*, it is not."""
    command = [sys.executable, "-c", (REFUSE if error else "") + source, str(FLOCK[os.uname().machine]), error, str(top)]
    env = {**os.environ, "PYTHONPATH": SOURCE, **variables}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def run(source: str, error: str, top: Path, **variables: str) -> tuple[str, str]:
    """Return what a program writes that :func:`start` has started, to standard output and error."""
    process = start(source, error, top, **variables)
    try:
        return process.communicate(timeout=5 * DEADLINE)
    finally:
        end_all([process])


def answer(process: subprocess.Popen[str]) -> str:
    """Return the next line that a program writes."""
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("error", ["ENOLCK", "ENOSYS", "ENOTSUP"])
def test_without_flock_everything_works_and_one_warning_says_so(error: str, tmp_path: Path) -> None:
    """Created, reused, forked, shared by threads and deleted; no descriptor is left open."""
    process = start(ALL, error, tmp_path)
    try:
        stdout, stderr = process.communicate(timeout=10 * DEADLINE)
    finally:
        end_all([process])
    assert (process.returncode, stdout) == (0, "all\n"), stderr
    (line,) = [line for line in stderr.splitlines() if not line.startswith("waiting for ")]  # the threads do
    consequence = "other processes can change or delete the environment while it is in use"
    assert line.endswith(f"cannot be locked ({os.strerror(getattr(errno, error))}): {consequence}")


@pytest.mark.parametrize(("error", "left"), [("ENOLCK", ""), ("ENOTSUP", ""), ("ENOSYS", ""), ("ENOSYS", "1\nanother-host\n")])
def test_without_flock_a_lock_file_left_in_a_cache_is_not_waited_for(error: str, left: str, tmp_path: Path) -> None:
    """filelock, which virtualenv and python-discovery use, takes such a file for a lock that is held, or fails.

    An empty one is of a process that had flock, one with a host's name of a process that had none.
    """
    cache, home, other = tmp_path / "cache", tmp_path / "home", tmp_path / "other"
    variables = {"VENVRUNNER_CACHE_DIR": str(cache), "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
    command = [sys.executable, "-m", "virtualenv", "--quiet", "--no-download", "--no-periodic-update", str(other)]
    subprocess.run(command, env={**os.environ, **variables}, timeout=5 * DEADLINE, check=True)
    before = set(home.rglob("*"))
    assert run(COLD, "", tmp_path, **variables) == ("cold\n", "")

    locks = {*home.rglob("*.lock"), *cache.rglob("*.lock")}
    for known in cache.rglob("*.json"):  # where versions of python-discovery have had a lock for it
        (known.parent / "locks-v2").mkdir(mode=0o700, exist_ok=True)
        locks |= {known.with_suffix(".lock"), known.parent / "locks-v2" / f"{known.stem}.lock"}
    assert {lock.is_relative_to(home) for lock in locks} == {True, False}
    for lock in locks:
        lock.write_text(left)
    for pack in cache.glob("*.pack"):
        pack.unlink()
    stdout, stderr = run(COLD, error, tmp_path, **variables)
    assert stdout == "cold\n", stderr
    (line,) = stderr.splitlines()
    assert "cannot be locked" in line
    assert set(home.rglob("*")) == before, "virtualenv's own cache was used"


def test_two_processes_without_flock_do_not_hinder_each_other(tmp_path: Path) -> None:
    """Neither takes the environment for its own to lock; each is warned."""
    processes: list[subprocess.Popen[str]] = []
    try:
        for _number in range(2):  # one after the other: that is what nothing protects now
            processes.append(start(SHARE, "ENOLCK", tmp_path))
            assert answer(processes[-1]) == "1\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
            assert answer(process) == "2\n"
        errors = [process.communicate(timeout=DEADLINE)[1] for process in processes]
    finally:
        end_all(processes)
    assert [error.count("cannot be locked") for error in errors] == [1, 1]
    assert [error.count("\n") for error in errors] == [1, 1]
    assert f"{tmp_path}/venv/bin/python" in listing(tmp_path)
