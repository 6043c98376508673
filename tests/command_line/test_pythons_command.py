"""`python -m venvrunner pythons`: what `python=` can find, as a table and as JSON."""

import json
import os
import sys
from pathlib import Path

import pytest

from helpers.command_line import run
from venvrunner._cli import pythons_command
from venvrunner._create import known_interpreters
from venvrunner._create.interpreters import find


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one program on PATH, which is broken, of a machine with an empty home."""
    for name in ("home", "bin"):
        (tmp_path / name).mkdir()
    for variable in ("XDG_DATA_HOME", "PYENV_ROOT", "ASDF_DATA_DIR", "MISE_DATA_DIR", "UV_PYTHON_INSTALL_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    path = tmp_path / "bin" / "python3.98"
    path.symlink_to("gone")
    return path


@pytest.mark.skipif(os.name == "nt", reason="Windows lists what is registered too")
def test_the_interpreters_are_listed(broken: Path) -> None:
    """The default one is marked, and a broken one is shown with its reason."""
    done = run("pythons")
    assert (done.returncode, done.stderr) == (0, b"")
    found = find(None)
    lines = done.stdout.decode().splitlines()
    assert [line.split() for line in lines] == [
        ["PYTHON", "FOUND", "EXECUTABLE"],
        [found.implementation, found.version, "default", found.executable],
        [],
        ["BROKEN", "REASON"],
        [str(broken), "it", "is", "a", "link", "to", "gone,", "which", "does", "not", "exist"],
    ]
    report = json.loads(run("pythons", "--json").stdout)
    assert report == {
        "pythons": [
            {
                "implementation": found.implementation,
                "version": found.version,
                "executable": found.executable,
                "found": [],
                "default": True,
            }
        ],
        "broken": [{"executable": str(broken), "reason": "it is a link to gone, which does not exist"}],
    }


def test_a_machine_without_interpreters_is_listed_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A frozen program may be on one."""
    monkeypatch.setattr(pythons_command, "known_interpreters", lambda: ([], []))
    assert pythons_command.main([]) == 0
    assert capsys.readouterr().out == "no interpreter was found\n"


def test_a_path_that_the_terminal_cannot_show_is_escaped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name may have bytes that are no text."""
    named = known_interpreters.Broken("/bin/pyth\udcffon", "why")
    monkeypatch.setattr(pythons_command, "known_interpreters", lambda: ([], [named]))
    assert pythons_command.main([]) == 0
    assert pythons_command.main(["--json"]) == 0
    assert r"/bin/pyth\udcffon  why" in capsys.readouterr().out


def test_help_says_where_it_searches(capsys: pytest.CaptureFixture[str]) -> None:
    """And a wrong option is an error of usage."""
    with pytest.raises(SystemExit) as ended:
        pythons_command.main(["--help"])
    assert ended.value.code == 0
    assert "on PATH, and of uv, pyenv, asdf and" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        pythons_command.main([sys.executable])
    assert ended.value.code == 2
