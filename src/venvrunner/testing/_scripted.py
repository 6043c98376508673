"""The double that is told in the test what each command answers."""

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from venvrunner._install.metadata import normalized
from venvrunner._process.sinks import is_coroutine_function
from venvrunner._types import StrPath
from venvrunner.testing._answers import Answer, Call, Question, SideEffect
from venvrunner.testing._double import DoubleRunner

__tracebackhide__ = True


class ScriptedVenvRunner(DoubleRunner):
    r"""Stands for an environment; each command answers what the test has scripted, and no process is started.

    It is strict: a call without an answer raises, and so does the end of a ``with`` block if an answer was not called for.

    Args:
        venv_dir: what stands for the environment; nothing is read or written there. Default: in the temporary folder.
        installed: versions of packages that are there at first, by name.

    Attributes:
        venv_dir: as given, absolute.
        name: its last component.
        top_dir: the rest of it.
        calls: every :class:`Call` that was made, in order.

    >>> with ScriptedVenvRunner() as venv:
    ...     venv.answer(["pytest", ...], stdout="1 failed\n", returncode=1)
    ...     done = venv.log_run(["pytest", "-q", "tests"], stdout_loglevel=print, check=False)
    1 failed
    >>> done.returncode, venv.calls[0].args
    (1, ['pytest', '-q', 'tests'])
    """

    _remedy = "Run these commands, or take the answers away."
    _advice = "Script it with answer(), or let an answer be given more often with times=."

    def __init__(self, venv_dir: StrPath | None = None, *, installed: Mapping[str, str] | None = None) -> None:
        place = os.path.join(tempfile.gettempdir(), "scripted-venv") if venv_dir is None else venv_dir
        super().__init__(place, {normalized(name): version for name, version in (installed or {}).items()})

    def answer(
        self,
        args: Sequence[object],
        *,
        stdout: str | bytes = "",
        stderr: str | bytes = "",
        returncode: int | None = 0,
        installed: Mapping[str, str | None] | None = None,
        side_effect: SideEffect | None = None,
        times: int | None = 1,
    ) -> None:
        r"""Script an answer. Of several that fit a call the first that is left is given: calls in a row get them in a row.

        Args:
            args: the command line. An item is a ``str`` or path; a compiled regular expression, for the whole argument; a
                function that takes the argument and tells whether it fits; or anything that is equal to it, such as
                ``unittest.mock.ANY``. ``...`` stands for any number of arguments.
            stdout: what the command writes to standard output.
            stderr: what it writes to standard error, afterwards.
            returncode: its exit status; ``None``: it does not end by itself, and the caller's ``timeout=`` is up at once.
            installed: versions of packages that it installs, by name; ``None`` for one that it removes.
            side_effect: an exception to raise instead, or a function that gets the :class:`Call` before there is any output.
            times: how often it is given; ``None``: any number of times, also never.

        Raises:
            TypeError, ValueError: an argument is wrong.

        >>> venv = ScriptedVenvRunner()
        >>> venv.answer(["pip", "install", "pocket"], installed={"pocket": "3.0"})
        >>> venv.install("pocket")
        added    pocket  3.0
        """
        if isinstance(args, str | bytes) or not isinstance(args, Sequence) or not args:
            msg = "args must be a list of arguments, which begins with the command! Use ['pip', 'install', ...]."
            raise TypeError(msg)
        if not (returncode is None or isinstance(cast("object", returncode), int)):
            msg = f"returncode must be an int, or None for a command that does not end, not {returncode!r}!"
            raise TypeError(msg)
        _check_side_effect(side_effect)
        if times is not None and not isinstance(cast("object", times), int):
            msg = f"times must be an int, or None for any number of times, not {times!r}!"
            raise TypeError(msg)
        if times is not None and times < 1:
            msg = f"times must be 1 or more, or None for any number of times, not {times}!"
            raise ValueError(msg)
        for name, text in (("stdout", stdout), ("stderr", stderr)):
            if not isinstance(cast("object", text), str | bytes):
                msg = f"{name} must be a str or bytes, not {type(text).__name__}!"
                raise TypeError(msg)
        output = ((1, stdout), (2, stderr))
        changes = {normalized(name): version for name, version in (installed or {}).items()}
        answer = Answer(
            Question(list(args)), [(n, data) for n, data in output if data], returncode, changes, side_effect, times
        )
        with self._lock:
            self._answers.append(answer)

    def _question(self, call: Call, secrets: Iterable[str]) -> Question:
        return Question(call.args)


def _check_side_effect(effect: SideEffect | None) -> None:
    kind: object = effect if isinstance(effect, type) else type(effect)
    if effect is None or issubclass(cast("type", kind), BaseException):
        return
    function = cast("Callable[[Any], object]", effect)
    if isinstance(effect, type) or not callable(function):
        msg = f"side_effect must be an exception or a function, not {effect!r}! Several answers are several calls of answer()."
        raise TypeError(msg)
    if is_coroutine_function(function):
        msg = f"side_effect must be a plain function: nobody would await {effect!r}! Use def."
        raise TypeError(msg)
