"""Failed installations: the kind of the failure, its reason in the installer's own words, and what to do, without I/O."""

import re
from collections.abc import Callable, Sequence

from venvrunner._install.build_failures import FailedBuild, excerpt, failed_build, reason_of, uv_items
from venvrunner._install.format_control import NO_LIMITS, NO_SOURCES, NO_WHEELS, Limits
from venvrunner._redaction import fills, whole_lines
from venvrunner.exceptions import (
    BuildFailedError,
    CommandError,
    HashError,
    IndexUnreachableError,
    InstallationError,
    NoFittingVersionError,
    NoSuchPackageError,
)

__tracebackhide__ = True

_LONGEST = 300
"""Maximum number of characters in a message; the notes have more."""
_LONGEST_LINE = 2000
"""Maximum number of characters in a line of a note."""
_MOST_NAMES = 3
"""Maximum number of requirements that a message names."""
_LAST_LINES = "The last lines of "

_OFFLINE = re.compile(r"the network was disabled")
_RETRIED = re.compile(r"Retry\(total=0,.*?connection broken by [\"'](?P<reason>.*)[\"']: ")
"""The last attempt of pip; it then reports that there is no such package."""
_SKIPPED = re.compile(
    r"Could not fetch URL \S+: "
    r"(?P<reason>(?:(?:proxy )?connection error|There was a problem confirming the ssl certificate): .+) - skipping"
)
"""pip without retries; it reports a lost connection only if it is very verbose."""
_UNREACHED = re.compile(
    r"error sending request for url|HTTP status server error|^error: (?:connection-|ssl-|proxy-connection-)\w+", re.MULTILINE
)
_FETCHED = re.compile(
    r"(?:while fetching|Unable to fetch|Failed to fetch:|connection for) `?(?P<url>\w+://\S+?)`?$", re.MULTILINE
)
_IGNORED = re.compile(r"not a trusted or secure host and is being ignored")

_NETWORK = "Check the network, the proxy and index_url=, or install from a directory of wheels: find_links= and no_index=True."
_NO_NETWORK = (
    "UV_OFFLINE, or the setting offline of a uv.toml, forbids the network. Allow it, or use find_links= and no_index=True."
)
_TLS = "pip ignores an index without TLS on another machine: use its https:// URL, or name its host in PIP_TRUSTED_HOST."
_URL = "Check the URL, the network and the proxy."
_UNMET = "Add its wheel to find_links=, or use an index that has it."

_KINDS: list[tuple[str, type[InstallationError], str]] = [
    (
        r"(?i)DO NOT MATCH THE HASHES|Hash mismatch for|Hashes are required|In `?--require-hashes`? mode|(?<!Given )no hashes",
        HashError,
        "A downloaded file does not match its required hash, or the hash is missing. Find out why before you change the hash.",
    ),
    (r"building from source is disabled|Building source distributions is disabled", NoFittingVersionError, NO_SOURCES),
    (r"pre-built wheels is disabled", NoFittingVersionError, NO_WHEELS),
    (
        r"(?i)requires? a different python|requires Python|does not satisfy Python|no wheels with a matching Python",
        NoFittingVersionError,
        "Versions for other Pythons were skipped. Request another version, or create the environment with another python=.",
    ),
    (
        r"Expected path \(`[^`]*#[^`]*`\) to end in a supported file extension",
        InstallationError,
        "uv treats the text after '#' as part of the path. Use 'NAME @ file:...#...' with the project's name.",
    ),
    (_OFFLINE.pattern, IndexUnreachableError, _NO_NETWORK),
    (_RETRIED.pattern, IndexUnreachableError, _NETWORK),
    (_SKIPPED.pattern, IndexUnreachableError, _NETWORK),
    (f"(?m){_UNREACHED.pattern}", IndexUnreachableError, _NETWORK),
    (
        r"\(from versions: none\)|was not found in the (?:package registry|provided package locations)",
        NoSuchPackageError,
        "Check the spelling, and where the installer searched: index_url= and its password, find_links= or no_index=.",
    ),
    (
        r"(?i)No matching distribution found|Could not find a version|No solution found when resolving|ResolutionImpossible",
        NoFittingVersionError,
        "No version satisfies all requirements. Relax one of them.",
    ),
]
"""The message of an installer, the kind of the failure, and what to do; the first match counts."""

_BUILDS: list[tuple[str, str]] = [
    (
        (
            r"URLError|ConnectionRefusedError|gaierror|NameResolutionError|NewConnectionError|MaxRetryError|ConnectError|"
            r"Could not resolve host|Network is unreachable|Temporary failure in name resolution|Name or service not known"
        ),
        "The build itself uses the network and could not reach it. Allow it, or install a wheel.",
    ),
    (
        (
            r"fatal error: .+: No such file|command '[^']*(?:cc|\+\+|clang|cl\.exe)[^']*' failed: |"
            r"No such file or directory: '[^']*(?:cc|\+\+|clang|cmake|ninja|make|cargo|rustc|pkg-config)'|Unknown compiler|"
            r"cannot find -l|No CMAKE_\w+_COMPILER|Microsoft Visual C\+\+ .* is required|can't find Rust compiler"
        ),
        "A compiler, a header or a system library is missing. Install it, or use a release that has a wheel.",
    ),
    (
        r"backend that is missing|has no attribute 'build_editable'",
        "Its build back end does not support editable installations. Use another back end, or install it without editable=.",
    ),
    (
        r"(?:No module named|Cannot find module) '(?P<name>[\w.]+)'",
        "The build imports {name}. Add its package to 'requires' of [build-system] in the project's pyproject.toml.",
    ),
    ("", "The project's own build failed. Fix it there, or use a release that has a wheel for this Python and platform."),
]
"""The output of a build, and what to do; the first match counts."""


def explained(
    error: CommandError,
    what: Sequence[str],
    mask: Callable[[str], str],
    limits: Limits = NO_LIMITS,
    *,
    verb: str = "installed",
    keep: int | None = None,
) -> InstallationError:
    """Return the exception for a failed installer: of the kind of the failure, with the reason and what to do.

    Args:
        error: the exception of the command; its notes are kept, except one that the build's own output replaces.
        what: the requirements or names that should have been installed or removed.
        mask: masks credentials in one or more lines.
        limits: the forbidden kinds of files.
        verb: ``"installed"`` or ``"removed"``.
        keep: how many bytes of each stream the exception has; ``None``: all.
    """
    text = "\n".join(whole_lines(text or "", is_cut=fills(text or "", keep)) for text in (error.stdout, error.stderr))
    build = failed_build(text)
    notes: list[str] = list(getattr(error, "__notes__", []))
    kind: type[InstallationError] = BuildFailedError
    if build is None:
        reason = _reason(text)
        kind, advice = _kind(text, error.cmd, limits)
    else:
        what, verb = [build.package] if build.package else what, "built"
        reason, advice = _of_build(build, text, limits)
        if build.output:
            lines = mask("\n".join(excerpt(build.output))).split("\n")
            shown = "\n".join(line[:_LONGEST_LINE] for line in lines)
            notes = [f"The output of the build:\n{shown}", *(note for note in notes if not note.startswith(_LAST_LINES))]
    headline = _headline(mask, what, verb, reason)
    found = kind(error.returncode, error.cmd, error.stdout, error.stderr, shown=error.shown, headline=headline)
    for note in [*notes, *([mask(advice)] if advice else [])]:
        found.add_note(note)
    return found


def _headline(mask: Callable[[str], str], names: Sequence[str], verb: str, reason: str) -> str:
    more = [f"{len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES else []
    *first, last = [*names[:_MOST_NAMES], *more] or ["The packages"]
    subject = f"{', '.join(first)} and {last}" if first else last
    shown = mask(f"{subject} could not be {verb}: {reason}" if reason else f"{subject} could not be {verb}")
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."


def _kind(text: str, cmd: Sequence[str], limits: Limits) -> tuple[type[InstallationError], str]:
    """Return the kind of a failure outside of a build, and what to do."""
    fetched = _FETCHED.search(text)
    text = re.sub(r"\n +", " ", text)  # uv breaks long lines as a terminal would
    found = ((kind, advice) for pattern, kind, advice in _KINDS if re.search(pattern, text))
    kind, advice = next(found, (InstallationError, ""))
    name = _not_found(text)
    if kind is NoSuchPackageError:
        return kind, limits.advice(name) or (_TLS if _IGNORED.search(text) else advice)
    if kind is IndexUnreachableError and fetched is not None and any(fetched["url"] in argument for argument in cmd):
        return InstallationError, _URL  # a file, not an index
    return kind, advice.format(by="", name=name or "it")


def _of_build(build: FailedBuild, text: str, limits: Limits) -> tuple[str, str]:
    """Return why a build failed, and what to do."""
    output = "\n".join(build.output)
    if not build.missing:
        found = ((match, advice) for pattern, advice in _BUILDS if (match := re.search(pattern, output)))
        match, advice = next(found)
        return reason_of(build.output), advice.format(**match.groupdict())
    needs = f"its build needs {build.missing!r}, "
    if _OFFLINE.search(text):
        return f"{needs}and the network is forbidden", _NO_NETWORK
    if any(pattern.search(output) for pattern in (_RETRIED, _SKIPPED)) or _UNREACHED.search(text):
        return f"{needs}and the index could not be reached", _NETWORK
    return f"{needs}which was not found", limits.advice(build.missing) or _UNMET


_NOT_FOUND = (
    re.compile(r"No matching distribution found for (?P<name>\S+)"),
    re.compile(r"Because (?P<name>\S+) was not found in"),
    re.compile(r"(?:required for|attempted to build) `(?P<name>[^`]+)`"),
)


def _not_found(text: str) -> str:
    return next((match["name"] for pattern in _NOT_FOUND if (match := pattern.search(text))), "")


_PIP_LINE = re.compile(r"^ERROR: (?!Exception:|ResolutionImpossible)(?P<text>.+)", re.MULTILINE)
_PIP_REPORT = re.compile(r"^\u00d7 (?P<what>.+)\n╰─> (?P<why>.+)", re.MULTILINE)


def _reason(text: str) -> str:
    """Return the reason that an installer reports, in one line."""
    if lost := _RETRIED.search(text) or _SKIPPED.search(text):
        return lost["reason"]
    if line := _PIP_LINE.search(text):
        return line["text"]
    if report := _PIP_REPORT.search(text):
        return f"{report['what']}: {report['why']}"
    items = uv_items(text)
    first = items[:1] if len(items) > 1 and "No solution found" not in items[0] else []
    return ": ".join([*first, *items[-1:]])
