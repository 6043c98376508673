"""The program of the subreaper process: run one command, and exit when no descendant of the command is left.

A *subreaper* (``prctl(2)``) becomes the parent of each descendant whose own parent exits. So the chain of parents of every
descendant ends at the subreaper, through any ``setsid`` or double fork.

The program runs as ``python -I -S``, without this package, and imports few modules: ``posix`` and ``_signal`` are the C modules
of ``os`` and ``signal``, and load 3 ms faster.
"""

import posix
import select
from time import monotonic

from venvrunner._process.descendants import below, content, kill, signal_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
else:
    import _signal as signal

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PAUSE = (0.005, 0.5)
"""Seconds between two rounds of SIGKILL without an exit in between: at first, and at most."""
_GIVE_UP = 1.0
"""Seconds without an exit and without a process that SIGKILL reaches, after which the subreaper gives up."""
_LOOK = 0.1
"""Seconds between two checks for the parent, if there is no descriptor of it."""
_LONG = 1e6
"""Maximum seconds that ``poll(2)`` can wait."""


class Settings:
    """The settings of the subreaper.

    Args:
        report: the descriptor to write the outcome of the command to.
        control: the descriptor to read the signals to send from, a byte each; its end of file means to kill everything.
        parent: the PID of the parent process, whose death also means to kill everything.
        parent_fd: a descriptor of that process (``pidfd_open(2)``); -1: there is none.
        grace: seconds from SIGTERM to SIGKILL for processes that the command leaves.
    """

    def __init__(self, report: int, control: int, parent: int, parent_fd: int, grace: float) -> None:
        self.report = report
        self.control = control
        self.parent = parent
        self.parent_fd = parent_fd
        self.grace = grace


class Program:
    """The command.

    Args:
        paths: its possible paths, in the order to try.
        argv: its arguments.
        env: its environment variables; ``None``: those of the subreaper.
        ids: the user, the group and the supplementary groups to run as; each may be ``None`` for that of the subreaper.
        ignored: the signals that it ignores, of those that Python changes at its start.
    """

    def __init__(
        self,
        paths: list[bytes],
        argv: list[bytes],
        env: dict[bytes, bytes] | None,
        ids: tuple[int | None, int | None, list[int] | None],
        ignored: list[int],
    ) -> None:
        self.paths = paths
        self.argv = argv
        self.env = env
        self.ids = ids
        self.ignored = ignored


def main(settings: Settings, program: Program) -> None:
    """Run the command, wait until none of its processes is left, and report its exit code."""
    for fd in (settings.report, settings.control, settings.parent_fd):
        if fd >= 0:
            posix.set_inheritable(fd, False)  # noqa: FBT003  it takes no keyword
    # Blocked, not ignored: a signal that arrives now must reach the command.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    on_child = signal.signal(signal.SIGCHLD, lambda _signum, _frame: None)
    wake, wakeup = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    subreaper = posix.getpid()
    if posix.readlink("/proc/self") != str(subreaper):
        _report(settings.report, "error subreaper /proc shows the processes of another PID namespace")
        return
    call = prctl()
    if call(_PR_SET_CHILD_SUBREAPER, 1) != 0:
        _report(settings.report, "error subreaper the system refuses prctl")
        return
    call(_PR_SET_PDEATHSIG, signal.SIGCONT)  # the command may have stopped this process
    reaper = _Reaper(settings, wake)
    reaper.wait(0)
    if reaper.kills:
        _report(settings.report, f"exit {-signal.SIGKILL}")  # as if the command had been killed before its first step
        return
    try:
        reaper.command = posix.fork()
    except OSError as exc:
        _report(settings.report, f"error start {exc.errno}")
        return
    if reaper.command == 0:
        _become(program, mask, on_child, lambda: call(_PR_SET_PDEATHSIG, signal.SIGKILL), subreaper, settings.report)
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals() - {signal.SIGCHLD})
    _close_all_but({settings.report, settings.control, settings.parent_fd, wake, wakeup})
    _report(settings.report, reaper.run())


def prctl() -> "Callable[[int, int], int]":
    """Return ``prctl(2)`` with two arguments.

    Raises:
        ImportError, AttributeError, OSError: this Python or this system does not have it.
    """
    try:
        import _ctypes  # the package ctypes costs 1 ms more

        function = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]  # None: this program
        return lambda option, value: _ctypes.call_function(function, (option, value, 0, 0, 0))
    except (ImportError, AttributeError):  # not CPython
        import ctypes  # not needed by CPython

        return ctypes.CDLL(None).prctl


def _become(
    program: Program,
    mask: "set[int | signal.Signals]",
    on_child: object,
    set_death_signal: "Callable[[], int]",
    subreaper: int,
    report: int,
) -> None:
    """Turn this process into the command, with the signal settings it would have without a subreaper."""
    step = "setup"
    try:
        posix.setsid()
        env = _initial_environment() if program.env is None else program.env  # read first: another user cannot read it
        user, group, groups = program.ids
        if groups is not None:
            posix.setgroups(groups)
        if group is not None:
            posix.setregid(group, group)
        if user is not None:
            posix.setreuid(user, user)
        set_death_signal()  # last: a change of the user resets it
        if posix.getppid() != subreaper:
            return
        ignored = {signal.SIGCHLD: on_child == signal.SIG_IGN, signal.SIGINT: signal.getsignal(signal.SIGINT) == signal.SIG_IGN}
        ignored |= {signum: signum in program.ignored for signum in (signal.SIGPIPE, signal.SIGXFSZ)}
        for signum, is_ignored in ignored.items():
            signal.signal(signum, signal.SIG_IGN if is_ignored else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        step = "exec"
        _execute(program.paths, program.argv, env)
    except OSError as exc:
        _report(report, f"error {step} {exc.errno}")
    except Exception as exc:  # noqa: BLE001  this process must not continue as a second subreaper
        _report(report, f"error subreaper the command cannot be started ({exc!r})")
    finally:
        posix._exit(127)  # noqa: SLF001  it is public as os._exit


def _execute(paths: list[bytes], argv: list[bytes], env: dict[bytes, bytes]) -> None:
    """Replace this process by the first existing program; raise the first error other than a missing file, if there is one."""
    error: OSError | None = None
    missing = (FileNotFoundError, NotADirectoryError)
    for path in paths:
        try:
            posix.execve(path, argv, env)
        except OSError as exc:
            if error is None or (isinstance(error, missing) and not isinstance(exc, missing)):
                error = exc
    assert error is not None
    raise error


def _initial_environment() -> dict[bytes, bytes]:
    """Return the environment that this process got: in the C locale, Python adds LC_CTYPE to it (PEP 538)."""
    env: dict[bytes, bytes] = {}
    for entry in content("/proc/self/environ").split(b"\0"):
        name, equals, value = entry.partition(b"=")
        if name and equals:
            env.setdefault(name, value)
    return env


def _close_all_but(kept: set[int]) -> None:
    """Close the command's descriptors, so that their readers see the end of file, and leave its directory."""
    posix.chdir("/")
    for name in posix.listdir("/proc/self/fd"):
        if int(name) not in kept:
            try:  # noqa: SIM105  contextlib costs an import
                posix.close(int(name))
            except OSError:  # that of the listing
                pass


class _Reaper:
    """Waits for the command and all its descendants.

    Attributes:
        command: the PID of the command's process.
        kills: whether to kill everything.
    """

    def __init__(self, settings: Settings, wake: int) -> None:
        self.command = -1
        self.kills = False
        self._me = posix.getpid()
        self._settings = settings
        self._wake = wake
        self._pending: list[int] = []
        self._status: int | None = None
        self._pause, self._progress = _PAUSE[0], monotonic()
        self._poll = select.poll()
        for fd in (wake, settings.control, settings.parent_fd):
            if fd >= 0:
                self._poll.register(fd, select.POLLIN)

    def run(self) -> str:
        """Wait until no process is left; return the last line of the report."""
        deadline: float | None = None
        while self._reap():
            now = monotonic()
            if self._status is not None and deadline is None and not self.kills:
                deadline = now + self._settings.grace
                signal_all(signal.SIGTERM, self._me, spare=self.command)  # _reap has sent it to that group
            while self._pending:
                self._signal(self._pending.pop(0))
            if not self.kills and (deadline is None or now < deadline):
                self.wait(_LONG if deadline is None else deadline - now)
                self._progress = monotonic()
                continue
            self.kills = True
            if self._signal(signal.SIGKILL):
                self._progress = now
            elif now - self._progress > _GIVE_UP:  # the rest runs as another user
                return " ".join(["left", *(str(pid) for pid, *_ in below(self._me))])
            self.wait(self._pause)
            self._pause = min(self._pause * 2, _PAUSE[1])
        assert self._status is not None
        return f"exit {posix.waitstatus_to_exitcode(self._status)}"

    def wait(self, seconds: float) -> None:
        """Wait for the exit of a child, a signal to send or the death of the parent."""
        if self._settings.parent_fd < 0:
            seconds = min(seconds, _LOOK)
            self.kills = self.kills or posix.getppid() != self._settings.parent
        for fd, _ in self._poll.poll(1000 * min(seconds, _LONG)):
            if fd == self._wake:
                posix.read(fd, 4096)
                continue
            signums = posix.read(fd, 64) if fd == self._settings.control else b""
            if signums and signal.SIGKILL not in signums:
                self._pending += signums
            else:
                self.kills = True
                self._poll.unregister(fd)

    def _signal(self, signum: int) -> int:
        """Signal all processes, the group of the command first; return how many living ones got the signal."""
        if self._status is None and (kill(-self.command, signum) or kill(self.command, signum)):
            return 1 + signal_all(signum, self._me, spare=self.command)
        return signal_all(signum, self._me)

    def _reap(self) -> bool:
        """Reap the children that have exited; return whether any child is left."""
        while True:
            try:
                found = posix.waitid(posix.P_ALL, 0, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT)
            except ChildProcessError:
                return False
            if found is None:
                return True
            # A zombie cannot change its group, and keeps its PID. The whole group at once: it cannot escape by forking.
            group = posix.getpgid(found.si_pid)
            if group != posix.getpgrp() and (self.kills or found.si_pid == self.command):
                kill(-group, signal.SIGKILL if self.kills else signal.SIGTERM)
            _, status = posix.waitpid(found.si_pid, 0)
            self._pause, self._progress = _PAUSE[0], monotonic()
            if found.si_pid == self.command:
                self._status = status


def _report(fd: int, words: str) -> None:
    try:  # noqa: SIM105  contextlib costs an import
        posix.write(fd, words.encode()[:4000] + b"\n")  # less than PIPE_BUF: the write is atomic
    except OSError:  # the parent is gone
        pass
