"""A store for a test, and packages to put into it that need no index. `store` is the fixture."""

import os
from pathlib import Path

import pytest

from helpers.wheels import make_wheel, make_wheels
from venvrunner import VenvRunner
from venvrunner._store import maintenance
from venvrunner._store.maintenance import Item

PREPARING = "preparing an environment in the store"
"""What is logged for each preparation of an entry."""
WITHOUT = "creating the environment without the store: "
"""What is logged if the store cannot be used."""
TAKE = """
import logging, sys
logging.basicConfig(level="INFO", format="%(message)s")
from venvrunner import VenvRunner
with VenvRunner.temporary(requirements=sys.argv[2:], installer=sys.argv[1], cached=True) as venv:
    print(venv.installed(), flush=True)
"""
"""Source that takes an environment from the store, and prints what is in it; the log goes to standard error."""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new store for this process and its children, and a wheelhouse instead of an index."""
    return use_store(tmp_path, monkeypatch)


def use_store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let this process and its children use a new store, and a wheelhouse instead of an index; return the store."""
    wheelhouse = folder / "wheelhouse"
    wheelhouse.mkdir()
    make_wheels(wheelhouse)
    settings = {"FIND_LINKS": wheelhouse, "NO_INDEX": 1, "CONFIG_FILE": os.devnull}
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(f"PIP_{name}", str(value))
    for name, value in {"FIND_LINKS": wheelhouse, "NO_INDEX": 1, "NO_CONFIG": 1, "OFFLINE": 1}.items():
        monkeypatch.setenv(f"UV_{name}", str(value))
    monkeypatch.setenv("VENVRUNNER_STORE_DIR", str(folder / "store"))
    return folder / "store"


def environments(store: Path) -> list[Item]:
    """Return the environments in a store, the most recently used first."""
    return [item for item in maintenance.items(str(store)) if item.kind == "environment"]


def take(*requirements: object, installer: str = "uv", **options: object) -> list[str]:
    """Take a temporary environment from the store, and return the names of what is in it."""
    chosen: dict[str, object] = {"requirements": requirements, "installer": installer, "with_pip": False, **options}
    with VenvRunner.temporary(cached=True, **chosen) as venv:  # type: ignore[arg-type]
        return sorted(venv.installed())


def leftovers(store: Path) -> list[Path]:
    """Return what an interrupted preparation has left in a store, but for entries that are not finished."""
    return [*store.glob("wheels/venvrunner-*"), *store.glob("*/*.new")]


def add_release(folder: Path, version: str) -> None:
    """Add a newer release of pocket to the wheelhouse of a store."""
    make_wheel(folder / "wheelhouse", "pocket", version)


def make_project(folder: Path, source: str = "VERSION = 1\n", requires: str = "pocket") -> Path:
    """Write a project whose own back end needs nothing to build a wheel of one module, and counts its builds."""
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "mine"\nversion = "1.0"\ndynamic = ["dependencies"]\n',
    )
    (folder / "mine.py").write_text(source)
    (folder / "backend.py").write_text(_BACK_END.format(requires=requires, counter=str(folder.parent / "builds")))
    return folder


_BACK_END = """import zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    with open({counter!r}, "a") as file:
        file.write("1\\n")
    with open("mine.py") as file:
        source = file.read()
    info = "mine-1.0.dist-info"
    requires = "".join(f"Requires-Dist: {{one}}\\n" for one in {requires!r}.split())
    files = {{
        "mine.py": source,
        f"{{info}}/METADATA": f"Metadata-Version: 2.1\\nName: mine\\nVersion: 1.0\\n{{requires}}",
        f"{{info}}/WHEEL": "Wheel-Version: 1.0\\nGenerator: hand\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }}
    files[f"{{info}}/RECORD"] = "".join(f"{{path}},,\\n" for path in [*files, f"{{info}}/RECORD"])
    name = "mine-1.0-py3-none-any.whl"
    with zipfile.ZipFile(f"{{folder}}/{{name}}", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return name
"""


def builds(folder: Path) -> int:
    """Return how many wheels the projects of :func:`make_project` in a directory have built."""
    counter = folder / "builds"
    return len(counter.read_text().split()) if counter.exists() else 0
