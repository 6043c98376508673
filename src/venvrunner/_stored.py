"""Stored runners: runners whose environment may come from the store."""

import functools
import math
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar

from venvrunner._description import Description
from venvrunner._install.options import RequestOptions
from venvrunner._types import Exist, StrPath
from venvrunner._venv import layout
from venvrunner._venv.errors import explained
from venvrunner._venv.lease import Lease
from venvrunner._venv.temporary import TemporaryDirectory
from venvrunner.exceptions import CreationError, InvalidPathError, VenvInUseError
from venvrunner.installing import InstallerName, InstallingRunner, split_options

if TYPE_CHECKING:
    from venvrunner._store.entries import Prepared
    from venvrunner._store.preparation import Makers

__tracebackhide__ = True

DAY = 86_400.0
"""The default number of seconds for which *cached* trusts what requirements once resolved to."""
_Result = TypeVar("_Result")
_WAIT = 30.0
_TRIES = 3
"""How many times an entry of the store is prepared again if another process removes it at the same moment."""


def oldest(max_age: float) -> float:
    """Return the time from which on a resolution counts, from its greatest age in seconds; for ``0``, none does.

    Raises:
        TypeError, ValueError: *max_age* is not a number of seconds.
    """
    given: object = max_age
    if isinstance(given, bool) or not isinstance(given, int | float):
        msg = f"max_age must be a number of seconds, not {type(given).__name__}."
        raise TypeError(msg)
    if not given >= 0:
        msg = f"max_age must be a non-negative number of seconds, not {given!r}."
        raise ValueError(msg)
    return time.time() - given if given else math.inf


class StoredRunner(InstallingRunner):
    """The part of :class:`.VenvRunner` that holds the environment, and forks or copies entries of the store."""

    name: str
    top_dir: StrPath
    venv_dir: str

    @property
    def python_version(self) -> str:
        """The version of the environment's Python, such as ``"3.13.1"``, as ``pyvenv.cfg`` has it since the creation."""
        from venvrunner._venv.packages import recorded_version

        with explained(self.venv_dir, "read the version of Python"):
            version = recorded_version(self.venv_dir)
        if version is not None:
            return ".".join(map(str, version))
        argv = [self.python_executable, "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"]
        return self._run(self._in_use(), argv, None, None, None, env=self.environment()).stdout.strip()

    @property
    def scripts_dir(self) -> str:
        """The absolute path of the directory with the environment's commands."""
        return layout.CURRENT.scripts(self.venv_dir)

    @property
    def site_packages(self) -> str:
        """The absolute path of the directory in which the environment's own packages are installed."""
        from venvrunner._venv.packages import site_packages

        with explained(self.venv_dir, "find the packages"):
            return site_packages(self.venv_dir)

    def _set(self, name: str, top_dir: StrPath, lease: Lease) -> Self:
        self.name = name
        self.top_dir = top_dir
        self.venv_dir = lease.venv_dir
        self._lease = lease
        return self

    @classmethod
    def _made(cls, name: str, top_dir: StrPath, lease: Lease, installer: InstallerName) -> Self:
        runner = cls.__new__(cls)
        runner.installer = installer
        return cls._set(runner, name, top_dir, lease)

    def _keep(self, directory: TemporaryDirectory) -> None:
        self._lease.belong_to(directory)

    @classmethod
    def _derived(
        cls,
        parent_dir: str,
        name: str,
        top_dir: StrPath,
        *,
        installer: InstallerName,
        standalone: bool,
        exist: Exist,
        wait: float = _WAIT,
        purpose: dict[str, Any] | None = None,
        request: Any = None,
    ) -> Self:
        from venvrunner._create.fork import fork

        lease = Lease(layout.target(name, top_dir), wait)
        runner = cls._made(name, top_dir, lease, installer)
        install = cls._install_now
        fill = None if request is None else functools.partial(install, runner, request)
        fork(parent_dir, lease.venv_dir, lease.user, standalone=standalone, exist=exist, wait=wait, purpose=purpose, fill=fill)
        return runner

    @classmethod
    @abstractmethod
    def _makers(cls) -> "Makers":
        """Return the ways to make the runners of entries."""

    @classmethod
    def _with_entry(
        cls,
        description: Description,
        use: "Callable[[Prepared], _Result]",
        *,
        since: float,
        sources: RequestOptions | None = None,
    ) -> _Result | None:
        """Return what a function makes of the entry of the store for a description; ``None`` if the store cannot be used.

        Args:
            description: the description of an environment.
            use: the function; it is called again if another process removes the entry at the same moment.
            since: the time from which on a resolution of the requirements counts, in seconds since the epoch.
            sources: where packages come from, as keywords of an installation.
        """
        from venvrunner._store import lookup

        def prepare() -> "Prepared | None":
            from venvrunner._store import preparation

            return preparation.prepared(cls._makers(), description, since=since, sources=sources)

        for _ in range(_TRIES):
            found = lookup.find(description, since, sources or {}, prepare)
            if found is None:
                break
            try:
                return use(found)
            except (CreationError, InvalidPathError, VenvInUseError) as exc:
                from venvrunner._store import preparation  # only then

                if not preparation.is_lost(found, exc):
                    raise
        return None

    def _copy_entry(self, found: "Prepared", *, exist: Exist, purpose: dict[str, Any]) -> bool:
        from venvrunner._create.fork import fork

        lease = self._lease
        fork(
            found.entry.venv_dir, self.venv_dir, lease.user, standalone=True, exist=exist, wait=lease.wait, purpose=purpose,
            fill=functools.partial(self._install_editable, found.editable),
        )  # fmt: skip
        return True

    @classmethod
    def _from_store(cls, top_dir: str, options: Mapping[str, Any]) -> Self | None:
        """Return the runner of a fork of an entry in the store; ``None`` if the store cannot be used."""
        fields: dict[str, Any] = {name: value for name, value in options.items() if name in Description._fields}
        description = Description(**fields).repeatable()

        def fork(found: "Prepared") -> Any:
            parent, installer = found.entry.venv_dir, description.installer
            runner = cls._derived(parent, "venv", top_dir, installer=installer, standalone=False, exist="error")
            cls._install_editable(runner, found.editable)
            return runner

        runner: Self | None = cls._with_entry(description, fork, since=oldest(options.get("max_age", DAY)))
        return runner

    def _install_editable(self, directories: Sequence[str]) -> None:
        """Install the directories that an entry of the store cannot contain."""
        if directories:
            self._install_now(split_options((), {"editable": directories, "deps": False})[0])
