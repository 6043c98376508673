"""Imports of this package in a run of pytest.

pytest compiles the modules of installed plugins again, to explain failed assertions. This package has such assertions in its
contract suite only, and the import of the others would take twice as long, or ten times as long where no bytecode is written.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_PACKAGE = "venvrunner."
_WITH_ASSERTIONS = "venvrunner.testing"


class PlainImports:
    """Finds the modules of this package before pytest does."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find a module of this package as Python does; leave all others to the next finder."""
        if not name.startswith(_PACKAGE) or name.startswith(_WITH_ASSERTIONS):
            return None
        return PathFinder.find_spec(name, path, target)


_plain = PlainImports()


def begin() -> None:
    """Import the modules as they are from now on."""
    if _plain not in sys.meta_path:
        sys.meta_path.insert(0, _plain)


def end() -> None:
    """Undo :func:`begin`."""
    if _plain in sys.meta_path:
        sys.meta_path.remove(_plain)
