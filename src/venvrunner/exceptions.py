"""Every exception that venvrunner raises on its own account.

::

    VenvError
    ├── CommandError             is a subprocess.CalledProcessError
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

Code that catches the standard exception keeps working. An argument of the wrong type is a plain ``TypeError``, a wrong
value of a process parameter a plain ``ValueError``, and a missing command of the module functions a plain
``FileNotFoundError``: in these, venvrunner is not different from :mod:`subprocess`.
"""

import signal
import subprocess
from collections.abc import Sequence
from typing import Any


class VenvError(Exception):
    """The base of all exceptions of this package.

    >>> issubclass(InvalidPathError, VenvError) and issubclass(InvalidPathError, ValueError)
    True
    """


class CommandError(VenvError, subprocess.CalledProcessError):
    """A command ended with an exit status other than zero.

    ``cmd``, ``stdout`` and ``stderr`` are true; ``str()``, ``repr()`` and the notes have their credentials masked.

    Args:
        returncode: the exit status; ``-n`` if signal n ended the command (POSIX).
        cmd: the command line that was run.
        output: all that was read from its standard output.
        stderr: all that was read from its standard error.
        shown: the command line as people may see it; default: *cmd*.

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
        """The command line as people may see it."""
        return self._shown

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle; exceptions pickle only the positional arguments by themselves."""
        return type(self), (self.returncode, self.cmd, self.output, self.stderr), self.__dict__

    def __str__(self) -> str:
        """Say it as the standard exception does, with the masked command line; in the words that it had until Python 3.14."""
        return f"Command '{self._shown}' {_ended(self.returncode)}"

    def __repr__(self) -> str:
        """Show the status and the masked command line, never the output."""
        return f"{type(self).__name__}({self.returncode}, {self._shown!r})"


def _ended(returncode: int) -> str:
    if returncode >= 0:
        return f"returned non-zero exit status {returncode}."
    try:
        return f"died with {signal.Signals(-returncode)!r}."
    except ValueError:
        return f"died with unknown signal {-returncode}."


class InstallationError(CommandError):
    """An installer failed; the notes have its reason, what has changed nevertheless, and last what to do.

    Args:
        headline: what failed and why, masked; default: the message names the command line instead. The others are those of
            :class:`CommandError`.

    >>> print(InstallationError(1, ["pip", "install", "pocket"], headline="pocket could not be installed: no space left"))
    pocket could not be installed: no space left. The installer returned non-zero exit status 1.
    """

    def __init__(self, *args: Any, headline: str | None = None, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._headline = headline

    def __str__(self) -> str:
        """Name the package and the reason, then how the installer ended."""
        if self._headline is None:
            return super().__str__()
        return f"{self._headline.rstrip('.')}. The installer {_ended(self.returncode)}"


class BuildFailedError(InstallationError):
    """A package could not be built: its own build failed, or what its build needs is missing.

    The first note has the build's own output, the part that matters. A build requirement that is not found is an error of the
    build, not a :class:`NoSuchPackageError`.
    """


class HashError(InstallationError):
    """A file is not the one whose hash is required, or it has no hash and needs one."""


class IndexUnreachableError(InstallationError):
    """A package index, or a page of links, could not be reached, so it is unknown whether it has the package.

    pip tells this only after a second attempt: with ``PIP_RETRIES=0`` it reports a package that does not exist, unless
    ``PIP_VERBOSE=2`` is set too, or the certificate of the index is the reason.
    """


class NoFittingVersionError(InstallationError, LookupError):
    """No version of a package fits all that is asked for, or this Python."""


class NoSuchPackageError(InstallationError, LookupError):
    """There is no package of that name where the installer has looked."""


class NotInstalledError(InstallationError):
    """An installer succeeded, and a package that it was told to install is not in the environment.

    Args:
        packages: the normalized names of the packages that are not installed. The others are those of
            :class:`InstallationError`.

    Attributes:
        packages: as given.

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
    """A command was ended because its time was up, or because it printed no line for too long.

    ``stdout`` and ``stderr`` are what had been read until then, as text. Masked like :class:`CommandError`.

    Args:
        cmd: the command line that was run.
        timeout: the time it had, in seconds.
        output: what was read from its standard output.
        stderr: what was read from its standard error.
        shown: the command line as people may see it; default: *cmd*.
        silence: whether *timeout* is the time that it had to print a line: its ``silence_timeout=``.

    Attributes:
        silence: as given.

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
        """Pickle; exceptions pickle only the positional arguments by themselves."""
        return type(self), (self.cmd, self.timeout, self.output, self.stderr), self.__dict__

    def __str__(self) -> str:
        """Say it as the standard exception does, with the masked command line."""
        if self.silence:
            return f"Command '{self._shown}' printed no line for {self.timeout} seconds"
        return str(subprocess.TimeoutExpired(self._shown, self.timeout))

    def __repr__(self) -> str:
        """Show the masked command line and the time, never the output."""
        return f"{type(self).__name__}({self._shown!r}, {self.timeout!r})"


class _EndedError(VenvError, RuntimeError):
    """What ends of a command have in common that no standard exception stands for.

    Args:
        cmd: the command line that was run.
        reason: why it ended.
        stdout: what was read from its standard output.
        stderr: what was read from its standard error.
        shown: the command line as people may see it; default: *cmd*.
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
        """Pickle; exceptions pickle only the positional arguments by themselves."""
        return type(self), (self.cmd, self.reason, self.stdout, self.stderr), self.__dict__

    def __str__(self) -> str:
        """Name the masked command line and the reason."""
        return f"Command '{self._shown}' {self.reason}"

    def __repr__(self) -> str:
        """Show the masked command line and the reason, never the output."""
        return f"{type(self).__name__}({self._shown!r}, {self.reason!r})"


class CommandStoppedError(_EndedError):
    """A command was ended because its end was requested: by :meth:`.Runner.stop`, by Ctrl-C, or at the interpreter's exit.

    ``cmd``, ``stdout`` and ``stderr`` are true, as far as the command had come; ``str()``, ``repr()`` and the notes are masked.

    Args:
        cmd: the command line that was run.
        reason: why it was ended.
        stdout: what was read from its standard output.
        stderr: what was read from its standard error.
        shown: the command line as people may see it; default: *cmd*.

    >>> print(CommandStoppedError(["sleep", "9"], "stop() was called"))
    Command '['sleep', '9']' was ended: stop() was called
    """

    def __str__(self) -> str:
        """Name the masked command line and the reason."""
        return f"Command '{self._shown}' was ended: {self.reason}"


class ExitCodeLostError(_EndedError):
    """A command has ended, and its exit code is not known: it can't be told whether it succeeded.

    The system gives an exit code away once. It drops it if the process ignores SIGCHLD; and another part of the process may
    have taken it, such as a handler of SIGCHLD that waits for all children.

    Args:
        cmd: the command line that was run.
        reason: why the exit code is not known.
        stdout: what it wrote to standard output.
        stderr: what it wrote to standard error.
        shown: the command line as people may see it; default: *cmd*.

    >>> print(ExitCodeLostError(["true"], "ended without an exit code"))
    Command '['true']' ended without an exit code
    """


class ContainmentError(VenvError, RuntimeError):
    """``contain=True`` is not possible on this system, or a process could not be ended."""


class OutputDecodeError(VenvError, UnicodeDecodeError):
    r"""The output of a command is not UTF-8, and ``errors`` is ``"strict"``.

    ``object`` is the whole output, and true; ``repr()`` does not show it.

    >>> OutputDecodeError("utf-8", b"secret \xff", 7, 8, "invalid start byte")
    OutputDecodeError('utf-8', <8 bytes>, 7, 8, 'invalid start byte')
    """

    def __repr__(self) -> str:
        """Show where the bad byte is, never the output."""
        what = f"{self.encoding!r}, <{len(self.object)} bytes>, {self.start}, {self.end}, {self.reason!r}"
        return f"{type(self).__name__}({what})"


class ExpectationError(VenvError, AssertionError):
    """A test double was not called as it was told: it has no answer to a call, or an answer was not called for."""


class InstallerNotFoundError(VenvError, RuntimeError):
    """The installer that was chosen is not there, or it is too old for a keyword."""


class InvalidCommandError(VenvError, ValueError):
    """The first argument is not the name of a command of the environment."""


class InvalidPathError(VenvError, ValueError):
    """A name or a path can't be that of a virtual environment."""


class InvalidRequirementError(VenvError, ValueError):
    """A string is not one requirement, one existing path or one URL."""


class LockFileError(VenvError, ValueError):
    """A lock file can't be used: it is wrong, or it does not fit the environment; nothing was installed."""


class NotAVenvError(VenvError, FileExistsError):
    """Something that is not a virtual environment is in the way; it was not touched."""


class CreationError(VenvError, RuntimeError):
    """A virtual environment could not be made, changed or deleted; nothing of one that could not be made is left."""


class InterpreterNotFoundError(CreationError, LookupError):
    """There is no such interpreter; the message lists those that were found."""


class RecordingError(VenvError, ValueError):
    """A recording of commands can't be read or made."""


class VenvExistsError(VenvError, FileExistsError):
    """There is a virtual environment already, and it was not to be replaced."""


class VenvInUseError(VenvError, RuntimeError):
    """A virtual environment can't be changed now: somebody uses it, or it has forks that need it."""
