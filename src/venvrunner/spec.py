"""VenvSpec: what an environment is to be, as a value that can travel to where the environment is made."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import cast

from venvrunner._create.creation import Exist
from venvrunner._create.recipe import Recipe, check_recipe
from venvrunner._install.pylock import LockText
from venvrunner._install.request import RequestOptions, make_request
from venvrunner._install.requirement_forms import is_path
from venvrunner._process.sinks import Redactor
from venvrunner._types import StrPath
from venvrunner.exceptions import InvalidRequirementError, LockFileError
from venvrunner.installing import InstallerName, check_installer
from venvrunner.venv import VenvOptions, VenvRunner

__tracebackhide__ = True

__all__ = ["VenvSpec"]


@dataclass(frozen=True, kw_only=True)
class VenvSpec:
    r"""What an environment is to be: a value that is hashable, can be pickled, and becomes a runner wherever it arrives.

    The arguments are those of :class:`VenvRunner`, checked at once, but for the interpreter, which is looked for where the
    environment is made. Equal specifications make equal environments on one machine.

    Args:
        python: as there; a version or a range is found on any machine.
        requirements: as there, but for paths, which another machine need not have; a ``file:`` URL is taken.
        lock: as there; the lock file is read now, and its text travels. It must not name files by paths, or directories, unless
            *lock_projects* is false.
        lock_extras: as there.
        lock_groups: as there.
        lock_projects: as there.
        with_pip: as there.
        system_site_packages: as there.
        prompt: as there.
        installer: as there.

    Attributes:
        python: as given.
        requirements: those given, as a tuple.
        lock: the path of the lock file, as given, which has the text with it.
        lock_extras: those given, as a tuple; ``None``: as given.
        lock_groups: the same.
        lock_projects: as given.
        with_pip: as given.
        system_site_packages: as given.
        prompt: as given.
        installer: as given.

    Raises:
        InvalidRequirementError: a requirement is wrong, or a path.
        LockFileError: the lock file can't be used, or names files by paths.
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
        check_installer(self.installer)
        check_recipe(Recipe(self.python, self.with_pip, self.system_site_packages, self.prompt))
        if not isinstance(self.python, str | None):
            msg = "python must be a str: a path is that of this machine! Write str() around it if all machines have it."
            raise TypeError(msg)
        if not isinstance(self.requirements, str):
            object.__setattr__(self, "requirements", tuple(self.requirements))
            if paths := [os.fspath(text) for text in self.requirements if is_path(text)]:
                msg = (
                    f"{paths[0]!r} is a path, which another machine may not have. Give a URL; file:/// if all machines have it."
                )
                raise InvalidRequirementError(msg)
        chosen: RequestOptions = {
            "lock_extras": self.lock_extras,
            "lock_groups": self.lock_groups,
            "lock_projects": self.lock_projects,
        }
        request = make_request(self.requirements, {"lock": self.lock, **chosen})
        object.__setattr__(self, "requirements", request.requirements)
        if request.lock is not None:
            if request.lock.needs_its_directory():
                why = f"the lock file {request.lock.path!r} names files or directories by paths"
                msg = (
                    f"{why}, which another machine may not have. Use URLs, and leave out directories with lock_projects=False."
                )
                raise LockFileError(msg)
            object.__setattr__(self, "lock_extras", request.lock.choice.extras)
            object.__setattr__(self, "lock_groups", request.lock.choice.groups)
            object.__setattr__(self, "lock", LockText(os.fspath(cast("StrPath", self.lock)), request.lock.text))

    def __repr__(self) -> str:
        """Show what differs from the defaults, with credentials masked."""
        special = {one.name: value for one in fields(self) if (value := getattr(self, one.name)) != one.default}
        if self.lock is not None:
            special["lock"] = os.fspath(self.lock)
        shown = [f"{name}={value!r}" for name, value in special.items()]
        return f"{type(self).__name__}({Redactor().mask(', '.join(shown))})"

    def create(self, name: str, top_dir: StrPath, *, exist: Exist = "reuse", wait: float = 30.0) -> VenvRunner:
        """Make the environment in ``top_dir/name``, or take the one that is there if it was made for an equal specification.

        Args:
            name: as for :class:`VenvRunner`.
            top_dir: as there.
            exist: as there, but ``"reuse"`` by default.
            wait: as there.

        Returns:
            its runner.

        Raises:
            VenvError: as there.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as top:
        ...     VenvSpec(with_pip=False).create("venv", top).installed()
        {}
        """
        return VenvRunner(name, top_dir, exist=exist, wait=wait, **self._options())

    def temporary(self) -> VenvRunner:
        """Make the environment in a temporary directory; see :meth:`VenvRunner.temporary`.

        Returns:
            its runner.

        Raises:
            VenvError: as for :class:`VenvRunner`.

        >>> with VenvSpec(with_pip=False).temporary() as venv:
        ...     venv.installed()
        {}
        """
        return VenvRunner.temporary(**self._options())

    def _options(self) -> VenvOptions:
        return cast("VenvOptions", {one.name: getattr(self, one.name) for one in fields(self)})
