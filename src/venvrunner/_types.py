"""The types that every part of the package uses."""

import os
from typing import Literal

StrPath = str | os.PathLike[str]
"""A path as a string, or as an object such as :class:`pathlib.Path`."""
Exist = Literal["clear", "reuse", "error"]
"""How to treat an existing environment."""
