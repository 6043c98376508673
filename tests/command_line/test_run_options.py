"""The options of a run, each through a real process: what is installed, from where, into what, and how the command runs."""

import os
import socket
from pathlib import Path

import pytest

from helpers.command_line import run
from helpers.stores import environments, store
from helpers.wheels import LOCAL, make_pockets, make_wheel

__all__ = ["store"]

INSTALLED = "import importlib.metadata as m, sys; print(sorted(d.name for d in m.distributions() if d.name != 'pip'))"
SHOW = ["--", "python", "-c", INSTALLED]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with wheels, a project, a requirements file, a constraints file and a dependency group."""
    make_pockets(tmp_path)
    make_wheel(tmp_path / "wheels", "quill")
    (tmp_path / "needs.txt").write_text("quill\n")
    (tmp_path / "pyproject.toml").write_text('[dependency-groups]\ntest = ["quill"]\n')
    return tmp_path


def locked(folder: Path) -> Path:
    """Write a lock file with pocket 1.0, and return its path."""
    done = run("lock", "-q", "pocket<2", *LOCAL, cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    return folder / "pylock.toml"


@pytest.mark.parametrize("installer", ["pip", "uv"])
@pytest.mark.parametrize(
    ("args", "installed"),
    [
        (["--with", "pocket", "-r", "needs.txt"], ["pocket", "quill"]),
        (["--group", "test"], ["quill"]),
        (["--group", "pyproject.toml:test", "--with", "pocket"], ["pocket", "quill"]),
    ],
)
def test_each_option_for_packages_installs(args: list[str], installed: list[str], installer: str, folder: Path) -> None:
    """With each installer, from the places that are named."""
    done = run(*args, *LOCAL, "--installer", installer, *SHOW, cwd=folder, UV_NO_CONFIG="1")
    assert (done.returncode, done.stdout.decode()) == (0, f"{installed}\n"), done.stderr


@pytest.mark.parametrize("option", ["--lock", "-r"])
def test_a_lock_file_is_installed_and_further_packages_on_top(option: str, folder: Path) -> None:
    """`-r` knows a lock file by its name."""
    locked(folder)
    done = run(option, "pylock.toml", "--with", "quill", *LOCAL, *SHOW, cwd=folder)
    assert (done.returncode, done.stdout) == (0, b"['pocket', 'quill']\n"), done.stderr
    assert b"venvrunner: Installing " in done.stderr


def test_constraints_limit_the_versions(folder: Path) -> None:
    """The installer gets them with everything that is resolved."""
    code = "import importlib.metadata as m; print(m.version('pocket'))"
    for limits, version in (([], b"2.0\n"), (["-c", "limits.txt"], b"1.0\n")):
        assert run("--with", "pocket", *limits, *LOCAL, "--", "python", "-c", code, cwd=folder).stdout == version


def test_the_index_can_be_chosen(folder: Path) -> None:
    """The directory of an index (PEP 503) by its path."""
    index = folder / "index" / "pocket"
    index.mkdir(parents=True)
    wheel = make_wheel(index, "pocket")
    (index / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    done = run("--with", "pocket", "--index-url", "index", *SHOW, cwd=folder, PIP_NO_INDEX="", PIP_FIND_LINKS="")
    assert done.stdout == b"['pocket']\n", done.stderr


def test_a_project_is_editable(tmp_path: Path) -> None:
    """What is edited after the installation is what the command imports."""
    (tmp_path / "backend.py").write_text(
        "def get_requires_for_build_editable(config_settings=None): return []\n"
        "def build_editable(directory, config_settings=None, metadata_directory=None):\n"
        "    import pathlib, sys; sys.path.insert(0, '.'); import zipfile\n"
        "    name = 'mine-1.0-py3-none-any.whl'\n"
        "    with zipfile.ZipFile(pathlib.Path(directory, name), 'w') as wheel:\n"
        "        wheel.writestr('mine.pth', str(pathlib.Path.cwd()) + chr(10))\n"
        "        wheel.writestr('mine-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: mine\\nVersion: 1.0\\n')\n"
        "        wheel.writestr('mine-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\n')\n"
        "        wheel.writestr('mine-1.0.dist-info/RECORD', '')\n"
        "    return name\n"
    )
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "mine"\nversion = "1.0"\n'
    )
    (tmp_path / "mine.py").write_text("print('edited')\n")
    assert run("-e", ".", "--", "python", "-c", "import mine", cwd=tmp_path).stdout == b"edited\n"


def test_the_command_gets_variables_and_a_directory(tmp_path: Path) -> None:
    """They are the command's, not the installer's."""
    code = "import os; print(os.environ['COLOUR'], os.environ['EMPTY'] == '', os.getcwd())"
    done = run("--env", "COLOUR=a=b", "--env", "EMPTY=", "--cwd", str(tmp_path), "--", "python", "-c", code)
    assert done.stdout.decode() == f"a=b True {tmp_path}\n", done.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--env", "COLOUR"], "argument --env: must be NAME=VALUE, not 'COLOUR'."),
        (["--env", "=x"], "argument --env: must be NAME=VALUE, not '=x'."),
        (["--cwd", "no-such-directory"], "--cwd: the directory 'no-such-directory' does not exist."),
        (["--keep", "a", "--reuse", "b"], "--keep recreates the environment, and --reuse keeps it. Use one of them."),
        (["--reuse", ""], "--reuse must name a directory, such as .venv, but is empty."),
        (["-q", "-v"], "--quiet shows less, and --verbose more. Use one of them."),
        (["--lock", "a", "-r", "pylock.toml"], "only one lock file can be installed, not 'a' and 'pylock.toml'."),
        (["--install-timeout", "0"], "argument --install-timeout: must be a positive number of seconds, not '0'."),
        (["--installer", "conda"], "argument --installer: invalid choice: 'conda' (choose from "),
    ],
)
def test_options_that_make_no_sense_are_2(args: list[str], message: str, tmp_path: Path) -> None:
    """One message says why, before anything starts."""
    done = run(*args, "--", "python", "-c", "print('was run')", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().splitlines()[-1].startswith(f"venvrunner: error: {message}")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--with=--upgrade"], "'--upgrade' is an option, not a requirement. Leave it out: a new environment has nothing to"),
        (["--with=-rneeds.txt"], "'-rneeds.txt' is an option, not a requirement. Use -r needs.txt."),
        (["--with", "pocket quill"], "Use one argument for each: --with pocket --with quill."),
        (["--with", "needs.txt"], "Use -r needs.txt."),
        (
            ["--with", "pocket", "--find-links", "nowhere"],
            "--find-links: 'nowhere' is neither a URL nor an existing directory.",
        ),
        (["--with", "pocket", "--index-url", "nowhere"], "--index-url: 'nowhere' is neither a URL nor an existing directory."),
        (["--lock", "needs.txt"], "Use -r needs.txt."),
        (["--with", "nope"], "Check the spelling, and where the installer searched: --index-url and its password, --find-"),
        (["--python", "3.x"], "--python 3.x is not a path, a version or a range."),
    ],
)
def test_messages_name_options(args: list[str], message: str, folder: Path) -> None:
    """Not the keywords of the library, which the reader does not use; the last line is what to do."""
    done = run(*args, *LOCAL[:1], *SHOW, cwd=folder)
    assert (done.returncode, done.stdout) == (125, b"")
    assert message in done.stderr.decode().splitlines()[-1]


def test_an_environment_is_reused_if_it_fits(folder: Path) -> None:
    """Kept for equal arguments; for others, it is recreated, and one line says why."""
    for requirement, said in (("pocket", b"venvrunner: Installing pocket\n"), ("pocket", b""), ("quill", b"recreating")):
        done = run("--reuse", "kept", "--with", requirement, *LOCAL, *SHOW, cwd=folder)
        assert (done.returncode, done.stdout.decode()) == (0, f"['{requirement}']\n"), done.stderr
        assert done.stderr.startswith(said) or said in done.stderr
        assert bool(done.stderr) == bool(said)
    assert (folder / "kept" / "pyvenv.cfg").is_file()


def test_what_has_no_record_is_installed_on_top_of_a_reused_environment(folder: Path) -> None:
    """The installer checks a requirements file each time: it may have changed."""
    for more in ("quill\n", "quill\npocket\n"):
        (folder / "needs.txt").write_text(more)
        done = run("--reuse", "kept", "-r", "needs.txt", *LOCAL, *SHOW, cwd=folder)
        assert done.stdout.decode() == f"{sorted(more.split())}\n", done.stderr


@pytest.mark.parametrize("args", [["--with", "pocket"], ["--group", "test"], ["--lock", "pylock.toml"]])
def test_the_store_has_what_options_name(args: list[str], store: Path, folder: Path) -> None:
    """Each option with places of its own; the second run installs nothing."""
    locked(folder)
    for said in (b"preparing an environment in the store", b""):
        done = run("--cached", *args, *LOCAL, *SHOW, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert said in done.stderr
        assert bool(done.stderr) == bool(said)
    assert len(environments(store)) == 1


def test_constraints_count_with_the_store_too(store: Path, folder: Path) -> None:
    """What they limit is not taken from the store, which resolves without them."""
    code = "import importlib.metadata as m; print(m.version('pocket'))"
    for limits, version in (([], b"2.0\n"), (["-c", "limits.txt"], b"1.0\n")):
        done = run("--cached", "--with", "pocket", *limits, *LOCAL, "--", "python", "-c", code, cwd=folder)
        assert done.stdout == version, done.stderr


@pytest.mark.parametrize("cached", [False, True])
def test_an_installation_that_takes_too_long_is_125(cached: bool, store: Path) -> None:
    """While pip waits for a server that never answers; one sentence says so, and nothing is left."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/simple/"
        options = ["--install-timeout", "2", "--with", "pocket", "--index-url", url, *(["--cached"] if cached else [])]
        done = run(*options, *SHOW, NO_PROXY="*", no_proxy="*", PIP_NO_INDEX="")
    assert (done.returncode, done.stdout) == (125, b"")
    last = b"the installation took longer than 2 seconds. Check the index, or use a larger --install-timeout."
    assert done.stderr.splitlines()[-1] == b"venvrunner: " + last
    assert os.listdir(os.environ["TMPDIR"]) == []


def test_an_installation_within_its_limit_is_not_disturbed(folder: Path) -> None:
    """A failure within it has its own reason."""
    assert run("--install-timeout", "300", "--with", "pocket", *LOCAL, *SHOW, cwd=folder).stdout == b"['pocket']\n"
    done = run("--install-timeout", "300", "--with", "nope", *LOCAL, *SHOW, cwd=folder)
    assert b"Check the spelling" in done.stderr.splitlines()[-1]


def test_a_quiet_run_shows_the_installation_only_if_it_fails(folder: Path) -> None:
    """Then all of it, and why."""
    assert run("-q", "--with", "pocket", *LOCAL, *SHOW, cwd=folder).stderr == b""
    failed = run("--quiet", "--with", "nope", *LOCAL, *SHOW, cwd=folder)
    assert failed.stderr.startswith(b"Looking in links: ")
    assert b"venvrunner: nope could not be installed: " in failed.stderr


def test_a_verbose_run_shows_how_the_installer_is_called(folder: Path) -> None:
    """And what it has changed."""
    shown = run("-v", "--with", "pocket", *LOCAL, *SHOW, cwd=folder).stderr.decode()
    assert "'install'" in shown
    assert "\nadded    pocket  2.0\n" in shown


HOSTILE = "::error::injected\n  ::warning::indented\n##[error]old\nsafe ##[add-path]/evil\nplain"


def test_an_installer_gives_no_command_to_github(tmp_path: Path) -> None:
    """Its lines, and those of a build that are shown after a failure: none is a command, indented or not."""
    (tmp_path / "backend.py").write_text(f"raise SystemExit({HOSTILE!r})\n")
    (tmp_path / "pyproject.toml").write_text('[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n')
    done = run("--with", ".", *SHOW, cwd=tmp_path, GITHUB_ACTIONS="true")
    assert done.returncode == 125
    lines = done.stderr.decode().splitlines()
    assert any("::error::injected" in line for line in lines)
    assert any("## [error]old" in line for line in lines)
    commands = [line for line in lines if line.lstrip().startswith("::") or "##[" in line]
    assert [command.split("::")[1].split()[0] for command in commands] == ["group", "endgroup", "error"]
    plain = run("--with", ".", *SHOW, cwd=tmp_path)
    assert any(line.strip().startswith("::error::injected") for line in plain.stderr.decode().splitlines())
