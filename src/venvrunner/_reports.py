"""Reports of runs: as JSON, and as JUnit XML for the servers that show results of tests."""

import json
import os
import re
import shlex
import stat
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, NamedTuple, Protocol, cast

from venvrunner._redaction import Redactor
from venvrunner._types import StrPath
from venvrunner._venv.paths import absolute
from venvrunner._venv.sharing_violations import insist
from venvrunner.exceptions import InvalidPathError

__tracebackhide__ = True

Status = Literal["passed", "failed", "timeout", "missing", "error", "skipped"]
"""How a run ended: the exit code was 0; it was another one; the command was stopped at its timeout; the interpreter was not
found; the environment was not created or the command not started; the interpreter was not found and was to be skipped."""

_ELEMENTS: dict[Status, str] = {
    "failed": "failure",
    "timeout": "failure",
    "missing": "error",
    "error": "error",
    "skipped": "skipped",
}
"""What JUnit calls each status."""
_SURROGATES = re.compile(r"[\ud800-\udfff]")
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""The characters that XML cannot contain, not even as references."""
_MARKUP = re.compile(r'[&<>"\r]')
_IN_ATTRIBUTE = re.compile(r'[&<>"\r\n\t]')


class Changes(Protocol):
    """What an installation changed, as a :class:`.Receipt` has it."""

    @property
    def added(self) -> Mapping[str, str]:
        """The versions of new packages."""
        ...

    @property
    def changed(self) -> Mapping[str, tuple[str, str]]:
        """The old and the new version of packages that were changed."""
        ...

    @property
    def removed(self) -> Mapping[str, str]:
        """The versions of removed packages."""
        ...


class PythonReport(NamedTuple):
    """The interpreter of a run.

    Attributes:
        executable: its path; ``None`` if there is none.
        version: its version; the one that was asked for if there is none.
    """

    executable: str | None
    version: str


class RunReport(NamedTuple):
    """One run of a command in an environment.

    Attributes:
        argv: the command line.
        status: how it ended.
        started: when it started, in UTC, such as ``2026-11-30T08:15:00Z``.
        duration: the seconds that the command took, without the installation.
        exit_code: the exit code; ``None`` if the command was not started.
        python: the interpreter; ``None`` if it is unknown.
        receipts: what each installation changed.
        stdout_end: the end of standard output.
        stderr_end: the end of standard error.
        message: what happened, for a status other than ``"passed"``.
    """

    argv: Sequence[str]
    status: Status
    started: str
    duration: float = 0.0
    exit_code: int | None = None
    python: PythonReport | None = None
    receipts: Sequence[Changes] = ()
    stdout_end: str = ""
    stderr_end: str = ""
    message: str = ""


def json_text(runs: Iterable[RunReport], secrets: Iterable[str] = ()) -> str:
    """Return runs as JSON: an array with an object for each, with credentials masked, in ASCII.

    Args:
        runs: the runs.
        secrets: strings to mask, besides the users and passwords in URLs.

    >>> print(json_text([RunReport(["true"], "passed", "2026-11-30T08:15:00Z", 0.25, 0)]), end="")
    [
      {
        "argv": [
          "true"
        ],
        "status": "passed",
        "started": "2026-11-30T08:15:00Z",
        "duration": 0.25,
        "exit_code": 0,
        "python": null,
        "receipts": [],
        "stdout_end": "",
        "stderr_end": "",
        "message": ""
      }
    ]
    """
    redactor = Redactor(secrets)
    return json.dumps([_plain(run, redactor) for run in runs], indent=2, allow_nan=False) + "\n"


def junit_text(runs: Sequence[RunReport], secrets: Iterable[str] = ()) -> str:
    """Return runs as JUnit XML: a test suite with one test case for each, with credentials masked.

    Args:
        runs: the runs.
        secrets: strings to mask, besides the users and passwords in URLs.

    >>> print(junit_text([RunReport(["true"], "passed", "2026-11-30T08:15:00Z", 0.25, 0)]), end="")
    <?xml version="1.0" encoding="utf-8"?>
    <testsuites name="venvrunner" tests="1" failures="0" errors="0" time="0.250">
      <testsuite name="venvrunner" tests="1" failures="0" errors="0" skipped="0" time="0.250" timestamp="2026-11-30T08:15:00">
        <testcase classname="venvrunner" name="true" time="0.250">
        </testcase>
      </testsuite>
    </testsuites>
    """
    redactor = Redactor(secrets)
    suites = [line for run in runs for line in _suite(run, _plain(run, redactor))]
    total = _counts(run.status for run in runs)
    del total["skipped"]  # a schema that servers use does not have it here
    attributes = _attributes(name="venvrunner", **total, time=_seconds(sum(run.duration for run in runs)))
    return "\n".join(['<?xml version="1.0" encoding="utf-8"?>', f"<testsuites{attributes}>", *suites, "</testsuites>", ""])


def report_path(path: StrPath) -> str:
    """Return the absolute path of a report to write, after a check.

    Raises:
        InvalidPathError: it is a directory, or its directory does not exist.

    >>> report_path("no-such-directory/report.json")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    venvrunner.exceptions.InvalidPathError: the report '...' cannot be written: its directory does not exist. Create it first.
    """
    text = os.fspath(path)
    if not text or "\0" in text:
        msg = f"a report cannot be written to {text!r}. Name a file, such as report.json."
        raise InvalidPathError(msg)
    # The name may be a link to a file elsewhere, which stays a link.
    found = os.path.realpath(absolute(text))
    if os.path.isdir(found):
        msg = f"the report {found!r} cannot be written: it is a directory. Name a file in it."
        raise InvalidPathError(msg)
    if not os.path.isdir(os.path.dirname(found)):
        msg = f"the report {found!r} cannot be written: its directory does not exist. Create it first."
        raise InvalidPathError(msg)
    return found


def write_report(path: StrPath, text: str) -> None:
    """Write a report: it replaces an old one at once, and if that fails, the old one stays. A device or a pipe is written to.

    Args:
        path: the file.
        text: the report.

    Raises:
        InvalidPathError: the file cannot be written.

    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as top:
    ...     write_report(Path(top, "report.json"), "[]")
    ...     Path(top, "report.json").read_text()
    '[]'
    """
    found = report_path(path)
    try:
        mode = _mode(found)
        if mode is not None and not stat.S_ISREG(mode):
            with open(found, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
        else:
            _replace(found, text, mode)
    except OSError as exc:
        msg = f"the report {found!r} cannot be written: {exc.strerror or exc}."
        raise InvalidPathError(msg) from exc


def _mode(path: str) -> int | None:
    with suppress(FileNotFoundError):
        return os.stat(path).st_mode
    return None


def _replace(path: str, text: str, mode: int | None) -> None:
    new = os.path.join(os.path.dirname(path), f".{os.urandom(8).hex()}.venvrunner")
    try:
        with open(new, "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
        if mode is not None:
            os.chmod(new, stat.S_IMODE(mode))
        insist(os.replace, new, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(new)
        raise


def _plain(run: RunReport, redactor: Redactor) -> dict[str, Any]:
    """Return a run as plain data, without credentials and without unpaired surrogates, which many programs refuse."""

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            return _SURROGATES.sub(_escaped, redactor.mask(value))
        if isinstance(value, Mapping):
            return {clean(name): clean(one) for name, one in cast("Mapping[str, Any]", value).items()}
        return [clean(one) for one in cast("Sequence[Any]", value)] if isinstance(value, list | tuple) else value

    python = None if run.python is None else run.python._asdict()
    receipts = [{name: getattr(one, name) for name in ("added", "changed", "removed")} for one in run.receipts]
    # Times after microseconds are noise.
    values = {**run._asdict(), "duration": round(run.duration, 6), "python": python, "receipts": receipts}
    return {name: clean(value) for name, value in values.items()}


def _suite(run: RunReport, values: Mapping[str, Any]) -> Iterable[str]:
    version, time = values["python"]["version"] if values["python"] else "", _seconds(run.duration)
    suite = _attributes(
        name=f"Python {version}" if version else "venvrunner",
        **_counts([run.status]),
        time=time,
        timestamp=values["started"].removesuffix("Z"),
    )
    # Servers take what is before the last dot for a package.
    class_name = f"venvrunner.python{re.sub(r'[^0-9a-zA-Z]+', '_', f'_{version}').rstrip('_')}" if version else "venvrunner"
    yield f"  <testsuite{suite}>"
    yield f"    <testcase{_attributes(classname=class_name, name=shlex.join(values['argv']), time=time)}>"
    if run.status in _ELEMENTS:
        tag = _ELEMENTS[run.status]
        about = _attributes(type=run.status, message=values["message"].partition("\n")[0])
        yield f"      <{tag}{about}>{_text(values['message'])}</{tag}>"
    for tag, name in (("system-out", "stdout_end"), ("system-err", "stderr_end")):
        if values[name]:
            yield f"      <{tag}>{_text(values[name])}</{tag}>"
    yield "    </testcase>"
    yield "  </testsuite>"


def _counts(statuses: Iterable[Status]) -> dict[str, str]:
    found = [_ELEMENTS.get(status) for status in statuses]
    numbers = {"tests": len(found), "failures": found.count("failure"), "errors": found.count("error")}
    return {name: str(number) for name, number in {**numbers, "skipped": found.count("skipped")}.items()}


def _seconds(duration: float) -> str:
    return f"{duration:.3f}"


def _attributes(**values: str) -> str:
    return "".join(f' {name}="{_IN_ATTRIBUTE.sub(_reference, _possible(value))}"' for name, value in values.items())


def _text(text: str) -> str:
    return _MARKUP.sub(_reference, _possible(text.replace("\r\n", "\n")))


def _possible(text: str) -> str:
    return _NOT_XML.sub(_escaped, text)


def _reference(match: re.Match[str]) -> str:
    return f"&#{ord(match[0])};"


def _escaped(match: re.Match[str]) -> str:
    r"""Return a character as Python writes it, such as ``\x1b``."""
    return match[0].encode("unicode_escape").decode()
