"""The pytest plugin: placeholders for paths in recordings, the file of each test, and --venv-record=changed."""

import json
import os
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from helpers.suites import run_suite
from venvrunner._fixtures.recordings import path_for

pytest_plugins = ["pytester"]

SAY = """
    def say(runner, word):
        return runner.log_run(["python", "-c", "import sys; print(sys.argv[1])", word]).stdout.rstrip()
    """


def calls_of(pytester: pytest.Pytester, name: str) -> Any:
    path = pytester.path / "recordings" / f"test_suite.{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))["calls"]


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_directories_of_other_fixtures_are_placeholders(pytester: pytest.Pytester, workers: str) -> None:
    """A session's directory, with another base directory in each run, also that of a worker of pytest-xdist."""
    suite = f"""
        import pytest
        {textwrap.indent(SAY, "    ")}
        @pytest.fixture(scope="session")
        def data(tmp_path_factory):
            return tmp_path_factory.mktemp("data")

        def test_it(recorded_venv_runner, data):
            assert say(recorded_venv_runner, data / "x") == str(data / "x")
        """
    run_suite(pytester, suite, "--venv-record", "--basetemp=one", workers, plugins=["xdist"]).assert_outcomes(passed=1)
    (call,) = calls_of(pytester, "test_it")
    assert call["args"][-1].startswith("{basetemp}/data0")
    for other in ("-n0", "-n1"):
        run_suite(pytester, suite, "--basetemp=two", other, plugins=["xdist"]).assert_outcomes(passed=1)


PATHS = f"""
    import tempfile
    import pytest
    {SAY}
    @pytest.fixture
    def work():
        with tempfile.TemporaryDirectory() as path:
            yield path

    @pytest.fixture
    def recorded_venv_paths(work):
        return {{"work": work}}

    def test_it(recorded_venv_runner, work):
        assert say(recorded_venv_runner, f"{{work}}/x") == f"{{work}}/x"
    """


def test_a_fixture_of_the_suite_names_further_paths(pytester: pytest.Pytester) -> None:
    """Those of `tempfile`, which have another name in each run; without the fixture, the error names it."""
    run_suite(pytester, PATHS, "--venv-record").assert_outcomes(passed=1)
    assert calls_of(pytester, "test_it")[0]["args"][-1].startswith("{work}")
    run_suite(pytester, PATHS).assert_outcomes(passed=1)
    result = run_suite(pytester, PATHS.replace("def recorded_venv_paths", "def others"))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*it was recorded with paths= for work. Return these paths from the fixture recorded_venv_paths."]
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tmp_path": "/x"}, "'tmp_path' is already the name of a built-in path. Use another name, such as 'project'."),
        ({"venv": "/x"}, "'venv' is already the name of a built-in path. Use another name, such as 'project'."),
        ({"a-b": "/x"}, "'a-b' is not a valid name for a path. Use an identifier such as 'project'."),
        (["/x"], "recorded_venv_paths must return paths by name, such as {'project': path}, not a list."),
    ],
)
def test_wrong_names_of_paths_are_refused(pytester: pytest.Pytester, given: object, message: str) -> None:
    """Before anything is recorded, in one sentence without our source lines."""
    suite = PATHS.replace('{"work": work}', repr(given))
    result = run_suite(pytester, suite, "--venv-record")
    result.assert_outcomes(errors=1)
    assert [line for line in result.outlines if line.startswith("E ")] == []
    assert message in result.outlines


def test_a_block_in_the_test_writes_and_judges_nothing(pytester: pytest.Pytester) -> None:
    """An assertion after it fails, or further calls follow."""
    suite = f"""
        {textwrap.indent(SAY, "    ")}
        def test_it(recorded_venv_runner):
            with recorded_venv_runner as runner:
                say(runner, "in")
            say(runner, "after")
            ...
        """
    run_suite(pytester, suite, "--venv-record").assert_outcomes(passed=1)
    run_suite(pytester, suite).assert_outcomes(passed=1)
    before = calls_of(pytester, "test_it")
    assert [call["output"] for call in before] == [["stdout: in\n"], ["stdout: after\n"]]
    run_suite(pytester, suite.replace("...", "assert False"), "--venv-record").assert_outcomes(failed=1)
    run_suite(pytester, suite.replace('"after"', '"now"; assert False').replace("say(runner, ", "print("), "--venv-record")
    assert calls_of(pytester, "test_it") == before


def item(directory: Path, name: str) -> Any:
    return SimpleNamespace(nodeid=f"test_suite.py::{name}", path=directory / "test_suite.py")


def test_names_that_differ_in_case_have_different_files(tmp_path: Path) -> None:
    """Also where the file system ignores case; what was recorded under the plain name stays valid if only one test has it."""
    names = ["test_abc", "test_ABC", "test_Abc"]

    def files() -> list[str]:
        return [path_for(item(tmp_path, name)).name for name in names]

    assert len({name.casefold() for name in files()}) == 3
    assert files()[0] == "test_suite.test_abc.json"
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    (recordings / "test_suite.test_ABC.json").touch()
    assert files()[1] == "test_suite.test_ABC.json"
    assert len({name.casefold() for name in files()}) == 3
    (recordings / "test_suite.test_abc.json").touch()
    if len(os.listdir(recordings)) == 2:  # the file system has case: which of them a clone elsewhere keeps is unknown
        assert files()[0] == "test_suite.test_abc.json"
        assert files()[1] != "test_suite.test_ABC.json"
        assert len({name.casefold() for name in files()}) == 3


CHANGED = f"""
    import pytest
    {SAY}
    def test_same(recorded_venv_runner, tmp_path):
        say(recorded_venv_runner, tmp_path)

    def test_other(recorded_venv_runner):
        say(recorded_venv_runner, "one")
        ...
    """


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_only_what_has_changed_is_written_and_shown(pytester: pytest.Pytester, workers: str) -> None:
    """What is missing is named, what is different is shown as a difference, and all else is left as it is."""
    options = ("--venv-record=changed", workers)
    result = run_suite(pytester, CHANGED, *options, plugins=["xdist"])
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "*= venvrunner recordings =*",
            f"recorded recordings{os.sep}test_suite.test_other.json, which is new",
            f"recorded recordings{os.sep}test_suite.test_same.json, which is new",
        ]
    )
    folder = pytester.path / "recordings"
    # Another layout, and a recording from before a placeholder was added.
    whole = json.loads((folder / "test_suite.test_same.json").read_text())
    whole["paths"].remove("basetemp")
    old = json.dumps(whole)
    (folder / "test_suite.test_same.json").write_text(old)
    result = run_suite(pytester, CHANGED, *options, plugins=["xdist"])
    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("*venvrunner recordings*")
    result = run_suite(pytester, CHANGED.replace('"one"', '"two"'), *options, plugins=["xdist"])
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "*= venvrunner recordings =*",
            f"recorded recordings{os.sep}test_suite.test_other.json again:",
            "@@ *",
            '-*"one"*',
            '-*"stdout: one*',
            '+*"two"*',
            '+*"stdout: two*',
        ]
    )
    result.stdout.no_fnmatch_line("*test_same*")
    assert (folder / "test_suite.test_same.json").read_text() == old
    failing = CHANGED.replace('"one"', '"three"').replace("...", "assert False")
    result = run_suite(pytester, failing, *options, plugins=["xdist"])
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.no_fnmatch_line("*= venvrunner recordings =*")
    assert calls_of(pytester, "test_other")[0]["args"][-1] == "two"


def test_a_long_difference_is_cut_and_an_invalid_recording_is_replaced(pytester: pytest.Pytester) -> None:
    """The number of the lines that are left out is shown; a file that is no recording counts as different."""
    suite = """
        def test_it(recorded_venv_runner):
            recorded_venv_runner.log_run(["python", "-c", "for number in range(100): print('a', number)"])
        """
    for text in ("no JSON\n", "[]"):
        (pytester.path / "recordings").mkdir(exist_ok=True)
        (pytester.path / "recordings" / "test_suite.test_it.json").write_text(text)
        result = run_suite(pytester, suite, "--venv-record=changed")
        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines(["recorded * again:", "@@ *", f"-{text.rstrip()}", "+{", "… * more lines …"])
    assert len(calls_of(pytester, "test_it")[0]["output"]) == 100


def test_the_path_after_the_option_is_a_path(pytester: pytest.Pytester) -> None:
    """`--venv-record test_suite.py` as before; another value is refused."""
    run_suite(pytester, CHANGED, "--venv-record", "test_suite.py").assert_outcomes(passed=2)
    result = run_suite(pytester, CHANGED, "--venv-record=new")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--venv-record*'new'*"])
