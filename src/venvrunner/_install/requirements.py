"""Tell a requirement from what an installer could take for something else; reads the file system for paths only."""

import os
import re
from collections.abc import Iterable

from venvrunner._process.sinks import Redactor, userinfos
from venvrunner.exceptions import InvalidRequirementError

__tracebackhide__ = True

_URL = re.compile(r"(https?|file|(git|hg|svn|bzr)\+[a-z]+)://[^\s]+", re.IGNORECASE)
_REPOSITORY = re.compile(r"(git|hg|svn|bzr)\+[a-z]+://[^\s]+", re.IGNORECASE)
_NAME = re.compile(r"[A-Z0-9]([A-Z0-9._-]*[A-Z0-9])?", re.IGNORECASE | re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_DIRECT = re.compile(r"[\w.-]+\s*(\[[^\]]*\])?\s*@")
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tar.xz", ".txz", ".tlz", ".tar.lz", ".tar.lzma", ".tar")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_DELIMITER = re.compile(r"[/?#]")
_OPTION = re.compile(r"\s-|\+[a-z]+://-|@-", re.IGNORECASE)
"""What a requirements file, or the program that fetches from a repository, takes for an option."""
_LONGEST = 8192
"""Characters; the longest that index servers take for a URL."""
_SHOWN = 100
_QUOTED = {ord(character): f"%{ord(character):02X}" for character in "$\\'\","}
_EXTRAS = re.compile(r"(?P<path>.+?)(?P<extras>\[[\w\s.,-]*\])?")


def requirement(text: str) -> str:
    """Return one argument for an installer: a requirement (PEP 508), the absolute path of what is there, or a URL.

    Args:
        text: what the caller wants to install.

    Raises:
        TypeError: it is not a str.
        InvalidRequirementError: it is nothing of the kind.

    >>> requirement("requests[socks] >= 2; python_version > '3'")
    "requests[socks] >= 2; python_version > '3'"
    >>> requirement("--index-url=https://elsewhere.example")
    Traceback (most recent call last):
    ...
    venvrunner.exceptions.InvalidRequirementError: '--index-url=https://elsewhere.example' is an option, not a requirement! \
Name a package, an existing path or a URL.
    """
    if not isinstance(text, str):
        msg = f"a requirement must be a str, not {type(text).__name__}!{_each_by_itself(text)}"
        raise TypeError(msg)
    stripped = text.strip(" ")
    if not stripped:
        raise _invalid(text, "is empty")
    if _CONTROL.search(stripped):
        raise _invalid(text, "has a line break or another control character")
    if stripped.startswith("-"):
        raise _invalid(text, "is an option, not a requirement")
    if "${" in stripped:
        raise _invalid(text, "has a variable, which would be put in from the environment", "Put its value in yourself.")
    if _URL.fullmatch(stripped):
        return _checked(text, stripped)
    if _looks_like_path(stripped) and not _DIRECT.match(stripped):
        return _existing_path(stripped)
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415  slow to import

    try:
        Requirement(stripped)
    except (InvalidRequirement, RecursionError) as exc:
        reason = str(exc).partition("\n")[0]
        raise _invalid(text, f"is no requirement ({reason})") from None
    return _checked(text, stripped)


def quoted(url: str) -> str:
    """Return a URL without what a line of a requirements file, or uv in a list of places, takes for something else than itself.

    The URL stays the same one (RFC 3986, 2.4).

    >>> quoted("https://host.example/a$b")
    'https://host.example/a%24b'
    """
    return url.translate(_QUOTED)


def check_credentials(url: str) -> None:
    """Refuse a URL whose password ends it for an installer, which would then show the rest of the password.

    Raises:
        InvalidRequirementError: it is such a URL.

    >>> check_credentials("https://me:p%2Fw@host.example/simple")
    """
    if any(_DELIMITER.search(userinfo) for userinfo in userinfos(url)):
        raise _invalid(url, "has a password with '/', '?' or '#' in it", "Write these as %2F, %3F and %23.")


def package_names(names: Iterable[str]) -> list[str]:
    """Return the names of packages, without anything else.

    Raises:
        TypeError: one is not a str.
        InvalidRequirementError: one is no name, or there is none.

    >>> package_names(["wheel"])
    ['wheel']
    """
    found = list(names)
    for text in found:
        if not isinstance(text, str):
            msg = f"the name of a package must be a str, not {type(text).__name__}!{_each_by_itself(text)}"
            raise TypeError(msg)
        if not _NAME.fullmatch(text) or len(text) > _LONGEST:
            raise _invalid(text, "is not the name of a package", "Give the name alone.")
    if not found:
        msg = "there is nothing to uninstall! Name a package."
        raise InvalidRequirementError(msg)
    return found


def editable(text: str) -> str:
    """Return one argument for an editable installation: the absolute path of a project's folder, or a repository's URL.

    Raises:
        TypeError: it is not a str.
        InvalidRequirementError: it is neither.

    >>> editable("no/such/project")
    Traceback (most recent call last):
    ...
    venvrunner.exceptions.InvalidRequirementError: 'no/such/project' looks like a path, and there is no such file or folder! \
Name a package, an existing path or a URL.
    """
    found = requirement(text) if not isinstance(text, str) or _is_other(text) else _existing_path(text)
    if _REPOSITORY.fullmatch(found) or os.path.isdir(_split_extras(found)[0]):
        return found
    raise _invalid(text, "is neither a project's folder nor a repository", "Name one of these.")


def _checked(text: str, found: str) -> str:
    """Return a requirement or URL if no part of it can become an option."""
    check_credentials(found)
    if _OPTION.search(found):
        raise _invalid(text, "has something in it that could become an option")
    if _SURROGATE.search(found):
        raise _invalid(text, "has half a character, which no program can be given")
    if len(found) > _LONGEST:
        raise _invalid(text, f"is longer than {_LONGEST} characters")
    return found


def _is_other(text: str) -> bool:
    return not text.strip(" ") or text != text.strip(" ") or bool(_CONTROL.search(text) or _URL.match(text)) or text[0] == "-"


def requirements_file(path: str | os.PathLike[str], kind: str = "requirements") -> str:
    """Return the absolute path of a requirements file, or of one of its kind.

    Raises:
        InvalidRequirementError: there is no such file.

    >>> requirements_file("no-such-file.txt")
    Traceback (most recent call last):
    ...
    venvrunner.exceptions.InvalidRequirementError: the requirements file 'no-such-file.txt' does not exist! \
A relative path begins at the working directory.
    """
    name = os.fspath(path)
    if "\0" in name or not os.path.isfile(name):
        shown = Redactor().mask(repr(name))
        msg = f"the {kind} file {shown} does not exist! A relative path begins at the working directory."
        raise InvalidRequirementError(msg)
    if is_lock_name(name):
        msg = f"{Redactor().mask(repr(name))} is a lock file, not a {kind} file! Give it as lock=."
        raise InvalidRequirementError(msg)
    return os.path.abspath(name)


def is_lock_name(path: str) -> bool:
    """Tell whether a file is a lock file by its name (PEP 751).

    >>> is_lock_name("pylock.test.toml")
    True
    """
    return re.fullmatch(r"pylock(\.[^.]+)?\.toml", os.path.basename(path)) is not None


def anchored(text: str, folder: str) -> str:
    """Return a requirement with its path, if it is one, relative to a folder instead of the working directory.

    >>> anchored("./mine[test]", "/project"), anchored("build>=1", "/project"), anchored("x @ https://host/x.whl", "/project")
    ('/project/./mine[test]', 'build>=1', 'x @ https://host/x.whl')
    """
    is_path = _looks_like_path(text) and not _URL.fullmatch(text) and not _DIRECT.match(text)
    return os.path.join(folder, text) if is_path else text


def _looks_like_path(text: str) -> bool:
    path = _split_extras(text)[0]
    has_separator = any(separator in path for separator in (os.sep, os.altsep) if separator)
    # A marker may hold a separator too.
    return path.startswith(".") or path.lower().endswith(_ARCHIVES) or (has_separator and ";" not in text)


def _existing_path(text: str) -> str:
    path, extras = _split_extras(text)
    if os.path.exists(text):
        path, extras = text, ""
    if not os.path.exists(path):
        raise _invalid(text, "looks like a path, and there is no such file or folder")
    return os.path.abspath(path) + extras


def _split_extras(text: str) -> tuple[str, str]:
    match = _EXTRAS.fullmatch(text)
    return (text, "") if match is None else (match["path"], match["extras"] or "")


def _each_by_itself(value: object) -> str:
    """Return the advice for several values in the place of one."""
    return " Give each by itself, such as install(*names)." if isinstance(value, list | tuple | set | frozenset) else ""


def _invalid(text: str, why: str, remedy: str = "Name a package, an existing path or a URL.") -> InvalidRequirementError:
    shown = repr(text if len(text) <= _LONGEST else f"{text[:_SHOWN]}...")
    msg = f"{Redactor().mask(shown)} {why}! {remedy}"
    return InvalidRequirementError(msg)
