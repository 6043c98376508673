"""What a faked ``subprocess.Popen`` says: delivered as the output of a command, or refused with the way to do it better."""

from collections.abc import Iterable
from typing import Any

from venvrunner._process.command import Command
from venvrunner._process.known import Known


def faked_source(process: Any, command: Command) -> Known:
    """Return the output of a faked process, which is known as a whole; no signal is ever sent.

    Args:
        process: what a replaced ``Popen`` returned: it has no real pipes.
        command: what was to be started.

    Raises:
        TypeError: it has no output either.
    """
    output = list(_output(process, command.input))
    returncode = _returncode(process)
    return Known(output, returncode)


def _output(process: Any, text: bytes | None) -> Iterable[tuple[int, bytes]]:
    streams = process.communicate(input=text) if text is not None else process.communicate()
    if not isinstance(streams, tuple) or len(streams) != 2:  # noqa: PLR2004  standard output and standard error
        streams = (process.stdout.read(), process.stderr.read())
    for number, data in enumerate(streams, start=1):
        if isinstance(data, str):
            yield number, data.encode("utf-8", "surrogateescape")
        elif isinstance(data, bytes):
            yield number, data
        elif data is not None:
            raise _refusal(f"output is a {type(data).__name__}, not bytes")


def _returncode(process: Any) -> int:
    for returncode in (process.returncode, process.poll(), process.wait()):
        if type(returncode) is int:
            return returncode
    raise _refusal(f"exit code is a {type(process.returncode).__name__}, not an int")


def _refusal(what: str) -> TypeError:
    return TypeError(
        f"subprocess.Popen is replaced by a fake whose {what}. To test without processes, use ScriptedVenvRunner or "
        "ReplayVenvRunner of venvrunner.testing."
    )
