"""Damaged entries: found where that is cheap, found by `verify` where it is not, and made again."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.stores import PREPARING, WITHOUT, environments, make_project, store, take
from helpers.system import find_tool
from helpers.wheels import make_wheel
from venvrunner import VenvRunner
from venvrunner._store import maintenance
from venvrunner._store.entries import Entry
from venvrunner.installing import InstallerName

__all__ = ["store"]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What the package logs, preparations included."""
    caplog.set_level("INFO", logger="venvrunner")
    return caplog


def only(store: Path) -> Path:
    """Return the one environment in a store."""
    (item,) = environments(store)
    return Path(item.path)


def site_packages(entry: Path) -> Path:
    (found,) = entry.glob("lib/*/site-packages")
    return found


def remove_package(entry: Path) -> None:
    for path in site_packages(entry).glob("pocket*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def remove_command(entry: Path) -> None:
    (entry / "bin" / "pocket").unlink()


def remove_interpreter(entry: Path) -> None:
    (entry / "bin" / "python").unlink()


def empty_configuration(entry: Path) -> None:
    (entry / "pyvenv.cfg").unlink()


def remove_state(entry: Path) -> None:
    shutil.rmtree(entry / ".venvrunner")


def remove_all(entry: Path) -> None:
    shutil.rmtree(entry)


def spoil_note(entry: Path) -> None:
    entry.with_name(f"{entry.name}.json").write_text('{"what": 5, "size": "x"}')


def nested_note(entry: Path) -> None:
    entry.with_name(f"{entry.name}.json").write_text("[" * 100_000)


def note_of_another(entry: Path) -> None:
    path = entry.with_name(f"{entry.name}.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "parent": entry.name}))


def pipe_for_note(entry: Path) -> None:
    path = entry.with_name(f"{entry.name}.json")
    path.unlink()
    os.mkfifo(path)


DAMAGES = [remove_package, remove_command, remove_interpreter, empty_configuration, remove_state, remove_all]
DAMAGES += [spoil_note, nested_note, note_of_another, pipe_for_note]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_made_again(store: Path, damage: Callable[[Path], None], log: pytest.LogCaptureFixture) -> None:
    """If nothing uses it: the next environment is right, and so is the one after it."""
    take("needy")
    damage(only(store))
    for _ in range(2):
        assert take("needy") == ["needy", "pocket"]
    assert WITHOUT not in log.text or damage is empty_configuration  # what is no environment is left untouched
    assert maintenance.verify(str(store)) == {}


def test_a_damaged_entry_in_use_is_left_alone(store: Path, log: pytest.LogCaptureFixture) -> None:
    """The next environment is made without the store, and the one that uses the entry keeps what it has."""
    with VenvRunner.temporary(requirements=["needy"], installer="uv", with_pip=False, cached=True) as venv:
        remove_command(only(store))
        assert take("needy") == ["needy", "pocket"]
        assert WITHOUT in log.text
        assert sorted(venv.installed()) == ["needy", "pocket"]
        assert venv.log_run(["python", "-c", "import needy, pocket"]).returncode == 0
    log.clear()
    assert take("needy") == ["needy", "pocket"]
    assert PREPARING in log.text
    assert WITHOUT not in log.text


def test_the_damaged_dependencies_of_a_project_are_made_again(
    store: Path, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    """Together with the entries that are forks of theirs."""
    project = make_project(tmp_path / "project")
    take(project)
    (parent,) = (item for item in environments(store) if item.what == ["the dependencies of mine"])
    remove_package(Path(parent.path))
    with VenvRunner.temporary(requirements=[project], installer="uv", with_pip=False, cached=True) as venv:
        assert venv.log_run(["python", "-c", "import mine, pocket"]).returncode == 0
    assert WITHOUT not in log.text
    assert maintenance.verify(str(store)) == {}
    shutil.rmtree(parent.path)
    assert take(project) == ["mine", "pocket"]
    assert WITHOUT not in log.text


@pytest.mark.parametrize("command", [["bin/pip"], ["bin/python", "-m", "pip"]])
@pytest.mark.parametrize("action", ["install", "uninstall"])
def test_pip_refuses_to_change_an_entry(store: Path, command: list[str], action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both as a script and as a module, with a message that names the store and says what to do."""
    take("pocket", with_pip=True)
    entry = only(store)
    monkeypatch.delenv("PIP_CONFIG_FILE")  # it would make pip read no file
    argv = [str(entry / command[0]), *command[1:], action, *(["--yes"] if action == "uninstall" else []), "pocket"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "this environment belongs to the store of venvrunner. Fork it instead" in done.stdout + done.stderr
    assert maintenance.verify(str(store)) == {}
    with VenvRunner.temporary(requirements=["pocket"], installer="uv", cached=True) as venv:
        assert list(venv.install_package("wires").added) == ["wires"]  # forks are free


def test_what_uv_installs_into_an_entry_is_found_at_the_next_use(store: Path, log: pytest.LogCaptureFixture) -> None:
    """Also in the second in which the entry was made; `verify` finds it too."""
    uv = find_tool("uv")
    assert uv is not None
    take("pocket")
    for is_verified in (False, True):
        argv = [uv, "pip", "install", "--python", str(only(store) / "bin" / "python"), "wires"]
        subprocess.run(argv, check=True, capture_output=True)
        wrong = maintenance.verify(str(store)) if is_verified else {}
        assert take("pocket") == ["pocket"]
        assert not is_verified or list(wrong.values()) == [["something was installed or removed"]]
    assert log.text.count(PREPARING) == 3


@pytest.mark.slow
@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_verify_names_each_file_that_is_wrong(store: Path, tmp_path: Path, installer: InstallerName) -> None:
    """A flipped byte and a file that is gone; such an entry is not used again."""
    take("needy", installer=installer, with_pip=True)
    assert maintenance.verify(str(store)) == {}
    packages = site_packages(only(store))
    with (packages / "pip" / "__main__.py").open("r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))
    (packages / "pip" / "py.typed").unlink()
    (wrong,) = maintenance.verify(str(store)).values()
    assert sorted(wrong) == sorted(
        [f"{str(packages / 'pip' / '__main__.py')!r} has changed", f"{str(packages / 'pip' / 'py.typed')!r} is gone"]
    )
    assert take("needy", installer=installer, with_pip=True) == ["needy", "pip", "pocket"]
    assert maintenance.verify(str(store)) == {}


def test_verify_reads_any_record(store: Path) -> None:
    """One that is gone, binary, or names an unknown hash is no crash."""
    take("needy")
    (record,) = site_packages(only(store)).glob("needy*/RECORD")
    for text in (b"\0\xff", b"needy.py,shake_128=abc,1\nneedy.py,none=abc,1\n\n,,\n"):
        record.write_bytes(text)
        maintenance.verify(str(store))
        take("needy")
    record.unlink()
    (wrong,) = maintenance.verify(str(store)).values()
    assert wrong == [f"{str(record)!r} cannot be read"]


def hashed_wheel(folder: Path, name: str) -> None:
    """Write a wheel of a package with modules, whose RECORD has hashes."""
    path = make_wheel(folder, name, modules={f"{name}/__init__.py": "", f"{name}/part.py": "X = 1\n", f"{name}_one.py": ""})
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    rows = []
    for file, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{file},,\n" if file.endswith("RECORD") else f"{file},sha256={digest},{len(data)}\n")
    files[f"{name}-1.0.dist-info/RECORD"] = "".join(rows).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for file, data in files.items():
            archive.writestr(file, data)


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_an_entry_stays_whole_while_its_forks_import_from_it(
    store: Path, tmp_path: Path, installer: InstallerName, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They write bytecode into it, in packages and beside single modules: neither a stamp nor a hash changes."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    hashed_wheel(tmp_path / "wheelhouse", "stout")
    for _ in range(4):
        with VenvRunner.temporary(requirements=["stout", "pocket"], installer=installer, cached=True) as venv:
            code = "import stout.part, stout_one, pocket"
            assert venv.log_run(["python", "-c", code]).returncode == 0
            assert venv.log_run(["python", "-O", "-c", code]).returncode == 0
            venv.install_package("wires")
    (found,) = environments(store)
    assert list(Path(found.path).rglob("*.opt-1.pyc"))
    assert Entry(str(store), found.key).is_usable()
    assert maintenance.verify(str(store)) == {}


def test_a_damaged_wheel_is_built_again(store: Path, tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    """Whether its contents cannot be read at all, or one byte of them is wrong, which `verify` finds."""
    project = make_project(tmp_path / "project")
    take(project)
    (wheel,) = store.glob("wheels/*/*.whl")
    wheel.write_bytes(b"no wheel")
    assert take(project) == ["mine", "pocket"]
    (wheel,) = store.glob("wheels/*/*.whl")
    data = bytearray(wheel.read_bytes())
    data[data.index(b"VERSION = 1")] ^= 1
    wheel.write_bytes(data)
    assert list(maintenance.verify(str(store)).values()) == [[f"{wheel.name!r} is damaged"]]
    assert not wheel.exists()
    assert take(project) == ["mine", "pocket"]


def test_an_upgraded_interpreter_has_another_entry(store: Path, tmp_path: Path) -> None:
    """Its path is the same, but its file is another."""
    source = Path(sys.base_prefix)
    if not (source / "bin").is_dir():
        pytest.skip("this interpreter has another layout")
    (tmp_path / "python" / "bin").mkdir(parents=True)
    (tmp_path / "python" / "lib").symlink_to(source / "lib")
    (tmp_path / "python" / "include").symlink_to(source / "include")
    python = tmp_path / "python" / "bin" / "python3"
    shutil.copy2(Path(sys.executable).resolve(), python)
    for _ in range(2):
        assert take("pocket", python=python) == ["pocket"]
    assert len(environments(store)) == 1
    os.utime(python, (1, 1))
    assert take("pocket", python=python) == ["pocket"]
    assert len(environments(store)) == 2
