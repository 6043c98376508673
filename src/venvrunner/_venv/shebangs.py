r"""The first lines of scripts: which interpreter of an environment runs them (pip and uv write these two forms).

A plain ``#!`` line, or, where the path has a blank or is longer than the kernel reads, a line for the shell::

    #!/bin/sh
    '''exec' "/a path/bin/python" "$0" "$@"
    ' '''
"""

import os
import re
from typing import NamedTuple, TypeVar

from venvrunner._venv.paths import same

__tracebackhide__ = True

_Started = TypeVar("_Started")

_LONGEST = 127
"""Bytes of a ``#!`` line that every kernel reads (Linux before 5.1; others read more)."""
_PLAIN = re.compile(rb"#![ \t]*(?P<path>[^\s]+)(?P<options>[^\n]*)\n")
_SHELL = re.compile(
    # The path stands relative to the script (uv's relocatable environments), in quotes, or plain.
    rb"#!/bin/sh\n'''exec' (?P<path>\"\$\(dirname -- \"\$\(realpath -- \"\$0\"\)\"\)\"/\S+|\"[^\"\n]+\"|'[^'\n]+'|[^\s\"']+)"
    rb"(?P<options>[^\n]*?) \"\$0\" \"\$@\"\n' '''\n"
)
_RELATIVE = b'"$(dirname -- "$(realpath -- "$0")")"/'


class Script(NamedTuple):
    """A script that an interpreter of its environment runs.

    Attributes:
        python: the interpreter's name, such as ``python3``.
        options: what follows the interpreter, with the blank before it.
        body: all that follows the first lines.
    """

    python: str
    options: str
    body: bytes

    def text(self, scripts: str) -> bytes:
        r"""Return the script for an environment.

        Args:
            scripts: its script folder.

        >>> Script("python", "", b"import x\n").text("/v/bin")
        b'#!/v/bin/python\nimport x\n'
        >>> print(Script("python", " -E", b"import x").text("/a b").decode())
        #!/bin/sh
        '''exec' "/a b/python" -E "$0" "$@"
        ' '''
        import x
        """
        path, options = os.fsencode(os.path.join(scripts, self.python)), os.fsencode(self.options)
        line = b"#!" + path + options + b"\n"
        if len(line) > _LONGEST or re.search(rb"\s", path):
            line = b"#!/bin/sh\n'''exec' \"" + path + b'"' + options + b" \"$0\" \"$@\"\n' '''\n"
        return line + self.body


def parse(text: bytes, scripts: str) -> Script | None:
    r"""Return a script if an interpreter in a script directory runs it, however its path is spelled.

    >>> parse(b"#!/v/bin/python3 -I\nimport x\n", "/v/bin")
    Script(python='python3', options=' -I', body=b'import x\n')
    >>> parse(b"#!/usr/bin/env python3\nimport x\n", "/v/bin") is None
    True
    """
    return run_from(scripts, read(text))


def run_from(scripts: str, found: tuple[str | None, _Started] | None) -> _Started | None:
    """Return what was found with the directory of its interpreter if that is a script directory, however it is spelled."""
    if found is None:
        return None
    folder, started = found
    return started if folder is None or folder == scripts or same(folder, scripts) else None


def read(text: bytes) -> tuple[str | None, Script] | None:
    r"""Return the directory of the interpreter that runs a script, and the script; ``None``: no such interpreter is named.

    The directory is ``None`` if it is that of the script, wherever it is.

    >>> read(b"#!/v/bin/python3 -I\nimport x\n")
    ('/v/bin', Script(python='python3', options=' -I', body=b'import x\n'))
    >>> read(b"import x\n") is None
    True
    """
    match = _SHELL.match(text) or _PLAIN.match(text)
    if match is None:
        return None
    path = match["path"]
    if path.startswith(_RELATIVE):
        folder, name = None, path.removeprefix(_RELATIVE).strip(b"\"'")
    else:
        place, _, name = path.strip(b"\"'").rpartition(b"/")
        folder = os.fsdecode(place)
        if not os.path.isabs(folder):
            return None
    return folder, Script(os.fsdecode(name), os.fsdecode(match["options"]), text[match.end() :])
