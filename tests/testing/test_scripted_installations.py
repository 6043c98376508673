"""Installations by the scripted runner: calls like any other, with a receipt."""

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from venvrunner import (
    InvalidPathError,
    InvalidRequirementError,
    LockFileError,
    LockOptions,
    NoSuchPackageError,
    VenvRunner,
)
from venvrunner._install.misuse import option_advice
from venvrunner._install.options import RequestOptions
from venvrunner._install.pip import _SINCE
from venvrunner.testing import RecordingVenvRunner, ReplayVenvRunner, ScriptedVenvRunner
from venvrunner.testing._pip_call import _ORDER, install_call

INSTALLS: dict[str, Callable[[ScriptedVenvRunner], Any]] = {
    "install": lambda venv: venv.install("pocket>=2", upgrade=True),
    "async_install": lambda venv: asyncio.run(venv.async_install("pocket>=2", upgrade=True)),
    "log_run": lambda venv: venv.log_run(["pip", "install", "--upgrade", "pocket>=2"]),
}


@pytest.mark.parametrize("how", INSTALLS)
def test_an_installation_is_the_call_that_a_person_would_type(how: str) -> None:
    """So one answer is for all ways to install; the receipt and `installed` tell what it has changed."""
    venv = ScriptedVenvRunner(installed={"Pocket": "1.0", "old_thing": "1"})
    changes = {"pocket": "2.0", "New.One": "3", "old-thing": None}
    venv.answer(["pip", "install", "--upgrade", "pocket>=2"], stdout="Installed\n", installed=changes)
    receipt = INSTALLS[how](venv)
    assert receipt.stdout == "Installed\n"
    assert venv.installed() == {"new-one": "3", "pocket": "2.0"}
    if how != "log_run":
        assert (receipt.added, receipt.changed) == ({"new-one": "3"}, {"pocket": ("1.0", "2.0")})
        assert receipt.removed == {"old-thing": "1"}


def test_all_options_of_an_installation_are_in_its_call(tmp_path: Path) -> None:
    """As pip has them, in an order that recordings rely on; what can be read only once is read once."""
    assert {*_ORDER, "deps"} == RequestOptions.__annotations__.keys()
    (tmp_path / "r.txt").touch()
    venv = ScriptedVenvRunner()
    venv.answer([...], times=None)
    venv.install(
        "pocket",
        requirements_files=[tmp_path / "r.txt"],
        find_links=iter([tmp_path]),
        index_url="https://index.example/simple",
        extra_index_urls=["https://more.example/"],
        no_index=False,
        require_hashes=True,
        deps=False,
        pre=True,
        exclude_newer=timedelta(days=7),
        build_constraints=[tmp_path / "r.txt"],
        config_settings={"a": ["b", "c"]},
        timeout=5,
    )
    assert venv.calls[0].args[2:] == [
        "--no-deps",
        f"--requirement={tmp_path / 'r.txt'}",
        "--index-url=https://index.example/simple",
        "--extra-index-url=https://more.example/",
        f"--find-links={tmp_path}",
        "--require-hashes",
        "--pre",
        "--uploaded-prior-to=P7D",
        f"--build-constraint={tmp_path / 'r.txt'}",
        "--config-settings=a=b",
        "--config-settings=a=c",
        "pocket",
    ]
    assert venv.calls[0].timeout == 5


KEYWORDS: dict[str, Any] = {
    "requirements_files": ["r.txt"],
    "constraints": ["r.txt"],
    "editable": ["."],
    "dependency_groups": [],  # pip takes groups; their requirements are read here
    "index_url": "https://index.example/simple",
    "extra_index_urls": ["https://more.example/"],
    "find_links": ["."],
    "no_index": True,
    "require_hashes": True,
    "upgrade": True,
    "deps": False,
    "pre": True,
    "exclude_newer": "2026-01-31",
    "build_constraints": ["r.txt"],
    "config_settings": {"a": "b"},
}
OF_LOCKS = {"lock", "lock_extras", "lock_groups", "lock_projects"}
"""The keywords that pip does not have."""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Provide what the values name."""
    (tmp_path / "r.txt").touch()
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)


def test_each_keyword_of_an_installation_has_a_value_here() -> None:
    """Who adds one adds it to the two tests below, and with that to the calls of doubles and to the advice."""
    assert KEYWORDS.keys() | OF_LOCKS == RequestOptions.__annotations__.keys()


@pytest.mark.usefixtures("files")
def test_the_options_of_a_call_are_those_of_pip(venv: VenvRunner) -> None:
    """A double spells each keyword as pip does, so that a person can paste its call."""
    shown = venv.log_run(["pip", "install", "--help"]).stdout
    version = tuple(map(int, venv.installed()["pip"].split(".")[:2]))
    for name, value in KEYWORDS.items():
        if version >= _SINCE.get(name, (0, 0)):
            flags = [arg.partition("=")[0] for arg in install_call(["pocket"], {name: value})[0][2:-1]]  # type: ignore[misc]
            assert [flag for flag in flags if not re.search(rf"{flag}[ ,\n]", shown)] == [], name


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("name", sorted(KEYWORDS.keys() - {"dependency_groups"}))
def test_an_option_in_place_of_a_keyword_is_told_the_keyword(name: str) -> None:
    """Someone who knows pip passes `"--pre"`, and reads that it is `pre=True` here."""
    (option,) = install_call(["pocket"], {name: KEYWORDS[name]})[0][2:-1]  # type: ignore[misc]
    assert option_advice(option).startswith(f"Use {name}=")


def test_a_scripted_installation_fails_as_a_real_one() -> None:
    """With the exception of its kind; and what no installer would get is refused."""
    venv = ScriptedVenvRunner()
    venv.answer(["pip", "install", "pokcet"], stderr="ERROR: no such thing (from versions: none)\n", returncode=1)
    with pytest.raises(NoSuchPackageError, match="returned non-zero") as caught:
        venv.install_package("pokcet")
    assert any("spelling" in note for note in caught.value.__notes__)
    for bad in ("--pre", "", "a\nb"):
        with pytest.raises(InvalidRequirementError):
            venv.install(bad)
    with pytest.raises(InvalidRequirementError):
        venv.uninstall("../x")
    with pytest.raises(InvalidRequirementError):
        venv.uninstall()


def test_a_removal_is_a_call_too() -> None:
    """With a receipt."""
    venv = ScriptedVenvRunner(installed={"pocket": "1.0"})
    venv.answer(["pip", "uninstall", "--yes", "pocket"], installed={"pocket": None})
    assert venv.uninstall("pocket").removed == {"pocket": "1.0"}


@pytest.mark.parametrize("keyword", ["check", "upgrade", "shell"])
def test_a_removal_takes_no_other_keyword_than_a_real_one(keyword: str) -> None:
    """Nor does it count as a call."""
    venv: Any = ScriptedVenvRunner()
    with pytest.raises(TypeError, match=rf"^{keyword}= (is unknown. The keywords are: carriage_return|can't be used here)"):
        venv.uninstall("pocket", **{keyword: True})
    assert venv.calls == []


def test_a_lock_file_is_the_call_that_a_person_would_type(tmp_path: Path) -> None:
    """With the refusals and the failures of an environment; the double itself writes no file, an answer may."""
    path = tmp_path / "pylock.toml"
    (tmp_path / "r.txt").touch()
    with ScriptedVenvRunner() as venv:
        call = ["pip", "lock", f"--output={path}", f"--requirement={tmp_path / 'r.txt'}", "--pre", "pocket>=2"]
        venv.answer(call, stdout="Resolved\n", side_effect=lambda _call: path.write_text("packages = []"), times=2)
        for is_async in (False, True):
            path.unlink(missing_ok=True)
            requirements = iter([tmp_path / "r.txt"])
            options: LockOptions = {"requirements_files": requirements, "pre": True}
            lock: Any = venv.async_lock if is_async else venv.lock
            done = lock(path, "pocket>=2", **options)
            assert (asyncio.run(done) if is_async else done).stdout == "Resolved\n"
            assert path.exists()
        venv.answer(["pip", "lock", ...], stderr="ERROR: No (from versions: none)", returncode=1)
        with pytest.raises(NoSuchPackageError, match="rufff could not be locked"):
            venv.lock(path, "rufff")
        with pytest.raises(InvalidPathError, match="is not the name of a lock file"):
            venv.lock(tmp_path / "requirements.lock", "pocket")
        with pytest.raises(InvalidRequirementError, match="there is nothing to lock"):
            venv.lock(path)
        venv.answer(["pip", "lock", ..., "--universal", "pocket"])
        venv.lock(path, "pocket", universal=True)
        venv.answer(["pip", "install", "pocket"], installed={"pocket": "1.0"})
        with pytest.raises(LockFileError, match="no installer has reported them"):
            venv.install("pocket").write_lock(path)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_recorded_lock_file_is_replayed_as_a_call(is_async: bool, tmp_path: Path) -> None:
    """What the installer printed, without the file."""
    path, recording = tmp_path / "pylock.toml", tmp_path / "recording.json"

    def lock(venv: Any) -> str:
        arguments: Any = (path, "pip; python_version < '3'")
        return str((asyncio.run(venv.async_lock(*arguments)) if is_async else venv.lock(*arguments)).stderr)

    with VenvRunner.temporary(with_pip=False, installer="uv") as real, RecordingVenvRunner(real, recording) as venv:
        printed = lock(venv)
    assert path.exists()
    path.unlink()
    with ReplayVenvRunner(recording) as replay:
        assert lock(replay) == printed
    assert not path.exists()
