"""Where an environment's Python looks for packages, found without running it."""

import os
from collections.abc import Iterable, Iterator

from venvrunner._create.layout import CURRENT
from venvrunner._create.locks import without_waiting
from venvrunner._create.ownership import Ownership
from venvrunner._create.paths import same

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


def search_path(directories: Iterable[str]) -> list[str]:
    """Return where Python looks if it looks into some directories: these, and after each what its ``.pth`` files add.

    What lines of code in such files add is not known, and neither are the packages of the system.

    Raises:
        OSError: a directory can't be listed.
    """
    found: dict[str, None] = {}
    for directory in directories:
        found[directory] = None
        found |= dict.fromkeys(_added_by_pth_files(directory))
    return list(found)


def _added_by_pth_files(directory: str) -> Iterator[str]:
    """Yield what ``site`` adds for one directory of packages (https://docs.python.org/3/library/site.html)."""
    for name in sorted(os.listdir(directory)):
        if not name.endswith(".pth") or name.startswith("."):
            continue
        try:
            with open(os.path.join(directory, name), "rb", opener=without_waiting) as file:
                lines = file.read().removeprefix(b"\xef\xbb\xbf").splitlines()
        except OSError:
            continue  # Python skips it too
        for line in lines:
            text = os.fsdecode(line.rstrip())
            if text.strip() and not text.startswith(("#", "import ", "import\t")):
                path = os.path.normpath(os.path.join(directory, text))
                if "\0" not in path and os.path.exists(path):
                    yield path
