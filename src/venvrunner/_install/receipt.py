"""Receipts: the outcome of an installation, with the packages that were added, changed and removed."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from venvrunner._redaction import Redactor
from venvrunner._types import StrPath
from venvrunner.exceptions import LockFileError

__tracebackhide__ = True


class Receipt(subprocess.CompletedProcess[str]):
    """The completed process of an installer, and the packages that it changed; prints as a short table.

    Args:
        done: the completed process.
        before: the versions of the packages before the installation, by normalized name.
        after: the versions of the packages after the installation, by normalized name.
        sources_before: the sources of the packages before, by normalized name, without those from an index.
        sources_after: the sources of the packages after, by normalized name, without those from an index.
        packages: what the installer reports to have installed, as the packages of a lock file; or why that is unknown.

    Attributes:
        added: the versions of new packages, by normalized name.
        changed: the old and the new version of packages whose version or source has changed.
        removed: the versions of removed packages.
        sources: the old and the new source of packages whose source has changed, as ``pip freeze`` prints it: a URL, with
            ``-e`` before it if the package is editable; ``None`` for an index, or no package.

    >>> done = subprocess.CompletedProcess(["pip"], 0, "", "")
    >>> Receipt(done, {"old": "1.0", "pin": "1.0"}, {"new": "3.1", "pin": "2.0"})
    added    new  3.1
    changed  pin  1.0 -> 2.0
    removed  old  1.0
    >>> Receipt(done, {"mine": "1.0"}, {"mine": "1.0"}, {}, {"mine": "-e file:///mine"})
    changed  mine  1.0 -> 1.0 (-e file:///mine)
    """

    def __init__(
        self,
        done: subprocess.CompletedProcess[str],
        before: Mapping[str, str],
        after: Mapping[str, str],
        sources_before: Mapping[str, str] | None = None,
        sources_after: Mapping[str, str] | None = None,
        packages: Sequence[Mapping[str, Any]] | str = "no installer has reported them",
    ) -> None:
        super().__init__(done.args, done.returncode, done.stdout, done.stderr)
        self._packages = packages
        old, new = sources_before or {}, sources_after or {}
        self.sources: dict[str, tuple[str | None, str | None]] = {
            name: (old.get(name), new.get(name)) for name in sorted({**old, **new}) if old.get(name) != new.get(name)
        }
        self.added: dict[str, str] = {name: after[name] for name in after if name not in before}
        self.changed: dict[str, tuple[str, str]] = {
            name: (before[name], after[name])
            for name in after
            if name in before and (before[name] != after[name] or name in self.sources)
        }
        self.removed: dict[str, str] = {name: before[name] for name in before if name not in after}

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle the attributes."""
        return _restore, (self.__dict__,)

    def __repr__(self) -> str:
        """Return the table; never the command line or the output, which may contain credentials."""
        return self.table() or "nothing changed"

    def table(self) -> str:
        """Return the changes as a table, one line for each; ``""`` without changes."""
        rows = [("added", name, version) for name, version in self.added.items()]
        rows += [("changed", name, self._difference(name)) for name in self.changed]
        rows += [("removed", name, version) for name, version in self.removed.items()]
        width = max((len(name) for _kind, name, _version in rows), default=0)
        return Redactor().mask("\n".join(f"{kind:7}  {name:{width}}  {version}" for kind, name, version in rows))

    def write_lock(self, path: StrPath) -> None:
        """Write a lock file (PEP 751) of exactly the files that this call has installed, with their URLs and hashes.

        A package that was installed before and was not changed is not in it, so call it for an installation into a new
        environment; or use :meth:`.VenvRunner.lock`. Local files and directories at or below the lock file's directory have
        relative paths, and passwords in URLs are left out.

        Only pip reports what it installs, since version 23.0. uv does not: the error has a call of ``lock()`` for the same
        versions, which lists all files of each.

        Args:
            path: the lock file: ``pylock.toml`` or ``pylock.NAME.toml``. It replaces an old one at once.

        Raises:
            InvalidPathError: the file cannot have this name, or cannot be written.
            LockFileError: the files are unknown, or one has no hash of SHA-256 or stronger, or a directory is outside the lock
                file's own. As for all errors, an existing lock file is unchanged.

        >>> import pathlib, tempfile
        >>> from venvrunner import VenvRunner
        >>> with VenvRunner.temporary() as venv, tempfile.TemporaryDirectory() as top:
        ...     venv.install("pip", no_index=True).write_lock(f"{top}/pylock.toml")  # it was installed before
        ...     print(pathlib.Path(top, "pylock.toml").read_text())
        lock-version = "1.0"
        created-by = "venvrunner"
        packages = []
        <BLANKLINE>
        """
        from venvrunner._install.replacement import check_hashes, lock_path, replace_lock, replacement

        found = lock_path(path)
        if isinstance(self._packages, str):
            call = f"lock({', '.join([repr(os.fspath(path)), *self._pins(), 'deps=False'])})"
            why = f"the installed files are unknown, because {self._packages}"
            msg = f"the lock file {found!r} cannot be written: {why}. Use {call} of the runner."
            raise LockFileError(Redactor().mask(msg))
        packages = sorted(self._packages, key=lambda package: str(package["name"]))
        table = {"lock-version": "1.0", "created-by": "venvrunner", "packages": packages}
        with replacement(found) as new:
            replace_lock(found, table, new, check_hashes)

    def _pins(self) -> Iterator[str]:
        """Yield the arguments of a call that locks the packages in their new versions, or from their new sources."""
        editable: list[str] = []
        for name, version in {**self.added, **{name: new for name, (_old, new) in self.changed.items()}}.items():
            source = self.sources.get(name, (None, None))[1]
            if source is None or not source.startswith("-e "):
                yield repr(f"{name}=={version}" if source is None else f"{name} @ {source}")
            else:
                editable.append(source.removeprefix("-e "))
        if editable:
            yield f"editable={editable!r}"

    def _difference(self, name: str) -> str:
        old, new = self.changed[name]
        sides = zip((old, new), self.sources[name] if old == new else (None, None), strict=True)
        return " -> ".join(version if source is None else f"{version} ({source})" for version, source in sides)


def _restore(attributes: dict[str, Any]) -> Receipt:
    receipt = Receipt.__new__(Receipt)
    receipt.__dict__.update(attributes)
    return receipt
