"""The environment contract: what a command of a runner sees, and what it does not."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

import venvrunner
from helpers.waiting import DEADLINE
from helpers.wheels import make_wheel
from venvrunner import CommandTimeoutError, FakeVenvRunner, Runner, VenvRunner, get_clean_environment, subprocess_util
from venvrunner._process.native import default_path, variable_name
from venvrunner.environment import CREATION_PREFIX, REMOVED, SET, UNLESS_SET

AT_LEAST = [
    "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONUSERBASE", "PYTHONEXECUTABLE",
    "PYTHONPLATLIBDIR", "__PYVENV_LAUNCHER__", "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "CONDA_PREFIX", "CONDA_DEFAULT_ENV",
    "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON", "PIP_REQUIREMENT", "PIP_EDITABLE", "PIP_DRY_RUN",
    "PIP_REQUIRE_VIRTUALENV", "PIP_RESPECT_VIRTUALENV", "UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_PROJECT_ENVIRONMENT",
    "UV_TARGET", "UV_PREFIX",
]  # fmt: skip
STAYS = [
    "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_CONFIG_FILE",
    "PIP_CACHE_DIR", "PIP_CERT", "PIP_PROXY", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_CACHE_DIR", "HTTP_PROXY",
    "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE", "XDG_CACHE_HOME", "HOME",
]  # fmt: skip
BATCH = "ssh -o BatchMode=yes"


def scripts_of(venv: VenvRunner) -> str:
    return os.path.dirname(venv.python_executable)


def seen(runner: Runner, **options: Any) -> dict[str, str]:
    """Return the variables that a real child of a runner sees."""
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    found: dict[str, str] = json.loads(runner.log_run(["python", "-c", code], **options).stdout)
    return found


@pytest.mark.parametrize("name", sorted({*AT_LEAST, *REMOVED}))
def test_a_variable_that_breaks_isolation_reaches_no_command(
    name: str, venv: VenvRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each variable of the table is gone from the clean environment, and a real child does not see it."""
    harmful = str(tmp_path / "elsewhere")
    monkeypatch.setenv(name, harmful)
    assert name not in get_clean_environment()
    assert seen(venv).get(name) in {None, SET.get(name), venv.venv_dir if name == "VIRTUAL_ENV" else None}


def test_each_variable_of_the_table_has_a_reason() -> None:
    """The table names at least what is known to break isolation, and says why."""
    assert set(AT_LEAST) <= set(REMOVED)
    assert all(len(reason.split()) > 3 for reason in REMOVED.values())


@pytest.mark.parametrize("name", STAYS)
def test_what_ci_needs_stays(name: str, venv: VenvRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings of indexes, proxies, certificates and caches reach the child as they are."""
    value = str(tmp_path / "setting")
    monkeypatch.setenv(name, value)
    assert get_clean_environment()[variable_name(name)] == value
    assert seen(venv)[variable_name(name)] == value


def test_the_clean_environment_is_a_copy() -> None:
    """Changing what is returned changes nothing else."""
    first = get_clean_environment()
    first["ADDED"] = "1"
    assert "ADDED" not in os.environ
    assert "ADDED" not in get_clean_environment()


def test_another_mapping_can_be_cleaned() -> None:
    """With base=, that mapping is copied instead of os.environ, and not changed."""
    base = MappingProxyType({"PYTHONPATH": "/elsewhere", "KEPT": "1"})
    assert get_clean_environment(base) == get_clean_environment(base=base) == {"KEPT": "1"}
    assert get_clean_environment({}) == {}


def test_a_runner_sets_what_makes_its_environment_the_active_one(venv: VenvRunner) -> None:
    """A child sees VIRTUAL_ENV, the script directory first on PATH, and what keeps commands from asking."""
    env = seen(venv)
    assert env["VIRTUAL_ENV"] == venv.venv_dir
    assert env["PATH"] == scripts_of(venv) + os.pathsep + os.environ["PATH"]
    wanted = {
        "PIP_NO_INPUT": "1", "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "GIT_TERMINAL_PROMPT": "0",
        "GIT_SSH_COMMAND": BATCH,
    }  # fmt: skip
    assert {name: env[name] for name in wanted} == wanted


def test_async_and_sync_children_see_the_same(venv: VenvRunner) -> None:
    """Both calls give a child what environment() returns."""
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    result = asyncio.run(venv.async_log_run(["python", "-c", code]))
    expected = venv.environment()
    assert expected.items() <= json.loads(result.stdout).items()
    assert expected.items() <= seen(venv).items()


def test_the_script_directory_is_first_even_if_it_was_inherited(
    venv: VenvRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An inherited PATH is cleaned: that it has the script directory somewhere is not enough."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), scripts_of(venv), os.environ["PATH"]]))
    for env in (venv.environment(), venv.environment(dict(os.environ)), venv.environment({**os.environ, "MORE": "1"})):
        assert env["PATH"].split(os.pathsep)[0] == scripts_of(venv)


@pytest.mark.parametrize("path", [None, ""])
def test_commands_of_the_system_are_found_without_a_path(path: str | None, venv: VenvRunner) -> None:
    """Where the caller's env= has no PATH, or an empty one, the system's default follows the script directory."""
    env = {} if path is None else {"PATH": path}
    assert venv.environment(env)["PATH"] == scripts_of(venv) + os.pathsep + default_path()


def test_a_pip_conf_that_asks_for_user_installs_is_overruled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """PIP_USER=0: with `user = true` in a pip.conf, a package still goes into the environment."""
    conf = tmp_path / "pip.conf"
    conf.write_text("[global]\nuser = true\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(conf))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with VenvRunner.temporary() as venv:
        venv.install_package(str(make_wheel(tmp_path, "pocket")))
        where = venv.log_run(["python", "-c", "import pocket; print(pocket.__file__)"]).stdout
        assert where.startswith(venv.venv_dir)


def test_what_was_merely_inherited_is_cleaned(venv: VenvRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of os.environ as env= makes no difference to none at all, whatever else the caller added."""
    for name in REMOVED:
        monkeypatch.setenv(name, "inherited")
    monkeypatch.setenv("PIP_NO_INPUT", "0")
    assert venv.environment(dict(os.environ)) == venv.environment() == venv.environment(None)
    assert venv.environment({**os.environ, "MORE": "1"}) == {**venv.environment(), "MORE": "1"}
    assert venv.environment()["PIP_NO_INPUT"] == "1"


@pytest.mark.parametrize("name", sorted({*REMOVED, *SET}))
@pytest.mark.parametrize("inherited", [None, "inherited"])
def test_what_the_caller_set_is_kept(
    name: str, inherited: str | None, venv: VenvRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable of env= that has another value than in os.environ was set on purpose."""
    monkeypatch.delenv(name, raising=False)
    if inherited is not None:
        monkeypatch.setenv(name, inherited)
    assert venv.environment({**os.environ, name: "chosen"})[name] == "chosen"


def test_the_callers_variables_reach_the_child(venv: VenvRunner, tmp_path: Path) -> None:
    """What env= keeps is what the child has: a module of a PYTHONPATH set on purpose is imported."""
    (tmp_path / "chosen.py").write_text("print('from PYTHONPATH')")
    result = venv.log_run(["python", "-c", "import chosen"], env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert result.stdout == "from PYTHONPATH\n"


def test_the_callers_path_is_kept_after_the_script_directory(venv: VenvRunner, tmp_path: Path) -> None:
    """A PATH of the caller's own follows the script directory, unless the caller has placed that directory in it."""
    scripts = scripts_of(venv)
    assert venv.environment({"PATH": str(tmp_path)})["PATH"] == f"{scripts}{os.pathsep}{tmp_path}"
    placed = os.pathsep.join([str(tmp_path), scripts])
    assert venv.environment({"PATH": placed})["PATH"] == placed


def test_an_empty_environment_is_one(venv: VenvRunner) -> None:
    """With env={}, a child has the variables that a runner sets and no others."""
    env = seen(venv, env={})
    env.pop("LC_CTYPE", None)  # set by Python itself in a C locale
    if os.name == "nt":
        env = {name: value for name, value in env.items() if name in {*SET, *UNLESS_SET, "VIRTUAL_ENV", "PATH"}}
    assert env.keys() == {*SET, *UNLESS_SET, "VIRTUAL_ENV", "PATH"}


@pytest.mark.parametrize("name", sorted(UNLESS_SET))
@pytest.mark.parametrize("kind", ["venv", "fake"])
def test_a_default_gives_way_to_any_value(kind: str, name: str, venv: VenvRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inherited, of `env=` or of `extra_env=`; also an empty one, and `None` in `extra_env=` removes it."""
    runner: Runner = venv if kind == "venv" else FakeVenvRunner()
    monkeypatch.delenv(name, raising=False)
    assert runner.environment()[name] == UNLESS_SET[name]
    assert seen(runner, extra_env={name: "0"})[name] == "0"
    assert name not in seen(runner, extra_env={name: None})
    assert runner.environment({**os.environ, name: ""})[name] == ""
    for inherited in ("", "inherited"):
        monkeypatch.setenv(name, inherited)
        assert runner.environment()[name] == inherited
        assert runner.environment(dict(os.environ))[name] == inherited


def test_the_fake_adds_no_default_to_an_env(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its `env=` is taken exactly as given, and the module functions have no defaults at all."""
    for name in UNLESS_SET:
        monkeypatch.delenv(name, raising=False)
    code = "import os; print(sorted(os.environ))"
    assert not UNLESS_SET.keys() & FakeVenvRunner().environment({"A": "1"}).keys()
    for name in UNLESS_SET:
        assert name not in subprocess_util.log_run([sys.executable, "-c", code]).stdout


@pytest.mark.skipif(os.name == "nt", reason="Windows passes no descriptors on")
@pytest.mark.parametrize("way", ["log_run", "async_log_run"])
@pytest.mark.parametrize("kind", ["venv", "fake"])
def test_a_line_of_python_comes_when_it_is_printed(
    kind: str, way: str, venv: VenvRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child waits after its line until the callback has had it; buffered, it would come with the end alone."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    runner: Any = venv if kind == "venv" else FakeVenvRunner()
    reader, writer = os.pipe()
    lines: list[str] = []

    def take(line: str) -> None:
        lines.append(line)
        os.write(writer, b"x")

    source = f"import os; print('now'); os.read({reader}, 1)"
    try:
        args: Any = (["python", "-c", source], None, take)
        options: Any = {"pass_fds": [reader], "timeout": DEADLINE}
        if way == "log_run":
            runner.log_run(*args, **options)
        else:
            asyncio.run(runner.async_log_run(*args, **options))
    finally:
        os.close(reader)
        os.close(writer)
    assert lines == ["now"]


@pytest.mark.parametrize("kind", ["venv", "fake"])
def test_a_timeout_does_not_lose_the_lines_of_python(kind: str, venv: VenvRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has printed until then is in the exception, in `lines()` too."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    runner: Runner = venv if kind == "venv" else FakeVenvRunner()
    args, got = ["python", "-c", "import time; print('begun'); time.sleep(600)"], list[str]()
    with pytest.raises(CommandTimeoutError) as caught:
        runner.log_run(args, timeout=2)
    assert (caught.value.output, got) == ("begun\n", [])
    with pytest.raises(CommandTimeoutError):
        got.extend(runner.lines(args, timeout=2))
    assert got == ["begun"]


def test_the_callers_mapping_is_not_changed(venv: VenvRunner) -> None:
    """A runner completes a copy; two calls return two dicts."""
    for runner in (venv, FakeVenvRunner()):
        given = MappingProxyType({"A": "1"})
        assert runner.environment(given) is not given
        assert dict(given) == {"A": "1"}
        assert runner.environment() is not runner.environment()


@pytest.mark.parametrize(
    ("ambient", "expected"),
    [
        ({}, BATCH),
        ({"GIT_SSH_COMMAND": ""}, BATCH),
        ({"GIT_SSH_COMMAND": "ssh -i 'my key'"}, "ssh -i 'my key' -o BatchMode=yes"),
        ({"GIT_SSH_COMMAND": "ssh -oBatchMode=no"}, "ssh -oBatchMode=no"),
        ({"GIT_SSH": "/my/ssh"}, None),
        ({"GIT_SSH": "/my/ssh", "GIT_SSH_COMMAND": "ssh -v"}, "ssh -v -o BatchMode=yes"),
    ],
)
@pytest.mark.parametrize("kind", ["venv", "fake"])
def test_git_asks_nothing_through_ssh(
    kind: str, ambient: dict[str, str], expected: str | None, venv: VenvRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ssh command that the user has configured gets the batch mode added; a GIT_SSH program is not overridden."""
    for name in ("GIT_SSH_COMMAND", "GIT_SSH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ambient.items():
        monkeypatch.setenv(name, value)
    runner: Runner = venv if kind == "venv" else FakeVenvRunner()
    env = runner.environment()
    assert env.get("GIT_SSH_COMMAND") == expected
    assert env.get("GIT_SSH") == ambient.get("GIT_SSH")


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_git_runs_ssh_in_batch_mode(venv: VenvRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The ssh that a real git starts below a command of the environment gets the option."""
    stub = tmp_path / "ssh"
    stub.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/seen\nexit 1\n')
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    code = "import subprocess; subprocess.run(['git', 'ls-remote', 'ssh://host.invalid/repository'])"
    venv.log_run(["python", "-c", code])
    assert "-o BatchMode=yes" in (tmp_path / "seen").read_text()


def test_the_fake_keeps_what_makes_this_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """PYTHONPATH, PYTHONHOME, VIRTUAL_ENV and all others stay; only PATH and the never-ask variables are set."""
    never_ask = {
        "PIP_NO_INPUT", "PIP_DISABLE_PIP_VERSION_CHECK", "GIT_TERMINAL_PROMPT", "GIT_SSH_COMMAND", "GIT_ASKPASS",
        "GCM_INTERACTIVE", "SSH_ASKPASS_REQUIRE",
    }  # fmt: skip
    for name in {*never_ask, *UNLESS_SET}:
        monkeypatch.delenv(name, raising=False)
    for name in REMOVED:
        monkeypatch.setenv(name, "mine")
    fake = FakeVenvRunner()
    env = fake.environment()
    assert {name: env[name] for name in REMOVED} == dict.fromkeys(REMOVED, "mine")
    changed = {name for name in env if env[name] != os.environ.get(name)}
    assert changed - {"PATH"} == {*never_ask, *UNLESS_SET}
    if os.name == "nt":
        return  # there is no shell to ask
    result = fake.log_run(["sh", "-c", 'echo "$PYTHONPATH $PYTHONHOME $VIRTUAL_ENV $PIP_NO_INPUT"'])
    assert result.stdout == "mine mine mine 1\n"


def test_the_fake_has_its_script_directory_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The fake's PATH begins with the interpreter's script directory, unless the inherited PATH has it anywhere."""
    scripts = os.path.dirname(sys.executable) if os.name != "nt" else os.path.join(sys.prefix, "Scripts")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert FakeVenvRunner().environment()["PATH"] == os.pathsep.join([scripts, str(tmp_path)])
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), scripts]))
    assert FakeVenvRunner().environment()["PATH"] == os.pathsep.join([str(tmp_path), scripts])


def test_the_fake_takes_env_exactly_as_given(tmp_path: Path) -> None:
    """The env= of the fake is neither cleaned nor completed: a child sees exactly that."""
    given = {"PYTHONPATH": str(tmp_path), "VIRTUAL_ENV": "/mine", "PIP_USER": "1", "LC_ALL": "C.UTF-8"}
    fake = FakeVenvRunner()
    assert fake.environment(given) == given
    assert given.items() <= seen(fake, env=given).items() if os.name == "nt" else seen(fake, env=given) == given
    assert fake.environment({}) == {}


def test_nothing_of_this_process_is_changed(tmp_path: Path) -> None:
    """Creating, installing and running change neither os.environ nor the working directory, not even for a moment."""
    code = f"""
import asyncio, sys
changes = []
sys.addaudithook(lambda event, args: changes.append((event, args)) if event in
                 {{"os.putenv", "os.unsetenv", "os.chdir"}} else None)
from venvrunner import VenvRunner
with VenvRunner.temporary() as venv:
    venv.install_package({str(make_wheel(tmp_path, "pocket"))!r})
    venv.log_run(["pocket"], cwd="/", extra_env={{"A": "1"}})
    asyncio.run(venv.async_log_run(["pocket"], cwd="/", env={{}}))
print(changes)
"""
    env = {**os.environ, "PYTHONPATH": str(Path(venvrunner.__file__).parents[1]), "PIP_NO_INDEX": "1"}
    result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert (result.stdout, result.returncode) == ("[]\n", 0), result.stderr


def test_files_in_the_working_directory_do_not_fool_an_installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A pip.py, a pip directory and modules named like those of the standard library are not taken for pip's."""
    for name in ("pip", "logging", "venvrunner", "virtualenv", "subprocess", "sitecustomize", "encodings"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('fooled')")
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('fooled')")
    wheel = make_wheel(tmp_path, "pocket")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with VenvRunner.temporary(python=f"{sys.version_info[0]}.{sys.version_info[1]}") as venv:
        assert "Successfully installed pocket" in venv.install_package(f"./{wheel.name}").stdout
        assert venv.log_run(["pocket"], cwd="/").stdout == f"pocket 1.0 {venv.venv_dir}\n"


def test_a_caller_can_use_popen_itself(venv: VenvRunner) -> None:
    """What resolve() and environment() return is all that subprocess needs."""
    code = "import os, sys; print(sys.prefix, os.environ['VIRTUAL_ENV'])"
    for runner, prefix in ((venv, venv.venv_dir), (FakeVenvRunner(), sys.prefix)):
        argv = runner.resolve(["python", "-c", code])
        env = {"VIRTUAL_ENV": prefix} | runner.environment()
        with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True) as process:
            assert process.communicate()[0].split()[0] == prefix
    assert venv.resolve(["python"]) == [venv.python_executable]
    assert FakeVenvRunner().resolve(["tool", Path("x")]) == ["tool", "x"]


@pytest.mark.skipif(os.name == "nt", reason="Windows looks into the directory of the calling program before PATH")
def test_a_childs_python_and_pip_are_those_of_the_environment(venv: VenvRunner) -> None:
    """Commands that a command starts by name are the environment's, at any depth."""
    inner = "import sys; print(sys.prefix)"
    nested = f"import subprocess; subprocess.run(['python', '-c', {inner!r}], check=True)"
    twice = f"import subprocess; subprocess.run(['python', '-c', {nested!r}], check=True)"
    for code in (inner, nested, twice):
        assert venv.log_run(["python", "-c", code]).stdout == venv.venv_dir + "\n"
    pip = venv.log_run(["python", "-c", "import subprocess; subprocess.run(['pip', '--version'], check=True)"]).stdout
    assert venv.venv_dir in pip
    assert venv.venv_dir in venv.log_run(["pip", "--version"]).stdout


def _table(page: str, heading: str) -> dict[str, str]:
    """Return the first two cells of the rows below the first heading that has a word."""
    section = re.split(r"(?m)^#+ ", page)
    rows = next((part for part in section if heading in part.partition("\n")[0].lower()), "")
    return {name: cell.strip() for name, cell in re.findall(r"(?m)^\| *`([^`]+)` *\|([^|\n]*)\|", rows)}


def test_the_documented_table_is_the_table_in_the_code() -> None:
    """docs/reference/environment.md has a section "Removed" with reasons, "Set" and "Set by default" with values."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "environment.md").read_text(encoding="utf-8")
    removed = _table(page, "removed")
    assert {name: reason.rstrip(".").lower() for name, reason in removed.items() if not name.endswith("*")} == {
        name: reason.lower() for name, reason in REMOVED.items()
    }
    assert f"`{CREATION_PREFIX}*`" in page
    documented = {name: value.strip("`") for name, value in _table(page, "set").items()}
    assert documented == dict(SET)
    documented = {name: value.strip("`") for name, value in _table(page, "set by default").items()}
    assert documented == dict(UNLESS_SET)
