"""Recordings of tests: their paths, when they are written, and replays whose commands the journal records."""

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
from venvrunner.testing._double import Player

__tracebackhide__ = True

_NAME = 100
"""The maximum number of bytes of a test's name in the name of its recording."""


class NotedReplay(NotedRunner, ReplayVenvRunner):
    """A replay in a test, whose commands the journal records."""

    _way = "pytest --venv-record"

    @contextmanager
    def _changing(self, args: list[str], options: dict[str, Any]) -> Generator[Player]:
        with self._journal.note(args, options), super()._changing(args, options) as player:
            yield player


def replays(journal: Journal) -> type[NotedReplay]:
    """Return the class of a session's replays."""

    class Bound(NotedReplay):
        _journal = journal

    Bound.__name__ = ReplayVenvRunner.__name__  # for its repr
    return Bound


def path_for(item: pytest.Item) -> Path:
    """Return the path of a test's recording, which is different for each test."""
    text = item.nodeid.partition("::")[2]
    safe = re.sub(r"[^\w.-]+", "-", text).encode()[:_NAME].decode(errors="ignore")
    name = safe if safe == text else f"{safe}{zlib.crc32(text.encode()):08x}"
    return item.path.parent / "recordings" / f"{item.path.stem}.{name}.json"


@contextmanager
def recorded(runner: Runner, path: Path, paths: Mapping[str, StrPath], journal: Journal) -> Generator[RecordingVenvRunner]:
    """Provide a runner that records a test in the block.

    The recording is saved if the test passes. If no recording exists yet, it is also saved if the test skips itself or fails as
    expected, so that such a test can be replayed too.
    """
    recording = RecordingVenvRunner(runner, path, paths=paths)
    yield recording
    if journal.outcome == "passed" or (journal.outcome == "skipped" and not path.exists()):
        recording.save()


@contextmanager
def replayed(path: Path, paths: Mapping[str, StrPath], journal: Journal) -> Generator[ReplayVenvRunner]:
    """Provide a runner that answers in the block from the recording of a test.

    Raises:
        RecordingError: the recording does not exist or is invalid.
        ExpectationError: the test has passed without making each recorded call.
    """
    replay = replays(journal)(path, paths=paths)
    yield replay
    if journal.outcome == "passed":
        replay.assert_all_used()
