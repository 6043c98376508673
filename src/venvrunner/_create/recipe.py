"""What an environment was made for, and whether that is what is wanted now."""

import contextlib
import os
import re
import time
from typing import Any, NamedTuple

from venvrunner._create.interpreter import Interpreter
from venvrunner._venv.health import defect
from venvrunner._venv.paths import local_path
from venvrunner._venv.state import Ownership, portable

__tracebackhide__ = True

_FILE = re.compile(r"([^@;]*@\s*)?file:(//)?(localhost(?=/))?(?P<path>[^\s\[#]*)", re.IGNORECASE)
"""A requirement that is the URL of a file; an existing path was made one."""


class Recipe(NamedTuple):
    """What an environment is to be.

    Attributes:
        python: see :func:`.interpreters.find`.
        with_pip: whether pip is in it.
        system_site_packages: whether it sees the packages of its interpreter.
        prompt: what shells show when it is active; ``None``: its folder's name.
        requirements: what is installed in it; only compared here.
    """

    python: str | os.PathLike[str] | None = None
    with_pip: bool = True
    system_site_packages: bool = False
    prompt: str | None = None
    requirements: tuple[str, ...] = ()


def wrong_python(python: object) -> str:
    """Return the message for an interpreter that is neither text nor a path, with the text that was probably meant.

    >>> wrong_python((3, 12))
    "python must be a str or a path, not tuple. Write python='3.12'."
    >>> wrong_python(3.1)
    "python must be a str or a path, not float. Write python='3.1', or '3.10': a number loses the zero."
    """
    text = ".".join(map(str, python)) if isinstance(python, tuple) else str(python)
    message = f"python must be a str or a path, not {type(python).__name__}."
    if not re.fullmatch(r"\d+(\.\d+)*", text):
        return f"{message} Write for instance python='3.12'."
    zero = f", or '{text}0': a number loses the zero" if text == "3.1" else ""
    return f"{message} Write python={text!r}{zero}."


def check_order(order: Recipe) -> None:
    """Make sure of what can be known of an order before any interpreter is looked for.

    Raises:
        TypeError, ValueError: something in it is wrong.

    >>> check_order(Recipe(python=3.12))
    Traceback (most recent call last):
    ...
    TypeError: python must be a str or a path, not float. Write python='3.12'.
    """
    if not isinstance(order.python, str | os.PathLike | None):
        raise TypeError(wrong_python(order.python))
    for name, value in (("with_pip", order.with_pip), ("system_site_packages", order.system_site_packages)):
        if not isinstance(value, bool):
            msg = f"{name} must be true or false, not {type(value).__name__}!"
            raise TypeError(msg)
    if not isinstance(order.prompt, str | None):
        msg = f"prompt must be a str, not {type(order.prompt).__name__}!"
        raise TypeError(msg)
    if order.prompt is not None and not order.prompt.isprintable():
        msg = f"prompt must be one line of printable characters, not {order.prompt!r}!"
        raise ValueError(msg)


def purpose_of(venv_dir: str, interpreter: Interpreter, order: Recipe) -> dict[str, Any]:
    """Return what an environment has to be made for to be as good as a new one."""
    return {
        "folder": portable(venv_dir),
        "interpreter": [portable(interpreter.executable), *interpreter[1:3], list(interpreter.stamp)],
        "pip": order.with_pip,
        "system_site_packages": order.system_site_packages,
        "prompt": order.prompt,
        "requirements": [[_fingerprint(text), _state_of(text)] for text in order.requirements],
    }


def _fingerprint(requirement: str) -> str:
    """Return what tells a requirement from another, and nothing of a password that may be in its URL."""
    import hashlib  # only needed here

    return hashlib.sha256(requirement.encode("utf-8", "surrogateescape")).hexdigest()


def _state_of(requirement: str) -> list[int] | None:
    """Return what changes when a local file changes; a directory's state is never the same."""
    path = _local_path(requirement)
    if path is not None:
        with contextlib.suppress(OSError, ValueError):
            status = os.stat(path)
            return [status.st_size, status.st_mtime_ns] if os.path.isfile(path) else [time.time_ns()]
    return None


def _local_path(requirement: str) -> str | None:
    """Return the path of what is installed from this machine: a requirement has it as a URL, a lock file's directory is one.

    >>> _local_path("name[extra] @ file:///a%20b/x.whl#sha256=12 ; python_version > '3'"), _local_path("name")
    ('/a b/x.whl', None)
    """
    match = _FILE.match(requirement)
    if match is None:
        return requirement if os.path.isabs(requirement) else None
    return local_path(match["path"])


def _difference(name: str, old: object, new: object) -> str:
    if name == "requirements":
        return "its requirements have changed"
    return f"its {name.replace('_', ' ')} was {old!r} and is {new!r} now"


def misfit_of(owner: Ownership, purpose: dict[str, Any]) -> str | None:
    """Return why an environment does not do for a purpose."""
    if owner.unfinished():
        return "its creation was never finished"
    made_for = owner.purpose()
    if made_for is None:
        return "it was made by something else, so what is in it is not known"
    for name, value in purpose.items():
        if made_for.get(name) != value and not (name == "folder" and owner.is_in_place()):
            return _difference(name, made_for.get(name), value)
    return defect(owner)
