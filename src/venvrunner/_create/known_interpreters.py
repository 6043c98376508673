"""Known interpreters: all that a search for ``python=`` can find, where each is, and which programs are broken."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from venvrunner._create.interpreter import Interpreter, is_running
from venvrunner._create.interpreters import all_interpreters, defect, uv_directory
from venvrunner._venv import layout
from venvrunner.environment import get_clean_environment

__tracebackhide__ = True

_NAME = re.compile(r"(python|pypy)\d*(\.\d+)*t?d?(\.exe)?", re.IGNORECASE)


class Known(NamedTuple):
    """An interpreter that a search can find.

    Attributes:
        interpreter: the interpreter.
        places: where it was found: ``PATH``, or the name of the program that manages it.
        is_default: whether it is the running one, which is used without ``python=``.
    """

    interpreter: Interpreter
    places: tuple[str, ...]
    is_default: bool


class Broken(NamedTuple):
    """A program with the name of an interpreter that cannot be used.

    Attributes:
        executable: its path.
        reason: what it printed, or why it cannot be started.
    """

    executable: str
    reason: str


def known_interpreters() -> tuple[list[Known], list[Broken]]:
    """Return the interpreters in the order of the search, and the broken ones."""
    env = get_clean_environment()
    directories = {**layout.CURRENT.managers(env), "uv": uv_directory(env)}
    on_path = list(_on_path(env))
    real = {os.path.realpath(path) for path in on_path}
    known: list[Known] = []
    for one in all_interpreters(env):
        places = [name for name, directory in directories.items() if _is_inside(one.executable, directory)]
        if os.path.realpath(one.executable) in real or not (places or is_running(one)):
            places.append("PATH")
        known.append(Known(one, tuple(places), is_running(one)))
    good = {os.path.realpath(one.interpreter.executable) for one in known}
    candidates = dict.fromkeys((*on_path, *layout.CURRENT.managed_interpreters(env), *_of_uv(directories["uv"])))
    reasons = {path: _defect(path, env) for path in candidates if os.path.realpath(path) not in good}
    return known, [Broken(path, reason) for path, reason in reasons.items() if reason is not None]


def _defect(path: str, env: dict[str, str]) -> str | None:
    if not os.path.exists(path):
        return f"it is a link to {os.readlink(path)}, which does not exist"
    return defect(path, env)


def _on_path(env: dict[str, str]) -> Iterator[str]:
    for directory in env.get("PATH", "").split(os.pathsep):
        # A shim of a version manager fails if its version is not selected, and is not an interpreter.
        if os.path.isabs(directory) and os.path.basename(directory) != "shims":
            with suppress(OSError):
                yield from (
                    path
                    for name in sorted(os.listdir(directory))
                    if _NAME.fullmatch(name) and not os.path.isdir(path := os.path.join(directory, name))
                )


def _of_uv(directory: str) -> Iterator[str]:
    with suppress(OSError):
        for name in sorted(os.listdir(directory)):
            path = os.path.join(directory, name, *layout.CURRENT.base_python.split("/"))
            if os.path.lexists(path):
                yield path


def _is_inside(path: str, directory: str) -> bool:
    return any(
        os.path.join(where(path), "").startswith(os.path.join(where(directory), ""))
        for where in (os.path.abspath, os.path.realpath)
    )
