r"""Shebangs: the first lines of a script, which name its interpreter, in the two forms that pip and uv write.

One form is a plain ``#!`` line. The other, for a path with a space or one longer than the kernel reads, runs a shell::

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
    # The path is relative to the script (uv's relocatable environments), quoted, or plain.
    rb"#!/bin/sh\n'''exec' (?P<path>\"\$\(dirname -- \"\$\(realpath -- \"\$0\"\)\"\)\"/\S+|\"[^\"\n]+\"|'[^'\n]+'|[^\s\"']+)"
    rb"(?P<options>[^\n]*?) \"\$0\" \"\$@\"\n' '''\n"
)
_RELATIVE = b'"$(dirname -- "$(realpath -- "$0")")"/'


class Script(NamedTuple):
    """A script that an interpreter of its environment runs.

    Attributes:
        python: the interpreter's name, such as ``python3``.
        options: the text after the interpreter, including the space before it.
        body: everything after the first lines.
    """

    python: str
    options: str
    body: bytes

    def text(self, scripts: str) -> bytes:
        r"""Return the text of the script for an environment.

        Args:
            scripts: its script directory.

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
    r"""Return a script if its interpreter is in a script directory, however that path is spelled; else ``None``.

    >>> parse(b"#!/v/bin/python3 -I\nimport x\n", "/v/bin")
    Script(python='python3', options=' -I', body=b'import x\n')
    >>> parse(b"#!/usr/bin/env python3\nimport x\n", "/v/bin") is None
    True
    """
    return run_from(scripts, read(text))


def run_from(scripts: str, found: tuple[str | None, _Started] | None) -> _Started | None:
    """Return the script or launcher that was found if its interpreter is in a script directory, however that is spelled."""
    if found is None:
        return None
    directory, started = found
    return started if directory is None or directory == scripts or same(directory, scripts) else None


def read(text: bytes) -> tuple[str | None, Script] | None:
    r"""Return the directory of a script's interpreter, and the script; ``None`` if the text does not name an interpreter.

    The directory is ``None`` if the path is relative to the script.

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
        directory, name = None, path.removeprefix(_RELATIVE).strip(b"\"'")
    else:
        place, _, name = path.strip(b"\"'").rpartition(b"/")
        directory = os.fsdecode(place)
        if not os.path.isabs(directory):
            return None
    return directory, Script(os.fsdecode(name), os.fsdecode(match["options"]), text[match.end() :])
