"""Creating an environment: where it may be made, what it never touches, and that it never comes in half."""

import os
import shutil
import signal
import socket
from pathlib import Path

import pytest
import virtualenv

from helpers.files import listing
from helpers.programs import WATCH, run_python
from helpers.wheels import make_command_wheel
from venvrunner import CreationError, InvalidPathError, NotAVenvError, VenvError, VenvInUseError, VenvRunner


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A directory with things of the user's in it and beside it."""
    (tmp_path / "beside.txt").write_text("precious")
    folder = tmp_path / "top"
    folder.mkdir()
    (folder / "inside.txt").write_text("precious")
    return folder


@pytest.mark.parametrize(
    "name", ["..", "", ".", "a/b", "../a", "a/..", "/absolute", "a\\b", "C:", "a:b", "a\0b", "a\nb", "\x1b[31m", "a\x7f"]
)
def test_a_name_of_another_directory_is_refused(name: str, top: Path) -> None:
    """The name is one component of a path; what it would have led to stays as it was."""
    before = listing(top.parent)
    with pytest.raises(InvalidPathError) as caught:
        VenvRunner(name, top)
    assert isinstance(caught.value, VenvError)
    assert isinstance(caught.value, ValueError)
    assert listing(top.parent) == before


@pytest.mark.parametrize("name", ["link", "link-to-venv", "dangling", "folder", "file", "cfg-folder"])
def test_what_is_not_an_environment_stays_untouched(name: str, top: Path) -> None:
    """A link, a file, and a directory with files in it are in the way: the error names them, and nothing is changed."""
    (top / "folder" / "src").mkdir(parents=True)
    (top / "folder" / "src" / "work.py").write_text("precious")
    (top / "cfg-folder" / "pyvenv.cfg").mkdir(parents=True)
    (top / "file").write_text("precious")
    (top / "other").mkdir()
    (top / "other" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (top / "link").symlink_to("folder")
    (top / "link-to-venv").symlink_to("other")
    (top / "dangling").symlink_to("nowhere")
    before = listing(top.parent)
    with pytest.raises(NotAVenvError, match=name) as caught:
        VenvRunner(name, top)
    assert isinstance(caught.value, FileExistsError)
    assert listing(top.parent) == before


@pytest.mark.parametrize("char", ["\n", "\r", "\t", "\x1b", "\x7f", '"', "$", "`", "\\", ":", "\0", "\u2028"])
@pytest.mark.parametrize("where", ["name", "top_dir"])
def test_a_path_in_which_scripts_would_break_is_refused(where: str, char: str, tmp_path: Path) -> None:
    """Characters that break pip's script wrappers or PATH are refused before the disk is touched."""
    odd = f"a{char}b"
    name, top_dir = (odd, str(tmp_path)) if where == "name" else ("venv", str(tmp_path / odd / "deep"))
    with pytest.raises(InvalidPathError):
        VenvRunner(name, top_dir)
    assert listing(tmp_path) == {}


LONG = "/".join(["long" * 25] * 4)


@pytest.mark.parametrize(
    "folder",
    [
        "größe 漢字 👩\u200d🔬 全\u3000角",
        LONG,
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("two words", "100%s %(prefix)s", "it's", "-x ~ #&;()")),
    ],
)
def test_a_path_may_have_blanks_and_any_letters_and_be_long(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip, and the command of an installed package, work in such an environment."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    venv = VenvRunner("the venv", tmp_path / folder)
    assert len(venv.venv_dir) > 300 or folder != LONG
    assert venv.log_run(["pip", "--version"]).stdout.startswith("pip ")
    venv.install_package(str(make_command_wheel(tmp_path)))
    assert venv.log_run(["pocket"], cwd="/").stdout == "pocket 1.0\n"


def test_a_relative_directory_is_resolved_at_creation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """venv_dir is absolute from the start; name and top_dir are kept as given; a missing top_dir is made."""
    monkeypatch.chdir(tmp_path)
    top_dir = Path("not") / "there" / "yet"
    venv = VenvRunner("venv", top_dir)
    monkeypatch.chdir("/")
    assert (venv.name, venv.top_dir, venv.venv_dir) == ("venv", top_dir, str(tmp_path / top_dir / "venv"))
    code = ["python", "-c", "import sys; print(sys.prefix)"]
    assert venv.log_run(code).stdout == venv.log_run(code, cwd=tmp_path).stdout == venv.venv_dir + "\n"


def test_an_empty_directory_is_used(tmp_path: Path) -> None:
    """Nothing can be lost in a directory that is empty."""
    (tmp_path / "venv").mkdir()
    assert Path(VenvRunner("venv", tmp_path).python_executable).exists()


def test_an_existing_environment_is_recreated(tmp_path: Path) -> None:
    """What was in the old one is gone, and the new one works."""
    VenvRunner("venv", tmp_path)
    (tmp_path / "venv" / "old").touch()
    venv = VenvRunner("venv", str(tmp_path))
    assert not (tmp_path / "venv" / "old").exists()
    assert venv.log_run(["pip", "--version"]).returncode == 0


@pytest.mark.parametrize("source", ["variable", "config", "user config"])
def test_virtualenvs_own_settings_do_not_leak_in(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that opens plain virtualenv to the system's packages does not open our environment."""
    ini = tmp_path / "virtualenv" / "virtualenv.ini"
    ini.parent.mkdir()
    ini.write_text("[virtualenv]\nsystem_site_packages = true\n")
    for name in [name for name in os.environ if name.startswith("VIRTUALENV_")]:
        monkeypatch.delenv(name)
    match source:
        case "variable":
            monkeypatch.setenv("VIRTUALENV_SYSTEM_SITE_PACKAGES", "1")
        case "config":
            monkeypatch.setenv("VIRTUALENV_CONFIG_FILE", str(ini))
        case "user config":
            monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    plain = virtualenv.session_via_cli([str(tmp_path / "plain")], setup_logging=False)
    assert vars(plain.creator)["enable_system_site_package"] is True, "the setting has no effect, so the test proves nothing"
    venv = VenvRunner("venv", tmp_path)
    assert "include-system-site-packages = false" in (tmp_path / "venv" / "pyvenv.cfg").read_text()
    assert venv.log_run(["python", "-c", "import pytest"], check=False).returncode == 1


@pytest.mark.usefixtures("few_interpreters")
def test_an_environment_is_not_given_up_for_one_that_cannot_be(top: Path) -> None:
    """An unknown interpreter is noticed before the environment that is there is cleared."""
    venv = VenvRunner("venv", top)
    before = listing(top)
    with pytest.raises(CreationError, match=r"3\.99"):
        VenvRunner("venv", top, python="3.99")
    assert listing(top) == before
    assert venv.log_run(["python", "--version"]).returncode == 0


@pytest.mark.usefixtures("few_interpreters")
@pytest.mark.parametrize("python", ["9.99", "/no/such/python", "/etc/passwd", "", "--help"])
def test_an_interpreter_that_is_not_there_is_one_clear_error(python: str, top: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It is a CreationError that names what was asked for; nothing is printed, and nothing is left."""
    before = listing(top.parent)
    with pytest.raises(CreationError) as caught:
        VenvRunner("venv", top, python=python)
    assert isinstance(caught.value, RuntimeError)
    assert repr(python) in str(caught.value)
    assert listing(top.parent).keys() == before.keys()
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("few_interpreters")
def test_a_failed_creation_removes_the_directories_that_it_made(top: Path) -> None:
    """A top_dir that was missing is missing again."""
    before = listing(top.parent)
    with pytest.raises(CreationError):
        VenvRunner("venv", top / "not" / "there", python="9.99")
    assert listing(top.parent).keys() == before.keys()


@pytest.mark.usefixtures("few_interpreters")
def test_a_failed_creation_leaves_an_empty_directory_as_it_was(top: Path) -> None:
    """The directory was there before, so it is there afterwards."""
    (top / "venv").mkdir(mode=0o700)
    before = listing(top.parent)
    with pytest.raises(CreationError):
        VenvRunner("venv", top, python="9.99")
    assert listing(top.parent).keys() == before.keys()
    assert (top / "venv").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("name", "top_dir"), [("venv", "inside.txt"), ("venv", "inside.txt/deep"), ("n" * 300, ".")])
def test_an_impossible_path_is_one_clear_error(name: str, top_dir: str, top: Path) -> None:
    """A file for top_dir or a name that is too long: a CreationError with the system's reason."""
    before = listing(top.parent)
    with pytest.raises(CreationError, match=rf"^cannot create an environment in .*{name}"):
        VenvRunner(name, top / top_dir)
    assert listing(top.parent) == before


@pytest.mark.parametrize("top_dir", ["", b"/tmp", None, 1])
def test_top_dir_is_a_path_of_text(top_dir: object) -> None:
    """Anything else is a ValueError or TypeError that names the parameter."""
    with pytest.raises((InvalidPathError, TypeError)):
        VenvRunner("venv", top_dir)  # type: ignore[arg-type]  # a wrong type on purpose


@pytest.mark.parametrize("name", [b"venv", None, 1])
def test_a_name_is_text(name: object, tmp_path: Path) -> None:
    """Anything else is a TypeError that says what it is."""
    with pytest.raises(TypeError, match=type(name).__name__):
        VenvRunner(name, tmp_path)  # type: ignore[arg-type]  # a wrong type on purpose


_INTERRUPTED = f"""{WATCH}
target, step, error = sys.argv[1], int(sys.argv[2]), eval(sys.argv[3])
def handle(number, frame):
    raise error
signal.signal(signal.SIGUSR1, handle)
from venvrunner import VenvRunner
done = strike(target, step, signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGUSR1)
try:
    VenvRunner("venv", os.path.dirname(target))
except BaseException as exc:
    print("interrupted by", repr(exc))
else:
    print(len(done))
"""


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> int:
    """Return how many steps a creation takes: things it does to files of the environment."""
    target = tmp_path_factory.mktemp("steps") / "venv"
    return int(run_python(_INTERRUPTED, str(target), "-1", "KeyboardInterrupt()").stdout)


@pytest.mark.parametrize(
    ("tenths", "error"),
    [(tenths, "KeyboardInterrupt()") for tenths in (0, 1, 3, 5, 7, 9)]
    + [(5, "SystemExit(7)"), (5, "TimeoutError('mine')"), (5, "RuntimeError('mine')")],
)
def test_an_interrupted_creation_leaves_nothing(tenths: int, error: str, steps: int, tmp_path: Path) -> None:
    """Ctrl-C, or a signal handler of the caller's that raises, wherever it comes, leaves nothing, and is what propagates."""
    step = max(1, steps * tenths // 10)
    result = run_python(_INTERRUPTED, str(tmp_path / "venv"), str(step), error)
    assert result.stdout == f"interrupted by {error}\n", result.stderr
    assert listing(tmp_path) == {}


def test_a_temporary_environment_is_deleted_on_exit() -> None:
    """It is there within the block, and its directory is gone after it."""
    with VenvRunner.temporary() as venv:
        folder = Path(venv.venv_dir)
        assert venv.log_run(["python", "-c", "print(1)"]).stdout == "1\n"
    assert not folder.parent.exists()


def test_a_temporary_environment_is_deleted_after_an_exception() -> None:
    """The block's exception propagates as it is."""
    folders: list[Path] = []
    error = LookupError("mine")

    def use() -> None:
        with VenvRunner.temporary() as venv:
            folders.append(Path(venv.venv_dir))
            raise error

    with pytest.raises(LookupError) as caught:
        use()
    assert caught.value is error
    assert [folder.parent.exists() for folder in folders] == [False]


@pytest.mark.usefixtures("few_interpreters")
def test_a_temporary_environment_that_cannot_be_made_leaves_no_directory() -> None:
    """The temporary directory goes too (the fixture looks)."""
    with pytest.raises(CreationError), VenvRunner.temporary(python="9.99"):
        pass


def test_creation_needs_no_network_and_no_process(tmp_path: Path) -> None:
    """No socket is opened and no process is started, not even in the background; pip is there all the same."""
    with socket.socket() as closed:  # bound, and not listening: a connection would be refused
        closed.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
        code = """
import os, sys
seen = []
sys.addaudithook(lambda event, args: seen.append((event, args)) if event.partition(".")[0] in
                 {"socket", "subprocess"} or event in {"os.fork", "os.system", "os.posix_spawn", "os.exec"} else None)
from venvrunner import VenvRunner
venv = VenvRunner("venv", sys.argv[1])
print(seen)
print(venv.log_run(["pip", "--version"]).stdout)
"""
        proxies = dict.fromkeys(["http_proxy", "https_proxy", "all_proxy", "PIP_INDEX_URL", "PIP_PROXY"], nowhere)
        result = run_python(code, str(tmp_path), **proxies)
    assert result.stdout.startswith("[]\npip "), result.stdout + result.stderr


def test_a_signal_handler_is_put_back(tmp_path: Path) -> None:
    """A creation leaves the caller's handlers as they were."""
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    VenvRunner("venv", tmp_path)
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before


def test_hard_linked_copies_do_not_share_a_lock(tmp_path: Path) -> None:
    """``cp -al`` makes one file of two locks: who changes the original does not keep the copy waiting."""
    original = VenvRunner("venv", tmp_path, with_pip=False)
    copy = tmp_path / "copy"
    shutil.copytree(original.venv_dir, copy, symlinks=True, copy_function=os.link)
    with original._changing():
        VenvRunner.open(copy, wait=0)
        VenvRunner("copy", tmp_path, with_pip=False, wait=0)
        with pytest.raises(VenvInUseError):
            VenvRunner.open(original.venv_dir, wait=0)
    assert (copy / ".venvrunner" / "lock").stat().st_nlink == 1


@pytest.mark.parametrize("kind", ["link", "file"])
def test_without_directory_descriptors_a_linked_state_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows: nothing is noted, locked or removed in what it leads to."""
    monkeypatch.setattr("venvrunner._venv.open_directory._BY_DESCRIPTOR", False)
    venv = VenvRunner("venv", tmp_path, with_pip=False)
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("lock", "state", "user-0000", "precious"):
        (outside / name).write_text("precious")
    state = tmp_path / "venv" / ".venvrunner"
    shutil.rmtree(state)
    if kind == "link":
        state.symlink_to(outside, target_is_directory=True)
    else:
        state.touch()
    before = listing(outside)
    for action in (
        lambda: VenvRunner.open(venv.venv_dir),
        lambda: VenvRunner("venv", tmp_path, with_pip=False, wait=0),
        lambda: venv.fork("fork", tmp_path),
        venv.delete,
    ):
        with pytest.raises(VenvError, match=r"cannot|not usable"):
            action()
    venv.log_run(["python", "-c", ""])
    assert listing(outside) == before


CHANGE = """
import sys
from venvrunner import VenvRunner
with VenvRunner.open(sys.argv[1])._changing():
    print("changing", flush=True)
    sys.stdin.read()
"""
BOTH = f"""
import subprocess, sys
from venvrunner import VenvInUseError, VenvRunner
copy = sys.argv[1]
CHANGE = {CHANGE!r}
changing = None

def watch(event, args):
    global changing
    if event == "fcntl.flock" and changing is None:
        command = [sys.executable, "-c", CHANGE, copy]
        changing = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert changing.stdout.readline()

sys.addaudithook(watch)
try:
    VenvRunner.open(copy, wait=0)
except VenvInUseError:
    print("refused")
changing.communicate()
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no flock, which is intervened at")
def test_a_hard_linked_copy_has_one_lock_for_two_processes(tmp_path: Path) -> None:
    """Another process gives the copy a lock of its own, and holds it, between the opening of the old one and its lock."""
    original = VenvRunner("venv", tmp_path, with_pip=False)
    copy = tmp_path / "copy"
    shutil.copytree(original.venv_dir, copy, symlinks=True, copy_function=os.link)
    done = run_python(BOTH, str(copy))
    assert (done.returncode, done.stdout, done.stderr) == (0, "refused\n", "")


AGAINST = """
import os, shutil, sys
from venvrunner import VenvRunner
top, event, name = sys.argv[1:]
path = os.path.join(top, "venv")
times = 0

def delete(args):
    global times
    if os.path.basename(str(args[0])) == name and times < 3:
        times += 1
        shutil.rmtree(path)

VenvRunner("other", top, with_pip=False)  # all is loaded
sys.addaudithook(lambda happening, args: happening == event and delete(args))
venv = VenvRunner("venv", top, with_pip=False, wait=0)
assert times == 3
print(venv.log_run(["python", "-c", "print(1)"]).stdout)
"""


@pytest.mark.parametrize(("event", "name"), [("os.mkdir", ".venvrunner"), ("open", "lock")])
def test_a_directory_that_is_deleted_while_it_is_created_is_created_again(event: str, name: str, tmp_path: Path) -> None:
    """Another process deletes the environment of the same path just then, again and again."""
    done = run_python(AGAINST, str(tmp_path), event, name)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "1\n\n")
