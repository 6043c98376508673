"""Parents: the environments that the tests of a session fork, each prepared once for all processes."""

import hashlib
import os
from collections.abc import Iterable
from typing import NamedTuple

from venvrunner._create.recipe import wrong_python
from venvrunner._description import Description
from venvrunner._fixtures.runners import NotedVenvRunner
from venvrunner._install.options import RequestOptions
from venvrunner._install.pylock import Choice
from venvrunner._install.request import make_request
from venvrunner._install.requirement_forms import anchored, anchored_file
from venvrunner._types import StrPath
from venvrunner._venv.state import Ownership
from venvrunner.exceptions import VenvError
from venvrunner.installing import InstallerName
from venvrunner.venv import VenvRunner

__tracebackhide__ = True

_WAIT = 1800.0
"""Seconds to wait for another process that prepares the same environment, which may include building packages."""


class Wanted(NamedTuple):
    """The description of a parent, as its key.

    Attributes:
        python: the interpreter, as for :class:`.VenvRunner`.
        requirements: the checked requirements, with absolute paths.
        lock: the absolute path of a lock file, or its URL.
        choice: the choice from the lock file.
    """

    python: str | None
    requirements: tuple[str, ...]
    lock: str | None
    choice: Choice


def wanted(requirements: Iterable[StrPath], python: StrPath | None, options: RequestOptions, *, root: str) -> Wanted:
    """Check the description of an environment, and return it.

    Args:
        requirements: the requirements, as for :class:`.VenvRunner`.
        python: the interpreter, as for :class:`.VenvRunner`.
        options: a lock file instead of requirements, and the choice from it.
        root: the directory that relative paths of requirements, of the lock file and of the interpreter are resolved against.

    Raises:
        TypeError: a value has the wrong type.
        InvalidRequirementError: a string is not a requirement.
        LockFileError: the lock file cannot be used.
    """
    if not (python is None or isinstance(python, str | os.PathLike)):
        raise TypeError(wrong_python(python))
    if isinstance(requirements, Iterable) and not isinstance(requirements, str):
        requirements = [anchored(text, root) if isinstance(text, str | os.PathLike) else text for text in requirements]
    lock = options.get("lock")
    lock = anchored_file(lock, root) if isinstance(lock, str | os.PathLike) else lock
    request = make_request(requirements, {**options, "lock": lock})
    found = None if python is None else anchored_interpreter(python, root)
    if request.lock is None:
        return Wanted(found, request.requirements, None, Choice())
    return Wanted(found, (), request.lock.path, request.lock.choice)


def anchored_interpreter(python: StrPath, directory: str) -> str:
    """Return a ``python`` value; a path in it is resolved against a directory instead of the working directory.

    >>> anchored_interpreter("bin/python", "/project"), anchored_interpreter("3.12", "/project")
    ('/project/bin/python', '3.12')
    """
    text = os.fspath(python)
    is_path = isinstance(python, os.PathLike) or os.path.basename(text) != text
    return os.path.join(directory, os.path.expanduser(text)) if is_path else text


class Parents:
    """The environments that are forked for tests.

    Args:
        runners: the class of their runners.
        installer: their installer.
        directory: their parent directory, which all processes of the session share.
        since: the time from which on a resolution in the store counts, in seconds since the epoch; ``None``: do not use the
            store.
    """

    def __init__(
        self, runners: type[NotedVenvRunner], installer: InstallerName, directory: str, since: float | None = None
    ) -> None:
        self._runners = runners
        self._installer: InstallerName = installer
        self._directory = directory
        self._since = since
        self._known: dict[Wanted, NotedVenvRunner | VenvError] = {}

    def fork(self, wanted: Wanted) -> VenvRunner:
        """Return a fork of the environment for a description; the first call prepares the environment.

        Raises:
            VenvError: the environment cannot be prepared; later calls raise the same error without another attempt.
        """
        parent = self._known.get(wanted)
        if parent is None:
            try:
                parent = self._prepare(wanted)
            except VenvError as exc:
                parent = exc
            self._known[wanted] = parent
        if isinstance(parent, VenvError):
            raise parent.with_traceback(None)
        return parent.temporary_fork(self._directory)

    def _prepare(self, wanted: Wanted) -> NotedVenvRunner:
        if self._since is not None and (stored := self._runners.from_store(self._description(wanted), self._since)) is not None:
            return stored
        name = hashlib.sha256(repr(wanted).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        path = os.path.join(self._directory, name)
        # Not exist="reuse": a project's directory counts as changed each time, and the parent must not change while tests run.
        with Ownership(f"{path}.turn").held(_WAIT, make=True):
            if os.path.exists(f"{path}.ready"):
                return self._runners.open(path, installer=self._installer)
            parent = self._runners(name, self._directory, python=wanted.python, installer=self._installer)
            try:
                if wanted.lock:
                    extras, groups, projects = wanted.choice
                    parent.install(lock=wanted.lock, lock_extras=extras, lock_groups=groups, lock_projects=projects)
                elif wanted.requirements:
                    parent.install(*wanted.requirements)
            except BaseException:
                parent.delete()
                raise
            with open(f"{path}.ready", "x", encoding="utf-8"):
                return parent

    def _description(self, wanted: Wanted) -> Description:
        python, requirements, lock, (extras, groups, projects) = wanted
        return Description(
            python=python,
            requirements=requirements,
            lock=lock,
            lock_extras=extras,
            lock_groups=groups,
            lock_projects=projects,
            installer=self._installer,
        )
