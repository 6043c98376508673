"""Format control: the kinds of files that variables and requirements files forbid pip to use, without I/O."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

__tracebackhide__ = True

NO_SOURCES = (
    "Only wheels are allowed{by}, and no wheel of {name} was found. Allow its source distribution, or check name and index."
)
"""The advice if a package is not found and only its wheels are allowed."""
NO_WHEELS = "Wheels are forbidden{by}, and no source distribution of {name} was found. Allow wheels, or check name and index."
"""The advice if a package is not found and its wheels are forbidden."""

_LINE = re.compile(r"^\s*--(?P<option>no|only)-binary[\s=]+(?P<value>\S+)", re.MULTILINE)


class Limits(NamedTuple):
    """The packages with forbidden kinds of files, each with the setting that forbids it; ``:all:`` means every package.

    Attributes:
        no_wheels: packages whose wheels are forbidden.
        no_sources: packages whose source distributions are forbidden.
    """

    no_wheels: Mapping[str, str]
    no_sources: Mapping[str, str]

    def advice(self, name: str) -> str | None:
        """Return the advice for a package that is not found; ``None`` if no kind of file is forbidden for it."""
        plain = _normalized(re.split(r"[^\w.-]", name, maxsplit=1)[0])
        for limits, text in ((self.no_wheels, NO_WHEELS), (self.no_sources, NO_SOURCES)):
            if by := limits.get(plain) or limits.get(":all:"):
                return text.format(by=f" by {by}", name=name)
        return None


NO_LIMITS = Limits({}, {})


def limits_of(variables: Mapping[str, str], texts: Iterable[str]) -> Limits:
    """Return the limits that environment variables and requirements files set.

    >>> limits_of({"PIP_NO_BINARY": ":all:"}, ["--only-binary=pocket"])
    Limits(no_wheels={':all:': 'PIP_NO_BINARY'}, no_sources={'pocket': '--only-binary in a requirements file'})
    """
    found: dict[str, dict[str, str]] = {"no": {}, "only": {}}
    given = [(option, variables.get(f"PIP_{option.upper()}_BINARY", ""), f"PIP_{option.upper()}_BINARY") for option in found]
    lines = (match for text in texts for match in _LINE.finditer(text))
    given += [(line["option"], line["value"], f"--{line['option']}-binary in a requirements file") for line in lines]
    for option, value, by in given:
        for name in value.replace(",", " ").split():
            if name == ":none:":
                found[option].clear()
            else:
                found[option][_normalized(name)] = by
    return Limits(found["no"], found["only"])


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
