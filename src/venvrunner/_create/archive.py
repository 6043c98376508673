r"""Archives of prepared environments: a table followed by the contents of all files.

An archive does not contain the path of the environment that it was created from, so it can be unpacked anywhere. The unpacked
environments are independent: they share no files with each other or with the archive.
"""

import errno
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from venvrunner._venv import copying, shebangs
from venvrunner._venv.paths import within

__tracebackhide__ = True

_START = struct.Struct(">8sI")
"""The magic number of the format, and a checksum of everything after it."""
_LENGTH = struct.Struct(">I")
"""The length of the table that follows."""
_MARK = b"venvpk01"


class NotMovableError(Exception):
    """An environment contains its own path in a file that this package cannot adapt."""


class DamagedError(RuntimeError):
    """An archive cannot be unpacked, although its checksum is right."""


_WRONG = (LookupError, TypeError, ValueError, AttributeError, RecursionError)
"""The errors that unpacking an archive with an invalid table raises."""
_IMPOSSIBLE = {
    errno.EEXIST, errno.EILSEQ, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR,
}  # fmt: skip
"""The error numbers for a name that no file can have."""


def collect(venv_dir: str, script_directory: str, skip: Callable[[str], bool], about: dict[str, Any]) -> bytes:
    """Return an archive of an environment.

    Args:
        venv_dir: the environment.
        script_directory: its script directory.
        skip: returns whether a relative path is left out.
        about: the description of the environment, which :func:`about` returns.

    Raises:
        NotMovableError: the environment cannot be moved.
        OSError: the environment cannot be read.
    """
    table: list[list[Any]] = []
    parts: list[bytes] = []
    own_path = os.fsencode(venv_dir)
    for kind, path in _walk(venv_dir):
        name = os.path.relpath(path, venv_dir)
        if skip(name):
            continue
        if kind == "folder":
            table.append([kind, name])
        elif kind == "link":
            table.append([kind, name, link_target(path, venv_dir)])
        else:
            with open(path, "rb") as file:
                data = file.read()
            script = shebangs.parse(data, script_directory) if os.path.dirname(path) == script_directory else None
            if script is not None:
                data = script.body
            if own_path in data:
                msg = f"{name!r} contains the path of the environment"
                raise NotMovableError(msg)
            parts.append(data)
            executable = bool(os.stat(path).st_mode & 0o100)
            table.append(["file", name, len(data), executable, None if script is None else [script.python, script.options]])
    head = json.dumps({"about": about, "table": table}).encode()
    rest = b"".join([_LENGTH.pack(len(head)), head, *parts])
    return _START.pack(_MARK, zlib.crc32(rest)) + rest


def _walk(venv_dir: str) -> Iterator[tuple[str, str]]:
    for entry in sorted(copying.entries(venv_dir), key=lambda entry: entry.name):
        if entry.is_symlink():
            yield "link", entry.path
        elif entry.is_dir():
            yield "folder", entry.path
            yield from _walk(entry.path)
        else:
            yield "file", entry.path


def link_target(path: str, venv_dir: str) -> str:
    """Return the target of a link, made relative if it is inside the environment, so that a copy of the link works too."""
    target = os.readlink(path)
    inside = within(target, venv_dir) if os.path.isabs(target) else None
    if inside is None:
        return target
    return os.path.relpath(os.path.join(venv_dir, inside), os.path.dirname(path))


def about(data: bytes) -> dict[str, Any] | None:
    """Return the description in an archive; ``None`` if the archive is damaged or has another format."""
    if len(data) < _START.size + _LENGTH.size:
        return None
    mark, checksum = _START.unpack_from(data)
    if mark != _MARK or zlib.crc32(memoryview(data)[_START.size :]) != checksum:
        return None
    try:
        return dict[str, Any](_head(data)[0]["about"])
    except _WRONG:
        return None


def _head(data: bytes) -> tuple[dict[str, Any], int]:
    """Return the head of an undamaged archive, and the position of the first file."""
    begin = _START.size + _LENGTH.size
    end = begin + _LENGTH.unpack_from(data, _START.size)[0]
    return dict[str, Any](json.loads(data[begin:end])), end


def unpack(data: bytes, venv_dir: str, script_directory: str) -> None:
    """Unpack an archive into an existing directory.

    Args:
        data: an archive for which :func:`about` returned a description.
        venv_dir: the directory.
        script_directory: the script directory of the environment.

    Raises:
        DamagedError: the archive is damaged nevertheless; parts of it may have been written, but only in the directory.
        OSError: a file cannot be written.
    """
    try:
        _unpack(data, venv_dir, script_directory)
    except _WRONG as exc:
        raise DamagedError(exc) from exc
    except OSError as exc:
        if exc.errno in _IMPOSSIBLE:
            raise DamagedError(exc) from exc
        raise


def _unpack(data: bytes, venv_dir: str, script_directory: str) -> None:
    head, offset = _head(data)
    rest = memoryview(data)
    prefix = venv_dir + os.sep
    directories = {""}  # only directories that were created here: nothing is written through a link
    for kind, name, *details in head["table"]:
        directory, _, last = name.rpartition(os.sep)
        if directory not in directories or last in _NO_NAMES or os.path.isabs(name):
            raise ValueError(name)
        if kind == "folder":
            os.mkdir(prefix + name)
            directories.add(name)
        elif kind == "link":
            os.symlink(details[0], prefix + name)
        else:
            length, executable, script = details
            if kind != "file" or not 0 <= length <= len(rest) - offset:
                raise ValueError(name)
            content: memoryview | bytes = rest[offset : offset + length]
            offset += length
            if script is not None:
                content = shebangs.Script(script[0], script[1], bytes(content)).text(script_directory)
            write(prefix + name, content, executable=executable, exclusive=name != "pyvenv.cfg")
    if offset != len(rest):
        raise ValueError(offset)


_NO_NAMES = {"", os.curdir, os.pardir}
"""The last path components that do not name a new file."""


def write(path: str, content: bytes | memoryview, *, executable: bool, exclusive: bool = True) -> None:
    """Create a file with as few calls as possible: an environment has six hundred."""
    how = os.O_EXCL if exclusive else os.O_TRUNC | _NOFOLLOW
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | how | _FLAGS, 0o777 if executable else 0o666)
    try:
        written = os.write(descriptor, content)
        while written < len(content):  # a short write: the disk is full, and the next call raises
            written += os.write(descriptor, memoryview(content)[written:])
    finally:
        os.close(descriptor)


_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
