"""Marks: the one that counts for a test, its arguments, and the line that it is written in."""

import ast
import inspect
import os
import re
import traceback
from collections.abc import Collection, Iterator, Mapping
from typing import Any, cast

import pytest

from venvrunner.exceptions import InterpreterNotFoundError

__tracebackhide__ = True

SEVERAL = ("requirements", "editable", "dependency_groups", "constraints")
"""The keywords whose values a cell of a matrix adds to those of the mark, and a mark to those of the settings."""
KEYWORDS = (
    *("requirements", "python", "lock", "lock_extras", "lock_groups", "lock_projects"),
    *("editable", "dependency_groups", "constraints", "installer", "with_pip", "resolution"),
)
"""The keywords of the marks, which are those of ``venv_runner_factory``."""
_KEYWORD = re.compile(r"\bUse (\w+)=(.+)\.$", re.MULTILINE)
"""The end of a message that names a keyword of an installation."""
_UNKNOWN = 0.5
_USED_UP = pytest.StashKey[dict[Any, tuple[Any, ...]]]()


def nearest(item: pytest.Item, name: str) -> pytest.Mark | None:
    """Return the mark with a name that counts for a test.

    A mark that was added while pytest runs counts before that of a parameter, then that of the function, of the class, of its
    base classes and of the module.
    """
    # Not get_closest_marker(): it prefers the function's to the parameter's, and that of a base class to the class's.
    return next((mark for node in reversed(item.listchain()) if (mark := _own(node, name)) is not None), None)


def arguments(request: pytest.FixtureRequest, cell: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments for a test's environment: those of its mark, or its parameter, and of its cell in a matrix.

    Args:
        request: the request for the environment.
        cell: the arguments of the cell.

    Raises:
        TypeError: there is a positional argument or an unknown keyword, or the parameter is not a dict.
    """
    item: pytest.Item = request.node
    mark = nearest(item, "venv")
    given: dict[str, Any] = {}
    parameter: object = getattr(request, "param", None)
    if isinstance(parameter, Mapping):
        given = known("the parameter of venv_runner", (), cast("Mapping[str, Any]", parameter))
    elif _is_parametrized(item):
        msg = (
            f"the parameter of venv_runner must be a dict of the arguments of the mark venv, not {type(parameter).__name__}."
            " Use parametrize('venv_runner', [{'python': '3.13'}], indirect=True)."
        )
        raise TypeError(msg)
    elif mark is not None:
        given = known("the mark venv", mark.args, mark.kwargs)
    kept = item.config.stash.setdefault(_USED_UP, {})
    for name, value in given.items():
        if hasattr(value, "__next__"):  # the first test with the mark uses it up
            given[name] = kept[value] if value in kept else kept.setdefault(value, tuple(value))
    for name, value in cell.items():
        given[name] = [*given[name], *value] if name in SEVERAL and name in given else value
    return given


def known(what: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], example: str = "requirements=[...]") -> dict[str, Any]:
    """Return the arguments of a mark.

    Raises:
        TypeError: there is a positional argument or an unknown keyword.
    """
    if args:
        msg = f"{what} takes keyword arguments only: {', '.join(KEYWORDS)}. Use {what.rpartition(' ')[2]}({example})."
        raise TypeError(msg)
    if unknown := sorted(kwargs.keys() - set(KEYWORDS), key=str):
        msg = f"{what} has no argument {unknown[0]!r}. It takes {', '.join(KEYWORDS)}."
        raise TypeError(msg)
    return dict(kwargs)


def failure(exc: Exception, request: pytest.FixtureRequest, given: Mapping[str, Any], *, skips: bool) -> BaseException:
    """Return the outcome of a test whose environment cannot be prepared.

    Args:
        exc: why.
        request: the request for the environment.
        given: the arguments for it, as far as they are known.
        skips: skip the test if the interpreter is missing, instead of ending it with an error.
    """
    from venvrunner._create.interpreters import is_missing  # only then

    item: pytest.Item = request.node
    if skips and isinstance(exc, InterpreterNotFoundError) and is_missing(exc):
        return pytest.skip.Exception(str(exc), _use_item_location=True)
    found = [(mark, mark.name) for name in ("venv", "venv_matrix") if (mark := nearest(item, name)) is not None]
    places = [f"{place}: in the mark {name}" for mark, name in found if (place := written(item, mark))]
    if isinstance(getattr(request, "param", None), Mapping) or not places:
        places = [f"{_shown(item, str(item.path))}:{(item.location[1] or 0) + 1}: in {item.name}"]
    if isinstance(exc, InterpreterNotFoundError) and given.get("python") is None:
        option = item.config.getoption("venv_python")
        places = ["in the option --venv-python" if option else in_settings(item.config, "in the setting venv_python")]
    # The mark is wrong, not the test's code: its source lines are not worth showing.
    return pytest.fail.Exception("\n".join([said(exc), *places]), pytrace=False)


def in_settings(config: pytest.Config, place: str) -> str:
    """Return a place in the settings with the path of their file, if there is one: ``-o`` needs none."""
    return place if config.inipath is None else f"{config.inipath}: {place}"


def said(exc: Exception) -> str:
    """Return what an exception says, with an advice that a mark and a setting can follow.

    >>> said(ValueError("'-r dev.txt' is an option. Use requirements_files=['dev.txt']."))
    "ValueError: '-r dev.txt' is an option. Call venv_runner.install(requirements_files=['dev.txt']) in the test."
    """
    text = "".join(traceback.format_exception_only(exc)).rstrip()
    return _KEYWORD.sub(
        lambda use: use[0] if use[1] in KEYWORDS else f"Call venv_runner.install({use[1]}={use[2]}) in the test.", text
    )


def without_effect(item: pytest.Item, fixtures: Collection[str], *, is_used: bool) -> str | None:
    """Return what to say of a test's own mark that has no effect; ``None``: each has one, or may belong to another plugin.

    Args:
        item: the test.
        fixtures: the fixtures that read the mark ``venv``.
        is_used: whether the test has created an environment in another way, for which it may have read the mark.
    """
    marks = [mark for mark in item.own_markers if mark.name in {"venv", "venv_matrix"} and not mark.args]
    names = {mark.name for mark in marks if set() < mark.kwargs.keys() <= {*KEYWORDS}}
    if "venv_matrix" in names and "venv_cell" not in getattr(getattr(item, "callspec", None), "params", {}):
        return (
            "the mark venv_matrix has no effect: it does not belong to the function, or the function requests neither"
            " venv_runner nor venv_cell. Move the mark, or add one of these fixtures to the arguments of the test."
        )
    if "venv" in names and not is_used and set(fixtures).isdisjoint(getattr(item, "fixturenames", ())):
        return "the mark venv has no effect: the test does not use venv_runner. Add this fixture, or remove the mark."
    return None


def written(node: pytest.Item | pytest.Collector, mark: pytest.Mark) -> str | None:
    """Return the file and the line of a mark, as ``path:line``; ``None`` if it is not in the test's file."""
    chain = reversed(node.listchain())
    owner: Any = next((one for one in chain if any(own is mark for own in one.own_markers)), node)
    try:
        with open(node.path, encoding="utf-8") as file:
            tree = ast.parse(file.read())
    except (OSError, ValueError, SyntaxError):
        return None
    calls = [(_likeness(call, mark), call) for call in ast.walk(tree) if isinstance(call, ast.Call)]
    exact = [call for likeness, call in calls if likeness == 1]
    alike = [call for likeness, call in calls if likeness == _UNKNOWN]
    try:
        lines, start = inspect.getsourcelines(owner.obj)
        own = [call for call in (*exact, *alike) if start <= call.lineno < start + len(lines)]
    except (OSError, TypeError, AttributeError):
        own = []
    return next((f"{_shown(node, str(node.path))}:{call.lineno}" for call in (*own, *exact)), None)


def _own(node: Any, name: str) -> pytest.Mark | None:
    """Return a node's own mark that counts."""
    marks: list[pytest.Mark] = [mark for mark in node.own_markers if mark.name == name]
    if len(marks) < 2:  # noqa: PLR2004  there is nothing to choose from
        return marks[0] if marks else None
    decorators = list(_decorators(getattr(node, "obj", None)))
    parameters: list[pytest.Mark] = getattr(getattr(node, "callspec", None), "marks", [])
    added = [mark for mark in marks if not any(mark is one for one in (*decorators, *parameters))]
    if added:
        return added[0] if added[0] is marks[0] else added[-1]  # add_marker() puts it first or last
    return next(mark for mark in (*parameters, *decorators, *marks) if mark.name == name)


def _decorators(obj: object) -> Iterator[pytest.Mark]:
    """Yield the marks of a function, a class or a module, the nearest first."""
    for one in obj.__mro__ if isinstance(obj, type) else [obj]:
        found: Any = one.__dict__.get("pytestmark", []) if isinstance(obj, type) else getattr(one, "pytestmark", [])
        marks = cast("list[pytest.Mark]", found) if isinstance(found, list) else [found]
        yield from (getattr(mark, "mark", mark) for mark in marks)


def _is_parametrized(item: pytest.Item) -> bool:
    """Return whether ``parametrize`` names the fixture venv_runner; one that overrides it may have parameters of its own."""
    for mark in item.iter_markers("parametrize"):
        names: object = mark.args[0] if mark.args else mark.kwargs.get("argnames")
        if "venv_runner" in (names.replace(",", " ").split() if isinstance(names, str) else cast("Any", names)):
            return True
    return False


def _likeness(call: ast.Call, mark: pytest.Mark) -> float:
    """Return 1 if a call in a file creates a mark, 0 if not, and ``_UNKNOWN`` if values of its keywords are not literals."""
    is_mark = isinstance(call.func, ast.Attribute) and call.func.attr == mark.name and len(call.args) == len(mark.args)
    if not is_mark or {str(keyword.arg) for keyword in call.keywords} != set(mark.kwargs):
        return 0
    return min((_equality(keyword.value, mark.kwargs[str(keyword.arg)]) for keyword in call.keywords), default=1)


def _equality(node: ast.expr, value: object) -> float:
    try:
        return float(ast.literal_eval(node) == value)
    except ValueError:
        return _UNKNOWN


def _shown(node: pytest.Item | pytest.Collector, path: str) -> str:
    """Return a path as pytest shows it."""
    try:
        return os.path.relpath(path, node.config.invocation_params.dir)
    except ValueError:  # on another drive
        return path
