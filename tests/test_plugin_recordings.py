"""The pytest plugin: a runner that records what a real one did, and answers from that."""

import json
from pathlib import Path

import pytest

from suites import run_suite

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


def test_a_recording_that_is_not_there_says_how_to_make_it(pytester: pytest.Pytester) -> None:
    """The option is named."""
    result = run_suite(pytester, SUITE)
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*can't be replayed: there is no such file!*", "Run this test with --venv-record."])


def test_another_call_fails_the_test(pytester: pytest.Pytester) -> None:
    """With the difference; so does a call that is no longer made."""
    run_suite(pytester, SUITE, "--venv-record").assert_outcomes(passed=2)
    result = run_suite(pytester, SUITE.replace("sys.argv[1],", "sys.argv[1] ,"))
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*ExpectationError*"])
    result = run_suite(pytester, "def test_say(recorded_venv_runner): pass")
    result.assert_outcomes(errors=1)
    (pytester.path / "recordings" / "test_suite.test_say.json").write_bytes(recordings(pytester)[0].read_bytes())
    result = run_suite(pytester, "def test_say(recorded_venv_runner, tmp_path): pass")
    result.assert_outcomes(passed=1, errors=1)


def test_a_failed_test_keeps_its_recording(pytester: pytest.Pytester) -> None:
    """What it did is not what it should do."""
    run_suite(pytester, SUITE, "--venv-record").assert_outcomes(passed=2)
    before = [path.read_bytes() for path in recordings(pytester)]
    run_suite(pytester, SUITE.replace("print(", "print(0, "), "--venv-record").assert_outcomes(failed=2)
    assert [path.read_bytes() for path in recordings(pytester)] == before


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

        @pytest.mark.parametrize("text", ["x" * 300, "x" * 301])
        def test_long(recorded_venv_runner, text):
            recorded_venv_runner.log_run(["python", "-c", "print('C')"])
    """
    run_suite(pytester, suite, "--venv-record").assert_outcomes(passed=4)
    assert len(recordings(pytester)) == 4
    run_suite(pytester, suite).assert_outcomes(passed=4)
