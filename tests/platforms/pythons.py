"""The program that writes the results of the tests on one Python into the docs; the job `nox -s tests` runs it.

Arguments: the results of pytest as JUnit XML, the version of Python, and the selection of tests.
"""

import collections
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "development" / "platforms.md"
BEGIN, END = "<!-- pythons: begin, written by nox -s tests -->\n", "<!-- pythons: end -->"
HEAD = ["| Python | tests | passed | failed | skipped |", "| --- | --- | --- | --- | --- |"]


def main(results: str, version: str, chosen: str) -> None:
    """Replace the row of a version, and the reasons of its skipped tests."""
    outcomes: collections.Counter[str] = collections.Counter()
    reasons: collections.Counter[str] = collections.Counter()
    for case in ET.parse(results).iter("testcase"):  # our own file
        kinds = {child.tag: child for child in case}
        outcome = "failed" if kinds.keys() & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        outcomes[outcome] += 1
        if outcome == "skipped":
            reasons[str(kinds["skipped"].get("message"))] += 1
    row = f"| {version} | {chosen} | {outcomes['passed']} | {outcomes['failed']} | {outcomes['skipped']} |"
    skipped = [f"- {version}: {reason} ({number})" for reason, number in sorted(reasons.items())]

    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    old, end, after = rest.partition(END)
    minor = re.escape(".".join(version.split(".")[:2]))
    kept = [line for line in old.splitlines() if line and not re.match(rf"(\| |- ){minor}\b", line) and line not in HEAD]
    rows = sorted([*[line for line in kept if line.startswith("|")], row], key=_version)
    notes = sorted([*[line for line in kept if line.startswith("- ")], *skipped], key=_version)
    text = "\n".join([*HEAD, *rows, "", *notes])
    PAGE.write_text(f"{before}{begin}\n{text}\n\n{end}{after}", encoding="utf-8")


def _version(line: str) -> list[int]:
    found = re.search(r"\d+(\.\d+)+", line)
    return [int(number) for number in found[0].split(".")] if found is not None else []


if __name__ == "__main__":
    main(*sys.argv[1:])
