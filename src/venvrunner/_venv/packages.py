"""Package directories: where the Python of an environment looks for packages, found without running it."""

import contextlib
import errno
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator

from venvrunner._venv.file_locks import without_waiting
from venvrunner._venv.layout import CURRENT
from venvrunner._venv.paths import same
from venvrunner._venv.pyvenv_cfg import read_settings
from venvrunner._venv.state import Ownership, local

__tracebackhide__ = True

INHERITED = "inherited-"
"""The prefix of the package directories that a standalone fork has instead of ancestors."""


def lineage(venv_dir: str) -> list[str]:
    """Return an environment, its parent, and all further ancestors, in that order."""
    found: list[str] = []
    following: str | None = venv_dir
    while following is not None and not any(same(following, other) for other in found):
        found.append(following)
        following = Ownership(following).parent()
    return found


def layers(packages: str) -> list[str]:
    """Return an environment's own package directory, followed by the inherited ones that a standalone fork has."""
    found = [packages]
    while os.path.isdir(following := os.path.join(os.path.dirname(packages), f"{INHERITED}{len(found)}")):
        found.append(following)
    return found


def own_directories(venv_dir: str) -> list[str]:
    """Return the package directories of an environment: its own first, then those of its ancestors.

    Raises:
        OSError: a directory cannot be read.
    """
    found = (
        layer
        for ancestor in lineage(venv_dir)
        for directory in CURRENT.package_directories(ancestor)
        for layer in layers(directory)
    )
    return list(dict.fromkeys(found))


def search_path(directories: Iterable[str], venv_dir: str) -> list[str]:
    """Return some package directories, each followed by the paths that its ``.pth`` files add.

    Paths that lines of code in such files add are not included, and neither are the packages of the system.

    Args:
        directories: package directories.
        venv_dir: the environment whose Python reads the files: each version has its own rules.

    Raises:
        OSError: a directory cannot be listed.
    """
    version = recorded_version(venv_dir) or sys.version_info[:3]
    found: dict[str, None] = {}
    for directory in directories:
        found[directory] = None
        found |= dict.fromkeys(_added_by_pth_files(directory, version))
    return list(found)


_HIDDEN_SINCE = {8: 19, 9: 19, 10: 14, 11: 8, 12: 2}
"""The releases of Python 3 that began to skip hidden files (https://github.com/python/cpython/issues/113659)."""
_UTF8_SINCE = (3, 13)
"""The version that began to read such files as UTF-8, with a byte order mark (https://github.com/python/cpython/pull/119503)."""
_Version = tuple[int, ...]


def recorded_version(venv_dir: str) -> _Version | None:
    """Return the version of an environment's Python as ``pyvenv.cfg`` has it; ``None`` if it has none with three numbers.

    Raises:
        OSError: the file cannot be read.
    """
    settings = read_settings(venv_dir)
    found = re.match(r"\d+\.\d+\.\d+", settings.get("version_info") or settings.get("version", ""))
    return None if found is None else tuple(map(int, found[0].split(".")))


def site_packages(venv_dir: str) -> str:
    """Return the directory in which an environment's own packages are installed.

    An environment that was upgraded has one for each version; it is that of the version in ``pyvenv.cfg``.

    Raises:
        OSError: a directory cannot be read, or there is none.
    """
    found = CURRENT.package_directories(venv_dir)
    if not found:
        raise FileNotFoundError(errno.ENOENT, "there is no site-packages directory")
    name = ".".join(map(str, (recorded_version(venv_dir) or ())[:2]))
    return next((path for path in found if os.path.basename(os.path.dirname(path)).rstrip("t").endswith(name)), found[0])


def _skips_hidden(version: _Version) -> bool:
    """Return whether a version of Python skips hidden ``.pth`` files.

    >>> _skips_hidden((3, 11, 7)), _skips_hidden((3, 11, 8)), _skips_hidden((3, 13, 0))
    (False, True, True)
    """
    return version >= (3, 13) or version >= (3, version[1], _HIDDEN_SINCE.get(version[1], sys.maxsize))


def _is_hidden(path: str) -> bool:
    status = os.lstat(path)
    flags, attributes = getattr(status, "st_flags", 0), getattr(status, "st_file_attributes", 0)  # macOS, Windows
    return bool(flags & stat.UF_HIDDEN or attributes & stat.FILE_ATTRIBUTE_HIDDEN) or os.path.basename(path).startswith(".")


def _added_by_pth_files(directory: str, version: _Version) -> Iterator[str]:
    """Yield the paths that ``site`` adds for one package directory (https://docs.python.org/3/library/site.html)."""
    for name in sorted(os.listdir(directory)):
        if not name.endswith(".pth"):
            continue
        file_path = os.path.join(directory, name)
        try:
            if _skips_hidden(version) and _is_hidden(file_path):
                continue
            with open(file_path, "rb", opener=without_waiting) as file:
                lines = _lines(file.read(), version)
        except OSError:
            continue  # Python skips it too
        for line in lines:
            text = line.rstrip()
            if text.strip() and not text.startswith(("#", "import ", "import\t")):
                path = os.path.normpath(os.path.join(directory, text))
                if "\0" not in path and os.path.exists(path):
                    yield path


def _lines(content: bytes, version: _Version) -> list[str]:
    if version >= _UTF8_SINCE:
        with contextlib.suppress(UnicodeDecodeError):  # site then falls back to the locale's encoding
            return list(map(local, content.decode("utf-8-sig").splitlines()))
    return list(map(os.fsdecode, content.splitlines()))
