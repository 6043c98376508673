"""The picture of the command line in a terminal: what it shows is what a terminal shows."""

import re
import runpy
import shutil
import socket
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "_scripts" / "terminal.py"
SVG = "{http://www.w3.org/2000/svg}"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the script needs a pseudo-terminal")


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


@pytest.fixture
def picture(script: dict[str, Any]) -> str:
    text: str = script["PICTURE"].read_text(encoding="utf-8")
    return text


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


def test_without_motion_it_is_the_end_of_the_session(picture: str) -> None:
    """All that the last screen has, and no cover over it."""
    now = [element for element in ET.fromstring(picture).iter() if element.get("class") == "now"]
    shown = ["".join(element.itertext()) for element in sorted(now, key=lambda element: int(element.get("y", "")))]
    assert shown[:2] == ["$ python -m venvrunner --with ./greet -- greet", "hello from greet 1.0"]
    assert shown[-6:] == ["$ echo $?", "130", "$ ls $TMPDIR", "$ pgrep --full --count $TMPDIR", "0", "$"]
    moving = re.findall(r"^.*\banimation:", picture, re.MULTILINE)
    assert moving == ["@media (prefers-reduced-motion: no-preference) { .now, .past { animation:"]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("pgrep"), reason="the session runs pgrep")
def test_its_texts_are_those_of_now(script: dict[str, Any], picture: str) -> None:
    """The session is run again, and another word is noticed."""
    terminal = script["session"]()
    assert script["missing"](picture, terminal) == [], "run docs/_scripts/terminal.py"
    assert script["missing"](picture.replace("hello from", "farewell from"), terminal) == [
        "farewell from greet 1.0",
        "hello from greet 1.0",
    ]
