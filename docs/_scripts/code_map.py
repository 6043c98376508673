"""Draw the map of the code into the docs: which packages there are, what is in them, and which imports which.

Run it again after modules were added, renamed or reworded. Everything in the map is read from the source: the names, the first
lines of the docstrings, and the imports.
"""

import itertools
import re
import sys
import textwrap
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from helpers.modules import MODULES, first_line, imports, unit  # noqa: E402  the tests read the same facts

DOCS = ROOT / "docs" / "development"
BEGIN, END = "<!-- map: begin, written by python docs/_scripts/code_map.py -->", "<!-- map: end -->"
STYLE = """\
  <style>
    svg { --ground: #ffffff; --line: #7a8594; --border: #6b7a90; --text: #1b1f24; --quiet: #57606a }
    svg { --public: #e3eefc; --private: #f3f4f6 }
    @media (prefers-color-scheme: dark) {
      svg { --ground: #131416; --line: #7d8794; --border: #64748b; --text: #e9edf2; --quiet: #a8b1bd }
      svg { --public: #1d3350; --private: #23272d }
    }
    .ground { fill: var(--ground) }
    .public { fill: var(--public); stroke: var(--border) }
    .private { fill: var(--private); stroke: var(--border) }
    .arrow { fill: none; stroke: var(--line); stroke-width: 1.5 }
    .head { fill: var(--line) }
    .title { font: 600 14px ui-monospace, monospace; fill: var(--text) }
    .text { font: 11px system-ui, sans-serif; fill: var(--text) }
    .name { font: 11px ui-monospace, monospace; fill: var(--quiet) }
  </style>
  <defs>
    <marker id="end" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">
      <path class="head" d="M0 0 L10 5 L0 10 z"/>
    </marker>
  </defs>"""
"""Of the picture, for light and dark pages."""
WIDTH, MARGIN, GAP, BETWEEN = 760, 16, 22, 40
"""Of the picture, in pixels: its width and margin, and the space between boxes of a row and between rows."""
NARROW, LANE, PADDING = 196.0, 12.0, 12
"""In pixels: the widths of a box that lists no modules and of a line that passes a row, and the space around a text."""
LETTER, MONO_LETTER, LINE_HEIGHT = 6.2, 6.7, 15
"""In pixels: the widths of a letter of the two fonts, rounded up, and the height of a line of text."""

UNITS = dict.fromkeys(unit(module) for module in MODULES)
PACKAGES = {name: [module for module in MODULES if unit(module) == name and module.count(".") > 1] for name in UNITS}
"""The modules of each unit that is a package; no modules for any other unit."""
GRAPH = {
    name: {
        unit(imported)
        for module in MODULES
        if unit(module) == name
        for imported in imports(module)
        if imported.split(".")[0] == "venvrunner"
    }
    - {name}
    for name in UNITS
}
"""The units that each unit imports."""


def reach(name: str) -> set[str]:
    """Return all units that a unit imports, directly or by way of others."""
    return GRAPH[name] | {further for imported in GRAPH[name] for further in reach(imported)}


ARROWS = {name: {to for to in found if not any(to in reach(other) for other in found)} for name, found in GRAPH.items()}
"""The imports that no longer way implies."""


def rank(name: str) -> int:
    """Return how many units are below one on its longest way down."""
    return max((rank(imported) + 1 for imported in GRAPH[name]), default=0)


def described(module: str) -> str:
    """Return the first line of a module's docstring, without the roles of reStructuredText."""
    return re.sub(r":\w+:`[.~]*([^`]+)`", r"`\1`", first_line(module).replace("``", "`"))


def full_name(name: str) -> str:
    """Return the name of the module that a unit is, or that a package has as its `__init__`."""
    return name if name in MODULES else f"venvrunner.{name}"


class Node(NamedTuple):
    """A box of the picture, or the lane in which an arrow passes a row.

    Attributes:
        row: its row, from 0 at the bottom.
        name: the unit.
        passing: for a lane, the unit that the arrow leads to; the name is the one it comes from.
    """

    row: int
    name: str
    passing: str = ""


class Box(NamedTuple):
    """Where a node is drawn; the row that it is in can be higher."""

    left: float
    top: float
    width: float
    height: float
    row_height: float

    @property
    def middle(self) -> float:
        """The middle between left and right."""
        return self.left + self.width / 2


def chains() -> list[list[Node]]:
    """Return each arrow as the nodes that it leads through, from the importing unit down to the imported one."""
    return [
        [
            Node(rank(name), name),
            *(Node(row, name, to) for row in range(rank(name) - 1, rank(to), -1)),
            Node(rank(to), to),
        ]
        for name in sorted(ARROWS)
        for to in sorted(ARROWS[name])
    ]


def rows(lines: list[list[Node]]) -> list[list[Node]]:
    """Return the nodes of each row, ordered so that few arrows cross: each node near those that it is connected to."""
    nodes = sorted({node for line in lines for node in line} | {Node(rank(name), name) for name in UNITS})
    found = [[node for node in nodes if node.row == row] for row in range(nodes[-1].row + 1)]
    joined = [pair for line in lines for pair in itertools.pairwise(line)]
    for _ in range(8):
        for beside in (1, -1):
            for row in range(len(found))[::beside]:
                place = {node: (at + 0.5) / len(other) for other in found for at, node in enumerate(other)}
                others: dict[Node, list[float]] = {node: [] for node in found[row]}
                for upper, lower in joined:
                    if beside == 1 and upper.row == row:
                        others[upper].append(place[lower])
                    elif beside == -1 and lower.row == row:
                        others[lower].append(place[upper])
                mean = {node: sum(near) / len(near) if near else place[node] for node, near in others.items()}
                found[row].sort(key=lambda node: (mean[node], node))
    return found


def texts(name: str, width: float) -> list[tuple[str, str]]:
    """Return the lines of text in a unit's box, each with its style."""
    room = width - 2 * PADDING
    found = [("title", name)]
    found += [("text", line) for line in textwrap.wrap(described(full_name(name)).replace("`", ""), int(room / LETTER))]
    names = [module.rpartition(".")[2] for module in PACKAGES[name]]
    found += [("name", line) for line in textwrap.wrap("  ".join(names), int(room / MONO_LETTER), break_on_hyphens=False)]
    return found


def boxes(found: list[list[Node]]) -> dict[Node, Box]:
    """Return where each node is drawn: rows from the top down, packages as wide as their row allows."""
    placed: dict[Node, Box] = {}
    top: float = MARGIN
    for row in reversed(found):
        wide = [node for node in row if PACKAGES[node.name] and not node.passing]
        lanes = sum(bool(node.passing) for node in row)
        room = WIDTH - 2 * MARGIN - GAP * (len(row) - 1) - LANE * lanes
        narrow = min(NARROW, room / (len(row) - lanes))
        rest = room - narrow * (len(row) - lanes)
        widths = {node: LANE if node.passing else narrow for node in row}
        for node in wide:
            widths[node] += rest / len(wide)
        heights = {node: LINE_HEIGHT * len(texts(node.name, widths[node])) + 2 * PADDING for node in row if not node.passing}
        highest = max(heights.values())
        left = MARGIN + (0 if wide else rest / 2)
        for node in row:
            placed[node] = Box(left, top, widths[node], heights.get(node, highest), highest)
            left += widths[node] + GAP
        top += highest + BETWEEN
    return placed


def ways(lines: list[list[Node]], placed: dict[Node, Box]) -> list[str]:
    """Return the way of each arrow as SVG has it: curved between rows, straight where it passes one.

    The arrows of a box start and end apart from each other, in the order of their other ends.
    """
    ends: dict[tuple[Node, str], list[tuple[float, int]]] = {}
    for number, line in enumerate(lines):
        for upper, lower in itertools.pairwise(line):
            ends.setdefault((upper, "bottom"), []).append((placed[lower].middle, number))
            ends.setdefault((lower, "top"), []).append((placed[upper].middle, number))
    across = {
        (number, node, side): placed[node].left + placed[node].width * place / (len(found) + 1)
        for (node, side), found in ends.items()
        for place, (_, number) in enumerate(sorted(found), 1)
    }
    drawn: list[str] = []
    for number, line in enumerate(lines):
        parts: list[str] = []
        for upper, lower in itertools.pairwise(line):
            start, end = across[number, upper, "bottom"], across[number, lower, "top"]
            box, top = placed[upper], placed[lower].top
            bottom = box.top + box.row_height
            half = (bottom + top) / 2
            parts.append(f"{'L' if parts else 'M'}{start:.0f} {box.top + box.height:.0f} V{bottom:.0f}")
            parts.append(f"C{start:.0f} {half:.0f} {end:.0f} {half:.0f} {end:.0f} {top:.0f}")
        drawn.append(" ".join(parts))
    return drawn


def picture() -> str:
    """Return the picture as SVG."""
    lines = chains()
    placed = boxes(rows(lines))
    height = max(box.top + box.height for box in placed.values()) + MARGIN
    label = "The packages and modules of venvrunner, the importing ones above the imported ones."
    size = f'viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" height="{height:.0f}"'
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{label}">',
        STYLE,
        f'  <rect class="ground" width="{WIDTH}" height="{height:.0f}" rx="8"/>',
        *(f'  <path class="arrow" d="{way}" marker-end="url(#end)"/>' for way in ways(lines, placed)),
    ]
    for node, box in sorted(placed.items()):
        if not node.passing:
            kind = "private" if re.match("_(?!_)", node.name) else "public"
            area = f'x="{box.left:.0f}" y="{box.top:.0f}" width="{box.width:.0f}" height="{box.height:.0f}"'
            out.append(f'  <rect class="{kind}" {area} rx="6"/>')
            for number, (style, text) in enumerate(texts(node.name, box.width), 1):
                x, y = box.left + PADDING, box.top + PADDING + LINE_HEIGHT * number - 3
                out.append(f'  <text class="{style}" x="{x:.0f}" y="{y:.0f}" xml:space="preserve">{escape(text)}</text>')
    return "\n".join([*out, "</svg>", ""])


def table(head: str, lines: Iterator[tuple[str, ...]]) -> list[str]:
    """Return a table of Markdown."""
    cells = [[cell.replace("|", r"\|") for cell in line] for line in lines]
    return [head, re.sub(r"[^|]+", " --- ", head), *(f"| {' | '.join(line)} |" for line in cells), ""]


def words() -> str:
    """Return what the picture shows in words: the units from the top down, then the modules of each package."""
    order = sorted(UNITS, key=lambda name: (-rank(name), name))
    out = table(
        "| | what it is | imports |",
        (
            (f"`{name}`", described(full_name(name)), ", ".join(f"`{to}`" for to in sorted(GRAPH[name], key=order.index)))
            for name in order
        ),
    )
    for name in order:
        if PACKAGES[name]:
            out += [
                f"### `{name}`",
                "",
                *table(
                    "| module | what it is |",
                    ((f"`{module.rpartition('.')[2]}`", described(module)) for module in PACKAGES[name]),
                ),
            ]
    return "\n".join(out)


def files() -> dict[Path, str]:
    """Return what the generated files have to contain: the picture, and the page that says the same in words."""
    page = DOCS / "code-map.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    return {DOCS / "code-map.svg": picture(), page: f"{before}{BEGIN}\n\n{words()}\n{END}{after}"}


if __name__ == "__main__":
    for target, text in files().items():
        target.write_text(text, encoding="utf-8", newline="\n")
