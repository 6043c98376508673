"""The description of an environment: what a `VenvRunner` creates and a `VenvSpec` keeps, checked in one place."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from venvrunner._types import Exist, StrPath
from venvrunner.installing import InstallerName, check_installer

if TYPE_CHECKING:
    from venvrunner._create.recipe import Recipe
    from venvrunner._install.request import Request

__tracebackhide__ = True


class VenvOptions(TypedDict, total=False):
    r"""The keywords that describe an environment, with the meanings and defaults of the arguments of :class:`.VenvRunner`.

    >>> from venvrunner import VenvOptions, VenvRunner
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
    cached: bool
    max_age: float


class CreateOptions(VenvOptions, total=False):
    """The keywords of :meth:`.VenvRunner.async_create`: these, and :class:`~venvrunner.VenvOptions`.

    The meanings and defaults are those of the arguments of :class:`.VenvRunner`.

    >>> from venvrunner.venv import CreateOptions
    >>> options: CreateOptions = {"exist": "reuse", "with_pip": False}
    """

    exist: Exist
    wait: float


class Description(NamedTuple):
    """The arguments that describe an environment, as given; their meanings are those of :class:`.VenvRunner`."""

    python: StrPath | None = None
    requirements: Iterable[StrPath] = ()
    lock: StrPath | None = None
    lock_extras: Iterable[str] | None = None
    lock_groups: Iterable[str] | None = None
    lock_projects: bool = True
    with_pip: bool = True
    system_site_packages: bool = False
    prompt: str | None = None
    installer: InstallerName = "pip"

    def repeatable(self) -> "Description":
        """Return the description with collections in place of iterators, which can be read only once."""
        several: dict[str, Any] = {name: getattr(self, name) for name in ("requirements", "lock_extras", "lock_groups")}
        kept: dict[str, Any] = {name: tuple(value) if hasattr(value, "__next__") else value for name, value in several.items()}
        return self._replace(**kept)

    def checked(self) -> "tuple[Recipe, Request]":
        """Check everything except that the interpreter exists; return how to create the environment, and what to install.

        Raises:
            TypeError, ValueError: an argument is wrong.
            InvalidRequirementError, LockFileError: a requirement or the lock file is wrong.

        >>> recipe, request = Description(requirements=["pocket"], with_pip=False).checked()
        >>> recipe.requirements, request.requirements
        (('pocket',), ('pocket',))
        """
        from venvrunner._create.recipe import Recipe, check_recipe
        from venvrunner._install.request import make_request

        check_installer(self.installer)
        recipe = Recipe(self.python, self.with_pip, self.system_site_packages, self.prompt)
        check_recipe(recipe)
        request = make_request(
            self.requirements,
            {
                "lock": self.lock,
                "lock_extras": self.lock_extras,
                "lock_groups": self.lock_groups,
                "lock_projects": self.lock_projects,
            },
        )
        return recipe._replace(requirements=request.contents()), request
