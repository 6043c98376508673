"""The files that a lock file has for one environment, as installers read them, without I/O."""

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from venvrunner._install.requirement_forms import quoted

__tracebackhide__ = True


class LockedFile(NamedTuple):
    """The one file that is to be installed for a package.

    Attributes:
        package: the package's normalized name.
        version: its version; ``""`` for a file of no index.
        kind: as PEP 751 names it: ``"wheels"``, ``"sdist"`` or ``"archive"``.
        path: its absolute path; ``""``: it has to be fetched.
        url: where it is.
        digest: its strongest digest, as ``algorithm:digits``.
        others: those of the other files that the lock file has for this package.
        subdirectory: the directory of the project in it; ``""``: its top.
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
        """Return the line of a requirements file for a file of no index."""
        part = f"#subdirectory={self.subdirectory}" if self.subdirectory else ""
        return f"{self.package} @ {quoted(self.url)}{part} --hash={self.digest}"

    def pinned_line(self, *, others: bool) -> str:
        """Return the line of a requirements file for one of an index."""
        digests = (self.digest, *self.others) if others else (self.digest,)
        return " ".join([f"{self.package}=={self.version}", *(f"--hash={digest}" for digest in digests)])


def requirement_lines(files: Iterable[LockedFile], *, indexed: bool) -> Iterator[str]:
    """Yield the lines of a requirements file that installs exactly these files.

    Args:
        files: the files.
        indexed: whether the installer finds them by itself, where its user has said. It then may take any file that the lock
            file has for a package.
    """
    files = list(files)
    if not indexed and all(file.kind == "wheels" for file in files):
        yield "--no-index"  # else the installer needs the index for what builds the others
    for file in files:
        if file.kind == "archive":
            yield file.direct_line()
            continue
        if not indexed:
            yield f"--find-links {quoted(file.url)}"
        yield file.pinned_line(others=indexed)


def pylock_text(files: Iterable[LockedFile]) -> str:
    """Return a lock file that has only these files. JSON's strings, lists and numbers are TOML's."""
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
