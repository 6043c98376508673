"""The pictures of the command line in a terminal: what they show is what a terminal shows."""

import re
import runpy
import shutil
import socket
import subprocess
import sys
import xml.etree.ElementTree as ET
from html import escape
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"
SCRIPT = DOCS / "_scripts" / "terminal.py"
NAMES = ["terminal", "script", "matrix", "lock", "report", "doctor"]
SVG = "{http://www.w3.org/2000/svg}"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the script needs a pseudo-terminal")


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def picture(script: dict[str, Any], name: str) -> str:
    text: str = script["PICTURES"][name].path.read_text(encoding="utf-8")
    return text


def test_each_picture_is_recorded_and_shown_on_a_page(script: dict[str, Any]) -> None:
    """No picture is left of a session that is no longer there."""
    paths = [picture.path for picture in script["PICTURES"].values()]
    assert list(script["PICTURES"]) == NAMES
    assert sorted((DOCS / "pictures").iterdir()) == sorted(path for path in paths if path.parent.name == "pictures")
    pages = "".join(page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md"))
    assert [path for path in paths if f"/{path.name})" not in pages] == []


def test_it_can_be_shown_everywhere(picture: str) -> None:
    """It is small, has words for a screen reader, runs no script and loads nothing."""
    root = ET.fromstring(picture)
    assert len(picture) < 60_000
    assert [root.find(f"{SVG}{name}") is not None for name in ("title", "desc")] == [True, True]
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags == {"svg", "title", "desc", "style", "rect", "g", "text", "tspan"}
    assert re.findall(r"href|url\(|https?://(?!www\.w3\.org/2000/svg)", picture) == []


def test_it_has_nothing_of_the_machine_where_it_was_recorded(picture: str) -> None:
    """Paths are relative, and no host is named."""
    texts = ["".join(element.itertext()) for element in ET.fromstring(picture).iter(f"{SVG}text")]
    assert [text for text in texts if re.search(r"(?<![\w.])/\w|\w@\w", text)] == []
    assert not re.search(rf"\b{re.escape(socket.gethostname())}\b", picture)


@pytest.mark.parametrize("name", ["terminal"], indirect=True)
def test_without_motion_it_is_the_end_of_the_session(picture: str) -> None:
    """All that the last screen has, and no cover over it."""
    now = [element for element in ET.fromstring(picture).iter() if element.get("class") == "now"]
    shown = ["".join(element.itertext()) for element in sorted(now, key=lambda element: int(element.get("y", "")))]
    assert shown[:2] == ["$ venvrunner --with ./greet -- greet", "hello from greet 1.0"]
    assert shown[-6:] == ["$ echo $?", "130", "$ ls $TMPDIR", "$ pgrep --full --count $TMPDIR", "0", "$"]
    moving = re.findall(r"^.*\banimation:", picture, re.MULTILINE)
    assert moving == ["@media (prefers-reduced-motion: no-preference) { .now, .past { animation:"]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("pgrep"), reason="a session runs pgrep")
def test_its_texts_are_those_of_now(script: dict[str, Any], name: str, picture: str) -> None:
    """The session is run again, and another word is noticed."""
    about = script["PICTURES"][name]
    try:
        for version in about.pythons:
            script["found_python"](version)
    except subprocess.CalledProcessError:
        pytest.skip("an interpreter of the session is missing")
    terminal = script["session"](about)
    assert script["missing"](picture, terminal) == [], "run docs/_scripts/terminal.py"
    frames = script["frames_of"](picture)
    steps = {script["step"](frame) for frame in (*frames, *terminal.frames)}  # of the live line: some are too quick to see
    shown = next(text for text in script["told"](frames) if text not in steps and not text.startswith("$"))
    assert shown in script["missing"](picture.replace(escape(shown), "another"), terminal)
