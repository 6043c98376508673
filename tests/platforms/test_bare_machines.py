"""Machines with less: no home, no directory to work in, no encoding, no descriptors, no right to a directory."""

import importlib.util
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import zipapp
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

import venvrunner
from helpers.files import listing
from helpers.programs import SOURCE
from helpers.system import LINUX
from helpers.waiting import DEADLINE
from helpers.wheels import make_command_wheel
from venvrunner import (
    CreationError,
    FakeVenvRunner,
    InstallationError,
    InterpreterNotFoundError,
    InvalidPathError,
    InvalidRequirementError,
    LockFileError,
    VenvError,
    VenvRunner,
)
from venvrunner.__main__ import main
from venvrunner._create import archive
from venvrunner.installing import InstallerName

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0

STRANGER = """
import ctypes, os, struct, sys
# A user without an entry, as in a container. It may read everything, since the interpreter may be in another user's home.
libc = ctypes.CDLL(None)
read = 1 << 2  # CAP_DAC_READ_SEARCH
assert libc.prctl(8, 1, 0, 0, 0) == 0  # PR_SET_KEEPCAPS
os.setgroups([])
os.setgid(12345)
os.setuid(12345)
assert libc.capset(struct.pack("Ii", 0x20080522, 0), struct.pack("6I", read, read, read, 0, 0, 0)) == 0
assert libc.prctl(47, 2, 2, 0, 0) == 0  # PR_CAP_AMBIENT_RAISE
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""

HOMELESS = """
import os, sys
from venvrunner import VenvRunner
for installer in ("pip", "uv"):
    venv = VenvRunner(installer, sys.argv[1], installer=installer)
    venv.install("one", no_index=True, find_links=[sys.argv[2]])
    print(venv.installed()["one"], os.listdir())
venv = VenvRunner.temporary(python=sys.argv[3], with_pip=False)
print(venv.log_run(["python", "-c", "print('found')"]).stdout, end="")
"""

RUN = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def common() -> Iterator[Path]:
    """A directory that other users reach too: that of the test run may be below one that is private."""
    with tempfile.TemporaryDirectory(prefix="venvrunner-test-", dir="/tmp", ignore_cleanup_errors=True) as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture
def as_stranger(common: Path) -> RUN:
    """Run Python as a user who has nothing but a directory for temporary files."""
    if not ROOT or not LINUX:
        pytest.skip("only root can become a user without an entry, and this only on Linux")
    places = {name: common / name for name in ("tmp", "cwd", "top")}
    for place in places.values():
        place.mkdir()
        place.chmod(0o777)

    def run(*args: str, home: str | None) -> subprocess.CompletedProcess[str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "VENVRUNNER_", "HOME"))}
        env |= {"PYTHONPATH": SOURCE, "TMPDIR": str(places["tmp"])} | ({} if home is None else {"HOME": home})
        command = [sys.executable, "-c", STRANGER, *args]
        return subprocess.run(
            command, env=env, cwd=places["cwd"], capture_output=True, text=True, check=False, timeout=10 * DEADLINE
        )

    return run


@pytest.mark.parametrize("home", [None, "~", "", "/nowhere/home"])
def test_without_a_home_environments_are_created_and_filled(home: str | None, as_stranger: RUN, common: Path) -> None:
    """No HOME and no entry, as in a container: not a word on standard error, and nothing in the working directory."""
    (common / "wheels").mkdir()
    make_command_wheel(common / "wheels", "one", "1.0")
    version = ".".join(map(str, sys.version_info[:2]))
    done = as_stranger("-c", HOMELESS, str(common / "top"), str(common / "wheels"), version, home=home)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout == "1.0 []\n" * len(get_args(InstallerName)) + "found\n"
    asked = as_stranger("-m", "venvrunner", "cache", "dir", home=home)
    assert (asked.returncode, asked.stderr) == (0, "")
    cache = common / "tmp" / "venvrunner-cache-12345"
    assert asked.stdout == f"{cache}\n"
    assert list(cache.glob("*.pack"))
    assert cache.stat().st_mode & 0o777 == 0o700
    assert list((common / "cwd").iterdir()) == []


def test_the_directory_of_the_cache_may_begin_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a file of variables, which no shell has read; no directory of that name is created."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VENVRUNNER_CACHE_DIR", "~/x")
    VenvRunner("venv", tmp_path / "top", with_pip=False)
    assert list((tmp_path / "home" / "x").glob("*.pack"))
    assert not (tmp_path / "~").exists()


def test_a_cache_that_python_discovery_distrusts_does_not_affect_the_host(tmp_path: Path) -> None:
    """Others can write to the directory above, or the umask lets them: nothing is said on standard error."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    source = """
import os, sys
from venvrunner import InterpreterNotFoundError, VenvRunner
os.umask(0o002)
for number in range(2):
    VenvRunner.temporary(python=f"{sys.version_info[0]}.{sys.version_info[1]}", with_pip=False)
"""
    env = {**os.environ, "PYTHONPATH": SOURCE, "VENVRUNNER_CACHE_DIR": str(shared / "cache")}
    done = subprocess.run([sys.executable, "-c", source], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def _no_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()


@pytest.mark.usefixtures("_no_directory", "few_interpreters")
@pytest.mark.parametrize("python", ["3.77", ">=3.77", "nix"])
def test_a_missing_interpreter_is_reported_without_a_working_directory(python: str, tmp_path: Path) -> None:
    """It is looked for everywhere else."""
    with pytest.raises(InterpreterNotFoundError, match=python):
        VenvRunner("x", tmp_path, python=python)


@pytest.mark.skipif(ROOT, reason="root can read every directory")
@pytest.mark.usefixtures("few_interpreters")
def test_a_directory_of_interpreters_that_cannot_be_read_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can't have the interpreter that is wanted."""
    (tmp_path / "versions").mkdir(mode=0o311)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    with pytest.raises(InterpreterNotFoundError):
        VenvRunner("x", tmp_path, python="3.77")


@pytest.mark.usefixtures("_no_directory")
def test_a_deleted_working_directory_is_an_error_for_relative_paths_only(tmp_path: Path, venv: VenvRunner) -> None:
    """It names the path and says what to do; absolute paths work."""
    relative: list[Callable[[], object]] = [
        lambda: VenvRunner.open("x"),
        lambda: VenvRunner("x", "."),
        lambda: venv.fork("x", "."),
        lambda: VenvRunner("x", tmp_path, python="./python"),
    ]
    for action in relative:
        with pytest.raises(InvalidPathError, match=r"'(\./)?(x|python)' is relative, .*Use an absolute path\."):
            action()
    with pytest.raises(VenvError, match="Use an absolute path"):
        venv.install("one", no_index=True)
    made = VenvRunner("x", tmp_path, with_pip=False)
    assert made.log_run(["python", "-c", "print(1)"]).stdout == "1\n"


def test_a_missing_directory_for_temporary_files_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the directory."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(CreationError, match=str(tmp_path / "missing")):
        VenvRunner.temporary(with_pip=False)


@pytest.mark.parametrize(
    ("executable", "frozen", "reason"),
    [
        ("", False, "sys.executable is empty"),
        (None, False, "sys.executable is empty"),
        ("/gone/python3", False, "'/gone/python3' cannot be read: No such file or directory"),
        (sys.executable, True, "the program is frozen"),
    ],
)
def test_without_an_interpreter_of_its_own_a_program_names_one(
    executable: str | None, frozen: bool, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that embeds Python or is frozen has none: the error names python=, with which it works."""
    real = sys.executable
    monkeypatch.setattr(sys, "executable", executable)
    monkeypatch.setattr(sys, "_base_executable", executable)
    monkeypatch.setattr(sys, "frozen", frozen, raising=False)
    with pytest.raises(InterpreterNotFoundError, match=reason) as caught:
        VenvRunner("venv", tmp_path, with_pip=False)
    assert "python='3.12'" in str(caught.value)
    assert listing(tmp_path) == {}
    venv = VenvRunner("venv", tmp_path, python=real, with_pip=False)
    assert venv.log_run(["python", "-c", "print(1)"]).stdout == "1\n"
    if not executable:
        with pytest.raises(venvrunner.InvalidCommandError, match=reason):
            FakeVenvRunner().log_run(["python", "-c", ""])


ASCII = """
import sys
from venvrunner import VenvError, VenvRunner
top, name = sys.argv[1], "m\\u00f6we"
known = VenvRunner("known", top, with_pip=False)
for action in (
    lambda: VenvRunner(name, top),
    lambda: VenvRunner("venv", f"{top}/{name}"),
    lambda: VenvRunner.open(f"{top}/{name}"),
    lambda: known.fork(name, top),
):
    try:
        action()
    except VenvError as exc:
        assert name in str(exc), ascii(exc)
    else:
        raise AssertionError
venv = VenvRunner(sys.argv[2], top)  # as the system has it
print(ascii(venv.log_run(["pip", "--version"]).stdout.split()[0]))
"""


def test_a_name_that_the_locale_cannot_encode_is_one_clear_error(tmp_path: Path) -> None:
    """The C locale has ASCII only. A name that came from the system works there too."""
    env = {**os.environ, "PYTHONPATH": SOURCE, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", ASCII, str(tmp_path), "m\u00f6we"]
    done = subprocess.run(command, env=env, capture_output=True, check=False, timeout=5 * DEADLINE)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"'pip'\n", b"")


def _no_table(head: dict[str, object]) -> None:
    del head["table"]


def _no_about(head: dict[str, object]) -> None:
    del head["about"]


def _empty_table(head: dict[str, object]) -> None:
    head["table"] = []


def _short_row(head: dict[str, object]) -> None:
    head["table"] = [["folder", "bin"], ["file", "x"]]


def _outside(head: dict[str, object]) -> None:
    head["table"] = [["folder", "bin"], ["link", "../outside", "x"]]


def _twice(head: dict[str, object]) -> None:
    head["table"] = [["folder", "bin"], ["folder", "bin"]]


def _no_dict(_head: dict[str, object]) -> list[object]:
    return []


def _nested(_head: dict[str, object]) -> bytes:
    return b"[" * 100_000


def _nested_about(head: dict[str, object]) -> bytes:
    return json.dumps({**head, "about": 0}).encode().replace(b'"about": 0', b'"about": ' + b'{"a":' * 100_000)


def _with(*rows: list[object]) -> Callable[[dict[str, list[object]]], None]:
    """Return a change that adds rows to the table."""

    def change(head: dict[str, list[object]]) -> None:
        head["table"] += rows

    return change


def _first_file(head: dict[str, list[list[object]]]) -> list[object]:
    return next(row for row in head["table"] if row[0] == "file")


def _negative(head: dict[str, list[list[object]]]) -> None:
    _first_file(head)[2] = -3


def _too_long(head: dict[str, list[list[object]]]) -> None:
    _first_file(head)[2] = 1 << 70


def _too_short(head: dict[str, list[list[object]]]) -> None:
    head["table"][-1] = ["folder", "other"]


def _descriptor(head: dict[str, dict[str, list[object]]]) -> None:
    head["about"]["interpreter"][0] = 0


DOOR: list[object] = ["link", "door", "../../outside"]
DAMAGES: dict[str, Callable[[Any], object]] = {
    "no table": _no_table,
    "no about": _no_about,
    "an empty table": _empty_table,
    "a short row": _short_row,
    "outside": _outside,
    "twice": _twice,
    "no dict": _no_dict,
    "nested": _nested,
    "nested about": _nested_about,
    "a negative length": _negative,
    "a length that is too long": _too_long,
    "a file that is missing": _too_short,
    "a descriptor for an interpreter": _descriptor,
    "a long name": _with(["folder", "n" * 300]),
    "a long target": _with(["link", "door", "n" * 5000]),
    "a link without a target": _with(["link", "door", ""]),
    "a loop": _with(["link", "one", "two"], ["link", "two", "one"], ["file", "one/x", 0, False, None]),
    "a file for a directory": _with(["file", "", 0, False, None]),
    "a file in no directory": _with(["file", "none/x", 0, False, None]),
    "an unknown kind": _with(["device", "x", 0, False, None]),
    "a file through a link": _with(DOOR, ["file", "door/made", 0, True, None]),
    "a directory through a link": _with(DOOR, ["folder", "door/made"]),
    "a link through a link": _with(DOOR, ["link", "door/made", "x"]),
    "a file through a link to itself": _with(["link", "here", "."], ["file", "here/made", 0, False, None]),
    "a file in place of a link": _with(["link", "door", "../../outside/made"], ["file", "door", 0, False, None]),
}


@pytest.fixture(params=DAMAGES)
def damaged(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, bytes]:
    """An archive in the cache that is damaged and has a right checksum; and what it was before."""
    monkeypatch.setenv("VENVRUNNER_CACHE_DIR", str(tmp_path / "cache"))
    VenvRunner("venv", tmp_path / "top", with_pip=False).delete()
    (path,) = (tmp_path / "cache").glob("*.pack")
    good = path.read_bytes()
    start, length = archive._START, archive._LENGTH
    (size,) = struct.unpack_from(">I", good, start.size)
    begin = start.size + length.size
    head = json.loads(good[begin : begin + size])
    changed = DAMAGES[request.param](head)
    text = changed if isinstance(changed, bytes) else json.dumps(head if changed is None else changed).encode()
    rest = length.pack(len(text)) + text + good[begin + size :]
    path.write_bytes(start.pack(b"venvpk01", zlib.crc32(rest)) + rest)
    return path, good


def test_a_damaged_archive_with_a_right_checksum_is_replaced(damaged: tuple[Path, bytes], tmp_path: Path) -> None:
    """The environment is complete, nothing is written elsewhere, and the archive is good afterwards."""
    path, good = damaged
    (tmp_path / "outside").mkdir()
    venv = VenvRunner("venv", tmp_path / "top", with_pip=False)
    assert venv.log_run(["python", "-c", "print(1)"]).stdout == "1\n"
    assert path.read_bytes() == good
    assert os.listdir(tmp_path / "top") == ["venv"]
    assert not list((tmp_path / "outside").iterdir())
    assert not [name for name in ("made", "door", "here", "one") if os.path.lexists(tmp_path / "top" / "venv" / name)]


def test_a_cache_with_a_damaged_archive_is_pruned(damaged: tuple[Path, bytes], capfd: pytest.CaptureFixture[str]) -> None:
    """It is removed if it says of itself that it is of no use, and else left to the next environment."""
    path, _good = damaged
    assert main(["cache", "prune"]) == 0
    out, err = capfd.readouterr()
    assert out.startswith("removed 0 files" if path.exists() else "removed 1 files")
    assert err == ""
    os.fstat(0)  # it is still open


DEEP = "[" * 100_000
"""JSON or TOML that no reader here can follow to its end."""


def test_notes_that_are_nested_too_deeply_mean_an_unfinished_environment(tmp_path: Path) -> None:
    """It is refused, and created again."""
    VenvRunner("venv", tmp_path, with_pip=False)
    (tmp_path / "venv" / ".venvrunner" / "state").write_text(DEEP)
    with pytest.raises(InvalidPathError, match="was interrupted"):
        VenvRunner.open(tmp_path / "venv")
    venv = VenvRunner("venv", tmp_path, with_pip=False, exist="reuse")
    assert venv.log_run(["python", "-c", "print(1)"]).stdout == "1\n"


def test_an_origin_that_is_nested_too_deeply_is_none(tmp_path: Path) -> None:
    """The package is installed all the same, as pip has it."""
    with VenvRunner.temporary(with_pip=False, installer="uv") as venv:
        venv.install(make_command_wheel(tmp_path, "one"))
        (path,) = Path(venv.venv_dir).rglob("direct_url.json")
        path.write_text(DEEP)
        assert venv.installed() == {"one": "1.0"}


@pytest.mark.parametrize("installer", get_args(InstallerName))
def test_settings_that_are_nested_too_deeply_are_one_clear_error(
    installer: InstallerName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a lock file, of dependency groups, and of uv, which says itself what it cannot read."""
    (tmp_path / "pyproject.toml").write_text(f"x = {DEEP}")
    for name in ("uv.toml", "pylock.toml"):
        (tmp_path / name).write_text(f"x = {DEEP}")
    with VenvRunner.temporary(with_pip=False, installer=installer) as venv:
        with pytest.raises(LockFileError, match="depth"):
            venv.install(lock=tmp_path / "pylock.toml")
        with pytest.raises(InvalidRequirementError, match="depth"):
            venv.install(dependency_groups=[f"{tmp_path / 'pyproject.toml'}:tests"])
        monkeypatch.setenv("UV_CONFIG_FILE", str(tmp_path / "uv.toml"))
        wheel = make_command_wheel(tmp_path, "one")
        if installer == "uv":
            with pytest.raises(InstallationError):
                venv.install(wheel)
        else:
            venv.install(wheel)


PACKED = """
import sys
from venvrunner import VenvRunner
assert ".pyz" in sys.modules["venvrunner"].__file__
top, wheels = sys.argv[1:]
venv = VenvRunner("venv", top)
venv.install("one", no_index=True, find_links=[wheels])
fork = venv.fork("fork", top)
print(fork.log_run(["python", "-c", "import one; print('imported')"], contain=sys.platform == "linux").stdout, end="")
fork.delete()
"""


def test_a_zipapp_works(tmp_path: Path) -> None:
    """The package and all that it needs in one file: imported, and as a program, also by a relative path."""
    (tmp_path / "wheels").mkdir()
    make_command_wheel(tmp_path / "wheels", "one", "1.0")
    names = ["virtualenv", "packaging", "platformdirs", "filelock", "python_discovery", "venvrunner"]
    for spec in filter(None, map(importlib.util.find_spec, [*names, "distlib"])):
        assert spec.origin is not None
        package = Path(spec.origin).parent
        for folder in (package, *package.parent.glob(f"{spec.name}-*.dist-info")):  # it has entry points
            shutil.copytree(folder, tmp_path / "app" / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
    zipapp.create_archive(tmp_path / "app", tmp_path / "app.pyz", main="venvrunner.__main__:main")
    env = {**os.environ, "PYTHONPATH": "app.pyz"}
    command = [sys.executable, "-S", "-c", PACKED, "top", "wheels"]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=10 * DEADLINE)
    assert (done.returncode, done.stdout) == (0, "imported\n"), done.stderr
    del env["PYTHONPATH"]
    command = [sys.executable, "-S", "app.pyz", "--", "python", "-c", "print('run')"]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=10 * DEADLINE)
    assert (done.returncode, done.stdout) == (0, "run\n"), done.stderr
    command = [sys.executable, "-S", "app.pyz", "--version"]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=10 * DEADLINE)
    assert (done.returncode, done.stdout[:11]) == (0, "venvrunner "), done.stderr


# Root, in an environment of another user.

OWN = """
import sys
from venvrunner import VenvRunner
path, top = sys.argv[1:]
VenvRunner.open(path).log_run(["python", "-c", ""])
VenvRunner("venv", top, with_pip=False, wait=0)
VenvRunner.open(path).delete()
"""


@pytest.mark.parametrize("maker", ["venv", "venvrunner"])
@pytest.mark.parametrize("end", ["exit", "kill"])
def test_what_root_leaves_in_an_environment_does_not_keep_its_owner_out(
    maker: str, end: str, as_stranger: RUN, common: Path
) -> None:
    """Root opens it, runs a command and ends, or is killed: the owner opens, clears and deletes it after that."""
    top = common / "top"
    make = {
        "venv": ["-m", "venv", "--without-pip", str(top / "venv")],
        "venvrunner": ["-c", f"from venvrunner import VenvRunner; VenvRunner('venv', {str(top)!r}, with_pip=False)"],
    }
    made = as_stranger(*make[maker], home=None)
    assert (made.returncode, made.stderr) == (0, "")
    ending = {"exit": "sys.exit()", "kill": "os.kill(os.getpid(), signal.SIGKILL)"}
    source = f"""
import os, signal, sys
from venvrunner import VenvRunner
other = VenvRunner("other", sys.argv[2], with_pip=False)  # root's own, in the same file system
venv = VenvRunner.open(sys.argv[1])
venv.log_run(["python", "-c", ""])
venv.log_run(["python", "-c", ""])
{ending[end]}
"""
    (common / "roots").mkdir()
    command = [sys.executable, "-c", source, str(top / "venv"), str(common / "roots")]
    env = {**os.environ, "PYTHONPATH": SOURCE}
    used = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=10 * DEADLINE)
    assert used.stderr == ""
    done = as_stranger("-c", OWN, str(top / "venv"), str(top), home=None)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert list(top.iterdir()) == []


def test_an_environment_that_only_its_owner_may_remove_is_not_emptied(as_stranger: RUN, common: Path) -> None:
    """In a directory like ``/tmp``: others may write to it, and may remove only what is theirs."""
    top = common / "top"
    VenvRunner("venv", top, with_pip=False)
    top.chmod(0o1777)
    for path in [top / "venv", *top.glob("venv/**/*")]:
        os.chown(path, 12345 if path != top / "venv" else 0, 12345, follow_symlinks=False)
    (top / "venv").chmod(0o777)
    before = set(top.glob("**/*"))
    source = f"""
from venvrunner import CreationError, VenvRunner
venv = VenvRunner.open({str(top / "venv")!r})
try:
    venv.delete()
except CreationError as exc:
    print(exc)
"""
    done = as_stranger("-c", source, home=None)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "not permitted" in done.stdout
    assert set(top.glob("**/*")) >= before


# Modes, for a user whom they concern.

MODES = """
import ctypes, os, struct, sys
from venvrunner import CreationError, VenvRunner

top, where, mode = sys.argv[1], sys.argv[2], int(sys.argv[3], 8)
path = os.path.join(top, "venv")
VenvRunner("venv", top, with_pip=False)
if os.geteuid() == 0:
    # Without capabilities, modes apply to root as well.
    assert ctypes.CDLL(None).capset(struct.pack("Ii", 0x20080522, 0), bytes(24)) == 0
"""
INSIDE = """
venv = VenvRunner("venv", top, with_pip=False)
folder = os.path.join(path, where)
os.makedirs(os.path.join(folder, "deeper", "empty"), exist_ok=True)
open(os.path.join(folder, "deeper", "file"), "w").close()
os.chmod(os.path.join(folder, "deeper"), mode)
os.chmod(folder, mode)
venv.delete()
assert os.listdir(top) == []
"""
ANEW = """
venv = VenvRunner("venv", top, with_pip=False)
open(os.path.join(path, "old"), "w").close()
for name in ["lib", ".venvrunner", ""] if where == "all" else [where]:
    os.chmod(os.path.join(path, name), mode)
venv = VenvRunner("venv", top, with_pip=False)
assert venv.log_run(["python", "-c", "print(1)"]).stdout == "1\\n"
assert not os.path.exists(os.path.join(path, "old"))
assert os.stat(path).st_mode & 0o700 == 0o700
assert os.stat(path).st_mode & 0o077 == (mode & 0o077 if where in {"", "all"} else 0o055)
venv.delete()
"""
HELD = """
from concurrent.futures import ThreadPoolExecutor
from venvrunner import VenvInUseError

def use():
    if where == "open":
        return VenvRunner.open(path)
    if where == "reuse":
        return VenvRunner("venv", top, with_pip=False, exist="reuse")
    return VenvRunner.open(path).fork("fork", top)

def clear():
    try:
        VenvRunner("venv", top, with_pip=False, wait=0)
    except VenvInUseError:
        return "refused"

os.chmod(path, mode)
used = use()
with ThreadPoolExecutor(1) as pool:
    assert pool.submit(clear).result() == "refused"
assert os.stat(path).st_mode & 0o777 == mode
assert used.log_run(["python", "-c", "print(1)"]).stdout == "1\\n"
if where == "fork":
    used.delete()
VenvRunner.open(path).delete()
"""
AROUND = """
venv = VenvRunner("venv", top, with_pip=False)
os.chmod(top, mode)
try:
    venv.delete()
except CreationError as exc:
    assert path in str(exc) and "ermission" in str(exc), exc
else:
    raise AssertionError
finally:
    os.chmod(top, 0o755)
assert venv.log_run(["python", "-c", "print(1)"]).stdout == "1\\n"
venv.delete()
assert os.listdir(top) == []
"""


def modes(source: str, *args: str) -> tuple[int, str]:
    """Run a program for which modes count."""
    if not LINUX and ROOT:
        pytest.skip("root can do without its rights only on Linux")
    env = {**os.environ, "PYTHONPATH": SOURCE}
    command = [sys.executable, "-c", MODES + source, *args]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=5 * DEADLINE)
    return done.returncode, done.stderr


@pytest.mark.parametrize("mode", ["555", "300", "0"])
@pytest.mark.parametrize("where", ["lib", "data", ".venvrunner", ""])
def test_a_directory_of_any_mode_is_deleted_with_its_environment(where: str, mode: str, tmp_path: Path) -> None:
    """A tool may leave it unwritable or unreadable; it is this user's, so the mode can be changed back."""
    assert modes(INSIDE, str(tmp_path), where, mode) == (0, "")


@pytest.mark.parametrize("mode", ["555", "550", "300", "0"])
@pytest.mark.parametrize("where", ["lib", ".venvrunner", "all", ""])
def test_an_environment_of_any_mode_is_recreated(where: str, mode: str, tmp_path: Path) -> None:
    """Its owner gets all rights to the new one; what group and others may do with its directory stays."""
    assert modes("os.umask(0o022)" + ANEW, str(tmp_path), where, mode) == (0, "")


@pytest.mark.parametrize("action", ["open", "reuse", "fork"])
def test_an_environment_in_a_read_only_directory_is_held_too(action: str, tmp_path: Path) -> None:
    """Its owner could clear it in spite of the mode, so whoever uses it notes that, and a fork freezes it."""
    assert modes(HELD, str(tmp_path), action, "555") == (0, "")


@pytest.mark.parametrize("mode", ["555", "0"])
def test_what_cannot_be_deleted_is_an_error_and_stays_as_it_was(mode: str, tmp_path: Path) -> None:
    """Without the right to the directory around it: delete() does not return as if it were gone, and has not begun."""
    assert modes(AROUND, str(tmp_path), "", mode) == (0, "")


def test_a_lasting_lack_of_descriptors_raises_the_first_cause(tmp_path: Path) -> None:
    """Not what the cleanup meets for the same reason; what is left is removed as soon as that is possible."""
    VenvRunner.temporary(with_pip=False).delete()  # all is loaded
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 10, hard))
        try:
            while True:
                taken.append(os.dup(0))
        except OSError:
            pass
        for _free in range(4):
            with pytest.raises(CreationError, match=r"cannot create an environment in .*Too many open files") as caught:
                VenvRunner.temporary(with_pip=False)
            assert isinstance(caught.value.__cause__, OSError)
            assert caught.value.__cause__.__context__ is None
            os.close(taken.pop())
    finally:
        for number in taken:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    VenvRunner.temporary(with_pip=False).delete()
    assert os.listdir(tempfile.gettempdir()) == []
