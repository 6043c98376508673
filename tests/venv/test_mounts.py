"""Environments among real mounts: what is mounted in one is not emptied, a mount point stays, a read-only one is used."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.files import listing
from helpers.programs import SOURCE
from helpers.system import LINUX
from helpers.waiting import DEADLINE
from venvrunner import VenvRunner

UNSHARE = ["unshare", "--map-root-user", "--mount"]


def may_mount() -> bool:
    """Return whether this user may have mounts of their own."""
    if not LINUX or shutil.which("unshare") is None:
        return False
    return subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not may_mount(), reason="this user may not mount anything, not even in a namespace")

PRELUDE = """
import os, sys
from venvrunner import CreationError, VenvError, VenvRunner

top = sys.argv[1]
path = os.path.join(top, "venv")

def refused(action, *words):
    try:
        action()
    except CreationError as exc:
        assert all(word in str(exc) for word in words), exc
    else:
        raise AssertionError("not refused")
"""


def among_mounts(mounts: str, source: str, top: Path) -> tuple[int, str]:
    """Run a program after some shell commands that mount, in a namespace that ends with it."""
    command = [*UNSHARE, "sh", "-e", "-c", f'{mounts}; exec "$0" -c "$1" "$2"', sys.executable, PRELUDE + source, str(top)]
    env = {**os.environ, "PYTHONPATH": SOURCE, "TOP": str(top)}
    done = subprocess.run(command, env=env, cwd=top, capture_output=True, text=True, check=False, timeout=5 * DEADLINE)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "action", ["VenvRunner.open(path).delete()", 'VenvRunner("venv", top, with_pip=False)', 'venv.fork("venv", top)']
)
@pytest.mark.parametrize("place", ["data", "lib/data"])
def test_a_directory_that_is_mounted_in_an_environment_is_not_emptied(action: str, place: str, tmp_path: Path) -> None:
    """The host's data, say, bound into an environment in a container: `rm -rf` would remove it."""
    VenvRunner("venv", tmp_path, with_pip=False)
    VenvRunner("parent", tmp_path, with_pip=False)
    (tmp_path / "venv" / place).mkdir()
    (tmp_path / "outside" / "deep").mkdir(parents=True)
    (tmp_path / "outside" / "deep" / "precious").write_text("precious")
    before = listing(tmp_path / "outside")
    source = f"""
venv = VenvRunner.open(os.path.join(top, "parent"))
refused(lambda: {action}, "busy", path)
"""
    assert among_mounts(f"mount --bind outside venv/{place}", source, tmp_path) == (0, "")
    assert listing(tmp_path / "outside") == before


def test_a_temporary_environment_leaves_what_is_mounted_in_it(tmp_path: Path) -> None:
    """It can't be removed, and says so; what is mounted stays whole."""
    (tmp_path / "outside" / "precious").mkdir(parents=True)
    source = """
import subprocess, tempfile
tempfile.tempdir = top
venv = VenvRunner.temporary(with_pip=False)
data = os.path.join(venv.venv_dir, "data")
os.mkdir(data)
subprocess.run(["mount", "--bind", os.path.join(top, "outside"), data], check=True)
refused(venv.delete, "busy")
subprocess.run(["umount", data], check=True)
venv.delete()
assert not os.path.exists(venv.venv_dir)
"""
    assert among_mounts("true", source, tmp_path) == (0, "")
    assert os.listdir(tmp_path) == ["outside"]
    assert (tmp_path / "outside" / "precious").is_dir()


def test_an_environment_that_is_a_mount_point_is_recreated_and_not_deleted(tmp_path: Path) -> None:
    """As a volume of a container: it can be filled and cleared; deletion refuses before it removes anything."""
    (tmp_path / "volume").mkdir()
    (tmp_path / "venv").mkdir()
    source = """
for _ in range(2):
    venv = VenvRunner("venv", top, with_pip=False)
    refused(venv.delete, "busy", path)
    assert venv.log_run(["python", "-c", "print(1)"]).stdout == "1\\n"
"""
    assert among_mounts("mount --bind volume venv", source, tmp_path) == (0, "")
    assert (tmp_path / "volume" / "pyvenv.cfg").read_text()


def test_an_environment_on_a_read_only_file_system_is_used_and_reused(tmp_path: Path) -> None:
    """It can be opened, reused if it fits, and run; all else is refused and leaves it as it was."""
    VenvRunner("venv", tmp_path, with_pip=False)
    before = listing(tmp_path)
    source = """
for venv in (VenvRunner.open(path), VenvRunner("venv", top, with_pip=False, exist="reuse")):
    assert venv.log_run(["python", "-c", "print(1)"]).stdout == "1\\n"
    refused(venv.delete, "ead-only", path)
    refused(lambda: venv.install("one", no_index=True), "ead-only", path)
refused(lambda: VenvRunner("venv", top, with_pip=False), "ead-only", path)
refused(lambda: VenvRunner("venv", top, with_pip=False, prompt="other", exist="reuse"), "ead-only", path)
refused(lambda: VenvRunner("new", top, with_pip=False), "ead-only", "new")
with VenvRunner.open(path).fork("fork", os.environ["FORKS"]) as fork:
    assert fork.log_run(["python", "-c", "print(1)"]).stdout == "1\\n"
    fork.delete()
"""
    mounts = 'mount --bind . .; cd "$PWD"; mount -o remount,ro,bind .; mount -t tmpfs none /mnt; export FORKS=/mnt'
    assert among_mounts(mounts, source, tmp_path) == (0, "")
    assert listing(tmp_path) == before


def test_a_disk_that_becomes_full_is_one_clear_error(tmp_path: Path) -> None:
    """It names the file by the path that the user knows, and nothing is left."""
    source = """
small = os.path.join(top, "small")
for _ in range(2):
    refused(lambda: VenvRunner("venv", small, with_pip=False), "No space left", f"{small}/venv/")
    assert os.listdir(small) == []
"""
    mounts = "mkdir small; mount -t tmpfs -o nr_inodes=8 none small"
    assert among_mounts(mounts, source, tmp_path) == (0, "")


def test_without_proc_a_directory_that_cannot_be_read_is_said_to_be_one(tmp_path: Path) -> None:
    """As in a bare chroot: its mode cannot be changed by its descriptor there, and not safely by its name."""
    source = """
import ctypes, struct
venv = VenvRunner("venv", top, with_pip=False)
data = os.path.join(path, "data")
os.makedirs(os.path.join(data, "deeper"))
os.chmod(data, 0)
# Without capabilities, modes apply to root as well.
assert ctypes.CDLL(None).capset(struct.pack("Ii", 0x20080522, 0), bytes(24)) == 0
refused(venv.delete, "Permission denied: 'data'")
"""
    assert among_mounts("mount -t tmpfs none /proc", source, tmp_path) == (0, "")
