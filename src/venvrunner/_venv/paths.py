"""Paths: compared by what they lead to, as two spellings can name one directory (links, mounts, case), or read from a URL."""

import os
import re
import unicodedata

from venvrunner.exceptions import InvalidPathError

__tracebackhide__ = True


def absolute(path: str) -> str:
    """Return the absolute form of a path.

    Raises:
        InvalidPathError: it is relative, and the working directory was deleted.

    >>> absolute(os.curdir) == os.getcwd()
    True
    """
    try:
        return os.path.abspath(path)
    except OSError as exc:
        msg = f"{path!r} is relative, and the working directory cannot be found: {exc.strerror}. Use an absolute path."
        raise InvalidPathError(msg) from exc


def same(first: str, second: str) -> bool:
    """Return whether two paths lead to the same existing file or directory.

    >>> same(os.curdir, os.getcwd()), same("/missing", "/missing")
    (True, False)
    """
    try:
        return os.path.samefile(first, second)
    except (OSError, ValueError):
        return False


def within(path: str, directory: str) -> str | None:
    """Return the rest of a path below a directory, whatever spelling leads into it; ``None`` if it is not in there.

    Args:
        path: an absolute path; it need not exist.
        directory: the directory.

    >>> within(os.path.join(os.getcwd(), "missing", "file"), os.curdir)
    'missing/file'
    >>> within(os.getcwd(), os.curdir), within(os.sep, os.curdir)
    ('', None)
    """
    try:
        wanted = os.stat(directory)
    except (OSError, ValueError):
        return None
    names: list[str] = []
    while True:
        try:
            if os.path.samestat(os.stat(path), wanted):
                return os.path.join("", *reversed(names))
        except (OSError, ValueError):
            pass  # it does not exist, but what it is in may
        path, name = os.path.split(path)
        if not name:
            return None
        names.append(name)


def begins_alike(path: str, start: str) -> bool:
    """Return whether the name of an existing file begins with a text, in a spelling that its volume takes for the same.

    Args:
        path: an absolute path.
        start: what it may begin with, which need not be a path's components.

    >>> begins_alike(os.getcwd(), os.getcwd()[:-1]), begins_alike(os.getcwd(), os.getcwd() + "x")
    (True, False)
    """
    if path.startswith(start):
        return True
    if not _folded(path).startswith(_folded(start)):
        return False
    return any(same(start + path[at:], path) for at in range(1, len(path)))


def _folded(path: str) -> str:
    """Return what volumes that ignore case, or the form of accents, take for the same (APFS, HFS+, NTFS), and more."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())


def local_path(quoted_path: str) -> str:
    """Return the path that a ``file:`` URL has, from the part of the URL that it is.

    >>> local_path("/a%20b")
    '/a b'
    """
    from urllib.parse import unquote  # slow to import

    path = unquote(quoted_path, errors="surrogateescape")
    return path[1:] if os.sep == "\\" and re.match(r"/[A-Za-z]:", path) else path
