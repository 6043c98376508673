"""The program that prints an interpreter's marker variables and wheel tags as JSON; that interpreter runs it (Python 3.9+).

Usage: ``python -I -S describe.py path/of/packaging/__init__.py``. Only that package is imported from outside the standard
library.
"""

import importlib.util
import json
import os
import sys

__tracebackhide__ = True


def main(path: str) -> None:
    """Load ``packaging`` from a path, and print the marker variables and the supported wheel tags, the best first."""
    spec = importlib.util.spec_from_file_location("packaging", path, submodule_search_locations=[os.path.dirname(path)])
    assert spec is not None and spec.loader is not None  # noqa: PT018  for type checkers; the path ends with .py
    sys.modules["packaging"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    from packaging.markers import default_environment  # not before the package is loaded
    from packaging.tags import sys_tags  # not before the package is loaded

    sys.stdout.write(json.dumps([default_environment(), [str(tag) for tag in sys_tags()]]))


if __name__ == "__main__":
    main(sys.argv[1])
