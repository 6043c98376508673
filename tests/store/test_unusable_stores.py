"""Stores that cannot be used: the environment is made without one, one line says why, and nobody else's code is run."""

import contextlib
import ctypes
import gc
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helpers.files import listing
from helpers.programs import run_python
from helpers.stores import TAKE, WITHOUT, environments, store, take
from helpers.system import IS_ROOT, as_nobody, open_to_others
from venvrunner._store import maintenance

__all__ = ["store"]

NOBODY = 65534


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What the package logs, that no store can be used included."""
    caplog.set_level("INFO", logger="venvrunner")
    return caplog


def made_without(store: Path, log: pytest.LogCaptureFixture) -> None:
    """Check that an environment is made without the store, that one line says so, and that nothing is changed."""
    before = listing(store.parent)
    log.clear()
    assert take("needy") == ["needy", "pocket"]
    (record,) = (record for record in log.records if WITHOUT in record.getMessage())
    assert record.levelname == "INFO"
    assert listing(store.parent) == before


def file_instead(store: Path) -> None:
    store.write_text("precious")


def file_above(store: Path) -> None:
    store.with_name("above").write_text("precious")
    os.environ["VENVRUNNER_STORE_DIR"] = str(store.with_name("above") / "store")


def link_instead(store: Path) -> None:
    store.with_name("elsewhere").mkdir()
    store.symlink_to("elsewhere")


def hanging_link(store: Path) -> None:
    store.symlink_to("nowhere")


def other_contents(store: Path) -> None:
    """As if the variable named a project with a directory of wheels."""
    (store / "wheels" / ("0" * 32)).mkdir(parents=True)
    (store / "locks").mkdir()
    (store / "locks" / "mine").write_text("precious")


def other_cache(store: Path) -> None:
    store.mkdir()
    (store / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n# of another program\n")


def open_to_all(store: Path) -> None:
    store.mkdir()
    (store / "CACHEDIR.TAG").touch()
    (store / "entries").mkdir()
    store.chmod(0o777)


def open_above(store: Path) -> None:
    above = store.with_name("above")
    (above / "store").mkdir(parents=True)
    above.chmod(0o777)
    os.environ["VENVRUNNER_STORE_DIR"] = str(above / "store")


def of_another(store: Path) -> None:
    store.mkdir(mode=0o700)
    os.chown(store, NOBODY, NOBODY)


def below_anothers(store: Path) -> None:
    above = store.with_name("above")
    (above / "store").mkdir(parents=True)
    os.chown(above, NOBODY, NOBODY)
    os.environ["VENVRUNNER_STORE_DIR"] = str(above / "store")


def below_anothers_link(store: Path) -> None:
    (store.with_name("above") / "store").mkdir(parents=True)
    link = store.with_name("link")
    link.symlink_to("above")
    os.lchown(link, NOBODY, NOBODY)
    os.environ["VENVRUNNER_STORE_DIR"] = str(link / "store")


def parts_are_files(store: Path) -> None:
    store.mkdir()
    (store / "CACHEDIR.TAG").touch()
    for name in ("entries", "locks", "turns", "wheels"):
        (store / name).touch()
    store.chmod(0o700)


ANYBODY = [file_instead, file_above, link_instead, hanging_link, other_contents, other_cache, open_to_all, open_above]
ROOT = [of_another, below_anothers, below_anothers_link]


@pytest.mark.parametrize("obstacle", [*ANYBODY, *ROOT, parts_are_files])
def test_a_directory_that_is_no_private_store_is_not_used(
    store: Path, obstacle: Callable[[Path], None], log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file, a link, other contents, or a directory that another user may change: it is left untouched."""
    if obstacle in ROOT and not IS_ROOT:
        pytest.skip("only root can give a directory away")
    monkeypatch.setenv("VENVRUNNER_STORE_DIR", str(store))  # so that it is undone
    obstacle(store)
    made_without(store, log)


@pytest.mark.parametrize("directory", ["~nobody-of-this-name/store", "relative"])
def test_any_path_of_a_store_is_tried(directory: str, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is one from the working directory; an unknown user's home means the usual place."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VENVRUNNER_STORE_DIR", directory)
    monkeypatch.setenv("VENVRUNNER_CACHE_DIR", str(tmp_path / "cache"))
    assert take("pocket") == ["pocket"]
    assert (tmp_path / ("relative" if directory == "relative" else "cache/store") / "entries").is_dir()


def test_a_new_store_is_private(store: Path) -> None:
    """Only its user may look into it, and backup programs leave it out."""
    take("pocket")
    assert stat.S_IMODE(store.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in store.iterdir() if path.is_dir()} == {0o700}
    assert (store / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")
    assert {stat.S_IMODE(path.stat().st_mode) for path in (*store.glob("locks/*"), *store.glob("entries/*.json"))} == {0o600}


def test_an_open_but_empty_directory_becomes_private(store: Path) -> None:
    """There is no code of others in it."""
    store.mkdir()
    store.chmod(0o777)
    take("pocket")
    assert stat.S_IMODE(store.stat().st_mode) == 0o700
    assert len(environments(store)) == 1


@pytest.mark.parametrize("kind", ["file", "link", "directory"])
def test_what_is_in_place_of_an_entry_is_left_alone(
    store: Path, tmp_path: Path, kind: str, log: pytest.LogCaptureFixture
) -> None:
    """An environment of somebody else that a link leads to is not used, either."""
    take("needy")
    (item,) = environments(store)
    entry = Path(item.path)
    entry.rename(tmp_path / "other")
    if kind == "file":
        entry.write_text("precious")
    elif kind == "link":
        entry.symlink_to(tmp_path / "other")
    else:
        entry.mkdir()
        (entry / "mine").write_text("precious")
    before = listing(tmp_path / "other")
    for _ in range(2):
        assert take("needy") == ["needy", "pocket"]
    assert WITHOUT in log.text
    maintenance.prune(str(store), 0, 0)
    assert entry.is_symlink() if kind == "link" else entry.exists()
    assert listing(tmp_path / "other") == before


def test_an_entry_of_another_user_is_not_used(store: Path, log: pytest.LogCaptureFixture) -> None:
    """It may have been put there while the store was open to others."""
    if not IS_ROOT:
        pytest.skip("only root can give a directory away")
    take("needy")
    (item,) = environments(store)
    os.chown(item.path, NOBODY, NOBODY)
    (next(Path(item.path).glob("lib/*/site-packages")) / "pocket.py").write_text("raise SystemExit('evil')\n")
    take("needy")
    assert "preparing an environment in the store" in log.text


def test_a_store_that_cannot_be_written_to(tmp_path: Path) -> None:
    """What is in it is used, and everything else is made without it."""
    open_to_others(tmp_path)
    own = tmp_path / "own"
    own.mkdir()
    own.chmod(0o777)

    def work() -> None:
        (own / "private").mkdir()
        os.environ.update(
            VENVRUNNER_STORE_DIR=str(own / "private" / "store"),
            VENVRUNNER_CACHE_DIR=str(own / "cache"),
            TMPDIR=str(own / "tmp"),
        )
        os.environ.update(UV_CACHE_DIR=str(own / "uv"), HOME=str(own))
        (own / "tmp").mkdir()
        import tempfile

        tempfile.tempdir = None
        assert take("needy") == ["needy", "pocket"]
        store = own / "private" / "store"
        for path in [store, *store.glob("*"), *store.glob("entries/*")]:
            if path.is_dir():
                path.chmod(0o500)
        assert take("needy") == ["needy", "pocket"]
        assert take("wires") == ["wires"]
        assert len(environments(store)) == 1
        for path in [store, *store.glob("*"), *store.glob("entries/*")]:
            if path.is_dir():
                path.chmod(0o700)

    use_wheelhouse(tmp_path)
    try:
        assert as_nobody(work) == "none"
    finally:
        for name in ("UV_FIND_LINKS", "UV_NO_INDEX", "UV_NO_CONFIG", "UV_OFFLINE"):
            os.environ.pop(name, None)


def use_wheelhouse(folder: Path) -> None:
    """Let uv of this process find the usual wheels."""
    from helpers.wheels import make_wheels

    (folder / "wheelhouse").mkdir(mode=0o755)
    make_wheels(folder / "wheelhouse")
    os.environ.update(UV_FIND_LINKS=str(folder / "wheelhouse"), UV_NO_INDEX="1", UV_NO_CONFIG="1", UV_OFFLINE="1")


def test_without_a_home_directory_the_store_is_a_temporary_one(store: Path, tmp_path: Path) -> None:
    """In a directory that only this user can write to; if another user has made it before, there is no store."""
    (tmp_path / "temporary").mkdir()
    env = {"HOME": "/dev/null/none", "TMPDIR": str(tmp_path / "temporary"), "XDG_CACHE_HOME": ""}
    env |= {"VENVRUNNER_STORE_DIR": "", "VENVRUNNER_CACHE_DIR": "", "UV_CACHE_DIR": str(tmp_path / "uv")}
    done = run_python(TAKE, "uv", "pocket", **env)
    assert "'pocket': '1.0'" in done.stdout, done.stderr
    (cache,) = (tmp_path / "temporary").iterdir()
    assert len(list((cache / "store" / "entries").glob("*.json"))) == 1
    if IS_ROOT:
        os.chown(cache, NOBODY, NOBODY)
        done = run_python(TAKE, "uv", "pocket", **env)
        assert "'pocket': '1.0'" in done.stdout, done.stderr
        assert WITHOUT in done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if not IS_ROOT or libc.mount(b"tmpfs", bytes(disk), b"tmpfs", 0, b"size=1m") != 0:
        pytest.skip("a small file system can't be mounted here")
    yield disk
    gc.collect()  # what is in use can't be unmounted for good
    libc.umount2(bytes(disk), 2)


@pytest.mark.parametrize("installer", ["pip", "uv"])
@pytest.mark.parametrize("left", [0, 40_000, 200_000])
def test_a_full_disk_costs_time_only(
    store: Path, small_disk: Path, left: int, installer: str, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the space ends: the environment is made without the store, and nothing is left in it."""
    if installer == "pip" and left == 40_000:
        pytest.skip("the same for both installers")
    monkeypatch.setenv("VENVRUNNER_STORE_DIR", str(small_disk / "store"))
    (small_disk / "store").mkdir()
    with (small_disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    size = (small_disk / "filler").stat().st_size
    os.truncate(small_disk / "filler", max(0, size - left))
    with_pip = left > 100_000  # it needs more than there is
    assert take("needy", installer=installer, with_pip=with_pip) == ["needy", *(["pip"] if with_pip else []), "pocket"]
    assert WITHOUT in log.text or left == 40_000
    assert all(item.python for item in maintenance.items(str(small_disk / "store")))
    assert maintenance.verify(str(small_disk / "store")) == {}


def test_the_working_directory_may_be_gone(store: Path, tmp_path: Path) -> None:
    """No setting can be relative to it, but the environment is made."""
    code = f"import os, sys; os.mkdir(sys.argv[3]); os.chdir(sys.argv[3]); os.rmdir(sys.argv[3]); sys.argv.pop()\n{TAKE}"
    done = run_python(code, "uv", "pocket", str(tmp_path / "gone"), VENVRUNNER_STORE_DIR="relative")
    assert WITHOUT in done.stderr or sys.platform != "linux"
