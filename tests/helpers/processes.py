"""The processes and descriptors of the test run."""

import contextlib
import os
import re
import subprocess
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


def children() -> dict[int, str]:
    """Return the living processes below this one, orphans included (Linux)."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if int(parent) == os.getpid() and state != "Z":
                found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
    return found


def reap() -> None:
    """Reap all dead children, those of others that were adopted above all: thousands of them make every look at /proc slow."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


@contextlib.contextmanager
def adopted_ones_reaped(program: int) -> Iterator[None]:
    """Reap in the block whatever a program leaves to this process, but not the program itself (Linux)."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.1):
            with contextlib.suppress(ChildProcessError):
                # Looked at first: `Popen` needs the program's own exit code.
                while (dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                    if dead.si_pid == program:
                        break
                    os.waitpid(dead.si_pid, os.WNOHANG)

    thread = threading.Thread(target=work, name="pytest reaps")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def alive(pid: int) -> bool:
    """Tell whether a process runs and is more than a zombie."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def end_all(processes: Iterable[subprocess.Popen[Any]]) -> None:
    """Kill what a failed test has left running, and close its pipes."""
    for process in processes:
        with contextlib.suppress(OSError):
            process.kill()
        process.communicate()


def descriptors() -> dict[str, str]:
    """Return the open descriptors and what they are."""
    found = {}
    for entry in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found[entry] = os.readlink(f"/proc/self/fd/{entry}")
    return found


def is_pending(pid: int, number: int) -> bool:
    """Return whether a signal has been sent to a process that has not taken it yet."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    masks = re.findall(r"(?:SigPnd|ShdPnd):\s*(\w+)", status)
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks)
