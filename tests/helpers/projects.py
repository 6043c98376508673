"""Projects that are installed without an index: one as editable, and one that is built when a test lets it."""

import json
from pathlib import Path

from helpers.environments import packages
from helpers.wheels import METADATA, MODULE, make_wheel
from venvrunner import VenvRunner


def install_editable(venv: VenvRunner, folder: Path, name: str) -> Path:
    """Do what `pip install -e` does for a directory with one module, without a back end; return the module's path."""
    module = folder / f"{name}.py"
    module.write_text(MODULE.format(name=name, version="1.0.dev0"), encoding="utf-8")
    info = packages(venv) / f"{name}-1.0.dev0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA.format(name=name, version="1.0.dev0"))
    (info / "INSTALLER").write_text("pip\n")
    (info / "direct_url.json").write_text(json.dumps({"url": folder.as_uri(), "dir_info": {"editable": True}}))
    files = [f"{info.name}/{file}" for file in ("METADATA", "INSTALLER", "direct_url.json", "RECORD")]
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in [f"__editable__.{name}.pth", *files]))
    (packages(venv) / f"__editable__.{name}.pth").write_text(f"{folder}\n", encoding="utf-8")
    return module


def make_slow_project(folder: Path, gate: Path) -> Path:
    """Write a project whose own build back end builds nothing before a file *gate* is there; return its directory."""
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
