"""The matrix of a test: its cells and their ids, which are chosen, and what a missing Python does."""

import os
import sys
from pathlib import Path

import pytest

from helpers.suites import environments, make_wheelhouse, run_suite
from helpers.wheels import make_wheel

pytest_plugins = ["pytester"]

VERSION = ".".join(map(str, sys.version_info[:2]))
FAST = "venv_wheelhouse = wheelhouse\nvenv_installer = uv\n"


def make_versions(pytester: pytest.Pytester) -> Path:
    """Make a wheelhouse with two versions of pocket, and needy, which needs it."""
    wheels = make_wheelhouse(pytester, "pocket")
    make_wheel(wheels, "pocket", "2.0")
    make_wheel(wheels, "needy", requires=["pocket>=1"])
    return wheels


MATRIX = f"""
import pytest

@pytest.mark.venv_matrix(python=["{VERSION}"], resolution=["lowest", "highest"])
@pytest.mark.venv(requirements=["needy"])
def test_versions(venv_runner, venv_cell):
    expected = {{"lowest": "1.0", "highest": "2.0"}}[venv_cell["resolution"]]
    assert venv_runner.installed()["pocket"] == expected
    assert venv_cell["python"] == "{VERSION}" == ".".join(venv_runner.python_version.split(".")[:2])

@pytest.mark.venv(requirements=["needy"])
@pytest.mark.venv_matrix(requirements={{"old": "pocket<2"}})
def test_added(venv_runner):
    assert venv_runner.installed()["needy"] == venv_runner.installed()["pocket"] == "1.0"

def test_plain(venv_cell):
    assert venv_cell == {{}}
"""


def test_a_test_runs_in_each_cell(pytester: pytest.Pytester) -> None:
    """Its id names the cell; the lowest versions are installed where that is asked for."""
    make_versions(pytester)
    result = run_suite(pytester, MATRIX, "-v", settings=FAST)
    result.assert_outcomes(passed=4)
    names = [line.split("::")[1].split()[0] for line in result.outlines if "::" in line]
    cells = [f"test_versions[py{VERSION}-{resolution}]" for resolution in ("lowest", "highest")]
    assert names == [*cells, "test_added[old]", "test_plain"]


def test_cells_are_chosen_by_a_pattern(pytester: pytest.Pytester) -> None:
    """Others are deselected; a pattern that chooses none is an error that lists the cells."""
    suite = """
        import pytest

        @pytest.mark.parametrize("number", [1, 2])
        @pytest.mark.venv_matrix(python=["3.98", "3.99"], requirements={"old": "pocket<2", "new": ["pocket>=2"]})
        def test_it(venv_runner, number): pass

        def test_plain(): pass
        """
    result = run_suite(pytester, suite, "--collect-only", "-q", "--venv-matrix=*3.98-old", "--venv-matrix=py3.99*")
    found = [line.partition("::")[2] for line in result.outlines if "::" in line]
    assert sorted(name for name in found if "1" in name) == [
        *("test_it[py3.98-old-1]", "test_it[py3.99-new-1]", "test_it[py3.99-old-1]"),
    ]
    assert "test_plain" in found
    result.stdout.fnmatch_lines(["7/9 tests collected (2 deselected) *"])
    result = run_suite(pytester, suite, "--venv-matrix=py2*")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --venv-matrix: no cell matches 'py2[*]'. The cells are py3.98-old, py3.98-new, py3.99*"]
    )
    result = run_suite(pytester, suite, "--venv-matrix=py2*", "-n1", plugins=["xdist"])
    result.assert_outcomes(errors=8, passed=1)
    result.stdout.fnmatch_lines(["--venv-matrix: no cell matches 'py2[*]'. The cells are py3.98-old, *"])
    run_suite(pytester, "def test(): pass", "--venv-matrix=py2*").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("setting", "outcomes"),
    [("", {"skipped": 2, "errors": 1}), ("skip", {"skipped": 3}), ("error", {"errors": 3})],
)
def test_a_missing_python_is_a_loud_skip(pytester: pytest.Pytester, setting: str, outcomes: dict[str, int]) -> None:
    """Of a cell, and of a mark if the setting says so; or an error, if it says that. The summary counts them."""
    result = run_suite(
        pytester,
        """
        import pytest

        @pytest.mark.venv_matrix(python=["3.98", "3.99"])
        def test_cell(venv_runner): pass

        @pytest.mark.venv(python="3.99")
        def test_mark(venv_runner): pass
        """,
        "-rs",
        settings=f"venv_missing_python = {setting}",
    )
    result.assert_outcomes(**outcomes)
    if "skipped" in outcomes:
        count = outcomes["skipped"] - 1
        result.stdout.fnmatch_lines(
            [
                "*= missing Pythons =*",
                "1 skipped: no interpreter matches '3.98'",
                f"{count} skipped: no interpreter matches '3.99'",
                "To let such tests fail, set venv_missing_python = error.",
                "SKIPPED [[]1] test_suite.py:3: no interpreter matches '3.98'. *",
            ]
        )
    if "errors" in outcomes:
        result.stdout.fnmatch_lines(
            ["*InterpreterNotFoundError: no interpreter matches '3.99'. *", "test_suite.py:*: in the mark*"]
        )


@pytest.mark.parametrize("python", ["3..12", "pyhton3", os.sep])
def test_a_wrong_python_is_an_error_and_no_skip(pytester: pytest.Pytester, python: str) -> None:
    """It is wrong on each machine, so that the tests would never run."""
    suite = f"""
        import pytest

        @pytest.mark.venv_matrix(python=[{python!r}])
        def test_cell(venv_runner): pass

        @pytest.mark.venv(python={python!r})
        def test_mark(venv_runner): pass
        """
    result = run_suite(pytester, suite, settings="venv_missing_python = skip")
    result.assert_outcomes(errors=2)


def test_a_matrix_that_spreads_no_test_is_reported(pytester: pytest.Pytester) -> None:
    """A test that asks for its environment late, or in a fixture, and a mark of a parameter, run once each."""
    result = run_suite(
        pytester,
        """
        import pytest

        @pytest.fixture
        def tools(venv_runner_factory):
            return venv_runner_factory()

        @pytest.mark.venv_matrix(python=["3.98"])
        def test_factory(tools): pass

        @pytest.mark.venv_matrix(python=["3.98"])
        def test_late(request):
            request.getfixturevalue("venv_runner")

        @pytest.mark.parametrize("number", [pytest.param(1, marks=pytest.mark.venv_matrix(python=["3.98"]))])
        def test_parameter(venv_runner, number): pass
        """,
        "-W",
        "error",
    )
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["the mark venv_matrix has no effect: *"] * 3)


def test_ids_have_no_password_and_no_empty_part(pytester: pytest.Pytester) -> None:
    """They are shown, and a recording has the name of its test."""
    result = run_suite(
        pytester,
        """
        import pytest

        @pytest.mark.venv_matrix(requirements=[["p @ https://me:s3cr3t@host/p.whl"], "plugin/", ()])
        def test_it(venv_runner): pass
        """,
        "--collect-only",
        "-q",
    )
    result.stdout.fnmatch_lines(
        ["*::test_it[[]p_@_https_@host_p.whl[]]", "*::test_it[[]plugin[]]", "*::test_it[[]no_requirements[]]"]
    )
    result.stdout.no_fnmatch_line("*s3cr3t*")


def test_workers_prepare_each_cell_once(pytester: pytest.Pytester) -> None:
    """Whichever of them runs its tests."""
    make_versions(pytester)
    pytester.makeconftest(
        """
        from venvrunner._fixtures import parents

        def counted(parent, wanted, fill=parents._fill):
            with open("count", "a") as file:
                file.write(f"{wanted.resolution}\\n")
            fill(parent, wanted)

        parents._fill = counted
        """
    )
    result = run_suite(
        pytester,
        """
        import pytest

        @pytest.mark.venv_matrix(resolution=["lowest-direct", "lowest"])
        @pytest.mark.venv(requirements=["needy"])
        @pytest.mark.parametrize("number", range(4))
        def test_it(venv_runner, number):
            assert "pocket" in venv_runner.installed()
        """,
        *("-n2", "-rA"),
        plugins=["xdist"],
        settings=FAST,
    )
    result.assert_outcomes(passed=8)
    assert sorted((pytester.path / "count").read_text().split()) == ["lowest", "lowest-direct"]
    assert not environments(pytester)


def test_the_cells_of_a_class_are_those_of_tests_that_use_an_environment(pytester: pytest.Pytester) -> None:
    """Others run once; a fixture that prepares an environment itself takes the arguments of the cell."""
    result = run_suite(
        pytester,
        f"""
        import pytest
        pytestmark = pytest.mark.venv_matrix(python=[{sys.executable!r}], with_pip=[True, False])

        @pytest.fixture
        def tool(venv_runner_factory, venv_cell):
            with venv_runner_factory(**venv_cell) as runner:
                yield runner

        def test_none(): pass

        def test_factory(venv_runner_factory): pass

        class TestSome:
            def test_tool(self, tool, venv_cell):
                assert ("pip" in tool.installed()) == venv_cell["with_pip"]

            @pytest.mark.venv_matrix(python=[None])
            def test_own(self, venv_runner):
                assert "pip" in venv_runner.installed()

            def test_late(self, venv_cell, request):
                assert ("pip" in request.getfixturevalue("venv_runner").installed()) == venv_cell["with_pip"]
        """,
        "-v",
    )
    result.assert_outcomes(passed=7)
    name = Path(sys.executable).name
    result.stdout.fnmatch_lines(
        [f"*::test_tool[[]{name}-with_pip]*", f"*::test_tool[[]{name}-without_pip]*", "*test_own[[]py]*"]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("['3.13']", "TypeError: the mark venv_matrix takes keyword arguments only: requirements, *. Use venv_matrix(python=*"),
        ("pythons=['3.13']", "TypeError: the mark venv_matrix has no argument 'pythons'. It takes requirements, python, *"),
        (
            "python='3.13'",
            "TypeError: python must be a list of values, one for each cell, or a dict of them by name, not '3.13'.",
        ),
        ("python=[]", "TypeError: python must be a list of values, one for each cell, or a dict of them by name, not [[]]."),
        ("python=['3.13', '3.13']", "ValueError: two cells have the id 'py3.13'. Name the values: python={'mine': *"),
    ],
)
def test_a_wrong_matrix_is_one_clear_error_of_its_module(pytester: pytest.Pytester, arguments: str, message: str) -> None:
    """With its line."""
    suite = f"import pytest\n\n@pytest.mark.venv_matrix({arguments})\ndef test_it(venv_runner): pass\n"
    result = run_suite(pytester, suite)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message, "test_suite.py:3: in the mark venv_matrix"])


def test_what_a_cell_says_wrongly_names_both_marks(pytester: pytest.Pytester) -> None:
    """The lowest versions with pip, which has no such option; an unknown resolution; a number for a version."""
    result = run_suite(
        pytester,
        """
        import pytest

        @pytest.mark.venv_matrix(resolution=["lowest", "newest"], requirements=[["wheel"]])
        def test_resolution(venv_runner): pass

        @pytest.mark.venv(requirements=["wheel"])
        @pytest.mark.venv_matrix(python=[3.13])
        def test_python(venv_runner): pass

        @pytest.mark.venv_matrix(python=["3.13"])
        def test_useless(): pass
        """,
    )
    result.assert_outcomes(errors=3, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*InvalidRequirementError: resolution='lowest' needs installer='uv': pip always installs the highest *",
            "test_suite.py:3: in the mark venv_matrix",
            "ValueError: resolution must be one of 'highest', 'lowest', 'lowest-direct', not 'newest'.",
            "TypeError: python must be a str or a path, not float. Write python='3.13'.",
            "test_suite.py:6: in the mark venv",
            "test_suite.py:7: in the mark venv_matrix",
            "the mark venv_matrix has no effect: it does not belong to the function, or the function requests neither *",
        ]
    )
