"""The life of one process as a state machine: events and deadlines in, signals to send out; without I/O.

::

    RUNNING ── exited ──▶ DRAINING ── all owed bytes read ──▶ LINGERING ── end of file, or LINGER ──▶ ENDED
       │                     │                                    │                                     ▲
       └──────── stop: timeout, cancel, exception, Ctrl-C ────────┘                                     │
                             ▼                                                                          │
                         STOPPING (a signal, then grace, for each rung) ── or hurry ──▶ KILLING ────────┤
                             └───────────── the process is reaped and its session is empty ─────────────┘

A stop after the normal end (a callback raised on the very last line) leads from ENDED to STOPPING, once.
"""

import enum
from collections.abc import Iterable, Mapping

__tracebackhide__ = True

GRACE = 5.0
"""Seconds between two signals, by default."""

LINGER = 0.2
"""Seconds to await the end of file after the process ended and all it had written was read."""

_CHUNK = 1 << 18
_CRUMB = 1 << 10

REAP = 5.0
"""Seconds after the hard signal before a process that can't be killed is given up."""


class Phase(enum.Enum):
    """Where in its life a process is."""

    RUNNING = enum.auto()
    DRAINING = enum.auto()
    LINGERING = enum.auto()
    STOPPING = enum.auto()
    KILLING = enum.auto()
    ENDED = enum.auto()


class Stop(enum.Enum):
    """A rung of the ladder: a signal to all that the process started."""

    INTERRUPT = enum.auto()
    POLITE = enum.auto()
    HARD = enum.auto()


class Limit(enum.Enum):
    """A limit that was reached."""

    TIME = enum.auto()
    SILENCE = enum.auto()


_STOPPED = (Phase.STOPPING, Phase.KILLING)  # no set: the hash of an enum member is a call


class Supervisor:
    """Decides what happens to one process. Times are seconds of any one steady clock.

    Args:
        streams: a key for each pipe that is read.
        now: the time of the start.
        timeout: seconds until :attr:`reached` is ``Limit.TIME``; ``None``: no limit.
        grace: seconds between two signals.
        heartbeat: seconds without a line after which, and after as many again, :meth:`silence` says so; ``None``: never.
        silence_timeout: seconds without a line until :attr:`reached` is ``Limit.SILENCE``; ``None``: no limit.

    >>> life = Supervisor([1], now=0.0, timeout=9.0)
    >>> life.exited({1: 10}, now=1.0); life.received(1, 10, now=1.1); life.phase
    <Phase.LINGERING: 3>
    >>> life.eof(1, now=1.2); life.ended
    True
    """

    phase: Phase
    ended: bool
    """Whether there is nothing left to do."""
    deadline: float | None
    """When :meth:`tick` must be called at the latest; ``None``: any time. Kept, as it is asked for at every few lines."""

    def __init__(
        self,
        streams: Iterable[int],
        *,
        now: float,
        timeout: float | None = None,
        grace: float = GRACE,
        heartbeat: float | None = None,
        silence_timeout: float | None = None,
    ) -> None:
        self.has_exited = False
        self.reached: Limit | None = None
        self.limit = None if timeout is None else now + timeout
        self._grace = grace
        self._heartbeat = heartbeat
        self._silence_timeout = silence_timeout
        self._start = self._heard = self._beat = now
        self._silence: float | None = None
        self._open = set(streams)
        self._owed: dict[int, int] = {}
        self._rungs: list[Stop] = []
        self._signals: list[Stop] = []
        self._stopped = False
        self._enter(Phase.RUNNING)

    def signals(self) -> list[Stop]:
        """Return the signals to send now, once."""
        due, self._signals = self._signals, []
        return due

    def silence(self) -> float | None:
        """Return how many seconds ago the process started if it is time to say that it is silent, once."""
        due, self._silence = self._silence, None
        return due if self.phase is Phase.RUNNING else None

    def share(self, stream: int) -> int:
        """Return how many bytes of a pipe to deliver at a time: few when no process has to wait for it."""
        if self.phase is Phase.RUNNING or self.phase in _STOPPED:
            return _CHUNK
        return max(self._owed.get(stream, 0), _CRUMB)

    def heard(self, now: float) -> None:
        """A line was completed, and delivered by this time."""
        # This moves the deadline only when it has come: to do so at each read would cost more.
        self._heard = self._beat = now
        self._silence = None

    def received(self, stream: int, count: int, now: float) -> None:
        """*count* bytes of a pipe were read and delivered."""
        if self.phase is Phase.DRAINING and stream in self._owed:
            self._owed[stream] -= count
            self._settle(now)

    def dry(self, stream: int, now: float) -> None:
        """A pipe holds nothing more: what it still owes was never there."""
        self._owed.pop(stream, None)
        self._settle(now)

    def eof(self, stream: int, now: float) -> None:
        """A pipe came to its end."""
        self._open.discard(stream)
        self._settle(now)

    def exited(self, pending: Mapping[int, int], now: float) -> None:
        """The process ended; *pending* bytes it had written are still to be read and delivered."""
        self.has_exited = True
        if self.phase is Phase.RUNNING:
            self._owed = dict(pending)
            self._enter(Phase.DRAINING)
            self._settle(now)

    def stop(self, now: float, *, interrupt: bool = False) -> None:
        """End the process and all that it started, for whatever reason; a second call changes nothing.

        Args:
            now: the time.
            interrupt: whether Ctrl-C is the reason, so that its own signal comes first.
        """
        if not self._stopped:
            self._stopped = True
            self._rungs = [Stop.INTERRUPT, Stop.POLITE] if interrupt else [Stop.POLITE]
            self._climb(now)

    def hurry(self, now: float) -> None:
        """Leave out what is left of the grace."""
        if self.phase is Phase.STOPPING:
            self._rungs = []
            self._climb(now)

    def leader_gone(self, now: float) -> None:
        """The process has ended on its interrupt and left others behind, such as the background jobs of a shell.

        A shell lets these ignore SIGINT (POSIX 2.11), so waiting for them to end on it would be in vain.
        """
        if self.phase is Phase.STOPPING and self._rungs:
            self._climb(now)

    def group_empty(self) -> None:
        """No process of the session is left, and the process itself has ended."""
        if self.phase in _STOPPED:
            self._enter(Phase.ENDED)

    def tick(self, now: float) -> None:
        """Do what is due at this time."""
        if self.deadline is None or now < self.deadline:
            return
        if self.phase is Phase.STOPPING:
            self._climb(now)
        elif self.phase in (Phase.LINGERING, Phase.KILLING):
            # LINGERING: all that the command wrote was delivered; a timeout would call a finished command unfinished.
            self._enter(Phase.ENDED)
        elif self.limit is not None and now >= self.limit:
            self.reached = Limit.TIME
        else:
            self._listen(now)

    def _listen(self, now: float) -> None:
        if self._silence_timeout is not None and now >= self._heard + self._silence_timeout:
            self.reached = Limit.SILENCE
            return
        if self._heartbeat is not None and now >= self._beat + self._heartbeat:
            self._beat, self._silence = now, now - self._start
        self._enter(Phase.RUNNING)

    def _climb(self, now: float) -> None:
        """Send the next signal of the ladder."""
        if self._rungs:
            self._signals.append(self._rungs.pop(0))
            self._enter(Phase.STOPPING, now + self._grace)
        else:
            self._signals.append(Stop.HARD)
            self._enter(Phase.KILLING, now + REAP)

    def _settle(self, now: float) -> None:
        if self.phase is Phase.DRAINING and all(self._owed.get(stream, 0) <= 0 for stream in self._open):
            self._enter(Phase.LINGERING, now + LINGER)
        if self.phase is Phase.LINGERING and not self._open:
            self._enter(Phase.ENDED)

    def _enter(self, phase: Phase, end: float | None = None) -> None:
        self.phase = phase
        self.ended = phase is Phase.ENDED
        if self.ended or phase in _STOPPED:
            self.deadline = end
            return
        times = [end, self.limit]
        if phase is Phase.RUNNING:
            times.append(None if self._heartbeat is None else self._beat + self._heartbeat)
            times.append(None if self._silence_timeout is None else self._heard + self._silence_timeout)
        self.deadline = min([time for time in times if time is not None], default=None)
