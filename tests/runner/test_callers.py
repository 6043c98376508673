"""Programs written for the established API work when nothing but their imports is changed."""

import json
import logging
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import venvrunner
from helpers.wheels import make_command_wheel
from venvrunner import FakeVenvRunner, VenvRunner, subprocess_util


def run_program(source: str, **given: object) -> dict[str, Any]:
    """Run a program for the established API with its imports changed; return its names."""
    namespace: dict[str, Any] = {"__name__": "program", **given}
    exec(compile(source.replace("antsibull_core", "venvrunner"), "<program>", "exec"), namespace)
    return namespace


def test_a_documentation_builder_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Create, install an archive by a relative path, then many commands at once that return JSON."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (tmp_path / "dist").mkdir()
    make_command_wheel(tmp_path / "dist")
    program = """
import asyncio, json, os
import typing as t
from antsibull_core.venv import FakeVenvRunner, VenvRunner, get_clean_environment

DUMP = "import json, os, sys; json.dump({'n': sys.argv[1], 'path': os.environ['DOCS_PATH']}, sys.stdout)"

async def describe(venv: VenvRunner | FakeVenvRunner, number: int, env: dict[str, str]) -> t.Any:
    p = await venv.async_log_run(["python", "-c", DUMP, str(number)], env=env)
    return json.loads(p.stdout)

async def describe_all(venv):
    env = get_clean_environment()
    env.update({"DOCS_PATH": "/docs"})
    return await asyncio.gather(*[describe(venv, number, env) for number in range(25)])

venv = VenvRunner("docs-venv", tmp_dir)
venv.install_package("./dist/pocket-1.0-py3-none-any.whl")
said = venv.log_run(["pocket"]).stdout
real = asyncio.run(describe_all(venv))
fake = asyncio.run(describe_all(FakeVenvRunner()))
"""
    names = run_program(program, tmp_dir=str(tmp_path / "work"))
    assert names["said"] == "pocket 1.0\n"
    assert names["real"] == names["fake"] == [{"n": str(number), "path": "/docs"} for number in range(25)]
    assert names["venv"].venv_dir == str(tmp_path / "work" / "docs-venv")


def test_a_caller_can_show_a_failure() -> None:
    """The exception comes from subprocess_util or from subprocess; its command can be joined, its output indented."""
    program = """
import asyncio, shlex, subprocess, textwrap, traceback
from antsibull_core.subprocess_util import CalledProcessError, async_log_run, log_run
from antsibull_core.venv import FakeVenvRunner

ARGS = ["python", "-c", "import sys; print('partial'); sys.exit('two\\\\nlines')"]
shown = []
try:
    FakeVenvRunner().log_run(ARGS)
except CalledProcessError as exc:
    if exc.returncode and exc.returncode > 0:
        shown.append(f"{shlex.join(exc.cmd)}\\n{exc.returncode}\\n{textwrap.indent(exc.stderr, '| ')}")
    shown.append("".join(traceback.format_exception(exc)))
    shown.append(str(exc))
    shown.append(exc.stdout)
try:
    asyncio.run(FakeVenvRunner().async_log_run(ARGS))
except subprocess.CalledProcessError as exc:
    shown.append(exc.stderr)
"""
    joined, trace, text, stdout, stderr = run_program(program)["shown"]
    assert joined.endswith("\n1\n| two\n| lines\n")
    assert "two\nlines" in trace
    assert text.endswith("returned non-zero exit status 1.")
    assert (stdout, stderr) == ("partial\n", "two\nlines\n")


def test_the_current_environment_is_a_runner_too(tmp_path: Path) -> None:
    """FakeVenvRunner in production: env= with a PYTHONPATH on purpose, a callback for stderr, an isinstance branch."""
    (tmp_path / "plugin.py").write_text("import sys\nprint('  indented', file=sys.stderr)\nprint('found')\n")
    program = """
import os
from antsibull_core.venv import FakeVenvRunner, VenvRunner

def run_plugin(venv):
    env = None
    if isinstance(venv, FakeVenvRunner):
        env = os.environ.copy()
        env["PYTHONPATH"] = folder
    lines = []
    p = venv.log_run(["python", "-c", "import plugin"], None, None, lines.append, False, env=env)
    return p.returncode, p.stdout, lines

outcome = run_plugin(FakeVenvRunner())
is_real = isinstance(FakeVenvRunner(), VenvRunner)
try:
    FakeVenvRunner.install_package("anything")
except NotImplementedError:
    refused = True
"""
    names = run_program(program, folder=str(tmp_path))
    assert names["outcome"] == (0, "found\n", ["  indented"])
    assert names["is_real"] is False
    assert names["refused"] is True


def test_a_caller_can_probe_for_a_tool() -> None:
    """An optional tool that is not there is a bare FileNotFoundError of the module functions."""
    program = """
import asyncio
from antsibull_core import subprocess_util

def has(tool):
    try:
        subprocess_util.log_run([tool, "--version"], check=False)
    except FileNotFoundError:
        return False
    return True

async def has_async(tool):
    try:
        await subprocess_util.async_log_run([tool, "--version"])
    except FileNotFoundError:
        return False
    return True

found = has("sh"), has("no-such-tool"), asyncio.run(has_async("no-such-tool"))
"""
    assert run_program(program)["found"] == (True, False, False)


def test_a_caller_can_prepare_calls(tmp_path: Path) -> None:
    """functools.partial with cwd, paths among the arguments, env=None and check=False, in a pool of tasks."""
    (tmp_path / "data.txt").write_text("data")
    program = """
import asyncio, functools
from antsibull_core.subprocess_util import async_log_run, log_run

in_folder = functools.partial(async_log_run, cwd=folder, env=None, check=False)

async def worker(queue, results):
    while not queue.empty():
        results.append(await in_folder(["cat", queue.get_nowait()]))

async def main():
    queue, results = asyncio.Queue(), []
    for path in [folder / "data.txt", "data.txt", "missing.txt"] * 8:
        queue.put_nowait(path)
    await asyncio.gather(*(worker(queue, results) for _ in range(8)))
    return results

results = asyncio.run(main())
args = log_run(["echo", folder / "data.txt"]).args
"""
    names = run_program(program, folder=tmp_path)
    assert sorted((p.returncode, p.stdout) for p in names["results"]) == [(0, "data")] * 16 + [(1, "")] * 8
    assert names["args"] == ["echo", tmp_path / "data.txt"]


def test_a_caller_sees_the_lines_in_its_log(caplog: pytest.LogCaptureFixture) -> None:
    """The command at debug, then each line with its stream, at the levels that the caller names by position."""
    caplog.set_level(logging.DEBUG)
    program = """
import logging
from antsibull_core.subprocess_util import log_run

logger = logging.getLogger("builder")
log_run(["sh", "-c", "echo one; echo two >&2"], logger, "info", "error")
"""
    run_program(program)
    first, *lines, last = [(record.name, record.levelname, record.message) for record in caplog.records]
    assert first == ("builder", "DEBUG", "Running subprocess: ['sh', '-c', 'echo one; echo two >&2']")
    assert sorted(lines) == [("builder", "ERROR", "stderr: two"), ("builder", "INFO", "stdout: one")]
    assert last[:2] == ("builder", "DEBUG")
    assert last[2].startswith("exit code 0 after ")


def test_megabytes_of_json_come_back_exact() -> None:
    """What a command dumps on one line of several megabytes can be parsed."""
    code = "import json; print(json.dumps({str(n): 'ü' * 50 for n in range(50_000)}, ensure_ascii=False))"
    result = FakeVenvRunner().log_run(["python", "-X", "utf8", "-c", code], stdout_loglevel="debug")
    assert json.loads(result.stdout) == {str(n): "ü" * 50 for n in range(50_000)}


def test_a_callers_own_tests_can_patch_the_module(venv: VenvRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runners call log_run and async_log_run through the module, so that a replacement is seen."""
    seen: list[Any] = []

    def replacement(args: list[str], *rest: Any, **kwargs: Any) -> subprocess.CompletedProcess[str]:
        seen.append(args)
        return subprocess.CompletedProcess(args, 0, "replaced", "")

    async def async_replacement(args: list[str], *rest: Any, **kwargs: Any) -> subprocess.CompletedProcess[str]:
        return replacement(args)

    monkeypatch.setattr(subprocess_util, "log_run", replacement)
    monkeypatch.setattr(subprocess_util, "async_log_run", async_replacement)
    program = """
import asyncio
outcome = [venv.log_run(["python"]).stdout, asyncio.run(venv.async_log_run(["python"])).stdout]
"""
    for runner in (venv, FakeVenvRunner()):
        assert run_program(program, venv=runner)["outcome"] == ["replaced"] * 2
    assert [args[0] for args in seen[:2]] == [venv.python_executable] * 2


_CLIENT = """
import asyncio, os, sys
import venvrunner.subprocess_util, venvrunner.venv
sys.modules["antsibull_core.venv"] = venvrunner.venv
sys.modules["antsibull_core.subprocess_util"] = venvrunner.subprocess_util
from antsibull_docs.docs_parsing import ansible_doc
assert ansible_doc.CalledProcessError is venvrunner.subprocess_util.CalledProcessError

def tool(folder, name, code):
    path = os.path.join(folder, name)
    with open(path, "w") as file:
        file.write(f"#!{sys.executable}\\n{code}\\n")
    os.chmod(path, 0o755)

def look(runner, folder):
    tool(folder, "ansible", "print('ansible [core 2.19.1]\\\\n  ansible python module location = /there/ansible')")
    tool(folder, "ansible-galaxy", "print('{\\"/there\\": {\\"my.own\\": {\\"version\\": \\"1.2.3\\"}}}')")
    print(asyncio.run(ansible_doc.get_ansible_core_version(runner)))
    found = asyncio.run(ansible_doc.get_collection_metadata(runner, runner.environment()))
    print(sorted((name, data.version) for name, data in found.items()))
    tool(folder, "ansible-galaxy", "import sys; sys.exit('no such server')")
    try:
        asyncio.run(ansible_doc.get_collection_metadata(runner, runner.environment()))
    except RuntimeError as exc:
        print("| no such server" in str(exc))

look(venvrunner.FakeVenvRunner(), os.path.dirname(sys.executable))
with venvrunner.VenvRunner.temporary() as venv:
    look(venv, os.path.dirname(venv.python_executable))
"""


@pytest.mark.slow
@pytest.mark.network
def test_a_released_client_works(tmp_path: Path) -> None:
    """A documentation tool from the index asks a real and a fake runner for versions, and shows a failure."""
    shutil.copytree(str(venvrunner.__path__[0]), tmp_path / "lib" / "venvrunner")
    venv = VenvRunner("client", tmp_path)
    venv.install("antsibull-docs", "virtualenv")
    result = venv.log_run(["python", "-c", _CLIENT], cwd=tmp_path, extra_env={"PYTHONPATH": str(tmp_path / "lib")})
    once = "2.19.1\n[('ansible.builtin', '2.19.1'), ('my.own', '1.2.3')]\nTrue\n"
    assert result.stdout == once * 2
