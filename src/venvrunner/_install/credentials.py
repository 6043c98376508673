"""The credentials that an installation may show: those of its arguments, its variables and its requirements files."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote

from venvrunner._process.sinks import userinfos

__tracebackhide__ = True

_VARIABLE = re.compile(r"UV_INDEX_.+_PASSWORD|UV_PUBLISH_(PASSWORD|TOKEN)")
_NESTED = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[\s=]*(?P<path>\S+)", re.MULTILINE)
_PUT_IN = re.compile(r"\$\{(?P<name>\w+)\}")
_TOKEN = 8
"""Characters from which on a user without a password is a token, and not a name such as ``git``."""


def secrets_of(texts: Iterable[str]) -> set[str]:
    """Return what must not be shown of the URLs in some texts: passwords, and tokens in the place of a user.

    >>> sorted(secrets_of(["https://me:p%40ss@host/", "git+ssh://git@host/"]))
    ['p%40ss', 'p@ss']
    """
    found: set[str] = set()
    for text in texts:
        for userinfo in userinfos(text):
            user, _colon, password = userinfo.partition(":")
            secret = password or (user if len(user) >= _TOKEN else "")
            found |= {secret, unquote(secret)}
    return found - {""}


def secrets_of_variables(variables: Mapping[str, str]) -> set[str]:
    """Return what must not be shown of environment variables: of ``PIP_INDEX_URL``, ``UV_INDEX``, proxies and all others."""
    named = {value for name, value in variables.items() if value and _VARIABLE.fullmatch(name)}
    # A proxy needs no scheme.
    proxies = {f"://{value}" for name, value in variables.items() if name.lower().endswith("_proxy") and "://" not in value}
    return named | secrets_of(proxies) | secrets_of(value for value in variables.values() if "@" in value)


def texts_of(paths: Iterable[str], variables: Mapping[str, str]) -> Iterator[str]:
    """Yield the contents of requirements files, and of those that they name, with the variables put in as installers do."""
    waiting, seen = list(paths), set[str]()
    while waiting:
        path = os.path.abspath(waiting.pop())
        if path in seen:
            continue
        seen.add(path)
        if not os.path.isfile(path):
            continue  # a terminal or a pipe would keep us waiting
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue  # the installer will say so
        yield _PUT_IN.sub(lambda match: variables.get(match["name"], ""), text)
        waiting += [os.path.join(os.path.dirname(path), match["path"]) for match in _NESTED.finditer(text)]
