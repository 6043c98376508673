"""VenvRunner: an environment that is made, forked, filled and deleted; the other runners are known by this module too."""

import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import Any, Literal, Self, TypedDict, Unpack

from venvrunner._create import creation
from venvrunner._create.creation import Exist
from venvrunner._create.fork import fork
from venvrunner._create.opening import open_existing
from venvrunner._create.recipe import Recipe
from venvrunner._install.request import RequestOptions, make_request
from venvrunner._process.keywords import check_keywords
from venvrunner._types import StrPath
from venvrunner._venv import layout
from venvrunner._venv.lease import Lease
from venvrunner._venv.paths import absolute
from venvrunner._venv.temporary import TemporaryDirectory
from venvrunner.environment import get_clean_environment
from venvrunner.fake import FakeVenvRunner
from venvrunner.installing import InstallerName, InstallingRunner, check_installer
from venvrunner.runner import Runner

__tracebackhide__ = True

__all__ = ["FakeVenvRunner", "Runner", "VenvOptions", "VenvRunner", "get_clean_environment"]

_WAIT = 30.0
_NOT_COPIED = {"_handle", "_running_commands"}
"""Attributes that belong to one runner."""


class VenvOptions(TypedDict, total=False):
    r"""What an environment is to be: arguments of :class:`VenvRunner`, whose meaning and default they have.

    >>> options: VenvOptions = {"with_pip": False, "prompt": "bare"}
    >>> with VenvRunner.temporary(**options) as venv:
    ...     venv.log_run(["python", "-c", "print('no pip')"]).stdout
    'no pip\n'
    """

    python: StrPath | None
    requirements: Iterable[StrPath]
    lock: StrPath | None
    lock_extras: Iterable[str] | None
    lock_groups: Iterable[str] | None
    lock_projects: bool
    with_pip: bool
    system_site_packages: bool
    prompt: str | None
    installer: InstallerName


class VenvRunner(InstallingRunner):
    """A virtual environment in ``top_dir/name``, which is there and complete as soon as the object is.

    A virtual environment that is already there is made anew, unless *exist* says otherwise. Anything else that is there
    stays untouched. As long as the object or a command of it lives, no other thread or process can replace the environment.

    Args:
        name: the name of the environment's directory: one plain name.
        top_dir: the directory to make it in; it is made if it is not there.
        python: the interpreter: a path, a version (``"3.12"``) or a range (``">=3.11"``), found on ``PATH`` and in the
            directories of uv, pyenv, asdf and mise; default: the running one.
        requirements: what to install, each as for :meth:`install_package`; default: nothing.
        lock: the path of a lock file (PEP 751) to install instead, as for :meth:`install`; default ``None``.
        lock_extras: names of extras that the lock file has, to install too; default ``None``: none.
        lock_groups: names of dependency groups that it has; default ``None``: its default groups. ``[]`` chooses none.
        lock_projects: whether to install the directories that it lists, such as the project itself; default true.
        with_pip: whether pip is in it; nothing else ever is; default true.
        system_site_packages: whether it sees the packages of its interpreter; default false.
        installer: what installs: ``"pip"`` (default), or ``"uv"``, for which no pip need be in it (extra ``venvrunner[uv]``).
        prompt: what a shell shows when the environment is active; default: its directory's name.
        exist: what to do with an environment that is there: ``"clear"`` (default): make it anew; ``"reuse"``: keep it if it
            was made with the same arguments and interpreter, else make it anew and log why; ``"error"``.
        wait: seconds to wait, at most, for others who use the environment; default 30.

    Attributes:
        name: as given.
        top_dir: as given.
        venv_dir: the absolute path of the environment; a later change of the working directory does not matter.
        installer: what :meth:`install` and :meth:`uninstall` use, ``"pip"`` or ``"uv"``; a fork has that of its parent.

    Raises:
        InvalidPathError: no environment can be made there, or none that works.
        InvalidRequirementError, LockFileError: a requirement or the lock file is wrong; nothing was made.
        NotAVenvError: something that is not a virtual environment is there.
        VenvExistsError: a virtual environment is there, and *exist* is ``"error"``.
        VenvInUseError: somebody else uses the one that is there, or it has forks.
        InterpreterNotFoundError: there is no such interpreter; the message lists those that were found.
        CreationError: it can't be made.
        subprocess.CalledProcessError: the requirements can't be installed; nothing of the environment is left.
        TypeError, ValueError: an argument is wrong; nothing was made.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as top:
    ...     venv = VenvRunner("venv", top)
    ...     venv.log_run(["python", "-c", "import sys; print(sys.prefix)"]).stdout.strip() == venv.venv_dir
    True
    """

    name: str
    top_dir: StrPath
    venv_dir: str

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
    ) -> None:
        self.installer: InstallerName = check_installer(installer)
        chosen: RequestOptions = {"lock_extras": lock_extras, "lock_groups": lock_groups, "lock_projects": lock_projects}
        request = make_request(requirements, {"lock": lock, **chosen})

        def fill() -> None:
            if not request.is_empty():
                self._install_now(request)

        order = Recipe(python, with_pip, system_site_packages, prompt, request.contents())
        handle = Lease(layout.target(name, top_dir), wait)
        self._set(name, top_dir, handle)
        creation.create(self.venv_dir, handle.user, order, fill, exist=exist, wait=wait)

    def _set(self, name: str, top_dir: StrPath, handle: Lease) -> Self:
        self.name = name
        self.top_dir = top_dir
        self.venv_dir = handle.venv_dir
        self._handle = handle
        return self

    @classmethod
    def _made(cls, name: str, top_dir: StrPath, handle: Lease, installer: InstallerName) -> Self:
        runner = cls.__new__(cls)
        runner.installer = installer
        return cls._set(runner, name, top_dir, handle)

    @classmethod
    def open(cls, path: StrPath, *, wait: float = _WAIT, installer: InstallerName = "pip") -> Self:
        r"""Open an existing environment, whichever tool created it.

        Its packages stay as they are. One that was moved or copied is repaired: its commands run the interpreter of the old
        place, until they are made to run its own.

        Args:
            path: the environment's directory.
            wait: seconds to wait, at most, while somebody changes it; default 30.
            installer: as for the class.

        Returns:
            the runner.

        Raises:
            InvalidPathError: there is no environment, or it does not work: its interpreter is gone or has become another
                version, its creation was interrupted, its parent is gone, or it was moved and can't be written to.
            VenvInUseError: another process is still changing it, or its parent.

        >>> with VenvRunner.temporary() as venv:
        ...     VenvRunner.open(venv.venv_dir).log_run(["python", "-c", "print('same')"]).stdout
        'same\n'
        """
        check_installer(installer)
        handle = Lease(absolute(os.fspath(path)), wait)
        open_existing(handle.venv_dir, handle.user, wait=wait)
        top_dir, name = os.path.split(handle.venv_dir)
        return cls._made(name, top_dir, handle, installer)

    @classmethod
    def temporary(cls, **options: Unpack[VenvOptions]) -> Self:
        """Make an environment in a temporary directory; at the end of a ``with`` or ``async with`` block, both are deleted.

        Without a block, they are deleted by :meth:`delete`, or when the object is no longer used.

        Args:
            **options: as for the class.

        Returns:
            the runner.

        Raises:
            VenvError: as for the class.

        >>> with VenvRunner.temporary() as venv:
        ...     venv.log_run(["pip", "--version"]).stdout.split()[0]
        'pip'
        """
        check_keywords(options, VenvOptions.__annotations__)
        with TemporaryDirectory() as place:
            runner = cls("venv", place.name, **options)
            cls._keep(runner, place)
        return runner

    def _keep(self, place: TemporaryDirectory) -> None:
        self._handle.belong_to(place)

    def fork(
        self, name: str, top_dir: StrPath, *, standalone: bool = False, exist: Literal["clear", "error"] = "clear"
    ) -> Self:
        """Make a new environment that begins with all that this one has, in a few milliseconds.

        The fork may be changed; what it installs or upgrades is its own. As long as there are forks, this environment can't
        be changed, made anew or deleted.

        Args:
            name: as for the class.
            top_dir: as for the class.
            standalone: copy everything, so that the fork does not need this environment: slower, and without these limits.
            exist: ``"clear"`` (default) or ``"error"``, as for the class; a fork is never reused.

        Returns:
            the fork's runner.

        Raises:
            ValueError: *exist* is something else.
            InvalidPathError: the fork can't be there.
            VenvError: as for the class.

        >>> import tempfile
        >>> with VenvRunner.temporary() as venv, tempfile.TemporaryDirectory() as top:
        ...     child = venv.fork("child", top)
        ...     print(child.log_run(["pip", "--version"]).stdout.split()[0])
        ...     child.delete()
        pip
        """
        handle = Lease(layout.target(name, top_dir), self._handle.wait)
        fork(self.venv_dir, handle.venv_dir, handle.user, standalone=standalone, exist=exist, wait=handle.wait)
        return self._made(name, top_dir, handle, self.installer)

    def delete(self) -> None:
        """Delete the environment; that it is already gone does no harm.

        Raises:
            NotAVenvError: something else is there now; it was not touched.
            VenvInUseError: somebody else uses it, or it has forks that need it.
            CreationError: it can't be deleted.

        >>> venv = VenvRunner.temporary(with_pip=False)
        >>> venv.delete()
        >>> os.path.exists(venv.venv_dir)
        False
        """
        self._handle.delete()

    def __enter__(self) -> Self:
        """Return the runner itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Delete a temporary environment; let go of any other, so that it may be replaced."""
        self._handle.leave(error)

    async def __aenter__(self) -> Self:
        """Return the runner itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Same as the end of a ``with`` block, but other tasks run while it waits for the environment."""
        await self._handle.leave_async(error)

    def __repr__(self) -> str:
        """Show where the environment is."""
        return f"{type(self).__name__}({self.name!r}, {self.top_dir!r})"

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        """Copy and pickle as :meth:`open` of the same environment: a copy never deletes a temporary environment.

        >>> import copy
        >>> with VenvRunner.temporary(with_pip=False) as venv:
        ...     copied = copy.copy(venv)
        ...     del copied
        ...     os.path.exists(venv.venv_dir)
        True
        """
        return self._reopening(type(self))

    def _reopening(self, kind: "type[VenvRunner]") -> tuple[Any, ...]:
        """Return what opens the environment again, its arguments, and the attributes that a subclass or a caller has added."""
        added = {name: value for name, value in vars(self).items() if name not in _NOT_COPIED}
        return _reopen, (kind, self.venv_dir, self._handle.wait, self.installer), added

    def _in_use(self) -> AbstractContextManager[Mapping[str, Any]]:
        return self._handle.command()

    def _changing(self) -> AbstractContextManager[Any]:
        return self._handle.changing()

    def _changing_async(self) -> AbstractAsyncContextManager[Any]:
        return self._handle.changing_async()


def _reopen(kind: type[VenvRunner], venv_dir: str, wait: float, installer: InstallerName) -> VenvRunner:
    """Return a runner for a copy; a function, because pickle finds only functions by their name."""
    return kind.open(venv_dir, wait=wait, installer=installer)
