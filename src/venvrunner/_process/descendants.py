"""The descendants of a process (Linux): list them, and signal them and no other process.

The PID of a child that is not reaped belongs to that child, to the group it leads and to no other process, even when the child
is a zombie. A caller that is the only one to reap its children can rely on that. The PID of any other descendant is used only
after a proof.

This module also runs in the subreaper, so it imports only modules that load fast: see :mod:`.subreaper_program`.
"""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Iterator
else:
    import _signal as signal


def signal_all(signum: int, root: int, spare: int = 0) -> int:
    """Signal all descendants of this process.

    Args:
        signum: the signal.
        root: the PID of this process.
        spare: a group that is left out.

    Returns:
        how many living processes got the signal; 1 if they cannot be listed now, because unknown is not zero.
    """
    try:
        found = list(below(root))
    except OSError:  # too many open files
        return 1
    groups = {pid for pid, parent, _, _ in found if parent == root and pid != spare and kill(-pid, signum)}
    reached = 0
    for pid, parent, group, is_dead in found:
        if is_dead or group == spare:
            continue
        if group in groups or (kill(pid, signum) if parent == root else _signal_descendant(pid, signum, root)):
            reached += 1
    return reached


def kill(number: int, signum: int) -> bool:
    """Signal a child or, as a negative number, its group; return whether a process got the signal."""
    try:
        posix.kill(number, signum)
    except OSError:
        return False
    return True


def _signal_descendant(pid: int, signum: int, root: int) -> bool:
    """Signal a descendant that is not a child of ours; return whether it got the signal.

    The descriptor pins the process. If its chain of parents reads the same twice, each parent existed from the first reading
    to the second, so the whole chain was valid at one moment in between.
    """
    pidfd = -1
    try:
        try:
            pidfd = posix.pidfd_open(pid)
        except ProcessLookupError:
            return False
        except (AttributeError, OSError):  # Linux before 5.3, or a sandbox
            pass
        chain = _chain(pid, root)
        if not chain or chain != _chain(pid, root):
            return False
        if pidfd < 0:
            posix.kill(pid, signum)
        else:
            signal.pidfd_send_signal(pidfd, signum)
    except OSError:
        return False
    else:
        return True
    finally:
        if pidfd >= 0:
            posix.close(pidfd)


def _chain(pid: int, root: int) -> list[int]:
    """Return the parents of a process up to the root; an empty list if it is not a descendant of the root."""
    chain: list[int] = []
    while pid != root:
        found = _stat(pid)
        if found is None or found[1] in chain:
            return []
        pid = found[1]
        chain.append(pid)
    return chain


def below(root: int) -> "Iterator[tuple[int, int, int, bool]]":
    """Yield the PID, parent and process group of each descendant of a process, and whether it is dead; parents first.

    Raises:
        OSError: ``/proc`` cannot be read.
    """
    table: dict[int, list[tuple[int, int, int, bool]]] = {}
    for name in posix.listdir("/proc"):
        found = _stat(int(name)) if name.isdigit() else None
        if found is not None:
            table.setdefault(found[1], []).append(found)
    parents = [root]
    for parent in parents:
        for found in table.pop(parent, ()):
            yield found
            parents.append(found[0])


def _stat(pid: int) -> tuple[int, int, int, bool] | None:
    try:
        # "1 (name) S parent group ...": the name may contain spaces and parentheses, so count from the last one.
        state, parent, group = content(f"/proc/{pid}/stat").rpartition(b")")[2].split()[:3]
    except (OSError, ValueError):
        return None
    return pid, int(parent), int(group), state in {b"Z", b"X"}


def content(path: str) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: the file cannot be read.
    """
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        parts = [posix.read(fd, 65536)]
        while parts[-1]:
            parts.append(posix.read(fd, 65536))
    finally:
        posix.close(fd)
    return b"".join(parts)
