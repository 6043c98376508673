"""Let an installer that starts no Python see what a fork inherits: metadata that stands in the fork while it runs.

uv looks into an environment's own directory of packages alone, and would install again what the parent has. So each inherited
package gets a ``.dist-info`` directory there, which lists no files but its own: when uv replaces the package, it removes this,
and nothing of the parent.
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
"""What such metadata names as its installer, by which it is known if a killed process has left it."""
_SHARED = ("METADATA", "direct_url.json", "uv_cache.json")


@contextlib.contextmanager
def stand_ins(venv_dir: str) -> Generator[None]:
    """Put the metadata of what an environment inherits into its own directory of packages, for a block.

    Raises:
        CreationError: that is not possible.
    """
    own = CURRENT.package_directories(venv_dir)
    made: list[str] = []
    try:
        with explained(venv_dir, "show what is inherited"):
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
            # What the installer has replaced is a package of the environment's own now.
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
