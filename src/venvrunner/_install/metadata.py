"""What is installed, read from the metadata of the packages; no process is started."""

import os
import re
from collections.abc import Iterable

__tracebackhide__ = True

_MADE = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)\.dist-info", re.IGNORECASE)
"""How the folder of a package's metadata is named (PyPA, "Recording installed projects")."""
_KINDS = (".dist-info", ".egg-info")


def installed(folders: Iterable[str]) -> dict[str, str]:
    """Return the packages in some folders: versions by normalized names, sorted by name.

    Args:
        folders: where Python looks for packages; of two with one name, the first counts.

    >>> installed([])
    {}
    """
    found: dict[str, str] = {}
    for folder in folders:
        try:
            entries = sorted(name for name in os.listdir(folder) if name.endswith(_KINDS))
        except OSError:
            continue
        here = dict(filter(None, (_identity(os.path.join(folder, name)) for name in entries)))
        found = here | found
    return dict(sorted(found.items()))


def normalized(name: str) -> str:
    """Return the one spelling of a package's name (PEP 503).

    >>> normalized("Zope.Interface")
    'zope-interface'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def _identity(path: str) -> tuple[str, str] | None:
    match = _MADE.fullmatch(os.path.basename(path))
    if match is not None:
        return normalized(match["name"]), match["version"]
    from importlib.metadata import PathDistribution  # noqa: PLC0415  slow to import, and only needed for old forms
    from pathlib import Path  # noqa: PLC0415  the same

    metadata = PathDistribution(Path(path)).metadata
    if "Name" not in metadata or "Version" not in metadata:
        return None
    return normalized(metadata["Name"]), metadata["Version"]
