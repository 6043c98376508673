"""Tiny projects for tests: wheels written by hand, an editable project, and an environment that has one of each."""

import json
import os
import shutil
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from venvrunner import VenvRunner
from venvrunner._venv.change import STATE

OFFLINE = {"PIP_NO_INDEX": "1"}
ONLINE = {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}
"""uv trusts the system's certificates, as pip does by itself; the second name is that of older versions."""


def make_wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    *,
    modules: Mapping[str, str] | None = None,
    commands: Mapping[str, str] | None = None,
    requires: Sequence[str] = (),
    data: Mapping[str, str] | None = None,
    scripts: Mapping[str, str] | None = None,
    pth: Mapping[str, str] | None = None,
    metadata: str = "",
) -> Path:
    """Write a wheel by hand.

    Args:
        folder: where the wheel goes.
        name: the project's name, in its normal form.
        version: its version.
        modules: paths in the folder of packages, and sources; default: a module that prints name, version and prefix.
        commands: names of console scripts, and entry points; default: one that runs the default module.
        requires: requirements.
        data: paths below the environment's folder, and contents.
        scripts: names of scripts that are no entry points, and contents.
        pth: names of ``.pth`` files, and contents.
        metadata: further lines of its metadata.
    """
    info = f"{name}-{version}.dist-info"
    if modules is None:
        modules = {f"{name}.py": _MODULE.format(name=name, version=version)}
        commands = {name: f"{name}:main"} if commands is None else commands
    entries = "".join(f"{command} = {entry}\n" for command, entry in (commands or {}).items())
    files = {
        **modules,
        **(pth or {}),
        **{f"{name}-{version}.data/data/{path}": text for path, text in (data or {}).items()},
        **{f"{name}-{version}.data/scripts/{path}": text for path, text in (scripts or {}).items()},
        f"{info}/METADATA": _METADATA.format(name=name, version=version)
        + metadata
        + "".join(f"Requires-Dist: {r}\n" for r in requires),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{entries}",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (0o100755 if ".data/scripts/" in path else 0o100644) << 16
            archive.writestr(entry, text)
    return wheel


_METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
_MODULE = """import sys
VERSION = {version!r}
def main():
    print({name!r}, VERSION, sys.prefix)
if __name__ == "__main__":
    main()
"""


def make_wheels(folder: Path) -> list[Path]:
    """Write what a parent has in most tests: a project with all kinds of files, one that needs it, and one with .pth files."""
    return [
        make_wheel(
            folder,
            "pocket",
            data={"share/pocket/notes.txt": "notes 1.0\n"},
            scripts={"pocket-raw": "#!python\nimport pocket\npocket.main()\n"},
        ),
        make_wheel(folder, "needy", requires=["pocket>=1"]),
        make_wheel(
            folder,
            "wires",
            modules={"wires_more/strand.py": "", "wires_hook.py": "folder = None\n"},
            pth={
                "wires.pth": "wires_more\n",
                "wires-hook.pth": "import sys, wires_hook; wires_hook.folder = sys._getframe(1).f_locals['sitedir']\n",
            },
        ),
    ]


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
    """Return an environment's folder of packages."""
    (found,) = Path(venv.venv_dir).glob("lib/*/site-packages")
    return found


def scripts(venv: VenvRunner) -> Path:
    """Return an environment's folder of scripts."""
    return Path(venv.venv_dir) / "bin"


def write_script(venv: VenvRunner, name: str, text: str) -> None:
    """Put an executable file beside an environment's commands."""
    path = scripts(venv) / name
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def install_editable(venv: VenvRunner, folder: Path, name: str) -> Path:
    """Do what `pip install -e` does for a folder with one module, without a back end; return the module's path."""
    module = folder / f"{name}.py"
    module.write_text(_MODULE.format(name=name, version="1.0.dev0"), encoding="utf-8")
    info = packages(venv) / f"{name}-1.0.dev0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(_METADATA.format(name=name, version="1.0.dev0"))
    (info / "INSTALLER").write_text("pip\n")
    (info / "direct_url.json").write_text(json.dumps({"url": folder.as_uri(), "dir_info": {"editable": True}}))
    files = [f"{info.name}/{file}" for file in ("METADATA", "INSTALLER", "direct_url.json", "RECORD")]
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in [f"__editable__.{name}.pth", *files]))
    (packages(venv) / f"__editable__.{name}.pth").write_text(f"{folder}\n", encoding="utf-8")
    return module


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


def find_tool(name: str) -> str | None:
    """Return a tool beside the running interpreter or on PATH."""
    return shutil.which(name, path=os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")]))


def make_slow_project(folder: Path, gate: Path) -> Path:
    """Write a project whose own build back end builds nothing before a file *gate* is there; return its folder."""
    folder.mkdir()
    wheel = make_wheel(folder, "slow")
    (folder / "pyproject.toml").write_text('[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n')
    (folder / "backend.py").write_text(_BACK_END.format(gate=str(gate), wheel=str(wheel)))
    return folder


_BACK_END = """import os, shutil, time
def build_wheel(folder, config_settings=None, metadata_directory=None):
    end = time.monotonic() + 60
    while not os.path.exists({gate!r}):
        assert time.monotonic() < end
        time.sleep(0.01)
    return os.path.basename(shutil.copy({wheel!r}, folder))
"""
