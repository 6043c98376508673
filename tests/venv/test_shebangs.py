"""The first lines of scripts: read, written for another environment, and run for real."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.wheels import make_command_wheel
from venvrunner import VenvRunner
from venvrunner._venv.shebangs import Script, parse

pytestmark = pytest.mark.skipif(os.name == "nt", reason="scripts are programs on Windows")

FOLDERS = st.one_of(
    st.sampled_from(
        ["/v/bin", "/two words/bin", "/größe/漢字/bin", "/" + "long/" * 60 + "bin", "/it's/bin", "/a'''b/bin", "/-x/bin"]
    ),
    st.lists(st.text("abc é'-_.,%#&;()[]{}~!?*|<>=+@ ", min_size=1, max_size=20), min_size=1, max_size=20).map(
        lambda parts: "/" + "/".join(parts) + "/bin"
    ),
)
NAMES = st.sampled_from(["python", "python3", "python3.12", "pypy3", "pythonw"])
OPTIONS = st.sampled_from(["", " -I", " -E", " -sE", " -I -X utf8", " -Wignore"])


@given(folder=FOLDERS, other=FOLDERS, name=NAMES, options=OPTIONS, body=st.binary())
def test_a_script_that_was_written_is_read_back(folder: str, other: str, name: str, options: str, body: bytes) -> None:
    """For any directory and any body; moving it there and back gives the very same bytes."""
    script = Script(name, options, body)
    text = script.text(folder)
    assert parse(text, folder) == script
    moved = parse(script.text(other), other)
    assert moved is not None
    assert moved.text(folder) == text


@given(folder=FOLDERS, name=NAMES, options=OPTIONS, body=st.binary())
def test_what_follows_the_first_lines_is_kept(folder: str, name: str, options: str, body: bytes) -> None:
    """Every byte of the body is in the script, at its end, once."""
    text = Script(name, options, body).text(folder)
    head = text[: len(text) - len(body)]
    assert text == head + body
    assert head.endswith(b"\n")
    lines = head.split(b"\n")
    assert len(lines[0]) <= 126
    assert all(line.startswith((b"#!", b"'''exec' \"", b"' '''")) for line in lines[:-1])


@given(text=st.binary(), folder=FOLDERS)
def test_anything_can_be_read(text: bytes, folder: str) -> None:
    """No bytes are an error, and most are no script of an environment."""
    for start in (b"", b"#!", b"#!/bin/sh\n'''exec' ", b"#!" + os.fsencode(folder) + b"/"):
        script = parse(start + text, folder)
        if script is not None:
            assert (start + text).endswith(script.body)
            assert parse(script.text(folder), folder) == script


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"#!",
        b"#!\n",
        b"#!/v/bin/python",
        b"#!/usr/bin/env python\nimport x\n",
        b"#!/usr/bin/env -S python -I\nimport x\n",
        b"#!/usr/bin/python3\nimport x\n",
        b"#!/other/bin/python\nimport x\n",
        b"#!/v/bin/deeper/python\nimport x\n",
        b"#!/v/binary/python\nimport x\n",
        b"#!/v/bin\nimport x\n",
        b"#!python\nimport x\n",
        b"#!/bin/sh\necho /v/bin/python\n",
        b"#!/bin/sh\n'''exec' \"/other/bin/python\" \"$0\" \"$@\"\n' '''\nimport x\n",
        b'#!/bin/sh\n\'\'\'exec\' "/v/bin/python" "$0" "$@"\n',
        b"import x\n#!/v/bin/python\n",
        b"\n#!/v/bin/python\n",
        b" #!/v/bin/python\n",
        b"\xef\xbb\xbf#!/v/bin/python\n",
        b"\x7fELF\x02\x01\x01\0/v/bin/python\n",
        b"MZ\x90\0#!/v/bin/python\n",
    ],
)
def test_what_is_not_a_script_of_the_environment_is_not_taken_for_one(text: bytes) -> None:
    """Programs, scripts of the system or of another environment, and what only looks like one."""
    assert parse(text, "/v/bin") is None


@pytest.mark.parametrize(
    ("text", "script"),
    [
        (b"#!/v/bin/python\nimport x\r\n", Script("python", "", b"import x\r\n")),
        (b"#! /v/bin/python3\nimport x\n", Script("python3", "", b"import x\n")),
        (b'#!"/v/bin/python"\nimport x\n', Script("python", "", b"import x\n")),
        (b"#!/v/bin/python3.12 -I -X utf8\nimport x", Script("python3.12", " -I -X utf8", b"import x")),
        (b"#!/v/bin/python\n", Script("python", "", b"")),
        (b"#!/v/bin/python\n\0\xff\n", Script("python", "", b"\0\xff\n")),
        (b"#!/bin/sh\n'''exec' \"/v/bin/python\" \"$0\" \"$@\"\n' '''\nimport x\n", Script("python", "", b"import x\n")),
        (b"#!/bin/sh\n'''exec' /v/bin/python \"$0\" \"$@\"\n' '''\nimport x\n", Script("python", "", b"import x\n")),
        (b"#!/bin/sh\n'''exec' '/v/bin/python3' -I \"$0\" \"$@\"\n' '''\nx", Script("python3", " -I", b"x")),
        (
            b"#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python3' \"$0\" \"$@\"\n' '''\nimport x\n",
            Script("python3", "", b"import x\n"),
        ),
    ],
)
def test_the_forms_that_installers_write_are_read(text: bytes, script: Script) -> None:
    """Plain, quoted, with options, with other line ends behind, for the shell, and relative to the script itself."""
    assert parse(text, "/v/bin") == script


def test_a_first_line_with_the_end_of_another_system_stays_as_it_is() -> None:
    """It could not run before and can't run afterwards, but nothing is lost."""
    text = b"#!/v/bin/python\r\nimport x\r\n"
    script = parse(text, "/v/bin")
    assert script is None or (script.text("/v/bin"), script.body) == (text, b"import x\r\n")


def test_bytes_that_are_no_text_are_kept_in_a_path() -> None:
    """A file system takes any bytes; they come back as they were."""
    folder = os.fsdecode(b"/v\xff/bin")
    script = Script("python", "", b"body")
    assert b"/v\xff/bin/python" in script.text(folder)
    assert parse(script.text(folder), folder) == script


_BODY = b"import sys\nprint(sys.argv[1:], sys.executable, sys.flags.isolated)\n"


@pytest.mark.parametrize("options", ["", " -I"])
@pytest.mark.parametrize(
    "folder", ["plain", "two words", "größe 漢字", "it's", "100%s #&;()", "x" * 120, "/".join(["long" * 25] * 4), "a\u3000b"]
)
def test_a_script_runs_with_the_interpreter_of_its_directory(folder: str, options: str, tmp_path: Path) -> None:
    """However long or odd the path is: its arguments arrive, and it is started from anywhere."""
    scripts = tmp_path / folder / "bin"
    scripts.mkdir(parents=True)
    (scripts / "python").symlink_to(getattr(sys, "_base_executable", sys.executable))
    (scripts.parent / "pyvenv.cfg").write_text(f"home = {os.path.dirname(os.path.realpath(sys.executable))}\n")
    path = scripts / "command"
    path.write_bytes(Script("python", options, _BODY).text(str(scripts)))
    path.chmod(0o755)
    args = ["one", "two words", "$HOME", "'", '"', "", "-x"]
    expected = f"{args} {scripts / 'python'} {int(bool(options))}\n"
    for command in ([str(path), *args], ["/bin/sh", "-c", f"{shlex.quote(str(path))} {shlex.join(args)}"]):
        assert subprocess.run(command, cwd="/", capture_output=True, encoding="utf-8", check=True).stdout == expected


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["plain", "two words", "/".join(["long" * 25] * 2)])
def test_what_pip_writes_is_read_and_written_back(folder: str, tmp_path: Path) -> None:
    """Each script of pip's own, and of what pip installs, has the same bytes after it was moved there and back."""
    venv = VenvRunner("venv", tmp_path / folder)
    scripts = os.path.join(venv.venv_dir, "bin")
    venv.log_run(["python", "-m", "pip", "install", "--no-index", str(make_command_wheel(tmp_path))])
    seen = []
    for path in sorted(Path(scripts).iterdir()):
        if path.is_symlink() or not os.access(path, os.X_OK):
            continue
        script = parse(path.read_bytes(), scripts)
        assert script is not None, path
        assert os.fsencode(scripts) not in script.body
        elsewhere = script.text("/else where/bin")
        assert os.fsencode(scripts) not in elsewhere
        assert parse(elsewhere, "/else where/bin") == script
        path.write_bytes(script.text(scripts))
        seen.append(path.name)
    assert {"pip", "pip3", "pocket"} <= set(seen)
    assert venv.log_run(["pocket"]).stdout == "pocket 1.0\n"
    assert venv.log_run(["pip", "--version"]).stdout.startswith("pip ")


@pytest.mark.slow
@pytest.mark.parametrize("relocatable", [False, True])
@pytest.mark.parametrize("folder", ["plain", "two words"])
def test_what_uv_writes_is_read_and_moved(folder: str, relocatable: bool, tmp_path: Path) -> None:
    """A script of uv's, also one that finds its interpreter by itself, runs with another environment's interpreter."""
    uv = pytest.importorskip("uv", reason="uv is not installed").find_uv_bin()
    environ = {**os.environ, "UV_CACHE_DIR": str(tmp_path / "cache"), "UV_OFFLINE": "1", "UV_NO_CONFIG": "1"}
    old = tmp_path / folder / "old"
    wheel = str(make_command_wheel(tmp_path))
    for command in (
        ["venv", "--python", sys.executable, *["--relocatable"][: int(relocatable)], str(old)],
        ["pip", "install", "--no-index", "--python", str(old / "bin" / "python"), wheel],
    ):
        subprocess.run([uv, *command], env=environ, capture_output=True, check=True)
    script = parse((old / "bin" / "pocket").read_bytes(), str(old / "bin"))
    assert script is not None
    new = VenvRunner("new", tmp_path / folder)
    new.log_run(["python", "-m", "pip", "install", "--no-index", wheel])
    path = Path(new.venv_dir, "bin", "moved")
    path.write_bytes(script.text(str(path.parent)))
    path.chmod(0o755)
    subprocess.run(["rm", "-r", str(old)], check=True)
    assert new.log_run(["moved"]).stdout == "pocket 1.0\n"
