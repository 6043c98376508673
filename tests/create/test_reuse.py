"""What is done with an existing environment: recreated, reused, refused, adopted, deleted."""

import logging
import os
import shutil
import subprocess
import sys
import venv as stdlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import virtualenv

from helpers.files import listing
from helpers.wheels import make_command_wheel
from venvrunner import (
    CommandError,
    CreationError,
    InvalidPathError,
    InvalidRequirementError,
    NotAVenvError,
    VenvExistsError,
    VenvRunner,
    VenvSpec,
)
from venvrunner.installing import InstallerName

FORMS: list[Callable[[Path], Any]] = [
    str,
    Path,
    lambda wheel: f"{wheel}[none]",
    lambda wheel: f"{wheel}; python_version > '3'",
    lambda wheel: wheel.as_uri(),
    lambda wheel: f"pocket @ {wheel}",
    lambda wheel: f"pocket @ {wheel.as_uri()}",
    lambda wheel: f"file:{os.path.relpath(wheel)}",
]


@pytest.mark.parametrize("form", FORMS)
def test_an_environment_is_made_again_when_a_file_changes(form: Callable[[Path], Any], tmp_path: Path) -> None:
    """However the file is given."""
    (tmp_path / "two words").mkdir()
    wheel = make_command_wheel(tmp_path / "two words", "pocket")
    options: dict[str, Any] = {"with_pip": False, "installer": "uv", "requirements": [form(wheel)]}
    VenvRunner("venv", tmp_path, exist="reuse", **options)
    assert again(tmp_path, **options)
    os.utime(wheel, ns=(0, 1))
    assert not again(tmp_path, **options)


def again(top: Path, **options: Any) -> bool:
    """Ask for the environment with exist="reuse" and tell whether it was kept."""
    mark = top / "venv" / "mark"
    mark.touch()
    runner = VenvRunner("venv", top, exist="reuse", **options)
    assert runner.log_run(["python", "-c", "print(1)"]).stdout == "1\n"
    return mark.exists()


@pytest.fixture
def reasons(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return what was logged of environments that were recreated."""
    caplog.set_level(logging.INFO, "venvrunner")
    return lambda: [text for record in caplog.records if "recreating" in (text := record.getMessage())]


def test_an_environment_that_fits_is_kept(tmp_path: Path, reasons: Callable[[], list[str]]) -> None:
    """Made with the same arguments, it is taken as it is, and nothing is said."""
    options: dict[str, Any] = {"prompt": "mine", "with_pip": False}
    VenvRunner("venv", tmp_path, exist="reuse", **options)
    assert again(tmp_path, **options)
    assert not reasons()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"with_pip": True}, "its with_pip was False and is now True"),
        ({"with_pip": False, "prompt": "mine"}, "its prompt was None and is now 'mine'"),
        ({"with_pip": False, "system_site_packages": True}, "its system_site_packages was False and is now True"),
    ],
)
def test_an_environment_with_other_options_is_recreated(
    options: dict[str, Any], reason: str, tmp_path: Path, reasons: Callable[[], list[str]]
) -> None:
    """One line says which."""
    VenvRunner("venv", tmp_path, with_pip=False)
    assert not again(tmp_path, **options)
    assert reasons() == [f"recreating {str(tmp_path / 'venv')!r}: {reason}"]


def test_requirements_are_installed_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reasons: Callable[[], list[str]]
) -> None:
    """A local file counts with its size and time, so that a wheel that was rebuilt is reinstalled."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    wheel = make_command_wheel(tmp_path)
    venv = VenvRunner("venv", tmp_path, requirements=[str(wheel)])
    assert venv.log_run(["pocket"]).stdout == "pocket 1.0\n"
    assert again(tmp_path, requirements=[str(wheel)])
    os.utime(wheel, (1, 1))
    assert not again(tmp_path, requirements=[str(wheel)])
    assert not again(tmp_path, requirements=[])
    assert len(reasons()) == 2
    assert all(reason.endswith("its requirements have changed") for reason in reasons())


@pytest.mark.parametrize("installer", ["pip", "uv"])
@pytest.mark.parametrize("form", ["{url}", "pocket @ {url}", "pocket@{url} ; python_version > '3'"])
def test_a_file_that_a_url_names_is_compared_too(
    form: str, installer: InstallerName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reasons: Callable[[], list[str]]
) -> None:
    """Kept as long as the file is the same, recreated with its new contents after a change."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (tmp_path / "two words").mkdir()
    wheel = make_command_wheel(tmp_path / "two words")
    requirement = form.format(url=wheel.as_uri())
    VenvRunner("venv", tmp_path, requirements=[requirement], installer=installer)
    assert again(tmp_path, requirements=[requirement], installer=installer)
    os.utime(wheel, (1, 1))
    assert not again(tmp_path, requirements=[requirement], installer=installer)
    spec = VenvSpec(requirements=[requirement], installer=installer)
    (tmp_path / "venv" / "mark").touch()
    spec.create("venv", tmp_path)
    assert (tmp_path / "venv" / "mark").exists()
    os.utime(wheel, (2, 2))
    spec.create("venv", tmp_path)
    assert not (tmp_path / "venv" / "mark").exists()
    assert [reason.partition(": ")[2] for reason in reasons()] == ["its requirements have changed"] * 2


def test_an_environment_without_pip_gets_its_requirements_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pip that does it is not in it."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    venv = VenvRunner("venv", tmp_path, requirements=[str(make_command_wheel(tmp_path))], with_pip=False)
    assert venv.log_run(["pocket"]).stdout == "pocket 1.0\n"
    assert not list((tmp_path / "venv").rglob("pip"))


@pytest.mark.parametrize(
    ("requirements", "error"),
    [(["--pre"], InvalidRequirementError), (["./nothing.whl"], InvalidRequirementError), ("pocket", TypeError)],
)
def test_a_wrong_requirement_is_refused_before_anything_is_made(
    requirements: Any, error: type[Exception], tmp_path: Path
) -> None:
    """What is there stays."""
    with pytest.raises(error):
        VenvRunner("venv", tmp_path / "top", requirements=requirements)
    assert listing(tmp_path) == {}


def test_requirements_that_cannot_be_installed_leave_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip's own error says why."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(CommandError) as caught:
        VenvRunner("venv", tmp_path / "top", requirements=["no-such-project"])
    assert "no-such-project" in "".join(caught.value.__notes__)
    assert listing(tmp_path) == {}


def break_interpreter(venv: Path) -> None:
    (venv / "bin" / "python").unlink()
    (venv / "bin" / "python").symlink_to("/nowhere/python")


def interrupt(venv: Path) -> None:
    state = venv / ".venvrunner" / "state"
    state.write_text(state.read_text().splitlines()[0] + "\n")


def damage(venv: Path) -> None:
    (venv / ".venvrunner" / "state").write_text('{"parent": null}\n{"folder": ')


def replace(venv: Path) -> None:
    shutil.rmtree(venv)
    stdlib.create(venv, symlinks=True)


def move(venv: Path) -> None:
    venv.rename(venv.with_name("other"))
    shutil.copytree(venv.with_name("other"), venv, symlinks=True)
    state = venv / ".venvrunner" / "state"
    state.write_text(state.read_text().replace(str(venv), str(venv.with_name("other"))))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (break_interpreter, "its interpreter is gone"),
        (interrupt, "its creation or deletion was interrupted"),
        (damage, "its creation or deletion was interrupted"),
        (replace, "another tool created it, so its contents are unknown"),
        (move, "its directory was"),
    ],
)
def test_what_is_no_longer_as_created_is_recreated(
    change: Callable[[Path], None], reason: str, tmp_path: Path, reasons: Callable[[], list[str]]
) -> None:
    """A broken link, an interruption, another tool, another path: repaired, and the reason logged."""
    VenvRunner("venv", tmp_path, with_pip=False)
    change(tmp_path / "venv")
    assert not again(tmp_path, with_pip=False)
    assert len(reasons()) == 1
    assert reason in reasons()[0]


def test_an_environment_is_not_replaced_when_that_is_an_error(tmp_path: Path) -> None:
    """exist="error" is for who can't stand a surprise; a foreign environment is left as it is too."""
    VenvRunner("venv", tmp_path, exist="error", with_pip=False)
    stdlib.create(tmp_path / "foreign", symlinks=True)
    before = listing(tmp_path)
    for name in ("venv", "foreign"):
        with pytest.raises(VenvExistsError, match=name) as caught:
            VenvRunner(name, tmp_path, exist="error")
        assert isinstance(caught.value, FileExistsError)
    assert {name: entry for name, entry in listing(tmp_path).items() if "user-" not in name} == {
        name: entry for name, entry in before.items() if "user-" not in name
    }


@pytest.mark.parametrize(
    "options",
    [
        {"exist": "keep"},
        {"wait": -1},
        {"wait": float("nan")},
        {"prompt": "two\nlines"},
        {"prompt": 7},
        {"with_pip": "no"},
        {"system_site_packages": None},
        {"python": 3.12},
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_made(options: dict[str, Any], tmp_path: Path) -> None:
    """A ValueError or TypeError names it."""
    with pytest.raises((TypeError, ValueError), match=next(iter(options))):
        VenvRunner("venv", tmp_path / "top", **options)
    assert listing(tmp_path) == {}


@pytest.mark.parametrize("maker", ["stdlib", "stdlib copies", "virtualenv", "venvrunner"])
def test_an_environment_that_is_there_is_adopted(maker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever made it, it runs, installs and is deleted like any other."""
    path = tmp_path / "venv"
    match maker:
        case "venvrunner":
            VenvRunner("venv", tmp_path)
        case "virtualenv":
            virtualenv.session_via_cli(["--no-download", "--no-periodic-update", str(path)], setup_logging=False).run()
        case _:
            stdlib.create(path, symlinks=maker == "stdlib")
    monkeypatch.chdir(tmp_path)
    venv = VenvRunner.open("venv")
    assert (venv.name, venv.top_dir, venv.venv_dir) == ("venv", str(tmp_path), str(path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    venv.install_package(str(make_command_wheel(tmp_path)))
    assert VenvRunner.open(path).log_run(["pocket"]).stdout == "pocket 1.0\n"
    venv.delete()
    assert not path.exists()


@pytest.mark.parametrize("what", ["nothing", "a folder", "interrupted", "broken"])
def test_what_is_not_a_working_environment_is_not_adopted(what: str, tmp_path: Path) -> None:
    """The error says what is wrong with it, and nothing is changed."""
    if what == "a folder":
        (tmp_path / "venv").mkdir()
    elif what != "nothing":
        VenvRunner("venv", tmp_path, with_pip=False)
        {"interrupted": interrupt, "broken": break_interpreter}[what](tmp_path / "venv")
    before = listing(tmp_path).keys()
    reason = {"interrupted": "was interrupted", "broken": "interpreter is gone"}.get(what, "no pyvenv.cfg")
    with pytest.raises(InvalidPathError, match=reason):
        VenvRunner.open(tmp_path / "venv")
    assert listing(tmp_path).keys() == before


def make_base(base: Path, version: str, names: tuple[str, ...]) -> None:
    """Make an installation of Python that has nothing but an interpreter with these names, and a standard library."""
    shutil.rmtree(base, ignore_errors=True)
    (base / "bin").mkdir(parents=True)
    (base / "lib" / f"python{version}").mkdir(parents=True)
    (base / "lib" / f"python{version}" / "os.py").touch()
    (base / "bin" / names[0]).touch(mode=0o755)
    for name in names[1:]:
        (base / "bin" / name).symlink_to(names[0])


@pytest.mark.parametrize("names", [("python3.12", "python3"), ("python3",)])
@pytest.mark.parametrize("kind", ["link", "copy"])
def test_an_environment_of_an_upgraded_interpreter_is_not_adopted(kind: str, names: tuple[str, ...], tmp_path: Path) -> None:
    """Its packages would not be found: told by the interpreter's name, or by the standard library beside it."""
    base, path = tmp_path / "base", tmp_path / "venv"
    make_base(base, "3.12", names)
    (path / "bin").mkdir(parents=True)
    (path / "lib" / "python3.12" / "site-packages").mkdir(parents=True)
    (path / "pyvenv.cfg").write_text(f"home = {base}/bin\n")
    if kind == "link":
        (path / "bin" / "python").symlink_to(base / "bin" / "python3")
    else:
        (path / "bin" / "python3").touch(mode=0o755)
        (path / "bin" / "python").symlink_to("python3")
    VenvRunner.open(path)
    make_base(base, "3.13", tuple(name.replace("2", "3") for name in names))
    with pytest.raises(InvalidPathError, match=r"its interpreter is Python 3\.13, but its packages are for Python 3\.12"):
        VenvRunner.open(path)
    (path / "lib" / "python3.13" / "site-packages").mkdir(parents=True)  # as an upgrade of it would have
    VenvRunner.open(path)


def test_deleting_twice_does_no_harm(tmp_path: Path) -> None:
    """What is gone is gone, and so is the directory; the top_dir stays."""
    venv = VenvRunner("venv", tmp_path / "top", with_pip=False)
    venv.delete()
    venv.delete()
    assert list(tmp_path.iterdir()) == [tmp_path / "top"]
    assert listing(tmp_path / "top") == {}


def test_another_thread_may_delete_by_the_runner(tmp_path: Path) -> None:
    """Who has the object has the right."""
    venv = VenvRunner("venv", tmp_path, with_pip=False)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(venv.delete).result()
    assert listing(tmp_path) == {}


def test_what_replaced_a_deleted_environment_is_not_touched(tmp_path: Path) -> None:
    """A runner deletes its environment, not whatever has its path now."""
    venv = VenvRunner("venv", tmp_path, with_pip=False)
    shutil.rmtree(tmp_path / "venv")
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "precious").touch()
    with pytest.raises(NotAVenvError):
        venv.delete()
    assert (tmp_path / "venv" / "precious").exists()


def test_what_prevents_recreation_is_reported_as_a_change(tmp_path: Path) -> None:
    """One is there, so nothing is said of creating; the error has the system's reason."""
    venv = VenvRunner("venv", tmp_path, with_pip=False)
    venv.__exit__(None, None, None)
    lock = Path(venv.venv_dir, ".venvrunner", "lock")
    lock.unlink()
    lock.mkdir()
    with pytest.raises(CreationError, match=r"^cannot change the environment in .*Is a directory"):
        VenvRunner("venv", tmp_path)


def test_a_deleted_environment_does_not_come_back_in_half(tmp_path: Path) -> None:
    """Whatever is asked of its runner, the directory is not made again."""
    venv = VenvRunner("venv", tmp_path, with_pip=False)
    venv.delete()
    for action in (lambda: venv.install_package("pocket"), lambda: venv.fork("fork", tmp_path)):
        with pytest.raises(CreationError):
            action()
    with pytest.raises(ValueError, match="The environment itself no longer exists"):
        venv.log_run(["python"])
    assert listing(tmp_path) == {}


def test_a_temporary_environment_needs_no_block() -> None:
    """It goes with its object, or with delete()."""
    venv = VenvRunner.temporary(with_pip=False)
    folder = Path(venv.venv_dir).parent
    venv.delete()
    assert not folder.exists()
    venv = VenvRunner.temporary(with_pip=False)
    folder = Path(venv.venv_dir).parent
    del venv
    assert not folder.exists()


@pytest.mark.asyncio
async def test_a_temporary_environment_is_an_async_context_manager_too() -> None:
    """`async with` does the same as `with`."""
    async with VenvRunner.temporary(with_pip=False) as venv:
        result = await venv.async_log_run(["python", "-c", "print(1)"])
        folder = Path(venv.venv_dir).parent
    assert (result.stdout, folder.exists()) == ("1\n", False)


def test_a_temporary_environment_goes_with_its_process() -> None:
    """Also when the program forgets it."""
    code = "from venvrunner import VenvRunner; venv = VenvRunner.temporary(with_pip=False); print(venv.venv_dir)"
    source = Path(sys.modules[VenvRunner.__module__].__file__ or "").parents[1]
    env = {**os.environ, "PYTHONPATH": str(source)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert not Path(done.stdout.strip()).parent.exists()
