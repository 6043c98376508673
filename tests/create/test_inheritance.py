"""How a fork's Python finds what the fork inherits: the files that ``site`` reads, before and after PEP 829."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from venvrunner import VenvRunner
from venvrunner._create import inheritance
from venvrunner._venv.layout import CURRENT

NEWEST = "python3.15"
needs_newest = pytest.mark.skipif(shutil.which(NEWEST) is None, reason=f"{NEWEST} is not on PATH")

LATER = """
import json, os, pkgutil, sys
packages = sys.argv[1]
sys.path.append(packages)  # as site does, before all else
for name in sorted(os.listdir(packages)):
    if name.endswith(".start"):
        for line in open(os.path.join(packages, name)):
            pkgutil.resolve_name(line.strip())()
print(json.dumps(sys.path[sys.path.index(packages):]))
"""


def environment(folder: Path, version: str) -> Path:
    """Return the packages of what is an environment of some version of Python as far as its settings tell."""
    packages = folder / "packages"
    packages.mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text(f"version = {version}\n")
    return packages


@pytest.mark.parametrize("version", ["3.15.0", "3.18.1", "4.0.0"])
def test_later_versions_call_entry_points(version: str, tmp_path: Path) -> None:
    """What these do: the inherited directory comes behind all others, with what its own files add; twice changes nothing."""
    inherited = tmp_path / "größe"
    (inherited / "added").mkdir(parents=True)
    (inherited / "more.pth").write_text("added\n")
    packages = environment(tmp_path / "venv", version)
    inheritance.inherit(str(inherited), str(packages), str(tmp_path / "venv"))
    names = sorted(os.listdir(packages))
    assert [name for name in names if not name.endswith(".py")] == [
        "00_venvrunner_parent.pth",
        "00_venvrunner_parent_begin.start",
        "~venvrunner_parent.start",
    ]
    (packages / "50_other.start").write_text("other:add\nother:add\n")
    (packages / "other.py").write_text(f"import sys\n\ndef add():\n    sys.path.append({str(tmp_path)!r})\n")
    done = subprocess.run([sys.executable, "-I", "-c", LATER, packages], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [str(packages), str(tmp_path), str(tmp_path), str(inherited), str(inherited / "added")]


@pytest.mark.parametrize("version", ["3.9.2", "3.14.10", "", "unknown"])
def test_earlier_versions_read_import_lines(version: str, tmp_path: Path) -> None:
    """Nothing is imported but the standard library, and there is nothing else in the directory."""
    packages = environment(tmp_path / "venv", version)
    inheritance.inherit(str(tmp_path), str(packages), str(tmp_path / "venv"))
    assert os.listdir(packages) == ["00_venvrunner_parent.pth"]
    assert all(inheritance.is_own(name) for name in os.listdir(packages))


SHOW = """
import json, sys
from venvrunner_probe import seen
print(json.dumps([seen, [path for path in sys.path if "packages" in path or "inherited" in path]]))
"""


def packages_of(venv: VenvRunner) -> Path:
    return Path(CURRENT.package_directories(venv.venv_dir)[0])


@needs_newest
@pytest.mark.parametrize("python", ["now", "3.18"])
@pytest.mark.parametrize("standalone", [False, True])
def test_forks_of_forks_find_all_in_order(python: str, standalone: bool, tmp_path: Path) -> None:
    """Also where a ``.start`` file beside each ``.pth`` file switches its import lines off, as Python 3.18 does for all."""
    parent = VenvRunner("parent", tmp_path, python=shutil.which(NEWEST), with_pip=False)
    (packages_of(parent) / "venvrunner_probe.py").write_text("seen = []\n")
    child = parent.fork("child", tmp_path)
    (packages_of(child) / "99_mine.pth").write_text("import venvrunner_probe; venvrunner_probe.seen.append('line')\n")
    grandchild = child.fork("grandchild", tmp_path)
    (packages_of(grandchild) / "own.pth").write_text(f"{tmp_path}/packages-of-mine\n")
    (tmp_path / "packages-of-mine").mkdir()
    venv = grandchild.fork("standalone", tmp_path, standalone=True) if standalone else grandchild
    if python == "3.18":
        for pth in Path(venv.venv_dir).rglob("*.pth"):
            pth.with_suffix(".start").touch()
        if not standalone:
            for pth in [*packages_of(child).glob("*.pth")]:
                pth.with_suffix(".start").touch()
    seen, path = json.loads(venv.log_run(["python", "-W", "error", "-c", SHOW]).stdout)
    assert seen == ([] if python == "3.18" else ["line"])
    own, added, *inherited = path
    assert own == str(packages_of(venv))
    assert added == f"{tmp_path}/packages-of-mine"
    if standalone:
        assert inherited == [str(packages_of(venv).parent / f"inherited-{number}") for number in (1, 2)]
    else:
        assert inherited == [str(packages_of(child)), str(packages_of(parent))]


@pytest.mark.parametrize("python", [sys.executable, pytest.param(NEWEST, marks=needs_newest)])
def test_what_a_standalone_fork_inherits_moves_with_it(python: str, tmp_path: Path) -> None:
    """It needs nothing of its ancestors, and finds what it has of theirs at its new path."""
    parent = VenvRunner("parent", tmp_path, python=shutil.which(python))
    child = parent.fork("child", tmp_path)
    made = child.fork("made", tmp_path, standalone=True)
    os.rename(made.venv_dir, tmp_path / "moved")
    moved = VenvRunner.open(tmp_path / "moved")
    child.delete()
    parent.delete()
    assert moved.log_run(["python", "-c", "import pip; print(pip.__file__)"]).stdout.startswith(moved.venv_dir)
    assert list(moved.installed()) == ["pip"]


@needs_newest
def test_a_fork_warns_of_nothing(tmp_path: Path) -> None:
    """Python can be asked to tell of each file that it reads: nothing in it is an error."""
    parent = VenvRunner("parent", tmp_path, python=shutil.which(NEWEST), with_pip=False)
    fork = parent.fork("fork", tmp_path)
    done = fork.log_run(["python", "-X", "dev", "-W", "error", "-c", "import sys; print(sys.flags.dev_mode)"])
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_the_files_of_earlier_releases_still_work(tmp_path: Path) -> None:
    """A fork that has two files instead of one finds all in the same order, and so does its fork."""
    parent = VenvRunner("parent", tmp_path, with_pip=False)
    (packages_of(parent) / "venvrunner_probe.py").write_text("seen = []\n")
    child = parent.fork("child", tmp_path)
    add = f"site.addsitedir(os.path.join(sitedir, os.fsdecode({os.fsencode(packages_of(parent))!r})))"
    note = "sys._venvrunner_inherited"
    first = f"import os, site, sys; _begin = len(sys.path); {add}; {note} = sys.path[_begin:]\n"
    (packages_of(child) / "00_venvrunner_parent.pth").write_text(first)
    (packages_of(child) / "~venvrunner_parent.pth").write_text(f"import sys; sys.path.sort(key={note}.__contains__)\n")
    (tmp_path / "packages-of-child").mkdir()
    (packages_of(child) / "own.pth").write_text(f"{tmp_path}/packages-of-child\n")
    grandchild = child.fork("grandchild", tmp_path)
    expected = [str(packages_of(child)), f"{tmp_path}/packages-of-child", str(packages_of(parent))]
    assert json.loads(child.log_run(["python", "-c", SHOW]).stdout)[1] == expected
    assert json.loads(grandchild.log_run(["python", "-c", SHOW]).stdout)[1] == [str(packages_of(grandchild)), *expected]
    copy = grandchild.fork("copy", tmp_path, standalone=True)
    assert not list(Path(copy.venv_dir).rglob("~*.pth"))


@pytest.mark.parametrize("place", ["fork", "elsewhere"])
def test_a_later_call_of_addsitedir_works_in_a_fork(place: str, tmp_path: Path) -> None:
    """What it adds for the fork's own directory precedes what is inherited; for another directory, it follows."""
    parent = VenvRunner("parent", tmp_path, with_pip=False)
    (packages_of(parent) / "venvrunner_probe.py").write_text("seen = []\n")
    fork = parent.fork("fork", tmp_path)
    directory = packages_of(fork) if place == "fork" else tmp_path / "more-packages"
    directory.mkdir(exist_ok=True)
    (tmp_path / "packages-late").mkdir()
    code = f"""
import site, pathlib
pathlib.Path({str(directory)!r}, "late.pth").write_text({str(tmp_path / "packages-late")!r})
site.addsitedir({str(directory)!r})
{SHOW}"""
    _seen, path = json.loads(fork.log_run(["python", "-c", code]).stdout)
    own, inherited, late = str(packages_of(fork)), str(packages_of(parent)), str(tmp_path / "packages-late")
    assert path == ([own, late, inherited] if place == "fork" else [own, inherited, str(directory), late])
