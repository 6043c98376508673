"""Calls into environments of other Pythons: the program and the data are those of all."""

import sys
from typing import Any

import pytest

from venvrunner import CallError, InterpreterNotFoundError, VenvRunner

HOST = "{}.{}".format(*sys.version_info)
OTHERS = [name for name in ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15", "pypy3.11") if name != HOST]


@pytest.mark.parametrize("name", OTHERS)
def test_functions_of_other_pythons_are_called(name: str) -> None:
    """Values, coroutines, pickles, failures and refusals."""

    def describe(value: Any, *, more: "Nowhere" = 1.5) -> Any:  # type: ignore[name-defined]  # noqa: F821  it exists nowhere
        import sys

        return [list(sys.version_info[:2]), value, more, float("inf")]

    async def later(value: Any) -> Any:
        return value

    def fail(kind: str) -> Any:
        if kind == "set":
            return {"a": [{1}]}
        raise LookupError(kind)

    try:
        venv = VenvRunner.temporary(python=name if name.startswith("pypy") else f"cpython{name}", with_pip=False)
    except InterpreterNotFoundError:
        pytest.skip(f"NOT TESTED: {name} is not on this machine")
    with venv:
        version = [int(part) for part in name.removeprefix("pypy").split(".")]
        assert venv.call(describe, "\udc80é", more={"x": None}) == [version, "\udc80é", {"x": None}, float("inf")]
        assert venv.call(later, [1]) == [1]
        assert venv.call("posixpath:join", "a", "b") == "a/b"
        assert venv.call(fail, "set", pickle=True) == {"a": [{1}]}
        with pytest.raises(CallError, match=r"value\['a'\]\[0\] is a set"):
            venv.call(fail, "set")
        with pytest.raises(CallError, match="raised LookupError: x") as caught:
            venv.call(fail, "x")
        assert "raise LookupError(kind)" in caught.value.remote_traceback
        with pytest.raises(CallError, match="the environment has no module 'nowhere'"):
            venv.call("nowhere:f")
        with pytest.raises(CallError, match=r"module 'json' has no 'dumpz'\. Did you mean 'dump"):
            venv.call("json:dumpz")
