"""The scripted double: the test states the answer to each command."""

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from venvrunner._call.request import Reply, named
from venvrunner._install.metadata import normalized
from venvrunner._process.sinks import is_coroutine_function
from venvrunner._types import StrPath
from venvrunner.testing._answers import Answer, Call, Question, SideEffect
from venvrunner.testing._calls import failed, pattern
from venvrunner.testing._double import DoubleRunner

__tracebackhide__ = True


class ScriptedVenvRunner(DoubleRunner):
    r"""Pretend to be an environment: each command has the outcome that the test defines, and no process is started.

    The double is strict: a call without an answer raises, and so does the end of a ``with`` block if an answer was not used.

    Args:
        venv_dir: the path of the pretended environment; nothing is read or written there. Default: in the temporary
            directory.
        installed: the packages that are installed initially, as versions by name.

    Attributes:
        venv_dir: the absolute path of the pretended environment.
        name: the last component of ``venv_dir``.
        top_dir: the parent directory of ``venv_dir``.
        calls: all calls, each a :class:`Call`, in order.

    >>> with ScriptedVenvRunner() as venv:
    ...     venv.answer(["pytest", ...], stdout="1 failed\n", returncode=1)
    ...     done = venv.log_run(["pytest", "-q", "tests"], stdout_loglevel=print, check=False)
    1 failed
    >>> done.returncode, venv.calls[0].args
    (1, ['pytest', '-q', 'tests'])
    """

    _remedy = "Run these commands, or remove the answers."
    _advice = "Script it with answer(), or increase times= of an existing answer."

    def __init__(self, venv_dir: StrPath | None = None, *, installed: Mapping[str, str] | None = None) -> None:
        directory = os.path.join(tempfile.gettempdir(), "scripted-venv") if venv_dir is None else venv_dir
        super().__init__(directory, {normalized(name): version for name, version in (installed or {}).items()})

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
        r"""Script an answer. Of several matching answers, a call gets the first that is not used up.

        Args:
            args: the command line. An item is a ``str`` or a path; a compiled regular expression for the whole argument; a
                function that takes the argument and returns whether it matches; or an object that is equal to the argument,
                such as ``unittest.mock.ANY``. ``...`` matches any number of arguments.
            stdout: the standard output of the command.
            stderr: the standard error of the command, after its standard output.
            returncode: the exit code; ``None``: the command does not exit, and the caller's ``timeout=`` is reached at once.
            installed: the packages that it installs, as versions by name; ``None`` for a package that it removes.
            side_effect: an exception to raise instead, or a function that gets the :class:`Call` before any output.
            times: how many times the answer must be given; ``None``: any number of times, or never.

        Raises:
            TypeError, ValueError: an argument is invalid.

        >>> venv = ScriptedVenvRunner()
        >>> venv.answer(["pip", "install", "pocket"], installed={"pocket": "3.0"})
        >>> venv.install("pocket")
        added    pocket  3.0
        """
        self._add(_answer(args, stdout, stderr, returncode, installed, side_effect, times))

    def answer_call(
        self,
        function: str | Callable[..., Any],
        /,
        *args: Any,
        returns: Any = None,
        raises: BaseException | type[BaseException] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        stdout: str | bytes = "",
        stderr: str | bytes = "",
        times: int | None = 1,
    ) -> None:
        """Script the outcome of a function that :meth:`call` calls. Of several that match, a call gets the first that is left.

        Args:
            function: the function, as the call names it.
            *args: its arguments; each may also be a compiled regular expression for a text, a function that takes the argument
                and returns whether it matches, or an object that is equal to it, such as ``unittest.mock.ANY``. ``...`` matches
                any number of arguments and keywords.
            returns: the value of the function.
            raises: the exception that the function raises instead; the call raises a :class:`~venvrunner.CallError`.
            kwargs: its keywords, in the same forms; ``...`` for any value.
            stdout: what it writes to standard output.
            stderr: what it writes to standard error, after that.
            times: how many times the answer must be given; ``None``: any number of times, or never.

        Raises:
            TypeError, ValueError: an argument is invalid.

        >>> with ScriptedVenvRunner() as venv:
        ...     venv.answer_call("tools:build", "docs", returns={"pages": 3})
        ...     venv.call("tools:build", "docs")
        {'pages': 3}
        """
        label, _source = named(function)
        error = raises() if isinstance(raises, type) else raises
        keywords = [pattern(value, name) for name, value in sorted((kwargs or {}).items())]
        words = ["python", label, *map(pattern, args), *keywords]
        answer = _answer(words, stdout, stderr, 0 if error is None else 1, None, None, times)
        answer.reply = Reply(returns) if error is None else Reply(failure=failed(label, error))
        self._add(answer)

    def _add(self, answer: Answer) -> None:
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
        msg = (
            f"side_effect must be an exception or a function, not {effect!r}. For several effects, call answer() several times."
        )
        raise TypeError(msg)
    if is_coroutine_function(function):
        msg = f"side_effect must be a plain function: {effect!r} would never be awaited. Use def."
        raise TypeError(msg)


def _answer(
    args: Sequence[object],
    stdout: str | bytes,
    stderr: str | bytes,
    returncode: int | None,
    installed: Mapping[str, str | None] | None,
    side_effect: SideEffect | None,
    times: int | None,
) -> Answer:
    """Return an answer, after a check of its parts; see :meth:`ScriptedVenvRunner.answer`."""
    if isinstance(args, str | bytes) or not isinstance(args, Sequence) or not args:
        msg = "args must be a list of arguments that begins with the command. Use ['pip', 'install', ...]."
        raise TypeError(msg)
    if not (returncode is None or isinstance(cast("object", returncode), int)):
        msg = f"returncode must be an int, or None for a command that does not exit, not {returncode!r}."
        raise TypeError(msg)
    _check_side_effect(side_effect)
    if times is not None and not isinstance(cast("object", times), int):
        msg = f"times must be an int, or None for any number of times, not {times!r}."
        raise TypeError(msg)
    if times is not None and times < 1:
        msg = f"times must be a positive int, or None for any number of times, not {times}."
        raise ValueError(msg)
    for name, text in (("stdout", stdout), ("stderr", stderr)):
        if not isinstance(cast("object", text), str | bytes):
            msg = f"{name} must be a str or bytes, not {type(text).__name__}."
            raise TypeError(msg)
    output = ((1, stdout), (2, stderr))
    changes = {normalized(name): version for name, version in (installed or {}).items()}
    return Answer(Question(list(args)), [(n, data) for n, data in output if data], returncode, changes, side_effect, times)
