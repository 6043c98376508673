"""VenvSpec: the description of an environment as a value that can be sent to the process or machine that creates it."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Self, Unpack, cast

from venvrunner._async_runner import AsyncTemporary
from venvrunner._description import Description
from venvrunner._install.pylock import Lock, LockText
from venvrunner._install.requirement_forms import is_path
from venvrunner._redaction import Redactor
from venvrunner._stored import DAY
from venvrunner._types import Exist, StrPath
from venvrunner.exceptions import InvalidRequirementError, LockFileError
from venvrunner.installing import InstallerName, LockOptions, lock_order
from venvrunner.venv import VenvRunner

__tracebackhide__ = True

__all__ = ["VenvSpec"]

_WITHOUT_PATHS = "Use URLs, and leave out directories with lock_projects=False."
_WITH_URLS = "Use an index, or find_links= with a directory that all machines have, outside of the lock file's own."


@dataclass(frozen=True, kw_only=True)
class VenvSpec:
    r"""The description of an environment: a hashable value that can be pickled, and creates the environment anywhere.

    The arguments are those of :class:`VenvRunner`. They are checked immediately, except that the interpreter is searched for
    where the environment is created. Equal specifications create equal environments on one machine.

    Args:
        python: the interpreter: a version or a range, which is searched for on each machine, or a path; default: the running
            interpreter.
        requirements: the packages to install; paths are refused, because another machine may not have them, but a ``file:``
            URL is accepted. Default: none.
        lock: the path or URL of a lock file (PEP 751) to install instead. It is read now, and its text is part of the value.
            It must not list files by path, or directories unless *lock_projects* is false. Default ``None``.
        lock_extras: names of extras in the lock file to install too; default ``None``: none.
        lock_groups: names of dependency groups in the lock file; default ``None``: its default groups. ``[]`` selects none.
        lock_projects: install the directories that the lock file lists; default true.
        with_pip: install pip (no other package is ever seeded); default true.
        system_site_packages: make the packages of the interpreter visible; default false.
        prompt: the prompt of an activated shell; default: the name of the environment's directory.
        installer: the installer: ``"pip"`` (default) or ``"uv"``.

    Attributes:
        python: as given.
        requirements: as given, in a tuple.
        lock: the path of the lock file as given, together with its text.
        lock_extras: as given, in a tuple; or ``None``.
        lock_groups: as given, in a tuple; or ``None``.
        lock_projects: as given.
        with_pip: as given.
        system_site_packages: as given.
        prompt: as given.
        installer: as given.

    Raises:
        InvalidRequirementError: a requirement is wrong, or is a path.
        LockFileError: the lock file cannot be used, or lists files by path.
        TypeError, ValueError: another argument is wrong.

    >>> spec = VenvSpec(requirements=["pip"], with_pip=False)
    >>> spec == VenvSpec(requirements=("pip",), with_pip=False), {spec: "a key"}[spec]
    (True, 'a key')
    >>> with VenvSpec(prompt="mine").temporary() as venv:
    ...     venv.log_run(["python", "-c", "print('ready')"]).stdout
    'ready\n'
    """

    python: str | None = None
    requirements: Sequence[str] = ()
    lock: StrPath | None = None
    lock_extras: Sequence[str] | None = None
    lock_groups: Sequence[str] | None = None
    lock_projects: bool = True
    with_pip: bool = True
    system_site_packages: bool = False
    prompt: str | None = None
    installer: InstallerName = "pip"

    def __post_init__(self) -> None:
        """Check the arguments, and make them immutable."""
        if isinstance(self.python, os.PathLike):
            msg = (
                f"python must be a str, not {type(self.python).__name__}: another machine may not have this path."
                f" Use python={os.fspath(self.python)!r} if all machines have it."
            )
            raise TypeError(msg)
        if isinstance(self.requirements, Iterable) and not isinstance(self.requirements, str | bytes):
            object.__setattr__(self, "requirements", tuple(self.requirements))
            if paths := [os.fspath(text) for text in self.requirements if is_path(text)]:
                msg = (
                    f"{paths[0]!r} is a path, which another machine may not have."
                    " Use a URL, such as file:///... if all machines have it."
                )
                raise InvalidRequirementError(msg)
        _recipe, request = Description(**self._options()).checked()
        object.__setattr__(self, "requirements", request.requirements)
        if request.lock is not None:
            _check_travels(request.lock, _WITHOUT_PATHS)
            object.__setattr__(self, "lock_extras", request.lock.choice.extras)
            object.__setattr__(self, "lock_groups", request.lock.choice.groups)
            object.__setattr__(self, "lock", LockText(os.fspath(cast("StrPath", self.lock)), request.lock.text))

    @classmethod
    def from_script(
        cls,
        path: StrPath,
        *,
        python: str | None = None,
        requirements: Sequence[str] = (),
        lock: StrPath | None = None,
        **options: Any,
    ) -> Self:
        r"""Return the specification of the environment that a script describes in its inline metadata (PEP 723).

        The block ``# /// script`` can list ``dependencies`` and ``requires-python``; its ``[tool]`` tables are ignored. A
        script without such a block needs no packages.

        Args:
            path: the path of the script.
            python: an interpreter to use whatever the script requires. Default: the running one if ``requires-python``
                allows it, or the range in ``requires-python``.
            requirements: packages to install besides those that the script lists; default: none.
            lock: the path or URL of a lock file (PEP 751) to install instead of those; default ``None``.
            **options: see :class:`VenvSpec`.

        Returns:
            the specification.

        Raises:
            InvalidRequirementError: the script cannot be read, or its metadata is wrong; the message has the file and the line.
            LockFileError, TypeError, ValueError: another argument is wrong.

        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as top:
        ...     script = Path(top, "report.py")
        ...     _ = script.write_text("# /// script\n# dependencies = ['pocket>=1']\n# ///\n")
        ...     VenvSpec.from_script(script, with_pip=False)
        VenvSpec(requirements=('pocket>=1',), with_pip=False)
        """
        from venvrunner._install.inline_metadata import read_metadata  # few have scripts

        found = read_metadata(path)
        if lock is None and isinstance(requirements, Iterable) and not isinstance(requirements, str | bytes):
            requirements = (*found.requirements, *requirements)
        return cls(python=found.python if python is None else python, requirements=requirements, lock=lock, **options)

    def __repr__(self) -> str:
        """Return the call with the arguments that differ from their defaults, with credentials masked."""
        special = {one.name: value for one in fields(self) if (value := getattr(self, one.name)) != one.default}
        if self.lock is not None:
            special["lock"] = os.fspath(self.lock)
        shown = [f"{name}={value!r}" for name, value in special.items()]
        return f"{type(self).__name__}({Redactor().mask(', '.join(shown))})"

    def create(
        self,
        name: str,
        top_dir: StrPath,
        *,
        exist: Exist = "reuse",
        wait: float = 30.0,
        cached: bool = False,
        max_age: float = DAY,
    ) -> VenvRunner:
        """Create the environment in ``top_dir/name``, or reuse one that was created for an equal specification.

        Args:
            name: the name of the environment's directory: one plain name.
            top_dir: its parent directory, which is created if it does not exist.
            exist: how to treat an existing environment. ``"reuse"`` (default) keeps it if it was created for an equal
                specification; otherwise it recreates it and logs why. ``"clear"`` recreates it. ``"error"`` raises.
            wait: the maximum time to wait for other users of the environment, in seconds; default 30.
            cached: take the environment from the store, as :class:`VenvRunner` does; default false.
            max_age: the number of seconds for which *cached* trusts what requirements once resolved to; default a day.

        Returns:
            its runner.

        Raises:
            VenvError: see :class:`VenvRunner`.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as top:
        ...     VenvSpec(with_pip=False).create("venv", top).installed()
        {}
        """
        return VenvRunner(name, top_dir, exist=exist, wait=wait, cached=cached, max_age=max_age, **self._options())

    async def async_create(
        self,
        name: str,
        top_dir: StrPath,
        *,
        exist: Exist = "reuse",
        wait: float = 30.0,
        cached: bool = False,
        max_age: float = DAY,
    ) -> VenvRunner:
        """Same as :meth:`create`, but a coroutine, as :meth:`.VenvRunner.async_create` is."""
        return await VenvRunner.async_create(
            name, top_dir, exist=exist, wait=wait, cached=cached, max_age=max_age, **self._options()
        )

    def temporary(
        self,
        *,
        dir: StrPath | None = None,  # noqa: A002  as in tempfile
        cached: bool = False,
        max_age: float = DAY,
    ) -> VenvRunner:
        """Create the environment in a temporary directory, as :meth:`VenvRunner.temporary` does.

        Args:
            dir: the existing directory in which the temporary directory is created; default ``None``: the system's directory
                for temporary files.
            cached: take the environment from the store, as :class:`VenvRunner` does; default false.
            max_age: the number of seconds for which *cached* trusts what requirements once resolved to; default a day.

        Returns:
            its runner.

        Raises:
            InvalidPathError: *dir* is not an existing directory, or an environment would not work there.
            VenvError: see :class:`VenvRunner`.

        >>> with VenvSpec(with_pip=False).temporary() as venv:
        ...     venv.installed()
        {}
        """
        return VenvRunner.temporary(dir=dir, cached=cached, max_age=max_age, **self._options())

    def async_temporary(
        self,
        *,
        dir: StrPath | None = None,  # noqa: A002  as in tempfile
        cached: bool = False,
        max_age: float = DAY,
    ) -> AsyncTemporary[VenvRunner]:
        """Same as :meth:`temporary`, but an async context manager, as :meth:`.VenvRunner.async_temporary` is."""
        return VenvRunner.async_temporary(dir=dir, cached=cached, max_age=max_age, **self._options())

    def locked(self, path: StrPath, *requirements: StrPath, **options: Unpack[LockOptions]) -> "VenvSpec":
        """Write a lock file of what the requirements resolve to, and return a specification that installs exactly that.

        The requirements are resolved for the specification's interpreter, in a temporary environment.

        Args:
            path: the lock file, as for :meth:`.VenvRunner.lock`.
            *requirements: further requirements.
            **options: see :class:`~.LockOptions`.

        Returns:
            the same specification with the lock file instead of requirements.

        Raises:
            InvalidRequirementError: the specification has a lock file already, an argument is wrong, or there is nothing to
                lock; nothing was started.
            LockFileError: the lock file would list files or directories by path, which another machine may not have.
            VenvError: see :meth:`.VenvRunner.lock`; as for all errors, an existing lock file is unchanged.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as top:
        ...     spec = VenvSpec(requirements=["pip; python_version < '3'"]).locked(f"{top}/pylock.toml", no_index=True)
        >>> spec.requirements, str(spec.lock).endswith("pylock.toml")
        ((), True)
        """
        if self.lock is not None:
            msg = (
                f"the specification is locked already, by {os.fspath(self.lock)!r}. "
                "Call locked() on one with the requirements that the file was made from."
            )
            raise InvalidRequirementError(msg)
        order = lock_order(path, (*self.requirements, *requirements), options)
        with replace(self, requirements=()).temporary() as venv:
            venv._lock_now(order, check=partial(_check_travels, remedy=_WITH_URLS))  # noqa: SLF001  it has no public form
        return replace(self, requirements=(), lock=path)

    def _options(self) -> Any:
        return {one.name: getattr(self, one.name) for one in fields(self)}


def _check_travels(lock: Lock, remedy: str) -> None:
    if lock.needs_its_directory():
        what = f"the lock file {lock.path!r} lists files or directories by path, which another machine may not have"
        msg = f"{what}. {remedy}"
        raise LockFileError(msg)
