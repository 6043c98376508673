"""The double that answers from a recording."""

import os
import tempfile
from collections.abc import Iterable, Mapping

from venvrunner._process.sinks import Redactor
from venvrunner._types import StrPath
from venvrunner.exceptions import RecordingError
from venvrunner.testing._answers import Answer, Call, Question
from venvrunner.testing._double import DoubleRunner
from venvrunner.testing._file import Entry, load
from venvrunner.testing._placeholders import usual_places

__tracebackhide__ = True


class ReplayVenvRunner(DoubleRunner):
    r"""Stands for the environment of a recording; commands answer as they did then, and no process is started.

    It is strict: each recorded call is answered once, in any order; equal calls in their order. A call that was not recorded
    raises, and so does the end of a ``with`` block if a recorded call was not made.

    Args:
        path: the file that a :class:`RecordingVenvRunner` has written.
        venv_dir: what stands for the environment; nothing is read or written there. Default: in the temporary folder.
        secrets: as for the recording; those that a call gives count from then on.
        paths: as for the recording, with the paths of now.

    Attributes:
        venv_dir: as given, absolute.
        name: its last component.
        top_dir: the rest of it.
        calls: every :class:`Call` that was made, in order.

    Raises:
        RecordingError: the file is not there, can't be read, is of another version or is wrong.

    >>> ReplayVenvRunner("missing.json")
    Traceback (most recent call last):
    ...
    venvrunner.exceptions.RecordingError: 'missing.json' can't be replayed: there is no such file! Record it with RecordingVenvRunner.
    """  # noqa: E501  a message is one line

    _way = "RecordingVenvRunner"

    def __init__(
        self,
        path: StrPath,
        *,
        venv_dir: StrPath | None = None,
        secrets: Iterable[str] = (),
        paths: Mapping[str, StrPath] | None = None,
    ) -> None:
        place = os.path.join(tempfile.gettempdir(), "replayed-venv") if venv_dir is None else os.path.abspath(venv_dir)
        self._secrets = set(secrets)
        known = usual_places(place, paths or {})
        shown = os.fspath(path)
        try:
            with open(path, "rb") as file:
                recording = load(file.read(), known)
        except (OSError, RecordingError) as exc:
            why = "there is no such file!" if isinstance(exc, FileNotFoundError) else str(exc).rstrip("!") + "!"
            msg = f"{shown!r} can't be replayed: {why} Record it with {self._way}."
            raise RecordingError(msg) from None
        super().__init__(place, recording.installed)
        self._advice = f"If it is meant, record {shown!r} again, with {self._way}."
        self._remedy = f"Run these commands, or record {shown!r} again, with {self._way}."
        self._places = recording.places
        self._answers += [
            Answer(self._plain(entry), entry.output, entry.returncode, entry.installed, entry.raised)
            for entry in recording.calls
        ]

    def _question(self, call: Call, secrets: Iterable[str]) -> Question:
        new = {*secrets} - self._secrets
        if new:
            self._secrets |= new
            # A recording that was made without them may hold them.
            for answer in self._answers:
                answer.question = answer.question.masked(Redactor(self._secrets))
        return self._plain(call)

    def _plain(self, call: Call | Entry) -> Question:
        """Return it without secrets, and with one form of each path, whatever form it has in the call and in the file."""
        redactor = Redactor(self._secrets)
        cwd, text = (None if value is None else self._places.plain(redactor.mask(value)) for value in (call.cwd, call.input))
        return Question([self._places.plain(redactor.mask(arg)) for arg in call.args], cwd, text)
