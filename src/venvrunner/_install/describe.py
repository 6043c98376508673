"""Print what decides which files fit an interpreter, as JSON; run by that interpreter, so written for Python 3.9.

Usage: ``python -I -S describe.py path/of/packaging/__init__.py``. Nothing but that package is taken from where it is.
"""

import importlib.util
import json
import os
import sys

__tracebackhide__ = True


def main(path: str) -> None:
    """Load ``packaging`` from a path; print its marker variables and the tags of wheels that fit, best first."""
    spec = importlib.util.spec_from_file_location("packaging", path, submodule_search_locations=[os.path.dirname(path)])
    assert spec is not None and spec.loader is not None  # noqa: PT018  for type checkers; the path ends with .py
    sys.modules["packaging"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    from packaging.markers import default_environment  # only now it is the right one
    from packaging.tags import sys_tags  # same

    sys.stdout.write(json.dumps([default_environment(), [str(tag) for tag in sys_tags()]]))


if __name__ == "__main__":
    main(sys.argv[1])
