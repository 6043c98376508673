"""The base of the doubles that start no process: look up the answer to a call, and deliver it as a real command's output."""

import os
import threading
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Unpack, cast

from venvrunner._call.exchange import Exchange
from venvrunner._call.request import Request
from venvrunner._install.failures import explained
from venvrunner._install.receipt import Receipt
from venvrunner._process.canned_output import CannedOutput
from venvrunner._process.command import Command, TimedOut
from venvrunner._process.invocation import CompletedCommand
from venvrunner._process.lines import Stream
from venvrunner._redaction import Redactor
from venvrunner._types import StrPath
from venvrunner._venv import layout
from venvrunner.environment import venv_environment
from venvrunner.exceptions import CommandError, ExpectationError
from venvrunner.installing import InstallOptions, LockOptions, ReportOptions
from venvrunner.runner import Runner
from venvrunner.testing._answers import Answer, Call, Question, no_answer
from venvrunner.testing._block import Block
from venvrunner.testing._calls import CannedExchange, take
from venvrunner.testing._pip_call import changed_by, install_call, kept_options, lock_call, uninstall_call

__tracebackhide__ = True

_CANCEL_TIMEOUT = 60.0
"""Seconds that a caller without ``timeout=`` has to cancel a command that does not exit."""

_Packages = tuple[dict[str, str], dict[str, str]]


class DoubleRunner(Block, Runner):
    """A runner that starts no process: each command gets the first unused answer that matches.

    The code of real commands delivers its lines, logs them, raises its exceptions and masks secrets.

    Args:
        venv_dir: the path of the pretended environment; nothing is read or written there.
        installed: the packages that are installed initially, as versions by name.

    Attributes:
        venv_dir: the absolute path of the pretended environment.
        name: the last component of ``venv_dir``.
        top_dir: the parent directory of ``venv_dir``.
        calls: all calls, in order.
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
        self._lock = threading.RLock()  # a pattern may be a function that calls this runner

    @abstractmethod
    def _question(self, call: Call, secrets: Iterable[str]) -> Question:
        """Return the part of a call that an answer must match."""

    def assert_all_used(self) -> None:
        """Check that each call had an answer, and that each answer was given as often as its ``times=`` says.

        The end of a ``with`` block checks the same, unless an exception leaves the block.

        Raises:
            ExpectationError: a call had no answer, even if that exception was caught, or an answer was not used.
        """
        if self._unexpected:
            raise self._unexpected[0]
        left = [answer for answer in self._answers if answer.is_owed()]
        if left:
            calls = "".join(f"\n  {' '.join(answer.question.lines())}" for answer in left)
            msg = f"these answers were not used. {self._remedy}{calls}"
            raise ExpectationError(msg)

    @property
    def python_executable(self) -> str:
        """The absolute path of the pretended interpreter."""
        return self.resolve(["python"])[0]

    @property
    def python_version(self) -> str:
        """The version of the pretended interpreter, which is that of this process, such as ``"3.13.1"``."""
        return layout.current_version()

    @property
    def scripts_dir(self) -> str:
        """The absolute path of the pretended directory with the environment's commands."""
        return layout.CURRENT.scripts(self.venv_dir)

    @property
    def site_packages(self) -> str:
        """The absolute path of the pretended directory with the environment's packages."""
        return layout.expected_packages(self.venv_dir)

    def resolve(self, args: Sequence[StrPath]) -> list[str]:
        """Return *args* with the path that the command would have. The file need not exist.

        Args:
            args: the plain name of a command, and its arguments.

        Raises:
            InvalidCommandError: ``args[0]`` is not a plain name.
            TypeError, ValueError: *args* is empty or not a list of ``str`` or paths.
        """
        command, *rest = layout.plain_command(args)
        return [os.path.join(self.scripts_dir, command), *rest]

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """Same as :meth:`.VenvRunner.environment`, but configuration files of pip are not read."""
        return venv_environment(self.venv_dir, self.scripts_dir, env, os.environ)

    def install_package(self, package_name: StrPath) -> Receipt:
        """Same as :meth:`install` with one requirement."""
        return self.install(package_name)

    def install(self, *requirements: StrPath, **options: Unpack[InstallOptions]) -> Receipt:
        """Answer an installation as the call ``pip install``, with pip's options and the requirements.

        The arguments, refusals, receipt and exceptions are those of :meth:`.VenvRunner.install`.
        """
        args, rest = install_call(requirements, kept_options(options))
        with self._changing(args, rest) as player:
            return player.receipt(self._run(player.block(), self.resolve(args), **rest))

    async def async_install(self, *requirements: StrPath, **options: Unpack[InstallOptions]) -> Receipt:
        """Same as :meth:`install`, but a coroutine."""
        args, rest = install_call(requirements, kept_options(options))
        with self._changing(args, rest) as player:
            return player.receipt(await self._run_async(player.block(), self.resolve(args), **rest))

    def uninstall(self, *names: str, **options: Unpack[ReportOptions]) -> Receipt:
        """Answer a removal as the call ``pip uninstall --yes`` with the names."""
        args, rest = uninstall_call(names, options), cast("dict[str, Any]", options)
        with self._changing(args, rest) as player:
            return player.receipt(self._run(player.block(), self.resolve(args), **rest))

    def lock(self, path: StrPath, *requirements: StrPath, **options: Unpack[LockOptions]) -> CompletedCommand:
        """Answer an order of a lock file as the call ``pip lock``, with pip's options and the requirements; no file is written.

        The arguments, refusals and exceptions are those of :meth:`.VenvRunner.lock`.
        """
        args, rest = lock_call(path, requirements, kept_options(options))
        with self._changing(args, rest) as player:
            return self._run(player.block(), self.resolve(args), **rest)

    async def async_lock(self, path: StrPath, *requirements: StrPath, **options: Unpack[LockOptions]) -> CompletedCommand:
        """Same as :meth:`lock`, but a coroutine."""
        args, rest = lock_call(path, requirements, kept_options(options))
        with self._changing(args, rest) as player:
            return await self._run_async(player.block(), self.resolve(args), **rest)

    def installed(self) -> dict[str, str]:
        """Return the packages that are installed after all calls so far, as versions by normalized names, sorted."""
        with self._lock:
            return dict(self._packages)

    def _end(self) -> None:
        self.assert_all_used()

    def _in_use(self) -> AbstractContextManager[Mapping[str, Any]]:
        return self._player().block()

    def _exchange(self, request: Request) -> Exchange:
        return CannedExchange(request)

    def _player(self) -> "Player":
        return Player(self._answer, self._change, self._unending)

    @contextmanager
    def _changing(self, args: list[str], options: dict[str, Any]) -> "Generator[Player]":
        """Complete the keywords of an installation or a removal, and explain its failure."""
        options["env"] = self.environment(options.get("env"))
        if isinstance(secrets := options.get("secrets"), Iterator):
            options["secrets"] = list(cast("Iterator[str]", secrets))
        try:
            yield self._player()
        except CommandError as exc:
            what, verb = changed_by(args)
            raise explained(
                exc, what, Redactor(options.get("secrets") or ()).mask, verb=verb, keep=options.get("keep")
            ) from None

    def _answer(self, command: Command) -> Answer:
        """Add a call to ``calls``, and return its answer."""
        call = _call(command)
        with self._lock:
            self.calls.append(call)
            question = self._question(call, command.secrets)
            answer = self._first(question)
            if answer is None:
                raise self._noted(no_answer(question, self._answers, self._advice, Redactor(command.secrets)))
            answer.used += 1
            take(answer)
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
        """Return the error for a command that never exits, and keep it for :meth:`assert_all_used`."""
        args = Redactor(command.secrets).mask_all(_call(command).args)
        return self._noted(f"the call {args!r} does not end. Pass timeout=, or give its answer a returncode.")

    def _noted(self, message: str) -> ExpectationError:
        error = ExpectationError(message)
        self._unexpected.append(error)
        return error

    def _change(self, installed: Mapping[str, str | None]) -> _Packages:
        """Update the installed packages; return those before and after."""
        with self._lock:
            before = dict(self._packages)
            now = {name: version for name, version in sorted({**before, **installed}.items()) if version is not None}
            self._packages.clear()  # in place: runners that differ in their defaults share it
            self._packages.update(now)
            return before, now


class Player:
    """An interceptor that delivers the answer to a command in place of a process.

    Args:
        answer: returns the answer to a command.
        change: updates the installed packages; returns those before and after.
        unending: returns the error for a command that never exits.
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

    def block(self) -> AbstractContextManager[Mapping[str, Any]]:
        """Return the block that the answered command runs in."""
        return nullcontext({"driver": self})

    def begin(
        self, command: Command, streams: Mapping[int, Stream], *, cancellable: bool
    ) -> tuple[Mapping[int, Stream], CannedOutput]:
        answer = self._answer(command)
        self._installed = answer.installed

        def unending() -> BaseException:
            return TimedOut() if command.timeout is not None else self._unending(command)

        delay = _CANCEL_TIMEOUT if cancellable and command.timeout is None else 0.0
        output = [
            (number, data.encode(command.encoding, "surrogateescape") if isinstance(data, str) else data)
            for number, data in answer.output
        ]
        return streams, CannedOutput(output, answer.returncode, unending, delay)

    def end(self, _returncode: int | None) -> None:
        self._packages = self._change(self._installed)

    def receipt(self, done: Any) -> Receipt:
        return Receipt(done, *self._packages)


def _call(command: Command) -> Call:
    cwd = command.popen.get("cwd")
    text = None if command.input is None else command.input.decode(command.encoding, "surrogateescape")
    args = [os.path.basename(command.argv[0]), *command.argv[1:]]
    return Call(args, None if cwd is None else os.fsdecode(cwd), text, command.popen["env"], command.timeout)
