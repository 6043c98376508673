"""`temporary(dir=)`: the directory in which a temporary environment is created."""

import os
from pathlib import Path
from typing import Any

import pytest

from venvrunner import InvalidPathError, VenvRunner, VenvSpec


@pytest.mark.parametrize("cached", [False, True])
def test_a_temporary_environment_may_be_in_any_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: bool) -> None:
    """Also relative to the working directory of the call; nothing is left there."""
    monkeypatch.setenv("VENVRUNNER_STORE_DIR", str(tmp_path / "store"))
    place = tmp_path / "a place"
    place.mkdir()
    monkeypatch.chdir(tmp_path)
    makers: list[Any] = [VenvRunner.temporary, VenvSpec().temporary]
    for temporary in makers:
        for given in (place, str(place), "a place"):
            with temporary(dir=given, cached=cached) as venv:
                assert Path(venv.venv_dir).parents[1] == place
                monkeypatch.chdir(os.sep)
                assert venv.log_run(["python", "-c", "import sys; print(sys.prefix)"]).stdout == f"{venv.venv_dir}\n"
            monkeypatch.chdir(tmp_path)
            assert not list(place.iterdir())


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ("missing", InvalidPathError, r"dir='missing' does not exist\. Create it first, or use an existing directory\."),
        ("file", InvalidPathError, r"dir='file' is not a directory\. Create it first, or use an existing directory\."),
        ("", InvalidPathError, r"dir must not be empty\. Use '\.' for the working directory\."),
        ("a$b", InvalidPathError, r"an environment in '.*a\$b' would not work: the path contains '\$'"),
        ("a\0b", InvalidPathError, r"an environment in 'a\\x00b' would not work"),
        (b"bytes", TypeError, r"dir must be a str or a path of str, not bytes\."),
        (1, TypeError, r"dir must be a str or a path of str, not int\."),
    ],
)
def test_another_directory_for_a_temporary_environment_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: Any, kind: type[Exception], message: str
) -> None:
    """Before anything is created."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "a$b").mkdir()
    for temporary in (VenvRunner.temporary, VenvSpec().temporary):
        with pytest.raises(kind, match=message):
            temporary(dir=given)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a$b", "file"]
    assert not list((tmp_path / "a$b").iterdir())


def test_the_keyword_of_another_library_is_not_taken_for_it() -> None:
    with pytest.raises(TypeError, match=r"directory= is unknown\. The keywords are: .*\bdir\b"):
        VenvRunner.temporary(directory=".")  # type: ignore[call-arg]
