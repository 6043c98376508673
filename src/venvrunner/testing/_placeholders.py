"""Placeholders in recordings for paths that differ from machine to machine."""

import os
import re
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from venvrunner._types import StrPath
from venvrunner._venv.paths import same

__tracebackhide__ = True

_COLOUR = r"\x1b\[[\d;]*[A-Za-z]"
_BEGIN = r"(?:(?<![\w.])|(?<=-[A-Za-z]))"
_END = r"(?![\w-]|\.\w)"


class Placeholders:
    """Replace named paths in a text with placeholders, and placeholders with paths.

    Args:
        paths: paths by name. Where two paths match, the longer one wins.

    Raises:
        ValueError: a name is not an identifier.

    >>> placeholders = Placeholders({"venv": "/tmp/v", "tmp": "/tmp"})
    >>> placeholders.neutral("/tmp/v/bin in /tmp, not /var/tmp or {tmp}")
    '{venv}/bin in {tmp}, not /var/tmp or {{tmp}'
    >>> placeholders.actual(_)
    '/tmp/v/bin in /tmp, not /var/tmp or {tmp}'
    """

    def __init__(self, paths: Mapping[str, StrPath]) -> None:
        for name in paths:
            if not name.isidentifier():
                msg = f"{name!r} is not a valid name for a path. Use an identifier such as 'project'."
                raise ValueError(msg)
        self._paths = {name: os.path.abspath(path) for name, path in paths.items()}
        self._real = {name: os.path.realpath(path) for name, path in self._paths.items()}
        self._names: dict[str, str] = {}
        for name, path in self._paths.items():
            for form in (*_spellings(path), *_spellings(self._real[name])):
                if os.path.dirname(form) != form:  # the root is in every path
                    self._names.setdefault(form, name)
        names = "|".join(self._paths)
        paths_first = "|".join(re.escape(path) for path in sorted(self._names, key=len, reverse=True))
        self._encode = re.compile(rf"(\{{+)((?:{names})\}})|({_COLOUR}|\{{*{_BEGIN})({paths_first or '(?!)'}){_END}")
        self._decode = re.compile(rf"(\{{+)({names})\}}(?=([/\\])?)")

    @property
    def names(self) -> list[str]:
        """The names, sorted."""
        return sorted(self._paths)

    def only(self, names: Iterable[str]) -> "Placeholders":
        """Return the placeholders with certain names."""
        return Placeholders({name: self._paths[name] for name in names})

    def neutral(self, text: str) -> str:
        """Return a text with placeholders for paths.

        Braces before a placeholder are doubled: an odd number of braces marks a placeholder, an even number plain text.
        """
        return self._encode.sub(self._placeholder, text)

    def actual(self, text: str) -> str:
        """Return a text with the paths of this machine for placeholders."""
        return self._decode.sub(partial(self._path, self._paths), text)

    def plain(self, text: str) -> str:
        """Return a text in which all spellings of a named path are the same, also through links and with placeholders."""
        return self._decode.sub(partial(self._path, self._real), self.neutral(text))

    def _placeholder(self, match: re.Match[str]) -> str:
        braces, literal, before, path = match.groups()
        if literal is not None:
            return braces * 2 + literal
        return f"{before.replace('{', '{{')}{{{self._names[path]}}}"

    @staticmethod
    def _path(paths: Mapping[str, str], match: re.Match[str]) -> str:
        braces, name, separator = match.groups()
        half, is_placeholder = divmod(len(braces), 2)
        path = paths[name]
        if separator and os.path.dirname(path) == path:  # the root ends with one
            path = path[:-1]
        return "{" * half + (path if is_placeholder else f"{name}}}")


def _spellings(path: str) -> Iterator[str]:
    """Yield a path, and its other Unicode normal forms where the volume treats them as the same (HFS+ prints its own)."""
    yield path
    if not path.isascii():
        forms = (unicodedata.normalize(form, path) for form in ("NFC", "NFD"))
        yield from (form for form in forms if form != path and same(form, path))


def usual_placeholders(venv_dir: StrPath | None, paths: Mapping[str, StrPath]) -> Placeholders:
    """Return the placeholders of a recording, with the current paths.

    Args:
        venv_dir: the environment; ``None``: there is none.
        paths: further paths by name.

    Raises:
        ValueError: a name is not an identifier, or is a built-in name.
    """
    if taken := sorted(paths.keys() & {"venv", "cwd", "tmp", "home"}):
        msg = f"{taken[0]!r} is already the name of a built-in path. Use another name, such as 'project'."
        raise ValueError(msg)
    usual: dict[str, StrPath] = {"cwd": os.getcwd(), "tmp": tempfile.gettempdir(), "home": os.path.expanduser("~")}
    if venv_dir is not None:
        usual = {"venv": venv_dir, **usual}
    return Placeholders({**paths, **usual})
