"""Where a package may come from: directories, archives, repositories, URLs, an index; and what a failure leaves."""

import os
import subprocess
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from helpers.environments import ONLINE, contents, run
from helpers.index_server import forget_settings
from helpers.system import find_tool
from helpers.wheels import make_wheel
from venvrunner import BuildFailedError, HashError, InstallationError, NoFittingVersionError, NoSuchPackageError, VenvRunner
from venvrunner.installing import InstallerName

INSTALLERS = get_args(InstallerName)
OFFLINE: dict[str, Any] = {"no_index": True}

needs_git = pytest.mark.skipif(find_tool("git") is None, reason="needs git on PATH")

# A build back end that needs nothing but Python; it lives in the project itself (PEP 517, "In-tree build backends").
_BACK_END = """
import os, sys, zipfile

NAME, VERSION = "crate", "1.0"
INFO = f"{NAME}-{VERSION}.dist-info"
METADATA = f"Metadata-Version: 2.1\\nName: {NAME}\\nVersion: {VERSION}\\n"
METADATA += "Provides-Extra: more\\nRequires-Dist: pocket; extra == 'more'\\n"

def write(folder, files):
    name = f"{NAME}-{VERSION}-py3-none-any.whl"
    files = {
        **files,
        f"{INFO}/METADATA": METADATA,
        f"{INFO}/WHEEL": "Wheel-Version: 1.0\\nGenerator: back\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    files[f"{INFO}/RECORD"] = "".join(f"{path},,\\n" for path in [*files, f"{INFO}/RECORD"])
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return name

def build_wheel(folder, config_settings=None, metadata_directory=None):
    with open("crate.py") as file:
        return write(folder, {"crate.py": file.read()})

def build_editable(folder, config_settings=None, metadata_directory=None):
    return write(folder, {"crate.pth": os.getcwd() + "\\n"})

def get_requires_for_build_wheel(config_settings=None):
    return []

get_requires_for_build_editable = get_requires_for_build_wheel
"""
_PROJECT = '[build-system]\nrequires = []\nbuild-backend = "back"\nbackend-path = ["."]\n'


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_settings(monkeypatch, tmp_path)


@pytest.fixture
def target(request: pytest.FixtureRequest) -> Iterator[VenvRunner]:
    """An environment of one's own, without pip, for the installer that the test names."""
    with VenvRunner.temporary(with_pip=False, installer=request.param) as runner:
        yield runner


def each(name: str, values: Iterable[str], often: str) -> pytest.MarkDecorator:
    """Take each value with each installer; with pip, which starts slowly, only one of them often."""
    cases = [("uv", value) for value in values] + [("pip", often)]
    slow = [pytest.param("pip", value, marks=pytest.mark.slow) for value in values if value != often]
    return pytest.mark.parametrize(("target", name), [*cases, *slow], indirect=["target"])


both = pytest.mark.parametrize("target", INSTALLERS, indirect=True)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheelhouse, in a directory whose name is a trap for lists of directories."""
    folder = tmp_path_factory.mktemp("wheels") / "some, wheels"
    folder.mkdir()
    make_wheel(folder, "pocket")
    make_wheel(folder, "pocket", "2.0")
    make_wheel(folder, "needy", requires=["pocket"])
    make_wheel(folder, "later", metadata="Requires-Python: >=3.99\n")
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that builds itself."""
    return make_project(tmp_path / "two words" / "crate")


def make_project(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(_PROJECT)
    (folder / "back.py").write_text(_BACK_END)
    (folder / "crate.py").write_text("WHERE = __file__\n")
    return folder


def where(target: VenvRunner) -> str:
    """Return the file that the environment imports."""
    return run(target, "python", "-I", "-c", "import crate; print(crate.WHERE)").strip()


@each("kind", ["path", "relative", "extras", "sdist", "url", "direct", "file"], often="extras")
def test_a_project_is_built_and_installed(
    kind: str, target: VenvRunner, project: Path, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named as a directory, with an extra, as an archive, by a URL, or in a requirements file: the receipt is the same."""
    monkeypatch.chdir(project)
    sdist = tmp_path / "crate-1.0.tar.gz"
    with tarfile.open(sdist, "w:gz") as archive:
        archive.add(project, "crate-1.0")
    (tmp_path / "r.txt").write_text(f"crate @ {project.as_uri()}\n")
    requirement = {
        "path": str(project), "relative": ".", "extras": ".[more]", "sdist": str(sdist), "url": sdist.as_uri(),
        "direct": f"crate @ {project.as_uri()}",
    }  # fmt: skip
    options = OFFLINE | {"find_links": [wheels]}
    if kind == "file":
        receipt = target.install(requirements_files=[tmp_path / "r.txt"], **options)
    else:
        receipt = target.install(requirement[kind], **options)
    assert receipt.added == {"crate": "1.0"} | ({"pocket": "2.0"} if kind == "extras" else {})
    assert where(target).startswith(target.venv_dir)


@each("way", ["file", "variable"], often="file")
def test_what_is_looked_for_can_be_kept_from_running_code(way: str, target: VenvRunner, project: Path, tmp_path: Path) -> None:
    """With wheels only, a source distribution is not built: by a requirements file, and for pip by a variable."""
    ran = tmp_path / "ran"
    with (project / "back.py").open("a") as file:
        file.write(f"open({str(ran)!r}, 'w').close()\n")
    (project / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: crate\nVersion: 1.0\n")
    with tarfile.open(tmp_path / "crate-1.0.tar.gz", "w:gz") as archive:
        archive.add(project, "crate-1.0")
    (tmp_path / "wheels-only.txt").write_text("--only-binary :all:\n")
    options = OFFLINE | {"find_links": [tmp_path]}
    wheels_only = (
        {"requirements_files": [tmp_path / "wheels-only.txt"]} if way == "file" else {"extra_env": {"PIP_ONLY_BINARY": ":all:"}}
    )
    if way == "file" or target.installer == "pip":
        with pytest.raises(LookupError):
            target.install("crate", **options, **wheels_only)
        assert not ran.exists()
    assert target.install("crate", **options).added == {"crate": "1.0"}
    assert ran.exists()


@each("text", [".", "./", "./../crate", ".[more]", "absolute"], often=".[more]")
def test_an_editable_project_stays_where_it_is(
    text: str, target: VenvRunner, project: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is imported is the project's own file; its extras are installed, and it can be uninstalled."""
    monkeypatch.chdir(project)
    receipt = target.install(editable=[str(project) if text == "absolute" else text], find_links=[wheels], **OFFLINE)
    assert receipt.added == {"crate": "1.0"} | ({"pocket": "2.0"} if "more" in text else {})
    assert where(target) == str(project / "crate.py")
    assert target.uninstall("crate").removed == {"crate": "1.0"}


@needs_git
@each("form", ["git+{uri}@v1.0", "crate @ git+{uri}@v1.0", "git+{uri}@v1.0#egg=crate"], often="crate @ git+{uri}@v1.0")
def test_a_repository_is_installed_at_a_tag(form: str, target: VenvRunner, project: Path) -> None:
    """What came after the tag is not there."""
    make_repository(project)
    assert target.install(form.format(uri=project.as_uri()), **OFFLINE).added == {"crate": "1.0"}
    assert "later" not in Path(where(target)).read_text()


@needs_git
@pytest.mark.parametrize("target", ["pip"], indirect=True)
@pytest.mark.slow
def test_a_repository_may_be_editable(target: VenvRunner, project: Path) -> None:
    """With pip, which keeps its copy in the environment."""
    make_repository(project)
    assert target.install(editable=[f"git+{project.as_uri()}@v1.0#egg=crate"], **OFFLINE).added == {"crate": "1.0"}
    assert where(target).startswith(target.venv_dir)


def make_repository(folder: Path) -> None:
    """Make a git repository of a directory, with the tag v1.0 and a later commit."""
    identity = ["-c", "user.name=me", "-c", "user.email=me@host.example", "-c", "init.defaultBranch=main"]
    git = ["git", "-C", str(folder), *identity]
    for args in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"], ["tag", "v1.0"]):
        subprocess.run([*git, *args], check=True)
    (folder / "crate.py").write_text("WHERE = __file__  # later\n")
    subprocess.run([*git, "commit", "-q", "-a", "-m", "two"], check=True)


@both
def test_any_directory_can_be_a_wheelhouse(target: VenvRunner, wheels: Path, tmp_path: Path) -> None:
    """Also one with a comma and a blank in its name; constraints and requirements files too."""
    constraint = tmp_path / "a, b.txt"
    constraint.write_text("pocket<2\n")
    names = tmp_path / "c, d.txt"
    names.write_text("needy\n")
    receipt = target.install(requirements_files=[names], constraints=[constraint], find_links=[wheels], **OFFLINE)
    assert receipt.added == {"needy": "1.0", "pocket": "1.0"}


FAILURES: dict[str, tuple[type[InstallationError], str]] = {
    "unknown": (NoSuchPackageError, "no-such-thing"),
    "version": (NoFittingVersionError, "pocket>9"),
    "python": (NoFittingVersionError, "later"),
    "conflict": (NoFittingVersionError, "needy pocket==1.0 pocket==2.0"),
    "second": (NoSuchPackageError, "needy no-such-thing"),
    "download": (InstallationError, "https://127.0.0.1:9/x-1.0-py3-none-any.whl needy"),
    "build": (BuildFailedError, "needy ."),
    "archive": (InstallationError, "needy ./x-1.0-py3-none-any.whl"),
    "hash": (HashError, ""),
}


@each("kind", FAILURES, often="second")
def test_a_failure_before_unpacking_leaves_all_as_it_was(
    kind: str, target: VenvRunner, project: Path, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails while packages are found, fetched, checked or built: no file of the environment is another one."""
    target.install("pocket<2", find_links=[wheels], **OFFLINE)
    before = contents(target)
    error, words = FAILURES[kind]
    (project / "back.py").write_text("raise SystemExit('will not build')\n")
    (project / "x-1.0-py3-none-any.whl").write_text("no archive")
    options: dict[str, Any] = {"find_links": [wheels], "no_index": True, "upgrade": True}
    monkeypatch.chdir(project)
    if kind == "hash":
        (tmp_path / "r.txt").write_text(f"pocket==2.0 --hash=sha256:{'0' * 64}\n")
        options["requirements_files"] = [tmp_path / "r.txt"]
    with pytest.raises(error) as caught:
        target.install(*words.split(), **options)
    assert type(caught.value) is error
    assert contents(target) == before
    assert "Changed before it failed" not in "".join(caught.value.__notes__)


@both
def test_a_failure_while_unpacking_is_reported(target: VenvRunner, wheels: Path, tmp_path: Path) -> None:
    """The exception to the rule: what can't be unpacked is found out late; the note says what is different then."""
    target.install("pocket<2", find_links=[wheels], **OFFLINE)
    wheel = make_wheel(tmp_path, "zebra", modules={"zebra.py": ""}, requires=["pocket>=2"])
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("zebra.py/inner.py", "")
    with pytest.raises(InstallationError) as caught:
        target.install(str(wheel), find_links=[wheels], **OFFLINE)
    notes = "".join(caught.value.__notes__)
    changed = target.installed() != {"pocket": "1.0"}
    assert ("Changed before it failed" in notes) == changed


@pytest.mark.slow
@pytest.mark.network
def test_real_packages_have_the_same_receipt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the index with both installers; and offline, from a directory that pip has filled."""
    monkeypatch.undo()
    receipts: list[dict[str, str]] = []
    for installer in INSTALLERS:
        with VenvRunner.temporary(installer=installer) as venv:
            receipts.append(venv.install("pytest", "requests", extra_env=ONLINE).added)
            assert run(venv, "python", "-c", "import requests; print(requests.__name__)") == "requests\n"
            assert venv.log_run(["pytest", "--version"]).stdout.startswith("pytest")
            if installer == "pip":
                venv.log_run(["pip", "download", "-q", "--dest", str(tmp_path), "pytest", "requests"])
    for installer in INSTALLERS:
        with VenvRunner.temporary(with_pip=False, installer=installer) as venv:
            receipts.append(venv.install("pytest", "requests", find_links=[tmp_path], no_index=True).added)
    assert {"pytest", "requests", "urllib3", "pluggy"} <= receipts[0].keys()
    assert all(receipt == receipts[0] for receipt in receipts)
    assert os.listdir(tmp_path)
