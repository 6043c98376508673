"""The recordings of tests: where they are, when they are made, and replays whose commands are noted."""

import re
import zlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from venvrunner._fixtures.journal import Journal
from venvrunner._fixtures.runners import NotedRunner
from venvrunner._types import StrPath
from venvrunner.runner import Runner
from venvrunner.testing import RecordingVenvRunner, ReplayVenvRunner
from venvrunner.testing._double import Change

__tracebackhide__ = True

_NAME = 100
"""Bytes of the name of a test that that of its recording has at most."""


class NotedReplay(NotedRunner, ReplayVenvRunner):
    """A replay of a test."""

    _way = "pytest --venv-record"

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


def path_for(item: pytest.Item) -> Path:
    """Return where the recording of a test is; no two tests have the same."""
    text = item.nodeid.partition("::")[2]
    safe = re.sub(r"[^\w.-]+", "-", text).encode()[:_NAME].decode(errors="ignore")
    name = safe if safe == text else f"{safe}{zlib.crc32(text.encode()):08x}"
    return item.path.parent / "recordings" / f"{item.path.stem}.{name}.json"


@contextmanager
def recorded(runner: Runner, path: Path, paths: Mapping[str, StrPath], journal: Journal) -> Generator[RecordingVenvRunner]:
    """Provide a runner that records a test in the block.

    A test that skips itself, or fails as expected, has no better recording to lose if there is none: it can be replayed too.
    """
    recording = RecordingVenvRunner(runner, path, paths=paths)
    yield recording
    if journal.outcome == "passed" or (journal.outcome == "skipped" and not path.exists()):
        recording.save()


@contextmanager
def replayed(path: Path, paths: Mapping[str, StrPath], journal: Journal) -> Generator[ReplayVenvRunner]:
    """Provide a runner that answers in the block from the recording of a test.

    Raises:
        RecordingError: it is not there, or wrong.
        ExpectationError: the test has passed, and has not made each call.
    """
    replay = replays(journal)(path, paths=paths)
    yield replay
    if journal.outcome == "passed":
        replay.assert_all_used()
