"""Crashes and full or forbidden disks: what they leave is never taken for good, and never hurts anything else."""

import contextlib
import ctypes
import gc
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from helpers.environments import portable_contents
from helpers.files import listing
from helpers.programs import WATCH, run_python
from helpers.system import IS_ROOT, as_nobody, open_to_others
from helpers.waiting import DEADLINE
from venvrunner import CreationError, InvalidPathError, VenvRunner

KILLED = f"""{WATCH}
target, step, what = sys.argv[1], int(sys.argv[2]), sys.argv[3]
from venvrunner import VenvRunner
top = os.path.dirname(target)
if what != "create":
    other = VenvRunner("parent", top, with_pip=False)
if what == "delete":
    other = VenvRunner("venv", top)
actions = {{
    "create": lambda: VenvRunner("venv", top),
    "fork": lambda: other.fork("venv", top),
    "delete": lambda: other.delete(),
}}
done = strike(target, step, signal.SIGKILL)
actions[what]()
print(len(done))
"""


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Return how many things each action does to files of an environment."""
    found: dict[str, int] = {}
    for what in ("create", "fork", "delete"):
        target = tmp_path_factory.mktemp(what) / "venv"
        found[what] = int(run_python(KILLED, str(target), "-1", what).stdout)
    return found


@pytest.mark.parametrize("exist", ["clear", "reuse"])
@pytest.mark.parametrize(
    ("what", "tenth"),
    [(what, tenth) for what in ("create", "fork", "delete") for tenth in (0, 6)]
    + [pytest.param("create", tenth, marks=pytest.mark.slow) for tenth in (1, 2, 3, 4, 5, 7, 8, 9, 10)]
    + [pytest.param(what, tenth, marks=pytest.mark.slow) for what in ("fork", "delete") for tenth in (3, 9)],
)
def test_what_a_killed_process_leaves_is_recreated(
    what: str, tenth: int, exist: Literal["clear", "reuse"], steps: dict[str, int], tmp_path: Path
) -> None:
    """Killed at any moment of a creation, a fork or a deletion: `open` refuses the rest, and the next call repairs it."""
    beside = tmp_path / "beside"
    beside.write_text("precious")
    step = min(max(1, steps[what] * tenth // 10), steps[what])
    killed = run_python(KILLED, str(tmp_path / "venv"), str(step), what)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with contextlib.suppress(InvalidPathError):
        # If it is not refused it was finished, or not begun to be deleted.
        assert VenvRunner.open(tmp_path / "venv").log_run(["python", "-c", "import sys"], check=False).returncode == 0
    venv = VenvRunner("venv", tmp_path, exist=exist, wait=DEADLINE)
    assert venv.log_run(["pip", "--version"]).stdout.startswith("pip ")
    assert VenvRunner("venv", tmp_path, exist="reuse").venv_dir == venv.venv_dir
    assert beside.read_text() == "precious"
    if what != "create":
        parent = VenvRunner.open(tmp_path / "parent")
        parent.delete()  # no fork is left that would need it


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if not IS_ROOT or libc.mount(b"tmpfs", bytes(disk), b"tmpfs", 0, b"size=2m") != 0:
        pytest.skip("a small file system can't be mounted here")
    yield disk
    gc.collect()  # what is in use can't be unmounted for good
    libc.umount2(bytes(disk), 2)


def fill(disk: Path) -> None:
    """Leave no byte and no file free."""
    with (disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


def test_a_full_disk_is_one_clear_error_and_nothing_is_left(small_disk: Path) -> None:
    """The neighbours are untouched, a bare environment still fits, and its deletion needs no space."""
    (small_disk / "beside").write_text("precious")
    bare = VenvRunner("bare", small_disk, with_pip=False)
    before = listing(small_disk)
    with pytest.raises(CreationError, match=r"No space left on device") as caught:
        VenvRunner("venv", small_disk / "deep" / "top")
    assert str(small_disk / "deep" / "top" / "venv") in str(caught.value)
    assert listing(small_disk).keys() == before.keys()
    fill(small_disk)
    with pytest.raises(CreationError, match=r"No space left on device"):
        VenvRunner("venv", small_disk)
    assert bare.log_run(["python", "-c", "print(1)"]).stdout == "1\n"
    bare.delete()
    assert {path.name for path in small_disk.iterdir()} == {"beside", "filler"}


def test_a_full_disk_while_forking_leaves_the_parent_free(small_disk: Path) -> None:
    """The fork is removed, and the parent is not frozen."""
    with VenvRunner.temporary(with_pip=False) as parent:
        fill(small_disk)
        with pytest.raises(CreationError, match=r"No space left on device"):
            parent.fork("fork", small_disk)
        assert {path.name for path in small_disk.iterdir()} == {"filler"}


@pytest.fixture
def open_path(tmp_path: Path) -> Path:
    """A directory that everybody can reach."""
    open_to_others(tmp_path)
    return tmp_path


@pytest.mark.parametrize("there", ["nothing", "an environment"])
def test_a_read_only_directory_is_one_clear_error(there: str, open_path: Path) -> None:
    """It belongs to another user, or is write-protected: the error has what was tried and why not, and nothing is changed."""
    folder = open_path / "folder"
    folder.mkdir()
    if there == "an environment":
        if not IS_ROOT:
            pytest.skip("its owner may make it anew, see test_bare_machines")
        VenvRunner("venv", folder, with_pip=False)
        for path in [folder, *folder.rglob("*")]:
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o555)
    folder.chmod(0o555)
    before = listing(folder)
    error = as_nobody(lambda: VenvRunner("venv", folder, wait=0.1))
    tried = "create an environment" if there == "nothing" else "change the environment"
    assert error.startswith(f"CreationError: cannot {tried} in '{folder / 'venv'}': ")
    assert "Permission denied" in error
    assert listing(folder) == before
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)


def test_an_environment_that_cannot_be_written_to_can_be_used_and_forked(open_path: Path) -> None:
    """One in an image, say: nothing is noted in it, and nothing needs to be."""
    base = VenvRunner("base", open_path, with_pip=False)
    for path in [open_path / "base", *(open_path / "base").rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o555)
    del base
    target = open_path / "target"
    target.mkdir(mode=0o777)
    target.chmod(0o777)
    before = listing(open_path / "base")

    def use() -> None:
        venv = VenvRunner.open(open_path / "base")
        assert venv.log_run(["python", "-c", "print(1)"]).stdout == "1\n"
        for standalone in (False, True):
            fork = venv.fork(f"fork-{standalone}", target, standalone=standalone)
            assert fork.log_run(["python", "-c", "print(2)"]).stdout == "2\n"
            fork.delete()

    assert as_nobody(use) == "none"
    assert listing(open_path / "base") == before
    for path in [open_path / "base", *(open_path / "base").rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)


def test_top_dir_may_be_reached_through_a_link(tmp_path: Path) -> None:
    """Only the environment's own directory must be none."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    venv = VenvRunner("venv", tmp_path / "link", with_pip=False)
    assert venv.log_run(["python", "-c", "import sys; print(sys.prefix)"]).stdout.strip() == venv.venv_dir
    assert VenvRunner("venv", tmp_path / "link", with_pip=False).venv_dir == str(tmp_path / "link" / "venv")


def remove(cache: Path) -> None:
    shutil.rmtree(cache)


def truncate(cache: Path) -> None:
    for path in cache.glob("*.pack"):
        path.write_bytes(path.read_bytes()[:1000])


def flip(cache: Path) -> None:
    for path in cache.glob("*.pack"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


def block(cache: Path) -> None:
    for path in cache.glob("*.pack"):
        path.unlink()
        path.mkdir()


def file_instead(cache: Path) -> None:
    shutil.rmtree(cache)
    cache.touch()


def link_instead(cache: Path) -> None:
    cache.rename(cache.with_name("elsewhere"))
    cache.symlink_to("elsewhere")


def open_to_all(cache: Path) -> None:
    cache.chmod(0o777)


def pipes(cache: Path) -> None:
    """Reading one waits for a writer."""
    for path in cache.glob("*.pack"):
        path.unlink()
        os.mkfifo(path)


@pytest.mark.parametrize(
    "change",
    [truncate, flip, pipes]
    + [pytest.param(one, marks=pytest.mark.slow) for one in (remove, block, file_instead, link_instead, open_to_all)],
)
def test_a_damaged_cache_costs_time_and_nothing_else(
    change: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment is the same as from a good one, and the next one too."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("VENVRUNNER_CACHE_DIR", str(cache))
    good = VenvRunner("good", tmp_path)
    assert cache.stat().st_mode & 0o777 == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in cache.glob("*.pack")} == {0o600}
    change(cache)
    for _time in range(2):
        bad = VenvRunner("bad", tmp_path)
        assert bad.log_run(["pip", "--version"]).stdout.startswith("pip ")
        assert portable_contents(bad) == portable_contents(good)


def test_an_environment_works_without_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands on its own: nothing in it is a link into the cache, and no file is shared with another environment."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("VENVRUNNER_CACHE_DIR", str(cache))
    one, two = (VenvRunner(name, tmp_path) for name in ("one", "two"))
    shutil.rmtree(cache)
    assert one.log_run(["pip", "list"]).stdout
    pips = [next(Path(venv.venv_dir).rglob("pip/__init__.py")) for venv in (one, two)]
    pips[0].write_text("changed = True\n")
    assert "changed" not in pips[1].read_text()
    for path in Path(one.venv_dir).rglob("*"):
        if ".venvrunner" not in path.parts and path.is_file() and not path.is_symlink():
            assert path.stat().st_nlink == 1
        assert not path.is_symlink() or str(cache) not in os.readlink(path)


def test_processes_can_fill_a_cold_cache_at_once(tmp_path: Path) -> None:
    """Each has a whole environment, and the cache is good afterwards."""
    code = "import sys; from venvrunner import VenvRunner; VenvRunner(*sys.argv[1:]).log_run(['pip', '--version'])"
    source = Path(sys.modules[VenvRunner.__module__].__file__ or "").parents[1]
    env = {**os.environ, "PYTHONPATH": str(source), "VENVRUNNER_CACHE_DIR": str(tmp_path / "cache")}
    processes = [subprocess.Popen([sys.executable, "-c", code, f"venv{number}", str(tmp_path)], env=env) for number in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert [path.suffix for path in (tmp_path / "cache").iterdir() if path.is_file()] == [".pack"]
