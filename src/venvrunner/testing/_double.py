"""What the doubles that start no process share: a call is looked up among answers, and delivered as a real one is."""

import os
import threading
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple, Unpack, cast

from venvrunner import subprocess_util
from venvrunner._install.failures import explained
from venvrunner._install.receipt import Receipt
from venvrunner._process.canned_output import CannedOutput
from venvrunner._process.command import Command, TimedOut
from venvrunner._process.lines import Stream
from venvrunner._process.sinks import Redactor
from venvrunner._types import StrPath
from venvrunner._venv import layout
from venvrunner.environment import venv_environment
from venvrunner.exceptions import CommandError, ExpectationError
from venvrunner.installing import InstallOptions, ReportOptions
from venvrunner.runner import Runner
from venvrunner.testing._answers import Answer, Call, Question, no_answer
from venvrunner.testing._block import Block
from venvrunner.testing._pip_call import changed_by, install_call, kept_options, uninstall_call

__tracebackhide__ = True

_PATIENCE = 60.0
"""Seconds in which whoever has given no ``timeout=`` has to cancel a command that does not end."""

_Packages = tuple[dict[str, str], dict[str, str]]


class DoubleRunner(Block, Runner):
    """A runner that starts no process: each command gets the first answer that fits it and is left.

    Lines, log records, exceptions, masking and the environment are made by the same code as those of a real command.

    Args:
        venv_dir: what stands for the environment; nothing is read or written there.
        installed: versions of packages that are there at first, by name.

    Attributes:
        venv_dir: as given, absolute.
        name: its last component.
        top_dir: the rest of it.
        calls: every call that was made, in order.
    """

    name: str
    top_dir: str
    venv_dir: str
    calls: list[Call]
    _advice: str
    _remedy: str

    def __init__(self, venv_dir: StrPath, installed: Mapping[str, str]) -> None:
        self.venv_dir = os.path.abspath(venv_dir)
        self.top_dir, self.name = os.path.split(self.venv_dir)
        self.calls = []
        self._answers: list[Answer] = []
        self._unexpected: list[ExpectationError] = []
        self._packages = dict(sorted(installed.items()))
        self._lock = threading.RLock()  # a pattern may be a function that asks this runner

    @abstractmethod
    def _question(self, call: Call, secrets: Iterable[str]) -> Question:
        """Return what an answer has to fit."""

    def assert_all_used(self) -> None:
        """Check that each call had an answer, and that each answer was given as often as it was told.

        The end of a ``with`` block does that too, unless an exception leaves it.

        Raises:
            ExpectationError: a call had none, whatever became of the exception then, or an answer is left.
        """
        if self._unexpected:
            raise self._unexpected[0]
        left = [answer for answer in self._answers if answer.is_owed()]
        if left:
            calls = "".join(f"\n  {' '.join(answer.question.lines())}" for answer in left)
            msg = f"these answers were not called for! {self._remedy}{calls}"
            raise ExpectationError(msg)

    @property
    def python_executable(self) -> str:
        """The absolute path that stands for the environment's interpreter."""
        return self.resolve(["python"])[0]

    def resolve(self, args: Sequence[StrPath]) -> list[str]:
        """Return *args* with the path that the command would have; there need not be such a file.

        Args:
            args: the plain name of a command, and its arguments.

        Raises:
            InvalidCommandError: the name is not plain.
            TypeError, ValueError: *args* is empty or not a list of ``str`` or paths.
        """
        command, *rest = layout.plain_command(args)
        return [os.path.join(layout.CURRENT.scripts(self.venv_dir), command), *rest]

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """Same as :meth:`.VenvRunner.environment`."""
        return venv_environment(self.venv_dir, layout.CURRENT.scripts(self.venv_dir), env, os.environ)

    def install_package(self, package_name: StrPath) -> Receipt:
        """Same as :meth:`install` with one requirement."""
        return self.install(package_name)

    def install(self, *requirements: StrPath, **options: Unpack[InstallOptions]) -> Receipt:
        """Answer for an installation: it is the call ``pip install``, with options as pip has them and the requirements.

        Same arguments, refusals, receipt and exceptions as those of :meth:`.VenvRunner.install`.
        """
        args, rest = install_call(requirements, kept_options(options))
        with self._changing(args, rest) as (player, argv):
            return player.receipt(subprocess_util.log_run(argv, **rest))

    async def async_install(self, *requirements: StrPath, **options: Unpack[InstallOptions]) -> Receipt:
        """Same as :meth:`install`, but a coroutine."""
        args, rest = install_call(requirements, kept_options(options))
        with self._changing(args, rest) as (player, argv):
            return player.receipt(await subprocess_util.async_log_run(argv, **rest))

    def uninstall(self, *names: str, **options: Unpack[ReportOptions]) -> Receipt:
        """Answer for a removal: it is the call ``pip uninstall --yes``, and the names."""
        args, rest = uninstall_call(names, options), cast("dict[str, Any]", options)
        with self._changing(args, rest) as (player, argv):
            return player.receipt(subprocess_util.log_run(argv, **rest))

    def installed(self) -> dict[str, str]:
        """Return what is installed after all calls until now: versions by normalized names, sorted."""
        with self._lock:
            return dict(self._packages)

    def _end(self) -> None:
        self.assert_all_used()

    def _in_use(self) -> AbstractContextManager[Mapping[str, Any]]:
        return nullcontext({"driver": _Player(self._answer, self._change, self._unending)})

    @contextmanager
    def _changing(self, args: list[str], options: dict[str, Any]) -> "Generator[Change]":
        player = _Player(self._answer, self._change, self._unending)
        options["env"] = self.environment(options.get("env"))
        if isinstance(secrets := options.get("secrets"), Iterator):
            options["secrets"] = list(cast("Iterator[str]", secrets))
        try:
            with self._around({"driver": player}):
                yield Change(player, self.resolve(args))
        except CommandError as exc:
            what, verb = changed_by(args)
            raise explained(exc, what, Redactor(options.get("secrets") or ()).mask, verb=verb) from None

    def _answer(self, command: Command) -> Answer:
        """Note a call, and return what it gets."""
        call = _call(command)
        with self._lock:
            self.calls.append(call)
            question = self._question(call, command.secrets)
            answer = self._first(question)
            if answer is None:
                raise self._noted(no_answer(question, self._answers, self._advice, Redactor(command.secrets)))
            answer.used += 1
        effect = answer.side_effect
        if isinstance(effect, BaseException | type):
            failure = cast("BaseException | type[BaseException]", effect)
            raise failure
        if effect is not None:
            effect(call)
        return answer

    def _first(self, question: Question) -> Answer | None:
        for answer in self._answers:
            if answer.is_left() and answer.answers(question):
                return answer
        return None

    def _unending(self, command: Command) -> ExpectationError:
        """Note that a command goes on for ever, and nobody ends it."""
        args = Redactor(command.secrets).mask_all(_call(command).args)
        return self._noted(f"the call {args!r} does not end! Give it a timeout=, or its answer a returncode.")

    def _noted(self, message: str) -> ExpectationError:
        error = ExpectationError(message)
        self._unexpected.append(error)
        return error

    def _change(self, installed: Mapping[str, str | None]) -> _Packages:
        """Change what is installed; return that before it and after it."""
        with self._lock:
            before = self._packages
            now = {**before, **installed}
            self._packages = {name: version for name, version in sorted(now.items()) if version is not None}
            return before, self._packages


class Change(NamedTuple):
    """An installation or a removal, which is about to be answered.

    Attributes:
        player: answers, and knows what has changed.
        argv: the command line.
    """

    player: "_Player"
    argv: list[str]


class _Player:
    """Runs a command by delivering its answer.

    Args:
        answer: returns the answer to a command.
        change: notes what it installs; returns what was installed before and afterwards.
        unending: returns the error for a command that nobody ends.
    """

    def __init__(
        self,
        answer: Callable[[Command], Answer],
        change: Callable[[Mapping[str, str | None]], _Packages],
        unending: Callable[[Command], ExpectationError],
    ) -> None:
        self._answer = answer
        self._change = change
        self._unending = unending
        self._packages: _Packages = ({}, {})

    def begin(
        self, command: Command, streams: Mapping[int, Stream], *, cancellable: bool
    ) -> tuple[Mapping[int, Stream], CannedOutput]:
        answer = self._answer(command)
        self._installed = answer.installed

        def unending() -> BaseException:
            return TimedOut() if command.timeout is not None else self._unending(command)

        patience = _PATIENCE if cancellable and command.timeout is None else 0.0
        output = [
            (number, data.encode(command.encoding, "surrogateescape") if isinstance(data, str) else data)
            for number, data in answer.output
        ]
        return streams, CannedOutput(output, answer.returncode, unending, patience)

    def end(self, _returncode: int | None) -> None:
        self._packages = self._change(self._installed)

    def receipt(self, done: Any) -> Receipt:
        return Receipt(done, *self._packages)


def _call(command: Command) -> Call:
    cwd = command.popen.get("cwd")
    text = None if command.input is None else command.input.decode(command.encoding, "surrogateescape")
    args = [os.path.basename(command.argv[0]), *command.argv[1:]]
    return Call(args, None if cwd is None else os.fsdecode(cwd), text, command.popen["env"], command.timeout)
