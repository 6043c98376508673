"""Configuration: no file and no variable of the user's moves or fakes an installation, and what it needs stays in force."""

import asyncio
import os
import pickle
import sys
import tomllib
import traceback
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest

from helpers.environments import packages
from helpers.index_server import forget_settings
from helpers.wheels import make_wheel
from venvrunner import InstallationError, NotInstalledError, Receipt, VenvRunner
from venvrunner._install import uv_settings
from venvrunner._install.expected import expected_names
from venvrunner._install.request import Request
from venvrunner.installing import InstallerName


def quick_first(values: Iterable[str]) -> list[Any]:
    """Return parameters; all but the first are slow together, as each of them runs an installer."""
    first, *others = values
    return [first, *(pytest.param(value, marks=pytest.mark.slow) for value in others)]


ways = pytest.mark.parametrize("way", ["install", "async_install"])


class Machine(NamedTuple):
    """Where settings can be, and where packages are.

    Attributes:
        home: the user's directory.
        system: the directory of the system's settings.
        cwd: the working directory.
        wheels: holds the package `pocket`, and only the user's settings name it.
        elsewhere: where nothing must ever be installed.
    """

    home: Path
    system: Path
    cwd: Path
    wheels: Path
    elsewhere: Path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A user without any settings yet; the index is one that does not exist."""
    forget_settings(monkeypatch, tmp_path / "home")
    for name in ("PIP_CONFIG_FILE", "UV_NO_CONFIG"):
        monkeypatch.delenv(name)
    found = Machine(*(tmp_path / name for name in Machine._fields))
    for folder in found[:-1]:
        folder.mkdir()
    make_wheel(found.wheels, "pocket")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(found.home / ".config"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(found.system))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.chdir(found.cwd)
    return found


@pytest.fixture
def target() -> Iterator[VenvRunner]:
    """An environment of the test's own."""
    with VenvRunner.temporary() as venv:
        yield venv


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def install(venv: VenvRunner, way: str, *requirements: str, **options: Any) -> Receipt:
    if way == "install":
        return venv.install(*requirements, **options)
    return asyncio.run(venv.async_install(*requirements, **options))


def check(venv: VenvRunner, machine: Machine) -> None:
    """Make sure that the package is in the environment, as far as Python can tell, and nowhere else."""
    where = venv.log_run(["python", "-c", "import pocket; print(pocket.__file__)"]).stdout
    assert where.startswith(venv.venv_dir)
    assert venv.installed()["pocket"] == "1.0"
    assert not machine.elsewhere.exists()


PIP_SETTINGS = {
    "target": "{elsewhere}",
    "prefix": "{elsewhere}",
    "root": "{elsewhere}",
    "python": sys.executable,
    "src": "{elsewhere}",
    "user": "true",
    "dry-run": "yes",
    "DRY_RUN": "1",
    "--target": "{elsewhere}",
    "require-virtualenv": "true",
    "ignore-installed": "true",
    "requirement": "{elsewhere}/r.txt",
    "editable": "{elsewhere}",
    "group": "test",
    "platform": "win32",
    "python-version": "3.7",
    "implementation": "pp",
    "abi": "none",
    "version": "true",
    "help": "true",
}
PIP_FILES = {
    "user": "{home}/.config/pip/pip.conf",
    "legacy": "{home}/.pip/pip.conf",
    "system": "{system}/pip/pip.conf",
    "environment": "{venv}/pip.conf",
    "variable": "{home}/mine.conf",
}


def pip_conf(
    machine: Machine,
    venv: VenvRunner,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    *,
    file: str = "user",
    section: str = "global",
) -> None:
    """Write a setting into one of pip's files, beside those that say where packages are."""
    path = PIP_FILES[file].format(home=machine.home, system=machine.system, venv=venv.venv_dir)
    text = f"[global]\nno-index = true\nfind-links =\n    {machine.wheels}\n"
    text += "" if section == "global" else f"[{section}]\n"
    write(Path(path), f"{text}{name} = {value.format(elsewhere=machine.elsewhere)}\n")
    if file == "variable":
        monkeypatch.setenv("PIP_CONFIG_FILE", path)


@pytest.mark.parametrize("name", quick_first(PIP_SETTINGS))
def test_no_setting_of_pip_moves_an_installation(
    name: str, machine: Machine, target: VenvRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package comes from where the same file says, and goes into the environment; by `pip` as a command too."""
    pip_conf(machine, target, monkeypatch, name, PIP_SETTINGS[name])
    assert target.install("pocket").added == {"pocket": "1.0"}
    check(target, machine)
    target.uninstall("pocket")
    target.log_run(["pip", "install", "pocket"])
    check(target, machine)


@ways
@pytest.mark.parametrize("section", quick_first(["global", "install"]))
@pytest.mark.parametrize("file", quick_first(PIP_FILES))
def test_no_file_of_pip_moves_an_installation(
    file: str, section: str, way: str, machine: Machine, target: VenvRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the user's files nor the system's, that in the environment and that of a variable."""
    pip_conf(machine, target, monkeypatch, "target", "{elsewhere}", file=file, section=section)
    assert install(target, way, "pocket").added == {"pocket": "1.0"}
    check(target, machine)
    target.log_run(["pip", "uninstall", "--yes", "pocket"])
    assert "pocket" not in target.installed()


def test_a_file_may_be_relative_to_the_directory_of_the_call(
    machine: Machine, target: VenvRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pip itself sees it there."""
    write(machine.home / "below" / "mine.conf", f"[global]\ntarget = {machine.elsewhere}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", "mine.conf")
    target.install("pocket", no_index=True, find_links=[machine.wheels], cwd=machine.home / "below")
    check(target, machine)


@pytest.mark.parametrize("installer", get_args(InstallerName))
def test_a_file_of_that_name_in_another_directory_does_not_count(
    installer: InstallerName, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of what the file in the working directory of this process says reaches the installer."""
    if installer == "pip":
        other = f"[global]\ntarget = {machine.elsewhere}\nno-index = true\nfind-links = {machine.elsewhere}\n"
        own = f"[global]\nno-index = true\nfind-links = {machine.wheels}\n"
    else:
        other = f'no-index = true\nfind-links = ["{machine.elsewhere}"]\n[pip]\ntarget = "{machine.elsewhere}"\n'
        own = f'no-index = true\nfind-links = ["{machine.wheels}"]\n'
    write(machine.cwd / "mine.conf", other)
    write(machine.cwd / "below" / "mine.conf", own)
    monkeypatch.setenv("PIP_CONFIG_FILE" if installer == "pip" else "UV_CONFIG_FILE", "mine.conf")
    with VenvRunner.temporary(installer=installer) as venv:
        venv.install("pocket", cwd="below")
        check(venv, machine)


@pytest.mark.parametrize("way", quick_first(["log_run", "async_log_run", "lines", "async_lines"]))
@pytest.mark.parametrize("harmful", ["below", "here"])
def test_a_command_too_has_the_file_of_its_own_directory(
    harmful: str, way: str, machine: Machine, target: VenvRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the file of that name in the working directory of this process says does not count, be it harmful or not."""
    places = f"[global]\nno-index = true\nfind-links = {machine.wheels}\n"
    moving = f"[global]\ntarget = {machine.elsewhere}\n"
    below = machine.cwd / "below"
    write(below / "mine.conf", places + (moving.partition("\n")[2] if harmful == "below" else ""))
    write(machine.cwd / "mine.conf", moving if harmful == "here" else "[global]\nindex-url = https://host.invalid\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", "mine.conf")
    before = dict(os.environ)
    command = ["pip", "install", "pocket"]
    if way == "log_run":
        target.log_run(command, cwd="below")
    elif way == "lines":
        list(target.lines(command, cwd=below))
    else:

        async def main() -> None:
            if way == "async_log_run":
                await target.async_log_run(command, cwd=below)
            else:
                assert [line async for line in target.async_lines(command, cwd="below", env=before)]

        asyncio.run(main())
    check(target, machine)


def test_what_builds_a_package_is_not_moved_either(
    machine: Machine, target: VenvRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip starts another pip for what a build needs."""
    pip_conf(machine, target, monkeypatch, "target", "{elsewhere}")
    make_wheel(
        machine.wheels, "tool", modules={"tool.py": _TOOL.format(wheel=str(machine.wheels / "pocket-1.0-py3-none-any.whl"))}
    )
    write(machine.cwd / "pyproject.toml", '[build-system]\nrequires = ["tool"]\nbuild-backend = "tool"\n')
    target.install(".")
    check(target, machine)


_TOOL = """import os, shutil
def build_wheel(folder, config_settings=None, metadata_directory=None):
    return os.path.basename(shutil.copy({wheel!r}, folder))
"""


def test_a_harmless_configuration_is_read_by_pip_itself(
    machine: Machine, target: VenvRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a file that would move something is kept from pip; `[download]` may be about other platforms."""
    pip_conf(machine, target, monkeypatch, "platform", "win32", section="download")
    assert "PIP_CONFIG_FILE" not in target.environment()
    pip_conf(machine, target, monkeypatch, "target", "")
    assert "PIP_CONFIG_FILE" not in target.environment()
    target.install("pocket")
    check(target, machine)


def test_later_files_of_pip_override_earlier_ones(
    machine: Machine, target: VenvRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pip has it, also without its files; and a variable overrides all of them."""
    empty = machine.home / "empty"
    empty.mkdir()
    system = write(machine.system / "pip" / "pip.conf", f"[global]\nfind-links = {empty}\ntimeout = 7\nretries = 1\n")
    pip_conf(machine, target, monkeypatch, "dry-run", "true")
    monkeypatch.setenv("PIP_RETRIES", "2")
    env = target.environment()
    assert (env["PIP_FIND_LINKS"].split(), env["PIP_TIMEOUT"], env["PIP_RETRIES"]) == ([str(machine.wheels)], "7", "2")
    target.install("pocket")
    check(target, machine)
    assert system.exists()


def test_a_broken_configuration_is_reported_by_pip(machine: Machine, target: VenvRunner) -> None:
    """It is not taken for an empty one."""
    write(machine.home / ".pip" / "pip.conf", "[global]\ntarget = x\ntarget = y\n")
    with pytest.raises(InstallationError) as caught:
        target.install("pocket")
    assert "option 'target'" in caught.value.stderr


def test_the_callers_own_location_is_kept(machine: Machine, target: VenvRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is set for one command on purpose counts, as ever."""
    pip_conf(machine, target, monkeypatch, "target", str(machine.home / "other"))
    target.log_run(["pip", "install", "pocket"], env={**os.environ, "PIP_TARGET": str(machine.elsewhere)})
    assert (machine.elsewhere / "pocket.py").exists()


UV_SETTINGS = {
    "target": '"{elsewhere}"',
    "prefix": '"{elsewhere}"',
    "python": '"/usr/bin/python3"',
    "system": "true",
    "python-version": '"3.7"',
    "python-platform": '"windows"',
    "group": '["test"]',
    "extra": '["test"]',
}
UV_FILES = {
    "user": "{home}/.config/uv/uv.toml",
    "system": "{system}/uv/uv.toml",
    "working directory": "{cwd}/uv.toml",
    "above it": "{cwd}/../uv.toml",
    "project": "{cwd}/pyproject.toml",
    "variable": "{home}/mine.toml",
}


def uv_toml(machine: Machine, monkeypatch: pytest.MonkeyPatch, name: str, value: str, *, file: str = "user") -> None:
    """Write a setting into one of uv's files, beside those that say where packages are."""
    path = Path(UV_FILES[file].format(home=machine.home, system=machine.system, cwd=machine.cwd))
    write(path, "")
    places = f'no-index = true\nfind-links = ["{os.path.relpath(machine.wheels, path.parent)}"]\n'
    table = "[tool.uv]\n" if file == "project" else ""
    table += f"{places}[{'tool.uv.' if table else ''}pip]\n{name} = {value.format(elsewhere=machine.elsewhere)}\n"
    project = '[project]\nname = "mine"\nversion = "1"\n[tool.uv.sources]\nx = { path = "x" }\n' if file == "project" else ""
    write(path, project + table)
    if file == "variable":
        monkeypatch.setenv("UV_CONFIG_FILE", str(path))


@pytest.mark.parametrize("name", UV_SETTINGS)
def test_no_setting_of_uv_moves_an_installation(name: str, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package comes from where the same file says, and goes into the environment."""
    uv_toml(machine, monkeypatch, name, UV_SETTINGS[name])
    with VenvRunner.temporary(installer="uv") as venv:
        assert venv.install("pocket").added == {"pocket": "1.0"}
        check(venv, machine)


@ways
@pytest.mark.parametrize("file", UV_FILES)
def test_no_file_of_uv_moves_an_installation(file: str, way: str, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the user's file nor those of the system, the working directory and what is above it, and of a variable."""
    uv_toml(machine, monkeypatch, "target", '"{elsewhere}"', file=file)
    with VenvRunner.temporary(installer="uv") as venv:
        assert install(venv, way, "pocket").added == {"pocket": "1.0"}
        check(venv, machine)
        assert venv.uninstall("pocket").removed == {"pocket": "1.0"}


SYSTEM_UV = """
offline = true
find-links = ["s"]
exclude-newer = 2030-01-31
[pip]
target = "s"
no-deps = true
"""


@pytest.mark.parametrize("name", ["UV_WORKING_DIR", "UV_WORKING_DIRECTORY", "UV_PROJECT"])
def test_no_file_of_another_directory_moves_an_installation(
    name: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uv looks for its files where a variable says, and has had two names for it."""
    write(machine.home / "other" / "uv.toml", f'[pip]\ntarget = "{machine.elsewhere}"\n')
    monkeypatch.setenv(name, str(machine.home / "other"))
    with VenvRunner.temporary(installer="uv") as venv:
        assert venv.install("pocket", no_index=True, find_links=[machine.wheels]).added == {"pocket": "1.0"}
        check(venv, machine)


def test_the_files_of_uv_are_merged_as_uv_does(machine: Machine) -> None:
    """Tables and lists are joined, and of other values the nearest counts; relative paths begin at the file."""
    write(machine.system / "uv" / "uv.toml", SYSTEM_UV)
    write(
        machine.home / ".config" / "uv" / "uv.toml",
        '[[index]]\nname = "mine"\nurl = "https://host.example/%7Fx"\n[pip]\nno-deps = false\n',
    )
    root = '[tool.uv]\noffline = false\nfind-links = ["./r"]\nindex = [{ url = "i", name = "é" }]\n'
    root += '[tool.uv.workspace]\nmembers = ["cwd"]\n'
    write(machine.cwd.parent / "pyproject.toml", root)
    write(machine.cwd / "pyproject.toml", "[tool.uv]\nno-index = true\n")
    found = tomllib.loads(uv_settings.overruled(dict(os.environ), str(machine.cwd)))
    assert found == {
        "offline": False,
        "exclude-newer": date(2030, 1, 31),
        "find-links": [f"{machine.cwd.parent}/./r", str(machine.system / "uv" / "s")],
        "index": [
            {"url": str(machine.cwd.parent / "i"), "name": "é"},
            {"url": "https://host.example/%7Fx", "name": "mine"},
        ],
        "pip": {"no-deps": False},
    }


@pytest.mark.parametrize("setting", ["nodeps = true", "no-deps = 3", "link-mode = 'none'"])
@pytest.mark.parametrize("file", ["user", "project"])
def test_a_mistake_in_a_file_of_uv_is_reported_with_its_path(
    file: str, setting: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where uv gets another file, with the settings of all of them that move nothing."""
    uv_toml(machine, monkeypatch, "target", '"{elsewhere}"', file=file)
    path = Path(UV_FILES[file].format(home=machine.home, cwd=machine.cwd))
    path.write_text(f"{path.read_text()}{setting}\n")
    with VenvRunner.temporary(installer="uv", with_pip=False) as venv, pytest.raises(InstallationError) as caught:
        venv.install("pocket")
    told = "".join(traceback.format_exception_only(caught.value))
    assert str(path) in str(caught.value)
    assert "settings.toml" not in told
    assert setting.partition(" ")[0] in told


@pytest.mark.parametrize("text", ["[pip]\ntarget = ", "pip = 1\n", "[pip]\nlink-mode = 'copy'\n"])
def test_what_moves_nothing_is_left_to_uv(text: str, machine: Machine) -> None:
    """Also a file that is wrong: uv says so, and installs nothing."""
    write(machine.cwd / "uv.toml", text)
    assert not uv_settings.overruled(dict(os.environ), str(machine.cwd))


@pytest.mark.parametrize("installer", get_args(InstallerName))
def test_the_index_of_a_call_overrides_that_of_the_files(
    installer: InstallerName, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a file that would move the installation, given for this call alone."""
    page = machine.home / "simple" / "pocket" / "index.html"
    write(page, "")
    wheel = make_wheel(page.parent, "pocket", "2.0")
    write(page, f'<a href="{wheel.name}">{wheel.name}</a>')
    wrong = machine.wheels.as_uri()
    pip = write(machine.home / "mine.conf", f"[global]\nindex-url = {wrong}\ntarget = {machine.elsewhere}\n")
    uv = write(machine.home / "mine.toml", f'index-url = "{wrong}"\n[pip]\ntarget = "{machine.elsewhere}"\n')
    with VenvRunner.temporary(installer=installer) as venv:
        files = {"PIP_CONFIG_FILE": str(pip), "UV_CONFIG_FILE": str(uv)}
        assert venv.install("pocket", index_url=page.parents[1].as_uri(), extra_env=files).added == {"pocket": "2.0"}
    assert not machine.elsewhere.exists()


@pytest.mark.parametrize("name", quick_first(["PIP_TARGET", "PIP_target", "PIP_PREFIX", "PIP_ROOT", "PIP_DRY-Run", "PIP_USER"]))
def test_no_variable_of_pip_moves_an_installation(
    name: str, machine: Machine, target: VenvRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An inherited one is gone, whatever the command."""
    monkeypatch.setenv(name, "1" if "{" not in PIP_SETTINGS[name[4:].lower().replace("_", "-")] else str(machine.elsewhere))
    target.install("pocket", no_index=True, find_links=[machine.wheels])
    check(target, machine)


PRETENDING = [("pip", "PIP_DRY_RUN", "1"), ("pip", "PIP_TARGET", "{elsewhere}"), ("uv", "UV_EXCLUDE", "{cwd}/excluded.txt")]


@ways
@pytest.mark.parametrize(("installer", "setting", "value"), PRETENDING)
def test_an_installer_that_only_pretends_is_an_error(
    installer: InstallerName, setting: str, value: str, way: str, machine: Machine
) -> None:
    """The caller's own variable counts, and the exception says what is not there, without secrets."""
    write(machine.cwd / "excluded.txt", "pocket\n")
    file = write(machine.cwd / "r.txt", "pocket==1.0\n")
    wheel = str(machine.wheels / "pocket-1.0-py3-none-any.whl")
    extra = {setting: value.format(elsewhere=machine.elsewhere, cwd=machine.cwd), "TOKEN": "https://me:hunter22@host.example/"}
    options: dict[str, Any] = {"no_index": True, "find_links": [machine.wheels], "extra_env": extra}
    with VenvRunner.temporary(installer=installer) as venv:
        for requirements, files in ((["Pocket >= 1"], []), ([wheel], []), ([], [file])):
            with pytest.raises(NotInstalledError, match="but 'pocket' is not installed") as caught:
                install(venv, way, *requirements, requirements_files=files, **options)
            assert (caught.value.packages, caught.value.returncode) == (["pocket"], 0)
            assert "hunter22" not in "".join([str(caught.value), repr(caught.value), *caught.value.__notes__])
            assert pickle.loads(pickle.dumps(caught.value)).packages == ["pocket"]
        assert "pocket" not in venv.installed()


def test_what_was_there_before_satisfies(machine: Machine, target: VenvRunner) -> None:
    """An installation that has nothing to do, and one of which nothing can be expected, is no error."""
    target.install("pocket", no_index=True, find_links=[machine.wheels])
    dry = {"PIP_DRY_RUN": "1"}
    assert not target.install("pocket>=1", no_index=True, extra_env=dry).added
    target.install("other; python_version < '3'", no_index=True, extra_env=dry)


def test_what_the_interpreter_finds_is_installed(machine: Machine, target: VenvRunner) -> None:
    """A package in a directory that only a .pth file names: pip has nothing to do, and all is well."""
    other = machine.home / "other"
    target.log_run(["pip", "install", "--no-index", "--target", str(other), str(next(machine.wheels.iterdir()))])
    write(packages(target) / "other.pth", f"{other}\n")
    assert target.install("pocket", no_index=True).returncode == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Zope.Interface[test] >= 5 ; python_version > '3'", set()),
        ("Zope.Interface[test]>=5,<6", {"zope-interface"}),
        ("x @ https://host.example/y-1.0.tar.gz", {"x"}),
        ("https://host.example/y-1.0.tar.gz", set()),
        ("https://host.example/y_z-1.0%2Blocal-py3-none-any.whl", {"y-z"}),
        ("https://host.example/y.whl", set()),
        ("git+https://host.example/y", set()),
        ("{cwd}/mine", {"my-own"}),
        ("{cwd}/mine[test]", {"my-own"}),
        ("{uri}/mine", {"my-own"}),
        ("{uri}/mine[test]", {"my-own"}),
        ("{uri}/mine ; python_version > '3'", set()),
        ("{uri}/mine#subdirectory=below", set()),
        ("any @ {uri}/mine", {"any"}),
        ("https://host.example{cwd}/mine", set()),
        ("{uri}/a%20b%5B1%5D%3B", {"my-own"}),
        ("{uri}/y-1.0%2Blocal-py3-none-any.whl", {"y"}),
        ("{cwd}/nameless", set()),
        ("{cwd}/nothing", set()),
    ],
)
def test_only_what_is_known_is_expected(text: str, expected: set[str], machine: Machine) -> None:
    """A name that an installer has yet to find out is not guessed."""
    write(machine.cwd / "mine" / "pyproject.toml", '[project]\nname = "My.Own"\n')
    write(machine.cwd / "a b[1];" / "pyproject.toml", '[project]\nname = "My.Own"\n')
    write(machine.cwd / "nameless" / "pyproject.toml", "[build-system]\nrequires = []\n")
    asked = text.format(cwd=machine.cwd, uri=machine.cwd.as_uri()) if "{" in text else text
    assert expected_names(Request(requirements=(asked,))) == expected_names(Request(editable=(asked,))) == expected


def test_files_are_read_as_far_as_they_name_packages(machine: Machine) -> None:
    """Options, files that a file names and what has a marker are left to the installer; a lock file has names alone."""
    lines = ["-r more.txt", "--index-url https://x/", "", "# c", "a==1 \\", " --hash=sha256:00", "b>=2  # why"]
    lines += ["c; python_version<'3'", "${D}", "e --hash=x", "# odd\x0cline\u2028ends", "."]
    plain = write(machine.cwd / "r.txt", "\n".join(lines))
    lock = write(machine.cwd / "pylock.toml", '[[packages]]\nname = "f"\nversion = "1.0"\n[[packages]]\nname = "g"\n')
    script = write(machine.cwd / "script.py", "# /// script\n# dependencies = []\n# ///\npass\n")
    assert expected_names(Request(requirements_files=(str(plain), str(lock), str(script), "no-such.txt"))) == {
        "a",
        "b",
        "e",
        "f",
        "g",
    }
