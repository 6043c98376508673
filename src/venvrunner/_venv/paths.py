"""Paths: compared by the files that they name, since links, mounts and case allow several spellings; and read from URLs."""

import os
import re
import unicodedata

from venvrunner.exceptions import InvalidPathError

__tracebackhide__ = True


def absolute(path: str) -> str:
    """Return the absolute form of a path.

    Raises:
        InvalidPathError: the path is relative, and the working directory was deleted.

    >>> absolute(os.curdir) == os.getcwd()
    True
    """
    try:
        return os.path.abspath(path)
    except OSError as exc:
        msg = f"{path!r} is relative, and the working directory cannot be found: {exc.strerror}. Use an absolute path."
        raise InvalidPathError(msg) from exc


def same(first: str, second: str) -> bool:
    """Return whether two paths name the same existing file or directory.

    >>> same(os.curdir, os.getcwd()), same("/missing", "/missing")
    (True, False)
    """
    try:
        return os.path.samefile(first, second)
    except (OSError, ValueError):
        return False


def within(path: str, directory: str) -> str | None:
    """Return the rest of a path below a directory, however both are spelled; ``None`` if the path is not in the directory.

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
            pass  # it does not exist, but its parent directory may
        path, name = os.path.split(path)
        if not name:
            return None
        names.append(name)


def begins_alike(path: str, start: str) -> bool:
    """Return whether the path of an existing file begins with a string, in any spelling that its volume treats as equal.

    Args:
        path: an absolute path.
        start: the string; it may end in the middle of a path component.

    >>> begins_alike(os.getcwd(), os.getcwd()[:-1]), begins_alike(os.getcwd(), os.getcwd() + "x")
    (True, False)
    """
    if path.startswith(start):
        return True
    if not _folded(path).startswith(_folded(start)):
        return False
    return any(same(start + path[at:], path) for at in range(1, len(path)))


def _folded(path: str) -> str:
    """Return a form that is equal for at least the names that a volume treats as equal (case, accents: APFS, HFS+, NTFS)."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())


def local_path(quoted_path: str) -> str:
    """Return the path in a ``file:`` URL, given the quoted path part of the URL.

    >>> local_path("/a%20b")
    '/a b'
    """
    from urllib.parse import unquote  # slow to import

    path = unquote(quoted_path, errors="surrogateescape")
    return path[1:] if os.sep == "\\" and re.match(r"/[A-Za-z]:", path) else path
