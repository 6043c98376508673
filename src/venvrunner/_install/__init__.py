"""Installation: the checks of what may be installed, and the command lines of pip and uv."""
