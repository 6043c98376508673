"""Lock mismatches: why a lock file does not match an environment, and what to do, without I/O."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

__tracebackhide__ = True

if TYPE_CHECKING:
    from packaging.pylock import Pylock
    from packaging.tags import Tag

_INDEX = re.compile(r"(No wheel found|python_full_version).*packages\[(\d+)\]", re.DOTALL)
"""The packaging library's message for one package that does not match."""
_SHOWN = 8
"""Maximum number of tags or markers that one message shows."""
_MARKERS = ("python_full_version", "implementation_name", "sys_platform", "platform_machine")


def why_unfit(content: "Pylock", environment: Mapping[str, str], tags: "Sequence[Tag]", error: Exception) -> tuple[str, str]:
    """Return why nothing can be selected from a lock file, and what to do.

    Args:
        content: the lock file.
        environment: the marker variables of the environment.
        tags: the supported wheel tags, the best first.
        error: the exception of the selection.
    """
    version = environment["python_full_version"]
    relock = f"lock for Python {version} too"
    if content.requires_python is not None and content.requires_python.contains(version, prereleases=True) is False:
        return _for_python(str(content.requires_python), version, "it")
    match = _INDEX.search(str(error))
    if match is not None:
        package = content.packages[int(match[2])]
        if match[1] != "No wheel found":
            return _for_python(str(package.requires_python), version, f"its package {package.name!r}")
        from packaging.utils import parse_wheel_filename  # slow to import

        best = tags[0]
        has = {tag for wheel in package.wheels or () for tag in parse_wheel_filename(wheel.filename)[3]}
        near = sorted(has, key=lambda tag: (tag.interpreter != best.interpreter, str(tag)))
        why = f"{package.name!r} has no source distribution, and wheels only for {_some(near)}; this environment takes {best}"
        return why, f"Use a Python and platform that it has wheels for, or {relock}."
    if content.environments is not None and "environments" in str(error):
        here = ", ".join(f"{name} = {environment.get(name)!r}" for name in _MARKERS)
        return (
            f"it is for {_some(content.environments, ' or ')}; this environment has {here}",
            f"Use one of these, or {relock}.",
        )
    return str(error), f"{relock[0].upper()}{relock[1:]}."


def _for_python(wanted: str, version: str, what: str) -> tuple[str, str]:
    remedy = f"Create the environment with python={wanted!r}, or lock for Python {version} too."
    return f"{what} is for Python {wanted}, but this environment has Python {version}", remedy


def _some(values: Sequence[object], joint: str = ", ") -> str:
    """Return the first few of several values, and the number of the others."""
    shown = joint.join(map(str, values[:_SHOWN]))
    return shown if len(values) <= _SHOWN else f"{shown} and {len(values) - _SHOWN} more"
