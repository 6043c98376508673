"""Locked files: the files selected for an environment, in the formats that installers read, without I/O."""

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from venvrunner._install.requirement_forms import quoted

__tracebackhide__ = True


class LockedFile(NamedTuple):
    """The one file to install for a package.

    Attributes:
        package: the normalized name of the package.
        version: its version; ``""`` for a file that is not from an index.
        kind: its kind in PEP 751: ``"wheels"``, ``"sdist"`` or ``"archive"``.
        path: its absolute path; ``""`` if it must be downloaded.
        url: its URL.
        digest: its strongest digest, as ``algorithm:digits``.
        others: the digests of the other files that the lock file lists for the package.
        subdirectory: the project's directory in it; ``""``: the top directory.
    """

    package: str
    version: str
    kind: str
    path: str
    url: str
    digest: str
    others: tuple[str, ...] = ()
    subdirectory: str = ""

    def direct_line(self) -> str:
        """Return the line of a requirements file for a file that is not from an index."""
        part = f"#subdirectory={self.subdirectory}" if self.subdirectory else ""
        return f"{self.package} @ {quoted(self.url)}{part} --hash={self.digest}"

    def pinned_line(self, *, others: bool) -> str:
        """Return the line of a requirements file for a file from an index.

        Args:
            others: allow the other files of the package too.
        """
        digests = (self.digest, *self.others) if others else (self.digest,)
        return " ".join([f"{self.package}=={self.version}", *(f"--hash={digest}" for digest in digests)])


def requirement_lines(files: Iterable[LockedFile], *, indexed: bool) -> Iterator[str]:
    """Yield the lines of a requirements file that installs exactly these files.

    Args:
        files: the files.
        indexed: let the installer find the files in the configured index. It may then choose any file that the lock file
            lists for a package.
    """
    files = list(files)
    if not indexed and all(file.kind == "wheels" for file in files):
        yield "--no-index"  # otherwise the installer needs the index for the build back ends
    for file in files:
        if file.kind == "archive":
            yield file.direct_line()
            continue
        if not indexed:
            yield f"--find-links {quoted(file.url)}"
        yield file.pinned_line(others=indexed)


def pylock_text(files: Iterable[LockedFile]) -> str:
    """Return the text of a lock file with only these files; JSON's strings, lists and numbers are valid TOML."""
    lines = ['lock-version = "1.0"', 'created-by = "venvrunner"']
    files = list(files)
    if not files:
        lines.append("packages = []")
    for file in files:
        place = f"path = {_string(file.path)}" if file.path else f"url = {_string(quoted(file.url))}"
        algorithm, digits = file.digest.split(":")
        part = f", subdirectory = {_string(file.subdirectory)}" if file.subdirectory else ""
        entry = f"{{ {place}, hashes = {{ {algorithm} = {_string(digits)} }}{part} }}"
        lines += ["[[packages]]", f"name = {_string(file.package)}"]
        lines += [f"version = {_string(file.version)}"] if file.version else []
        lines += [f"{file.kind} = " + (f"[{entry}]" if file.kind == "wheels" else entry)]
    return "\n".join(lines) + "\n"


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
