"""Why an installation failed: the installer's own words, told by kinds."""

import re

from venvrunner.exceptions import (
    CommandError,
    HashError,
    InstallationError,
    NoFittingVersionError,
    NoSuchPackageError,
)

__tracebackhide__ = True

_HASH = re.compile(
    r"DO NOT MATCH THE HASHES|Hash mismatch for|Hashes are required|In `?--require-hashes`? mode|(?<!Given )no hashes",
    re.IGNORECASE,
)
_PYTHON = re.compile(
    r"requires? a different python|requires Python|does not satisfy Python|no wheels with a matching Python", re.IGNORECASE
)
_NO_PACKAGE = re.compile(r"\(from versions: none\)|was not found in the (?:package registry|provided package locations)")
_NO_VERSION = re.compile(
    r"No matching distribution found|Could not find a version|No solution found when resolving|ResolutionImpossible",
    re.IGNORECASE,
)
_UNREACHABLE = re.compile(r"Retry\(total=0,")
"""pip has tried for the last time; it then says that there is no such package."""
_WHERE = "Check the spelling, and where it was looked for: index_url= and its password, find_links= or no_index=."
_KINDS: list[tuple[re.Pattern[str], type[InstallationError], str]] = [
    (_HASH, HashError, "A file is not the one whose hash is required, or has none. Find out why before you change the hash."),
    (
        _PYTHON,
        NoFittingVersionError,
        "Versions for other Pythons were left out. Ask for another one, or make the environment with another python=.",
    ),
    (_UNREACHABLE, InstallationError, ""),
    (_NO_PACKAGE, NoSuchPackageError, _WHERE),
    (_NO_VERSION, NoFittingVersionError, "No version fits all that is asked for. Ask for another one, or for less."),
]


def explained(error: CommandError) -> InstallationError:
    """Return the exception of a failed installer as one that tells the kind of failure, with what to do in a note."""
    text = f"{error.stdout or ''}\n{error.stderr or ''}"
    kind, advice = next(((kind, advice) for pattern, kind, advice in _KINDS if pattern.search(text)), (InstallationError, ""))
    told = kind(error.returncode, error.cmd, error.stdout, error.stderr, shown=error.shown)
    for note in getattr(error, "__notes__", []):
        told.add_note(note)
    if advice:
        told.add_note(advice)
    return told
