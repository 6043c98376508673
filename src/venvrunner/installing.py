"""Installing runners: runners with an environment in a directory, in which they install packages."""

import subprocess
from abc import abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, cast, get_args

from venvrunner._install.options import RequestOptions, ResolveOptions
from venvrunner._install.receipt import Receipt
from venvrunner._process.command import RunOptions
from venvrunner._process.keywords import check_keywords
from venvrunner._types import StrPath
from venvrunner._venv.errors import explained
from venvrunner._venv.temporary import temporary_directory
from venvrunner.exceptions import InvalidRequirementError
from venvrunner.runner import Runner
from venvrunner.subprocess_util import CompletedCommand, OutputCallbackType

if TYPE_CHECKING:  # what installs is loaded by the first installation: most programs that import this run commands only
    from venvrunner._install.installer import Installer, Target
    from venvrunner._install.locking import LockOrder
    from venvrunner._install.request import Request
    from venvrunner._install.steps import Call, Steps

__tracebackhide__ = True

__all__ = ["InstallOptions", "InstallerName", "InstallingRunner", "LockOptions", "Receipt", "ReportOptions"]

_Result = TypeVar("_Result")
InstallerName = Literal["pip", "uv"]
"""The names of the supported installers."""


class ReportOptions(RunOptions, total=False):
    """The keywords of :func:`.log_run` in calls that take them by name: these, and :class:`~.subprocess_util.RunOptions`.

    Attributes:
        logger: the logger of the command line and of the output; default ``None``: the logger ``venvrunner``.
        stdout_loglevel: where lines of standard output go: a log level, a callable or ``None``; default ``None``.
        stderr_loglevel: where lines of standard error go; default ``"debug"``.
        errors: how to decode bytes that are not UTF-8; default ``"strict"``.

    >>> options: ReportOptions = {"stdout_loglevel": "info", "timeout": 60}
    """

    logger: object
    stdout_loglevel: str | int | OutputCallbackType | None
    stderr_loglevel: str | int | OutputCallbackType | None
    errors: str


class InstallOptions(RequestOptions, ReportOptions, total=False):
    """The keywords of :meth:`.VenvRunner.install` and ``async_install``: these, and :class:`~.installing.ReportOptions`.

    Attributes:
        requirements_files: paths or URLs of requirements files; default: none.
        constraints: paths or URLs of constraints files; default: none.
        editable: directories of projects, or URLs of repositories, to install in editable mode; default: none.
        dependency_groups: names of groups in the ``pyproject.toml`` of the working directory, or
            ``"path/pyproject.toml:name"`` (PEP 735); default: none.
        lock: the path or URL of a lock file (PEP 751), without any other requirement: exactly the packages that it lists are
            installed, each file with its hash; default ``None``.
        lock_extras: names of extras in the lock file to install too; default ``None``: none.
        lock_groups: names of dependency groups in the lock file; default ``None``: its default groups. ``[]`` selects none.
        lock_projects: install the directories that the lock file lists, such as the project itself: each must be the lock
            file's own directory or below it, and has no hash; default true.
        index_url: the URL or path of the package index; default ``None``: the one that the user has configured, or PyPI.
        extra_index_urls: indexes in addition to those that the user has configured; default: none.
        find_links: directories of wheels, or URLs of pages with links to them, in addition to those that the user has
            configured; default: none.
        no_index: search *find_links* only, and no index; default false.
        require_hashes: require a hash for each file in a requirements file, and for each package in a lock file; default false.
        upgrade: upgrade installed packages to the newest version; default false.
        deps: install dependencies; default true.
        pre: allow pre-releases and development versions; default false.
        exclude_newer: ignore releases uploaded after this time: a ``datetime``, a ``date`` (its start in UTC), a ``timedelta``
            for the minimum age, or a ``str`` such as ``"2026-01-31"`` or ``"P7D"``. The index must provide upload times, and
            files in *find_links* have no limit. Needs pip 26.0 or newer, or uv; default ``None``: no limit.
        build_constraints: paths or URLs of constraints files for build requirements. Needs pip 25.3 or newer, or uv;
            default: none.
        config_settings: settings of build back ends by name, each a ``str`` or a list of them. Needs pip 22.1 or newer, or
            uv; default: none.

    >>> options: InstallOptions = {"upgrade": True, "timeout": 600}
    >>> offline: InstallOptions = {**options, "no_index": True, "find_links": ["wheels"]}
    """


class LockOptions(ResolveOptions, ReportOptions, total=False):
    """The keywords of :meth:`.VenvRunner.lock` and ``async_lock``: these, and :class:`~.installing.ReportOptions`.

    Those that also are keywords of an installation have the meaning that they have there: see :class:`InstallOptions`.

    Attributes:
        requirements_files: paths or URLs of requirements files; default: none.
        constraints: paths or URLs of constraints files; default: none.
        editable: directories of projects, which the lock file lists as editable; default: none.
        dependency_groups: names of groups in the ``pyproject.toml`` of the working directory, or
            ``"path/pyproject.toml:name"`` (PEP 735); default: none.
        index_url: the URL or path of the package index; default ``None``: the one that the user has configured, or PyPI.
        extra_index_urls: further indexes; default: none.
        find_links: directories of wheels, or URLs of pages with links to them; default: none.
        no_index: search *find_links* only, and no index; default false.
        deps: lock dependencies too; default true.
        pre: allow pre-releases and development versions; default false.
        exclude_newer: ignore releases uploaded after this time; default ``None``: no limit.
        build_constraints: paths or URLs of constraints files for build requirements; default: none.
        config_settings: settings of build back ends by name; default: none.
        universal: resolve for all platforms, and for the environment's Python and all newer ones, instead of for the
            environment alone. Needs ``installer="uv"``; default false.

    >>> options: LockOptions = {"requirements_files": ["requirements.in"], "timeout": 600}
    """

    universal: bool


class InstallingRunner(Runner):
    """The part of :class:`.VenvRunner` that installs packages into the environment, and writes lock files."""

    venv_dir: str
    installer: InstallerName

    @abstractmethod
    def _changing(self) -> AbstractContextManager[None]:
        """Return the context manager that a change of the environment runs under."""

    def install_package(self, package_name: StrPath) -> Receipt:
        """Install one package; same as :meth:`install` with one requirement.

        Args:
            package_name: a requirement (PEP 508), an existing path, or a URL.

        Returns:
            the receipt, with the output of the installer and the packages that it changed.

        Raises:
            InvalidRequirementError: the string is not a requirement, an existing path or a URL; nothing was started.
            VenvInUseError: the environment has forks, or another process or thread is changing it.
            InstallationError: the installer failed, a ``subprocess.CalledProcessError``; a note has its reason.

        >>> from venvrunner import VenvRunner
        >>> with VenvRunner.temporary() as venv:
        ...     venv.install_package("pip")  # it is installed already
        nothing changed
        """
        return self.install(package_name)

    def install(self, *requirements: StrPath, **options: Unpack[InstallOptions]) -> Receipt:
        """Install packages with one call of the installer; a second call at the same time waits for the first.

        Args:
            *requirements: each a requirement (PEP 508), an existing path, or a URL; a project's directory may have extras:
                ``".[test]"``.
            **options: what else to install (``requirements_files``, ``constraints``, ``editable``, ``dependency_groups``,
                ``lock``, and ``lock_extras``, ``lock_groups``, ``lock_projects`` to select from it), from where
                (``index_url``, ``extra_index_urls``, ``find_links``, ``no_index``) and how (``require_hashes``, ``upgrade``,
                ``deps``, ``pre``, ``exclude_newer``, ``build_constraints``, ``config_settings``): see :class:`InstallOptions`;
                and those of :meth:`log_run`, such as ``timeout``, ``logger`` or ``stdout_loglevel``.

        Returns:
            the receipt, with the output of the installer and the packages that it changed.

        Raises:
            InvalidRequirementError: an argument is wrong, or there is nothing to install; nothing was started.
            LockFileError: the lock file is wrong, or does not match the environment; nothing was installed.
            InstallerNotFoundError: the installer is not installed, or is too old for a keyword.
            VenvInUseError: the environment has forks, or another process or thread is changing it.
            InstallationError: the installer failed, a ``subprocess.CalledProcessError``; a note has its reason.
            NotInstalledError: the installer succeeded, but a package is not in the environment.
            subprocess.TimeoutExpired: the installer timed out.

        >>> from venvrunner import InstallationError, VenvRunner
        >>> with VenvRunner.temporary() as venv:
        ...     try:
        ...         venv.install("pip", "no-such-package", no_index=True, timeout=60)
        ...     except InstallationError as error:
        ...         print(type(error).__name__)
        NoSuchPackageError
        """
        request, rest = split_options(requirements, options)
        with self._changing():
            return self._install_now(request, **rest)

    async def async_install(self, *requirements: StrPath, **options: Unpack[InstallOptions]) -> Receipt:
        """Same as :meth:`install`, but a coroutine."""
        from venvrunner._process import worker

        return await worker.call(partial(self._install_fetched, requirements, options))

    def _install_fetched(self, requirements: Iterable[StrPath], options: InstallOptions) -> Receipt:
        """Install packages; a lock file is fetched by a command, which can be cancelled."""
        from venvrunner._install import installation
        from venvrunner._install.requirement_forms import WEB

        lock = options.get("lock")
        if isinstance(lock, str) and WEB.fullmatch(lock):
            check_keywords(options, InstallOptions.__annotations__)
            fetching = installation.fetch_lock(lock, self.python_executable, options)
            options = {**options, "lock": self._performed(fetching)}
        return InstallingRunner.install(self, *requirements, **options)

    def uninstall(self, *names: str, **options: Unpack[ReportOptions]) -> Receipt:
        """Remove packages; a name that is not installed is ignored.

        Args:
            *names: the names of the packages.
            **options: see :class:`~.installing.ReportOptions`.

        Returns:
            the receipt, with the output of the installer and the packages that it changed.

        Raises:
            InvalidRequirementError: a string is not a package name, or there are no names; nothing was started.
            VenvInUseError: the environment has forks, or another process or thread is changing it.
            InstallationError: the installer failed.

        In a fork, an inherited package stays, because it belongs to the parent, and the receipt is empty. A standalone fork of
        a fork has inherited packages in directories of its own: there, pip removes such a package, and uv leaves it.

        >>> from venvrunner import VenvRunner
        >>> with VenvRunner.temporary() as venv:
        ...     list(venv.uninstall("pip").removed)
        ['pip']
        """
        from venvrunner._install import installation
        from venvrunner._install.requirements import package_names

        checked = package_names(names)
        check_keywords(options, ReportOptions.__annotations__)
        with self._changing(), temporary_directory() as directory:
            target = self._target(directory, options)
            return self._performed(installation.uninstall(self._installer(), checked, target, options))

    async def async_uninstall(self, *names: str, **options: Unpack[ReportOptions]) -> Receipt:
        """Same as :meth:`uninstall`, but a coroutine."""
        from venvrunner._process import worker

        return await worker.call(partial(InstallingRunner.uninstall, self, *names, **options))

    def lock(self, path: StrPath, *requirements: StrPath, **options: Unpack[LockOptions]) -> CompletedCommand:
        """Write a lock file (PEP 751) of what requirements resolve to, for this environment; nothing is installed.

        The installer's own resolver decides: ``pip lock``, or ``uv pip compile``. It ignores what is installed and what an old
        lock file lists. The new file replaces the old one at once, after a check; if anything fails, the old one stays. For the
        same releases, the text is the same in every call.

        Local files and directories at or below the lock file's directory have relative paths. A directory must be there,
        because it has no hash. Passwords in URLs are left out: who installs from a lock file needs their own.

        Args:
            path: the lock file: ``pylock.toml`` or ``pylock.NAME.toml``.
            *requirements: the requirements, each as for :meth:`install`.
            **options: what else to lock (``requirements_files``, ``dependency_groups``, ``editable``, ``constraints``), from
                where (``index_url``, ``extra_index_urls``, ``find_links``, ``no_index``) and how (``universal``, ``deps``,
                ``pre``, ``exclude_newer``, ``build_constraints``, ``config_settings``): see :class:`LockOptions`; and those of
                :meth:`log_run`, such as ``timeout``, ``logger`` or ``stdout_loglevel``.

        Returns:
            the completed process of the installer.

        Raises:
            InvalidPathError: the file cannot have this name, or cannot be written.
            InvalidRequirementError: an argument is wrong, or there is nothing to lock; nothing was started.
            LockFileError: a directory is outside the lock file's own, or the installer wrote a file that is not valid.
            InstallerNotFoundError: the installer is not installed, or is too old; pip writes lock files since 25.1.
            InstallationError: the requirements cannot be resolved, a ``subprocess.CalledProcessError``; a note has the reason.
            subprocess.TimeoutExpired: the installer timed out.

        >>> import tempfile
        >>> from venvrunner import NoSuchPackageError, VenvRunner
        >>> with VenvRunner.temporary() as venv, tempfile.TemporaryDirectory() as top:
        ...     try:
        ...         venv.lock(f"{top}/pylock.toml", "no-such-package", no_index=True)
        ...     except NoSuchPackageError as error:
        ...         print(error.returncode)
        1
        """
        return self._lock_now(lock_order(path, requirements, options))

    async def async_lock(self, path: StrPath, *requirements: StrPath, **options: Unpack[LockOptions]) -> CompletedCommand:
        """Same as :meth:`lock`, but a coroutine."""
        from venvrunner._process import worker

        return await worker.call(partial(InstallingRunner.lock, self, path, *requirements, **options))

    def _build_wheel(self, project: str, output: str, sources: RequestOptions) -> None:
        """Build the wheel of a local project into a directory; nothing is installed."""
        from venvrunner._install import installation
        from venvrunner._install.request import make_request

        request, rest = make_request([project], {**sources, "deps": False}), dict[str, Any]()
        with temporary_directory() as directory:
            target = self._target(directory, rest)
            self._performed(installation.build_wheel(self._installer(), request, target, rest, output))

    def installed(self) -> dict[str, str]:
        """Return the installed packages as ``pip list`` shows them, inherited ones included; from metadata, without a process.

        If the environment sees the packages of its system, its interpreter is run to find their directories.

        Returns:
            the versions by normalized name (PEP 503), sorted.

        Raises:
            CreationError: a package directory cannot be read.

        >>> from venvrunner import VenvRunner
        >>> with VenvRunner.temporary() as venv:
        ...     list(venv.installed())
        ['pip']
        """
        from venvrunner._install import inventory, metadata

        found = self._performed(inventory.look(self.venv_dir, self.environment(), {}))
        return metadata.versions(found)

    def _install_now(self, request: "Request", **options: Any) -> Receipt:
        from venvrunner._install import installation

        with temporary_directory() as directory:
            target = self._target(directory, options)
            return self._performed(installation.install(self._installer(), request, target, options))

    def _lock_now(self, order: "LockOrder", **check: Any) -> CompletedCommand:
        from venvrunner._install.locking import write_lock

        with temporary_directory() as directory:
            target = self._target(directory, order.options)
            return cast("CompletedCommand", self._performed(write_lock(self._installer(), order, target, **check)))

    def _installer(self) -> "Installer":
        from venvrunner._install import bundled_pip, inventory
        from venvrunner._install.pip import Pip
        from venvrunner._install.uv import Uv
        from venvrunner._venv.packages import own_directories

        if self.installer == "uv":
            return Uv.bundled()
        with explained(self.venv_dir, inventory.LIST):
            version = bundled_pip.pip_version(own_directories(self.venv_dir))
        if version is not None:
            return Pip.own(version)
        return Pip.from_wheel(bundled_pip.pip_wheel(self.venv_dir))

    def _target(self, directory: str, options: Any) -> "Target":
        from venvrunner._install import pip_settings
        from venvrunner._install.installer import Target

        env = pip_settings.located(options.get("env"), options.get("cwd"))
        return Target(self.venv_dir, self.python_executable, directory, self.environment(env))

    def _performed(self, steps: "Steps[_Result]") -> "_Result":
        from venvrunner._install.steps import run

        return run(steps, self._perform)

    def _perform(self, call: "Call") -> subprocess.CompletedProcess[str]:
        return self._run(self._in_use(), call.argv, **call.options)


def check_installer(name: str) -> InstallerName:
    """Return the name of an installer after a check.

    Raises:
        ValueError: the installer is not supported.

    >>> check_installer("pip")
    'pip'
    """
    if name not in get_args(InstallerName):
        msg = f"{name!r} is not an installer. Use one of {', '.join(map(repr, get_args(InstallerName)))}."
        raise ValueError(msg)
    return cast("InstallerName", name)


def split_options(requirements: Iterable[StrPath], options: InstallOptions) -> "tuple[Request, dict[str, Any]]":
    """Return the checked request of an installation, and the keywords of ``log_run``.

    Raises:
        TypeError: a value has the wrong type, or a keyword is unknown.
        InvalidRequirementError: a value is wrong, or there is nothing to install.
        LockFileError: the lock file cannot be used.
    """
    from venvrunner._install.request import make_request

    own = {name: value for name, value in options.items() if name in RequestOptions.__annotations__}
    rest = {name: value for name, value in options.items() if name not in own}
    check_keywords(rest, InstallOptions.__annotations__)
    request = make_request(requirements, cast("RequestOptions", own))
    if request.is_empty():
        msg = "there is nothing to install. Name a requirement, a path, a URL, a requirements file or a lock file."
        raise InvalidRequirementError(msg)
    return request, rest


def lock_order(path: StrPath, requirements: Iterable[StrPath], options: LockOptions) -> "LockOrder":
    """Return the checked order of a lock file.

    Raises:
        TypeError: a value has the wrong type, or a keyword is unknown.
        InvalidPathError: the file cannot have this name, or cannot be written.
        InvalidRequirementError: a value is wrong, or there is nothing to lock.
        LockFileError: a directory is outside the lock file's own.
    """
    from venvrunner._install.locking import make_order
    from venvrunner._install.request import make_request

    check_keywords(options, LockOptions.__annotations__)
    own: Any = {name: value for name, value in options.items() if name in ResolveOptions.__annotations__}
    rest = {name: value for name, value in options.items() if name in ReportOptions.__annotations__}
    return make_order(path, make_request(requirements, own), rest, options.get("universal", False))
