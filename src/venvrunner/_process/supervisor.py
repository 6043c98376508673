"""The supervisor of one process, a state machine: events and deadlines in, signals to send out; without I/O.

::

    RUNNING ── exited ──▶ DRAINING ── all owed bytes read ──▶ LINGERING ── end of file, or LINGER ──▶ ENDED
       │                     │                                    │                                     ▲
       └──────── stop: timeout, cancel, exception, Ctrl-C ────────┘                                     │
                             ▼                                                                          │
                         STOPPING (a signal, then grace, for each step) ── or hurry ──▶ KILLING ────────┤
                             └───────────── the process is reaped and its session is empty ─────────────┘

A stop after the normal end (a callback raised on the last line) goes from ENDED to STOPPING, once.
"""

import enum
from collections.abc import Iterable, Mapping

__tracebackhide__ = True

GRACE = 5.0
"""Seconds between two signals, by default."""

LINGER = 0.2
"""Seconds to wait for the end of file after the process exited and all its output was read."""

_CHUNK = 1 << 18
_CRUMB = 1 << 10

REAP = 5.0
"""Seconds to wait after SIGKILL before giving up a process that cannot be killed."""


class Phase(enum.Enum):
    """The phase that a process is in."""

    RUNNING = enum.auto()
    DRAINING = enum.auto()
    LINGERING = enum.auto()
    STOPPING = enum.auto()
    KILLING = enum.auto()
    ENDED = enum.auto()


class Stop(enum.Enum):
    """A step of a stop; its signal goes to the whole session of the process."""

    INTERRUPT = enum.auto()
    POLITE = enum.auto()
    HARD = enum.auto()


class Limit(enum.Enum):
    """A limit that was reached."""

    TIME = enum.auto()
    SILENCE = enum.auto()


_STOPPED = (Phase.STOPPING, Phase.KILLING)  # not a set: the hash of an enum member costs a call


class Supervisor:
    """Decide what happens to one process. Times are seconds of any monotonic clock.

    Args:
        streams: a key for each pipe that is read.
        now: the time of the start.
        timeout: seconds until :attr:`reached` is ``Limit.TIME``; ``None``: no limit.
        grace: seconds between two signals.
        heartbeat: seconds without a line after which, and at each multiple, :meth:`silence` reports it; ``None``: never.
        silence_timeout: seconds without a line until :attr:`reached` is ``Limit.SILENCE``; ``None``: no limit.

    >>> supervisor = Supervisor([1], now=0.0, timeout=9.0)
    >>> supervisor.exited({1: 10}, now=1.0); supervisor.received(1, 10, now=1.1); supervisor.phase
    <Phase.LINGERING: 3>
    >>> supervisor.eof(1, now=1.2); supervisor.ended
    True
    """

    phase: Phase
    ended: bool
    """Whether the process has reached its end."""
    deadline: float | None
    """The latest time to call :meth:`tick`; ``None``: any time. It is stored because it is read every few lines."""

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
        self._unsent: list[Stop] = []
        self._signals: list[Stop] = []
        self._stopped = False
        self._enter(Phase.RUNNING)

    def signals(self) -> list[Stop]:
        """Return the signals to send now, once."""
        due, self._signals = self._signals, []
        return due

    def silence(self) -> float | None:
        """Return the seconds since the start if a heartbeat is due, once; otherwise ``None``."""
        due, self._silence = self._silence, None
        return due if self.phase is Phase.RUNNING else None

    def share(self, stream: int) -> int:
        """Return how many bytes of a pipe to deliver at a time: few after the exit, when no process waits for it."""
        if self.phase is Phase.RUNNING or self.phase in _STOPPED:
            return _CHUNK
        return max(self._owed.get(stream, 0), _CRUMB)

    def heard(self, now: float) -> None:
        """Note that a line was completed and delivered."""
        # The deadline moves only when it is reached: to move it at each read would cost more.
        self._heard = self._beat = now
        self._silence = None

    def received(self, stream: int, count: int, now: float) -> None:
        """Note that *count* bytes of a pipe were read and delivered."""
        if self.phase is Phase.DRAINING and stream in self._owed:
            self._owed[stream] -= count
            self._settle(now)

    def dry(self, stream: int, now: float) -> None:
        """Note that a pipe has no more data, whatever was expected of it."""
        self._owed.pop(stream, None)
        self._settle(now)

    def eof(self, stream: int, now: float) -> None:
        """Note the end of file of a pipe."""
        self._open.discard(stream)
        self._settle(now)

    def exited(self, pending: Mapping[int, int], now: float) -> None:
        """Note the exit of the process, with *pending* unread bytes in each pipe."""
        self.has_exited = True
        if self.phase is Phase.RUNNING:
            self._owed = dict(pending)
            self._enter(Phase.DRAINING)
            self._settle(now)

    def stop(self, now: float, *, interrupt: bool = False) -> None:
        """Stop the process and its session. A second call does nothing.

        Args:
            now: the time.
            interrupt: whether Ctrl-C is the reason: SIGINT then comes first.
        """
        if not self._stopped:
            self._stopped = True
            self._unsent = [Stop.INTERRUPT, Stop.POLITE] if interrupt else [Stop.POLITE]
            self._send_next(now)

    def hurry(self, now: float) -> None:
        """Skip the rest of the grace."""
        if self.phase is Phase.STOPPING:
            self._unsent = []
            self._send_next(now)

    def leader_gone(self, now: float) -> None:
        """Note that the process has exited on its interrupt and left others, such as the background jobs of a shell.

        A shell lets these ignore SIGINT (POSIX 2.11), so they would not end on it.
        """
        if self.phase is Phase.STOPPING and Stop.POLITE in self._unsent:
            self._send_next(now)

    def group_empty(self) -> None:
        """Note that the process has exited and that its session is empty."""
        if self.phase in _STOPPED:
            self._enter(Phase.ENDED)

    def tick(self, now: float) -> None:
        """Apply the deadlines that are reached at this time."""
        if self.deadline is None or now < self.deadline:
            return
        if self.phase is Phase.STOPPING:
            self._send_next(now)
        elif self.phase in (Phase.LINGERING, Phase.KILLING):
            # LINGERING: all output was delivered, so a timeout only ends the wait; it is not reported.
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

    def _send_next(self, now: float) -> None:
        """Send the signal of the next step."""
        if self._unsent:
            self._signals.append(self._unsent.pop(0))
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
