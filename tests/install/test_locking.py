"""Lock files written here: what is in them, that they install the same, and that a failure leaves the old one."""

import asyncio
import hashlib
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

import pytest

from helpers.environments import ONLINE, packages
from helpers.index_server import PASSWORD, USER, Index, dated_index, forget_settings, index
from helpers.locked_sources import COMMIT, files_of, make_files, make_project, make_repository
from helpers.programs import SOURCE, run_python
from helpers.system import LINUX
from helpers.waiting import DEADLINE, wait_until
from helpers.wheels import make_wheel
from venvrunner import (
    InstallationError,
    InstallerNotFoundError,
    InvalidPathError,
    InvalidRequirementError,
    LockFileError,
    NoSuchPackageError,
    Receipt,
    VenvRunner,
)
from venvrunner._install.locking import make_order
from venvrunner._install.pip import Pip
from venvrunner._install.portable import without_login
from venvrunner._install.request import Request
from venvrunner.installing import InstallerName

__all__ = ["index"]

OLD = "# the old file\n"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    forget_settings(monkeypatch, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of wheels and a source distribution, in place of an index."""
    folder = tmp_path_factory.mktemp("files")
    make_wheel(folder, "pocket", "1.0")
    make_wheel(folder, "pocket", "2.0")
    make_wheel(folder, "pocket", "3.0rc1")
    make_wheel(folder, "needy", requires=["pocket"])
    return make_files(folder)


@pytest.fixture
def offline(files: Path) -> dict[str, Any]:
    """Where to look."""
    return {"find_links": [files], "no_index": True}


# pip takes a second for each call, so most tests of it are left to those who have the time.
@pytest.fixture(params=[pytest.param("pip", marks=pytest.mark.slow), "uv"])
def runner(request: pytest.FixtureRequest) -> Iterator[VenvRunner]:
    """An environment of one's own, without pip."""
    with VenvRunner.temporary(with_pip=False, installer=request.param) as venv:
        yield venv


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The directory of the project "mine", which has the old lock file."""
    path = tmp_path / "a b $HOME ${HOME} [é]"
    path.mkdir()
    make_project(path)
    (path / "pylock.toml").write_text(OLD)
    return path


both = pytest.mark.parametrize("runner", get_args(InstallerName), indirect=True)
only_uv = pytest.mark.parametrize("runner", ["uv"], indirect=True)


def locked(path: Path) -> dict[str, Any]:
    """Return the packages of a lock file by their names."""
    return {package.pop("name"): package for package in tomllib.loads(path.read_text())["packages"]}


def listing(folder: Path) -> dict[str, bytes]:
    """Return all files of a directory; what builds leave does not count."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@both
def test_a_lock_file_lists_what_requirements_need(runner: VenvRunner, offline: dict[str, Any], tmp_path: Path) -> None:
    """With the hash of each file; nothing is installed; and the next call writes the same bytes."""
    path = tmp_path / "pylock.toml"
    done = runner.lock(path, "needy", **offline)
    assert done.returncode == 0
    assert runner.installed() == {}
    found = locked(path)
    assert {name: package["version"] for name, package in found.items()} == {"needy": "1.0", "pocket": "2.0"}
    for package in found.values():
        (wheel,) = package["wheels"]
        file = Path(wheel["url"].removeprefix("file://"))
        assert wheel["hashes"] == {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    first = path.read_bytes()
    path.write_text(OLD)
    path.chmod(0o640)
    asyncio.run(runner.async_lock(str(path), "needy", **offline))
    assert path.read_bytes() == first
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["pylock.toml"]


def frozen(runner: VenvRunner) -> list[str]:
    """Return what `pip freeze --all` prints, without the hashes that it adds to URLs of files."""
    lines = runner.log_run(["python", "-m", "pip", "freeze", "--all"]).stdout.splitlines()
    return sorted(line.partition("#sha256=")[0] for line in lines if not line.startswith("# Editable"))


@pytest.mark.parametrize("installer", get_args(InstallerName))
@pytest.mark.parametrize("editable", [False, True])
def test_a_lock_file_installs_what_its_requirements_install(
    installer: InstallerName, editable: bool, files: Path, offline: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    """Wheels, a source distribution, the project, a wheel by its path and a commit: the environments are equal."""
    repository = make_repository(tmp_path / "stone.git")
    requirements: list[Any] = [files / "pebble-0.5-py3-none-any.whl", f"stone @ git+{repository.as_uri()}@{COMMIT}", "needy"]
    options: dict[str, Any] = {**offline, "editable": [folder] if editable else []}
    requirements += [] if editable else [folder]
    lock = folder / "pylock.toml"
    with VenvRunner.temporary(installer=installer) as first, VenvRunner.temporary(installer=installer) as second:
        receipt = first.install(*requirements, **options)
        assert receipt.added.keys() == {
            "harbor-tools", "lantern", "mine", "needy", "pebble", "pocket", "river-bank", "stone"
        }  # fmt: skip
        first.lock(lock, *requirements, **options)
        assert first.installed() == second.install(lock=lock, **offline).added | {"pip": first.installed()["pip"]}
        assert second.installed() == first.installed()
        assert frozen(second) == frozen(first)
    assert locked(lock)["mine"]["directory"] == {"path": ".", "editable": True} if editable else {"path": "."}


@both
def test_a_lock_file_can_be_moved_with_its_project(runner: VenvRunner, files: Path, folder: Path, tmp_path: Path) -> None:
    """All that is in its directory has a relative path, however it was given; a file elsewhere has an absolute one."""
    shutil.copytree(files, folder / "links")
    (folder / "part").mkdir()
    for name, text in files_of("part").items():
        (folder / "part" / name).write_text(text)
    (folder / "needs.txt").write_text("./part\n" if runner.installer == "pip" else "part @ ./part\n")
    elsewhere = files / "quill-3.0-py3-none-any.whl"
    near = folder / "links" / "pebble-0.5-py3-none-any.whl"
    lock = folder / "pylock.toml"
    runner.lock(
        lock, near, elsewhere, "needy", editable=[folder], requirements_files=[folder / "needs.txt"],
        find_links=[folder / "links"], no_index=True, cwd=folder,
    )  # fmt: skip
    found = locked(lock)
    assert found["mine"]["directory"] == {"path": ".", "editable": True}
    assert found["part"]["directory"] == {"path": "part"}
    assert found["pebble"]["archive"]["path"] == "links/pebble-0.5-py3-none-any.whl"
    assert found["quill"]["archive"]["path"] == str(elsewhere)
    assert found["needy"]["wheels"][0]["path"] == "links/needy-1.0-py3-none-any.whl"
    assert found["river-bank"]["sdist"]["path"] == "links/River.Bank-1.0.zip"
    moved = tmp_path / "moved"
    folder.rename(moved)
    receipt = runner.install(lock=moved / "pylock.toml", extra_env={"PIP_NO_INDEX": "1", "UV_OFFLINE": "1"})
    assert receipt.added.keys() == found.keys()
    assert receipt.sources["mine"][1] == f"-e {moved.as_uri()}"


@pytest.mark.parametrize("given", ["requirement", "name", "editable", "file"])
def test_a_project_outside_is_refused(
    given: str, runner: VenvRunner, offline: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    """It has no hash, so that the lock file could not be installed; the message says where to write it."""
    beside = tmp_path / "beside"
    beside.mkdir()
    lock = beside / "pylock.toml"
    lock.write_text(OLD)
    given_as: dict[str, list[Any]] = {"requirement": [folder], "name": [f"mine @ {folder.as_uri()}"]}
    options: dict[str, Any] = {**offline, "editable": [folder] if given == "editable" else []}
    if given == "file":
        plain = tmp_path / "plain"
        folder.rename(plain)
        (tmp_path / "needs.txt").write_text(f"{plain}\n")
        options["requirements_files"] = [tmp_path / "needs.txt"]
        folder = plain
    with pytest.raises(LockFileError, match="is outside the lock file's own directory and has no hash") as caught:
        runner.lock(lock, *given_as.get(given, []), **options)
    assert f"Write the lock file to {str(folder)!r} or a directory above it" in str(caught.value)
    assert listing(beside) == {"pylock.toml": OLD.encode()}


def test_a_link_that_leads_outside_is_outside(folder: Path, tmp_path: Path) -> None:
    """Whatever the path says: an installation follows links too."""
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "link").symlink_to(folder)
    with pytest.raises(LockFileError, match="outside"):
        make_order(tmp_path / "top" / "pylock.toml", Request(editable=((tmp_path / "top" / "link").as_uri(),)), {}, False)


def test_the_keywords_limit_what_is_locked(
    runner: VenvRunner, offline: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Constraints, pre-releases, dependencies, requirements files and dependency groups."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.txt").write_text("pocket<2\n")
    (tmp_path / "r.txt").write_text("pebble\n")
    (tmp_path / "pyproject.toml").write_text(
        '[dependency-groups]\nbase = ["quill"]\ntest = [{include-group = "base"}, "pebble"]\n'
    )

    def versions(*requirements: str, **options: Any) -> dict[str, str]:
        runner.lock("pylock.test.toml", *requirements, **offline, **options)
        return {name: package["version"] for name, package in locked(tmp_path / "pylock.test.toml").items()}

    assert versions("needy", constraints=["c.txt"]) == {"needy": "1.0", "pocket": "1.0"}
    assert versions("needy", pre=True) == {"needy": "1.0", "pocket": "3.0rc1"}
    assert versions("needy", deps=False) == {"needy": "1.0"}
    assert versions("quill", requirements_files=["r.txt"]) == {"pebble": "0.5", "quill": "3.0"}
    assert versions(dependency_groups=["test"]) == {"pebble": "0.5", "quill": "3.0"}


def test_releases_after_a_time_are_not_locked(runner: VenvRunner, files: Path, tmp_path: Path) -> None:
    """As for an installation; and the file says where the file is on the index."""
    with dated_index(files) as http:
        runner.lock(tmp_path / "pylock.toml", "pocket", index_url=f"{http}/simple", exclude_newer="2015-01-01")
        (wheel,) = locked(tmp_path / "pylock.toml")["pocket"]["wheels"]
        assert wheel["url"] == f"{http}/pocket-1.0-py3-none-any.whl"
        first = (tmp_path / "pylock.toml").read_bytes()
        runner.lock(tmp_path / "pylock.toml", "pocket", index_url=f"{http}/simple", exclude_newer="2015-01-01")
        assert (tmp_path / "pylock.toml").read_bytes() == first
        assert runner.install(lock=tmp_path / "pylock.toml").added == {"pocket": "1.0"}


@both
def test_a_requirement_for_another_platform_is_left_out(runner: VenvRunner, offline: dict[str, Any], tmp_path: Path) -> None:
    """By both installers; without any other, the lock file is valid and empty."""
    lock = tmp_path / "pylock.toml"
    runner.lock(lock, "needy; sys_platform == 'none'", "pebble", **offline)
    assert locked(lock).keys() == {"pebble"}
    runner.lock(lock, "needy; sys_platform == 'none'", **offline)
    assert lock.read_text().endswith("packages = []\n")
    assert repr(runner.install(lock=lock)) == "nothing changed"


def test_a_universal_lock_file_has_markers(runner: VenvRunner, offline: dict[str, Any], tmp_path: Path) -> None:
    """uv resolves for all platforms, and the file installs what is for this one; pip refuses."""
    lock = tmp_path / "pylock.toml"
    lock.write_text(OLD)
    requirements = ["needy; sys_platform == 'win32'", "pebble; sys_platform != 'win32'", "quill"]
    if runner.installer == "pip":
        with pytest.raises(InvalidRequirementError, match="Use installer='uv'"):
            runner.lock(lock, *requirements, universal=True, **offline)
        assert lock.read_text() == OLD
        return
    runner.lock(lock, *requirements, universal=True, **offline)
    found = locked(lock)
    assert found.keys() == {"needy", "pebble", "pocket", "quill"}
    assert found["pocket"]["marker"] == "sys_platform == 'win32'"
    assert "marker" not in found["quill"]
    here = {"needy", "pocket", "quill"} if sys.platform == "win32" else {"pebble", "quill"}
    assert runner.install(lock=lock, **offline).added.keys() == here


def test_a_password_of_the_index_is_not_written(runner: VenvRunner, index: Index, tmp_path: Path) -> None:
    """The lock file is shared; who installs from it gives a password of their own."""
    lock = tmp_path / "pylock.toml"
    done = runner.lock(lock, "pocket", index_url=index.url())
    (wheel,) = locked(lock)["pocket"]["wheels"]
    assert wheel["url"] == f"http://127.0.0.1:{index.port}/packages/pocket-2.0-py3-none-any.whl"
    assert "@" not in lock.read_text()
    assert quote(PASSWORD, safe="") not in lock.read_text() + done.stdout
    assert runner.install(lock=lock, index_url=index.url()).added == {"pocket": "2.0"}


@both
def test_a_password_of_a_url_is_not_written(runner: VenvRunner, index: Index, tmp_path: Path) -> None:
    """Though both installers write it; who installs has it in their netrc, or in a keyring."""
    lock = tmp_path / "pylock.toml"
    url = index.url(path="packages/pocket-2.0-py3-none-any.whl")
    done = runner.lock(lock, f"pocket @ {url}", no_index=True)
    assert locked(lock)["pocket"]["archive"]["url"] == index.url(None, "packages/pocket-2.0-py3-none-any.whl")
    assert "@127" not in lock.read_text()
    assert quote(PASSWORD, safe="") not in lock.read_text() + done.stdout
    netrc = tmp_path / "netrc"
    escaped = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
    netrc.write_text(f'machine 127.0.0.1\nlogin {USER}\npassword "{escaped}"\n')
    netrc.chmod(0o600)
    assert runner.install(lock=lock, extra_env={"NETRC": str(netrc)}).added == {"pocket": "2.0"}


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://token@host.example/r", "https://host.example/r"),
        ("https://me:p%40ss@[::1]:8080/r?a=b@c#d", "https://[::1]:8080/r?a=b@c#d"),
        ("ssh://git@host.example/r", "ssh://git@host.example/r"),
        ("git+ssh://git:pw@host.example/r", "git+ssh://git@host.example/r"),
        ("https://host.example/@scope/r", "https://host.example/@scope/r"),
        ("file:///a@b/c", "file:///a@b/c"),
    ],
)
def test_a_url_keeps_all_but_its_login(url: str, kept: str) -> None:
    """Except the user of ssh, without whom a repository cannot be reached."""
    assert without_login(url) == kept


FAILURES: dict[str, tuple[list[str], dict[str, Any], type[Exception]]] = {
    "no such package": (["no-such-package"], {}, NoSuchPackageError),
    "no version": (["needy", "pocket>5"], {}, InstallationError),
    "nothing to lock": ([], {}, InvalidRequirementError),
    "an option": (["--pre"], {}, InvalidRequirementError),
    "no requirements file": ([], {"requirements_files": ["missing.txt"]}, InvalidRequirementError),
    "an unknown keyword": (["needy"], {"upgrade": True}, TypeError),
    "a lock file": (["needy"], {"lock": "pylock.toml"}, TypeError),
    "universal without a meaning": (["needy"], {"universal": "yes"}, TypeError),
}


@pytest.mark.parametrize(("requirements", "options", "kind"), FAILURES.values(), ids=FAILURES)
def test_a_failure_leaves_the_old_lock_file(
    requirements: list[str],
    options: dict[str, Any],
    kind: type[Exception],
    runner: VenvRunner,
    offline: dict[str, Any],
    folder: Path,
) -> None:
    """And nothing beside it."""
    before = listing(folder)
    with pytest.raises(kind):
        runner.lock(folder / "pylock.toml", *requirements, **offline, **options)
    assert listing(folder) == before


def test_a_timeout_leaves_the_old_lock_file(runner: VenvRunner, index: Index, folder: Path) -> None:
    """In both kinds of calls."""
    before = listing(folder)
    options: dict[str, Any] = {"index_url": index.url(path="hang/"), "timeout": 1.5}
    with pytest.raises(subprocess.TimeoutExpired):
        runner.lock(folder / "pylock.toml", "pocket", **options)
    with pytest.raises(subprocess.TimeoutExpired):
        asyncio.run(runner.async_lock(folder / "pylock.toml", "pocket", **options))
    assert listing(folder) == before


BACK_END = """import os, time
def build_wheel(folder, config_settings=None, metadata_directory=None):
    open({mark!r}, "w").close()
    while True:
        time.sleep(1)
"""
LOCK = """import sys
from venvrunner import VenvRunner
with VenvRunner.temporary(with_pip=False, installer=sys.argv[1]) as venv:
    venv.lock(sys.argv[2], sys.argv[3])
"""


@pytest.mark.parametrize("presses", [1, 2])
@pytest.mark.parametrize("installer", get_args(InstallerName))
def test_ctrl_c_leaves_the_old_lock_file(installer: str, presses: int, folder: Path, tmp_path: Path) -> None:
    """In the middle of a build, also if it is pressed again while the first is handled."""
    mark = tmp_path / "mark"
    part = folder / "part"
    part.mkdir()
    (part / "pyproject.toml").write_text('[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n')
    (part / "backend.py").write_text(BACK_END.format(mark=str(mark)))
    before = listing(folder)
    argv = [sys.executable, "-c", LOCK, installer, str(folder / "pylock.toml"), str(part)]
    with subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": SOURCE}, stderr=subprocess.PIPE) as process:
        wait_until(mark.exists, "the build has begun")
        for _press in range(presses):
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=2 * DEADLINE)
    assert process.returncode == -signal.SIGINT
    assert listing(folder) == before


LIMITED = """
import resource, signal, sys
from venvrunner import InstallationError, InvalidPathError, VenvRunner
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with VenvRunner.temporary(with_pip=False, installer=sys.argv[1]) as venv:
    options = {"find_links": [sys.argv[3]], "no_index": True}
    for limit in (0, 1, 100, 400):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            venv.lock(sys.argv[2], "needy", **options)
        except (InstallationError, InvalidPathError) as exc:
            print("refused", type(exc).__name__)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""


@pytest.mark.skipif(not LINUX, reason="it has this limit")
@pytest.mark.parametrize("installer", [pytest.param("pip", marks=pytest.mark.slow), "uv"])
def test_a_disk_without_room_leaves_the_old_lock_file(installer: str, files: Path, folder: Path) -> None:
    """However far the installer comes."""
    before = listing(folder)
    result = run_python(LIMITED, installer, str(folder / "pylock.toml"), str(files))
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["refused"] * 4, result.stderr
    assert listing(folder) == before


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("requirements.lock", "is not the name of a lock file"),
        ("pylock.a.b.toml", "is not the name of a lock file"),
        ("", "is not the name of a lock file"),
        ("missing/pylock.toml", "its directory does not exist"),
        ("pylock.dir.toml", "it is a directory"),
        pytest.param("/proc/pylock.toml", "cannot be written", marks=pytest.mark.skipif(not LINUX, reason="it has /proc")),
    ],
)
def test_a_path_that_cannot_be_written_is_refused(name: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before an installer starts."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pylock.dir.toml").mkdir()
    with VenvRunner.temporary(with_pip=False) as venv, pytest.raises(InvalidPathError, match=why):
        venv.lock(name, "no-such-package", no_index=True)
    with VenvRunner.temporary(with_pip=False) as venv, pytest.raises(TypeError, match="path must be a str or a path"):
        venv.lock(7, "pocket")  # type: ignore[arg-type]  # it is wrong


MODULE = """import os, sys
text = os.environ["TEXT"]
if text:
    path = next(arg for arg in sys.argv if arg.startswith("--output=")).partition("=")[2]
    with open(path, "wb") as file:
        file.write(os.fsencode(text))
"""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the installer has written none"),
        ("nothing", "cannot be used"),
        ("\udcff", "cannot be used"),
        ('lock-version = "9.0"\ncreated-by = "pip"\npackages = []\n', "9.0"),
        ('lock-version = "1.0"\ncreated-by = "pip"\n[[packages]]\nname = "a"\n', "cannot be used"),
    ],
)
def test_a_wrong_file_of_the_installer_is_refused(text: str, why: str, folder: Path) -> None:
    """It does not replace the old one, and the message names the lock file."""
    before = listing(folder)
    with VenvRunner.temporary() as venv:
        pip = packages(venv) / "pip"
        shutil.rmtree(pip)
        pip.mkdir()
        (pip / "__main__.py").write_text(MODULE)
        with pytest.raises(LockFileError, match=why) as caught:
            venv.lock(folder / "pylock.toml", "needy", extra_env={"TEXT": text})
    assert str(folder / "pylock.toml") in str(caught.value)
    assert listing(folder) == before


def test_a_pip_that_cannot_lock_is_refused() -> None:
    """pip writes lock files since 25.1."""
    for version in ("25.0.1", "9.0"):
        with pytest.raises(InstallerNotFoundError, match=r"needs pip 25\.1 or newer, and this pip is"):
            Pip.own(version).lock(Request(requirements=("x",)), "python", "pylock.toml", universal=False)
    assert Pip.own("25.1").lock(Request(requirements=("x",)), "python", "p", universal=False)[0][4:6] == ["lock", "--output=p"]


@pytest.mark.parametrize(
    "setting", ["universal = true", 'no-emit-package = ["pebble"]', 'output-file = "other.toml"', 'python-version = "3.99"',
                'python-platform = "windows"']
)  # fmt: skip
@only_uv
def test_settings_of_uv_do_not_change_what_is_locked(
    setting: str, runner: VenvRunner, offline: dict[str, Any], tmp_path: Path
) -> None:
    """The lock file is for this environment, and has all of it."""
    (tmp_path / "uv.toml").write_text(f"[pip]\n{setting}\n")
    lock = tmp_path / "pylock.toml"
    env = {"UV_CONFIG_FILE": str(tmp_path / "uv.toml"), "UV_NO_CONFIG": None}
    runner.lock(lock, "pebble", "needy; sys_platform == 'win32'", extra_env=env, **offline)
    assert locked(lock).keys() == {"pebble"}
    assert sorted(os.listdir(tmp_path)) == ["pylock.toml", "uv.toml"]


@pytest.mark.network
def test_packages_of_a_real_index_are_locked(runner: VenvRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the same, and what is installed from the lock file is what the requirements give."""
    monkeypatch.undo()
    lock = tmp_path / "pylock.toml"
    runner.lock(lock, "pytest==8.4.2", extra_env=ONLINE)
    first = lock.read_bytes()
    runner.lock(lock, "pytest==8.4.2", extra_env=ONLINE)
    assert lock.read_bytes() == first
    added = runner.install(lock=lock, extra_env=ONLINE).added
    assert added["pytest"] == "8.4.2"
    with VenvRunner.temporary(with_pip=False, installer=runner.installer) as other:
        assert other.install("pytest==8.4.2", extra_env=ONLINE).added == added


def test_a_receipt_locks_what_pip_has_installed(
    files: Path, offline: dict[str, Any], index: Index, folder: Path, tmp_path: Path
) -> None:
    """Each file with its hash, a commit, the project: no more, wherever it came from, and without passwords."""
    repository = make_repository(tmp_path / "stone.git")
    (tmp_path / "home").mkdir()
    url = index.url(path="packages/pocket-2.0-py3-none-any.whl")
    lock = folder / "pylock.toml"
    with VenvRunner.temporary() as venv:
        requirements: list[Any] = [
            f"pocket @ {url}",
            f"stone @ git+{repository.as_uri()}@{COMMIT}",
            files / "pebble-0.5-py3-none-any.whl",
        ]
        receipt = venv.install(*requirements, editable=[folder], **offline)
        assert quote(PASSWORD, safe="") not in repr(vars(receipt))
        copy = pickle.loads(pickle.dumps(receipt))
        copy.write_lock(lock)
        found = locked(lock)
        assert (
            found.keys()
            == receipt.added.keys()
            == {"harbor-tools", "lantern", "mine", "pebble", "pocket", "river-bank", "stone"}
        )
        assert found["pocket"]["archive"]["url"] == index.url(None, "packages/pocket-2.0-py3-none-any.whl")
        assert found["mine"]["directory"] == {"path": ".", "editable": True}
        assert found["stone"]["vcs"]["commit-id"] == COMMIT
        first = lock.read_bytes()
        receipt.write_lock(str(lock))
        assert lock.read_bytes() == first
        again = venv.install("needy", **offline)
        again.write_lock(lock)
        assert locked(lock).keys() == {"needy"}  # pocket was there
        lock.write_bytes(first)
    netrc = tmp_path / "netrc"
    escaped = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
    netrc.write_text(f'machine 127.0.0.1\nlogin {USER}\npassword "{escaped}"\n')
    netrc.chmod(0o600)
    with VenvRunner.temporary() as venv:
        assert venv.install(lock=lock, extra_env={"NETRC": str(netrc), "PIP_NO_INDEX": "1"}).added == receipt.added


def test_a_receipt_locks_what_a_lock_file_has_installed(files: Path, offline: dict[str, Any], tmp_path: Path) -> None:
    """Also the directories, which pip installs in a second call."""
    project = make_project(tmp_path)
    lock, other = tmp_path / "pylock.toml", tmp_path / "pylock.other.toml"
    with VenvRunner.temporary() as venv:
        venv.lock(lock, project, **offline)
        venv.install(lock=lock, extra_env={"PIP_NO_INDEX": "1"}).write_lock(other)
        assert {name: package.get("version") for name, package in locked(other).items()} == {
            name: package.get("version") for name, package in locked(lock).items()
        }


def test_a_receipt_without_a_report_says_what_to_do(offline: dict[str, Any], files: Path, folder: Path) -> None:
    """uv writes none, an old pip writes none, and a removal installs nothing; the call in the message locks the same."""
    before = listing(folder)
    lock = folder / "pylock.toml"
    with VenvRunner.temporary(with_pip=False, installer="uv") as venv:
        receipt = venv.install("needy", files / "pebble-0.5-py3-none-any.whl", editable=[folder], **offline)
        with pytest.raises(LockFileError, match=r"uv does not report them\. Use lock\('.*, deps=False\)") as caught:
            receipt.write_lock(lock)
        assert "'needy==1.0'" in str(caught.value)
        assert "editable=['file://" in str(caught.value)
        with pytest.raises(LockFileError, match="the call has removed packages"):
            venv.uninstall("needy").write_lock(lock)
    with pytest.raises(LockFileError, match="no installer has reported them"):
        Receipt(subprocess.CompletedProcess([], 0, "", ""), {}, {"a": "1"}).write_lock(lock)
    with pytest.raises(InvalidPathError, match="is not the name of a lock file"):
        receipt.write_lock(folder / "lock.toml")
    assert listing(folder) == before
    command = ["python", "-I", "-m", "pip", "install", "--", "x"]
    assert Pip.own("22.3.1").reported(command, "r", {}) == (command, "that needs pip 23.0 or newer, and this pip is 22.3.1")
    assert Pip.own("23.0").reported(command, "r", {"PIP_REPORT": "mine.json"})[0] == command
    assert Pip.own("23.0").reported(command, "r", {})[0][4:6] == ["install", "--report=r"]


def test_a_receipt_with_a_file_without_a_hash_is_refused(folder: Path) -> None:
    """Of an index that has MD5 only: such a lock file could not be installed."""
    before = listing(folder)
    wheel = {"name": "a-1-py3-none-any.whl", "url": "https://x.example/a-1-py3-none-any.whl", "hashes": {"md5": "0" * 32}}
    done = subprocess.CompletedProcess[str]([], 0, "", "")
    receipt = Receipt(done, {}, {"a": "1"}, packages=[{"name": "a", "version": "1", "wheels": [wheel]}])
    with pytest.raises(LockFileError, match=r"no hash of sha256, sha384, sha512 for 'a'\. Use lock\(\)"):
        receipt.write_lock(folder / "pylock.toml")
    assert listing(folder) == before
