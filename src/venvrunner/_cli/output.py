"""The output of the commands that print what they found: to standard output, as a table or as JSON."""

import json
import sys
from collections.abc import Sequence

__tracebackhide__ = True


def print_text(text: str) -> None:
    """Print text; a character that standard output cannot encode is written as an escape."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))  # noqa: T201  a command line prints


def print_json(value: object) -> None:
    """Print a value as JSON, in ASCII."""
    print_text(json.dumps(value, indent=2))


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines with aligned columns.

    >>> print(table([["A", "LONG"], ["long", "b"]]))
    A     LONG
    long  b
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
