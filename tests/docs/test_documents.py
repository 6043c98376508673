"""What README, docs and docstrings show is run: an example that does not work fails here."""

import ast
import doctest
import importlib
import pkgutil
import re
import runpy
import signal
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import venvrunner
from helpers.environments import ONLINE
from helpers.pages import BLOCK, PAGES, ROOT, blocks
from venvrunner import FakeVenvRunner
from venvrunner.testing import ReplayVenvRunner

MODULES = [venvrunner.__name__, *(info.name for info in pkgutil.walk_packages(venvrunner.__path__, "venvrunner."))]

MARKS = {
    "many-environments.md": [pytest.mark.slow],  # a cluster takes its time to start
    "first-steps.md": [pytest.mark.network],  # a project is built, with what its back end needs
    "lock-files.md": [pytest.mark.network],
    "async-release-script.md": [pytest.mark.network],
}


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=MARKS.get(page.name, []), id=str(page.relative_to(ROOT))) for page in PAGES if page.exists()],
)
def test_the_python_blocks_of_a_page_work(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, in one namespace and in an empty directory, as a reader would try them."""
    monkeypatch.chdir(tmp_path)
    for name, value in ONLINE.items():
        monkeypatch.setenv(name, value)
    if not entry_points(group="pytest11", name="venvrunner"):  # on the path, and not installed
        monkeypatch.setenv("PYTEST_ADDOPTS", "-p venvrunner.pytest_plugin")
    text = page.read_text(encoding="utf-8")
    namespace: dict[str, object] = {"__name__": "__main__"}
    handler = signal.getsignal(signal.SIGTERM)
    try:
        for block in blocks(text):
            if block.file is not None:
                Path(block.file).parent.mkdir(exist_ok=True)
                Path(block.file).write_text(block.code, encoding="utf-8")
            else:
                # A traceback shows the line of the page.
                exec(compile("\n" * block.line + block.code, str(page), "exec"), namespace)
    finally:
        signal.signal(signal.SIGTERM, handler)  # one page shows how to take it
    found = [match["language"] for match in BLOCK.finditer(text)]
    assert found == re.findall(r"```(\w+)", text), "a block was not found"


@pytest.mark.network
def test_the_suite_of_the_readme_passes(tmp_path: Path) -> None:
    """In a directory of one's own; the page does not say so by a block of Python."""
    (suite,) = [block for block in blocks((ROOT / "README.md").read_text(encoding="utf-8")) if block.file is not None]
    (tmp_path / str(suite.file)).write_text(suite.code)
    plugin = [] if entry_points(group="pytest11", name="venvrunner") else ["-p", "venvrunner.pytest_plugin"]
    args = ["python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, "--basetemp", "tmp", str(suite.file)]
    assert "2 passed" in FakeVenvRunner().log_run(args, cwd=tmp_path).stdout


def test_every_python_block_is_run() -> None:
    """None is hidden from the tests by another name of the language."""
    for page in PAGES:
        languages = set(re.findall(r"^ *```(\w+)$", page.read_text(encoding="utf-8"), re.MULTILINE))
        assert languages <= {"python", "sh", "text", "json", "yaml", "toml", "ini"}, page


def test_the_files_that_pages_show_are_valid(tmp_path: Path) -> None:
    """TOML and JSON can be read, and the recording can be replayed."""
    texts = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    shown = {name: re.findall(rf"^```{name}\n(.*?)^```$", texts, re.MULTILINE | re.DOTALL) for name in ("toml", "json")}
    assert all(shown.values())
    assert [tomllib.loads(text) for text in shown["toml"]]
    (recording,) = shown["json"]
    (tmp_path / "shown.json").write_text(recording)
    with ReplayVenvRunner(tmp_path / "shown.json", venv_dir="/v") as venv:
        assert venv.log_run(["pip", "--version"]).stdout.startswith("pip 26.2 from /v/lib/")


def test_the_readme_has_an_example_for_each_way() -> None:
    """The README shows a sync call, an async call and the fake."""
    code = "\n".join(block.code for block in blocks((ROOT / "README.md").read_text(encoding="utf-8")))
    assert "VenvRunner.temporary" in code
    assert ".log_run(" in code
    assert "await" in code
    assert "FakeVenvRunner" in code


@pytest.mark.parametrize("command", ["main", "tests"])
def test_the_readme_has_its_two_commands(command: str) -> None:
    """The main job and the tests are one shell command each, behind a comment by which a machine finds them."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(rf"^<!-- command: {command} -->\n```(?:sh|bash|shell|console)\n(.+)\n```$", text, re.MULTILINE)
    assert len(found) == 1, "one fenced block of one line is wanted"
    assert {"main": "venvrunner --with build -- python -m build --wheel .", "tests": "pytest"}[command] in found[0]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_work(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every doctest of every module runs, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    reports: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.REPORT_NDIFF)
    for test in doctest.DocTestFinder().find(module):
        runner.run(test, out=reports.append)
    assert not reports, "".join(reports)


def test_every_public_name_has_an_example() -> None:
    """What is exported shows how it is used, or is an exception that stands in the tree of its module."""
    exceptions = importlib.import_module("venvrunner.exceptions").__doc__ or ""
    for name in venvrunner.__all__:
        public = getattr(venvrunner, name)
        assert ">>> " in (public.__doc__ or "") or name in exceptions, f"{name} has no example"


def test_links_between_pages_lead_somewhere() -> None:
    """A relative link names a file that is there."""
    for page in PAGES:
        if page.exists():
            for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_the_errors_of_troubleshooting_are_those_of_the_code() -> None:
    """Who searches the page for what was printed finds it: each heading has the words of a message."""
    page = (ROOT / "docs" / "how-to" / "troubleshooting.md").read_text(encoding="utf-8")
    sources = [path.read_text(encoding="utf-8") for path in Path(str(venvrunner.__file__)).parent.rglob("*.py")]
    literals = [
        node.value.strip(" ,:!")
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    headings = re.findall(r"^## (`.+`)$", page, re.MULTILINE)
    assert len(headings) > 20
    for text in [part for heading in headings for part in re.findall(r"`([^`]+)`", heading)]:
        words = max(re.split(r"\s*(?:…|'[^' ]+'|process)\s*", text), key=len).strip(" ,:!")
        known = any(words in text or (len(text) > 10 and text in words) for text in literals)
        assert known or words == "codec can't decode byte", words


def test_the_picture_of_the_readme_has_the_figures_of_the_page() -> None:
    """It is drawn by a script, from the table of the page on performance."""
    script = runpy.run_path(str(ROOT / "docs" / "_scripts" / "bars.py"))
    charts = script["figures"](script["PAGE"].read_text(encoding="utf-8"))
    assert [len(bars) for bars in charts.values()] == [4, 3]
    assert script["PICTURE"].read_text(encoding="utf-8") == script["drawn"](charts), "run docs/_scripts/bars.py"


def test_the_code_map_is_that_of_the_code() -> None:
    """Its picture and its tables have the modules, docstrings and imports of now."""
    script = runpy.run_path(str(ROOT / "docs" / "_scripts" / "code_map.py"))
    for path, text in script["files"]().items():
        assert path.read_text(encoding="utf-8") == text, "run docs/_scripts/code_map.py"
