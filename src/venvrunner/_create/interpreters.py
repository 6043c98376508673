"""The search for an interpreter: the running one, or one by its path, its version or a range of versions."""

import contextlib
import os
import re
import sys
from collections.abc import Generator, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from venvrunner._create import cache
from venvrunner._create.interpreter import Interpreter, running, stamp_of
from venvrunner._create.quiet import silenced
from venvrunner._venv import layout
from venvrunner._venv.paths import absolute
from venvrunner.environment import get_clean_environment
from venvrunner.exceptions import CreationError, InterpreterNotFoundError, InvalidPathError

__tracebackhide__ = True

if TYPE_CHECKING:
    from python_discovery import ContentStore, DiskCache, PythonInfo

_NO_MATCH = "no interpreter matches "


def find(python: str | os.PathLike[str] | None) -> Interpreter:
    """Return the interpreter that matches a path, a version or a range.

    For a version or a range, it is the running interpreter if that matches; else the first match on ``PATH`` and in uv's
    directory; else the newest match in the directories of pyenv, asdf and mise.

    Args:
        python: a path; a version or a range, also with the name of an implementation, such as ``"3.12"``, ``"3.12.*"``,
            ``">=3.11"`` or ``"pypy3.10"``; ``None``: the running interpreter.

    Raises:
        TypeError: *python* has another type.
        InterpreterNotFoundError: no interpreter matches, and the message lists those that were found; or *python* is not a
            path, a version or a range.

    >>> find("3.x")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    venvrunner.exceptions.InterpreterNotFoundError: python='3.x' is not a path, a version or a range. Use for instance ...
    >>> find(f"=={sys.version_info.major}.{sys.version_info.minor}.*") == find(None)
    True
    """
    if python is None:
        return running()
    text = os.fspath(python)
    if not isinstance(text, str):
        msg = f"python must be a str or a path of str, not {type(python).__name__}."
        raise TypeError(msg)
    env = get_clean_environment()
    # A string that begins with "-" would become an option of the interpreter that is started.
    usable = bool(text) and not text.startswith("-") and "\0" not in text
    if isinstance(python, os.PathLike) or os.path.basename(text) != text:
        text = absolute(os.path.expanduser(text))
        if usable:
            _refuse_directory(text)
    elif usable:
        text = _version_or_range(text, env)
    info = _search(text, env) if usable else None
    if info is None:
        msg = (
            f"{_NO_MATCH}{os.fspath(python)!r}. Pass the path, the version or the range of an existing one;"
            f" found: {_list(env)}."
        )
        raise InterpreterNotFoundError(msg)
    # A copied interpreter, as in an environment, reports the one that it was copied from, which may have changed since.
    base = info if info.executable == _executable(info) else _ask(_executable(info), env)
    return _interpreter(info if base is None else base)


def is_missing(error: InterpreterNotFoundError) -> bool:
    """Return whether an error says that no interpreter matches; otherwise, what was asked for is wrong, on each machine.

    >>> is_missing(InterpreterNotFoundError("no interpreter matches '3.99'."))
    True
    >>> is_missing(InterpreterNotFoundError("python='3..9' is not a path, a version or a range."))
    False
    """
    return str(error).startswith(_NO_MATCH)


def _refuse_directory(path: str) -> None:
    if os.path.isdir(path):
        inside = next(filter(None, (layout.CURRENT.find_command(path, name) for name in ("python3", "python"))), None)
        beside = os.path.join(path, "python3")  # the path may be the script directory itself
        better = inside or (beside if os.path.isfile(beside) else os.path.join(layout.CURRENT.scripts(path), "python3"))
        msg = f"python={path!r} is a directory, not an interpreter. Pass the interpreter in it: python={better!r}."
        raise InterpreterNotFoundError(msg)


_WORDS = re.compile(
    r"(?P<what>(?P<name>[A-Za-z]*)(?P<version>\d+(?:\.\d+){0,2})?)"
    r"(?:(?P<any>\.\*)|t?(?:d|-dbg|-debug)?(?:-(?:32|64))?(?:-\w+)?)"
)
_RANGE = re.compile(r"[A-Za-z]*\s*[<>=!~]")
_NAMES = {"", "py", "python", "cpython", "pypy", "graalpy", "graalvm", sys.implementation.name}
"""Implementations that are searched for by name; any other name must be that of a program on PATH."""


def _version_or_range(text: str, env: dict[str, str]) -> str:
    """Return a version, range or name in python-discovery's syntax; on its own, that accepts "3..12" and "3.x".

    Raises:
        InterpreterNotFoundError: the text is not a version, a range, or the name of a program on ``PATH``.
    """
    words = _WORDS.fullmatch(text)
    if words is not None and words["name"].lower() in _NAMES and not (words["any"] and not words["version"]):
        return words["what"] if words["any"] else text
    if _RANGE.match(text):
        from python_discovery import PythonSpec  # slow to import

        with contextlib.suppress(ValueError):
            if PythonSpec.from_string_spec(text).version_specifier is not None:
                return text
    else:
        import shutil  # slow to import

        if shutil.which(text, path=env.get("PATH", "")):
            return text
    with contextlib.suppress(InvalidPathError):  # the path is relative, and the working directory was deleted
        _refuse_directory(absolute(text))
    msg = f"python={text!r} is not a path, a version or a range. Use for instance '3.12', '>=3.11' or '/usr/bin/python3'."
    raise InterpreterNotFoundError(msg)


_SOURCES = ("PATH", "PYENV_ROOT", "ASDF_DATA_DIR", "MISE_DATA_DIR", "UV_PYTHON_INSTALL_DIR", "XDG_DATA_HOME", "HOME")
"""The variables that determine where interpreters are searched for."""

_found: dict[tuple[str, ...], str] = {}
"""The interpreters found so far, by text and variables: a search of PATH starts every interpreter and every shim there."""


_missed: dict[tuple[str, ...], "_State"] = {}
"""The state of the directories at each search that found nothing, by text and variables."""
_listed: "dict[_State, str]" = {}
"""The last list of all interpreters."""

_State = tuple[object, ...]


def _state(env: dict[str, str]) -> _State:
    """Return a value that changes when an interpreter is added, removed or replaced; this takes a few milliseconds."""
    # The interpreter that a shim of a version manager runs depends on the working directory too.
    here = ""
    with contextlib.suppress(InvalidPathError):  # the working directory was deleted
        here = absolute(os.curdir)
    where = (here, *(env.get(name, "") for name in (*_SOURCES, "PYENV_VERSION", "ASDF_PYTHON_VERSION")))
    stamps = [_stamp(path) for path in (*layout.CURRENT.managed_interpreters(env), *_programs(env))]
    return (*where, *stamps)


def uv_directory(env: dict[str, str]) -> str:
    """Return the directory in which uv has interpreters."""
    data = env.get("XDG_DATA_HOME") or os.path.join(os.path.expanduser("~"), ".local", "share")
    return env.get("UV_PYTHON_INSTALL_DIR") or os.path.join(data, "uv", "python")


def _programs(env: dict[str, str]) -> Iterator[str]:
    for directory in (*env.get("PATH", "").split(os.pathsep), uv_directory(env)):
        yield directory
        with contextlib.suppress(OSError):
            yield from (os.path.join(directory, name) for name in sorted(os.listdir(directory)) if "py" in name.lower())


def _stamp(path: str) -> tuple[object, ...]:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return (path,)
    return path, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


@silenced()
def _search(text: str, env: dict[str, str]) -> "PythonInfo | None":
    from python_discovery import PythonSpec  # slow to import

    if os.path.isabs(text):
        return _ask(text, env)
    spec = PythonSpec.from_string_spec(text)
    question = (text, *(env.get(name, "") for name in _SOURCES))
    if question in _found:
        info = _ask(_found[question], env)
        if info is not None and info.satisfies(spec, impl_must_match=True):
            return info
    state = _state(env)
    if _missed.get(question) == state:
        return None
    info = _search_path(text, env)
    if info is None and spec.path is None:
        info = next((managed for managed in _managed(env) if managed.satisfies(spec, impl_must_match=True)), None)
    if info is None:
        _missed[question] = state
    else:
        _found[question] = _executable(info)
    return info


def _search_path(text: str, env: dict[str, str]) -> "PythonInfo | None":
    from python_discovery import get_interpreter  # slow to import

    for _try in range(3):
        try:
            info = get_interpreter(text, cache=_known(), env=env)
        except (RuntimeError, OSError, ValueError):
            return None
        # The interpreter may have been replaced since python-discovery cached its version; then search again.
        fresh = None if info is None else _ask(_executable(info), env)
        if info is None or (fresh is not None and fresh.version_info == info.version_info):
            return fresh
    return None


@silenced()
def _ask(executable: str, env: dict[str, str]) -> "PythonInfo | None":
    """Return what an interpreter reports about itself, from the cache unless its file has changed."""
    from python_discovery import PythonInfo  # slow to import

    if not os.path.exists(executable):
        return None
    return PythonInfo.from_exe(executable, _known(), raise_on_error=False, ignore_cache=True, env=env)


def _executable(info: "PythonInfo") -> str:
    return os.path.abspath(info.system_executable or info.executable)


def _interpreter(info: "PythonInfo") -> Interpreter:
    version = ".".join(map(str, info.version_info[:3]))
    return Interpreter(_executable(info), info.implementation.lower(), version, stamp_of(_executable(info)))


def _managed(env: dict[str, str]) -> list["PythonInfo"]:
    """Return the interpreters of the version managers, on ``PATH`` or not, CPython and the newest first."""
    infos = [info for path in layout.CURRENT.managed_interpreters(env) if (info := _ask(path, env)) is not None]
    return sorted(infos, key=lambda info: (info.implementation == "CPython", info.version_info[:3]), reverse=True)


@silenced()
def _list(env: dict[str, str]) -> str:
    state = _state(env)
    if state not in _listed:
        text = ", ".join(map(str, all_interpreters(env))) or "none"
        _listed.clear()
        _listed[state] = text
        return text
    return _listed[state]


@silenced()
def all_interpreters(env: dict[str, str]) -> list[Interpreter]:
    """Return every interpreter that a search can find, in the order of the search."""
    from python_discovery import iter_interpreters  # slow to import

    found: dict[str, Interpreter] = {}
    for info in (*iter_interpreters(cache=_known(), env=env), *_managed(env)):
        found.setdefault(os.path.realpath(_executable(info)), _interpreter(info))
    return list(found.values())


@silenced()
def defect(executable: str, env: dict[str, str]) -> str | None:
    """Return why a program is not a usable interpreter; ``None`` if it is one.

    >>> defect("/no/python", {})
    'No such file or directory'
    """
    from python_discovery import PythonInfo  # slow to import

    try:
        PythonInfo.from_exe(executable, _known(), ignore_cache=True, env=env)
    except Exception as exc:  # noqa: BLE001  python-discovery raises what the program made it run into
        return _reason(str(exc))
    return None


_FAILED = re.compile(r"failed to query .* with code (?P<code>\S+)(?: out: .*?)?(?: err: (?P<err>['\"].*['\"]))?", re.DOTALL)


def _reason(message: str) -> str:
    r"""Return the last line that a program printed, or its exit code, from a message of python-discovery.

    >>> _reason("failed to query /x with code 1 err: 'Traceback\\nNo home\\n'"), _reason("failed to query /x with code 3")
    ('No home', 'it ended with exit code 3')
    >>> _reason("/x returned output without query markers")
    '/x returned output without query markers'
    """
    match = _FAILED.fullmatch(message)
    if match is None:
        return message
    from ast import literal_eval  # slow to import

    lines = str(literal_eval(match["err"])).strip().splitlines() if match["err"] else []
    return lines[-1].strip() if lines else f"it ended with exit code {match['code']}"


def _known() -> "DiskCache | None":
    """Return the cache of facts about interpreters, so that each is started only once; ``None`` without a cache directory."""
    from pathlib import Path  # slow to import

    from python_discovery import DiskCache  # slow to import

    directory = cache.directory()
    if directory is None:
        return None
    # With a umask of 002, python-discovery would create directories that it then rejects as not private.
    for part in ("py_info", os.path.join("py_info", "4")):
        with contextlib.suppress(OSError):
            os.mkdir(os.path.join(directory, part), 0o700)

    class Known(DiskCache):
        def py_info(self, path: Path) -> "ContentStore":
            """Look up an interpreter by its contents too: python-discovery only compares the time of the file."""
            with contextlib.suppress(OSError):
                return _Unlocked(super().py_info(path / stamp_of(str(path))[2]))
            return _Unlocked(super().py_info(path))

    return Known(Path(directory))


class _Unlocked:
    """The cached facts about one interpreter, without a lock: processes that write at the same time write the same facts.

    Without flock, python-discovery mistakes a leftover lock file for a held lock and waits forever.
    """

    def __init__(self, store: Any) -> None:
        self.exists = store.exists
        self.read = store.read
        self.write = store.write
        self.remove = store.remove

    @contextlib.contextmanager
    def locked(self) -> Generator[None]:
        yield


def check_pip(version: str) -> None:
    """Check that a pip exists for a version of Python.

    Raises:
        CreationError: the version is too old.

    >>> check_pip("3.8.18")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    venvrunner.exceptions.CreationError: pip needs Python 3.9 or newer, and this is Python 3.8. Use uv ...
    """
    minor = tuple(int(number) for number in version.split(".")[:2])
    if minor >= sys.version_info[:2]:
        return  # virtualenv contains a pip for every Python that it can run on
    supported = bundled_wheels().OLDEST_SUPPORTED
    if minor < supported:
        oldest, this = (".".join(map(str, numbers)) for numbers in (supported, minor))
        msg = (
            f"pip needs Python {oldest} or newer, and this is Python {this}. "
            f"Use uv instead: VenvRunner(name, top_dir, python={this!r}, with_pip=False, installer='uv')."
        )
        raise CreationError(msg)


def bundled_wheels() -> Any:
    """Return virtualenv's module of the wheels that it contains; several threads may call this at once.

    The package comes first. A thread that imports the module directly holds the module's lock while it waits for the package.
    If another thread imports the package at that moment, it needs the module, and Python reports a deadlock.
    """
    import_module("virtualenv")
    return import_module("virtualenv.seed.wheels.embed")  # slow to import
