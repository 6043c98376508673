"""An installation never waits for a human: with a terminal at hand, all that would ask fails at once."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from helpers.index_server import Index, forget_settings, index
from helpers.processes import end_all
from helpers.system import find_tool
from helpers.waiting import DEADLINE
from venvrunner.installing import InstallerName

__all__ = ["index"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="terminals are those of POSIX")

needs_git = pytest.mark.skipif(find_tool("git") is None, reason="needs git on PATH")

# Leads a session with a terminal of its own, as a shell in a window does, and installs.
_PROGRAM = """
import fcntl, json, os, pty, sys, termios
from venvrunner import InstallationError, VenvRunner

master, slave = pty.openpty()
os.setsid()
fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
for number in (0, 2):
    os.dup2(slave, number)
open("/dev/tty").close()  # it is there: whoever inherits this session can ask

installer, requirement, options = json.loads(sys.argv[1])
with VenvRunner.temporary(with_pip=False, installer=installer) as venv:
    try:
        venv.install(*[requirement] if requirement else [], **options)
    except InstallationError as exc:
        print("refused", exc.stdout, exc.stderr)
"""


_BACK_END = """
import getpass
for ask in (input, lambda: open("/dev/tty").read(), getpass.getpass, lambda: open("/dev/stdin").read(1)[0]):
    try:
        ask()
    except (OSError, EOFError, IndexError):
        continue
    break
else:
    raise RuntimeError("nobody to ask")
"""


@pytest.fixture(autouse=True)
def asker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A program that waits for a human, in each variable that could lead to it; it writes down that it was called."""
    forget_settings(monkeypatch, tmp_path)
    program = tmp_path / "bin" / "ask"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$0 $@" >> {tmp_path}/asked\nexec cat /dev/tty\n')
    program.chmod(0o755)
    (program.parent / "keyring").symlink_to(program)
    for name in ("GIT_ASKPASS", "SSH_ASKPASS"):
        monkeypatch.setenv(name, str(program))
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return program


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose build back end is a module in it; the test writes that."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[build-system]\nrequires = []\nbuild-backend = "back"\nbackend-path = ["."]\n')
    return folder


def install(*request: Any) -> str:
    """Install below a terminal, in a process of its own, and return what it said."""
    command = [sys.executable, "-c", _PROGRAM, json.dumps(request)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        return process.communicate(timeout=3 * DEADLINE)[0]
    finally:
        end_all([process])


both = pytest.mark.parametrize("installer", get_args(InstallerName))


@both
def test_an_index_does_not_ask(installer: str, index: Index, asker: Path) -> None:
    """Neither the installer itself, nor a keyring of the user's: that one is called only if it was asked for."""
    options = {"index_url": index.url(None, path="locked/", user="")}
    assert install(installer, "pocket", options).startswith("refused")
    assert not (asker.parent.parent / "asked").exists()


@pytest.mark.parametrize(("installer", "variable"), [("pip", "PIP_KEYRING_PROVIDER"), ("uv", "UV_KEYRING_PROVIDER")])
def test_a_keyring_finds_no_terminal(installer: str, variable: str, index: Index, asker: Path) -> None:
    """One that the user has configured is called, and can't ask."""
    url = index.url("", path="locked/").replace(":@", "@")
    options = {"index_url": url, "extra_env": {variable: "subprocess"}}
    assert install(installer, "pocket", options).startswith("refused")
    if installer == "uv":  # pip calls it only if there is no keyring to import
        assert "keyring" in (asker.parent.parent / "asked").read_text()


@both
@needs_git
def test_git_asks_neither_here_nor_in_a_window(installer: str, index: Index, asker: Path) -> None:
    """A repository that wants a name and a password is a failure, and no program is called for them."""
    said = install(installer, f"git+{index.url(None, 'locked/x.git')}", {})
    assert "terminal prompts disabled" in " ".join(said.split())
    assert not (asker.parent.parent / "asked").exists()


@both
@needs_git
def test_ssh_is_in_batch_mode(installer: str, asker: Path) -> None:
    """So that it asks for no password and for no unknown host, and calls no program for that."""
    ssh = asker.parent / "ssh"
    ssh.write_text(f'#!/bin/sh\necho "$SSH_ASKPASS_REQUIRE $@" >> {asker.parent.parent}/ssh\nexec cat /dev/tty\n')
    ssh.chmod(0o755)
    assert install(installer, "git+ssh://git@host.invalid/x.git", {}).startswith("refused")
    said = (asker.parent.parent / "ssh").read_text()
    assert "never" in said
    assert "BatchMode=yes" in said


@both
def test_a_build_back_end_cannot_ask(installer: str, project: Path) -> None:
    """Its standard input is empty, and its session has no terminal."""
    (project / "back.py").write_text(_BACK_END)
    said = install(installer, str(project), {"no_index": True})
    assert said.startswith("refused")
    assert "nobody to ask" in said


@both
def test_a_requirements_file_does_not_read_from_the_terminal(installer: str, tmp_path: Path) -> None:
    """One that names a terminal, or standard input, is empty or an error."""
    (tmp_path / "r.txt").write_text("-r /dev/tty\n-r /dev/stdin\n")
    said = install(installer, None, {"requirements_files": [str(tmp_path / "r.txt")], "no_index": True})
    assert not said or said.startswith("refused")
