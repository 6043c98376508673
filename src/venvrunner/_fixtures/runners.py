"""The runners of tests: the journal records their commands, and they install from the wheelhouse."""

import contextlib
import functools
import os
import subprocess
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack

from venvrunner import subprocess_util
from venvrunner._description import Description
from venvrunner._fixtures.journal import Journal
from venvrunner._install.request import Request, make_request
from venvrunner._install.steps import Call
from venvrunner._process.checks import kept_secrets
from venvrunner._types import StrPath
from venvrunner._venv.temporary import TemporaryDirectory
from venvrunner.fake import FakeVenvRunner
from venvrunner.installing import InstallOptions, Receipt
from venvrunner.runner import Runner
from venvrunner.subprocess_util import CompletedCommand
from venvrunner.venv import VenvRunner

if TYPE_CHECKING:
    from venvrunner._fixtures.measurement import Measurement
    from venvrunner._store.entries import Prepared
    from venvrunner._store.preparation import Makers

__tracebackhide__ = True

_TEMPORARY = ("TMPDIR", "TEMP", "TMP")
_COVERAGE = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")
_SOURCES = {"index_url", "extra_index_urls", "find_links", "no_index"}


class NotedRunner(Runner):
    """A runner whose commands the journal records."""

    _journal: ClassVar[Journal]

    def log_run(self, args: Sequence[StrPath], *given: Any, **options: Any) -> CompletedCommand:
        with self._journal.note(args, options) as entry:
            return entry.done(super().log_run(args, *given, **options))

    async def async_log_run(self, args: Sequence[StrPath], *given: Any, **options: Any) -> CompletedCommand:
        with self._journal.note(args, options) as entry:
            return entry.done(await super().async_log_run(args, *given, **options))

    def lines(self, args: Sequence[StrPath], **options: Any) -> Generator[str, None, CompletedCommand]:
        kept_secrets(options)  # the journal reads them too
        options.setdefault("keep", subprocess_util.KEEP_OF_LINES)
        found = super().lines(args, **options)

        def iterate() -> Generator[str, None, CompletedCommand]:
            with self._journal.note(args, options) as entry:
                return entry.done((yield from found))

        return iterate()

    def async_lines(self, args: Sequence[StrPath], **options: Any) -> AsyncGenerator[str, None]:
        kept_secrets(options)  # the journal reads them too
        options.setdefault("keep", subprocess_util.KEEP_OF_LINES)
        found = super().async_lines(args, **options)

        async def iterate() -> AsyncGenerator[str, None]:
            with self._journal.note(args, options):
                async with contextlib.aclosing(found):
                    async for line in found:
                        yield line

        return iterate()


for _name in ("log_run", "async_log_run", "lines", "async_lines"):
    functools.update_wrapper(getattr(NotedRunner, _name), getattr(Runner, _name))  # including the signature


class NotedVenvRunner(NotedRunner, VenvRunner):
    """A runner with a real environment, for a test."""

    _sources: ClassVar[InstallOptions]
    _measurement: ClassVar["Measurement | None"]

    def temporary_fork(self, directory: str) -> Self:
        """Create a temporary fork: it is deleted together with a new directory below the given one."""
        with TemporaryDirectory(directory) as temporary:
            runner = self.fork("venv", temporary.name)
            runner._keep(temporary)  # noqa: SLF001  an object of this class
            if self._measurement is not None:
                self._measurement.add(runner.site_packages)
        return runner

    def own_temporary_files(self) -> str:
        """Create an empty directory for the temporary files of this runner's commands, and return its path."""
        path = os.path.join(os.path.dirname(self.venv_dir), "tmp")
        os.mkdir(path)
        self._temporary_files = path, {name: os.environ.get(name) for name in _TEMPORARY}
        return path

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        variables = super().environment(env)
        if self._measurement is not None:  # a coverage of the environment's own would start with the settings of the tests
            for name in _COVERAGE:
                if variables.get(name) == os.environ.get(name):
                    variables.pop(name, None)
        if "_temporary_files" in vars(self):
            path, before = self._temporary_files
            # Not if the test has set another directory, or has given variables without one.
            names = before.keys() if env is None else before.keys() & env.keys()
            variables |= {name: path for name in names if variables.get(name) == before[name]}
        return variables

    @classmethod
    def _makers(cls) -> "Makers":
        from venvrunner._store.preparation import Makers

        return Makers(cls, cls._derived, cls.temporary, cls._build_wheel)  # the journal records what they run

    @classmethod
    def from_store(cls, description: Description, since: float) -> Self | None:
        """Return a runner for the entry of the store; ``None`` if there cannot be one, so that the caller creates a parent.

        Args:
            description: the description of an environment.
            since: the time from which on a resolution of its requirements counts, in seconds since the epoch.
        """
        sources: Any = cls._sources

        def open_entry(found: "Prepared") -> Any:
            return None if found.editable else cls.open(found.entry.venv_dir, installer=description.installer)

        runner: Self | None = cls._with_entry(description, open_entry, since=since, sources=sources)
        return runner

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        """Pickle as a plain runner: another process does not have the journal or this class."""
        return self._reopening(VenvRunner)

    def __copy__(self) -> Self:
        reopen, arguments, added = self._reopening(type(self))
        runner: Self = reopen(*arguments)
        vars(runner).update(added)
        return runner

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.__copy__()

    def install(self, *requirements: StrPath, **options: Unpack[InstallOptions]) -> Receipt:
        return super().install(*requirements, **self._with_sources(options))

    async def async_install(self, *requirements: StrPath, **options: Unpack[InstallOptions]) -> Receipt:
        return await super().async_install(*requirements, **self._with_sources(options))

    def _with_sources(self, options: InstallOptions) -> InstallOptions:
        return options if options.keys() & _SOURCES else {**options, **self._sources}

    def _install_now(self, request: "Request", **options: Any) -> Receipt:
        sources: Any = {} if request.has_sources() else self._sources
        places = make_request((), sources)
        with_sources = request._replace(find_links=(*request.find_links, *places.find_links), no_index=places.no_index)
        return super()._install_now(with_sources if sources else request, **options)

    def _perform(self, call: Call) -> subprocess.CompletedProcess[str]:
        with self._journal.note(call.argv, call.options) as entry:
            return entry.done(super()._perform(call))


def real_runners(
    journal: Journal, wheelhouse: Sequence[str], measurement: "Measurement | None" = None
) -> type[NotedVenvRunner]:
    """Return the class of a session's real runners."""
    sources: InstallOptions = {"find_links": list(wheelhouse), "no_index": True} if wheelhouse else {}

    class Bound(NotedVenvRunner):
        _journal = journal
        _sources = sources
        _measurement = measurement

    Bound.__name__ = VenvRunner.__name__  # for its repr
    return Bound


def fake_runner(journal: Journal) -> FakeVenvRunner:
    """Return a runner for the environment that the tests run in."""

    class Bound(NotedRunner, FakeVenvRunner):
        _journal = journal

        def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
            return FakeVenvRunner, (), self.__getstate__()

    Bound.__name__ = FakeVenvRunner.__name__  # for its repr
    return Bound()
