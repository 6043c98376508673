"""The exceptions of venvrunner: all derive from :class:`VenvError`, and most also from a standard exception.

::

    VenvError
    ├── CommandError             is a subprocess.CalledProcessError
    │   ├── CallError
    │   └── InstallationError
    │       ├── BuildFailedError
    │       ├── HashError
    │       ├── IndexUnreachableError
    │       ├── NoFittingVersionError     is a LookupError
    │       ├── NoSuchPackageError        is a LookupError
    │       └── NotInstalledError
    ├── CommandStoppedError      is a RuntimeError
    ├── CommandTimeoutError      is a subprocess.TimeoutExpired
    ├── ContainmentError         is a RuntimeError
    ├── ExitCodeLostError        is a RuntimeError
    ├── ExpectationError         is an AssertionError
    ├── InstallerNotFoundError   is a RuntimeError
    ├── InvalidCommandError      is a ValueError
    ├── InvalidPathError         is a ValueError
    ├── InvalidRequirementError  is a ValueError
    ├── LockFileError            is a ValueError
    ├── NotAVenvError            is a FileExistsError
    ├── OutputDecodeError        is a UnicodeDecodeError
    ├── RecordingError           is a ValueError
    ├── VenvExistsError          is a FileExistsError
    ├── VenvInUseError           is a RuntimeError
    └── CreationError            is a RuntimeError
        └── InterpreterNotFoundError  is a LookupError

Code that catches the standard exception keeps working. Three errors are plain, as in :mod:`subprocess`: an argument of the
wrong type is a ``TypeError``, an invalid value of a process parameter is a ``ValueError``, and a command that the module
functions cannot find is a ``FileNotFoundError``.
"""

import signal
import subprocess
from collections.abc import Sequence
from typing import Any


class VenvError(Exception):
    """The base class of all exceptions of this package.

    >>> issubclass(InvalidPathError, VenvError) and issubclass(InvalidPathError, ValueError)
    True
    """


class CommandError(VenvError, subprocess.CalledProcessError):
    """A command exited with a code other than zero.

    ``cmd``, ``stdout`` and ``stderr`` are unmasked. ``str()``, ``repr()`` and the notes mask credentials.

    Args:
        returncode: the exit code; ``-n`` if signal n killed the command (POSIX).
        cmd: the command line that was run.
        output: its standard output.
        stderr: its standard error.
        shown: the command line with credentials masked; default: *cmd*.

    >>> error = CommandError(3, ["git", "push", "https://me:pw@host"], shown=["git", "push", "https://****@host"])
    >>> print(error)
    Command '['git', 'push', 'https://****@host']' returned non-zero exit status 3.
    >>> error.cmd[2]
    'https://me:pw@host'
    """

    def __init__(
        self,
        returncode: int,
        cmd: Sequence[str],
        output: str | None = None,
        stderr: str | None = None,
        *,
        shown: Sequence[str] | None = None,
    ) -> None:
        super().__init__(returncode, cmd, output, stderr)
        self._shown = cmd if shown is None else shown

    @property
    def shown(self) -> Sequence[str]:
        """The command line with credentials masked."""
        return self._shown

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle all attributes; by default, an exception pickles only its positional arguments."""
        return type(self), (self.returncode, self.cmd, self.output, self.stderr), self.__dict__

    def __str__(self) -> str:
        """Return the message of the standard exception, in the words of Python up to 3.13, with the masked command line."""
        return f"Command '{self._shown}' {_ended(self.returncode)}"

    def __repr__(self) -> str:
        """Show the exit code and the masked command line, never the output."""
        return f"{type(self).__name__}({self.returncode}, {self._shown!r})"


def _ended(returncode: int) -> str:
    if returncode >= 0:
        return f"returned non-zero exit status {returncode}."
    try:
        return f"died with {signal.Signals(-returncode)!r}."
    except ValueError:
        return f"died with unknown signal {-returncode}."


class CallError(CommandError):
    """A function that :meth:`.Runner.call` ran raised an exception, or returned no value that could be sent back.

    A note has its traceback in the environment, or else the last lines of its standard error. With ``pickle=True``, the
    exception itself is the ``__cause__``, if it could be sent.

    Args:
        headline: what happened, with credentials masked; default: the message names the command line instead.
        is_explained: whether the headline says all, so that the message leaves out how the process ended; default true.
        function: the function, as ``"module:function"``; default "".
        remote_type: the class of the exception that it raised; default ``None``: it raised none.
        remote_message: the text of that exception; default "".
        remote_traceback: its traceback; default "". All other arguments are those of :class:`CommandError`.

    Attributes:
        headline: what happened, with credentials masked.
        is_explained: whether the headline says all; false if the process ended without saying why.
        function: the function, as ``"module:function"``.
        remote_type: the class of the exception that the function raised, such as ``"ValueError"`` or ``"package.errors.Bad"``;
            ``None``: it raised none.
        remote_message: the text of that exception, unmasked.
        remote_traceback: its traceback, unmasked.

    >>> from venvrunner import FakeVenvRunner
    >>> try:
    ...     FakeVenvRunner().call("json:loads", "{")
    ... except CallError as error:
    ...     print(error.remote_type)
    json.decoder.JSONDecodeError
    """

    def __init__(
        self,
        *args: Any,
        headline: str | None = None,
        is_explained: bool = True,
        function: str = "",
        remote_type: str | None = None,
        remote_message: str = "",
        remote_traceback: str = "",
        **keywords: Any,
    ) -> None:
        super().__init__(*args, **keywords)
        self.headline = headline
        self.is_explained = is_explained
        self.function = function
        self.remote_type = remote_type
        self.remote_message = remote_message
        self.remote_traceback = remote_traceback

    def __str__(self) -> str:
        """Name the function and what happened, then how its process ended, if that is part of it."""
        if self.headline is None:
            return super().__str__()
        headline = self.headline.rstrip(".")
        ended = _ended(self.returncode) if self.returncode else "returned exit status 0."
        return f"{headline}." if self.is_explained else f"{headline}. Its process {ended}"


class InstallationError(CommandError):
    """An installer failed. The notes have the reason, the changes that it made before it failed, and the remedy, in this order.

    Args:
        headline: what failed and why, with credentials masked; default: the message names the command line instead. All other
            arguments are those of :class:`CommandError`.

    >>> print(InstallationError(1, ["pip", "install", "pocket"], headline="pocket could not be installed: no space left"))
    pocket could not be installed: no space left. The installer returned non-zero exit status 1.
    """

    def __init__(self, *args: Any, headline: str | None = None, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._headline = headline

    def __str__(self) -> str:
        """Name the package and the reason, then how the installer exited."""
        if self._headline is None:
            return super().__str__()
        return f"{self._headline.rstrip('.')}. The installer {_ended(self.returncode)}"


class BuildFailedError(InstallationError):
    """A package could not be built: its build failed, or a requirement of the build is missing.

    The first note has the relevant part of the build's output. A missing build requirement is this error, not a
    :class:`NoSuchPackageError`.
    """


class HashError(InstallationError):
    """A downloaded file does not match its required hash, or the hash is missing."""


class IndexUnreachableError(InstallationError):
    """A package index, or a page of links, could not be reached, so it is unknown whether it has the package.

    pip reports this only after a second attempt. With ``PIP_RETRIES=0`` it reports that the package does not exist, unless
    ``PIP_VERBOSE=2`` is set too or the certificate of the index is the reason.
    """


class NoFittingVersionError(InstallationError, LookupError):
    """No version of a package satisfies all requirements, or none supports this Python."""


class NoSuchPackageError(InstallationError, LookupError):
    """No package of that name exists on the indexes and in the directories that the installer searched."""


class NotInstalledError(InstallationError):
    """An installer succeeded, but a requested package is not in the environment.

    Args:
        packages: the normalized names of the packages that are not installed. All other arguments are those of
            :class:`InstallationError`.

    Attributes:
        packages: the normalized names of the packages that are not installed.

    >>> print(NotInstalledError(0, ["pip", "install", "pocket"], packages=["pocket"]))
    The installer succeeded, but 'pocket' is not installed in the environment. Command: '['pip', 'install', 'pocket']'
    """

    def __init__(self, *args: Any, packages: Sequence[str] = (), **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.packages: list[str] = list(packages)

    def __str__(self) -> str:
        """Name the packages and the masked command line."""
        names, verb = ", ".join(map(repr, self.packages)), "is" if len(self.packages) == 1 else "are"
        return f"The installer succeeded, but {names} {verb} not installed in the environment. Command: '{self._shown}'"


class CommandTimeoutError(VenvError, subprocess.TimeoutExpired):
    """A command was stopped because it reached its ``timeout=``, or printed no line for its ``silence_timeout=``.

    ``cmd``, ``stdout`` and ``stderr`` are unmasked; the output is text, up to the stop. ``str()``, ``repr()`` and the notes
    mask credentials.

    Args:
        cmd: the command line that was run.
        timeout: the limit that was reached, in seconds.
        output: its standard output so far.
        stderr: its standard error so far.
        shown: the command line with credentials masked; default: *cmd*.
        silence: whether *timeout* is its ``silence_timeout=``; default false.

    Attributes:
        silence: whether ``timeout`` is its ``silence_timeout=``.

    >>> print(CommandTimeoutError(["sleep", "9"], 0.5))
    Command '['sleep', '9']' timed out after 0.5 seconds
    >>> print(CommandTimeoutError(["sleep", "9"], 0.5, silence=True))
    Command '['sleep', '9']' printed no line for 0.5 seconds
    """

    output: str | None
    stderr: str | None  # type: ignore[assignment]  # typeshed has bytes here

    def __init__(
        self,
        cmd: Sequence[str],
        timeout: float,
        output: str | None = None,
        stderr: str | None = None,
        *,
        shown: Sequence[str] | None = None,
        silence: bool = False,
    ) -> None:
        super().__init__(cmd, timeout, output, stderr)
        self._shown = cmd if shown is None else shown
        self.silence = silence

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle all attributes; by default, an exception pickles only its positional arguments."""
        return type(self), (self.cmd, self.timeout, self.output, self.stderr), self.__dict__

    def __str__(self) -> str:
        """Return the message of the standard exception, with the masked command line."""
        if self.silence:
            return f"Command '{self._shown}' printed no line for {self.timeout} seconds"
        return str(subprocess.TimeoutExpired(self._shown, self.timeout))

    def __repr__(self) -> str:
        """Show the masked command line and the limit, never the output."""
        return f"{type(self).__name__}({self._shown!r}, {self.timeout!r})"


class _EndedError(VenvError, RuntimeError):
    """The base class for ends of a command that no standard exception describes.

    Args:
        cmd: the command line that was run.
        reason: why it ended.
        stdout: its standard output so far.
        stderr: its standard error so far.
        shown: the command line with credentials masked; default: *cmd*.
    """

    cmd: Sequence[str]
    reason: str
    stdout: str
    output: str
    stderr: str

    def __init__(
        self, cmd: Sequence[str], reason: str, stdout: str = "", stderr: str = "", *, shown: Sequence[str] | None = None
    ) -> None:
        super().__init__(cmd, reason, stdout, stderr)
        self.cmd = cmd
        self.reason = reason
        self.stdout = stdout
        self.output = stdout
        self.stderr = stderr
        self._shown = cmd if shown is None else shown

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle all attributes; by default, an exception pickles only its positional arguments."""
        return type(self), (self.cmd, self.reason, self.stdout, self.stderr), self.__dict__

    def __str__(self) -> str:
        """Name the masked command line and the reason."""
        return f"Command '{self._shown}' {self.reason}"

    def __repr__(self) -> str:
        """Show the masked command line and the reason, never the output."""
        return f"{type(self).__name__}({self._shown!r}, {self.reason!r})"


class CommandStoppedError(_EndedError):
    """A command was stopped by :meth:`.Runner.stop`, by Ctrl-C, or because the interpreter exits.

    ``cmd``, ``stdout`` and ``stderr`` are unmasked; the output goes up to the stop. ``str()``, ``repr()`` and the notes mask
    credentials.

    Args:
        cmd: the command line that was run.
        reason: why it was stopped.
        stdout: its standard output so far.
        stderr: its standard error so far.
        shown: the command line with credentials masked; default: *cmd*.

    >>> print(CommandStoppedError(["sleep", "9"], "stop() was called"))
    Command '['sleep', '9']' was stopped: stop() was called
    """

    def __str__(self) -> str:
        """Name the masked command line and the reason."""
        return f"Command '{self._shown}' was stopped: {self.reason}"


class ExitCodeLostError(_EndedError):
    """A command has ended, but its exit code is unknown, so it may have failed.

    The system returns an exit code once. It drops the code if the process ignores SIGCHLD. Another part of the process can
    also have taken it, such as a handler of SIGCHLD that waits for all children.

    Args:
        cmd: the command line that was run.
        reason: why the exit code is unknown.
        stdout: its standard output.
        stderr: its standard error.
        shown: the command line with credentials masked; default: *cmd*.

    >>> print(ExitCodeLostError(["true"], "ended without an exit code"))
    Command '['true']' ended without an exit code
    """


class ContainmentError(VenvError, RuntimeError):
    """``contain=True`` is not possible on this system, or a process could not be killed."""


class OutputDecodeError(VenvError, UnicodeDecodeError):
    r"""The output of a command has bytes that cannot be decoded, and ``errors`` is ``"strict"``.

    ``object`` is the whole output, unmasked. ``repr()`` does not show it.

    >>> OutputDecodeError("utf-8", b"secret \xff", 7, 8, "invalid start byte")
    OutputDecodeError('utf-8', <8 bytes>, 7, 8, 'invalid start byte')
    """

    def __repr__(self) -> str:
        """Show where the bad byte is, never the output."""
        what = f"{self.encoding!r}, <{len(self.object)} bytes>, {self.start}, {self.end}, {self.reason!r}"
        return f"{type(self).__name__}({what})"


class ExpectationError(VenvError, AssertionError):
    """A test double got a call that it has no answer for, or one of its answers was not used."""


class InstallerNotFoundError(VenvError, RuntimeError):
    """The chosen installer is not installed, or it is too old for a keyword."""


class InvalidCommandError(VenvError, ValueError):
    """The first argument is not the name of a command of the environment."""


class InvalidPathError(VenvError, ValueError):
    """A name or a path is not usable for a virtual environment."""


class InvalidRequirementError(VenvError, ValueError):
    """A string is not one requirement, one existing path or one URL."""


class LockFileError(VenvError, ValueError):
    """A lock file is invalid, or does not match the environment. Nothing was installed."""


class NotAVenvError(VenvError, FileExistsError):
    """The path already exists and is not a virtual environment. It was left untouched."""


class CreationError(VenvError, RuntimeError):
    """A virtual environment could not be created, changed or deleted. A failed creation leaves nothing behind."""


class InterpreterNotFoundError(CreationError, LookupError):
    """No interpreter matches. The message lists those that were found."""


class RecordingError(VenvError, ValueError):
    """A recording of commands cannot be read or written."""


class VenvExistsError(VenvError, FileExistsError):
    """The virtual environment already exists, and ``exist="error"`` was given."""


class VenvInUseError(VenvError, RuntimeError):
    """A virtual environment cannot be changed now: a runner or a command uses it, or its forks need it."""
