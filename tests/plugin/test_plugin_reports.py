"""What the report of a failing test shows: the commands that its runners have run."""

import subprocess
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from helpers.suites import SOURCES, make_wheelhouse, run_suite
from venvrunner import CommandTimeoutError, FakeVenvRunner
from venvrunner._fixtures.failures import end_in_test
from venvrunner._fixtures.journal import Journal
from venvrunner._fixtures.runners import fake_runner

pytest_plugins = ["pytester"]

HEADING = "*-- venvrunner commands --*"


def test_a_failing_test_shows_its_commands(pytester: pytest.Pytester) -> None:
    """With exit codes and the last lines of their output, masked; of all its runners; and none of other tests."""
    result = run_suite(
        pytester,
        r"""
        import pytest

        def test_before(venv_runner):
            venv_runner.log_run(["python", "-c", "print('before')"])

        @pytest.fixture
        def prepared(venv_runner):
            venv_runner.log_run(["python", "-c", "print('prepared')"])
            return venv_runner

        def test_fails(prepared, fake_venv_runner, venv_runner_factory, tmp_path):
            fake_venv_runner.log_run(["python", "-c", "print('fake')"])
            prepared.fork("child", tmp_path).log_run(["python", "-c", "print('child')"])
            with venv_runner_factory() as other:
                other.log_run(["python", "-c", "print('other')"])
            code = r"import sys; print(*range(100), sep='\n'); print('https://me:pw@host', sys.argv[1][::-1], file=sys.stderr)"
            prepared.log_run(["python", "-c", code, "hunter2"], secrets=iter(["hunter2", "2retnuh"]))
            assert prepared.log_run(["python", "-c", "raise SystemExit(3)"], check=False).returncode == 0

        def test_after(venv_runner):
            venv_runner.log_run(["python", "-c", "print('after')"])
        """,
        "-rA",
        "--tb=line",
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            HEADING,
            "$ python -c 'print('*'prepared'*')'",
            "exit code 0",
            "stdout: prepared",
            "$ python -c 'print('*'fake'*')'",
            "exit code 0",
            "stdout: fake",
            "$ python -c 'print('*'child'*')'",
            "*",
            "stdout: child",
            "$ python -c 'print('*'other'*')'",
            "*",
            "stdout: other",
            "$ python -c 'import sys; *' '[*][*][*][*]'",
            "exit code 0",
            "stdout:",
            "… 80 lines …",
            "80",
            "*",
            "99",
            "stderr: https://[*][*][*][*]@host [*][*][*][*]",
            "$ python -c 'raise SystemExit(3)'",
            "exit code 3",
        ],
    )
    text = result.stdout.str()
    assert text.count("venvrunner commands") == 1
    assert not [
        word for word in ("stdout: before", "stdout: after", "hunter2", "me:pw") if word in text.split("== FAILURES")[1]
    ]


def test_installations_are_among_the_commands(pytester: pytest.Pytester) -> None:
    """Those of the test, sync and async, and those that prepared what it forks."""
    make_wheelhouse(pytester, "pocket", "needy")
    result = run_suite(
        pytester,
        """
        import asyncio
        import pytest

        @pytest.mark.venv(requirements=["pocket"])
        def test_fails(venv_runner):
            venv_runner.install("needy")
            asyncio.run(venv_runner.async_install("needy"))
            asyncio.run(venv_runner.async_log_run(["python", "-c", "raise SystemExit(4)"]))
        """,
        "--venv-wheelhouse=wheelhouse",
        "--venv-installer=uv",
    )
    result.assert_outcomes(failed=1)
    lines = [line for line in result.stdout.lines if line.startswith("$ ")]
    # What is prepared in the store is resolved first, and installed from a lock file.
    assert [line.split()[-1] for line in lines[-3:]] == ["needy", "needy", "SystemExit(4)'"]
    prepared = [line.split()[2:4] for line in lines[:-3] if line.split()[1].endswith("uv")]
    assert prepared == [["pip", "compile"], ["pip", "install"]]
    result.stdout.fnmatch_lines([lines[-1], "exit code 4"])


def test_each_phase_that_fails_shows_them(pytester: pytest.Pytester) -> None:
    """A fixture before the test, and one after it."""
    result = run_suite(
        pytester,
        """
        import pytest

        @pytest.fixture
        def before(fake_venv_runner):
            fake_venv_runner.log_run(["python", "-c", "raise SystemExit(5)"])

        @pytest.fixture
        def after(fake_venv_runner):
            yield
            fake_venv_runner.log_run(["python", "-c", "raise SystemExit(6)"])

        def test_before(before): pass
        def test_after(after): pass
        """,
        "--tb=line",
    )
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines([HEADING, "*(5)'", "exit code 5", HEADING, "*(6)'", "exit code 6"])


def test_a_test_without_commands_shows_nothing(pytester: pytest.Pytester) -> None:
    """No empty section."""
    result = run_suite(pytester, "def test(fake_venv_runner): assert False")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line(HEADING)


def shown(journal: Journal) -> str:
    """Return what a failing test shows."""
    report = pytest.TestReport("test", ("", 0, ""), {}, "failed", None, "call")
    hook = journal.pytest_runtest_makereport(pytest.CallInfo.from_call(lambda: None, "call"))
    next(hook)
    with pytest.raises(StopIteration):
        hook.send(report)
    return dict(report.sections)["venvrunner commands"]


def test_every_end_of_a_command_is_reported() -> None:
    """Whatever ended it; the exception is not changed."""
    journal = Journal()
    for error in (
        CommandTimeoutError(["x"], 2.5, "half\n", "a line"),
        KeyboardInterrupt(),
        subprocess.CalledProcessError(-9, "x"),
    ):
        with pytest.raises(type(error)) as caught, journal.note(["tool"], {}):
            raise error
        assert caught.value is error
    with journal.note(["tool", "a b"], {}):
        assert shown(journal).splitlines() == [
            *("$ tool", "ended after 2.5 seconds", "stdout: half", "stderr: a line"),
            *("$ tool", "ended by KeyboardInterrupt"),
            *("$ tool", "exit code -9"),
            *("$ tool 'a b'", "still running"),
        ]


def test_what_an_exception_ended_shows_its_output(pytester: pytest.Pytester) -> None:
    """A decoding error after the end, a callable's exception, a cancel: nothing else has what was written."""
    result = run_suite(
        pytester,
        r"""
        import asyncio
        import pytest

        def stop(line):
            raise LookupError

        async def cancelled(runner):
            ready = asyncio.Event()
            code = "import time; print('cancelled', flush=True); time.sleep(3600)"
            task = asyncio.ensure_future(runner.async_log_run(["python", "-c", code], None, lambda line: ready.set()))
            await ready.wait()
            task.cancel()
            await asyncio.wait([task])

        def test_fails(fake_venv_runner):
            with pytest.raises(UnicodeDecodeError):
                fake_venv_runner.log_run(["python", "-c", r"import sys; sys.stdout.buffer.write(b'caf\xe9')"])
            with pytest.raises(LookupError):
                fake_venv_runner.log_run(["python", "-c", "import time; print('a', flush=True); time.sleep(3600)"], None, stop)
            asyncio.run(cancelled(fake_venv_runner))
            assert False
        """,
    )
    result.assert_outcomes(failed=1)
    expected = [HEADING, "$ *", "exit code 0, then ended by OutputDecodeError", r"stdout: caf\xe9", "$ *"]
    result.stdout.fnmatch_lines(
        [*expected, "ended by LookupError", "stdout: a", "$ *", "ended by CancelledError", "stdout: canc*"]
    )


def test_only_the_last_commands_are_shown() -> None:
    """And kept, with the end of their output only; how many there were before is said."""
    journal = Journal()
    for number in range(1000):
        with journal.note(["tool", str(number)], {}) as entry:
            entry.done(subprocess.CompletedProcess([], 0, "line\n" * 1000, None))
    lines = shown(journal).splitlines()
    assert lines[:3] == ["… 980 commands …", "$ tool 980", "exit code 0"]
    assert "$ tool 999" in lines
    assert len(lines) == 1 + 20 * 24


def test_long_lines_are_cut_after_they_were_masked() -> None:
    """Half a password is not shown."""
    journal = Journal()
    with journal.note(["tool"], {"secrets": ["x" * 600]}) as entry:
        entry.done(subprocess.CompletedProcess([], 0, "x" * 600 + "y" * 600, None))
    assert shown(journal).splitlines()[-1] == f"stdout: ****{'y' * 496} …"


@pytest.mark.parametrize(
    ("args", "options"), [("tool", {}), ([], {}), (["tool"], {"secrets": "hunter2"}), (["tool"], {"secrets": 3})]
)
def test_a_wrong_call_is_reported_as_without_the_plugin(args: list[str], options: dict[str, Any]) -> None:
    """By the same exception, with the same words."""
    messages = []
    for runner in (FakeVenvRunner(), fake_runner(Journal())):
        with pytest.raises((TypeError, ValueError)) as caught:
            runner.log_run(args, **options)
        messages.append((caught.type, str(caught.value)))
    assert messages[0] == messages[1]


def test_a_name_that_is_no_utf_8_reaches_the_report(pytester: pytest.Pytester) -> None:
    """Also from a worker of pytest-xdist, which sends UTF-8 only."""
    suite = r"""
        def test_fails(fake_venv_runner):
            code = r"import sys; sys.stdout.buffer.write(b'caf\xe9')"
            fake_venv_runner.log_run(["python", "-c", code], errors="surrogateescape")
            assert False
    """
    result = run_suite(pytester, suite, "-n1", plugins=["xdist"])
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([HEADING, "*stdout: caf?udce9"])


FAILING = """
    import pytest

    CODE = "print('some output'); raise SystemExit(3)"

    def test_code(fake_venv_runner):
        fake_venv_runner.log_run(["python", "-c", CODE])

    def test_timeout(fake_venv_runner):
        code = "import time; print('started', flush=True); time.sleep(3600)"
        fake_venv_runner.log_run(["python", "-c", code], timeout=0.5)

    def test_lines(fake_venv_runner):
        for line in fake_venv_runner.lines(["python", "-c", CODE]):
            pass

    def test_call(fake_venv_runner):
        fake_venv_runner.call("json:loads", "{")

    @pytest.mark.anyio
    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_async(fake_venv_runner):
        await fake_venv_runner.async_log_run(["python", "-c", CODE])
"""


def test_a_failure_says_everything_once(pytester: pytest.Pytester) -> None:
    """The command, its exit code and its output; the summary names the command; no frame of this package; in XML too."""
    result = run_suite(pytester, FAILING, "--junitxml=report.xml", plugins=["anyio"], env={"COLUMNS": "200"})
    result.assert_outcomes(failed=5)
    code = "python -c 'print('*'some output'*'); raise SystemExit(3)'"
    result.stdout.fnmatch_lines(
        [
            f"E       CommandError: exit code 3: {code}",
            HEADING,
            f"$ {code}",
            "exit code 3",
            "stdout: some output",
            f"FAILED test_suite.py::test_code - exit code 3: {code}",
            "FAILED test_suite.py::test_timeout - ended after 0.5 seconds: python -c 'import time; *",
            f"FAILED test_suite.py::test_lines - exit code 3: {code}",
            "FAILED test_suite.py::test_call - *json:loads raised *",
            f"FAILED test_suite.py::test_async* - exit code 3: {code}",
        ]
    )
    failures = result.stdout.str().partition("= FAILURES")[2].partition("short test summary")[0]
    assert failures.count("stdout: some output") == 3
    assert "The last lines of" not in failures
    assert not [line for line in result.outlines if line.startswith(("src/venvrunner", str(SOURCES)))]
    cases = ET.parse(pytester.path / "report.xml").getroot().iter("testcase")
    texts = {case.get("name"): "".join(case.itertext()) for case in cases}
    assert [name for name, text in texts.items() if "venvrunner commands" not in text] == []


def test_a_failed_preparation_is_named_without_its_module(pytester: pytest.Pytester) -> None:
    """The summary begins with what happened; the commands are in the XML too."""
    suite = """
    import pytest

    @pytest.mark.venv(requirements=["no-such-package"])
    def test_fixture(venv_runner): pass
    """
    pytester.mkdir("wheels")  # not an index, which not every machine can reach
    options = ("--junitxml=report.xml", "--venv-wheelhouse=wheels")
    result = run_suite(pytester, suite, *options, env={"COLUMNS": "200"}, settings="venv_installer = uv")
    result.stdout.fnmatch_lines(["ERROR test_suite.py::test_fixture - Failed: NoSuchPackageError: no-such-package *"])
    assert "venvrunner commands" in (pytester.path / "report.xml").read_text()


def test_an_error_without_commands_has_no_frames_of_the_plugin(pytester: pytest.Pytester) -> None:
    """Wherever the environment is requested; the summary begins with what happened."""
    suite = """
    import pytest

    @pytest.fixture
    def tools(venv_runner_factory):
        with venv_runner_factory(requirements=["./missing"]) as runner:
            yield runner

    def test_fixture(tools): pass

    def test_call(venv_runner_factory):
        venv_runner_factory(installer="npm")

    @pytest.mark.venv(requirements=["./missing"])
    def test_mark(venv_runner): pass
    """
    result = run_suite(pytester, suite, env={"COLUMNS": "1000"})
    result.assert_outcomes(failed=1, errors=2)
    result.stdout.fnmatch_lines(
        [
            "FAILED test_suite.py::test_call - ValueError: 'npm' is not an installer. *",
            "ERROR test_suite.py::test_fixture - InvalidRequirementError: '*missing' looks like a path, *",
            "ERROR test_suite.py::test_mark - Failed: InvalidRequirementError: '*missing' looks like a path, *",
        ]
    )
    assert "pytest_plugin.py" not in result.stdout.str()
    assert "def __call__" not in result.stdout.str()


def test_the_debugger_starts_in_the_test(pytester: pytest.Pytester) -> None:
    """Unless all frames are asked for; an error of the test's own function is not cut."""
    suite = """
    def test_command(fake_venv_runner):
        here = "test_command"
        fake_venv_runner.log_run(["python", "-c", "raise SystemExit(3)"])

    def test_function(fake_venv_runner):
        def read(line):
            here = "read"
            raise ValueError(line)
        fake_venv_runner.log_run(["python", "-c", "print(1)"], stdout_loglevel=read)
    """
    pytester.makepyfile(
        debugger="""
        import pdb

        class Debugger(pdb.Pdb):
            def interaction(self, frame, *given):
                stack, number = self.get_stack(None, getattr(given[0], "__traceback__", given[0]))
                print("stopped in", stack[number][0].f_locals.get("here"))
        """
    )
    for options, first in (([], "test_command"), (["--full-trace"], "None")):
        result = run_suite(pytester, suite, "--pdb", "--pdbcls=debugger:Debugger", "-s", *options)
        result.assert_outcomes(failed=2)
        result.stdout.fnmatch_lines([f"stopped in {first}", "stopped in read"])


@pytest.mark.parametrize("style", ["auto", "long", "short", "line", "native", "no"])
def test_each_style_of_tracebacks_has_the_commands(pytester: pytest.Pytester, style: str) -> None:
    """Unless there are no failures at all; with workers too."""
    suite = "def test(fake_venv_runner): fake_venv_runner.log_run(['python', '-c', 'raise SystemExit(3)'])"
    result = run_suite(pytester, suite, f"--tb={style}", "-n1", plugins=["xdist"], env={"COLUMNS": "200"})
    result.stdout.fnmatch_lines(["FAILED test_suite.py::test - exit code 3: python -c 'raise SystemExit(3)'"])
    assert result.stdout.str().count("venvrunner commands") == (style != "no")


@pytest.mark.parametrize(("hidden", "shown"), [(True, "test"), (False, "ours")])
def test_the_debugger_starts_in_a_test_of_the_contract(hidden: bool, shown: str) -> None:
    """Its module belongs to the package, and its frames are not hidden."""
    names: dict[str, Any] = {"__name__": "venvrunner.module", "__tracebackhide__": hidden}
    exec("def ours(): raise ValueError", names)

    def test() -> None:
        names["ours"]()

    with pytest.raises(ValueError, match=r"^$") as caught:
        test()
    end_in_test(caught.value)
    assert [entry.name for entry in caught.traceback][-1] == shown
