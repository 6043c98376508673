"""Recipes: the description that an environment was created from, compared with the one that is requested now."""

import contextlib
import os
import re
import time
from typing import Any, NamedTuple, cast

from venvrunner._create.interpreter import Interpreter
from venvrunner._venv.health import defect
from venvrunner._venv.paths import local_path
from venvrunner._venv.state import Ownership, portable

__tracebackhide__ = True

_FILE = re.compile(r"([^@;]*@\s*)?file:(//)?(localhost(?=/))?(?P<path>[^\s\[#]*)", re.IGNORECASE)
"""A requirement that is the URL of a file; existing paths have been turned into such URLs."""


class Recipe(NamedTuple):
    """The description of an environment to create.

    Attributes:
        python: the interpreter, as for :func:`.interpreters.find`.
        with_pip: install pip.
        system_site_packages: make the packages of the interpreter visible.
        prompt: the prompt of an activated shell; ``None``: the name of the environment's directory.
        requirements: the requirements that are installed in it; they are only compared here.
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
    "python must be a str or a path, not float. Write python='3.1', or '3.10': a number drops the trailing zero."
    """
    kind = type(python).__name__
    parts: tuple[object, ...] = (python,)
    if isinstance(python, tuple):
        parts = cast("tuple[object, ...]", python)
    text = ".".join(map(str, parts))
    message = f"python must be a str or a path, not {kind}."
    if not re.fullmatch(r"\d+(\.\d+)*", text):
        return f"{message} Write for instance python='3.12'."
    zero = f", or '{text}0': a number drops the trailing zero" if text == "3.1" else ""
    return f"{message} Write python={text!r}{zero}."


def check_recipe(recipe: Recipe) -> None:
    """Check everything in a recipe that can be checked before an interpreter is searched for.

    Raises:
        TypeError, ValueError: a value is wrong.

    >>> check_recipe(Recipe(python=3.12))
    Traceback (most recent call last):
    ...
    TypeError: python must be a str or a path, not float. Write python='3.12'.
    """
    if not isinstance(recipe.python, str | os.PathLike | None):
        raise TypeError(wrong_python(recipe.python))
    for name, value in (("with_pip", recipe.with_pip), ("system_site_packages", recipe.system_site_packages)):
        if not isinstance(value, bool):
            msg = f"{name} must be True or False, not {type(value).__name__}."
            raise TypeError(msg)
    if not isinstance(recipe.prompt, str | None):
        msg = f"prompt must be a str, not {type(recipe.prompt).__name__}."
        raise TypeError(msg)
    if recipe.prompt is not None and not recipe.prompt.isprintable():
        msg = f"prompt must be one line of printable characters, not {recipe.prompt!r}."
        raise ValueError(msg)


def purpose_of(venv_dir: str, interpreter: Interpreter, recipe: Recipe) -> dict[str, Any]:
    """Return the record that an existing environment must have to be reused for a recipe."""
    return {
        "folder": portable(venv_dir),
        "interpreter": [portable(interpreter.executable), *interpreter[1:3], list(interpreter.stamp)],
        "pip": recipe.with_pip,
        "system_site_packages": recipe.system_site_packages,
        "prompt": recipe.prompt,
        "requirements": [[_fingerprint(text), _state_of(text)] for text in recipe.requirements],
    }


def _fingerprint(requirement: str) -> str:
    """Return a hash that identifies a requirement without revealing a password in its URL."""
    import hashlib  # only needed here

    return hashlib.sha256(requirement.encode("utf-8", "surrogateescape")).hexdigest()


def _state_of(requirement: str) -> list[int] | None:
    """Return a value that changes whenever a local file changes; for a directory, it is different at each call."""
    path = _local_path(requirement)
    if path is not None:
        with contextlib.suppress(OSError, ValueError):
            status = os.stat(path)
            return [status.st_size, status.st_mtime_ns] if os.path.isfile(path) else [time.time_ns()]
    return None


def _local_path(requirement: str) -> str | None:
    """Return the local path that a requirement installs from: its ``file:`` URL, or the directory of a lock file.

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
    return f"its {_LABELS.get(name, name)} was {old!r} and is now {new!r}"


_LABELS = {"folder": "directory", "pip": "with_pip"}


def misfit_of(owner: Ownership, purpose: dict[str, Any]) -> str | None:
    """Return why an environment cannot be reused for a recipe, as the end of a sentence; ``None`` if it can."""
    if owner.unfinished():
        return "its creation or deletion was interrupted"
    made_for = owner.purpose()
    if made_for is None:
        return "another tool created it, so its contents are unknown"
    for name, value in purpose.items():
        if made_for.get(name) != value and not (name == "folder" and owner.is_in_place()):
            return _difference(name, made_for.get(name), value)
    return defect(owner)
