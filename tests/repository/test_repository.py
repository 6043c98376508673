"""The files around the code name what exists: sessions, files, options, fixtures, and actions by their commit."""

import ast
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
GUIDES = [
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / ".github").glob("*.md")),
    *sorted((ROOT / "docs" / "development").glob("*.md")),
]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
pytestmark = pytest.mark.skipif(not WORKFLOWS, reason="not a checkout: a source distribution has no workflows")

SESSIONS = re.compile(r"nox (?:.* )?(?:-s|--session) ((?:\w+(?:-[\d.]+)?[ `]?)+)")
FILE = re.compile(r"(?<![\w/.-])(?:(?:tests|docs|src|\.ci|\.github)/[\w./-]*\w|[\w.-]+\.(?:py|toml|md|yaml|yml))(?![\w-])")
USED = re.compile(r"uses: (\S+)@(.*)$", re.MULTILINE)


def sessions() -> set[str]:
    """Return the names of the nox sessions."""
    functions = [
        node for node in ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)
    ]
    return {node.name for node in functions if any("nox.session" in ast.unparse(found) for found in node.decorator_list)}


def code(path: Path) -> Iterator[str]:
    """Yield what a page shows as code: its blocks, and its literals."""
    text = path.read_text(encoding="utf-8")
    yield from re.findall(r"^ *```(?:sh|text)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    yield from re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)


def page(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [*GUIDES, *WORKFLOWS, ROOT / ".ci" / "run"], ids=page)
def test_sessions_exist(path: Path) -> None:
    """Every nox session that a guide or a workflow runs is one of noxfile.py."""
    text = path.read_text(encoding="utf-8")
    lines = [*code(path)] if path.suffix == ".md" else text.splitlines()
    named = {name for line in lines for found in SESSIONS.findall(line) for name in re.split(r"[ `]+", found) if name}
    named |= {name for found in re.findall(r"session: \[(.+)\]", text) for name in found.split(", ")}
    assert {name.partition("-")[0] for name in named} <= sessions()


def test_the_description_of_the_package_has_no_relative_link() -> None:
    """A package index shows the README where no other file of the repository is."""
    links = re.findall(r"\]\(([^)]+)\)", str(metadata("venvrunner").json["description"]))
    source = PYPROJECT["project"]["urls"]["Source"]
    names = {link.removeprefix(f"{source}/blob/main/") for link in links if link.startswith(source)}
    images = {link for link in links if link.endswith(".svg")}
    raw = source.replace("github.com", "raw.githubusercontent.com") + "/main/"
    assert len(names) > 10
    assert len(images) > 1
    assert all((ROOT / name.partition("#")[0]).exists() for name in names | {image.removeprefix(raw) for image in images})
    assert all(link.startswith("https://") for link in links)


def test_every_session_is_explained() -> None:
    """The contributing guide has a table of them."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == sessions()


def test_files_exist() -> None:
    """Every file that a guide names is in the repository, but for what a build writes."""
    found = {name for path in GUIDES for part in code(path) for name in FILE.findall(part) if "_build" not in name}
    named = found - {"pylock.toml"}  # the glossary says what it is
    assert len(named) > 15
    assert not [name for name in named if not (ROOT / name).exists() and not list((ROOT / ".github").rglob(name))]


@pytest.mark.parametrize("path", [*GUIDES, *WORKFLOWS, ROOT / ".readthedocs.yaml"], ids=page)
def test_dependency_groups_exist(path: Path) -> None:
    """`pip install --group` names a group of pyproject.toml."""
    assert set(re.findall(r"--group (\w+)", path.read_text(encoding="utf-8"))) <= PYPROJECT["dependency-groups"].keys()


def test_commands_of_the_guide_select_tests() -> None:
    """A file, a part of a test's name, a mark and a fixture: each exists."""
    parts = [*code(ROOT / "CONTRIBUTING.md")]
    for file, part in re.findall(r"pytest (\S+) -k (\w+)", "\n".join(parts)):
        assert re.search(rf"^def test_\w*{part}", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    marks = {word for text in parts for found in re.findall(r'-m "([^"]+)"', text) for word in found.split()} - {"not", "and"}
    assert marks == {mark.partition(":")[0] for mark in PYPROJECT["tool"]["pytest"]["ini_options"]["markers"]}
    paths = (ROOT / "tests" / "conftest.py", ROOT / "tests" / "helpers" / "waiting.py")
    helpers = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    named = {"nothing_left", "wait_until", "venv", "call", "drive"}
    assert named <= {*parts}
    assert named <= {*re.findall(r"^def (\w+)", helpers, re.MULTILINE)}


def test_actions_are_pinned() -> None:
    """By the commit, beside its version: a tag can be moved. The same action has the same commit everywhere."""
    pins: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for action, pin in USED.findall(path.read_text(encoding="utf-8")):
            assert re.fullmatch(r"[0-9a-f]{40} # v\d+(\.\d+)*", pin), f"{path.name}: {action}"
            pins.setdefault(action, set()).add(pin)
    assert pins
    assert not [action for action, found in pins.items() if len(found) > 1]


def test_every_supported_python_is_tested() -> None:
    """The workflow runs the tests on the versions that the classifiers name."""
    supported = [
        found[1] for name in PYPROJECT["project"]["classifiers"] if (found := re.fullmatch(r".*Python :: (3\.\d+)", name))
    ]
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert f"python: {supported}".replace("'", '"') in text
