"""A process that is forked from one with environments: it uses them, and what it ends, leaves or deletes is its own."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

import venvrunner
from helpers.waiting import DEADLINE

HEAD = """
import os, sys
from venvrunner import VenvInUseError, VenvRunner
from venvrunner._venv.state import Ownership
from venvrunner._venv.temporary import temporary_directory

top = sys.argv[1]

def in_child(action):
    pid = os.fork()
    if not pid:
        try:
            action()
            sys.stdout.flush()
        finally:
            os._exit(0)
    assert os.waitpid(pid, 0) == (pid, 0)

venv = VenvRunner("venv", top, with_pip=False)
"""

PROGRAMS = {
    "a directory of an installation": """
with temporary_directory() as folder:
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        print(os.path.isdir(folder))
if not pid:
    os._exit(0)
""",
    "a lock": """
with Ownership(venv.venv_dir).held(1):
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        try:
            Ownership(venv.venv_dir).held(0).__enter__()
        except VenvInUseError:
            print(True)
if not pid:
    os._exit(0)
""",
    "a creation that is under way": """
pids = []
def fork_inside(self, request):
    pids.append(os.fork())
    if not pids[0]:
        raise SystemExit
    os.waitpid(pids[0], 0)
VenvRunner._install_now = fork_inside
try:
    new = VenvRunner("new", top, with_pip=False, requirements=["pocket"])
except SystemExit:
    os._exit(0)
print(new.log_run(["python", "-c", "print(True)"]).stdout.strip())
""",
    "the note of a runner": """
in_child(lambda: venv.__exit__(None, None, None))
in_child(lambda: globals().pop("venv"))
print(len(Ownership(venv.venv_dir)._files("user")) == 1)
""",
    "the note of a command in another thread": """
import threading
started, (read, write) = threading.Event(), os.pipe()
arguments = ["python", "-c", "print(1, flush=True); open(0).read()"]
options = {"stdin": read, "stdout_loglevel": lambda line: started.set()}
thread = threading.Thread(target=lambda: venv.log_run(arguments, **options))
thread.start()
assert started.wait(10)
reading, writing = os.pipe()
pid = os.fork()
if not pid:
    os.close(write)
    os.close(writing)
    os.read(reading, 1)
    os._exit(0)
os.close(write)
thread.join()
VenvRunner("venv", top, with_pip=False, wait=1)
os.close(writing)
os.waitpid(pid, 0)
print(True)
""",
    "an environment, which it may use": """
in_child(lambda: print(venv.log_run(["python", "-c", "print(True)"]).stdout.strip()))
""",
    "one that it creates itself": """
def create():
    with VenvRunner.temporary(with_pip=False) as own:
        pass
    print(not os.path.exists(own.venv_dir))
in_child(create)
""",
}


def run(source: str, top: Path) -> str:
    """Run a program and return what it printed."""
    env = {**os.environ, "PYTHONPATH": str(Path(venvrunner.__file__).parents[1])}
    # The thread that a call has used may not be gone yet: from Python 3.12 on, a fork warns of it.
    command = [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", HEAD + source, str(top)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=3 * DEADLINE)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


@pytest.mark.parametrize("what", PROGRAMS)
def test_a_fork_leaves_alone_what_its_parent_has(what: str, tmp_path: Path) -> None:
    """Whatever block it leaves and whatever it drops; what it creates itself it deletes as any process does."""
    assert run(PROGRAMS[what], tmp_path) == "True\n"


def test_the_error_of_a_fork_that_deletes_names_the_owner(tmp_path: Path) -> None:
    """At once, also if the environment is a temporary one; nothing is deleted."""
    source = """
temporary = VenvRunner.temporary(with_pip=False)
def delete():
    for runner in (venv, temporary):
        try:
            runner.delete()
        except VenvInUseError as exc:
            print(exc)
in_child(delete)
for runner in (venv, temporary):
    assert os.path.exists(runner.venv_dir)
    print(f"{runner.venv_dir!r} is in use by process {os.getpid()}, which forked this one. Delete it in that process.")
"""
    lines = run(source, tmp_path).splitlines()
    assert len(lines) == 4
    assert lines[:2] == lines[2:]


def test_a_fork_that_exits_does_not_wait_for_cleanup_that_is_not_its_own(tmp_path: Path) -> None:
    """With all that runs at an exit, and while the modules are dropped, when no thread runs any more."""
    source = """
import time
temporary = VenvRunner.temporary(with_pip=False)
pid = os.fork()
if not pid:
    sys.exit()
begin = time.monotonic()
assert os.waitpid(pid, 0) == (pid, 0)
print(time.monotonic() - begin, os.path.exists(temporary.venv_dir))
"""
    seconds, exists = run(source, tmp_path).split()
    assert exists == "True"
    assert float(seconds) < DEADLINE / 4


def test_a_preexec_function_leaves_the_command_its_note(tmp_path: Path) -> None:
    """It makes ``subprocess`` fork as ``os.fork`` does; a process that the command leaves behind still uses the environment."""
    source = """
read, write = os.pipe()
source = "import os\\nif not os.fork(): os.setsid(); os.read(0, 1)"
venv.log_run(["python", "-c", source], stdin=read, preexec_fn=int)
try:
    VenvRunner("venv", top, with_pip=False, wait=0)
except VenvInUseError:
    print(True)
"""
    assert run(source, tmp_path) == "True\n"


MULTIPROCESSING = """
import multiprocessing, os, sys
from venvrunner import VenvRunner

kept = []

def keep():
    kept.append(VenvRunner.temporary(with_pip=False))
    assert os.path.exists(kept[0].venv_dir)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    worker = context.Process(target=keep)
    worker.start()
    worker.join()
    sys.exit(worker.exitcode)
"""


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_worker_of_multiprocessing_deletes_what_it_has_at_its_end(
    method: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A forked one ends without ``atexit``."""
    program, top = tmp_path / "program.py", tmp_path_factory.mktemp("t")  # the path of a socket must be short
    program.write_text(MULTIPROCESSING)
    env = {**os.environ, "PYTHONPATH": str(Path(venvrunner.__file__).parents[1]), "TMPDIR": str(top)}
    command = [sys.executable, str(program), method]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=3 * DEADLINE)
    assert (done.returncode, done.stderr) == (0, "")
    assert [path for path in top.iterdir() if path.name.startswith("venvrunner-")] == []
