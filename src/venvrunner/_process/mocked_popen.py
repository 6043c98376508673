"""Support for tests that mock ``subprocess.Popen``: deliver the mock's output, or raise an error that names a better way."""

from collections.abc import Iterator
from typing import Any

from venvrunner._process.canned_output import CannedOutput
from venvrunner._process.command import Command

__tracebackhide__ = True


def faked_source(process: Any, command: Command) -> CannedOutput:
    """Return the canned output of a mocked process. No signal is ever sent.

    Args:
        process: the object that a mocked ``Popen`` returned; it has no real pipes.
        command: the command.

    Raises:
        TypeError: *process* has no output, or no exit code.
    """
    return CannedOutput(list(_output(process, command.input, command.encoding)), _returncode(process))


def _output(process: Any, text: bytes | None, encoding: str) -> Iterator[tuple[int, bytes]]:
    found: Any = process.communicate(input=text) if text is not None else process.communicate()
    try:
        stdout, stderr = found
    except (TypeError, ValueError):  # the mock was not configured
        stdout, stderr = process.stdout.read(), process.stderr.read()
    for number, data in enumerate((stdout, stderr), start=1):
        if isinstance(data, str):
            yield number, data.encode(encoding, "surrogateescape")
        elif isinstance(data, bytes):
            yield number, data
        elif data is not None:
            _refuse("output", data, "bytes")


def _returncode(process: Any) -> int:
    for returncode in (process.returncode, process.poll(), process.wait()):
        if type(returncode) is int:
            return returncode
    return _refuse("exit code", process.returncode, "an int")


def _refuse(what: str, value: object, needed: str) -> int:
    msg = (
        f"subprocess.Popen is replaced by a fake whose {what} is a {type(value).__name__}, not {needed}. To test without"
        " processes, use ScriptedVenvRunner or ReplayVenvRunner of venvrunner.testing."
    )
    raise TypeError(msg)
