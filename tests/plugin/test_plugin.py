"""The pytest plugin: an environment for each test, what it has, and what is said of a mark or an option that is wrong."""

import hashlib
import json
import sys
from typing import get_args

import pytest

from helpers.suites import environments, make_wheelhouse, run_suite
from venvrunner import pytest_plugin
from venvrunner.installing import InstallerName

pytest_plugins = ["pytester"]

MORE = ("--venv-matrix", "venv_requirements", "venv_editable", "venv_dependency_groups", "venv_constraints", "venv_lock")
VERSION = ".".join(map(str, sys.version_info[:2]))


def test_each_test_has_an_environment_of_its_own(pytester: pytest.Pytester) -> None:
    """What a test changes no other test sees, and nothing is left at the end, not even forks that tests have made."""
    result = run_suite(
        pytester,
        """
        import os
        import pytest
        from venvrunner import FakeVenvRunner, VenvRunner

        seen = set()

        @pytest.mark.parametrize("number", range(3))
        def test_change(venv_runner, number):
            assert isinstance(venv_runner, VenvRunner)
            prefix = venv_runner.log_run(["python", "-c", "import sys; print(sys.prefix)"]).stdout.strip()
            assert prefix == venv_runner.venv_dir
            assert prefix not in seen and not any(map(os.path.exists, seen))
            seen.add(prefix)
            assert list(venv_runner.installed()) == ["pip"]

        def test_fork(venv_runner, tmp_path):
            venv_runner.fork("child", tmp_path)

        def test_delete(venv_runner):
            venv_runner.delete()

        def test_fake(fake_venv_runner):
            assert isinstance(fake_venv_runner, FakeVenvRunner) and repr(fake_venv_runner)
            code = "import sys; print(sys.prefix)"
            assert fake_venv_runner.log_run(["python", "-c", code]).stdout.strip() == __import__("sys").prefix
        """,
    )
    result.assert_outcomes(passed=6)
    assert [path.parent.name for path in environments(pytester)] == ["child"]


def test_the_mark_says_what_an_environment_has(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest mark counts; all is installed from the wheelhouse beside the settings file, also what a test installs."""
    wheels = make_wheelhouse(pytester, "pocket", "needy")
    digest = hashlib.sha256((wheels / "needy-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    pytester.makefile(
        ".toml",
        pylock=f"""
        lock-version = "1.0"
        created-by = "test"
        dependency-groups = ["dev"]
        [[packages]]
        name = "needy"
        version = "1.0"
        wheels = [{{path = "wheelhouse/needy-1.0-py3-none-any.whl", hashes = {{sha256 = {json.dumps(digest)}}}}}]
        [[packages]]
        name = "none"
        directory = {{path = "none"}}
        [[packages]]
        name = "missing"
        marker = "'dev' in dependency_groups"
        directory = {{path = "missing"}}
        """,
    )
    monkeypatch.chdir(pytester.mkdir("elsewhere"))
    result = run_suite(
        pytester,
        f"""
        import pytest, venvrunner
        from pathlib import Path
        pytestmark = pytest.mark.venv(requirements=["pocket"])

        def test_module(venv_runner):
            assert venv_runner.installed() == {{"pip": venv_runner.installed()["pip"], "pocket": "1.0"}}
            assert venv_runner.log_run(["pocket"]).stdout.startswith("pocket 1.0 ")

        @pytest.mark.venv(python={VERSION!r}, requirements=("./wheelhouse/needy-1.0-py3-none-any.whl",))
        def test_function(venv_runner):
            assert "pocket" not in venv_runner.installed()
            assert "needy" in venv_runner.installed()
            assert venv_runner.install_package("pocket").added == {{"pocket": "1.0"}}

        @pytest.mark.venv(requirements=[Path("wheelhouse", "needy-1.0-py3-none-any.whl")])
        def test_path(venv_runner):
            assert "needy" in venv_runner.installed()

        @pytest.mark.venv(lock={(pytester.path / "pylock.toml").as_uri()!r}, lock_groups=["dev"], lock_projects=False)
        def test_url(venv_runner):
            assert "needy" in venv_runner.installed()

        @pytest.mark.venv(lock="pylock.toml", lock_groups=["dev"], lock_extras=(), lock_projects=False)
        def test_lock(venv_runner):
            assert "needy" in venv_runner.installed()
            with pytest.raises(venvrunner.NoSuchPackageError):
                venv_runner.install("pocket", find_links=[{str(pytester.mkdir("empty"))!r}], no_index=True)

        def test_mark_for_others():
            pass
        """,
        "../test_suite.py",
        settings="venv_wheelhouse = wheelhouse\nvenv_installer = uv",  # which is faster
    )
    result.assert_outcomes(passed=6)


def test_an_iterator_in_a_mark_counts_for_each_of_its_tests(pytester: pytest.Pytester) -> None:
    """The first of them does not use it up: of a parametrized test, or of a class."""
    make_wheelhouse(pytester, "pocket")
    result = run_suite(
        pytester,
        """
        import pytest

        @pytest.mark.venv(requirements=iter(["pocket"]))
        @pytest.mark.parametrize("number", range(2))
        def test_function(venv_runner, number):
            assert "pocket" in venv_runner.installed()

        @pytest.mark.venv(requirements=(name for name in ["pocket"]))
        class TestClass:
            def test_1(self, venv_runner):
                assert "pocket" in venv_runner.installed()

            def test_2(self, venv_runner):
                assert "pocket" in venv_runner.installed()
        """,
        settings="venv_wheelhouse = wheelhouse\nvenv_installer = uv",
    )
    result.assert_outcomes(passed=4)


def test_fixtures_of_any_scope_make_environments(pytester: pytest.Pytester) -> None:
    """The factory's are deleted at the end of a block, or when they are not in use; equal ones have one parent."""
    result = run_suite(
        pytester,
        f"""
        import os, pathlib
        import pytest
        from venvrunner import InterpreterNotFoundError
        from venvrunner._venv.state import Ownership

        @pytest.fixture(scope="module")
        def tool(venv_runner_factory):
            with venv_runner_factory(python=pathlib.Path({sys.executable!r})) as runner:
                yield runner

        def test_shared_1(tool):
            pathlib.Path(tool.venv_dir, "mine").touch()

        def test_shared_2(tool):
            assert pathlib.Path(tool.venv_dir, "mine").exists()

        def test_end(venv_runner_factory):
            one, two = venv_runner_factory(), venv_runner_factory(requirements=[])
            assert Ownership(one.venv_dir).parent() == Ownership(two.venv_dir).parent() != None
            with one:
                pass
            left = two.venv_dir
            assert os.path.exists(left)
            del two
            assert not os.path.exists(one.venv_dir) and not os.path.exists(left)

        def test_errors_of_the_factory_are_those_of_the_package(venv_runner_factory):
            with pytest.raises(InterpreterNotFoundError, match="found: "):
                venv_runner_factory(python="2.5")
            with pytest.raises(TypeError, match="python must be a str or a path, not float. Write python='3.12'."):
                venv_runner_factory(python=3.12)
        """,
    )
    result.assert_outcomes(passed=4)
    assert not environments(pytester)


@pytest.mark.parametrize("installer", pytest_plugin.INSTALLERS)
def test_the_mark_overrides_the_command_line_which_overrides_settings(pytester: pytest.Pytester, installer: str) -> None:
    """Each of the three options."""
    make_wheelhouse(pytester, "pocket")
    pytester.mkdir("empty")
    result = run_suite(
        pytester,
        f"""
        import pytest

        @pytest.mark.venv(requirements=["pocket"])
        def test_options(venv_runner):
            assert venv_runner.installer == {installer!r}
            assert "pocket" in venv_runner.installed()

        @pytest.mark.venv(python="3.98")
        def test_mark(venv_runner):
            pass
        """,
        f"--venv-installer={installer}",
        f"--venv-python={sys.executable}",
        "--venv-wheelhouse=empty",
        "--venv-wheelhouse=wheelhouse",
        settings=f"""
        venv_installer = {"uv" if installer == "pip" else "pip"}
        venv_python = 3.99
        venv_wheelhouse = empty
        """,
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*InterpreterNotFoundError: no interpreter matches '3.98'.*found: *"])


@pytest.mark.parametrize(
    ("settings", "option", "message"),
    [
        ("venv_installer = poetry", "", "venv_installer: 'poetry' is not a choice. Use 'pip' or 'uv'."),
        ("venv_coverage = maybe", "", "venv_coverage: *'maybe'*"),
        ("venv_store = maybe", "", "venv_store: *'maybe'*"),
        (
            "",
            "--venv-wheelhouse=nowhere",
            "venv_wheelhouse: the directory '*/nowhere' does not exist. Create it, for example with 'pip wheel*",
        ),
        (
            "venv_wheelhouse = nowhere",
            "",
            "venv_wheelhouse: the directory '*/nowhere' does not exist. Create it, for example with 'pip wheel*",
        ),
        ("venv_missing_python = maybe", "", "venv_missing_python: 'maybe' is not a choice. Use 'skip' or 'error'."),
        ("", "--venv-installer=poetry", "*argument --venv-installer: invalid choice: 'poetry'*"),
    ],
)
def test_a_wrong_option_ends_the_run_before_it_begins(
    pytester: pytest.Pytester, settings: str, option: str, message: str
) -> None:
    """By one line, and pytest's exit code for wrong usage."""
    result = run_suite(pytester, "def test(): pass", *filter(None, [option]), settings=settings)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{message}"])


def test_a_wrong_mark_is_one_clear_error_of_its_test(pytester: pytest.Pytester) -> None:
    """Without a traceback; a mark that has no effect too, unless it stands above several tests, or the test asks late."""
    wrong = {
        "['pip']": "TypeError: the mark venv takes keyword arguments only: requirements, python, lock, lock_extras, *",
        "requirement=['pip']": "TypeError: the mark venv has no argument 'requirement'. It takes requirements, python, lock, *",
        "requirements='pip'": "TypeError: requirements must be a list or another collection of values. Use [[]'pip'].",
        "requirements=[3]": "TypeError: a requirement must be a str or a path, not int.",
        "requirements=3": "TypeError: requirements must be a list or another collection of values.",
        "requirements=['--pre']": "*InvalidRequirementError: '--pre' is an option, not a requirement. *install(pre=True)*",
        "python=3.12": "TypeError: python must be a str or a path, not float. Write python='3.12'.",
        "python='3.99'": "*InterpreterNotFoundError: no interpreter matches '3.99'. Pass the path*; found: *",
        "lock='nowhere.toml'": "*LockFileError: *nowhere.toml*",
        "lock=3": "TypeError: lock must be a str or a path, such as 'pylock.toml', not int.",
        "requirements=['pip'], lock='pylock.toml'": "*InvalidRequirementError: lock= installs exactly*",
    }
    tests = "".join(f"@pytest.mark.venv({text})\ndef test_{i}(venv_runner): pass\n" for i, text in enumerate(wrong))
    result = run_suite(
        pytester,
        f"""import pytest\n{tests}
@pytest.mark.venv(python={VERSION!r})
def test_useless(): pass

@pytest.mark.venv
@pytest.mark.skip
def test_skipped(): pass

@pytest.mark.venv
def test_late(request):
    assert request.getfixturevalue("venv_runner")

@pytest.mark.venv(requirements=[])
def test_late_factory(request):
    assert request.getfixturevalue("venv_runner_factory")(requirements=[])

@pytest.mark.venv
class TestSome:
    def test_other(self): pass
""",
    )
    result.assert_outcomes(errors=len(wrong), failed=1, passed=3, skipped=1)
    result.stdout.fnmatch_lines(list(wrong.values()))
    result.stdout.fnmatch_lines(["the mark venv has no effect: the test does not use venv_runner. *"])
    result.stdout.no_fnmatch_line("*During handling*")
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


def test_a_mark_may_be_for_another_plugin(pytester: pytest.Pytester) -> None:
    """Another plugin's, or that of a fixture of the suite's own, which reads it; a useless one is a warning and no failure."""
    suite = f"""
        import pytest

        @pytest.fixture
        def mine(request, venv_runner_factory):
            return venv_runner_factory(**request.node.get_closest_marker("venv").kwargs)

        @pytest.mark.venv(python={VERSION!r})
        def test_own_fixture(mine): pass

        @pytest.mark.venv("name", relocatable=True)
        def test_foreign(): pass

        @pytest.mark.venv("name", python={VERSION!r})
        def test_foreign_with_a_name(): pass

        @pytest.mark.venv(python={VERSION!r}, relocatable=True)
        def test_foreign_with_a_keyword(): pass

        @pytest.fixture
        def recorded_venv_runner():
            return 8

        @pytest.mark.venv(python={VERSION!r})
        def test_own_recordings(recorded_venv_runner): pass

        class TestOverridden:
            @pytest.fixture
            def venv_runner(self):
                return 7

            @pytest.mark.venv(python={VERSION!r})
            def test_it(self, venv_runner):
                assert venv_runner == 7
        """
    run_suite(pytester, suite).assert_outcomes(passed=6)
    useless = f"import pytest\n@pytest.mark.venv(python={VERSION!r})\ndef test(): pass"
    run_suite(pytester, useless, "-W", "default").assert_outcomes(passed=1, warnings=1)


def test_a_path_of_an_interpreter_begins_where_it_is_written(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a mark and in the settings at the rootdir, on the command line where that is typed."""
    (pytester.path / "here").symlink_to(sys.executable)
    monkeypatch.chdir(pytester.mkdir("elsewhere"))
    (pytester.path / "elsewhere" / "there").symlink_to(sys.executable)
    mark = "import pytest\n@pytest.mark.venv(python='./here')\ndef test(venv_runner): pass"
    run_suite(pytester, mark, "../test_suite.py").assert_outcomes(passed=1)
    plain = "def test(venv_runner): pass"
    run_suite(pytester, plain, "../test_suite.py", settings="venv_python = ./here").assert_outcomes(passed=1)
    run_suite(pytester, plain, "../test_suite.py", "--venv-python=./there").assert_outcomes(passed=1)
    result = run_suite(pytester, plain, "../test_suite.py", "--venv-python=./here")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*no interpreter matches '*elsewhere/./here'. *"])


def test_what_can_not_be_prepared_is_not_tried_again(pytester: pytest.Pytester) -> None:
    """Every test that needs it says why; only the first shows the command."""
    make_wheelhouse(pytester)
    result = run_suite(
        pytester,
        """
        import pytest
        pytestmark = pytest.mark.venv(requirements=["no-such-package"])

        @pytest.mark.parametrize("number", range(3))
        def test(venv_runner, number): pass
        """,
        settings="venv_wheelhouse = wheelhouse\nvenv_installer = uv",
    )
    result.assert_outcomes(errors=3)
    text = result.stdout.str()
    assert text.count("\nvenvrunner.exceptions.NoSuchPackageError: ") == 3
    assert text.count("venvrunner commands") == 1
    assert not environments(pytester)


def test_the_installers_are_those_of_the_package() -> None:
    """They are written twice, so that the plugin needs no import."""
    assert get_args(InstallerName) == pytest_plugin.INSTALLERS


def test_help_and_markers_describe_the_plugin(pytester: pytest.Pytester) -> None:
    """All that can be set stands in pytest's own help."""
    shown = run_suite(pytester, "", "--help").stdout.str()
    for name in (
        "--venv-installer",
        "--venv-python",
        "--venv-wheelhouse",
        "venv_installer",
        "venv_python",
        "venv_wheelhouse",
        *MORE,
    ):
        assert name in shown
    shown = run_suite(pytester, "", "--fixtures", "--markers").stdout.str()
    assert "@pytest.mark.venv(requirements=[...], python=..., lock=...): the packages and the interpreter of " in shown
    assert "@pytest.mark.venv_matrix(python=[...], resolution=[...]): run the test in an environment for each " in shown
