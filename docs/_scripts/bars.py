"""Draw explanation/bars.svg from the figures in explanation/performance.md: run it again after they have changed."""

import re
from math import log10
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent
PAGE, PICTURE = DOCS / "explanation" / "performance.md", DOCS / "explanation" / "bars.svg"
ROWS = {"with pip": "An environment with pip", "with pytest and requests": "One with pytest and requests"}
"""The beginnings of the rows of the table and of the list below it, and what the picture calls them."""
NAMES = {
    "venvrunner": "venvrunner",
    "virtualenv's API": "virtualenv's API",
    "`uv venv --seed`": "uv venv --seed",
    "stdlib `venv`": "stdlib venv",
    "`uv venv` + `uv pip install --offline`": "uv venv, uv pip install",
    "a fork with `standalone=True`": "standalone fork",
}
"""The tools as the page has them, and as the picture has them; others are left out."""
WIDTH, LEFT, BAR, GAP = 720, 190, 18, 8
SECOND = 1000
STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #24292f } .title { font-weight: 600 }
.ours { fill: #0969da } .other { fill: #afb8c1 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .ours { fill: #2f81f7 } .other { fill: #6e7681 } }"""


def figures(page: str) -> dict[str, dict[str, float]]:
    """Return the milliseconds of each tool, by the title of the chart."""
    found: dict[str, dict[str, float]] = {}
    for begin, title in ROWS.items():
        (ours,) = re.findall(rf"^\| {begin}[^|]*\| ([^|]*) \|", page, re.MULTILINE)
        (others,) = re.findall(rf"^- {begin}: (.*(?:\n  .*)*)", page, re.MULTILINE)
        parts = [f"venvrunner {ours}", *re.split(r"[,;]\s", others)]
        times = [re.fullmatch(r"(.*?)(?: \(.*\))? ([\d.]+) (ms|s)", part) for part in parts]
        found[title] = {
            NAMES[time[1]]: float(time[2]) * (SECOND if time[3] == "s" else 1) for time in times if time and time[1] in NAMES
        }
    return found


def drawn(charts: dict[str, dict[str, float]]) -> str:
    """Return the picture: bars on a logarithmic scale, one millisecond at the left."""
    longest = max(log10(value) for bars in charts.values() for value in bars.values())
    scale = (WIDTH - LEFT - 80) / longest
    lines, y = list[str](), 0
    for title, bars in charts.items():
        y += 26
        lines.append(f'<text class="title" x="0" y="{y}">{title}</text>')
        y += 10
        for name, value in sorted(bars.items(), key=lambda bar: bar[1]):
            width, kind = max(log10(value) * scale, 2), "ours" if name in {"venvrunner", "standalone fork"} else "other"
            shown = f"{value:g} ms" if value < SECOND else f"{value / SECOND:.1f} s"
            lines.append(f'<text x="{LEFT - 10}" y="{y + 13}" text-anchor="end">{name}</text>')
            lines.append(f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{width:.0f}" height="{BAR}" rx="2"/>')
            lines.append(f'<text x="{LEFT + width + 8:.0f}" y="{y + 13}">{shown}</text>')
            y += BAR + GAP
    lines.append(f'<text x="{LEFT}" y="{y + 16}">milliseconds, on a logarithmic scale; shorter is better</text>')
    body = "\n".join(lines)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 26}" role="img">'
    return f"{head}\n<style>{STYLE}</style>\n{body}\n</svg>\n"


if __name__ == "__main__":
    PICTURE.write_text(drawn(figures(PAGE.read_text(encoding="utf-8"))), encoding="utf-8")
