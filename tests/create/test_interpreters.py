"""Which interpreter `python=` means, where it is looked for, and what the caller's environment can't change about it."""

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from helpers.files import listing
from helpers.programs import run_python
from helpers.wheels import make_wheel
from venvrunner import CreationError, InterpreterNotFoundError, VenvRunner
from venvrunner._create.interpreter import Interpreter
from venvrunner._create.interpreters import find
from venvrunner._create.known_interpreters import known_interpreters
from venvrunner.environment import REMOVED
from venvrunner.installing import InstallerName

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the interpreters that are made up here are shell scripts")

# Version, implementation and arguments: runs Python source as an interpreter that there is not.
_PRETEND = """
import platform, runpy, sys
me, version, implementation, sys.argv = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
sys.executable = sys._base_executable = me
sys.version_info = (*map(int, version.split(".")), "final", 0)
platform.python_implementation = lambda: implementation
sys.pypy_version_info = sys.version_info
runpy.run_path(sys.argv[0], run_name="__main__")
"""

MANAGERS = {
    "pyenv": ("PYENV_ROOT", ".pyenv", "versions/{}/bin/python"),
    "asdf": ("ASDF_DATA_DIR", ".asdf", "installs/python/{}/bin/python"),
    "mise": ("MISE_DATA_DIR", ".local/share/mise", "installs/python/{}/bin/python"),
    "uv": ("UV_PYTHON_INSTALL_DIR", ".local/share/uv/python", "cpython-{}-linux-x86_64-gnu/bin/python"),
}

OLDEST = 9
Pretend = Callable[..., Path]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with nothing in it, and an empty directory as PATH."""
    for variable in ("XDG_DATA_HOME", *(variable for variable, _, _ in MANAGERS.values())):
        monkeypatch.delenv(variable, raising=False)
    for name in ("home", "bin"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


@pytest.fixture
def pretend(tmp_path: Path) -> Pretend:
    """Make an executable that says it is an interpreter of some version; only looking at it works."""
    source = tmp_path / "pretend.py"
    source.write_text(_PRETEND)

    def make(path: Path, version: str, implementation: str = "CPython") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\nexec "{find(None).executable}" "{source}" "$0" {version} {implementation} "$@"\n')
        path.chmod(0o755)
        return path

    return make


@pytest.fixture(scope="module")
def others() -> dict[int, Interpreter]:
    """The CPythons of this machine by their minor version, from 3.9 on, without the running one."""
    with pytest.raises(InterpreterNotFoundError) as caught:
        find("3.99")
    minors = {int(minor) for minor in re.findall(r"cpython 3\.(\d+)\.", str(caught.value))}
    return {minor: find(f"cpython3.{minor}") for minor in minors - {sys.version_info.minor} if minor >= OLDEST}


@pytest.fixture
def other(others: dict[int, Interpreter]) -> Interpreter:
    """Some interpreter that is not the running one."""
    if not others:
        pytest.skip("this machine has one interpreter only")
    return others[max(others)]


@pytest.mark.parametrize("how", ["absolute", "relative", "home", "path", "link"])
def test_a_path_names_an_interpreter(how: str, machine: Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Absolute, relative with a separator, with a `~`, as a path object, or a link to one."""
    python = pretend(machine / "home" / "my python", "3.90.1")
    monkeypatch.chdir(machine)
    (machine / "link").symlink_to(python)
    text = {"absolute": str(python), "relative": "home/my python", "home": "~/my python", "link": "./link"}.get(how, python)
    found = find(text)
    assert found[1:3] == ("cpython", "3.90.1")
    assert os.path.isabs(found.executable)
    assert os.path.samefile(found.executable, python)


def test_a_relative_path_means_the_present_working_directory(
    machine: Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same words are another interpreter in another directory."""
    for minor in (90, 91):
        folder = pretend(machine / str(minor) / "bin" / "python", f"3.{minor}.0").parents[1]
        monkeypatch.chdir(folder)
        assert find(os.path.join("bin", "python")).version == f"3.{minor}.0"


def test_an_environments_interpreter_means_the_one_it_was_made_from(venv: VenvRunner, tmp_path: Path) -> None:
    """An environment made with another's interpreter does not need that other one."""
    assert os.path.samefile(find(venv.python_executable).executable, find(None).executable)
    made = VenvRunner("made", tmp_path, python=venv.python_executable, with_pip=False)
    assert venv.venv_dir not in (tmp_path / "made" / "pyvenv.cfg").read_text()
    code = ["python", "-c", "import sys; print(sys.prefix); print(sys.base_prefix)"]
    assert made.log_run(code).stdout == f"{made.venv_dir}\n{sys.base_prefix}\n"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("3.90", "3.90.2"),
        ("3.91.1", "3.91.1"),
        (">=3.90,<3.91", "3.90.2"),
        (">=3.91", "3.91.1"),
        ("~=3.91.0", "3.91.1"),
        ("cpython3.91", "3.91.1"),
        ("python3.90", "3.90.2"),
        ("pypy3.90", "3.90.7"),
        ("pypy", "3.90.7"),
    ],
)
def test_a_version_a_range_or_an_implementation_names_one_on_path(
    text: str, version: str, machine: Path, pretend: Pretend
) -> None:
    """Each of these finds the one that fits."""
    pretend(machine / "bin" / "python3.90", "3.90.2")
    pretend(machine / "bin" / "python3.91", "3.91.1")
    pretend(machine / "bin" / "pypy3.90", "3.90.7", "PyPy")
    found = find(text)
    assert (found.version, found.implementation) == (version, "pypy" if "pypy" in text else "cpython")
    assert Path(found.executable).parent == machine / "bin"


def test_the_running_interpreter_is_taken_if_it_fits(machine: Path, pretend: Pretend) -> None:
    """It needs no search, and is what `None` means, even if PATH and a version manager have newer ones."""
    pretend(machine / "bin" / "python3", "3.99.1")
    pretend(machine / "home" / ".pyenv" / "versions" / "3.99.2" / "bin" / "python", "3.99.2")
    name, version = sys.implementation.name, f"3.{sys.version_info.minor}"
    for text in (version, f">={version}", name, name + version):
        assert find(text) == find(None), text


@pytest.mark.parametrize("where", ["variable", "home"])
@pytest.mark.parametrize("manager", MANAGERS)
def test_the_directories_of_version_managers_are_searched(
    manager: str, where: str, machine: Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though not on PATH: where the manager's variable says, or in its usual directory; the newest fitting one comes first."""
    variable, usual, pattern = MANAGERS[manager]
    root = machine / "home" / usual if where == "home" else machine / "else where"
    if where == "variable":
        monkeypatch.setenv(variable, str(root))
    for version in ("3.90.2", "3.90.10", "3.89.30", "3.100.1"):
        pretend(root / pattern.format(version), version)
    wanted = {"3.90": "3.90.10", "3.90.2": "3.90.2", ">=3.80": "3.100.1", ">=3.80,<3.90": "3.89.30", "cpython3.90": "3.90.10"}
    for text, version in wanted.items():
        found = find(text)
        assert found[:3] == (str(root / pattern.format(version)), "cpython", version), text


def test_the_newest_is_found_by_versions_not_by_directory_names(machine: Path, pretend: Pretend) -> None:
    """A distribution's own number in a directory's name does not make an old Python the newest."""
    for name, version in {"anaconda3-2024.10": "3.85.7", "3.90.1": "3.90.1", "3.90": "3.90.0"}.items():
        pretend(machine / "home" / ".pyenv" / "versions" / name / "bin" / "python", version)
    assert find(">=3.80").version == "3.90.1"


def test_a_plain_version_means_cpython(machine: Path, pretend: Pretend) -> None:
    """Of version managers too: another implementation is only taken if it is asked for."""
    versions = machine / "home" / ".pyenv" / "versions"
    pretend(versions / "pypy3.90-7.3.20" / "bin" / "python", "3.90.9", "PyPy")
    pretend(versions / "3.90.2" / "bin" / "python", "3.90.2")
    assert [find(text).version for text in ("3.90", ">=3.80", "pypy3.90")] == ["3.90.2", "3.90.2", "3.90.9"]


@pytest.mark.slow
@pytest.mark.parametrize("manager", MANAGERS)
def test_an_environment_is_made_from_a_version_managers_interpreter(
    manager: str, other: Interpreter, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It works with that interpreter, which is not on PATH."""
    variable, _, pattern = MANAGERS[manager]
    python = machine / "managed" / pattern.format(other.version)
    python.parent.mkdir(parents=True)
    python.symlink_to(other.executable)
    monkeypatch.setenv(variable, str(machine / "managed"))
    minor = other.version.rpartition(".")[0]
    assert os.path.samefile(find(minor).executable, python)
    venv = VenvRunner("venv", machine, python=minor, with_pip=False)
    code = ["python", "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3]); print(sys.prefix)"]
    assert venv.log_run(code).stdout == f"{other.version}\n{venv.venv_dir}\n"


@pytest.mark.parametrize("text", ["3.98", ">=3.98,<4", "pypy3.90", "/no/python", "./python", "~/python", "", "--help", "a\0b"])
def test_the_error_lists_what_was_found(text: str, machine: Path, pretend: Pretend, capfd: pytest.CaptureFixture[str]) -> None:
    """It names what was asked for and each interpreter with its version and path; nothing is printed or made."""
    found = [
        pretend(machine / "bin" / "python3", "3.90.1"),
        *(pretend(machine / "home" / usual / name.format("3.91.2"), "3.91.2") for _, usual, name in MANAGERS.values()),
    ]
    before = listing(machine)
    with pytest.raises(InterpreterNotFoundError) as caught:
        VenvRunner("venv", machine, python=text)
    assert isinstance(caught.value, CreationError)
    message = str(caught.value)
    assert repr(text) in message
    assert str(find(None)) in message
    for path in found:
        assert f"cpython {'3.90.1' if path == found[0] else '3.91.2'} ({path})" in message
    assert capfd.readouterr() == ("", "")
    assert listing(machine) == before


def test_the_list_has_what_a_search_finds(machine: Path, pretend: Pretend) -> None:
    """Each with its place and in the order of the search, and each is what a search for it returns."""
    running = find(None)
    made = {"PATH": pretend(machine / "bin" / "python3", "3.90.1")}
    for number, (name, (_, usual, place)) in enumerate(MANAGERS.items()):
        version = f"3.{94 - number}.2"
        made[name] = pretend(machine / "home" / usual / place.format(version), version)
    (machine / "bin" / "python3.94").symlink_to(made["pyenv"])
    known, broken = known_interpreters()
    assert broken == []
    assert known[0].interpreter == running
    assert [one.is_default for one in known] == [True, False, False, False, False, False]
    assert {one.interpreter.executable: one.places for one in known[1:]} == {
        str(made["PATH"]): ("PATH",),
        str(made["pyenv"]): ("pyenv", "PATH"),
        **{str(made[name]): (name,) for name in ("asdf", "mise", "uv")},
    }
    for one in known:
        assert find(one.interpreter.executable) == find(f"=={one.interpreter.version}") == one.interpreter


def test_the_list_has_broken_interpreters_with_the_reason(machine: Path, pretend: Pretend) -> None:
    """Those on PATH and of the managers; what has another name, and a shim, is not one."""
    found = machine / "bin"
    (found / "python3.95").write_text("#!/bin/sh\necho no such version >&2\nexit 127\n")
    (found / "python3.96").write_text("#!/bin/sh\nexit 3\n")
    (found / "python3.97").write_text("#!/bin/sh\n")
    (found / "python3.98").symlink_to("gone")
    (found / "python3-config").write_text("#!/bin/sh\nexit 3\n")
    (found / "python3.93").mkdir()
    for name, (_, usual, place) in MANAGERS.items():
        if name in ("pyenv", "uv"):
            path = pretend(machine / "home" / usual / place.format("3.91.2"), "3.91.2")
            path.write_text("#!/no/such/shell\n")
    (machine / "home" / MANAGERS["uv"][1] / "empty").mkdir()
    shims = machine / "shims"
    pretend(shims / "python3.92", "3.92.0").write_text("#!/bin/sh\nexit 4\n")
    for path in found.glob("python3.9[567]"):
        path.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", os.pathsep.join([str(found), str(shims), "relative", str(machine / "missing")]))
        known, broken = known_interpreters()
    assert [one.is_default for one in known] == [True]
    reasons = {Path(one.executable).name if "home" not in one.executable else "manager": one.reason for one in broken}
    assert reasons == {
        "python3.95": "no such version",
        "python3.96": "it ended with exit code 3",
        "python3.97": f"{found / 'python3.97'} returned output without query markers",
        "python3.98": "it is a link to gone, which does not exist",
        "manager": "No such file or directory",
    }
    assert sum("home" in one.executable for one in broken) == 2


@pytest.mark.parametrize("kind", ["text", "folder", "dangling link", "not executable", "silent", "failing"])
def test_a_path_that_is_no_interpreter_is_one_clear_error(kind: str, machine: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever is there in its stead, the error names it."""
    path = machine / "python"
    _break(path, kind)
    with pytest.raises(InterpreterNotFoundError) as caught:
        find(path)
    assert repr(str(path)) in str(caught.value)
    assert capfd.readouterr() == ("", "")


WORDS = ["3.x", "latest", "3..12", "3.12.", "3.12.*.*", ".*", ">=3.x", "==", "3.12.1.5", "3,12", "~3.12", "nosuch3.12"]


@pytest.mark.parametrize("text", WORDS)
def test_what_is_neither_a_version_nor_a_path_is_refused_at_once(text: str, machine: Path, pretend: Pretend) -> None:
    """No interpreter is started for it, and nothing is made."""
    started = machine / "started"
    for name in ("python3", "python", "python3.12"):
        path = machine / "bin" / name
        path.write_text(f"#!/bin/sh\ntouch '{started}'\n")
        path.chmod(0o755)
    before = listing(machine)
    with pytest.raises(InterpreterNotFoundError) as caught:
        VenvRunner("venv", machine, python=text)
    assert "is not a path, a version or a range. Use for instance '3.12'" in str(caught.value)
    assert listing(machine) == before


@pytest.mark.parametrize("text", ["3.90.*", "cpython3.90.*", "python3.90.*", "3.90.2.*"])
def test_an_asterisk_means_any_release_of_a_version(text: str, machine: Path, pretend: Pretend) -> None:
    """As in a requirement."""
    for version in ("3.89.9", "3.90.2", "3.91.1"):
        pretend(machine / "home" / ".pyenv" / "versions" / version / "bin" / "python", version)
    assert find(text).version == "3.90.2"


def test_any_program_on_path_may_be_named(machine: Path, pretend: Pretend) -> None:
    """Also one whose name says nothing of Python."""
    pretend(machine / "bin" / "latest", "3.90.2")
    assert find("latest").version == "3.90.2"


@pytest.mark.parametrize("how", ["absolute", "relative", "environment", "programs", "plain"])
def test_the_error_for_a_directory_names_the_interpreter_in_it(
    how: str, machine: Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message has the path to give instead."""
    monkeypatch.chdir(machine)
    folder = machine / "home" / "mine"
    folder.mkdir()
    if how != "plain":
        pretend(folder / "bin" / "python3", "3.90.2")
    text = {"absolute": str(folder), "relative": "home/mine", "environment": "home"}.get(how, folder)
    if how == "environment":
        pretend(machine / "home" / "bin" / "python", "3.90.2")
    if how == "programs":
        text = str(folder / "bin")
    with pytest.raises(InterpreterNotFoundError) as caught:
        VenvRunner("venv", machine, python=text)
    better = machine / "home" / "bin" / "python" if how == "environment" else folder / "bin" / "python3"
    assert str(caught.value).endswith(
        f" is a directory, not an interpreter. Pass the interpreter in it: python={str(better)!r}."
    )
    if how != "plain":
        assert find(better).version == "3.90.2"


def test_a_miss_is_remembered_until_the_machine_changes(
    machine: Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second error starts no interpreter and says the same; whatever is added or replaced is seen."""
    count = machine / "count"
    broken = machine / "bin" / "python3.90"
    broken.write_text(f"#!/bin/sh\necho >> '{count}'\nexit 1\n")
    broken.chmod(0o755)
    pretend(machine / "home" / ".pyenv" / "versions" / "3.91.0" / "bin" / "python", "3.91.0")

    def miss(text: str) -> tuple[str, int]:
        with pytest.raises(InterpreterNotFoundError) as caught:
            find(text)
        return str(caught.value).partition("found: ")[2], len(count.read_text())

    first = miss("3.90")
    assert "3.91.0" in first[0]
    assert miss("3.90") == first
    assert miss("/no/such/python") == first
    pretend(machine / "home" / ".pyenv" / "versions" / "3.92.0" / "bin" / "python", "3.92.0")
    assert "3.92.0" in miss("3.90")[0]
    os.utime(pretend(broken, "3.90.7"), ns=(1, 1))
    assert find("3.90").version == "3.90.7"


OLD = [8, 7, 6]


@pytest.mark.parametrize("minor", OLD)
def test_a_python_too_old_for_pip_is_one_clear_error(minor: int, machine: Path, pretend: Pretend) -> None:
    """It names the oldest Python and the installer that needs no pip, whatever was asked for; an environment is kept."""
    python = pretend(machine / "bin" / f"python3.{minor}", f"3.{minor}.1")
    old = VenvRunner("venv", machine, with_pip=False)
    (Path(old.venv_dir) / "precious").touch()
    del old
    messages: set[str] = set()
    for installer in get_args(InstallerName):
        with pytest.raises(CreationError) as caught:
            VenvRunner("venv", machine, python=python, installer=installer)
        messages.add(str(caught.value))
    (message,) = messages
    assert message.startswith(f"pip needs Python 3.{OLDEST} or newer, and this is Python 3.{minor}. Use uv instead: ")
    assert "with_pip=False, installer='uv'" in message
    assert "seed" not in message
    assert (machine / "venv" / "precious").exists()


@pytest.mark.slow
@pytest.mark.parametrize("minor", OLD)
def test_uv_installs_where_pip_is_too_new(minor: int, tmp_path: Path) -> None:
    """And pip says the same there as at the creation."""
    try:
        python = find(f"cpython3.{minor}").executable
    except InterpreterNotFoundError:
        pytest.skip(f"this machine has no CPython 3.{minor}")
    wheel = str(make_wheel(tmp_path, "pocket"))
    venv = VenvRunner("venv", tmp_path, python=python, with_pip=False)
    with pytest.raises(CreationError, match=rf"^pip needs Python 3\.{OLDEST} or newer, and this is Python 3\.{minor}\. "):
        venv.install(wheel)
    assert VenvRunner.open(venv.venv_dir, installer="uv").install(wheel, no_index=True).added == {"pocket": "1.0"}


@pytest.mark.parametrize("python", [b"python3", 3.12, 3, ["3.12"], True])
def test_an_interpreter_is_text_or_a_path(python: object, tmp_path: Path) -> None:
    """Anything else is a TypeError, and nothing is made."""
    with pytest.raises(TypeError):
        VenvRunner("venv", tmp_path, python=python)  # type: ignore[arg-type]  # a wrong type on purpose
    assert listing(tmp_path) == {}


def _break(path: Path, kind: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    match kind:
        case "folder":
            path.mkdir()
        case "dangling link":
            path.symlink_to("nowhere")
        case _:
            scripts = {"silent": "#!/bin/sh\n", "failing": "#!/bin/sh\necho broken\necho broken >&2\nexit 3\n"}
            path.write_text(scripts.get(kind, "not a program\n"))
            path.chmod(0o644 if kind == "not executable" else 0o755)


def test_broken_interpreters_do_not_hide_the_good_one(
    machine: Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """On PATH and in a version manager's directory, what does not work is passed over, in silence."""
    kinds = ["text", "folder", "dangling link", "not executable", "silent", "failing"]
    versions = machine / "home" / ".pyenv" / "versions"
    for number, kind in enumerate(kinds):
        _break(versions / f"3.9{number}.9" / "bin" / "python", kind)
        _break(machine / f"bin{number}" / "python3.90", kind)
    (versions / "file").touch()
    good = pretend(versions / "3.90.1" / "bin" / "python", "3.90.1")
    monkeypatch.setenv("PATH", os.pathsep.join(str(machine / f"bin{number}") for number in range(len(kinds))))
    for text in ("3.90", ">=3.80"):
        assert find(text).executable == str(good)
    with pytest.raises(InterpreterNotFoundError, match=r"3\.90\.1"):
        find("3.80")
    assert capfd.readouterr() == ("", "")


def test_the_machine_may_change_between_two_calls(machine: Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new PATH, one that was installed after a search in vain, and one that was removed: each call sees what is there."""
    bin_dir = machine / "bin"
    with pytest.raises(InterpreterNotFoundError):
        find("3.90")
    python = pretend(bin_dir / "python3.90", "3.90.1")
    assert find("3.90").executable == str(python)
    monkeypatch.setenv("PATH", os.pathsep.join([str(machine / "new"), str(bin_dir)]))
    first = pretend(machine / "new" / "python3.90", "3.90.2")
    assert find("3.90").executable == str(first)
    first.unlink()
    assert find("3.90").executable == str(python)
    python.unlink()
    with pytest.raises(InterpreterNotFoundError):
        find("3.90")


@pytest.mark.parametrize("by", ["path", "version"])
def test_an_interpreter_that_was_replaced_is_asked_again(by: str, machine: Path, pretend: Pretend) -> None:
    """An upgrade in place keeps the path and is another interpreter all the same."""
    path = machine / "bin" / "python3"
    text = str(path) if by == "path" else ">=3.90"
    pretend(path, "3.90.1")
    old = find(text)
    os.utime(pretend(path, "3.91.22"), ns=(1, 1))
    new = find(text)
    assert (old.version, new.version) == ("3.90.1", "3.91.22")
    assert (old.executable, old.stamp != new.stamp) == (new.executable, True)


@pytest.mark.parametrize("by", ["path", "version", "copy"])
def test_a_launcher_of_the_same_size_and_time_is_asked_again(
    by: str, machine: Path, pretend: Pretend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Python is a shared library, each version's launcher has as many bytes; its environments are its own version's."""
    monkeypatch.setenv("VENVRUNNER_CACHE_DIR", str(tmp_path / "cache"))
    path = machine / "bin" / "python3"
    text = {"path": str(path), "version": ">=3.90", "copy": str(machine / "copy")}[by]
    if by == "copy":
        (machine / "copy").symlink_to(path)
    seen = []
    for version in ("3.90.1", "3.91.0"):
        os.utime(pretend(path, version), ns=(1, 1))
        found = find(text)
        VenvRunner("venv", tmp_path, python=text, with_pip=False)
        (lib,) = (tmp_path / "venv" / "lib").iterdir()
        seen.append((found.version, lib.name, found.stamp[:2]))
    assert seen[0] == ("3.90.1", "python3.90", seen[1][2])
    assert seen[1][:2] == ("3.91.0", "python3.91")


_LOOK = """
import importlib.metadata, json, site, sys, sysconfig
print(json.dumps({
    "prefix": sys.prefix, "base": sys.base_prefix, "user": site.ENABLE_USER_SITE, "version": sys.version_info[:2],
    "odd": [path for path in sys.path if path and not path.startswith((sys.prefix, sys.base_prefix))],
    "purelib": sysconfig.get_path("purelib").startswith(sys.prefix), "poison": "poison" in sys.modules,
    "installed": sorted({d.metadata["Name"] for d in importlib.metadata.distributions()}),
    "pip": __import__("pip").__file__.startswith(sys.prefix),
}))
"""

VIRTUALENV = ["PYTHON", "SYSTEM_SITE_PACKAGES", "NO_PIP", "CREATOR", "OVERRIDE_APP_DATA", "PROMPT"]
VARIABLES = [*REMOVED, *(f"VIRTUALENV_{name}" for name in VIRTUALENV)]
_YES = {"PIP_USER", "PIP_DRY_RUN", "PIP_REQUIRE_VIRTUALENV", "UV_SYSTEM_PYTHON", "PYTHONINSPECT"}
_YES |= {f"VIRTUALENV_{name}" for name in ("SYSTEM_SITE_PACKAGES", "NO_PIP")}


@pytest.fixture
def poison(tmp_path: Path) -> Path:
    """A directory that breaks or marks every interpreter that looks into it."""
    folder = tmp_path / "poison"
    for place in (folder, folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"):
        place.mkdir(parents=True)
        (place / "poison.py").touch()
        for name in ("sitecustomize.py", "usercustomize.py"):
            (place / name).write_text("import poison, sys\nsys.prefix = sys.base_prefix = 'poisoned'\nprint('poisoned')\n")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variable", "python"),
    [(variable, None) for variable in VARIABLES]
    # The other variables are read neither by interpreters nor by virtualenv, which are only started for one that is new.
    + [(variable, "unknown") for variable in VARIABLES if variable.startswith(("PYTHON", "__PYVENV", "VIRTUALENV_"))],
)
def test_no_variable_of_the_callers_gets_into_an_environment(
    variable: str,
    python: str | None,
    tmp_path: Path,
    poison: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """Made for the running interpreter, or for one that was never seen before, it is right; nothing else has changed."""
    version = list(sys.version_info[:2])
    if python is not None:
        chosen = request.getfixturevalue("other")
        version = [int(number) for number in chosen.version.split(".")[:2]]
        python = str(tmp_path / "python")
        os.symlink(chosen.executable, python)
        monkeypatch.setenv("VENVRUNNER_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv(variable, "1" if variable in _YES else str(poison))
    environ, before = dict(os.environ), listing(poison)
    venv = VenvRunner("venv", tmp_path / "top", python=python)
    assert (dict(os.environ), listing(poison)) == (environ, before)
    seen = json.loads(venv.log_run(["python", "-c", _LOOK]).stdout)
    base = seen.pop("base")
    assert base.startswith(os.path.dirname(os.path.dirname(os.path.realpath(python or find(None).executable)))), base
    right = {"prefix": venv.venv_dir, "user": False, "version": version, "odd": [], "purelib": True, "poison": False}
    assert seen == right | {"installed": ["pip"], "pip": True}


@pytest.mark.slow
@pytest.mark.parametrize("minor", range(OLDEST, 17))
def test_every_installed_cpython_creates_forks_and_runs(minor: int, others: dict[int, Interpreter], tmp_path: Path) -> None:
    """From 3.9 to the newest that is there: a new environment, its fork, its interpreter and its pip."""
    if minor != sys.version_info.minor and minor not in others:
        pytest.skip(f"this machine has no CPython 3.{minor}")
    parent = VenvRunner("parent", tmp_path, python=f"cpython3.{minor}")
    child = parent.fork("child", tmp_path)
    for venv in (parent, child):
        assert venv.log_run(["python", "-c", "import sys; print(sys.version_info[1], sys.prefix)"]).stdout == (
            f"{minor} {venv.venv_dir}\n"
        )
        assert f"(python 3.{minor})" in venv.log_run(["pip", "--version"]).stdout


def test_two_threads_may_need_virtualenv_for_the_first_time_at_once() -> None:
    """One imports the package, and another one of its modules at the worst moment: Python reports no deadlock."""
    done = run_python("""
import sys, threading, time
from venvrunner._create.interpreters import bundled_wheels

entered, stop = threading.Event(), threading.Event()

def pause(event, args):
    # The thread that imports the package stops within it until the other one waits for a lock of an import.
    is_module = event == "open" and "/virtualenv/run/" in str(args[0])
    if is_module and not stop.is_set() and threading.current_thread() is threading.main_thread():
        entered.set()
        end = time.monotonic() + 20
        while not waits_for_import() and time.monotonic() < end:
            stop.wait(0.005)
        stop.set()

def waits_for_import():
    frame, names = sys._current_frames().get(other.ident), set()
    while frame is not None:
        names.add(frame.f_code.co_name)
        frame = frame.f_back
    return "acquire" in names and "bundled_wheels" in names

def need():
    entered.wait(20)
    found.append(bundled_wheels().get_embed_wheel)

found = []
other = threading.Thread(target=need)
other.start()
sys.addaudithook(pause)
import virtualenv
entered.set()  # on Python 3.15 and newer, virtualenv imports its modules when they are needed
other.join()
print(found[0].__name__, virtualenv.__name__)
""")
    assert (done.stdout, done.stderr) == ("get_embed_wheel virtualenv\n", "")
