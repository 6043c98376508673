"""`python -m venvrunner lock`, as a real process: what it writes, what it ends with, and that a failure changes nothing."""

import os
import re
import signal
import socket
import sys
import tomllib
from pathlib import Path

import pytest

from helpers.command_line import PATIENCE, run, started
from helpers.pages import ROOT
from helpers.programs import SOURCE
from helpers.wheels import make_wheel
from venvrunner import VenvRunner


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with wheels, a requirements file and dependency groups."""
    (tmp_path / "wheels").mkdir()
    for name in ("pocket", "needy", "quill"):
        make_wheel(tmp_path / "wheels", name, requires=["pocket"] if name == "needy" else [])
    (tmp_path / "needs.txt").write_text("needy\n")
    (tmp_path / "pyproject.toml").write_text('[dependency-groups]\ntest = ["quill"]\n')
    return tmp_path


def names(path: Path) -> list[str]:
    """Return the names of the packages in a lock file."""
    return [package["name"] for package in tomllib.loads(path.read_text())["packages"]]


def test_requirements_files_and_groups_are_locked(folder: Path) -> None:
    """In any order; what pip says goes to standard error, and the lock file installs."""
    result = run("lock", "-r", "needs.txt", "pocket", "--no-index", "--group", "test", "--find-links", "wheels", cwd=folder)
    assert (result.returncode, result.stdout) == (0, b""), result.stderr
    assert b"venvrunner: Locking pocket, needs.txt, test\n" in result.stderr
    assert b"Processing ./wheels/needy-1.0-py3-none-any.whl" in result.stderr
    assert result.stderr.endswith(b"venvrunner: Wrote pylock.toml\n")
    assert names(folder / "pylock.toml") == ["needy", "pocket", "quill"]
    with VenvRunner.temporary(with_pip=False, lock=folder / "pylock.toml", installer="uv") as venv:
        assert venv.installed().keys() == {"needy", "pocket", "quill"}


def test_uv_locks_for_all_platforms(folder: Path) -> None:
    """Into the file of that name."""
    result = run(
        "lock", "--installer", "uv", "--universal", "--no-index", "--find-links=wheels", "-o", "pylock.all.toml",
        "needy; sys_platform == 'none'", cwd=folder, UV_NO_CONFIG="1",
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (0, b""), result.stderr
    assert names(folder / "pylock.all.toml") == ["needy", "pocket"]
    assert "marker = " in (folder / "pylock.all.toml").read_text()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "nothing to lock. Name a requirement, -r FILE, -e DIR or --group NAME."),
        (["pocket", "--universal"], "--universal needs --installer uv."),
        (["pocket", "-o", "requirements.lock"], "'requirements.lock' is not the name of a lock file. Use 'pylock.toml', or "),
        (["pocket", "-o", "missing/pylock.toml"], "the lock file '"),
        (
            ["pocket", "--instaler=uv"],
            "unrecognized argument '--instaler=uv'. Did you mean '--installer'?",
        ),
        (["pocket", "--installer", "conda"], "argument --installer: invalid choice: "),
        (["pocket", "--python"], "argument --python: expected one argument"),
    ],
)
def test_wrong_arguments_to_lock_are_2(args: list[str], message: str, folder: Path) -> None:
    """The usage and one message; nothing is written."""
    result = run("lock", *args, cwd=folder)
    assert (result.returncode, result.stdout) == (2, b"")
    usage, *_more, last = result.stderr.decode().splitlines()
    assert usage == "usage: venvrunner lock [OPTION]... [REQ]..."
    assert last.startswith(f"venvrunner lock: error: {message}")
    assert not list(folder.glob("pylock*"))


@pytest.mark.parametrize(
    "args",
    [
        ["no-such-package"],
        ["two words"],
        ["-r", "missing.txt"],
        ["--group", "docs"],
        ["pocket>5"],
        ["--python=9.9", "x"],
    ],
)
@pytest.mark.usefixtures("few_interpreters")
def test_a_lock_file_that_cannot_be_written_is_125(args: list[str], folder: Path) -> None:
    """A message of venvrunner says why, without a traceback, and the old file stays."""
    (folder / "pylock.toml").write_text("# old\n")
    result = run("lock", "--no-index", "--find-links", "wheels", *args, cwd=folder)
    assert (result.returncode, result.stdout) == (125, b"")
    assert re.search(rb"^venvrunner: [^L].*\.$", result.stderr, re.MULTILINE)
    assert b"Traceback" not in result.stderr
    assert (folder / "pylock.toml").read_text() == "# old\n"
    assert len(list(folder.glob("pylock*"))) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_locking_leaves_the_old_file(number: signal.Signals, folder: Path) -> None:
    """While pip waits for a server that never answers: 128+n, and nothing new is in the directory."""
    (folder / "pylock.toml").write_text("# old\n")
    before = sorted(os.listdir(folder))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/pocket-1.0.tar.gz"
        with started("lock", url, cwd=folder, NO_PROXY="*", no_proxy="*") as process:
            connection, _address = server.accept()
            with connection:
                process.send_signal(number)
                process.wait(PATIENCE)
    assert process.returncode == 128 + number
    assert sorted(os.listdir(folder)) == before
    assert os.listdir(os.environ["TMPDIR"]) == []


def test_on_github_actions_the_locking_is_a_group(folder: Path) -> None:
    """As an installation is."""
    result = run("lock", "pocket", "--no-index", "--find-links=wheels", cwd=folder, GITHUB_ACTIONS="true")
    assert re.fullmatch(rb"::group::Locking pocket\n(.*\n)+::endgroup::\nvenvrunner: Wrote .*\n", result.stderr), result.stderr


@pytest.mark.parametrize("command", ["", "lock"])
def test_the_page_lists_the_options_of_the_help(command: str) -> None:
    """Of each command, no more and no fewer."""
    result = run(*filter(None, [command]), "--help")
    assert (result.returncode, result.stderr) == (0, b"")
    shown = re.findall(r"^  (-.*?)(?:  .*)?$", result.stdout.decode(), re.MULTILINE)
    page = (ROOT / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")
    section = page.partition("## Write a lock file\n" if command else "## Options\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^`(-.*)`$", section, re.MULTILINE)
    flags, documented = (re.findall(r"(?<![\w-])--?[a-z][a-z-]*", " ".join(lines)) for lines in (shown, listed))
    assert sorted(flags) == sorted(documented)


def test_lock_shares_the_options_of_an_installation(folder: Path) -> None:
    """Constraints, and a limit for the time, which is not reached here."""
    (folder / "limits.txt").write_text("needy==1.0\n")
    options = ["-c", "limits.txt", "--install-timeout", "300", "--no-index", "--find-links", "wheels", "-v"]
    result = run("lock", "needy", *options, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert b"--constraint=" in result.stderr
    assert names(folder / "pylock.toml") == ["needy", "pocket"]


_NO_LOCKS = """
import errno, fcntl

def flock(*args):
    raise OSError(errno.ENOLCK, "no locks")

fcntl.flock = flock
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows always has locks")
@pytest.mark.parametrize("command", [["lock", "pocket", "--no-index", "--find-links", "wheels"], ["--", "python", "-V"]])
def test_a_warning_of_the_library_is_a_message_of_venvrunner(command: list[str], folder: Path) -> None:
    """It has the prefix of all messages, also from a helper thread: here, on a file system without locks."""
    (folder / "sitecustomize.py").write_text(_NO_LOCKS)
    result = run(*command, cwd=folder, PYTHONPATH=f"{folder}:{SOURCE}")
    assert result.returncode == 0, result.stderr
    assert re.search(rb"^venvrunner: .* cannot be locked", result.stderr, re.MULTILINE), result.stderr
