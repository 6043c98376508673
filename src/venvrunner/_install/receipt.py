"""The outcome of an installation: what the installer said, and what is different now."""

import subprocess
from collections.abc import Mapping
from typing import Any

__tracebackhide__ = True


class Receipt(subprocess.CompletedProcess[str]):
    """The completed process of an installer, and what it has changed; prints as a short table.

    Args:
        done: the completed process.
        before: the packages before it: versions by normalized names.
        after: those after it.

    Attributes:
        added: versions of new packages, by normalized names.
        changed: old and new version of those that have another one.
        removed: versions of those that are gone.

    >>> done = subprocess.CompletedProcess(["pip"], 0, "", "")
    >>> Receipt(done, {"old": "1.0", "pin": "1.0"}, {"new": "3.1", "pin": "2.0"})
    added    new  3.1
    changed  pin  1.0 -> 2.0
    removed  old  1.0
    """

    def __init__(self, done: subprocess.CompletedProcess[str], before: Mapping[str, str], after: Mapping[str, str]) -> None:
        super().__init__(done.args, done.returncode, done.stdout, done.stderr)
        self.added: dict[str, str] = {name: after[name] for name in after if name not in before}
        self.changed: dict[str, tuple[str, str]] = {
            name: (before[name], after[name]) for name in after if name in before and before[name] != after[name]
        }
        self.removed: dict[str, str] = {name: before[name] for name in before if name not in after}

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle by the attributes."""
        return _restore, (self.__dict__,)

    def __repr__(self) -> str:
        """Show what is different; neither the command line nor the output, which may hold credentials."""
        return table(self.added, self.changed, self.removed) or "nothing changed"


def table(added: Mapping[str, str], changed: Mapping[str, tuple[str, str]], removed: Mapping[str, str]) -> str:
    """Return the lines that tell what is different."""
    rows = [("added", name, version) for name, version in added.items()]
    rows += [("changed", name, f"{old} -> {new}") for name, (old, new) in changed.items()]
    rows += [("removed", name, version) for name, version in removed.items()]
    width = max((len(name) for _kind, name, _version in rows), default=0)
    return "\n".join(f"{kind:7}  {name:{width}}  {version}" for kind, name, version in rows)


def _restore(attributes: dict[str, Any]) -> Receipt:
    receipt = Receipt.__new__(Receipt)
    receipt.__dict__.update(attributes)
    return receipt
