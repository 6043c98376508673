"""The programs of docs/examples: they are short, and they do what they are there for."""

import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from helpers.command_line import run
from helpers.pages import ROOT
from helpers.programs import SOURCE
from helpers.wheels import make_wheel

EXAMPLES = ROOT / "docs" / "examples"
JOB = (EXAMPLES / "ci.yml").read_text(encoding="utf-8")
HERE = "{}.{}".format(*sys.version_info)
BACKEND = """
import pathlib, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "mine-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(directory, name), "w") as wheel:
        wheel.write("mine.py")
        wheel.writestr("mine-1.0.dist-info/entry_points.txt", "[console_scripts]\\nmine = mine:main\\n")
        wheel.writestr("mine-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: mine\\nVersion: 1.0\\n")
        wheel.writestr("mine-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("mine-1.0.dist-info/RECORD", "")
    return name
"""


TOTAL = """
import sys

def total(numbers):
    return sum(numbers)

def main():
    try:
        print(total(map(int, sys.argv[1:])))
    except ValueError:
        print(f"{sys.argv[1]!r} is not a number", file=sys.stderr)
        raise SystemExit(2)
"""


def make_project(folder: Path) -> None:
    """Write a project whose back end needs no package, with one test."""
    (folder / "tests").mkdir()
    (folder / "backend.py").write_text(BACKEND)
    (folder / "mine.py").write_text("answer = 42\n")
    (folder / "tests" / "test_mine.py").write_text("from mine import answer\n\ndef test_answer():\n    assert answer == 42\n")
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "mine"\nversion = "1.0"\n'
    )


def run_example(name: str, folder: Path, *args: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program of the examples in a directory; *text* replaces its own."""
    program = folder / name
    program.write_text(text or (EXAMPLES / name).read_text(encoding="utf-8"), encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": SOURCE, "VENVRUNNER_STORE_DIR": str(folder / "store")}
    command = [sys.executable, str(program), *args]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("name", "limit"), [("ci.yml", 10), ("release.py", 40), ("migrated.py", 40), ("test_installed.py", 40)]
)
def test_an_example_is_short(name: str, limit: int) -> None:
    """More than that, and a reader looks for another tool."""
    assert len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) <= limit


@pytest.mark.network
def test_the_release_script_tests_a_wheel_with_each_python(tmp_path: Path) -> None:
    """All at the same time; a failing test and a missing Python fail the release, and each Python has a report."""
    text = (EXAMPLES / "release.py").read_text(encoding="utf-8")
    pythons = [HERE, f">={HERE}", "2.6"]
    assert '["3.11", "3.12", "3.13"]' in text
    make_project(tmp_path)
    done = run_example("release.py", tmp_path, text=text.replace('["3.11", "3.12", "3.13"]', repr(pythons[:2])))
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("".join(f"Python {python}: passed\n" for python in pythons[:2]))
    assert f"{HERE} | 1 passed" in done.stdout
    reports = [ET.parse(tmp_path / "reports" / f"{python}.xml").getroot()[0] for python in pythons[:2]]
    assert [report.attrib["tests"] for report in reports] == ["1", "1"]
    (tmp_path / "mine.py").write_text("answer = 41\n")
    done = run_example("release.py", tmp_path, text=text.replace('["3.11", "3.12", "3.13"]', repr([HERE, "2.6"])))
    assert done.returncode == 1
    assert done.stdout.endswith(f"Python {HERE}: failed (1)\nPython 2.6: missing\n")


def test_the_suite_tests_an_installed_project(tmp_path: Path) -> None:
    """It passes, and it fails if what users get is wrong."""
    make_project(tmp_path)
    source = (tmp_path / "pyproject.toml").read_text().replace("mine", "total")
    (tmp_path / "pyproject.toml").write_text(source)
    (tmp_path / "backend.py").write_text(BACKEND.replace("mine", "total"))
    suite = [
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:randomly",
        "-p",
        "no:cacheprovider",
        f"--basetemp={tmp_path}/temp",
        "test_installed.py",
    ]
    (tmp_path / "test_installed.py").write_bytes((EXAMPLES / "test_installed.py").read_bytes())
    for code, outcome in ((0, "4 passed"), (1, "2 failed, 2 passed")):
        (tmp_path / "total.py").write_text(TOTAL if code == 0 else TOTAL.replace("sum(numbers)", "sum(numbers) + 1"))
        env = {**os.environ, "PYTHONPATH": SOURCE, "VENVRUNNER_STORE_DIR": str(tmp_path / "store")}
        env["PYTEST_ADDOPTS"] = "" if entry_points(group="pytest11", name="venvrunner") else "-p venvrunner.pytest_plugin"
        done = subprocess.run([sys.executable, *suite], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout
        assert outcome in done.stdout


def test_the_migrated_caller_does_what_it_did(tmp_path: Path) -> None:
    """It prints what is installed, and a failure of pip is the error that it caught before."""
    wheel = make_wheel(tmp_path, "pocket")
    done = run_example("migrated.py", tmp_path, str(wheel))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("pocket @ file://")
    done = run_example("migrated.py", tmp_path, str(make_wheel(tmp_path, "needy", requires=["no-such-package"])))
    assert done.returncode == 1
    assert done.stderr == "pip failed with exit code 1\n"


@pytest.mark.network
def test_the_command_of_the_job_tests_a_project_with_each_python(tmp_path: Path) -> None:
    """The Pythons are those of this machine; a failing test fails the job, and the report says so."""
    (command,) = re.findall(r"- run: venvrunner (.*)", JOB)
    args = shlex.split(command.replace("3.12", HERE).replace("3.13", f"'>={HERE}'"))
    make_project(tmp_path)
    for answer, code, failures in (("42", 0, "0"), ("41", 1, "2")):
        (tmp_path / "mine.py").write_text(f"answer = {answer}\n")
        done = run(*args, cwd=tmp_path, PIP_NO_INDEX="0")
        assert done.returncode == code, done.stderr
        assert done.stdout.count(b"1 passed" if code == 0 else b"1 failed") == 2
        assert ET.parse(tmp_path / "report.xml").getroot().attrib["failures"] == failures
