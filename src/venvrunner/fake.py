"""The runner of the current environment: it runs commands in the environment that this process runs in."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, NoReturn, Self, Unpack

from venvrunner._process.checks import check_variables
from venvrunner._process.keywords import shown
from venvrunner._redaction import Redactor
from venvrunner._types import StrPath
from venvrunner._venv import layout
from venvrunner.environment import current_environment
from venvrunner.exceptions import InvalidCommandError
from venvrunner.installing import InstallerName, InstallOptions, LockOptions, ReportOptions
from venvrunner.runner import Runner

__tracebackhide__ = True

__all__ = ["FakeVenvRunner"]

_CREATE = "create an environment: FakeVenvRunner() is the running environment"


class FakeVenvRunner(Runner):
    r"""Run commands in the environment that this process runs in, for tests and for code that means "the current one".

    It has every public name of :class:`.VenvRunner`. Those that describe an environment describe the current one, and those
    that would change it, or create another one, raise ``NotImplementedError``. A ``with`` block deletes nothing.

    Commands are plain names, which are looked up on ``PATH``; this interpreter's script directory comes first unless ``PATH``
    already has it. ``python`` is this interpreter.

    Attributes:
        installer: the installer that a :class:`.VenvRunner` has by default, ``"pip"``; a fake does not use it.

    >>> FakeVenvRunner().log_run(["python", "-c", "print(1 + 1)"]).stdout
    '2\n'
    """

    installer: InstallerName = "pip"

    @property
    def venv_dir(self) -> str:
        """The absolute path of the current environment, which is ``sys.prefix``."""
        return os.path.abspath(sys.prefix)

    @property
    def name(self) -> str:
        """The last component of :attr:`venv_dir`."""
        return os.path.basename(self.venv_dir)

    @property
    def top_dir(self) -> str:
        """The parent directory of :attr:`venv_dir`."""
        return os.path.dirname(self.venv_dir)

    @property
    def python_executable(self) -> str:
        """The absolute path of this interpreter."""
        return sys.executable

    @property
    def python_version(self) -> str:
        """The version of this interpreter, such as ``"3.13.1"``."""
        return layout.current_version()

    @property
    def scripts_dir(self) -> str:
        """The absolute path of the directory in which this interpreter's packages install their commands."""
        return layout.current_scripts()

    @property
    def site_packages(self) -> str:
        """The absolute path of the directory in which this interpreter's packages are installed."""
        return layout.current_packages()

    def resolve(self, args: Sequence[StrPath]) -> list[str]:
        """Return *args* with this interpreter in place of ``python``.

        Args:
            args: the plain name of a command, and its arguments.

        Returns:
            the command line; any other command stays as it is and is looked up on ``PATH``.

        Raises:
            InvalidCommandError: the name is not plain.
            TypeError, ValueError: *args* is empty or not a list of ``str`` or paths.

        >>> FakeVenvRunner().resolve(["git", "status"])
        ['git', 'status']
        """
        command, *rest = layout.plain_command(args)
        if command == "python" and not sys.executable:
            msg = "'python' cannot be resolved: sys.executable is empty. Give the path of Python to subprocess_util.log_run()."
            raise InvalidCommandError(msg)
        return [sys.executable if command == "python" else command, *rest]

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment variables that a command gets: those of this process, plus those that disable prompts.

        Args:
            env: the variables to use exactly as given; default ``None``: use this process's environment.

        Returns:
            all variables of the command, as a new dict.

        Raises:
            TypeError, ValueError: *env* has an invalid name or value.

        >>> FakeVenvRunner().environment({"PATH": "/bin"})
        {'PATH': '/bin'}
        """
        if env is not None:
            return check_variables("env", env)
        return current_environment(layout.current_scripts(), os.environ)

    @staticmethod
    def install_package(package_name: StrPath) -> NoReturn:  # pyright: ignore[reportIncompatibleMethodOverride]  also called on the class
        """Refuse to install: a fake never changes the current environment.

        Args:
            package_name: the requirement; it is only shown in the message.

        Raises:
            NotImplementedError: always.

        >>> FakeVenvRunner().install_package("wheel")
        Traceback (most recent call last):
        ...
        NotImplementedError: FakeVenvRunner cannot install 'wheel' into the running environment. Use VenvRunner.
        """
        _refuse(f"install {_shown([package_name])} into the running environment")

    def install(self, *requirements: StrPath, **options: Unpack[InstallOptions]) -> NoReturn:
        """Same as :meth:`.VenvRunner.install` in its arguments, but it raises ``NotImplementedError``."""
        _refuse(f"install {_shown(requirements)} into the running environment")

    async def async_install(self, *requirements: StrPath, **options: Unpack[InstallOptions]) -> NoReturn:
        """Same as :meth:`.VenvRunner.async_install` in its arguments, but it raises ``NotImplementedError``."""
        _refuse(f"install {_shown(requirements)} into the running environment")

    def uninstall(self, *names: str, **options: Unpack[ReportOptions]) -> NoReturn:
        """Same as :meth:`.VenvRunner.uninstall` in its arguments, but it raises ``NotImplementedError``."""
        _refuse(f"uninstall {_shown(names)} from the running environment")

    async def async_uninstall(self, *names: str, **options: Unpack[ReportOptions]) -> NoReturn:
        """Same as :meth:`.VenvRunner.async_uninstall` in its arguments, but it raises ``NotImplementedError``."""
        _refuse(f"uninstall {_shown(names)} from the running environment")

    def lock(self, path: StrPath, *requirements: StrPath, **options: Unpack[LockOptions]) -> NoReturn:
        """Same as :meth:`.VenvRunner.lock` in its arguments, but it raises ``NotImplementedError``."""
        _refuse(f"write the lock file {_shown([path])}")

    async def async_lock(self, path: StrPath, *requirements: StrPath, **options: Unpack[LockOptions]) -> NoReturn:
        """Same as :meth:`.VenvRunner.async_lock` in its arguments, but it raises ``NotImplementedError``."""
        _refuse(f"write the lock file {_shown([path])}")

    def fork(
        self, name: str, top_dir: StrPath, *, standalone: bool = False, exist: Literal["clear", "error"] = "clear"
    ) -> NoReturn:
        """Same as :meth:`.VenvRunner.fork` in its arguments, but it raises ``NotImplementedError``."""
        _refuse("fork the running environment")

    async def async_fork(
        self, name: str, top_dir: StrPath, *, standalone: bool = False, exist: Literal["clear", "error"] = "clear"
    ) -> NoReturn:
        """Same as :meth:`.VenvRunner.async_fork` in its arguments, but it raises ``NotImplementedError``."""
        _refuse("fork the running environment")

    def delete(self) -> NoReturn:
        """Same as :meth:`.VenvRunner.delete` in its arguments, but it raises ``NotImplementedError``."""
        _refuse("delete the running environment")

    async def async_delete(self) -> NoReturn:
        """Same as :meth:`.VenvRunner.async_delete` in its arguments, but it raises ``NotImplementedError``."""
        _refuse("delete the running environment")

    @classmethod
    def open(cls, path: StrPath, *, wait: float = 30.0, installer: InstallerName = "pip") -> NoReturn:
        """Same as :meth:`.VenvRunner.open` in its arguments, but it raises ``NotImplementedError``."""
        _refuse(f"open {_shown([path])}: FakeVenvRunner() is the running environment", "VenvRunner.open()")

    @classmethod
    def temporary(cls, *, dir: StrPath | None = None, **options: Any) -> NoReturn:  # noqa: A002  as in tempfile
        """Same as :meth:`.VenvRunner.temporary` in its arguments, but it raises ``NotImplementedError``."""
        _refuse(_CREATE, "VenvRunner.temporary()")

    @classmethod
    async def async_create(cls, name: str, top_dir: StrPath, **options: Any) -> NoReturn:
        """Same as :meth:`.VenvRunner.async_create` in its arguments, but it raises ``NotImplementedError``."""
        _refuse(_CREATE, "VenvRunner.async_create()")

    @classmethod
    def async_temporary(cls, *, dir: StrPath | None = None, **options: Any) -> NoReturn:  # noqa: A002  as in tempfile
        """Same as :meth:`.VenvRunner.async_temporary` in its arguments, but it raises ``NotImplementedError``."""
        _refuse(_CREATE, "VenvRunner.async_temporary()")

    def installed(self) -> dict[str, str]:
        """Return the packages that this process can import, from their metadata, without a process.

        Returns:
            the versions by normalized name (PEP 503), sorted.

        Raises:
            CreationError: a package directory cannot be read.

        >>> "venvrunner" in FakeVenvRunner().installed()
        True
        """
        from venvrunner._install import inventory, metadata
        from venvrunner._venv.errors import explained

        readable = [path for path in sys.path if path and os.access(path, os.R_OK | os.X_OK)]
        with explained(self.venv_dir, inventory.LIST):
            return metadata.versions(metadata.installed(readable))

    def __enter__(self) -> Self:
        """Return the runner itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Do nothing: the current environment stays."""

    async def __aenter__(self) -> Self:
        """Return the runner itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Do nothing: the current environment stays."""

    def __repr__(self) -> str:
        """Return the call that makes the runner, and the defaults of its calls."""
        return f"{type(self).__name__}(){shown(self._defaults)}"


def _refuse(what: str, instead: str = "VenvRunner") -> NoReturn:
    msg = f"FakeVenvRunner cannot {what}. Use {instead}."
    raise NotImplementedError(msg)


def _shown(texts: Iterable[StrPath]) -> str:
    """Return some arguments for a message, without the credentials of URLs."""
    plain = [os.fspath(text) if isinstance(text, os.PathLike) else text for text in texts]
    return Redactor().mask(", ".join(map(repr, plain))) or "packages"
