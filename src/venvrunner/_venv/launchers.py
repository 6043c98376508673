"""Launchers: scripts, and on Windows the programs of pip and uv, that start an interpreter of an environment.

pip's launcher (distlib's) is a program, a ``#!`` line and an archive, concatenated. uv's is a program with the path of the
interpreter in its resources (PE format); a relative path starts at the program's own directory.
"""

import ntpath
import re
import struct
from collections.abc import Callable
from typing import NamedTuple

from venvrunner._venv import shebangs

__tracebackhide__ = True

_LINE = re.compile(rb"#!(?P<path>\"[^\"\r\n]+\"|[^\s\"]+)(?P<options>[^\r\n]*)\r?\n(?=PK\x03\x04)")
_RC_DATA = 10
"""The type of uv's resources."""
_PYTHON = "UV_PYTHON_PATH"
_WRONG = (struct.error, LookupError, UnicodeDecodeError)
"""The errors that reading a program with an invalid header raises."""


class Launcher(NamedTuple):
    """A program that runs an interpreter of its environment.

    Attributes:
        python: the interpreter's file name, such as ``python.exe``.
        text: returns the bytes of the program for an environment, given the environment's script directory.
    """

    python: str
    text: Callable[[str], bytes]


Started = Launcher | shebangs.Script
STARTS = {b"#!", b"MZ"}
"""The first two bytes of a script, and of a Windows program."""


def parse(data: bytes, script_directory: str) -> Started | None:
    """Return a script or a launcher if its interpreter is in a script directory, however that path is spelled."""
    return shebangs.run_from(script_directory, read(data))


def read(data: bytes) -> tuple[str | None, Started] | None:
    r"""Return the directory of the interpreter, and the script or launcher; ``None`` if the data does not name an interpreter.

    The directory is ``None`` if the path is relative to the script or program.

    >>> directory, launcher = read(b"MZ...#!C:\\v\\Scripts\\python.exe\nPK\x03\x04...")
    >>> directory, launcher.python, launcher.text("C:\\a b\\Scripts")
    ('C:\\v\\Scripts', 'python.exe', b'MZ...#!"C:\\a b\\Scripts\\python.exe"\nPK\x03\x04...')
    >>> read(b"MZ... another program") is None
    True
    """
    if data.startswith(b"#!"):
        return shebangs.read(data)
    try:
        return _read_line(data) or _read_resource(data)
    except _WRONG:
        return None


def _read_line(data: bytes) -> tuple[str | None, Launcher] | None:
    found = None
    for match in _LINE.finditer(data):
        found = match  # the last match: the program before it may contain similar bytes
    if found is None:
        return None
    directory, name = ntpath.split(found["path"].strip(b'"').decode())
    start, rest = data[: found.start()], found["options"] + b"\n" + data[found.end() :]

    def text(script_directory: str) -> bytes:
        path = ntpath.join(script_directory, name)
        quoted = f'"{path}"' if " " in path else path
        return start + b"#!" + quoted.encode() + rest

    return (directory, Launcher(name, text)) if ntpath.isabs(directory) else None


def _read_resource(data: bytes) -> tuple[str | None, Launcher] | None:
    entry, offset = _resource(data)
    size = struct.unpack_from("<I", data, entry + 4)[0]
    directory, name = ntpath.split(data[offset : offset + size].decode())
    if not name or offset + size > len(data):
        return None

    def text(_script_directory: str) -> bytes:
        new = name.encode()  # relative to the program, so never longer than the old path
        changed = bytearray(data)
        changed[offset : offset + size] = new.ljust(size, b"\0")
        struct.pack_into("<I", changed, entry + 4, len(new))
        return bytes(changed)

    return (directory if ntpath.isabs(directory) else None), Launcher(name, text)


def _resource(data: bytes) -> tuple[int, int]:
    """Return the position of the resource entry of the interpreter's path, and the position of the path itself.

    See "The .rsrc Section" in https://learn.microsoft.com/windows/win32/debug/pe-format.

    Raises:
        struct.error, LookupError: the program has no such entry.
    """
    header = struct.unpack_from("<I", data, 0x3C)[0]
    if data[header : header + 4] != b"PE\0\0":
        raise LookupError
    sections, optional_size = struct.unpack_from("<H12xH", data, header + 6)
    optional = header + 24
    directories = optional + (112 if struct.unpack_from("<H", data, optional)[0] == 0x20B else 96)  # noqa: PLR2004  64 bits
    tree = struct.unpack_from("<I", data, directories + 16)[0]

    def position(address: int) -> int:
        for number in range(sections):
            start = optional + optional_size + 40 * number
            size, begin, _raw_size, raw = struct.unpack_from("<4I", data, start + 8)
            if begin <= address < begin + size:
                return int(raw + address - begin)
        raise LookupError

    root = position(tree)
    kind = _entry(data, root, 0, lambda name: name == _RC_DATA)
    named = _entry(data, root, kind, lambda name: name == _PYTHON)
    entry = root + _entry(data, root, named, lambda _language: True)
    return entry, position(struct.unpack_from("<I", data, entry)[0])


def _entry(data: bytes, root: int, table: int, is_wanted: Callable[[str | int], bool]) -> int:
    """Return the target of an entry in a table of resources, relative to the root.

    Raises:
        LookupError: the table has no such entry.
    """
    names, numbers = struct.unpack_from("<2H", data, root + table + 12)
    for index in range(names + numbers):
        name, target = struct.unpack_from("<2I", data, root + table + 16 + 8 * index)
        key: str | int = name
        if name & _IS_OFFSET:
            start = root + (name & ~_IS_OFFSET)
            length = struct.unpack_from("<H", data, start)[0]
            key = data[start + 2 : start + 2 + 2 * length].decode("utf-16-le")
        if is_wanted(key):
            return int(target & ~_IS_OFFSET)
    raise LookupError


_IS_OFFSET = 1 << 31
