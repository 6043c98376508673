"""The file of a recording: JSON that people can read, review and compare; without I/O."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from venvrunner._process.sinks import Redactor
from venvrunner.exceptions import RecordingError
from venvrunner.testing._places import Places

FORMAT = "venvrunner recording"
VERSION = 1

_SHORT = 80
_STREAMS = {1: "stdout", 2: "stderr"}
_NUMBERS = {name: number for number, name in _STREAMS.items()}
_T = TypeVar("_T")


class Entry(NamedTuple):
    """One recorded call.

    Attributes:
        args: the plain name of the command, and its arguments.
        cwd: where it ran, if that was said.
        input: its standard input, if there was one.
        output: what it wrote, line by line: 1 or 2 for the stream, and the bytes with the line's end.
        returncode: its exit status; ``None``: it did not end by itself.
        installed: versions of packages that it installed; ``None`` for what it removed.
        missing: why there is no such command.
    """

    args: Sequence[str]
    cwd: str | None = None
    input: str | None = None
    output: Sequence[tuple[int, bytes]] = ()
    returncode: int | None = 0
    installed: Mapping[str, str | None] = {}
    missing: str | None = None


class Recording(NamedTuple):
    """All that is in a file: what was installed at first, and the calls, in order."""

    installed: Mapping[str, str]
    calls: Sequence[Entry]


def lines_of(chunks: Iterable[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    r"""Return output line by line, in the order in which the lines were complete; last what has no end.

    >>> lines_of([(1, b"a\nb"), (2, b"x\n"), (1, b"c\n"), (2, b"y")])
    [(1, b'a\n'), (2, b'x\n'), (1, b'bc\n'), (2, b'y')]
    """
    rests: dict[int, list[bytes]] = {1: [], 2: []}
    lines: list[tuple[int, bytes]] = []
    for number, data in chunks:
        *whole, rest = data.split(b"\n")
        for line in whole:
            lines.append((number, b"".join([*rests[number], line, b"\n"])))
            rests[number] = []
        rests[number].append(rest)
    return lines + [(number, b"".join(rest)) for number, rest in rests.items() if any(rest)]


def dump(recording: Recording, places: Places, redactor: Redactor) -> bytes:
    """Return the file of a recording, with placeholders for paths and with secrets masked."""

    def text(value: str) -> str:
        return places.neutral(redactor.mask(value))

    calls: list[dict[str, Any]] = []
    for entry in recording.calls:
        call: dict[str, Any] = {"args": [text(arg) for arg in entry.args]}
        call |= {name: text(value) for name, value in (("cwd", entry.cwd), ("input", entry.input)) if value is not None}
        if entry.missing is not None:
            calls.append({**call, "missing": text(entry.missing)})
            continue
        lines = ((_STREAMS[number], data.decode("utf-8", "surrogateescape")) for number, data in entry.output)
        call |= {"output": [f"{name}: {text(line)}" for name, line in lines], "returncode": entry.returncode}
        calls.append({**call, "installed": dict(entry.installed)} if entry.installed else call)
    whole = {"format": FORMAT, "version": VERSION, "paths": places.names, "installed": recording.installed, "calls": calls}
    # What is no UTF-8 becomes an escape of JSON, such as \udcff.
    return f"{_pretty(whole)}\n".encode("utf-8", "backslashreplace")


def _pretty(value: object, indent: str = "") -> str:
    """Return JSON; a short list, such as a command line, stands on one line."""
    line = json.dumps(value, ensure_ascii=False)
    inner = f"{indent}  "
    if isinstance(value, dict):
        table = cast("dict[str, object]", value)
        rows = [f"{inner}{json.dumps(name)}: {_pretty(item, inner)}" for name, item in table.items()]
    else:
        items = cast("list[object]", value) if isinstance(value, list) else []
        if len(line) <= _SHORT and not any(isinstance(item, dict) for item in items):
            return line
        rows = [f"{inner}{_pretty(item, inner)}" for item in items]
    return "\n".join([line[0], ",\n".join(rows), f"{indent}{line[-1]}"]) if rows else line


def load(data: bytes, places: Places) -> Recording:
    """Read the file of a recording; commands keep their placeholders, output gets the paths of this machine.

    Raises:
        RecordingError: it is none, or of another version, or wrong.
    """
    try:
        whole: Any = json.loads(data)
    except ValueError as exc:
        msg = f"it is no JSON: {exc}!"
        raise RecordingError(msg) from None
    if not isinstance(whole, dict) or cast("dict[str, object]", whole).get("format") != FORMAT:
        msg = f"it is no {FORMAT}!"
        raise RecordingError(msg)
    found = cast("dict[str, Any]", whole)
    if found.get("version") != VERSION:
        msg = f"it has version {found.get('version')!r}, and this venvrunner reads version {VERSION}!"
        raise RecordingError(msg)
    try:
        names = set(_each(found["paths"], str))
        installed = {name: _one(version, str) for name, version in _table(found["installed"]).items()}
        calls = [_entry(_table(call), places) for call in _each(found["calls"], object)]
    except (KeyError, TypeError, ValueError) as exc:
        msg = f"it is wrong: {exc!r}!"
        raise RecordingError(msg) from None
    if names - {*places.names}:
        msg = f"it was made with paths= for {', '.join(sorted(names - {*places.names}))}, so it needs these here too!"
        raise RecordingError(msg)
    return Recording(installed, calls)


def _entry(call: dict[str, Any], places: Places) -> Entry:
    args = _each(call["args"], str)
    cwd, text = (None if call.get(name) is None else _one(call[name], str) for name in ("cwd", "input"))
    if "missing" in call:
        return Entry(args, cwd, text, missing=places.actual(_one(call["missing"], str)))
    output: list[tuple[int, bytes]] = []
    for line in _each(call["output"], str):
        name, _colon, rest = line.partition(": ")
        output.append((_NUMBERS[name], places.actual(rest).encode("utf-8", "surrogateescape")))
    returncode = None if call["returncode"] is None else _one(call["returncode"], int)
    installed = {
        name: None if version is None else _one(version, str) for name, version in _table(call.get("installed", {})).items()
    }
    return Entry(args, cwd, text, output, returncode, installed)


def _one(value: object, kind: type[_T]) -> _T:
    if not isinstance(value, kind):
        msg = f"{value!r} is no {kind.__name__}"
        raise TypeError(msg)
    return value


def _table(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", _one(value, dict))


def _each(values: object, kind: type[_T]) -> list[_T]:
    return [_one(value, kind) for value in cast("list[object]", _one(values, list))]
