"""What a failed build tells: its own output, whose error it is, and what to do; with pip and with uv."""

import pickle
import re
import subprocess
import tarfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest

from helpers.command_line import run
from helpers.index_server import forget_settings
from helpers.wheels import make_wheel
from venvrunner import (
    BuildFailedError,
    IndexUnreachableError,
    InstallationError,
    NoFittingVersionError,
    NoSuchPackageError,
    VenvRunner,
)
from venvrunner._install.build_failures import excerpt, failed_build, reason_of
from venvrunner.installing import InstallerName
from venvrunner.testing import ScriptedVenvRunner

INSTALLERS = get_args(InstallerName)
_PYPROJECT = """[build-system]
requires = {requires}
build-backend = "{back_end}"
backend-path = ["."]
[project]
name = "crate"
version = "1.0"
"""
_COMPILE = """import subprocess, sys
def build_wheel(*args):
    print("running build_ext", flush=True)
    code = "import sys; sys.exit('thing.c:3:10: fatal error: foo.h: No such file or directory')"
    subprocess.run([sys.executable, "-c", code])
    raise SystemExit("error: command 'gcc' failed with exit code 1")
"""
_NETWORK = "import urllib.request\ndef build_wheel(*args):\n    urllib.request.urlopen('http://127.0.0.1:9/x.tar.gz')\n"
_LONG = """def build_wheel(*args):
    for number in range(400):
        print("compiling", number)
    print("x.c:1:1: error: unknown type name 'foo'")
    for number in range(400):
        print("more", number)
    raise SystemExit("error: command 'cc' failed with exit code 1")
"""


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_settings(monkeypatch, tmp_path)
    monkeypatch.setenv("COLUMNS", "20")  # a narrow terminal breaks no line


# pip takes a second or two for each build, so most tests of it are left to those who have the time.
@pytest.fixture(params=[pytest.param("pip", marks=pytest.mark.slow), "uv"])
def venv(request: pytest.FixtureRequest) -> Iterator[VenvRunner]:
    """An environment of one's own, without pip."""
    with VenvRunner.temporary(with_pip=False, installer=request.param) as runner:
        yield runner


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheelhouse that has what is asked for, and no build back end."""
    folder = tmp_path_factory.mktemp("wheels")
    make_wheel(folder, "pocket")
    make_wheel(folder, "pocket", "2.0")
    make_wheel(folder, "needy", requires=["crate"])
    return folder


def make_project(folder: Path, source: str = "", requires: str = "[]", back_end: str = "back") -> Path:
    """Write a project with a build back end of its own."""
    folder.mkdir()
    (folder / "pyproject.toml").write_text(_PYPROJECT.format(requires=requires, back_end=back_end))
    (folder / "back.py").write_text(source)
    (folder / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: crate\nVersion: 1.0\n")
    return folder


def make_sdist(folder: Path, project: Path) -> None:
    """Pack a project into a source distribution."""
    with tarfile.open(folder / "crate-1.0.tar.gz", "w:gz") as archive:
        archive.add(project, "crate-1.0")


def failure(venv: VenvRunner, *requirements: str, **options: Any) -> InstallationError:
    """Return how an installation fails; it does not hide that it can be caught as before, and travels."""
    with pytest.raises(subprocess.CalledProcessError) as caught:
        venv.install(*requirements, **{"no_index": True, **options})
    error = caught.value
    assert isinstance(error, InstallationError)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.__notes__) == (type(error), str(error), error.__notes__)
    assert venv.installed() == {}
    return error


class Case(NamedTuple):
    """A project whose build fails; what the message and the notes have to say."""

    source: str
    reason: str
    lines: tuple[str, ...]
    advice: str
    requires: str = "[]"
    back_end: str = "back"


CASES = {
    "exit": Case(
        "raise SystemExit('will not build')\n", "will not build", ("will not build",), "The project's own build failed."
    ),
    "compiler": Case(
        _COMPILE,
        "thing.c:3:10: fatal error: foo.h: No such file or directory",
        ("running build_ext", "error: command 'gcc' failed with exit code 1"),
        "A compiler, a header or a system library is missing.",
    ),
    "network": Case(
        _NETWORK,
        "urllib.error.URLError: <urlopen error [Errno 111] Connection refused>",
        ("    urllib.request.urlopen('http://127.0.0.1:9/x.tar.gz')",),
        "The build itself uses the network and could not reach it.",
    ),
    "long": Case(
        _LONG,
        "x.c:1:1: error: unknown type name 'foo'",
        ("compiling 399", "x.c:1:1: error: unknown type name 'foo'", "...", "more 399"),
        "The project's own build failed.",
    ),
    "back end": Case(
        "",
        "ModuleNotFoundError: No module named 'back.nothing'; 'back' is not a package",
        ("ModuleNotFoundError: No module named 'back.nothing'; 'back' is not a package",),
        "The build imports back.nothing.",
        back_end="back.nothing",
    ),
    "exception": Case(
        "class Odd(Exception):\n    pass\ndef build_wheel(*args):\n    raise Odd('this is\\nthe end')\n",
        "back.Odd: this is",
        ("    raise Odd('this is\\nthe end')", "the end"),
        "The project's own build failed.",
    ),
    "executed": Case(
        "def build_wheel(*args):\n    exec('# a setup.py\\nraise RuntimeError(\\'no libfoo\\')', {})\n",
        "RuntimeError: no libfoo",
        ('  File "<string>", line 2, in <module>',),
        "The project's own build failed.",
    ),
    "missing": Case(
        "",
        "its build needs 'no-such-back-end>=3', which was not found",
        (),
        "Add its wheel to find_links=, or use an index that has it.",
        requires="['no-such-back-end>=3']",
    ),
    "too old": Case(
        "",
        "its build needs 'pocket>=9', which was not found",
        (),
        "Add its wheel to find_links=, or use an index that has it.",
        requires="['pocket>=9']",
    ),
}


OFTEN = ("compiler", "missing")


@pytest.mark.parametrize(
    ("venv", "name"),
    [
        *(("uv", name) for name in CASES),
        *(pytest.param("pip", name, marks=() if name in OFTEN else pytest.mark.slow) for name in CASES),
    ],
    indirect=["venv"],
)
def test_a_failed_build_reports_its_own_reason(name: str, venv: VenvRunner, wheels: Path, tmp_path: Path) -> None:
    """The message names the package and the reason, a note has the build's own output, and the last one says what to do."""
    case = CASES[name]
    project = make_project(tmp_path / "crate", case.source, case.requires, case.back_end)
    error = failure(venv, str(project), find_links=[wheels])
    assert type(error) is BuildFailedError
    assert str(error) in {
        f"{package} could not be built: {case.reason}. The installer returned non-zero exit status 1."
        for package in ("crate", str(project))
    }
    output, advice = error.__notes__
    title, *lines = output.split("\n")
    assert title == "The output of the build:"
    assert set(case.lines) <= set(lines)
    assert len(lines) <= 31
    assert not [line for line in lines if "See above" in line or "originates from a subprocess" in line or "hint:" in line]
    assert not [line for line in lines if "_in_process.py" in line]
    assert len([line for line in lines if '"<string>"' in line]) == (name == "executed")
    assert advice.startswith(case.advice)
    assert "\n" not in advice
    assert "password" not in advice


def test_a_build_that_is_killed_silently_reports_how_it_ended(venv: VenvRunner, tmp_path: Path) -> None:
    """By the number or the name of the signal."""
    project = make_project(tmp_path / "crate", "import os\ndef build_wheel(*args):\n    os.kill(os.getpid(), 9)\n")
    error = failure(venv, str(project))
    assert type(error) is BuildFailedError
    assert re.search(r"could not be built: .*(exit code: -9|signal: 9|SIGKILL)", str(error))


def test_a_failed_build_of_what_a_package_needs_names_that(venv: VenvRunner, wheels: Path, tmp_path: Path) -> None:
    """Not what was asked for; and what had changed would come before the advice."""
    make_sdist(tmp_path, make_project(tmp_path / "crate", "raise RuntimeError('out of glue')\n"))
    error = failure(venv, "needy", find_links=[wheels, tmp_path])
    assert type(error) is BuildFailedError
    assert str(error).startswith(("crate could not be built: ", "crate==1.0 could not be built: "))
    assert "RuntimeError: out of glue" in str(error)


def test_a_build_within_a_build_reports_the_inner_reason(venv: VenvRunner, tmp_path: Path) -> None:
    """A back end that has to be built itself: the message names the project, and the output is that of the inner build."""
    make_sdist(tmp_path, make_project(tmp_path / "crate", "raise RuntimeError('out of glue')\n"))
    outer = make_project(tmp_path / "outer", requires="['crate']")
    error = failure(venv, str(outer), find_links=[tmp_path])
    assert type(error) is BuildFailedError
    assert "could not be built: RuntimeError: out of glue." in str(error)
    assert error.__notes__[0].endswith("\nRuntimeError: out of glue")


def test_an_editable_project_without_the_hook_is_reported(venv: VenvRunner, tmp_path: Path) -> None:
    """It is a failed build too."""
    project = make_project(tmp_path / "crate", "def build_wheel(*args):\n    pass\n")
    error = failure(venv, editable=[str(project)])
    assert type(error) is BuildFailedError
    assert "build_editable" in str(error)
    assert error.__notes__[-1].startswith("Its build back end does not support editable installations.")


def test_a_broken_project_file_is_a_failed_build(venv: VenvRunner, tmp_path: Path) -> None:
    """Without pip's traceback."""
    (tmp_path / "crate").mkdir()
    (tmp_path / "crate" / "pyproject.toml").write_text("[project\n")
    error = failure(venv, str(tmp_path / "crate"))
    assert type(error) is BuildFailedError
    assert str(error).startswith(f"{tmp_path / 'crate'} could not be built: ")
    assert "TOML" in str(error)
    assert "pip/_internal" not in "".join(traceback.format_exception_only(error))


_NO_PROJECTS: dict[str, tuple[str | None, str]] = {
    "no requires": ("[build-system]\nbuild-backend = 'x'\n", "requires"),
    "requires that is no list": ("[build-system]\nrequires = 'x'\n", "requires"),
    "requires that is no requirement": ("[build-system]\nrequires = ['a b']\n", "a b"),
    "no table": ("build-system = 1\n", ""),
    "a back end that is no name": ("[build-system]\nrequires = []\nbuild-backend = 1\n", ""),
    "a back end outside": ("[build-system]\nrequires = []\nbuild-backend = 'x'\nbackend-path = ['..']\n", "within|inside"),
    "no TOML": ("[build-system\n", "TOML"),
    "no project": (None, "does not appear to be a Python project"),
}


@pytest.mark.parametrize("form", ["directory", "editable", "archive"])
@pytest.mark.parametrize(("text", "why"), _NO_PROJECTS.values(), ids=_NO_PROJECTS)
def test_a_project_that_no_build_can_begin_with_is_a_failed_build(
    text: str | None, why: str, form: str, venv: VenvRunner, tmp_path: Path
) -> None:
    """Whichever installer finds it out, and whether it has a report for that or only a traceback."""
    project = tmp_path / "crate"
    project.mkdir()
    (project / "README").touch()
    if text is not None:
        (project / "pyproject.toml").write_text(text)
    make_sdist(tmp_path, project)
    if form == "editable":
        error = failure(venv, editable=[project])
    else:
        error = failure(venv, str(tmp_path / ("crate-1.0.tar.gz" if form == "archive" else "crate")))
    assert type(error) is BuildFailedError
    assert "crate" in str(error).partition(" could not be built: ")[0]
    told = "".join(traceback.format_exception_only(error))
    assert re.search(why, told)
    assert "pip/_internal" not in told


@pytest.mark.parametrize("name", ["crate-1.0.tar.gz", "crate-1.0.zip"])
def test_an_archive_that_cannot_be_unpacked_is_a_failed_build(name: str, venv: VenvRunner, tmp_path: Path) -> None:
    """It names the archive."""
    (tmp_path / name).write_bytes(b"not an archive")
    error = failure(venv, str(tmp_path / name))
    assert type(error) is BuildFailedError
    assert "crate" in str(error).partition(" could not be built: ")[0]


def test_a_failed_clone_is_no_build(venv: VenvRunner, tmp_path: Path) -> None:
    """Though pip reports both the same way."""
    assert type(failure(venv, f"git+{(tmp_path / 'none').as_uri()}")) is InstallationError


def test_a_build_that_needs_an_unreachable_index_says_so(venv: VenvRunner, tmp_path: Path) -> None:
    """It is the build's requirement that is missing, and the spelling of nothing is wrong."""
    project = make_project(tmp_path / "crate", requires="['no-such-back-end']")
    env = {"PIP_RETRIES": "1", "UV_HTTP_RETRIES": "0"}
    error = failure(venv, str(project), no_index=False, index_url="http://127.0.0.1:9/simple", extra_env=env)
    assert type(error) is BuildFailedError
    assert "its build needs 'no-such-back-end', and the index could not be reached." in str(error)
    assert error.__notes__[-1].startswith("Check the network, the proxy and index_url=")


LIMITS: list[tuple[str, str, str, dict[str, str]]] = [
    ("--no-binary :all:", "pocket", "Wheels are forbidden", {"PIP_NO_BINARY": ":all:"}),
    ("--only-binary :all:", "crate", "Only wheels are allowed", {"PIP_ONLY_BINARY": "Crate"}),
]


@pytest.mark.parametrize(("line", "name", "advice", "variables"), LIMITS)
def test_what_is_not_found_because_of_its_kind_is_reported(
    line: str, name: str, advice: str, variables: dict[str, str], venv: VenvRunner, wheels: Path, tmp_path: Path
) -> None:
    """Wheels only, or none: the advice names what says so, instead of the spelling and a password."""
    make_sdist(tmp_path, make_project(tmp_path / "crate"))
    (tmp_path / "r.txt").write_text(f"{line}\n{name}\n")
    options: dict[str, Any] = {"find_links": [wheels, tmp_path]}
    error = failure(venv, requirements_files=[tmp_path / "r.txt"], **options)
    assert isinstance(error, NoSuchPackageError | NoFittingVersionError)
    assert error.__notes__[-1].startswith(advice)
    if venv.installer == "pip":
        assert f" by {line.split(maxsplit=1)[0]} in a requirements file, " in error.__notes__[-1]
        last = failure(venv, name, extra_env=variables, **options).__notes__[-1]
        assert last.startswith(f"{advice} by {next(iter(variables))}, ")
        assert "password" not in last


def test_a_back_end_that_may_not_be_a_wheel_is_reported(tmp_path: Path, wheels: Path) -> None:
    """``PIP_NO_BINARY=:all:`` forbids the wheels that a build needs, too."""
    project = make_project(tmp_path / "crate", requires="['pocket']")
    with VenvRunner.temporary(with_pip=False) as venv:
        error = failure(venv, str(project), find_links=[wheels], extra_env={"PIP_NO_BINARY": ":all:"})
    assert type(error) is BuildFailedError
    assert error.__notes__[-1].startswith("Wheels are forbidden by PIP_NO_BINARY, ")


SECRET = "hunter2-and-more"


def test_no_secret_of_a_build_is_shown(venv: VenvRunner, tmp_path: Path) -> None:
    """Neither a named one nor the password of a URL; also where the line is cut. `stderr` is true."""
    source = f"raise RuntimeError('x' * 250 + ' token {SECRET} of https://me:sesame-seed@host.example/')\n"
    error = failure(venv, str(make_project(tmp_path / "crate", source)), secrets=[SECRET])
    shown = "".join(traceback.format_exception(error)) + repr(error)
    assert SECRET[:7] not in shown
    assert "sesame" not in shown
    assert SECRET in error.stderr


def test_a_verbose_pip_hides_no_reason(tmp_path: Path) -> None:
    """It prints a build's output before the report of the failure, and then says that there is none."""
    project = make_project(tmp_path / "crate", "raise RuntimeError('out of glue')\n")
    with VenvRunner.temporary(with_pip=False) as venv:
        error = failure(venv, str(project), extra_env={"PIP_VERBOSE": "1"})
    assert str(error).startswith(f"{project} could not be built: RuntimeError: out of glue.")


@pytest.mark.parametrize("venv", INSTALLERS, indirect=True)
def test_a_scripted_failure_reports_the_same(venv: VenvRunner, tmp_path: Path) -> None:
    """What an installer has really printed gives the same exception from a double."""
    error = failure(venv, str(make_project(tmp_path / "crate", "raise RuntimeError('out of glue')\n")))
    double = ScriptedVenvRunner()
    double.answer(["pip", "install", "crate"], stdout=error.stdout, stderr=error.stderr, returncode=1)
    with pytest.raises(BuildFailedError) as caught:
        double.install("crate", secrets=iter([SECRET]))
    assert str(caught.value) == str(error)
    assert caught.value.__notes__ == error.__notes__


def test_a_message_names_what_was_asked_for(venv: VenvRunner, tmp_path: Path) -> None:
    """A few names, and how many more; a requirements file or a wheel by its path; never the command line."""
    (tmp_path / "r.txt").write_text("no-such-thing\n")
    first = str(failure(venv, "no-such-thing", "b", "c", "d", "e"))
    assert first.startswith("no-such-thing, b, c and 2 more could not be installed: ")
    assert str(failure(venv, requirements_files=[tmp_path / "r.txt"])).startswith(
        f"{tmp_path / 'r.txt'} could not be installed: "
    )
    wheel = tmp_path / "two words" / "x-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.write_text("not an archive")
    assert str(failure(venv, str(wheel))).startswith(f"{wheel} could not be installed: ")
    assert "--" not in first


def test_the_command_line_reports_the_same(tmp_path: Path) -> None:
    """Message, output and advice of a failed build come last on standard error."""
    project = make_project(tmp_path / "crate", "raise RuntimeError('out of glue')\n")
    result = run("--with", str(project), "--", "python", "-c", "print('was run')")
    assert (result.returncode, result.stdout) == (125, b"")
    message, rest = result.stderr.decode().partition("venvrunner: ")[2].partition("venvrunner: ")[2].split("\n", 1)
    assert message.startswith(f"{project} could not be built: RuntimeError: out of glue.")
    assert rest.startswith("The output of the build:\nTraceback")
    assert rest.rstrip("\n").split("\n")[-2:] == [
        "RuntimeError: out of glue",
        "The project's own build failed. Fix it there, or use a release that has a wheel for this Python and platform.",
    ]


PIP_LOST = "ERROR: Could not find a version that satisfies the requirement x (from versions: none)\n"
PLAIN_HTTP = "WARNING: The repository located at h is not a trusted or secure host and is being ignored.\n"
UV_OFFLINE = """error: No solution found when resolving dependencies
  cause: Because x was not found in the cache and you require x, we can conclude that your requirements are unsatisfiable.

hint: Packages were unavailable because the network was disabled. When the network is disabled, only the cache is read.
"""
UV_BUSY = """error: Failed to fetch: https://h/simple/x/
  cause: HTTP status server error (503 Service Unavailable) for url
         (https://h/simple/x/)
"""
PIP_FILE = """error: connection-failed

\u00d7 Failed to connect to h while fetching https://h/x.whl
╰─> [Errno 111] Connection refused
"""
WORDS: list[tuple[str, type[InstallationError], str, str]] = [
    (PIP_LOST, NoSuchPackageError, "Could not find a version that satisfies the requirement x", "Check the spelling"),
    (
        "Could not fetch URL https://h/simple/x/: There was a problem confirming the ssl certificate: [SSL: X] y - skipping\n"
        + PIP_LOST,
        IndexUnreachableError,
        "There was a problem confirming the ssl certificate: [SSL: X] y.",
        "Check the network",
    ),
    (
        "Could not fetch URL https://h/simple/x/: 404 Client Error: Not Found for url: https://h/ - skipping\n" + PIP_LOST,
        NoSuchPackageError,
        "Could not find",
        "Check the spelling",
    ),
    (PLAIN_HTTP + PIP_LOST, NoSuchPackageError, "Could not find", "pip ignores an index without TLS"),
    (UV_OFFLINE, IndexUnreachableError, "Because x was not found in the cache", "UV_OFFLINE, or the setting offline"),
    (
        UV_BUSY,
        IndexUnreachableError,
        "Failed to fetch: https://h/simple/x/: HTTP status server error (503",
        "Check the network",
    ),
    (PIP_FILE, InstallationError, "Failed to connect to h while fetching https://h/x.whl: [Errno 111]", "Check the URL, "),
]


@pytest.mark.slow
@pytest.mark.parametrize("verbose", ["0", "2"])
def test_without_retries_only_a_verbose_pip_reports_the_index(verbose: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nothing that it prints lets one know."""
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_VERBOSE", verbose)
    with VenvRunner.temporary(with_pip=False) as venv:
        error = failure(venv, "pocket", no_index=False, index_url="http://127.0.0.1:9/simple")
    assert type(error) is (NoSuchPackageError if verbose == "0" else IndexUnreachableError)
    assert ("connection error: [Errno 111]" in str(error)) == (verbose == "2")


@pytest.mark.parametrize(("stderr", "kind", "reason", "advice"), WORDS)
def test_an_index_that_does_not_answer_is_not_a_missing_package(
    stderr: str, kind: type[InstallationError], reason: str, advice: str
) -> None:
    """Nor is a file of a URL an index; and where pip has ignored an index, the advice says why."""
    double = ScriptedVenvRunner()
    double.answer(["pip", "install", "https://h/x.whl"], stderr=stderr, returncode=1)
    with pytest.raises(kind) as caught:
        double.install("https://h/x.whl")
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"https://h/x.whl could not be installed: {reason}")
    assert caught.value.__notes__[-1].startswith(advice)


def test_a_removal_that_fails_says_so() -> None:
    """And a removal without a reason names the package all the same."""
    double = ScriptedVenvRunner(installed={"pocket": "1.0"})
    double.answer(["pip", "uninstall", "--yes", "pocket"], returncode=2)
    with pytest.raises(
        InstallationError, match=r"^pocket could not be removed\. The installer returned non-zero exit status 2\.$"
    ):
        double.uninstall("pocket")


OLD_UV = """  \u00d7 Failed to build `crate @ file:///src/crate`
  ├─▶ The build backend returned an error
  ╰─▶ Call to `back.build_wheel` failed (exit status: 1)

      [stderr]
      RuntimeError: out of glue

      hint: This usually indicates a problem with the package or the build environment.
"""
OLD_UV_MISSING = """  \u00d7 Failed to build `crate @ file:///src/crate`
  ├─▶ Failed to resolve requirements from `build-system.requires`
  ├─▶ No solution found when resolving: `glue`
  ╰─▶ Because glue was not found in the package registry and you require glue, we can conclude that your requirements are
      unsatisfiable.
"""
NEW_PIP = """error: failed-build-dependency-install

\u00d7 Cannot install build dependencies for crate
╰─> Installing glue
    [2 lines of output]
    Looking in links: /wheels
    ERROR: No matching distribution found for glue
    [end of output]

note: This is likely not a problem with pip.
"""


def test_the_words_of_other_versions_are_understood() -> None:
    """Of an older uv, with boxes, and of a pip that installs what a build needs by itself."""
    build = failed_build(OLD_UV)
    assert build is not None
    assert build.package == "crate"
    assert reason_of(build.output) == "RuntimeError: out of glue"
    build = failed_build(OLD_UV_MISSING)
    assert build is not None
    assert build.missing == "glue"
    build = failed_build(NEW_PIP)
    assert build is not None
    assert (build.package, build.missing) == ("crate", "glue")
    assert build.output[-1] == "ERROR: No matching distribution found for glue"


@pytest.mark.parametrize(
    "text", ["", "error: ", "\u00d7 Building wheel for x did not run successfully.", "╰─> \n", "Failed to build `"]
)
def test_any_text_may_be_looked_at(text: str) -> None:
    """A report that was cut short is no error of ours."""
    for end in range(len(OLD_UV)):
        failed_build(OLD_UV[:end])
    for end in range(len(NEW_PIP)):
        failed_build(NEW_PIP[:end])
    build = failed_build(text)
    assert build is None or excerpt(build.output) == []
