"""VenvRunner: creates, forks, opens and deletes an environment; this module exports the other runners too."""

import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

from venvrunner._async_runner import AsyncRunner, AsyncTemporary, advise_async
from venvrunner._description import CreateOptions, Description, VenvOptions
from venvrunner._install import pip_settings
from venvrunner._process.command import RunOptions
from venvrunner._process.keywords import check_keywords, shown
from venvrunner._stored import DAY, oldest
from venvrunner._types import Exist, StrPath
from venvrunner._venv import layout
from venvrunner._venv.lease import Lease
from venvrunner._venv.paths import absolute
from venvrunner._venv.temporary import TemporaryDirectory
from venvrunner.environment import get_clean_environment, venv_environment
from venvrunner.exceptions import InvalidCommandError
from venvrunner.fake import FakeVenvRunner
from venvrunner.installing import InstallerName, check_installer
from venvrunner.runner import Runner

if TYPE_CHECKING:
    from venvrunner._store.preparation import Makers

__tracebackhide__ = True

__all__ = ["AsyncTemporary", "CreateOptions", "FakeVenvRunner", "Runner", "VenvOptions", "VenvRunner", "get_clean_environment"]

_WAIT = 30.0
_NOT_COPIED = {"_lease", "_running_commands"}
"""Attributes that copies of a runner do not share."""


class VenvRunner(AsyncRunner):
    """A virtual environment in ``top_dir/name``, complete as soon as the object exists.

    An existing virtual environment is recreated, unless *exist* says otherwise. Anything else at the path stays untouched. As
    long as the object or one of its commands lives, no other thread or process can recreate or delete the environment.

    Args:
        name: the name of the environment's directory: one plain name.
        top_dir: its parent directory, which is created if it does not exist.
        python: the interpreter: a path, a version (``"3.12"``) or a range (``">=3.11"``), searched on ``PATH`` and in the
            directories of uv, pyenv, asdf and mise; default: the running interpreter.
        requirements: the packages to install, each as for :meth:`install_package`; default: none.
        lock: the path of a lock file (PEP 751) to install instead, as for :meth:`install`; default ``None``.
        lock_extras: names of extras in the lock file to install too; default ``None``: none.
        lock_groups: names of dependency groups in the lock file; default ``None``: its default groups. ``[]`` selects none.
        lock_projects: install the directories that the lock file lists, such as the project itself; default true.
        with_pip: install pip (no other package is ever seeded); default true.
        system_site_packages: make the packages of the interpreter visible; default false.
        installer: the installer: ``"pip"`` (default), or ``"uv"``, which needs no pip in the environment (extra
            ``venvrunner[uv]``).
        prompt: the prompt of an activated shell; default: the name of the environment's directory.
        cached: take the environment from the store if an equal one has been prepared before, else prepare it there first: later
            ones take milliseconds. A temporary environment is a fork of the one in the store; a named one is a copy that does
            not need it. If the store cannot be used, the environment is created without it; default false.
        max_age: the number of seconds for which *cached* trusts what requirements once resolved to; ``0`` resolves them each
            time; default 86400, a day.
        exist: how to treat an existing environment. ``"clear"`` (default) recreates it. ``"reuse"`` keeps it if it was created
            with the same arguments and interpreter; otherwise it recreates it and logs why. ``"error"`` raises.
        wait: the maximum time to wait for other users of the environment, in seconds; default 30.

    Attributes:
        name: as given.
        top_dir: as given.
        venv_dir: the absolute path of the environment; a later change of the working directory does not affect it.
        installer: the installer of :meth:`install` and :meth:`uninstall`, ``"pip"`` or ``"uv"``; a fork inherits it.

    Raises:
        InvalidPathError: an environment cannot have this path, or would not work there.
        InvalidRequirementError, LockFileError: a requirement or the lock file is wrong; nothing was created.
        NotAVenvError: the path exists and is not a virtual environment; it was left untouched.
        VenvExistsError: a virtual environment exists, and *exist* is ``"error"``.
        VenvInUseError: the existing environment is in use by a runner or a command, or has forks.
        InterpreterNotFoundError: no interpreter matches; the message lists those that were found.
        CreationError: the environment cannot be created.
        subprocess.CalledProcessError: the requirements could not be installed; the environment was removed.
        TypeError, ValueError: an argument is wrong; nothing was created.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as top:
    ...     venv = VenvRunner("venv", top)
    ...     venv.log_run(["python", "-c", "import sys; print(sys.prefix)"]).stdout.strip() == venv.venv_dir
    True
    """

    def __init__(
        self,
        name: str,
        top_dir: StrPath,
        *,
        exist: Exist = "clear",
        wait: float = _WAIT,
        python: StrPath | None = None,
        requirements: Iterable[StrPath] = (),
        lock: StrPath | None = None,
        lock_extras: Iterable[str] | None = None,
        lock_groups: Iterable[str] | None = None,
        lock_projects: bool = True,
        with_pip: bool = True,
        system_site_packages: bool = False,
        prompt: str | None = None,
        installer: InstallerName = "pip",
        cached: bool = False,
        max_age: float = DAY,
    ) -> None:
        from venvrunner._create import creation

        advise_async(type(self).__name__, "async_create")
        description = Description(
            python=python,
            requirements=requirements,
            lock=lock,
            lock_extras=lock_extras,
            lock_groups=lock_groups,
            lock_projects=lock_projects,
            with_pip=with_pip,
            system_site_packages=system_site_packages,
            prompt=prompt,
            installer=installer,
        ).repeatable()
        recipe, request = description.checked()
        self.installer: InstallerName = installer

        def fill() -> None:
            if not request.is_empty():
                self._install_now(request)

        lease = Lease(layout.target(name, top_dir), wait)
        self._set(name, top_dir, lease)
        creation.check_options(exist, wait)
        if cached and not creation.is_reusable(self.venv_dir, recipe, exist):
            purpose = creation.purpose(self.venv_dir, recipe)
            creation.check_target(self.venv_dir, purpose, exist)
            copy = functools.partial(self._copy_entry, exist=exist, purpose=purpose)
            if self._with_entry(description, copy, since=oldest(max_age)):
                return
        creation.create(self.venv_dir, lease.user, recipe, fill, exist=exist, wait=wait)

    @classmethod
    def _makers(cls) -> "Makers":
        from venvrunner._store.preparation import Makers

        # Not of this class: a subclass may have a constructor of its own.
        return Makers(VenvRunner, VenvRunner._derived, VenvRunner.temporary, VenvRunner._build_wheel)

    @classmethod
    def open(cls, path: StrPath, *, wait: float = _WAIT, installer: InstallerName = "pip") -> Self:
        r"""Open an existing environment, whichever tool created it.

        Its packages stay as they are. An environment that was moved or copied is repaired: its commands still run the
        interpreter at the old path, until they are rewritten to run its own.

        Args:
            path: the environment's directory.
            wait: the maximum time to wait while another process changes it, in seconds; default 30.
            installer: the installer, ``"pip"`` (default) or ``"uv"``.

        Returns:
            the runner.

        Raises:
            InvalidPathError: the path is not an environment, or it is not usable: its interpreter is gone or has become
                another version, its creation was interrupted, its parent is gone, or it was moved and cannot be written to.
            VenvInUseError: another process is still changing it, or its parent.

        >>> with VenvRunner.temporary() as venv:
        ...     VenvRunner.open(venv.venv_dir).log_run(["python", "-c", "print('same')"]).stdout
        'same\n'
        """
        from venvrunner._create.opening import open_existing

        check_installer(installer)
        lease = Lease(absolute(os.fspath(path)), wait)
        open_existing(lease.venv_dir, lease.user, wait=wait)
        top_dir, name = os.path.split(lease.venv_dir)
        return cls._made(name, top_dir, lease, installer)

    @classmethod
    def temporary(cls, *, dir: StrPath | None = None, **options: Unpack[VenvOptions]) -> Self:  # noqa: A002  as in tempfile
        """Create an environment in a temporary directory; the end of a ``with`` or ``async with`` block deletes both.

        Without a block, they are deleted by :meth:`delete`, or when the object is no longer used.

        Args:
            dir: the existing directory in which the temporary directory is created; default ``None``: the system's directory
                for temporary files.
            **options: see :class:`VenvOptions`; the meanings and defaults are those of :class:`VenvRunner`.

        Returns:
            the runner.

        Raises:
            InvalidPathError: *dir* is not an existing directory, or an environment would not work there.
            VenvError: see :class:`VenvRunner`.
            TypeError, ValueError: an argument is wrong; nothing was created.

        >>> with VenvRunner.temporary() as venv:
        ...     venv.log_run(["pip", "--version"]).stdout.split()[0]
        'pip'
        """
        check_keywords(options, {"dir", *VenvOptions.__annotations__})
        advise_async(f"{cls.__name__}.temporary", "async_temporary")
        with TemporaryDirectory(None if dir is None else layout.parent(dir)) as directory:
            runner = cls._from_store(directory.name, options) if options.get("cached") else None
            if runner is None:
                options["cached"] = False
                runner = cls("venv", directory.name, **options)
            cls._keep(runner, directory)
        return runner

    @property
    def python_executable(self) -> str:
        """The absolute path of the environment's interpreter."""
        return self.resolve(["python"])[0]

    def resolve(self, args: Sequence[StrPath]) -> list[str]:
        """Return *args* with the absolute path of the command in the environment.

        Args:
            args: the plain name of a command of the environment, and its arguments.

        Returns:
            the command line, for example for ``subprocess.Popen`` with :meth:`environment` as ``env=``.

        Raises:
            InvalidCommandError: the name is not plain, or the environment has no such command.
            TypeError, ValueError: *args* is empty or not a list of ``str`` or paths.

        >>> from venvrunner import VenvRunner
        >>> with VenvRunner.temporary() as venv:
        ...     venv.resolve(["python", "-V"]) == [venv.python_executable, "-V"]
        True
        """
        command, *rest = layout.plain_command(args)
        path = layout.CURRENT.find_command(self.venv_dir, command)
        if path is None:
            raise InvalidCommandError(layout.CURRENT.why_not(self.venv_dir, command))
        return [path, *rest]

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment variables of a command: cleaned, and with this environment as the active one.

        Variables in *env* that equal those of ``os.environ`` are cleaned in the same way; others are kept. If a configuration
        file of pip would redirect an installation, its other settings become variables, and pip reads no file.

        Args:
            env: the caller's ``env=``; default ``None``: use this process's environment.

        Returns:
            all variables of the command, as a new dict.

        Raises:
            TypeError, ValueError: *env* cannot be the variables of a process.

        >>> from venvrunner import VenvRunner
        >>> with VenvRunner.temporary(with_pip=False) as venv:
        ...     venv.environment()["VIRTUAL_ENV"] == venv.venv_dir
        True
        """
        variables = venv_environment(self.venv_dir, layout.CURRENT.scripts(self.venv_dir), env, os.environ)
        return variables | pip_settings.overruled(variables, self.venv_dir)

    def fork(
        self, name: str, top_dir: StrPath, *, standalone: bool = False, exist: Literal["clear", "error"] = "clear"
    ) -> Self:
        """Create a new environment that starts with all packages of this one, in a few milliseconds.

        The fork can be changed: packages that it installs or upgrades are its own. While this environment has forks, it cannot
        be changed, recreated or deleted.

        Args:
            name: the name of the fork's directory: one plain name.
            top_dir: its parent directory, which is created if it does not exist.
            standalone: copy everything, so that the fork does not need this environment: slower, and without these limits. An
                edit in place in one does not change the other. Where the file system cannot share blocks until they are
                written, binary files from 1 MiB on are hard links, which an edit in place changes in both.
            exist: how to treat an existing environment: ``"clear"`` (default) recreates it, ``"error"`` raises. A fork is
                never reused.

        Returns:
            the fork's runner.

        Raises:
            ValueError: *exist* is wrong.
            InvalidPathError: a fork cannot have this path.
            VenvError: see :class:`VenvRunner`.

        >>> import tempfile
        >>> with VenvRunner.temporary() as venv, tempfile.TemporaryDirectory() as top:
        ...     child = venv.fork("child", top)
        ...     print(child.log_run(["pip", "--version"]).stdout.split()[0])
        ...     child.delete()
        pip
        """
        from venvrunner._create.fork import fork

        lease = Lease(layout.target(name, top_dir), self._lease.wait)
        fork(self.venv_dir, lease.venv_dir, lease.user, standalone=standalone, exist=exist, wait=lease.wait)
        return self._made(name, top_dir, lease, self.installer)

    def delete(self) -> None:
        """Delete the environment, if it still exists.

        Raises:
            NotAVenvError: the path is no longer an environment; it was left untouched.
            VenvInUseError: the environment is in use by another runner or a command, or has forks that need it.
            CreationError: the environment cannot be deleted.

        >>> venv = VenvRunner.temporary(with_pip=False)
        >>> venv.delete()
        >>> os.path.exists(venv.venv_dir)
        False
        """
        self._lease.delete()

    def __enter__(self) -> Self:
        """Return the runner itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Delete a temporary environment; release any other, so that it can be recreated."""
        self._lease.leave(error)

    def __repr__(self) -> str:
        """Return the call that describes the environment: its name, its parent directory, and the defaults of its calls."""
        return f"{type(self).__name__}({self.name!r}, {self.top_dir!r}){shown(self._defaults)}"

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        """Copy and pickle as a call of :meth:`open` for the same environment; a copy never deletes a temporary environment.

        >>> import copy
        >>> with VenvRunner.temporary(with_pip=False) as venv:
        ...     copied = copy.copy(venv)
        ...     del copied
        ...     os.path.exists(venv.venv_dir)
        True
        """
        return self._reopening(type(self))

    def _reopening(self, kind: "type[VenvRunner]") -> tuple[Any, ...]:
        """Return the function that opens the environment again, its arguments, and attributes added by a subclass or caller."""
        added = {name: value for name, value in vars(self).items() if name not in _NOT_COPIED}
        return _reopen, (kind, self.venv_dir, self._lease.wait, self.installer), added

    def _prepared(self, args: Sequence[StrPath], options: RunOptions, *further: object) -> list[str]:
        options["env"] = pip_settings.located(options.get("env"), options.get("cwd"))
        return super()._prepared(args, options, *further)

    def _in_use(self) -> AbstractContextManager[Mapping[str, Any]]:
        return self._lease.command()

    def _changing(self) -> AbstractContextManager[Any]:
        return self._lease.changing()


def _reopen(kind: type[VenvRunner], venv_dir: str, wait: float, installer: InstallerName) -> VenvRunner:
    """Return a runner for a copy; this is a function because pickle finds only functions by name."""
    return kind.open(venv_dir, wait=wait, installer=installer)
