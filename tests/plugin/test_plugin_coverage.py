"""The setting venv_coverage: what runs in the environments is in the coverage report of the tests."""

import atexit
import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coverage
import pytest

from helpers.suites import environments, run_suite
from helpers.wheels import make_wheel
from venvrunner._fixtures import coverage_start
from venvrunner._fixtures.journal import Journal
from venvrunner._fixtures.measurement import Measurement, Sources, measure
from venvrunner._fixtures.runners import real_runners

pytest_plugins = ["pytester"]

MODULE = """\
import sys

def main():
    if len(sys.argv) > 1:
        print("given")
    else:
        print("none")
    return 0

def other():
    return 1

if __name__ == "__main__":
    main()
"""
SUITE = """
import pytest
pytestmark = pytest.mark.venv(requirements=["./shop-1.0-py3-none-any.whl"])

def test_script(venv_runner):
    assert venv_runner.log_run(["shop"]).stdout == "none\\n"

def test_module(venv_runner):
    assert venv_runner.log_run(["python", "-m", "shop.cli", "x"]).stdout == "given\\n"
"""


def make_project(pytester: pytest.Pytester) -> Path:
    """Make the project ``shop``, with its sources in src, and a wheel of it."""
    package = pytester.path / "src" / "shop"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "cli.py").write_text(MODULE)
    (package / "unused.py").write_text("x = 1\n")
    modules = {f"shop/{path.name}": path.read_text() for path in package.glob("*.py")}
    make_wheel(pytester.path, "shop", modules=modules, commands={"shop": "shop.cli:main"})
    return package


def run_measured(pytester: pytest.Pytester, suite: str, *args: str, measured: bool = True) -> pytest.RunResult:
    """Run a suite with the setting; the options are those of pytest-cov and pytest-xdist."""
    settings = "venv_coverage = true\nvenv_installer = uv"
    return run_suite(pytester, suite, *args, plugins=["xdist", "pytest_cov"], settings=settings, measured=measured)


@pytest.mark.parametrize("options", [["--cov=src"], ["--cov=shop"], ["--cov=."], ["--cov=src", "-n2"]], ids=" ".join)
def test_commands_are_in_the_report_of_pytest_cov(pytester: pytest.Pytester, options: list[str]) -> None:
    """Under the source paths, with branches, by whatever the sources are named; also with pytest-xdist."""
    make_project(pytester)
    result = run_measured(pytester, SUITE, *options, "--cov-branch", "--cov-report=term-missing")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["src/shop/cli.py * 10 * 1 * 4 * 0 * 93% * 11"])
    assert not environments(pytester)


def covered(pytester: pytest.Pytester) -> dict[str, dict[str, list[int]]]:
    """Return the executed and the missing lines of each file in the report of coverage."""
    command = [sys.executable, "-m", "coverage", "json", "-q", "-o", "-"]
    done = subprocess.run(command, cwd=pytester.path, check=True, capture_output=True, text=True)
    files = json.loads(done.stdout)["files"]
    return {path: {name: file[f"{name}_lines"] for name in ("executed", "missing")} for path, file in files.items()}


@pytest.mark.parametrize("settings", ["branch = true\nsource = src", "source_pkgs = shop", "omit = */unused.py"])
def test_commands_are_in_the_data_of_coverage_run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, settings: str
) -> None:
    """``coverage run -m pytest``, then ``coverage report``, without a step between them; of an editable install too."""
    package = make_project(pytester)
    make_wheel(pytester.path, "shop", modules={}, commands={"shop": "shop.cli:main"}, pth={"shop.pth": f"{package.parent}\n"})
    (pytester.path / ".coveragerc").write_text(f"[run]\n{settings}\n")
    monkeypatch.setattr(pytester, "_getpytestargs", lambda: (sys.executable, "-m", "coverage", "run", "-m", "pytest"))
    run_measured(pytester, SUITE).assert_outcomes(passed=2)
    files = covered(pytester)
    assert files["src/shop/cli.py"]["missing"] == [11]
    assert "src/shop/unused.py" not in files or "omit" not in settings
    assert [path.name for path in pytester.path.glob(".coverage*")] == [".coverage", ".coveragerc"]


def test_the_settings_of_coverage_hold(pytester: pytest.Pytester) -> None:
    """Files that they leave out, and other installed packages, are not in the report."""
    make_project(pytester)
    make_wheel(pytester.path, "other")
    (pytester.path / ".coveragerc").write_text("[run]\ninclude = src/*\nomit = */cli.py\n")
    suite = """
import pytest

@pytest.mark.venv(requirements=["./shop-1.0-py3-none-any.whl", "./other-1.0-py3-none-any.whl"])
def test_all(venv_runner):
    venv_runner.log_run(["python", "-c", "import shop.unused, shop.cli, other"])
"""
    run_measured(pytester, suite, "--cov").assert_outcomes(passed=1)
    assert covered(pytester) == {
        "src/shop/__init__.py": {"executed": [], "missing": []},
        "src/shop/unused.py": {"executed": [1], "missing": []},
    }


def test_too_little_coverage_fails(pytester: pytest.Pytester) -> None:
    """``fail_under`` counts what ran in the environments."""
    make_project(pytester)
    for limit, code in ((82, 0), (83, 1)):  # 9 of 11 lines
        assert run_measured(pytester, SUITE, "--cov=src", f"--cov-fail-under={limit}").ret == code


def test_nothing_is_left_in_the_environment(pytester: pytest.Pytester) -> None:
    """No package, variable or line of output that is not there without coverage."""
    suite = """
import os, pytest

@pytest.mark.venv(requirements=["./shop-1.0-py3-none-any.whl"])
def test_same(venv_runner):
    assert "coverage" not in venv_runner.installed()
    code = "import os, sys; print(sorted(os.environ)); print(sys.path); sys.exit('pytest' in sys.modules)"
    done = venv_runner.log_run(["python", "-Wdefault", "-c", code])
    assert "COV" not in done.stdout
    assert not done.stderr
    assert not venv_runner.log_run(["python", "-c", "import pytest"], check=False).returncode == 0
"""
    make_project(pytester)
    run_measured(pytester, suite, "--cov=src").assert_outcomes(passed=1)


@pytest.mark.parametrize("options", [["--cov"], ["--cov", "-n1"]], ids=" ".join)
def test_the_coverage_of_an_environment_measures_its_commands(pytester: pytest.Pytester, options: list[str]) -> None:
    """Once, also where the settings of the tests patch ``subprocess``; a Python that a command starts is measured too."""
    make_project(pytester)
    own = Path(coverage.__file__).parent
    modules = {f"coverage/{path.name}": path.read_text(encoding="utf-8") for path in own.glob("*.py")}
    starts = {path.name: path.read_text(encoding="utf-8") for path in own.parent.glob("*coverage*.pth")}
    make_wheel(pytester.path, "coverage", modules=modules, pth=starts)
    (pytester.path / ".coveragerc").write_text("[run]\nbranch = true\nsource = src\npatch = subprocess\n")
    suite = """
    import pytest

    CODE = "import subprocess, sys; subprocess.run([sys.executable, '-m', 'shop.cli', *sys.argv[1:]], check=True)"

    @pytest.mark.venv(requirements=["./shop-1.0-py3-none-any.whl", "./coverage-1.0-py3-none-any.whl"])
    def test_child(venv_runner):
        result = venv_runner.log_run(["python", "-c", "import coverage; print(coverage.__file__)"])
        assert "site-packages" in result.stdout
        assert result.stdout.strip() != COVERAGE
        for words in ([], ["x"]):
            result = venv_runner.log_run(["python", "-c", CODE, *words])
            assert (result.stdout, result.stderr) == ("given\\n" if words else "none\\n", "")
    """
    result = run_measured(pytester, f"COVERAGE = {coverage.__file__!r}\n{textwrap.dedent(suite)}", *options, measured=False)
    result.assert_outcomes(passed=1)
    assert covered(pytester)["src/shop/cli.py"]["missing"] == [11]
    assert [path.name for path in pytester.path.glob(".coverage*") if path.name != ".coveragerc"] == [".coverage"]
    assert not environments(pytester)


def test_without_coverage_it_changes_nothing(pytester: pytest.Pytester) -> None:
    """The setting can stay on."""
    suite = """
import os, sys

def test_same(venv_runner):
    assert not [name for name in os.listdir(venv_runner.site_packages) if "coverage" in name]
    assert "venvrunner._fixtures.measurement" not in sys.modules
"""
    run_measured(pytester, suite, measured=False).assert_outcomes(passed=1)
    run_suite(pytester, suite, "--cov", plugins=["pytest_cov"]).assert_outcomes(passed=1)


def test_an_interpreter_that_cannot_be_measured_is_reported(pytester: pytest.Pytester) -> None:
    """The command runs as without coverage, and a warning says why its lines are not in the report."""
    make_wheel(pytester.path, "coverage", modules={"coverage/__init__.py": "raise ImportError('this one is broken')"})
    suite = """
import pytest

@pytest.mark.venv(requirements=["./coverage-1.0-py3-none-any.whl"])
def test_same(venv_runner):
    done = venv_runner.log_run(["python", "-c", "import sys; print('coverage' in sys.modules)"])
    assert (done.stdout, done.stderr) == ("False\\n", "")
"""
    result = run_measured(pytester, suite, "--cov")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*venv_coverage: commands could not be measured. Python 3.*: ImportError: this one is broken"])


def test_another_version_of_python_is_measured(pytester: pytest.Pytester) -> None:
    """Where the C tracer of the tests cannot be loaded."""
    names = [f"python3.{minor}" for minor in range(11, 16) if minor != sys.version_info.minor]
    found = [path for path in map(shutil.which, names) if path and not subprocess.call([path, "-V"])]
    if not found:
        pytest.skip("there is no other interpreter")
    make_project(pytester)
    result = run_measured(
        pytester, SUITE, "--cov=src", "--cov-branch", "--cov-report=term-missing", "-n1", f"--venv-python={found[0]}"
    )
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["src/shop/cli.py * 10 * 1 * 4 * 0 * 93% * 11"])


def test_sources_are_found_by_directory_and_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of a package has the name of the whole; what is nowhere has no place, but may be in an environment."""
    package = tmp_path / "src" / "shop"
    (package / "sub").mkdir(parents=True)
    for name in ("__init__.py", "sub/__init__.py", "sub/x.py"):
        (package / name).touch()
    (tmp_path / "single.py").touch()
    root, src = str(tmp_path), str(tmp_path / "src")
    installed = "/v/lib/python3.12/site-packages/"
    part = Sources.of(["src/shop/sub"], root, root)
    assert tuple(part) == ((str(package / "sub"),), (src, root), ("shop", "src"))
    assert part.path_for(f"{installed}shop/sub/x.py") == str(package / "sub" / "x.py")
    assert part.path_for(f"{installed}shop/__init__.py") is None
    assert Sources.of(["shop.sub", "single", "nowhere"], root, root) == (
        (str(package / "sub"), str(tmp_path / "single.py")),
        (src, root),
        ("shop", "single", "nowhere"),
    )
    whole = Sources.of([], root, root)
    assert tuple(whole) == ((root,), (src, root), ("shop", "single", "src"))
    assert whole.path_for(str(tmp_path / "single.py")) == str(tmp_path / "single.py")
    assert whole.path_for("/elsewhere.py") is None
    monkeypatch.setitem(sys.modules, "shop", types.ModuleType("shop"))  # without a specification
    assert Sources.of(["shop"], root, root).areas == (str(package),)
    assert Sources.of(["json"], root, root).areas == (os.path.dirname(json.__file__),)


def test_a_part_of_a_namespace_package_is_found(tmp_path: Path) -> None:
    """Its directory has no file that says that it is a package."""
    package = tmp_path / "src" / "ns" / "shop"
    package.mkdir(parents=True)
    for name in ("__init__.py", "x.py"):
        (package / name).touch()
    sources = Sources.of(["src/ns/shop"], str(tmp_path), str(tmp_path))
    assert sources.path_for("/v/lib/python3.12/site-packages/ns/shop/x.py") == str(package / "x.py")
    assert {"shop", "ns"} <= {*sources.names}


def test_commands_have_the_variables_of_the_tests_unless_they_are_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Coverage of an environment's own does not start with the settings of the tests; a test's own TMPDIR stays."""
    monkeypatch.setenv("COVERAGE_PROCESS_CONFIG", "of the tests")
    measurement: Any = object()
    runner = real_runners(Journal(), [], measurement)("venv", tmp_path, with_pip=False)
    own = runner.own_temporary_files()
    found = runner.environment()
    assert (found["TMPDIR"], "COVERAGE_PROCESS_CONFIG" in found) == (own, False)
    assert runner.environment({**os.environ})["TMPDIR"] == own
    found = runner.environment({"COVERAGE_PROCESS_CONFIG": "of the test"})
    assert (found["COVERAGE_PROCESS_CONFIG"], "TMPDIR" in found) == ("of the test", False)
    monkeypatch.setenv("TMPDIR", "/elsewhere")
    assert runner.environment()["TMPDIR"] == "/elsewhere"


@pytest.fixture
def running() -> Iterator[Any]:
    """Provide a coverage whose data is in memory: a database, which has to be closed."""
    found = coverage.Coverage(data_file=None, config_file=False)
    yield found
    found.get_data().close(force=True)


def test_half_a_data_file_does_not_count(running: Any, tmp_path: Path) -> None:
    """Coverage of a command that was killed may not have finished it."""
    measurement = Measurement(running, Sources((), (), ()), str(tmp_path), str(tmp_path))
    [folder] = tmp_path.iterdir()
    (folder / "data.1").write_text("half")
    (folder / "data.2-journal").write_text("")
    measurement.merge()
    assert not running.get_data().measured_files()


def test_lines_of_commands_belong_to_no_test(running: Any, tmp_path: Path) -> None:
    """Not to the one whose context was the last: the data is merged at the end of the session."""
    source = tmp_path / "shop.py"
    source.touch()
    running._inorout = types.SimpleNamespace(omit_match=None, include_match=None)  # as if it had been started
    running.get_data().set_context("the last test")
    data = tmp_path / "data"
    data.mkdir()
    measurement = Measurement(running, Sources((str(source),), (), ()), str(data), str(tmp_path))
    [folder] = data.iterdir()
    with contextlib.closing(coverage.CoverageData(str(folder / "data.1"))) as written:
        written.add_lines({str(source): [1]})
        written.write()
    measurement.merge()
    assert running.get_data().contexts_by_lineno(str(source)) == {1: [""]}


@pytest.mark.parametrize(("patch", "passed"), [(None, None), (["subprocess"], None), (["subprocess", "_exit"], ["_exit"])])
def test_commands_are_measured_as_the_tests_are(tmp_path: Path, patch: list[str] | None, passed: list[str] | None) -> None:
    """With their patches, which coverage has from 7.10 on, but that of subprocess, and with their concurrency but processes."""
    config = types.SimpleNamespace(sigterm=True, branch=True, timid=False, concurrency=["greenlet", "multiprocessing"])
    if patch is not None:
        config.patch = patch
    running = types.SimpleNamespace(config=config)
    Measurement(running, Sources((), (), ()), str(tmp_path), str(tmp_path))
    [folder] = tmp_path.iterdir()
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["options"].get("run:patch") == passed
    assert (settings["arguments"]["concurrency"], settings["arguments"]["branch"]) == (["greenlet"], True)


def test_tests_that_are_not_measured_measure_no_commands(
    pytestconfig: pytest.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Coverage is imported, and does not run."""
    monkeypatch.setattr(coverage.Coverage, "current", lambda: None)
    assert measure(pytestconfig, str(tmp_path)) is None


FAKE_COVERAGE = """
class Coverage:
    def __init__(self, **arguments):
        self.done = [arguments]
    def set_option(self, name, value):
        self.done.append(name)
    def start(self):
        self.done.append("start")
    def stop(self):
        self.done.append("stop")
    def save(self):
        self.done.append("save")
def process_startup(): pass
"""


def test_a_process_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the start to the end; not if it is pip, and not if the directory for the data is gone."""
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    for name in [name for name in sys.modules if name.partition(".")[0] == "coverage"]:
        del sys.modules[name]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (tmp_path / "coverage.py").write_text(FAKE_COVERAGE)
    registered: list[Any] = []
    monkeypatch.setattr(atexit, "register", lambda *call: registered.append(call))
    coverage_start.start(str(tmp_path))
    assert "settings.json" in (tmp_path / f"error-{os.getpid()}").read_text()
    settings = {"site": str(tmp_path), "arguments": {"branch": True}, "options": {"run:sigterm": True}}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-I", "-m", "pip", "install"])
    coverage_start.start(str(tmp_path))
    assert not registered
    monkeypatch.setattr(sys, "orig_argv", ["python"])
    coverage_start.start(str(tmp_path))
    coverage_start.start(str(tmp_path))
    [(save, measured, directory)] = registered
    save(measured, directory)
    save(measured, str(tmp_path / "gone"))
    data = {"data_file": str(tmp_path / "data"), "data_suffix": True, "branch": True}
    assert measured.done == [data, "run:sigterm", "run:disable_warnings", "start", "stop", "save", "stop"]
