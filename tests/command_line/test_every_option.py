"""Every option, in each of its forms, is used by a test of the console script."""

import os
import re
import sys
import tomllib
from pathlib import Path

import pytest

from helpers.command_line import run
from helpers.wheels import LOCAL, make_pockets, make_wheel

COMMANDS = ["", "lock", "store", "store prune", "store list", "cache", "pythons", "doctor", "completion"]
VERSIONS = "import importlib.metadata as m; print(sorted((d.name, d.version) for d in m.distributions() if d.name != 'pip'))"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with wheels, a requirements file, a constraints file and a project."""
    make_pockets(tmp_path)
    (tmp_path / "needs.txt").write_text("pocket\n")
    project = tmp_path / "project"
    project.mkdir()
    build = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (project / "pyproject.toml").write_text(f'{build}[project]\nname = "mine"\nversion = "3.0"\n')
    (project / "backend.py").write_text(
        "import os, shutil\n"
        "def build_editable(directory, config_settings=None, metadata_directory=None):\n"
        "    return os.path.basename(shutil.copy('mine-3.0-py3-none-any.whl', directory))\n"
        "build_wheel = build_editable\n"
    )
    make_wheel(project, "mine", "3.0")
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_each_option_of_the_help_is_in_a_test(command: str) -> None:
    """An option that is added without a test is noticed, also if only one of its forms has none."""
    done = run(*command.split(), "-h")
    assert (done.returncode, done.stderr) == (0, b"")
    shown = re.findall(r"^  (-.*?)(?:  .*)?$", done.stdout.decode(), re.MULTILINE)
    flags = re.findall(r"(?<![\w-])--?[a-z][a-z-]*", " ".join(shown))
    assert {"-h", "--help"} <= {*flags}
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert [flag for flag in flags if not re.search(rf"""["']{flag}["'=]""", tests)] == []


def test_the_long_forms_of_a_run(folder: Path) -> None:
    """They install the same as the short ones."""
    options = ["--requirements-file", "needs.txt", "--constraint", "limits.txt", "--editable", "project", "--verbose"]
    done = run(*options, *LOCAL, "--", "python", "-c", VERSIONS, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"[('mine', '3.0'), ('pocket', '1.0')]\n"
    assert b"Running subprocess: " in done.stderr
    assert b"--editable" in done.stderr


def test_the_long_forms_of_lock(folder: Path) -> None:
    """They lock the same as the short ones."""
    options = ["--requirements-file", "needs.txt", "--constraint", "limits.txt", "--editable", "project", "--verbose"]
    done = run("lock", *options, *LOCAL, "--output", "pylock.long.toml", cwd=folder)
    assert done.returncode == 0, done.stderr
    packages = tomllib.loads((folder / "pylock.long.toml").read_text())["packages"]
    assert {(one["name"], one.get("directory", {}).get("editable")) for one in packages} == {("mine", True), ("pocket", None)}
    assert b"Running subprocess: " in done.stderr


_MEET = """
import os
try:
    os.mkdir("first")
    open("meeting", "w").close()
except FileExistsError:
    open("meeting").close()
print("met")
"""
"""Source for two processes: opening the named pipe blocks until the other one opens it too."""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes in the file system")
def test_the_long_form_of_the_number_of_jobs(tmp_path: Path) -> None:
    """Both Pythons run at the same time: each waits for the other one."""
    os.mkfifo(tmp_path / "meeting")
    pythons = ["--python", "{}.{}".format(*sys.version_info), "--python", sys.executable]
    done = run(*pythons, "--jobs", "2", "--timeout", "60", "--", "python", "-c", _MEET, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b" | met\n") == 2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux and Windows can contain daemons")
def test_a_contained_command_leaves_no_daemon() -> None:
    """One in a session of its own has ended when the command line ends."""
    code = (
        "import subprocess as s; quiet = s.DEVNULL; "
        "print(s.Popen(['sleep', '300'], start_new_session=True, stdin=quiet, stdout=quiet, stderr=quiet).pid)"
    )
    done = run("--contain", "--", "python", "-c", code)
    assert done.returncode == 0, done.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)
