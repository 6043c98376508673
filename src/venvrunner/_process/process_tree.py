"""The tree of processes below a child on Windows, and how it is ended."""

import os
import signal
import time
from typing import Any

from venvrunner._process.job_object import Job, resume
from venvrunner._process.session import KILL, Group, SingleProcess

__tracebackhide__ = True

_BREAK = int(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))


class WindowsTree:
    """A child on Windows and all that it has started: they are in one job object.

    Args:
        leader: the number of the child; it is not another process's as long as its ``Popen`` has the handle.
        job: what it was put into before it began.
        grace: seconds that what the child leaves behind has after CTRL_BREAK; ``None``: it may go on.
    """

    keeps_leader = False

    def __init__(self, leader: int, job: Job, grace: float | None = None) -> None:
        self._id = leader
        self._job = job
        self._grace = grace
        self._limit: float | None = None

    def send(self, signum: int) -> None:
        """Send CTRL_BREAK to those that have the child's console and group, or end all, as is done without a console."""
        if signum == KILL:
            self._job.end()
        else:
            try:
                os.kill(self._id, _BREAK)
            except OSError:  # there is no console, so there is nothing to wait for
                self._job.end()

    def leader_reaped(self) -> None:
        """Do nothing."""

    def ended(self) -> bool:
        """Return whether nothing in the job runs any more."""
        return not self._job.active()

    def lingers(self) -> bool:
        """Return whether a child that is contained has left something: it gets CTRL_BREAK, and is ended after the grace."""
        if self._grace is None or self.ended():
            return False
        if self._limit is None:
            self._limit = time.monotonic() + self._grace
            self.send(_BREAK)
        elif time.monotonic() >= self._limit:
            self.send(KILL)
        return True

    def close(self) -> None:
        """Close the job object."""
        self._job.close()


def tree_of(process: Any, *, grace: float | None) -> Group:
    """Put a new child into a job object, and let it begin (Windows).

    Args:
        process: what ``Popen`` returned; it was started with the flags that :func:`start_options` returns.
        grace: as for :class:`WindowsTree`: for a child that is to be contained.

    Raises:
        OSError: that is not possible, and the child is to be contained.
    """
    group: Group = SingleProcess(process)
    handle = int(process._handle)  # noqa: SLF001  no other way leads to it
    try:
        job = Job(contain=grace is not None)
        job.take(handle)
        group = WindowsTree(process.pid, job, grace)
    except OSError:
        if grace is not None:
            raise
    resume(handle)
    return group
