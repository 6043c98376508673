"""Parents: the environments that the tests of a session fork, each prepared once for all processes."""

import hashlib
import os
from collections.abc import Callable, Iterable
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict, cast, get_args

import pytest

from venvrunner._create.recipe import Recipe, check_recipe
from venvrunner._description import Description
from venvrunner._fixtures.runners import NotedVenvRunner
from venvrunner._install.pylock import Choice
from venvrunner._install.request import make_request
from venvrunner._install.requirement_forms import FILE, NAMED, URL, anchored, anchored_file
from venvrunner._types import StrPath
from venvrunner._venv.state import Ownership
from venvrunner.exceptions import InvalidRequirementError, VenvError
from venvrunner.installing import InstallerName, check_installer
from venvrunner.venv import VenvRunner

if TYPE_CHECKING:
    from venvrunner._install.options import RequestOptions

__tracebackhide__ = True

_WAIT = 1800.0
"""Seconds to wait for another process that prepares the same environment, which may include building packages."""
Resolution = Literal["highest", "lowest", "lowest-direct"]
"""Which of the matching versions to install."""


class ParentOptions(TypedDict, total=False):
    """The keywords of ``venv_runner_factory``."""

    requirements: Iterable[StrPath]
    python: StrPath | None
    lock: StrPath | None
    lock_extras: Iterable[str] | None
    lock_groups: Iterable[str] | None
    lock_projects: bool
    editable: Iterable[StrPath]
    dependency_groups: Iterable[str]
    constraints: Iterable[StrPath]
    installer: InstallerName | None
    with_pip: bool
    resolution: Resolution | None


class Wanted(NamedTuple):
    """The checked description of a parent, as its key, or a part of one: ``None`` is what it leaves open.

    Attributes:
        python: the interpreter, as for :class:`.VenvRunner`.
        installer: the installer.
        with_pip: install pip.
        resolution: which of the matching versions to install.
        lock: the absolute path of a lock file, or its URL.
        choice: the choice from the lock file.
        requirements: the checked requirements, with absolute paths, including those of dependency groups.
        editable: the projects to install in editable mode.
        constraints: the absolute paths or URLs of constraints files.
    """

    python: str | None = None
    installer: InstallerName | None = None
    with_pip: bool | None = None
    resolution: Resolution | None = None
    lock: str | None = None
    choice: Choice = Choice()
    requirements: tuple[str, ...] = ()
    editable: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()

    def plus(self, more: "Wanted") -> "Wanted":
        """Return this description with another one added, whose lock file and single values count."""
        return Wanted(
            more.python or self.python,
            more.installer or self.installer,
            self.with_pip if more.with_pip is None else more.with_pip,
            more.resolution or self.resolution,
            *((self.lock, self.choice) if more.lock is None else (more.lock, more.choice)),
            *(tuple(dict.fromkeys(chain(*both))) for both in zip(self[6:], more[6:], strict=True)),
        )

    def completed(self) -> "Wanted":
        """Return the description without what has no effect, and with defaults.

        Raises:
            InvalidRequirementError: the installer does not know the resolution.
        """
        installer, resolution = self.installer or "pip", self.resolution
        is_resolved = bool(self.requirements or self.editable)
        if installer == "pip" and resolution not in (None, "highest"):
            msg = f"resolution={resolution!r} needs installer='uv': pip always installs the highest matching versions."
            raise InvalidRequirementError(msg)
        return self._replace(
            installer=installer,
            with_pip=self.with_pip is not False,
            resolution=resolution if is_resolved and installer == "uv" else None,
            constraints=self.constraints if is_resolved else (),
        )

    def base(self) -> "Wanted | None":
        """Return the description of the environment that this one is a fork of, with more installed; ``None``: of none."""
        if self.lock is not None and (self.requirements or self.editable):
            return self._replace(requirements=(), editable=(), constraints=(), resolution=None)
        return self._replace(editable=()) if self.editable and self.requirements else None


def wanted(options: ParentOptions, *, root: str, lock: str | None = None) -> Wanted:
    """Check the description of an environment, and return it.

    Args:
        options: the keywords.
        root: the directory that relative paths are resolved against: of requirements, projects, files and the interpreter.
        lock: the lock file that extras and groups are chosen from if the options name none.

    Raises:
        TypeError: a value has the wrong type.
        ValueError: an installer or a resolution is unknown.
        InvalidRequirementError: a string is not a requirement.
        LockFileError: the lock file cannot be used.
    """
    python, installer, with_pip = options.get("python"), options.get("installer"), options.get("with_pip")
    resolution = options.get("resolution")
    check_recipe(Recipe(python, True if with_pip is None else with_pip))
    if installer is not None:
        check_installer(installer)
    if resolution is not None and resolution not in get_args(Resolution):
        msg = f"resolution must be one of {', '.join(map(repr, get_args(Resolution)))}, not {resolution!r}."
        raise ValueError(msg)
    requirements = _each(options.get("requirements", ()), anchored, root)
    asked: RequestOptions = {
        "editable": _each(options.get("editable", ()), _anchored_project, root),
        "dependency_groups": _each(options.get("dependency_groups", ()), _anchored_group, root),
        "constraints": _each(options.get("constraints", ()), anchored_file, root),
    }
    chosen: RequestOptions = {
        "lock_extras": options.get("lock_extras"),
        "lock_groups": options.get("lock_groups"),
        "lock_projects": options.get("lock_projects", True),
    }
    given = options.get("lock")
    file = anchored_file(given, root) if isinstance(given, str | os.PathLike) else given
    if file is None:
        request = make_request(requirements, asked)
        is_default = list(chosen.values()) == [None, None, True]
        locked = make_request((), {**chosen, "lock": None if is_default else lock}).lock
    else:
        request = make_request(requirements, {**asked, **chosen, "lock": file})
        locked = request.lock
        if resolution is not None:
            msg = "lock= installs exactly what the lock file lists. Leave out resolution=."
            raise InvalidRequirementError(msg)
    path, choice = (None, Choice()) if locked is None else (locked.path, locked.choice)
    place = None if python is None else anchored_interpreter(python, root)
    contents = (request.requirements, request.editable, request.constraints)
    return Wanted(place, installer, with_pip, resolution, path, choice, *contents)


def _each(values: Any, place: Callable[[StrPath, str], StrPath], root: str) -> Any:
    """Return a collection with its paths resolved; what is wrong stays, and is reported by the check of the request."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        return values
    several = cast("Iterable[StrPath]", values)
    return [place(value, root) if isinstance(value, str | os.PathLike) else value for value in several]


def _anchored_project(text: StrPath, root: str) -> StrPath:
    is_bare = isinstance(text, os.PathLike) or not (URL.match(text) or FILE.match(text) or NAMED.fullmatch(text))
    return os.path.join(root, text) if is_bare and os.fspath(text).strip() else anchored(text, root)


def _anchored_group(text: StrPath, root: str) -> StrPath:
    path, _, name = os.fspath(text).rpartition(":")
    return f"{os.path.join(root, path or 'pyproject.toml')}:{name}"


def anchored_interpreter(python: StrPath, directory: str) -> str:
    """Return a ``python`` value; a path in it is resolved against a directory instead of the working directory.

    >>> anchored_interpreter("bin/python", "/project"), anchored_interpreter("3.12", "/project")
    ('/project/bin/python', '3.12')
    """
    text = os.fspath(python)
    is_path = isinstance(python, os.PathLike) or os.path.basename(text) != text
    return os.path.join(directory, os.path.expanduser(text)) if is_path else text


class Parents:
    """The environments that are forked for tests; as a plugin, it sees when a test is run again.

    Args:
        runners: the class of their runners.
        suite: the description that all of them have in common.
        directory: their parent directory, which all processes of the session share.
        since: the time from which on a resolution in the store counts, in seconds since the epoch; ``None``: do not use the
            store.
    """

    def __init__(self, runners: type[NotedVenvRunner], suite: Wanted, directory: str, since: float | None = None) -> None:
        self._runners = runners
        self._suite = suite
        self._directory = directory
        self._since = since
        self._known: dict[Wanted, NotedVenvRunner | VenvError] = {}
        self._is_rerun = False
        self._test: pytest.Item | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Note whether the test has run before, so that what failed then is tried again."""
        # The number is that of pytest-rerunfailures: the first run may have been before this object existed.
        self._is_rerun = item is self._test or getattr(item, "execution_count", 1) > 1
        self._test = item

    def fork(self, options: ParentOptions, *, root: str) -> VenvRunner:
        """Return a fork of the environment for a description; the first call prepares the environment.

        Args:
            options: the description, without what all have in common.
            root: the directory that relative paths are resolved against.

        Raises:
            TypeError, ValueError: the description is wrong.
            VenvError: the environment cannot be prepared; later calls raise the same error without another attempt, unless the
                test is run again.
        """
        more = wanted(options, root=root, lock=self._suite.lock)
        return self._parent(self._suite.plus(more).completed()).temporary_fork(self._directory)

    def _parent(self, wanted: Wanted) -> NotedVenvRunner:
        parent = self._known.get(wanted)
        if parent is None or (isinstance(parent, VenvError) and self._is_rerun):
            try:
                parent = self._prepare(wanted)
            except VenvError as exc:
                parent = exc
            self._known[wanted] = parent
        if isinstance(parent, VenvError):
            raise parent.with_traceback(None)
        return parent

    def _prepare(self, wanted: Wanted) -> NotedVenvRunner:
        installer = wanted.installer or "pip"
        if self._since is not None and not (wanted.base() or wanted.editable or wanted.constraints or wanted.resolution):
            stored = self._runners.from_store(_description(wanted), self._since)
            if stored is not None:
                return stored
        base = None if (found := wanted.base()) is None else self._parent(found)
        name = hashlib.sha256(repr(wanted).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        path = os.path.join(self._directory, name)
        # Not exist="reuse": a project's directory counts as changed each time, and the parent must not change while tests run.
        with Ownership(f"{path}.turn").held(_WAIT, make=True):
            if os.path.exists(f"{path}.ready"):
                return self._runners.open(path, installer=installer)
            if base is None:
                with_pip = wanted.with_pip is not False
                parent = self._runners(name, self._directory, python=wanted.python, installer=installer, with_pip=with_pip)
            else:
                parent = base.fork(name, self._directory)
            try:
                _fill(parent, wanted)
            except BaseException:
                parent.delete()
                raise
            with open(f"{path}.ready", "x", encoding="utf-8"):
                return parent


def _fill(parent: NotedVenvRunner, wanted: Wanted) -> None:
    """Install into a parent what its base does not have."""
    if wanted.requirements or wanted.editable:
        # The requirements of the base are among them, so that what is added cannot break them in silence.
        variables = {} if wanted.resolution is None else {"UV_RESOLUTION": wanted.resolution}
        parent.install(*wanted.requirements, editable=wanted.editable, constraints=wanted.constraints, extra_env=variables)
    elif wanted.lock:
        extras, groups, projects = wanted.choice
        parent.install(lock=wanted.lock, lock_extras=extras, lock_groups=groups, lock_projects=projects)


def _description(wanted: Wanted) -> Description:
    extras, groups, projects = wanted.choice
    return Description(
        python=wanted.python,
        requirements=wanted.requirements,
        lock=wanted.lock,
        lock_extras=extras,
        lock_groups=groups,
        lock_projects=projects,
        with_pip=wanted.with_pip is not False,
        installer=wanted.installer or "pip",
    )
