"""The pytest plugin: a fresh virtual environment for each test, in milliseconds.

The plugin is active as soon as venvrunner is installed. Little else is imported until a test requests a fixture.
"""

import argparse
import os
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, Literal

import pytest

from venvrunner import _plain_imports

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from venvrunner import FakeVenvRunner, Runner, VenvRunner
    from venvrunner._fixtures.journal import Journal
    from venvrunner._fixtures.measurement import Measurement
    from venvrunner._fixtures.parents import ParentOptions

__all__ = ["VenvRunnerFactory"]

INSTALLERS = ("pip", "uv")
_FIXTURES = frozenset({"venv_runner", "venv_runner_factory", "recorded_venv_runner", "venv_cell"})
_IN_CELLS = _FIXTURES - {"venv_runner_factory"}
_LISTS = {
    "requirements": "requirements",
    "editable": "editable projects",
    "dependency_groups": "dependency groups",
    "constraints": "constraints files",
}
_CHOICES = {"venv_installer": INSTALLERS, "venv_leaks": ("", "error"), "venv_missing_python": ("", "skip", "error")}
_SETTINGS = ("venv_coverage", "venv_store", "venv_lock", "venv_python", "venv_wheelhouse", *_CHOICES)
_JOURNAL = pytest.StashKey["Journal"]()
_DIRECTORIES = pytest.StashKey[set[tuple[str, tuple[int, int]]]]()
_SHARED = "venvrunner_folder"
_MISSING = "Skipped: no interpreter matches "


class VenvRunnerFactory:
    """Creates environments for tests and fixtures: the fixture ``venv_runner_factory``.

    The first call with some arguments prepares an environment, once for all processes of a test run. Each call with the same
    arguments returns a new fork of it.
    """

    def __init__(self, config: pytest.Config, directory: str, measurement: "Measurement | None" = None) -> None:
        from venvrunner._fixtures.parents import Parents  # not needed by every run
        from venvrunner._fixtures.runners import real_runners  # not needed by every run
        from venvrunner._fixtures.settings import since, suite  # not needed by every run

        self._journal = _journal(config)
        self._root = str(config.rootpath)
        runners = real_runners(self._journal, _wheelhouse(config), measurement)
        self._parents = Parents(runners, suite(config), directory, since(config))
        config.pluginmanager.register(self._parents)

    def __call__(
        self,
        *,
        requirements: Iterable[str | os.PathLike[str]] = (),
        python: str | os.PathLike[str] | None = None,
        lock: str | os.PathLike[str] | None = None,
        lock_extras: Iterable[str] | None = None,
        lock_groups: Iterable[str] | None = None,
        lock_projects: bool = True,
        editable: Iterable[str | os.PathLike[str]] = (),
        dependency_groups: Iterable[str] = (),
        constraints: Iterable[str | os.PathLike[str]] = (),
        installer: Literal["pip", "uv"] | None = None,
        with_pip: bool = True,
        resolution: Literal["highest", "lowest", "lowest-direct"] | None = None,
    ) -> "VenvRunner":
        """Return a new environment, which is deleted at the end of a ``with`` block, or when it is no longer used.

        It has what the settings of the suite name, too: requirements, editable projects, dependency groups and constraints are
        added to theirs. Relative paths are resolved against the rootdir.

        Args:
            requirements: the packages to install, each as for :meth:`.VenvRunner.install_package`; default: none.
            python: the interpreter, as for :class:`.VenvRunner`; default: the one that the options name.
            lock: the path or URL of a lock file (PEP 751) to install instead; default ``None``: the one of the setting. If the
                settings name requirements too, they are installed on top.
            lock_extras: names of extras in the lock file to install too; default ``None``: none.
            lock_groups: names of dependency groups in the lock file; default ``None``: its default groups.
            lock_projects: install the directories that the lock file lists; default true.
            editable: directories of projects to install in editable mode; default: none.
            dependency_groups: names of groups in the ``pyproject.toml`` of the rootdir, or ``"path/pyproject.toml:name"``
                (PEP 735); default: none.
            constraints: paths or URLs of constraints files for what is not from a lock file; default: none.
            installer: ``"pip"`` or ``"uv"``; default ``None``: the one of the options.
            with_pip: install pip; default true.
            resolution: which of the matching versions to install: ``"highest"``, or ``"lowest"`` or ``"lowest-direct"`` (the
                lowest of all packages, or of those that are named here), which need the installer uv; default ``None``: what
                the installer does otherwise, which is the highest.

        Returns:
            the runner.

        Raises:
            InvalidRequirementError, LockFileError: a requirement or the lock file is wrong, or the installer is pip, which
                cannot install the lowest versions.
            InterpreterNotFoundError: no interpreter matches; the message lists those that were found.
            VenvError: the environment cannot be prepared; see :class:`.VenvRunner`.
            TypeError, ValueError: an argument is wrong.
        """
        __tracebackhide__ = True  # not in the whole file: pytest 8 says of a report without frames that all are hidden
        self._journal.uses_mark = True  # the mark, if any, may have been passed on by the caller
        options: ParentOptions = {
            "requirements": requirements,
            "python": python,
            "lock": lock,
            "lock_extras": lock_extras,
            "lock_groups": lock_groups,
            "lock_projects": lock_projects,
            "editable": editable,
            "dependency_groups": dependency_groups,
            "constraints": constraints,
            "installer": installer,
            "with_pip": with_pip,
            "resolution": resolution,
        }
        return self._parents.fork(options, root=self._root)


@pytest.fixture(scope="session")
def venv_runner_factory(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VenvRunnerFactory]:
    """Create environments in fixtures of any scope: ``venv_runner_factory(requirements=["build"])`` returns a VenvRunner.

    Scope ``session``. It is a :class:`VenvRunnerFactory`; the environments that it has prepared are deleted at the end of the
    session.

    ::

        @pytest.fixture(scope="module")
        def tools(venv_runner_factory):
            with venv_runner_factory(requirements=["build"]) as runner:
                yield runner
    """
    from venvrunner._venv.temporary import identity, temporary_directory  # not needed by every run

    config, base = request.config, tmp_path_factory.getbasetemp()
    worker: dict[str, str] | None = getattr(config, "workerinput", None)
    if worker is None:
        with temporary_directory(str(base)) as directory:
            measurement = _measurement(config, directory)
            yield VenvRunnerFactory(config, directory, measurement)
            if measurement is not None:
                measurement.merge()
        return
    shared = base.parent / f"venvrunner-{worker['testrunuid']}"
    shared.mkdir(mode=0o700, exist_ok=True)
    # If a worker crashes, its reports are the only way to tell the controller which directory to remove.
    _journal(config).carried[_SHARED] = [str(shared), identity(str(shared))]
    measurement = _measurement(config, str(shared))
    yield VenvRunnerFactory(config, str(shared), measurement)
    if measurement is not None:
        measurement.merge()


@pytest.fixture
def venv_runner(request: pytest.FixtureRequest, venv_runner_factory: VenvRunnerFactory) -> Iterator["VenvRunner"]:
    """Provide a VenvRunner with an environment for this test alone, with the packages that the mark ``venv`` names.

    Scope ``function``. The environment is a fork of one that is prepared once for all tests with an equal mark, and is deleted
    at the end of the test. If the mark is wrong, or the environment cannot be prepared, the test ends with that error; the next
    test does not try again.

    ::

        @pytest.mark.venv(requirements=["build"])
        def test_it_builds(venv_runner, tmp_path):
            venv_runner.log_run(["python", "-m", "build", "--outdir", tmp_path])
    """
    from venvrunner._fixtures import marks, matrix  # not needed by every run
    from venvrunner.exceptions import VenvError, VenvInUseError  # not needed by every run

    cell, given = matrix.cell_of(request.node), dict[str, Any]()
    try:
        given = marks.arguments(request, cell.arguments if cell else {})
        runner = venv_runner_factory(**given)
    except (TypeError, ValueError, VenvError) as exc:
        missing = request.config.getini("venv_missing_python") or ("skip" if cell else "error")
        raise marks.failure(exc, request, given, skips=missing == "skip") from None
    # An environment that the test has forked stays until the end of the session.
    with suppress(VenvInUseError), runner, _watched(request, runner):
        yield runner


@pytest.fixture
def venv_cell(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Provide the arguments of the test's cell in its matrix: what the mark ``venv_matrix`` names, with one value of each.

    Scope ``function``. ``venv_runner`` has them already; a fixture that uses ``venv_runner_factory`` can pass them on. Without
    a matrix, the dict is empty.

    ::

        @pytest.mark.venv_matrix(python=["3.11", "3.13"])
        def test_version(venv_runner, venv_cell):
            assert venv_runner.python_version.startswith(venv_cell["python"])
    """
    from venvrunner._fixtures.matrix import cell_of  # not needed by every run

    _journal(request.config).uses_mark = True
    cell = cell_of(request.node)
    return dict(cell.arguments) if cell else {}


@pytest.fixture
def fake_venv_runner(request: pytest.FixtureRequest) -> "FakeVenvRunner":
    """Provide a FakeVenvRunner, which runs commands in the environment that the tests run in.

    Scope ``function``; it creates nothing.

    ::

        def test_version(fake_venv_runner):
            assert fake_venv_runner.log_run(["python", "--version"]).stdout.startswith("Python 3")
    """
    from venvrunner._fixtures.runners import fake_runner  # not needed by every run

    return fake_runner(_journal(request.config))


@pytest.fixture
def recorded_venv_paths() -> dict[str, str | os.PathLike[str]]:
    """Provide paths for the placeholders of ``recorded_venv_runner``, by name: none, unless you override this fixture.

    Return the paths that differ from run to run. In a recording, ``{name}`` replaces each of them.

    ::

        @pytest.fixture
        def recorded_venv_paths(checkout):  # a fixture of yours
            return {"checkout": checkout}
    """
    return {}


@pytest.fixture
def recorded_venv_runner(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    recorded_venv_paths: Mapping[str, str | os.PathLike[str]],
) -> Iterator["Runner"]:
    """Provide a runner that answers from a file in ``recordings`` beside the test, which ``--venv-record`` writes.

    Scope ``function``. It is a :class:`.ReplayVenvRunner`, or with the option a :class:`.RecordingVenvRunner` with a real
    environment for the mark ``venv``. The file is written if the test passes; also if no file exists and the test skips itself
    or fails as expected. ``--venv-record=changed`` writes only files whose replay would differ, and shows the difference.
    Without a file, the test ends with an error that names it. A call that is not in the file fails the test, and a recorded
    call that a passing test does not make is an error; the end of a ``with`` block in the test decides nothing. In the file,
    ``{tmp_path}`` replaces the path of the test's directory, ``{basetemp}`` that of all directories of ``tmp_path_factory``,
    and ``{name}`` each path that the fixture ``recorded_venv_paths`` names.

    ::

        def test_it_asks_for_the_version(recorded_venv_runner):
            assert recorded_venv_runner.log_run(["pip", "--version"]).stdout.startswith("pip ")
    """
    from venvrunner._fixtures.replays import provided  # not needed by every run
    from venvrunner.exceptions import RecordingError  # not needed by every run

    journal = _journal(request.config)
    journal.uses_mark = True  # it describes the environment of the recording
    paths = {"tmp_path": tmp_path, "basetemp": tmp_path_factory.getbasetemp()}
    try:
        block = provided(request, journal, paths, recorded_venv_paths)
    except (RecordingError, TypeError, ValueError) as exc:
        raise pytest.fail.Exception(str(exc), pytrace=False) from None
    with block as runner:
        yield runner


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and the settings; pytest has not yet imported any module of the tests."""
    _plain_imports.begin()
    group = parser.getgroup("venvrunner", "virtual environments for tests")
    group.addoption("--venv-installer", choices=INSTALLERS, help="the installer for them; overrides the setting venv_installer")
    group.addoption(
        "--venv-python", metavar="PYTHON", help="the interpreter for them: a path, a version or a range; overrides venv_python"
    )
    group.addoption(
        "--venv-wheelhouse",
        action="append",
        type=os.path.abspath,
        metavar="DIR",
        help="install from this directory instead of an index; repeatable; overrides venv_wheelhouse",
    )
    group.addoption(
        "--venv-record",
        action="store_const",
        const="all",
        help="let recorded_venv_runner run and record real commands; with =changed, write only what differs, and show it",
    )
    # An option of its own: with an optional value, --venv-record would take the path after it.
    group.addoption("--venv-record=changed", dest="venv_record", action="store_const", const="changed", help=argparse.SUPPRESS)
    group.addoption(
        "--venv-refresh", action="store_true", help="resolve the requirements of environments again, for newer releases"
    )
    group.addoption(
        "--venv-matrix",
        action="append",
        default=[],
        metavar="PATTERN",
        help="run only the cells of matrices whose ids match a pattern, such as 'py3.13-*'; repeatable",
    )
    parser.addini("venv_coverage", "measure commands in virtual environments, if coverage measures the tests", type="bool")
    parser.addini("venv_leaks", "error: a test fails if it leaves processes of its commands or files", default="")
    for name, what in _LISTS.items():
        parser.addini(f"venv_{name}", f"{what} in each virtual environment for tests; marks add to them", type="linelist")
    parser.addini("venv_lock", "the lock file that virtual environments for tests are installed from", default="")
    parser.addini("venv_missing_python", "what a test does whose interpreter is missing: skip or error", default="")
    parser.addini("venv_store", "take virtual environments for tests from the store", type="bool", default=True)
    parser.addini(
        "venv_installer", f"the installer of virtual environments for tests: {' or '.join(INSTALLERS)}", default="pip"
    )
    parser.addini("venv_python", "the interpreter of virtual environments for tests: a path, a version or a range", default="")
    parser.addini("venv_wheelhouse", "directories to install from instead of an index", type="paths", default=[])


def pytest_configure(config: pytest.Config) -> None:
    """Check the options and the settings."""
    for mark in (
        "venv(requirements=[...], python=..., lock=...): the packages and the interpreter of venv_runner's environment",
        "venv_matrix(python=[...], resolution=[...]): run the test in an environment for each combination of values",
    ):
        config.addinivalue_line("markers", mark)
    if config.getoption("venv_record") == "changed":
        from venvrunner._fixtures.changes import Changes  # not needed by every run

        config.pluginmanager.register(Changes(), Changes.NAME)
    for name in (*_SETTINGS, *(f"venv_{name}" for name in _LISTS)):
        try:
            value = config.getini(name)
        except (TypeError, ValueError, pytest.UsageError) as exc:  # which one depends on the release of pytest
            msg = str(exc) if name in str(exc) else f"{name}: {exc}"
            raise pytest.UsageError(msg) from None
        if value not in (choices := _CHOICES.get(name, (value,))):
            msg = f"{name}: {value!r} is not a choice. Use {' or '.join(repr(choice) for choice in choices if choice)}."
            raise pytest.UsageError(msg)
    for directory in _wheelhouse(config):
        if not os.path.isdir(directory):
            msg = f"venv_wheelhouse: the directory {directory!r} does not exist."
            raise pytest.UsageError(msg + " Create it, for example with 'pip wheel --wheel-dir'.")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test with a matrix once in each cell, if it uses an environment."""
    if metafunc.definition.get_closest_marker("venv_matrix") and not _IN_CELLS.isdisjoint(metafunc.fixturenames):
        from venvrunner._fixtures.matrix import spread  # not needed by every run

        spread(metafunc)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the cells that are not chosen."""
    if patterns := config.getoption("venv_matrix"):
        from venvrunner._fixtures.matrix import choose  # not needed by every run

        choose(config, items, patterns)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Warn about a mark that has no effect; a mark with other arguments may belong to another plugin."""
    result = yield
    if any(mark.name in {"venv", "venv_matrix"} for mark in item.own_markers):
        from venvrunner._fixtures.marks import without_effect  # not needed by every run

        journal = item.config.stash.get(_JOURNAL, None)
        msg = without_effect(item, _FIXTURES, is_used=journal is not None and journal.uses_mark)
        if msg is None:
            return result
        try:
            item.warn(pytest.PytestWarning(msg))
        except pytest.PytestWarning:  # warnings are errors; the source lines of this file are not worth showing
            raise pytest.fail.Exception(msg, pytrace=False) from None
    return result


def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter") -> None:
    """Say which Pythons were missing: a skip alone is easily overlooked."""
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", ())]
    if any(_MISSING in reason for reason in reasons):
        from venvrunner._fixtures.matrix import missing_pythons  # not needed by every run

        terminalreporter.section("missing Pythons")
        for line in missing_pythons(reasons, _MISSING):
            terminalreporter.line(line, yellow=True)


def pytest_report_from_serializable(config: pytest.Config, data: dict[str, Any]) -> None:
    """Read the directory of a pytest-xdist worker's environments from its report; other workers may still use them."""
    if _SHARED in data:
        path, which = data[_SHARED]
        config.stash.setdefault(_DIRECTORIES, set()).add((path, tuple(which)))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the environments of the workers, all of which have ended, and undo what ``pytest_addoption`` does."""
    _plain_imports.end()
    for path, which in config.stash.get(_DIRECTORIES, ()):
        from venvrunner._venv.temporary import remove_made  # not needed by every run

        remove_made(path, which)


def _journal(config: pytest.Config) -> "Journal":
    """Return the journal of the run, and register it as a plugin first if it is new."""
    if _JOURNAL not in config.stash:
        from venvrunner._fixtures.journal import Journal  # not needed by every run

        config.stash[_JOURNAL] = Journal()
        config.pluginmanager.register(config.stash[_JOURNAL])
    return config.stash[_JOURNAL]


def _measurement(config: pytest.Config, directory: str) -> "Measurement | None":
    if not config.getini("venv_coverage") or "coverage" not in sys.modules:
        return None
    from venvrunner._fixtures.measurement import measure  # not needed by every run

    return measure(config, directory)


def _watched(request: pytest.FixtureRequest, runner: Any) -> AbstractContextManager[None]:
    config = request.config
    if not config.getini("venv_leaks"):
        return nullcontext()
    from venvrunner._fixtures.leaks import watched  # not needed by every run

    # Other workers' tests write files at the same time.
    directories = set[str]() if hasattr(config, "workerinput") else {str(config.rootpath), os.getcwd()}
    basetemp: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    return watched(runner, _journal(config), directories, str(basetemp.getbasetemp()))


def _wheelhouse(config: pytest.Config) -> list[str]:
    return [str(directory) for directory in config.getoption("venv_wheelhouse") or config.getini("venv_wheelhouse")]
