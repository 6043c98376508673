"""Inherited metadata: that of a fork's parent, linked into the fork while uv runs, so that uv sees the parent's packages.

uv only looks into an environment's own package directory, and would install the parent's packages again. So each inherited
package gets a ``.dist-info`` directory there, which lists only its own files: when uv replaces the package, it removes that
directory, and nothing from the parent.
"""

import contextlib
import os
from collections.abc import Generator, Iterable

from venvrunner._create.archive import write
from venvrunner._install.metadata import Distribution, installed
from venvrunner._venv.errors import explained
from venvrunner._venv.layout import CURRENT
from venvrunner._venv.packages import own_directories, search_path
from venvrunner._venv.removal import remove_tree

__tracebackhide__ = True

_INSTALLER = b"venvrunner (inherited)\n"
"""The installer that this metadata names; it identifies leftovers of a killed process."""
_SHARED = ("METADATA", "direct_url.json", "uv_cache.json")


@contextlib.contextmanager
def linked_metadata(venv_dir: str) -> Generator[None]:
    """Link the metadata of inherited packages into an environment's own package directory, for a block.

    Raises:
        CreationError: a directory cannot be read or written.
    """
    own = CURRENT.package_directories(venv_dir)
    made: list[str] = []
    try:
        with explained(venv_dir, "link the inherited metadata"):
            _remove_left(own)
            inherited = [path for path in own_directories(venv_dir) if path not in own]
            hidden = installed(search_path(own, venv_dir)) if inherited else {}
            for name, package in installed(search_path(inherited, venv_dir)).items():
                if name not in hidden and package.metadata is not None:
                    made.append(os.path.join(own[0], f"{name.replace('-', '_')}-{package.version}.dist-info"))
                    _make(made[-1], package, package.metadata)
        yield
    finally:
        for path in made:
            # A directory that the installer has replaced belongs to the environment's own package now.
            if _is_ours(path) or not os.path.exists(os.path.join(path, "RECORD")):
                with contextlib.suppress(OSError):  # the next call tries again
                    remove_tree(path)


def _make(path: str, package: Distribution, metadata: str) -> None:
    os.mkdir(path)
    write(os.path.join(path, "INSTALLER"), _INSTALLER, executable=False)
    names = ["INSTALLER", "RECORD"]
    for name in _SHARED:
        source = os.path.join(os.path.dirname(metadata), name) if name != "METADATA" else metadata
        if os.path.isfile(source):
            os.symlink(source, os.path.join(path, name))
            names.append(name)
    lines = "".join(f"{os.path.basename(path)}/{name},,\n" for name in names)
    write(os.path.join(path, "RECORD"), lines.encode(), executable=False)


def _remove_left(own: Iterable[str]) -> None:
    for directory in own:
        for name in os.listdir(directory):
            if name.endswith(".dist-info") and _is_ours(path := os.path.join(directory, name)):
                remove_tree(path)


def _is_ours(path: str) -> bool:
    try:
        with open(os.path.join(path, "INSTALLER"), "rb") as file:
            return file.read() == _INSTALLER
    except OSError:
        return False
