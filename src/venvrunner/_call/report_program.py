"""The second part of :mod:`.program`, which explains a failed call; it runs in the environment, on Python 3.9 and newer."""

import sys
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_MANY = 20
_LONG = 300
_FILE = "<venvrunner>"


def flaw(value: "Any", path: str) -> str:
    """Return what JSON cannot carry in a value; "" if there is nothing.

    >>> flaw({"a": [1, 2, {3}]}, "value")
    "value['a'][2] is a set"
    """
    try:
        return _flaw(value, path, ())
    except RecursionError:
        return f"{path} is nested too deeply"


def _flaw(value: "Any", path: str, outer: "tuple[Any, ...]") -> str:
    if any(value is one for one in outer):
        return f"{path} contains itself"
    kind = _kind_of(value)
    pairs: Iterable[tuple[Any, Any]] = ()
    if issubclass(kind, dict):
        for key in value:
            if not issubclass(type(key), str):
                return f"{path} has the key {_short(repr(key))}, which is {_kind(key)}, not a str"
        pairs = value.items()
    elif issubclass(kind, (list, tuple)):
        pairs = [(index, value[index]) for index in range(len(value))]
    elif issubclass(kind, int):
        try:
            str(int(value))
        except ValueError:
            return f"{path} is an int with too many digits"
    elif not issubclass(kind, (str, float, type(None))):
        return f"{path} is {_kind(value)}"
    found = (_flaw(item, f"{path}[{_short(repr(key))}]", (*outer, value)) for key, item in pairs)
    return next((text for text in found if text), "")


def _kind_of(value: object) -> type:
    return type(value)


def _kind(value: "Any") -> str:
    name = _name_of(_kind_of(value))
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _short(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


def _name_of(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"


def not_plain(name: str, value: "Any", otherwise: str = "") -> str:
    """Return the headline for a value that is not plain data.

    Args:
        name: the function that has returned it.
        value: the value.
        otherwise: what to say if nothing in it is wrong.
    """
    return (
        f"{name} returned a value that JSON cannot carry: {flaw(value, 'value') or otherwise}. Return text, numbers, booleans,"
        " None, lists and dicts with text keys, or use pickle=True"
    )


def report(task: "dict[str, Any]", step: str, error: BaseException, found: "Any") -> "dict[str, Any]":
    """Return the report of a failed call.

    Args:
        task: the call.
        step: what failed: ``"arguments"``, ``"import"``, ``"options"``, ``"call"`` or ``"value"``.
        error: the exception.
        found: the function, or what it has returned.
    """
    name = task["function"]
    kind, message = _name_of(type(error)), _text(error)
    raised = _short(f"{kind}: {message}".partition("\n")[0]) if message else kind
    trace = ""
    if step == "options":
        headline = _refusal(name, found, task["options"])
    elif step == "value":
        headline = f"{name} returned a value that cannot be pickled: {raised}"
        if not task["pickle"]:
            headline = not_plain(name, found, raised)
    else:
        trace = _traceback(error, task)
        headline = f"{name} raised {raised}"
        if step == "arguments":
            headline = f"the arguments of {name} cannot be unpickled in the environment: {raised}"
        elif step == "import":
            headline = _of_import(task, error, raised)
    is_its_own = step in ("import", "call")
    return {
        "headline": headline,
        "type": kind if is_its_own else None,
        "message": message if is_its_own else "",
        "traceback": trace,
        "pickle": _pickled(error) if is_its_own and task["pickle"] else None,
    }


def _text(error: BaseException) -> str:
    with suppress(Exception):  # its class may be broken
        return str(error)
    return "<its text cannot be shown>"


def _refusal(name: str, function: "Any", options: "list[str]") -> str:
    if not callable(function):
        return f"{name} is {_kind(function)}, not a function"
    option = options[0]
    return (
        f"{option}= is an option of the call, and a parameter of {name} too. Pass the function its own with"
        f" kwargs={{{option!r}: ...}}, or only the option with kwargs={{}}"
    )


def _of_import(task: "dict[str, Any]", error: BaseException, raised: str) -> str:
    name = task["function"]
    if task["source"] is not None:
        version = "{}.{}".format(*sys.version_info)
        return f"the source of {name} cannot be used on Python {version}: {raised}"
    module, _colon, path = name.partition(":")
    if isinstance(error, AttributeError) and module in sys.modules:
        return _without_attribute(name, module, path)
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is None or not f"{module}.".startswith(f"{missing}."):
        return f"importing {module} raised {raised}"
    package = sys.modules.get(missing.rpartition(".")[0])
    if package is None:
        from importlib.metadata import distributions

        names = sorted({str(one.metadata["Name"]) for one in distributions()}, key=str.lower)
        return (
            f"{name} cannot be imported: the environment has no module {missing!r}. Install its package;"
            f" {_listed('installed are', names)}. The working directory is not searched: use"
            " extra_env={'PYTHONPATH': ...} for a directory of modules"
        )
    if not hasattr(package, "__path__"):
        return (
            f"{name} cannot be imported: {package.__name__!r} is a module, not a package. Is it {_with_colon(name, missing)}?"
        )
    from pkgutil import iter_modules

    names = sorted(one.name for one in iter_modules(package.__path__))
    last = missing.rpartition(".")[2]
    return (
        f"{name} cannot be imported: the package {package.__name__!r} has no module {last!r}."
        f"{_guess(last, names)} {_listed('Its modules are', names)}"
    )


def _with_colon(name: str, missing: str) -> str:
    parent, _dot, last = missing.rpartition(".")
    return repr(f"{parent}:{last}")


def _without_attribute(name: str, module: str, path: str) -> str:
    found: Any = sys.modules[module]
    first, *rest = path.split(".")
    last = first
    while rest and hasattr(found, last):
        found, last = getattr(found, last), rest.pop(0)
    names = [one for one in dir(found) if not one.startswith("_") and callable(getattr(found, one, None))]
    owner = f"module {module!r}" if found is sys.modules[module] else _short(repr(found))
    return f"{name} does not exist: {owner} has no {last!r}.{_guess(last, names)} {_listed('It has', names)}"


def _guess(name: str, names: list[str]) -> str:
    from difflib import get_close_matches

    return "".join(f" Did you mean {match!r}?" for match in get_close_matches(name, names, 1))


def _listed(before: str, names: list[str]) -> str:
    more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
    return f"{before} {', '.join(names[:_MANY]) or 'none'}{more}"


def _traceback(error: BaseException, task: "dict[str, Any]") -> str:
    import linecache
    import traceback

    if task["source"] is not None:
        lines = task["source"].splitlines(keepends=True)
        linecache.cache[task["file"]] = (len(task["source"]), None, lines, task["file"])
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == _FILE:
        trace = trace.tb_next
    if trace is None and error.__cause__ is None:  # no line of the function was reached
        return ""
    return "".join(traceback.format_exception(type(error), error, trace)).rstrip()


def _pickled(error: BaseException) -> "str | None":
    import pickle
    from binascii import b2a_base64

    with suppress(Exception):
        data = pickle.dumps(error, 4)
        pickle.loads(data)  # noqa: S301  its own: an exception whose class has other arguments does not come back
        return b2a_base64(data, newline=False).decode()
    return None
