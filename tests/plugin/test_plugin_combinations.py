"""The pytest plugin beside plugins that repeat, stop, fork or generate tests, run async ones, or freeze clocks."""

import os
import signal
import stat
import textwrap

import pytest

from helpers.suites import SOURCES, environments, run_suite

pytest_plugins = ["pytester"]

RUN = """
import pytest

def run(runner, code="print(1)", **options):
    return runner.log_run(["python", "-c", code], **options).stdout.rstrip()
"""


def with_run(suite: str) -> str:
    """Return a suite with a function that runs Python code."""
    return RUN + textwrap.dedent(suite)


def test_a_rerun_has_an_environment_of_its_own(pytester: pytest.Pytester) -> None:
    """pytest-rerunfailures: what the first run did to its environment is not there in the second."""
    pytest.importorskip("pytest_rerunfailures", reason="pytest-rerunfailures is not installed")
    suite = """
        runs = []

        def test_it(venv_runner):
            runs.append(venv_runner.venv_dir)
            run(venv_runner, "import sys; open(sys.prefix + '/new', 'x')")
            assert len(runs) == 2

        def test_it_fails_twice(venv_runner):
            run(venv_runner, "raise SystemExit(3)")
        """
    result = run_suite(pytester, with_run(suite), "--reruns=1", plugins=["rerunfailures"])
    assert result.parseoutcomes() == {"passed": 1, "failed": 1, "rerun": 2}
    assert [line for line in result.outlines if line == "exit code 3"] == ["exit code 3"]
    assert not environments(pytester)


HANG = """
    from pathlib import Path

    def test_it_hangs(venv_runner):
        run(venv_runner, "import os, time; print(os.getpid(), flush=True); time.sleep(600)", stdout_loglevel=note)

    def note(line):
        Path("pid").write_text(line)

    def test_the_next(venv_runner):
        assert run(venv_runner) == "1"
    """


def run_until_timeout(pytester: pytest.Pytester, method: str) -> pytest.RunResult:
    """Run the suite that hangs; only the call is limited, and it has time to start the command on a busy machine."""
    pytest.importorskip("pytest_timeout", reason="pytest-timeout is not installed")
    options = ("--timeout=10", f"--timeout-method={method}", "-o", "timeout_func_only=true")
    return run_suite(pytester, with_run(HANG), *options, plugins=["timeout"])


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="pytest-timeout needs SIGALRM")
def test_a_timeout_by_signal_stops_the_command_and_the_next_test_runs(pytester: pytest.Pytester) -> None:
    """pytest-timeout's default method: the report has the command, and nothing is left."""
    result = run_until_timeout(pytester, "signal")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*-- venvrunner commands --*", "ended by Failed", "stdout: [0-9]*"])
    assert not environments(pytester)
    with pytest.raises(ProcessLookupError):
        os.kill(int((pytester.path / "pid").read_text()), 0)


def test_a_timeout_by_thread_ends_pytest(pytester: pytest.Pytester) -> None:
    """pytest-timeout's other method shows where the test was, and ends the process without any teardown."""
    result = run_until_timeout(pytester, "thread")
    os.kill(int((pytester.path / "pid").read_text()), signal.SIGTERM)  # the command of this test, which goes on
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    shown = f"{result.stdout.str()}{result.stderr.str()}"
    assert shown.count("+ Timeout +") == 2
    assert "in test_it_hangs" in shown


def test_each_forked_test_has_its_environment(pytester: pytest.Pytester) -> None:
    """pytest-forked: each child prepares and removes what it uses."""
    pytest.importorskip("pytest_forked", reason="pytest-forked is not installed")
    suite = """
        import os

        @pytest.mark.parametrize("number", range(2))
        def test_it(venv_runner, number):
            assert run(venv_runner) == "1"

        def test_fails(venv_runner):
            run(venv_runner, "raise SystemExit(3)")
        """
    if run_suite(pytester, "def test(): pass", "--forked", "-W", "default", plugins=["pytest_forked"]).ret:
        pytest.skip("this pytest-forked runs no test of this pytest")
    result = run_suite(pytester, with_run(suite), "--forked", "-W", "default", plugins=["pytest_forked"])
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*-- venvrunner commands --*", "exit code 3"])
    assert not environments(pytester)


def test_hypothesis_gets_an_environment_for_each_example_from_the_factory(pytester: pytest.Pytester) -> None:
    """Its health check refuses `venv_runner`, which is one for all examples; the order of pytest-randomly changes nothing."""
    suite = """
        from hypothesis import given, settings, strategies
        import pytest

        @settings(max_examples=3, deadline=None, database=None)
        @given(word=strategies.text("ab", min_size=1, max_size=5))
        def test_each_example(venv_runner_factory, word):
            with venv_runner_factory() as runner:
                code = "import os, sys; os.mkdir(sys.prefix + '/once'); print(sys.argv[1])"
                assert runner.log_run(["python", "-c", code, word]).stdout == f"{word}\\n"

        @settings(max_examples=3, deadline=None, database=None)
        @given(word=strategies.text("ab", max_size=5))
        def test_one_for_all(venv_runner, word):
            pass
        """
    result = run_suite(pytester, suite, "-p", "randomly", plugins=["hypothesispytest"])
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*FailedHealthCheck*function-scoped fixture*"])
    assert not environments(pytester)


ASYNC = """
    import pytest
    MARK
    async def test_async(venv_runner, fake_venv_runner, recorded_venv_runner):
        for runner in venv_runner, fake_venv_runner, recorded_venv_runner:
            assert (await runner.async_log_run(["python", "-c", "print(1)"])).stdout == "1\\n"
        assert [line async for line in venv_runner.async_lines(["python", "-c", "print(2)"])] == ["2"]
        assert await venv_runner.async_call("math:sqrt", 4) == 2.0
    """


@pytest.mark.parametrize(("mode", "mark"), [("strict", "@pytest.mark.asyncio"), ("auto", "")])
def test_async_tests_run_in_both_modes_of_pytest_asyncio(pytester: pytest.Pytester, mode: str, mark: str) -> None:
    """With every runner."""
    settings = f"asyncio_mode = {mode}\nasyncio_default_fixture_loop_scope = function"
    suite = ASYNC.replace("MARK", mark)
    for option in ("--venv-record", "-v"):
        run_suite(pytester, suite, option, plugins=["asyncio"], settings=settings).assert_outcomes(passed=1)


def test_async_tests_of_anyio_run_on_asyncio_and_trio(pytester: pytest.Pytester) -> None:
    """With the mark alone, which means all backends."""
    suite = ASYNC.replace("MARK", "@pytest.mark.anyio")
    for option in ("--venv-record", "-v"):
        result = run_suite(pytester, suite, option, plugins=["anyio"])
        result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*test_async?asyncio? PASSED*", "*test_async?trio? PASSED*"])


def test_classes_of_unittest_and_subtests_use_the_fixtures(pytester: pytest.Pytester) -> None:
    """By a fixture that is used automatically; each subtest that fails shows the commands so far."""
    suite = """
        import unittest

        class TestIt(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _inject(self, venv_runner):
                self.runner = venv_runner

            def test_it(self):
                assert run(self.runner) == "1"

            def test_subtests(self):
                for number in range(3):
                    with self.subTest(number=number):
                        run(self.runner, f"raise SystemExit({number % 2})")
        """
    result = run_suite(pytester, with_run(suite))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*-- venvrunner commands --*", "exit code 0", "exit code 1"])
    assert not environments(pytester)


def test_a_read_only_rootdir_is_enough(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written beside the tests, and the directories of `--basetemp` are elsewhere."""
    suite = """
        @pytest.mark.venv(requirements=[])
        def test_it(venv_runner, fake_venv_runner, venv_runner_factory):
            assert run(venv_runner) == run(fake_venv_runner) == "1"
            with venv_runner_factory() as runner:
                assert run(runner) == "1"
        """
    root = pytester.mkdir("root")
    (root / "test_suite.py").write_text(with_run(suite))
    root.chmod(stat.S_IRUSR | stat.S_IXUSR)  # no obstacle for the superuser
    for name, value in {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": str(SOURCES),
        "PYTHONDONTWRITEBYTECODE": "1",
    }.items():
        monkeypatch.setenv(name, value)
    options = ["-p", "venvrunner.pytest_plugin", "-p", "no:cacheprovider", f"--rootdir={root}", "--basetemp=elsewhere"]
    try:
        pytester.runpytest_subprocess(*options, root, timeout=60).assert_outcomes(passed=1)
    finally:
        root.chmod(stat.S_IRWXU)
    assert [path.name for path in root.iterdir()] == ["test_suite.py"]


CLOCKS = {
    "freezegun": "freezegun.freeze_time('2012-01-01')",
    "time_machine": "time_machine.travel('2012-01-01', tick=False)",
}


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_frozen_clock_freezes_no_timeout(pytester: pytest.Pytester, clock: str) -> None:
    """Neither of a synchronous call nor of one on asyncio or trio, nor of a callback that is awaited."""
    pytest.importorskip(clock, reason=f"{clock} is not installed")
    suite = f"""
        import asyncio, subprocess, time
        import anyio, {clock}, pytest
        ENDLESS = ["python", "-c", "import time; print('begun', flush=True); time.sleep(600)"]

        def test_sync(fake_venv_runner):
            with {CLOCKS[clock]}:
                before = time.time()
                with pytest.raises(subprocess.TimeoutExpired):
                    fake_venv_runner.log_run(ENDLESS, timeout=0.2)
                assert time.time() == before
                result = fake_venv_runner.log_run(["python", "-c", ""], timeout=60)
            assert result.duration > 0

        async def wait(line):
            await anyio.Event().wait()

        @pytest.mark.anyio
        @pytest.mark.parametrize("callback", [None, wait])
        async def test_async(fake_venv_runner, callback):
            with {CLOCKS[clock]}:
                with pytest.raises(subprocess.TimeoutExpired):
                    await fake_venv_runner.async_log_run(ENDLESS, None, callback, timeout=0.2)
                await fake_venv_runner.async_log_run(["python", "-c", "print()"], timeout=60)
        """
    plugins = ["anyio"]
    run_suite(pytester, suite, plugins=plugins).assert_outcomes(passed=5)
