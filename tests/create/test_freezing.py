"""Freezing: a parent cannot be changed while it has forks, it can be after them, and forks don't disturb each other."""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from helpers.environments import contents, run, scripts
from helpers.files import listing
from helpers.programs import SOURCE, run_python
from helpers.wheels import make_wheel
from venvrunner import (
    CreationError,
    InvalidPathError,
    NotAVenvError,
    VenvError,
    VenvExistsError,
    VenvInUseError,
    VenvRunner,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="environments of other systems are forked in other ways"),
]


@pytest.fixture
def parent(tmp_path: Path) -> VenvRunner:
    """An environment of the test's own, without pip, because it takes so little time."""
    return VenvRunner("parent", tmp_path / "top", with_pip=False)


CHANGES: dict[str, Callable[[VenvRunner], object]] = {
    "install": lambda venv: venv.install_package("pocket"),
    "anew": lambda venv: VenvRunner(venv.name, venv.top_dir, with_pip=False),
    "reuse otherwise": lambda venv: VenvRunner(venv.name, venv.top_dir, exist="reuse", prompt="other", with_pip=False),
    "fork in its place": lambda venv: VenvRunner("other", venv.top_dir, with_pip=False).fork(venv.name, venv.top_dir),
    "delete": lambda venv: venv.delete(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_parent_with_forks_is_not_changed(change: str, parent: VenvRunner, tmp_path: Path) -> None:
    """The error names the forks, at once and without a wait; nothing of the parent has changed."""
    forks = [parent.fork(f"child-{number}", tmp_path) for number in range(5)]
    before = contents(parent)
    with pytest.raises(VenvInUseError, match=r"it has forks that need it: .* and 2 more\.") as caught:
        CHANGES[change](parent)
    assert all(repr(venv.venv_dir) in str(caught.value) for venv in forks[:3])
    assert contents(parent) == before
    assert all(run(venv, "python", "-c", "print(1)") == "1\n" for venv in forks)


_ELSEWHERE = """
import os, sys
from venvrunner import VenvInUseError, VenvRunner

path = sys.argv[1]
top_dir, name = os.path.split(path)
for change in [
    lambda: VenvRunner.open(path).install_package("pocket"),
    lambda: VenvRunner(name, top_dir, with_pip=False),
    lambda: VenvRunner.open(path).delete(),
]:
    try:
        change()
    except VenvInUseError as exc:
        print(exc)
"""


def test_a_parent_with_forks_is_not_changed_by_another_process(parent: VenvRunner, tmp_path: Path) -> None:
    """The notes are in the parent itself, and last longer than the process that made the fork."""
    child = parent.fork("child", tmp_path)
    before = contents(parent)
    with parent, child:  # let go of both
        pass
    result = run_python(_ELSEWHERE, parent.venv_dir)
    assert result.stdout.count(f"it has forks that need it: {child.venv_dir!r}.") == 3, result.stdout + result.stderr
    assert contents(parent) == before


def _make_anew(child: VenvRunner) -> None:
    VenvRunner(child.name, child.top_dir, with_pip=False)


ENDS: dict[str, Callable[[VenvRunner], object]] = {
    "deleted": lambda child: child.delete(),
    "removed by hand": lambda child: shutil.rmtree(child.venv_dir),
    "removed with its folder": lambda child: shutil.rmtree(child.top_dir),
    "made anew": _make_anew,
}


@pytest.mark.parametrize("end", ENDS)
def test_a_parent_is_free_again_after_its_forks(end: str, parent: VenvRunner, tmp_path: Path) -> None:
    """However they went; it can be filled and deleted."""
    child = parent.fork("child", tmp_path / "forks")
    ENDS[end](child)
    parent.install(str(make_wheel(tmp_path, "pocket")), extra_env={"PIP_NO_INDEX": "1"})
    assert run(parent, "pocket") == f"pocket 1.0 {parent.venv_dir}\n"
    parent.delete()
    assert not Path(parent.venv_dir).exists()


def test_a_fork_that_has_forks_is_frozen_itself(parent: VenvRunner, tmp_path: Path) -> None:
    """From the last to the first, they can be deleted."""
    child = parent.fork("child", tmp_path)
    grandchild = child.fork("grandchild", tmp_path)
    for venv, needed_by in ((child, grandchild), (parent, child)):
        with pytest.raises(VenvInUseError, match=needed_by.venv_dir):
            venv.delete()
    with pytest.raises(VenvInUseError, match=grandchild.venv_dir):
        parent.fork("child", tmp_path)
    for venv in (grandchild, child, parent):
        venv.delete()
    assert listing(tmp_path / "top") == {}


def test_a_temporary_parent_waits_for_its_forks(tmp_path: Path) -> None:
    """The end of its block is the error that names them; after them, it can be deleted with its directory."""
    with pytest.raises(VenvInUseError, match="child"), VenvRunner.temporary(with_pip=False) as parent:
        child = parent.fork("child", tmp_path)
    assert run(child, "python", "-c", "print(1)") == "1\n"
    child.delete()
    parent.delete()
    assert not Path(parent.venv_dir).parent.exists()


def test_a_fork_is_a_runner_of_the_same_class(parent: VenvRunner, tmp_path: Path) -> None:
    """It has the attributes of one; a block lets go of it, and does not delete it."""

    class MyRunner(VenvRunner):
        pass

    child = MyRunner.open(parent.venv_dir).fork("child", tmp_path / "missing")
    assert (type(child), child.name, child.top_dir) == (MyRunner, "child", tmp_path / "missing")
    with child as same:
        assert same is child
    assert VenvRunner.open(tmp_path / "missing" / "child").venv_dir == child.venv_dir


def test_what_exists_at_the_path_of_a_fork_is_treated_as_usual(parent: VenvRunner, tmp_path: Path) -> None:
    """An environment is recreated, or is an error if the caller says so; anything else is never touched."""
    old = parent.fork("child", tmp_path)
    (Path(old.venv_dir) / "old").touch()
    with pytest.raises(VenvExistsError):
        parent.fork("child", tmp_path, exist="error")
    with pytest.raises(ValueError, match="exist must be 'clear' or 'error' for a fork, not 'reuse'"):
        parent.fork("child", tmp_path, exist="reuse")  # type: ignore[arg-type]  # a wrong type on purpose
    assert (Path(old.venv_dir) / "old").exists()
    parent.fork("child", tmp_path)
    assert not (Path(old.venv_dir) / "old").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").touch()
    before = listing(tmp_path / "mine")
    with pytest.raises(NotAVenvError):
        parent.fork("mine", tmp_path)
    with pytest.raises(InvalidPathError):
        parent.fork("../mine", tmp_path)
    assert listing(tmp_path / "mine") == before


def _break_interpreter(parent: VenvRunner, top: Path) -> None:
    for path in scripts(parent).glob("python*"):
        path.unlink()


def _break_configuration(parent: VenvRunner, top: Path) -> None:
    (Path(parent.venv_dir) / "pyvenv.cfg").write_bytes(b"\xff\n")


def _delete(parent: VenvRunner, top: Path) -> None:
    shutil.rmtree(parent.venv_dir)


def _lock_folder(parent: VenvRunner, top: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("nothing is read-only to root")
    top.mkdir(mode=0o500)


def _put_file_in_the_way(parent: VenvRunner, top: Path) -> None:
    top.touch()


@pytest.mark.parametrize("fault", [_break_interpreter, _break_configuration, _delete, _lock_folder, _put_file_in_the_way])
@pytest.mark.parametrize("standalone", [False, True])
def test_a_fork_that_fails_leaves_nothing(
    fault: Callable[[VenvRunner, Path], None], standalone: bool, parent: VenvRunner, tmp_path: Path
) -> None:
    """One clear error; no directory is left that was not there before, and the parent is not frozen."""
    fault(parent, tmp_path / "forks")
    before = listing(tmp_path)
    with pytest.raises(CreationError) as caught:
        parent.fork("child", tmp_path / "forks" / "deep", standalone=standalone)
    assert parent.venv_dir in str(caught.value) or "child" in str(caught.value)
    assert {path for path in listing(tmp_path) if ".venvrunner" not in path} == {p for p in before if ".venvrunner" not in p}
    parent.delete()


_INTERRUPTED = """
import os, signal, sys
from venvrunner import VenvRunner
from venvrunner._venv.state import Ownership
top, sign = sys.argv[1], getattr(signal, sys.argv[3])
parent = VenvRunner.open(sys.argv[2])
step = count = 0
def watch(event, args):
    global count
    if event.partition(".")[0] in {"open", "os"}:  # by a path, or in a directory that is open
        count += 1
        if count == step:
            os.kill(os.getpid(), sign)
sys.addaudithook(watch)
done = False
parent.fork("child", top).delete()  # all is loaded
os.rmdir(top)
step = int(sys.argv[4])
while not done:
    count = 0
    try:
        child = parent.fork("child", top)  # kept: to let go of it is no step of the fork
    except KeyboardInterrupt:
        step += 1
        assert not os.path.exists(top), step
        with parent._changing():
            pass
    else:
        done, step, steps = True, 0, step  # what the end of the program does is not counted
print(steps)
"""


def test_an_interrupted_fork_leaves_nothing_wherever_that_comes(parent: VenvRunner, tmp_path: Path) -> None:
    """Ctrl-C at each step in turn: no directory is left, and the parent is not frozen."""
    result = run_python(_INTERRUPTED, str(tmp_path / "forks"), parent.venv_dir, "SIGINT", "1")
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 50


def test_a_fork_is_recreated_wherever_a_kill_came(parent: VenvRunner, tmp_path: Path) -> None:
    """It is never taken for a good one, and freezes no parent for good."""
    step = 1
    while True:
        result = run_python(_INTERRUPTED, str(tmp_path / "forks"), parent.venv_dir, "SIGKILL", str(step))
        if result.returncode == 0:
            break
        assert result.returncode == -9, result.stderr
        with pytest.raises(VenvError):
            VenvRunner.open(tmp_path / "forks" / "child")
        child = parent.fork("child", tmp_path / "forks")
        assert run(child, "python", "-c", "print(1)") == "1\n"
        child.delete()
        step += 3
    assert step > 12
    VenvRunner.open(tmp_path / "forks" / "child").delete()
    parent.delete()


_KILLED = """
import os, signal, sys
from venvrunner import VenvRunner
from venvrunner._create import fork
def kill(*args, **options):
    os.kill(os.getpid(), signal.SIGKILL)
fork._make = kill
VenvRunner.open(sys.argv[1]).fork("child", sys.argv[2])
"""


def test_a_fork_that_was_never_finished_does_not_freeze_its_parent(parent: VenvRunner, tmp_path: Path) -> None:
    """What is left of it is refused, and can be deleted or recreated; the parent can be changed at once."""
    result = run_python(_KILLED, parent.venv_dir, str(tmp_path / "forks"))
    assert result.returncode == -9, result.stderr
    assert (tmp_path / "forks" / "child").exists()
    with pytest.raises(InvalidPathError, match="was interrupted"):
        VenvRunner.open(tmp_path / "forks" / "child")
    parent.install(str(make_wheel(tmp_path, "pocket")), extra_env={"PIP_NO_INDEX": "1"})
    child = parent.fork("child", tmp_path / "forks")
    assert run(child, "pocket") == f"pocket 1.0 {child.venv_dir}\n"
    with pytest.raises(VenvInUseError, match="child"):
        parent.delete()


def test_a_fork_that_is_being_made_freezes_its_parent(parent: VenvRunner, tmp_path: Path) -> None:
    """As soon as it is noted: it is not finished, and a living process holds it."""
    result = run_python(_BEING_MADE, parent.venv_dir, str(tmp_path / "forks"))
    assert result.stdout == "['child']\n[]\n", result.stderr
    parent.delete()


_BEING_MADE = """
import os, sys
from venvrunner import CreationError, VenvRunner
from venvrunner._create import fork
from venvrunner._venv.state import Ownership
parent = VenvRunner.open(sys.argv[1])
def look(*args, **options):
    print([os.path.basename(path) for path in Ownership(sys.argv[1]).forks()])
    raise OSError("enough")
fork._make = look
try:
    parent.fork("child", sys.argv[2])
except CreationError:
    look_again = Ownership(sys.argv[1]).forks()
    print(look_again)
"""


def _move(child: VenvRunner) -> None:
    Path(child.venv_dir).rename(Path(child.venv_dir).with_name("moved"))


def _copy(child: VenvRunner) -> None:
    shutil.copytree(child.venv_dir, Path(child.venv_dir).with_name("moved"), symlinks=True)


@pytest.mark.parametrize("change", [_move, _copy])
def test_opening_a_moved_or_copied_fork_holds_its_parent(
    change: Callable[[VenvRunner], None], parent: VenvRunner, tmp_path: Path
) -> None:
    """Once, however often it is opened; without it, the parent is free."""
    child = parent.fork("child", tmp_path / "forks")
    with child:  # let go of it
        pass
    change(child)
    for _ in range(2):
        moved = VenvRunner.open(tmp_path / "forks" / "moved")
    assert run(moved, "python", "-c", "import sys; print(sys.prefix)") == f"{moved.venv_dir}\n"
    if change is _copy:
        child.delete()
    with pytest.raises(VenvInUseError, match=r"it has forks that need it: '[^']*/moved'\."):
        parent.delete()
    moved.delete()
    parent.delete()


@pytest.mark.parametrize("end", ["gone", "moved", "broken", "recreated"])
def test_a_fork_without_its_parent_is_refused(end: str, tmp_path: Path) -> None:
    """By `open` and as a parent itself; the error names the one that is missing, also at two removes."""
    parent = VenvRunner("parent", tmp_path / "top", with_pip=False)
    child = parent.fork("child", tmp_path)
    grandchild = child.fork("grandchild", tmp_path)
    with parent, child, grandchild:  # let go of them
        pass
    path = Path(parent.venv_dir)
    match end:
        case "gone":
            shutil.rmtree(path)
        case "moved":
            path.rename(path.with_name("moved"))
        case "broken":
            (path / "bin" / "python").unlink()
        case _:
            (next(path.glob("lib/python*"))).rename(path / "lib" / "python3.0")
    for name in ("child", "grandchild"):
        with pytest.raises(InvalidPathError, match=f"its parent .*{'child' if name == 'grandchild' else ''}.*{path}"):
            VenvRunner.open(tmp_path / name)
    with pytest.raises(CreationError, match=f"cannot fork .*its parent .*{path}"):
        child.fork("another", tmp_path)
    if end == "moved":
        VenvRunner.open(path.with_name("moved")).install(str(make_wheel(tmp_path, "pocket")), extra_env={"PIP_NO_INDEX": "1"})
        path.with_name("moved").rename(path)
        opened = VenvRunner.open(tmp_path / "grandchild")
        for venv, fork in ((VenvRunner.open(path), "child"), (VenvRunner.open(tmp_path / "child"), "grandchild")):
            with pytest.raises(VenvInUseError, match=f"it has forks that need it: '[^']*/{fork}'\\."):
                venv.delete()
        opened.delete()


def test_twenty_threads_fork_at_once(parent: VenvRunner, tmp_path: Path) -> None:
    """Each has its own, and all of them work."""
    with ThreadPoolExecutor(20) as pool:
        forks = list(pool.map(lambda number: parent.fork(f"child-{number}", tmp_path), range(20)))
        outputs = list(pool.map(lambda venv: run(venv, "python", "-c", "import sys; print(sys.prefix)"), forks))
    assert outputs == [f"{tmp_path}/child-{number}\n" for number in range(20)]


_FORK_MANY = """
import sys
from venvrunner import VenvRunner
parent = VenvRunner.open(sys.argv[1])
sys.stdin.read()
for number in range(20):
    child = parent.fork(f"child-{number}", sys.argv[2])
    child.log_run(["python", "-c", ""]) if number % 10 == 0 else None
    child.delete() if number % 2 else None
"""


def test_four_processes_fork_at_once(parent: VenvRunner, tmp_path: Path) -> None:
    """None waits for another's forks, and the parent knows all that are left."""
    env = {**os.environ, "PYTHONPATH": SOURCE}
    command = [sys.executable, "-c", _FORK_MANY, parent.venv_dir]
    started = [
        subprocess.Popen([*command, str(tmp_path / f"{number}")], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
        for number in range(4)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    errors = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0] * 4
    # On a machine that has much to do, one may tell that it waits for a moment.
    lines = [line for error in errors for line in error.splitlines()]
    assert [line for line in lines if not line.startswith(f"waiting for {parent.venv_dir!r}".encode())] == []
    with pytest.raises(VenvInUseError, match="and 37 more"):
        parent.delete()


_THOUSAND = """
import json, os, sys, time
from venvrunner import VenvInUseError, VenvRunner
def held():
    end = time.monotonic() + 10
    while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < end:
        time.sleep(0.001)  # a thread that has done its work may not be gone yet
    with open(f"/proc/self/task/{os.getpid()}/children") as children:
        return sorted(os.listdir("/proc/self/fd")), os.listdir("/proc/self/task"), children.read()
top = sys.argv[1]
parent = VenvRunner("parent", top, with_pip=False)
parent.fork("first", top).delete()
before = held()
forks = [parent.fork(str(number), top + "/forks") for number in range(1000)]
alive = held()
answers = [forks[i].log_run(["python", "-c", "import sys; print(sys.prefix)"]).stdout for i in (0, 500, 999)]
for fork in forks:
    fork.delete()
after = held()
parent.delete()
print(json.dumps([before == alive, before == after, answers, os.listdir(top + "/forks"), sorted(os.listdir(top))]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="descriptors are counted in /proc")
def test_a_thousand_forks_live_at_once_and_leave_nothing(tmp_path: Path) -> None:
    """Within a limit of 256 descriptors, and with no descriptor, thread or process for any of them, before and after."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    code = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, {hard}))\n{_THOUSAND}"
    memory = "/dev/shm"  # so many files take long on a busy disk
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as top:
        result = run_python(code, top)
    assert result.stderr == ""
    answers = [f"{top}/forks/{number}\n" for number in (0, 500, 999)]
    assert json.loads(result.stdout) == [True, True, answers, [], ["forks"]]
