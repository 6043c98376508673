"""TOML: values and lock files as text, without I/O."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

__tracebackhide__ = True

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml(value: object) -> str:
    r"""Return a value as TOML, in one line; JSON's strings and numbers are valid TOML.

    >>> toml({"name": "a\"b", "sizes": [1, 2.5], "a b": True})
    '{name = "a\\"b", sizes = [1, 2.5], "a b" = true}'
    """
    if isinstance(value, dict):
        items = cast("dict[str, object]", value).items()
        return "{" + ", ".join(f"{_key(name)} = {toml(one)}" for name, one in items) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, cast('list[object]', value)))}]"
    if not isinstance(value, bool | int | float | str):
        return str(cast("Any", value).isoformat()).replace("+00:00", "Z")  # a date or a time
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def lock_text(table: Mapping[str, Any]) -> str:
    """Return a lock file (PEP 751) as text: always the same for the same contents, with one line for each file.

    >>> print(lock_text({"lock-version": "1.0", "packages": [{"name": "a", "wheels": [{"url": "https://x/"}]}]}), end="")
    lock-version = "1.0"
    <BLANKLINE>
    [[packages]]
    name = "a"
    wheels = [
        {url = "https://x/"},
    ]
    """
    lines = list(_lines({name: value for name, value in table.items() if name != "packages"}))
    for package in table["packages"]:
        lines += ["", "[[packages]]", *_lines(package)]
    if not table["packages"]:
        lines.append("packages = []")
    return "".join(f"{line}\n" for line in lines)


def _lines(table: Mapping[str, Any]) -> Iterable[str]:
    for name, value in table.items():
        if name == "wheels":
            yield from ("wheels = [", *(f"    {toml(one)}," for one in value), "]")
        else:
            yield f"{_key(name)} = {toml(value)}"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name)
