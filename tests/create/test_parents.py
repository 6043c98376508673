"""Parents: whatever made an environment and wherever it is, it can be forked; and where a fork can't be, it is refused."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import virtualenv

from helpers.environments import OFFLINE, contents, install, packages, run, scripts, write_script
from helpers.programs import run_python
from helpers.system import find_tool
from helpers.wheels import make_wheel
from venvrunner import InvalidPathError, VenvInUseError, VenvRunner
from venvrunner.installing import InstallerName

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="scripts are programs on Windows")]


def _stdlib(kind: str) -> Callable[[Path], object]:
    return lambda path: subprocess.run([sys.executable, "-m", "venv", "--without-pip", kind, path], check=True)


def _virtualenv(path: Path) -> None:
    virtualenv.session_via_cli([str(path), "--no-download", "--no-periodic-update"], setup_logging=False).run()


def _uv(*args: str) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        uv = find_tool("uv")
        if uv is None:
            pytest.skip("there is no uv")
        command = [uv, "venv", "--quiet", "--offline", "--no-config", f"--python={sys.executable}", *args, str(path)]
        subprocess.run(command, check=True, capture_output=True)

    return make


MAKERS: dict[str, Callable[[Path], object]] = {
    "stdlib, links": _stdlib("--symlinks"),
    "stdlib, copies": _stdlib("--copies"),
    "virtualenv": _virtualenv,
    "uv": _uv(),
    "uv, relocatable": _uv("--relocatable"),
    "bare": lambda path: VenvRunner(path.name, path.parent, with_pip=False),
    "with pip": lambda path: VenvRunner(path.name, path.parent),
    "open to the system": lambda path: VenvRunner(path.name, path.parent, system_site_packages=True),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_an_environment_of_any_maker_can_be_forked(maker: str, tmp_path: Path) -> None:
    """Packages, commands and settings are the fork's too; what it has of its own comes first; the parent stays as it was."""
    MAKERS[maker](tmp_path / "parent")
    parent = VenvRunner.open(tmp_path / "parent")
    install(parent, make_wheel(tmp_path, "pocket"))
    child = parent.fork("child", tmp_path)
    before = contents(parent)
    state = "import sys; print(sys.base_prefix, sys.version, [path for path in sys.path if sys.prefix not in path])"
    assert run(child, "pocket") == f"pocket 1.0 {child.venv_dir}\n"
    seen = run(child, "python", "-c", state).replace(f", {str(packages(parent))!r}", "")
    assert seen == run(parent, "python", "-c", state)
    (packages(child) / "pocket.py").write_text("def main(): print('my own')")
    assert run(child, "pocket") == "my own\n"
    assert run(parent, "pocket") == f"pocket 1.0 {parent.venv_dir}\n"
    assert contents(parent) == before


def test_a_fork_of_a_bare_environment_has_no_pip_and_can_be_filled(tmp_path: Path) -> None:
    """Neither has pip, before and after an installation into the fork."""
    parent = VenvRunner("parent", tmp_path, with_pip=False)
    child = parent.fork("child", tmp_path)
    install(child, make_wheel(tmp_path, "pocket"))
    assert run(child, "pocket") == f"pocket 1.0 {child.venv_dir}\n"
    for venv in (child, parent):
        assert venv.log_run(["python", "-c", "import pip"], check=False).returncode == 1


def test_a_fork_sees_the_systems_packages_only_if_its_parent_does(tmp_path: Path) -> None:
    """`system_site_packages` is inherited, and the packages of the system come last."""
    code = "import sys; print(sys.path.index({!r}) < max(i for i, p in enumerate(sys.path) if p.startswith(sys.base_prefix)))"
    closed = VenvRunner("bare", tmp_path, with_pip=False).fork("closed", tmp_path)
    parent = VenvRunner("parent", tmp_path, system_site_packages=True)
    child = parent.fork("child", tmp_path)
    assert run(child, "python", "-c", code.format(str(packages(parent)))) == "True\n"
    assert "include-system-site-packages = true" in (Path(child.venv_dir) / "pyvenv.cfg").read_text()
    assert "include-system-site-packages = false" in (Path(closed.venv_dir) / "pyvenv.cfg").read_text()


@pytest.mark.parametrize("options", [(), ("--relocatable",)], ids=["fixed", "relocatable"])
@pytest.mark.parametrize("folder", ["plain", "two words", "long" * 40])
def test_scripts_that_uv_wrote_run_in_the_fork(folder: str, options: tuple[str, ...], tmp_path: Path) -> None:
    """uv has its own first lines for paths with blanks, for long ones, and for environments that may be moved."""
    path = tmp_path / folder / "parent"
    _uv(*options)(path)
    uv = find_tool("uv")
    assert uv is not None
    wheel = make_wheel(tmp_path, "pocket", scripts={"pocket-raw": "#!python\nimport pocket\npocket.main()\n"})
    command = [uv, "pip", "install", "--quiet", "--offline", "--no-config", "--no-index", f"--python={path}", str(wheel)]
    subprocess.run(command, check=True, env={**os.environ, "UV_CACHE_DIR": str(tmp_path / "cache")})
    parent = VenvRunner.open(path)
    child = parent.fork("child", tmp_path / "elsewhere")
    for venv in (parent, child):
        assert run(venv, "pocket") == run(venv, "pocket-raw") == f"pocket 1.0 {venv.venv_dir}\n"


WORDS = "größe 漢字"
LONG = "long" * 33
LONGER = "/".join(["longer" * 15] * 4)


FOLDERS = [WORDS, LONG, LONGER, "it's (100%) -x ~#&;"]


@pytest.mark.parametrize("old", FOLDERS)
def test_parent_and_fork_may_be_in_any_directory(old: str, tmp_path: Path) -> None:
    """Blanks, letters that are not ASCII, and paths that are longer than any system reads of a first line."""
    parent = VenvRunner("the parent", tmp_path / old, with_pip=False)
    install(parent, make_wheel(tmp_path, "pocket"))
    for new in (*FOLDERS, "plain"):
        child = parent.fork("child", tmp_path / new)
        grandchild = child.fork("the grandchild", tmp_path / old)
        for fork in (child, grandchild):
            expected = f"pocket 1.0 {fork.venv_dir}\n"
            assert run(fork, "pocket", cwd="/") == run(fork, "python", "-m", "pocket", cwd="/") == expected
        grandchild.delete()


@pytest.fixture(scope="module")
def latin(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables of a locale whose encoding is Latin-1, made for these tests."""
    folder = tmp_path_factory.mktemp("locales")
    localedef = shutil.which("localedef")
    command = [localedef or "", "-i", "en_US", "-f", "ISO-8859-1", str(folder / "en_US.ISO-8859-1")]
    if localedef is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no Latin-1 locale can be made here")
    return {"LOCPATH": str(folder), "LC_ALL": "en_US.ISO-8859-1", "PYTHONUTF8": "0", "PYTHONIOENCODING": "utf-8"}


C = {"LC_ALL": "C"}
ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "utf-8"}


@pytest.fixture(params=["C", "ascii", "latin"])
def other_locale(request: pytest.FixtureRequest) -> dict[str, str]:
    """The variables of each locale in which paths are decoded in another way."""
    if request.param == "latin":
        found: dict[str, str] = request.getfixturevalue("latin")
        return found
    return C if request.param == "C" else ASCII


@pytest.fixture
def unicode_parent(tmp_path: Path) -> VenvRunner:
    """An environment with a package and a command, in a directory whose name is not ASCII."""
    parent = VenvRunner("parent", tmp_path / "möwe", with_pip=False)
    (packages(parent) / "pocket.py").write_text("VERSION = '1.0'\n")
    script = scripts(parent) / "pocket"
    script.write_text(
        f"#!/bin/sh\n'''exec' \"{parent.python_executable}\" \"$0\" \"$@\"\n' '''\nimport pocket\nprint(pocket.VERSION)\n"
    )
    script.chmod(0o755)
    return parent


def test_a_fork_runs_under_another_locale(unicode_parent: VenvRunner, other_locale: dict[str, str], tmp_path: Path) -> None:
    """What leads to the parent does not depend on how paths are decoded."""
    child = unicode_parent.fork("the child", tmp_path / "möwe")
    assert run(unicode_parent, "pocket", extra_env=other_locale) == "1.0\n"
    assert run(child, "pocket", extra_env=other_locale) == run(child, "pocket") == "1.0\n"


_UNDER_LOCALE = """
import os, sys
from venvrunner import VenvInUseError, VenvRunner
parent = VenvRunner.open(sys.argv[1])
if sys.argv[2] == "fork":
    parent.fork("child", os.path.dirname(sys.argv[1]))
try:
    parent.delete()
except VenvInUseError as exc:
    print("frozen" if "it has forks" in str(exc) else ascii(exc))
"""


def test_a_fork_made_under_another_locale_works_and_freezes(unicode_parent: VenvRunner, other_locale: dict[str, str]) -> None:
    """Made there or here, it runs here, and the parent can be deleted neither there nor here."""
    path = unicode_parent.venv_dir
    with unicode_parent:  # let go of it
        pass
    result = run_python(_UNDER_LOCALE, path, "fork", **other_locale)
    assert (result.stdout, result.stderr) == ("frozen\n", "")
    child = VenvRunner.open(Path(path).parent / "child")
    assert run(child, "pocket") == "1.0\n"
    result = run_python(_UNDER_LOCALE, path, "delete")
    assert (result.stdout, result.stderr) == ("frozen\n", "")


def test_a_fork_made_here_freezes_its_parent_under_another_locale(
    unicode_parent: VenvRunner, other_locale: dict[str, str]
) -> None:
    """The notes of forks are paths to every process."""
    path = unicode_parent.venv_dir
    child = unicode_parent.fork("child", Path(path).parent)
    with unicode_parent, child:  # let go of them
        pass
    result = run_python(_UNDER_LOCALE, path, "delete", **other_locale)
    assert (result.stdout, result.stderr) == ("frozen\n", "")


@pytest.mark.parametrize("place", [("child", "parent"), ("child", "parent/lib"), ("child", "link/share")])
def test_a_fork_in_its_parent_is_refused(place: tuple[str, str], tmp_path: Path) -> None:
    """Also through a link; nothing is changed."""
    parent = VenvRunner("parent", tmp_path, with_pip=False)
    (tmp_path / "link").symlink_to("parent")
    before = contents(parent)
    with pytest.raises(InvalidPathError, match="inside its parent"):
        parent.fork(place[0], tmp_path / place[1])
    assert contents(parent) == before


def test_a_fork_at_the_path_of_its_parent_is_refused(tmp_path: Path) -> None:
    """Neither its own path nor that of its parent's parent: they would be cleared."""
    parent = VenvRunner("parent", tmp_path, with_pip=False)
    child = parent.fork("child", tmp_path)
    before = contents(parent), contents(child)
    for venv, name in ((parent, "parent"), (child, "child"), (child, "parent")):
        with pytest.raises(InvalidPathError):
            venv.fork(name, tmp_path)
    assert (contents(parent), contents(child)) == before


def test_pip_removes_a_parents_files_where_a_fork_is_refused(tmp_path: Path) -> None:
    """Why it is: pip takes all that begins with the letters of its environment's path for a part of that."""
    parent = VenvRunner("venv", tmp_path)
    install(parent, make_wheel(tmp_path, "pocket"))
    trap = VenvRunner("v", tmp_path)
    (packages(trap) / "parent.pth").write_text(f"{packages(parent)}\n")
    run(trap, "pip", "uninstall", "-y", "pocket", extra_env=OFFLINE)
    assert not (packages(parent) / "pocket.py").exists(), "pip is cured, and the refusal can go"


@pytest.mark.parametrize("name", ["v", "ve", "ven"])
def test_a_fork_whose_path_begins_its_parents_is_refused(name: str, tmp_path: Path) -> None:
    """For the parent and for the parent's parent; the message says why, and nothing is made."""
    parent = VenvRunner("venv", tmp_path, with_pip=False)
    child = parent.fork("child", tmp_path)
    for venv in (parent, child):
        with pytest.raises(InvalidPathError, match="begins with this path, so pip"):
            venv.fork(name, tmp_path)
        assert not (tmp_path / name).exists()


def test_a_fork_whose_path_is_longer_than_its_parents_is_safe_from_pip(tmp_path: Path) -> None:
    """The other way round, pip tells them apart."""
    parent = VenvRunner("v", tmp_path)
    install(parent, make_wheel(tmp_path, "pocket"))
    child = parent.fork("venv", tmp_path)
    child.log_run(["pip", "uninstall", "-y", "pocket"], check=False)
    assert run(child, "pocket") == f"pocket 1.0 {child.venv_dir}\n"
    assert run(parent, "pocket") == f"pocket 1.0 {parent.venv_dir}\n"


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_another_spelling_of_its_path_does_not_change_a_parent(installer: InstallerName, tmp_path: Path) -> None:
    """Through a link, its scripts name another directory than its path does: a fork's are the fork's all the same."""
    install(VenvRunner("parent", tmp_path / "top"), make_wheel(tmp_path, "pocket"))
    (tmp_path / "link").symlink_to("top")
    parent = VenvRunner.open(tmp_path / "link" / "parent", installer=installer)
    (scripts(parent) / "python3").unlink()
    (scripts(parent) / "python3").symlink_to(scripts(parent) / "python")
    before = contents(parent)
    for number, venv in enumerate([parent, VenvRunner.open(tmp_path / "top" / "parent", installer=installer)]):
        child = venv.fork(f"child-{number}", tmp_path / "link")
        standalone = venv.fork(f"standalone-{number}", tmp_path / "link", standalone=True)
        for fork in (child, standalone):
            assert run(fork, "pocket") == f"pocket 1.0 {fork.venv_dir}\n"
            assert run(fork, "python3", "-c", "import sys; print(sys.prefix)") == f"{fork.venv_dir}\n"
            fork.log_run(["pip", "uninstall", "-y", "pocket"])
        with pytest.raises(VenvInUseError, match=f"/top/child-{number}"):
            venv.install_package("pocket")
    (tmp_path / "link").unlink()
    assert list(contents(VenvRunner.open(tmp_path / "top" / "parent")).values()) == list(before.values())
    assert run(VenvRunner.open(tmp_path / "top" / "child-0"), "pocket") == f"pocket 1.0 {tmp_path}/top/child-0\n"


def test_an_environment_is_the_same_by_each_spelling_of_its_path(tmp_path: Path) -> None:
    """It is reused, and its own thread can recreate it; no message says that it is in use."""
    first = VenvRunner("venv", tmp_path / "top", with_pip=False)
    (tmp_path / "link").symlink_to("top")
    (tmp_path / "top" / "venv" / "mark").touch()
    again = VenvRunner("venv", tmp_path / "link", with_pip=False, exist="reuse", wait=0)
    assert (tmp_path / "top" / "venv" / "mark").exists()
    VenvRunner("venv", tmp_path / "link", with_pip=False, wait=0)
    assert not (tmp_path / "top" / "venv" / "mark").exists()
    for place in (tmp_path / "link" / "venv" / "fork", tmp_path / "top" / "venv" / "lib" / "fork"):
        with pytest.raises(InvalidPathError, match="inside its parent"):
            first.fork(place.name, place.parent)
    again.delete()
    assert not list((tmp_path / "top").iterdir())


def _move(old: Path, new: Path) -> None:
    old.rename(new)


def _copy(old: Path, new: Path) -> None:
    subprocess.run(["cp", "-a", str(old), str(new)], check=True)


def _copy_by_links(old: Path, new: Path) -> None:
    subprocess.run(["cp", "-al", str(old), str(new)], check=True)


@pytest.mark.parametrize("maker", ["virtualenv", "stdlib, links", "with pip"])
@pytest.mark.parametrize("change", [_move, _copy, _copy_by_links])
def test_a_moved_or_copied_environment_is_repaired(change: Callable[[Path, Path], None], maker: str, tmp_path: Path) -> None:
    """Its commands are its own where it is now, after `open` and in a fork; the original's stay the original's."""
    MAKERS[maker](tmp_path / "old")
    original = VenvRunner.open(tmp_path / "old")
    install(original, make_wheel(tmp_path, "pocket"))
    write_script(original, "elsewhere", f"#!{os.path.realpath(sys.executable)}\nprint('elsewhere')\n")
    with original:  # let go of it
        pass
    change(tmp_path / "old", tmp_path / "the new")
    before = None if change is _move else contents(original)
    venv = VenvRunner.open(tmp_path / "the new")
    child = venv.fork("child", tmp_path)
    for one in (child, venv):
        assert run(one, "pocket") == f"pocket 1.0 {one.venv_dir}\n"
        assert run(one, "elsewhere") == "elsewhere\n"
    if change is not _move:
        assert run(original, "pocket") == f"pocket 1.0 {original.venv_dir}\n"
    child.delete()
    if (scripts(venv) / "pip").exists():
        run(venv, "pip", "uninstall", "-y", "pocket")
    else:
        venv.uninstall("pocket")
    assert not list(Path(venv.venv_dir).rglob("pocket.py"))
    if before is not None:
        assert contents(original) == before


def test_a_repair_reaches_the_scripts_for_shells(tmp_path: Path) -> None:
    """After `activate`, the environment's own commands come first."""
    MAKERS["stdlib, links"](tmp_path / "old")
    (tmp_path / "old" / "bin" / "tool").write_text(f"#!{tmp_path}/old/bin/python\n")
    (tmp_path / "old").rename(tmp_path / "new")
    VenvRunner.open(tmp_path / "new")
    script = f'. "{tmp_path}/new/bin/activate" && python -c "import sys; print(sys.prefix)"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"{tmp_path}/new\n"


def test_a_moved_environment_that_cannot_be_repaired_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands would be another one's; the error says what to do."""
    VenvRunner("old", tmp_path)
    _copy(tmp_path / "old", tmp_path / "new")
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    with pytest.raises(
        InvalidPathError, match=r"was moved or copied: its command 'pip.*' still runs .* which repairs it, or recreate it"
    ):
        VenvRunner.open(tmp_path / "new")
    VenvRunner.open(tmp_path / "old")
