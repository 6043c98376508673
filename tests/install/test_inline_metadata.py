"""Inline script metadata (PEP 723): what a script says about its environment, and each way to say it wrong."""

import codecs
import logging
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from venvrunner import InvalidRequirementError, LockFileError, VenvSpec

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHER = f"{sys.version_info.major}.{sys.version_info.minor + 1}"

BLOCK = f"""\
# /// script
# requires-python = ">={HERE}"
# dependencies = [
#   "pocket>=1",  # a comment
#   "socks[tight]; python_version > '3'",
# ]
#
# [tool.any]
# dependencies = 1
# ///
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The path of a script, in a directory that has a space in its name."""
    directory = tmp_path / "my scripts"
    directory.mkdir()
    return directory / "the script.py"


def read(script: Path, text: str | bytes) -> VenvSpec:
    """Write a script, and return the specification that it has."""
    script.write_bytes(text if isinstance(text, bytes) else text.encode())
    return VenvSpec.from_script(script)


@pytest.mark.parametrize(
    "text",
    [
        BLOCK,
        f"#!/usr/bin/env python3\n\n{BLOCK}\nimport pocket\n",
        f'"""A script."""\n{BLOCK}',
        BLOCK.rstrip("\n"),
        BLOCK.replace("\n", "\r\n"),
        BLOCK.replace("\n", "\r"),
        codecs.BOM_UTF8 + BLOCK.encode(),
        f"# coding: latin-1\n{BLOCK}# é\n".encode("latin-1"),
        f"# /// other\n# dependencies = ['no']\n# ///\n\n{BLOCK}\n# /// script-2\n# no TOML\n# ///\n",
    ],
    ids=["alone", "shebang", "docstring", "no last line end", "CRLF", "CR", "BOM", "encoding declaration", "other types"],
)
def test_a_block_is_read_as_the_specification_says(script: Path, text: str | bytes) -> None:
    """Wherever it is, and however the file is encoded."""
    assert read(script, text) == VenvSpec(requirements=["pocket>=1", "socks[tight]; python_version > '3'"])


@pytest.mark.parametrize("text", ["", "print(1)\n", "# /// script\n# ///\n", "# /// script\n# dependencies = []\n# ///\n"])
def test_a_script_without_metadata_needs_no_packages(script: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    """As for other programs that run scripts."""
    caplog.set_level(logging.INFO)
    assert read(script, text) == VenvSpec()
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("wanted", "python"),
    [
        (f">={HERE}", None),
        (f"=={HERE}.*", None),
        ("", None),
        (f">={HERE}, <{OTHER}", None),
        (f">= {OTHER}", f">={OTHER}"),
        (f"<{HERE}, >=3", f"<{HERE},>=3"),
    ],
)
def test_another_interpreter_is_searched_for_only_if_the_running_one_does_not_fit(
    script: Path, wanted: str, python: str | None
) -> None:
    """To search takes much longer than to take the running one."""
    assert read(script, f'# /// script\n# requires-python = "{wanted}"\n# ///\n').python == python


def test_options_are_those_of_a_specification(script: Path, tmp_path: Path) -> None:
    """An interpreter overrides that of the script, requirements are added to its own, and a lock file replaces them."""
    script.write_text(BLOCK)
    spec = VenvSpec.from_script(str(script), python=OTHER, requirements=["extra"], with_pip=False, installer="uv")
    assert spec == VenvSpec(
        python=OTHER,
        requirements=["pocket>=1", "socks[tight]; python_version > '3'", "extra"],
        with_pip=False,
        installer="uv",
    )
    lock = tmp_path / "pylock.toml"
    lock.write_text('lock-version = "1.0"\ncreated-by = "test"\npackages = []\n')
    assert VenvSpec.from_script(script, lock=lock) == VenvSpec(lock=lock)
    with pytest.raises(InvalidRequirementError, match="lock= installs exactly"):
        VenvSpec.from_script(script, lock=lock, requirements=["extra"])
    with pytest.raises(LockFileError):
        VenvSpec.from_script(script, lock=tmp_path / "no.toml")
    wrong: Any = "extra"
    with pytest.raises(TypeError, match="must be a list"):
        VenvSpec.from_script(script, requirements=wrong)


WRONG = [
    ("dependencies = 'pocket'", 2, "dependencies must be an array of strings, not a string."),
    ("dependencies = {}", 2, "dependencies must be an array of strings, not a table."),
    ("requires-python = '>=3'\n# dependencies = ['a', 2]", 3, "dependencies must contain strings only, not an integer."),
    ("dependencies = [\n#   'pocket',\n#   'two words',\n# ]", 4, "'two words' is not a requirement ("),
    ("dependencies = ['-rlist.txt']", 2, "'-rlist.txt' is not a requirement ("),
    ("dependencies = ['https://host.example/x.whl']", 2, "Write a URL as NAME @ URL"),
    ("dependencies = ['mine @ ./mine']", 2, "'mine @ ./mine' is not a requirement (it is a path)."),
    ("dependencies = ['./mine']", 2, "a path cannot be listed"),
    ("dependencies = ['mine @ https://host.example/${X}']", 2, "contains a variable"),
    ("requires-python = 3.11", 2, "requires-python must be a string, not a float."),
    ("requires-python = 2026-01-01", 2, "requires-python must be a string, not a date or a time."),
    ("# comment\n# 'requires-python' = '3.11'", 3, "'3.11' is not a range of versions."),
    ("dependencies = [\n#   'a'\n#   'b'\n# ]", 4, "the block '# /// script' is not TOML: "),
    ("dependencies = [\n#   'a'", 3, "the block '# /// script' is not TOML: "),
    ("dependencies = []\n# dependencies = []", 3, "the block '# /// script' is not TOML: "),
    (f"dependencies = {'[' * 100_000}", 1, "the block '# /// script' is nested too deeply."),
]


@pytest.mark.parametrize(("lines", "line", "reason"), WRONG, ids=[reason for _lines, _line, reason in WRONG])
def test_wrong_metadata_is_an_error_with_file_line_and_reason(script: Path, lines: str, line: int, reason: str) -> None:
    """Each before anything is created."""
    with pytest.raises(InvalidRequirementError, match=re.escape(reason)) as caught:
        read(script, f"# /// script\n# {lines}\n# ///\n")
    assert str(caught.value).startswith(f"the script {str(script)!r}, line {line}: ")


def test_a_second_block_is_an_error(script: Path) -> None:
    """The specification requires that."""
    with pytest.raises(InvalidRequirementError, match="line 13: this is a second block '# /// script'; the first is in line 2"):
        read(script, f"\n{BLOCK}\n{BLOCK}")


def test_a_password_in_an_error_is_masked(script: Path) -> None:
    """A script may have a URL of a private index."""
    with pytest.raises(InvalidRequirementError) as caught:
        read(script, '# /// script\n# dependencies = ["https://me:hush@host.example/x.whl"]\n# ///\n')
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"\nprint('\xe9')\n", "line 1: the encoding cannot be used: "),
        (b"\n\n\nprint('\xe9')\n", "line 4: the text is not utf-8. Save the script as UTF-8."),
        (b"# coding: klingon\n", "line 1: the encoding cannot be used: "),
        (b"# coding: rot13\n", "line 1: the encoding cannot be used: "),
    ],
)
def test_a_file_that_python_could_not_read_is_an_error(script: Path, text: bytes, reason: str) -> None:
    """With the line, where one is known."""
    with pytest.raises(InvalidRequirementError, match=re.escape(reason)):
        read(script, text)


def test_a_file_that_is_missing_or_unreadable_is_an_error(tmp_path: Path) -> None:
    """The message says which of them."""
    for path, reason in [("no.py", "does not exist"), ("a\0b", "does not exist"), (str(tmp_path), "is a directory")]:
        with pytest.raises(InvalidRequirementError, match=reason):
            VenvSpec.from_script(path)
    wrong: Any = b"script.py"
    with pytest.raises(TypeError, match="must be a str or a path of str, not bytes"):
        VenvSpec.from_script(wrong)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that cannot be read")
def test_a_failure_to_read_is_an_error() -> None:
    """The message has the reason of the system."""
    with pytest.raises(InvalidRequirementError, match=r"the script '/proc/self/mem' cannot be read: \w+"):
        VenvSpec.from_script("/proc/self/mem")


@pytest.mark.parametrize(
    "text",
    [
        "# /// script\n# dependencies = ['pocket']\n\nimport pocket\n",
        "# /// script\n# dependencies = ['pocket']\n# /// \n",
        "#/// script\n# dependencies = ['pocket']\n# ///\n",
        "# /// script\n#dependencies = ['pocket']\n# ///\n",
    ],
)
def test_an_incomplete_block_is_ignored_with_a_warning(script: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    """The specification requires that it is ignored; without a word, only its imports would fail."""
    assert read(script, f"\n{text}") == VenvSpec()
    assert f"the script {str(script)!r}, line 2: this block is incomplete and is ignored." in caplog.text


def test_a_misspelled_key_is_ignored_with_a_warning(script: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Other programs may have keys of their own."""
    assert (
        read(script, "# /// script\n# main = 'x'\n# requires_python = '>=9'\n# dependency-groups = {}\n# ///\n") == VenvSpec()
    )
    (record,) = caplog.records
    assert record.getMessage() == (
        f"the script {str(script)!r}, line 3: 'requires_python' is ignored. Did you mean 'requires-python'?"
    )


@pytest.mark.parametrize("table", ["[tool.uv.sources]\n# pocket = {path = '..'}", "[tool]\n# uv = 1", "[tool.uv.sources]"])
def test_a_source_for_uv_is_ignored_with_a_warning(script: Path, table: str, caplog: pytest.LogCaptureFixture) -> None:
    """The package of that name on an index may be another one."""
    assert read(script, f"# /// script\n# dependencies = ['pocket']\n# {table}\n# ///\n") == VenvSpec(requirements=["pocket"])
    assert ("so pocket is installed from the package index" in caplog.text) == ("path" in table)
