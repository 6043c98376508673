"""Requirements: checked so that an installer cannot misread them; only paths are looked up in the file system."""

import os
import re
from collections.abc import Iterable
from typing import NamedTuple

from venvrunner._install.misuse import file_advice, option_advice, repository_advice, several_advice
from venvrunner._install.requirement_forms import (
    ARCHIVES,
    FILE,
    LISTS,
    NAMED,
    NAMED_URL,
    REPOSITORY,
    URL,
    WEB,
    is_marker,
    looks_like_path,
    misfit,
    split_extras,
    split_marker,
)
from venvrunner._redaction import Redactor, userinfos
from venvrunner._types import StrPath
from venvrunner._venv.paths import local_path
from venvrunner.exceptions import InvalidRequirementError

__tracebackhide__ = True

_NAME = re.compile(r"[A-Z0-9]([A-Z0-9._-]*[A-Z0-9])?", re.IGNORECASE | re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_DELIMITER = re.compile(r"[/?#]")
_COMMENT = re.compile(r"\s#")
_OPTION = re.compile(r"\s-|\+[a-z]+://-|@-", re.IGNORECASE)
"""Text that would be an option in a requirements file, or for the program that fetches from a repository."""
_LONGEST = 8192
"""Maximum number of characters that index servers accept in a URL."""
_SHOWN = 100
_RELATIVE = "A relative path is resolved against the working directory."


class _Local(NamedTuple):
    """An existing file or directory.

    Attributes:
        path: its path, as given.
        extras: its extras in brackets, or ``""``.
        marker: its marker, or ``""``.
    """

    path: str
    extras: str = ""
    marker: str = ""


def requirement(text: StrPath) -> str:
    """Return one argument for an installer: a requirement (PEP 508), a URL, or the ``file:`` URL of an existing path.

    A path may have extras after it; any form may have a marker. The ``file:`` URL is quoted so that both installers read it
    as that path.

    Args:
        text: the requirement, URL or path to install; an object such as :class:`pathlib.Path` is always a path.

    Raises:
        TypeError: *text* is not a str or a path.
        InvalidRequirementError: *text* is not a requirement, a URL or an existing path.

    >>> requirement("requests[socks] >= 2; python_version > '3'")
    "requests[socks] >= 2; python_version > '3'"
    >>> requirement("--index-url=https://elsewhere.example")
    Traceback (most recent call last):
    ...
    venvrunner.exceptions.InvalidRequirementError: '--index-url=https://elsewhere.example' is an option, not a requirement. \
Use index_url='https://elsewhere.example'.
    """
    stripped, is_path = _plain(text, "a requirement")
    local = _local(stripped, is_path=is_path)
    if local is not None:
        return _argument(stripped, local)
    if is_path:
        raise _invalid(stripped, "does not exist", _RELATIVE)
    if "${" in stripped:
        reason = "contains a variable, which an installer would replace from the environment"
        raise _invalid(stripped, reason, "Insert its value.")
    if URL.match(stripped) or FILE.match(stripped):
        left, marker = split_marker(stripped)
        return _checked(stripped, _marked(_place(stripped, left), marker))
    if match := NAMED.fullmatch(stripped):
        left, marker = split_marker(match["place"])
        return _named(stripped, match["name"], left, marker)
    if looks_like_path(split_marker(stripped)[0]):
        raise _invalid(stripped, "looks like a path, but no such file or directory exists")
    why = misfit(stripped)
    if why is not None:
        raise _invalid(stripped, f"is not a requirement ({why})", _several_in(stripped))
    return _checked(stripped, stripped)


def file_url(path: str) -> str:
    """Return the ``file:`` URL of a path, quoted so that both installers read it as that path.

    >>> file_url("/a [1];b")
    'file:///a%20%5B1%5D%3Bb'
    """
    from pathlib import Path  # slow to import

    return Path(os.path.abspath(path)).as_uri()


def check_credentials(url: str) -> None:
    """Refuse a URL with a password that an installer would cut: it would print the rest of the password.

    Raises:
        InvalidRequirementError: the password contains ``/``, ``?`` or ``#``.

    >>> check_credentials("https://me:p%2Fw@host.example/simple")
    """
    if any(_DELIMITER.search(userinfo) for userinfo in userinfos(url)):
        raise _invalid(url, "has a password that contains '/', '?' or '#'", "Write these as %2F, %3F and %23.")


def package_names(names: Iterable[str]) -> list[str]:
    """Return names of packages as a list, after a check that each is only a name.

    Raises:
        TypeError: a name is not a str.
        InvalidRequirementError: a string is not a package name, or *names* is empty.

    >>> package_names(["wheel"])
    ['wheel']
    """
    found = list(names)
    for text in found:
        if not isinstance(text, str):
            msg = f"the name of a package must be a str, not {type(text).__name__}.{_each_by_itself(text)}"
            raise TypeError(msg)
        if not _NAME.fullmatch(text) or len(text) > _LONGEST:
            raise _invalid(text, "is not a package name", "Use the name alone.")
    if not found:
        msg = "there is nothing to uninstall. Name a package."
        raise InvalidRequirementError(msg)
    return found


def editable(text: StrPath) -> str:
    """Return one argument for an editable installation: the ``file:`` URL of a project's directory, or a repository's URL.

    Either may have a name before it, as in ``name @ git+https://...``.

    Raises:
        TypeError: *text* is not a str or a path.
        InvalidRequirementError: *text* is not a project's directory or a repository's URL.

    >>> editable("no/such/project")
    Traceback (most recent call last):
    ...
    venvrunner.exceptions.InvalidRequirementError: 'no/such/project' is neither a project's directory nor a repository. \
Name one of these, such as '.' or 'git+https://...'.
    """
    stripped, is_path = _plain(text, "an editable project")
    local = _local(stripped, is_path=is_path, is_bare=True)
    found = ""
    if local is not None:
        found = _argument(stripped, local)
    elif not is_path and (URL.match(stripped) or FILE.match(stripped) or NAMED.fullmatch(stripped)):
        found = requirement(stripped)
    match = NAMED.fullmatch(found)
    place = split_marker(match["place"] if match else found)[0]
    url = FILE.fullmatch(split_extras(place)[0])
    if " " in found and Redactor().mask(found) != found:
        # It goes into a requirements file, where a space ends the value of an option.
        raise _invalid(stripped, "has a password together with a name or a marker", "Use the URL without name and marker.")
    if REPOSITORY.fullmatch(place) or (url and os.path.isdir(local_path(url["path"]))):
        return found
    remedy = "Name one of these, such as '.' or 'git+https://...'."
    raise _invalid(stripped, "is neither a project's directory nor a repository", remedy)


def requirements_file(path: StrPath, kind: str = "requirements") -> str:
    """Return the absolute path, or the URL, of a requirements file.

    Args:
        path: the path or URL.
        kind: the kind of file, for messages, such as ``"constraints"``.

    Raises:
        InvalidRequirementError: the file does not exist, or is a lock file.

    >>> requirements_file("no-such-file.txt")
    Traceback (most recent call last):
    ...
    venvrunner.exceptions.InvalidRequirementError: the requirements file 'no-such-file.txt' does not exist. \
A relative path is resolved against the working directory.
    """
    name = os.fspath(path)
    if is_lock_name(name):
        shown = Redactor().mask(repr(name))
        msg = f"{shown} is a lock file, not a {kind} file. Use lock={shown}."
        raise InvalidRequirementError(msg)
    if isinstance(path, str) and WEB.fullmatch(name) and not _CONTROL.search(name):
        return _checked(name, name)
    name = os.fspath(local_place(path))
    if "\0" in name or not os.path.isfile(name):
        shown = Redactor().mask(repr(os.fspath(path)))
        msg = f"the {kind} file {shown} does not exist. {_RELATIVE}"
        raise InvalidRequirementError(msg)
    return os.path.abspath(name)


def local_place(path: StrPath) -> StrPath:
    """Return the path in a ``file:`` URL; return anything else unchanged.

    >>> local_place("file:///there/pylock.toml"), local_place("https://host.example/pylock.toml")
    ('/there/pylock.toml', 'https://host.example/pylock.toml')
    """
    url = FILE.fullmatch(path) if isinstance(path, str) else None
    return path if url is None else local_path(url["path"])


def is_lock_name(path: str) -> bool:
    """Return whether a file name is that of a lock file (PEP 751).

    >>> is_lock_name("pylock.test.toml")
    True
    """
    return re.fullmatch(r"pylock(\.[^.]+)?\.toml", os.path.basename(path)) is not None


def _plain(text: StrPath, what: str) -> tuple[str, bool]:
    """Return a string without surrounding spaces, and whether it was given as a path; refuse options and control characters."""
    is_path = isinstance(text, os.PathLike)
    given: object = os.fspath(text) if isinstance(text, os.PathLike) else text
    if not isinstance(given, str):
        msg = f"{what} must be a str or a path, not {type(text).__name__}.{_each_by_itself(text)}"
        raise TypeError(msg)
    stripped = given if is_path else given.strip(" ")
    if not stripped:
        raise _invalid(given, "is empty")
    if _CONTROL.search(stripped):
        raise _invalid(given, "contains a line break or another control character")
    if stripped.startswith("-") and not is_path:
        raise _invalid(given, "is an option, not a requirement", option_advice(stripped))
    return stripped, is_path


def _local(text: str, *, is_path: bool, is_bare: bool = False) -> _Local | None:
    """Return the existing path in a string, with its extras and marker; ``None`` if the string does not name one.

    Args:
        text: the text.
        is_path: whether it was given as a path.
        is_bare: whether a name alone is a path.
    """
    if not is_path and (URL.match(text) or FILE.match(text) or NAMED_URL.match(text)):
        return None
    ends = [found.start() for found in re.finditer(";", text)]
    for left, marker in [(text, ""), *((text[:end].rstrip(" "), text[end + 1 :].strip(" ")) for end in reversed(ends))]:
        for path, extras in ((left, ""), split_extras(left)):
            is_meant = is_path or is_bare or looks_like_path(path) or (path.endswith(LISTS) and os.path.isfile(path))
            if is_meant and os.path.exists(path) and (not marker or is_marker(marker)):
                return _Local(path, extras, marker)
    return None


def _argument(text: str, local: _Local) -> str:
    path = os.path.abspath(local.path)
    if not os.path.isdir(path) and not path.lower().endswith(ARCHIVES):
        raise _invalid(text, "is a file that cannot be installed", file_advice(local.path))
    return _checked(text, _marked(file_url(path) + local.extras, local.marker))


def _several_in(text: str) -> str | None:
    """Return the advice for a string with several requirements; ``None`` if it does not have several."""
    for words in ([word.strip(",") for word in text.split()], re.split(r"[\s,]+", text)):
        if len(words) > 1 and all(word and misfit(word) is None for word in words):
            return several_advice(words)
    return None


def _named(text: str, name: str, place: str, marker: str) -> str:
    """Return ``name @ place ; marker`` in the form that both installers accept."""
    if URL.fullmatch(place) and not FILE.match(place):
        found = _marked(name + place, marker) if marker else text
    elif FILE.match(place):
        found = _marked(f"{name.rstrip(' @')} @ {_place(text, place)}", marker)
    elif (advice := repository_advice(text)) is not None:
        raise _invalid(text, "is an address for git, not a URL", advice)
    elif os.path.exists(place):
        found = _marked(f"{name.rstrip(' @')} @ {_argument(text, _Local(place))}", marker)
    else:
        raise _invalid(text, "has neither a URL nor an existing path after '@'")
    why = misfit(found)
    if why is not None:
        raise _invalid(text, f"is not a requirement ({why})")
    return _checked(text, found)


def _place(text: str, url: str) -> str:
    """Return a URL; the URL of an existing file, perhaps with extras, becomes absolute and quoted."""
    match = FILE.fullmatch(url)
    if match is None:
        if not URL.fullmatch(url):
            raise _invalid(text, "is not a URL", "A URL contains no spaces. A marker after it begins with ' ; '.")
        return url
    path = local_path(match["path"])
    if not path.strip("/"):
        raise _invalid(text, "does not name a file")
    for found, extras in ((path, ""), split_extras(path)):
        if found and os.path.exists(found):
            return _argument(text, _Local(found, extras)) + (match["rest"] or "")
    if not match["path"].startswith("/") or not URL.fullmatch(url):
        raise _invalid(text, "names a file that does not exist", _RELATIVE)
    return url


def _marked(text: str, marker: str) -> str:
    # pip needs a space after the semicolon, uv one before it.
    return f"{text} ; {marker}" if marker else text


def _checked(text: str, found: str) -> str:
    """Return a requirement or URL, after a check that no part of it can become an option."""
    check_credentials(found)
    if _COMMENT.search(found) and Redactor().mask(found) != found:
        # It goes into a requirements file, where this begins a comment.
        raise _invalid(text, "has a password together with ' #', which would begin a comment", "Use a marker without it.")
    if _OPTION.search(found):
        raise _invalid(text, "contains text that could become an option")
    if _SURROGATE.search(found):
        raise _invalid(text, "contains an unpaired surrogate, which cannot be encoded")
    if len(found) > _LONGEST:
        raise _invalid(text, f"is longer than {_LONGEST} characters")
    return found


def _each_by_itself(value: object) -> str:
    """Return the advice for several values where one is expected."""
    return " Use one argument for each: install(*names)." if isinstance(value, list | tuple | set | frozenset) else ""


def _invalid(text: str, why: str, remedy: str | None = None) -> InvalidRequirementError:
    shown = repr(text if len(text) <= _LONGEST else f"{text[:_SHOWN]}...")
    msg = f"{shown} {why}. {remedy or 'Name a package, an existing path or a URL.'}"
    return InvalidRequirementError(Redactor().mask(msg))
