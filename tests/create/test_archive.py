"""Archives: a directory in one file, the same when it is extracted elsewhere, and recognized if it is damaged."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venvrunner._create import archive
from venvrunner._venv.shebangs import Script

pytestmark = pytest.mark.skipif(os.name == "nt", reason="environments are not packed on Windows")

ABOUT = {"interpreter": ["/usr/bin/python3", "cpython", "3.12.1", [1, 2]], "pip": True}


def nothing(name: str) -> bool:
    """Leave nothing out."""
    return False


def tree(folder: Path) -> dict[str, object]:
    """Return all that is in a directory: kind and mode, and contents or target."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = path.readlink()
        elif path.is_dir():
            found[name] = stat.S_ISDIR(path.lstat().st_mode)
        else:
            found[name] = (path.lstat().st_mode & 0o777, path.read_bytes())
    return found


@pytest.fixture
def venv_dir(tmp_path: Path) -> Path:
    """A directory with everything that an archive has to keep."""
    folder = tmp_path / "two words" / "old"
    packages = folder / "lib" / "python3.12" / "site-packages"
    packages.mkdir(parents=True)
    (folder / "empty" / "in" / "empty").mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (packages / "empty.py").touch()
    (packages / "big.bin").write_bytes(bytes(range(256)) * 20_000)
    (packages / "größe 漢字.py").write_text("ß = 1\r\n", encoding="utf-8")
    (packages / "new\nline").write_bytes(b"\0\xff")
    (packages / "tool").write_text("#!/bin/sh\n")
    (packages / "tool").chmod(0o755)
    (folder / "bin" / "python").symlink_to("/usr/bin/env")
    (folder / "bin" / "python3").symlink_to("python")
    (folder / "bin" / "absolute").symlink_to(folder / "bin" / "python")
    (folder / "lib64").symlink_to("lib")
    (folder / "whole").symlink_to(folder)
    (folder / "dangling").symlink_to("no where")
    (folder / "outside").symlink_to("../../outside")
    (folder / "bin" / "command").write_bytes(Script("python3", " -I", b"import x\n\0").text(str(folder / "bin")))
    (folder / "bin" / "command").chmod(0o755)
    (folder / "bin" / "script").write_text("#!/usr/bin/env python3\nimport x\n")
    (folder / "bin" / "script").chmod(0o755)
    return folder


@pytest.fixture
def data(venv_dir: Path) -> bytes:
    """An archive."""
    return collect(venv_dir)


def collect(venv_dir: Path, skip: Callable[[str], bool] = nothing) -> bytes:
    """Archive a directory."""
    return archive.collect(str(venv_dir), str(venv_dir / "bin"), skip, ABOUT)


def unpack(data: bytes, folder: Path) -> Path:
    """Extract into a new directory."""
    folder.mkdir(parents=True)
    archive.unpack(data, str(folder), str(folder / "bin"))
    return folder


def test_what_comes_out_is_what_went_in(venv_dir: Path, data: bytes, tmp_path: Path) -> None:
    """Contents, modes, links, empty files and empty directories; only what names the path names the new one."""
    before = tree(venv_dir)
    new = unpack(data, tmp_path / "else where" / "new")
    expected = before | {
        "bin/absolute": Path("python"),
        "whole": Path(),
        "bin/command": (0o755, Script("python3", " -I", b"import x\n\0").text(str(new / "bin"))),
    }
    assert tree(new) == expected
    assert os.path.samefile(new / "whole", new)
    assert os.path.samefile(new / "bin" / "absolute", new / "bin" / "python")
    assert tree(venv_dir) == before


def test_nothing_names_the_original_path(venv_dir: Path, data: bytes, tmp_path: Path) -> None:
    """Neither a file nor a link names the old path, and an archive of the new directory is the same archive."""
    assert os.fsencode(venv_dir) not in data
    new = unpack(data, tmp_path / "new")
    venv_dir.rename(tmp_path / "gone")
    for path in new.rglob("*"):
        if path.is_symlink():
            assert str(venv_dir) not in str(path.readlink())
        elif path.is_file():
            assert os.fsencode(venv_dir) not in path.read_bytes()
    assert collect(new) == data


def test_two_environments_of_one_archive_share_nothing(data: bytes, tmp_path: Path) -> None:
    """A change in one is not seen in the other."""
    first, second = unpack(data, tmp_path / "first"), unpack(data, tmp_path / "second")
    before = tree(second)
    for path in first.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert path.stat().st_nlink == 1
            path.write_bytes(b"changed")
    assert tree(second) == before


def test_what_is_left_out_is_not_in_it(venv_dir: Path, tmp_path: Path) -> None:
    """A file, and a directory with all that is in it."""
    new = unpack(collect(venv_dir, lambda name: name == "pyvenv.cfg" or "empty" in name), tmp_path / "new")
    left = {name for name in tree(venv_dir) if name != "pyvenv.cfg" and "empty" not in name}
    assert tree(new).keys() == left


@pytest.mark.parametrize("where", ["lib/python3.12/site-packages/module.py", "bin/activate", "pyvenv.cfg", "bin/odd"])
def test_an_environment_that_names_its_own_path_is_not_archived(where: str, venv_dir: Path) -> None:
    """Where this package does not know how to change it, there is no archive, and the error names the file."""
    head = f"#!{venv_dir / 'lib'}/python\n" if where == "bin/odd" else "x = 1\n"
    (venv_dir / where).write_text(f"{head}VIRTUAL_ENV='{venv_dir}'\n")
    with pytest.raises(archive.NotMovableError, match=os.path.basename(where)):
        collect(venv_dir)


def test_a_script_that_names_its_path_in_its_body_is_not_archived(venv_dir: Path) -> None:
    """Its first line could be changed, the rest not."""
    body = f"import x\nplace = {str(venv_dir)!r}\n".encode()
    (venv_dir / "bin" / "command").write_bytes(Script("python", "", body).text(str(venv_dir / "bin")))
    with pytest.raises(archive.NotMovableError, match="command"):
        collect(venv_dir)


def test_an_archive_names_its_contents(data: bytes) -> None:
    """What was said of the environment comes back, equal."""
    assert archive.about(data) == ABOUT


@given(start=st.binary(max_size=60))
def test_what_is_not_an_archive_is_recognized(start: bytes) -> None:
    """Any bytes, with the mark of an archive or without, are no error."""
    for mark in (b"", b"venvpk01"):
        assert archive.about(mark + start) is None


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small archive, so that each byte in it can be reached."""
    folder = tmp_path_factory.mktemp("small") / "venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to("/usr/bin/env")
    (folder / "bin" / "pip").write_bytes(Script("python", "", b"import pip\n").text(str(folder / "bin")))
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\n")
    return collect(folder)


def test_an_archive_is_damaged_wherever_it_was_cut(small: bytes) -> None:
    """At every byte, and with one byte more at the end."""
    assert archive.about(small) == ABOUT
    for length in range(len(small)):
        assert archive.about(small[:length]) is None, length
    assert archive.about(small + b"\0") is None


def test_an_archive_is_damaged_wherever_a_byte_differs(small: bytes) -> None:
    """At every byte: of the mark, the checksum, the length, the table, and the contents."""
    for place in range(len(small)):
        for bits in (0x01, 0x20, 0x80, 0xFF):
            changed = bytearray(small)
            changed[place] ^= bits
            assert archive.about(bytes(changed)) is None, (place, bits)


@given(data=st.data())
def test_an_archive_is_damaged_however_it_was_changed(small: bytes, data: st.DataObject) -> None:
    """Parts lost, doubled, exchanged or overwritten: it is known for damaged, or it is the same as before."""
    places = st.integers(0, len(small))
    first, second, third = sorted(data.draw(st.tuples(places, places, places)))
    changed = data.draw(
        st.sampled_from(
            [
                small[:first] + small[second:],
                small[:second] + small[first:],
                small[:first] + small[second:third] + small[first:second] + small[third:],
                small[:first] + bytes(second - first) + small[second:],
                small[:first] + data.draw(st.binary(max_size=20)) + small[second:],
            ]
        )
    )
    assert archive.about(changed) == (ABOUT if changed == small else None)


@pytest.fixture
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Set the mode bits that new files do not get."""
    old = os.umask(request.param)
    yield request.param
    os.umask(old)


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o027, 0o077], indirect=True)
def test_what_comes_out_has_the_modes_that_the_user_wants(umask: int, data: bytes, tmp_path: Path) -> None:
    """Files and directories get what new ones get, whatever they had where they were packed."""
    new = unpack(data, tmp_path / "new")
    for path in new.rglob("*"):
        if not path.is_symlink():
            executable = path.is_dir() or path.name in {"tool", "command", "script"}
            assert path.stat().st_mode & 0o777 == (0o777 if executable else 0o666) & ~umask, path


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_a_write_that_takes_only_a_part_is_followed_by_the_rest(
    step: int, small: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system may write less than it is given; nothing is lost."""
    expected = tree(unpack(small, tmp_path / "one" / "venv"))
    write = os.write
    calls = []

    def write_less(descriptor: int, content: Any) -> int:
        calls.append(len(content))
        return write(descriptor, memoryview(content)[:step])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_less)
        (tmp_path / "two" / "venv").mkdir(parents=True)
        archive.unpack(small, str(tmp_path / "two" / "venv"), str(tmp_path / "one" / "venv" / "bin"))
    assert tree(tmp_path / "two" / "venv") == expected
    assert calls


def test_a_full_disk_is_an_error(small: bytes, tmp_path: Path) -> None:
    """What the system says comes through, and no descriptor stays open (the fixture looks)."""
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no device that is always full")
    with pytest.raises(OSError, match="No space left"):
        archive.write("/dev/full", b"content", executable=False, exclusive=False)


def test_nothing_that_is_there_is_overwritten(small: bytes, tmp_path: Path) -> None:
    """But for the pyvenv.cfg that marks the directory; not through a link either."""
    precious = tmp_path / "precious"
    precious.write_text("precious")
    folder = tmp_path / "venv"
    (folder / "bin").mkdir(parents=True)
    with pytest.raises(archive.DamagedError, match="exists"):
        archive.unpack(small, str(folder), str(folder / "bin"))
    with pytest.raises(FileExistsError):
        archive.write(str(precious), b"", executable=False)
    (tmp_path / "link").symlink_to(precious)
    with pytest.raises(FileExistsError):
        archive.write(str(tmp_path / "link"), b"", executable=False)
    assert precious.read_text() == "precious"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "pyvenv.cfg").symlink_to(precious)
    with pytest.raises(archive.DamagedError):
        archive.unpack(small, str(tmp_path / "other"), str(tmp_path / "other" / "bin"))
    assert precious.read_text() == "precious"
    shutil.rmtree(tmp_path / "other")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "pyvenv.cfg").touch()
    archive.unpack(small, str(tmp_path / "other"), str(tmp_path / "other" / "bin"))
    assert (tmp_path / "other" / "pyvenv.cfg").read_text() == "home = /usr/bin\n"
