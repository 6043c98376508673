"""Files of recordings, for the tests of these."""

import json
from pathlib import Path
from typing import Any

BOTH = "import sys; print('  out'); print('err', file=sys.stderr)"
"""A program that writes a line to each stream."""


def calls(path: Path) -> list[Any]:
    """Return the calls in a file."""
    found: list[Any] = json.loads(path.read_text(encoding="utf-8"))["calls"]
    return found
