"""The report of a failed call, written in this process, so that each of its branches is measured."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from venvrunner._call import program, report_program


def task(function: str, **more: Any) -> dict[str, Any]:
    return {"function": function, "source": None, "file": None, "pickle": False, "options": [], **more}


def reported(step: str, error: BaseException, found: Any = None, **more: Any) -> dict[str, Any]:
    """Return the report of an exception that was raised and caught."""
    try:
        raise error  # noqa: TRY301  it needs a traceback
    except BaseException as exc:  # noqa: BLE001  it is reported
        return report_program.report(task(**{"function": "m:f", **more}), step, exc, found)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package in the path of this process, which is forgotten afterwards."""
    package = tmp_path / "reported_tools"
    package.mkdir()
    (package / "__init__.py").write_text("VERSION = 1\nclass Kit:\n    class Box: pass\n")
    for number in range(25):
        (package / f"part{number:02}.py").write_text("def use(): pass\n")
    (package / "broken.py").write_text("import missing_one\n")
    (package / "attribute.py").write_text("import os\nos.nothing\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("reported_tools"):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("missing_module:f", "the environment has no module 'missing_module'. Install its package; installed are "),
        ("reported_tools.part:use", "has no module 'part'. Did you mean 'part"),
        (
            "reported_tools.part01:us",
            "reported_tools.part01:us does not exist: module 'reported_tools.part01' has no 'us'. Did you mean 'use'?",
        ),
        ("reported_tools:Kit.Box.nothing", "has no 'nothing'. It has none"),
        ("reported_tools:Kit.Bix.nothing", "has no 'Bix'. Did you mean 'Box'? It has Box"),
        (
            "reported_tools.part01.use:f",
            "'reported_tools.part01' is a module, not a package. Is it 'reported_tools.part01:use'?",
        ),
        (
            "reported_tools.broken:f",
            "importing reported_tools.broken raised ModuleNotFoundError: No module named 'missing_one'",
        ),
        ("reported_tools.attribute:f", "importing reported_tools.attribute raised AttributeError"),
    ],
)
def test_a_name_that_leads_nowhere_is_explained(tools: None, name: str, text: str) -> None:
    """By how far it leads, and by what is there."""
    with pytest.raises((AttributeError, ImportError)) as caught:
        program.function_of(task(name))
    report = report_program.report(task(name), "import", caught.value, None)
    assert text in report["headline"]
    assert report["type"] in {"AttributeError", "ModuleNotFoundError"}
    assert ("broken.py" in report["traceback"]) == ("broken" in name)


def test_a_long_list_is_cut(tools: None) -> None:
    """It would hide the reason."""
    with pytest.raises(ImportError) as caught:
        program.function_of(task("reported_tools.nowhere:f"))
    headline = report_program.report(task("reported_tools.nowhere:f"), "import", caught.value, None)["headline"]
    assert headline.endswith("part16, part17 and 7 more")


def test_each_step_has_its_words() -> None:
    """What was wrong: an argument, the source, an option, the function, or its value."""
    assert (
        reported("arguments", ValueError("x"))["headline"]
        == "the arguments of m:f cannot be unpickled in the environment: ValueError: x"
    )
    assert (
        "the source of m:f cannot be used on Python 3." in reported("import", SyntaxError("x"), source="", file="f")["headline"]
    )
    assert reported("options", TypeError(), 1)["headline"] == "m:f is an int, not a function"
    assert reported("options", TypeError(), print, options=["timeout"])["headline"].startswith(
        "timeout= is an option of the call"
    )
    assert reported("call", KeyError())["headline"] == "m:f raised KeyError"
    assert "cannot be pickled: TypeError: x" in reported("value", TypeError("x"), 1, pickle=True)["headline"]
    assert "cannot carry: value[0] is a set." in reported("value", TypeError(), [{1}])["headline"]
    assert "cannot carry: OSError: full." in reported("value", OSError("full"), [])["headline"]


def test_only_an_exception_of_the_function_has_a_type() -> None:
    """And only with pickle is it sent itself, if it can be."""
    plain = reported("call", LookupError("x\ny"))
    assert (plain["type"], plain["message"], plain["pickle"]) == ("LookupError", "x\ny", None)
    assert reported("value", LookupError("x"), {1})["type"] is None
    assert reported("call", LookupError("x"), pickle=True)["pickle"] is not None

    class BrokenError(Exception):
        def __str__(self) -> str:
            raise ValueError

    broken = reported("call", BrokenError(), pickle=True)
    assert broken["message"] == "<its text cannot be shown>"
    assert broken["pickle"] is None
    assert broken["type"].endswith("BrokenError")


def test_a_cause_is_shown_even_without_a_line_of_the_function() -> None:
    """A function of C may raise from another exception."""
    error = ValueError("outer")
    error.__cause__ = KeyError("inner")
    assert "KeyError: 'inner'" in report_program.report(task("m:f"), "call", error, None)["traceback"]
    assert report_program.report(task("m:f"), "call", ValueError("alone"), None)["traceback"] == ""


def test_a_wrapped_function_has_the_parameters_of_the_inner_one() -> None:
    """Which are what a keyword reaches in the end; a function of C may have none that are known."""
    import functools

    def inner(timeout: Any, *args: Any, cwd: Any = None) -> None:
        pass

    @functools.wraps(inner)
    def outer(*args: Any, **keywords: Any) -> None:
        pass

    assert program.ambiguous(outer, ["logger", "timeout", "cwd", "args"]) == ["timeout", "cwd"]
    assert program.ambiguous(getattr, ["timeout"]) == program.ambiguous(len, ["timeout"]) == []
    assert program.ambiguous(open, ["timeout", "encoding"]) == ["encoding"]


def test_an_outcome_is_written_by_its_process_into_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by a fork, nor into a file that has got the same descriptor."""
    with open(tmp_path / "call", "w+b") as file:
        outcome = program.Outcome(file)
        pid = os.getpid()
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: pid + 1)
            outcome.write(b"json", b"1")
        assert file.seek(0, 2) == 0
        outcome.write(b"json", b"1")
        assert file.seek(0, 2) == program.HEADER + 1
        with open(tmp_path / "other", "w+b") as other:
            kept = os.dup(file.fileno())
            os.dup2(other.fileno(), file.fileno())
            with pytest.raises(OSError, match="closed the descriptors"):
                outcome.write(b"json", b"2")
            os.dup2(kept, file.fileno())
            os.close(kept)
    assert (tmp_path / "other").read_bytes() == b""
