"""Stores that were archived, copied or moved, and stores of many entries: what is in them is used, or made again."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from helpers.programs import run_python
from helpers.stores import PREPARING, WITHOUT, environments, make_project, store, take
from helpers.system import find_tool
from venvrunner import VenvRunner
from venvrunner._store import maintenance

__all__ = ["store"]


def archived(store: Path, *options: str) -> None:
    """Archive a store, remove it and restore it."""
    tar = find_tool("tar")
    if tar is None:
        pytest.skip("tar is missing")
    archive = store.with_name("store.tar")
    subprocess.run([tar, "-C", store.parent, *options, "-cf", archive, store.name], check=True)
    shutil.rmtree(store)
    subprocess.run([tar, "-C", store.parent, "-xf", archive], check=True)


def copied_without_times(store: Path) -> None:
    """Replace a store with a copy of it that has new times."""
    tool = find_tool("cp")
    if tool is None:
        pytest.skip("cp is missing")
    subprocess.run([tool, "-r", "--no-dereference", store, store.with_name("copy")], check=True)
    shutil.rmtree(store)
    store.with_name("copy").rename(store)


def filled(store: Path, tmp_path: Path) -> Path:
    """Prepare an environment of requirements and one of a project; return the project."""
    project = make_project(tmp_path / "project")
    take("needy")
    take(project)
    return project


def check_all(project: Path) -> None:
    """Check the environments of a store, forks and copies, and that their commands are their own."""
    for options in ({"requirements": ["needy"]}, {"requirements": [project]}):
        with VenvRunner.temporary(installer="uv", with_pip=False, cached=True, **options) as venv:
            assert venv.log_run(["pocket"]).stdout.split() == ["pocket", "1.0", venv.venv_dir]
        venv = VenvRunner("venv", project.parent, installer="uv", with_pip=False, cached=True, **options)
        assert venv.log_run(["pocket"]).stdout.split() == ["pocket", "1.0", venv.venv_dir]


@pytest.mark.parametrize("options", [[], ["--posix"]])
def test_an_archived_store_is_used_after_it_is_restored(
    store: Path, tmp_path: Path, options: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Whether the format keeps fractions of seconds or not: nothing is prepared again."""
    project = filled(store, tmp_path)
    archived(store, *options)
    caplog.set_level("INFO", logger="venvrunner")
    check_all(project)
    assert PREPARING not in caplog.text
    assert WITHOUT not in caplog.text
    assert maintenance.verify(str(store)) == {}


def check_prepared_once(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Check that all work with the store, and that a second use prepares nothing."""
    caplog.set_level("INFO", logger="venvrunner")
    check_all(project)
    assert WITHOUT not in caplog.text
    caplog.clear()
    check_all(project)
    assert PREPARING not in caplog.text


def test_a_copy_without_times_costs_time_only(store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It looks as if something had been installed into each entry, so that each is prepared again."""
    project = filled(store, tmp_path)
    copied_without_times(store)
    check_prepared_once(project, caplog)
    assert maintenance.verify(str(store)) == {}


@pytest.mark.parametrize("is_copy", [False, True])
def test_a_moved_store_costs_time_only(
    store: Path, tmp_path: Path, is_copy: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Entries name their own path, so they are prepared again; a copy never uses what the original needs, and the reverse."""
    project = filled(store, tmp_path)
    other = tmp_path / "other" / "store"
    other.parent.mkdir()
    shutil.copytree(store, other, symlinks=True)
    other.chmod(0o700)
    if not is_copy:
        shutil.rmtree(store)
    monkeypatch.setenv("VENVRUNNER_STORE_DIR", str(other))
    check_prepared_once(project, caplog)
    assert maintenance.verify(str(other)) == {}
    shutil.rmtree(other)
    if is_copy:
        monkeypatch.setenv("VENVRUNNER_STORE_DIR", str(store))
        check_all(project)
        assert PREPARING not in caplog.text
        assert maintenance.verify(str(store)) == {}


def test_a_store_may_be_reached_by_a_link_above_it(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the same store, under any spelling of its path."""
    take("needy")
    (tmp_path / "link").symlink_to(".")
    monkeypatch.setenv("VENVRUNNER_STORE_DIR", str(tmp_path / "link" / "store"))
    assert take("needy") == ["needy", "pocket"]
    assert len(environments(store)) == 1


COUNT = """
import os, sys
counts = {}
def watch(event, args):
    if counting and args and isinstance(args[0], (str, bytes, os.PathLike)):
        counts[event] = counts.get(event, 0) + 1
counting = False
sys.addaudithook(watch)
from venvrunner import VenvRunner
options = {"requirements": ["needy"], "installer": "uv", "with_pip": False, "cached": True}
VenvRunner.temporary(**options).delete()
counting = True
VenvRunner.temporary(**options).delete()
counting = False
print(sorted(counts.items()))
"""


def multiplied(store: Path, number: int) -> None:
    """Add copies of the entry in a store, each with its note, and resolutions."""
    (item,) = environments(store)
    for count in range(number):
        key = f"{count:032x}"
        shutil.copytree(item.path, store / "entries" / key, symlinks=True, ignore=lambda path, names: ["site-packages"])
        shutil.copy2(f"{item.path}.json", store / "entries" / f"{key}.json")
        (store / "locks" / f"pylock.{key}.toml").touch()
        (store / "wheels" / key).mkdir()


def counted() -> str:
    """Return how many things of each kind one more environment from the store takes."""
    done = run_python(COUNT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_lookup_takes_the_same_steps_among_many_entries(store: Path) -> None:
    """Files opened, listed, made and removed: as many among five hundred entries as alone."""
    take("needy")
    before = counted()
    multiplied(store, 500)
    assert counted() == before
    assert "open" in before


def test_the_home_directory_of_a_store_is_listed_nowhere(store: Path) -> None:
    """A lookup lists neither the entries nor the wheels nor the locks."""
    take("needy")
    code = COUNT.replace(
        "counts[event] = counts.get(event, 0) + 1", "event.endswith(('listdir', 'scandir')) and print(args[0])"
    )
    done = run_python(code)
    listed = {os.path.normpath(line) for line in done.stdout.splitlines()[:-1]}
    assert not listed & {str(store), *(str(path) for path in store.iterdir())}
