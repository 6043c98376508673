"""The pages for readers: README, the guides and the docs."""

import re
import textwrap
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [path for name in ("README.md", "CONTRIBUTING.md", ".github/SECURITY.md") if (path := ROOT / name).exists()]
PAGES += sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)
BLOCK = re.compile(
    r"^(?:<!-- file: (?P<file>\S+) -->\n)?(?P<indent> *)```(?P<language>\w+)\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A Python block of a page, or any that is a file.

    Attributes:
        line: the number of its first line, from 0.
        code: its text.
        file: the file that a reader saves it as; ``None``: it is run.
    """

    line: int
    code: str
    file: str | None


def blocks(text: str) -> list[Block]:
    """Return every Python block of a page, and every one that is a file."""
    return [
        Block(text.count("\n", 0, match.start("code")), textwrap.dedent(match["code"]), match["file"])
        for match in BLOCK.finditer(text)
        if match["language"] == "python" or match["file"] is not None
    ]
