"""The recording double: run the commands of another runner, and write their outcomes to a file."""

import contextlib
import os
import subprocess
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self, TypeVar, Unpack, cast

from venvrunner._call.request import Failure, Reply, Request
from venvrunner._process import context
from venvrunner._process.capture import Capture
from venvrunner._process.checks import kept_secrets, refuse_text
from venvrunner._process.command import Command, RunOptions
from venvrunner._process.failures import masked
from venvrunner._process.lines import Stream
from venvrunner._process.source import Source
from venvrunner._redaction import Redactor
from venvrunner._types import StrPath
from venvrunner._venv import layout
from venvrunner._venv.sharing_violations import insist
from venvrunner.exceptions import (
    CallError,
    CommandStoppedError,
    CommandTimeoutError,
    ExitCodeLostError,
    ExpectationError,
    OutputDecodeError,
    VenvError,
)
from venvrunner.installing import InstallingRunner, InstallOptions, LockOptions, Receipt, ReportOptions
from venvrunner.runner import Runner
from venvrunner.subprocess_util import CompletedCommand, LogRunOptions, OutputCallbackType
from venvrunner.testing._block import Block
from venvrunner.testing._file import Entry, Recording, dump, exception_of, lines_of, parts_of
from venvrunner.testing._pip_call import install_call, kept_options, lock_call, uninstall_call
from venvrunner.testing._placeholders import usual_placeholders

__tracebackhide__ = True

_Result = TypeVar("_Result", bound=subprocess.CompletedProcess[str])


class RecordingVenvRunner(Block, Runner):
    r"""Record the calls of another runner in a file for a :class:`ReplayVenvRunner`.

    :meth:`save` writes the file, and so does the end of a ``with`` block that no exception leaves. The file is readable JSON.
    In it, paths of this machine appear as ``{venv}``, ``{cwd}``, ``{tmp}`` and ``{home}``, and credentials in URLs and all
    secrets are masked. A replay distinguishes calls by their arguments, ``cwd`` and ``input``.

    Args:
        runner: the runner that runs the commands. This object has all of its other attributes too.
        path: the file.
        secrets: strings to mask in the whole file, in addition to the ``secrets=`` of calls.
        paths: further placeholders: paths by name, for paths that differ from run to run.

    Raises:
        ValueError: the name of a path is not an identifier, or is a built-in name.

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
        self._placeholders = usual_placeholders(getattr(runner, "venv_dir", None), paths or {})
        self._installed = runner.installed() if isinstance(runner, InstallingRunner) else {}
        self._captures: list[_Capture] = []
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the runner that this class lacks."""
        if name.startswith("_"):  # not set yet while this object is being copied
            raise AttributeError(name)
        return getattr(self._runner, name)

    def save(self) -> None:
        """Write the file with all calls so far, atomically: a failure leaves the previous file.

        Raises:
            OSError: the file cannot be written.
        """
        self._write(self._content())

    def _content(self) -> bytes:
        """Return the content of the file with all calls so far."""
        with self._lock:
            captures = [capture for capture in self._captures if capture.started or capture.raised is not None]
        secrets = [*self._secrets, *(secret for capture in captures for secret in capture.secrets)]
        calls = [
            Entry(c.args, c.cwd, c.input, lines_of(c.chunks), c.returncode, c.installed, c.raised, c.reply) for c in captures
        ]
        return dump(Recording(self._placeholders, self._installed, calls), Redactor(secrets))

    def _write(self, data: bytes) -> None:
        directory, name = os.path.split(self._path)
        os.makedirs(directory, exist_ok=True)
        # Not by tempfile, which would restrict the permissions of the file.
        new = os.path.join(directory, f".{name}.{os.urandom(8).hex()}")
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
        """The absolute path of the interpreter of the recorded runner."""
        return self._runner.python_executable

    def resolve(self, args: Sequence[StrPath]) -> list[str]:
        """Return the command line that the recorded runner runs for *args*; nothing is recorded."""
        return self._runner.resolve(args)

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment variables that a command of the recorded runner gets."""
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
        """Same as :meth:`.Runner.log_run` of the recorded runner; the call is recorded, even if it fails or cannot start.

        Raises:
            InvalidCommandError: the command is not a plain name, so that a replay would refuse it.
        """
        with self._recorded(_plain(args, options), cast("dict[str, Any]", options)) as capture:
            return capture.noted(
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
        with self._recorded(_plain(args, options), cast("dict[str, Any]", options)) as capture:
            return capture.noted(
                await self._runner.async_log_run(
                    args, logger, stdout_loglevel, stderr_loglevel, check, errors=errors, **options
                )
            )

    def install_package(self, package_name: StrPath) -> subprocess.CompletedProcess[str]:
        """Same as :meth:`install` with one requirement."""
        with self._recorded(install_call([package_name], {})[0], {}) as capture:
            return capture.noted(self._runner.install_package(cast("str", package_name)))

    def install(self, *requirements: StrPath, **options: Unpack[InstallOptions]) -> Receipt:
        """Same as :meth:`.VenvRunner.install` of the recorded runner; recorded as ``pip install`` with pip's options."""
        kept = kept_options(options)
        with self._recorded(install_call(requirements, kept)[0], cast("dict[str, Any]", kept)) as capture:
            return capture.noted(self._installing_runner().install(*requirements, **kept))

    async def async_install(self, *requirements: StrPath, **options: Unpack[InstallOptions]) -> Receipt:
        """Same as :meth:`install`, but a coroutine."""
        kept = kept_options(options)
        with self._recorded(install_call(requirements, kept)[0], cast("dict[str, Any]", kept)) as capture:
            return capture.noted(await self._installing_runner().async_install(*requirements, **kept))

    def uninstall(self, *names: str, **options: Unpack[ReportOptions]) -> Receipt:
        """Same as :meth:`.VenvRunner.uninstall` of the recorded runner; recorded as ``pip uninstall --yes`` with the names."""
        with self._recorded(uninstall_call(names, options), cast("dict[str, Any]", options)) as capture:
            return capture.noted(self._installing_runner().uninstall(*names, **options))

    def lock(self, path: StrPath, *requirements: StrPath, **options: Unpack[LockOptions]) -> CompletedCommand:
        """Same as :meth:`.VenvRunner.lock` of the recorded runner; recorded as ``pip lock``, without the file."""
        kept = kept_options(options)
        with self._recorded(lock_call(path, requirements, kept)[0], cast("dict[str, Any]", kept)) as capture:
            return capture.noted(self._installing_runner().lock(path, *requirements, **kept))

    async def async_lock(self, path: StrPath, *requirements: StrPath, **options: Unpack[LockOptions]) -> CompletedCommand:
        """Same as :meth:`lock`, but a coroutine."""
        kept = kept_options(options)
        with self._recorded(lock_call(path, requirements, kept)[0], cast("dict[str, Any]", kept)) as capture:
            return capture.noted(await self._installing_runner().async_lock(path, *requirements, **kept))

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
        """Same as :meth:`.Runner.lines` of the recorded runner; the call is recorded when the iterator ends."""
        checked = _plain(args, options)
        levels: Any = {"stdout_loglevel": stdout_loglevel, "stderr_loglevel": stderr_loglevel}
        found = self._runner.lines(checked, logger=logger, check=check, errors=errors, **levels, **options)

        def iterate() -> Generator[str, None, CompletedCommand]:
            with self._recorded(checked, cast("dict[str, Any]", options)) as capture:
                return capture.noted((yield from found))

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
        checked = _plain(args, options)
        levels: Any = {"stdout_loglevel": stdout_loglevel, "stderr_loglevel": stderr_loglevel}
        found = self._runner.async_lines(checked, logger=logger, check=check, errors=errors, **levels, **options)

        async def iterate() -> AsyncGenerator[str, None]:
            with self._recorded(checked, cast("dict[str, Any]", options)):
                async with contextlib.aclosing(found):
                    async for line in found:
                        yield line

        return iterate()

    def with_options(self, **options: Unpack[LogRunOptions]) -> Self:
        """Same as :meth:`.Runner.with_options`; both runners record into the same file."""
        recording = super().with_options(**options)
        recording._runner = self._runner.with_options(**options)  # noqa: SLF001  an object of this class
        return recording

    def call(
        self,
        function: str | Callable[..., Any],
        /,
        *args: Any,
        pickle: bool = False,
        kwargs: Mapping[str, Any] | None = None,
        **keywords: Any,
    ) -> Any:
        """Same as :meth:`.Runner.call` of the recorded runner; the value or the failure is recorded too.

        Raises:
            ValueError: *pickle* is true: a recording has plain data only.
        """
        request = _request(function, args, kwargs, keywords, pickle=pickle)
        with self._recorded(request.words(), request.options) as capture, capture.replied():
            return capture.returned(self._runner.call(function, *args, kwargs=kwargs, **{**keywords, **request.options}))

    async def async_call(
        self,
        function: str | Callable[..., Any],
        /,
        *args: Any,
        pickle: bool = False,
        kwargs: Mapping[str, Any] | None = None,
        **keywords: Any,
    ) -> Any:
        """Same as :meth:`call`, but a coroutine."""
        request = _request(function, args, kwargs, keywords, pickle=pickle)
        with self._recorded(request.words(), request.options) as capture, capture.replied():
            return capture.returned(
                await self._runner.async_call(function, *args, kwargs=kwargs, **{**keywords, **request.options})
            )

    def stop(self) -> None:
        """Same as :meth:`.Runner.stop` of the recorded runner."""
        self._runner.stop()

    def _end(self) -> None:
        self.save()

    def _installing_runner(self) -> InstallingRunner:
        if not isinstance(self._runner, InstallingRunner):
            msg = f"{type(self._runner).__name__} cannot install packages. Record a VenvRunner."
            raise NotImplementedError(msg)
        return self._runner

    @contextmanager
    def _recorded(self, args: list[str], options: dict[str, Any]) -> "Generator[_Capture]":
        kept_secrets(options)
        capture = _Capture(args, options)
        with self._lock:
            self._captures.append(capture)
        try:
            with context.surrounded(driver=capture):
                yield capture
        except (subprocess.CalledProcessError, CommandTimeoutError, CommandStoppedError, ExitCodeLostError) as exc:
            capture.ended(exc)
            raise
        except ExpectationError:
            raise  # the recorded runner is a double that had no answer
        except OutputDecodeError:
            capture.started = True  # a replay decodes the output again
            raise
        except Exception as exc:
            capture.refused(exc)
            raise
        except BaseException:
            capture.started = True  # a cancellation or Ctrl-C, perhaps while an installation waited for another: no exit code
            raise


def _plain(args: Sequence[StrPath], options: RunOptions) -> list[str]:
    """Return a command line that a replay accepts; a message about another one masks the secrets of the call."""
    secrets = kept_secrets(options)
    try:
        refuse_text(args, secrets=secrets)
        return layout.plain_command(args)
    except (TypeError, ValueError) as exc:
        failure = masked(exc, secrets)
    raise failure


def _request(function: Any, args: Any, kwargs: Any, keywords: Any, *, pickle: bool) -> Request:
    if pickle:
        msg = "a call with pickle=True cannot be recorded: a recording has plain data only. Leave out pickle=True."
        raise ValueError(msg)
    return Request(function, args, kwargs, keywords, pickle=False)


class _Capture(Capture):
    """Capture the commands of one call, and keep the outcome of the last one.

    Args:
        args: the call.
        options: its keywords, which count if no process starts or another double runs the command.
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
        self.reply: Reply | None = None

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
        """Keep the outcome of a command that was not captured: the recorded runner is a double, or runs commands elsewhere.

        Args:
            done: the result, or the exception of the command.
        """
        if not self.started:
            self.started = True
            self.returncode = getattr(done, "returncode", None)
            texts = {1: done.stdout, 2: done.stderr}
            # Bytes that are not UTF-8 come back only with errors="surrogateescape".
            self.chunks = [(number, text.encode(errors="surrogateescape")) for number, text in texts.items() if text]

    @contextmanager
    def replied(self) -> Generator[None]:
        """Keep the failure of a function, unless it is only that its process ended."""
        try:
            yield
        except CallError as exc:
            if exc.headline is not None and exc.is_explained:
                what = exc.headline, exc.remote_type, exc.remote_message, exc.remote_traceback
                self.reply = Reply(failure=Failure(*what))
            raise

    def returned(self, value: Any) -> Any:
        """Keep the value of a function, and return it."""
        self.reply = Reply(value)
        if not self.started:
            self.started, self.returncode = True, 0
        return value

    def refused(self, error: Exception) -> None:
        """Keep the exception of a failed start, unless a callable raised it, or a replay raises it anyway."""
        if isinstance(error, VenvError | OSError):
            is_kept = not self.chunks or self.returncode is not None
        else:  # an invalid argument is not recorded, unless only the system could detect it, as with a user ID
            is_kept = self.started and not self.chunks and self.returncode is None
        if is_kept and (parts := parts_of(error)) is not None:
            self.raised = exception_of(*parts)  # a copy: the traceback of the original refers to frames

    def noted(self, done: _Result) -> _Result:
        """Keep the changes of an installation, and return its result."""
        if not isinstance(cast("object", done), subprocess.CompletedProcess):
            msg = f"the call {self.args!r} returned a {type(done).__name__}, which cannot be recorded. Record a real runner."
            raise TypeError(msg)
        self.ended(done)
        if isinstance(done, Receipt):
            new = {name: version for name, (_old, version) in done.changed.items()}
            self.installed = {**done.added, **new, **dict.fromkeys(done.removed)}
        return done
