"""What is different on Windows, by its rules: a lock of bytes, no removal of open files, suffixes, job objects."""

import contextlib
import errno
import gc
import ntpath
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from venvrunner import VenvInUseError, VenvRunner
from venvrunner._create import cache
from venvrunner._process import native, process_tree, session, spawn, windows_programs
from venvrunner._process.checks import environment_of
from venvrunner._process.command import Command
from venvrunner._process.job_object import Job, resume
from venvrunner._venv import change, copying, file_locks, launchers, layout, open_directory, sharing_violations, state, users
from venvrunner._venv.file_locks import LockFile
from venvrunner._venv.open_directory import Spot
from venvrunner._venv.removal import remove_tree
from venvrunner.environment import current_environment, get_clean_environment, venv_environment
from venvrunner.exceptions import ContainmentError

SHARING_VIOLATION, ACCESS_DENIED = 32, 5
pytestmark = pytest.mark.skipif(os.name == "nt", reason="the program tests/platforms/windows.py tests the real thing")


def refusal(winerror: int, path: object) -> PermissionError:
    """Return an error as Windows has it."""
    error = PermissionError(errno.EACCES, "The process cannot access the file", str(path))
    vars(error)["winerror"] = winerror
    return error


class Msvcrt:
    """The calls of ``msvcrt`` that lock: a byte where a descriptor stands, for that descriptor."""

    LK_NBLCK, LK_UNLCK = 2, 0

    def __init__(self) -> None:
        self.locked: dict[tuple[int, int, int], int] = {}

    def locking(self, fd: int, mode: int, count: int) -> None:
        assert count == 1
        status = os.fstat(fd)
        byte = status.st_dev, status.st_ino, os.lseek(fd, 0, os.SEEK_CUR)
        if mode == self.LK_UNLCK:
            if self.locked.get(byte) != fd:
                raise OSError(errno.EACCES, "not locked here")
            del self.locked[byte]
        elif self.locked.setdefault(byte, fd) != fd:
            raise OSError(errno.EACCES, "locked")

    def closed(self, fd: int) -> None:
        self.locked = {byte: owner for byte, owner in self.locked.items() if owner != fd}


@pytest.fixture
def msvcrt(monkeypatch: pytest.MonkeyPatch) -> Msvcrt:
    """Lock as Windows does."""
    gc.collect()  # what earlier tests have left closes its files in the way of this system
    fake, close = Msvcrt(), os.close

    def closing(fd: int) -> None:
        fake.closed(fd)
        close(fd)

    monkeypatch.setattr(os, "close", closing)
    monkeypatch.setattr(file_locks, "_flock", None)
    monkeypatch.setattr(file_locks, "_locking", fake)
    for module in (file_locks, change, users):
        monkeypatch.setattr(module, "CLOSE_FIRST", True)
    monkeypatch.setattr(users, "CHILDREN_INHERIT", False)
    monkeypatch.setattr(users, "_latest", users._Presence())  # the files of this test only
    return fake


@pytest.fixture
def open_files_stay(msvcrt: Msvcrt, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Refuse to remove or replace what this process has open, or what is read-only, as Windows does."""

    def check(path: Any) -> None:
        status = os.lstat(path)
        if status.st_mode & 0o222 == 0:
            raise refusal(ACCESS_DENIED, path)
        for fd in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                if os.path.samestat(os.stat(f"/proc/self/fd/{fd}"), status):
                    raise refusal(SHARING_VIOLATION, path) from None

    def unlinking(path: Any, *, dir_fd: int | None = None, unlink: Any = os.unlink) -> None:
        assert dir_fd is None, "no directory has a descriptor on Windows"
        check(path)
        unlink(path)

    def replacing(old: Any, new: Any, *, replace: Any = os.replace, **_options: object) -> None:
        check(old)
        if os.path.lexists(new):
            check(new)
        replace(old, new)

    monkeypatch.setattr(os, "unlink", unlinking)
    monkeypatch.setattr(os, "replace", replacing)
    monkeypatch.setattr(open_directory, "_BY_DESCRIPTOR", False)
    monkeypatch.setattr(sharing_violations, "_TIMEOUT", 0.0)
    yield
    gc.collect()  # what is dropped later is dropped on the real system
    assert not msvcrt.locked


def test_scripts_are_not_on_a_network_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """The path that sysconfig makes is joined by the rules of Windows there, where two backslashes begin a share."""
    monkeypatch.setattr(os, "path", ntpath)
    layout._script_directory.cache_clear()
    try:
        assert layout.WINDOWS.scripts(r"C:\v") == r"C:\v\Scripts"
    finally:
        layout._script_directory.cache_clear()


def test_a_lock_is_one_byte_wherever_the_file_was_written(msvcrt: Msvcrt, tmp_path: Path) -> None:
    """The name at the start stays readable for the others, and the same byte is unlocked."""
    spot = Spot.at(str(tmp_path / "lock"))
    first, second = LockFile(), LockFile()
    number = first.open(spot)
    assert first.try_lock()
    assert [byte for _device, _inode, byte in msvcrt.locked] == [file_locks._FAR]
    os.lseek(number, 0, os.SEEK_SET)
    os.write(number, b"process 1")
    other = second.open(spot)
    assert not second.try_lock()
    assert os.fstat(other).st_size < file_locks._FAR
    os.lseek(other, 0, os.SEEK_SET)
    assert os.read(other, 100) == b"process 1"
    first.unlock()
    assert not msvcrt.locked
    assert second.try_lock()
    first.close()
    second.close()
    assert not msvcrt.locked


def test_a_lock_that_wine_refuses_is_refused(msvcrt: Msvcrt, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its error has no number; any other error is raised."""
    file = LockFile()
    file.open(Spot.at(str(tmp_path / "lock")))
    for number, outcome in ((0, False), (errno.EACCES, False), (errno.EIO, OSError)):

        def refuse(*_args: object, number: int = number) -> None:
            raise OSError(number, "Error")

        monkeypatch.setattr(msvcrt, "locking", refuse)
        if outcome is False:
            assert not file.try_lock()
        else:
            with pytest.raises(OSError, match="Error"):
                file.try_lock()
    file.close()


@pytest.mark.usefixtures("open_files_stay")
def test_an_environment_lives_and_ends_where_open_files_stay(tmp_path: Path) -> None:
    """Created, run, reused, forked, created again while another runner of this thread lives, and deleted."""
    venv = VenvRunner("venv", tmp_path, with_pip=False)
    assert venv.log_run(["python", "-c", "print(1)"]).stdout == "1\n"
    again = VenvRunner("venv", tmp_path, with_pip=False, exist="reuse")
    fork = venv.fork("fork", tmp_path)
    with pytest.raises(VenvInUseError):
        venv.delete()
    fork.delete()
    copied = venv.fork("fork", tmp_path, standalone=True)
    copied.delete()
    new = VenvRunner("venv", tmp_path, with_pip=False)
    read_only = tmp_path / "venv" / "folder" / "file"
    read_only.parent.mkdir()
    read_only.touch(0o444)
    new.delete()
    assert os.listdir(tmp_path) == []
    del venv, again, fork, copied, new


@pytest.mark.usefixtures("open_files_stay")
def test_a_temporary_environment_is_gone_where_open_files_stay() -> None:
    """Its directory too, also after an exception."""
    for failure in (None, RuntimeError("inside")):
        with contextlib.suppress(RuntimeError), VenvRunner.temporary(with_pip=False) as venv:
            if failure is not None:
                raise failure
        assert not os.path.exists(os.path.dirname(venv.venv_dir))


@pytest.mark.usefixtures("open_files_stay")
def test_a_user_is_seen_where_open_files_stay() -> None:
    """A file that is locked is a user's, one that is not is a leftover and is removed."""
    with VenvRunner.temporary(with_pip=False) as venv:
        state = Path(venv.venv_dir) / ".venvrunner"
        leftover, used = state / "user-1", state / "user-2"
        leftover.touch()
        file = LockFile()
        file.open(Spot.at(str(used)))
        assert file.try_lock()
        assert users._holder_of(Spot.at(str(leftover))) is None
        assert not leftover.exists()
        assert users._holder_of(Spot.at(str(used))) == "another process"
        file.remove(Spot.at(str(used)))
        assert not used.exists()


def test_the_cache_is_used_where_modes_say_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On Windows a directory has all bits, whoever may write into it."""
    monkeypatch.delattr(os, "geteuid")
    monkeypatch.setenv("VENVRUNNER_CACHE_DIR", str(tmp_path))
    tmp_path.chmod(0o777)
    (tmp_path / "file").touch()
    assert cache.directory() == str(tmp_path)


def test_a_refusal_of_windows_is_tried_again_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader of the file ends, and the call succeeds; one that never does is raised in the end; other errors at once."""
    calls: list[int] = []

    def refused(times: int, winerror: int = SHARING_VIOLATION) -> str:
        calls.append(1)
        if len(calls) <= times:
            raise refusal(winerror, "file")
        return "done"

    assert sharing_violations.insist(refused, 3) == "done"
    assert len(calls) == 4
    monkeypatch.setattr(sharing_violations, "_TIMEOUT", 0.0)
    calls.clear()
    with pytest.raises(PermissionError):
        sharing_violations.insist(refused, 1000, ACCESS_DENIED)
    assert len(calls) > 1
    calls.clear()
    with pytest.raises(PermissionError):
        sharing_violations.insist(refused, 1000, 112)
    assert len(calls) == 1


def test_a_file_is_replaced_although_it_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another process that reads the state of an environment does not fail who writes it."""
    refusals, replace = [1, 1], os.replace

    def replacing(*args: Any, **options: Any) -> None:
        if refusals:
            refusals.pop()
            raise refusal(ACCESS_DENIED, args[1])
        replace(*args, **options)

    monkeypatch.setattr(os, "replace", replacing)
    spot = Spot.at(str(tmp_path / "state"))
    state.replace_file(spot, spot, "text")
    assert (tmp_path / "state").read_text() == "text"
    assert not refusals
    assert os.listdir(tmp_path) == ["state"]


def test_a_directory_is_opened_where_it_has_no_descriptor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same is refused: what does not exist, a file, and a link that is not to be followed."""
    monkeypatch.setattr(open_directory, "_BY_DESCRIPTOR", False)
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").touch()
    assert open_directory.Directory(str(tmp_path / "link"), follow=True).names()
    for name, error in (("link", NotADirectoryError), ("file", NotADirectoryError), ("missing", FileNotFoundError)):
        with pytest.raises(error):
            open_directory.Directory(str(tmp_path / name))
    inside = tmp_path / "tree" / "inside"
    inside.mkdir(parents=True)
    (inside / "link").symlink_to(tmp_path)
    (inside / "file").touch(0o444)
    remove_tree(str(tmp_path / "tree"))
    assert sorted(os.listdir(tmp_path)) == ["file", "link"]


class System:
    """The functions of Windows that job objects need, for one process and what it starts."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.processes = 0
        self.calls: list[str] = []
        self.flags = 0

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any) -> int:
            self.calls.append(name)
            if name in self.refused:
                return 0
            if name == "SetInformationJobObject":
                self.flags = args[2]._obj.flags
            elif name == "AssignProcessToJobObject":
                self.processes += 1
            elif name == "TerminateJobObject":
                self.processes = 0
            elif name == "QueryInformationJobObject":
                args[2]._obj.active = self.processes
            elif name == "NtResumeProcess":
                return 0
            return 7

        return call


class Process:
    """What Popen returns on Windows."""

    pid, _handle = 4711, 12

    def __init__(self) -> None:
        self.is_killed = False

    def kill(self) -> None:
        self.is_killed = True

    def wait(self) -> None:
        assert self.is_killed


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    """Run on what job objects need."""
    system = System()
    monkeypatch.setattr(process_tree, "Job", lambda *, contain: Job(contain=contain, system=system))
    monkeypatch.setattr(process_tree, "resume", lambda handle: resume(handle, system))
    monkeypatch.setattr(spawn, "HAS_JOBS", True)
    return system


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note to which group CTRL_BREAK is sent."""
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, _signal: sent.append(pid))
    return sent


def test_a_child_is_in_a_job_before_it_begins(system: System, breaks: list[int]) -> None:
    """So nothing that it starts is outside; CTRL_BREAK is the polite end, and the job's end the other."""
    group = process_tree.tree_of(Process(), grace=None)
    assert system.calls == ["CreateJobObjectW", "SetInformationJobObject", "AssignProcessToJobObject", "NtResumeProcess"]
    assert system.flags == 0x800
    assert not group.ended()
    group.send(15)
    assert breaks == [4711]
    assert not group.ended()
    group.send(session.KILL)
    assert group.ended()
    group.close()
    group.close()
    assert system.calls.count("CloseHandle") == 1


def test_what_a_child_leaves_goes_on_unless_it_is_contained(system: System, breaks: list[int]) -> None:
    """Contained, it gets CTRL_BREAK once, and is ended when the grace is over; the death of this process ends it too."""
    assert not process_tree.tree_of(Process(), grace=None).lingers()
    assert system.processes == 1
    group = process_tree.tree_of(Process(), grace=0.0)
    assert system.flags == 0x2000
    assert group.lingers()
    assert breaks == [4711]
    assert group.lingers()
    assert system.processes == 0
    assert not group.lingers()
    assert breaks == [4711]
    group.close()


def test_without_a_console_a_tree_is_ended_at_once(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be sent to it, so there is nothing to wait for."""

    def refuse(*_args: object) -> None:
        raise refusal(6, "")

    monkeypatch.setattr(os, "kill", refuse)
    group = process_tree.tree_of(Process(), grace=None)
    group.send(15)
    assert group.ended()
    group.close()


@pytest.mark.parametrize("call", ["CreateJobObjectW", "SetInformationJobObject", "AssignProcessToJobObject"])
def test_without_job_objects_a_child_is_alone_or_refused(call: str, system: System) -> None:
    """It begins, and only itself can be ended; one that is to be contained does not begin."""
    system.refused = (call,)
    process = Process()
    group = spawn._tree_of(process, Command(["tool"], {}))
    assert isinstance(group, session.SingleProcess)
    assert "NtResumeProcess" in system.calls
    with pytest.raises(ContainmentError, match="job object"):
        spawn._tree_of(process, Command(["tool"], {"contain": True}))
    assert process.is_killed
    gc.collect()
    assert system.calls.count("CreateJobObjectW") == 2


ARCHIVE = b"PK\x03\x04 the rest of an archive"


@pytest.mark.parametrize("folder", [r"C:\v\Scripts", r"C:\a b\Scripts"])
@pytest.mark.parametrize("line", ['#!"{}\\python.exe"\n', '#!"{}\\python.exe" -I\r\n'])
def test_a_launcher_of_pip_gets_another_interpreter(folder: str, line: str) -> None:
    """The path in its last line changes, and nothing else; a line in the program before it is not meant."""
    program = b"MZ program #!C:\\other\\python.exe\n more"
    found = launchers.read(program + line.format(folder).encode() + ARCHIVE)
    assert found is not None
    assert (found[0], found[1].python) == (folder, "python.exe")
    text = found[1].text(r"D:\new place")
    options = b" -I" if "-I" in line else b""
    assert text == program + b'#!"D:\\new place\\python.exe"' + options + b"\n" + ARCHIVE
    plain = launchers.parse(text, r"D:\new place")
    assert plain is not None
    assert plain.text(r"D:\plain").startswith(program + b"#!D:\\plain\\python.exe" + options + b"\n")
    assert launchers.parse(text, r"D:\elsewhere") is None


def program_of_uv(path: bytes, name: str = "UV_PYTHON_PATH") -> bytes:
    """Return a program of the PE format with one resource."""
    base, raw, is_offset = 0x5000, 0x200, 1 << 31
    title = struct.pack("<H", len(name)) + name.encode("utf-16-le")
    table = "<12x2H2I"
    resources = struct.pack(table, 0, 1, 10, 24 | is_offset)
    resources += struct.pack(table, 1, 0, 96 | is_offset, 48 | is_offset)
    resources += struct.pack(table, 0, 1, 0, 72)
    resources += struct.pack("<4I", base + 160, len(path), 0, 0).ljust(24, b"\0") + title
    resources = resources.ljust(160, b"\0") + path + ARCHIVE
    optional = struct.pack("<H", 0x20B).ljust(112, b"\0") + struct.pack("<6I", 0, 0, 0, 0, base, len(resources))
    coff = struct.pack("<4s2H12x2H", b"PE\0\0", 0x8664, 1, len(optional), 0)
    section = b".rsrc".ljust(8, b"\0") + struct.pack("<4I", len(resources), base, len(resources), raw).ljust(32, b"\0")
    header = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40)
    return (header + coff + optional + section).ljust(raw, b"\0") + resources


def test_a_launcher_of_uv_gets_another_interpreter() -> None:
    """The path among its resources becomes one relative to the program, in its place; nothing else moves."""
    path = b"C:\\v\\Scripts\\python.exe"
    program = program_of_uv(path)
    found = launchers.parse(program, r"C:\v\Scripts")
    assert found is not None
    assert found.python == "python.exe"
    text = found.text(r"D:\new")
    assert len(text) == len(program)
    assert text.endswith(b"python.exe".ljust(len(path), b"\0") + ARCHIVE)
    again = launchers.read(text)
    assert again is not None
    assert (again[0], again[1].python) == (None, "python.exe")


@pytest.mark.parametrize(
    "data",
    [b"MZ", b"MZ" + 100 * b"\0", program_of_uv(b"C:\\python.exe", "OTHER"), program_of_uv(b"\xff\xfe"), b"ELF", b"", ARCHIVE],
    ids=["short", "zeros", "other", "bytes", "elf", "empty", "archive"],
)
def test_another_program_is_not_a_launcher(data: bytes) -> None:
    """Neither is one that is cut off anywhere."""
    assert launchers.read(data) is None
    program = program_of_uv(b"C:\\v\\Scripts\\python.exe")
    for length in range(len(program) - len(ARCHIVE)):
        assert launchers.read(program[:length]) is None


def test_a_fork_does_without_links_where_they_are_not_allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By default, Windows allows them to administrators only: a hard link or a copy serves as well."""
    calls: list[str] = []

    def refuse(*_args: object) -> None:
        calls.append("symlink")
        error = OSError(errno.EINVAL, "A required privilege is not held by the client")
        vars(error)["winerror"] = 1314
        raise error

    monkeypatch.setattr(os, "symlink", refuse)
    (tmp_path / "old").write_text("text")
    share = copying.Linker().copy
    for name in ("one", "two"):
        share(str(tmp_path / "old"), str(tmp_path / name))
        assert (tmp_path / name).read_text() == "text"
    assert calls == ["symlink"]


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge names and lines by the rules of Windows."""
    monkeypatch.setattr(native.sys, "platform", "win32")  # type: ignore[attr-defined]  # the module has it, and does not offer it
    monkeypatch.setattr(os, "pathsep", ";")


@pytest.mark.usefixtures("windows")
def test_variables_have_no_case_on_windows() -> None:
    """There is one PATH, however it is spelled, and what breaks isolation is removed in any spelling."""
    ambient = {"PATH": r"C:\Windows", "PYTHONPATH": "x", "SYSTEMROOT": r"C:\Windows"}
    env = venv_environment(r"C:\v", r"C:\v\Scripts", {"Path": r"C:\mine", "PythonPath": "x", "Home": "h"}, ambient)
    assert env["PATH"] == r"C:\v\Scripts;C:\mine"
    assert {name for name in env if name.upper() in {"PATH", "PYTHONPATH", "HOME"}} == {"PATH", "HOME"}
    assert get_clean_environment({"pythonHome": "x", "Pip_Target": "y", "a": "b"}) == {"a": "b"}
    assert environment_of({"Path": "a", "b": "1"}, {"PATH": "c", "B": None}) == {"PATH": "c"}


@pytest.mark.usefixtures("windows")
def test_the_current_directory_is_never_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's default path of Windows begins with it; where the directory of Windows is, its variable says."""
    monkeypatch.setenv("SYSTEMROOT", r"D:\Win")
    assert current_environment(r"C:\v", {})["PATH"] == r"C:\v;D:\Win\System32;D:\Win"


@pytest.mark.usefixtures("windows")
def test_line_ends_of_windows_are_not_in_the_result() -> None:
    """As for Popen with text=True; other carriage returns stay."""
    assert native.native_text("a\r\nb\rc\n") == "a\nb\rc\n"


def test_line_ends_are_exact_elsewhere() -> None:
    """The result is what the command has written."""
    assert native.native_text("a\r\nb\n") == "a\r\nb\n"


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("tool", r"C:\a\tool.exe"),
        ("other", r"C:\b\other.BAT"),
        ("plain", None),
        ("here", None),
        ("tool.exe", r"C:\a\tool.exe"),
        (r"C:\b\other", r"C:\b\other.bat"),
        (r"C:\b\plain", r"C:\b\plain"),
    ],
)
def test_a_program_is_found_in_the_path_of_its_own_variables(command: str, found: str | None) -> None:
    """By its suffix, neither in the current directory nor in one that is not absolute."""
    files = {r"C:\a\tool.exe", r"C:\b\tool.bat", r"C:\b\other.bat", r"C:\b\plain", "here.exe", r".\here.exe", r"bin\here.exe"}
    path = r';.;bin;"C:\a";C:\b'

    def is_file(name: str) -> bool:
        return name.lower() in {file.lower() for file in files}

    if found is None:
        with pytest.raises(FileNotFoundError):
            windows_programs.find(command, path, is_file)
    else:
        assert windows_programs.find(command, path, is_file).lower() == found.lower()


def test_a_batch_file_is_run_by_the_systems_own_shell() -> None:
    """Whatever COMSPEC says; a program is run as it is."""
    root = r"C:\Windows"
    line, shell = windows_programs.prepared(["tool", "a b"], None, r"C:\v", root, lambda name: name.endswith("tool.cmd"))
    assert shell == r"C:\Windows\System32\cmd.exe"
    assert line == r'cmd.exe /e:ON /v:OFF /d /c ""C:\v\tool.cmd" "a b""'
    argv = ["tool", "a b"]
    assert windows_programs.prepared(argv, None, r"C:\v", root, lambda name: name.endswith("tool.exe")) == (
        argv,
        r"C:\v\tool.exe",
    )
    assert windows_programs.prepared(argv, r"C:\x.exe", "", root) == (argv, r"C:\x.exe")


@pytest.mark.parametrize("argument", ["&", "|", "<", ">", "^", "(", ")", "!", " ", ",", ";", "=", "", "é", "a&b"])
def test_what_a_shell_would_read_is_in_quotes(argument: str) -> None:
    """cmd.exe takes nothing in quotes for its own but a quote and a percent sign."""
    assert windows_programs.batch_line("t.bat", [argument]) == f'cmd.exe /e:ON /v:OFF /d /c ""t.bat" "{argument}""'


def test_a_backslash_does_not_hide_the_quote_after_it() -> None:
    """The last ones are doubled, as programs read them."""
    assert windows_programs.batch_line("t.bat", ["a b" + 2 * chr(92)]).endswith(' "a b' + 4 * chr(92) + '""')


@pytest.mark.parametrize("argument", ['"', "%", "\r", "\n", "a%PATH%b"])
def test_what_no_quotes_protect_is_refused(argument: str) -> None:
    """In an argument and in the path of the batch file."""
    with pytest.raises(ValueError, match=r"args\[2\] contains"):
        windows_programs.batch_line("t.bat", ["x", argument])
    with pytest.raises(ValueError, match=r"args\[0\] contains"):
        windows_programs.batch_line(argument + "t.bat", [])


@pytest.mark.parametrize("name", ["a.bat", "a.BAT", "a.cmd", "a.bat.", "a.bat ", "a.cmd. ."])
def test_a_batch_file_is_known_by_its_name(name: str) -> None:
    """Windows leaves out blanks and dots at the end."""
    assert windows_programs.is_batch(name)
    assert not windows_programs.is_batch(name.rstrip(". ") + ".exe")
