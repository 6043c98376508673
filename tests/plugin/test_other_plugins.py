"""The pytest plugin beside others: pytest-xdist, pytest-asyncio, anyio, pytest-cov; and beside none that asks for it."""

import importlib.metadata
import os
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from helpers.suites import SOURCES, environments, run_suite
from helpers.wheels import make_wheel
from venvrunner import pytest_plugin

pytest_plugins = ["pytester"]

_COUNTED = """
import os, shutil, time
def build_wheel(folder, config_settings=None, metadata_directory=None):
    with open({count!r}, "a") as file:
        file.write("built\\n")
    return os.path.basename(shutil.copy({wheel!r}, folder))
"""


def make_counted_project(pytester: pytest.Pytester) -> Path:
    """Make a project whose builds are counted by the lines of a file, and return that."""
    folder = pytester.mkdir("project")
    count, wheel = pytester.path / "count", make_wheel(pytester.path, "counted")
    (folder / "pyproject.toml").write_text('[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n')
    (folder / "backend.py").write_text(_COUNTED.format(count=str(count), wheel=str(wheel)))
    return count


def test_workers_prepare_an_environment_once(pytester: pytest.Pytester) -> None:
    """All fork the same, and the last process removes it, also when a worker has crashed."""
    count = make_counted_project(pytester)
    result = run_suite(
        pytester,
        """
        import os
        import pytest
        pytestmark = pytest.mark.venv(requirements=["./project"])

        @pytest.mark.parametrize("number", range(8))
        def test_worker(venv_runner, number, worker_id):
            print("on", worker_id)
            assert "counted" in venv_runner.installed()
            venv_runner.log_run(["counted"])

        def test_crash(venv_runner):
            os._exit(1)
        """,
        *("-n2", "-rA"),
        plugins=["xdist"],
        settings="venv_installer = uv",
    )
    result.assert_outcomes(passed=8, failed=1)
    assert {line for line in result.outlines if line.startswith("on ")} >= {"on gw0", "on gw1"}
    assert count.read_text() == "built\n"
    assert not environments(pytester)


def test_nothing_is_left_of_the_only_worker_that_crashes(pytester: pytest.Pytester) -> None:
    """It had made the environments, and can't tell at its end where they are."""
    suite = """
        import os

        def test_crash(venv_runner):
            os._exit(1)
        """
    result = run_suite(pytester, suite, "-n1", plugins=["xdist"])
    result.assert_outcomes(failed=1)
    assert not environments(pytester)


def test_a_worker_that_fails_shows_its_commands(pytester: pytest.Pytester) -> None:
    """The section reaches the process that prints the report."""
    suite = """
        def test(venv_runner):
            venv_runner.log_run(["python", "-c", "raise SystemExit(3)"])
        """
    result = run_suite(pytester, suite, "-n1", plugins=["xdist"])
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*-- venvrunner commands --*", "$ python -c 'raise SystemExit(3)'", "exit code 3"])


def test_async_tests_use_the_same_fixtures(pytester: pytest.Pytester) -> None:
    """Those of pytest-asyncio and those of anyio, and their async fixtures."""
    result = run_suite(
        pytester,
        """
        import asyncio
        import pytest
        import pytest_asyncio

        @pytest_asyncio.fixture
        async def greeting(venv_runner):
            return (await venv_runner.async_log_run(["python", "-c", "print('hello')"])).stdout

        @pytest.mark.asyncio
        async def test_asyncio(venv_runner, fake_venv_runner, greeting):
            assert greeting == "hello\\n"
            runners = [venv_runner, fake_venv_runner] * 3
            done = await asyncio.gather(*(runner.async_log_run(["python", "-c", "print(1)"]) for runner in runners))
            assert [result.stdout for result in done] == ["1\\n"] * 6

        @pytest.mark.anyio
        @pytest.mark.parametrize("anyio_backend", ["asyncio"])
        async def test_anyio(venv_runner):
            assert (await venv_runner.async_log_run(["python", "-c", "print(2)"])).stdout == "2\\n"
            assert venv_runner.log_run(["python", "-c", "print(3)"]).stdout == "3\\n"

        @pytest.mark.asyncio
        async def test_fails(venv_runner):
            await venv_runner.async_log_run(["python", "-c", "raise SystemExit(3)"])
        """,
        plugins=["asyncio", "anyio"],
        settings="asyncio_default_fixture_loop_scope = function",
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*-- venvrunner commands --*", "$ python -c 'raise SystemExit(3)'", "exit code 3"])
    assert not environments(pytester)


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_coverage_of_the_tested_code_is_complete(pytester: pytest.Pytester, workers: str) -> None:
    """pytest-cov measures what it would measure without the plugin, and warns of nothing."""
    pytester.makepyfile(
        mine="def first(runner):\n    return runner.log_run(['python', '--version'])\ndef second():\n    return 2\n"
    )
    result = run_suite(
        pytester,
        """
        import mine
        def test_first(venv_runner): assert mine.first(venv_runner)
        def test_second(): assert mine.second() == 2
        """,
        *(workers, "--cov=mine", "--cov-report=term-missing"),
        plugins=["xdist", "pytest_cov"],
    )
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["mine.py * 4 * 0 * 100%*"])
    result.stdout.no_fnmatch_line("*warning*")


def test_the_import_loads_nothing_but_itself() -> None:
    """The package's own __init__, which loads nothing either, what imports the others later, and this one module."""
    code = "import sys, pytest; before = set(sys.modules); import venvrunner.pytest_plugin; print(*set(sys.modules) - before)"
    env = {**os.environ, "PYTHONPATH": str(SOURCES)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"venvrunner", "venvrunner._plain_imports", "venvrunner.pytest_plugin"}


def test_a_run_that_does_not_use_it_shows_and_loads_nothing(pytester: pytest.Pytester) -> None:
    """No line of its own, no further module, and no hook of it at each test but one."""
    suite = "def test(): pass"
    pytester.makeconftest(
        """
        import sys
        def pytest_unconfigure():
            print("loaded:", *sorted(name for name in sys.modules if name.startswith("venvrunner")))
        """
    )
    used = run_suite(pytester, suite)
    unused = run_suite(pytester, suite, "-p", "no:venvrunner.pytest_plugin")
    used.stdout.fnmatch_lines(["loaded: venvrunner venvrunner._plain_imports venvrunner.pytest_plugin"])
    unused.stdout.fnmatch_lines(["loaded:*"])
    assert [line for line in used.outlines if " in " not in line][:-1] == [
        line for line in unused.outlines if " in " not in line
    ][:-1]


def test_it_is_there_as_soon_as_the_package_is_installed(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its entry point: the installed one, or else that which pyproject.toml declares."""
    path = [str(SOURCES)]
    if not importlib.metadata.entry_points(group="pytest11", name="venvrunner"):
        project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
        info = pytester.mkdir("installed") / "venvrunner-0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: venvrunner\nVersion: 0\n")
        entries = project["entry-points"]["pytest11"].items()
        (info / "entry_points.txt").write_text("[pytest11]\n" + "".join(f"{name} = {value}\n" for name, value in entries))
        path.append(str(info.parent))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    pytester.makepyfile("def test(venv_runner): assert venv_runner.log_run(['python', '--version'])")
    result = pytester.runpytest_subprocess("-W", "error", "-p", "no:cacheprovider", "-p", "no:asyncio", timeout=60)
    result.assert_outcomes(passed=1)
    assert pytest_plugin.__name__ == "venvrunner.pytest_plugin"


@pytest.mark.parametrize("place", ["conftest", "test_suite"])
def test_pytest_does_not_compile_the_package_again(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """As it does to explain assertions, with all packages of a wheel that has a plugin."""
    imports = """
        import venvrunner.testing
        from venvrunner import VenvRunner
        from venvrunner.testing import contract
        """
    suite = """
        import sys

        def test(venv_runner):
            ours = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "venvrunner"}
            rewritten = {name for name, module in ours.items() if "rewrite" in type(module.__loader__).__module__}
            assert {name for name in rewritten if not name.startswith("venvrunner.testing")} <= {
                "venvrunner", "venvrunner._plain_imports", "venvrunner.pytest_plugin"
            }
            assert "venvrunner.pytest_plugin" in rewritten
            assert any(name.startswith("venvrunner.testing.") for name in rewritten)
        """
    pytester.makepyfile(conftest=textwrap.dedent(imports) if place == "conftest" else "")
    if place == "test_suite":
        suite = imports + suite
    info = pytester.mkdir("installed") / "other-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 0\n")
    (info / "entry_points.txt").write_text("[pytest11]\nother = json\n")
    (info / "RECORD").write_text("venvrunner/__init__.py,,\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(info.parent), str(SOURCES)]))
    plugins = [] if importlib.metadata.entry_points(group="pytest11", name="venvrunner") else ["-p", "venvrunner.pytest_plugin"]
    pytester.makepyfile(test_suite=textwrap.dedent(suite))
    result = pytester.runpytest_subprocess("-W", "error", "-p", "no:cacheprovider", "-p", "no:asyncio", *plugins, timeout=60)
    result.assert_outcomes(passed=1)
