"""The file of a recording: JSON that people can read, review and compare; without I/O."""

import builtins
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from subprocess import SubprocessError
from typing import Any, NamedTuple, TypeVar, cast

from venvrunner import exceptions
from venvrunner._process.sinks import Redactor
from venvrunner.exceptions import RecordingError, VenvError
from venvrunner.testing._placeholders import Placeholders

__tracebackhide__ = True

FORMAT = "venvrunner recording"
VERSION = 1

_OF_THE_SYSTEM: tuple[type[Exception], ...] = (KeyError, OverflowError, SubprocessError, TypeError, ValueError)
"""What a start raises too, for a user that is not there, say."""
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
        raised: what was raised instead of an outcome, because nothing was started.
    """

    args: Sequence[str]
    cwd: str | None = None
    input: str | None = None
    output: Sequence[tuple[int, bytes]] = ()
    returncode: int | None = 0
    installed: Mapping[str, str | None] = {}
    raised: Exception | None = None


class Recording(NamedTuple):
    """All that is in a file: the places of its placeholders, what was installed at first, and the calls, in order."""

    places: Placeholders
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


def dump(recording: Recording, redactor: Redactor) -> bytes:
    """Return the file of a recording, with placeholders for paths and with secrets masked."""
    places = recording.places

    def text(value: str) -> str:
        return places.neutral(redactor.mask(value))

    calls: list[dict[str, Any]] = []
    for entry in recording.calls:
        call: dict[str, Any] = {"args": [text(arg) for arg in entry.args]}
        call |= {name: text(value) for name, value in (("cwd", entry.cwd), ("input", entry.input)) if value is not None}
        if entry.raised is not None:
            parts = parts_of(entry.raised) or []
            calls.append({**call, "raised": [text(part) if isinstance(part, str) else part for part in parts]})
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


def load(data: bytes, places: Placeholders) -> Recording:
    """Read the file of a recording, with the paths of this machine.

    Args:
        data: what is in it.
        places: those that are known here; of these, the recording gets the ones that it was made with.

    Raises:
        RecordingError: it is none, or of another version, or wrong.
    """
    try:
        whole: Any = json.loads(data)
    except (ValueError, RecursionError) as exc:
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
        if unknown := names - {*places.names}:
            msg = f"it was made with paths= for {', '.join(sorted(unknown))}, so it needs these here too!"
            raise RecordingError(msg)
        places = places.only(names)
        installed = {name: _one(version, str) for name, version in _table(found["installed"]).items()}
        calls = [_entry(_table(call), places) for call in _each(found["calls"], object)]
    except (KeyError, TypeError, ValueError) as exc:
        if isinstance(exc, RecordingError):
            raise
        msg = f"it is wrong: {exc!r}!"
        raise RecordingError(msg) from None
    return Recording(places, installed, calls)


def _entry(call: dict[str, Any], places: Placeholders) -> Entry:
    args = [places.actual(arg) for arg in _each(call["args"], str)]
    if not args:
        msg = "a call without arguments"
        raise ValueError(msg)
    cwd, text = (None if call.get(name) is None else places.actual(_one(call[name], str)) for name in ("cwd", "input"))
    if "raised" in call:
        parts = [places.actual(part) if isinstance(part, str) else part for part in _each(call["raised"], object)]
        return Entry(args, cwd, text, raised=exception_of(*parts))
    output: list[tuple[int, bytes]] = []
    for line in _each(call["output"], str):
        name, _colon, rest = line.partition(": ")
        output.append((_NUMBERS[name], places.actual(rest).encode("utf-8", "surrogateescape")))
    returncode = None if call["returncode"] is None else _one(call["returncode"], int)
    installed = {
        name: None if version is None else _one(version, str) for name, version in _table(call.get("installed", {})).items()
    }
    return Entry(args, cwd, text, output, returncode, installed)


def parts_of(error: Exception) -> list[str | int | None] | None:
    """Return the name of an exception's class, and what an equal one is made of; ``None``: of no call.

    >>> parts_of(FileNotFoundError(2, "No such file", "/x"))
    ['FileNotFoundError', 2, 'No such file', '/x']
    """
    name = next((kind.__name__ for kind in type(error).__mro__ if _known(kind.__name__) is kind), None)
    if name is None:
        return None
    if isinstance(error, OSError) and error.strerror is not None:
        place = error.filename
        return [name, error.errno, error.strerror, *([os.fsdecode(place)] if isinstance(place, str | bytes) else [])]
    return [name, str(error.args[0] if isinstance(error, KeyError) and error.args else error)]


def exception_of(name: object, *parts: object) -> Exception:
    """Return a new exception.

    Raises:
        ValueError: a call can't raise such a one before anything is started.

    >>> exception_of("FileNotFoundError", 2, "No such file", "/x")
    FileNotFoundError(2, 'No such file')
    """
    kind = _known(str(name))
    if kind is None or not parts:
        msg = f"{name!r} with {len(parts)} parts is no exception of a call"
        raise ValueError(msg)
    return kind(*parts)


def _known(name: str) -> type[Exception] | None:
    """Return the class of exceptions with a name, if it is one that a call may raise before anything is started."""
    plain = {kind.__name__: kind for kind in _OF_THE_SYSTEM}
    if name in plain:
        return plain[name]
    kind: object = getattr(exceptions, name, None) or getattr(builtins, name, None)
    is_known = isinstance(kind, type) and issubclass(kind, VenvError | OSError) and not issubclass(kind, SubprocessError)
    return cast("type[Exception]", kind) if is_known else None


def _one(value: object, kind: type[_T]) -> _T:
    if not isinstance(value, kind):
        msg = f"{value!r} is no {kind.__name__}"
        raise TypeError(msg)
    return value


def _table(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", _one(value, dict))


def _each(values: object, kind: type[_T]) -> list[_T]:
    return [_one(value, kind) for value in cast("list[object]", _one(values, list))]
