"""The CI job of docs/examples: it is short, and its command does what it is there for."""

import re
import shlex
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from helpers.command_line import run
from helpers.pages import ROOT

JOB = (ROOT / "docs" / "examples" / "ci.yml").read_text(encoding="utf-8")
BACKEND = """
import pathlib, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "mine-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(directory, name), "w") as wheel:
        wheel.write("mine.py")
        wheel.writestr("mine-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: mine\\nVersion: 1.0\\n")
        wheel.writestr("mine-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("mine-1.0.dist-info/RECORD", "")
    return name
"""


def test_the_job_has_at_most_ten_lines() -> None:
    """More than that, and a reader looks for another tool."""
    assert len(JOB.splitlines()) <= 10


@pytest.mark.network
def test_the_command_of_the_job_tests_a_project_with_each_python(tmp_path: Path) -> None:
    """The Pythons are those of this machine; a failing test fails the job, and the report says so."""
    (command,) = re.findall(r"- run: venvrunner (.*)", JOB)
    here = "{}.{}".format(*sys.version_info)
    args = shlex.split(command.replace("3.12", here).replace("3.13", f"'>={here}'"))
    (tmp_path / "backend.py").write_text(BACKEND)
    (tmp_path / "mine.py").write_text("answer = 42\n")
    (tmp_path / "test_mine.py").write_text("from mine import answer\n\ndef test_answer():\n    assert answer == 42\n")
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "mine"\nversion = "1.0"\n'
    )
    for answer, code, failures in (("42", 0, "0"), ("41", 1, "2")):
        (tmp_path / "mine.py").write_text(f"answer = {answer}\n")
        done = run(*args, cwd=tmp_path, PIP_NO_INDEX="0")
        assert done.returncode == code, done.stderr
        assert done.stdout.count(b"1 passed" if code == 0 else b"1 failed") == 2
        assert ET.parse(tmp_path / "report.xml").getroot().attrib["failures"] == failures
