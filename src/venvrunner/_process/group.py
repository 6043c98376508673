"""Process groups: how a child is set apart from us, and how it is ended with all its descendants."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast

from venvrunner._process.supervisor import Stop


class ProcessGroup(Protocol):
    """The processes that a child leads."""

    def send(self, stop: Stop) -> None:
        """Send a signal to every member; that there is none left is no error."""
        ...

    def leader_ended(self) -> None:
        """Note that the leader was reaped."""
        ...

    def ended(self) -> bool:
        """Tell whether no member is left, and see to it that none comes any more. Ask only when the leader is reaped."""
        ...


class PosixGroup:
    """The group that a child leads because it was started in a session of its own.

    The system does not give away a process number that a group still has (POSIX 3.293, "Process Group Lifetime"), so
    the number stays good after the leader was reaped, until the group is empty. From then on it is not used any more.
    """

    def __init__(self, leader: int) -> None:
        self._id = leader
        self._owner = os.getpid()
        self._gone = False

    def send(self, stop: Stop) -> None:
        """Send SIGTERM or SIGKILL to every member."""
        self._kill(signal.SIGTERM if stop is Stop.POLITE else signal.SIGKILL)

    def leader_ended(self) -> None:
        """Note at once if the leader was the last: the number may be another group's soon."""
        self._kill(0)

    def ended(self) -> bool:
        """Tell whether no member is left that is more than a zombie."""
        self._kill(0)
        if not self._gone and _only_zombies(self._id):
            # A member that forks and ends may have hidden its child from the look. Zombies don't mind.
            self._kill(signal.SIGKILL)
            self._gone = True
        return self._gone

    def _kill(self, signum: int) -> None:
        if self._gone or os.getpid() != self._owner:  # a fork of the owner must not end what is not its own
            return
        try:
            os.killpg(self._id, signum)
        except ProcessLookupError:
            self._gone = True
        except PermissionError:
            # All members run as somebody else (sudo), or are zombies (macOS): nothing more that we could do.
            pass


class NoGroup:
    """The group of a process that is not proven to be our child and to lead one: no signal is ever sent."""

    def __init__(self, _leader: object) -> None:
        """Take what should have been a process number, and forget it."""

    def send(self, stop: Stop) -> None:
        """Do nothing."""

    def leader_ended(self) -> None:
        """Do nothing."""

    def ended(self) -> bool:
        """Return true: there is nothing to wait for."""
        return True


def process_group(leader: object) -> ProcessGroup:
    """Return the group that a new child leads, if it provably does; else one that sends no signal.

    A replaced ``Popen`` may return any number, or a mock whose ``int()`` is 1, and ``killpg(1)`` reaches every process of
    the user. One that drops ``start_new_session`` leaves the child in our own group.

    >>> isinstance(process_group(os.getppid()), NoGroup)
    True
    """
    if type(leader) is not int or leader <= 1:
        return NoGroup(leader)
    return _make_group(leader) if _leads_own_session(leader) else NoGroup(leader)


def _leads_own_session(pid: int) -> bool:
    if os.name != "posix":
        return True
    try:
        if hasattr(os, "waitid"):
            # Only a parent may ask, and nothing is reaped. A child that has ended already may be asked too.
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return pid == os.getpgid(pid) == os.getsid(pid)
    except OSError:  # no child of ours, or one that the system forgot as soon as it ended
        return False


class WindowsGroup:
    """The tree below a child on Windows. Written from the documentation; never run there by the authors."""

    def __init__(self, leader: int) -> None:
        self._id = leader

    def send(self, stop: Stop) -> None:
        """Send CTRL_BREAK to the group, or end the tree with taskkill."""
        if stop is Stop.POLITE:
            with contextlib.suppress(OSError):
                os.kill(self._id, getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))
        else:
            subprocess.run(["taskkill", "/T", "/F", "/PID", str(self._id)], capture_output=True, check=False)  # noqa: S607  it is part of Windows

    def leader_ended(self) -> None:
        """Do nothing."""

    def ended(self) -> bool:
        """Say yes: Windows has no group to ask once the leader is gone."""
        return True


def _only_zombies(group: int) -> bool:
    """Tell whether every member has ended and just was not reaped, as below a container's PID 1 that reaps nobody."""
    try:
        numbers = [entry for entry in os.listdir("/proc") if entry.isdigit()]
    except OSError:
        return False
    for number in numbers:
        try:
            with open(f"/proc/{number}/stat", "rb") as file:
                # "1 (name) S ppid pgrp ...": the name may hold blanks and parentheses, so count from the last one.
                state, _parent, pgrp = file.read().rpartition(b")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if int(pgrp) == group and state not in {b"Z", b"X"}:
            return False
    return bool(numbers)


def start_options(popen: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords with which a child is started: set apart, and with numbers in place of the names of users and groups.

    Popen would look these up as well, but only when it has made its pipes, which it leaves open before Python 3.11.4 if there
    is no such name (gh-87474).

    Raises:
        KeyError: there is no such user or group.

    >>> start_options({"cwd": "/", "user": "root"})["user"]
    0
    """
    options = {**popen, **START_OPTIONS}
    if os.name == "posix" and not options.keys().isdisjoint({"user", "group", "extra_groups"}):
        import grp  # noqa: PLC0415  POSIX only, and few need it
        import pwd  # noqa: PLC0415  the same

        user, group, groups = (options.get(name) for name in ("user", "group", "extra_groups"))
        if isinstance(user, str):
            options["user"] = pwd.getpwnam(user).pw_uid
        if isinstance(group, str):
            options["group"] = grp.getgrnam(group).gr_gid
        if isinstance(groups, Iterable) and not isinstance(groups, str):
            several = cast("Iterable[object]", groups)
            options["extra_groups"] = [grp.getgrnam(one).gr_gid if isinstance(one, str) else one for one in several]
    return options


if sys.platform == "win32":
    _make_group: type[ProcessGroup] = WindowsGroup
    START_OPTIONS: dict[str, Any] = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    HAS_SELECTABLE_PIPES = False
else:
    _make_group = PosixGroup
    START_OPTIONS = {"start_new_session": True}
    HAS_SELECTABLE_PIPES = True
