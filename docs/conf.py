"""Configuration of the documentation. Nothing in it needs the network."""

import inspect
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import venvrunner

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
