"""The pytest plugin: a runner that records what a real one did, and answers from that."""

import json
from pathlib import Path

import pytest

from helpers.suites import run_suite

pytest_plugins = ["pytester"]

SUITE = """
    import pytest
    from venvrunner import VenvRunner

    @pytest.mark.venv(requirements=[])
    @pytest.mark.parametrize("word", ["a/b", "a:b"])
    def test_say(recorded_venv_runner, tmp_path, word):
        code = "import sys; print(sys.argv[1], sys.prefix)"
        result = recorded_venv_runner.log_run(["python", "-c", code, str(tmp_path / word)])
        assert result.stdout == f"{tmp_path / word} {recorded_venv_runner.venv_dir}\\n"
"""


def recordings(pytester: pytest.Pytester) -> list[Path]:
    """Return the files of all recordings."""
    return sorted((pytester.path / "recordings").glob("*"))


def test_what_was_recorded_is_answered(pytester: pytest.Pytester) -> None:
    """One file for each test, which fits another run; then no environment is made and no process is started."""
    run_suite(pytester, SUITE, "--venv-record").assert_outcomes(passed=2)
    first, second = recordings(pytester)
    assert first.name.startswith("test_suite.test_say-a-b-")
    assert first != second
    assert json.loads(first.read_text())["calls"][0]["args"][-1].startswith("{tmp_path}/a")
    result = run_suite(pytester, SUITE.replace("result =", "assert not recorded_venv_runner.calls\n        result ="))
    result.assert_outcomes(passed=2)


def test_the_error_for_a_missing_recording_says_how_to_make_it(pytester: pytest.Pytester) -> None:
    """The option is named."""
    result = run_suite(pytester, SUITE)
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*cannot be replayed: it does not exist. Record it with pytest --venv-record."])


def test_another_call_fails_the_test(pytester: pytest.Pytester) -> None:
    """With the difference; so does a call that is no longer made."""
    run_suite(pytester, SUITE, "--venv-record").assert_outcomes(passed=2)
    result = run_suite(pytester, SUITE.replace("sys.argv[1],", "sys.argv[1] ,"))
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*ExpectationError: * record '*.json' again with pytest --venv-record."])
    result = run_suite(pytester, "def test_say(recorded_venv_runner): pass")
    result.assert_outcomes(errors=1)
    (pytester.path / "recordings" / "test_suite.test_say.json").write_bytes(recordings(pytester)[0].read_bytes())
    result = run_suite(pytester, "def test_say(recorded_venv_runner, tmp_path): pass")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*not used. Run these commands, or record '*.json' again with pytest --venv-record."])
    assert "contextlib.py" not in result.stdout.str()


def test_a_recording_that_cannot_be_written_is_one_clear_error(pytester: pytest.Pytester) -> None:
    """Its directory may be a file, or read-only; the error names it."""
    (pytester.path / "recordings").touch()
    for option in ("--venv-record", "--venv-record=changed"):
        result = run_suite(pytester, "def test(recorded_venv_runner): pass", option)
        result.assert_outcomes(passed=1, errors=1)
        result.stdout.fnmatch_lines(["the recording '*test_suite.test.json' cannot be written: [[]Errno *"])
        assert "contextlib.py" not in result.stdout.str()


def test_a_failed_test_keeps_its_recording(pytester: pytest.Pytester) -> None:
    """What it did is not what it should do."""
    run_suite(pytester, SUITE, "--venv-record").assert_outcomes(passed=2)
    before = [path.read_bytes() for path in recordings(pytester)]
    run_suite(pytester, SUITE.replace("print(", "print(0, "), "--venv-record").assert_outcomes(failed=2)
    assert [path.read_bytes() for path in recordings(pytester)] == before


UNITTEST = """
    import unittest
    import pytest

    class TestSay(unittest.TestCase):
        @pytest.fixture(autouse=True)
        def _inject(self, recorded_venv_runner):
            self.runner = recorded_venv_runner

        def test_it(self):
            self.runner.log_run(["python", "-c", "print(1)"])
            ...
    """
PLAIN = """
    import pytest

    def test_it(recorded_venv_runner):
        recorded_venv_runner.log_run(["python", "-c", "print(1)"])
        ...
    """


@pytest.mark.parametrize(
    ("suite", "end", "outcome"),
    [
        (UNITTEST, "self.fail()", {"failed": 1}),
        (UNITTEST, "self.skipTest('here')", {"skipped": 1}),
        (PLAIN, "pytest.skip('here')", {"skipped": 1}),
        (PLAIN, "pytest.xfail('here')", {"xfailed": 1}),
    ],
)
def test_only_a_success_replaces_or_judges_a_recording(
    suite: str, end: str, outcome: dict[str, int], pytester: pytest.Pytester
) -> None:
    """As the report has it: what is skipped or kept by `unittest` is none, though no exception tells so.

    What skips itself or fails as expected can be replayed nevertheless.
    """
    ended = suite.replace("...", end)
    run_suite(pytester, ended, "--venv-record").assert_outcomes(**outcome)
    if "failed" in outcome:
        assert not recordings(pytester)
    else:
        run_suite(pytester, ended).assert_outcomes(**outcome)
        (path,) = recordings(pytester)
        path.unlink()
    run_suite(pytester, suite, "--venv-record").assert_outcomes(passed=1)
    before = [path.read_bytes() for path in recordings(pytester)]
    assert before
    run_suite(pytester, ended.replace("print(1)", "print(2)"), "--venv-record").assert_outcomes(**outcome)
    assert [path.read_bytes() for path in recordings(pytester)] == before
    # The recorded call is not made, and that is no second error.
    run_suite(pytester, "\n".join(line for line in ended.splitlines() if "print(1)" not in line)).assert_outcomes(**outcome)


@pytest.mark.parametrize(
    "suite",
    [
        PLAIN.replace("def test", "@pytest.mark.xfail(strict=True)\n    def test").replace("...", "assert False"),
        UNITTEST.replace("def test", "@unittest.expectedFailure\n        def test").replace("...", "self.fail()"),
    ],
)
def test_an_expected_failure_is_recorded(suite: str, pytester: pytest.Pytester) -> None:
    """It is replayed as it was, and not taken for one because it has no recording."""
    run_suite(pytester, suite, "--venv-record").assert_outcomes(xfailed=1)
    (path,) = recordings(pytester)
    assert [call["args"][-1] for call in json.loads(path.read_text())["calls"]] == ["print(1)"]
    name = "self.runner" if "unittest" in suite else "recorded_venv_runner"
    for line in ("assert False", "self.fail()"):
        suite = suite.replace(line, f"assert {name}.calls; __import__('os').mkdir('seen'); {line}")
    run_suite(pytester, suite).assert_outcomes(xfailed=1)
    assert (pytester.path / "seen").exists()


def test_a_test_that_another_fixture_skips_can_be_replayed(pytester: pytest.Pytester) -> None:
    """Behind that which provides the recording; one that is interrupted has none."""
    suite = """
        import pytest

        @pytest.fixture
        def other(recorded_venv_runner):
            recorded_venv_runner.log_run(["python", "-c", "print(1)"])
            ...

        def test_it(other):
            pass
        """
    ended = suite.replace("pass", "raise KeyboardInterrupt")
    assert run_suite(pytester, ended, "--venv-record").ret == pytest.ExitCode.INTERRUPTED
    assert not recordings(pytester)
    ended = suite.replace("...", "pytest.skip()")
    for option in ("--venv-record", "-v"):
        run_suite(pytester, ended, option).assert_outcomes(skipped=1)


def test_the_last_word_on_a_test_counts(pytester: pytest.Pytester) -> None:
    """A hook that makes a failure of a success, as the documentation of pytest shows how to change a report."""
    pytester.makeconftest(
        """
        import pytest

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            if report.when == "call":
                report.outcome, report.longrepr = "failed", "too slow"
            return report
        """
    )
    result = run_suite(pytester, PLAIN, "--venv-record")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*-- venvrunner commands --*"])
    assert not recordings(pytester)


@pytest.mark.skipif(not hasattr(pytest, "Subtests"), reason="pytest has subtests from version 9 on")
def test_a_subtest_that_fails_is_no_success(pytester: pytest.Pytester) -> None:
    """Though the test goes on behind it."""
    suite = """
        def test_it(recorded_venv_runner, subtests):
            with subtests.test():
                recorded_venv_runner.log_run(["python", "-c", "print(1)"])
                assert False
            with subtests.test():
                pass
        """
    run_suite(pytester, suite, "--venv-record")
    assert not recordings(pytester)
    run_suite(pytester, suite.replace("assert False", "pass"), "--venv-record")
    assert len(recordings(pytester)) == 1


def test_each_run_of_a_test_counts_for_itself(pytester: pytest.Pytester) -> None:
    """One that is run again: only the success is recorded, and the commands of the first run are not shown with the second."""
    pytester.makeconftest(
        """
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item, nextitem):
            for _ in range(2):
                reports = runtestprotocol(item, nextitem=nextitem, log=False)
            for report in reports:
                item.ihook.pytest_runtest_logreport(report=report)
            return True
        """
    )
    suite = """
        runs = []

        def test_it(recorded_venv_runner):
            runs.append(1)
            recorded_venv_runner.log_run(["python", "-c", f"print({len(runs)})"])
            assert len(runs) WANTED
        """
    run_suite(pytester, suite.replace("WANTED", "== 2"), "--venv-record").assert_outcomes(passed=1)
    (path,) = recordings(pytester)
    assert [call["args"][-1] for call in json.loads(path.read_text())["calls"]] == ["print(2)"]
    path.unlink()
    result = run_suite(pytester, suite.replace("WANTED", "== 1"), "--venv-record")
    result.assert_outcomes(failed=1)
    assert [line for line in result.outlines if line.startswith("$ ")] == ["$ python -c 'print(2)'"]
    assert [call["args"][-1] for call in json.loads(recordings(pytester)[0].read_text())["calls"]] == ["print(1)"]


def test_a_recording_of_the_plugin_is_as_any_other(pytester: pytest.Pytester) -> None:
    """Bytes that are no UTF-8, and what a callable ended: that the commands are noted for a report takes nothing from it."""
    suite = r"""
        import pytest

        def stop(line):
            raise LookupError

        def test_it(recorded_venv_runner):
            code = r"import os; os.write(1, b'caf\xe9\n')"
            recorded_venv_runner.log_run(["python", "-c", code], errors="replace")
            with pytest.raises(LookupError):
                code = "import time; print('begun', flush=True); time.sleep(3600)"
                recorded_venv_runner.log_run(["python", "-c", code], None, stop)
        """
    run_suite(pytester, suite, "--venv-record").assert_outcomes(passed=1)
    calls = json.loads(recordings(pytester)[0].read_text())["calls"]
    assert [call["output"] for call in calls] == [["stdout: caf\udce9\n"], ["stdout: begun\n"]]
    run_suite(pytester, suite).assert_outcomes(passed=1)


def test_a_replay_that_fails_shows_its_commands(pytester: pytest.Pytester) -> None:
    """As a real runner does, installations too, and what a callable ended."""
    suite = """
        import pytest

        def stop(line):
            raise LookupError

        def test_it(recorded_venv_runner):
            recorded_venv_runner.uninstall("pip")
            recorded_venv_runner.log_run(["python", "-c", "print('seen')"])
            with pytest.raises(LookupError):
                recorded_venv_runner.log_run(["python", "-c", "print('begun')"], None, stop)
            assert VALUE
        """
    run_suite(pytester, suite.replace("VALUE", "1"), "--venv-record").assert_outcomes(passed=1)
    result = run_suite(pytester, suite.replace("VALUE", "0"))
    result.assert_outcomes(failed=1)
    commands = [
        *("$ pip uninstall --yes pip", "exit code 0", "stdout:", "*uninstall*'pip'*"),
        *("$ python -c 'print(*seen*)'", "exit code 0", "stdout: seen"),
        *("$ python -c 'print(*begun*)'", "ended by LookupError", "stdout: begun"),
    ]
    result.stdout.fnmatch_lines(["*-- venvrunner commands --*", *commands])


def test_a_directory_of_the_test_is_a_placeholder_however_it_was_requested(pytester: pytest.Pytester) -> None:
    """Also when the test asks for it in its body."""
    suite = """
        def test_it(recorded_venv_runner, request):
            path = request.getfixturevalue("tmp_path")
            recorded_venv_runner.log_run(["python", "-c", "", path])
        """
    run_suite(pytester, suite, "--venv-record").assert_outcomes(passed=1)
    assert json.loads(recordings(pytester)[0].read_text())["calls"][0]["args"][-1] == "{tmp_path}"
    run_suite(pytester, suite).assert_outcomes(passed=1)


def test_each_test_has_a_recording_of_its_own(pytester: pytest.Pytester) -> None:
    """Also tests of the same name in two classes, and one whose name is too long for a file."""
    suite = """
        import pytest

        class TestA:
            def test_x(self, recorded_venv_runner):
                recorded_venv_runner.log_run(["python", "-c", "print('A')"])

        class TestB:
            def test_x(self, recorded_venv_runner):
                recorded_venv_runner.log_run(["python", "-c", "print('B')"])

        @pytest.mark.parametrize("text", ["x" * 300, "x" * 301, "\u4e2d" * 90])
        def test_long(recorded_venv_runner, text):
            recorded_venv_runner.log_run(["python", "-c", "print('C')"])
    """
    run_suite(pytester, suite, "--venv-record").assert_outcomes(passed=5)
    assert len(recordings(pytester)) == 5
    run_suite(pytester, suite).assert_outcomes(passed=5)
