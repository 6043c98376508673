"""The processes of the system, read from ``/proc`` (Linux)."""

import os
from collections.abc import Sequence
from typing import NamedTuple

from venvrunner._process.clock import monotonic


class Process(NamedTuple):
    pid: int
    is_dead: bool
    parent: int
    group: int
    session: int


def is_ours() -> bool:
    """Return whether ``/proc`` is mounted and shows this process's PID namespace (``pid_namespaces(7)``)."""
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


def processes() -> Sequence[Process]:
    """Return all processes of the system; none if ``/proc`` cannot be read, or shows another PID namespace."""
    global _last  # noqa: PLW0603  the listing is the same for the whole process
    began = monotonic()
    try:
        names = os.listdir("/proc") if is_ours() else []
    except OSError:
        names = []
    found = [one for name in names if name.isdigit() and (one := process(name)) is not None]
    _last = began, found
    return found


_last: tuple[float, Sequence[Process]] = (0.0, ())


def recent_processes(age: float) -> Sequence[Process]:
    """Return the last result of :func:`processes` if it is at most *age* seconds old, otherwise a new one."""
    began, found = _last
    return found if monotonic() - began <= age else processes()


def process(name: str) -> Process | None:
    try:
        # Not open(), which takes four times as long: there are hundreds of processes.
        fd = os.open(f"/proc/{name}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            line = os.read(fd, 4096)
        finally:
            os.close(fd)
        # "1 (name) S ppid pgrp session ...": the name may contain spaces and parentheses, so count from the last one.
        state, parent, group, session = line.rpartition(b")")[2].split(maxsplit=4)[:4]
        return Process(int(name), state in {b"Z", b"X"}, int(parent), int(group), int(session))
    except (OSError, ValueError):
        return None
