"""Configuration of the documentation. Nothing in it needs the network."""

import inspect
import os
import re
import sys
import typing
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import venvrunner

# At run time one keyword has the type object, because the exact type is slow to import; the docs show the exact one.
typing.TYPE_CHECKING = True
import_module("venvrunner._install.options")
typing.TYPE_CHECKING = False

project = "venvrunner"
author = "The venvrunner authors"
copyright = "2026, The venvrunner authors"
release = metadata.version("venvrunner")

urls = dict(line.split(", ", 1) for line in metadata.metadata("venvrunner").get_all("Project-URL", []))

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.linkcode",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"venvrunner {release}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_favicon = "_static/favicon.svg"
html_theme_options = {
    "source_repository": urls["Source"],
    "source_branch": "main",
    "source_directory": "docs/",
}
pygments_dark_style = "github-dark"
# A copied example runs: without prompts, and without the output that is shown.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# A list, as arguments are; each with the type of its annotation.
napoleon_use_ivar = True

nitpicky = True
nitpick_ignore_regex = [
    # The standard library: linking to it needs its inventory, which is on the network.
    (r"py:.*", r"(collections|contextlib|datetime|os|subprocess|typing)(\..+)?"),
    (r"py:meth", r"bytes\..+"),
    # Of pytest, for the same reason.
    (r"py:.*", r"_pytest\..+"),
    # Private modules: a type from there is shown by its name and explained where it is used.
    (r"py:.*", r"venvrunner\.(.+\.)?_.+"),
]


def linkcode_resolve(domain: str, info: dict[str, str]) -> str | None:
    """Return where the source of a documented object is."""
    if domain != "py" or not info["module"]:
        return None
    found: Any = sys.modules.get(info["module"])
    try:
        for part in info["fullname"].split("."):
            found = getattr(found, part)
        found = inspect.unwrap(found.fget if isinstance(found, property) else found)
        lines, first = inspect.getsourcelines(found)
        inside = Path(inspect.getsourcefile(found) or "").relative_to(Path(venvrunner.__file__).parent)
    except (AttributeError, OSError, TypeError, ValueError):  # a constant, or a member that another library defines
        return None
    commit = os.environ.get("READTHEDOCS_GIT_COMMIT_HASH", "main")
    return f"{urls['Source']}/blob/{commit}/src/venvrunner/{inside.as_posix()}#L{first}-L{first + len(lines) - 1}"


class Promises(SphinxDirective):
    """List the tests of a contract in a table: documented one by one, they would fill the index and the results of a search."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table: the promise that a test is named after, and the first line of its docstring."""
        module_name, _, name = self.arguments[0].rpartition(".")
        module = import_module(module_name)
        contract = getattr(module, name)
        listed = {test for base in contract.__bases__ if base.__name__ in module.__all__ for test in dir(base)}
        tests = {
            test: found for cls in reversed(contract.__mro__) for test, found in vars(cls).items() if test.startswith("test_")
        }
        rows = [".. list-table::", "   :header-rows: 1", "", "   * - promise", "     - details"]
        for test, found in tests.items():
            if test not in listed:
                promise = re.sub(r"\blog run\b", "``log_run``", test.removeprefix("test_").replace("_", " "))
                details = (inspect.getdoc(found) or "").partition("\n")[0].replace("`", "``")
                rows += [f"   * - {promise[0].upper()}{promise[1:]}", f"     - {details}"]
        return self.parse_text_to_nodes("\n".join(rows))


def setup(app: Sphinx) -> None:
    """Add the directive."""
    app.add_directive("promises", Promises)
