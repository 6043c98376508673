"""Credentials: the secrets in the arguments, variables and requirements files of an installation."""

import codecs
import contextlib
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping

from venvrunner._install.requirement_forms import FILE
from venvrunner._redaction import userinfos
from venvrunner._venv.paths import local_path

__tracebackhide__ = True

_VARIABLE = re.compile(r"UV_INDEX_.+_PASSWORD|UV_PUBLISH_(PASSWORD|TOKEN)")
_NESTED = re.compile(r"^[ \t]*(?:-r|-c|--requirements?|--constraints?)[ \t=]*(?P<rest>\S.*)$", re.MULTILINE)
_CONTINUED = re.compile(r"\\\r?\n")
_CODING = re.compile(rb"^#.*coding[:=][ \t]*(?P<encoding>[-\w.]+)", re.MULTILINE)
_MARKS = [
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before that of UTF-16, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
]
_PUT_IN = re.compile(r"\$\{(?P<name>\w+)\}")
_TOKEN = 8
"""The length from which a user without a password is taken for a token, not for a name such as ``git``."""


def secrets_of(texts: Iterable[str]) -> set[str]:
    """Return the secrets in the URLs of some texts: passwords, and tokens in place of a user.

    >>> sorted(secrets_of(["https://me:p%40ss@host/", "git+ssh://git@host/"]))
    ['p%40ss', 'p@ss']
    """
    from urllib.parse import unquote  # slow to import

    found: set[str] = set()
    for text in texts:
        for userinfo in userinfos(text):
            user, _colon, password = userinfo.partition(":")
            secret = password or (user if len(user) >= _TOKEN else "")
            found |= {secret, unquote(secret)}
    return found - {""}


def secrets_of_variables(variables: Mapping[str, str]) -> set[str]:
    """Return the secrets in environment variables: ``PIP_INDEX_URL``, ``UV_INDEX``, proxies and all others."""
    named = {value for name, value in variables.items() if value and _VARIABLE.fullmatch(name)}
    # A proxy needs no scheme.
    proxies = {f"://{value}" for name, value in variables.items() if name.lower().endswith("_proxy") and "://" not in value}
    return named | secrets_of(proxies) | secrets_of(value for value in variables.values() if "@" in value)


def texts_of(paths: Iterable[str], variables: Mapping[str, str]) -> Iterator[str]:
    """Yield the texts of requirements files and of the files that they include, with variables replaced as installers do."""
    waiting, seen = list(paths), set[str]()
    while waiting:
        path = os.path.abspath(waiting.pop())
        if path in seen:
            continue
        seen.add(path)
        if not os.path.isfile(path):
            continue  # reading a terminal or a pipe could block
        try:
            with open(path, "rb") as file:
                text = _decoded(file.read())
        except OSError:
            continue  # the installer reports the error
        text = _PUT_IN.sub(lambda match: variables.get(match["name"], ""), text)
        yield text
        waiting += [os.path.join(os.path.dirname(path), name) for name in _nested(text)]


def _decoded(data: bytes) -> str:
    """Decode a requirements file by its byte order mark, or else by the line that declares the encoding (PEP 263)."""
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "utf-8")
    head = b"\n".join(data.split(b"\n", 2)[:2])
    if encoding == "utf-8" and (match := _CODING.search(head)):
        encoding = match["encoding"].decode("ascii")
    try:
        return data.decode(encoding, errors="replace")
    except LookupError:  # the encoding is unknown
        return data.decode("utf-8", errors="replace")


def _nested(text: str) -> Iterator[str]:
    """Yield the paths that a requirements file may include: pip splits a line as a shell does, uv uses all of it."""
    for match in _NESTED.finditer(_CONTINUED.sub("", text)):
        rest = match["rest"].strip()
        words = [rest, rest.partition(" #")[0].strip()]
        with contextlib.suppress(ValueError):  # an unclosed quote
            words += shlex.split(rest)[:1]
        for word in dict.fromkeys(words):
            url = FILE.fullmatch(word)
            yield local_path(url["path"]) if url else word.strip("'\"")
