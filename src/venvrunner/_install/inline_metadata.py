"""Inline script metadata (PEP 723): the requirements and the range of Pythons that a script lists in a comment block."""

import os
import re
from typing import Any, NamedTuple, cast

from venvrunner._install.requirement_forms import is_path, misfit
from venvrunner._install.requirements import requirement
from venvrunner._redaction import Redactor
from venvrunner._types import StrPath
from venvrunner._venv.layout import current_version
from venvrunner._venv.waiting import logger
from venvrunner.exceptions import InvalidRequirementError

__tracebackhide__ = True

_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
"""The regular expression of the specification:
https://packaging.python.org/en/latest/specifications/inline-script-metadata/."""
_START = re.compile(r"(?m)^#[ \t]*///[ \t]*script[ \t]*$(?!\n# ///$)")
"""A line that was meant as the first one of a block; a block without lines says nothing."""
_FIELDS = {"dependencies", "requires-python", "tool"}
_ALIKE = 0.75
"""How similar a misspelled key is at least to the right one; ``dependency-groups`` is less."""
_WHERE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_EXAMPLES = {
    "requires-python": 'Write for instance requires-python = ">=3.11".',
    "dependencies": 'Write for instance dependencies = ["requests>=2", "rich"].',
}
_KINDS: dict[type, str] = {
    dict: "a table",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a float",
}


class Metadata(NamedTuple):
    """What a script says about the environment that it needs.

    Attributes:
        requirements: its requirements.
        python: the range of Pythons, or ``None`` if it has none or the running interpreter satisfies it.
    """

    requirements: tuple[str, ...] = ()
    python: str | None = None


def read_metadata(path: StrPath) -> Metadata:
    r"""Return the inline metadata of a script; a script without metadata needs nothing.

    Args:
        path: the path of the script. The file is read as Python reads it: with its encoding declaration, or as UTF-8.

    Raises:
        TypeError: *path* is not a str or a path.
        InvalidRequirementError: the file cannot be read, or its metadata is wrong.

    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as top:
    ...     script = Path(top, "report.py")
    ...     _ = script.write_text("# /// script\n# dependencies = ['pocket']\n# ///\n")
    ...     read_metadata(script).requirements
    ('pocket',)
    """
    name: object = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(name, str):
        msg = f"the path of a script must be a str or a path of str, not {type(name).__name__}."
        raise TypeError(msg)
    block = _block(name, _text(name))
    return Metadata() if block is None else Metadata(_requirements(block), _python(block))


class _Block(NamedTuple):
    """The contents of a block.

    Attributes:
        path: the path of the script.
        line: the number of the line before the contents.
        text: the contents, as TOML.
        table: the contents.
    """

    path: str
    line: int
    text: str
    table: dict[str, Any]

    def line_of(self, key: str, value: str = "") -> int:
        """Return the number of the line of a key, or of a value after it; a key in another form counts as the first line."""
        start = re.search(rf"(?m)^[ \t]*[\"']?{re.escape(key)}[\"']?[ \t]*=", self.text)
        position = 0 if start is None else start.start()
        return self.line + 1 + self.text.count("\n", 0, max(self.text.find(value, position), position))

    def error(self, key: str, why: str, value: str = "") -> InvalidRequirementError:
        """Return the error for a key, or for a value of it."""
        return _error(self.path, self.line_of(key, value), why)


def _error(path: str, line: int, why: str) -> InvalidRequirementError:
    return InvalidRequirementError(Redactor().mask(f"{_place(path, line)}: {why}"))


def _place(path: str, line: int) -> str:
    return f"the script {path!r}, line {line}"


def _text(path: str) -> str:
    """Return the text of a script, with line ends as Python sees them."""
    if "\0" in path or not os.path.isfile(path):
        reason = "is a directory" if "\0" not in path and os.path.isdir(path) else "does not exist"
        msg = f"the script {path!r} {reason}. A relative path is resolved against the working directory."
        raise InvalidRequirementError(msg)
    from tokenize import detect_encoding  # slow to import

    data = b""
    try:
        with open(path, "rb") as file:
            data = file.read()
        encoding = detect_encoding(iter(data.splitlines(keepends=True)).__next__)[0]
        text = data.decode(encoding)
    except OSError as exc:
        msg = f"the script {path!r} cannot be read: {exc.strerror}."
        raise InvalidRequirementError(msg) from None
    except UnicodeDecodeError as exc:
        line = len(data[: exc.start + 1].splitlines())
        raise _error(path, line, f"the text is not {exc.encoding}. Save the script as UTF-8.") from None
    except (SyntaxError, LookupError, ValueError) as exc:
        raise _error(path, 1, f"the encoding cannot be used: {exc}. Save the script as UTF-8.") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _block(path: str, text: str) -> _Block | None:
    found = [match for match in _BLOCK.finditer(text) if match["type"] == "script"]
    if not found:
        _warn_of_incomplete(path, text)
        return None
    lines = [text.count("\n", 0, match.start()) + 1 for match in found]
    if len(found) > 1:
        raise _error(path, lines[1], f"this is a second block '# /// script'; the first is in line {lines[0]}. Keep one.")
    line = lines[0]
    content = "".join(row[2:] if row.startswith("# ") else row[1:] for row in found[0]["content"].splitlines(keepends=True))
    import tomllib  # slow to import

    try:
        table = tomllib.loads(content)
    except tomllib.TOMLDecodeError as exc:
        where = _WHERE.search(str(exc))
        place = line + int(where[1] or content.count("\n")) if where else line
        reason = _WHERE.sub("", str(exc))
        raise _error(path, place, f"the block '# /// script' is not TOML: {reason}.") from None
    except RecursionError:
        raise _error(path, line, "the block '# /// script' is nested too deeply.") from None
    block = _Block(path, line, content, table)
    _warn_of_ignored(block)
    return block


def _requirements(block: _Block) -> tuple[str, ...]:
    key = "dependencies"
    given: object = block.table.get(key, [])
    if not isinstance(given, list):
        raise block.error(key, f"{key} must be an array of strings, not {_kind(given)}. {_EXAMPLES[key]}")
    found: list[str] = []
    for one in cast("list[object]", given):
        if not isinstance(one, str):
            raise block.error(key, f"{key} must contain strings only, not {_kind(one)}. {_EXAMPLES[key]}")
        why = misfit(one)
        if why is not None or is_path(one):
            advice = "Write a URL as NAME @ URL; a path cannot be listed." if "/" in one else _EXAMPLES[key]
            reason = why or "it is a path"
            raise block.error(key, f"{one!r} is not a requirement ({reason}). {advice}", one)
        try:
            found.append(requirement(one))
        except InvalidRequirementError as exc:
            raise block.error(key, str(exc), one) from None
    return tuple(found)


def _python(block: _Block) -> str | None:
    key = "requires-python"
    given: object = block.table.get(key, "")
    if not isinstance(given, str):
        raise block.error(key, f"{key} must be a string, not {_kind(given)}. {_EXAMPLES[key]}")
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # slow to import

    try:
        wanted = SpecifierSet(given)
    except InvalidSpecifier:
        raise block.error(key, f"{given!r} is not a range of versions. {_EXAMPLES[key]}") from None
    if wanted.contains(current_version(), prereleases=True):
        return None
    return str(wanted)


def _kind(value: object) -> str:
    """Return what TOML calls a value.

    >>> _kind({}), _kind(True), _kind(1.5)
    ('a table', 'a boolean', 'a float')
    """
    return _KINDS.get(type(value), "a date or a time")


def _warn_of_incomplete(path: str, text: str) -> None:
    """Log that a block is ignored, which the specification requires: otherwise, only its imports would fail."""
    start = _START.search(text)
    if start is not None:
        logger().warning(
            "%s: this block is incomplete and is ignored. It has to begin with the line '# /// script' and end with the line "
            "'# ///', without further spaces; each line between them is '#' or begins with '# '.",
            _place(path, text.count("\n", 0, start.start()) + 1),
        )


def _warn_of_ignored(block: _Block) -> None:
    """Log what the block has and no program but one reads, and what looks like a misspelled key."""
    for key in block.table.keys() - _FIELDS:
        from difflib import get_close_matches  # slow to import, and rarely needed

        for match in get_close_matches(key, sorted(_FIELDS), 1, _ALIKE):
            place = _place(block.path, block.line_of(key))
            logger().warning("%s: %r is ignored. Did you mean %r?", place, key, match)
    table: object = block.table
    for key in ("tool", "uv", "sources"):
        table = cast("dict[str, object]", table).get(key) if isinstance(table, dict) else None
    if isinstance(table, dict) and table:
        names = ", ".join(cast("dict[str, object]", table))
        logger().warning(
            "%s: [tool.uv.sources] is ignored, so %s is installed from the package index. Write NAME @ URL in dependencies.",
            _place(block.path, block.line),
            names,
        )
