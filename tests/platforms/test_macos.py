"""What runs on macOS only, by logic: its system calls are fakes here; the processes, files and events behind them are real."""

import ctypes
import errno
import os
import shutil
import signal
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from helpers.callers import Caller
from helpers.environments import contents, install
from helpers.processes import alive
from helpers.system import LINUX
from helpers.waiting import wait_until
from helpers.wheels import make_wheel
from venvrunner import CommandTimeoutError, InvalidPathError, LockFileError, VenvRunner
from venvrunner._install.pylock import read_lock
from venvrunner._install.selection import _directory
from venvrunner._process import child, kqueue, libproc, procfs, session
from venvrunner._process.child import Child
from venvrunner._venv import copying
from venvrunner._venv.health import _versions_of_interpreter
from venvrunner._venv.paths import begins_alike, same, within
from venvrunner._venv.state import Ownership
from venvrunner.subprocess_util import async_log_run
from venvrunner.testing._placeholders import Placeholders

pytestmark = pytest.mark.skipif(not LINUX, reason="the fakes stand on Linux's own calls")


class Without:
    """The module `os` without some of its functions."""

    def __init__(self, *missing: str) -> None:
        self.missing = missing

    def __getattr__(self, name: str) -> Any:
        if name in self.missing:
            raise AttributeError(name)
        return getattr(os, name)


# The exit of a child: kqueue(2).


class Queue:
    """A kqueue for exits: readable when the child exits, as a pidfd is.

    It refuses a child that has exited, as macOS does. `control` is called with what is waited for and with no wish for events.
    """

    opened: list["Queue"]
    is_early = False

    def __init__(self) -> None:
        self.fd = os.memfd_create("queue")
        self.opened.append(self)
        self.closed = False

    def control(self, events: list[Any], max_events: int, timeout: int) -> list[Any]:
        assert (len(events), max_events, timeout) == (1, 0, 0)
        assert (events[0].filter, events[0].flags, events[0].fflags) == ("PROC", "ADD", "NOTE_EXIT")
        pid = events[0].ident
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            raise ProcessLookupError(errno.ESRCH, "No such process")
        if self.is_early:
            read_end, write_end = os.pipe()
            os.close(write_end)
        else:
            read_end = os.pidfd_open(pid)
        os.dup2(read_end, self.fd, inheritable=False)
        os.close(read_end)
        return []

    def fileno(self) -> int:
        return self.fd

    def close(self) -> None:
        assert not self.closed
        self.closed = True
        os.close(self.fd)


@pytest.fixture
def queues(monkeypatch: pytest.MonkeyPatch) -> list[Queue]:
    """Take `pidfd_open` away and put a kqueue in its place; return those that are opened."""

    def kevent(ident: int, filter: str, flags: str, fflags: str) -> Any:  # noqa: A002  the system's names
        return SimpleNamespace(ident=ident, filter=filter, flags=flags, fflags=fflags)

    opened: list[Queue] = []
    monkeypatch.setattr(Queue, "opened", opened, raising=False)
    constants = {"KQ_FILTER_PROC": "PROC", "KQ_EV_ADD": "ADD", "KQ_NOTE_EXIT": "NOTE_EXIT"}
    monkeypatch.setattr(kqueue, "select", SimpleNamespace(kqueue=Queue, kevent=kevent, **constants))
    monkeypatch.setattr(child, "os", Without("pidfd_open"))
    return opened


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that grows with each look at whether a command has ended."""
    seen: list[Any] = []
    look = Child.look

    def counted(self: Child) -> Any:
        seen.append(self)
        return look(self)

    monkeypatch.setattr(Child, "look", counted)
    return seen


FEW = 8
"""More looks than one command's events can cause, and less than those of polling in half a second."""


def test_an_exit_is_an_event(drive: Caller, queues: list[Queue], looks: list[Any]) -> None:
    """Nothing wakes up while the command runs, and its end is noticed even if a daemon has its pipes."""
    result = drive(["sh", "-c", "exec >&- 2>&-; sleep 0.5; exit 3"], check=False)
    assert result.returncode == 3
    assert len(looks) < FEW
    assert [queue.closed for queue in queues] == [True]


def test_without_kqueue_an_exit_is_polled(drive: Caller, queues: list[Queue], looks: list[Any]) -> None:
    """The same command, where there is no kqueue either: the test above can fail."""
    del kqueue.select.kqueue
    assert drive(["sh", "-c", "exec >&- 2>&-; sleep 0.5; exit 3"], check=False).returncode == 3
    assert len(looks) > FEW
    assert not queues


def test_trio_waits_for_the_same_event(queues: list[Queue], looks: list[Any]) -> None:
    """Its selector takes the descriptor like any other."""
    trio = pytest.importorskip("trio")

    async def main() -> int:
        return (await async_log_run(["sh", "-c", "sleep 0.5; exit 3"], check=False)).returncode

    assert trio.run(main) == 3
    assert len(looks) < FEW
    assert [queue.closed for queue in queues] == [True]


def test_a_child_that_has_exited_before_is_noticed(drive: Caller, queues: list[Queue], monkeypatch: pytest.MonkeyPatch) -> None:
    """kevent(2) refuses a zombie with ESRCH; its output and its exit code are delivered."""
    control = Queue.control

    def late(self: Queue, events: list[Any], *rest: int) -> list[Any]:
        os.waitid(os.P_PID, events[0].ident, os.WEXITED | os.WNOWAIT)
        with pytest.raises(ProcessLookupError):
            control(self, events, *rest)
        raise ProcessLookupError(errno.ESRCH, "No such process")

    monkeypatch.setattr(Queue, "control", late)
    result = drive(["sh", "-c", "echo done; exit 3"], check=False)
    assert (result.stdout, result.returncode) == ("done\n", 3)
    assert [queue.closed for queue in queues] == [True]


def test_an_event_before_the_zombie_is_no_end(drive: Caller, queues: list[Queue], monkeypatch: pytest.MonkeyPatch) -> None:
    """NOTE_EXIT may come while the child is still exiting; only its exit status ends the command."""
    monkeypatch.setattr(Queue, "is_early", True)
    result = drive(["sh", "-c", "echo begun; sleep 0.1; echo done; exit 3"], check=False)
    assert (result.stdout, result.returncode) == ("begun\ndone\n", 3)
    assert [queue.closed for queue in queues] == [True]


def test_a_killed_command_sends_the_event_too(drive: Caller, queues: list[Queue]) -> None:
    """A timeout ends it, and its queue is closed."""
    with pytest.raises(CommandTimeoutError):
        drive(["sleep", "60"], timeout=0.1)
    assert [queue.closed for queue in queues] == [True]


# Standalone forks on APFS: clonefile(2).


class Library:
    """The C library with `clonefile`, which makes a file of its own with the contents, the mode and the times of another."""

    def __init__(self, path: None, *, use_errno: bool) -> None:
        assert (path, use_errno) == (None, True)

    refusal: int | None = None
    clones: list[tuple[bytes, bytes]]

    @classmethod
    def clonefile(cls, old: bytes, new: bytes, flags: int) -> int:
        assert flags == 0
        refusal = errno.EEXIST if os.path.lexists(new) else cls.refusal
        if refusal is None:
            shutil.copy2(old, new)
            cls.clones.append((old, new))
            return 0
        ctypes.set_errno(refusal)
        return -1


@pytest.fixture
def clones(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[bytes, bytes]]]:
    """Put macOS's way to clone in place of Linux's; return what is cloned."""
    found: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr(Library, "clones", found, raising=False)
    monkeypatch.setattr(ctypes, "CDLL", Library)
    monkeypatch.setattr(copying, "IS_MACOS", True)
    copying._clonefile_call.cache_clear()
    yield found
    copying._clonefile_call.cache_clear()


def test_a_standalone_fork_is_cloned(clones: list[tuple[bytes, bytes]], tmp_path: Path) -> None:
    """Its files share no contents with the parent's, unlike hard links: what is edited in place in one stays there."""
    parent = VenvRunner("parent", tmp_path)
    install(parent, make_wheel(tmp_path, "demo"))
    fork = parent.fork("fork", tmp_path, standalone=True)
    assert "demo" in fork.installed()
    cloned = {os.fsdecode(new) for _old, new in clones}
    assert [path for path in cloned if "demo" in path]
    for old, new in clones:
        assert not os.path.samefile(old, new)
        assert os.stat(old).st_mtime_ns == os.stat(new).st_mtime_ns
    files = [path for path in Path(fork.venv_dir, "lib").rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in files if "demo" in path.name]
    assert {path.stat().st_nlink for path in files} == {1}


@pytest.mark.parametrize("refusal", [errno.ENOTSUP, errno.EXDEV, errno.EPERM], ids=errno.errorcode.get)
def test_a_volume_that_cannot_clone_has_copies(
    clones: list[tuple[bytes, bytes]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refusal: int
) -> None:
    """HFS+ says ENOTSUP, another volume EXDEV; it is asked once. Large libraries are hard links there."""
    monkeypatch.setattr(Library, "refusal", refusal)
    (tmp_path / "old").write_text("x")
    (tmp_path / "large").write_bytes(bytes(copying.LARGE))
    copier = copying.Copier()
    for name in ("one", "two"):
        copier.copy(str(tmp_path / "old"), str(tmp_path / name))
        assert (tmp_path / name).read_text() == "x"
        assert not os.path.samefile(tmp_path / "old", tmp_path / name)
    copier.copy(str(tmp_path / "large"), str(tmp_path / "linked"))
    assert os.path.samefile(tmp_path / "large", tmp_path / "linked")
    assert copier._clone is None
    assert not clones


def test_a_clone_that_fails_otherwise_is_an_error(
    clones: list[tuple[bytes, bytes]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A full volume, or a file in the way; nothing is overwritten, and the error names both files."""
    (tmp_path / "old").write_text("x")
    (tmp_path / "there").write_text("precious")
    copier = copying.Copier()
    with pytest.raises(FileExistsError) as caught:
        copier.copy(str(tmp_path / "old"), str(tmp_path / "there"))
    assert (caught.value.filename, caught.value.filename2) == (str(tmp_path / "old"), str(tmp_path / "there"))
    assert (tmp_path / "there").read_text() == "precious"
    monkeypatch.setattr(Library, "refusal", errno.ENOSPC)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        copier.copy(str(tmp_path / "old"), str(tmp_path / "new"))
    assert sorted(os.listdir(tmp_path)) == ["old", "there"]
    assert copier._clone is copying._clonefile


def test_a_system_without_the_call_has_copies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As before macOS 10.12, and here."""
    monkeypatch.setattr(copying, "IS_MACOS", True)
    (tmp_path / "old").write_text("x")
    copying.Copier().copy(str(tmp_path / "old"), str(tmp_path / "new"))
    assert (tmp_path / "new").read_text() == "x"
    assert not os.path.samefile(tmp_path / "old", tmp_path / "new")


# Volumes that ignore case (APFS, HFS+) and the form of accents (both; HFS+ shows its own): stat(2).


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory on which `os.stat` finds a file by each spelling of its name that such a volume takes for the same."""
    real_stat = os.stat

    def folded(name: str) -> str:
        return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())

    def real(path: str) -> str:
        if not path.startswith(f"{tmp_path}/"):
            return path
        folder, name = os.path.split(path)
        folder = real(folder)
        names = os.listdir(folder) if os.path.isdir(folder) else []
        found = os.path.join(folder, next((one for one in names if folded(one) == folded(name)), name))
        return real(os.path.join(folder, os.readlink(found))) if os.path.islink(found) else found

    def stat(path: Any, *args: Any, **options: Any) -> os.stat_result:
        if not isinstance(path, str | os.PathLike) or options:
            return real_stat(path, *args, **options)
        with monkeypatch.context() as patch:
            patch.setattr(os, "stat", real_stat)
            path = real(os.path.abspath(path))
        return real_stat(path, *args)

    monkeypatch.setattr(os, "stat", stat)
    return tmp_path


def test_the_volume_ignores_case_and_the_form_of_accents(volume: Path) -> None:
    """What the tests below stand on."""
    (volume / "M\u00f6we" / "In").mkdir(parents=True)
    assert same(f"{volume}/M\u00f6we/In", f"{volume}/mO\u0308WE/iN")
    assert not same(f"{volume}/M\u00f6we/In", f"{volume}/Mowe/In")


def test_a_path_is_within_a_directory_in_any_spelling(volume: Path) -> None:
    """The rest of it keeps its own."""
    (volume / "M\u00f6we" / "In").mkdir(parents=True)
    assert within(f"{volume}/MO\u0308WE/In/Missing", f"{volume}/m\u00f6we") == "In/Missing"
    assert within(f"{volume}/Mowe/In", f"{volume}/m\u00f6we") is None


@pytest.mark.parametrize("name", ["v", "V", "VENV", "Venv-M\u00d6", "venv-mo\u0308"])
def test_a_fork_whose_path_is_a_respelled_prefix_of_its_parents_is_refused(name: str, volume: Path) -> None:
    """Opened in the parent's spelling, it would have pip remove the parent's files, of which it takes these for its own."""
    parent = VenvRunner("venv-m\u00f6we", volume, with_pip=False)
    before = contents(parent)
    with pytest.raises(InvalidPathError, match="begins with this path, so pip"):
        parent.fork(name, volume)
    assert contents(parent) == before
    assert os.listdir(volume) == ["venv-m\u00f6we"]


def test_a_fork_in_its_parent_is_refused_in_another_spelling(volume: Path) -> None:
    """Nothing is written into the parent."""
    parent = VenvRunner("parent", volume, with_pip=False)
    before = contents(parent)
    with pytest.raises(InvalidPathError, match="inside its parent"):
        parent.fork("fork", volume / "PARENT")
    assert contents(parent) == before


def test_where_case_counts_another_spelling_is_another_name(tmp_path: Path) -> None:
    """As here: the fork is made."""
    (tmp_path / "venv-a").mkdir()
    assert not begins_alike(f"{tmp_path}/venv-a", f"{tmp_path}/VENV")
    parent = VenvRunner("venv-b", tmp_path, with_pip=False)
    with parent.fork("VENV", tmp_path) as fork:
        assert os.path.basename(fork.venv_dir) == "VENV"
        fork.delete()


def test_forks_freeze_their_parent_in_any_spelling(volume: Path) -> None:
    """The fork has noted one, and is asked for another."""
    parent = VenvRunner("parent", volume, with_pip=False)
    fork = parent.fork("fork", volume)
    assert Ownership(fork.venv_dir).needs(f"{volume}/PARENT")
    assert Ownership(parent.venv_dir).is_in_place()


def test_a_copied_interpreter_is_known_by_a_respelled_absolute_link(volume: Path) -> None:
    """Then its version is that of the libraries that pyvenv.cfg leads to, and not of those beside the environment."""
    home = volume / "home" / "bin"
    for path in (home, volume / "home" / "lib" / "python3.99", volume / "venv" / "bin"):
        path.mkdir(parents=True)
    (volume / "home" / "lib" / "python3.99" / "os.py").touch()
    for path in (home / "python", volume / "venv" / "bin" / "copy"):
        path.touch(mode=0o755)
    (home / "copy").symlink_to("python")
    (volume / "venv" / "bin" / "python").symlink_to(volume / "VENV" / "bin" / "copy")
    (volume / "venv" / "pyvenv.cfg").write_text(f"home = {home}\n")
    assert _versions_of_interpreter(str(volume / "venv")) == {("python", "3.99")}


def test_a_project_is_within_its_lock_files_directory_in_any_spelling(volume: Path) -> None:
    """So it needs no hash; another directory does."""
    (volume / "Project" / "part").mkdir(parents=True)
    lock = volume / "Project" / "pylock.toml"
    text = 'lock-version = "1.0"\ncreated-by = "uv"\n[[packages]]\nname = "mine"\ndirectory = { path = "../PROJECT/Part" }\n'
    lock.write_text(text)
    read = read_lock(lock)
    (package,) = read.content.packages
    assert package.directory is not None
    assert _directory(read, package, package.directory) == f"{volume.as_uri()}/PROJECT/Part"
    (volume / "part").mkdir()
    lock.write_text(text.replace("../PROJECT/Part", "../Part"))
    read = read_lock(lock)
    (package,) = read.content.packages
    assert package.directory is not None
    with pytest.raises(LockFileError, match="outside the lock file's own directory"):
        _directory(read, package, package.directory)


def test_a_recording_has_a_placeholder_for_both_forms_of_accents(volume: Path) -> None:
    """A command on HFS+ prints the decomposed form of the path that it got."""
    (volume / "M\u00f6we").mkdir()
    places = Placeholders({"venv": f"{volume}/M\u00f6we"})
    assert places.neutral(f"{volume}/Mo\u0308we/bin {volume}/M\u00f6we/bin") == "{venv}/bin {venv}/bin"
    assert places.actual("{venv}/bin") == f"{volume}/M\u00f6we/bin"


def test_where_forms_differ_no_placeholder_names_another_directory(tmp_path: Path) -> None:
    """As here."""
    (tmp_path / "M\u00f6we").mkdir()
    other = f"{tmp_path}/Mo\u0308we/bin"
    assert Placeholders({"venv": f"{tmp_path}/M\u00f6we"}).neutral(other) == other


# The end of a session without /proc: libproc and audit tokens.


class Processes:
    """The calls of libproc, on Linux's own: the version of a process is the time of its start, and a pidfd takes the signal."""

    sent: list[tuple[int, int]]
    versions: dict[int, list[int]]
    """What is told of a process before the truth is."""

    def __init__(self, path: None) -> None:
        assert path is None

    @staticmethod
    def proc_listallpids(numbers: Any, size: int) -> int:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        if numbers is None:
            return len(pids)
        kept = pids[: size // ctypes.sizeof(ctypes.c_int)]
        numbers[: len(kept)] = kept
        return len(kept)

    @classmethod
    def proc_pidinfo(cls, pid: int, flavor: int, argument: ctypes.c_uint64, found: Any, size: int) -> int:
        assert (flavor, argument.value, size, len(found)) == (17, 0, 56, 56)
        if not alive(pid):
            return 0
        told = cls.versions.get(pid)
        found[32:36] = list((told.pop(0) if told else started(pid)).to_bytes(4, "little"))
        return size

    @classmethod
    def proc_signal_with_audittoken(cls, token: Any, signum: int) -> int:
        pid, version = token[5], token[7]
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return errno.ESRCH
        try:
            if not alive(pid) or version != started(pid):
                return errno.ESRCH
            cls.sent.append((pid, signum))
            signal.pidfd_send_signal(descriptor, signum)
        finally:
            os.close(descriptor)
        return 0


def started(pid: int) -> int:
    """Return the time of the start of a process, in ticks."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int]]]:
    """Take /proc away and put libproc in its place; return the signals that are sent by audit tokens."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(Processes, "sent", sent, raising=False)
    monkeypatch.setattr(Processes, "versions", {}, raising=False)
    monkeypatch.setattr(ctypes, "CDLL", Processes)
    monkeypatch.setattr(procfs, "is_ours", lambda: False)
    monkeypatch.setattr(session, "_IS_MACOS", True)
    libproc._library.cache_clear()
    yield sent
    libproc._library.cache_clear()


ESCAPING = """
import subprocess, sys
script = "trap '%s' TERM; echo $$; while :; do sleep 0.05; done" % sys.argv[1]
subprocess.Popen(["sh", "-c", script], process_group=0).wait()
"""
"""Source of a child that has a child in a process group of its own, which says who it is."""


class SeenError(Exception):
    """What a callback raises when it knows the process that must be ended."""


@pytest.mark.parametrize("way", ["polite", "hard"])
def test_a_process_group_of_its_own_does_not_escape(
    drive: Caller, processes: list[tuple[int, int]], tmp_path: Path, way: str
) -> None:
    """It is ended with the session, within its grace, by signals to processes of that session alone."""
    pids: list[int] = []

    def take(line: str) -> None:
        pids.append(int(line))
        raise SeenError

    cleanup = f"touch {tmp_path}/cleaned; exit" if way == "polite" else ""
    with pytest.raises(SeenError):
        drive([sys.executable, "-c", ESCAPING, cleanup], None, take, grace=60 if way == "polite" else 0.1)
    assert not alive(pids[0])
    assert (tmp_path / "cleaned").exists() == (way == "polite")
    assert (pids[0], signal.SIGTERM) in processes
    assert ((pids[0], signal.SIGKILL) in processes) == (way == "hard")


def test_without_the_call_it_does(drive: Caller, processes: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """On an older macOS, the process group is all that can be ended: a number alone is no proof."""
    monkeypatch.delattr(Processes, "proc_signal_with_audittoken")
    pids: list[int] = []

    def take(line: str) -> None:
        pids.append(int(line))
        raise SeenError

    try:
        with pytest.raises(SeenError):
            drive([sys.executable, "-c", ESCAPING, ""], None, take, grace=0.1)
        assert alive(pids[0])
        assert not processes
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(map(alive, pids)), "it ends")


def test_before_python_3_13_it_does(drive: Caller, processes: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no waitid on macOS then, so the number of a child that has ended is not held."""
    for module in (child, session):
        monkeypatch.setattr(module, "os", Without("waitid"))
    assert type(session._without_proc(os.getpid())) is session.ProcessGroup
    assert drive(["sh", "-c", "echo done; exit 3"], check=False).returncode == 3
    assert not processes


def test_a_daemon_of_a_command_that_succeeds_keeps_running(drive: Caller, processes: list[tuple[int, int]]) -> None:
    """The normal end asks for no session and signals nothing."""
    result = drive(["sh", "-c", "sleep 60 >&- 2>&- & echo $!"])
    pid = int(result.stdout.split()[0])
    try:
        assert alive(pid)
        assert not processes
    finally:
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not alive(pid), "it ends")


@pytest.mark.parametrize("is_leader", [True, False], ids=["leader", "none"])
def test_a_leader_that_exits_at_once_is_still_the_leader(
    processes: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch, is_leader: bool
) -> None:
    """As a zombie it has no group and no session on macOS; what it has started is ended, and if it led nothing, nothing is."""

    class Zombies(Without):
        def getpgid(self, pid: int) -> int:
            raise ProcessLookupError(errno.ESRCH, f"no process {pid}")

    command = ["sh", "-c", "sleep 60 >&- 2>&- & echo $!"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=is_leader) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        wait_until(lambda: not alive(process.pid), "the leader ends")
        with monkeypatch.context() as patch:
            patch.setattr(session, "os", Zombies())
            group = session.group_of(process)
        assert type(group) is libproc.MacSession
        group.send(signal.SIGKILL)
        wait_until(group.ended, "its session is empty")
        if not is_leader:
            assert alive(pid)
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not alive(pid), "it ends")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that leads a session of its own."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        yield process
        process.kill()


def test_the_members_of_a_session_are_listed(processes: list[tuple[int, int]], sleeper: subprocess.Popen[bytes]) -> None:
    """Those that are more than zombies; other sessions' are not among them."""
    assert libproc.members(sleeper.pid) == [sleeper.pid]
    sleeper.kill()
    wait_until(lambda: not alive(sleeper.pid), "it ends")
    assert libproc.members(sleeper.pid) == []
    assert os.getpid() in (libproc.members(os.getsid(0)) or ())


def test_a_list_that_cannot_be_had_is_not_empty(
    processes: list[tuple[int, int]], sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session counts as living then: unknown is not zero."""
    monkeypatch.setattr(Processes, "proc_listallpids", staticmethod(lambda _numbers, _size: -1))
    assert libproc.members(sleeper.pid) is None
    assert not libproc.MacSession(sleeper.pid, session.ProcessGroup(sleeper.pid).send).ended()


def test_a_list_that_grows_meanwhile_is_read_again(
    processes: list[tuple[int, int]], sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes out cut off may lack a member."""
    listed, sizes = Processes.proc_listallpids, list[int]()

    def few(numbers: Any, size: int) -> int:
        sizes.append(size)
        return listed(numbers, size) if numbers is not None else 1

    monkeypatch.setattr(libproc, "_SPARE", 1)
    monkeypatch.setattr(Processes, "proc_listallpids", staticmethod(few))
    assert libproc.members(sleeper.pid) == [sleeper.pid]
    assert sizes[:2] == [0, 3 * ctypes.sizeof(ctypes.c_int)]
    assert sorted(set(sizes)) == sizes


def test_a_process_of_another_session_gets_no_signal(
    processes: list[tuple[int, int]], sleeper: subprocess.Popen[bytes]
) -> None:
    """Not even of the same user."""
    assert not libproc.send(sleeper.pid, os.getsid(0), signal.SIGKILL)
    assert not processes
    assert libproc.send(sleeper.pid, sleeper.pid, signal.SIGKILL)
    assert sleeper.wait() == -signal.SIGKILL


def test_a_number_that_became_another_process_gets_no_signal(
    processes: list[tuple[int, int]], sleeper: subprocess.Popen[bytes]
) -> None:
    """At any moment: the kernel compares the version that was read before the session."""
    Processes.versions[sleeper.pid] = [started(sleeper.pid) - 1] * 100
    assert not libproc.send(sleeper.pid, sleeper.pid, signal.SIGKILL)
    assert not processes
    assert alive(sleeper.pid)


def test_a_process_that_executes_another_program_gets_its_signal(
    processes: list[tuple[int, int]], sleeper: subprocess.Popen[bytes]
) -> None:
    """It has a new version by the time that the signal is sent, so it is asked again."""
    Processes.versions[sleeper.pid] = [started(sleeper.pid) - 1] * 2
    assert libproc.send(sleeper.pid, sleeper.pid, signal.SIGTERM)
    assert processes == [(sleeper.pid, signal.SIGTERM)]
    assert sleeper.wait() == -signal.SIGTERM


def test_a_fork_of_the_owner_signals_nothing(
    processes: list[tuple[int, int]], sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session is its parent's."""
    group = libproc.MacSession(sleeper.pid, session.ProcessGroup(sleeper.pid).send)
    monkeypatch.setattr(group, "_owner", os.getpid() + 1)
    group.send(signal.SIGKILL)
    assert group.ended()
    assert alive(sleeper.pid)
    assert not processes
