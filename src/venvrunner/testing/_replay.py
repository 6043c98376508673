"""The replaying double: answer commands from a recording."""

import os
import tempfile
from collections.abc import Iterable, Mapping

from venvrunner._redaction import Redactor
from venvrunner._types import StrPath
from venvrunner.exceptions import RecordingError
from venvrunner.testing._answers import Answer, Call, Question
from venvrunner.testing._double import DoubleRunner
from venvrunner.testing._file import Entry, load
from venvrunner.testing._placeholders import usual_placeholders

__tracebackhide__ = True


class ReplayVenvRunner(DoubleRunner):
    r"""Replay a recording: each command has the recorded outcome, and no process is started.

    The replay is strict. It answers each recorded call once, in any order; equal calls in their recorded order. A call that
    was not recorded raises, and so does the end of a ``with`` block if a recorded call was not made.

    Args:
        path: the file that a :class:`RecordingVenvRunner` has written.
        venv_dir: the path of the pretended environment; nothing is read or written there. Default: in the temporary
            directory.
        secrets: strings to mask, as for the recording; the ``secrets=`` of a call count from that call on.
        paths: further placeholders, with the names of the recording and the current paths.

    Attributes:
        venv_dir: the absolute path of the pretended environment.
        name: the last component of ``venv_dir``.
        top_dir: the parent directory of ``venv_dir``.
        calls: all calls, each a :class:`Call`, in order.

    Raises:
        RecordingError: the file does not exist, cannot be read, has another version or is invalid.

    >>> ReplayVenvRunner("missing.json")
    Traceback (most recent call last):
    ...
    venvrunner.exceptions.RecordingError: 'missing.json' cannot be replayed: it does not exist. Record it with RecordingVenvRunner.
    """  # noqa: E501  a message is one line

    _way = "RecordingVenvRunner"
    _naming = "Pass paths= with the same names."

    def __init__(
        self,
        path: StrPath,
        *,
        venv_dir: StrPath | None = None,
        secrets: Iterable[str] = (),
        paths: Mapping[str, StrPath] | None = None,
    ) -> None:
        directory = os.path.join(tempfile.gettempdir(), "replayed-venv") if venv_dir is None else os.path.abspath(venv_dir)
        self._secrets = set(secrets)
        known = usual_placeholders(directory, paths or {})
        shown = os.fspath(path)
        try:
            with open(path, "rb") as file:
                recording = load(file.read(), known, self._naming)
        except (OSError, RecordingError) as exc:
            why = "it does not exist" if isinstance(exc, FileNotFoundError) else str(exc)
            advice = "" if why.endswith(".") else f". Record it with {self._way}."
            msg = f"{shown!r} cannot be replayed: {why}{advice}"
            raise RecordingError(msg) from None
        super().__init__(directory, recording.installed)
        self._advice = f"If it is intended, record {shown!r} again with {self._way}."
        self._remedy = f"Run these commands, or record {shown!r} again with {self._way}."
        self._placeholders = recording.placeholders
        self._answers += [
            Answer(self._plain(entry), entry.output, entry.returncode, entry.installed, entry.raised, reply=entry.reply)
            for entry in recording.calls
        ]

    def _question(self, call: Call, secrets: Iterable[str]) -> Question:
        new = {*secrets} - self._secrets
        if new:
            self._secrets |= new
            # A recording that was made without these secrets may contain them.
            for answer in self._answers:
                answer.question = answer.question.masked(Redactor(self._secrets))
        return self._plain(call)

    def _plain(self, call: Call | Entry) -> Question:
        """Return a call for comparison: with secrets masked, and with one spelling of each path."""
        redactor = Redactor(self._secrets)
        cwd, text = (
            None if value is None else self._placeholders.plain(redactor.mask(value)) for value in (call.cwd, call.input)
        )
        return Question([self._placeholders.plain(redactor.mask(arg)) for arg in call.args], cwd, text)
