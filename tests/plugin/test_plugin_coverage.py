"""The setting venv_coverage: what runs in the environments is in the coverage report of the tests."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.suites import environments, run_suite
from helpers.wheels import make_wheel

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


def run_measured(pytester: pytest.Pytester, suite: str, *args: str) -> pytest.RunResult:
    """Run a suite with the setting; the options are those of pytest-cov and pytest-xdist."""
    settings = "venv_coverage = true\nvenv_installer = uv"
    return run_suite(pytester, suite, *args, plugins=["xdist", "pytest_cov"], settings=settings)


@pytest.mark.parametrize("options", [["--cov=src"], ["--cov=shop"], ["--cov"], ["--cov=src", "-n2"]], ids=" ".join)
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


def test_without_coverage_it_changes_nothing(pytester: pytest.Pytester) -> None:
    """The setting can stay on."""
    suite = """
import os, sys

def test_same(venv_runner):
    assert not [name for name in os.listdir(venv_runner.site_packages) if "coverage" in name]
    assert "venvrunner._fixtures.measurement" not in sys.modules
"""
    run_measured(pytester, suite).assert_outcomes(passed=1)
    run_suite(pytester, suite, "--cov", plugins=["pytest_cov"]).assert_outcomes(passed=1)
