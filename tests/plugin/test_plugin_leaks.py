"""The setting venv_leaks: a test fails that leaves processes of its commands, or files."""

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from helpers.suites import environments, run_suite
from helpers.system import LINUX
from venvrunner import VenvRunner
from venvrunner._fixtures.journal import Journal
from venvrunner._fixtures.leaks import _files, watched
from venvrunner._fixtures.runners import real_runners

pytest_plugins = ["pytester"]

SUITE = """
import os, sys, tempfile
import pytest

DAEMON = '''
import os, subprocess, sys
code = "print('ready', os.getpid(), flush=True); __import__('time').sleep(3600)"
child = subprocess.Popen([sys.executable, "-c", "import os; " + code], stdout=-1, text=True, start_new_session=True)
with open(sys.argv[1], "w") as file:
    file.write(child.stdout.readline().split()[1])
'''

def test_clean(venv_runner, tmp_path):
    code = "import tempfile, sys; tempfile.TemporaryFile(); open(sys.argv[1] + '/file', 'w'); open(sys.prefix + '/file', 'w')"
    venv_runner.log_run(["python", "-c", code, tmp_path])

def test_temporary(venv_runner):
    venv_runner.log_run(["python", "-c", "import tempfile; tempfile.mkdtemp(prefix='forgotten-')"])

def test_rootdir(venv_runner):
    venv_runner.log_run(["python", "-c", "import os; os.mkdir('new'); open('new/stray.txt', 'w')"])

def test_failing(venv_runner):
    venv_runner.log_run(["python", "-c", "open('unreported.txt', 'w')"])
    assert False

def test_own_directory(venv_runner, tmp_path):
    code = "import tempfile; print(tempfile.gettempdir())"
    assert venv_runner.log_run(["python", "-c", code], extra_env={"TMPDIR": str(tmp_path)}).stdout.strip() == str(tmp_path)

@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_process(venv_runner, request):
    venv_runner.log_run(["python", "-c", DAEMON, request.config.rootpath / ".pid"])
"""


def test_a_test_that_leaves_something_fails(pytester: pytest.Pytester) -> None:
    """The error says what; files in tmp_path, in the environment and of a failed test are not leaks."""
    result = run_suite(pytester, SUITE, settings="venv_leaks = error\nvenv_installer = uv", env={"COLUMNS": "200"})
    if LINUX:
        os.kill(int((pytester.path / ".pid").read_text()), signal.SIGKILL)
    result.assert_outcomes(passed=4 + LINUX, failed=1, errors=2 + LINUX)
    result.stdout.fnmatch_lines(
        [
            "venv_leaks: the test has left",
            "  the temporary file *forgotten-*",
            "End the processes and remove the files in the test, or write files to tmp_path.",
            "venv_leaks: the test has left",
            "  the file *new",
            "  the file *new/stray.txt",
            *(["  the process *: *python* -c import os; print*"] if LINUX else []),
        ]
    )
    assert not environments(pytester)


@pytest.mark.skipif(not LINUX, reason="processes are found in /proc")
def test_credentials_of_a_process_are_masked(pytester: pytest.Pytester) -> None:
    """Those of URLs, and the secrets of the test's commands; a program of several lines is shown in one."""
    suite = r"""
    CODE = '''
    import subprocess, sys
    program = "import os, time\\nprint(os.getpid(), flush=True)\\ntime.sleep(3600)"
    command = [sys.executable, "-c", program, *sys.argv[1:]]
    print(subprocess.Popen(command, stdout=-1, text=True, start_new_session=True).stdout.readline())
    '''

    def test(venv_runner, request):
        command = ["python", "-c", CODE, "https://me:pw@host/x", "hunter2"]
        result = venv_runner.log_run(command, secrets=["hunter2"])
        (request.config.rootpath / ".pid").write_text(result.stdout)
    """
    result = run_suite(pytester, suite, settings="venv_leaks = error", env={"COLUMNS": "200"})
    os.kill(int((pytester.path / ".pid").read_text()), signal.SIGKILL)
    result.assert_outcomes(passed=1, errors=1)
    shown = "-c import os, time print(os.getpid(), flush=True) time.sleep(3600) https://[*][*][*][*]@host/x [*][*][*][*]"
    result.stdout.fnmatch_lines([f"  the process *python* {shown}"])
    assert "hunter2" not in result.stdout.str()


def test_without_the_setting_nothing_is_watched(pytester: pytest.Pytester) -> None:
    """Nor changed: commands have the directory for temporary files of the test."""
    suite = """
    import sys, tempfile

    def test_same(venv_runner):
        code = "import tempfile; print(tempfile.gettempdir())"
        assert venv_runner.log_run(["python", "-c", code]).stdout.strip() == tempfile.gettempdir()
        venv_runner.log_run(["python", "-c", "open('stray.txt', 'w')"])
        assert "venvrunner._fixtures.leaks" not in sys.modules
    """
    run_suite(pytester, suite).assert_outcomes(passed=1)


def test_workers_leave_the_files_of_others_alone(pytester: pytest.Pytester) -> None:
    """Only temporary files and processes are surely those of one test."""
    suite = """
    def test_file(venv_runner):
        venv_runner.log_run(["python", "-c", "open('stray.txt', 'w')"])

    def test_many(venv_runner):
        venv_runner.log_run(["python", "-c", "import tempfile; [tempfile.mkdtemp() for _ in range(12)]"])
    """
    result = run_suite(pytester, suite, "-n1", plugins=["xdist"], settings="venv_leaks = error")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["  … and 2 more"])


def test_a_wrong_value_is_refused(pytester: pytest.Pytester) -> None:
    """Before any test starts."""
    result = run_suite(pytester, "def test(): pass", settings="venv_leaks = warn")
    result.stderr.fnmatch_lines(["ERROR: venv_leaks: 'warn' is not a choice. Use 'error'."])


def test_files_are_searched_below_directories_that_are_not_left_out(tmp_path: Path) -> None:
    """Nor in the directory of pytest for temporary files, nor in a directory that is gone."""
    for name in ("a/b/file", "a/.hidden", "__pycache__/x.pyc", "base/file", "venv/pyvenv.cfg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to("a")
    top, base = str(tmp_path), str(tmp_path / "base")
    found = {os.path.relpath(path, top) for path in _files([top, str(tmp_path / "gone")], base)}
    assert found == {"a", "a/b", "a/b/file", "link", "venv"}
    every = _files([top], "", hidden=True)
    assert {str(tmp_path / "a" / ".hidden"), str(tmp_path / "__pycache__" / "x.pyc")} <= every


@pytest.mark.parametrize(("outcome", "is_leak"), [("passed", True), ("failed", False), (None, False)])
def test_only_a_passed_test_is_failed(venv: VenvRunner, tmp_path: Path, outcome: Any, is_leak: bool) -> None:
    """The error shows the first ten leaks; an own directory for temporary files is that of the caller."""
    runner = real_runners(Journal(), []).open(venv.venv_dir).temporary_fork(str(tmp_path))
    journal = Journal()
    with runner, contextlib.ExitStack() as stack:
        if is_leak:
            caught = stack.enter_context(pytest.raises(pytest.fail.Exception, match="venv_leaks: the test has left"))
        with watched(runner, journal, [str(tmp_path / "none")], str(tmp_path)):
            temporary = runner.environment()["TMPDIR"]
            assert runner.environment({"TMPDIR": "/own"})["TMPDIR"] == "/own"
            for number in range(11):
                (Path(temporary) / f"{number:02}").touch()
            journal.outcome = outcome
    if is_leak:
        assert "09" in str(caught.value)
        assert "… and 1 more" in str(caught.value)
