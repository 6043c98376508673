"""Standalone forks: they have a copy of everything, so they need no parent, and what they change is theirs alone."""

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.environments import contents, install, listed, packages, run, scripts
from helpers.projects import install_editable
from helpers.wheels import make_wheel, make_wheels
from venvrunner import VenvRunner
from venvrunner._venv import copying
from venvrunner._venv.copying import Copier

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="scripts are programs on Windows")]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a project that the parent has installed as editable."""
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory, project: Path) -> list[VenvRunner]:
    """An environment with one of each, its fork with a newer version of one and one more, and an unchanged fork of that."""
    folder = tmp_path_factory.mktemp("standalone")
    parent = VenvRunner("parent", folder)
    install(parent, *make_wheels(folder))
    install_editable(parent, project, "loose")
    child = parent.fork("child", folder)
    data = {"share/pocket/notes.txt": "notes 2.0\n"}
    install(child, make_wheel(folder, "pocket", "2.0", data=data), make_wheel(folder, "extra", requires=["needy"]))
    return [parent, child, child.fork("grandchild", folder)]


@pytest.fixture(params=["parent", "child", "grandchild"])
def origin(request: pytest.FixtureRequest, family: list[VenvRunner]) -> VenvRunner:
    """Each of the family in turn."""
    return next(venv for venv in family if venv.name == request.param)


@pytest.fixture
def version(origin: VenvRunner) -> str:
    """The version that it sees of the package that was upgraded."""
    return "1.0" if origin.name == "parent" else "2.0"


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Path]:
    """A directory on another file system."""
    shm = Path("/dev/shm")
    if not os.access(shm, os.W_OK) or shm.stat().st_dev == Path(tempfile.gettempdir()).stat().st_dev:
        pytest.skip("there is no other file system to write to")
    with tempfile.TemporaryDirectory(dir=shm) as folder:
        yield Path(folder)


class Away:
    """Take a whole family away for a block, as if it was deleted."""

    def __init__(self, family: list[VenvRunner]) -> None:
        self._folders = [Path(venv.venv_dir) for venv in family]

    def __enter__(self) -> None:
        for folder in self._folders:
            folder.rename(folder.with_name(folder.name + ".away"))

    def __exit__(self, *details: object) -> None:
        for folder in self._folders:
            folder.with_name(folder.name + ".away").rename(folder)


def check(venv: VenvRunner, version: str, needed: VenvRunner | None = None) -> None:
    """Make sure that all kinds of things work; they come from the environment itself, or from the one that it needs."""
    assert run(venv, "pocket") == run(venv, "python", "-m", "pocket") == f"pocket {version} {venv.venv_dir}\n"
    assert (Path(venv.venv_dir) / "share" / "pocket" / "notes.txt").read_text() == f"notes {version}\n"
    assert run(venv, "python", "-m", "loose") == f"loose 1.0.dev0 {venv.venv_dir}\n"
    code = "import strand, wires_hook; print(strand.__file__); print(wires_hook.folder)"
    origin = (needed or venv).venv_dir + os.sep
    assert all(line.startswith(origin) for line in run(venv, "python", "-c", code).splitlines())


def test_a_standalone_fork_works_without_its_ancestors(
    origin: VenvRunner, version: str, family: list[VenvRunner], tmp_path: Path
) -> None:
    """Commands, modules, data, .pth files, editable projects and pip, with the version of each that its parent saw."""
    expected = listed(origin)
    fork = origin.fork("fork", tmp_path, standalone=True)
    with Away(family):
        check(fork, version)
        assert listed(fork) == expected
        assert run(fork, "pip", "check") == "No broken requirements found.\n"
        code = "import importlib.metadata as m; print(m.version('pocket'), len(m.entry_points(name='pocket')))"
        assert run(fork, "python", "-c", code) == f"{version} 1\n"


def test_nothing_in_a_standalone_fork_names_its_ancestors(origin: VenvRunner, family: list[VenvRunner], tmp_path: Path) -> None:
    """No link and no text does. (A compiled module says where it was compiled, which is put right when it is imported.)"""
    fork = origin.fork("fork", tmp_path, standalone=True)
    places = [os.fsencode(venv.venv_dir + os.sep) for venv in family]
    leading = []
    for path, content in contents(fork).items():
        target = os.fsencode(content) if isinstance(content, Path) else content[2] if isinstance(content, tuple) else b""
        if any(place in target for place in places):
            leading.append(path)
    assert leading == []


def test_a_parent_may_be_deleted_after_a_standalone_fork(tmp_path: Path) -> None:
    """It is not frozen: it may be filled, recreated and deleted, for real."""
    parent = VenvRunner("parent", tmp_path, with_pip=False)
    install(parent, make_wheel(tmp_path, "pocket"))
    fork = parent.fork("fork", tmp_path / "other", standalone=True)
    install(parent, make_wheel(tmp_path, "extra"))
    VenvRunner("parent", tmp_path, with_pip=False).delete()
    assert run(fork, "pocket") == f"pocket 1.0 {fork.venv_dir}\n"
    assert fork.log_run(["python", "-c", "import extra"], check=False).returncode == 1


def test_an_upgrade_in_a_standalone_fork_is_its_own(
    origin: VenvRunner, family: list[VenvRunner], version: str, tmp_path: Path
) -> None:
    """Whether files are shared or not, no ancestor changes; the version that was copied is replaced, not hidden."""
    before = [contents(venv) for venv in family]
    fork = origin.fork("fork", tmp_path, standalone=True)
    install(fork, make_wheel(tmp_path, "pocket", "3.0", data={"share/pocket/notes.txt": "notes 3.0\n"}))
    check(fork, "3.0")
    assert listed(fork)["pocket"] == "3.0"
    assert [contents(venv) for venv in family] == before
    assert run(origin, "pocket") == f"pocket {version} {origin.venv_dir}\n"


def test_an_inherited_package_can_be_uninstalled_from_a_standalone_fork(
    origin: VenvRunner, family: list[VenvRunner], tmp_path: Path
) -> None:
    """With its command; no ancestor changes."""
    before = [contents(venv) for venv in family]
    fork = origin.fork("fork", tmp_path, standalone=True)
    run(fork, "pip", "uninstall", "-y", "needy", "loose")
    assert not {"needy", "loose"} & listed(fork).keys()
    assert fork.log_run(["python", "-c", "import needy"], check=False).returncode == 1
    assert fork.log_run(["python", "-c", "import loose"], check=False).returncode == 1
    assert not (scripts(fork) / "needy").exists()
    assert [contents(venv) for venv in family] == before
    assert run(origin, "needy") == f"needy 1.0 {origin.venv_dir}\n"


def test_a_standalone_fork_can_be_forked(origin: VenvRunner, version: str, family: list[VenvRunner], tmp_path: Path) -> None:
    """Both ways, also by way of a plain fork; the copy of a copy has all, and needs neither."""
    first = origin.fork("first", tmp_path, standalone=True)
    second = first.fork("second", tmp_path)
    third = second.fork("third", tmp_path, standalone=True)
    check(second, version, needed=first)
    again = first.fork("again", tmp_path, standalone=True)
    second.delete()
    first.delete()
    with Away(family):
        check(third, version)
        check(again, version)


def test_a_standalone_fork_on_another_file_system_works(
    origin: VenvRunner, version: str, family: list[VenvRunner], elsewhere: Path
) -> None:
    """Where files can't be shared, they are copied."""
    fork = origin.fork("fork", elsewhere, standalone=True)
    with Away(family):
        check(fork, version)
    fork.delete()


def test_compiled_modules_are_good_in_a_standalone_fork(family: list[VenvRunner], elsewhere: Path, tmp_path: Path) -> None:
    """The times of sources are kept, so that nothing is compiled again."""
    for number, folder in enumerate((tmp_path, elsewhere)):
        fork = family[0].fork(f"fork-{number}", folder, standalone=True)
        compiled = {path: path.stat().st_ino for path in packages(fork).glob("__pycache__/*.pyc")}
        output = fork.log_run(["python", "-v", "-c", "import pocket"]).stderr
        assert f"matches {packages(fork) / 'pocket.py'}" in output
        assert {path: path.stat().st_ino for path in packages(fork).glob("__pycache__/*.pyc")} == compiled
        fork.delete()


@pytest.mark.parametrize("name", ["p", "pare"])
def test_a_standalone_fork_may_have_a_path_that_begins_its_parents(name: str, tmp_path: Path) -> None:
    """What makes pip take the parent's packages for the fork's is not in it."""
    parent = VenvRunner("parent", tmp_path, with_pip=False)
    fork = parent.fork(name, tmp_path, standalone=True)
    assert run(fork, "python", "-c", "import sys; print(sys.prefix)") == fork.venv_dir + "\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file with a mode and a time of its own."""
    path = tmp_path / "old"
    path.write_bytes(bytes(range(256)) * 1000)
    path.chmod(0o751)
    os.utime(path, ns=(1, 1_000_000_000_123_456_789))
    return path


def same(old: Path, new: Path) -> bool:
    """Tell whether two files have the same contents, mode and time."""
    first, second = old.stat(), new.stat()
    alike = (first.st_mode, first.st_mtime_ns) == (second.st_mode, second.st_mtime_ns)
    return alike and old.read_bytes() == new.read_bytes()


def _can_clone(folder: Path) -> bool:
    (folder / "a").write_bytes(b"x")
    try:
        copying._clone(str(folder / "a"), str(folder / "b"))
    except OSError:
        assert not (folder / "b").exists()
        return False
    return True


def test_a_file_is_shared_by_the_best_way_that_there_is(source: Path, tmp_path: Path) -> None:
    """A clone where the file system can, else a hard link; what has failed is not tried again."""
    copier = Copier()
    for name in ("one", "two"):
        copier.copy(str(source), str(tmp_path / name))
        assert same(source, tmp_path / name)
        assert os.path.samefile(source, tmp_path / name) != _can_clone(tmp_path / "..")
    if not _can_clone(tmp_path / ".."):
        assert copier._ways == [os.link, copying.copy]


@pytest.mark.parametrize("way", ["clone", "link", "copy"])
def test_each_way_keeps_contents_mode_and_time(way: str, source: Path, tmp_path: Path) -> None:
    """Forced, one at a time; only a link is the same file."""
    copier = Copier()
    (forced,) = (function for function in copier._ways if function.__name__.strip("_") == way)
    if way == "clone" and not _can_clone(tmp_path):
        pytest.skip("files can't be cloned here")
    copier._ways = [forced]
    copier.copy(str(source), str(tmp_path / "new"))
    assert same(source, tmp_path / "new")
    assert os.path.samefile(source, tmp_path / "new") == (way == "link")


def test_a_file_is_copied_to_another_file_system(source: Path, elsewhere: Path) -> None:
    """As neither clones nor links lead there."""
    copier = Copier()
    copier.copy(str(source), str(elsewhere / "new"))
    assert same(source, elsewhere / "new")
    assert copier._ways == [copying.copy]


def test_what_no_way_can_do_is_an_error(source: Path, tmp_path: Path) -> None:
    """A file that is not there, or is there already: the error says so, nothing is changed, and no way is given up for it."""
    copier = Copier()
    (tmp_path / "there").write_text("precious")
    with pytest.raises(FileNotFoundError):
        copier.copy(str(tmp_path / "missing"), str(tmp_path / "new"))
    with pytest.raises(FileExistsError) as caught:
        copier.copy(str(source), str(tmp_path / "there"))
    assert caught.value.errno == errno.EEXIST
    assert (tmp_path / "there").read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["old", "there"]
    assert len(copier._ways) == 3
