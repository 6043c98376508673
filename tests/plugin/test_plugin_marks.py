"""Marks and settings of the pytest plugin: which mark counts, what it adds to the settings, and where a wrong one is."""

import hashlib
import inspect
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from helpers.suites import make_wheelhouse, run_suite
from helpers.wheels import make_wheel
from venvrunner._fixtures import marks
from venvrunner._fixtures.parents import ParentOptions
from venvrunner.pytest_plugin import VenvRunnerFactory

pytest_plugins = ["pytester"]

FAST = "venv_wheelhouse = wheelhouse\nvenv_installer = uv\n"


def test_the_nearest_mark_counts(pytester: pytest.Pytester) -> None:
    """One that is added while pytest runs, then that of a parameter, the function, the class, its base class, the module."""
    pytester.makeconftest(
        """
        import contextlib
        import pytest

        @pytest.fixture(scope="session")
        def venv_runner_factory():
            return lambda requirements: contextlib.nullcontext(requirements)

        def pytest_collection_modifyitems(items):
            for item in items:
                if "added" in item.name:
                    item.add_marker(pytest.mark.venv(requirements=["added"]), append="last" in item.name)

        @pytest.fixture
        def only(venv_runner):
            return venv_runner.enter_result

        @pytest.fixture
        def late(request):
            request.node.add_marker(pytest.mark.venv(requirements=["added"]))
        """
    )
    result = run_suite(
        pytester,
        """
        import pytest
        pytestmark = pytest.mark.venv(requirements=["module"])
        function = pytest.mark.venv(requirements=["function"])
        parameter = pytest.mark.venv(requirements=["parameter"])

        def test_module(only):
            assert only == ["module"]

        @function
        @pytest.mark.parametrize("name", ["function", pytest.param("parameter", marks=parameter)])
        def test_parameter(only, name):
            assert only == [name]

        @function
        def test_added_first(only):
            assert only == ["added"]

        @function
        @pytest.mark.parametrize("name", [pytest.param("parameter", marks=parameter)])
        def test_added_last(only, name):
            assert only == ["added"]

        @function
        def test_late(late, only):
            assert only == ["added"]

        @pytest.mark.venv(requirements=["outer"])
        @function
        def test_two_decorators(only):
            assert only == ["function"]

        @pytest.mark.venv(requirements=["base"])
        class TestBase:
            def test_it(self, only):
                assert only == [self.name]
            name = "base"

        class TestDerived(TestBase):
            pytestmark = pytest.mark.venv(requirements=["derived"])
            name = "derived"

            @function
            def test_function(self, only):
                assert only == ["function"]
        """,
    )
    result.assert_outcomes(passed=10)


def test_a_parameter_of_the_fixture_is_the_mark(pytester: pytest.Pytester) -> None:
    """A dict of its arguments, also through a fixture that overrides it; anything else is an error."""
    make_wheelhouse(pytester, "pocket")
    pytester.makeconftest(
        """
        import pytest

        @pytest.fixture
        def venv_runner(venv_runner):
            return venv_runner.with_options(timeout=60)
        """
    )
    result = run_suite(
        pytester,
        """
        import pytest

        @pytest.mark.venv(requirements=["not-this"])
        @pytest.mark.parametrize("venv_runner, count", [({"requirements": ["pocket"]}, 1), ({}, 0)], indirect=["venv_runner"])
        def test_dict(venv_runner, count):
            assert [*venv_runner.installed()].count("pocket") == count

        @pytest.mark.parametrize(argnames=["venv_runner"], argvalues=[["3.13"]], indirect=True)
        def test_wrong(venv_runner): pass

        @pytest.mark.parametrize("venv_runner", [{"requirement": ["pocket"]}], indirect=True)
        def test_unknown(venv_runner): pass

        class TestOverridden:
            @pytest.fixture(params=["a parameter of its own"])
            def venv_runner(self, request, venv_runner):
                return venv_runner

            @pytest.mark.venv(requirements=["pocket"])
            def test_it(self, venv_runner):
                assert "pocket" in venv_runner.installed()
        """,
        settings=FAST,
    )
    result.assert_outcomes(passed=3, errors=2)
    result.stdout.fnmatch_lines(
        [
            "TypeError: the parameter of venv_runner must be a dict of the arguments of the mark venv, not str. Use *",
            "test_suite.py:8: in test_wrong[[]*",
            "TypeError: the parameter of venv_runner has no argument 'requirement'. It takes requirements, python, *",
            "test_suite.py:11: in test_unknown[[]*",
        ]
    )


PROJECT = """
[project]
name = "mine"
version = "1.0"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[dependency-groups]
test = ["needy"]
more = ["pocket"]
[{table}]
{settings}
"""
BACKEND = """
import os, zipfile

def build_editable(directory, config_settings=None, metadata_directory=None):
    name, info = "mine-1.0-py3-none-any.whl", "mine-1.0.dist-info"
    files = {"mine.pth": os.getcwd(), f"{info}/METADATA": "Metadata-Version: 2.1\\nName: mine\\nVersion: 1.0\\n"}
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\\nGenerator: hand\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    files[f"{info}/RECORD"] = "".join(f"{path},,\\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
"""
SETTINGS = {
    "venv_requirements": ["wires"],
    "venv_editable": ["."],
    "venv_dependency_groups": ["test"],
    "venv_constraints": ["limits.txt"],
    "venv_wheelhouse": ["wheelhouse"],
}


def make_project(pytester: pytest.Pytester, table: str, settings: str) -> None:
    """Make a project with two versions of pocket in its wheelhouse, a limit for it, and settings."""
    wheels = make_wheelhouse(pytester, "pocket", "needy", "wires", "other")
    make_wheel(wheels, "pocket", "2.0")
    pytester.makepyfile(backend=BACKEND, mine="here = 7\n")
    (pytester.path / "limits.txt").write_text("pocket<2\n")
    (pytester.path / "pyproject.toml").write_text(PROJECT.format(table=table, settings=settings))


@pytest.mark.parametrize(
    ("form", "installer"),
    [("ini", "uv"), ("ini_options", "uv"), ("toml", "uv"), pytest.param("ini_options", "pip", marks=pytest.mark.slow)],
)
def test_marks_add_to_the_settings_of_the_suite(pytester: pytest.Pytester, form: str, installer: str) -> None:
    """Requirements, editable projects, dependency groups and constraints, in each file that pytest reads."""
    settings = {**SETTINGS, "venv_installer": installer}
    toml = "\n".join(f"{name} = {json.dumps(value)}" for name, value in settings.items())
    lines = "\n".join(f"{name} = {value if isinstance(value, str) else value[0]}" for name, value in settings.items())
    if form == "toml" and pytest.version_tuple < (9,):
        pytest.skip("pytest 9 reads [tool.pytest]")
    table = {"ini": "tool.none", "ini_options": "tool.pytest.ini_options", "toml": "tool.pytest"}[form]
    make_project(pytester, table, "" if form == "ini" else toml)
    result = run_suite(
        pytester,
        """
        import pytest

        @pytest.fixture
        def has(venv_runner):
            code = "import mine; print(mine.here)"
            assert venv_runner.log_run(["python", "-c", code]).stdout == "7\\n"
            return {name: version for name, version in venv_runner.installed().items() if name != "pip"}

        def test_plain(has, venv_runner):
            assert has == {"mine": "1.0", "needy": "1.0", "wires": "1.0"}
            assert "pip" in venv_runner.installed()

        @pytest.mark.venv(requirements=["other"], dependency_groups=["pyproject.toml:more"])
        def test_more(has):
            assert has == {"mine": "1.0", "needy": "1.0", "other": "1.0", "pocket": "1.0", "wires": "1.0"}

        @pytest.mark.venv(editable=["."], with_pip=False, constraints=["limits.txt"])
        def test_no_pip(has, venv_runner):
            assert "pip" not in venv_runner.installed()
        """,
        *(["-k", "test_more"] if installer == "pip" else []),  # pip is slow
        settings=lines if form == "ini" else None,
    )
    result.assert_outcomes(passed=1 if installer == "pip" else 3)


def test_a_lock_file_of_the_suite_is_what_marks_add_to(pytester: pytest.Pytester) -> None:
    """What a mark requires is installed on top of it; a mark chooses from it, or names another one."""
    make_wheelhouse(pytester, "pocket", "needy", "wires")
    lines = (f'[[packages]]\nname = "{name}"\nversion = "1.0"\n{text}\n' for name, text in (("pocket", ""), ("needy", MARKER)))
    for name, packages in (("pylock", lines), ("pylock.other", ())):
        head = f'lock-version = "1.0"\ncreated-by = "test"\ndependency-groups = {json.dumps(["dev"] if packages else [])}\n'
        (pytester.path / f"{name}.toml").write_text(head + ("packages = []\n" if not packages else "".join(packages)))
    for name in ("pocket", "needy"):
        wheel = pytester.path / "wheelhouse" / f"{name}-1.0-py3-none-any.whl"
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        archive = f'wheels = [{{path = "wheelhouse/{wheel.name}", hashes = {{sha256 = "{digest}"}}}}]\n'
        path = pytester.path / "pylock.toml"
        path.write_text(path.read_text().replace(f'name = "{name}"\n', f'name = "{name}"\n{archive}'))
    (pytester.path / "limits.txt").write_text("wires<2\n")
    result = run_suite(
        pytester,
        """
        import pytest

        @pytest.fixture
        def has(venv_runner):
            return [name for name in venv_runner.installed() if name != "pip"]

        def test_plain(has):
            assert has == ["pocket"]

        @pytest.mark.venv(requirements=["wires"], lock_groups=["dev"])
        def test_more(has):
            assert has == ["needy", "pocket", "wires"]

        @pytest.mark.venv(lock="pylock.other.toml")
        def test_other(has):
            assert has == []

        @pytest.mark.venv(lock="pylock.toml", resolution="highest")
        def test_wrong(venv_runner): pass
        """,
        settings=f"{FAST}venv_lock = pylock.toml\nvenv_constraints = limits.txt",
    )
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(
        ["*InvalidRequirementError: lock= installs exactly what the lock file lists. Leave out resolution=."]
    )


MARKER = "marker = \"'dev' in dependency_groups\""


def test_a_wrong_mark_shows_its_line(pytester: pytest.Pytester) -> None:
    """Where it is written, as a decorator, in a parameter, in a variable, or for a class or a module; or else the test's."""
    pytester.makeconftest(
        """
        import pytest

        def pytest_collection_modifyitems(items):
            items[-1].add_marker(pytest.mark.venv(requirements="n95"))
        """
    )
    result = run_suite(
        pytester,
        """
        import pytest
        pytestmark = pytest.mark.venv(requirements="n90")
        variable = pytest.mark.venv(requirements="n94")
        NAME = "n92"

        def test_module(venv_runner): pass

        @pytest.mark.venv
        @pytest.mark.venv(requirements="n91")
        def test_twin(): pass

        @pytest.mark.parametrize("number", [
            1,
            pytest.param(2, marks=pytest.mark.venv(requirements=NAME)),
        ])
        @pytest.mark.venv(requirements="n91")
        def test_parameter(venv_runner, number): pass

        @pytest.mark.venv(requirements="n93")
        class TestBase:
            pass

        class TestClass(TestBase):
            def test_base(self, venv_runner): pass

            @variable
            def test_variable(self, venv_runner): pass

        def test_added(venv_runner): pass
        """,
        *("-k", "not twin", f"--rootdir={pytester.path.parent}"),
    )
    result.assert_outcomes(errors=6, deselected=1)
    # pytest's summary repeats the whole messages where the variable CI is set.
    report, _, _ = result.stdout.str().partition(" short test summary info ")
    found = [line for line in report.split("\n") if line.startswith("test_suite.py:")]
    assert found == [
        "test_suite.py:2: in the mark venv",
        "test_suite.py:16: in the mark venv",
        "test_suite.py:14: in the mark venv",
        "test_suite.py:19: in the mark venv",
        "test_suite.py:3: in the mark venv",
        "test_suite.py:29: in test_added",
    ]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "venv_requirements = --pre",
            "*InvalidRequirementError: '--pre' is an option, not a requirement. Call venv_runner.install(pre=True) *",
        ),
        ("venv_editable = none", "*InvalidRequirementError: '*none' is neither a project's directory nor a repository.*"),
        ("venv_dependency_groups = none", "*InvalidRequirementError: the dependency group 'none' of *pyproject.toml' cannot *"),
        ("venv_constraints = none.txt", "*InvalidRequirementError: the constraints file '*none.txt' does not exist. *"),
        ("venv_lock = none.toml", "*LockFileError: the lock file '*none.toml' cannot be used: it does not exist. *"),
    ],
)
def test_a_wrong_setting_is_one_clear_error(pytester: pytest.Pytester, setting: str, message: str) -> None:
    """Of each test that needs an environment, with the file of the settings."""
    result = run_suite(pytester, "def test(venv_runner): pass\ndef test_other(): pass", settings=setting)
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines([message, "*pytest.ini: in the settings of virtual environments for tests"])


def test_a_missing_interpreter_is_named_with_its_setting(pytester: pytest.Pytester) -> None:
    """Or with the option; not with a mark that does not name one."""
    suite = "import pytest\n@pytest.mark.venv(with_pip=False)\ndef test(venv_runner): pass"
    place = "in the setting venv_python"
    for options, line in (
        ([], f"*pytest.ini: {place}"),
        (["-c", "/dev/null", "-o", "venv_python=3.99"], f"*: {place}"),
        (["--venv-python=3.98"], "in the option --venv-python"),
    ):
        result = run_suite(pytester, suite, *options, settings="venv_python = 3.99")
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["*InterpreterNotFoundError: no interpreter matches '3.9*", line])
        assert "in the mark" not in result.stdout.str()


def test_the_advice_for_a_mark_is_one_that_it_can_follow(pytester: pytest.Pytester) -> None:
    """An installation has more keywords than a mark."""
    suite = """
    import pytest

    @pytest.mark.venv(requirements=["-r dev.txt"])
    def test_file(venv_runner): pass

    @pytest.mark.venv(requirements=["./pylock.toml"])
    def test_lock(venv_runner): pass
    """
    (pytester.path / "pylock.toml").touch()
    result = run_suite(pytester, suite)
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        [
            "*is an option, not a requirement. Call venv_runner.install(requirements_files=[[]'dev.txt']) in the test.",
            "*Use lock='*pylock.toml'.",
        ]
    )


def test_a_rerun_tries_a_failed_preparation_again(pytester: pytest.Pytester) -> None:
    """That of the mark and that of a fixture; another test that needs the same does not."""
    wheels = make_wheelhouse(pytester, "pocket")
    later = pytester.mkdir("later")
    (wheels / "pocket-1.0-py3-none-any.whl").rename(later / "pocket.whl")
    pytester.makeconftest(
        """
        import os
        import pytest

        @pytest.fixture
        def tool(venv_runner_factory):
            return venv_runner_factory(requirements=["pocket"])

        def pytest_runtest_teardown(item):
            if "rerun" in item.name and os.path.exists("later/pocket.whl"):
                os.rename("later/pocket.whl", "wheelhouse/pocket-1.0-py3-none-any.whl")
        """
    )
    result = run_suite(
        pytester,
        """
        import pytest

        @pytest.mark.venv(requirements=["pocket"])
        @pytest.mark.flaky(reruns=0)
        def test_first(venv_runner): pass

        @pytest.mark.flaky(reruns=0)
        def test_second(tool): pass

        @pytest.mark.venv(requirements=["pocket"])
        def test_rerun(venv_runner):
            assert "pocket" in venv_runner.installed()

        def test_tool(tool):
            assert "pocket" in tool.installed()
        """,
        "--reruns=1",
        plugins=["pytest_rerunfailures"],
        settings=FAST,
    )
    result.assert_outcomes(errors=2, passed=2)
    result.stdout.fnmatch_lines(["* 2 passed, 2 errors, 1 rerun in *"])


def test_the_mark_has_the_keywords_of_the_factory() -> None:
    """They are written several times, so that each is typed and explained."""
    names = [*inspect.signature(VenvRunnerFactory.__call__).parameters]
    assert names == ["self", *marks.KEYWORDS] == ["self", *ParentOptions.__annotations__]


def test_a_mark_whose_line_is_not_found_has_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file that cannot be parsed or read; a test without a function, or on another drive, still has one."""
    path = tmp_path / "test_it.py"
    mark: Any = SimpleNamespace(name="venv", args=(), kwargs={"python": "3.13"})
    node: Any = SimpleNamespace(
        path=path, own_markers=[mark], config=SimpleNamespace(invocation_params=SimpleNamespace(dir=tmp_path))
    )
    node.listchain = lambda: [node]
    assert marks.written(node, mark) is None
    path.write_text("mark.venv(python='3.13'")
    assert marks.written(node, mark) is None
    path.write_text("mark.venv(python=unknown)\nmark.venv(python='3.13')\n")
    assert marks.written(node, mark) == "test_it.py:2"

    def refuse(*_args: object) -> str:
        raise ValueError

    monkeypatch.setattr(os.path, "relpath", refuse)
    assert marks.written(node, mark) == f"{path}:2"
