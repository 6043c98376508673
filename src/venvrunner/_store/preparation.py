"""Preparation: find the entry of the store for a description, or create it."""

import contextlib
import os
import subprocess
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from venvrunner._create import archive, interpreters
from venvrunner._create.fork import NOT_FOR_FORKS
from venvrunner._create.recipe import Recipe
from venvrunner._description import Description
from venvrunner._install.metadata import normalized
from venvrunner._install.options import RequestOptions
from venvrunner._install.pylock import Choice, Lock, LockText, read_lock
from venvrunner._install.request import Request, make_request
from venvrunner._install.requirement_forms import shown
from venvrunner._install.toml import lock_text
from venvrunner._redaction import MASK, Redactor
from venvrunner._store import keys, location, projects
from venvrunner._store.entries import Entry, Prepared, all_entries, write_file
from venvrunner._store.projects import Wheel
from venvrunner._venv.errors import explained
from venvrunner._venv.layout import CURRENT
from venvrunner._venv.temporary import temporary_directory
from venvrunner._venv.waiting import logger
from venvrunner.exceptions import LockFileError, VenvError, VenvInUseError
from venvrunner.installing import InstallingRunner

__tracebackhide__ = True

_BUSY = 1.0
"""Seconds to wait for users of a damaged entry before it is left alone."""
_TRIES = 3
"""How many times to prepare again if another process removes meanwhile what is needed."""


class Makers(NamedTuple):
    """The ways to make the runners of entries.

    Attributes:
        create: creates an environment; the constructor of a :class:`.VenvRunner`.
        derive: forks or copies an environment.
        temporary: creates a temporary environment.
        build_wheel: builds the wheel of a local project with a runner's installer.
    """

    create: Callable[..., InstallingRunner]
    derive: Callable[..., InstallingRunner]
    temporary: Callable[..., Any]
    build_wheel: Callable[..., None]


class _UnusableError(VenvError):
    """The store cannot serve a description."""


def prepared(
    makers: Makers, description: Description, *, since: float, sources: RequestOptions | None = None
) -> Prepared | None:
    """Return the entry for a description, which is created if the store does not have it.

    Args:
        makers: the ways to make its runner.
        description: the description of an environment.
        since: the time from which on a resolution of the requirements counts, in seconds since the epoch.
        sources: where packages come from, as keywords of an installation.

    Returns:
        the entry; ``None`` if the store cannot be used, so that the environment is to be created without it.

    Raises:
        VenvError: the environment cannot be created with or without the store; see :class:`.VenvRunner`.
        TypeError, ValueError: an argument is wrong.
    """
    recipe, request = description.checked()
    limit = location.max_size()
    if request.is_empty() or recipe.system_site_packages:  # packages of the system may change at any time
        return None
    try:
        store = location.directory()
        if store is None:
            msg = f"{location.location()!r} must be a store or an empty directory, in a place that no other user can change"
            raise _UnusableError(msg)
        preparation = _Preparation(makers, description, recipe, store, limit, sources or {})
        return preparation.perform(request, since)
    except (VenvError, OSError, subprocess.SubprocessError) as exc:
        # If it is not the store's fault, the creation without it fails too, and says why.
        logger().info("creating the environment without the store: %s", str(exc).rstrip("."))
        return None


def is_lost(found: Prepared, error: VenvError) -> bool:
    """Return whether an entry is to blame for an error: it was removed or damaged, or it is in use.

    A damaged one is created anew when it is next needed.

    Args:
        found: the entry.
        error: the error of a fork or a copy of it.
    """
    entry = found.entry
    if isinstance(error, VenvInUseError):
        return repr(os.path.realpath(entry.venv_dir)) in str(error)
    if entry.is_sound():
        return False
    with contextlib.suppress(OSError):
        entry.forget()
    return True


class _IncompleteError(_UnusableError):
    """A lock file that the store keeps cannot be installed, because it must be resolved again."""


class _Preparation:
    def __init__(
        self, makers: Makers, description: Description, recipe: Recipe, store: str, limit: int, sources: RequestOptions
    ) -> None:
        self._makers = makers
        self._description = description
        self._store = store
        self._limit = limit
        self._sources = sources
        self._interpreter = interpreters.find(recipe.python)
        self._base = keys.base(self._interpreter, description)
        self._options: dict[str, Any] = {
            name: getattr(description, name) for name in ("python", "with_pip", "system_site_packages", "prompt", "installer")
        }
        self._from = [self._settings(), dict(sources)]
        self._needed: list[str] = []

    def perform(self, request: Request, since: float) -> Prepared:
        """Return the entry for a request, again if another process has removed what is needed for it meanwhile."""
        for last in range(_TRIES):
            self._needed.clear()
            try:
                found = self._prepare(request, since)
            except (VenvError, OSError, subprocess.SubprocessError) as exc:
                is_worth_trying = isinstance(exc, _IncompleteError) or not all(map(os.path.exists, self._needed))
                if last == _TRIES - 1 or not is_worth_trying:
                    raise
            else:
                found.entry.touch()
                return found
        raise AssertionError

    def _prepare(self, request: Request, since: float) -> Prepared:
        if request.lock is not None:
            return self._from_lock(request.lock)
        others, local = projects.split(request.requirements)
        wheels = [self._wheel(project) for project in local]
        what = [*map(shown, others), *(f"the dependencies of {wheel.name}" for wheel in wheels)]
        path = self._resolution(others, wheels)
        lock = self._resolved(path, [*others, *(wheel.requirement() for wheel in wheels)], since)
        try:
            parent = self._locked(_without(lock, {wheel.name for wheel in wheels}), what)
            chosen = [wheel for wheel in wheels if _applies(wheel, self._interpreter.version)]
            return Prepared(self._with_wheels(parent, chosen), (), path)
        except (VenvError, subprocess.SubprocessError):
            with contextlib.suppress(OSError):
                os.unlink(path)  # what cannot be installed is not taken for good: a file may be gone from the index
            raise

    def _from_lock(self, lock: Lock) -> Prepared:
        plain, editable = lock.directories()
        wheels = [self._wheel(projects.Project(path)) for path in plain]
        entry = self._locked(lock, [os.path.basename(lock.path)])
        return Prepared(self._with_wheels(entry, wheels), tuple(editable))

    def _locked(self, lock: Lock, what: list[str]) -> Entry:
        """Return the entry with what a lock file selects, without its local directories."""
        choice = lock.choice._replace(projects=False)
        entry = Entry(self._store, keys.digest(self._base, Redactor().mask(lock.text), _in_order(choice), self._from))

        def create(**options: Any) -> InstallingRunner:
            if MASK in lock.text and os.path.dirname(lock.path) == os.path.join(self._store, "locks"):
                msg = f"{lock.path!r} is kept without credentials"
                raise _IncompleteError(msg)
            chosen = {"lock_extras": choice.extras, "lock_groups": choice.groups, "lock_projects": False}
            text = LockText(lock.path, lock.text)
            return self._makers.create(*self._place(entry), lock=text, **chosen, **self._options, **options)

        return self._made(entry, create, what)

    def _with_wheels(self, parent: Entry, wheels: Sequence[Wheel]) -> Entry:
        """Return the entry that is a fork of another one, with further wheels."""
        if not wheels:
            return parent
        entry = Entry(self._store, keys.digest(parent.key, sorted(wheel.key + wheel.name for wheel in wheels)))
        self._needed.append(parent.venv_dir)

        def create(**options: Any) -> InstallingRunner:
            request = make_request([wheel.path for wheel in wheels], {"deps": False, **self._sources})
            record = {"store": entry.key}
            return self._makers.derive(
                parent.venv_dir, *self._place(entry), installer=self._description.installer,
                standalone=False, purpose=record, request=request, **options,
            )  # fmt: skip

        return self._made(entry, create, [wheel.project.path for wheel in wheels], parent.key)

    def _made(self, entry: Entry, create: Callable[..., InstallingRunner], what: list[str], parent: str | None = None) -> Entry:
        """Return an entry, which is created unless it is usable; one process creates it, and the others wait."""
        if entry.is_usable():
            return entry
        with location.turn(self._store, entry.key):
            if entry.is_usable():
                return entry
            entry.forget()
            self._discard_forks(entry)
            logger().info("preparing an environment in the store: %s", Redactor().mask(", ".join(what)) or "no packages")
            runner = None
            try:
                runner = create(exist="clear", wait=_BUSY)
                with explained(entry.venv_dir):
                    _refuse_changes(entry.venv_dir)
                    _expect_bytecode(entry.venv_dir)
                    entry.write(Redactor().mask_all(what), str(self._interpreter), parent)
            except BaseException:
                runner = None  # it uses the environment
                self._abandon(entry)
                raise
            del runner
        self._shrink(entry)
        return entry

    def _discard_forks(self, parent: Entry) -> None:
        """Remove the entries that are forks of a damaged one, and the notes of abandoned forks: they would keep it."""
        if os.path.lexists(parent.venv_dir):
            from venvrunner._store import maintenance  # only where something is damaged

            for entry in all_entries(self._store):
                if (note := entry.note()) is not None and note.parent == parent.key:
                    maintenance.discard(entry)
            with contextlib.suppress(VenvError, OSError):
                maintenance.thaw(parent.venv_dir)

    def _abandon(self, entry: Entry) -> None:
        from venvrunner._store import maintenance  # only after a failure

        maintenance.discard(entry)

    def _shrink(self, entry: Entry) -> None:
        from venvrunner._store import maintenance  # only where something was added

        with contextlib.suppress(OSError):
            maintenance.prune(self._store, self._limit, keep=[entry.key])

    def _place(self, entry: Entry) -> tuple[str, str]:
        return entry.key, os.path.dirname(entry.venv_dir)

    def _resolution(self, others: list[str], wheels: Sequence[Wheel]) -> str:
        """Return the path of the lock file that keeps what requirements resolve to."""
        parts = [*map(projects.fingerprint, others), *(repr((wheel.metadata, wheel.project[1:])) for wheel in wheels)]
        key = keys.digest(self._base, sorted(Redactor().mask_all(parts)), self._from)
        return os.path.join(self._store, "locks", f"pylock.{key}.toml")

    def _resolved(self, path: str, requirements: list[str], since: float) -> Lock:
        """Return what requirements resolve to, as a lock file."""
        if (lock := _kept(path, since)) is None:
            with location.turn(self._store, os.path.basename(path).split(".")[1]):
                if (lock := _kept(path, since)) is None:
                    return self._resolve(path, requirements)
        return lock

    def _resolve(self, path: str, requirements: list[str]) -> Lock:
        """Resolve requirements, and keep the result without the credentials that it may contain."""
        with temporary_directory() as directory, self._bare() as runner:
            new = os.path.join(directory, "pylock.toml")
            runner.lock(new, *sorted(requirements), **self._sources)
            text = read_lock(new).text
        write_file(path, Redactor().mask(text))
        return read_lock(LockText(path, text))

    def _settings(self) -> str:
        from venvrunner.environment import get_clean_environment  # the one that installers get

        return keys.settings(self._description.installer, get_clean_environment(), os.getcwd())

    def _wheel(self, project: projects.Project) -> Wheel:
        def build(path: str, directory: str) -> None:
            with self._bare() as runner:
                self._makers.build_wheel(runner, path, directory, self._sources)

        with location.turn(self._store, keys.digest(project.path)):
            found = projects.wheel(project, self._store, [self._base, self._from], build)
        self._needed.append(found.path)
        return found

    def _bare(self) -> Any:
        """Return a temporary environment in which installers are run."""
        return self._makers.temporary(**self._options)


def _kept(path: str, since: float) -> Lock | None:
    """Return a resolution that still counts; one from the future does, since the clock may have been wrong."""
    try:
        is_fresh = os.stat(path).st_mtime > since
        return read_lock(path) if is_fresh else None
    except (OSError, LockFileError):
        return None


def _in_order(choice: Choice) -> list[Any]:
    """Return a choice in a form in which the order of the names does not count."""
    return [None if names is None else sorted(set(names)) for names in (choice.extras, choice.groups)]


def _without(lock: Lock, names: set[str]) -> Lock:
    """Return a lock file without some packages."""
    if not names:
        return lock
    table = lock.content.to_dict()
    packages = [package for package in table["packages"] if normalized(package["name"]) not in names]
    text = lock_text({**table, "packages": packages})
    return read_lock(LockText(lock.path, text), lock.choice)


def _applies(wheel: Wheel, version: str) -> bool:
    """Return whether the marker of a project applies to this platform and a version of Python."""
    if not wheel.project.marker:
        return True
    from packaging.markers import Marker  # slow to import

    python = {"python_full_version": version, "python_version": ".".join(version.split(".")[:2])}
    return Marker(wheel.project.marker).evaluate(python)


def _expect_bytecode(venv_dir: str) -> None:
    """Create the directories in which Python keeps the bytecode of single modules: later, they would look like a change."""
    for directory in CURRENT.package_directories(venv_dir):
        if any(name.endswith(".py") for name in os.listdir(directory)):
            os.makedirs(os.path.join(directory, "__pycache__"), exist_ok=True)


def _refuse_changes(venv_dir: str) -> None:
    """Make pip refuse to install into an entry: it reads this file, and shows the wrong value of the setting."""
    why = "no: this environment belongs to the store of venvrunner. Fork it instead;"
    text = "".join(f"[{section}]\nbreak-system-packages = {why}\n" for section in ("install", "uninstall"))
    content = NOT_FOR_FORKS + text.encode()
    archive.write(os.path.join(venv_dir, CURRENT.pip_settings), content, executable=False, exclusive=False)
