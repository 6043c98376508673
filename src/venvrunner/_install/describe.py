"""The program that prints an interpreter's marker variables and wheel tags as JSON; that interpreter runs it (Python 3.9+).

Usage: ``python -I -S describe.py path/of/packaging/__init__.py``, or with the path of a wheel of pip, which contains that
package. Nothing else is imported from outside the standard library.
"""

import importlib
import importlib.util
import json
import os
import sys

__tracebackhide__ = True


def main(path: str) -> None:
    """Load ``packaging`` from a path, and print the marker variables and the supported wheel tags, the best first."""
    if path.endswith(".whl"):
        sys.path.insert(0, path)
        package = "pip._vendor.packaging"
    else:
        package = "packaging"
        _load(path)
    markers, tags = (importlib.import_module(f"{package}.{name}") for name in ("markers", "tags"))
    sys.stdout.write(json.dumps([markers.default_environment(), [str(tag) for tag in tags.sys_tags()]]))


def _load(path: str) -> None:
    spec = importlib.util.spec_from_file_location("packaging", path, submodule_search_locations=[os.path.dirname(path)])
    assert spec is not None and spec.loader is not None  # noqa: PT018  for type checkers; the path ends with .py
    sys.modules["packaging"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


if __name__ == "__main__":
    main(sys.argv[1])
