"""Other file formats that may be mistaken for a lock file (PEP 751), and what to do with them instead, without I/O."""

import os
from collections.abc import Mapping
from typing import Any, cast

__tracebackhide__ = True

_EXPORT = {
    "uv": "uv export --format pylock.toml -o pylock.toml",
    "pdm": "pdm export --format pylock -o pylock.toml",
    "poetry": "poetry export --format pylock.toml -o pylock.toml",
}
"""How to write a ``pylock.toml`` from a tool's own lock file."""


def other_kind(path: str, text: str, table: Mapping[str, Any] | None) -> tuple[str, str] | None:
    """Return the kind of a file that is not a lock file, and what to do with it; ``None`` if the kind is unknown.

    Args:
        path: its name.
        text: its text.
        table: its parsed contents; ``None`` if it is not TOML.

    >>> other_kind("requirements.txt", "requests==2.32.5", None)
    ('it is a requirements file', "Use requirements_files=['requirements.txt'].")
    >>> other_kind("uv.lock", "", {"version": 1, "package": []})
    ("it is uv's own lock file", 'Write a pylock.toml from it: uv export --format pylock.toml -o pylock.toml')
    """
    name = os.path.basename(path)
    if tool := _tool_of(name, table or {}):
        return f"it is {tool}'s own lock file", f"Write a pylock.toml from it: {_EXPORT[tool]}"
    if name == "Pipfile.lock":
        remedy = "Write a requirements file with 'pipenv requirements --hash', and pass that as requirements_files=."
        return "it is Pipenv's lock file", remedy
    if name == "pyproject.toml" or (table is not None and "lock-version" not in table and "project" in table):
        return "it describes a project", "Lock the project with 'pip lock .', or install it by its directory."
    if name.endswith((".txt", ".in")) or (table is None and _begins_with_requirement(text)):
        return "it is a requirements file", f"Use requirements_files=[{path!r}]."
    return None


def _tool_of(name: str, table: Mapping[str, Any]) -> str | None:
    """Return the tool that writes a lock file in its own format; ``None`` if it is unknown."""
    tool, dot, rest = name.partition(".")
    if dot and rest == "lock" and tool in _EXPORT:
        return tool
    if not isinstance(table.get("package"), list):
        return None
    if "version" in table:
        return "uv"
    metadata: object = table.get("metadata")
    if not isinstance(metadata, dict):
        return None
    return "pdm" if "lock_version" in cast("dict[str, object]", metadata) else "poetry"


def _begins_with_requirement(text: str) -> bool:
    """Return whether the first line that is not blank or a comment could be in a requirements file."""
    lines = (line.partition(" #")[0].partition(" --")[0].strip(" \t\\") for line in text.splitlines())
    first = next((line for line in lines if line and not line.startswith("#")), "")
    if first.startswith(("-r", "-c", "-e", "-f", "-i", "--")):
        return True
    from packaging.requirements import InvalidRequirement, Requirement  # slow to import

    try:
        Requirement(first)
    except InvalidRequirement:
        return False
    return True
