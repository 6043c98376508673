"""The credentials that an installation may show: those of its arguments, its variables and its requirements files."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote

_USERINFO = re.compile(r"://(?P<userinfo>[^\s/@\"'<>]+)@")
_VARIABLE = re.compile(r"UV_INDEX_.+_PASSWORD|UV_PUBLISH_(PASSWORD|TOKEN)")
_NESTED = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[\s=]*(?P<path>\S+)", re.MULTILINE)
_TOKEN = 8
"""Characters from which on a user without a password is a token, and not a name such as ``git``."""


def secrets_of(texts: Iterable[str]) -> set[str]:
    """Return what must not be shown of the URLs in some texts: passwords, and tokens in the place of a user.

    >>> sorted(secrets_of(["https://me:p%40ss@host/", "git+ssh://git@host/"]))
    ['p%40ss', 'p@ss']
    """
    found: set[str] = set()
    for text in texts:
        for match in _USERINFO.finditer(text):
            user, _colon, password = match["userinfo"].partition(":")
            secret = password or (user if len(user) >= _TOKEN else "")
            found |= {secret, unquote(secret)}
    return found - {""}


def secrets_of_variables(variables: Mapping[str, str]) -> set[str]:
    """Return what must not be shown of environment variables: of ``PIP_INDEX_URL``, ``UV_INDEX``, proxies and all others."""
    named = {value for name, value in variables.items() if value and _VARIABLE.fullmatch(name)}
    return named | secrets_of(value for value in variables.values() if "@" in value)


def texts_of(paths: Iterable[str]) -> Iterator[str]:
    """Yield the contents of requirements files, and of those that they name."""
    waiting, seen = list(paths), set[str]()
    while waiting:
        path = os.path.abspath(waiting.pop())
        if path in seen:
            continue
        seen.add(path)
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue  # the installer will say so
        yield text
        waiting += [os.path.join(os.path.dirname(path), match["path"]) for match in _NESTED.finditer(text)]
