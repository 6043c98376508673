"""Functions that are sent by their source: what they may use, and how a refusal names it."""

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from venvrunner import CallError, FakeVenvRunner
from venvrunner._call.source import source_of

OUTSIDE = 1
FAKE = FakeVenvRunner()


def plain_decorator(function: Any) -> Any:
    return function


def wrapping_decorator(function: Any) -> Any:
    @functools.wraps(function)
    def wrapped(*args: Any) -> Any:
        return function(*args)

    return wrapped


def uses_a_module() -> Any:
    return math.pi


def uses_several() -> Any:
    return OUTSIDE, math.pi, Path


def uses_in_an_inner_function() -> Any:
    def inner() -> Any:
        return [OUTSIDE for _number in range(2)]

    return inner()


def uses_in_a_default(x: Any = OUTSIDE) -> Any:
    return x


def uses_in_a_keyword_default(*, x: Any = OUTSIDE) -> Any:
    return x


def uses_in_an_inner_class() -> Any:
    class Inner(Path):
        pass

    return Inner


def sets_a_global() -> None:
    global OUTSIDE  # noqa: PLW0603  that is what is refused
    OUTSIDE = 2


@plain_decorator
def is_decorated() -> None:
    pass


@wrapping_decorator
def is_wrapped() -> None:
    pass


class Owner:
    def method(self) -> None:
        pass

    @staticmethod
    def static() -> None:
        pass


def closure() -> Callable[[], Any]:
    one, two = 1, 2

    def inner() -> Any:
        return one, two

    return inner


def without_a_file() -> Any:
    namespace: dict[str, Any] = {}
    exec("def made(): return 1", namespace)
    return namespace["made"]


def renamed() -> Any:
    def one() -> int:
        return 1

    one.__name__ = "two"
    return one


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (uses_a_module, "'uses_a_module' uses 'math', defined outside of it. Import it in the function, or pass it to it."),
        (uses_several, "uses 'OUTSIDE', 'Path' and 'math', defined outside of it. Import them in the function, or pass them"),
        (uses_in_an_inner_function, "uses 'OUTSIDE', defined outside of it"),
        (uses_in_a_default, "uses 'OUTSIDE', defined outside of it"),
        (uses_in_a_keyword_default, "uses 'OUTSIDE', defined outside of it"),
        (uses_in_an_inner_class, "uses 'Path', defined outside of it"),
        (sets_a_global, "uses 'OUTSIDE', defined outside of it"),
        (is_decorated, "'is_decorated' is decorated with @plain_decorator. Leave out the decorator."),
        (is_wrapped, "'is_wrapped' is decorated, so its source is not all of it."),
        (lambda: 1, "A lambda cannot be sent to the environment"),
        (closure(), "'closure.<locals>.inner' uses 'one' and 'two' of the function around it. Pass them as an argument."),
        (Owner.method, "'Owner.method' belongs to a class and cannot be sent without it."),
        (Owner.static, "'Owner.static' belongs to a class"),
        (without_a_file(), "'made' has no source that can be read: it must be in a file."),
        (renamed(), "is not a def of 'two': its file was edited, or the function was renamed."),
    ],
)
def test_a_function_that_needs_more_is_refused(function: Any, text: str) -> None:
    """Before anything starts: the message names what is in the way, and what to do."""
    with pytest.raises(ValueError, match=r"^('|A lambda|the source)") as caught:
        FAKE.call(function)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (Owner().method, "the method 'Owner.method' cannot be sent without its object."),
        (functools.partial(uses_a_module), "function must be 'module:function' or a function, not partial."),
        (math.sqrt, "sqrt is not a Python function with a source. Pass its name: 'math:sqrt'."),
        (Path, "Path is not a Python function with a source. Pass its name: 'pathlib:Path'."),
        (None, "function must be 'module:function' or a function, not NoneType."),
    ],
)
def test_only_a_plain_function_has_a_source(function: Any, text: str) -> None:
    """A class or a function of C is passed by its name."""
    with pytest.raises(TypeError) as caught:
        FAKE.call(function)
    assert str(caught.value).startswith(text)


def test_what_a_function_has_of_its_own_is_no_reason() -> None:
    """Its name, its parameters, annotations, comprehensions, inner classes and lambdas."""

    def busy(number: "OUTSIDE", *rest: "Path", key: Any = (lambda item: -item), **more: Any) -> "math":  # type: ignore[valid-type]
        from os import sep as separator

        found: Path
        found = [text for text in (separator,) if (length := len(text))]  # type: ignore[assignment]

        class Inner:
            depth = 1
            twice = depth * 2

            def own(self) -> Any:
                return Inner.twice, __name__

        try:
            raise ValueError(length)  # noqa: TRY301  that is the example
        except ValueError as error:
            caught = str(error)
        if number:
            return busy(number - 1)
        return [found, Inner().own(), caught, sorted([1, 2], key=key)]

    assert FAKE.call(busy, 1) == [["/"], [2, "__main__"], "1", [2, 1]]


def test_a_function_of_a_newer_python_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """The source may have what the environment's Python does not know yet."""
    found = source_of(closure)._replace(text="def closure(:\n")
    monkeypatch.setattr("venvrunner._call.source.source_of", lambda function: found)
    with pytest.raises(CallError, match=r"the source of .*:closure cannot be used on Python 3\.\d+: SyntaxError: "):
        FAKE.call(closure)


def test_a_traceback_shows_lines_that_are_in_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a notebook, for instance: the lines are sent too."""
    import linecache

    text = "def fail():\n    number = 0\n    return 1 / number\n"
    monkeypatch.setitem(linecache.cache, "<cell 1>", (len(text), None, text.splitlines(keepends=True), "<cell 1>"))
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(text, "<cell 1>", "exec"), namespace)
    with pytest.raises(CallError) as caught:
        FAKE.call(namespace["fail"])
    assert 'File "<cell 1>", line 3, in fail\n    return 1 / number\n' in caught.value.remote_traceback
