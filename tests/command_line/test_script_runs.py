"""`venvrunner SCRIPT.py`: a script with inline metadata (PEP 723) runs with what it asks for."""

import sys
from pathlib import Path

import pytest

from helpers.command_line import run
from helpers.stores import environments, store

__all__ = ["store"]

SCRIPT = """
# /// script
# requires-python = ">=3.11"
# dependencies = ["pocket"]
# ///
import sys, pocket
print(pocket.__name__, sys.argv[1:])
"""


def test_a_script_runs_with_its_packages_from_the_store(store: Path, tmp_path: Path) -> None:
    """All that follows its name is its own; the second run installs nothing."""
    (tmp_path / "report.py").write_text(SCRIPT)
    for said in (b"venvrunner: preparing an environment in the store: pocket\n", b""):
        done = run("report.py", "-q", "--with", "x", "--", "y", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, b"pocket ['-q', '--with', 'x', '--', 'y']\n"), done.stderr
        assert done.stderr == said
    assert len(environments(store)) == 1


def test_options_before_the_script_add_to_what_it_asks_for(store: Path, tmp_path: Path) -> None:
    """Packages, and several Pythons."""
    (tmp_path / "report.py").write_text(SCRIPT.replace("pocket.__name__", "__import__('needy').__name__"))
    pythons = ["--python", "{}.{}".format(*sys.version_info), "--python", sys.executable]
    done = run("--with", "needy", *pythons, "./report.py", "a", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b" | needy ['a']\n") == 2


def test_a_script_without_metadata_needs_no_packages(tmp_path: Path) -> None:
    """It runs in an environment of its own."""
    (tmp_path / "plain.py").write_text("import sys; print(sys.prefix != sys.base_prefix)")
    done = run("plain.py", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"True\n", b"")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, b"missing.py"),
        ("# /// script\n# dependencies = [1]\n# ///\n", b"dependencies"),
    ],
)
def test_a_script_that_cannot_be_read_is_125(text: str | None, message: bytes, tmp_path: Path) -> None:
    """One message says why."""
    if text is not None:
        (tmp_path / "missing.py").write_text(text)
    done = run("missing.py", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr.startswith(b"venvrunner: ")
    assert message in done.stderr


def test_what_is_ignored_in_metadata_is_a_message_of_venvrunner(tmp_path: Path) -> None:
    """It has the prefix of all messages, so that it is not taken for the script's own output."""
    (tmp_path / "odd.py").write_text("# /// script\n# dependancies = []\n# ///\n")
    done = run("odd.py", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.startswith(b"venvrunner: the script '")
    assert done.stderr.endswith(b"line 2: 'dependancies' is ignored. Did you mean 'dependencies'?\n")
