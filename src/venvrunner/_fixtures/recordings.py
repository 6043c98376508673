"""Recordings of tests: the file of each test, and when it is written."""

import json
import os
import re
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from venvrunner._fixtures.journal import Journal
from venvrunner.testing import RecordingVenvRunner

__tracebackhide__ = True

_NAME = 100
"""The maximum number of bytes of a test's name in the name of its recording."""


class KeptRecording(RecordingVenvRunner):
    """A recording of a test. The outcome of the whole test decides whether it is saved, not the end of a block in it."""

    def _end(self) -> None:
        """Do nothing: the test may still fail."""

    def save_changed(self) -> tuple[str, str] | None:
        """Write the file if it does not exist, or if its replay would differ.

        Returns:
            the previous text of the file, empty if it did not exist, and the new one; ``None``: it was not written.

        Raises:
            OSError: the file cannot be read or written.
        """
        data = self._content()
        try:
            old = Path(self._path).read_bytes()
        except FileNotFoundError:
            old = b""
        if _replayed(old) == _replayed(data):
            return None
        self._write(data)
        return old.decode(errors="replace"), data.decode()


def _replayed(data: bytes) -> object:
    """Return what a replay depends on: not how the JSON is laid out, and no names of paths that no call has."""
    try:
        found: object = json.loads(data)
    except ValueError:  # no recording, or half of one
        return data
    return {**cast("dict[str, object]", found), "paths": None} if isinstance(found, dict) else found


def path_for(item: pytest.Item) -> Path:
    """Return the path of a test's recording, which differs for each test, also on a file system that ignores case."""
    text = item.nodeid.partition("::")[2]
    safe = re.sub(r"[^\w.-]+", "-", text).encode()[:_NAME].decode(errors="ignore")
    directory, stem = item.path.parent / "recordings", item.path.stem
    plain, unique = f"{stem}.{safe}.json", f"{stem}.{safe}{zlib.crc32(text.encode()):08x}.json"
    if safe != text:
        return directory / unique
    folded = plain.casefold()
    # A name with capitals may have been recorded without a checksum by an older release.
    found = {name for name in (os.listdir(directory) if directory.is_dir() else ()) if name.casefold() == folded}
    is_plain = (not found or plain in found) if plain == folded else found == {plain}
    return directory / (plain if is_plain else unique)


@contextmanager
def recorded(
    recording: KeptRecording, path: Path, journal: Journal, changed: Callable[[str, str], None] | None
) -> Generator[KeptRecording]:
    """Provide a runner that records a test in the block.

    The recording is saved if the test passes. If no recording exists yet, it is also saved if the test skips itself or fails as
    expected, so that such a test can be replayed too.

    Args:
        recording: the runner.
        path: its file.
        journal: the journal, which knows the outcome of the test.
        changed: save only what has changed, and call this with the previous and the new text; ``None``: save always.

    Raises:
        pytest.fail.Exception: the file cannot be written.
    """
    yield recording
    if journal.outcome == "passed" or (journal.outcome == "skipped" and not path.exists()):
        try:
            if changed is None:
                recording.save()
            elif texts := recording.save_changed():
                changed(*texts)
        except OSError as exc:
            msg = f"the recording {str(path)!r} cannot be written: {exc}."
            raise pytest.fail.Exception(msg, pytrace=False) from None
