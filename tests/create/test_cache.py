"""The cache and its command: where it is, how big it is, and that only what is of no use any more is removed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.programs import SOURCE
from helpers.waiting import wait_until
from venvrunner import VenvRunner
from venvrunner._create import archive, cache, seed
from venvrunner._create.interpreter import Interpreter
from venvrunner._create.interpreters import find


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own, which is not there yet."""
    path = tmp_path / "the cache"
    monkeypatch.setenv(cache.VARIABLE, str(path))
    return path


def run(*args: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m venvrunner cache`."""
    command = [sys.executable, "-m", "venvrunner", "cache", *args]
    return subprocess.run(
        command, env={**os.environ, "PYTHONPATH": SOURCE}, capture_output=True, text=True, check=False, timeout=60
    )


def put(interpreter: Interpreter, **changes: object) -> Path:
    """Store an archive for an interpreter and return its file."""
    about = seed._about(interpreter, with_pip=False) | changes
    source = Path(os.environ[cache.VARIABLE]).with_name("source")
    (source / "bin").mkdir(parents=True, exist_ok=True)
    key = f"{len(list(cache.files())):032x}"
    cache.store(key, archive.collect(str(source), str(source / "bin"), bool, about))
    return Path(os.environ[cache.VARIABLE], key + cache.SUFFIX)


@pytest.mark.parametrize("where", ["variable", "relative", "home"])
def test_dir_prints_the_directory(where: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An absolute path and nothing else: what the variable says, or a directory in the user's own; it is not made for that."""
    monkeypatch.chdir(tmp_path)
    if where == "relative":
        monkeypatch.setenv(cache.VARIABLE, folder.name)
    elif where == "home":
        monkeypatch.delenv(cache.VARIABLE)
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    result = run("dir")
    path = result.stdout.removesuffix("\n")
    assert (result.returncode, result.stderr, result.stdout) == (0, "", path + "\n")
    assert os.path.isabs(path)
    assert Path(path).is_relative_to(tmp_path)
    assert Path(path).name == ("venvrunner" if where == "home" else folder.name)
    assert not list(tmp_path.iterdir())
    VenvRunner("venv", tmp_path / "top", with_pip=False)
    assert list(Path(path).glob(f"*{cache.SUFFIX}"))


def test_size_is_a_number_of_bytes(folder: Path, tmp_path: Path) -> None:
    """Of all files in the directory; none without a directory."""
    assert run("size").stdout == "0\n"
    VenvRunner("venv", tmp_path, with_pip=False)
    total = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
    assert total > 0
    assert run("size").stdout == f"{total}\n"


@pytest.mark.parametrize("args", [[], ["clear"], ["dir", "size"], ["--force"], ["prune", "/"]])
def test_wrong_arguments_are_explained(args: list[str], folder: Path) -> None:
    """Exit status 2, and the usage on standard error."""
    result = run(*args)
    assert (result.returncode, result.stdout) == (2, "")
    assert "usage: venvrunner cache" in result.stderr


def test_prune_removes_what_is_of_no_use_any_more(folder: Path, tmp_path: Path) -> None:
    """Archives of interpreters that are gone or upgraded, or of another virtualenv, damaged ones, and interrupted stores."""
    running = find(None)
    size, time, digest = running.stamp
    useless = [
        put(running._replace(executable=str(tmp_path / "gone"))),
        put(running._replace(stamp=(size + 1, time, digest))),
        put(running._replace(stamp=(size, time + 1, digest))),
        put(running._replace(stamp=(size, time, "0" * len(digest)))),
        put(running, virtualenv=["/gone/virtualenv/__init__.py", 1, 2]),
    ]
    damaged = {"d" * 32: put(running).read_bytes()[:-1], "e" * 32: b"", "f" * 32: b"venvpk01" + b"\xff" * 40}
    for name, content in damaged.items():
        useless.append(folder / (name + cache.SUFFIX))
        useless[-1].write_bytes(content)
    useless.append(folder / "0123456789abcdef.new")
    useless[-1].write_bytes(b"half")
    os.utime(useless[-1], (1, 1))
    freed = sum(path.stat().st_size for path in useless)
    result = run("prune")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"removed {len(useless)} files, {freed} bytes\n"
    assert [path for path in useless if path.exists()] == []
    assert run("prune").stdout == "removed 0 files, 0 bytes\n"


def test_prune_keeps_what_is_of_use(folder: Path, tmp_path: Path) -> None:
    """Current archives, a store that is going on, what is known of interpreters, and what is not the cache's own."""
    VenvRunner("with", tmp_path)
    VenvRunner("without", tmp_path, python=find(None).executable, with_pip=False)
    (folder / "fedcba9876543210.new").write_bytes(b"half")
    (folder / "notes.txt").write_text("precious")
    (folder / f"pack-{'a' * 40}{cache.SUFFIX}").write_text("objects")  # the name that Git gives
    (folder / f"{'b' * 32}{cache.SUFFIX}").mkdir()
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (folder / f"{'c' * 32}{cache.SUFFIX}").symlink_to(precious)
    before = {path: path.lstat() for path in folder.rglob("*") if not path.is_dir()}
    assert run("prune").stdout == "removed 0 files, 0 bytes\n"
    after = {path: path.lstat() for path in folder.rglob("*") if not path.is_dir()}
    assert after.keys() == before.keys()
    assert all(after[path].st_mtime_ns == status.st_mtime_ns for path, status in before.items())
    assert precious.read_text() == "precious"


def test_prune_without_a_cache_does_nothing(folder: Path) -> None:
    """It makes none either."""
    assert run("prune").stdout == "removed 0 files, 0 bytes\n"
    assert not folder.exists()


def test_what_is_pruned_is_created_again(folder: Path, tmp_path: Path) -> None:
    """A creation after it works, and fills the cache again; so does one after a damage to what is there."""
    for damage in (b"", b"venvpk01", b"venvpk01" + b"\xff" * 200):
        VenvRunner("venv", tmp_path, with_pip=False)
        (file,) = folder.glob(f"*{cache.SUFFIX}")
        good = file.read_bytes()
        file.write_bytes(damage)
        venv = VenvRunner("venv", tmp_path, with_pip=False)
        assert venv.log_run(["python", "-c", "print(1)"]).stdout == "1\n"
        assert file.read_bytes() == good


_CREATE = """
import sys
from venvrunner import VenvRunner
for number in range(8):
    venv = VenvRunner("venv", sys.argv[1], with_pip=False)
    assert venv.log_run(["python", "-c", "import sys; print(sys.prefix)"]).stdout == venv.venv_dir + "\\n"
"""


@pytest.mark.parametrize("how", ["prune", "delete"])
def test_a_cache_that_shrinks_while_environments_are_made_harms_none(how: str, folder: Path, tmp_path: Path) -> None:
    """Pruned, or deleted as a whole, over and over: each creation gets a complete environment, and says nothing."""
    env = {**os.environ, "PYTHONPATH": SOURCE}
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", _CREATE, str(tmp_path / str(number))],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for number in range(3)
    ]

    def shrink() -> bool:
        if how == "prune":
            cache.prune(seed.is_current)
        else:
            shutil.rmtree(folder, ignore_errors=True)
        return all(maker.poll() is not None for maker in makers)

    try:
        wait_until(shrink, "all environments are made", 60)
    finally:
        for maker in makers:
            maker.kill()
        outputs = [maker.communicate()[0] for maker in makers]
    assert [(maker.returncode, output) for maker, output in zip(makers, outputs, strict=True)] == [(0, b"")] * 3
    assert not list(folder.glob("*.new"))
