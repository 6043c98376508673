"""Exit notification by kqueue (macOS, BSD): the exit of a child as a readable descriptor."""

import select as system
from typing import Any, Protocol, cast

__tracebackhide__ = True

select: Any = system  # kqueue is typed for those systems only


class Descriptor(Protocol):
    """An object with a file descriptor."""

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        ...

    def fileno(self) -> int:
        """Return the number of the descriptor."""
        ...

    def close(self) -> None:
        """Close the descriptor."""
        ...


def exit_queue(pid: int) -> Descriptor | None:
    """Return a queue that becomes readable when a child exits, and stays readable.

    Args:
        pid: the child, which is not reaped yet.

    Returns:
        the queue; ``None`` where there is no kqueue, and if the child has already exited (``ESRCH``).
    """
    try:
        queue = select.kqueue()
    except (AttributeError, OSError):
        return None
    try:
        # The event is never read, so the queue stays readable: the child may become a zombie only a moment later.
        event = select.kevent(pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
        queue.control([event], 0, 0)
    except OSError:
        queue.close()
        return None
    return cast("Descriptor", queue)
