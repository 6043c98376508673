"""The processes of the system, as ``/proc`` shows them (Linux)."""

import os
from collections.abc import Iterator
from typing import NamedTuple


class Process(NamedTuple):
    pid: int
    is_dead: bool
    parent: int
    group: int
    session: int


def processes() -> Iterator[Process]:
    """Yield all processes of the system; none where ``/proc`` can't be read."""
    try:
        names = os.listdir("/proc")
    except OSError:
        return
    for name in names:
        if name.isdigit() and (found := process(name)) is not None:
            yield found


def process(name: str) -> Process | None:
    try:
        with open(f"/proc/{name}/stat", "rb") as file:
            # "1 (name) S ppid pgrp session ...": the name may hold blanks and parentheses, so count from the last one.
            state, parent, group, session = file.read().rpartition(b")")[2].split()[:4]
        return Process(int(name), state in {b"Z", b"X"}, int(parent), int(group), int(session))
    except (OSError, ValueError):
        return None
