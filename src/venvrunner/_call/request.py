"""One call of a function in an environment: its checked arguments, the text that is sent, and the value that comes back."""

import functools
import marshal
import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from venvrunner._call.program import encoded, has_text_keys
from venvrunner._call.report_program import flaw
from venvrunner._process.checks import flag, kept_secrets
from venvrunner._process.command import KEYWORDS
from venvrunner._redaction import Redactor, fills, whole_lines
from venvrunner.exceptions import CallError

if TYPE_CHECKING:
    from venvrunner._call.source import Source

__tracebackhide__ = True

_FIRST_LINE = (
    b"import marshal;v,c,s=f.readline().split();c=f.read(int(c));s=f.read(int(s));g={'__name__':'__main__'};"
    b"exec(marshal.loads(c)if v.decode()==sys.implementation.cache_tag+'-'+str(sys.hexversion)else "
    b"compile(s,'<venvrunner>','exec'),g);g['main'](f)\n"
)
"""The first line of the file: code that loads the program, from its code or its source."""
_NOTE_LINES = 10
_NOTE_CHARS = 2000
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_PLAIN = "text, numbers, booleans, None, lists and dicts with text keys"


class Failure(NamedTuple):
    """The report of a failed call.

    Attributes:
        headline: what happened, without a full stop.
        type: the name of the exception's class; ``None``: the function raised none.
        message: the text of the exception.
        traceback: the traceback in the environment.
        error: the exception itself; ``None``: it did not come back.
    """

    headline: str
    type: str | None = None
    message: str = ""
    traceback: str = ""
    error: BaseException | None = None


class Reply(NamedTuple):
    """The outcome of a call: the value, or the report of the failure."""

    value: Any = None
    failure: Failure | None = None


class Request:
    """One call, checked.

    Args:
        function: ``"module:function"``, or a function.
        args: its positional arguments.
        kwargs: its keyword arguments that are given as a mapping; ``None``: no mapping was given.
        keywords: the other keywords of the call: options, and arguments of the function.
        pickle: whether arguments and value are pickled.

    Attributes:
        label: the function as ``module:function``.
        options: the keywords for ``log_run``.
        pickle: whether arguments and value are pickled.

    Raises:
        TypeError, ValueError: an argument is invalid.
    """

    def __init__(
        self,
        function: str | Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any] | None,
        keywords: Mapping[str, Any],
        *,
        pickle: bool,
    ) -> None:
        self.pickle = flag("pickle", pickle)
        self.label, self._source = named(function)
        self.options: dict[str, Any] = {name: value for name, value in keywords.items() if name in KEYWORDS}
        if "check" in self.options:
            msg = (
                "check= can't be used here: a call raises on any failure. Pass the function its own with kwargs={'check': ...}."
            )
            raise TypeError(msg)
        self._secrets = kept_secrets(self.options)
        self._args = args
        self._kwargs = {name: value for name, value in keywords.items() if name not in KEYWORDS}
        for name, value in _mapping(kwargs).items():
            if name in self._kwargs:
                msg = f"{name}= is given twice, directly and in kwargs=. Leave out one of them."
                raise TypeError(msg)
            self._kwargs[name] = value
        self._doubtful = [] if kwargs is not None else list(self.options)
        if not self.pickle:
            self._texts = [_plain(value, f"args[{index}]") for index, value in enumerate(args)]
            self._named = {name: _plain(value, f"kwargs[{name!r}]") for name, value in self._kwargs.items()}

    def words(self) -> list[str]:
        """Return the call as a command line, as doubles show it: an argument is JSON, a keyword ``name=JSON``."""
        keywords = sorted(self._kwargs.items())
        return ["python", self.label, *map(shown, self._args), *(f"{name}={shown(value)}" for name, value in keywords)]

    def data(self) -> bytes:
        """Return what is sent: the program, and the call.

        Raises:
            TypeError: an argument cannot be pickled.
        """
        source = self._source
        task: dict[str, Any] = {
            "function": self.label if source is None else f"{self.label.partition(':')[0]}:{source.name}",
            "source": None if source is None else source.text,
            "file": None if source is None else source.file,
            "options": self._doubtful,
            "pickle": self.pickle,
        }
        pickled = b""
        if self.pickle:
            import pickle

            try:
                pickled = pickle.dumps((self._args, self._kwargs), 4)
            except Exception as exc:
                msg = f"the arguments of {self.label} cannot be pickled: {exc}"
                raise TypeError(msg) from exc
            text = encoded(task)
        else:
            named = ", ".join(f"{encoded(name)}: {text}" for name, text in self._named.items())
            text = f'{encoded(task)[:-1]}, "args": [{", ".join(self._texts)}], "kwargs": {{{named}}}}}'
        beginning, report = _programs()
        sizes = b"%d %d %d\n" % (len(report), len(text), len(pickled))
        return b"".join([beginning, sizes, report, text.encode(), pickled])

    def value(self, done: Any, reply: Reply | None) -> Any:
        """Return the value of a call.

        Args:
            done: the result of ``log_run``.
            reply: what came back; ``None``: nothing.

        Raises:
            CallError: the function raised, or it returned no value.
        """
        code = done.returncode
        if reply is None:
            failure = Failure(f"{self.label} returned no value")
        elif reply.failure is not None:
            failure = reply.failure
        elif code == 0:
            return reply.value
        else:
            failure = Failure(f"{self.label} returned a value, but its process failed after that")
        mask = Redactor(self._secrets).mask
        error = CallError(
            code,
            done.args,
            done.stdout,
            done.stderr,
            shown=[mask(arg) for arg in done.args],
            headline=mask(failure.headline),
            is_explained=reply is not None and reply.failure is not None,
            function=self.label,
            remote_type=failure.type,
            remote_message=failure.message,
            remote_traceback=failure.traceback,
        )
        if failure.traceback:
            error.add_note(f"The traceback in the environment:\n{mask(failure.traceback)}")
        elif lines := self._last_lines(done.stderr or "", mask):
            error.add_note(f"The last lines of stderr:\n{lines}")
        raise error from failure.error

    def _last_lines(self, text: str, mask: Callable[[str], str]) -> str:
        whole = whole_lines(text, is_cut=fills(text, self.options.get("keep")))
        shown = mask("\n".join(whole.rstrip("\r\n").rsplit("\n", _NOTE_LINES)[-_NOTE_LINES:]))
        return shown.strip("\n")[-_NOTE_CHARS:]

    def explain(self, error: BaseException) -> None:
        """Add a note to an exception about an option that was perhaps meant for the function."""
        if isinstance(error, TypeError | ValueError | LookupError | OSError) and not isinstance(error, CallError):
            text = str(error)
            for name in self.options:
                is_meant = text.startswith(name) or f"{name}=" in text
                if is_meant or (name in {"user", "group"} and isinstance(error, KeyError)):
                    error.add_note(
                        f"{name}= is an option of the call. Pass the function its own with kwargs={{{name!r}: ...}}."
                    )


def named(function: object) -> "tuple[str, Source | None]":
    """Return a function as ``module:function``, and its source unless it is a name.

    Raises:
        TypeError, ValueError: it is not the name of a function, or it cannot be sent.
    """
    if not isinstance(function, str):
        from venvrunner._call.source import source_of  # it imports inspect, which a name does not need

        source = source_of(cast("Callable[..., Any]", function))
        return source.label, source
    if not _NAME.fullmatch(function):
        head, _dot, last = function.rpartition(".")
        guess = f" Use {f'{head}:{last}'!r}." if _NAME.fullmatch(f"{head}:{last}") else " Use for instance 'json:dumps'."
        msg = f"{function!r} is not the name of a function, which is 'module:function'.{guess}"
        raise ValueError(msg)
    return function, None


def _mapping(kwargs: object) -> Mapping[str, Any]:
    if kwargs is None:
        return {}
    if not isinstance(kwargs, Mapping):
        msg = f"kwargs must be a mapping of keywords of the function, such as a dict, not {type(kwargs).__name__}."
        raise TypeError(msg)
    found = cast("Mapping[object, Any]", kwargs)
    for name in found:
        if not isinstance(name, str):
            msg = f"kwargs has the key {name!r}, which is not a str. Use the names of the function's parameters."
            raise TypeError(msg)
    return cast("Mapping[str, Any]", found)


def _plain(value: Any, path: str) -> str:
    """Return plain data as JSON.

    Raises:
        TypeError: it is not plain; the message says what is not.
    """
    try:
        text = encoded(value)
        if has_text_keys(value):
            return text
    except (TypeError, ValueError, RecursionError):
        pass
    msg = f"{flaw(value, path)}, which JSON cannot carry. Pass {_PLAIN}, or use pickle=True."
    raise TypeError(msg)


def shown(value: Any) -> str:
    """Return a value as readable JSON; as its ``repr`` if it is not plain data."""
    import json

    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return repr(value)


@functools.cache
def _programs() -> tuple[bytes, bytes]:
    """Return the beginning of each file, with the program, and the source of its second part.

    The same interpreter as this one gets compiled code: to compile the program there would take a tenth of a call.
    """
    program, report = (_read(name) for name in ("program.py", "report_program.py"))
    code = marshal.dumps(compile(program, "<venvrunner>", "exec", dont_inherit=True))
    version = f"{sys.implementation.cache_tag}-{sys.hexversion}".encode()
    return b"".join([_FIRST_LINE, b"%b %d %d\n" % (version, len(code), len(program)), code, program]), report


def _read(name: str) -> bytes:
    with open(os.path.join(os.path.dirname(__file__), name), "rb") as file:
        return file.read()
