"""The lock files in ``locks``, as tools write them: each is installed as its answer says, and as pip and uv themselves do."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from uv import find_uv_bin

from helpers.locked_sources import COMMIT, make_files, make_project, make_repository
from venvrunner import LockFileError, VenvRunner, subprocess_util
from venvrunner.installing import InstallerName

LOCKS = Path(__file__).with_name("locks")
ANSWERS = {path.parent.name: json.loads(path.read_text()) for path in sorted(LOCKS.glob("*/answer.json"))}
ASKS = [
    pytest.param(name, ask, id="-".join([name, *ask["options"]])) for name, answer in ANSWERS.items() for ask in answer["asks"]
]
PLAIN = [
    pytest.param(name, ask, id=name)
    for name, answer in ANSWERS.items()
    for ask in answer["asks"]
    if not ask["options"] and "installed" in ask
]
"""What is asked for without a choice, so that others can be asked the same."""
BOTH = [pytest.param("pip", marks=pytest.mark.slow), "uv"]
NO_INDEX = {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1"}


class Placeholders(NamedTuple):
    """What the lock files name."""

    files: Path
    repository: Path


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Placeholders:
    """The files and the repository."""
    top = tmp_path_factory.mktemp("places")
    (top / "files").mkdir()
    return Placeholders(make_files(top / "files"), make_repository(top / "stone.git"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The directory of the project."""
    path = tmp_path / "proj"
    path.mkdir()
    return make_project(path)


def lock_in(folder: Path, name: str, places: Placeholders) -> Path:
    """Write a lock file whose URLs are those of local files."""
    text = (LOCKS / name / "pylock.toml").read_text()
    text = text.replace("https://files.example", places.files.as_uri())
    text = text.replace("https://git.example/stone.git", places.repository.as_uri())
    path = folder / "pylock.toml"
    path.write_text(text)
    return path


def origins(venv: VenvRunner) -> dict[str, dict[str, Any]]:
    """Return where packages are from that are from no index (PEP 610), by their names."""
    found = Path(venv.venv_dir).rglob("direct_url.json")
    return {path.parent.name.partition("-")[0]: json.loads(path.read_text()) for path in found}


@pytest.mark.parametrize("installer", BOTH)
@pytest.mark.parametrize(("name", "ask"), ASKS)
def test_a_lock_file_is_installed_as_its_answer_says(
    name: str, ask: dict[str, Any], installer: InstallerName, places: Placeholders, folder: Path
) -> None:
    """No more and no less, the project in the mode that is locked, a repository at its commit."""
    elsewhere = folder.with_name("elsewhere")
    elsewhere.mkdir()
    lock = lock_in(elsewhere if name == "uv-outside" else folder, name, places)
    with VenvRunner.temporary(with_pip=False, installer=installer) as venv:
        if "error" in ask:
            with pytest.raises(LockFileError) as caught:
                venv.install(lock=lock, extra_env=NO_INDEX, **ask["options"])
            assert re.search(ask["error"], str(caught.value))
            assert venv.installed() == {}
            return
        assert venv.install(lock=lock, extra_env=NO_INDEX, **ask["options"]).added == ask["installed"]
        found = origins(venv)
        assert [package for package, origin in found.items() if origin.get("dir_info", {}).get("editable")] == ask.get(
            "editable", []
        )
        assert found.keys() == {"mine", "stone"} & ask["installed"].keys()
        if "stone" in found:
            assert found["stone"]["vcs_info"]["commit_id"] == COMMIT


@pytest.mark.parametrize("installer", BOTH)
@pytest.mark.parametrize(("name", "ask"), PLAIN)
def test_installers_by_themselves_agree(
    name: str, ask: dict[str, Any], installer: InstallerName, places: Placeholders, folder: Path
) -> None:
    """The answers are theirs; but pip wants a hash of directories and commits too, also in what it has locked itself."""
    lock = lock_in(folder, name, places)
    refused = installer in ask.get("refused_by", [])
    with VenvRunner.temporary(with_pip=installer == "pip") as venv:
        before = venv.installed()
        if installer == "pip" and tuple(map(int, before["pip"].split(".")[:2])) < (26, 1):
            pytest.skip(f"pip {before['pip']} reads no lock files")
        command = {
            "pip": [venv.python_executable, "-m", "pip", "install", "--no-deps"],
            "uv": [find_uv_bin(), "pip", "install", "--preview-features=pylock"],
        }[installer]
        extra_env = {**NO_INDEX, "PIP_NO_CACHE_DIR": "1"}  # it would take the wheel of a commit, if it has built that before
        options: Any = {"cwd": folder, "env": venv.environment(), "extra_env": extra_env, "check": not refused}
        done = subprocess_util.log_run([*command, "-r", str(lock)], **options)
        assert (done.returncode != 0) == refused
        added = {package: version for package, version in venv.installed().items() if package not in before}
        assert added == ({} if refused else ask["installed"])
