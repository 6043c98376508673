"""What the pages show for a shell is run as well, in a project as their reader has one."""

import re
import sys
from pathlib import Path

import pytest

from helpers.pages import PAGES, ROOT, blocks
from venvrunner import VenvRunner
from venvrunner.subprocess_util import log_run

pytestmark = [pytest.mark.network, pytest.mark.slow]

SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STEP = re.compile(r"^ +- (?:run: )?((?:python|venvrunner) .*)$", re.MULTILINE)
"""A command of a CI service."""
HERE = {
    "git clone https://github.com/venvrunner/venvrunner": "test -d",
    "git+https://github.com/venvrunner/venvrunner": "../venvrunner",
    "--python 3.12": f"--python {sys.version_info[0]}.{sys.version_info[1]}",
}
"""What is elsewhere on a machine without that address or interpreter."""
LEFT_OUT = ("nox -s bench", "pdm ", "poetry ")
"""What takes many minutes, or is no dependency of the tests."""
TEXTS = {
    "pyproject.toml": """[project]
name = "mine"
version = "1.0"
[tool.setuptools]
py-modules = ["build_app"]
""",
    "requirements.txt": "pytest\n../venvrunner\n",
    "requirements.in": "pip\n",
    "script.py": "",
}


def commands(page: Path) -> list[str]:
    """Return the lines of a page that are run."""
    text = page.read_text(encoding="utf-8")
    found = [*SHELL.findall(text), *(STEP.findall(text) if page.stem == "continuous-integration" else [])]
    return [line for block in found for line in block.splitlines() if line and not line.startswith(LEFT_OUT)]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """That of the tutorial, with a clone beside it."""
    (tmp_path / "venvrunner").symlink_to(ROOT)
    (tmp_path / "tmp").mkdir()
    folder = tmp_path / "project"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    for block in blocks((ROOT / "docs" / "tutorial" / "build-script.md").read_text(encoding="utf-8")):
        if block.file is not None:
            (folder / block.file).parent.mkdir(exist_ok=True)
            (folder / block.file).write_text(block.code)
    return folder


@pytest.mark.parametrize(
    "page", [pytest.param(page, id=page.stem) for page in PAGES if page.parent != ROOT and page.exists() and commands(page)]
)
def test_the_shell_commands_of_a_page_work(page: Path, project: Path) -> None:
    """One after the other, in an environment that has pip, and uv where the page is about lock files."""
    with VenvRunner.temporary() as venv:
        if page.stem == "lock-files":
            venv.install("uv", str(ROOT))
            venv.log_run(["uv", "lock"], cwd=project)
        elif page.stem == "command-line":
            venv.install(str(ROOT))
            (project / "test_build_app.py").write_text("def test_nothing(): pass\n")  # one without fixtures of the plugin
        elif page.stem == "scripts":
            venv.install(str(ROOT))
            (report,) = [block for block in blocks(page.read_text(encoding="utf-8")) if block.file == "report.py"]
            (project / "report.py").write_text(report.code)
        script = "\n".join(commands(page))
        for elsewhere, here in HERE.items():
            script = script.replace(elsewhere, here)
        # pytest keeps directories there; uv trusts the certificates of the machine, as pip does.
        own = {"TMPDIR": str(project.parent / "tmp"), "UV_SYSTEM_CERTS": "1"}
        log_run(["bash", "-euo", "pipefail", "-c", script], cwd=project, env=venv.environment(), extra_env=own, timeout=600)
