"""The system that the tests run on: which it is, what it allows, and which tools it has."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from venvrunner import VenvError

LINUX = sys.platform == "linux"
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
POPEN_LEAKS = sys.version_info < (3, 11, 4)
"""Whether a ``Popen`` that fails leaves descriptors open (gh-87474)."""


def find_tool(name: str) -> str | None:
    """Return a tool beside the running interpreter or on PATH."""
    return shutil.which(name, path=os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")]))


def open_to_others(folder: Path) -> None:
    """Let every user enter a directory of pytest; skip where they cannot enter the directory for temporary files itself."""
    for path in [folder, *folder.parents[:3]]:
        if path.stat().st_uid == os.geteuid() and path != Path("/tmp"):
            path.chmod(0o755)
    if IS_ROOT and not all(path.stat().st_mode & 0o001 for path in folder.parents):
        pytest.skip("other users cannot enter the directory for temporary files")


def as_nobody(action: Callable[[], object]) -> str:
    """Do something without the rights of root, and return the error that was raised."""
    if IS_ROOT and not all(folder.stat().st_mode & 0o005 for folder in Path(sys.base_prefix).parents):
        pytest.skip("this interpreter can't be read by other users, so root can't try it as one")
    if not IS_ROOT:
        try:
            action()
        except VenvError as exc:
            return f"{type(exc).__name__}: {exc}"
        return "none"
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.setgid(65534)
            os.setuid(65534)
            action()
            os.write(write, b"none")
        except BaseException as exc:  # noqa: BLE001  it is told to the parent
            os.write(write, f"{type(exc).__name__}: {exc}".encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    with os.fdopen(read) as file:
        return file.read()
