"""Installing one thing: what is accepted, what is refused before anything starts, and how a failure explains itself."""

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from helpers.wheels import make_command_wheel
from venvrunner import InvalidRequirementError, VenvError, VenvRunner


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> VenvRunner:
    """A real environment of this module's own, to install into."""
    return VenvRunner("target", tmp_path_factory.mktemp("install"))


class Recorder:
    """An environment whose interpreter only writes down that it was started, and with what."""

    def __init__(self, venv: VenvRunner) -> None:
        self.venv = venv
        self._record = Path(venv.venv_dir) / "argv"
        python = Path(venv.python_executable)
        python.unlink()
        # What is asked after an installation is not written down.
        python.write_text(f'#!/bin/sh\n[ -e "{self._record}" ] || printf "%s\\0" "$@" > "{self._record}"\n')
        python.chmod(python.stat().st_mode | stat.S_IXUSR)

    def forget(self) -> None:
        """Let the next start of the interpreter be written down."""
        self._record.unlink(missing_ok=True)

    def recorded(self) -> list[str]:
        """Return the arguments of the interpreter that was started first."""
        return self._record.read_text().split("\0")[:-1]

    def install(self, text: str | Path) -> list[str] | None:
        """Return the arguments of the interpreter that was started; `None` if the requirement was refused."""
        self.forget()
        refused: ValueError | None = None
        try:
            self.venv.install_package(text)
        except InvalidRequirementError as exc:
            refused = exc
        if refused is None:
            return self.recorded()
        assert not self._record.exists(), "a process was started"
        assert re.search(r"\. (Name|Use|Insert|A|Write) [^.].*\.$", str(refused)), refused
        return None


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    """An interpreter that starts no pip."""
    return Recorder(VenvRunner("recorder", tmp_path_factory.mktemp("install")))


@pytest.fixture
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with a few things in it."""
    (tmp_path / "project").mkdir()
    (tmp_path / "two words").mkdir()
    (tmp_path / "-e").mkdir()
    (tmp_path / "a.whl").touch()
    monkeypatch.chdir(tmp_path)


HOSTILE = [
    "", " ", "\t", "\n", "-", "--", "-e.", "-e .", "-r requirements.txt", "-rrequirements.txt", "-c x", "--pre", "--user",
    "--index-url=https://evil.example", "--index-url https://evil.example/simple", "--target=/", "--prefix /", "--root=/",
    "--python=/bin/sh", "  --pre", "--config-settings=x", "--global-option=x", "-i https://evil.example", "\u2010\u2010pre x",
    "name --index-url=https://evil.example", "name -e .", "name --hash=sha256:0", "one two", "one\ntwo", "one\n--pre",
    "one\r--pre", "one\0two", "\0", "one\x0btwo", "one\x85--pre", "one\u2028--pre", "one\x1b[31m", "one;", "one,two", "one==",
    "one>=1.0; rm -rf /", "one && rm x", "$(touch x)", "`touch x`", "one|two", "one>2 >1", "one[", "one[extra", "!one", "@",
    "one @", "one @ ", "./missing", "../missing.whl", "missing.whl", "missing.tar.gz", "/no/such/folder", "./", "~/missing",
    "https://", "https://host.example/a b", "https://host.example/a\nb", "javascript:alert(1)", "git+ext::sh -c touch% x",
    "git+", "ftp://host.example/x.whl", "é", "one\u3000two", "*", "?", "#one", "one # comment",
]  # fmt: skip
"""Nothing of this is one requirement, one existing path or one URL. (``./`` is a directory that is there: see below.)"""
HOSTILE.remove("./")


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.usefixtures("_in_folder")
def test_what_is_not_a_requirement_is_refused_before_a_process_starts(text: str, recorder: Recorder) -> None:
    """A package name can't become an option, a second requirement or a command."""
    assert recorder.install(text) is None


@pytest.mark.parametrize("value", [None, 1, b"wheel", ["wheel"]])
def test_a_requirement_is_a_str_or_a_path(value: object, recorder: Recorder) -> None:
    """Anything else is a TypeError that says what it is."""
    with pytest.raises(TypeError, match=type(value).__name__):
        recorder.install(value)  # type: ignore[arg-type]  # a wrong type on purpose


@pytest.mark.parametrize(
    "text",
    [
        "wheel", "Wheel_2.x", "wheel==1.0", "wheel >= 1, < 2", "wheel~=1.0", "wheel!=1.*", "wheel[a,b]>1", "wheel===1.0-odd",
        "wheel; python_version > '3'", "wheel; extra == 'a/b'", "wheel @ https://host.example/w.whl",
        "wheel[a] @ file:///there/w.whl", "wheel@git+https://host.example/w@main", "https://host.example/w-1.0.tar.gz",
        "https://host.example/w.whl#sha256=0", "git+ssh://git@host.example/w.git@v1",
        "git+https://host.example/w.git#subdirectory=a&egg=w", "file:///there/w.whl", "HTTPS://HOST.EXAMPLE/w.whl",
    ],
)  # fmt: skip
@pytest.mark.usefixtures("_in_folder")
def test_a_requirement_or_url_reaches_pip_as_it_is(text: str, recorder: Recorder) -> None:
    """What is accepted is one argument behind the end of the options."""
    argv = recorder.install(text)
    assert argv is not None
    assert argv[-2:] == ["--", text]


@pytest.mark.parametrize(
    ("text", "path", "extras"),
    [
        (".", ".", ""),
        ("./", ".", ""),
        ("./project", "project", ""),
        ("./project[docs,test]", "project", "[docs,test]"),
        ("project/", "project", ""),
        (".[test]", ".", "[test]"),
        ("./two words", "two words", ""),
        ("./-e", "-e", ""),
        ("a.whl", "a.whl", ""),
    ],
)
@pytest.mark.usefixtures("_in_folder")
def test_a_path_that_is_there_reaches_pip_absolute(text: str, path: str, extras: str, recorder: Recorder) -> None:
    """A later working directory or a name that begins with a dash can't change what is meant: without extras it is a URL."""
    argv = recorder.install(text)
    assert argv is not None
    absolute = os.path.abspath(path)
    assert argv[-2:] == ["--", absolute + extras if extras else Path(absolute).as_uri()]


@pytest.mark.parametrize("name", ["größe", "全角\u3000空白", "100%", "it's"])
def test_a_path_may_have_any_letters(name: str, recorder: Recorder, tmp_path: Path) -> None:
    """Spaces, unicode and percent signs are no control characters."""
    (tmp_path / name).mkdir()
    argv = recorder.install(str(tmp_path / name))
    assert argv is not None
    assert argv[-2:] == ["--", (tmp_path / name).as_uri()]


MISREAD = [
    (["-r", "requirements.txt"], "Use requirements_files=['requirements.txt']."),
    (["-r requirements.txt"], "Use requirements_files=['requirements.txt']."),
    (["-rrequirements.txt"], "Use requirements_files=['requirements.txt']."),
    (["--requirement=requirements.txt"], "Use requirements_files=['requirements.txt']."),
    (["requirements.txt"], "Use requirements_files=['requirements.txt']."),
    (["./requirements.txt"], "Use requirements_files=['./requirements.txt']."),
    ([Path("requirements.txt")], "Use requirements_files=['requirements.txt']."),
    (["pylock.toml"], "Use lock='pylock.toml'."),
    (["pyproject.toml"], "Name its directory: install('.')."),
    (["project/setup.py"], "Name its directory: install('project')."),
    (["-c", "c.txt", "a"], "Use constraints=['c.txt']."),
    (["-e ."], "Use editable=['.']."),
    (["-e", "."], "Use editable=['.']."),
    (["a", "--upgrade"], "Use upgrade=True."),
    (["-U", "a"], "Use upgrade=True."),
    (["--pre"], "Use pre=True."),
    (["--no-deps"], "Use deps=False."),
    (["--no-index", "a"], "Use no_index=True."),
    (["-i", "https://host.example/simple"], "Use index_url='https://host.example/simple'."),
    (["--index-url=https://me:hunter2@host.example/"], "Use index_url='https://****@host.example/'."),
    (["--find-links", "wheels"], "Use find_links=['wheels']."),
    (["--group", "test"], "Use dependency_groups=['test']."),
    (["--config-settings=a=b"], "Use config_settings={'a': 'b'}."),
    (["--uploaded-prior-to=P7D"], "Use exclude_newer='P7D'."),
    (["--target=x"], "Name a package, an existing path or a URL."),
    (["a b"], "Use one argument for each: install('a', 'b')."),
    (["a>=1,<2 b[c]"], "Use one argument for each: install('a>=1,<2', 'b[c]')."),
    (["a, b"], "Use one argument for each: install('a', 'b')."),
    (["git@host:o/r.git"], "Use 'git+ssh://git@host/o/r.git'."),
    (["r @ git@host:o/r.git"], "Use 'r @ git+ssh://git@host/o/r.git'."),
]


@pytest.mark.parametrize(("call", "remedy"), MISREAD)
@pytest.mark.usefixtures("_in_folder")
def test_a_misread_call_is_answered_with_the_right_one(call: list[str], remedy: str, recorder: Recorder) -> None:
    """Whoever knows the installers' options learns the keyword from the error."""
    for name in ("requirements.txt", "pylock.toml", "pyproject.toml", "project/setup.py"):
        Path(name).touch()
    with pytest.raises(InvalidRequirementError) as caught:
        recorder.venv.install(*call)
    assert str(caught.value).endswith(remedy)


@pytest.mark.usefixtures("_in_folder")
def test_a_path_object_is_always_a_path(recorder: Recorder, tmp_path: Path) -> None:
    """Also one that could be the name of a package, or an option; wherever a path is meant."""
    for path in (Path("project"), Path("-e"), next(Path().glob("*.whl"))):
        argv = recorder.install(path)
        assert argv is not None
        assert argv[-2:] == ["--", (tmp_path / path).as_uri()]
    with pytest.raises(InvalidRequirementError, match=r"^'missing' does not exist\. A relative path is resolved"):
        recorder.venv.install_package(Path("missing"))
    options: dict[str, Any] = {
        "index_url": Path("project"),
        "extra_index_urls": [Path("-e")],
        "find_links": [Path("two words")],
    }
    recorder.forget()
    recorder.venv.install(editable=[Path("project")], **options)
    urls = [(tmp_path / name).as_uri() for name in ("project", "-e", "two words")]
    argv = recorder.recorded()
    assert argv[-4:] == [f"--editable={urls[0]}", f"--extra-index-url={urls[1]}", f"--find-links={urls[2]}", "--"]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.one_of(
        st.text(max_size=40),
        st.text(alphabet="-ae=./:@[];\n >'~", max_size=12),
        st.from_regex(r"\A[a-z-]{1,5}[ \n]?[-@;<>=\[ ]{0,3}[a-z0-9/.:-]{0,8}\Z"),
    )
)
@example(text="--pre")
@example(text="wheel")
@example(text="0@/")
def test_no_text_becomes_an_option(text: str, recorder: Recorder) -> None:
    """Whatever the text, it is refused, or it is the one argument behind `--`, in one line and without a dash in front."""
    argv = recorder.install(text)
    if argv is not None:
        *start, report, dashes, _last = argv
        assert [*start, report.partition("=")[0], dashes] == ["-I", "-m", "pip", "install", "--report", "--"]
        last = argv[-1].partition(" @ ")[2] or argv[-1]
        assert argv[-1] == text.strip(" ") or last.startswith(("file:///", os.getcwd()))
        assert not argv[-1].startswith("-")
        assert len(argv[-1].splitlines()) == 1


@pytest.mark.parametrize("text", ["https://me:hunter2@host.example/a b", "https://me:hunter2@host.example/\nx"])
def test_a_refusal_shows_no_credential(text: str, recorder: Recorder) -> None:
    """Credentials are masked in the message too, which ends up in logs."""
    with pytest.raises(InvalidRequirementError) as caught:
        recorder.venv.install_package(text)
    assert "hunter2" not in str(caught.value) + repr(caught.value)


def test_a_wheel_is_installed_with_its_commands(target: VenvRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After install_package, the package's command is one of the environment's; the result has pip's own words."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    result = target.install_package(str(make_command_wheel(tmp_path, "parcel")))
    assert isinstance(result, subprocess.CompletedProcess)
    assert result.returncode == 0
    assert "Successfully installed parcel-1.0" in result.stdout
    assert target.log_run(["parcel"]).stdout == "parcel 1.0\n"


def test_a_relative_path_is_one_of_the_present_directory(
    target: VenvRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`./dist/x.whl`, as build tools write it, is looked up from the caller's working directory."""
    (tmp_path / "dist").mkdir()
    make_command_wheel(tmp_path / "dist", "bundle")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert "bundle-1.0" in target.install_package("./dist/bundle-1.0-py3-none-any.whl").stdout


def test_a_name_is_looked_up_where_the_settings_say(
    target: VenvRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Index settings of the environment count; versions are compared by pip."""
    for version in ("1.0", "2.0", "3.0"):
        make_command_wheel(tmp_path, "carton", version)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    target.install_package("carton > 1, < 3")
    assert target.log_run(["carton"]).stdout == "carton 2.0\n"


def test_a_failed_installation_says_why(target: VenvRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exception is subprocess's and ours, and its note has pip's reason."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    wheel = make_command_wheel(tmp_path, "needy", requires="no-such-thing-anywhere>=2")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        target.install_package(str(wheel))
    assert isinstance(caught.value, VenvError)
    assert caught.value.returncode == 1
    assert "No matching distribution found for no-such-thing-anywhere" in "\n".join(caught.value.__notes__)
    assert "no-such-thing-anywhere" in caught.value.stderr


def test_pips_own_failure_leaves_no_temporary_file(target: VenvRunner, tmp_path: Path) -> None:
    """A broken archive is a clear error, and what pip unpacked is gone (the fixture looks)."""
    broken = tmp_path / "broken-1.0-py3-none-any.whl"
    broken.write_bytes(b"no archive")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        target.install_package(str(broken))
    assert caught.value.__notes__


@pytest.mark.network
def test_a_project_directory_is_built_and_installed(
    target: VenvRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory with a pyproject.toml is built with its back end from the index, then installed."""
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "crate"\nversion = "1.0"\n[project.scripts]\ncrate = "crate:main"\n'
    )
    (tmp_path / "crate.py").write_text("def main():\n    print('crate')\n")
    monkeypatch.chdir(tmp_path)
    assert "Successfully installed crate-1.0" in target.install_package(".").stdout
    assert target.log_run(["crate"]).stdout == "crate\n"


@pytest.mark.network
def test_a_name_of_the_index_is_installed(target: VenvRunner) -> None:
    """The plain use: one name."""
    assert "Successfully installed" in target.install_package("iniconfig").stdout
