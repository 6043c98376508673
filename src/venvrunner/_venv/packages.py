"""Where an environment's Python looks for packages, found without running it."""

import contextlib
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
"""What the directories of packages are called that a standalone fork has instead of ancestors."""


def lineage(venv_dir: str) -> list[str]:
    """Return an environment and what it needs, the nearest first."""
    found: list[str] = []
    following: str | None = venv_dir
    while following is not None and not any(same(following, other) for other in found):
        found.append(following)
        following = Ownership(following).parent()
    return found


def layers(packages: str) -> list[str]:
    """Return an environment's own packages, and after them those that a standalone fork has beside them."""
    found = [packages]
    while os.path.isdir(following := os.path.join(os.path.dirname(packages), f"{INHERITED}{len(found)}")):
        found.append(following)
    return found


def own_directories(venv_dir: str) -> list[str]:
    """Return the directories that an environment's packages are installed into: its own first, then those of its ancestors.

    Raises:
        OSError: it is not known which.
    """
    found = (
        layer for ancestor in lineage(venv_dir) for folder in CURRENT.package_folders(ancestor) for layer in layers(folder)
    )
    return list(dict.fromkeys(found))


def search_path(directories: Iterable[str], venv_dir: str) -> list[str]:
    """Return where Python looks if it looks into some directories: these, and after each what its ``.pth`` files add.

    What lines of code in such files add is not known, and neither are the packages of the system.

    Args:
        directories: directories of packages.
        venv_dir: the environment whose Python it is: each version has rules of its own.

    Raises:
        OSError: a directory can't be listed.
    """
    version = _version(venv_dir)
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


def _version(venv_dir: str) -> _Version:
    """Return the version of an environment's Python; if the environment does not say it, that of this one."""
    settings = read_settings(venv_dir)
    found = re.match(r"\d+\.\d+\.\d+", settings.get("version_info") or settings.get("version", ""))
    return sys.version_info[:3] if found is None else tuple(map(int, found[0].split(".")))


def _skips_hidden(version: _Version) -> bool:
    """Tell whether a Python skips hidden files.

    >>> _skips_hidden((3, 11, 7)), _skips_hidden((3, 11, 8)), _skips_hidden((3, 13, 0))
    (False, True, True)
    """
    return version >= (3, 13) or version >= (3, version[1], _HIDDEN_SINCE.get(version[1], sys.maxsize))


def _is_hidden(path: str) -> bool:
    status = os.lstat(path)
    flags, attributes = getattr(status, "st_flags", 0), getattr(status, "st_file_attributes", 0)  # of macOS, of Windows
    return bool(flags & stat.UF_HIDDEN or attributes & stat.FILE_ATTRIBUTE_HIDDEN) or os.path.basename(path).startswith(".")


def _added_by_pth_files(directory: str, version: _Version) -> Iterator[str]:
    """Yield what ``site`` adds for one directory of packages (https://docs.python.org/3/library/site.html)."""
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
        with contextlib.suppress(UnicodeDecodeError):  # then it is read as before
            return list(map(local, content.decode("utf-8-sig").splitlines()))
    return list(map(os.fsdecode, content.splitlines()))
