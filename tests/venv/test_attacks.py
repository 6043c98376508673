"""Another user of the machine who attacks an environment, by links in place of its path, and by locks on its files."""

import asyncio
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.files import listing
from helpers.processes import end_all
from helpers.programs import run_python
from helpers.system import LINUX
from venvrunner import VenvRunner
from venvrunner._venv.temporary import temporary_directory

pytestmark = pytest.mark.skipif(not LINUX, reason="only Linux can exchange two paths in one step")

NOBODY = 65534

EXCHANGE = """
import ctypes, os
renameat2 = ctypes.CDLL(None, use_errno=True).renameat2

def exchange(one, two):
    # AT_FDCWD and RENAME_EXCHANGE
    if renameat2(-100, os.fsencode(one), -100, os.fsencode(two), 2):
        raise OSError(ctypes.get_errno(), "renameat2")
"""

FLIP = f"""{EXCHANGE}
import sys
own, link, go = sys.argv[1:]
flips = 0
while os.path.exists(go):
    exchange(own, link)
    exchange(own, link)
    flips += 1
print(flips)
"""

USE = """
import sys
from collections import Counter
from venvrunner import VenvError, VenvRunner

def use(exist, top, **options):
    try:
        venv = VenvRunner("venv", top, with_pip=False, wait=0.05, exist=exist)
        venv.delete()
    except VenvError as exc:
        return type(exc).__name__
    return "done"
"""

MANY = f"""{USE}
print(sorted(Counter(use(["clear", "reuse"][number % 2], sys.argv[1]) for number in range(int(sys.argv[2])))))
"""

EACH = f"""{EXCHANGE}{USE}
top, own, link, exist = sys.argv[1:]
count, strike = 0, -1
flipped = False

def flip():
    global flipped
    exchange(own, link)
    flipped = not flipped

def watch(event, args):
    global count
    if strike >= 0 and event.partition(".")[0] in {{"open", "os", "shutil"}}:
        count += 1
        if count in (strike, strike + span):
            flip()

sys.addaudithook(watch)
use(exist, top)  # all is loaded
found = Counter()
for step in range(1, 201):
    span = [1, 4][step % 2]
    VenvRunner("venv", top, with_pip=False)
    count, strike = 0, step
    found[use(exist, top)] += 1
    strike = -1
    if flipped:
        flip()
    if count < step:
        break  # it has ended before that step
print(step > 40, found["done"] < step)
"""

STATE = f"""{EXCHANGE}
import shutil, sys
from venvrunner import VenvError, VenvRunner
outside, top, action = sys.argv[1:]
own, link = top + "/venv/.venvrunner", top + "/link"
actions = {{
    "clear": lambda: VenvRunner("venv", top, with_pip=False, wait=0.05),
    "reuse": lambda: VenvRunner("venv", top, with_pip=False, wait=0.05, exist="reuse"),
    "open": lambda: VenvRunner.open(top + "/venv"),
    "delete": lambda: venv.delete(),
    "fork": lambda: venv.fork("fork", top),
    "forked": lambda: VenvRunner.open(top + "/fork"),
    "run": lambda: venv.log_run(["python", "-c", ""]),
    "change": lambda: change(),
}}

def change():
    with venv._changing():
        pass

def renew():
    global venv
    venv = None
    os.makedirs(top, exist_ok=True)
    for path in (top + "/fork", top + "/venv", link):
        if os.path.islink(path):
            os.unlink(path)
        elif os.path.exists(path):
            shutil.rmtree(path)
    os.symlink(outside, link)
    venv = VenvRunner("venv", top, with_pip=False)
    if action == "forked":
        venv.fork("made", top)
        os.rename(top + "/made", top + "/fork")

count, strike, flips = 0, -1, 0

def watch(event, args):
    global count, flips
    if strike >= 0 and event.partition(".")[0] in {{"open", "os", "shutil"}}:
        count += 1
        if count in (strike, strike + span):
            try:
                exchange(own, link)
                flips += 1
            except FileNotFoundError:
                pass

sys.addaudithook(watch)
errors = set()
for step in range(1, 301):
    span = [1, 3, 1000][step % 3]
    renew()
    count, strike = 0, step
    try:
        actions[action]()
    except VenvError as exc:
        errors.add(type(exc).__name__)
    strike = -1
    if count < step:
        break  # it has ended before that step
renew()
print(flips > 5, step < 300)
"""


MOVED = """
import os, sys
from venvrunner import VenvRunner
own, moved = sys.argv[1:]
venv = VenvRunner.open(own)
count = 0

def watch(event, args):
    global count
    if event == "open" and os.path.basename(str(args[0])).startswith("user-"):
        count += 1
        assert count < 100, "it tries for ever"
        if count == 1:
            os.rename(own, moved)

sys.addaudithook(watch)
try:
    venv.log_run(["python", "-c", ""])
except FileNotFoundError as exc:
    print(exc.filename)
"""


NOTED = """
import os, sys
from venvrunner import VenvRunner
top, outside, kind = sys.argv[1:]
state = os.path.join(top, "venv", ".venvrunner", "state")
count = 0

def watch(event, args):
    global count
    if event == "open" and str(args[0]).endswith("CACHEDIR.TAG") and not count:
        count += 1
        os.unlink(state)
        os.symlink(outside, state) if kind == "link" else os.link(outside, state)

VenvRunner("other", top, with_pip=False)  # all is loaded
sys.addaudithook(watch)
venv = VenvRunner("venv", top, with_pip=False)
assert count and not os.path.islink(state)
VenvRunner.open(venv.venv_dir)
"""


@pytest.fixture(params=["the environment", "its parent"])
def paths(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path, Path]:
    """Return where an environment is, and the two paths that another user exchanges: one of them is a link."""
    outside = tmp_path / "outside"
    for name in ("sub", "venv", ".venvrunner"):
        (outside / name).mkdir(parents=True)
        (outside / name / "precious").write_text("precious")
    (outside / "precious").write_text("precious")
    (outside / ".venvrunner" / "state").write_text('{"parent": null}\n')
    top = tmp_path / "top"
    VenvRunner("venv", top, with_pip=False)
    (tmp_path / "link").symlink_to("outside", target_is_directory=True)
    return top, top / "venv" if request.param == "the environment" else top, tmp_path / "link"


@pytest.mark.parametrize("exist", ["clear", "reuse"])
def test_a_link_at_any_step_changes_nothing_outside(exist: str, paths: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """The path leads elsewhere for one call of the system, each in turn: what it leads to is left as it was."""
    before = listing(tmp_path / "outside")
    done = run_python(EACH, *map(str, paths), exist)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout == "True True\n"
    assert listing(tmp_path / "outside") == before


@pytest.mark.parametrize("action", ["clear", "reuse", "open", "delete", "fork", "forked", "run", "change"])
def test_a_link_in_place_of_the_state_changes_nothing_outside(action: str, tmp_path: Path) -> None:
    """Whoever can write to the environment puts a link in place of its ``.venvrunner``, at each call of the system in turn."""
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("lock", "state", "state.new", "pyvenv.cfg", "pyvenv.cfg.new", "user-0000", "fork-0000", "precious"):
        (outside / name).write_text("precious")
    before = listing(outside)
    done = run_python(STATE, str(outside), str(tmp_path / "top"), action)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout == "True True\n"
    assert listing(outside) == before


def test_a_command_ends_even_if_its_environment_is_moved_meanwhile(tmp_path: Path) -> None:
    """The path never leads to the note again: the command is not found there, and nothing is waited for."""
    venv = VenvRunner("venv", tmp_path, with_pip=False)
    done = run_python(MOVED, venv.venv_dir, str(tmp_path / "moved"))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{tmp_path / 'venv' / 'bin' / 'python'}\n", "")


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_link_in_place_of_the_notes_changes_nothing_outside(kind: str, tmp_path: Path) -> None:
    """It is put there while the environment is created; what is noted in the end is a file of its own."""
    outside = tmp_path / "outside"
    outside.write_text("precious")
    done = run_python(NOTED, str(tmp_path), str(outside), kind)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert outside.read_text() == "precious"


def test_another_process_that_flips_the_path_reaches_nothing_outside(paths: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """As fast as it can, while the environment is created, cleared and deleted a hundred times."""
    top, own, link = paths
    before = listing(tmp_path / "outside")
    go = tmp_path / "go"
    go.touch()
    flipping = subprocess.Popen([sys.executable, "-c", FLIP, own, link, go], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        done = run_python(MANY, str(top), "100")
        go.unlink()
        flips, _stderr = flipping.communicate()
    finally:
        end_all([flipping])
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "done" in done.stdout or int(flips) > 0
    assert listing(tmp_path / "outside") == before


def locked_files(venv: VenvRunner) -> list[Path]:
    """Return the files that protect an environment as long as no other process has them locked."""
    folder = Path(venv.venv_dir, ".venvrunner")
    return [path for path in folder.iterdir() if path.name == "lock" or path.name.startswith("user-")]


def test_other_users_cannot_lock_the_files_of_an_environment(tmp_path: Path) -> None:
    """Whoever can open a file can lock it, also without the right to write: these only their owner can open."""
    umask = os.umask(0)
    try:
        venv = VenvRunner("venv", tmp_path, with_pip=False)
        venv.log_run(["python", "-c", ""])
    finally:
        os.umask(umask)
    files = locked_files(venv)
    assert len(files) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    if os.geteuid() or shutil.which("flock") is None:
        pytest.skip("only root can try it as another user, with the command flock")
    folder = os.open(tmp_path / "venv", os.O_RDONLY)
    try:
        for path in files:
            command = ["flock", "-n", f"/proc/self/fd/{folder}/.venvrunner/{path.name}", "true"]
            blocked = subprocess.run(
                command, user=NOBODY, group=NOBODY, pass_fds=[folder], capture_output=True, text=True, check=False
            )
            assert "Permission denied" in blocked.stderr
    finally:
        os.close(folder)


def test_a_lock_file_that_others_can_read_is_closed_to_them(tmp_path: Path) -> None:
    """One of an earlier version, or of a careless copy."""
    venv = VenvRunner("venv", tmp_path, with_pip=False)
    lock = tmp_path / "venv" / ".venvrunner" / "lock"
    lock.chmod(0o644)
    VenvRunner.open(venv.venv_dir)
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_note_that_was_replaced_is_given_to_no_other_environment(kind: str, tmp_path: Path) -> None:
    """Root would make a name of a file for the owner of an environment who cannot do that; and no process has that locked."""
    outside = tmp_path / "outside"
    outside.write_text("precious")
    venv = VenvRunner("venv", tmp_path, with_pip=False)
    (note,) = (path for path in locked_files(venv) if path.name != "lock")
    note.unlink()
    if kind == "link":
        note.symlink_to(outside)
    else:
        os.link(outside, note)
    links = outside.stat().st_nlink
    other = VenvRunner("other", tmp_path, with_pip=False)
    assert outside.stat().st_nlink == links
    assert not any(path.is_symlink() for path in locked_files(other))
    done = run_python(USE + "print(use('clear', sys.argv[1]))", str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
    done = run_python(USE.replace('"venv"', '"other"') + "print(use('clear', sys.argv[1]))", str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "VenvInUseError\n", "")
    assert outside.read_text() == "precious"


def _end_of_block(venv: VenvRunner, replace: Callable[[], None]) -> None:
    with venv:
        replace()


def _end_of_async_block(venv: VenvRunner, replace: Callable[[], None]) -> None:
    async def main() -> None:
        async with venv:
            replace()

    asyncio.run(main())


def _deletion(venv: VenvRunner, replace: Callable[[], None]) -> None:
    replace()
    venv.delete()


def _drop(venv: VenvRunner, replace: Callable[[], None]) -> None:
    replace()
    del venv


ENDS = [_end_of_block, _end_of_async_block, _deletion, _drop]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("what", ["a directory", "an empty directory", "an environment", "a link"])
def test_what_replaced_a_temporary_environment_is_left_alone(
    what: str, end: Callable[[VenvRunner, Callable[[], None]], None], tmp_path: Path
) -> None:
    """Only the directory that was created is removed at the end, and not what its path names by then."""
    other, moved = tmp_path / "other", tmp_path / "moved"
    other.mkdir()
    if what in {"an environment", "a link"}:
        VenvRunner("venv", other, with_pip=False)
    elif what == "a directory":
        (other / "venv").mkdir()
        (other / "venv" / "precious").write_text("precious")
    venvs = [VenvRunner.temporary(with_pip=False)]
    place = Path(venvs[0].top_dir)
    before = listing(other)

    def replace() -> None:
        shutil.move(place, moved)
        if what == "a link":
            place.symlink_to(other)
        else:
            other.rename(place)

    end(venvs.pop(), replace)
    found = other if what == "a link" else place
    assert place.is_symlink() == (what == "a link")
    after = {str(other / Path(path).relative_to(found)): value for path, value in listing(found).items()}
    if what == "a link":
        place.unlink()
    else:
        place.rename(other)
    assert after == before


def test_a_temporary_environment_recreated_at_its_path_is_deleted() -> None:
    """One that is created again inside the block, or that is an environment made by another tool, is in our directory."""
    with VenvRunner.temporary(with_pip=False) as venv:
        shutil.rmtree(venv.venv_dir)
        VenvRunner(venv.name, venv.top_dir, with_pip=False)
    assert not Path(venv.top_dir).exists()


def test_what_replaced_a_working_directory_of_ours_is_left_alone(tmp_path: Path) -> None:
    """The directories that an installer and a preparation get are removed by the same rule."""
    with temporary_directory() as folder:
        os.rename(folder, tmp_path / "moved")
        Path(folder).mkdir()
        Path(folder, "precious").write_text("precious")
    assert os.listdir(folder) == ["precious"]
    shutil.rmtree(folder)
