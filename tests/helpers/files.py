"""What is below a directory."""

from pathlib import Path


def listing(folder: Path) -> dict[str, object]:
    """Return all that is below a directory: kind, contents, and the time of the last change."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path)] = (status.st_mode, status.st_mtime_ns, content)
    return found
