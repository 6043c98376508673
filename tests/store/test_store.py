"""Environments that are prepared once: later ones come from the store, equal and independent."""

import os
from pathlib import Path
from typing import Any

import pytest

from helpers.programs import run_python
from helpers.stores import builds, environments, make_project, store, take
from helpers.wheels import make_wheel
from venvrunner import NotAVenvError, VenvExistsError, VenvRunner, VenvSpec
from venvrunner.installing import InstallerName

__all__ = ["store"]

INSTALLERS = ["pip", "uv"]


@pytest.mark.parametrize("installer", INSTALLERS)
def test_a_second_environment_is_a_fork_of_the_first_ones_entry(store: Path, installer: InstallerName) -> None:
    """It has the same packages and commands, and nothing was prepared for it."""
    found = []
    for _ in range(2):
        with VenvRunner.temporary(requirements=["needy"], installer=installer, cached=True) as venv:
            found.append((venv.installed(), venv.log_run(["pocket"]).stdout.split()[:2]))
    assert found[0] == found[1]
    assert found[0][0].keys() == {"needy", "pip", "pocket"}
    assert found[0][1] == ["pocket", "1.0"]
    assert [item.what for item in environments(store)] == [["needy"]]


@pytest.mark.parametrize("installer", INSTALLERS)
def test_a_named_environment_needs_nothing_of_the_store(store: Path, tmp_path: Path, installer: InstallerName) -> None:
    """It is a copy: it works after the store was removed, and can be changed."""
    venv = VenvRunner("venv", tmp_path, requirements=["needy"], installer=installer, cached=True)
    os.rename(store, tmp_path / "gone")
    assert venv.log_run(["pocket"]).stdout.split() == ["pocket", "1.0", venv.venv_dir]
    assert list(venv.uninstall("needy").removed) == ["needy"]


def test_a_named_environment_is_reused_as_if_it_had_been_created_without_the_store(store: Path, tmp_path: Path) -> None:
    """Where it came from is no difference: reuse goes by the arguments."""
    first = VenvRunner("venv", tmp_path, requirements=["needy"], cached=True)
    mark = Path(first.venv_dir, "mark")
    mark.touch()
    del first
    for cached in (False, True):
        venv = VenvRunner("venv", tmp_path, requirements=["needy"], cached=cached, exist="reuse")
        assert mark.exists()
        del venv
    VenvRunner("venv", tmp_path, requirements=["pocket"], cached=True, exist="reuse")
    assert not mark.exists()


@pytest.mark.parametrize("installer", INSTALLERS)
def test_a_project_is_known_by_its_contents(store: Path, tmp_path: Path, installer: InstallerName) -> None:
    """An equal copy elsewhere needs no build, an edit one, and the dependencies stay; an edit that is undone needs none."""
    project, copy = make_project(tmp_path / "a"), make_project(tmp_path / "b")
    for path, expected in [(project, 1), (copy, 1), (project, 1)]:
        (path / "__pycache__").mkdir(exist_ok=True)
        (path / "__pycache__" / "mine.pyc").write_text(str(path))
        with VenvRunner.temporary(requirements=[path], installer=installer, cached=True) as venv:
            assert venv.log_run(["python", "-c", "import mine, pocket; print(mine.VERSION)"]).stdout == "1\n"
        assert builds(tmp_path) == expected
    (project / "mine.py").write_text("VERSION = 2\n")
    with VenvRunner.temporary(requirements=[project], installer=installer, cached=True) as venv:
        assert venv.log_run(["python", "-c", "import mine; print(mine.VERSION)"]).stdout == "2\n"
    assert builds(tmp_path) == 2
    (project / "mine.py").write_text("VERSION = 1\n")
    with VenvRunner.temporary(requirements=[project], installer=installer, cached=True) as venv:
        assert venv.log_run(["python", "-c", "import mine; print(mine.VERSION)"]).stdout == "1\n"
    assert builds(tmp_path) == 2
    assert len(environments(store)) == 3  # the dependencies, and one for each content


@pytest.mark.parametrize("installer", INSTALLERS)
def test_a_lock_file_is_known_by_its_text(store: Path, tmp_path: Path, installer: InstallerName) -> None:
    """Its path does not matter, and its local project is known by its contents."""
    project = make_project(tmp_path / "project")
    with VenvRunner.temporary(installer=installer) as maker:
        maker.lock(project / "pylock.toml", project)
    for _ in range(2):
        with VenvRunner.temporary(lock=project / "pylock.toml", installer=installer, cached=True) as venv:
            assert venv.installed().keys() == {"mine", "pip", "pocket"}
    assert builds(tmp_path) <= 2  # pip builds it to find its dependencies
    assert len(environments(store)) == 2


def test_a_spec_takes_its_environments_from_the_store(store: Path, tmp_path: Path) -> None:
    """In a temporary directory and at a path."""
    spec = VenvSpec(requirements=["pocket"])
    with spec.temporary(cached=True) as venv, spec.create("venv", tmp_path, cached=True) as named:
        assert venv.installed() == named.installed()
    assert len(environments(store)) == 1


def test_an_environment_that_was_found_before_is_found_without_a_check(store: Path) -> None:
    """The arguments are looked up as they are: what only their check needs is not imported."""
    code = """
import sys
from venvrunner import VenvRunner
with VenvRunner.temporary(requirements=["pocket >= 1"], cached=True) as venv:
    print(*{"packaging", "virtualenv", "tomllib"} & sys.modules.keys())
"""
    assert run_python(code).stdout.split() != []
    assert run_python(code).stdout.split() == []
    assert len(environments(store)) == 1


@pytest.mark.parametrize("max_age", ["a day", True, -1, float("nan")])
def test_a_wrong_age_is_refused_before_anything_starts(store: Path, max_age: Any) -> None:
    """With what it must be."""
    with pytest.raises((TypeError, ValueError), match="max_age must be a"):
        VenvRunner.temporary(requirements=["pocket"], cached=True, max_age=max_age)
    assert not environments(store)


def test_an_environment_that_exists_is_refused_before_one_is_prepared(store: Path, tmp_path: Path) -> None:
    """Preparing takes seconds, and would be for nothing."""
    VenvRunner("venv", tmp_path, with_pip=False)
    with pytest.raises(VenvExistsError):
        VenvRunner("venv", tmp_path, requirements=["pocket"], cached=True, exist="error")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").touch()
    with pytest.raises(NotAVenvError):
        VenvRunner("data", tmp_path, requirements=["pocket"], cached=True)
    assert not environments(store)


def test_an_edit_of_a_file_that_a_copy_shares_is_noticed(store: Path, tmp_path: Path) -> None:
    """Large binary files may be hard links: the entry is prepared again, and others never see the edit."""
    make_wheel(tmp_path / "wheelhouse", "large", modules={"large.py": "", "large.bin": (1 << 20) * "\0"})
    copy = VenvRunner("venv", tmp_path, requirements=["large"], cached=True)
    (path,) = Path(copy.venv_dir).glob("lib/*/site-packages/large.bin")
    with path.open("r+b") as file:
        file.write(b"edited")
    code = "import large; print(open(large.__file__[:-2] + 'bin', 'rb').read(6))"
    assert copy.log_run(["python", "-c", code]).stdout == "b'edited'\n"
    with VenvRunner.temporary(requirements=["large"], cached=True) as venv:
        assert venv.log_run(["python", "-c", code]).stdout == f"{bytes(6)!r}\n"
    assert len(environments(store)) == 1


@pytest.mark.parametrize("installer", INSTALLERS)
def test_what_an_earlier_build_left_is_in_no_wheel(store: Path, tmp_path: Path, installer: InstallerName) -> None:
    """As setuptools does, this back end takes what is in `build` for its own, although the source has changed."""
    project = make_project(tmp_path / "project")
    backend = (project / "backend.py").read_text()
    keep = 'os.makedirs("build", exist_ok=True); kept = "build/mine.py"; os.path.exists(kept) or shutil.copy("mine.py", kept)'
    backend = backend.replace('open("mine.py")', 'open("build/mine.py")').replace(
        "    with open", f"    {keep}\n    with open", 1
    )
    (project / "backend.py").write_text(f"import os, shutil\n{backend}")
    for number in (1, 2):
        (project / "mine.py").write_text(f"VERSION = {number}\n")
        with VenvRunner.temporary(requirements=[project], installer=installer, cached=True) as venv:
            assert venv.log_run(["python", "-c", "import mine; print(mine.VERSION)"]).stdout == f"{number}\n"
        assert (project / "build" / "mine.py").read_text() == "VERSION = 1\n"


def test_a_copy_for_a_build_has_the_links_of_the_project(store: Path, tmp_path: Path) -> None:
    """Circles of links end, and what is neither a file nor a directory is left out."""
    project = make_project(tmp_path / "project")
    (tmp_path / "shared.txt").write_text("shared")
    (project / "mine.py").rename(project / "source.py")
    (project / "package").mkdir()
    links: dict[str, str | Path] = {"mine.py": project / "source.py", "shared.txt": "../shared.txt", "gone": "missing"}
    links |= {"loop": ".", "up": "..", "package/up": ".."}
    for name, target in links.items():
        (project / name).symlink_to(target)
    os.mkfifo(project / "pipe")
    for name in ("build", ".hg"):
        (project / name).mkdir()
    check = 'import os; assert os.listdir(".hg") == []; assert not os.path.exists("build")\n'
    check += 'open("shared.txt"), open("package/up/mine.py")\n'
    (project / "backend.py").write_text(check + (project / "backend.py").read_text())
    with VenvRunner.temporary(requirements=[project], installer="uv", cached=True) as venv:
        assert venv.log_run(["python", "-c", "import mine; print(mine.VERSION)"]).stdout == "1\n"
    assert builds(tmp_path) == 1


def test_a_project_whose_marker_excludes_this_python_is_not_installed(store: Path, tmp_path: Path) -> None:
    """Neither alone nor beside another one, whatever was prepared before."""
    mine = make_project(tmp_path / "project", requires="")
    (tmp_path / "other").mkdir()
    other = make_project(tmp_path / "other" / "project", requires="")
    for path in (other / "pyproject.toml", other / "backend.py"):
        path.write_text(path.read_text().replace("mine", "other"))
    (other / "mine.py").rename(other / "other.py")
    assert take(mine, other) == ["mine", "other"]
    assert take(mine, f"other @ {other.as_uri()} ; python_version < '3'") == ["mine"]
    assert take(f"other @ {other.as_uri()} ; python_version < '3'") == []
    assert len(environments(store)) == 3
