"""Leaks of tests: processes of their commands that still run, and files that they have left."""

import os
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress

import pytest

from venvrunner._fixtures.journal import Journal
from venvrunner._fixtures.runners import NotedVenvRunner
from venvrunner._process import procfs
from venvrunner._process.clock import monotonic

__tracebackhide__ = True

_WAIT = 1.0
"""Seconds in which a process that is about to end may do so."""
_PAUSE = 0.02
_SHOWN = 10
"""How many leaks are shown."""
_LEFT_OUT = frozenset({"__pycache__", "node_modules", "recordings"})
"""The names of files and directories that do not count, besides hidden ones."""


@contextmanager
def watched(runner: NotedVenvRunner, journal: Journal, directories: Iterable[str], basetemp: str) -> Generator[None]:
    """Fail a test that passes in the block if it leaves processes or files.

    Args:
        runner: the runner of the test; its commands get an empty directory for temporary files.
        journal: the journal of the test.
        directories: the directories in which no new file may be left.
        basetemp: the directory of pytest for temporary files, which is not searched.
    """
    tops, base = [os.path.realpath(directory) for directory in directories], os.path.realpath(basetemp)
    before = _files(tops, base)
    temporary = runner.own_temporary_files()
    yield
    if journal.outcome != "passed":
        return
    running = [(pid, " ".join(journal.masked(command).split())) for pid, command in _processes(runner.venv_dir)]
    found = [f"the process {pid}: {command}" for pid, command in running]
    found += [f"the temporary file {path}" for path in sorted(_files([temporary], "", hidden=True))]
    found += [f"the file {path}" for path in sorted(_files(tops, base) - before)]
    if found:
        more = [f"… and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
        lines = "\n".join(f"  {line}" for line in [*found[:_SHOWN], *more])
        msg = (
            f"venv_leaks: the test has left\n{lines}\n"
            "End the processes and remove the files in the test, or write files to tmp_path."
        )
        raise pytest.fail.Exception(msg.encode(errors="backslashreplace").decode(), pytrace=False)


def _files(tops: Iterable[str], basetemp: str, *, hidden: bool = False) -> set[str]:
    """Return the paths of all files and directories below directories, but nothing in a virtual environment there."""
    found = set[str]()
    stack = [*tops]
    while stack:
        with suppress(OSError), os.scandir(stack.pop()) as entries:  # another process may remove the directory
            for entry in entries:
                is_left_out = entry.name.startswith(".") or entry.name in _LEFT_OUT
                if (is_left_out and not hidden) or entry.path == basetemp:
                    continue
                found.add(entry.path)
                is_directory = entry.is_dir(follow_symlinks=False)
                if is_directory and (hidden or not os.path.exists(os.path.join(entry.path, "pyvenv.cfg"))):
                    stack.append(entry.path)
    return found


def _processes(venv_dir: str) -> list[tuple[int, str]]:
    """Return the PIDs and the command lines of the processes of an environment that do not end by themselves soon."""
    end = monotonic() + _WAIT
    while (found := _running(venv_dir)) and monotonic() < end:
        time.sleep(_PAUSE)
    return found


def _running(venv_dir: str) -> list[tuple[int, str]]:
    """Return the running processes that have inherited the variables of an environment's commands; Linux knows them."""
    variable = os.fsencode(f"VIRTUAL_ENV={venv_dir}")
    found = list[tuple[int, str]]()
    for process in procfs.processes():
        with suppress(OSError):  # it has ended, or belongs to another user
            if not process.is_dead and variable in _content(process.pid, "environ").split(b"\0"):
                found.append((process.pid, " ".join(os.fsdecode(_content(process.pid, "cmdline")).strip("\0").split("\0"))))
    return found


def _content(pid: int, name: str) -> bytes:
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read()
