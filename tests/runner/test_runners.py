"""The runners: what they are, which command they run, and how they call the module functions."""

import asyncio
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import pytest

from helpers.callers import Caller
from venvrunner import (
    FakeVenvRunner,
    InvalidCommandError,
    Runner,
    VenvOptions,
    VenvRunner,
    get_clean_environment,
    subprocess_util,
)
from venvrunner._install.metadata import normalized


class Double(Runner):
    """A caller's own runner: what the shared type asks for, and no more."""

    @property
    def python_executable(self) -> str:
        return sys.executable

    def resolve(self, args: Any) -> list[str]:
        return [sys.executable, *args[1:]]

    def environment(self, env: Any = None) -> dict[str, str]:
        return {"ONLY": "1"}

    def install_package(self, package_name: str) -> subprocess.CompletedProcess[str]:
        raise NotImplementedError


def tool(folder: Path, name: str, says: str) -> Path:
    """Make a directory with a command in it."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(0o755)
    return folder


def test_a_runner_has_the_established_attributes(venv: VenvRunner) -> None:
    """`name` and `top_dir` are as given; `venv_dir` is a str, the absolute path of both."""
    assert venv.name == "venv"
    assert isinstance(venv.top_dir, Path)
    assert type(venv.venv_dir) is str
    assert venv.venv_dir == str(venv.top_dir / "venv")
    assert os.path.isfile(os.path.join(venv.venv_dir, "pyvenv.cfg"))


def test_the_established_names_are_where_they_were() -> None:
    """A caller switches by changing the name of the package in its imports."""
    from venvrunner.subprocess_util import CalledProcessError, async_log_run, log_run  # the import is what is tested
    from venvrunner.venv import FakeVenvRunner as Fake  # the import is what is tested
    from venvrunner.venv import VenvRunner as Real  # the import is what is tested
    from venvrunner.venv import get_clean_environment as clean  # the import is what is tested

    assert (Real, Fake, clean) == (VenvRunner, FakeVenvRunner, get_clean_environment)
    assert CalledProcessError is subprocess.CalledProcessError
    assert (log_run, async_log_run) == (subprocess_util.log_run, subprocess_util.async_log_run)
    assert callable(subprocess_util.stdout_callback)
    assert callable(subprocess_util.stderr_callback)
    assert "OutputCallbackType" in vars(subprocess_util)
    assert all(type(text) is str for pair in get_clean_environment().items() for text in pair)


def test_real_and_fake_share_a_type_and_are_not_of_one_another(venv: VenvRunner) -> None:
    """Callers branch on `isinstance`, and annotate with `Runner`."""
    fake = FakeVenvRunner()
    assert isinstance(venv, Runner)
    assert isinstance(fake, Runner)
    assert not isinstance(fake, VenvRunner)
    assert not isinstance(venv, FakeVenvRunner)
    assert issubclass(VenvRunner, Runner)
    assert issubclass(FakeVenvRunner, Runner)


def test_the_shared_type_can_not_be_made_itself() -> None:
    """It is for annotations, and for doubles of one's own."""
    with pytest.raises(TypeError, match="abstract"):
        Runner()  # type: ignore[abstract]  # that is what is tested
    assert Double().log_run(["x", "-c", "import os; print('PATH' in os.environ)"]).stdout == "False\n"


def test_the_fake_installs_nothing_with_or_without_an_instance() -> None:
    """It refuses and says what it will not do."""
    for install in (FakeVenvRunner.install_package, FakeVenvRunner().install_package):
        with pytest.raises(NotImplementedError, match=r"FakeVenvRunner cannot install 'x'"):
            install("x")
        with pytest.raises(NotImplementedError):
            install(package_name="x")


def test_the_fake_tells_of_the_current_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where it is, what is installed in it, and which Python it has, as attributes like those of a real runner."""
    fake = FakeVenvRunner()
    assert (fake.venv_dir, fake.installer) == (sys.prefix, "pip")
    assert os.path.join(fake.top_dir, fake.name) == fake.venv_dir
    listed = fake.log_run(["python", "-m", "pip", "list", "--format=json"], cwd=tmp_path).stdout
    assert fake.installed() == {
        normalized(item["name"]): item["version"]
        for item in sorted(json.loads(listed), key=lambda item: normalized(item["name"]))
    }
    (tmp_path / "pocket-1.0.dist-info").mkdir()
    (tmp_path / "pocket-1.0.dist-info" / "METADATA").write_text("Name: pocket\nVersion: 1.0\n")
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), str(tmp_path / "missing")])
    assert fake.installed() == {"pocket": "1.0"}


def refusals() -> dict[str, Callable[[FakeVenvRunner], object]]:
    """Return what would change the current environment, or create another one, by the message of its refusal."""
    return {
        "install 'a', 'b' into the running environment. Use VenvRunner.": lambda fake: fake.install("a", Path("b")),
        "install packages into the running environment. Use VenvRunner.": lambda fake: asyncio.run(
            fake.async_install(lock="x")
        ),
        "install 'https://****@host/a.whl' into the running environment. Use VenvRunner.": lambda fake: fake.install_package(
            "https://user:password@host/a.whl"
        ),
        "uninstall 'a' from the running environment. Use VenvRunner.": lambda fake: fake.uninstall("a"),
        "uninstall 'b' from the running environment. Use VenvRunner.": lambda fake: asyncio.run(fake.async_uninstall("b")),
        "write the lock file 'pylock.toml'. Use VenvRunner.": lambda fake: fake.lock("pylock.toml", "a"),
        "write the lock file 'pylock.a.toml'. Use VenvRunner.": lambda fake: asyncio.run(fake.async_lock("pylock.a.toml")),
        "fork the running environment. Use VenvRunner.": lambda fake: fake.fork("fork", "top"),
        "delete the running environment. Use VenvRunner.": lambda fake: fake.delete(),
        "open 'v': FakeVenvRunner() is the running environment. Use VenvRunner.open().": lambda fake: type(fake).open("v"),
        "create an environment: FakeVenvRunner() is the running environment. Use VenvRunner.temporary().": (
            lambda fake: type(fake).temporary(requirements=["a"])
        ),
        "create an environment: FakeVenvRunner() is the running environment. Use VenvRunner.async_temporary().": (
            lambda fake: type(fake).async_temporary(requirements=["a"])
        ),
        "create an environment: FakeVenvRunner() is the running environment. Use VenvRunner.async_create().": (
            lambda fake: asyncio.run(type(fake).async_create("venv", "top"))
        ),
    }


@pytest.mark.parametrize("message", refusals())
def test_the_fake_changes_nothing(message: str) -> None:
    """It refuses, and says what it will not do and what to use instead."""
    with pytest.raises(NotImplementedError) as caught:
        refusals()[message](FakeVenvRunner())
    assert str(caught.value) == f"FakeVenvRunner cannot {message}"


def test_the_asynchronous_twins_of_the_fake_refuse_as_they_do() -> None:
    """With the same sentence."""
    fake = FakeVenvRunner()
    for twin, what in ((fake.async_fork("fork", "top"), "fork"), (fake.async_delete(), "delete")):
        with pytest.raises(
            NotImplementedError, match=f"^FakeVenvRunner cannot {what} the running environment. Use VenvRunner.$"
        ):
            asyncio.run(twin)


def test_a_block_with_the_fake_deletes_nothing() -> None:
    """The end of `with` and of `async with` leaves the environment and the runner as they are."""

    async def main() -> str:
        async with FakeVenvRunner() as fake:
            return (await fake.async_log_run(["python", "-c", "print(1)"])).stdout

    assert asyncio.run(main()) == "1\n"
    with FakeVenvRunner() as venv:
        pass
    assert venv.log_run(["python", "-c", "print(2)"]).stdout == "2\n"
    assert repr(venv) == "FakeVenvRunner()"
    assert os.path.isdir(venv.venv_dir)


def test_the_fake_needs_a_known_interpreter_for_python_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """An embedded Python may not know its executable."""
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(InvalidCommandError, match=r"^'python' cannot be resolved: sys\.executable is empty\. Give the path"):
        FakeVenvRunner().resolve(["python"])
    assert FakeVenvRunner().resolve(["git", "status"]) == ["git", "status"]


RUNNERS: dict[str, Callable[[VenvRunner], Runner]] = {
    "venv": lambda venv: venv,
    "fake": lambda venv: FakeVenvRunner(),
    "double": lambda venv: Double(),
}


@pytest.mark.parametrize("kind", RUNNERS)
@pytest.mark.parametrize("function", ["log_run", "async_log_run"])
def test_a_patch_of_the_module_function_is_seen(
    kind: str, function: str, venv: VenvRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runners call it through the module, the five established parameters by position, in the established order."""
    runner = RUNNERS[kind](venv)
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    logger, result = object(), subprocess.CompletedProcess(["patched"], 0, "text", "")

    def patched(*args: Any, **options: Any) -> Any:
        calls.append((args, options))
        return result

    async def async_patched(*args: Any, **options: Any) -> Any:
        return patched(*args, **options)

    monkeypatch.setattr(subprocess_util, function, patched if function == "log_run" else async_patched)

    def run(*args: Any, **options: Any) -> Any:
        answer = getattr(runner, function)(*args, **options)
        return asyncio.run(answer) if function == "async_log_run" else answer

    args = ["python", "-c", "pass"]
    assert run(args) is result
    assert run(args, logger, "info", print, False, errors="replace", env={"A": "1"}, cwd="/", timeout=3) is result
    argv = runner.resolve(args)
    assert calls == [
        ((argv, None, None, "debug", True), {"errors": "strict", "env": runner.environment()}),
        (
            (argv, logger, "info", print, False),
            {"errors": "replace", "env": runner.environment({"A": "1"}), "cwd": "/", "timeout": 3},
        ),
    ]


def test_an_installation_is_seen_by_a_patch_too(venv: VenvRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a command like any other, of the interpreter of the environment."""
    calls = []

    def patched(args: Any, *more: Any, **options: Any) -> subprocess.CompletedProcess[str]:
        calls.append(args)
        return subprocess.CompletedProcess(args, 0, "patched", "")

    monkeypatch.setattr(subprocess_util, "log_run", patched)
    assert venv.install_package("wheel").stdout == "patched"
    assert [(args[0], args[-1]) for args in calls] == [(venv.python_executable, "wheel")]


def test_a_runner_runs_commands_of_its_environment(venv: VenvRunner) -> None:
    """`args[0]` is found in the environment, whatever `PATH` says."""
    for env in (None, {}, {"PATH": "/nowhere"}):
        result = venv.log_run(["python", "-c", "import sys; print(sys.prefix)"], env=env)
        assert result.stdout == f"{venv.venv_dir}\n"
        assert result.args[0] == venv.python_executable
    assert venv.python_executable.startswith(venv.venv_dir + os.sep)


@pytest.mark.skipif(sys.platform == "win32", reason="the tools are shell scripts")
def test_python_is_this_interpreter_for_the_fake_only(drive: Caller, tmp_path: Path) -> None:
    """The fake replaces `python`; for the module functions it is what `PATH` says."""
    env = {"PATH": str(tool(tmp_path / "tools", "python", "decoy"))}
    assert drive(["python", "-c", "print(1)"], env=env).stdout == "decoy\n"
    result = Caller(FakeVenvRunner(), is_async=drive.is_async, python="python").run("print(1)", env=env)
    assert (result.stdout, result.args[0]) == ("1\n", sys.executable)


@pytest.mark.skipif(sys.platform == "win32", reason="the tools are shell scripts")
def test_the_fake_finds_all_other_commands_through_path(drive: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain names as they are: a stub on the user's `PATH` counts, and a path is refused as by a real runner."""
    fake = Caller(FakeVenvRunner(), is_async=drive.is_async, python="python")
    folder = tool(tool(tmp_path / "tools", "python3", "decoy"), "a-tool", "found")
    monkeypatch.setenv("PATH", str(folder) + os.pathsep + os.environ["PATH"])
    for name in ("a-tool", PurePath("a-tool")):
        result = fake([name])
        assert (result.stdout, result.args) == ("found\n", ["a-tool"])
    with pytest.raises(InvalidCommandError, match=r"a-tool' must not be an absolute path!"):
        fake([folder / "a-tool"])
    with pytest.raises(InvalidCommandError, match=r"must not be an absolute path! Use 'python'\."):
        fake([sys.executable])


@pytest.mark.skipif(sys.platform == "win32", reason="the tools are shell scripts")
@pytest.mark.parametrize(
    ("places", "found"),
    [
        ([], "own"),
        (["stub"], "own"),
        (["scripts"], "own"),
        (["stub", "scripts"], "stub"),
        (["stub", "scripts/"], "stub"),
        (["stub", "link"], "stub"),
        (["missing", "", "stub", "link"], "stub"),
        (["scripts", "stub"], "own"),
    ],
)
def test_the_script_directory_of_the_fake_is_first_on_path_unless_path_has_it(
    drive: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: list[str], found: str
) -> None:
    """Where the user has placed it, however it is spelled, it stays: a stub before it wins."""
    scripts = tool(tmp_path / "scripts", "a-tool", "own")
    tool(tmp_path / "stub", "a-tool", "stub")
    (tmp_path / "link").symlink_to(scripts)
    path = [os.path.join(tmp_path, place) if place else "" for place in places]
    monkeypatch.setenv("PATH", os.pathsep.join([*path, os.environ["PATH"]]))
    monkeypatch.setattr("sysconfig.get_path", lambda name, *more: str(scripts))
    fake = Caller(FakeVenvRunner(), is_async=drive.is_async, python="python")
    assert fake(["a-tool"]).stdout == f"{found}\n"
    is_there = any(place.startswith(("scripts", "link")) for place in places)
    expected = os.environ["PATH"] if is_there else f"{scripts}{os.pathsep}{os.environ['PATH']}"
    assert fake.target.environment()["PATH"] == expected


@pytest.mark.parametrize("path", [None, "", "/there/is/no/such/directory"])
def test_the_script_directory_of_the_fake_need_not_exist(monkeypatch: pytest.MonkeyPatch, path: str | None) -> None:
    """It is the first on `PATH` all the same, also if there is none."""
    monkeypatch.setattr("sysconfig.get_path", lambda name, *more: "/neither/is/this")
    if path is None:
        monkeypatch.delenv("PATH")
    else:
        monkeypatch.setenv("PATH", path)
    assert FakeVenvRunner().environment()["PATH"].split(os.pathsep)[0] == "/neither/is/this"


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (subprocess_util, "there-is-no-such-command"),
        (subprocess_util, "/there/is/no/such/command"),
        (subprocess_util, "./there-is-no-such-command"),
        (FakeVenvRunner(), "there-is-no-such-command"),
    ],
)
def test_a_missing_command_is_a_bare_file_not_found_error(drive: Caller, target: object, name: str) -> None:
    """Of the module functions and of the fake: a client probes for an optional tool that way at every start."""
    call = Caller(target, is_async=drive.is_async, python=sys.executable)
    with pytest.raises(FileNotFoundError) as caught:
        call([name, "an argument"])
    assert type(caught.value) is FileNotFoundError
    assert caught.value.filename == name
    assert repr(name) in str(caught.value)


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return [parameter for parameter in inspect.signature(function).parameters.values() if parameter.name != "self"]


@pytest.mark.parametrize("holder", [subprocess_util, Runner, VenvRunner, FakeVenvRunner], ids=lambda holder: holder.__name__)
@pytest.mark.parametrize("name", ["log_run", "async_log_run"])
def test_all_ways_to_run_a_command_have_one_signature(holder: Any, name: str) -> None:
    """Names, order, defaults, annotations and result are those of `subprocess_util.log_run`."""
    function = getattr(holder, name)
    assert parameters(function) == parameters(subprocess_util.log_run)
    assert inspect.signature(function).return_annotation == inspect.signature(subprocess_util.log_run).return_annotation
    assert inspect.iscoroutinefunction(function) == (name == "async_log_run")


def test_the_first_five_parameters_are_the_established_ones() -> None:
    """Callers give them by position; all that is new is keyword-only."""
    found = [(item.name, item.default) for item in parameters(subprocess_util.log_run)]
    none = inspect.Parameter.empty
    established = [("args", none), ("logger", None), ("stdout_loglevel", None), ("stderr_loglevel", "debug"), ("check", True)]
    assert found[:6] == [*established, ("errors", "strict")]
    kinds = {item.name: item.kind for item in parameters(subprocess_util.log_run)}
    assert {kinds.pop(name) for name, _default in established} == {inspect.Parameter.POSITIONAL_OR_KEYWORD}
    assert set(kinds.values()) == {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}


def test_new_parameters_of_an_environment_are_keyword_only() -> None:
    """`VenvRunner(name, top_dir, *, …)`."""
    names = {item.name: item.kind for item in parameters(VenvRunner)}
    assert list(names)[:2] == ["name", "top_dir"]
    assert {names.pop("name"), names.pop("top_dir")} == {inspect.Parameter.POSITIONAL_OR_KEYWORD}
    assert set(names.values()) <= {inspect.Parameter.KEYWORD_ONLY}
    kinds = {item.name: item.kind for item in parameters(VenvRunner.temporary)}
    assert kinds == {"dir": inspect.Parameter.KEYWORD_ONLY, "options": inspect.Parameter.VAR_KEYWORD}


def test_a_temporary_environment_takes_the_same_options() -> None:
    """All that say what the environment is to be, and none that say what to do with one that is there."""
    defaults = {item.name for item in parameters(VenvRunner)[2:]}
    assert set(VenvOptions.__annotations__) == defaults - {"exist", "wait"}


@pytest.mark.parametrize("name", ["resolve", "environment"])
def test_real_and_fake_have_the_signatures_of_the_shared_type(name: str) -> None:
    """A function that takes a `Runner` can call either."""
    expected = inspect.signature(getattr(Runner, name))
    assert inspect.signature(getattr(VenvRunner, name)) == expected
    assert inspect.signature(getattr(FakeVenvRunner, name)) == expected
    assert parameters(FakeVenvRunner.install_package) == parameters(VenvRunner.install_package)
