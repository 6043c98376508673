"""The format of recordings: readable JSON with placeholders for paths; without I/O."""

import builtins
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from subprocess import SubprocessError
from typing import Any, NamedTuple, TypeVar, cast

from venvrunner import exceptions
from venvrunner._call.request import Failure, Reply
from venvrunner._redaction import Redactor
from venvrunner.exceptions import RecordingError, VenvError
from venvrunner.testing._placeholders import Placeholders

__tracebackhide__ = True

FORMAT = "venvrunner recording"
VERSION = 1

_OF_THE_SYSTEM: tuple[type[Exception], ...] = (KeyError, OverflowError, SubprocessError, TypeError, ValueError)
"""Further exceptions of a failed start, for an unknown user for instance."""
_SHORT = 80
_STREAMS = {1: "stdout", 2: "stderr"}
_NUMBERS = {name: number for number, name in _STREAMS.items()}
_T = TypeVar("_T")


class Entry(NamedTuple):
    """One recorded call.

    Attributes:
        args: the plain name of the command, and its arguments.
        cwd: the working directory; ``None``: not given.
        input: the text for standard input; ``None``: not given.
        output: the output, line by line: 1 or 2 for the stream, and the bytes with the line end.
        returncode: the exit code; ``None``: the command did not exit by itself.
        installed: the packages that it installed, as versions by name; ``None`` for a removed one.
        raised: the exception, if no process was started.
        reply: the outcome of a function, if it was called.
    """

    args: Sequence[str]
    cwd: str | None = None
    input: str | None = None
    output: Sequence[tuple[int, bytes]] = ()
    returncode: int | None = 0
    installed: Mapping[str, str | None] = {}
    raised: Exception | None = None
    reply: Reply | None = None


class Recording(NamedTuple):
    """The content of a file: its placeholders, the packages that were installed initially, and the calls, in order."""

    placeholders: Placeholders
    installed: Mapping[str, str]
    calls: Sequence[Entry]


def lines_of(chunks: Iterable[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    r"""Return output line by line, in the order in which the lines were completed; unfinished lines last.

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
    placeholders = recording.placeholders

    def text(value: str) -> str:
        return placeholders.neutral(redactor.mask(value))

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
        if entry.reply is not None and entry.reply.failure is not None:
            call["failed"] = _mapped(text, entry.reply.failure._asdict() | {"error": None})
        elif entry.reply is not None:
            call["returned"] = _mapped(text, entry.reply.value)
        calls.append({**call, "installed": dict(entry.installed)} if entry.installed else call)
    whole = {
        "format": FORMAT,
        "version": VERSION,
        "paths": placeholders.names,
        "installed": recording.installed,
        "calls": calls,
    }
    # Bytes that are not UTF-8 become escapes of JSON, such as \udcff.
    return f"{_pretty(whole)}\n".encode("utf-8", "backslashreplace")


def _pretty(value: object, indent: str = "") -> str:
    """Return JSON with short lists, such as command lines, on one line."""
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


def load(data: bytes, placeholders: Placeholders, advice: str = "Pass paths= with the same names.") -> Recording:
    """Return the recording in a file, with the paths of this machine.

    Args:
        data: the content of the file.
        placeholders: the known placeholders; the recording gets those that it was recorded with.
        advice: how to add placeholders that the recording needs.

    Raises:
        RecordingError: the file is not a recording, is invalid, has another version, or needs further placeholders.
    """
    try:
        whole: Any = json.loads(data)
    except (ValueError, RecursionError) as exc:
        msg = f"it is not JSON ({exc})"
        raise RecordingError(msg) from None
    if not isinstance(whole, dict) or cast("dict[str, object]", whole).get("format") != FORMAT:
        msg = f"it is not a {FORMAT}"
        raise RecordingError(msg)
    found = cast("dict[str, Any]", whole)
    if found.get("version") != VERSION:
        msg = f"it has version {found.get('version')!r}, but this venvrunner reads version {VERSION}"
        raise RecordingError(msg)
    try:
        names = set(_each(found["paths"], str))
        if unknown := names - {*placeholders.names}:
            msg = f"it was recorded with paths= for {', '.join(sorted(unknown))}. {advice}"
            raise RecordingError(msg)
        placeholders = placeholders.only(names)
        installed = {name: _one(version, str) for name, version in _table(found["installed"]).items()}
        calls = [_entry(_table(call), placeholders) for call in _each(found["calls"], object)]
    except (KeyError, TypeError, ValueError) as exc:
        if isinstance(exc, RecordingError):
            raise
        msg = f"it is invalid: {exc!r}"
        raise RecordingError(msg) from None
    return Recording(placeholders, installed, calls)


def _entry(call: dict[str, Any], placeholders: Placeholders) -> Entry:
    args = [placeholders.actual(arg) for arg in _each(call["args"], str)]
    if not args:
        msg = "a call has no arguments"
        raise ValueError(msg)
    cwd, text = (None if call.get(name) is None else placeholders.actual(_one(call[name], str)) for name in ("cwd", "input"))
    if "raised" in call:
        parts = [placeholders.actual(part) if isinstance(part, str) else part for part in _each(call["raised"], object)]
        return Entry(args, cwd, text, raised=exception_of(*parts))
    output: list[tuple[int, bytes]] = []
    for line in _each(call["output"], str):
        name, _colon, rest = line.partition(": ")
        output.append((_NUMBERS[name], placeholders.actual(rest).encode("utf-8", "surrogateescape")))
    returncode = None if call["returncode"] is None else _one(call["returncode"], int)
    installed = {
        name: None if version is None else _one(version, str) for name, version in _table(call.get("installed", {})).items()
    }
    return Entry(args, cwd, text, output, returncode, installed, reply=_reply(call, placeholders))


def _reply(call: dict[str, Any], placeholders: Placeholders) -> Reply | None:
    if "failed" in call:
        report = _table(_mapped(placeholders.actual, call["failed"]))
        headline, message, trace = (_one(report[name], str) for name in ("headline", "message", "traceback"))
        return Reply(failure=Failure(headline, None if report["type"] is None else _one(report["type"], str), message, trace))
    return Reply(_mapped(placeholders.actual, call["returned"])) if "returned" in call else None


def _mapped(change: Callable[[str], str], value: Any) -> Any:
    """Return plain data with each text in it changed, keys too."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        return {change(name): _mapped(change, item) for name, item in table.items()}
    if isinstance(value, list | tuple):
        items = cast("Sequence[Any]", value)
        return [_mapped(change, item) for item in items]
    return value


def parts_of(error: Exception) -> list[str | int | None] | None:
    """Return the name of an exception's class and its arguments; ``None`` if a call cannot raise it before a start.

    >>> parts_of(FileNotFoundError(2, "No such file", "/x"))
    ['FileNotFoundError', 2, 'No such file', '/x']
    """
    name = next((kind.__name__ for kind in type(error).__mro__ if _known(kind.__name__) is kind), None)
    if name is None:
        return None
    if isinstance(error, OSError) and error.strerror is not None:
        path = error.filename
        return [name, error.errno, error.strerror, *([os.fsdecode(path)] if isinstance(path, str | bytes) else [])]
    return [name, str(error.args[0] if isinstance(error, KeyError) and error.args else error)]


def exception_of(name: object, *parts: object) -> Exception:
    """Return a new exception from the parts that :func:`parts_of` returns.

    Raises:
        ValueError: a call cannot raise such an exception before a start.

    >>> exception_of("FileNotFoundError", 2, "No such file", "/x")
    FileNotFoundError(2, 'No such file')
    """
    kind = _known(str(name))
    if kind is None or not parts:
        msg = f"{name!r} with {len(parts)} parts is not an exception of a call"
        raise ValueError(msg)
    return kind(*parts)


def _known(name: str) -> type[Exception] | None:
    """Return the exception class of a name, if a call may raise it before a start; otherwise ``None``."""
    plain = {kind.__name__: kind for kind in _OF_THE_SYSTEM}
    if name in plain:
        return plain[name]
    kind: object = getattr(exceptions, name, None) or getattr(builtins, name, None)
    is_known = isinstance(kind, type) and issubclass(kind, VenvError | OSError) and not issubclass(kind, SubprocessError)
    return cast("type[Exception]", kind) if is_known else None


def _one(value: object, kind: type[_T]) -> _T:
    if not isinstance(value, kind):
        msg = f"{value!r} is not a {kind.__name__}"
        raise TypeError(msg)
    return value


def _table(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", _one(value, dict))


def _each(values: object, kind: type[_T]) -> list[_T]:
    return [_one(value, kind) for value in cast("list[object]", _one(values, list))]
