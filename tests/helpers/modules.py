"""The modules of the package and what each imports, read from their source without importing any."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import venvrunner

ROOT = Path(str(venvrunner.__file__)).parent
MODULES = {
    ".".join(["venvrunner", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
"""The path of each module, by its full name."""


def unit(module: str) -> str:
    """Return the package or top-level module that a module belongs to; `venvrunner` is the package's own `__init__`."""
    return module.split(".")[1] if "." in module else module


@functools.cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def first_line(module: str) -> str:
    """Return the first line of a module's docstring."""
    return (ast.get_docstring(tree(module)) or "").partition("\n")[0]


def imports(module: str) -> Iterator[str]:
    """Yield the full name of everything that a module imports, at its top or inside a function."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else str(node.module)
