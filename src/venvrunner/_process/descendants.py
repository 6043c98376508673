"""The processes below one: which they are (Linux), and how a signal reaches them and no other process.

The number of a child that is not reaped belongs to that child, to the group it leads and to no other process, even when the
child is a zombie. A caller that alone reaps its children can rely on that. A number further down is used only after a proof.

This module runs in the subreaper too, so it imports only what starts fast: see :mod:`.subreaper_program`.
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
        root: the number of this process.
        spare: a group that gets nothing.

    Returns:
        how many living processes it has reached; 1 if they cannot be listed now, because unknown is not zero.
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
    """Signal a child or, as a negative number, its group; return whether a process was reached."""
    try:
        posix.kill(number, signum)
    except OSError:
        return False
    return True


def _signal_descendant(pid: int, signum: int, root: int) -> bool:
    """Signal a descendant that is not a child of ours; return whether it got the signal.

    The descriptor pins the process. If its chain of parents reads the same twice, each of them was there from the first
    reading to the second, so at one moment in between all of the chain was true.
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
    """Return the parents of a process up to the root; empty: it is not below the root."""
    chain: list[int] = []
    while pid != root:
        found = _stat(pid)
        if found is None or found[1] in chain:
            return []
        pid = found[1]
        chain.append(pid)
    return chain


def below(root: int) -> "Iterator[tuple[int, int, int, bool]]":
    """Yield number, parent, group and whether it is dead of each process below one, parents first.

    Raises:
        OSError: ``/proc`` can't be read.
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
        # "1 (name) S parent group ...": the name may hold blanks and parentheses, so count from the last one.
        state, parent, group = content(f"/proc/{pid}/stat").rpartition(b")")[2].split()[:3]
    except (OSError, ValueError):
        return None
    return pid, int(parent), int(group), state in {b"Z", b"X"}


def content(path: str) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: it can't be read.
    """
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        parts = [posix.read(fd, 65536)]
        while parts[-1]:
            parts.append(posix.read(fd, 65536))
    finally:
        posix.close(fd)
    return b"".join(parts)
