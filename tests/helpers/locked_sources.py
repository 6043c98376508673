"""The files, the repository and the project that the lock files in ``locks`` name: the same bytes wherever they are made."""

import os
import zipfile
from pathlib import Path

from helpers.wheels import make_wheel
from venvrunner import subprocess_util

_BACK_END = '''"""A back end that needs nothing."""

import os
import zipfile

NAME, VERSION = {name!r}, {version!r}


def build_wheel(folder, config_settings=None, metadata_directory=None):
    return build(folder, NAME + ".py", "")


def build_editable(folder, config_settings=None, metadata_directory=None):
    return build(folder, NAME + ".pth", os.getcwd())


def prepare_metadata_for_build_wheel(folder, config_settings=None):
    info = f"{{NAME}}-{{VERSION}}.dist-info"
    os.mkdir(os.path.join(folder, info))
    with open(os.path.join(folder, info, "METADATA"), "w") as file:
        file.write(metadata())
    return info


prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel


def build_sdist(folder, config_settings=None):
    raise NotImplementedError


def metadata():
    return "Metadata-Version: 2.1\\nName: {project}\\nVersion: " + VERSION + "\\n" + {requires!r}


def build(folder, path, text):
    wheel = f"{{NAME}}-{{VERSION}}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, wheel), "w") as archive:
        archive.writestr(path, text)
        info = f"{{NAME}}-{{VERSION}}.dist-info"
        archive.writestr(info + "/METADATA", metadata())
        archive.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr(info + "/RECORD", "")
    return wheel
'''
_PROJECT = """[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "{project}"
version = "{version}"
requires-python = ">=3.11"
"""
_MINE = """dependencies = ["Lantern", "River.Bank"]

[project.optional-dependencies]
fast = ["pebble"]

[dependency-groups]
dev = ["quill"]
"""
_REQUIRES = "Requires-Dist: Lantern\nRequires-Dist: River.Bank\nProvides-Extra: fast\nRequires-Dist: pebble; extra == 'fast'\n"
COMMIT = "4cb04e9afba1ca7fca5899c9ac4421246c6ece53"
"""The commit of ``stone`` 1.0 in the repository."""


def files_of(project: str, version: str = "1.0", *, more: str = "", requires: str = "") -> dict[str, str]:
    """Return the files of a project that builds itself without anything else."""
    name = project.lower().replace(".", "_")
    return {
        "pyproject.toml": _PROJECT.format(project=project, version=version) + more,
        "backend.py": _BACK_END.format(name=name, version=version, project=project, requires=requires),
    }


def make_files(folder: Path) -> Path:
    """Write wheels and a source distribution, some of which have the name of their project as it spells itself."""
    make_wheel(folder, "Lantern", "2.0", requires=["harbor.tools>=1"])
    make_wheel(folder, "harbor.tools", "1.1")
    make_wheel(folder, "quill", "3.0")
    make_wheel(folder, "pebble", "0.5")
    with zipfile.ZipFile(folder / "River.Bank-1.0.zip", "w") as archive:
        metadata = {"PKG-INFO": "Metadata-Version: 2.1\nName: River.Bank\nVersion: 1.0\n"}
        for name, text in {**files_of("River.Bank"), **metadata}.items():
            archive.writestr(zipfile.ZipInfo(f"River.Bank-1.0/{name}"), text)
    return folder


def make_project(folder: Path) -> Path:
    """Write the project "mine"."""
    for name, text in files_of("mine", more=_MINE, requires=_REQUIRES).items():
        (folder / name).write_text(text)
    return folder


def make_repository(folder: Path) -> Path:
    """Write a repository that has "stone" 1.0 at COMMIT, and 2.0 on its branch."""
    folder.mkdir()
    when = "2026-01-01T00:00:00Z"
    names = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in {"NAME": "me", "EMAIL": "me@git.example", "DATE": when}.items()
    }
    git = ["git", "-C", str(folder), "-c", "core.autocrlf=false", "-c", "commit.gpgsign=false"]
    subprocess_util.log_run([*git, "init", "-q", "--initial-branch=main"])
    for version in ("1.0", "2.0"):
        for name, text in files_of("stone", version).items():
            (folder / name).write_text(text)
        subprocess_util.log_run([*git, "add", "."])
        subprocess_util.log_run([*git, "commit", "-qm", version], env={**os.environ, **names})
    return folder
