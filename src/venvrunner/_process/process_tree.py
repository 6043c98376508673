"""The process tree of a child (Windows): signal it, and kill it through its job object."""

import os
import signal
from typing import Any

from venvrunner._process.clock import monotonic
from venvrunner._process.job_object import Job, resume
from venvrunner._process.session import KILL, Group, SingleProcess

__tracebackhide__ = True

_BREAK = int(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))


class WindowsTree:
    """A child on Windows and all processes that it has started, in one job object.

    Args:
        leader: the PID of the child; no other process gets it while the child's ``Popen`` has the handle.
        job: the job object, which the child was put into before it ran.
        grace: seconds from CTRL_BREAK to the kill for processes that the child leaves; ``None``: they continue.
    """

    keeps_leader = False

    def __init__(self, leader: int, job: Job, grace: float | None = None) -> None:
        self._id = leader
        self._job = job
        self._grace = grace
        self._limit: float | None = None

    def send(self, signum: int) -> None:
        """Send CTRL_BREAK to the processes of the child's console and group; kill all for KILL, or without a console."""
        if signum == KILL:
            self._job.end()
        else:
            try:
                os.kill(self._id, _BREAK)
            except OSError:  # without a console, no process can react to CTRL_BREAK
                self._job.end()

    def leader_reaped(self) -> None:
        """Do nothing."""

    def ended(self) -> bool:
        """Return whether no process in the job is running."""
        return not self._job.active()

    def lingers(self) -> bool:
        """Return whether a contained child has left processes; send them CTRL_BREAK, and kill them after the grace."""
        if self._grace is None or self.ended():
            return False
        if self._limit is None:
            self._limit = monotonic() + self._grace
            self.send(_BREAK)
        elif monotonic() >= self._limit:
            self.send(KILL)
        return True

    def close(self) -> None:
        """Close the job object."""
        self._job.close()


def tree_of(process: Any, *, grace: float | None) -> Group:
    """Put a new child into a job object, and resume it (Windows).

    Args:
        process: the object that ``Popen`` returned; it was started with the flags of :func:`start_options`.
        grace: as for :class:`WindowsTree`, for a child that is to be contained; otherwise ``None``.

    Raises:
        OSError: the child cannot be resumed, or is to be contained and cannot be put into a job object.
    """
    group: Group = SingleProcess(process)
    handle = int(process._handle)  # noqa: SLF001  it has no public name
    try:
        job = Job(contain=grace is not None)
        job.take(handle)
        group = WindowsTree(process.pid, job, grace)
    except OSError:
        if grace is not None:
            raise
    resume(handle)
    return group
