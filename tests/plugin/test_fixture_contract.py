"""The pytest plugin: the runners of its fixtures keep the contract that the package ships."""

import pytest

from helpers.suites import run_suite
from helpers.waiting import DEADLINE

pytest_plugins = ["pytester"]

SUITE = """
    import inspect
    from unittest import mock

    import pytest
    from venvrunner import FakeVenvRunner, VenvRunner
    from venvrunner.testing import RecordingVenvRunner, ReplayVenvRunner
    from venvrunner.testing.contract import StandInContract, VenvRunnerContract

    class TestReal(VenvRunnerContract, StandInContract):
        @pytest.fixture
        def runner(self, venv_runner):
            return venv_runner

    class TestFake(StandInContract):
        @pytest.fixture
        def runner(self, fake_venv_runner):
            return fake_venv_runner

    class TestRecorded(VenvRunnerContract):
        @pytest.fixture
        def runner(self, recorded_venv_runner):
            return recorded_venv_runner

    @pytest.mark.parametrize(
        ("fixture", "plain"),
        [
            ("venv_runner", (VenvRunner,)),
            ("fake_venv_runner", (FakeVenvRunner,)),
            ("recorded_venv_runner", (RecordingVenvRunner, ReplayVenvRunner)),
        ],
    )
    def test_signatures(fixture, plain, request):
        runner = request.getfixturevalue(fixture)
        cls = next(cls for cls in plain if isinstance(runner, cls))
        for name in dir(cls):
            method = getattr(cls, name)
            if not name.startswith("_") and inspect.isroutine(method):
                assert inspect.signature(getattr(type(runner), name)) == inspect.signature(method), name
        double = mock.create_autospec(runner)
        for wrong in (), (["python"], None, None, None, True, "strict"):
            with pytest.raises(TypeError):
                double.log_run(*wrong)
            with pytest.raises(TypeError):
                double.lines(*wrong)
    """
REPLAYED = "not secrets_are_masked and not patch_of_the_module"
"""All tests but those of what no recording has: secrets, which are masked in it, and a call that a patch has answered."""


def test_the_signatures_of_the_fixtures_are_those_of_their_classes(pytester: pytest.Pytester) -> None:
    """So that a mock with `autospec=True` refuses a wrong call."""
    for option in ("--venv-record", "-v"):
        result = run_suite(pytester, SUITE, option, "-k", "signature or every_public_name or arguments_of_a_real")
        assert set(result.parseoutcomes()) == {"passed", "deselected"}
        assert result.parseoutcomes()["passed"] > 12


@pytest.mark.slow
@pytest.mark.parametrize("name", ["TestReal", "TestFake", "TestRecorded"])
def test_the_runners_of_all_fixtures_keep_the_contract(pytester: pytest.Pytester, name: str) -> None:
    """Each of its tests, also where it is recorded and then replayed."""
    options = {"TestRecorded": [("--venv-record", "-k", name), ("-k", f"{name} and {REPLAYED}")]}
    for chosen in options.get(name, [("-k", name)]):
        result = run_suite(pytester, SUITE, *chosen, timeout=15 * DEADLINE)
        assert set(result.parseoutcomes()) == {"passed", "deselected"}
        assert result.parseoutcomes()["passed"] > 90
