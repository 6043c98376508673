"""Misused requirements: the keyword or call to use instead of an installer's option, a file or a list; without I/O."""

import os
import re
from collections.abc import Iterable

__tracebackhide__ = True

_SEVERAL = {
    "-r": "requirements_files",
    "--requirement": "requirements_files",
    "--requirements": "requirements_files",
    "-c": "constraints",
    "--constraint": "constraints",
    "--constraints": "constraints",
    "-e": "editable",
    "--editable": "editable",
    "-f": "find_links",
    "--find-links": "find_links",
    "-b": "build_constraints",
    "--build-constraint": "build_constraints",
    "--build-constraints": "build_constraints",
    "--extra-index-url": "extra_index_urls",
    "--group": "dependency_groups",
}
_ONE = {
    "-i": "index_url",
    "--index-url": "index_url",
    "--default-index": "index_url",
    "--exclude-newer": "exclude_newer",
    "--uploaded-prior-to": "exclude_newer",
}
_FLAGS = {
    "-U": "upgrade=True",
    "--upgrade": "upgrade=True",
    "--pre": "pre=True",
    "--no-deps": "deps=False",
    "--no-index": "no_index=True",
    "--require-hashes": "require_hashes=True",
}
_SETTINGS = {"-C", "--config-settings", "--config-setting"}
_OPTION = re.compile(r"(?P<name>--[\w-]+|-\w)(?:[ =]*)(?P<value>.*)", re.DOTALL)
_SSH = re.compile(r"(?P<name>[^@]*@\s*)?(?:git\+)?(?P<user>[\w.-]+)@(?P<host>[\w.-]+):(?!//)(?P<path>\S+)", re.ASCII)
_ELSE = "Name a package, an existing path or a URL."


def option_advice(text: str, following: object = None) -> str:
    """Return the advice for an option that was passed as a requirement.

    Args:
        text: the option, perhaps with its value.
        following: the next argument.

    >>> option_advice("-r", "requirements.txt"), option_advice("--upgrade")
    ("Use requirements_files=['requirements.txt'].", 'Use upgrade=True.')
    """
    match = _OPTION.fullmatch(text)
    name = "" if match is None else match["name"]
    value = (match["value"] if match else "") or (following if isinstance(following, str) else "")
    if name in _FLAGS:
        return f"Use {_FLAGS[name]}."
    if name in _SETTINGS:
        key, _, setting = value.partition("=")
        return f"Use config_settings={{{key or 'NAME'!r}: {setting or 'VALUE'!r}}}."
    if name in _SEVERAL:
        return f"Use {_SEVERAL[name]}=[{value or '...'!r}]."
    if name in _ONE:
        return f"Use {_ONE[name]}={value or '...'!r}."
    return _ELSE


def several_advice(words: Iterable[str]) -> str:
    """Return the advice for several requirements in one string.

    >>> several_advice(["a", "b"])
    "Use one argument for each: install('a', 'b')."
    """
    return f"Use one argument for each: install({', '.join(map(repr, words))})."


def file_advice(path: str) -> str:
    """Return the advice for a file that cannot be a package.

    >>> file_advice("pyproject.toml"), file_advice("dev/requirements.in")
    ("Name its directory: install('.').", "Use requirements_files=['dev/requirements.in'].")
    """
    directory, name = os.path.dirname(path), os.path.basename(path)
    if re.fullmatch(r"pylock(\.[^.]+)?\.toml", name):
        return f"Use lock={path!r}."
    if name in {"pyproject.toml", "setup.py", "setup.cfg"}:
        return f"Name its directory: install({directory or '.'!r})."
    if name.endswith((".txt", ".in")):
        return f"Use requirements_files=[{path!r}]."
    return "Name a wheel, a source distribution, or the directory of a project."


def repository_advice(text: str) -> str | None:
    """Return the advice for a repository's address in the form for ``git clone``; ``None`` if the text is not one.

    >>> repository_advice("git@host.example:me/mine.git")
    "Use 'git+ssh://git@host.example/me/mine.git'."
    """
    match = _SSH.fullmatch(text)
    if match is None:
        return None
    return f"Use {match['name'] or ''}git+ssh://{match['user']}@{match['host']}/{match['path']}'.".replace("Use ", "Use '", 1)
