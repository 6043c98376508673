"""The matrix of a test: its cells, which run the test in different environments, and which of them are chosen."""

import itertools
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, cast

import pytest

from venvrunner._fixtures import marks
from venvrunner._redaction import Redactor

__tracebackhide__ = True


class Cell(NamedTuple):
    """One environment of a matrix.

    Attributes:
        id: its name in the test's id, such as ``"py3.13-lowest"``.
        arguments: the arguments of the mark ``venv`` for it.
    """

    id: str
    arguments: dict[str, Any]


def spread(metafunc: pytest.Metafunc) -> None:
    """Let a test with the mark ``venv_matrix`` run once in each cell."""
    definition = metafunc.definition
    mark = marks.nearest(definition, "venv_matrix")
    assert mark is not None, "the caller has found one"
    try:
        axes = marks.known("the mark venv_matrix", mark.args, mark.kwargs, "python=['3.11', '3.13']")
        found = cells(axes, marks.SEVERAL)
    except (TypeError, ValueError) as exc:
        place = marks.written(definition, mark) or definition.nodeid
        msg = f"{type(exc).__name__}: {exc}\n{place}: in the mark venv_matrix"
        raise pytest.fail.Exception(msg, pytrace=False) from None
    if "venv_cell" not in metafunc.fixturenames:
        metafunc.fixturenames.append("venv_cell")
    metafunc.parametrize("venv_cell", found, ids=[cell.id for cell in found], indirect=True)


def cells(axes: Mapping[str, Any], lists: Iterable[str]) -> list[Cell]:
    """Return the cells of a matrix: one for each combination of values, the last axis changing first.

    Args:
        axes: the values by keyword of the mark ``venv``: a list of them, or a dict of them by name.
        lists: the keywords whose values are lists; a single string is a list of one.

    Raises:
        TypeError: an axis is not a list or a dict of values, or has none.
        ValueError: two cells would have one id.

    >>> [cell.id for cell in cells({"python": ["3.11", "3.13"], "resolution": ["lowest", "highest"]}, ())]
    ['py3.11-lowest', 'py3.11-highest', 'py3.13-lowest', 'py3.13-highest']
    >>> cells({"requirements": {"old": "attrs<22", "new": ["attrs>=22"]}}, ["requirements"])[0]
    Cell(id='old', arguments={'requirements': ['attrs<22']})
    """
    sides = [list(_side(name, values, name in lists)) for name, values in axes.items()]
    found: dict[str, Cell] = {}
    for values in itertools.product(*sides):
        cell = Cell("-".join(label for label, _ in values), dict(zip(axes, (value for _, value in values), strict=True)))
        if found.setdefault(cell.id, cell) is not cell:
            msg = f"two cells have the id {cell.id!r}. Name the values: python={{'mine': '/opt/mine/bin/python', ...}}."
            raise ValueError(msg)
    return list(found.values())


def _side(name: str, values: object, is_list: bool) -> Iterator[tuple[str, Any]]:  # noqa: FBT001  private
    """Yield the labels and the values of an axis."""
    if not isinstance(values, list | tuple | Mapping) or not values:
        msg = f"{name} must be a list of values, one for each cell, or a dict of them by name, not {values!r}."
        raise TypeError(msg)
    several = cast("Mapping[Any, Any] | Sequence[Any]", values)
    pairs: Any = several.items() if isinstance(several, Mapping) else ((_label(name, value), value) for value in several)
    for label, value in pairs:
        # What has a meaning in a shell or in a pattern would make --venv-matrix hard to use.
        text = re.sub(r"[^\w.+<>=!~,@-]+", "_", str(label), flags=re.ASCII)
        yield text, [value] if is_list and isinstance(value, str | os.PathLike) else value


def _label(name: str, value: Any) -> str:
    """Return the label of a value.

    >>> _label("python", "3.13"), _label("python", "/opt/mine/bin/pypy3"), _label("with_pip", False), _label("editable", [])
    ('py3.13', 'pypy3', 'without_pip', 'no_editable')
    """
    if value is False and name == "with_pip":
        return "without_pip"
    if value is None or value is False or value in ([], ()):
        return f"no_{name}" if name != "python" else "py"
    if value is True:
        return name
    mask = Redactor(()).mask  # ids are shown, and name files
    if isinstance(value, list | tuple):
        return "+".join(mask(str(one)) for one in cast("Sequence[Any]", value))
    text = os.path.basename(mask(str(value)).rstrip("/\\")) or name
    return f"py{text}" if name == "python" and not text[:1].isalpha() else text


def cell_of(item: pytest.Item) -> Cell | None:
    """Return the cell that a test runs in; ``None`` if it has no matrix."""
    parameters: Mapping[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    found = parameters.get("venv_cell")
    return found if isinstance(found, Cell) else None


def choose(config: pytest.Config, items: list[pytest.Item], patterns: Sequence[str]) -> None:
    """Deselect the cells that match no pattern; tests without a matrix stay.

    If there are cells, and none matches, each of them is an error in a worker of pytest-xdist, which cannot end the run.

    Raises:
        pytest.UsageError: none matches, in any other process.
    """
    found = [(item, cell_of(item)) for item in items]
    known = dict.fromkeys(cell.id for _, cell in found if cell is not None)
    chosen = {name for name in known if any(fnmatchcase(name, pattern) for pattern in patterns)}
    if known and not chosen:
        msg = f"--venv-matrix: no cell matches {' or '.join(map(repr, patterns))}. The cells are {', '.join(known)}."
        if not hasattr(config, "workerinput"):
            raise pytest.UsageError(msg)

        def refuse() -> None:
            raise pytest.fail.Exception(msg, pytrace=False)

        for item in (item for item, cell in found if cell is not None):
            vars(item)["setup"] = refuse
    elif left_out := [item for item, cell in found if cell is not None and cell.id not in chosen]:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item, cell in found if cell is None or cell.id in chosen]


def missing_pythons(reasons: Iterable[str], start: str) -> list[str]:
    r"""Return the lines of the summary of tests that were skipped because their interpreter is missing.

    >>> reason = "('test.py', 3, \"Skipped: no interpreter matches '3.9'. Pass the path of one\")"
    >>> missing_pythons([reason, "other"], "Skipped: no ")
    ["1 skipped: no interpreter matches '3.9'", 'To let such tests fail, set venv_missing_python = error.']
    """
    found = Counter(reason.partition(start)[2].partition(". ")[0] for reason in reasons if start in reason)
    lines = [f"{count} skipped: {start.partition(' ')[2]}{python}" for python, count in found.items()]
    return [*lines, "To let such tests fail, set venv_missing_python = error."]
