"""One child process: its pipes, its signals and its exit, in steps that never wait."""

import contextlib
import os
import select
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any, cast

from venvrunner._process import failures
from venvrunner._process.clock import monotonic
from venvrunner._process.command import Command
from venvrunner._process.pipes import CAPACITY, Pump, capacity, pending
from venvrunner._process.session import CONTINUE, HAS_SELECTABLE_PIPES, KILL, Group, group_of, is_child
from venvrunner._process.supervisor import REAP
from venvrunner.exceptions import ContainmentError

if TYPE_CHECKING:
    import subprocess

    from venvrunner._process.kqueue import Descriptor
    from venvrunner._process.subreaper import Subreaper

__tracebackhide__ = True

_PAUSE = (0.001, 0.02)
"""Seconds between two checks for an exit that sends no event: at first, and at most."""


_OPEN: dict[int, object] = {}
"""Processes that are not closed yet: in a garbage cycle, the finalizer of ``Popen`` must not run before ours."""


class Child:
    """A process and the pipes to it.

    Args:
        process: the object that ``Popen`` returned.
        numbers: the streams to read: 1 and 2, or fewer.
        command: the command that it runs.
        subreaper: the subreaper of the command; *process* is then the subreaper.
        group: the group of processes to signal; default: the group that the process provably leads.
    """

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        numbers: Iterable[int],
        command: Command,
        subreaper: "Subreaper | None" = None,
        group: Group | None = None,
    ) -> None:
        self.returncode: int | None = None
        self._process = process
        _OPEN[id(process)] = process
        self._owner = os.getpid()
        self._has_ended = self._is_reaped = self._is_closed = False
        self._pause = _PAUSE[0]
        self._unknown: set[int] = set()
        self._command = command
        self._unsent = memoryview(command.input or b"")
        self._subreaper = subreaper
        self._group: Group = group_of(process) if group is None else group
        self._exit: Descriptor | None = None
        self._interests: dict[int, bool] = {}
        self._pipes: dict[int, IO[bytes] | Pump] = {}
        self._pumps: list[Pump] = []
        self._lent: list[IO[bytes]] = []
        self._numbers = tuple(numbers)

    def open(self, wake: Any) -> None:
        """Open the descriptors to wait for.

        Args:
            wake: called from other threads when a pipe has data, on systems where pipes can't be waited for.

        Raises:
            OSError: a descriptor cannot be opened.
        """
        process, command = self._process, self._command
        streams = {1: process.stdout, 2: process.stderr}
        pipes = {number: cast("IO[bytes]", streams[number]) for number in self._numbers}
        if not HAS_SELECTABLE_PIPES:
            for number, pipe in pipes.items():
                pump = self._pipes[number] = Pump(pipe, wake)
                self._pumps.append(pump)
                self._lent.append(pipe)
            if process.stdin is not None:
                Pump.write(process.stdin, command.input or b"")
                self._lent.append(process.stdin)
            return
        self._exit = _exit_descriptor(process.pid)
        if self._exit is not None:
            self._interests[self._exit.fileno()] = False
        for number, pipe in pipes.items():
            self._pipes[number] = pipe
            self._interests[pipe.fileno()] = False
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            self._interests[process.stdin.fileno()] = True

    def interests(self) -> Mapping[int, bool]:
        return self._interests

    def pause(self) -> float | None:
        if self._exit is not None and not self._has_ended:
            return None
        pause, self._pause = self._pause, min(self._pause * 2, _PAUSE[1])
        return pause

    def take(self, ready: Iterable[int], share: Mapping[int, int]) -> Iterator[tuple[int, bytes]]:
        ready = set(ready)
        stdin = self._process.stdin
        if stdin is not None and not stdin.closed and HAS_SELECTABLE_PIPES and stdin.fileno() in ready:
            self._write(stdin)
        for number, pipe in list(self._pipes.items()):
            if isinstance(pipe, Pump):
                data = pipe.take(share[number])
            else:
                data = os.read(pipe.fileno(), share[number]) if pipe.fileno() in ready else None
            if data is None:
                continue
            if not data:
                del self._pipes[number]
                if not isinstance(pipe, Pump):
                    self._interests.pop(pipe.fileno())
                pipe.close()
            yield number, data

    def mute(self) -> None:
        self._pipes.clear()
        exit_only = () if self._exit is None or self._has_ended else ((self._exit.fileno(), False),)
        self._interests = dict(exit_only)

    def rest(self) -> Iterator[tuple[int, bytes]]:
        for number, pipe in self._pipes.items():
            left = CAPACITY  # a process that has left the session may continue to write
            while left > 0 and not isinstance(pipe, Pump) and _is_readable(pipe.fileno()):
                data = os.read(pipe.fileno(), left)
                if not data:
                    break
                left -= len(data)
                yield number, data

    def look(self) -> Mapping[int, int] | None:
        if self._has_ended or not self._ended():
            return None
        self._has_ended = True
        if self._subreaper is not None:
            self.returncode = self._outcome(self._subreaper)
        self._pause = _PAUSE[0]
        if self._exit is not None:
            self._interests.pop(self._exit.fileno(), None)
        owed: dict[int, int] = {}
        for number, pipe in self._pipes.items():
            count = pipe.pending() if isinstance(pipe, Pump) else pending(pipe.fileno())
            if count is None:
                self._unknown.add(number)
                count = CAPACITY if isinstance(pipe, Pump) else capacity(pipe.fileno())
            owed[number] = count
        return owed

    def dry(self) -> Iterable[int]:
        for number in list(self._unknown):
            pipe = self._pipes.get(number)
            if pipe is None or (pipe.is_idle() if isinstance(pipe, Pump) else not _is_readable(pipe.fileno())):
                self._unknown.discard(number)
                yield number

    def send(self, signum: int) -> None:
        if os.getpid() != self._owner or self._is_reaped:
            return
        if self._subreaper is None:
            self._group.send(signum)
        else:
            self._subreaper.send(signum)
            self._group.send(CONTINUE)  # the command may have stopped its subreaper

    def empty(self) -> bool:
        return self._is_reaped or (self._has_ended and self._group.ended())

    def close(self) -> None:
        if self._is_closed or os.getpid() != self._owner:
            return  # a fork of the owner has copies of the descriptors, which are closed at its exit
        process = self._process
        # A pump's thread closes its pipe itself: on Windows, close() waits for a read or write of another thread to return,
        # and a daemon that has inherited the pipe may never let it.
        ours = (file for file in (process.stdin, process.stdout, process.stderr) if file not in self._lent)
        for file in (*ours, *self._pumps, self._exit):
            if file is not None and not file.closed:
                with contextlib.suppress(OSError):  # unwritten input is dropped on purpose
                    file.close()
        if self._subreaper is not None:
            self._subreaper.close()
        if self._has_ended:
            self._is_reaped = True  # from now on, its PID may belong to another process
            self._reap()
        self._group.close()
        _OPEN.pop(id(process), None)
        self._is_closed = True

    def kill(self) -> None:
        self.send(KILL)
        end = monotonic() + REAP
        while not self.empty() and monotonic() < end:
            if self._has_ended:
                self.send(KILL)  # a member may have started another before the signal reached it
                time.sleep(_PAUSE[0])
            elif self.look() is None:
                self._await_exit(end)

    def __del__(self) -> None:
        """Kill a child that was dropped without being closed, as when a handler raised where no code could catch it."""
        if "_group" in vars(self) and not self._is_closed:
            self.kill()
            self.close()

    def _await_exit(self, end: float) -> None:
        if self._exit is None:
            time.sleep(_PAUSE[0])
        else:
            _is_readable(self._exit.fileno(), end - monotonic())

    def _reap(self) -> None:
        process = self._process
        if not (self._group.keeps_leader and _is_standard(process)):
            process.poll()
        elif process.returncode is None:
            # Not poll(): a handler that raises in it leaves it locked.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)
            process.returncode = self.returncode or 0

    def _outcome(self, subreaper: "Subreaper") -> int | None:
        """Return the exit code of a command that had a subreaper.

        Raises:
            OSError: the command could not be started.
            ContainmentError: a process is left that cannot be killed.
        """
        try:
            return subreaper.outcome()
        except LookupError as exc:
            failure: Exception = ContainmentError(str(exc.args[0]))
        except OSError as exc:
            failure = failures.explained(exc, self._command)
        raise failure

    def _ended(self) -> bool:
        """Return whether the process has exited; set its exit code, if it is known."""
        process = self._process
        if hasattr(os, "waitid"):
            try:
                info = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                if process.returncode is None and _is_standard(process):
                    # Popen would report exit code 0.
                    self._group.leader_reaped()
                    return True
            else:
                if info is None:
                    return False
                self.returncode = info.si_status if info.si_code == os.CLD_EXITED else -info.si_status
                if not self._group.keeps_leader:
                    process.poll()
                    self._group.leader_reaped()
                return True
        returncode = process.poll()
        if returncode is None:
            return False
        self._group.leader_reaped()
        self.returncode = returncode
        return not self._group.lingers()

    def _write(self, stdin: IO[bytes]) -> None:
        try:
            self._unsent = self._unsent[os.write(stdin.fileno(), self._unsent) :]
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            # The child has closed its standard input. subprocess ignores that too.
            self._unsent = self._unsent[:0]
        if not self._unsent:
            self._interests.pop(stdin.fileno())
            stdin.close()


def _is_readable(fd: int, seconds: float = 0.0) -> bool:
    poll = select.poll()  # select() accepts no descriptor above 1023
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(1000 * seconds))


def _exit_descriptor(pid: int) -> "Descriptor | None":
    """Return a descriptor that becomes readable when the child exits; ``None`` where the system has none."""
    if not is_child(pid):
        return None
    try:
        number = os.pidfd_open(pid)
    except AttributeError:
        from venvrunner._process.kqueue import exit_queue  # macOS and BSD only

        return exit_queue(pid)
    except OSError:
        return None
    try:
        return open(number, "rb", buffering=0)
    except OSError:
        os.close(number)
        return None


def _is_standard(process: object) -> bool:
    """Return whether a process object comes from the standard library, and not from gevent, for instance."""
    return "subprocess" in {cls.__module__ for cls in type(process).__mro__}
