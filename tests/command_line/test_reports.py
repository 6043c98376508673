"""Reports of runs: JSON by the schema in the docs, and JUnit XML by the rules of the servers that read it."""

import json
import os
import re
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from helpers.modules import ROOT
from venvrunner import InvalidPathError, VenvRunner
from venvrunner._install.receipt import Receipt
from venvrunner._reports import (
    PythonReport,
    RunReport,
    Status,
    json_text,
    junit_text,
    report_path,
    write_report,
)

SCHEMA = ROOT.parents[1] / "docs" / "_static" / "report.schema.json"
STARTED = "2026-11-30T08:15:00Z"
EMPTY = RunReport(["true"], "passed", STARTED)


@pytest.fixture(scope="module")
def schema() -> Any:
    """The schema that the docs offer; a package without its repository has none."""
    if not SCHEMA.exists():
        pytest.skip("needs the repository")
    return json.loads(SCHEMA.read_text(encoding="utf-8"))


def ending(status: Status, **values: Any) -> RunReport:
    """Return a run that is special in a few values."""
    return EMPTY._replace(status=status, **values)


@pytest.fixture(scope="module")
def runs(venv: VenvRunner) -> list[RunReport]:
    """A run with each status; the first is a real one."""
    argv = ["python", "-c", "import sys; print('out'); print('err', file=sys.stderr)"]
    done = venv.log_run(argv)
    packages = {name: str(version) for name, version in venv.installed().items()}
    receipt = Receipt(subprocess.CompletedProcess(["pip"], 0, "", ""), {"a": "1", "b": "1"}, {"b": "2", **packages})
    started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    python = PythonReport(sys.executable, "3.12.1")
    passed = RunReport(argv, "passed", started, 0.1, done.returncode, python, [receipt], done.stdout, done.stderr)
    return [
        passed,
        ending("failed", exit_code=3, python=python, message="exit code 3", stdout_end="1 failed", stderr_end="oh"),
        ending("timeout", exit_code=124, message="timed out after 2 seconds"),
        ending("missing", python=PythonReport(None, "3.99"), message="no interpreter matches '3.99'"),
        ending("skipped", python=PythonReport(None, ">=3.98"), message="no interpreter matches '>=3.98'"),
        ending("error", message="pocket could not be installed.\nNo such package."),
    ]


def test_the_schema_is_valid_and_of_the_same_names(schema: Any) -> None:
    """It lists each field, and each status, that a report can have."""
    Draft202012Validator.check_schema(schema)
    run = schema["$defs"]["run"]
    assert tuple(run["properties"]) == tuple(run["required"]) == RunReport._fields
    assert run["properties"]["python"]["required"] == [*PythonReport._fields]
    assert set(run["properties"]["status"]["enum"]) == set(get_args(Status))


def test_a_report_is_valid_by_the_schema(schema: Any, runs: list[RunReport]) -> None:
    """With every status, and with what a real run and a receipt have."""
    report = json.loads(json_text(runs))
    Draft202012Validator(schema).validate(report)
    assert [run["status"] for run in report] == [run.status for run in runs]
    assert {run.status for run in runs} == set(get_args(Status))
    first = report[0]
    assert (first["stdout_end"], first["stderr_end"], first["exit_code"]) == ("out\n", "err\n", 0)
    assert first["receipts"][0]["changed"] == {"b": ["1", "2"]}
    assert first["receipts"][0]["removed"] == {"a": "1"}
    assert "pip" in first["receipts"][0]["added"]


@pytest.mark.parametrize(
    "wrong",
    [{"status": "fine"}, {"argv": []}, {"duration": -1}, {"started": "today"}, {"exit_code": "0"}, {"receipts": [{}]}],
)
def test_the_schema_refuses_what_is_wrong(schema: Any, wrong: dict[str, Any]) -> None:
    """The test above can fail."""
    (run,) = json.loads(json_text([EMPTY]))
    assert not Draft202012Validator(schema).is_valid([{**run, **wrong}])


XSD: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"time", "skipped", "timestamp", "hostname", "id", "package", "group", "file", "log", "url"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "testcase": (
        {"name"},
        {"time", "classname", "group"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": (set(), {"type", "message"}, set()),
    "error": (set(), {"type", "message"}, set()),
    "skipped": (set(), {"type", "message"}, set()),
    "system-out": (set(), set(), set()),
    "system-err": (set(), set(), set()),
}
"""The attributes that must be and may be, and the children, by the XSD of Jenkins' xUnit plugin (junit-10.xsd)."""


def check_junit(text: str) -> ET.Element:
    """Return the root of a report that follows the rules."""
    root = ET.fromstring(text.encode())
    assert root.tag == "testsuites"
    for element in root.iter():
        required, optional, children = XSD[element.tag]
        assert required <= set(element.attrib) <= required | optional
        assert {child.tag for child in element} <= children
        if element.tag.startswith("testsuite"):
            assert re.fullmatch(r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]*)?", element.attrib["time"])
            cases = list(element.iter("testcase"))
            count = {"tests": len(cases)}
            for plural, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
                count[plural] = sum(1 for case in cases if case.find(tag) is not None)
            assert {name: int(element.attrib[name]) for name in count if name in element.attrib} == {
                name: number for name, number in count.items() if name in element.attrib
            }
    return root


def test_a_junit_report_has_a_suite_for_each_run(runs: list[RunReport]) -> None:
    """It keeps the rules of the servers, its numbers are right, and each status is what a server calls it."""
    root = check_junit(junit_text(runs))
    assert [suite.attrib["name"] for suite in root][1:] == [
        "Python 3.12.1",
        "venvrunner",
        "Python 3.99",
        "Python >=3.98",
        "venvrunner",
    ]
    names = [case.attrib["classname"] for case in root.iter("testcase")]
    assert names[1:5] == ["venvrunner.python_3_12_1", "venvrunner", "venvrunner.python_3_99", "venvrunner.python_3_98"]
    found = {case.attrib["type"]: case.tag for case in root.iter() if "type" in case.attrib}
    assert found == {"failed": "failure", "timeout": "failure", "missing": "error", "error": "error", "skipped": "skipped"}
    errors = list(root.iter("error"))
    assert (errors[1].attrib["message"], errors[1].text) == (
        "pocket could not be installed.",
        "pocket could not be installed.\nNo such package.",
    )
    case = next(root.iter("testcase"))
    assert case.attrib["name"] == """python -c 'import sys; print('"'"'out'"'"'); print('"'"'err'"'"', file=sys.stderr)'"""
    assert [(child.tag, child.text) for child in case] == [("system-out", "out\n"), ("system-err", "err\n")]
    check_junit(junit_text([]))


NASTY = "a\x00b\x1b[31mc\x7f\ud800\ufffe]]>&<\"'>\t\r\r\né\U0001f600\x85\u2028"


def test_characters_that_xml_cannot_have_are_written_as_escapes() -> None:
    """Control characters and halves of characters; what XML can have is kept."""
    run = ending("failed", argv=[NASTY], message=NASTY, stdout_end=NASTY, stderr_end=NASTY)
    root = check_junit(junit_text([run]))
    expected = "a\\x00b\\x1b[31mc\x7f\\ud800\\ufffe]]>&<\"'>\t\r\né\U0001f600\x85\u2028"
    assert root.findtext(".//system-out") == root.findtext(".//system-err") == root.findtext(".//failure") == expected
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.attrib["message"] == expected.partition("\n")[0].replace("\r", "\r\r")
    # A server that is strict about it refuses half a character in JSON too.
    (plain,) = json.loads(json_text([run]).encode("ascii"))
    assert plain["stdout_end"] == NASTY.replace("\ud800", "\\ud800")


@given(st.text(), st.text(), st.floats(0, 10_000), st.sampled_from(get_args(Status)))
def test_any_output_gives_reports_that_can_be_read(first: str, second: str, duration: float, status: Status) -> None:
    """XML is parsed, and JSON is encoded strictly."""
    run = RunReport([first], status, STARTED, duration, 1, PythonReport(first, second), (), first, second, first + second)
    check_junit(junit_text([run, run]))
    json.loads(json_text([run]).encode("utf-8"))
    json.dumps(json.loads(json_text([run])), ensure_ascii=False).encode()


def test_no_secret_is_in_a_report() -> None:
    """Neither that of a URL nor one that is named, in no field."""
    url, secret = "https://me:hush@host.example/simple", "hunter2"
    text = f"{url} {secret}"
    receipt = Receipt(subprocess.CompletedProcess(["pip"], 0, "", ""), {"x": text, "y": text}, {"x": "1", text: text})
    run = RunReport([text, secret], "failed", STARTED, 1, 1, PythonReport(text, text), [receipt], text, text, text)
    for report in (json_text([run], [secret]), junit_text([run], [secret])):
        assert "hush" not in report
        assert "hunter2" not in report
        assert "****@host.example" in report


def test_a_report_replaces_an_old_one_at_once(tmp_path: Path) -> None:
    """Its mode and a link to it stay, and nothing else is left beside it."""
    path, link = tmp_path / "report.json", tmp_path / "link.json"
    write_report(path, "first")
    path.chmod(0o640)
    mode = path.stat().st_mode
    link.symlink_to(path)
    write_report(link, "sécond\n")
    assert path.read_bytes() == "sécond\n".encode()
    assert link.is_symlink()
    assert path.stat().st_mode == mode
    assert sorted(os.listdir(tmp_path)) == ["link.json", "report.json"]


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the error has the reason."""
    path = tmp_path / "report.json"
    write_report(path, "old")

    def fail(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(InvalidPathError, match=r"report\.json' cannot be written: No space left on device\."):
            write_report(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.json"]


def test_a_path_that_cannot_be_a_report_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """The message says what to do."""
    for path, reason in [
        (str(tmp_path), "it is a directory. Name a file in it."),
        (f"{tmp_path}/no/report.json", "its directory does not exist. Create it first."),
        ("", "Name a file, such as report.json."),
        ("a\0b", "Name a file, such as report.json."),
    ]:
        with pytest.raises(InvalidPathError, match=re.escape(reason)):
            report_path(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_and_a_device_are_written_to(tmp_path: Path) -> None:
    """They stay what they are, also for root."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_report(pipe, "text")
    reader.join()
    write_report("/dev/null", "text")
    assert read == ["text"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
