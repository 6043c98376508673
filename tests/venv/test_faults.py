"""Faults inside an environment's directory, the cache or the system: repaired or one clear error, and no harm to others."""

import contextlib
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import venv as stdlib
import zlib
from pathlib import Path
from typing import Literal

import pytest

from helpers.environments import packages, portable_contents, scripts
from helpers.files import listing
from helpers.processes import alive
from helpers.programs import SOURCE, WATCH, run_python
from helpers.system import IS_ROOT, as_nobody
from helpers.waiting import DEADLINE, wait_until
from venvrunner import CreationError, InvalidPathError, VenvError, VenvInUseError, VenvRunner

pytestmark = pytest.mark.slow

STATE = ".venvrunner"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory of the user's, which no environment has any business in."""
    folder = tmp_path / "outside"
    (folder / "deep").mkdir(parents=True)
    for name in ("file", "user-1", "fork-1", "deep/file"):
        (folder / name).write_text("precious")
    return folder


def act(action: str, path: Path) -> VenvRunner:
    """Do something with an environment that may be there, or in its place; return its runner."""
    match action:
        case "make anew":
            return VenvRunner(path.name, path.parent, wait=0.1, with_pip=False)
        case "reuse":
            return VenvRunner(path.name, path.parent, exist="reuse", wait=0.1, with_pip=False)
        case "fork":
            return VenvRunner.open(path, wait=0.1).fork("fork", path.parent)
    runner = VenvRunner.open(path, wait=0.1)
    runner.delete()
    return runner


@pytest.mark.parametrize("action", ["make anew", "reuse", "delete"])
@pytest.mark.parametrize("maker", ["this package", "another tool", "nobody"])
@pytest.mark.parametrize(
    ("link", "target"),
    [
        (STATE, ""),
        (f"{STATE}/state", "file"),
        (f"{STATE}/lock", "file"),
        (f"{STATE}/user-1", "file"),
        (f"{STATE}/fork-1", "file"),
        ("pyvenv.cfg", "file"),
        ("lib", "deep"),
    ],
)
def test_a_link_in_an_environment_causes_no_change_outside(
    link: str, target: str, maker: str, action: str, outside: Path, tmp_path: Path
) -> None:
    """Whatever in its directory is a link: what that leads to is neither written to nor removed; an error is one of ours."""
    path = tmp_path / "venv"
    match maker:
        case "this package":
            VenvRunner("venv", tmp_path, with_pip=False).__exit__(None, None, None)
        case "another tool":
            stdlib.create(path, symlinks=True)
    (path / link).parent.mkdir(parents=True, exist_ok=True)
    if (path / link).is_dir():
        shutil.rmtree(path / link)
    (path / link).unlink(missing_ok=True)
    (path / link).symlink_to(outside / target)
    before = listing(outside)
    with contextlib.suppress(VenvError):
        act(action, path)
    assert listing(outside) == before


def test_recreating_a_copy_by_hard_links_leaves_the_original_unchanged(tmp_path: Path) -> None:
    """As a backup makes it: both names have one file, and it is not written to through one of them."""
    with VenvRunner("venv", tmp_path, with_pip=False) as original:
        pass
    subprocess.run(["cp", "-al", tmp_path / "venv", tmp_path / "copy"], check=True)
    before = portable_contents(original)
    copy = VenvRunner("copy", tmp_path, prompt="another", with_pip=False)
    copy.log_run(["python", "-c", ""])
    assert portable_contents(original) == before
    (tmp_path / "venv" / "mark").touch()
    VenvRunner("venv", tmp_path, exist="reuse", with_pip=False)
    assert (tmp_path / "venv" / "mark").exists()


@pytest.mark.parametrize("exist", ["clear", "reuse"])
@pytest.mark.parametrize(
    "state",
    [b"", b"\0" * 9, b"\xff\xfe\x80\n\n", b"[]\n[]\n", b'"a"\n"b"\n', b'{"parent": 5}\n{}\n', b'{"parent": null}\n[1]\n'],
    ids=repr,
)
def test_a_damaged_state_is_no_reason_to_fail(state: bytes, exist: Literal["clear", "reuse"], tmp_path: Path) -> None:
    """Whatever stands in it: it is not taken for good, and the environment is recreated."""
    with VenvRunner("venv", tmp_path, with_pip=False):
        pass
    (tmp_path / "venv" / "mark").touch()
    (tmp_path / "venv" / STATE / "state").write_bytes(state)
    with contextlib.suppress(InvalidPathError):
        VenvRunner.open(tmp_path / "venv")
    venv = VenvRunner("venv", tmp_path, exist=exist, with_pip=False)
    assert not (tmp_path / "venv" / "mark").exists()
    assert venv.log_run(["python", "-c", "print(1)"]).stdout == "1\n"
    venv.delete()
    assert listing(tmp_path) == {}


@pytest.mark.parametrize("content", [b"", b"\0" * 9, b"\xff\xfe", b"nowhere", None], ids=repr)
@pytest.mark.parametrize("name", ["user-1", "fork-1", "other"])
def test_a_damaged_note_holds_nothing(name: str, content: bytes | None, tmp_path: Path) -> None:
    """A file of garbage, or a directory: the environment is recreated and deleted all the same."""
    with VenvRunner("venv", tmp_path, with_pip=False):
        pass
    note = tmp_path / "venv" / STATE / name

    def damage() -> None:
        if content is None:
            note.mkdir(exist_ok=True)
        else:
            note.write_bytes(content)

    damage()
    venv = VenvRunner("venv", tmp_path, wait=0.1, with_pip=False)
    damage()
    venv.delete()
    assert listing(tmp_path) == {}


@pytest.mark.parametrize("kind", ["dangling", "circle", "pipe"])
def test_a_top_dir_that_cannot_be_is_one_clear_error(kind: str, tmp_path: Path) -> None:
    """A link to nothing or to itself, or no directory at all: the error names the path, and nothing is made."""
    top = tmp_path / "top"
    if kind == "pipe":
        os.mkfifo(top)
    else:
        top.symlink_to("top" if kind == "circle" else "nowhere")
    before = listing(tmp_path)
    with pytest.raises(CreationError, match=f"^cannot create an environment in '{top / 'venv'}'"):
        VenvRunner("venv", top)
    assert listing(tmp_path) == before


BACKEND = """
import os, pathlib, time, zipfile
here = pathlib.Path(__file__).parent
def build_wheel(folder, *args, **kwargs):
    (here / "building").write_text(str(os.getppid()))
    while not (here / "go").exists():
        time.sleep(0.01)
    with zipfile.ZipFile(pathlib.Path(folder, "slow-1.0-py3-none-any.whl"), "w") as wheel:
        wheel.writestr("slow.py", "")
        wheel.writestr("slow-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: slow\\nVersion: 1.0\\n")
        wheel.writestr("slow-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("slow-1.0.dist-info/RECORD", "")
    return "slow-1.0-py3-none-any.whl"
"""


def test_an_installation_that_outlives_its_killed_creation_is_waited_for(tmp_path: Path) -> None:
    """pip still works in the environment, so it is in use; then it is recreated, because it was never finished."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text('[build-system]\nrequires = []\nbuild-backend = "back"\nbackend-path = ["."]\n')
    (project / "back.py").write_text(BACKEND)
    (tmp_path / "tmp").mkdir()
    code = "import sys; from venvrunner import VenvRunner; VenvRunner('venv', sys.argv[1], requirements=sys.argv[2:])"
    env = {**os.environ, "PYTHONPATH": SOURCE, "TMPDIR": str(tmp_path / "tmp"), "PIP_NO_INDEX": "1"}
    host = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(project)], env=env)
    building = project / "building"
    wait_until(lambda: building.exists() and building.read_text(), "pip builds the project")
    pip = int(building.read_text())
    host.kill()
    host.wait()
    try:
        for exist in ("clear", "reuse"):
            with pytest.raises(VenvInUseError, match=f"process {host.pid} "):
                VenvRunner("venv", tmp_path, exist=exist, wait=0.1)
        with pytest.raises(InvalidPathError, match="was interrupted"):
            VenvRunner.open(tmp_path / "venv")
    finally:
        (project / "go").touch()
    venv = VenvRunner("venv", tmp_path, exist="reuse", wait=DEADLINE)
    assert venv.log_run(["python", "-c", "import slow"], check=False).returncode == 1
    wait_until(lambda: not alive(pip), "pip has ended")


KILLED = f"""{WATCH}
step, what, watched, top = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
from venvrunner import VenvRunner
if what == "standalone":
    parent = VenvRunner("parent", top)
if what == "bare anew":
    VenvRunner("venv", top, prompt="another", with_pip=False)
done = strike(watched, step, signal.SIGKILL)
if what == "standalone":
    parent.fork("venv", top, standalone=True)
else:
    VenvRunner("venv", top, with_pip="bare" not in what)
print(len(done))
"""


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Return how many things are done to files: of the cache and its preparation, and of a standalone fork."""
    found: dict[str, int] = {}
    for what in ("cache", "standalone"):
        top = tmp_path_factory.mktemp(what)
        found[what] = int(kill(-1, what, top).stdout)
    return found


def kill(step: int, what: str, top: Path) -> subprocess.CompletedProcess[str]:
    """Make an environment with a cache of its own, or a standalone fork, and die at a step of it."""
    if what != "cache":
        return run_python(KILLED, str(step), what, str(top / "venv"), str(top))
    (top / "private").mkdir()
    private = {"VENVRUNNER_CACHE_DIR": str(top / "private" / "cache"), "TMPDIR": str(top / "private")}
    return run_python(KILLED, str(step), what, private["TMPDIR"], str(top), **private)


@pytest.mark.parametrize("tenth", [1, 5, 9])
def test_a_cache_that_was_being_filled_is_good_after_a_kill(
    tenth: int, steps: dict[str, int], tmp_path: Path, venv: VenvRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an interrupted preparation has left is never taken for a good one."""
    assert kill(max(1, steps["cache"] * tenth // 10), "cache", tmp_path).returncode == -signal.SIGKILL
    monkeypatch.setenv("VENVRUNNER_CACHE_DIR", str(tmp_path / "private" / "cache"))
    for exist in ("clear", "reuse"):
        made = VenvRunner("venv", tmp_path, exist=exist)
        assert portable_contents(made) == portable_contents(venv)


@pytest.mark.parametrize(("what", "steps"), [("bare", range(1, 19)), ("bare anew", range(4, 60, 5))])
def test_a_creation_that_was_killed_at_its_beginning_is_no_hindrance(what: str, steps: range, tmp_path: Path) -> None:
    """When the directory is hardly known for an environment, or what was there before is being removed."""
    for step in steps:
        killed = kill(step, what, tmp_path)
        assert killed.returncode in {-signal.SIGKILL, 0}, killed.stderr
        with contextlib.suppress(InvalidPathError):
            assert VenvRunner.open(tmp_path / "venv").log_run(["python", "-c", "print(1)"]).stdout == "1\n"
        VenvRunner("venv", tmp_path, with_pip=False).delete()
        assert listing(tmp_path) == {}


@pytest.mark.parametrize("tenth", [1, 5, 9])
def test_a_standalone_fork_that_was_killed_is_recreated(tenth: int, steps: dict[str, int], tmp_path: Path) -> None:
    """Its rest is not adopted, and its parent is free."""
    assert kill(steps["standalone"] * tenth // 10, "standalone", tmp_path).returncode == -signal.SIGKILL
    with pytest.raises(InvalidPathError):
        VenvRunner.open(tmp_path / "venv")
    parent = VenvRunner.open(tmp_path / "parent")
    fork = parent.fork("venv", tmp_path, standalone=True)
    parent.delete()
    assert fork.log_run(["pip", "--version"]).stdout.split()[3].startswith(fork.venv_dir)


LIMITED = """
import os, resource, sys
from venvrunner import CreationError, VenvRunner
VenvRunner("other", sys.argv[1])  # all that is needed is imported and cached
which = getattr(resource, sys.argv[2])
soft, hard = resource.getrlimit(which)
for limit in eval(sys.argv[3]):
    resource.setrlimit(which, (limit, hard))
    try:
        VenvRunner("venv", sys.argv[1] + "/deep/top").delete()
    except CreationError as exc:
        print("refused", exc)
    else:
        print("made")
    finally:
        resource.setrlimit(which, (soft, hard))
    if os.path.exists(sys.argv[1] + "/deep/top/venv"):
        print("left")
"""


def test_a_limit_of_the_system_is_one_clear_error_and_nothing_is_left(tmp_path: Path) -> None:
    """However far the creation comes; where there is enough, it succeeds."""
    assert hasattr(resource, "RLIMIT_FSIZE")
    result = run_python(LIMITED, str(tmp_path), "RLIMIT_FSIZE", "(0, 1, 100, 5_000, 50_000)")
    lines = result.stdout.splitlines()
    assert len(lines) == 5, result.stderr
    assert [line for line in lines if line != "made" and not (line.startswith("refused") and "File too large" in line)] == []
    assert any(line.startswith("refused") for line in lines)


def poison(cache: Path) -> None:
    """Put something else into each archive, with a checksum that fits."""
    for path in cache.glob("*.pack"):
        data = path.read_bytes()
        rest = data[12:].replace(b"import", b"improt")
        path.write_bytes(data[:8] + zlib.crc32(rest).to_bytes(4, "big") + rest)


def test_a_directory_that_others_can_write_is_a_cache_only_if_empty(
    tmp_path: Path, venv: VenvRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user may have put code into it; and it may be any directory, named by mistake: it stays as it is."""
    empty, full = tmp_path / "empty", tmp_path / "full"
    shutil.copytree(os.environ["VENVRUNNER_CACHE_DIR"], full)
    poison(full)
    (full / "file").write_text("precious")
    empty.mkdir()
    for folder in (empty, full):
        folder.chmod(0o1777)
    before = listing(full)
    for folder in (empty, full):
        monkeypatch.setenv("VENVRUNNER_CACHE_DIR", str(folder))
        assert portable_contents(VenvRunner("venv", tmp_path)) == portable_contents(venv)
    assert listing(full) == before
    assert full.stat().st_mode & 0o7777 == 0o1777
    assert empty.stat().st_mode & 0o7777 == 0o1755
    assert list(empty.glob("*.pack"))


@pytest.mark.parametrize("action", ["make anew", "reuse", "fork", "delete"])
@pytest.mark.parametrize("name", ["state", "lock", "user-1", "fork-1"])
@pytest.mark.parametrize("kind", ["pipe", "held pipe", "socket"])
def test_a_pipe_where_a_note_should_be_stops_nothing(kind: str, name: str, action: str, tmp_path: Path) -> None:
    """Opening one would wait for its other end; if a process holds that, reading would. A socket cannot be opened at all."""
    made = VenvRunner("venv", tmp_path, with_pip=False)
    made.__exit__(None, None, None)
    note = Path(made.venv_dir, STATE, name)
    note.unlink(missing_ok=True)
    ends: list[int] = []
    if kind == "socket":
        os.mknod(note, stat.S_IFSOCK | 0o600)
    else:
        os.mkfifo(note)
    if kind == "held pipe":
        ends.append(os.open(note, os.O_RDWR))
    done: list[VenvRunner | VenvError] = []

    def note_outcome() -> None:
        try:
            done.append(act(action, Path(made.venv_dir)))
        except VenvError as exc:
            done.append(exc)

    thread = threading.Thread(target=note_outcome, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    any(map(os.close, ends))
    (outcome,) = done
    if name == "state" and action in {"fork", "delete"}:  # nothing says that it was ever finished
        assert isinstance(outcome, InvalidPathError)
    elif action == "delete":
        assert not Path(made.venv_dir).exists()
    else:
        assert isinstance(outcome, VenvRunner)
        assert outcome.log_run(["python", "-c", "print(1)"]).stdout == "1\n"


FORK = """
import sys
from pathlib import Path
from venvrunner import VenvRunner
parent = VenvRunner.open(sys.argv[1])
fork = parent.fork("fork", Path(sys.argv[1]).parent, standalone=sys.argv[2] == "True")
print(*[path for path in Path(fork.venv_dir).glob("**/*") if not path.is_dir() and not path.is_file()])
print(fork.log_run(["python", "-c", "print(1)"]).stdout)
"""


@pytest.mark.parametrize("standalone", [False, True])
def test_a_fork_leaves_out_pipes(standalone: bool, tmp_path: Path) -> None:
    """A program that runs in the parent has made them for itself; to read one waits for its other end."""
    venv = VenvRunner("venv", tmp_path, with_pip=False)
    for folder in (Path(venv.venv_dir), scripts(venv), packages(venv), packages(venv) / "one"):
        folder.mkdir(exist_ok=True)
        os.mkfifo(folder / "pipe")
    command = [sys.executable, "-c", FORK, venv.venv_dir, str(standalone)]
    env = {**os.environ, "PYTHONPATH": SOURCE}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n1\n\n", "")


def test_an_environment_that_cannot_be_marked_as_unfinished_stays_as_it_is(tmp_path: Path) -> None:
    """Nothing was changed until then, so nothing is removed either."""
    made = VenvRunner("venv", tmp_path, with_pip=False)
    made.__exit__(None, None, None)
    Path(made.venv_dir, STATE, "state.new").mkdir()  # in the way of the mark
    before = portable_contents(made)
    with pytest.raises(CreationError, match=r"state\.new"):
        VenvRunner("venv", tmp_path, wait=0.1, with_pip=False)
    assert portable_contents(made) == before
    assert made.log_run(["python", "-c", "print(1)"]).stdout == "1\n"


def test_a_link_where_a_note_should_be_holds_nothing(tmp_path: Path, outside: Path) -> None:
    """No runner makes one; what it leads to stays."""
    made = VenvRunner("venv", tmp_path, with_pip=False)
    made.__exit__(None, None, None)
    Path(made.venv_dir, STATE, "user-1").symlink_to(outside / "file")
    before = listing(outside)
    VenvRunner("venv", tmp_path, wait=0, with_pip=False)
    assert listing(outside) == before


@pytest.mark.skipif(not IS_ROOT, reason="only root can give files away")
@pytest.mark.parametrize("what", ["folder", "pack in a folder that is open to all", "link to a folder"])
def test_what_another_user_may_have_put_into_the_cache_is_not_used(
    what: str, tmp_path: Path, venv: VenvRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be code that runs in every environment."""
    cache = tmp_path / "cache"
    shutil.copytree(os.environ["VENVRUNNER_CACHE_DIR"], cache)
    monkeypatch.setenv("VENVRUNNER_CACHE_DIR", str(cache))
    poison(cache)
    assert portable_contents(VenvRunner("venv", tmp_path)) != portable_contents(venv), (
        "the poison has no effect, so the test proves nothing"
    )
    for path in [cache, *cache.rglob("*")]:
        os.chown(path, 65534, 65534)
    if what.startswith("pack"):
        os.chown(cache, 0, 0)
        cache.chmod(0o777)
    elif what.startswith("link"):
        cache.rename(tmp_path / "elsewhere")
        cache.symlink_to("elsewhere")
    assert portable_contents(VenvRunner("venv", tmp_path)) == portable_contents(venv)


@pytest.mark.parametrize("state", ["cold", "warm"])
def test_a_read_only_cache_does(state: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is used if there is something in it, and else nothing is stored."""
    place = tmp_path_factory.mktemp("open")
    for folder in [place, *place.parents[:2]]:
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(0o755)
    cache, temporary, top = (place / name for name in ("cache", "temporary", "top"))
    for folder in (cache, temporary, top):
        folder.mkdir()
        folder.chmod(0o777)
    monkeypatch.setenv("VENVRUNNER_CACHE_DIR", str(cache))
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    if state == "warm":
        VenvRunner("first", place)
    if IS_ROOT:
        for path in [cache, *cache.rglob("*")]:
            os.chown(path, 65534, 65534)
    cache.chmod(0o500)
    before = listing(cache)

    def make() -> None:
        made = VenvRunner("venv", top)
        assert made.log_run(["pip", "--version"]).stdout.startswith("pip ")
        made.delete()

    assert as_nobody(make) == "none"
    assert listing(cache) == before
    cache.chmod(0o700)


def test_a_missing_directory_for_temporary_files_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is needed to prepare what is not in the cache, and only then."""
    VenvRunner("warm", tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert VenvRunner("venv", tmp_path).log_run(["pip", "--version"]).returncode == 0
    monkeypatch.setenv("VENVRUNNER_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(CreationError, match="nowhere"):
        VenvRunner("cold", tmp_path / "deep" / "top")
    assert not (tmp_path / "deep").exists()
