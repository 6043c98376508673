"""A child's session: start a child in a session of its own, and signal all of its processes and no other.

A signal goes to our own child or to no process at all. A PID counts as our child's only after proof, because a replaced
``Popen`` may return any number. The proof stays valid because the child is reaped last: until then, the system gives its PID
to no other process, group or session.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

from venvrunner._process import procfs
from venvrunner._process.supervisor import Stop

__tracebackhide__ = True


_IS_MACOS = sys.platform == "darwin"
_RECENT = 0.005
"""Seconds for which commands that exit at the same time share a listing of all processes."""


class Group(Protocol):
    """The processes that a child started, itself included.

    Attributes:
        keeps_leader: whether the child must be reaped last, because its PID protects the others.
    """

    keeps_leader: bool

    def send(self, signum: int) -> None:
        """Send a signal to every member. A group without members is not an error."""
        ...

    def leader_reaped(self) -> None:
        """Note that the child was reaped: from now on, its PID is valid only while the group has members."""
        ...

    def ended(self) -> bool:
        """Return whether no member is left. Call it only when the child has exited."""
        ...

    def lingers(self) -> bool:
        """Return whether the call must wait for members although the child has exited; stop them in that case."""
        ...

    def close(self) -> None:
        """Release the system's resources."""
        ...


class SingleProcess:
    """A child that leads no session of its own: only the child is signalled, through its ``Popen`` object.

    Args:
        process: the object that ``subprocess.Popen`` returned. If it is a fake, its own methods decide what happens.
    """

    keeps_leader = sys.platform == "linux"

    def __init__(self, process: Any) -> None:
        self._process = process

    def send(self, signum: int) -> None:
        """Send a signal to the child."""
        with contextlib.suppress(OSError, ValueError):
            self._process.send_signal(signum)

    def leader_reaped(self) -> None:
        """Do nothing."""

    def ended(self) -> bool:
        """Return true: the child has exited."""
        return True

    def lingers(self) -> bool:
        """Return false: there are no other members."""
        return False

    def close(self) -> None:
        """Do nothing."""


class ProcessGroup:
    """The process group that a child leads (POSIX).

    The system gives a PID to no other process while a group has it (POSIX 3.293, "Process Group Lifetime"). The
    leader is reaped at once, because a zombie leader would keep the group.
    """

    keeps_leader = False

    def __init__(self, leader: int) -> None:
        self._id = leader
        self._owner = os.getpid()
        self._gone = False

    def send(self, signum: int) -> None:
        """Send a signal to every member of the group."""
        if self._gone or os.getpid() != self._owner:  # a fork of the owner must not signal another process's child
            return
        try:
            os.killpg(self._id, signum)
        except ProcessLookupError:
            self._gone = True
        except PermissionError:
            # All members run as another user (sudo), or are zombies (macOS): no signal can reach them.
            pass

    def leader_reaped(self) -> None:
        """Check at once whether the leader was the last member: another group may soon get the same ID."""
        self.send(0)

    def ended(self) -> bool:
        """Return whether no member of the group is left; reap members that this process has adopted."""
        if os.getpid() == self._owner and not self._gone:
            with contextlib.suppress(OSError):  # no member is a child of ours
                while os.waitpid(-self._id, os.WNOHANG)[0]:
                    pass
        self.send(0)
        return self._gone

    def lingers(self) -> bool:
        """Return false: processes that a successful command leaves continue."""
        return False

    def close(self) -> None:
        """Do nothing."""


class Session(ProcessGroup):
    """The session that a child leads (Linux), with processes that left its group by ``setpgid``, as shells and ``timeout`` do.

    ``/proc/N/stat`` has the session of each process.
    """

    keeps_leader = True

    def send(self, signum: int) -> None:
        """Send a signal to every member of the session: to its first group at once, to the others one by one."""
        super().send(signum)
        if signum and not self._gone and os.getpid() == self._owner:
            for member in procfs.processes():
                if member.session == self._id != member.group and not member.is_dead:
                    self._send_to(member.pid, signum)

    def leader_reaped(self) -> None:
        """Check at once whether the leader was the last member of its session."""
        members = self._members(procfs.processes())
        if members is None:
            super().leader_reaped()
        else:
            self._gone = not members

    def ended(self) -> bool:
        """Return whether no living member is left; reap members that this process has adopted."""
        if self._gone or os.getpid() != self._owner:
            return True
        # A hundred commands that exit at once share this listing. It counts only if it shows the leader as dead.
        members = self._members(procfs.recent_processes(_RECENT))
        if not any(member.pid == self._id and member.is_dead for member in members or ()):
            members = self._members(procfs.processes())
        if members is None:
            return False
        if any(not member.is_dead for member in members):
            return False
        # A member that forks and exits may have hidden its child from the listing. Zombies ignore the signal.
        super().send(signal.SIGKILL)
        members = self._members(procfs.processes()) or []
        for member in members:
            if member.is_dead and member.parent == self._owner and member.pid != self._id:
                with contextlib.suppress(OSError):
                    os.waitpid(member.pid, os.WNOHANG)
        return all(member.is_dead for member in members)

    def _members(self, everything: Sequence[procfs.Process]) -> list[procfs.Process] | None:
        """Return the members of the session; ``None``: unknown."""
        return [process for process in everything if process.session == self._id] if everything else None

    def _send_to(self, pid: int, signum: int) -> None:
        """Send a signal to a process if it is still a member of the session: another process may have its PID by now."""
        with contextlib.suppress(OSError, AttributeError):  # without pidfd_open, there is no proof
            descriptor = os.pidfd_open(pid)
            try:
                process = procfs.process(str(pid))
                if process is not None and process.session == self._id:
                    signal.pidfd_send_signal(descriptor, signum)
            finally:
                os.close(descriptor)


def group_of(process: Any) -> Group:
    """Return the session or group that a new child provably leads as a child of ours; otherwise the child alone.

    A replaced ``Popen`` may return any number, or a mock whose ``int()`` is 1, and ``killpg(1)`` reaches every process of
    the user. One that drops ``start_new_session`` leaves the child in our own group.
    """
    pid: object = process.pid
    if type(pid) is not int or pid <= 1 or not is_child(pid):
        return SingleProcess(process)
    if HAS_JOBS or not _leads_session(pid):
        return SingleProcess(process)
    return Session(pid) if sys.platform == "linux" and procfs.is_ours() else _without_proc(pid)


def _without_proc(pid: int) -> Group:
    # Before Python 3.13, which has waitid() on macOS, a child cannot be kept as a zombie that protects its PID.
    if _IS_MACOS and hasattr(os, "waitid"):
        from venvrunner._process import libproc  # macOS only

        if libproc.is_there():
            return libproc.MacSession(pid, ProcessGroup(pid).send)
    return ProcessGroup(pid)


def is_child(pid: object) -> bool:
    """Return whether a PID is that of a child of this process, running or not reaped yet.

    >>> is_child(os.getppid()), is_child(True)
    (False, False)
    """
    if type(pid) is not int or pid <= 1:
        return False
    if sys.platform == "win32":
        return True
    if not hasattr(os, "waitid"):
        return _leads_session(pid)
    try:
        # Works only in the parent, and reaps nothing.
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except OSError:
        # If SIGCHLD is ignored, the system forgets a child as soon as it exits.
        return False
    return True


def _leads_session(pid: int) -> bool:
    if sys.platform == "win32":
        return True
    try:
        return pid == os.getpgid(pid) == os.getsid(pid)
    except OSError:
        # macOS returns neither for a zombie. No other process or group has the PID of a child that is not reaped.
        return hasattr(os, "waitid") and is_child(pid)


def start_options(popen: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords for starting a child in a session of its own, with user and group names replaced by numbers.

    ``Popen`` looks up the names too, but only after it has opened its pipes, and before Python 3.11.4 it leaves these open if a
    name does not exist (gh-87474).

    Raises:
        KeyError: the user or group does not exist.

    >>> start_options({"cwd": "/", "user": "root"})["user"]
    0
    """
    options = {**popen, **START_OPTIONS}
    if HAS_JOBS:
        options["creationflags"] = popen.get("creationflags", 0) | START_OPTIONS["creationflags"]
    if os.name == "posix" and not options.keys().isdisjoint({"user", "group", "extra_groups"}):
        import grp  # POSIX only, and few need it
        import pwd  # POSIX only, and few need it

        user, group, groups = (options.get(name) for name in ("user", "group", "extra_groups"))
        if isinstance(user, str):
            options["user"] = pwd.getpwnam(user).pw_uid
        if isinstance(group, str):
            options["group"] = grp.getgrnam(group).gr_gid
        if isinstance(groups, Iterable) and not isinstance(groups, str):
            several = cast("Iterable[object]", groups)
            options["extra_groups"] = [grp.getgrnam(one).gr_gid if isinstance(one, str) else one for one in several]
    return options


_CREATE_SUSPENDED = 0x4
HAS_JOBS = sys.platform == "win32"
"""Whether the system has job objects: a child is suspended until it is in one."""
if sys.platform == "win32":
    START_OPTIONS: dict[str, Any] = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | _CREATE_SUSPENDED}
    HAS_SELECTABLE_PIPES = False
    KILL = CONTINUE = -1
else:
    START_OPTIONS = {"start_new_session": True}
    HAS_SELECTABLE_PIPES = True
    KILL, CONTINUE = signal.SIGKILL, signal.SIGCONT


def lost_reason() -> str:
    """Return why the exit code of a child is lost, and what to do about it."""
    if hasattr(signal, "SIGCHLD") and signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        return (
            "ended, but its exit code is lost: this process ignores SIGCHLD, so the system drops the exit codes of its"
            " children. Restore it with signal.signal(signal.SIGCHLD, signal.SIG_DFL)."
        )
    return (
        "ended, but its exit code is lost: another part of this process has waited for the child, such as a handler of"
        " SIGCHLD or os.waitpid(-1, …). Let it wait for its own children only."
    )


def signal_number(stop: Stop, polite: int) -> int:
    """Return the signal for a step of a stop.

    Args:
        stop: the step.
        polite: the signal for ``Stop.POLITE``.

    >>> signal_number(Stop.INTERRUPT, signal.SIGTERM) == signal.SIGINT
    True
    """
    return {Stop.INTERRUPT: int(signal.SIGINT), Stop.POLITE: polite, Stop.HARD: int(KILL)}[stop]
