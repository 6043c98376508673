"""The size of a store: what was used least recently goes first, and nothing that is in use."""

import os
import shutil
import time
from pathlib import Path

import pytest

from helpers.environments import packages
from helpers.programs import run_python
from helpers.stores import WITHOUT, environments, leftovers, make_project, store, take
from venvrunner import VenvInUseError, VenvRunner
from venvrunner._store import location, maintenance
from venvrunner._venv.change import STATE

__all__ = ["store"]

NAMES = ["needy", "pocket", "wires"]


def names(store: Path) -> set[str]:
    """Return what the environments in a store were made for."""
    return {item.what[0] for item in environments(store)}


def used(store: Path, name: str, seconds: float) -> None:
    """Let an environment have been used some time ago."""
    (item,) = (item for item in environments(store) if item.what == [name])
    note = f"{item.path}.json"
    os.utime(note, (time.time() - seconds,) * 2)


def test_what_was_used_least_recently_goes_first(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A use counts, not the creation; what was prepared last stays, however small the store is."""
    take("needy")
    take("pocket")
    used(store, "needy", 30)
    used(store, "pocket", 40)
    take("pocket")
    size = sum(item.size for item in environments(store))
    monkeypatch.setenv("VENVRUNNER_STORE_MAX_SIZE", str(size + 1))
    take("wires")
    assert names(store) == {"pocket", "wires"}
    monkeypatch.setenv("VENVRUNNER_STORE_MAX_SIZE", "0")
    take("needy")
    assert names(store) == {"needy"}


def test_what_is_in_use_stays(store: Path, tmp_path: Path) -> None:
    """By a fork, temporary or named, by a runner of this thread or by a command; and what a fork in use needs."""
    project = make_project(tmp_path / "project", requires="needy")
    with VenvRunner.temporary(requirements=[project], installer="uv", with_pip=False, cached=True) as venv:
        assert maintenance.prune(str(store), 0, 0)[0] == 1  # the wheel
        fork = venv.fork("fork", tmp_path)
        assert maintenance.prune(str(store), 0, 0) == (0, 0)
        assert sorted(fork.installed()) == sorted(venv.installed()) == ["mine", "needy", "pocket"]
        fork.delete()
    assert maintenance.prune(str(store), 0, 0)[0] == 2
    take("pocket")
    (item,) = environments(store)
    runner = VenvRunner.open(item.path)
    assert maintenance.prune(str(store), 0, 0) == (0, 0)
    del runner
    assert maintenance.prune(str(store), 0, 0)[0] == 1
    assert environments(store) == []


def test_what_is_unused_for_long_goes(store: Path) -> None:
    """Whatever the size of the store."""
    for name in NAMES:
        take(name)
    used(store, "needy", 4000)
    used(store, "wires", -4000)  # the clock went back
    assert maintenance.prune(str(store), 10**12, unused_for=3600)[0] == 1
    assert names(store) == {"pocket", "wires"}


@pytest.mark.parametrize("value", ["many", "-1", "5 XB", "1e9", "9" * 400, "\N{KELVIN SIGN}", "1\N{KELVIN SIGN}"])
def test_a_wrong_limit_is_one_clear_error(store: Path, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is started or created."""
    monkeypatch.setenv("VENVRUNNER_STORE_MAX_SIZE", value)
    with pytest.raises(ValueError, match=r"VENVRUNNER_STORE_MAX_SIZE: .* is not a size\. Write for instance 500MB or 5GB\."):
        take("pocket")
    assert not store.exists()


@pytest.mark.parametrize(("text", "size"), [("1k", 1000), ("1 KiB", 1024), ("0.5MB", 500_000), ("2t", 2 * 10**12), ("0", 0)])
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    """Decimal and binary units, in any case."""
    assert location.parse_size(text) == size


def test_former_forks_leave_nothing_in_an_entry(store: Path) -> None:
    """Hundreds of temporary forks, ended by a block, by `delete()` or by dropping them: no note of them is left."""
    take("pocket")
    (item,) = environments(store)
    before = set(os.listdir(Path(item.path, STATE)))
    for number in range(150):
        venv = VenvRunner.temporary(requirements=["pocket"], installer="uv", with_pip=False, cached=True)
        if number % 3 == 0:
            with venv:
                pass
        elif number % 3 == 1:
            venv.delete()
        del venv
    assert set(os.listdir(Path(item.path, STATE))) == before


def test_notes_of_killed_forks_are_removed_now_and_then(store: Path, tmp_path: Path) -> None:
    """A process that was killed removed neither its fork nor the note of it."""
    take("pocket")
    (item,) = environments(store)
    with VenvRunner.temporary(requirements=["pocket"], installer="uv", with_pip=False, cached=True) as venv:
        for number in range(100):
            Path(item.path, STATE, f"fork-{number:016x}").write_text(str(tmp_path / f"gone{number}"))
        take("needy")
        assert [name for name in os.listdir(Path(item.path, STATE)) if name.startswith("fork-")] != []
        assert len([name for name in os.listdir(Path(item.path, STATE)) if name.startswith("fork-")]) == 1
        assert venv.installed() == {"pocket": "1.0"}


KILLED = """
import os, signal, sys
from venvrunner import VenvRunner
venv = VenvRunner.temporary(requirements=["pocket"], installer="uv", with_pip=False, cached=True)
print(venv.venv_dir, flush=True)
if len(sys.argv) > 1:
    venv.fork("named", sys.argv[1])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_temporary_fork_of_a_killed_process_does_not_keep_an_entry(store: Path, tmp_path: Path) -> None:
    """Unless it is used or has forks itself; and it is not removed, since it is not in the store."""
    fork_dir = Path(run_python(KILLED, str(tmp_path), TMPDIR=str(tmp_path)).stdout.strip())
    assert maintenance.prune(str(store), 0, 0) == (0, 0)
    named = VenvRunner.open(tmp_path / "named")
    assert named.installed() == {"pocket": "1.0"}
    named.delete()
    runner = VenvRunner.open(fork_dir)
    assert maintenance.prune(str(store), 0, 0) == (0, 0)
    del runner
    assert maintenance.prune(str(store), 0, 0)[0] == 1
    assert fork_dir.exists()


def test_a_damaged_entry_with_the_fork_of_a_killed_process_is_made_again(
    store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Such a fork is not in use."""
    run_python(KILLED, TMPDIR=str(tmp_path))
    Path(environments(store)[0].path, "bin", "pocket").unlink()
    caplog.set_level("INFO", logger="venvrunner")
    assert take("pocket") == ["pocket"]
    assert WITHOUT not in caplog.text


def test_a_named_fork_of_an_entry_keeps_it(store: Path, tmp_path: Path) -> None:
    """Whether a process uses it now or not."""
    take("pocket")
    VenvRunner.open(environments(store)[0].path).fork("named", tmp_path)
    assert maintenance.prune(str(store), 0, 0) == (0, 0)
    VenvRunner.open(tmp_path / "named").delete()
    assert maintenance.prune(str(store), 0, 0)[0] == 1


def test_the_copy_of_a_fork_does_not_take_its_note_away(store: Path, tmp_path: Path) -> None:
    """The note of the original keeps the parent from being changed, whoever deletes a copy."""
    parent = VenvRunner("parent", tmp_path, with_pip=False)
    original = parent.fork("original", tmp_path)
    shutil.copytree(original.venv_dir, tmp_path / "copy", symlinks=True)
    shutil.rmtree(tmp_path / "copy" / STATE / "lock", ignore_errors=True)
    copy = VenvRunner.open(tmp_path / "copy")
    copy.delete()
    with pytest.raises(VenvInUseError, match="has forks that need it"):
        parent.delete()
    original.delete()
    parent.delete()


def test_leftovers_are_removed_when_they_are_old(store: Path) -> None:
    """What may still be written to stays, and so does everything that is not the store's."""
    take("pocket")
    key = "0" * 32
    left = [store / "wheels" / "venvrunner-abc", store / "entries" / f"{key}.json.01234567.new"]
    left += [store / "locks" / f"pylock.{key}.toml.01234567.new"]
    others = [store / "wheels" / "mine", store / "entries" / "mine.json", store / "locks" / "pylock.mine.toml"]
    for path in (*left, *others):
        path.mkdir() if path.parent.name == "wheels" else path.touch()
    maintenance.prune(str(store), 0)
    assert all(path.exists() for path in left)
    for path in (*left, *others):
        os.utime(path, (0, 0))
    (store / "entries" / f"{key}.json").touch()  # the note of an entry that is gone
    maintenance.prune(str(store), 0, 0)
    assert leftovers(store) == [] == [path for path in left if path.exists()]
    assert all(path.exists() for path in others)
    assert not (store / "entries" / f"{key}.json").exists()


def test_an_entry_that_was_removed_after_it_was_found_is_prepared_again(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Another process may prune at any moment."""
    from venvrunner._store import preparation

    real, removed = preparation.prepared, list[int]()

    def prepared(*args: object, **options: object) -> object:
        found = real(*args, **options)  # type: ignore[arg-type]
        if len(removed) < 2:
            removed.append(maintenance.prune(str(store), 0, 0)[0])
        return found

    monkeypatch.setattr(preparation, "prepared", prepared)
    assert take("pocket") == ["pocket"]
    assert removed == [1, 1]
    venv = VenvRunner("venv", tmp_path, requirements=["pocket"], installer="uv", with_pip=False, cached=True)
    assert packages(venv).joinpath("pocket.py").exists()
    assert WITHOUT not in caplog.text
