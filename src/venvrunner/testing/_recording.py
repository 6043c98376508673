"""The runner that keeps what the commands of another one did."""

import contextlib
import os
import subprocess
import threading
from collections.abc import AsyncGenerator, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, Unpack, cast

from venvrunner._process import context
from venvrunner._process.capture import Capture
from venvrunner._process.checks import strings
from venvrunner._process.command import Command, RunOptions
from venvrunner._process.lines import Stream
from venvrunner._process.sinks import Redactor
from venvrunner._process.source import Source
from venvrunner._types import StrPath
from venvrunner._venv import layout
from venvrunner._venv.sharing_violations import insist
from venvrunner.exceptions import (
    CommandStoppedError,
    CommandTimeoutError,
    ExitCodeLostError,
    ExpectationError,
    OutputDecodeError,
    VenvError,
)
from venvrunner.installing import InstallingRunner, InstallOptions, Receipt, ReportOptions
from venvrunner.runner import Runner
from venvrunner.subprocess_util import CompletedCommand, OutputCallbackType
from venvrunner.testing._block import Block
from venvrunner.testing._file import Entry, Recording, dump, exception_of, lines_of, parts_of
from venvrunner.testing._pip_call import install_call, kept_options, uninstall_call
from venvrunner.testing._placeholders import usual_places

__tracebackhide__ = True

_Result = TypeVar("_Result", bound=subprocess.CompletedProcess[str])


class RecordingVenvRunner(Block, Runner):
    r"""Another runner, whose calls are kept in a file for a :class:`ReplayVenvRunner`.

    The file is written by :meth:`save`, and at the end of a ``with`` block that no exception leaves. It is JSON for people
    to read. Paths of this machine stand in it as ``{venv}``, ``{cwd}``, ``{tmp}`` and ``{home}``; credentials in URLs and all
    secrets are masked. Calls are told apart by their arguments, ``cwd`` and ``input``.

    Args:
        runner: runs the commands; whatever this class has not is asked of it.
        path: the file.
        secrets: strings to mask in the whole file, in addition to those that a call gives.
        paths: further placeholders: names, and paths that differ between one run and the next.

    Raises:
        ValueError: the name of a path is no identifier.

    >>> from venvrunner import VenvRunner
    >>> with VenvRunner.temporary() as venv, RecordingVenvRunner(venv, "recording.json") as recording:
    ...     recording.log_run(["python", "-c", "import sys; print(sys.prefix)"]).stdout == f"{venv.venv_dir}\n"
    True
    >>> from venvrunner.testing import ReplayVenvRunner
    >>> with ReplayVenvRunner("recording.json", venv_dir="/elsewhere") as venv:
    ...     venv.log_run(["python", "-c", "import sys; print(sys.prefix)"]).stdout
    '/elsewhere\n'
    """

    def __init__(
        self, runner: Runner, path: StrPath, *, secrets: Iterable[str] = (), paths: Mapping[str, StrPath] | None = None
    ) -> None:
        self._runner = runner
        self._path = os.path.abspath(path)
        self._secrets = list(secrets)
        self._places = usual_places(getattr(runner, "venv_dir", None), paths or {})
        self._installed = runner.installed() if isinstance(runner, InstallingRunner) else {}
        self._taps: list[_Capture] = []
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        """Return what the runner has and this class has not."""
        if name.startswith("_"):  # not yet there, when this object is being copied
            raise AttributeError(name)
        return getattr(self._runner, name)

    def save(self) -> None:
        """Write the file, with all calls until now; it is there as a whole or as it was before.

        Raises:
            OSError: it can't be written.
        """
        with self._lock:
            taps = [tap for tap in self._taps if tap.started or tap.raised is not None]
        secrets = [*self._secrets, *(secret for tap in taps for secret in tap.secrets)]
        calls = [Entry(t.args, t.cwd, t.input, lines_of(t.chunks), t.returncode, t.installed, t.raised) for t in taps]
        data = dump(Recording(self._places, self._installed, calls), Redactor(secrets))
        folder, name = os.path.split(self._path)
        os.makedirs(folder, exist_ok=True)
        # Not by tempfile: the file gets the rights of any other.
        new = os.path.join(folder, f".{name}.{os.urandom(8).hex()}")
        try:
            with open(new, "xb") as file:
                file.write(data)
            insist(os.replace, new, self._path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(new)
            raise

    @property
    def python_executable(self) -> str:
        """As the runner has it."""
        return self._runner.python_executable

    def resolve(self, args: Sequence[StrPath]) -> list[str]:
        """As the runner does; nothing is recorded."""
        return self._runner.resolve(args)

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """As the runner does."""
        return self._runner.environment(env)

    def log_run(
        self,
        args: Sequence[StrPath],
        logger: object = None,
        stdout_loglevel: str | int | OutputCallbackType | None = None,
        stderr_loglevel: str | int | OutputCallbackType | None = "debug",
        check: bool = True,  # noqa: FBT001, FBT002  the established signature
        *,
        errors: str = "strict",
        **options: Unpack[RunOptions],
    ) -> CompletedCommand:
        """As the runner does; the call is recorded, also if it fails or can't be started.

        Raises:
            InvalidCommandError: the command is no plain name. A replay stands for an environment, and would refuse it.
        """
        with self._recorded(layout.plain_command(args), cast("dict[str, Any]", options)) as tap:
            return tap.noted(
                self._runner.log_run(args, logger, stdout_loglevel, stderr_loglevel, check, errors=errors, **options)
            )

    async def async_log_run(
        self,
        args: Sequence[StrPath],
        logger: object = None,
        stdout_loglevel: str | int | OutputCallbackType | None = None,
        stderr_loglevel: str | int | OutputCallbackType | None = "debug",
        check: bool = True,  # noqa: FBT001, FBT002  the established signature
        *,
        errors: str = "strict",
        **options: Unpack[RunOptions],
    ) -> CompletedCommand:
        """Same as :meth:`log_run`, but a coroutine."""
        with self._recorded(layout.plain_command(args), cast("dict[str, Any]", options)) as tap:
            return tap.noted(
                await self._runner.async_log_run(
                    args, logger, stdout_loglevel, stderr_loglevel, check, errors=errors, **options
                )
            )

    def install_package(self, package_name: StrPath) -> subprocess.CompletedProcess[str]:
        """As the runner does; recorded as :meth:`install` is."""
        with self._recorded(install_call([package_name], {})[0], {}) as tap:
            return tap.noted(self._runner.install_package(cast("str", package_name)))

    def install(self, *requirements: StrPath, **options: Unpack[InstallOptions]) -> Receipt:
        """As the runner does; recorded as the call ``pip install``, with options as pip has them and the requirements."""
        kept = kept_options(options)
        with self._recorded(install_call(requirements, kept)[0], cast("dict[str, Any]", kept)) as tap:
            return tap.noted(self._filled().install(*requirements, **kept))

    async def async_install(self, *requirements: StrPath, **options: Unpack[InstallOptions]) -> Receipt:
        """Same as :meth:`install`, but a coroutine."""
        kept = kept_options(options)
        with self._recorded(install_call(requirements, kept)[0], cast("dict[str, Any]", kept)) as tap:
            return tap.noted(await self._filled().async_install(*requirements, **kept))

    def uninstall(self, *names: str, **options: Unpack[ReportOptions]) -> Receipt:
        """As the runner does; recorded as the call ``pip uninstall --yes``, and the names."""
        with self._recorded(uninstall_call(names, options), cast("dict[str, Any]", options)) as tap:
            return tap.noted(self._filled().uninstall(*names, **options))

    def lines(
        self,
        args: Sequence[StrPath],
        *,
        logger: object = None,
        stdout_loglevel: str | int | OutputCallbackType | None = None,
        stderr_loglevel: str | int | OutputCallbackType | None = "debug",
        check: bool = True,
        errors: str = "strict",
        **options: Unpack[RunOptions],
    ) -> Generator[str, None, CompletedCommand]:
        """As the runner does; the call is recorded when the iterator ends."""
        checked = layout.plain_command(args)
        levels: Any = {"stdout_loglevel": stdout_loglevel, "stderr_loglevel": stderr_loglevel}
        found = self._runner.lines(checked, logger=logger, check=check, errors=errors, **levels, **options)

        def iterate() -> Generator[str, None, CompletedCommand]:
            with self._recorded(checked, cast("dict[str, Any]", options)) as tap:
                return tap.noted((yield from found))

        return iterate()

    def async_lines(
        self,
        args: Sequence[StrPath],
        *,
        logger: object = None,
        stdout_loglevel: str | int | OutputCallbackType | None = None,
        stderr_loglevel: str | int | OutputCallbackType | None = "debug",
        check: bool = True,
        errors: str = "strict",
        **options: Unpack[RunOptions],
    ) -> AsyncGenerator[str, None]:
        """Same as :meth:`lines`, but an async iterator."""
        checked = layout.plain_command(args)
        levels: Any = {"stdout_loglevel": stdout_loglevel, "stderr_loglevel": stderr_loglevel}
        found = self._runner.async_lines(checked, logger=logger, check=check, errors=errors, **levels, **options)

        async def iterate() -> AsyncGenerator[str, None]:
            with self._recorded(checked, cast("dict[str, Any]", options)):
                async with contextlib.aclosing(found):
                    async for line in found:
                        yield line

        return iterate()

    def stop(self) -> None:
        """As the runner does."""
        self._runner.stop()

    def _end(self) -> None:
        self.save()

    def _filled(self) -> InstallingRunner:
        if not isinstance(self._runner, InstallingRunner):
            msg = f"{type(self._runner).__name__} can't install! Record a VenvRunner."
            raise NotImplementedError(msg)
        return self._runner

    @contextmanager
    def _recorded(self, args: list[str], options: dict[str, Any]) -> "Generator[_Capture]":
        if "secrets" in options:
            options["secrets"] = strings("secrets", options["secrets"])  # they may be an iterator
        tap = _Capture(args, options)
        with self._lock:
            self._taps.append(tap)
        try:
            with context.surrounded(driver=tap):
                yield tap
        except (subprocess.CalledProcessError, CommandTimeoutError, CommandStoppedError, ExitCodeLostError) as exc:
            tap.ended(exc)
            raise
        except ExpectationError:
            raise  # the runner is a double itself, which had no answer
        except OutputDecodeError:
            tap.started = True  # a replay judges the output as well
            raise
        except Exception as exc:
            tap.refused(exc)
            raise
        except BaseException:
            tap.started = True  # a cancel or Ctrl-C, maybe while an installation waited for another one: it did not end
            raise


class _Capture(Capture):
    """Lets the commands of one call run as ever, and keeps what the last of them did.

    Args:
        args: the call.
        options: its keywords: if there is no such command, or another double runs it, nothing else tells of them.
    """

    def __init__(self, args: list[str], options: Mapping[str, Any]) -> None:
        super().__init__()
        self.args = args
        self.started = False
        self.cwd = None if options.get("cwd") is None else os.fsdecode(options["cwd"])
        self.input: str | None = options.get("input")
        self.secrets: list[str] = list(options.get("secrets", ()))
        self.installed: dict[str, str | None] = {}
        self.raised: Exception | None = None

    def begin(
        self, command: Command, streams: Mapping[int, Stream], *, cancellable: bool
    ) -> tuple[Mapping[int, Stream], Source | None]:
        cwd = command.popen.get("cwd")
        self.cwd = None if cwd is None else os.fsdecode(cwd)
        self.input = None if command.input is None else command.input.decode(command.encoding, "surrogateescape")
        self.secrets += command.secrets
        self.started = True
        return super().begin(command, streams, cancellable=cancellable)

    def ended(self, done: Any) -> None:
        """Keep what a command did that was not seen: the runner is a double itself, or runs its commands elsewhere.

        Args:
            done: its result, or the exception with which it ended.
        """
        if not self.started:
            self.started = True
            self.returncode = getattr(done, "returncode", None)
            texts = {1: done.stdout, 2: done.stderr}
            # What was no UTF-8 is no text any more, but with errors="surrogateescape".
            self.chunks = [(number, text.encode(errors="surrogateescape")) for number, text in texts.items() if text]

    def refused(self, error: Exception) -> None:
        """Keep what was raised because nothing could be started, unless a callable raised it or a replay does by itself."""
        if isinstance(error, VenvError | OSError):
            is_kept = not self.chunks or self.returncode is not None
        else:  # of a wrong argument, unless the system had to be asked, such as for the number of a user
            is_kept = self.started and not self.chunks and self.returncode is None
        if is_kept and (parts := parts_of(error)) is not None:
            self.raised = exception_of(*parts)  # another one: this one's traceback holds what it came through

    def noted(self, done: _Result) -> _Result:
        """Keep what an installation has changed."""
        if not isinstance(cast("object", done), subprocess.CompletedProcess):
            msg = f"the call {self.args!r} returned a {type(done).__name__}, which can't be recorded! Record a real runner."
            raise TypeError(msg)
        self.ended(done)
        if isinstance(done, Receipt):
            new = {name: version for name, (_old, version) in done.changed.items()}
            self.installed = {**done.added, **new, **dict.fromkeys(done.removed)}
        return done
