"""TOML as text: JSON's strings, numbers and booleans are valid TOML; without I/O."""

import json
from collections.abc import Mapping
from typing import Any, cast

__tracebackhide__ = True


def inline(value: object) -> str:
    """Return a value on one line.

    >>> print(inline({"a": [1, "b"], "c": True}))
    {"a" = [1, "b"], "c" = true}
    """
    if isinstance(value, Mapping):
        items = cast("Mapping[str, object]", value).items()
        return "{" + ", ".join(f"{json.dumps(name)} = {inline(one)}" for name, one in items) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(inline, cast('list[object]', value)))}]"
    if not isinstance(value, bool | int | float | str):
        return str(cast("Any", value).isoformat())  # a date or a time
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def document(table: Mapping[str, object], several: str) -> str:
    """Return a table with one line for each value, and with the tables of one list after it.

    >>> print(document({"version": 1, "packages": [{"name": "a"}]}, "packages"))
    "version" = 1
    <BLANKLINE>
    [[packages]]
    "name" = "a"
    <BLANKLINE>
    """
    listed = cast("list[Mapping[str, object]]", table.get(several) or [])
    lines = [f"{json.dumps(name)} = {inline(value)}" for name, value in table.items() if name != several]
    if not listed:
        lines.append(f"{several} = []")
    for one in listed:
        lines += ["", f"[[{several}]]", *(f"{json.dumps(name)} = {inline(value)}" for name, value in one.items())]
    return "".join(f"{line}\n" for line in lines)
