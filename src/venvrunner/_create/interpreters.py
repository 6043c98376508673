"""Which interpreter an environment is made for: the running one, a path, a version or a range of versions."""

import contextlib
import functools
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from venvrunner._create import cache, layout
from venvrunner.environment import get_clean_environment
from venvrunner.exceptions import InterpreterNotFoundError

if TYPE_CHECKING:
    from python_discovery import DiskCache, PythonInfo


class Interpreter(NamedTuple):
    """An interpreter outside of any environment.

    Attributes:
        executable: its absolute path.
        implementation: ``cpython``, ``pypy`` …
        version: as ``3.12.1``.
        stamp: size and time of the executable's file: an upgrade in place makes another interpreter of it.
    """

    executable: str
    implementation: str
    version: str
    stamp: tuple[int, int]

    def __str__(self) -> str:
        """Show what people know it by."""
        return f"{self.implementation} {self.version} ({self.executable})"


def find(python: str | os.PathLike[str] | None) -> Interpreter:
    """Return the interpreter that is asked for.

    Args:
        python: a path; a version, a range or an implementation with one, such as ``"3.12"``, ``">=3.11"``, ``"pypy3.10"``:
            the running interpreter if it fits, else the first on ``PATH``, in uv's folder, and in those of pyenv, asdf and
            mise, where the newest comes first; ``None``: the running one.

    Raises:
        TypeError: it is neither.
        InterpreterNotFoundError: there is no such interpreter; the message lists those that were found.

    >>> find(f"=={sys.version_info.major}.{sys.version_info.minor}.*") == find(None)
    True
    """
    if python is None:
        executable = getattr(sys, "_base_executable", None) or sys.executable
        version = ".".join(map(str, sys.version_info[:3]))
        return Interpreter(os.path.abspath(executable), sys.implementation.name, version, stamp_of(executable))
    text = os.fspath(python)
    if not isinstance(text, str):
        msg = f"python must be a str or a path of str, not {type(python).__name__}!"
        raise TypeError(msg)
    env = get_clean_environment()
    with contextlib.suppress(OSError):  # it was there a moment ago
        if (found := _search(text, _places(env))) is not None:
            return found._replace(stamp=stamp_of(found.executable))
    msg = f"there is no interpreter {text!r}! Give a path, a version or a range; found: {_list(_places(env))}."
    raise InterpreterNotFoundError(msg)


_SOURCES = ("PATH", "PYENV_ROOT", "ASDF_DATA_DIR", "MISE_DATA_DIR", "UV_PYTHON_INSTALL_DIR", "XDG_DATA_HOME", "HOME")
"""The variables that say where interpreters are."""


@functools.cache
def _search(text: str, _places: tuple[str, ...]) -> Interpreter | None:
    """Search once for the same places: looking through PATH starts every interpreter there."""
    from python_discovery import PythonSpec, get_interpreter  # noqa: PLC0415  slow to import

    if not text or text.startswith("-") or "\0" in text:
        return None
    path = os.path.abspath(os.path.expanduser(text))
    is_path = os.path.basename(text) != text
    env = get_clean_environment()
    try:
        info = get_interpreter(path if is_path else text, cache=_known(), env=env)
    except (RuntimeError, OSError, ValueError):
        info = None
    if info is None and not is_path:
        spec = PythonSpec.from_string_spec(text)
        if spec.path is None:
            info = next((found for found in _managed(env) if found.satisfies(spec, impl_must_match=True)), None)
    return None if info is None else _interpreter(info)


def _interpreter(info: "PythonInfo") -> Interpreter:
    executable = info.system_executable or info.executable
    version = ".".join(map(str, info.version_info[:3]))
    return Interpreter(os.path.abspath(executable), info.implementation.lower(), version, (0, 0))


def _managed(env: dict[str, str]) -> Iterator["PythonInfo"]:
    """Yield what the version managers have, whether it is on PATH or not, the newest of each first."""
    from python_discovery import PythonInfo  # noqa: PLC0415  slow to import

    known = _known()
    for place in layout.CURRENT.managed_interpreters(env):
        info = PythonInfo.from_exe(place, known, raise_on_error=False, env=env)
        if info is not None:
            yield info


@functools.cache
def _list(_places: tuple[str, ...]) -> str:
    from python_discovery import iter_interpreters  # noqa: PLC0415  slow to import

    env = get_clean_environment()
    infos = [*iter_interpreters(cache=_known(), env=env), *_managed(env)]
    return ", ".join(dict.fromkeys(str(_interpreter(info)) for info in infos))


def _places(env: dict[str, str]) -> tuple[str, ...]:
    return tuple(env.get(name, "") for name in _SOURCES)


def _known() -> "DiskCache | None":
    """Return what is known of interpreters from earlier: each has to be started once."""
    from pathlib import Path  # noqa: PLC0415  slow to import

    from python_discovery import DiskCache  # noqa: PLC0415  the same

    folder = cache.folder()
    return None if folder is None else DiskCache(Path(folder))


def stamp_of(executable: str) -> tuple[int, int]:
    """Return what changes when an executable is replaced: its size and its time.

    Raises:
        OSError: it is not there.
    """
    status = os.stat(executable)
    return status.st_size, status.st_mtime_ns
