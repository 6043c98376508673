"""The state machine, without a process: every arrow of its diagram, and what holds in any order of events."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from venvrunner._process.supervisor import GRACE, LINGER, REAP, Limit, Phase, Stop, Supervisor

STOPPED = {Phase.STOPPING, Phase.KILLING}


def life(
    *streams: int,
    timeout: float | None = None,
    grace: float = GRACE,
    heartbeat: float | None = None,
    silence_timeout: float | None = None,
) -> Supervisor:
    """Return a process that was started at 100 s."""
    return Supervisor(
        streams or (1, 2), now=100.0, timeout=timeout, grace=grace, heartbeat=heartbeat, silence_timeout=silence_timeout
    )


def lingering(timeout: float | None = None) -> Supervisor:
    """Return a process that ended at 101 s and left its pipes open in another process."""
    one = life(timeout=timeout)
    one.exited({}, 101.0)
    return one


def stopping(grace: float = GRACE, *, interrupt: bool = False) -> Supervisor:
    """Return a process that was stopped at 101 s."""
    one = life(grace=grace)
    one.stop(101.0, interrupt=interrupt)
    return one


def reached(one: Supervisor) -> Limit | None:
    """Return the limit that was reached; mypy does not know that :meth:`~.Supervisor.tick` changes it."""
    return one.reached


def test_a_process_starts_running_with_nothing_due() -> None:
    """Without a timeout, nothing happens by itself."""
    one = life()
    one.tick(1e9)
    assert (one.phase, one.has_exited, one.deadline, one.reached, one.signals()) == (Phase.RUNNING, False, None, None, [])


def test_an_exit_with_owed_bytes_drains_first() -> None:
    """RUNNING to DRAINING: what the command had written by its end is read in full."""
    one = life()
    one.exited({1: 10, 2: 5}, 101.0)
    assert (one.phase, one.has_exited, one.deadline) == (Phase.DRAINING, True, None)
    one.received(1, 10, 102.0)
    one.received(2, 4, 103.0)
    one.tick(1e9)
    assert one.phase is Phase.DRAINING


def test_the_last_owed_byte_starts_the_linger() -> None:
    """DRAINING to LINGERING: the end of file is awaited from the moment all was read, not from the exit."""
    one = life()
    one.exited({1: 10}, 101.0)
    one.received(1, 4, 102.0)
    one.received(1, 6, 150.0)
    assert (one.phase, one.deadline) == (Phase.LINGERING, 150.0 + LINGER)


def test_a_daemon_that_writes_on_cannot_hold_the_call() -> None:
    """More bytes than were owed do not make the drain longer, nor does what comes while lingering."""
    one = life()
    one.exited({1: 10}, 101.0)
    one.received(1, 4096, 102.0)
    one.received(1, 4096, 102.1)
    assert (one.phase, one.deadline) == (Phase.LINGERING, 102.0 + LINGER)


def test_a_closed_pipe_owes_nothing() -> None:
    """The end of a file settles what it still owed."""
    one = life()
    one.exited({1: 10, 2: 0}, 101.0)
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
    one.exited({}, 102.0)
    assert (one.ended, one.has_exited) == (True, True)


def test_inherited_streams_leave_only_the_exit_to_wait_for() -> None:
    """Without pipes, the exit is the end."""
    one = Supervisor([], now=100.0)
    one.exited({}, 101.0)
    assert one.ended


def test_the_linger_ends_by_itself() -> None:
    """LINGERING to ENDED: a daemon may keep the pipes; the call returns after at most LINGER."""
    one = lingering()
    one.tick(101.0 + LINGER - 0.01)
    assert one.phase is Phase.LINGERING
    one.tick(101.0 + LINGER)
    assert (one.ended, one.reached, one.signals()) == (True, None, [])


def test_bytes_of_a_running_process_are_not_counted() -> None:
    """Only what is read after the exit pays what was owed at the exit."""
    one = life()
    one.received(1, 1000, 100.5)
    one.exited({1: 10}, 101.0)
    assert one.phase is Phase.DRAINING


@pytest.mark.parametrize("owed", [None, 10])
def test_the_limit_is_announced_and_the_caller_stops(owed: int | None) -> None:
    """A timeout is reported while RUNNING and while DRAINING; no signal is due until the caller stops."""
    one = life(timeout=9.0)
    if owed is not None:
        one.exited({1: owed}, 101.0)
    assert (one.limit, one.deadline) == (109.0, 109.0)
    one.tick(108.99)
    assert reached(one) is None
    one.tick(109.0)
    assert (reached(one), one.ended, one.signals()) == (Limit.TIME, False, [])
    one.stop(109.0)
    assert one.phase is Phase.STOPPING


def test_a_finished_command_is_never_timed_out() -> None:
    """A limit that comes while only the end of file is awaited ends the wait, not the command."""
    one = lingering(timeout=1.1)
    assert one.deadline == 101.1
    one.tick(101.1)
    assert (one.ended, one.reached) == (True, None)


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.DRAINING, Phase.LINGERING])
def test_a_stop_is_polite_first(phase: Phase) -> None:
    """RUNNING, DRAINING and LINGERING to STOPPING: the polite signal, and the grace as the next deadline."""
    one = life(timeout=9.0, grace=2.5)
    if phase is not Phase.RUNNING:
        one.exited({1: 10} if phase is Phase.DRAINING else {}, 101.0)
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


def test_an_interrupt_comes_before_the_polite_signal() -> None:
    """After Ctrl-C the ladder has one more rung, each with a grace of its own."""
    one = stopping(grace=2.0, interrupt=True)
    assert (one.phase, one.deadline, one.signals()) == (Phase.STOPPING, 103.0, [Stop.INTERRUPT])
    one.tick(103.0)
    assert (one.phase, one.deadline, one.signals()) == (Phase.STOPPING, 105.0, [Stop.POLITE])
    one.tick(105.0)
    assert (one.phase, one.deadline, one.signals()) == (Phase.KILLING, 105.0 + REAP, [Stop.HARD])


@pytest.mark.parametrize("interrupt", [False, True])
def test_a_second_stop_changes_nothing(interrupt: bool) -> None:
    """Neither the grace nor the rungs: a cancel that arrives at each turn of a loop is still one cancel."""
    one = stopping()
    for now in (101.0, 101.1, 105.9):
        one.stop(now, interrupt=interrupt)
    assert (one.phase, one.deadline, one.signals()) == (Phase.STOPPING, 101.0 + GRACE, [Stop.POLITE])


@pytest.mark.parametrize("interrupt", [False, True])
def test_hurry_leaves_out_the_grace(interrupt: bool) -> None:
    """STOPPING to KILLING: a second Ctrl-C skips all other rungs."""
    one = stopping(interrupt=interrupt)
    one.hurry(101.1)
    first = Stop.INTERRUPT if interrupt else Stop.POLITE
    assert (one.phase, one.deadline, one.signals()) == (Phase.KILLING, 101.1 + REAP, [first, Stop.HARD])
    one.hurry(101.2)
    one.stop(101.2)
    assert (one.deadline, one.signals()) == (101.1 + REAP, [])


def test_a_process_that_is_not_stopped_cannot_be_hurried() -> None:
    """Only the ladder has a grace to leave out."""
    one = life()
    one.hurry(101.0)
    assert (one.phase, one.signals()) == (Phase.RUNNING, [])
    one = lingering()
    one.hurry(101.0)
    assert (one.phase, one.signals()) == (Phase.LINGERING, [])


def test_what_a_leader_left_behind_is_not_waited_for_on_an_interrupt() -> None:
    """The polite signal follows as soon as the leader has ended, with a grace of its own: it is what asks the others to end."""
    one = stopping(grace=2.0, interrupt=True)
    one.exited({}, 101.5)
    one.leader_gone(101.5)
    assert (one.phase, one.deadline, one.signals()) == (Phase.STOPPING, 103.5, [Stop.INTERRUPT, Stop.POLITE])
    one.leader_gone(101.6)
    assert (one.phase, one.deadline, one.signals()) == (Phase.STOPPING, 103.5, [])


def test_a_leader_that_is_gone_does_not_shorten_the_grace_of_the_others() -> None:
    """A grandchild may need its time after the polite signal even if its parent has ended at once."""
    one = stopping(grace=2.0)
    one.exited({}, 101.5)
    one.leader_gone(101.5)
    assert (one.phase, one.deadline, one.signals()) == (Phase.STOPPING, 103.0, [Stop.POLITE])


def test_the_end_of_a_leader_means_nothing_outside_the_ladder() -> None:
    """A normal end is not a rung."""
    one = lingering()
    one.leader_gone(101.0)
    assert (one.phase, one.signals()) == (Phase.LINGERING, [])


def test_the_limit_does_not_cut_the_grace() -> None:
    """A cancel before the time is up leaves the whole grace, also when the time is up meanwhile."""
    one = life(timeout=2.0, grace=5.0)
    one.stop(101.0)
    one.tick(102.5)
    assert (one.phase, one.deadline, one.reached, one.signals()) == (Phase.STOPPING, 106.0, None, [Stop.POLITE])


def test_no_grace_means_both_signals_at_once() -> None:
    """A grace of zero is due with the next tick."""
    one = stopping(grace=0.0)
    one.tick(101.0)
    assert one.signals() == [Stop.POLITE, Stop.HARD]


@pytest.mark.parametrize("hurried", [False, True])
def test_an_empty_session_is_the_end_of_the_ladder(hurried: bool) -> None:
    """STOPPING and KILLING to ENDED: no wait when no process is left, and none for the leader alone while its session lives."""
    one = stopping()
    if hurried:
        one.hurry(101.0)
    one.eof(1, 101.1)
    one.eof(2, 101.1)
    one.exited({1: 0, 2: 0}, 101.2)
    assert (one.has_exited, one.phase in STOPPED) == (True, True)
    one.group_empty()
    assert (one.ended, one.deadline) == (True, None)


def test_a_process_that_cannot_be_killed_is_given_up() -> None:
    """KILLING to ENDED: a process in an uninterruptible sleep can't hold the caller for ever."""
    one = stopping()
    one.hurry(102.0)
    one.tick(102.0 + REAP - 0.01)
    assert one.phase is Phase.KILLING
    one.tick(102.0 + REAP)
    assert (one.ended, one.has_exited) == (True, False)


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


def test_silence_is_reported_at_a_steady_pace() -> None:
    """At each heartbeat, once, with the seconds since the start."""
    one = life(heartbeat=10.0)
    assert one.deadline == 110.0
    one.tick(109.9)
    assert one.silence() is None
    one.tick(110.0)
    assert (one.silence(), one.silence(), one.deadline) == (10.0, None, 120.0)
    one.tick(121.0)
    assert (one.silence(), one.deadline) == (21.0, 131.0)


def test_a_line_breaks_the_silence() -> None:
    """The next heartbeat comes so long after the last line, also if the last one was due while that was delivered."""
    one = life(heartbeat=10.0)
    one.heard(104.0)
    one.tick(110.0)
    assert (one.silence(), one.deadline) == (None, 114.0)
    one.heard(113.0)
    one.tick(114.0)
    assert (one.silence(), one.deadline) == (None, 123.0)
    one.tick(123.0)
    one.heard(123.5)
    assert one.silence() is None
    one.tick(133.0)
    one.tick(133.5)
    assert one.silence() == 33.5


def test_the_heartbeat_counts_lines_not_bytes() -> None:
    """A progress bar without a line end is silence, however much it writes."""
    one = life(heartbeat=10.0, silence_timeout=15.0)
    for now in range(101, 110):
        one.received(1, 1 << 16, float(now))
    one.tick(110.0)
    assert one.silence() == 10.0
    one.received(1, 1 << 16, 114.9)
    one.tick(115.0)
    assert one.reached is Limit.SILENCE


def test_a_heartbeat_is_not_a_timeout() -> None:
    """Each has its own deadline: the earlier one is waited for, and where both are due, the timeout is reported."""
    one = life(timeout=15.0, heartbeat=10.0)
    assert (one.limit, one.deadline) == (115.0, 110.0)
    one.tick(110.0)
    assert (one.silence(), one.reached, one.deadline) == (10.0, None, 115.0)
    one.tick(120.0)
    assert (one.silence(), one.reached) == (None, Limit.TIME)


def test_silence_for_too_long_is_a_limit() -> None:
    """It is reported at its time; no signal is due until the caller stops, and `limit` is that of the time alone."""
    one = life(silence_timeout=3.0)
    assert (one.limit, one.deadline) == (None, 103.0)
    one.tick(102.99)
    assert reached(one) is None
    one.tick(103.0)
    assert (reached(one), one.phase, one.signals()) == (Limit.SILENCE, Phase.RUNNING, [])


def test_a_line_starts_the_silence_afresh() -> None:
    """Its time counts from the delivery of the last line: the time of a slow callback does not count."""
    one = life(silence_timeout=3.0)
    one.heard(102.0)
    one.tick(103.0)
    assert (one.reached, one.deadline) == (None, 105.0)
    one.heard(111.0)
    one.tick(111.0)
    assert (one.reached, one.deadline) == (None, 114.0)
    one.tick(114.0)
    assert one.reached is Limit.SILENCE


def test_a_heartbeat_does_not_put_off_the_silence_limit() -> None:
    """The logger hears of the silence on the way to its limit; the limit counts from the last line, not from the heartbeat."""
    one = life(silence_timeout=25.0, heartbeat=10.0)
    for now, expected in ((110.0, 10.0), (120.0, 20.0)):
        assert one.deadline == now
        one.tick(now)
        assert (one.silence(), one.reached) == (expected, None)
    assert one.deadline == 125.0
    one.tick(130.0)
    assert (one.silence(), one.reached) == (None, Limit.SILENCE)


def test_the_time_is_the_first_limit_where_both_are_reached() -> None:
    """The exception then names the limit that is the harder one."""
    one = life(timeout=3.0, silence_timeout=3.0)
    one.tick(103.0)
    assert one.reached is Limit.TIME


@pytest.mark.parametrize("how", ["drain", "linger", "stop"])
def test_only_a_running_command_can_be_silent(how: str) -> None:
    """Neither one that has ended nor one that is being ended reaches the limit of silence."""
    one = life(silence_timeout=3.0)
    if how == "stop":
        one.stop(101.0)
    else:
        one.exited({1: 10} if how == "drain" else {}, 101.0)
    for now in (101.1, 103.0, 104.0, 1e9):
        one.tick(now)
    assert one.reached is None


def test_a_dry_pipe_owes_nothing() -> None:
    """DRAINING to LINGERING: where the count is not known, the end of what can be read settles it."""
    one = life()
    one.exited({1: 1 << 20, 2: 10}, 101.0)
    one.dry(1, 101.1)
    assert one.phase is Phase.DRAINING
    one.received(1, 5, 101.15)
    one.dry(1, 101.15)
    assert one.phase is Phase.DRAINING
    one.received(2, 6, 101.2)
    one.dry(2, 101.2)
    assert (one.phase, one.deadline) == (Phase.LINGERING, 101.2 + LINGER)
    one.dry(2, 101.3)
    assert (one.phase, one.deadline) == (Phase.LINGERING, 101.2 + LINGER)


@pytest.mark.parametrize("how", ["exit", "stop"])
def test_only_what_runs_is_logged_as_running(how: str) -> None:
    """Neither what has ended nor what is being ended, even if it was due just before."""
    one = life(heartbeat=10.0)
    one.tick(110.0)
    if how == "exit":
        one.exited({1: 10}, 110.0)
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
        silence_timeout=st.none() | st.floats(0.1, 10),
    )
    def start(
        self,
        streams: set[int],
        timeout: float | None,
        grace: float,
        heartbeat: float | None,
        silence_timeout: float | None,
    ) -> None:
        self.now = 0.0
        self.life = Supervisor(
            streams, now=0.0, timeout=timeout, grace=grace, heartbeat=heartbeat, silence_timeout=silence_timeout
        )
        self.timeout, self.grace, self.stopped_at = timeout, grace, 0.0
        self.heartbeat, self.silence_timeout, self.heard = heartbeat, silence_timeout, 0.0
        self.open = set(streams)
        self.owed = dict.fromkeys(streams, 0)
        self.sent: list[Stop] = []
        self.ladder: list[Stop] = []
        self.hurried = self.left_alone = False

    @property
    def is_stopped(self) -> bool:
        return bool(self.ladder)

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
        finished = self.life.has_exited and not any(self.owed.values())
        reached = self.life.reached
        self.life.tick(now)
        if self.life.reached is None or reached is not None:
            assert self.life.reached is reached or self.life.reached is not None, "a limit stays reached"
            return
        assert not self.is_stopped, "it is being stopped already"
        assert not finished, "a finished command is not called unfinished"
        if self.life.reached is Limit.TIME:
            assert self.timeout is not None
            assert now >= self.timeout, "the time was not up"
        else:
            assert self.silence_timeout is not None
            assert now >= self.heard + self.silence_timeout, "it was not silent for so long"
            assert not self.life.has_exited

    @precondition(lambda self: not self.life.has_exited and not self.life.ended)
    @rule(data=st.data())
    def the_process_exits(self, data: st.DataObject) -> None:
        self.owed = {stream: data.draw(st.integers(0, 3)) for stream in self.open}
        self.life.exited(dict(self.owed), self.now)
        assert self.life.has_exited

    @precondition(lambda self: self.open and not self.life.ended)
    @rule(data=st.data(), count=st.integers(1, 3), is_line=st.booleans())
    def bytes_are_read(self, data: st.DataObject, count: int, is_line: bool) -> None:
        stream = data.draw(st.sampled_from(sorted(self.open)))
        self.owed[stream] = max(0, self.owed[stream] - count)
        if is_line:
            self.heard = self.now
            self.life.heard(self.now)
        self.life.received(stream, count, self.now)

    @precondition(lambda self: self.open and not self.life.ended)
    @rule(data=st.data())
    def a_pipe_ends(self, data: st.DataObject) -> None:
        stream = data.draw(st.sampled_from(sorted(self.open)))
        self.open.remove(stream)
        self.owed[stream] = 0
        self.life.eof(stream, self.now)

    @precondition(lambda self: self.life.has_exited and self.open and not self.life.ended)
    @rule(data=st.data())
    def a_pipe_is_dry(self, data: st.DataObject) -> None:
        stream = data.draw(st.sampled_from(sorted(self.open)))
        self.owed[stream] = 0
        self.life.dry(stream, self.now)

    @rule(interrupt=st.booleans())
    def the_caller_stops(self, interrupt: bool) -> None:
        if not self.is_stopped:
            self.stopped_at = self.now
            self.ladder = [Stop.INTERRUPT, Stop.POLITE, Stop.HARD] if interrupt else [Stop.POLITE, Stop.HARD]
        self.life.stop(self.now, interrupt=interrupt)

    @rule()
    def the_caller_hurries(self) -> None:
        self.hurried = self.hurried or self.life.phase is Phase.STOPPING
        self.life.hurry(self.now)

    @precondition(lambda self: self.life.has_exited)
    @rule()
    def the_leader_is_gone(self) -> None:
        self.left_alone = True
        self.life.leader_gone(self.now)

    @precondition(lambda self: self.life.has_exited)
    @rule()
    def the_session_is_empty(self) -> None:
        self.life.group_empty()

    @rule()
    def signals_are_sent(self) -> None:
        self.sent += self.life.signals()

    @rule()
    def silence_is_reported(self) -> None:
        if self.life.silence() is not None:
            assert self.heartbeat is not None
            assert self.now >= self.heard + self.heartbeat, "it was not silent for so long"
            assert not self.life.has_exited
            assert not self.is_stopped

    @invariant()
    def a_normal_end_has_an_exit_and_owes_nothing(self) -> None:
        if self.life.ended and not self.is_stopped:
            assert self.life.has_exited
            assert not any(self.owed[stream] for stream in self.open)

    @invariant()
    def signals_climb_the_ladder_once(self) -> None:
        signals = [*self.sent, *self.life._signals]
        assert bool(signals) == self.is_stopped
        if self.hurried:
            assert signals == [*[stop for stop in self.ladder if stop in signals and stop is not Stop.HARD], Stop.HARD]
        else:
            assert signals == self.ladder[: len(signals)]

    @invariant()
    def the_grace_is_granted_in_full(self) -> None:
        """Only a hurry leaves it out; and the end of the leader that of an interrupt, never that of the polite signal."""
        if not self.is_stopped or self.hurried:
            return
        signals = [*self.sent, *self.life._signals]
        rungs = len(self.ladder) - 1
        if self.left_alone:
            rungs = 1
        # Less than a rounding error before its time.
        if self.now < self.stopped_at + rungs * self.grace - 1e-9:
            assert Stop.HARD not in signals
        if not self.left_alone and rungs > 1 and self.now < self.stopped_at + self.grace:
            assert Stop.POLITE not in signals

    @invariant()
    def there_is_a_deadline_unless_nothing_is_due(self) -> None:
        waits = self.life.phase in {*STOPPED, Phase.LINGERING} or (self.timeout is not None and self.life.phase not in STOPPED)
        is_heard = self.heartbeat is not None or self.silence_timeout is not None
        waits = waits or (is_heard and self.life.phase is Phase.RUNNING)
        assert (self.life.deadline is not None) == waits or self.life.ended

    @invariant()
    def a_reached_deadline_is_done_with(self) -> None:
        """After a tick no deadline is in the past, or a driver would spin; but a limit, which the caller must answer."""
        for _rung in range(3):
            self.tick(self.now)
        if self.life.deadline is not None and not self.life.ended and self.life.reached is None:
            assert self.life.deadline > self.now

    def teardown(self) -> None:
        """Once it is stopped, a process ends after a deadline for each rung, whatever else does or does not happen."""
        if not hasattr(self, "life"):
            return
        self.the_caller_stops(False)
        for _deadline in self.ladder:
            if self.life.deadline is not None:
                self.life.tick(self.life.deadline)
        assert self.life.ended
        self.sent += self.life.signals()
        assert len(set(self.sent)) == len(self.sent), "each signal is sent once"


TestLives = Lives.TestCase


def test_what_is_owed_is_delivered_at_once_and_what_comes_later_in_crumbs() -> None:
    """A daemon that writes on into a slow callback must not hold up the end: after it, little is read at a time."""
    life = Supervisor([1, 2], now=0.0)
    running = life.share(1)
    life.exited({1: 5000, 2: 0}, now=1.0)
    assert life.share(1) == 5000
    assert life.share(2) < 5000 < running
    life.received(1, 5000, now=1.1)
    assert life.phase is Phase.LINGERING
    assert life.share(1) == life.share(2) < 5000
    life.stop(now=1.2)
    assert life.share(1) == running, "what comes while stopping is only kept"
