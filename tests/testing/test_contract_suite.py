"""The contract that ships for runners: every runner of the package keeps it, and each broken promise is found."""

import asyncio
import inspect
import itertools
import json
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import pytest

import venvrunner
from helpers.broken_runners import ENVIRONMENT_MUTANTS, MUTANTS, STAND_IN_MUTANTS, UNCHANGED
from venvrunner import FakeVenvRunner, Runner, VenvRunner
from venvrunner._fixtures.journal import Journal
from venvrunner._fixtures.recordings import KeptRecording
from venvrunner._fixtures.replays import NotedReplay, replays
from venvrunner._fixtures.runners import NotedVenvRunner, fake_runner, real_runners
from venvrunner.testing import RecordingVenvRunner, ReplayVenvRunner, ScriptedVenvRunner
from venvrunner.testing._examples import way_to_loop, way_to_run
from venvrunner.testing.contract import EXAMPLES, Backend, RunnerContract, StandInContract, VenvRunnerContract

pytest_plugins = ["pytester"]

_Result = TypeVar("_Result")


class Uvloop(Backend):
    """asyncio's tasks on another loop."""

    def run(self, main: Callable[[], Awaitable[_Result]]) -> _Result:
        async def call() -> _Result:
            return await main()

        with asyncio.Runner(loop_factory=pytest.importorskip("uvloop").new_event_loop) as runner:
            return runner.run(call())


class Trio(Backend):
    """Nothing of asyncio."""

    def run(self, main: Callable[[], Awaitable[_Result]]) -> _Result:
        result: _Result = pytest.importorskip("trio").run(main)
        return result

    async def gather(self, *functions: Callable[[], Awaitable[_Result]]) -> list[_Result]:
        results: dict[int, _Result] = {}

        async def one(number: int) -> None:
            results[number] = await functions[number]()

        async with pytest.importorskip("trio").open_nursery() as nursery:
            for number in range(len(functions)):
                nursery.start_soon(one, number)
        return [results[number] for number in range(len(functions))]

    async def turn(self) -> None:
        await pytest.importorskip("trio").lowlevel.checkpoint()


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory, venv: VenvRunner) -> Path:
    """A recording of each example, as often as a test may run it."""
    path = tmp_path_factory.mktemp("recordings") / "examples.json"
    with RecordingVenvRunner(venv, path) as runner:
        for example in EXAMPLES:
            try:
                runner.log_run(example.args, errors="replace", check=False, timeout=2 if example.returncode is None else None)
            except subprocess.TimeoutExpired:
                assert example.returncode is None
    whole = json.loads(path.read_text(encoding="utf-8"))
    whole["calls"] *= 3
    path.write_text(json.dumps(whole), encoding="utf-8")
    return path


def scripted(cls: type[ScriptedVenvRunner]) -> ScriptedVenvRunner:
    runner = cls()
    for args, stdout, stderr, returncode in EXAMPLES:
        runner.answer(args, stdout=stdout, stderr=stderr, returncode=returncode, times=None)
    return runner


KINDS: dict[str, type[Any]] = {
    "venv": VenvRunner,
    "fake": FakeVenvRunner,
    "scripted": ScriptedVenvRunner,
    "recording": RecordingVenvRunner,
    "replay": ReplayVenvRunner,
    "fixture": real_runners(Journal(), []),
    "fake fixture": type(fake_runner(Journal())),
    "recording fixture": KeptRecording,
    "replay fixture": replays(Journal()),
}


def new_runner(kind: str, cls: type[Any], request: pytest.FixtureRequest) -> Any:
    """Return a runner of one kind, of its class or of one derived from it."""
    if kind == "scripted":
        return scripted(cls)
    if kind.startswith("replay"):
        return cls(request.getfixturevalue("recording"))
    if kind.startswith("fake"):
        return cls()
    venv = request.getfixturevalue("venv")
    if kind.startswith("recording"):
        return cls(venv, "never-written.json")
    return cls.open(venv.venv_dir)


def test_every_runner_class_of_the_package_is_here() -> None:
    """Who adds one adds it to the contract."""
    waiting: list[type[Any]] = [Runner]
    found: set[str] = set()
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        if cls.__module__.startswith("venvrunner.") and not inspect.isabstract(cls):
            found.add(cls.__qualname__)
    # By name, as each session with the plugin has classes of its own, which are derived from the two below.
    bases = {NotedVenvRunner.__qualname__, NotedReplay.__qualname__}
    assert found == {cls.__qualname__ for cls in KINDS.values()} | bases


class TestFakeVenvRunner(StandInContract):
    @pytest.fixture
    def runner(self) -> Runner:
        return FakeVenvRunner()


class TestVenvRunner(VenvRunnerContract, StandInContract):
    @pytest.fixture
    def runner(self, venv: VenvRunner) -> Runner:
        return venv


class TestScriptedVenvRunner(VenvRunnerContract):
    @pytest.fixture
    def runner(self) -> Runner:
        return scripted(ScriptedVenvRunner)


class TestRecordingVenvRunner(VenvRunnerContract):
    @pytest.fixture
    def runner(self, venv: VenvRunner) -> Runner:
        return RecordingVenvRunner(venv, "never-written.json")


class TestRecordingOfADouble(VenvRunnerContract):
    """Whose commands run elsewhere, as far as the recording can see."""

    @pytest.fixture
    def runner(self) -> Runner:
        return RecordingVenvRunner(scripted(ScriptedVenvRunner), "never-written.json")


class TestReplayVenvRunner(VenvRunnerContract):
    @pytest.fixture
    def runner(self, recording: Path) -> Runner:
        return ReplayVenvRunner(recording)


class TestFixture(VenvRunnerContract, StandInContract):
    """The runner of the fixture `venv_runner`."""

    @pytest.fixture
    def runner(self, request: pytest.FixtureRequest) -> Runner:
        runner: Runner = new_runner("fixture", KINDS["fixture"], request)
        return runner


class TestFakeFixture(StandInContract):
    """The runner of the fixture `fake_venv_runner`."""

    @pytest.fixture
    def runner(self) -> Runner:
        return fake_runner(Journal())


class TestReplayFixture(VenvRunnerContract):
    """The runner of the fixture `recorded_venv_runner`, where a recording exists."""

    @pytest.fixture
    def runner(self, recording: Path) -> Runner:
        return replays(Journal())(recording)


class Everything(VenvRunnerContract, StandInContract):
    """Every promise."""


STAND_INS = {"venv", "fake", "fixture", "fake fixture"}
WAYS = {"call": ("log_run", "async_log_run"), "loop": ("lines", "async_lines")}


def runs_of(
    name: str, make: Callable[[], Any], backend: Backend | None = None, ways: Mapping[str, tuple[str, ...]] = WAYS
) -> Iterator[Callable[[], Any]]:
    """Yield the runs of a test of the contract, with each of its parameters and a new runner, as pytest would do them."""
    test: Any = getattr(Everything(), name)
    needed = inspect.signature(test).parameters
    backend = backend or Backend()
    sets: list[dict[str, Any]] = [{}]
    for mark in getattr(test, "pytestmark", []):
        names = mark.args[0].split(",") if isinstance(mark.args[0], str) else mark.args[0]
        sets = [dict(zip(names, value if len(names) > 1 else [value], strict=True)) for value in mark.args[1]]
    for way, more in itertools.product(next((ways[name] for name in ways if name in needed), ("",)), sets):
        runner = make()
        given = {"runner": runner, "backend": backend, **more}
        if getattr(runner, way, None):
            given |= {"call": way_to_run(runner, way, backend), "loop": way_to_loop(runner, way, backend)}
        yield partial(test, **{name: value for name, value in given.items() if name in needed})


ALL_MUTANTS = {**MUTANTS, **ENVIRONMENT_MUTANTS, **STAND_IN_MUTANTS}


@pytest.mark.parametrize("mutant", ALL_MUTANTS)
def test_a_broken_promise_is_found(
    mutant: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each runner class of the package, by the test that is named after it."""
    derive, name = ALL_MUTANTS[mutant]
    for kind, cls in KINDS.items():
        if (kind.startswith("fake") and mutant in ENVIRONMENT_MUTANTS) or (
            mutant in STAND_IN_MUTANTS and kind not in STAND_INS
        ):
            continue
        monkeypatch.chdir(tmp_path)
        assert not keeps(name, partial(new_runner, kind, derive(cls), request)), f"not found in {cls.__name__}"


def keeps(name: str, make: Callable[[], Any]) -> bool:
    try:
        for run in runs_of(name, make):
            run()
    except (Exception, pytest.fail.Exception):  # noqa: BLE001  any failure will do: a promise is kept or not
        return False
    return True


ASYNC_WAYS = {"call": ("async_log_run",), "loop": ("async_lines",)}


@pytest.mark.usefixtures("uvloop_opened")
@pytest.mark.parametrize("backend", [Uvloop(), Trio()], ids=["uvloop", "trio"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_contract_holds_on_every_loop(kind: str, backend: Backend, request: pytest.FixtureRequest) -> None:
    """Each promise about the asynchronous half, for each runner class of the package."""
    names = {name for name in dir(VenvRunnerContract) if name.startswith("test_")}
    if kind.startswith("fake"):
        names = {name for name in names if hasattr(RunnerContract, name)}
    asynchronous = {
        name
        for name in names
        if {"call", "loop", "backend"} & inspect.signature(getattr(VenvRunnerContract, name)).parameters.keys()
    }
    assert len(asynchronous) > 20
    for name in sorted(asynchronous):
        for run in runs_of(name, partial(new_runner, kind, KINDS[kind], request), backend, ASYNC_WAYS):
            run()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_else_of_a_broken_runner_is_broken(kind: str, request: pytest.FixtureRequest) -> None:
    """Derived in the same way but with nothing changed, a class keeps all these promises."""
    for name in {name for _derive, name in MUTANTS.values()}:
        for run in runs_of(name, partial(new_runner, kind, UNCHANGED(KINDS[kind]), request)):
            run()


def test_each_promise_is_broken_by_some_runner() -> None:
    """No test of the contract is without a runner that it finds."""
    names = {name for name in dir(Everything) if name.startswith("test_")}
    assert {name for _derive, name in ALL_MUTANTS.values()} == names


def test_the_interfaces_of_real_and_fake_are_equal() -> None:
    """The contract holds each stand-in to the names of the real runner; the fake has no others."""
    both = VenvRunner, FakeVenvRunner
    real, fake = ({*dir(cls), *chain(*map(inspect.get_annotations, cls.__mro__))} for cls in both)
    assert {name for name in real if not name.startswith("_")} == {name for name in fake if not name.startswith("_")}


@pytest.mark.parametrize(
    ("name", "new"),
    [
        ("in_the_future", lambda self: None),
        ("of_the_class", classmethod(lambda cls: None)),
        ("delete", lambda self, *, now: None),
    ],
)
def test_what_only_the_real_runner_has_is_found(name: str, new: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A method or an argument that is added to it breaks the contract of the fake."""
    monkeypatch.setattr(VenvRunner, name, new, raising=False)
    contract, fake = StandInContract(), FakeVenvRunner()
    names, arguments = (
        contract.test_it_has_every_public_name_of_a_real_runner,
        contract.test_its_methods_take_the_arguments_of_a_real_runner,
    )
    test = arguments if hasattr(fake, name) else names
    with pytest.raises(AssertionError, match=name):
        test(fake)


def test_the_contract_is_for_runners_of_ones_own(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test class with a fixture is enough; without the fixture it says what is missing."""
    monkeypatch.setenv("PYTHONPATH", str(Path(str(venvrunner.__file__)).parents[1]))
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    pytester.makepyfile(
        """
        import pytest
        from venvrunner.testing import FakeVenvRunner
        from venvrunner.testing.contract import RunnerContract

        class Silent(FakeVenvRunner):
            def environment(self, env=None):
                return None

        class TestGood(RunnerContract):
            @pytest.fixture
            def runner(self):
                return FakeVenvRunner()

        class TestBroken(RunnerContract):
            @pytest.fixture
            def runner(self):
                return Silent()

        class TestEmpty(RunnerContract):
            pass
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:randomly", "-q", "-k", "the_variables_are_a_new_dict or it_is_a_runner")
    result.assert_outcomes(passed=3, failed=1, errors=2)
    result.stdout.fnmatch_lines(["*RunnerContract needs a runner. Give the test class a fixture named runner*"])
