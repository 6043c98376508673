"""The replays that tests get: as all others, but their commands are noted."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from venvrunner._suite.journal import Journal
from venvrunner._suite.runners import NotedRunner
from venvrunner.testing import ReplayVenvRunner
from venvrunner.testing._double import Change


class NotedReplay(NotedRunner, ReplayVenvRunner):
    """A replay of a test."""

    @contextmanager
    def _changing(self, args: list[str], options: dict[str, Any]) -> Generator[Change]:
        with self._journal.note(args, options), super()._changing(args, options) as change:
            yield change


def replays(journal: Journal) -> type[NotedReplay]:
    """Return the class of the replays of a session."""

    class Bound(NotedReplay):
        _journal = journal

    Bound.__name__ = ReplayVenvRunner.__name__  # for its repr
    return Bound
