"""The program that calls a function in an environment: its source is sent there, and runs on Python 3.9 and newer.

It gets one file with the call, and writes the outcome into it: a header of 64 bytes, and the data. The header is written last,
so an incomplete outcome counts as none. The program imports only modules that Python has loaded at its start: importing
:mod:`json` would make a call half as slow again. :mod:`.report_program` has the part that only failures need.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import IO, Any

HEADER = 64
MAGIC = b"venvrunner-call"
_FUTURE_ANNOTATIONS = 0x1000000
_TEXT = {str}
_SCALARS = {str, int, float, bool, type(None)}


def encoded(value: "Any") -> str:
    """Return a value as JSON, by the C code of json where that can be used directly."""
    try:
        from _json import encode_basestring_ascii, make_encoder

        encode = make_encoder(
            markers={},
            default=_refuse,
            encoder=encode_basestring_ascii,
            indent=None,
            key_separator=": ",
            item_separator=", ",
            sort_keys=False,
            skipkeys=False,
            allow_nan=True,
        )
    except (ImportError, TypeError):  # not CPython, or a version with other internals
        import json

        return json.dumps(value)
    return "".join(encode(value, 0))


def _refuse(value: "Any") -> "Any":
    raise TypeError(type(value).__name__)


def decoded(text: str) -> "Any":
    """Return the value of a JSON text that :func:`encoded` has returned."""
    try:
        from _json import make_scanner

        settings: Any = _Decoder
        return make_scanner(settings)(text, 0)[0]
    except (AttributeError, ImportError, TypeError):  # not CPython, or a version with other internals
        import json

        return json.loads(text)


class _Decoder:
    strict = False
    object_hook = object_pairs_hook = array_hook = None
    parse_float, parse_int = float, int
    parse_constant = float


def _kind_of(value: object) -> type:
    return type(value)


def has_text_keys(value: "Any") -> bool:
    """Return whether all keys in a value are text. JSON would turn others into text silently."""
    waiting = [value]
    while waiting:
        items = waiting.pop()
        kind = _kind_of(items)
        if issubclass(kind, dict):
            if not (_TEXT.issuperset(map(type, items)) or all(issubclass(one, str) for one in set(map(type, items)))):
                return False
            items = items.values()
        elif not issubclass(kind, (list, tuple)):
            continue
        if not _SCALARS.issuperset(map(type, items)):
            waiting.extend(items)
    return True


def function_of(task: "dict[str, Any]") -> "Any":
    """Return the object that a call names, or the function that it has the source of."""
    module, _colon, path = task["function"].partition(":")
    if task["source"] is not None:
        # Names in annotations need not exist here.
        code = compile(task["source"], task["file"], "exec", flags=_FUTURE_ANNOTATIONS, dont_inherit=True)
        namespace: dict[str, Any] = {"__name__": "__main__"}
        exec(code, namespace)  # noqa: S102  running the caller's function is the purpose
        return namespace[path]
    __import__(module)
    found: Any = sys.modules[module]
    for name in path.split("."):
        found = getattr(found, name)
    return found


def _awaited(value: "Any") -> "Any":
    if not hasattr(_kind_of(value), "cr_code"):
        return value
    import asyncio

    return asyncio.run(value)


def _pickled(value: "Any") -> bytes:
    import pickle

    return pickle.dumps(value, 5)


def _unpickled(data: bytes) -> "Any":
    import pickle

    return pickle.loads(data)  # noqa: S301  it comes from the caller


def ambiguous(function: "Any", options: "list[str]") -> "list[str]":
    """Return the options of a call that are also parameters of its function."""
    while "__wrapped__" in getattr(function, "__dict__", ()):
        function = function.__wrapped__
    code = getattr(function, "__code__", None)
    if code is None:
        parameters = _signature(function) if options else ()
    else:
        parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return [name for name in options if name in parameters]


def _signature(function: "Any") -> "Collection[str]":
    """Return the names of the parameters of a class, an object with ``__call__`` or a function in C, if they are known."""
    from inspect import signature  # slow: most calls name a function, or have no options

    try:
        return signature(function).parameters
    except (TypeError, ValueError):
        return ()


class Outcome:
    """The writer of the outcome.

    Args:
        file: the file to write to, open for reading and writing.
    """

    def __init__(self, file: "IO[bytes]") -> None:
        self._file = file
        self._pid = os.getpid()
        self._identity = self._look()
        os.set_inheritable(file.fileno(), False)  # noqa: FBT003  positional only

    def _look(self) -> "tuple[int, int]":
        status = os.fstat(self._file.fileno())
        return status.st_dev, status.st_ino

    def is_fork(self) -> bool:
        """Return whether this process is a fork of the called one: that one alone has an outcome."""
        return os.getpid() != self._pid

    def write(self, kind: bytes, data: bytes) -> None:
        """Write the outcome.

        Raises:
            OSError: it cannot be written, or the descriptor is not that of the file any more.
        """
        if self.is_fork():
            return
        if self._look() != self._identity:
            msg = "the function has closed the descriptors of its process"
            raise OSError(msg)
        file = self._file
        file.seek(HEADER)
        file.write(data)
        file.flush()
        file.seek(0)
        file.write(b"%b %b %d" % (MAGIC, kind, len(data)))
        file.flush()


def main(file: "IO[bytes]") -> None:
    """Call the function, and write the outcome."""
    if sys.path[:1] == [""]:  # the working directory: a file there must not shadow a module
        del sys.path[0]
    outcome = Outcome(file)
    report, text, data = (file.read(int(size)) for size in file.readline().split())
    file.seek(0)
    file.truncate()
    task = decoded(text.decode())
    step, found = "arguments", None
    try:
        args, kwargs = _unpickled(data) if task["pickle"] else (task["args"], task["kwargs"])
        step = "import"
        found = function_of(task)
        step = "options"
        task["options"] = ambiguous(found, task["options"])
        if not callable(found) or task["options"]:
            raise TypeError  # noqa: TRY301  the report says why
        sys.argv[:] = [task["function"]]
        step = "call"
        found = _awaited(found(*args, **kwargs))
        step = "value"
        if task["pickle"]:
            outcome.write(b"pickle", _pickled(found))
        else:
            data = encoded(found).encode()  # first, because it refuses a value that contains itself
            if not has_text_keys(found):
                raise TypeError  # noqa: TRY301  the report says why
            outcome.write(b"json", data)
    except BaseException as error:
        if outcome.is_fork():
            raise
        namespace: dict[str, Any] = {}
        exec(compile(report, "<venvrunner>", "exec"), namespace)  # noqa: S102  it is a part of this program
        failure = namespace["report"](task, step, error, found)
        outcome.write(b"failure", encoded(failure).encode())
        code = error.code if isinstance(error, SystemExit) else 1
    else:
        return
    sys.exit(code)
