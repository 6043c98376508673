"""The life of one process as a state machine: events and deadlines in, signals to send out; without I/O.

::

    RUNNING ── exited ──▶ DRAINING ── all owed bytes read ──▶ LINGERING ── end of file, or LINGER ──▶ ENDED
       │                     │                                    │                                     ▲
       └──────────────── stop: timeout, cancel, exception ────────┘                                     │
                             ▼                                                                          │
                         STOPPING (polite signal) ── grace, or a second stop ──▶ KILLING (hard) ────────┤
                             └───────────── the process is reaped and its group is empty ───────────────┘

A stop after the normal end (a callback raised on the very last line) leads from ENDED to STOPPING, once.
"""

import enum
from collections.abc import Iterable, Mapping

GRACE = 5.0
"""Seconds between the polite and the hard signal, by default."""

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
    """A signal to the process group."""

    POLITE = enum.auto()
    HARD = enum.auto()


_STOPPED = frozenset({Phase.STOPPING, Phase.KILLING})


class Supervisor:
    """Decides what happens to one process. Times are seconds of any one steady clock.

    Args:
        streams: a key for each pipe that is read.
        now: the time of the start.
        timeout: seconds until :attr:`timed_out`; ``None``: no limit.
        grace: seconds between the polite and the hard signal.
        heartbeat: seconds without output after which, and after as many again, :meth:`silence` says so; ``None``: never.

    >>> life = Supervisor([1], now=0.0, timeout=9.0)
    >>> life.exited(0, {1: 10}, now=1.0); life.received(1, 10, now=1.1); life.phase
    <Phase.LINGERING: 3>
    >>> life.eof(1, now=1.2); life.ended
    True
    """

    phase: Phase
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
    ) -> None:
        self.returncode: int | None = None
        self.timed_out = False
        self.limit = None if timeout is None else now + timeout
        self._grace = grace
        self._heartbeat = heartbeat
        self._start = self._heard = now
        self._silence: float | None = None
        self._open = set(streams)
        self._owed: dict[int, int] = {}
        self._signals: list[Stop] = []
        self._stopped = False
        self._enter(Phase.RUNNING, None if heartbeat is None else now + heartbeat)

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to do."""
        return self.phase is Phase.ENDED

    def signals(self) -> list[Stop]:
        """Return the signals to send now, once."""
        due, self._signals = self._signals, []
        return due

    def silence(self) -> float | None:
        """Return how many seconds ago the process started if it is time to say that it is silent, once."""
        due, self._silence = self._silence, None
        return due if self.phase is Phase.RUNNING else None

    def share(self, stream: int) -> int:
        """Return how many bytes of a pipe to deliver at a time: few of what nobody has to wait for."""
        if self.phase is Phase.RUNNING or self.phase in _STOPPED:
            return _CHUNK
        return max(self._owed.get(stream, 0), _CRUMB)

    def received(self, stream: int, count: int, now: float) -> None:
        """*count* bytes of a pipe were read and delivered."""
        if self.phase is Phase.RUNNING:
            self._heard, self._silence = now, None
        elif self.phase is Phase.DRAINING:
            self._owed[stream] -= count
            self._settle(now)

    def eof(self, stream: int, now: float) -> None:
        """A pipe came to its end."""
        self._open.discard(stream)
        self._settle(now)

    def exited(self, returncode: int, pending: Mapping[int, int], now: float) -> None:
        """The process ended and was reaped; *pending* bytes it had written are still to be read and delivered."""
        self.returncode = returncode
        if self.phase is Phase.RUNNING:
            self._enter(Phase.DRAINING)
            self._owed = dict(pending)
            self._settle(now)

    def stop(self, now: float) -> None:
        """End the process and its group for whatever reason; a second call leaves out the rest of the grace."""
        if not self._stopped:
            self._stopped = True
            self._enter(Phase.STOPPING, now + self._grace)
            self._signals.append(Stop.POLITE)
        elif self.phase is Phase.STOPPING:
            self._enter(Phase.KILLING, now + REAP)
            self._signals.append(Stop.HARD)

    def group_empty(self) -> None:
        """No process of the group is left, and the process itself is reaped."""
        if self.phase in _STOPPED:
            self._enter(Phase.ENDED)

    def tick(self, now: float) -> None:
        """Do what is due at this time."""
        if self.deadline is None or now < self.deadline:
            return
        if self.phase is Phase.STOPPING:
            self.stop(now)
        elif self.phase in {Phase.LINGERING, Phase.KILLING}:
            # LINGERING: all that the command wrote was delivered; a timeout would call a finished command unfinished.
            self._enter(Phase.ENDED)
        elif self.limit is not None and now >= self.limit:
            self.timed_out = True
        else:
            self._listen(now)

    def _listen(self, now: float) -> None:
        assert self._heartbeat is not None
        # What was heard moves the deadline only when it has come: to do so at each read would cost more.
        if now >= self._heard + self._heartbeat:
            self._heard, self._silence = now, now - self._start
        self._enter(Phase.RUNNING, self._heard + self._heartbeat)

    def _settle(self, now: float) -> None:
        if self.phase is Phase.DRAINING and all(self._owed.get(stream, 0) <= 0 for stream in self._open):
            self._enter(Phase.LINGERING, now + LINGER)
        if self.phase is Phase.LINGERING and not self._open:
            self._enter(Phase.ENDED)

    def _enter(self, phase: Phase, end: float | None = None) -> None:
        self.phase = phase
        if phase is Phase.ENDED:
            self.deadline = None
        elif phase in _STOPPED or self.limit is None:
            self.deadline = end
        else:
            self.deadline = self.limit if end is None else min(self.limit, end)
