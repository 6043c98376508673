"""Functions that are sent by their source: it has to say everything that the function needs."""

import ast
import builtins
import inspect
import symtable
import textwrap
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, NamedTuple

__tracebackhide__ = True

_HOW = "Define it in a module that is installed in the environment, and pass 'module:function'."


class Source(NamedTuple):
    """The source of a function.

    Attributes:
        label: the function as ``module:function``, for messages.
        name: the name that the source defines.
        text: the source, after as many empty lines as it has lines before it in its file.
        file: the path of that file.
    """

    label: str
    name: str
    text: str
    file: str


def source_of(function: Callable[..., Any]) -> Source:
    """Return the source of a function that needs nothing around it.

    Raises:
        TypeError: it is not a plain function.
        ValueError: it uses a name that is defined outside of it, or it has no source; the message says which.
    """
    if not isinstance(function, FunctionType):
        raise TypeError(_not_plain(function))
    name = function.__name__
    shown = repr(function.__qualname__)
    if name == "<lambda>":
        msg = "A lambda cannot be sent to the environment, because it has no source of its own. Use def."
        raise ValueError(msg)
    if hasattr(function, "__wrapped__"):
        msg = f"{shown} is decorated, so its source is not all of it. Leave out the decorator. {_HOW}"
        raise ValueError(msg)
    if free := _free_variables(function):
        msg = f"{shown} uses {_listed(free)} of the function around it. Pass {_it(free)} as an argument."
        raise ValueError(msg)
    owner = function.__qualname__.rpartition(".")[0]
    if owner and not owner.endswith("<locals>"):
        msg = f"{shown} belongs to a class and cannot be sent without it. {_HOW}"
        raise ValueError(msg)
    try:
        lines, first = inspect.getsourcelines(function)
        text = textwrap.dedent("".join(lines))
        (definition,) = ast.parse(text).body
    except (OSError, SyntaxError, ValueError):
        msg = f"{shown} has no source that can be read: it must be in a file. {_HOW}"
        raise ValueError(msg) from None
    if not isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef) or definition.name != name:
        msg = f"the source of {shown} is not a def of {name!r}: its file was edited, or the function was renamed. {_HOW}"
        raise ValueError(msg)
    if definition.decorator_list:
        msg = f"{shown} is decorated with @{ast.unparse(definition.decorator_list[0])}. Leave out the decorator. {_HOW}"
        raise ValueError(msg)
    if outside := sorted(_outside(definition)):
        it = _it(outside)
        msg = f"{shown} uses {_listed(outside)}, defined outside of it. Import {it} in the function, or pass {it} to it."
        raise ValueError(msg)
    code = function.__code__
    return Source(f"{function.__module__}:{name}", name, "\n" * (first - 1) + text, code.co_filename)


def _free_variables(function: FunctionType) -> list[str]:
    """Return the variables of the function around it that a function uses; its own name is none of them."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return [name for name, cell in cells if name != function.__name__ or cell.cell_contents is not function]


def _not_plain(function: object) -> str:
    if inspect.isclass(function) or inspect.isbuiltin(function):
        module, name = function.__module__, function.__qualname__
        return f"{name} is not a Python function with a source. Pass its name: {f'{module}:{name}'!r}."
    if inspect.ismethod(function):
        return f"the method {function.__qualname__!r} cannot be sent without its object. {_HOW}"
    return f"function must be 'module:function' or a function, not {type(function).__name__}."


def _listed(names: Any) -> str:
    return " and ".join([", ".join(map(repr, names[:-1])), repr(names[-1])] if len(names) > 1 else map(repr, names))


def _it(names: Any) -> str:
    return "it" if len(names) == 1 else "them"


def _without_annotations(definition: ast.AST) -> str:
    """Return the source of a definition without annotations: the environment does not evaluate them."""
    for node in ast.walk(definition):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
    return ast.unparse(definition)


def _outside(definition: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """Return the names that a definition uses and that are neither its own nor those of builtins."""
    names = set(_global_names(symtable.symtable(_without_annotations(definition), "<source>", "exec")))
    return names - {definition.name, "__name__", *dir(builtins)}


def _global_names(table: symtable.SymbolTable) -> Iterator[str]:
    is_module = table.get_type() == "module"
    for symbol in table.get_symbols():
        if (is_module and not symbol.is_assigned()) or (not is_module and symbol.is_global()):
            yield symbol.get_name()
    for inner in table.get_children():
        yield from _global_names(inner)
