"""Build failures, found in the output of pip or uv, without I/O."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import unquote

__tracebackhide__ = True


class FailedBuild(NamedTuple):
    """The first build that failed.

    Attributes:
        package: the package that was built, as the installer names it; empty if it does not.
        output: the build's own lines.
        missing: the requirement of the build that the installer did not find; empty if that was not the reason.
    """

    package: str
    output: list[str]
    missing: str = ""


_STEP = re.compile(
    r" *\u00d7 (?:(?:getting requirements to build|preparing (?:editable )?metadata|building (?:wheel|editable)|"
    r"installing (?:build|backend) dependencies|python setup\.py|running setup\.py)\b.* did not run successfully\."
    r"|cannot import build backend\b.*|cannot install build dependencies\b.*)",
    re.IGNORECASE,
)
"""The line of pip that names the step; pip reports a failed clone in the same form, but it is not a build."""
_FOR = re.compile(r"\bfor (?P<package>[\w.-]+)")
_ARROW = "╰─> "
_END = "[end of output]"
_EXIT_CODE = re.compile(r"(?P<code>exit code: -?\d+)$")
_COUNT = re.compile(r"\[\d+ lines of output\]")
_ABOVE = re.compile(r"no available output|see above", re.IGNORECASE)
_RUNNING = re.compile(r" *Running command ")
_PIP_PACKAGES = (
    re.compile(r"^ *ERROR: Failed to build '(?P<package>.+?)' when ", re.MULTILINE),
    re.compile(r"^\u00d7 Encountered error while generating package metadata\.\n╰─> (?:from )?(?P<package>.+)$", re.MULTILINE),
)
_PIP_SHORT = (
    re.compile(r"^ERROR: (?P<reason>Project (?P<package>\S+) uses a build backend that is missing .+)$", re.MULTILINE),
    re.compile(r"^ERROR: (?P<reason>(?P<package>.+) does not appear to be a Python project: .+)$", re.MULTILINE),
    re.compile(r"^\u00d7 Can not process (?P<package>.+)\n╰─> (?P<reason>.+(?:\n {4}\S.*)*)$", re.MULTILINE),
)
_PIP_EXCEPTION = "ERROR: Exception:\n"
_PIP_PROJECT = re.compile(r"\bTOMLDecodeError: |distributions[/\\]sdist\.py|\bin un(?:tar|zip)_file\b")
"""A frame of pip that reads or unpacks a project."""

_UV = re.compile(
    r"Failed to (?:download and )?build `(?P<package>[^`]+)`|Failed to resolve requirements from `|"
    r"The build backend returned an error|Invalid `pyproject\.toml`|`pyproject\.toml` does not match the required schema|"
    r"`backend-path` entry |`(?P<place>[^`]+)` does not appear to be a Python project"
)
_UV_ITEM = re.compile(
    r"^(?:error| +cause): (?P<text>.+(?:\n {7,}\S.*)*)"
    r"|^ +[\u00d7├╰]─?[─▶]* (?P<old>.+(?:\n(?: {6,}| +│ {2,})[^ \[├╰].*)*)",
    re.MULTILINE,
)
"""An error of uv or one of its causes, also with the boxes of earlier versions; uv breaks long lines as a terminal would."""
_UV_HASH = "Hash mismatch for "
"""The cause for which uv does not even start to build a file."""
_UV_STREAM = re.compile(r" *\[std(?:out|err)\]")

_MISSING = (
    re.compile(r"No matching distribution found for (?P<what>\S.*)"),
    re.compile(r"No solution found when resolving: `(?P<what>[^`]+)`"),
)
_TRACEBACK = re.compile(r" *Traceback \(most recent call last\):")
_WRAPPER = re.compile(r' *File ".*_in_process\.py", line ')
_PROGRAM = re.compile(r' *File "<string>", line ')
_FRAME = re.compile(r' *File "')

_DIAGNOSIS = re.compile(r"\berror: (?!subprocess-exited-with-error)", re.IGNORECASE)
_FOLLOWS = re.compile(r"error: command .* failed with exit|error: subprocess-exited", re.IGNORECASE)
"""Lines that a tool prints because another tool has failed before."""
_EXCEPTION = re.compile(r"(?:\w+\.)*\w*(?:Error|Exception|Interrupt|Warning)\b(?::|$)")


def failed_build(text: str) -> FailedBuild | None:
    r"""Return the build that failed, or ``None`` if none did.

    Args:
        text: the output of the installer.

    >>> failed_build("error: Failed to build `crate==1.0`\n  cause: it is odd\n")
    FailedBuild(package='crate==1.0', output=['it is odd'], missing='')
    """
    lines = text.splitlines()
    return _by_pip(text, lines) or _by_uv(text, lines)


def reason_of(output: Sequence[str]) -> str:
    """Return the line of a build's output that has the reason of the failure.

    >>> reason_of(["x.c:1: fatal error: y.h: No such file", "error: command 'cc' failed with exit code 1"])
    'x.c:1: fatal error: y.h: No such file'
    """
    lines = [line.strip() for line in output if line.strip()]
    diagnoses = [line for line in lines if _DIAGNOSIS.search(line) and not _FOLLOWS.search(line)]
    exceptions = [line for line in lines if _EXCEPTION.match(line)]
    return next(iter([*diagnoses[:1], *exceptions[-1:], *_raised(output), *lines[-1:]]), "")


def _raised(output: Sequence[str]) -> list[str]:
    """Return the line after the frames of the last traceback, which has the exception."""
    begins = [number for number, line in enumerate(output) if _TRACEBACK.match(line)]
    if not begins:
        return []
    return [line.strip() for line in output[begins[-1] + 1 :] if line.strip() and not line.startswith(" ")][:1]


def excerpt(output: Sequence[str], limit: int = 30) -> list[str]:
    """Return the relevant part of a build's output: all of it, or the lines around the reason and the last lines.

    >>> excerpt(["1", "2", "error: 3", *"45678"], 6)
    ['1', '2', 'error: 3', '...', '7', '8']
    """
    lines = list(_without_wrapper(output))
    if len(lines) <= limit:
        return lines
    reason, half = reason_of(lines), limit // 2
    at = next(number for number, line in enumerate(lines) if line.strip() == reason)
    begin = max(0, at - half + 1)
    if begin + half >= len(lines) - half:
        return ["...", *lines[-limit:]]
    return [*(["..."] if begin else []), *lines[begin : begin + half], "...", *lines[-(limit - half - 1) :]]


def _without_wrapper(output: Sequence[str]) -> Iterator[str]:
    """Yield lines without the frames of the installer's own program at the top of a traceback.

    An executed ``setup.py`` is a ``<string>`` too, but further down.
    """
    is_wrapper = is_first = False
    for line in output:
        if _TRACEBACK.match(line):
            is_first = True
        if _FRAME.match(line):
            is_wrapper = _WRAPPER.match(line) is not None or (is_first and _PROGRAM.match(line) is not None)
            is_first = is_first and is_wrapper
        elif not line.startswith("  ") or not line.strip():
            is_wrapper = False
        if not is_wrapper:
            yield line


def _by_pip(text: str, lines: list[str]) -> FailedBuild | None:
    number = next((number for number, line in enumerate(lines) if _STEP.match(line)), None)
    if number is None:
        return _short_by_pip(text)
    output = _pip_output(lines, number) or [
        match["code"] for line in lines[number : number + 3] if (match := _EXIT_CODE.search(line))
    ]
    found = (pattern.search(text) for pattern in _PIP_PACKAGES)
    match = _FOR.search(lines[number]) or next(filter(None, found), None)
    package = "" if match is None else _name(match["package"])
    # Requirements of the build are built by another pip, whose report is in the output of this one.
    inner = _by_pip("\n".join(output), output)
    return FailedBuild(package, *inner[1:]) if inner is not None else FailedBuild(package, output, _missing(output))


def _short_by_pip(text: str) -> FailedBuild | None:
    """Return a build that pip did not start, because it cannot read the project."""
    short = next(filter(None, (pattern.search(text) for pattern in _PIP_SHORT)), None)
    if short is not None:
        return FailedBuild(_name(short["package"]), [line.strip() for line in short["reason"].splitlines()])
    _, _, trace = text.rpartition(_PIP_EXCEPTION)
    return FailedBuild("", _raised(trace.splitlines())) if trace != text and _PIP_PROJECT.search(trace) else None


def _pip_output(lines: list[str], number: int) -> list[str]:
    first = next((at for at in range(number, min(number + 5, len(lines))) if _ARROW in lines[at]), None)
    if first is None:
        return []
    column = lines[first].index(_ARROW) + len(_ARROW)
    indent, head = " " * column, lines[first][column:]
    if _ABOVE.match(head):
        begin = max((at for at in range(number) if _RUNNING.match(lines[at])), default=number) + 1
        before = lines[begin:number]
        return [line.removeprefix("  ") for line in before if line.strip() and "subprocess-exited-with-error" not in line]
    found = [] if _COUNT.match(head) else [head]
    for line in lines[first + 1 :]:
        if line == indent + _END or (line.strip() and not line.startswith(indent)):
            break
        if not _COUNT.match(line.strip()):
            found.append(line.removeprefix(indent))
    return _stripped(found)


def uv_items(text: str) -> list[str]:
    r"""Return the errors that uv reports, and their causes, each in one line.

    >>> uv_items("error: Failed to build\n       `crate`\n  cause: it is odd\n")
    ['Failed to build `crate`', 'it is odd']
    """
    return [" ".join((item["text"] or item["old"]).replace("│", " ").split()) for item in _UV_ITEM.finditer(text)]


def _by_uv(text: str, lines: list[str]) -> FailedBuild | None:
    items = uv_items(text)
    number, match = next(((number, match) for number, item in enumerate(items) if (match := _UV.search(item))), (0, None))
    if match is None:
        return None
    package = _name(match["package"] or match["place"] or "")
    output: list[str] = []
    column = None
    for line in lines:
        if _UV_STREAM.fullmatch(line):
            column = len(line) - len(line.lstrip())
        elif column is not None:
            if line.strip() and not line.startswith(" " * column):
                break
            output.append(line[column:])
    if column is not None:
        return FailedBuild(package, _stripped(output))
    causes = items[number + 1 :] or ([] if match["package"] else [items[number]])
    if any(cause.startswith(_UV_HASH) for cause in causes):
        return None
    return FailedBuild(package, causes, _missing([items[number], *causes]))


def _missing(output: Sequence[str]) -> str:
    text = "\n".join(output)
    return next((match["what"].strip() for pattern in _MISSING if (match := pattern.search(text))), "")


def _stripped(lines: list[str]) -> list[str]:
    """Return lines without blank lines at both ends, and without two blank lines in a row."""
    text = "\n".join(line.rstrip() for line in lines).strip("\n")
    return re.sub(r"\n{3,}", "\n\n", text).split("\n") if text else []


def _name(package: str) -> str:
    """Return the display name of a package that an installer names with its URL.

    >>> [_name(text) for text in ("crate @ file:///src/crate", "file:///my%20src", "crate==1.0")]
    ['crate', '/my src', 'crate==1.0']
    """
    package = re.split(r" ?@ | from ", package, maxsplit=1)[0]
    return unquote(package.removeprefix("file://")) if package.startswith("file://") else package
