"""Receipts: the outcome of an installation, with the packages that were added, changed and removed."""

import subprocess
from collections.abc import Mapping
from typing import Any

from venvrunner._redaction import Redactor

__tracebackhide__ = True


class Receipt(subprocess.CompletedProcess[str]):
    """The completed process of an installer, and the packages that it changed; prints as a short table.

    Args:
        done: the completed process.
        before: the versions of the packages before the installation, by normalized name.
        after: the versions of the packages after the installation, by normalized name.
        sources_before: the sources of the packages before, by normalized name, without those from an index.
        sources_after: the sources of the packages after, by normalized name, without those from an index.

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
    ) -> None:
        super().__init__(done.args, done.returncode, done.stdout, done.stderr)
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

    def _difference(self, name: str) -> str:
        old, new = self.changed[name]
        sides = zip((old, new), self.sources[name] if old == new else (None, None), strict=True)
        return " -> ".join(version if source is None else f"{version} ({source})" for version, source in sides)


def _restore(attributes: dict[str, Any]) -> Receipt:
    receipt = Receipt.__new__(Receipt)
    receipt.__dict__.update(attributes)
    return receipt
