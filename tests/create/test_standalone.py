"""Standalone forks: they have a copy of everything, so they need no parent, and what they change is theirs alone."""

import errno
import functools
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.environments import contents, install, listed, packages, run, scripts, write_script
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


LIMIT = copying.LARGE
"""Files of this size may be shared."""


def _can_clone(folder: Path) -> bool:
    (folder / "a").write_bytes(b"x")
    try:
        Copier()._ficlone(str(folder / "a"), str(folder / "b"))
    except OSError:
        assert not (folder / "b").exists()
        return False
    return True


def _refuse(number: int) -> Callable[..., None]:
    def refused(*_args: object, **_options: object) -> None:
        raise OSError(number, os.strerror(number))

    return refused


def test_a_small_file_is_never_shared(source: Path, tmp_path: Path) -> None:
    """A clone where the file system can, else a copy of the bytes; a clone that has failed is not tried again."""
    copier = Copier()
    for name in ("one", "two"):
        copier.copy(str(source), str(tmp_path / name))
        assert same(source, tmp_path / name)
        assert not os.path.samefile(source, tmp_path / name)
    assert (copier._clone is not None) == _can_clone(tmp_path)


@pytest.mark.parametrize("way", ["clone", "link", "copy"])
def test_each_way_keeps_contents_mode_and_time(way: str, source: Path, tmp_path: Path) -> None:
    """Forced, one at a time; only a link is the same file."""
    if way == "clone" and not _can_clone(tmp_path):
        pytest.skip("files can't be cloned here")
    with source.open("ab") as file:
        file.write(bytes(LIMIT))
    os.utime(source, ns=(1, 1_000_000_000_123_456_789))
    copier = Copier()
    if way != "clone":
        copier._clone = None
    if way == "copy":
        copier._link = None
    copier.copy(str(source), str(tmp_path / "new"))
    assert same(source, tmp_path / "new")
    assert os.path.samefile(source, tmp_path / "new") == (way == "link")


def test_a_file_is_copied_to_another_file_system(source: Path, elsewhere: Path) -> None:
    """Large or small, as neither clones nor links lead there."""
    copier = Copier()
    for size in (256, LIMIT):
        os.truncate(source, size)
        copier.copy(str(source), str(elsewhere / f"new-{size}"))
        assert same(source, elsewhere / f"new-{size}")
    assert (copier._clone, copier._link) == (None, None)


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK], ids=errno.errorcode.get)
def test_a_large_file_is_copied_where_no_link_is_possible(
    number: int, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file system, one without links, or too many of them; it is tried once."""
    os.truncate(source, LIMIT)
    monkeypatch.setattr(os, "link", _refuse(number))
    copier = Copier()
    copier._clone = None
    copier.copy(str(source), str(tmp_path / "new"))
    assert same(source, tmp_path / "new")
    assert not os.path.samefile(source, tmp_path / "new")
    assert copier._link is None


def test_a_link_that_fails_otherwise_is_an_error(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, for one."""
    os.truncate(source, LIMIT)
    monkeypatch.setattr(os, "link", _refuse(errno.ENOSPC))
    copier = Copier()
    copier._clone = None
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        copier.copy(str(source), str(tmp_path / "new"))
    assert os.listdir(tmp_path) == ["old"]


def test_a_copy_that_fails_half_way_is_removed(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error propagates."""
    copier = Copier()
    copier._clone = None
    monkeypatch.setattr(os, "write", _refuse(errno.ENOSPC))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        copier.copy(str(source), str(tmp_path / "new"))
    assert os.listdir(tmp_path) == ["old"]


@pytest.mark.parametrize(
    ("content", "is_shared"),
    [
        (b"\x7fELF\2\1\1\0" + bytes(LIMIT - 8), True),
        (b"\x7fELF\2\1\1\0" + bytes(LIMIT - 9), False),
        (b"x = 1\n" * LIMIT, False),
        (b"x" * 8000 + bytes(LIMIT), False),
        (b"SQLite format 3\0" + bytes(LIMIT), False),
        (b"", False),
    ],
    ids=["library", "small", "text", "late", "database", "empty"],
)
def test_only_large_binary_files_are_shared(content: bytes, is_shared: bool, tmp_path: Path) -> None:
    """From 1 MiB on, with a zero byte near the start, and no database; the report of such files has the same rule."""
    folder = tmp_path / "venv" / "lib"
    folder.mkdir(parents=True)
    old, new = folder / "old", tmp_path / "new"
    old.write_bytes(content)
    os.utime(old, ns=(1, 1_000_000_000_123_456_789))
    (folder / "link").symlink_to("old")
    copier = Copier()
    copier._clone = None
    copier.copy(str(old), str(new))
    assert same(old, new)
    assert os.path.samefile(old, new) == is_shared
    reported = [(os.path.join("lib", "old"), len(content), 1_000_000_000_123_456_789)]
    assert copying.shareable_files(str(tmp_path / "venv")) == (reported if is_shared else [])


@pytest.mark.parametrize("mode", [0o400, 0o444, 0o600, 0o666, 0o777, 0o4755])
def test_a_copy_has_the_mode_whatever_the_mask_is(mode: int, source: Path, tmp_path: Path) -> None:
    """Read-only files too, twice, as the modes that a mask changes are remembered."""
    source.chmod(mode)
    copier = Copier()
    old_mask = os.umask(0o077)
    try:
        for name in ("one", "two"):
            copier.copy(str(source), str(tmp_path / name))
            assert same(source, tmp_path / name)
    finally:
        os.umask(old_mask)


@pytest.mark.parametrize(
    "parts", [[(0, 5)], [(LIMIT, 5)], [(0, 9), (3 * LIMIT, 70_000)], []], ids=["at the end", "at the start", "between", "only"]
)
def test_the_holes_of_a_file_stay_holes(parts: list[tuple[int, int]], tmp_path: Path) -> None:
    """Where the bytes are copied; the contents are the same."""
    old, new = tmp_path / "old", tmp_path / "new"
    with old.open("wb") as file:
        for begin, length in parts:
            file.seek(begin)
            file.write(b"x" * length)
        file.truncate(8 * LIMIT)
    copier = Copier()
    copier._clone = copier._link = None
    copier.copy(str(old), str(new))
    assert same(old, new)
    if old.stat().st_blocks * 512 < LIMIT:
        assert new.stat().st_blocks * 512 < LIMIT


@pytest.mark.parametrize("size", [0, 5, 3 * LIMIT])
def test_a_file_that_is_cut_meanwhile_is_copied_as_far_as_it_goes(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is left of it when it is read; the copy ends."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"x" * 4 * LIMIT)
    real_read = os.read

    def cut(number: int, count: int) -> bytes:
        os.truncate(old, size)
        return real_read(number, count)

    copier = Copier()
    copier._clone = None
    monkeypatch.setattr(os, "read", cut)
    copier.copy(str(old), str(new))
    assert new.read_bytes() == b"x" * size


def test_a_sparse_file_that_is_cut_meanwhile_does_not_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even by a hole."""
    old, new = tmp_path / "old", tmp_path / "new"
    with old.open("wb") as file:
        file.truncate(4 * LIMIT)
    real_seek = os.lseek

    def cut(number: int, position: int, how: int) -> int:
        os.truncate(old, 7)
        return real_seek(number, position, how)

    copier = Copier()
    copier._clone = copier._link = None
    monkeypatch.setattr(os, "lseek", cut)
    copier.copy(str(old), str(new))
    assert new.read_bytes() == bytes(7)


def test_what_no_way_can_do_is_an_error(source: Path, tmp_path: Path) -> None:
    """A file that is not there, or is there already: the error says so, nothing is changed, and links are not given up."""
    copier = Copier()
    (tmp_path / "there").write_text("precious")
    with pytest.raises(FileNotFoundError):
        copier.copy(str(tmp_path / "missing"), str(tmp_path / "new"))
    with pytest.raises(FileExistsError) as caught:
        copier.copy(str(source), str(tmp_path / "there"))
    assert caught.value.errno == errno.EEXIST
    assert (tmp_path / "there").read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["old", "there"]
    assert copier._link is not None


def test_a_copy_takes_few_calls(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files are opened, closed, read, written and dated: seven calls, and one for the status of the source."""
    copier = Copier()
    copier._clone = None
    copier.copy(str(source), str(tmp_path / "first"))
    calls: list[str] = []

    def counted(name: str, real: Callable[..., Any], *args: Any, **options: Any) -> Any:
        calls.append(name)
        return real(*args, **options)

    for name in ("open", "close", "read", "write", "utime", "fstat", "stat", "lstat", "chmod", "fchmod", "lseek", "unlink"):
        monkeypatch.setattr(os, name, functools.partial(counted, name, getattr(os, name)))
    copier.copy(str(source), str(tmp_path / "second"))
    assert sorted(calls) == ["close", "close", "fstat", "open", "open", "read", "utime", "write"]


# What is edited in place.


def files_of(venv: VenvRunner) -> dict[str, os.stat_result]:
    """Return the status of each file of an environment, but not of its state."""
    top = Path(venv.venv_dir)
    found = {str(path.relative_to(top)): path.lstat() for path in top.rglob("*") if not path.is_symlink() and path.is_file()}
    return {name: status for name, status in found.items() if not name.startswith(".venvrunner")}


@pytest.fixture
def pair(tmp_path: Path) -> tuple[VenvRunner, VenvRunner]:
    """An environment with modules, data, commands, a large text and a large library, and its standalone fork."""
    parent = VenvRunner("parent", tmp_path)
    install(parent, *make_wheels(tmp_path))
    run(parent, "python", "-m", "compileall", "-q", str(packages(parent) / "pip" / "_vendor"))
    (packages(parent) / "words.txt").write_bytes(b"word\n" * LIMIT)
    (packages(parent) / "large.so").write_bytes(b"\x7fELF" + bytes(LIMIT))
    write_script(parent, "tool", "#!/bin/sh\necho tool\n")
    return parent, parent.fork("fork", tmp_path, standalone=True)


def test_no_file_under_the_limit_is_shared(pair: tuple[VenvRunner, VenvRunner]) -> None:
    """Of a real environment with pip: each has an inode of its own; those that are shared are exactly the reported ones."""
    parent, fork = map(files_of, pair)
    assert len(parent) > 600
    assert fork.keys() == parent.keys()
    shared = [name for name, status in fork.items() if os.path.samestat(status, parent[name])]
    large = str(packages(pair[0]).relative_to(pair[0].venv_dir) / "large.so")
    status = parent[large]
    assert copying.shareable_files(pair[0].venv_dir) == [(large, status.st_size, status.st_mtime_ns)]
    assert shared == ([] if _can_clone(packages(pair[1])) else [large])
    assert {status.st_nlink for name, status in fork.items() if name != large} == {1}


@pytest.mark.parametrize("edited", [0, 1], ids=["parent", "fork"])
def test_an_edit_in_place_stays_in_its_environment(edited: int, pair: tuple[VenvRunner, VenvRunner]) -> None:
    """In either: of a module, its bytecode, metadata, data, a large text, a script, the settings; and so does a mode."""
    changed, other = pair[edited], pair[1 - edited]
    before = contents(other)
    site = packages(changed).relative_to(changed.venv_dir)
    pip = site / "pip"
    names = [
        *(pip / "__init__.py", pip / "_vendor" / "certifi" / "cacert.pem", site / "words.txt", site / "pocket.py"),
        *(next((packages(changed) / "pip" / "_vendor").rglob("*.pyc")).relative_to(changed.venv_dir),),
        *(Path("bin", "tool"), Path("bin", "pip"), Path("share", "pocket", "notes.txt"), Path("pyvenv.cfg")),
    ]
    for path in (Path(changed.venv_dir) / name for name in names):
        with path.open("r+b") as file:
            file.write(b"edited")
        path.chmod(0o600)
    assert contents(other) == before
    bytecode = Path(other.venv_dir) / names[4]
    assert not bytecode.read_bytes().startswith(b"edited")


def test_a_change_of_a_shared_file_is_seen(pair: tuple[VenvRunner, VenvRunner]) -> None:
    """An edit in place of a large library in the copy: the report of its parent differs, unless the blocks were cloned."""
    parent, fork = pair
    before = copying.shareable_files(parent.venv_dir)
    with (packages(fork) / "large.so").open("r+b") as file:
        file.write(b"\x7fELF\2")
    after = copying.shareable_files(parent.venv_dir)
    assert (after == before) == _can_clone(packages(fork))
