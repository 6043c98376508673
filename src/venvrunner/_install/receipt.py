"""The outcome of an installation: what the installer said, and what is different now."""

import subprocess
from collections.abc import Mapping
from typing import Any

from venvrunner._process.sinks import Redactor

__tracebackhide__ = True


class Receipt(subprocess.CompletedProcess[str]):
    """The completed process of an installer, and what it has changed; prints as a short table.

    Args:
        done: the completed process.
        before: the packages before it: versions by normalized names.
        after: those after it.
        sources_before: where those before it came from, by normalized names; those from an index are missing.
        sources_after: the same for those after it.

    Attributes:
        added: versions of new packages, by normalized names.
        changed: old and new version of those that have another one, or the same one from another source.
        removed: versions of those that are gone.
        sources: old and new source of those that have another one, as ``pip freeze`` has it: a URL, with ``-e`` before it if
            the package is editable; ``None``: an index, or no package.

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
        """Copy and pickle by the attributes."""
        return _restore, (self.__dict__,)

    def __repr__(self) -> str:
        """Show what is different; neither the command line nor the output, which may hold credentials."""
        return self.table() or "nothing changed"

    def table(self) -> str:
        """Return the lines that show what is different; none if nothing is."""
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
