"""Every abnormal end: the whole session of a command is gone, and the cause propagates as it is."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import venvrunner
from helpers.callers import Caller
from helpers.processes import alive, children
from helpers.system import LINUX
from helpers.waiting import DEADLINE, wait_until
from venvrunner import CommandTimeoutError
from venvrunner._process import child, flow, lines, procfs, session, supervisor
from venvrunner.subprocess_util import async_log_run, log_run

STUBBORN = "trap '' TERM; sleep 60 & echo $$ $!; wait"
"""A child and a grandchild that ignore SIGTERM, and say who they are."""
SHORT_LIVED = "(trap '' TERM; exec sleep 60) & echo $$ $!; sleep 0.1"
"""The same, but the child soon ends by itself."""


class BugError(Exception):
    """What a test raises where no exception is expected."""


class Tree:
    """A callback that learns the numbers of child and grandchild, and then does something."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.pids: list[int] = []
        self._then = then

    def __call__(self, line: str) -> None:
        self.pids = [int(word) for word in line.split()]
        self._then()

    async def awaited(self, line: str) -> None:
        await asyncio.sleep(0)
        self(line)

    @property
    def gone(self) -> bool:
        assert len(self.pids) == 2, "the tree has not grown"
        return not any(alive(pid) for pid in self.pids)


def raiser(error: BaseException) -> Callable[..., Any]:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error

    return fail


def sh(call: Caller, script: str) -> list[str]:
    """Return a command line for a shell script that every caller can run."""
    return call.code(f"import os; os.execvp('sh', ['sh', '-c', {script!r}])")


def timed_out(call: Caller, args: list[str], *sinks: Any, **options: Any) -> Any:
    """Run with a longer timeout each time until the command got so far as to write something; return the exception."""
    for timeout in (0.3, 1.0, 5.0, DEADLINE):
        with pytest.raises(subprocess.TimeoutExpired) as caught:
            call(args, None, *sinks, timeout=timeout, **options)
        if caught.value.stdout:
            return caught.value
    pytest.fail("the command wrote nothing")


async def turns_until(condition: Callable[[], object], what: str) -> None:
    """Let the loop turn until something happened."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what}"
        await asyncio.sleep(0)


async def begin(tree: Tree, script: str = STUBBORN, **options: Any) -> "asyncio.Task[subprocess.CompletedProcess[str]]":
    """Return the task that runs a tree, once that is grown."""
    task = asyncio.create_task(async_log_run(["sh", "-c", script], None, tree, **options))
    await turns_until(lambda: tree.pids, "the tree grows")
    return task


# The causes.


def test_a_timeout_ends_the_grandchild_too(call: Caller) -> None:
    """What ignores SIGTERM gets SIGKILL when the grace is over, child and grandchild."""
    tree = Tree()
    error = timed_out(call, sh(call, STUBBORN), tree, grace=0.1)
    assert tree.gone
    assert [int(word) for word in error.stdout.split()] == tree.pids


@pytest.mark.parametrize("kind", ["plain", "async def"])
def test_the_exception_of_a_callback_propagates_as_it_is(call: Caller, kind: str) -> None:
    """The same object, no group around it, and the tree is gone."""
    error = BugError("from the callback")
    tree = Tree(raiser(error))
    with pytest.raises(BugError) as caught:
        call(sh(call, STUBBORN), None, tree if kind == "plain" else tree.awaited, grace=0.1)
    assert caught.value is error
    assert tree.gone


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)], ids=repr)
@pytest.mark.parametrize("kind", ["plain", "async def"])
def test_a_callback_may_raise_what_is_not_an_exception(error: BaseException, kind: str) -> None:
    """Also what derives from BaseException alone ends the tree and propagates."""
    tree = Tree(raiser(error))
    with pytest.raises(type(error)) as caught:
        log_run(["sh", "-c", STUBBORN], None, tree if kind == "plain" else tree.awaited, grace=0.1)
    assert caught.value is error
    assert tree.gone


@pytest.mark.parametrize("kind", ["plain", "async def"])
def test_the_sync_call_inside_a_running_loop_ends_the_tree_too(kind: str) -> None:
    """For an `async def` callback a helper thread runs the command; its exception arrives as the same object."""
    error = BugError("from the callback")
    tree = Tree(raiser(error))

    async def main() -> None:
        log_run(["sh", "-c", STUBBORN], None, tree if kind == "plain" else tree.awaited, grace=0.1)

    with pytest.raises(BugError) as caught:
        asyncio.run(main())
    assert caught.value is error
    assert tree.gone


@pytest.mark.parametrize(("owner", "name"), [(lines.Stream, "feed"), (supervisor.Supervisor, "received")])
def test_a_bug_in_how_output_is_handled_ends_the_tree(
    drive: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, owner: type, name: str
) -> None:
    """However often it strikes, as for lack of memory: the ladder does not depend on what it reads."""
    error = MemoryError("for a test")
    numbers = tmp_path / "numbers"
    script = f"trap '' TERM; sleep 60 & echo $$ $! > {numbers}; while :; do echo more; done"
    monkeypatch.setattr(owner, name, raiser(error))
    with pytest.raises(MemoryError) as caught:
        drive(["sh", "-c", script], None, str, grace=0.1, timeout=DEADLINE)
    tree = Tree()
    tree(numbers.read_text())
    assert caught.value is error
    # With no step of the ladder to rely on, it is killed, and only its leader is waited for.
    wait_until(lambda: tree.gone, "the tree is gone", 2)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (supervisor.Supervisor, "tick"),
        (supervisor.Supervisor, "exited"),
        (child.Child, "look"),
        (child.Child, "interests"),
        (child, "pending"),
        (flow.Run, "_shares"),
    ],
    ids=lambda value: getattr(value, "__name__", value).rpartition(".")[2],
)
def test_a_bug_in_the_supervision_ends_the_tree(drive: Caller, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """Our own failure is no reason to leave processes behind, or to hang."""
    error = BugError("in the driver")
    original = getattr(owner, name)
    tree = Tree()

    def once(*args: Any) -> Any:
        if tree.pids and getattr(owner, name) is once:
            monkeypatch.setattr(owner, name, original)
            raise error
        return original(*args)

    monkeypatch.setattr(owner, name, once)
    with pytest.raises(BugError) as caught:
        drive(["sh", "-c", SHORT_LIVED], None, tree, grace=0.1, timeout=5)
    assert caught.value is error
    assert tree.gone


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (supervisor.Supervisor, "stop"),
        (supervisor.Supervisor, "signals"),
        (supervisor.Supervisor, "group_empty"),
        (session.Session, "ended"),
        (child.Child, "empty"),
        (child.Child, "send"),
        (procfs, "processes"),
    ],
    ids=lambda value: getattr(value, "__name__", value).rpartition(".")[2],
)
def test_a_bug_in_the_ladder_ends_the_tree(drive: Caller, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """What was started is killed at once, and the first cause propagates, not what came of it."""
    error, original = BugError("from the callback"), getattr(owner, name)
    seen: list[str] = []

    def once(*args: Any, **options: Any) -> Any:
        if not seen:
            seen.append(name)
            raise LookupError
        return original(*args, **options)

    def fail() -> None:
        monkeypatch.setattr(owner, name, once)
        raise error

    tree = Tree(fail)
    with pytest.raises(BugError) as caught:
        drive(["sh", "-c", STUBBORN], None, tree, grace=0.1)
    assert caught.value is error
    assert seen
    wait_until(lambda: tree.gone, "the tree is gone", 2)


# The ladder.


def test_the_first_signal_is_polite(call: Caller) -> None:
    """A child that handles SIGTERM ends as it likes within the grace, and its last words are in the exception."""
    script = "trap 'echo last words; exit 0' TERM; echo ready; sleep 60 & wait"
    error = timed_out(call, sh(call, script), grace=DEADLINE)
    assert error.stdout == "ready\nlast words\n"


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGUSR1, signal.SIGTERM, signal.SIGKILL], ids=lambda value: value.name
)
def test_the_first_signal_can_be_chosen(call: Caller, number: signal.Signals) -> None:
    """With `stop_signal`: SIGINT, which a Python child sees as KeyboardInterrupt, or any other; nothing else comes first."""
    source = """
import os, signal, time

def end(number, _frame):
    os.write(1, b"got %d\\n" % number)
    os._exit(0)

for number in signal.SIGINT, signal.SIGUSR1, signal.SIGTERM:
    signal.signal(number, end)
os.write(1, b"ready\\n")
while True:
    time.sleep(0.01)  # pause() would miss a signal that comes just before it
"""
    error = timed_out(call, call.code(source), stop_signal=number, grace=DEADLINE)
    assert error.stdout == "ready\n" + (f"got {number:d}\n" if number != signal.SIGKILL else "")


def test_the_hard_signal_follows_any_chosen_one(call: Caller) -> None:
    """A child that ignores the chosen signal does not get SIGTERM, but SIGKILL when the grace is over."""
    tree = Tree()
    timed_out(call, sh(call, STUBBORN.replace("TERM", "USR2 TERM")), tree, stop_signal=signal.SIGUSR2, grace=0.1)
    assert tree.gone


IN_THE_SESSION = {
    "a program with a time limit": "timeout 100 sleep 61 & wait",
    "a job of an interactive shell": 'bash -c "set -m; sleep 62 & wait"',
    "a process group of its own": (
        f'{sys.executable} -c \'import subprocess; subprocess.Popen(["sleep", "63"], process_group=0).wait()\''
    ),
    "a deep one that ignores SIGTERM": "bash -c \"set -m; (trap '' TERM; timeout 100 sleep 64) & wait\"",
}


@pytest.mark.skipif(not LINUX, reason="elsewhere a command ends with its process group")
@pytest.mark.parametrize("script", IN_THE_SESSION.values(), ids=IN_THE_SESSION)
def test_a_process_group_of_its_own_does_not_escape(call: Caller, script: str) -> None:
    """What leaves the group stays in the session, and is ended: `timeout`, jobs of a shell, `process_group=0`."""
    found: list[procfs.Process] = []

    def take(line: str) -> None:
        def has_grown() -> bool:
            found[:] = [one for one in procfs.processes() if one.session == int(line)]
            return any(one.group != int(line) and comm(one.pid) == "sleep" for one in found)

        wait_until(has_grown, "a process leaves the group")
        raise BugError

    with pytest.raises(BugError):
        call(sh(call, f"echo $$; {script}"), None, take, grace=0.2)
    assert len(found) > 1
    assert not [one for one in found if alive(one.pid)]


@pytest.mark.skipif(not LINUX, reason="only Linux has pidfds")
def test_without_pidfds_what_left_the_group_gets_no_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number is no proof. The call ends with its own error, when the time for what can't be killed is over."""
    monkeypatch.delattr(os, "pidfd_open")
    for module in (child, supervisor):
        monkeypatch.setattr(module, "REAP", 0.2)
    source = "import subprocess; sleep = subprocess.Popen(['sleep', '60'], process_group=0); print(sleep.pid, flush=True)"
    pids: list[int] = []

    def take(line: str) -> None:
        pids.append(int(line))
        raise BugError

    with pytest.raises(BugError):
        log_run([sys.executable, "-c", f"{source}; sleep.wait()"], None, take, grace=0.1)
    (pid,) = pids
    try:
        assert alive(pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not alive(pid), "it ends")


def comm(pid: int) -> str:
    """Return the name of a process (Linux)."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


@pytest.mark.skipif(not LINUX, reason="a subreaper is one on Linux only")
def test_a_subreaper_keeps_no_zombie(call: Caller) -> None:
    """Orphans of the command come to this process, and are reaped before the call ends, those of other groups too."""
    script = "(sleep 60 & sleep 60 & exit) & (timeout 99 sleep 60 & exit) & echo $$; wait; sleep 60"
    found: list[int] = []

    def take(line: str) -> None:
        found.append(int(line))
        wait_until(lambda: orphans() == 3, "the orphans come to this process")

    def members() -> list[procfs.Process]:
        return [one for one in procfs.processes() if one.session == found[-1]]

    def orphans() -> int:
        return sum(one.parent == os.getpid() and one.pid != found[-1] for one in members())

    timed_out(call, sh(call, script), take, grace=0.5)
    assert members() == []


def test_the_group_is_ended_even_if_its_leader_is_gone(drive: Caller) -> None:
    """The leader obeys SIGTERM, the grandchild does not."""
    tree = Tree()
    timed_out(drive, ["sh", "-c", "(trap '' TERM; exec sleep 60) & echo $$ $!; wait"], tree, grace=0.1)
    assert tree.gone


def test_no_grace_is_possible(drive: Caller) -> None:
    """With `grace=0` SIGKILL follows SIGTERM at once."""
    tree = Tree(raiser(BugError()))
    begun = time.monotonic()
    with pytest.raises(BugError):
        drive(["sh", "-c", STUBBORN], None, tree, grace=0)
    assert tree.gone
    assert time.monotonic() - begun < supervisor.GRACE


def test_an_interrupt_inside_the_ladder_hurries_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second Ctrl-C under `asyncio.run` raises wherever it strikes, also in the middle of our own steps."""
    send = child.Child.send

    def interrupted(self: child.Child, signum: int) -> None:
        send(self, signum)
        if signum == signal.SIGTERM:
            raise KeyboardInterrupt

    monkeypatch.setattr(child.Child, "send", interrupted)
    tree = Tree(raiser(BugError()))
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(async_log_run(["sh", "-c", STUBBORN], None, tree, grace=2 * DEADLINE))
    assert tree.gone


def test_what_makes_a_session_of_its_own_escapes(drive: Caller) -> None:
    """A grandchild that called `setsid` is out of reach, as documented, and does not hold up the end."""
    tree = Tree(raiser(BugError()))
    with pytest.raises(BugError):
        drive(["sh", "-c", "setsid sleep 60 & echo $$ $!; wait"], None, tree, grace=DEADLINE)
    child, escaped = tree.pids
    assert not alive(child)
    # Between fork and setsid the grandchild is a member of the session like any other.
    if alive(escaped):
        os.kill(escaped, signal.SIGKILL)
        wait_until(lambda: not alive(escaped), "the escaped process ends")


# Timeouts.


@pytest.mark.parametrize("kind", ["plain", "async def"])
def test_a_timeout_counts_while_a_callback_is_slow(drive: Caller, kind: str) -> None:
    """The time is up between two lines, and what was read until then is in the exception, as text."""
    pause = threading.Event()

    def slow(line: str) -> None:
        pause.wait(0.02)

    async def slow_too(line: str) -> None:
        await asyncio.to_thread(pause.wait, 0.02)

    script = "i=0; while :; do echo $i; i=$((i + 1)); done"
    error = timed_out(drive, ["sh", "-c", script], slow if kind == "plain" else slow_too, grace=0.1)
    assert error.stdout.startswith("0\n1\n2\n")
    assert error.stderr == ""


def test_a_timeout_ends_a_callback_that_never_returns(drive: Caller) -> None:
    """An awaitable is cancelled when the time is up."""
    ended: list[str] = []

    async def never(line: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(line)

    error = timed_out(drive, ["sh", "-c", "echo begun; sleep 60"], never)
    assert error.stdout == "begun\n"
    assert ended == ["begun"]


def test_a_timeout_of_zero_is_up_at_once(drive: Caller) -> None:
    """Zero is a time, not the absence of one."""
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        drive(["sleep", "60"], timeout=0)
    error: Any = caught.value
    assert (error.stdout, error.stderr, error.timeout) == ("", "", 0)


def test_a_timeout_counts_when_the_output_is_closed(drive: Caller) -> None:
    """A child that closed its pipes still runs."""
    with pytest.raises(subprocess.TimeoutExpired):
        drive(["sh", "-c", "exec >&- 2>&-; exec sleep 60"], timeout=0.3)


# Cancelling.


def test_a_cancel_ends_the_tree_before_it_propagates() -> None:
    """When the task is done, nothing runs any more."""

    async def main() -> None:
        tree = Tree()
        task = await begin(tree, grace=0.1)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert tree.gone

    asyncio.run(main())


class Patient:
    """A child that ends on SIGTERM as soon as it is allowed to, and has a lot to say before.

    Args:
        path: a directory for the files by which test and child tell each other how far they are.
    """

    def __init__(self, path: Path) -> None:
        self.begun, self.gate, self.ended = (path / name for name in ("begun", "gate", "ended"))
        source = f"""
import os, signal, sys, time

def end(*_args):
    open({str(self.begun)!r}, "w").close()
    while not os.path.exists({str(self.gate)!r}):
        time.sleep(0.01)
    words = b"last words " * 20_000 + b"\\n"
    while words:
        words = words[os.write(1, words):]
    open({str(self.ended)!r}, "w").close()
    os._exit(0)

signal.signal(signal.SIGTERM, end)
os.write(1, b"ready\\n")  # not print(): a handler that interrupts it can't print
while True:
    time.sleep(0.01)  # pause() would miss a signal that comes just before it
"""
        self.args = [sys.executable, "-c", source]


@pytest.mark.parametrize("turns", [0, 1, 3, 100])
def test_a_further_cancel_leaves_the_whole_grace(tmp_path: Path, turns: int) -> None:
    """Five cancels: the handler of the child still comes to its end, and all that it prints is read meanwhile."""
    patient = Patient(tmp_path)

    async def main() -> None:
        ready = asyncio.Event()
        task = asyncio.create_task(async_log_run(patient.args, None, lambda _line: ready.set(), grace=2 * DEADLINE))
        await ready.wait()
        for _cancel in range(5):
            task.cancel()
            for _turn in range(turns):
                await asyncio.sleep(0)
        await turns_until(patient.begun.exists, "the child gets its signal")
        task.cancel()
        await asyncio.sleep(0)
        patient.gate.touch()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert patient.ended.exists()

    asyncio.run(main())


def test_a_cancel_while_a_timeout_ends_the_command_is_a_cancel(tmp_path: Path) -> None:
    """A cancel is never swallowed, and does not shorten the grace that the timeout gave."""
    patient = Patient(tmp_path)

    async def main() -> None:
        task = asyncio.create_task(async_log_run(patient.args, timeout=2, grace=2 * DEADLINE))
        await turns_until(lambda: patient.begun.exists() or task.done(), "the time is up")
        assert not task.done(), "the child was not ready in time"
        task.cancel()
        await asyncio.sleep(0)
        patient.gate.touch()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert patient.ended.exists()

    asyncio.run(main())


def test_the_last_words_of_a_command_are_in_the_exception(call: Caller, tmp_path: Path) -> None:
    """More than a pipe holds, printed after the polite signal: the ladder reads while it waits."""
    patient = Patient(tmp_path)
    patient.gate.touch()
    error = timed_out(call, call.code(patient.args[2]), grace=DEADLINE)
    assert error.stdout == "ready\n" + "last words " * 20_000 + "\n"


@pytest.mark.parametrize("cancels", [1, 2, 3])
def test_a_cancel_may_come_at_any_step(cancels: int) -> None:
    """Before the process is started, while it is, and after: no process is left when the task is done."""

    async def main() -> None:
        before = children().keys()
        for steps in range(30):
            task = asyncio.create_task(async_log_run(["sh", "-c", STUBBORN], grace=0.02))
            for _step in range(steps):
                await asyncio.sleep(0)
            for _cancel in range(cancels):
                task.cancel()
                await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await task
            assert children().keys() <= before, f"after {steps} steps"

    asyncio.run(main())


async def _by_timeout(run: Callable[[], Awaitable[object]], begun: asyncio.Event) -> None:
    async with asyncio.timeout(None) as scope:
        waiter = asyncio.create_task(begun.wait())
        waiter.add_done_callback(lambda _: scope.reschedule(0))
        await run()


async def _by_wait_for(run: Callable[[], Awaitable[object]], begun: asyncio.Event) -> None:
    task = asyncio.ensure_future(run())
    await begun.wait()
    await asyncio.wait_for(task, 0)


async def _by_sibling(run: Callable[[], Awaitable[object]], begun: asyncio.Event) -> None:
    async def sibling() -> None:
        await begun.wait()
        raise TimeoutError

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sibling())
            await run()
    except ExceptionGroup as group_error:
        (error,) = group_error.exceptions
        raise error from None


@pytest.mark.parametrize("way", [_by_timeout, _by_wait_for, _by_sibling])
def test_every_way_of_asyncio_to_cancel_ends_the_tree(way: Callable[..., Awaitable[None]]) -> None:
    """`asyncio.timeout`, `wait_for` and the failure of a sibling in a task group."""

    async def main() -> None:
        begun = asyncio.Event()
        tree = Tree(begun.set)
        with pytest.raises(TimeoutError):
            await way(lambda: async_log_run(["sh", "-c", STUBBORN], None, tree, grace=0.1), begun)
        assert tree.gone

    asyncio.run(main())


def test_the_end_of_the_loop_ends_the_tree() -> None:
    """What still runs when the main coroutine returns is cancelled by `asyncio.run`."""
    tree = Tree()

    async def main() -> object:
        return await begin(tree, grace=0.1)

    task = asyncio.run(main())
    assert isinstance(task, asyncio.Task)
    assert task.cancelled()
    assert tree.gone


CHAIN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
end = time.monotonic() + 20
while time.monotonic() < end:
    if os.fork():
        os._exit(0)
"""


def test_a_chain_of_forks_cannot_hide_from_the_ladder(drive: Caller) -> None:
    """Each process forks and ends at once, so no look at the group sees one that lives; none survives (the fixture looks)."""
    for _time in range(3):
        with pytest.raises(CommandTimeoutError):
            drive(["sh", "-c", f"{drive.python} -c '{CHAIN}' & sleep 60"], timeout=0.5, grace=0.5)


STRANGE_PROC = """
import ctypes, os, sys
from venvrunner import CommandTimeoutError
from venvrunner._process.procfs import processes
from venvrunner.subprocess_util import log_run

libc = ctypes.CDLL(None)
new_mounts, new_pids, private, detached = 0x20000, 0x20000000, 0x44000, 2
if sys.argv[1] == "foreign":
    refused = libc.unshare(new_pids)
else:
    refused = libc.unshare(new_mounts) or libc.mount(None, b"/", None, private, None) or libc.umount2(b"/proc", detached)
if refused:
    print("refused")
    sys.exit()
libc.prctl(36, 1, 0, 0, 0)  # reap orphans, as the first process of a system does
pid = os.fork()
if not pid:  # the first process of a PID namespace, if there is a new one
    print(len(processes()))
    cleanup = "(trap 'sleep 0.3; echo cleaned; exit' TERM; echo ready; while :; do sleep 0.05; done) & wait"
    try:
        log_run(["sh", "-c", cleanup], timeout=1, grace=60)
    except CommandTimeoutError as error:
        print(error.stdout.split())
    sys.stdout.flush()
    os._exit(0)
while os.wait()[0] != pid:
    pass
"""


@pytest.mark.skipif(not LINUX or os.getuid() != 0, reason="only root may change what /proc shows (Linux)")
@pytest.mark.parametrize("kind", ["foreign", "none"])
def test_a_proc_that_is_not_ours_is_not_believed(kind: str) -> None:
    """In another PID namespace its numbers stand for other processes. The process group ends then, within its grace."""
    env = {**os.environ, "PYTHONPATH": str(Path(str(venvrunner.__file__)).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", STRANGE_PROC, kind], env=env, capture_output=True, text=True, timeout=2 * DEADLINE, check=False
    )
    if done.stdout == "refused\n":
        pytest.skip("this system refuses new namespaces")
    assert (done.stdout, done.stderr) == ("0\n['ready', 'cleaned']\n", "")
