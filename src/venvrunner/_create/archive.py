r"""A prepared environment in one piece: all its files one after the other, behind a table of what they are.

Nothing in a pack names the place where it was made, so that it can be unpacked anywhere. Each part stands on its own after
that: nothing is shared between environments, and nothing leads back to the pack.
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
"""The mark of the format, and a checksum of all that follows."""
_LENGTH = struct.Struct(">I")
"""The length of the table that follows."""
_MARK = b"venvpk01"


class NotMovableError(Exception):
    """An environment names its own place where this package does not know how to change it."""


class DamagedError(RuntimeError):
    """A pack is not what it was made as, although its checksum is right."""


_WRONG = (LookupError, TypeError, ValueError, AttributeError, RecursionError)
"""What comes of a pack whose table is wrong."""
_IMPOSSIBLE = {
    errno.EEXIST, errno.EILSEQ, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR,
}  # fmt: skip
"""What the system says of a name that cannot be had."""


def collect(venv_dir: str, script_folder: str, skip: Callable[[str], bool], about: dict[str, Any]) -> bytes:
    """Return the pack of an environment.

    Args:
        venv_dir: the environment.
        script_folder: its script folder.
        skip: tells of a path in it whether it is to be left out.
        about: what the environment is, for :func:`about`.

    Raises:
        NotMovableError: it can't be moved.
        OSError: it can't be read.
    """
    table: list[list[Any]] = []
    parts: list[bytes] = []
    place = os.fsencode(venv_dir)
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
            script = shebangs.parse(data, script_folder) if os.path.dirname(path) == script_folder else None
            if script is not None:
                data = script.body
            if place in data:
                msg = f"{name!r} names the environment's place"
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
    """Return what a link says, so that it holds in a copy of the environment too."""
    target = os.readlink(path)
    inside = within(target, venv_dir) if os.path.isabs(target) else None
    if inside is None:
        return target
    return os.path.relpath(os.path.join(venv_dir, inside), os.path.dirname(path))


def about(data: bytes) -> dict[str, Any] | None:
    """Return what a pack holds; ``None``: it is damaged, or of another format."""
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
    """Return what stands before the files of a pack that is not damaged, and where these begin."""
    begin = _START.size + _LENGTH.size
    end = begin + _LENGTH.unpack_from(data, _START.size)[0]
    return dict[str, Any](json.loads(data[begin:end])), end


def unpack(data: bytes, venv_dir: str, script_folder: str) -> None:
    """Write what is in a pack into a folder.

    Args:
        data: a pack that is not damaged, as :func:`about` tells.
        venv_dir: the folder, which is there.
        script_folder: the folder's script folder.

    Raises:
        DamagedError: the pack is damaged nevertheless; some of it may have been written, all of it in the folder.
        OSError: that is not possible.
    """
    try:
        _unpack(data, venv_dir, script_folder)
    except _WRONG as exc:
        raise DamagedError(exc) from exc
    except OSError as exc:
        if exc.errno in _IMPOSSIBLE:
            raise DamagedError(exc) from exc
        raise


def _unpack(data: bytes, venv_dir: str, script_folder: str) -> None:
    head, offset = _head(data)
    rest = memoryview(data)
    prefix = venv_dir + os.sep
    folders = {""}  # what is made here, and no link: nothing is written through one
    for kind, name, *details in head["table"]:
        folder, _, last = name.rpartition(os.sep)
        if folder not in folders or last in _NO_NAMES or os.path.isabs(name):
            raise ValueError(name)
        if kind == "folder":
            os.mkdir(prefix + name)
            folders.add(name)
        elif kind == "link":
            os.symlink(details[0], prefix + name)
        else:
            length, executable, script = details
            if kind != "file" or not 0 <= length <= len(rest) - offset:
                raise ValueError(name)
            content: memoryview | bytes = rest[offset : offset + length]
            offset += length
            if script is not None:
                content = shebangs.Script(script[0], script[1], bytes(content)).text(script_folder)
            write(prefix + name, content, executable=executable, exclusive=name != "pyvenv.cfg")
    if offset != len(rest):
        raise ValueError(offset)


_NO_NAMES = {"", os.curdir, os.pardir}
"""What names no file in a directory."""


def write(path: str, content: bytes | memoryview, *, executable: bool, exclusive: bool = True) -> None:
    """Make a file; six hundred of them are made for an environment, so it takes no more calls than needed."""
    how = os.O_EXCL if exclusive else os.O_TRUNC | _NOFOLLOW
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | how | _FLAGS, 0o777 if executable else 0o666)
    try:
        written = os.write(descriptor, content)
        while written < len(content):  # the disk is full, which the next call says
            written += os.write(descriptor, memoryview(content)[written:])
    finally:
        os.close(descriptor)


_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
