"""Types that the whole package uses."""

import os

StrPath = str | os.PathLike[str]
"""A path, as text or as an object such as :class:`pathlib.Path`."""
