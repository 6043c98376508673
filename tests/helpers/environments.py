"""What tests do with an environment: install wheels offline, run a command, look at the files."""

import os
from pathlib import Path
from typing import Any

from venvrunner import VenvRunner
from venvrunner._venv.change import STATE

OFFLINE = {"PIP_NO_INDEX": "1"}
ONLINE = {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}
"""uv trusts the system's certificates, as pip does by itself; the second name is that of older versions."""


def install(venv: VenvRunner, *wheels: Path) -> None:
    """Install wheels with pip, without an index."""
    venv.install(*map(str, wheels), extra_env=OFFLINE)


def run(venv: VenvRunner, *args: str, **options: Any) -> str:
    """Run a command of an environment, and return what it wrote; nothing on its standard error is expected."""
    result = venv.log_run(list(args), **options)
    assert result.stderr == ""
    return result.stdout


def listed(venv: VenvRunner) -> dict[str, str]:
    """Return what pip lists: names and versions."""
    lines = run(venv, "python", "-m", "pip", "list", "--format=freeze").splitlines()
    return dict(line.split("==") for line in lines)


def packages(venv: VenvRunner) -> Path:
    """Return an environment's directory of packages."""
    (found,) = Path(venv.venv_dir).glob("lib/*/site-packages")
    return found


def scripts(venv: VenvRunner) -> Path:
    """Return an environment's directory of scripts."""
    return Path(venv.venv_dir) / "bin"


def write_script(venv: VenvRunner, name: str, text: str) -> None:
    """Put an executable file beside an environment's commands."""
    path = scripts(venv) / name
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def contents(venv: VenvRunner) -> dict[str, object]:
    """Return all that an environment has, but who uses it, and what any interpreter may compile at any time."""
    found: dict[str, object] = {}
    for folder, folders, files in os.walk(venv.venv_dir):
        folders[:] = [name for name in folders if name not in {STATE, "__pycache__"}]
        for path in (Path(folder, name) for name in [*folders, *files]):
            status = path.lstat()
            if path.is_symlink():
                found[str(path)] = path.readlink()
            elif path.is_file():
                found[str(path)] = (status.st_mode, status.st_mtime_ns, path.read_bytes())
            else:
                found[str(path)] = status.st_mode
    return found


def portable_contents(venv: VenvRunner) -> dict[str, list[bytes]]:
    """Return the lines of an environment's files, with its path taken out; not what Python has compiled, nor notes.

    They are sorted: virtualenv writes those of RECORD in another order each time.
    """
    top = Path(venv.venv_dir)
    return {
        str(path.relative_to(top)): sorted(path.read_bytes().replace(os.fsencode(venv.venv_dir), b"HERE").splitlines())
        for path in top.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and ".venvrunner" not in path.parts
    }
