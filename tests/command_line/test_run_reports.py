"""`--json` and `--junit`: what a run writes, and that the command's streams stay what they are."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from helpers.command_line import run
from helpers.programs import SOURCE
from helpers.wheels import make_command_wheel

FIRST = "{}.{}".format(*sys.version_info)


def test_a_run_is_reported_and_its_streams_pass_through_unchanged(tmp_path: Path) -> None:
    """Every byte, live; the report has the end of each stream, what was installed, and how it ended."""
    code = "import sys; sys.stdout.buffer.write(bytes(range(256))); print('bad', file=sys.stderr); sys.exit(len(input()))"
    wheel = str(make_command_wheel(tmp_path))
    command = ["python", "-c", code]
    done = run("-q", "--json", "a.json", "--junit", "a.xml", "--with", wheel, "--", *command, cwd=tmp_path, stdin=b"four\n")
    assert (done.returncode, done.stdout, done.stderr) == (4, bytes(range(256)), b"bad\n")
    (report,) = json.loads((tmp_path / "a.json").read_text())
    assert (report["argv"], report["exit_code"], report["status"]) == (command, 4, "failed")
    assert report["receipts"] == [{"added": {"pocket": "1.0"}, "changed": {}, "removed": {}}]
    assert report["python"]["version"] == "{}.{}.{}".format(*sys.version_info)
    assert Path(report["python"]["executable"]).exists()  # the one of the environment is gone
    assert (report["stderr_end"], report["message"]) == ("bad\n", "The exit code is 4.")
    assert report["duration"] > 0
    assert ET.parse(tmp_path / "a.xml").getroot().attrib["failures"] == "1"


def test_what_never_ran_is_reported_too(tmp_path: Path) -> None:
    """With the reason; a passed run has none."""
    for command, status, code in (
        (["--with", "nope", "--", "python"], "error", None),
        (["--timeout", "0.2", "--", "python", "-c", "import time; time.sleep(600)"], "timeout", 124),
        (["--", "no-such-command"], "error", None),
        (["--", "python", "-V"], "passed", 0),
    ):
        run("--json", "a.json", *command, cwd=tmp_path)
        (report,) = json.loads((tmp_path / "a.json").read_text())
        assert (report["status"], report["exit_code"]) == (status, code)
        assert bool(report["message"]) == (status != "passed")


def test_a_matrix_has_one_report_for_each_python(tmp_path: Path) -> None:
    """In the order in which the Pythons were named; a missing one is there too."""
    pythons = ["--python", FIRST, "--python", "9.99"]
    done = run(*pythons, "--skip-missing", "--json", "a.json", "--", "python", "-c", "print('ran')", cwd=tmp_path)
    assert done.returncode == 0
    reports = json.loads((tmp_path / "a.json").read_text())
    assert [(report["status"], report["stdout_end"]) for report in reports] == [("passed", "ran\n"), ("skipped", "")]


def test_a_report_that_cannot_be_written_is_refused_before_the_run(tmp_path: Path) -> None:
    """Not after an hour of tests."""
    done = run("--json", "nowhere/a.json", "--", "python", "-c", "print('was run')", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"nowhere" in done.stderr


def test_a_report_that_becomes_unwritable_is_125(tmp_path: Path) -> None:
    """The message says so, whatever the command's exit code was."""
    (tmp_path / "out").mkdir()
    code = "import os; os.rmdir('out')"
    done = run("--json", "out/a.json", "--", "python", "-c", code, cwd=tmp_path)
    assert done.returncode == 125
    assert b"venvrunner: " in done.stderr


def test_a_reader_that_ends_stops_the_command(tmp_path: Path) -> None:
    """As SIGPIPE does without a report."""
    code = "import itertools\nfor n in itertools.count(): print(n)"
    argv = [sys.executable, "-m", "venvrunner", "--json", str(tmp_path / "a.json"), "--", "python", "-c", code]
    env = {**os.environ, "PYTHONPATH": SOURCE}
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr is not None
        assert b"what reads the output has ended" in process.stderr.read()
    assert process.returncode == 141


def test_a_closed_stream_loses_its_output_only(tmp_path: Path) -> None:
    """The report has it all the same."""
    argv = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "venvrunner", "--json", "a.json"]
    env = {**os.environ, "PYTHONPATH": SOURCE}
    done = subprocess.run([*argv, "--", "python", "-c", "print('lost')"], env=env, cwd=tmp_path, check=False)
    assert done.returncode == 0
    assert json.loads((tmp_path / "a.json").read_text())[0]["stdout_end"] == "lost\n"
