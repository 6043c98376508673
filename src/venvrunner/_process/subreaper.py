"""The subreaper (Linux): a process between this one and a command, which lets no process of the command outlive the call."""

import contextlib
import functools
import marshal
import operator
import os
import signal
import sys
from collections.abc import Mapping
from importlib.machinery import SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

from venvrunner._process.unnamed_files import above_standard_streams, unnamed_file, write_all
from venvrunner.exceptions import ContainmentError

_START = (
    "import marshal,posix,sys;f=int(sys.argv[1]);"
    "c,o,p=marshal.loads(posix.pread(f,posix.fstat(f).st_size,0));posix.close(f)\n"
    "for n,b in c:m=sys.modules[n]=type(sys)(n);exec(b,vars(m))\n"
    "m.main(m.Settings(*o),m.Program(*p));posix._exit(0)"
)
"""The code that the subreaper's interpreter runs; it reads its modules and the command from an unnamed file."""


class Subreaper:
    """The start of one command under a subreaper.

    The subreaper exits when no process of the command is left: no process of another group or session, no daemon and no
    orphan. Then :meth:`outcome` returns the exit code of the command.

    - When the command exits, the processes that it leaves get SIGTERM and, *grace* seconds later, SIGKILL.
    - When this process dies in any way, or replaces itself by ``exec``, all of them get SIGKILL at once.
    - Signals to the subreaper have no effect: a command that sends SIGTERM to its parent does not stop it. Only in its first
      milliseconds can a signal kill it; the command is then not started.

    Limits: if the subreaper gets SIGKILL, so does the command (unless it runs a set-user-ID program), but the processes that
    the command started escape. A process that has become another user (``sudo``) cannot be signalled: the subreaper waits for
    it until everything is to be killed, and :meth:`outcome` then reports it. The parent of the command is the subreaper, and a
    daemon does not become a child of process 1.

    Raises:
        ContainmentError: this system or this Python lacks a required feature; the message says which.
    """

    def __init__(self) -> None:
        self._modules = _modules()
        self._owner = os.getpid()
        self._fds: dict[str, int] = {}
        self._program: Any = None
        self._report = b""

    def wrap(self, argv: list[str], options: dict[str, Any], *, grace: float) -> tuple[list[str], dict[str, Any]]:
        """Return the command line and the keywords with which ``Popen`` starts the subreaper.

        Args:
            argv: the command line of the command.
            options: the keywords with which ``Popen`` would start the command; users and groups are numbers. ``cwd``,
                ``umask``, the streams and ``preexec_fn`` are applied to the subreaper, and the command inherits them.
            grace: seconds from SIGTERM to SIGKILL for processes that the command leaves.

        Raises:
            TypeError, ValueError: an argument or a variable is invalid, as for ``Popen``.
            OSError: no descriptor is available.
        """
        given = dict(options)
        executable, env = given.pop("executable", None), given.pop("env", None)
        user, group, groups = (given.pop(name, None) for name in ("user", "group", "extra_groups"))
        if given.get("preexec_fn") is not None and (user, group, groups) != (None, None, None):
            msg = "preexec_fn cannot be combined with user, group or extra_groups if contain=True: it would run before them."
            raise ValueError(msg)
        self._program = argv[0] if executable is None else executable
        words = [_encode(word) for word in argv]
        if not words[0]:
            msg = "args[0] must not be empty if contain=True. Use the name of the program."
            raise ValueError(msg)
        program = (
            _candidates(self._program, env),
            words,
            None if env is None else _variables(env),
            (_id(user), _id(group), None if groups is None else [_id(one) for one in groups]),
            [] if given.get("restore_signals", True) else _ignored_signals(),
        )
        passed = tuple(given.pop("pass_fds", ()))
        if not given.pop("close_fds", True) and not passed:
            passed = _inheritable()
        self._open()
        settings = (self._fds["report_in"], self._fds["control_out"], self._owner, self._fds.get("parent", -1), float(grace))
        task = self._fds["task"]
        write_all(task, marshal.dumps((self._modules, settings, program)))
        ours = [fd for name, fd in self._fds.items() if name not in {"control_in", "report_out"}]
        given["pass_fds"] = (*passed, *ours)
        return [sys.executable, "-I", "-S", "-c", _START, str(task), "venvrunner-subreaper"], given

    def started(self) -> None:
        """Close the subreaper's own descriptors, now that it has started."""
        self._close("task", "parent", "report_in")

    def send(self, signum: int) -> None:
        """Send a signal to the command and all its descendants; SIGKILL is repeated until none is left.

        This does nothing in a fork of the process that created the subreaper, and after :meth:`close`.
        """
        # This process holds the other end too: otherwise the write would raise SIGPIPE after the exit of the subreaper.
        if os.getpid() == self._owner and "control_in" in self._fds:
            with contextlib.suppress(BlockingIOError):  # thousands of signals are pending
                os.write(self._fds["control_in"], bytes([signum]))

    def outcome(self) -> int:
        """Return the exit code of the command, in the form of ``Popen.returncode``. Call it when the subreaper has exited.

        Raises:
            OSError: the command could not be started; as ``Popen`` raises it.
            ContainmentError: a process is left that cannot be killed.
            LookupError: the subreaper was killed, so the exit code is unknown and processes may be left.
        """
        with contextlib.suppress(BlockingIOError, KeyError):
            self._report += os.read(self._fds["report_out"], 8192)
        match self._report.partition(b"\n")[0].decode(errors="replace").split():
            case ["error", "subreaper", *reason]:
                raise ContainmentError(_unsupported(" ".join(reason)))
            case ["error", step, number]:
                code = int(number)
                raise OSError(code, os.strerror(code), *([self._program] if step == "exec" else []))
            case ["left", *pids]:
                which = f"processes {', '.join(pids)}" if pids else "processes that are not visible in /proc"
                msg = f"The command left {which}, which run as another user and cannot be killed. Kill them as that user."
                raise ContainmentError(msg)
            case ["exit", code]:
                return int(code)
            case _:
                pass
        msg = "The subreaper was killed, so the exit code of the command is unknown, and processes that it started may be left."
        raise LookupError(msg)

    def close(self) -> None:
        """Let the subreaper kill the rest, without waiting, and close all descriptors. A second call does nothing."""
        try:
            self.send(signal.SIGKILL)
        finally:
            self._close(*self._fds)

    def _open(self) -> None:
        """Open the pipes, the file for the task and a descriptor of this process; other children inherit none of them."""
        for read_end, write_end in (("control_out", "control_in"), ("report_out", "report_in")):
            self._fds[read_end], self._fds[write_end] = os.pipe()
        os.set_blocking(self._fds["control_in"], False)
        os.set_blocking(self._fds["report_out"], False)
        self._fds["task"] = unnamed_file()
        with contextlib.suppress(AttributeError, OSError):  # Linux before 5.3, or a sandbox: the subreaper polls for its parent
            self._fds["parent"] = os.pidfd_open(self._owner)
        for name, fd in self._fds.items():
            self._fds[name] = above_standard_streams(fd)

    def _close(self, *names: str) -> None:
        for name in names:
            fd = self._fds.pop(name, -1)
            if fd >= 0:
                os.close(fd)


def _modules() -> list[tuple[str, CodeType]]:
    """Return the modules that the subreaper runs.

    Raises:
        ContainmentError: the subreaper cannot run here; the message says why.
    """
    if not sys.executable or not os.access(sys.executable, os.X_OK):
        raise ContainmentError(_unsupported("sys.executable does not name a Python interpreter"))
    try:
        is_own = os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        is_own = False
    if not is_own:
        raise ContainmentError(_unsupported("/proc is not mounted, or shows the processes of another PID namespace"))
    try:
        return _compiled()
    except (ImportError, AttributeError, OSError) as exc:
        raise ContainmentError(_unsupported(f"prctl cannot be called ({exc})")) from exc


def _unsupported(reason: str) -> str:
    return (
        f"contain=True is not possible here: {reason}. It needs Linux with /proc, and a Python with ctypes."
        " Leave out contain=True: then a process that leaves the session of the command outlives the call."
    )


@functools.cache
def _compiled() -> list[tuple[str, CodeType]]:
    from venvrunner._process import descendants, subreaper_program  # they import modules that only POSIX has

    subreaper_program.prctl()
    return [(module.__name__, _code_of(module)) for module in (descendants, subreaper_program)]


def _code_of(module: ModuleType) -> CodeType:
    """Return the code of a module without the changes of an import hook, such as that of pytest."""
    name, loader = module.__name__, module.__loader__
    if type(loader) is SourceFileLoader:
        code = loader.get_code(name)
        assert code is not None
        return code
    get_source = getattr(loader, "get_source", None)
    if get_source is not None:
        return compile(get_source(name), str(module.__file__), "exec")
    with open(str(module.__file__), "rb") as file:
        return compile(file.read(), str(module.__file__), "exec")


def _id(value: Any) -> int | None:
    """Return the number of a user or a group; -1 is refused, because to the system it means no change."""
    if value is None:
        return None
    number = operator.index(value)
    if number < 0:
        msg = f"user, group and extra_groups must not be negative, but one is {number}."
        raise ValueError(msg)
    return number


def _encode(word: Any) -> bytes:
    encoded: bytes = os.fsencode(word)
    if b"\0" in encoded:
        msg = "embedded null byte"  # the message of Popen
        raise ValueError(msg)
    return encoded


def _variables(env: Mapping[Any, Any]) -> dict[bytes, bytes]:
    variables = {_encode(name): _encode(value) for name, value in env.items()}
    if any(not name or b"=" in name for name in variables):
        msg = "illegal environment variable name"  # the message of Popen
        raise ValueError(msg)
    return variables


def _candidates(program: Any, env: Mapping[Any, Any] | None) -> list[bytes]:
    """Return the possible paths of a program, in the order of ``PATH``."""
    name = _encode(program)
    if os.path.dirname(name):
        return [name]
    return [os.path.join(os.fsencode(directory), name) for directory in os.get_exec_path(env)]


def _ignored_signals() -> list[int]:
    """Return the signals that this process ignores, of those that Python changes at its start."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        mask = next(int(line.split()[1], 16) for line in file if line.startswith("SigIgn:"))
    return [int(signum) for signum in (signal.SIGPIPE, signal.SIGXFSZ) if mask >> (signum - 1) & 1]


def _inheritable() -> tuple[int, ...]:
    """Return the descriptors that a child inherits with ``close_fds=False``."""
    found: list[int] = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.get_inheritable(int(name)):
                found.append(int(name))
    return tuple(fd for fd in found if fd > 2)  # noqa: PLR2004  the standard streams are passed separately
