"""Keywords that other functions take and this package can't honour, each with what to do instead."""

from collections.abc import Mapping

_OUTPUT = "the output is read line by line and returned; use stdout_loglevel and stderr_loglevel to see it"
_TEXT = "the output is text already, decoded as UTF-8; use errors= to choose what happens to a bad byte"
_GROUP = "every command leads a session of its own, so that it can be ended with all its children"
REFUSED: Mapping[str, str] = {
    "stdout": _OUTPUT,
    "stderr": _OUTPUT,
    "capture_output": _OUTPUT,
    "shell": "a command is a list of arguments; for a shell line run ['sh', '-c', line]",
    "text": _TEXT,
    "universal_newlines": _TEXT,
    "encoding": _TEXT,
    "bufsize": "what arrives is delivered at once; leave it out",
    "limit": "a line may have any length; leave it out",
    "start_new_session": _GROUP,
    "process_group": _GROUP,
}
