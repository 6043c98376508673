"""Replays of recordings in tests, whose commands the journal records."""

import contextlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from venvrunner._fixtures.changes import Changes
from venvrunner._fixtures.journal import Journal
from venvrunner._fixtures.recordings import KeptRecording, path_for, recorded
from venvrunner._fixtures.runners import NotedRunner
from venvrunner._types import StrPath
from venvrunner.exceptions import ExpectationError
from venvrunner.runner import Runner
from venvrunner.testing import ReplayVenvRunner
from venvrunner.testing._double import Player

__tracebackhide__ = True


class NotedReplay(NotedRunner, ReplayVenvRunner):
    """A replay in a test, whose commands the journal records."""

    _way = "pytest --venv-record"
    _naming = "Return these paths from the fixture recorded_venv_paths."

    @contextmanager
    def _changing(self, args: list[str], options: dict[str, Any]) -> Generator[Player]:
        with self._journal.note(args, options), super()._changing(args, options) as player:
            yield player

    def _end(self) -> None:
        """Do nothing: the test may go on after a block."""


def replays(journal: Journal) -> type[NotedReplay]:
    """Return the class of a session's replays."""

    class Bound(NotedReplay):
        _journal = journal

    Bound.__name__ = ReplayVenvRunner.__name__  # for its repr
    return Bound


def provided(
    request: pytest.FixtureRequest, journal: Journal, paths: Mapping[str, StrPath], given: Mapping[str, StrPath]
) -> contextlib.AbstractContextManager[Runner]:
    """Return the block of a test that is recorded, if an option says so, or else replayed.

    Args:
        request: the request of the test.
        journal: the journal of the run.
        paths: the paths of this run that are placeholders in each recording, by name.
        given: those of this test.

    Raises:
        RecordingError: the recording does not exist or is invalid.
        TypeError, ValueError: the given paths are wrong.
    """
    mode, path = request.config.getoption("venv_record"), path_for(request.node)
    if not isinstance(given, Mapping):
        msg = f"recorded_venv_paths must return paths by name, such as {{'project': path}}, not a {type(given).__name__}."
        raise TypeError(msg)
    if taken := sorted(paths.keys() & given.keys()):
        msg = f"{taken[0]!r} is already the name of a built-in path. Use another name, such as 'project'."
        raise ValueError(msg)
    every = {**given, **paths}
    if not mode:
        return replayed(replays(journal)(path, paths=every), journal)
    recording = KeptRecording(request.getfixturevalue("venv_runner"), path, paths=every)
    changes: Changes | None = request.config.pluginmanager.get_plugin(Changes.NAME)
    return recorded(recording, path, journal, None if changes is None else changes.recorder(request.node, path))


@contextmanager
def replayed(replay: ReplayVenvRunner, journal: Journal) -> Generator[ReplayVenvRunner]:
    """Provide a runner that answers in the block from the recording of a test.

    Raises:
        pytest.fail.Exception: the test has passed without making each recorded call.
    """
    yield replay
    if journal.outcome == "passed":
        try:
            replay.assert_all_used()
        except ExpectationError as exc:
            raise pytest.fail.Exception(str(exc), pytrace=False) from None
