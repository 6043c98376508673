"""The reference says what the code says: every method with an example, every keyword, every refusal, every variable."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import venvrunner
from venvrunner import FakeVenvRunner, InstallOptions, LockOptions, Runner, VenvOptions, VenvRunner, VenvSpec
from venvrunner._create.cache import VARIABLE
from venvrunner._create.interpreters import _SOURCES
from venvrunner._process.keywords import REFUSED
from venvrunner.installing import ReportOptions
from venvrunner.subprocess_util import LogRunOptions, RunOptions

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
PAGES = {page.name: page.read_text(encoding="utf-8") for page in sorted(REFERENCE.glob("*.md"))}
API = "\n".join(PAGES.values())


def entries(text: str | None, section: str) -> dict[str, str]:
    """Return what a section of a docstring says of each name."""
    found = re.search(rf"^ *{section}:\n(.*?)(?:^\s*$|\Z)", text or "", re.MULTILINE | re.DOTALL)
    assert found, f"there is no section {section}"
    depth = len(found[1]) - len(found[1].lstrip())
    parts = re.split(rf"^ {{{depth}}}(\w+): ", found[1], flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


KEYWORDS = [
    pytest.param(RunOptions.__annotations__.keys(), entries(RunOptions.__doc__, "Attributes"), id="RunOptions"),
    pytest.param(
        LogRunOptions.__annotations__.keys() - RunOptions.__annotations__.keys(),
        entries(LogRunOptions.__doc__, "Attributes"),
        id="LogRunOptions",
    ),
    pytest.param(
        ReportOptions.__annotations__.keys() - RunOptions.__annotations__.keys(),
        entries(ReportOptions.__doc__, "Attributes"),
        id="ReportOptions",
    ),
    pytest.param(
        InstallOptions.__annotations__.keys() - ReportOptions.__annotations__.keys(),
        entries(InstallOptions.__doc__, "Attributes"),
        id="InstallOptions",
    ),
    pytest.param(
        LockOptions.__annotations__.keys() - ReportOptions.__annotations__.keys(),
        entries(LockOptions.__doc__, "Attributes"),
        id="LockOptions",
    ),
    pytest.param(
        VenvOptions.__annotations__.keys(),
        {name: text for name, text in entries(VenvRunner.__doc__, "Args").items() if name in VenvOptions.__annotations__},
        id="VenvOptions",
    ),
]


@pytest.mark.parametrize(("keywords", "explained"), KEYWORDS)
def test_every_keyword_is_explained_with_its_default(keywords: set[str], explained: dict[str, str]) -> None:
    """In one place, from which the reference is made; those of `VenvOptions` are arguments of `VenvRunner`."""
    assert explained.keys() == keywords
    assert [name for name, text in explained.items() if "default" not in text] == []


@pytest.mark.parametrize(
    "name", ["RunOptions", "LogRunOptions", "ReportOptions", "InstallOptions", "LockOptions", "VenvOptions"]
)
def test_the_reference_shows_each_group_of_keywords(name: str) -> None:
    """Else no reader would see their docstrings."""
    assert re.search(rf"autoclass:: venvrunner(\.\w+)?\.{name}\n", API)


def test_every_public_name_is_in_the_reference_once() -> None:
    """Of each module that others may import. The first page links to each, with all exceptions by their page."""
    modules = [
        info.name
        for info in pkgutil.walk_packages(venvrunner.__path__, "venvrunner.")
        if not any(part.startswith("_") for part in info.name.split("."))
    ]
    assert {"venvrunner.installing", "venvrunner.testing.contract"} <= {*modules}
    names = {name for module in ("venvrunner", *modules) for name in getattr(importlib.import_module(module), "__all__", ())}
    shown = re.findall(r"^\.\. (?:auto\w+|(?:py:)?(?:data|module)):: (?:\w+\.)*(\w+)", API, re.MULTILINE)
    assert names - {*shown} == set()
    assert [name for name in names if shown.count(name) > 1] == []
    linked = re.findall(r"\{\w+\}`~(?:\w+\.)*(\w+)`", PAGES["api.md"])
    exceptions = re.findall(r"autoexception:: (?:\w+\.)*(\w+)", PAGES["exceptions.md"])
    assert names - {*linked, *exceptions, "subprocess_util"} == set()


def test_the_tests_of_the_contract_are_not_in_the_index() -> None:
    """They would be a third of it: a table lists them."""
    contracts = re.findall(r"autoclass:: [\w.]+Contract\n(   :members:)?", PAGES["contract.md"])
    assert contracts == ["", "", ""]


def test_the_refused_keywords_are_those_of_the_code() -> None:
    """Each with the words of its error message."""
    section = API.partition("# Keywords that are refused\n")[2].partition("\n#")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|$", section, re.MULTILINE)
    assert {name: reason.replace("`", "") for name, reason in rows} == dict(REFUSED)


METHODS = {
    f"{cls.__name__}.{name}": inspect.getdoc(member) or ""
    for cls in (Runner, VenvRunner, FakeVenvRunner, VenvSpec)
    for name, member in inspect.getmembers(cls, inspect.isroutine)
    if not name.startswith("_")
}

NOTHING = {
    "FakeVenvRunner.install_package",
    "VenvRunner.delete",
    *(name for name in METHODS if name.endswith((".hook_runner", ".stop"))),
}
"""What returns nothing, or never."""


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_an_example_and_its_result(name: str) -> None:
    """An example, and a section with what comes back; a twin says whose twin it is."""
    text = METHODS[name]
    if not text.startswith("Same as "):
        assert ">>> " in text
        assert ("Returns:" in text) == (name not in NOTHING), "what is returned?"


def test_each_variable_that_is_read_is_documented() -> None:
    """What the source asks `os.environ` for, where it looks for interpreters, and where its cache is."""
    page = (REFERENCE / "environment.md").read_text(encoding="utf-8")
    section = page.partition("## Read by venvrunner\n")[2].partition("\n## ")[0]
    asked = {
        name
        for path in Path(venvrunner.__file__).parent.rglob("*.py")
        for name in re.findall(r'environ(?:\.get\(|\[)"(\w+)"', path.read_text(encoding="utf-8"))
    }
    assert {"GITHUB_ACTIONS"} <= asked
    assert asked | {*_SOURCES, VARIABLE} <= set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
