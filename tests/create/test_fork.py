"""Forks: all that the parent has works in them, what they change is their own, and the parent stays as it was."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.environments import contents, install, listed, packages, run, scripts, write_script
from helpers.projects import install_editable, make_slow_project
from helpers.wheels import make_wheel, make_wheels
from venvrunner import NoSuchPackageError, VenvRunner
from venvrunner._install.inherited_metadata import linked_metadata

pytestmark = pytest.mark.skipif(os.name == "nt", reason="scripts are programs on Windows")

VERSION = "import pocket; print(pocket.VERSION)"


@pytest.fixture(scope="module")
def editable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that the parent has installed as editable; its directory has letters that are not ASCII."""
    folder = tmp_path_factory.mktemp("editable") / "größe"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory, editable: Path) -> VenvRunner:
    """An environment with one of each, which every test here forks."""
    folder = tmp_path_factory.mktemp("fork")
    venv = VenvRunner("parent", folder)
    install(venv, *make_wheels(folder))
    install_editable(venv, editable, "loose")
    binary = shutil.which("env")
    assert binary is not None
    shutil.copy(binary, scripts(venv) / "binary")
    python = venv.python_executable
    show = "import sys, os\nprint(sys.prefix, sys.flags.isolated, os.path.basename(sys.executable), sys.argv[1:])\n"
    write_script(venv, "plain", f"#!{python}3\n{show}")
    write_script(venv, "isolated", f"#!{python} -I\n{show}")
    write_script(venv, "for-a-shell", f"#!/bin/sh\n'''exec' \"{python}3\" -I \"$0\" \"$@\"\n' '''\n{show}")
    write_script(venv, "beside", '#!/bin/sh\nexec "$(dirname "$0")/python" -c "import sys; print(sys.prefix)"\n')
    (scripts(venv) / "helper.py").write_text("HELP = 'beside'\n")
    write_script(venv, "helped", f"#!{python}\nimport helper\nprint(helper.HELP)\n")
    (Path(venv.venv_dir) / "share" / "pocket" / "same").symlink_to("notes.txt")
    return venv


@pytest.fixture
def child(parent: VenvRunner, tmp_path: Path) -> VenvRunner:
    """A fork of it."""
    return parent.fork("child", tmp_path)


def test_a_fork_lists_all_that_its_parent_has(parent: VenvRunner, child: VenvRunner) -> None:
    """To pip and to importlib.metadata, the fork has the same packages, and none twice."""
    code = "import importlib.metadata as m; print(sorted((d.name, d.version) for d in m.distributions()))"
    assert listed(child) == listed(parent)
    assert listed(child).items() >= {"pocket": "1.0", "needy": "1.0", "wires": "1.0"}.items()
    assert run(child, "python", "-c", code) == run(parent, "python", "-c", code)
    assert run(child, "pip", "check") == "No broken requirements found.\n"


def test_commands_and_modules_of_the_parent_run_in_the_fork(parent: VenvRunner, child: VenvRunner) -> None:
    """Console scripts, other scripts, and `python -m` have the fork's interpreter; the parent's keep theirs."""
    for venv in (child, parent):
        expected = f"pocket 1.0 {venv.venv_dir}\n"
        commands = (["pocket"], ["pocket-raw"], ["python", "-m", "pocket"], ["python3", "-c", "import pocket; pocket.main()"])
        assert [run(venv, *args) for args in commands] == [expected] * len(commands)
    assert child.venv_dir in run(child, "python", "-m", "pip", "config", "debug")


def test_a_fork_has_directories_of_its_own(parent: VenvRunner, child: VenvRunner) -> None:
    """Its prefix, its directory of packages and its scripts are in it, and no link in it names a directory of the parent."""
    code = "import sys, sysconfig as s; print(sys.prefix, s.get_path('purelib'), s.get_path('scripts'), sep='\\n')"
    assert run(child, "python", "-c", code) == f"{child.venv_dir}\n{packages(child)}\n{scripts(child)}\n"
    links = [path for path in Path(child.venv_dir).rglob("*") if path.is_symlink() and path.is_dir()]
    assert not [path for path in links if parent.venv_dir in os.path.realpath(path)]


def test_what_a_fork_installs_is_its_own(parent: VenvRunner, child: VenvRunner, tmp_path: Path) -> None:
    """Neither the parent nor another fork has it."""
    before = contents(parent)
    install(child, make_wheel(tmp_path, "extra", requires=["needy"]))
    other = parent.fork("other", tmp_path)
    assert run(child, "extra") == f"extra 1.0 {child.venv_dir}\n"
    assert (packages(child) / "extra.py").exists()
    for venv in (parent, other):
        assert venv.log_run(["python", "-c", "import extra"], check=False).returncode == 1
        assert not (scripts(venv) / "extra").exists()
    assert contents(parent) == before


def test_an_upgrade_is_the_forks_own(parent: VenvRunner, child: VenvRunner, tmp_path: Path) -> None:
    """Import, command, metadata, data and `pip list` show the new version in the fork, and the old one in the parent."""
    before = contents(parent)
    data = {"share/pocket/notes.txt": "notes 2.0\n"}
    install(child, make_wheel(tmp_path, "pocket", "2.0", data=data, scripts={"pocket-raw": "#!python\nprint('raw 2.0')\n"}))
    code = """if True:
        import importlib.metadata as m, sys
        print(m.version("pocket"), *(e.dist.version for e in m.entry_points(group="console_scripts", name="pocket")))
        print(open(sys.prefix + "/share/pocket/notes.txt").read(), end="")"""
    assert run(child, "pocket") == f"pocket 2.0 {child.venv_dir}\n"
    assert run(child, "pocket-raw") == "raw 2.0\n"
    assert run(child, "python", "-c", code) == "2.0 2.0\nnotes 2.0\n"
    assert listed(child)["pocket"] == "2.0"
    assert run(child, "pip", "check") == "No broken requirements found.\n"
    assert run(parent, "pocket") == f"pocket 1.0 {parent.venv_dir}\n"
    assert contents(parent) == before


def test_what_is_inherited_is_not_uninstalled(parent: VenvRunner, child: VenvRunner) -> None:
    """pip says that the package is outside the environment, uv finds none; parent and fork have it as before."""
    before = contents(parent)
    result = child.log_run(["pip", "uninstall", "-y", "pocket"])
    assert "outside environment" in result.stdout + result.stderr
    receipt = child.uninstall("pocket")
    assert "outside environment" in receipt.stdout + receipt.stderr
    assert (receipt.returncode, str(receipt)) == (0, "nothing changed")
    child.installer = "uv"
    assert str(child.uninstall("pocket")) == "nothing changed"
    assert contents(parent) == before
    assert run(child, "pocket") == f"pocket 1.0 {child.venv_dir}\n"


def test_an_upgrade_that_is_uninstalled_brings_the_inherited_version_back(child: VenvRunner, tmp_path: Path) -> None:
    """What the fork has installed, it can uninstall."""
    install(child, make_wheel(tmp_path, "pocket", "2.0"))
    run(child, "pip", "uninstall", "-y", "pocket")
    assert run(child, "python", "-c", VERSION) == "1.0\n"


def uv_fork(parent: VenvRunner, tmp_path: Path, kind: str) -> VenvRunner:
    """Return a fork that uv fills."""
    child = parent.fork("child", tmp_path)
    if kind == "of a fork":
        child = child.fork("grandchild", tmp_path)
    elif kind == "standalone":
        child = child.fork("alone", tmp_path, standalone=True)
    child.installer = "uv"
    return child


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("kind", ["plain", "of a fork", "standalone"])
def test_uv_does_not_install_again_what_is_inherited(kind: str, is_async: bool, parent: VenvRunner, tmp_path: Path) -> None:
    """Neither a dependency nor what is asked for by name, and no trace is left of how it was shown."""
    child, before = uv_fork(parent, tmp_path, kind), contents(parent)
    wheel = make_wheel(tmp_path, "extra", requires=["needy", "loose"])
    offline: Any = {"no_index": True, "find_links": [str(wheel.parent)]}
    names = ("extra", "pocket", "wires")
    receipt = asyncio.run(child.async_install(*names, **offline)) if is_async else child.install(*names, **offline)
    assert (receipt.added, receipt.changed, receipt.removed) == ({"extra": "1.0"}, {}, {})
    assert {path.name for path in packages(child).glob("*.dist-info")} == {"extra-1.0.dist-info"}
    assert run(child, "extra") == f"extra 1.0 {child.venv_dir}\n"
    assert contents(parent) == before
    assert child.install("extra", **offline).added == {}


@pytest.mark.parametrize("kind", ["plain", "of a fork", "standalone"])
def test_uv_upgrades_what_is_inherited_in_the_fork(kind: str, parent: VenvRunner, tmp_path: Path) -> None:
    """The receipt shows the change, the parent has none, and the inherited version is back when that is uninstalled."""
    child, before = uv_fork(parent, tmp_path, kind), contents(parent)
    data = {"share/pocket/notes.txt": "notes 2.0\n"}
    make_wheel(tmp_path, "pocket", "2.0", data=data, scripts={"pocket-raw": "#!python\nprint('raw 2.0')\n"})
    offline: Any = {"no_index": True, "find_links": [str(tmp_path)]}
    assert str(child.install("needy", "pocket", upgrade=True, **offline)) == "changed  pocket  1.0 -> 2.0"
    assert run(child, "pocket") == f"pocket 2.0 {child.venv_dir}\n"
    assert run(child, "pip", "check") == "No broken requirements found.\n"
    assert str(child.uninstall("pocket")) == "changed  pocket  2.0 -> 1.0"
    assert run(child, "python", "-c", VERSION) == "1.0\n"
    assert contents(parent) == before


def test_what_shows_uv_the_inherited_packages_goes_with_a_failure(parent: VenvRunner, tmp_path: Path) -> None:
    """Also what a killed process has left of it."""
    child = uv_fork(parent, tmp_path, "plain")
    with linked_metadata(child.venv_dir):
        left = list(packages(child).glob("*.dist-info"))
        assert {path.name.partition("-")[0] for path in left} >= {"pocket", "needy", "loose", "pip"}
        with pytest.raises(NoSuchPackageError):
            child.install("pocket", "no-such-package", no_index=True)
        assert not list(packages(child).glob("*.dist-info"))
    with pytest.raises(subprocess.TimeoutExpired):
        child.install(str(make_slow_project(tmp_path / "slow", tmp_path / "gate")), no_index=True, timeout=1)
    assert not list(packages(child).glob("*.dist-info"))


def test_an_editable_installation_of_the_parent_works_in_the_fork(child: VenvRunner, editable: Path) -> None:
    """A change of its source is seen, and pip knows it for editable."""
    source = editable / "loose.py"
    text = source.read_text()
    try:
        source.write_text(text + "print('edited')\n")
        assert run(child, "python", "-c", "import loose; loose.main()") == f"edited\nloose 1.0.dev0 {child.venv_dir}\n"
    finally:
        source.write_text(text)
    (found,) = json.loads(run(child, "pip", "list", "--editable", "--format=json"))
    assert found["editable_project_location"] == str(editable)


def test_pth_files_of_the_parent_work_in_the_fork(parent: VenvRunner, child: VenvRunner) -> None:
    """A line with a path adds the parent's directory; a line of code runs, and sees the parent's directory of packages."""
    code = "import strand, wires_hook; print(strand.__file__); print(wires_hook.folder)"
    expected = f"{packages(parent) / 'wires_more' / 'strand.py'}\n{packages(parent)}\n"
    assert run(child, "python", "-c", code) == run(parent, "python", "-c", code) == expected


@pytest.mark.parametrize("pth", ["Zoo.pth", "__editable__.pocket.pth", "_pocket.pth", "_wide.pth", "pocket.pth", "~.pth"])
def test_an_editable_installation_in_the_fork_hides_the_parents_version(pth: str, child: VenvRunner, tmp_path: Path) -> None:
    """Whatever its back end calls the .pth file: the fork's directories come before its parent's."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "pocket.py").write_text("VERSION = '3.0'\n")
    (packages(child) / pth).write_text(f"{project}\n")
    assert run(child, "python", "-c", VERSION) == "3.0\n"


@pytest.mark.parametrize("pth", ["A.pth", "__early.pth", "late.pth", "~.pth"])
def test_a_pth_file_of_the_fork_may_use_what_is_inherited(pth: str, child: VenvRunner) -> None:
    """A line of code, as coverage tools install it, can import the parent's packages, editable ones too."""
    (packages(child) / pth).write_text("import sys, pocket, loose; sys.seen = pocket.VERSION\n")
    assert run(child, "python", "-c", "import sys; print(sys.seen)") == "1.0\n"


def test_data_files_are_seen_below_the_forks_prefix(child: VenvRunner) -> None:
    """What the parent has in share/ is in the fork's share/, and so are links there."""
    code = "import sys; print(*(open(f'{sys.prefix}/share/pocket/{name}').read() for name in ('notes.txt', 'same')), end='')"
    assert run(child, "python", "-c", code) == "notes 1.0\n notes 1.0\n"


@pytest.mark.parametrize(
    ("command", "expected"),
    [("plain", "{} 0 python3 ['a b']\n"), ("isolated", "{} 1 python ['a b']\n"), ("for-a-shell", "{} 1 python3 ['a b']\n")],
)
def test_a_script_keeps_its_interpreters_name_and_options(command: str, expected: str, child: VenvRunner) -> None:
    """Only the directory in its first lines is another."""
    assert run(child, command, "a b") == expected.format(child.venv_dir)


def test_programs_that_are_no_python_work_in_the_fork(child: VenvRunner) -> None:
    """A binary runs, and a shell script finds the fork's interpreter beside itself."""
    assert run(child, "binary", "echo", "it runs") == "it runs\n"
    assert run(child, "beside") == child.venv_dir + "\n"


def test_a_file_beside_the_commands_is_there_too(child: VenvRunner) -> None:
    """A script may need what stands beside it and is no command itself."""
    assert run(child, "helped") == "beside\n"


def test_what_the_parent_has_compiled_is_used_and_not_written_again(parent: VenvRunner, child: VenvRunner) -> None:
    """The compiled modules of the parent are the very same files after imports in the fork."""

    def compiled() -> dict[str, tuple[int, int]]:
        found = {str(path): path.stat() for path in packages(parent).glob("__pycache__/*.pyc")}
        return {path: (status.st_ino, status.st_mtime_ns) for path, status in found.items()}

    before = compiled()
    assert any("pocket" in path for path in before)
    output = child.log_run(["python", "-v", "-c", "import pocket, needy"]).stderr
    assert f"matches {packages(parent) / 'pocket.py'}" in output
    assert compiled() == before


def test_a_fork_of_a_fork_has_the_nearest_version(parent: VenvRunner, child: VenvRunner, tmp_path: Path) -> None:
    """Three deep, each with its own packages over those of the one before, and with their commands and data."""
    data = {"share/pocket/notes.txt": "notes 2.0\n"}
    install(child, make_wheel(tmp_path, "pocket", "2.0", data=data), make_wheel(tmp_path, "extra"))
    second = child.fork("second", tmp_path)
    third = second.fork("third", tmp_path)
    assert run(third, "pocket") == f"pocket 2.0 {third.venv_dir}\n"
    before = contents(parent), contents(child), contents(second)
    install(third, make_wheel(tmp_path, "pocket", "3.0"))
    assert (contents(parent), contents(child), contents(second)) == before
    versions = {parent: "1.0", child: "2.0", second: "2.0", third: "3.0"}
    for venv, version in versions.items():
        assert run(venv, "pocket") == f"pocket {version} {venv.venv_dir}\n"
        assert run(venv, "pocket-raw") == f"pocket {version} {venv.venv_dir}\n"
    assert run(third, "extra") == f"extra 1.0 {third.venv_dir}\n"
    assert (Path(third.venv_dir) / "share" / "pocket" / "notes.txt").read_text() == "notes 2.0\n"
    assert run(third, "python", "-c", "import strand, loose, wires_hook; print(wires_hook.folder)") == f"{packages(parent)}\n"
    assert listed(third).items() >= {"pocket": "3.0", "extra": "1.0", "needy": "1.0", "loose": "1.0.dev0"}.items()


COMMANDS = ["idna", "normalizer", "py.test", "pygmentize", "pytest"]
"""What pytest, requests and their dependencies install beside pip."""
CREATED = 24
"""How many files, links and directories a fork of such a parent creates, which a disk charges for one by one.

Nine are commands: four of pip and five others, whose first line names the interpreter of the fork. Three are the names of that
interpreter: a fork without ``python3.11`` would run the one that is next on ``PATH``. Five are directories. The others are the
directory of the fork itself, its settings, one file for inheritance, its state directory with three files, and a note in the
parent.
"""

COUNT = """
import os, sys
from venvrunner import VenvRunner
def entries(top):
    return {os.path.join(folder, name) for folder, folders, files in os.walk(top) for name in folders + files}
def watch(event, args):
    if event in {"os.rename", "os.remove", "os.rmdir"}:
        undone.append((event, args))
undone = []
top = sys.argv[1]
parent = VenvRunner.open(os.path.join(top, "parent"))
parent.fork("first", top).delete()
before = entries(top)
sys.addaudithook(watch)
fork = parent.fork("fork", top)
found = list(undone)
print(found)
print(*sorted(os.path.relpath(path, top) for path in entries(top) - before), sep="\\n")
"""


def test_a_fork_creates_few_files(tmp_path: Path) -> None:
    """And none that it removes or renames again, so the listing has all of them."""
    parent = VenvRunner("parent", tmp_path)
    for name in COMMANDS:
        write_script(parent, name, f"#!{parent.python_executable}\nprint({name!r})\n")
    done = subprocess.run([sys.executable, "-c", COUNT, tmp_path], capture_output=True, text=True, check=True)
    undone, *created = done.stdout.splitlines()
    assert undone == "[]"
    assert len([path for path in created if path.startswith("fork/bin/")]) == len(COMMANDS) + 4 + 3
    start_files = 3 if sys.version_info >= (3, 15) else 0  # the lines of a .pth file become a module and two files there
    assert len(created) <= CREATED + start_files, created


@pytest.mark.parametrize("place", ["inside", "outside"])
def test_git_ignores_a_fork_in_a_repository(place: str, tmp_path: Path) -> None:
    """As it does its parent; elsewhere, the fork does without the file."""
    parent = VenvRunner("parent", tmp_path / "elsewhere", with_pip=False)
    if place == "inside":
        (tmp_path / "repository" / ".git").mkdir(parents=True)
    fork = parent.fork("fork", tmp_path / "repository" / "deep")
    ignored = Path(fork.venv_dir, ".gitignore")
    assert Path(parent.venv_dir, ".gitignore").read_text().splitlines()[-1] == "*"
    assert ignored.exists() == (place == "inside")


def test_headers_of_the_parent_are_in_the_fork(tmp_path: Path) -> None:
    """A directory without any is left out; a standalone fork has all."""
    parent = VenvRunner("parent", tmp_path, with_pip=False)
    headers = Path(parent.venv_dir, "include")
    headers.mkdir(exist_ok=True)
    assert not Path(parent.fork("without", tmp_path).venv_dir, "include").exists()
    copy = Path(parent.fork("copy", tmp_path, standalone=True).venv_dir)
    assert {"include", "CACHEDIR.TAG", ".gitignore"} <= set(os.listdir(copy))
    VenvRunner.open(tmp_path / "without").delete()
    (headers / "site").mkdir()
    (headers / "site" / "some.h").write_text("#define SOME\n")
    assert Path(parent.fork("with", tmp_path).venv_dir, "include", "site", "some.h").read_text() == "#define SOME\n"
