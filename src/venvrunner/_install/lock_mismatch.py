"""Why a lock file does not fit an environment: which ones it is for, and what this one is, without I/O."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

__tracebackhide__ = True

if TYPE_CHECKING:
    from packaging.pylock import Pylock
    from packaging.tags import Tag

_INDEX = re.compile(r"(No wheel found|python_full_version).*packages\[(\d+)\]", re.DOTALL)
"""The packaging library's words for one package that does not fit."""
_SHOWN = 8
"""Tags or markers that one message shows."""
_SAID = ("python_full_version", "implementation_name", "sys_platform", "platform_machine")


def why_unfit(content: "Pylock", environment: Mapping[str, str], tags: "Sequence[Tag]", error: Exception) -> tuple[str, str]:
    """Return why nothing can be selected, and what to do.

    Args:
        content: what the lock file says.
        environment: the marker variables of the environment.
        tags: the tags of wheels that fit, the best first.
        error: what the selection has raised.
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
        here = ", ".join(f"{name} = {environment.get(name)!r}" for name in _SAID)
        return (
            f"it is for {_some(content.environments, ' or ')}; this environment has {here}",
            f"Use one of these, or {relock}.",
        )
    return str(error), f"{relock[0].upper()}{relock[1:]}."


def _for_python(wanted: str, version: str, what: str) -> tuple[str, str]:
    remedy = f"Create the environment with python={wanted!r}, or lock for Python {version} too."
    return f"{what} is for Python {wanted}, and this environment has Python {version}", remedy


def _some(values: Sequence[object], joint: str = ", ") -> str:
    """Return the first of several values, and how many more there are."""
    shown = joint.join(map(str, values[:_SHOWN]))
    return shown if len(values) <= _SHOWN else f"{shown} and {len(values) - _SHOWN} more"
