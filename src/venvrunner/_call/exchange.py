"""The file between a call and its process: it carries the call there and the outcome back."""

import contextlib
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Self

from venvrunner._call.program import HEADER, MAGIC
from venvrunner._call.request import Failure, Reply, Request
from venvrunner._process.session import HAS_JOBS
from venvrunner._process.unnamed_files import above_standard_streams, unnamed_file, write_all

__tracebackhide__ = True

_START = {
    "descriptor": "import sys;f=open(int(sys.argv[1]),'r+b',closefd=False);exec(f.readline())",
    "path": "import sys;f=open(sys.argv[1],'r+b');exec(f.readline())",
}
"""The code that the environment's interpreter runs. It imports nothing before the program has put ``sys.path`` right."""


class Exchange(ABC):
    """The way of one call to its process and back, in a ``with`` block.

    Attributes:
        args: the command line that makes the call.
        options: the keywords for ``log_run``.
    """

    args: list[str]
    options: dict[str, Any]

    def __init__(self, request: Request) -> None:
        self.request = request
        self.options = dict(request.options)

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def _close(self) -> None: ...

    @abstractmethod
    def _reply(self) -> Reply | None: ...

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None) -> None:
        self._close()
        if error is not None:
            self.request.explain(error)

    def value(self, done: Any) -> Any:
        """Return the value of the call that *done* is the result of, or raise what went wrong."""
        return self.request.value(done, self._reply())


class UnnamedFile(Exchange):
    """A file that only its descriptor leads to, which the process inherits (POSIX)."""

    def __enter__(self) -> Self:
        data = self.request.data()
        self._fd = above_standard_streams(unnamed_file())
        try:
            write_all(self._fd, data)
            os.lseek(self._fd, 0, os.SEEK_SET)
        except BaseException:
            os.close(self._fd)
            raise
        if self.options.get("close_fds", True):
            self.options["pass_fds"] = (*self.options.get("pass_fds", ()), self._fd)
        else:
            os.set_inheritable(self._fd, True)  # noqa: FBT003  positional only
        self.args = ["python", "-c", _START["descriptor"], str(self._fd), self.request.label]
        return self

    def _close(self) -> None:
        os.close(self._fd)

    def _reply(self) -> Reply | None:
        size = os.fstat(self._fd).st_size
        os.lseek(self._fd, 0, os.SEEK_SET)
        pieces: list[bytes] = []
        while size > 0 and (piece := os.read(self._fd, size)):
            pieces.append(piece)
            size -= len(piece)
        return parsed(b"".join(pieces), self.request)


class NamedFile(Exchange):
    """A file in a temporary directory that only this user can read (Windows, where a process inherits no descriptor)."""

    def __enter__(self) -> Self:
        data = self.request.data()
        self._directory = tempfile.mkdtemp(prefix="venvrunner-call-")
        try:
            self._path = os.path.join(self._directory, "call")
            with open(self._path, "xb") as file:
                file.write(data)
        except BaseException:
            self._close()
            raise
        self.args = ["python", "-c", _START["path"], self._path, self.request.label]
        return self

    def _close(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)

    def _reply(self) -> Reply | None:
        with contextlib.suppress(FileNotFoundError), open(self._path, "rb") as file:
            return parsed(file.read(), self.request)
        return None


def exchange_for(request: Request) -> Exchange:
    """Return the exchange for a call that a process makes."""
    return NamedFile(request) if HAS_JOBS else UnnamedFile(request)


def parsed(data: bytes, request: Request) -> Reply | None:
    """Return the outcome in a file; ``None``: it has none, or not the whole.

    Args:
        data: the content of the file.
        request: the call. Only if it says ``pickle=True`` is anything unpickled.
    """
    begin, _zero, _more = data[:HEADER].partition(b"\0")
    for kind in (b"json", b"failure", b"pickle"):
        if begin == b"%b %b %d" % (MAGIC, kind, len(data) - HEADER) and (kind != b"pickle" or request.pickle):
            try:
                return _read(kind, data[HEADER:], request)
            except Exception as exc:  # noqa: BLE001  unpickling raises anything, and the data may be forged
                return Reply(failure=Failure(f"the outcome of {request.label} cannot be read: {type(exc).__name__}: {exc}"))
    return None


def _read(kind: bytes, body: bytes, request: Request) -> Reply:
    if kind == b"pickle":
        import pickle

        return Reply(pickle.loads(body))  # noqa: S301  the caller has chosen to trust the environment
    import json

    found = json.loads(body)
    if kind == b"json":
        return Reply(found)
    error = None
    if request.pickle and found["pickle"] is not None:
        import binascii
        import pickle

        with contextlib.suppress(Exception):
            error = pickle.loads(binascii.a2b_base64(found["pickle"]))  # noqa: S301  the same
    remote_type = None if found["type"] is None else str(found["type"])
    return Reply(failure=Failure(str(found["headline"]), remote_type, str(found["message"]), str(found["traceback"]), error))
