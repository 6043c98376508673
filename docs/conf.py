"""Configuration of the documentation. Nothing in it needs the network."""

from importlib import metadata

project = "venvrunner"
author = "The venvrunner authors"
copyright = "2026, The venvrunner authors"
release = metadata.version("venvrunner")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"venvrunner {release}"

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
