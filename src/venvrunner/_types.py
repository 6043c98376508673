"""The types that every part of the package uses."""

import os

StrPath = str | os.PathLike[str]
"""A path as a string, or as an object such as :class:`pathlib.Path`."""
