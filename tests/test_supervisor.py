"""The state machine, without a process: every arrow of its diagram, and what holds in any order of events."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from venvrunner._process.supervisor import GRACE, LINGER, REAP, Phase, Stop, Supervisor

STOPPED = {Phase.STOPPING, Phase.KILLING}


def life(*streams: int, timeout: float | None = None, grace: float = GRACE, heartbeat: float | None = None) -> Supervisor:
    """Return a process that was started at 100 s."""
    return Supervisor(streams or (1, 2), now=100.0, timeout=timeout, grace=grace, heartbeat=heartbeat)


def lingering(timeout: float | None = None) -> Supervisor:
    """Return a process that ended at 101 s and left its pipes to somebody."""
    one = life(timeout=timeout)
    one.exited(0, {}, 101.0)
    return one


def stopping(grace: float = GRACE) -> Supervisor:
    """Return a process that was stopped at 101 s."""
    one = life(grace=grace)
    one.stop(101.0)
    return one


def test_a_process_starts_running_with_nothing_due() -> None:
    """Without a timeout, nothing happens by itself."""
    one = life()
    one.tick(1e9)
    assert (one.phase, one.returncode, one.deadline, one.timed_out, one.signals()) == (Phase.RUNNING, None, None, False, [])


def test_an_exit_with_owed_bytes_drains_first() -> None:
    """RUNNING to DRAINING: what the command had written by its end is read in full."""
    one = life()
    one.exited(3, {1: 10, 2: 5}, 101.0)
    assert (one.phase, one.returncode, one.deadline) == (Phase.DRAINING, 3, None)
    one.received(1, 10, 102.0)
    one.received(2, 4, 103.0)
    one.tick(1e9)
    assert one.phase is Phase.DRAINING


def test_the_last_owed_byte_starts_the_linger() -> None:
    """DRAINING to LINGERING: the end of file is awaited from the moment all was read, not from the exit."""
    one = life()
    one.exited(0, {1: 10}, 101.0)
    one.received(1, 4, 102.0)
    one.received(1, 6, 150.0)
    assert (one.phase, one.deadline) == (Phase.LINGERING, 150.0 + LINGER)


def test_a_daemon_that_writes_on_cannot_hold_the_call() -> None:
    """More bytes than were owed do not make the drain longer, nor does what comes while lingering."""
    one = life()
    one.exited(0, {1: 10}, 101.0)
    one.received(1, 4096, 102.0)
    one.received(1, 4096, 102.1)
    assert (one.phase, one.deadline) == (Phase.LINGERING, 102.0 + LINGER)


def test_a_closed_pipe_owes_nothing() -> None:
    """The end of a file settles what it still owed."""
    one = life()
    one.exited(0, {1: 10, 2: 0}, 101.0)
    one.eof(1, 102.0)
    assert one.phase is Phase.LINGERING
    one.eof(2, 102.0)
    assert (one.phase, one.deadline) == (Phase.ENDED, None)


def test_an_exit_with_closed_pipes_ends_at_once() -> None:
    """Nothing is awaited that can't come."""
    one = life()
    one.eof(1, 101.0)
    one.eof(2, 101.0)
    assert one.phase is Phase.RUNNING
    one.exited(7, {}, 102.0)
    assert (one.ended, one.returncode) == (True, 7)


def test_inherited_streams_leave_only_the_exit_to_wait_for() -> None:
    """Without pipes, the exit is the end."""
    one = Supervisor([], now=100.0)
    one.exited(0, {}, 101.0)
    assert one.ended


def test_the_linger_ends_by_itself() -> None:
    """LINGERING to ENDED: a daemon may keep the pipes; the call returns after at most LINGER."""
    one = lingering()
    one.tick(101.0 + LINGER - 0.01)
    assert one.phase is Phase.LINGERING
    one.tick(101.0 + LINGER)
    assert (one.ended, one.timed_out, one.signals()) == (True, False, [])


def test_bytes_of_a_running_process_are_not_counted() -> None:
    """Only what is read after the exit pays what was owed at the exit."""
    one = life()
    one.received(1, 1000, 100.5)
    one.exited(0, {1: 10}, 101.0)
    assert one.phase is Phase.DRAINING


@pytest.mark.parametrize("owed", [None, 10])
def test_the_limit_is_announced_and_the_caller_stops(owed: int | None) -> None:
    """A timeout is told while RUNNING and while DRAINING; nothing is signalled until the caller stops."""
    one = life(timeout=9.0)
    if owed is not None:
        one.exited(0, {1: owed}, 101.0)
    assert (one.limit, one.deadline) == (109.0, 109.0)
    one.tick(108.99)
    assert not one.timed_out
    one.tick(109.0)
    assert (one.timed_out, one.ended, one.signals()) == (True, False, [])
    one.stop(109.0)
    assert one.phase is Phase.STOPPING


def test_a_finished_command_is_never_timed_out() -> None:
    """A limit that comes while only the end of file is awaited ends the wait, not the command."""
    one = lingering(timeout=1.1)
    assert one.deadline == 101.1
    one.tick(101.1)
    assert (one.ended, one.timed_out) == (True, False)


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.DRAINING, Phase.LINGERING])
def test_a_stop_is_polite_first(phase: Phase) -> None:
    """RUNNING, DRAINING and LINGERING to STOPPING: the polite signal, and the grace as the next deadline."""
    one = life(timeout=9.0, grace=2.5)
    if phase is not Phase.RUNNING:
        one.exited(0, {1: 10} if phase is Phase.DRAINING else {}, 101.0)
    assert one.phase is phase
    one.stop(102.0)
    assert (one.phase, one.deadline, one.signals(), one.signals()) == (Phase.STOPPING, 104.5, [Stop.POLITE], [])


def test_the_hard_signal_comes_after_the_grace() -> None:
    """STOPPING to KILLING: at the end of the grace, once."""
    one = stopping(grace=2.0)
    one.tick(102.99)
    assert one.signals() == [Stop.POLITE]
    one.tick(103.0)
    assert (one.phase, one.deadline, one.signals()) == (Phase.KILLING, 103.0 + REAP, [Stop.HARD])


def test_a_second_stop_leaves_out_the_grace() -> None:
    """STOPPING to KILLING: somebody presses Ctrl-C again."""
    one = stopping()
    one.stop(101.1)
    assert (one.phase, one.deadline, one.signals()) == (Phase.KILLING, 101.1 + REAP, [Stop.POLITE, Stop.HARD])
    one.stop(101.2)
    assert (one.deadline, one.signals()) == (101.1 + REAP, [])


def test_the_limit_does_not_cut_the_grace() -> None:
    """A cancel before the time is up leaves the whole grace, also when the time is up meanwhile."""
    one = life(timeout=2.0, grace=5.0)
    one.stop(101.0)
    one.tick(102.5)
    assert (one.phase, one.deadline, one.timed_out, one.signals()) == (Phase.STOPPING, 106.0, False, [Stop.POLITE])


def test_no_grace_means_both_signals_at_once() -> None:
    """A grace of zero is due with the next tick."""
    one = stopping(grace=0.0)
    one.tick(101.0)
    assert one.signals() == [Stop.POLITE, Stop.HARD]


@pytest.mark.parametrize("stops", [1, 2])
def test_an_empty_group_is_the_end_of_the_ladder(stops: int) -> None:
    """STOPPING and KILLING to ENDED: no wait when nobody is left, and none for the leader alone while its group lives."""
    one = stopping()
    for _again in range(stops - 1):
        one.stop(101.0)
    one.eof(1, 101.1)
    one.eof(2, 101.1)
    one.exited(-15, {1: 0, 2: 0}, 101.2)
    assert (one.returncode, one.phase in STOPPED) == (-15, True)
    one.group_empty()
    assert (one.ended, one.deadline) == (True, None)


def test_a_process_that_cannot_be_killed_is_given_up() -> None:
    """KILLING to ENDED: a process in an uninterruptible sleep can't hold the caller for ever."""
    one = stopping()
    one.stop(102.0)
    one.tick(102.0 + REAP - 0.01)
    assert one.phase is Phase.KILLING
    one.tick(102.0 + REAP)
    assert (one.ended, one.returncode) == (True, None)


def test_an_empty_group_means_nothing_to_a_running_process() -> None:
    """Only the ladder asks for the group; a normal end waits for the exit and the bytes."""
    one = life()
    one.group_empty()
    assert one.phase is Phase.RUNNING


def test_a_stop_after_the_end_still_ends_the_group() -> None:
    """A callback may raise on the last line, delivered after the end: what the command left is ended then too."""
    one = lingering()
    one.tick(200.0)
    assert one.ended
    one.stop(200.0)
    assert (one.phase, one.signals()) == (Phase.STOPPING, [Stop.POLITE])
    one.group_empty()
    assert one.ended


def test_silence_is_told_at_a_steady_pace() -> None:
    """At each heartbeat, once, with the seconds since the start."""
    one = life(heartbeat=10.0)
    assert one.deadline == 110.0
    one.tick(109.9)
    assert one.silence() is None
    one.tick(110.0)
    assert (one.silence(), one.silence(), one.deadline) == (10.0, None, 120.0)
    one.tick(121.0)
    assert (one.silence(), one.deadline) == (21.0, 131.0)


def test_output_of_either_stream_breaks_the_silence() -> None:
    """The next heartbeat comes so long after the last output, also if the last one was due while that was delivered."""
    one = life(heartbeat=10.0)
    one.received(1, 5, 104.0)
    one.tick(110.0)
    assert (one.silence(), one.deadline) == (None, 114.0)
    one.received(2, 5, 113.0)
    one.tick(114.0)
    assert (one.silence(), one.deadline) == (None, 123.0)
    one.tick(123.0)
    one.received(1, 5, 123.5)
    assert one.silence() is None
    one.tick(133.0)
    one.tick(133.5)
    assert one.silence() == 33.5


def test_silence_is_no_timeout() -> None:
    """Each has its own deadline: the earlier one is waited for, and where both are due, the timeout is."""
    one = life(timeout=15.0, heartbeat=10.0)
    assert (one.limit, one.deadline) == (115.0, 110.0)
    one.tick(110.0)
    assert (one.silence(), one.timed_out, one.deadline) == (10.0, False, 115.0)
    one.tick(120.0)
    assert (one.silence(), one.timed_out) == (None, True)


@pytest.mark.parametrize("how", ["exit", "stop"])
def test_only_what_runs_is_said_to_run(how: str) -> None:
    """Neither what has ended nor what is being ended, even if it was due just before."""
    one = life(heartbeat=10.0)
    one.tick(110.0)
    if how == "exit":
        one.exited(0, {1: 10}, 110.0)
    else:
        one.stop(110.0)
    assert one.silence() is None
    one.tick(1e9)
    assert one.silence() is None


class Lives(RuleBasedStateMachine):
    """Random events in any order that a driver can send, with a model that only counts."""

    @initialize(
        streams=st.sets(st.sampled_from([1, 2])),
        timeout=st.none() | st.floats(0, 20),
        grace=st.floats(0, 10),
        heartbeat=st.none() | st.floats(0.1, 10),
    )
    def start(self, streams: set[int], timeout: float | None, grace: float, heartbeat: float | None) -> None:
        self.now = 0.0
        self.life = Supervisor(streams, now=0.0, timeout=timeout, grace=grace, heartbeat=heartbeat)
        self.timeout, self.grace, self.stopped_at = timeout, grace, 0.0
        self.heartbeat, self.heard = heartbeat, 0.0
        self.open = set(streams)
        self.owed = dict.fromkeys(streams, 0)
        self.sent: list[Stop] = []
        self.stops = 0

    @rule(seconds=st.floats(0, 10))
    def time_passes(self, seconds: float) -> None:
        self.tick(self.now + seconds)

    @precondition(lambda self: self.life.deadline is not None)
    @rule()
    def the_deadline_comes(self) -> None:
        assert self.life.deadline is not None
        self.tick(max(self.now, self.life.deadline))

    def tick(self, now: float) -> None:
        self.now = now
        finished = self.life.returncode is not None and not any(self.owed.values())
        timed_out = self.life.timed_out
        self.life.tick(now)
        if self.life.timed_out and not timed_out:
            assert self.timeout is not None
            assert now >= self.timeout, "the time was not up"
            assert not self.stops, "it is being stopped already"
            assert not finished, "a finished command is not called unfinished"

    @precondition(lambda self: self.life.returncode is None and not self.life.ended)
    @rule(data=st.data(), returncode=st.integers(-15, 3))
    def the_process_exits(self, data: st.DataObject, returncode: int) -> None:
        self.owed = {stream: data.draw(st.integers(0, 3)) for stream in self.open}
        self.life.exited(returncode, dict(self.owed), self.now)
        assert self.life.returncode == returncode

    @precondition(lambda self: self.open and not self.life.ended)
    @rule(data=st.data(), count=st.integers(1, 3))
    def bytes_are_read(self, data: st.DataObject, count: int) -> None:
        stream = data.draw(st.sampled_from(sorted(self.open)))
        self.owed[stream] = max(0, self.owed[stream] - count)
        self.heard = self.now
        self.life.received(stream, count, self.now)

    @precondition(lambda self: self.open and not self.life.ended)
    @rule(data=st.data())
    def a_pipe_ends(self, data: st.DataObject) -> None:
        stream = data.draw(st.sampled_from(sorted(self.open)))
        self.open.remove(stream)
        self.owed[stream] = 0
        self.life.eof(stream, self.now)

    @rule()
    def the_caller_stops(self) -> None:
        self.stopped_at = self.stopped_at if self.stops else self.now
        self.stops += 1
        self.life.stop(self.now)

    @precondition(lambda self: self.life.returncode is not None)
    @rule()
    def the_group_is_empty(self) -> None:
        self.life.group_empty()

    @rule()
    def signals_are_sent(self) -> None:
        self.sent += self.life.signals()

    @rule()
    def silence_is_told(self) -> None:
        if self.life.silence() is not None:
            assert self.heartbeat is not None
            assert self.now >= self.heard + self.heartbeat, "it was not silent for so long"
            assert self.life.returncode is None
            assert not self.stops

    @invariant()
    def a_normal_end_has_an_exit_and_owes_nothing(self) -> None:
        if self.life.ended and not self.stops:
            assert self.life.returncode is not None
            assert not any(self.owed[stream] for stream in self.open)

    @invariant()
    def signals_climb_the_ladder_once(self) -> None:
        assert [*self.sent, *self.life._signals] in ([], [Stop.POLITE], [Stop.POLITE, Stop.HARD])
        assert bool(self.stops) == bool(self.sent or self.life._signals)
        if self.stops == 1 and self.now < self.stopped_at + self.grace:
            assert Stop.HARD not in [*self.sent, *self.life._signals], "the grace is granted in full"

    @invariant()
    def there_is_a_deadline_unless_nothing_is_due(self) -> None:
        waits = self.life.phase in {*STOPPED, Phase.LINGERING} or (self.timeout is not None and self.life.phase not in STOPPED)
        waits = waits or (self.heartbeat is not None and self.life.phase is Phase.RUNNING)
        assert (self.life.deadline is not None) == waits or self.life.ended

    @invariant()
    def a_reached_deadline_is_done_with(self) -> None:
        """After a tick no deadline is in the past, or a driver would spin; but the limit, which the caller must answer."""
        self.life.tick(self.now)
        self.life.tick(self.now)
        if self.life.deadline is not None and not self.life.ended and not self.life.timed_out:
            assert self.life.deadline > self.now

    def teardown(self) -> None:
        """Once it is stopped, a process ends after two deadlines, whatever else does or does not happen."""
        if not hasattr(self, "life"):
            return
        self.life.stop(self.now)
        for _deadline in range(2):
            if self.life.deadline is not None:
                self.life.tick(self.life.deadline)
        assert self.life.ended
        self.sent += self.life.signals()
        assert self.sent.count(Stop.POLITE) == 1
        assert self.sent.count(Stop.HARD) <= 1


TestLives = Lives.TestCase


def test_what_is_owed_is_delivered_at_once_and_what_comes_later_in_crumbs() -> None:
    """A daemon that writes on into a slow callback must not hold up the end: little is taken that nobody has to wait for."""
    life = Supervisor([1, 2], now=0.0)
    running = life.share(1)
    life.exited(0, {1: 5000, 2: 0}, now=1.0)
    assert life.share(1) == 5000
    assert life.share(2) < 5000 < running
    life.received(1, 5000, now=1.1)
    assert life.phase is Phase.LINGERING
    assert life.share(1) == life.share(2) < 5000
    life.stop(now=1.2)
    assert life.share(1) == running, "what comes while stopping is only kept"
