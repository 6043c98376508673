"""`python -m venvrunner doctor`: each thing that can be wrong with a machine, made wrong."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.command_line import run
from helpers.files import listing
from helpers.programs import SOURCE
from helpers.system import IS_ROOT, LINUX
from helpers.waiting import DEADLINE
from venvrunner._cli import doctor_command, machine_checks
from venvrunner._venv import file_locks

UNSHARE = ["unshare", "--map-root-user", "--mount"]
FLOCK = {"x86_64": 73, "aarch64": 32}
"""The number of the call flock(2) on each machine."""
REFUSE = """
import ctypes, errno, os, struct, sys
# A filter of seccomp(2): the kernel answers to flock(2) that there are no locks, in this process and its children.
number, error = int(sys.argv[1]), errno.ENOLCK
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | error), (0x06, 0, 0, 0x7FFF0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps), 8 * len(steps))
libc = ctypes.CDLL(None, use_errno=True)
filters = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(program))
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, filters) == 0  # PR_SET_SECCOMP
os.execv(sys.executable, [sys.executable, "-m", "venvrunner", "doctor", "--json"])
"""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="what is made wrong here, only POSIX has")


def may_mount() -> bool:
    """Return whether this user may have mounts of their own."""
    if not LINUX or shutil.which("unshare") is None:
        return False
    return subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False).returncode == 0


needs_mounts = pytest.mark.skipif(not may_mount(), reason="this user may not mount anything, not even in a namespace")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A healthy machine: a home, and a directory for temporary files."""
    base = Path(tempfile.mkdtemp(prefix="d", dir="/tmp"))  # pytest's own path may be too long
    for name in ("home", "tmp"):
        (base / name).mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(base / "home"))
    monkeypatch.setenv("TMPDIR", str(base / "tmp"))
    for name in ("VENVRUNNER_CACHE_DIR", "VENVRUNNER_STORE_DIR", "VENVRUNNER_STORE_MAX_SIZE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield base
    shutil.rmtree(base)


def problems(done: "subprocess.CompletedProcess[bytes]") -> dict[str, str]:
    """Return what is wrong, with its remedy, by the name of the check."""
    report = json.loads(done.stdout)
    wrong: dict[str, str] = {}
    for one in report["checks"]:
        if not one["ok"]:
            wrong[one["check"]] = f"{wrong.get(one['check'], '')}{one['message']} {one['remedy']}\n"
    assert all(one["remedy"] for one in report["checks"] if not one["ok"])
    assert (done.returncode, report["ok"]) == ((1, False) if wrong else (0, True))
    return wrong


def in_shell(command: str, base: Path, *, unshared: bool = False) -> dict[str, str]:
    """Return the problems after some shell commands; those that mount get a namespace that ends with them."""
    argv = ["sh", "-e", "-c", f'{command}; exec "$0" -m venvrunner doctor --json', sys.executable]
    env = {**os.environ, "PYTHONPATH": SOURCE, "BASE": str(base)}
    prefix = UNSHARE if unshared else []
    done = subprocess.run([*prefix, *argv], env=env, capture_output=True, check=False, timeout=5 * DEADLINE)
    assert done.stdout, done.stderr.decode()
    return problems(done)


def test_a_healthy_machine_has_no_problem_and_nothing_is_changed(machine: Path) -> None:
    """Not even a cache is left."""
    before = listing(machine / "home")
    done = run("doctor")
    assert (done.returncode, done.stderr) == (0, b"")
    assert [line.split(":")[0] for line in done.stdout.decode().splitlines()] == [
        f"ok       {name}" for name in machine_checks._CHECKS
    ]
    assert problems(run("doctor", "--json")) == {}
    assert listing(machine / "home") == before
    assert os.listdir(machine / "tmp") == []
    done = run("doctor", TMPDIR=str(machine / "gone"))
    assert done.returncode == 1
    assert f"PROBLEM  temporary directory: TMPDIR='{machine}/gone' is not used: it is not an existing" in done.stdout.decode()
    assert "\n         Set TMPDIR to a writable directory.\n" in done.stdout.decode()


@needs_mounts
def test_a_read_only_home_is_a_problem(machine: Path) -> None:
    """As in many containers; the cache is elsewhere then, and works."""
    wrong = in_shell('mount -t tmpfs -o ro none "$HOME"', machine, unshared=True)
    assert wrong.keys() == {"home"}
    assert f"the home directory '{machine}/home' is not writable" in wrong["home"]
    assert "VENVRUNNER_CACHE_DIR" in wrong["home"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VENVRUNNER_CACHE_DIR", str(machine / "cache"))
        assert in_shell('mount -t tmpfs -o ro none "$HOME"', machine, unshared=True) == {}


def test_a_missing_home_is_a_problem(machine: Path) -> None:
    """Or one that is a file."""
    (machine / "home").rmdir()
    (machine / "home").write_text("")
    (found,) = machine_checks._home()
    assert f"the home directory '{machine}/home' does not exist" in found[0]


def test_an_unknown_home_is_a_problem(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither HOME nor an entry for the user."""
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    (found,) = machine_checks._home()
    assert "the home directory is unknown" in found[0]


@needs_mounts
def test_a_directory_for_temporary_files_that_is_mounted_noexec_is_a_problem(machine: Path) -> None:
    """No command of an environment could be run there."""
    wrong = in_shell('mount -t tmpfs -o noexec none "$TMPDIR"', machine, unshared=True)
    assert f"'{machine}/tmp' is mounted noexec: no command in it can be run" in wrong["temporary directory"]


@needs_mounts
def test_a_full_disk_is_a_problem(machine: Path) -> None:
    """Bytes or files; or nothing at all can be written."""
    wrong = in_shell('mount -t tmpfs -o size=20M none "$TMPDIR"', machine, unshared=True)
    assert wrong.keys() == {"temporary directory"}
    assert f"'{machine}/tmp' has only 2" in wrong["temporary directory"]
    wrong = in_shell('mount -t tmpfs -o size=1G,nr_inodes=100 none "$TMPDIR"', machine, unshared=True)
    assert "has room for only " in wrong["temporary directory"]
    full = 'mount -t tmpfs -o size=4096,nr_inodes=4 none "$TMPDIR"; head -c 9999 /dev/zero > "$TMPDIR/all" || true'
    wrong = in_shell(full, machine, unshared=True)
    assert "is not used: no file can be written there, perhaps because it is full." in wrong["temporary directory"]


@pytest.mark.skipif(not LINUX, reason="the limit may end the process elsewhere")
def test_a_machine_without_a_place_for_temporary_files_is_a_problem(machine: Path) -> None:
    """Nothing can be created then, and that is said too."""
    wrong = in_shell("ulimit -f 0", machine)
    assert "there is no directory for temporary files" in wrong["temporary directory"]
    assert "environment" in wrong


@pytest.mark.skipif(IS_ROOT, reason="root may write anywhere")
def test_a_directory_without_the_right_to_write_is_a_problem(machine: Path, request: pytest.FixtureRequest) -> None:
    """The message says which one."""
    (machine / "tmp").chmod(0o500)
    request.addfinalizer(lambda: (machine / "tmp").chmod(0o700))
    assert "it is not writable" in problems(run("doctor", "--json"))["temporary directory"]


@pytest.mark.parametrize(("name", "what"), [("x" * 120, "is so long that scripts"), ('a"b', "no environment can be in")])
def test_a_long_or_unusable_path_is_a_problem(name: str, what: str, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts name their interpreter."""
    (machine / name).mkdir()
    monkeypatch.setenv("TMPDIR", str(machine / name))
    assert [what in message for message, _remedy in machine_checks._temporary()] == [True]


@pytest.mark.parametrize("name", ["cache", "store"])
def test_a_cache_or_store_that_is_not_used_is_a_problem(name: str, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each reason that makes the library go without."""
    path, target = machine / "mine", machine / "target"
    variable = f"VENVRUNNER_{name.upper()}_DIR"
    monkeypatch.setenv(variable, str(path))

    def reason() -> str:
        (found,) = machine_checks._CHECKS[name]()
        assert variable in found[1]
        return found[0]

    path.write_text("")
    assert f"'{path}' is not a directory" in reason()
    path.unlink()
    target.mkdir()
    path.symlink_to(target)
    assert "it is a link" in reason()
    path.unlink()
    path.mkdir()
    (path / "code.pack").write_text("")
    path.chmod(0o777)
    assert "other users can write to it" in reason()
    path.chmod(0o700)
    if name == "store":
        assert "is not a store that only this user can change" in reason()
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: 54321)
        assert "it belongs to another user" in reason()


def test_a_wrong_limit_of_the_store_is_a_problem(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would stop every preparation."""
    monkeypatch.setenv("VENVRUNNER_STORE_MAX_SIZE", "much")
    (found,) = machine_checks._store()
    assert "VENVRUNNER_STORE_MAX_SIZE: 'much' is not a size" in found[0]


@needs_mounts
def test_a_read_only_cache_is_a_problem(machine: Path) -> None:
    """The variable names a directory that others have filled, say."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VENVRUNNER_CACHE_DIR", str(machine / "mine"))
        wrong = in_shell('mkdir "$BASE/mine"; mount -t tmpfs -o ro none "$BASE/mine"', machine, unshared=True)
    assert f"the cache '{machine}/mine' is not used: '{machine}/mine' is not writable" in wrong["cache"]


@pytest.mark.skipif(not LINUX or os.uname().machine not in FLOCK, reason="the number of flock is not known")
def test_a_file_system_without_locks_is_a_problem(machine: Path) -> None:
    """As NFS without a lock daemon."""
    argv = [sys.executable, "-c", REFUSE, str(FLOCK[os.uname().machine])]
    env = {**os.environ, "PYTHONPATH": SOURCE}
    wrong = problems(subprocess.run(argv, env=env, capture_output=True, check=False, timeout=5 * DEADLINE))
    assert f"files in '{machine}/tmp' cannot be locked (No locks available)" in wrong["locks"]


def test_windows_always_has_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no flock to try."""
    monkeypatch.setattr(file_locks, "_flock", None)
    assert file_locks.why_not(0) is None


@pytest.mark.parametrize(("shift", "word"), [(100, "older"), (-100, "newer")])
def test_a_clock_that_differs_from_that_of_files_is_a_problem(
    shift: int, word: str, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file server with another time."""
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + shift)
    found = list(machine_checks._clock())
    assert found
    assert all(f"seconds {word} than the clock" in what for what, _remedy in found)


@pytest.mark.parametrize(("mask", "what"), [("0777", "keeps you from"), ("0", "lets every user change"), ("002", None)])
def test_a_wrong_umask_is_a_problem(mask: str, what: str | None, machine: Path) -> None:
    """It makes files that nobody can read, or that everybody can change."""
    wrong = in_shell(f"umask {mask}", machine)
    if what is None:
        assert wrong == {}
    else:
        assert what in wrong["umask"]


def test_a_python_without_its_libraries_is_a_problem(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was built on a machine without their headers."""
    for name in ("zlib", "ssl", "hashlib"):
        monkeypatch.setitem(sys.modules, name, None)
    found = dict(machine_checks._python())
    assert list(found) == [
        "this Python has no zlib: it was built without zlib",
        "this Python has no ssl and no hashlib: it was built without OpenSSL",
    ]


def test_a_virtualenv_without_pip_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Distributions take the wheels out of it."""
    monkeypatch.setattr("virtualenv.seed.wheels.embed.get_embed_wheel", lambda *_args: None)
    (found,) = machine_checks._pip()
    assert "virtualenv has no pip for Python 3." in found[0]


def test_a_uv_that_does_not_run_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or whose program is missing; without the package, there is no problem."""
    pytest.importorskip("uv")
    broken = tmp_path / "uv"
    broken.write_text("#!/bin/sh\nexit 9\n")
    broken.chmod(0o755)
    monkeypatch.setattr("uv.find_uv_bin", lambda: str(broken))
    (found,) = machine_checks._uv()
    assert found[0].startswith("uv does not run: ")

    def missing() -> str:
        raise FileNotFoundError

    monkeypatch.setattr("uv.find_uv_bin", missing)
    wrong = {one.check: one for one in machine_checks.findings() if not one.is_ok}
    assert "lacks its program" in wrong["uv"].message
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert list(machine_checks._uv()) == []
    assert machine_checks._uv_version() == "not installed; only --installer uv needs it"


@pytest.mark.parametrize("mask", [0o777, 0, 0o022])
def test_the_umask_is_as_before_after_its_check(mask: int) -> None:
    """Two of these are a problem."""
    before = os.umask(mask)
    try:
        found = list(machine_checks._umask())
        assert machine_checks._mask() == mask
    finally:
        os.umask(before)
    assert len(found) == (mask != 0o022)


def test_what_cannot_be_written_is_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each directory by itself; as root, only a mount is read-only."""
    monkeypatch.setattr(machine_checks, "_writable", lambda path: not str(path).startswith(str(machine)))
    assert ["is not writable" in what for what, _remedy in machine_checks._home()] == [True]
    monkeypatch.setenv("VENVRUNNER_CACHE_DIR", str(machine / "cache"))
    assert list(machine_checks._home()) == []
    assert [f"{str(machine)!r} is not writable" in what for what, _remedy in machine_checks._cache()] == [True]
    monkeypatch.setattr(tempfile, "tempdir", str(machine))
    assert "it is not writable" in next(iter(machine_checks._temporary()))[0]


@pytest.mark.parametrize(
    ("usable", "reason"), [(False, "it is not an existing directory"), (True, "perhaps because it is full")]
)
def test_a_chosen_directory_that_is_not_used_is_named(
    usable: bool, reason: str, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the one that is used instead."""
    monkeypatch.setattr(tempfile, "tempdir", str(machine))
    if not usable:
        (machine / "tmp").rmdir()
    what, remedy = next(iter(machine_checks._temporary()))
    assert reason in what
    assert f"{str(machine)!r} is used instead" in what
    assert remedy == "Set TMPDIR to a writable directory."


def test_the_file_system_is_described_in_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """How much is left of it, and how it is mounted."""
    status = os.statvfs("/")
    values = [*status[:3], *(1000, 100, 10_000, 1000, 100), getattr(os, "ST_NOEXEC", 0), 255]
    monkeypatch.setattr(os, "statvfs", lambda _path: type(status)([*values[:1], 4096, *values[2:]]))
    found = [what for what, _remedy in machine_checks._mounted("/x", "TMPDIR")]
    assert ("'/x' is mounted noexec" in found[0]) == hasattr(os, "ST_NOEXEC")
    assert found[-2:] == ["'/x' has only 0 MB free", "the file system of '/x' has room for only 100 more files"]


def test_no_directory_for_temporary_files_is_a_problem(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other checks go on without it."""

    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(machine_checks, "_temporary_path", none)
    (found,) = machine_checks._temporary()
    assert found[0] == "there is no directory for temporary files: No usable temporary directory found"
    monkeypatch.setattr(file_locks, "why_not", lambda _number: "No locks available")
    (found,) = machine_checks._locks()
    assert f"files in {str(machine / 'home')!r} cannot be locked (No locks available): " in found[0]


@pytest.mark.parametrize("chosen", [None, "/nowhere"])
def test_the_environment_of_the_check_leaves_the_cache_alone(
    chosen: str | None, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable that names the cache is as before, and there is nothing in the home."""
    if chosen is not None:
        monkeypatch.setenv("VENVRUNNER_CACHE_DIR", chosen)
    assert list(machine_checks._environment()) == []
    assert os.environ.get("VENVRUNNER_CACHE_DIR") == chosen
    assert list(machine_checks._home()) == []
    assert os.listdir(machine / "home") == []


def test_a_system_that_cannot_describe_file_systems_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows."""
    monkeypatch.delattr(os, "statvfs")
    assert list(machine_checks._mounted("/", "TMPDIR")) == []


def test_help_and_wrong_options(capsys: pytest.CaptureFixture[str]) -> None:
    """Usage."""
    with pytest.raises(SystemExit) as ended:
        doctor_command.main(["--help"])
    assert ended.value.code == 0
    assert "Nothing is changed and nothing is left." in capsys.readouterr().out
