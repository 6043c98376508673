"""Installations by the scripted runner: calls like any other, with a receipt."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from venvrunner import (
    InvalidRequirementError,
    NoSuchPackageError,
)
from venvrunner.testing import ScriptedVenvRunner

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
    """As pip has them; what can be read only once is read once."""
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
