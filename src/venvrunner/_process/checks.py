"""Checks of arguments: each returns its argument in normal form, or raises an error that says what is wrong."""

import codecs
import functools
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any, cast

from venvrunner._process.lines import UTF_8
from venvrunner._process.native import variable_name, without_case
from venvrunner._redaction import Redactor
from venvrunner._types import StrPath

__tracebackhide__ = True

_FOREVER = 1e9
"""The number of seconds used as infinity, about thirty years: clocks can count that far."""


def check_args(args: Sequence[StrPath], secrets: Iterable[str] = ()) -> list[str]:
    """Return a command line as a new list of str.

    Args:
        args: the command line.
        secrets: strings to mask in messages.

    Raises:
        TypeError, ValueError: *args* is empty, or an item is not valid in a command line.

    >>> check_args([])
    Traceback (most recent call last):
    ...
    ValueError: args must not be empty. The first item is the command to run.
    """
    if not isinstance(args, list):
        refuse_text(args, secrets=secrets)
    if not hasattr(type(args), "__iter__"):
        msg = f"args must be a list of arguments, not {type(args).__name__}."
        raise TypeError(msg)
    argv: list[str] = []
    for index, arg in enumerate(args):
        text: object = os.fspath(arg) if hasattr(type(arg), "__fspath__") else arg
        if not isinstance(text, str):
            msg = f"args[{index}] must be a str or a path, not {type(text).__name__}{_shown(index, text, secrets)}."
            raise TypeError(msg)
        if "\0" in text:
            msg = f"args[{index}] must not have a NUL character{_shown(index, text, secrets)}."
            raise ValueError(msg)
        argv.append(text)
    if not argv or not argv[0]:
        msg = f"{'args[0]' if argv else 'args'} must not be empty. The first item is the command to run."
        raise ValueError(msg)
    return argv


def refuse_text(args: Sequence[StrPath], *further: object, secrets: Iterable[str] = ()) -> None:
    """Refuse a command line that is one text, or several arguments, instead of one list.

    Args:
        args: the first argument of the call.
        *further: its next arguments; in a correct call, none of them is a string.
        secrets: strings to mask in messages. They are masked here because a message shows the words of the text.

    Raises:
        TypeError: *args* is a text; the message has the corrected call.

    >>> refuse_text("python", "-V")
    Traceback (most recent call last):
    ...
    TypeError: args must be a list of arguments, not several strings. Use log_run(['python', '-V']).
    """
    if isinstance(args, str) and further and isinstance(further[0], str):
        words = Redactor(secrets).mask_all([args, *(word for word in further if isinstance(word, str))])
        msg = f"args must be a list of arguments, not several strings. Use log_run({words})."
        raise TypeError(msg)
    if isinstance(args, str | bytes) or hasattr(type(args), "__fspath__"):
        words = Redactor(secrets).mask(os.fsdecode(cast("StrPath", args))).split() or ["command"]
        msg = f"args must be a list of arguments, not a string. Use {words}."
        raise TypeError(msg)


def _shown(index: int, value: object, secrets: Iterable[str]) -> str:
    """Return an argument for a message; nothing for text after the command, which may be a secret."""
    if index and isinstance(value, str | bytes):
        return ""
    return f": {Redactor(secrets).mask(repr(value))}"


def seconds(name: str, value: float | None, *, above_zero: bool = False) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{name} must be a number of seconds, not {type(value).__name__}."
        raise TypeError(msg)
    if not (value > 0 if above_zero else value >= 0):
        msg = f"{name} must be a {'positive' if above_zero else 'non-negative'} number of seconds, not {value}."
        raise ValueError(msg)
    return float(min(value, _FOREVER))


def signal_of(number: int | None) -> int:
    if number is None:
        return int(signal.SIGTERM)
    if isinstance(number, bool) or not isinstance(number, int):
        msg = f"stop_signal must be a signal such as signal.SIGINT, not {type(number).__name__}."
        raise TypeError(msg)
    if number not in signal.valid_signals():
        msg = f"stop_signal must be a signal such as signal.SIGINT, not {number}."
        raise ValueError(msg)
    return int(number)


def flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        msg = f"{name} must be True or False, not {type(value).__name__}."
        raise TypeError(msg)
    return value


def count(name: str, value: int | None) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        msg = f"{name} must be a number of bytes or None, not {type(value).__name__}."
        raise TypeError(msg)
    if value is not None and value < 0:
        msg = f"{name} must be a non-negative number of bytes or None, not {value}."
        raise ValueError(msg)
    return value


def carriage_return(value: str | None) -> bool:
    if value not in {None, "line"}:
        msg = f"carriage_return must be 'line' or None, not {Redactor().mask(repr(value))}."
        raise ValueError(msg)
    return value is not None


def strings(name: str, values: Iterable[str]) -> list[str]:
    """Return an iterable of strings as a new list.

    Raises:
        TypeError: *values* is one string, is not iterable, or has an item that is not a string.
    """
    if isinstance(values, str | bytes) or not hasattr(type(values), "__iter__"):
        msg = f"{name} must be a list of strings, not {type(values).__name__}."
        raise TypeError(msg)
    found = list(values)
    for index, value in enumerate(found):
        if not isinstance(value, str):
            msg = f"{name} must be a list of strings, but item {index} is {type(value).__name__}."
            raise TypeError(msg)
    return found


def kept_secrets(options: Any) -> list[str]:
    """Return the secrets of a call, and put them into its keywords as a list: they may be an iterator.

    Raises:
        TypeError: the secrets are not strings.
    """
    if "secrets" not in options:
        return []
    found = options["secrets"] = strings("secrets", options["secrets"])
    return found


def encoding(name: str | None) -> str:
    """Return Python's name of a text encoding.

    Raises:
        TypeError, ValueError: *name* is not the name of a text encoding.

    >>> encoding(None), encoding("Latin1")
    ('utf-8', 'iso8859-1')
    """
    if name is None:
        return UTF_8
    if not isinstance(name, str):
        msg = f"encoding must be the name of an encoding, not {type(name).__name__}."
        raise TypeError(msg)
    try:
        "".encode(name)
        return codecs.lookup(name).name
    except (LookupError, ValueError):
        msg = f"encoding={Redactor().mask(repr(name))} is not a text encoding. Use for instance 'utf-8' or 'cp1252'."
        raise ValueError(msg) from None


def input_of(text: str | None, stdin: int | IO[Any] | None, encoding: str = UTF_8) -> bytes | None:
    """Return the bytes for standard input; ``None``: no bytes are written to it."""
    if not (stdin is None or isinstance(stdin, int) or hasattr(stdin, "fileno")):
        msg = f"stdin must be a file or a descriptor, not {type(stdin).__name__}. For text, use input=."
        raise TypeError(msg)
    if stdin == subprocess.PIPE:
        msg = "stdin=PIPE cannot be used: the pipe would have no writer. Use input= with the text."
        raise ValueError(msg)
    if text is None:
        return None
    if stdin is not None:
        msg = "input= and stdin= cannot be used together. Leave out one of them."
        raise ValueError(msg)
    if not isinstance(text, str):
        msg = f"input must be a str, not {type(text).__name__}."
        raise TypeError(msg)
    try:
        # Text that was decoded with errors="surrogateescape" becomes the same bytes again.
        return text.encode(encoding, "surrogateescape")
    except UnicodeEncodeError:
        what = "an unpaired surrogate, which" if encoding == UTF_8 else f"a character that {encoding!r} does not have, so it"
        msg = f"input contains {what} cannot be encoded."
        raise ValueError(msg) from None


def environment_of(env: Mapping[str, str] | None, extra: Mapping[str, str | None] | None) -> dict[str, str] | None:
    """Return the environment variables of a command; ``None``: those of this process."""
    if env is None and not extra:
        return None
    result = dict(os.environ) if env is None else check_variables("env", env)
    if extra is not None:
        result |= check_variables("extra_env", extra)
        for name in [name for name, value in extra.items() if value is None]:
            result.pop(variable_name(name), None)
    return result


def check_variables(argument: str, variables: Mapping[str, str | None]) -> dict[str, str]:
    """Return environment variables as a new dict.

    Args:
        argument: the name of the argument, for messages.
        variables: the variables. In ``extra_env``, a value may be ``None``, which is returned as "".

    Raises:
        TypeError, ValueError: *variables* has an invalid name or value.

    >>> check_variables("env", {"A": "1"})
    {'A': '1'}
    """
    if not isinstance(variables, Mapping):
        msg = f"{argument} must be a mapping of variables, such as a dict, not {type(variables).__name__}."
        raise TypeError(msg)
    result: dict[str, str] = {}
    for name, value in variables.items():
        text = "" if value is None and argument == "extra_env" else value
        if not (isinstance(name, str) and isinstance(text, str)):
            what, item = (f"{argument}[{name!r}]", text) if isinstance(name, str) else (f"{argument}: the name {name!r}", name)
            msg = f"{what} must be a str, not {type(item).__name__}."
            raise TypeError(msg)
        if not name or "=" in name or "\0" in name or "\0" in text:
            msg = (
                f"{argument}: {name!r} is not a valid environment variable. Its name must not be empty or contain '=',"
                " and neither its name nor its value may contain NUL."
            )
            raise ValueError(msg)
        result[name] = str(text)
    return without_case(result)


def check_errors(errors: str) -> str:
    """Return the name of an error handler for decoding.

    Raises:
        TypeError, ValueError: *errors* is not the name of such a handler.

    >>> check_errors("replace")
    'replace'
    """
    if not isinstance(errors, str):
        msg = f"errors must be the name of an error handler, not {type(errors).__name__}."
        raise TypeError(msg)
    return _proven(errors)


@functools.cache
def _proven(errors: str) -> str:
    try:
        b"\xff".decode("utf-8", errors)
    except UnicodeDecodeError:
        pass
    except (LookupError, TypeError, ValueError):
        msg = f"errors={errors!r} is not an error handler for decoding. Use for instance 'strict' or 'replace'."
        raise ValueError(msg) from None
    return errors
