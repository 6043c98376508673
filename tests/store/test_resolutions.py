"""Resolutions: what requirements resolved to counts for `max_age` seconds; and errors are those of other creations."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from helpers.environments import ONLINE
from helpers.stores import WITHOUT, add_release, environments, make_project, store, take
from venvrunner import CreationError, NotAVenvError, VenvExistsError, VenvRunner, VenvSpec
from venvrunner.exceptions import (
    BuildFailedError,
    InterpreterNotFoundError,
    InvalidRequirementError,
    LockFileError,
    NoSuchPackageError,
)  # fmt: skip
from venvrunner.installing import InstallerName

__all__ = ["store"]

DAY = 86_400


def aged(store: Path, seconds: float) -> None:
    """Let the resolutions in a store have been made some time ago."""
    for path in store.glob("locks/*"):
        os.utime(path, (time.time() - seconds,) * 2)


def version(**options: Any) -> str:
    """Return which version of pocket an environment from the store has."""
    with VenvRunner.temporary(requirements=["pocket"], installer="uv", with_pip=False, cached=True, **options) as venv:
        return venv.installed()["pocket"]


def test_a_resolution_counts_for_a_day(store: Path, tmp_path: Path) -> None:
    """A new release is seen after that, or after the time that is chosen."""
    assert version() == "1.0"
    add_release(tmp_path, "2.0")
    aged(store, DAY - 600)
    assert version() == "1.0"
    assert version(max_age=DAY) == "1.0"
    assert version(max_age=DAY - 1200) == "2.0"
    add_release(tmp_path, "3.0")
    aged(store, DAY + 1)
    assert version() == "3.0"
    assert len(environments(store)) == 3


def test_a_clock_that_went_back_makes_nothing_old(store: Path, tmp_path: Path) -> None:
    """A resolution from the future counts; but zero resolves each time."""
    version()
    add_release(tmp_path, "2.0")
    aged(store, -DAY)
    assert version() == "1.0"
    assert version(max_age=0) == "2.0"


def test_zero_resolves_each_time_and_uses_an_equal_entry(store: Path, tmp_path: Path) -> None:
    """Nothing is prepared again if the result is the same; the resolution counts for others from then on."""
    version()
    aged(store, 2 * DAY)
    before = time.time() - 1
    assert version(max_age=0) == "1.0"
    assert len(environments(store)) == 1
    (path,) = store.glob("locks/*")
    assert path.stat().st_mtime >= before
    add_release(tmp_path, "2.0")
    assert version() == "1.0"
    assert version(max_age=0) == version() == "2.0"


@pytest.mark.parametrize(
    "text", ["", "lock-version = ", "\0", "[[packages]]", 'lock-version = "9"\ncreated-by = "x"\npackages = []']
)
def test_a_damaged_resolution_is_made_again(store: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is in its file."""
    version()
    (path,) = store.glob("locks/*")
    path.write_text(text)
    caplog.set_level("INFO", logger="venvrunner")
    assert version() == "1.0"
    assert WITHOUT not in caplog.text


def test_a_resolution_whose_files_are_gone_is_not_kept(
    store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment is made without the store, and the next resolution finds what there is now."""
    monkeypatch.setenv("UV_NO_CACHE", "1")
    add_release(tmp_path, "2.0")
    assert version() == "2.0"
    shutil.rmtree(environments(store)[0].path)
    (tmp_path / "wheelhouse" / "pocket-2.0-py3-none-any.whl").unlink()
    caplog.set_level("INFO", logger="venvrunner")
    assert version() == "1.0"
    assert WITHOUT in caplog.text
    caplog.clear()
    assert version() == "1.0"
    assert WITHOUT not in caplog.text


@pytest.mark.parametrize("value", [-1, float("nan"), "1", True, None])
def test_a_wrong_age_is_refused(store: Path, value: Any) -> None:
    """Before anything is started."""
    with pytest.raises((TypeError, ValueError), match=r"max_age must be a (non-negative )?number of seconds"):
        version(max_age=value)
    assert not store.exists()


def broken(tmp_path: Path) -> Path:
    """Write a project whose build fails."""
    project = make_project(tmp_path / "broken")
    (project / "backend.py").write_text("raise SystemExit('it is broken')\n")
    return project


def text_of(error: BaseException, venv_dir: str) -> str:
    """Return what people see of an error, without the paths of temporary directories."""
    import re

    lines = [str(error), *getattr(error, "__notes__", ())]
    return re.sub(r"/\S*(venvrunner-|pip-|/entries/)\S*|in [\d.]+m?s", "", "\n".join(lines).replace(venv_dir, ""))


@pytest.mark.parametrize("installer", ["pip", "uv"])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("unknown", NoSuchPackageError),
        ("broken", BuildFailedError),
        ("wrong", InvalidRequirementError),
        ("lock", LockFileError),
        ("python", InterpreterNotFoundError),
    ],
)
def test_errors_are_those_of_a_creation_without_the_store(
    store: Path,
    tmp_path: Path,
    kind: str,
    expected: type[Exception],
    installer: InstallerName,
    few_interpreters: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same class and the same text, and neither the target nor an unfinished entry is left."""
    monkeypatch.delenv("UV_OFFLINE")  # it has an error of its own
    for name, value in ONLINE.items():
        monkeypatch.setenv(name, value)
    options: dict[str, dict[str, Any]] = {
        "unknown": {"requirements": ["no-such-package"]},
        "broken": {"requirements": [broken(tmp_path)]},
        "wrong": {"requirements": ["--evil"]},
        "lock": {"lock": tmp_path / "missing" / "pylock.toml"},
        "python": {"python": "9.9"},
    }
    found = []
    for cached in (False, True):
        with pytest.raises(expected) as caught:
            VenvRunner("venv", tmp_path / "top", installer=installer, cached=cached, **options[kind])
        assert type(caught.value) is expected
        found.append(text_of(caught.value, str(tmp_path / "top" / "venv")))
        assert not (tmp_path / "top").exists()
    assert found[0] == found[1]
    assert not list(store.glob("entries/*"))


def test_what_exists_is_treated_as_without_the_store(store: Path, tmp_path: Path) -> None:
    """Refused before anything is prepared, recreated, reused, and never deleted if it is no environment."""
    spec = VenvSpec(requirements=["pocket"], installer="uv", with_pip=False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("precious")
    with pytest.raises(NotAVenvError):
        spec.create("mine", tmp_path, cached=True)
    old = VenvRunner("venv", tmp_path, with_pip=False)
    mark = Path(old.venv_dir, "mark")
    mark.touch()
    del old
    with pytest.raises(VenvExistsError, match=r"already exists\. Pass exist='reuse' to keep it"):
        spec.create("venv", tmp_path, cached=True, exist="error")
    assert not store.exists()
    assert mark.exists()
    spec.create("venv", tmp_path, cached=True, exist="reuse")
    assert not mark.exists()
    mark.touch()
    spec.create("venv", tmp_path, cached=True, exist="reuse")
    assert mark.exists()
    spec.create("venv", tmp_path, cached=True, exist="clear")
    assert not mark.exists()
    assert spec.create("new", tmp_path, cached=True, exist="error").installed() == {"pocket": "1.0"}
    assert (tmp_path / "mine" / "file").read_text() == "precious"
    (tmp_path / "file").touch()
    with pytest.raises(CreationError):
        spec.create("venv", tmp_path / "file" / "top", cached=True)


def test_nothing_but_the_target_and_the_store_is_touched(store: Path, tmp_path: Path) -> None:
    """Not the project, nor the wheels, nor the neighbours of the store."""
    from helpers.files import listing

    project = make_project(tmp_path / "project")
    (tmp_path / "neighbour").write_text("precious")
    take(project)
    (tmp_path / "builds").unlink()
    before = {path: found for path, found in listing(tmp_path).items() if not path.startswith(str(store))}
    take(project)
    take(project, max_age=0)
    from venvrunner._store import maintenance

    maintenance.prune(str(store), 0, 0)
    maintenance.verify(str(store))
    assert {path: found for path, found in listing(tmp_path).items() if not path.startswith(str(store))} == before


class Own(VenvRunner):
    """A runner with a constructor of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__("own", folder, requirements=["pocket"], installer="uv", with_pip=False, cached=True)


def test_a_subclass_may_have_another_constructor(store: Path, tmp_path: Path) -> None:
    """The store prepares its entries without it."""
    assert Own(tmp_path).installed() == {"pocket": "1.0"}
    assert len(environments(store)) == 1
