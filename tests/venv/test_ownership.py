"""Who may change an environment when several want to: one at a time, and a loser changes nothing."""

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
import venv as stdlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from helpers.files import listing
from helpers.processes import descriptors, end_all
from helpers.programs import SOURCE
from helpers.waiting import DEADLINE, wait_until
from venvrunner import InvalidPathError, NotAVenvError, VenvInUseError, VenvRunner
from venvrunner._venv import venv_directory
from venvrunner._venv.state import Ownership

pytestmark = pytest.mark.slow

CODE = ["python", "-c", "import sys; print(sys.prefix)"]

TRY = """
import sys
from venvrunner import VenvError, VenvRunner
sys.stdin.readline()
try:
    venv = {action}
except VenvError as exc:
    print(type(exc).__name__, exc, flush=True)
else:
    print("have it", flush=True)
sys.stdin.readline()
"""


class Other:
    """Another process, which does something as soon as it is told, and keeps what it has until it is let go."""

    def __init__(self, action: str, *args: str, before: str = "") -> None:
        env = {**os.environ, "PYTHONPATH": SOURCE}
        command = [sys.executable, "-c", before + TRY.format(action=action), *args]
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @property
    def pid(self) -> int:
        """The process."""
        return self.process.pid

    def tell(self) -> None:
        """Let it take the next step."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        """Return what became of it."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go(self) -> str:
        """Let it begin, and return what became of it."""
        self.tell()
        return self.answer()


Start = Callable[..., Other]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start other processes; they are ended with the test."""
    others: list[Other] = []

    def run(action: str, *args: object, before: str = "") -> Other:
        others.append(Other(action, *map(str, args), before=before))
        return others[-1]

    yield run
    end_all(other.process for other in others)


MAKE = 'VenvRunner("venv", sys.argv[1], wait=0.5, with_pip=False)'
OPEN = "VenvRunner.open(sys.argv[1], wait=0.5)"


@pytest.mark.parametrize("count", [2, 8])
def test_of_processes_that_do_not_wait_one_wins_and_the_errors_name_it(count: int, start: Start, tmp_path: Path) -> None:
    """Whoever is first has a whole environment; all others get an error that names its process."""
    others = [start(MAKE, tmp_path) for _ in range(count)]
    for other in others:
        other.tell()
    answers = {other.pid: other.answer() for other in others}
    (winner,) = (pid for pid, answer in answers.items() if answer == "have it")
    losers = [answer for pid, answer in answers.items() if pid != winner]
    assert [answer for answer in losers if not answer.startswith("VenvInUseError")] == []
    assert [answer for answer in losers if f" by process {winner} (" not in answer] == []
    assert VenvRunner.open(tmp_path / "venv").log_run(CODE).stdout == f"{tmp_path / 'venv'}\n"


def test_a_process_that_is_killed_lets_go(start: Start, tmp_path: Path) -> None:
    """At once, and what it had noted is cleaned up."""
    other = start(MAKE, tmp_path)
    assert other.go() == "have it"
    other.process.kill()
    other.process.wait()
    with VenvRunner("venv", tmp_path, wait=0, with_pip=False):
        notes = [path for path in (tmp_path / "venv" / ".venvrunner").iterdir() if path.name.startswith("user-")]
        assert len(notes) == 1


HOLD = """
import os, sys
def watch(event, args):
    if not watch.held and event == {event!r} and os.fspath(args[0]) in {{sys.argv[1] + "/venv", "bin", "include", "lib"}}:
        watch.held = True
        print("here", flush=True)
        sys.stdin.readline()
watch.held = False
sys.addaudithook(watch)
"""


def test_a_maker_that_comes_second_gets_the_error_that_it_has_asked_for(start: Start, tmp_path: Path) -> None:
    """exist="error" means an environment that came in between too: at once, and whether it is in use or not."""
    action = 'VenvRunner("venv", sys.argv[1], exist="error", wait=0.5, with_pip=False)'
    second = start(action, tmp_path, before=HOLD.format(event="os.mkdir"))
    assert second.go() == "here"
    first = VenvRunner("venv", tmp_path, with_pip=False)
    assert second.go().startswith("VenvExistsError")
    assert first.log_run(CODE).stdout == f"{first.venv_dir}\n"


def test_an_environment_in_use_is_reused_if_it_fits_and_else_left_alone(start: Start, tmp_path: Path) -> None:
    """Others may share it; who wants another one has to wait for them."""
    other = start(MAKE, tmp_path)
    assert other.go() == "have it"
    mark = tmp_path / "venv" / "mark"
    mark.touch()
    assert VenvRunner("venv", tmp_path, exist="reuse", wait=0, with_pip=False).log_run(CODE).returncode == 0
    with pytest.raises(VenvInUseError, match=f"process {other.pid} "):
        VenvRunner("venv", tmp_path, exist="reuse", wait=0.1, with_pip=False, prompt="another")
    assert mark.exists()
    other.tell()
    again = VenvRunner("venv", tmp_path, exist="reuse", wait=DEADLINE, with_pip=False, prompt="another")
    assert again.log_run(CODE).returncode == 0
    assert not mark.exists()


def test_an_adopted_environment_is_held_too(start: Start, tmp_path: Path) -> None:
    """Whatever made it: as long as a process has it open, no other process recreates or deletes it."""
    stdlib.create(tmp_path / "venv", symlinks=True)
    other = start(OPEN, tmp_path / "venv")
    assert other.go() == "have it"
    here = VenvRunner.open(tmp_path / "venv", wait=0.1)
    for change in (here.delete, lambda: VenvRunner("venv", tmp_path, wait=0.1)):
        with pytest.raises(VenvInUseError, match=f"process {other.pid} "):
            change()
    assert here.log_run(CODE).stdout == f"{tmp_path / 'venv'}\n"


def test_a_wait_is_logged_once_with_the_other_process_and_goes_on(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning names the process; when that ends, the environment is made."""
    other = start(MAKE, tmp_path)
    assert other.go() == "have it"

    def told() -> list[str]:
        return [text for record in caplog.records if record.levelno == logging.WARNING for text in [record.getMessage()]]

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(VenvRunner, "venv", tmp_path, wait=DEADLINE, with_pip=False)
        wait_until(told, "the warning")
        assert not waiting.done()
        other.tell()
        assert waiting.result().log_run(CODE).stdout == f"{tmp_path / 'venv'}\n"
    assert [f"process {other.pid} " in text for text in told()] == [True]


def test_twenty_threads_recreate_one_environment_in_turn(tmp_path: Path) -> None:
    """Each has it for its block alone."""
    inside: list[int] = []
    most: list[int] = []

    def use(number: int) -> str:
        with VenvRunner("venv", tmp_path, wait=3 * DEADLINE, with_pip=False) as venv:
            inside.append(number)
            most.append(len(inside))
            output = venv.log_run(CODE).stdout
            inside.remove(number)
        return output

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(use, range(20))) == [f"{tmp_path / 'venv'}\n"] * 20
    assert most == [1] * 20


@pytest.mark.parametrize("step", ["filled", "deleted"])
def test_a_directory_that_is_being_changed_is_not_taken_for_another_owners(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look for its mark and the look at what is in it, it may be filled or deleted by another runner."""
    folder = tmp_path / "venv"
    folder.mkdir()
    list_folder = os.listdir

    def change_and_list(path: str) -> list[str]:
        monkeypatch.undo()
        if step == "deleted":
            folder.rmdir()
        else:
            (folder / "pyvenv.cfg").touch()
            (folder / "bin").mkdir()
        return list_folder(path)

    monkeypatch.setattr(os, "listdir", change_and_list)
    venv_directory.check(str(folder))
    assert os.listdir is list_folder, "nothing was changed, so the test proves nothing"


def test_two_hundred_runners_of_one_environment_need_no_descriptor_each(tmp_path: Path) -> None:
    """Not even after a command of each; what they have noted is gone with them."""
    first = VenvRunner("venv", tmp_path, with_pip=False)
    first.log_run(CODE)
    before = descriptors().keys()
    runners = [VenvRunner.open(tmp_path / "venv") for _ in range(200)]
    for runner in runners[:10]:
        runner.log_run(["python", "-c", ""])
    assert descriptors().keys() - before == set()
    notes = tmp_path / "venv" / ".venvrunner"
    assert len(list(notes.glob("user-*"))) > 200
    del runner, runners
    wait_until(lambda: len(list(notes.glob("user-*"))) == 2, "only the first runner and its command's file are noted")


def test_a_command_is_not_deleted_under_itself(tmp_path: Path) -> None:
    """A callback that would delete its command's environment gets the error; afterwards it can be deleted."""
    venv = VenvRunner("venv", tmp_path, with_pip=False)
    impatient = VenvRunner.open(venv.venv_dir, wait=0.1)
    caught: list[str] = []

    def delete(_line: str) -> None:
        with pytest.raises(VenvInUseError) as error:
            impatient.delete()
        caught.append(str(error.value))

    assert venv.log_run(CODE, None, delete).stdout == f"{venv.venv_dir}\n"
    assert [f"process {os.getpid()} " in text for text in caught] == [True]
    impatient.delete()
    assert listing(tmp_path) == {}


def test_threads_that_delete_at_once_all_succeed(tmp_path: Path) -> None:
    """By one runner; one does it, and to the others it is gone."""
    venv = VenvRunner("venv", tmp_path)
    together = threading.Barrier(8)

    def delete(_number: int) -> None:
        together.wait(DEADLINE)
        venv.delete()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(delete, range(8)))
    assert listing(tmp_path) == {}


def test_who_waits_to_open_what_is_being_deleted_learns_that_it_is_gone(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not brought back, not even as an empty directory."""
    VenvRunner("venv", tmp_path, with_pip=False).__exit__(None, None, None)
    other = start('VenvRunner.open(sys.argv[1] + "/venv").delete()', tmp_path, before=HOLD.format(event="os.rmdir"))
    assert other.go() == "here"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(VenvRunner.open, tmp_path / "venv", wait=DEADLINE)
        wait_until(lambda: caplog.records, "it waits")
        assert other.go() == "have it"
        with pytest.raises(InvalidPathError, match=r"no pyvenv\.cfg"):
            waiting.result()
    assert listing(tmp_path) == {}


def test_who_opens_what_is_being_made_waits_for_it(start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is not taken for the rest of an interrupted creation."""
    before = """
import sys
from venvrunner._create import seed
get = seed.get
def held(*args, **kwargs):
    print("here", flush=True)
    sys.stdin.readline()
    return get(*args, **kwargs)
seed.get = held
"""
    other = start(MAKE, tmp_path, before=before)
    assert other.go() == "here"
    with pytest.raises(VenvInUseError, match="in use by"):
        VenvRunner.open(tmp_path / "venv", wait=0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(VenvRunner.open, tmp_path / "venv", wait=DEADLINE)
        wait_until(lambda: caplog.records, "it waits")
        assert other.go() == "have it"
        venv = waiting.result()
    assert venv.log_run(CODE).stdout == f"{venv.venv_dir}\n"


def test_nothing_is_deleted_through_a_link(tmp_path: Path) -> None:
    """One that stands at the path of the environment, and one by which it was opened."""
    made = VenvRunner("venv", tmp_path, with_pip=False)
    (tmp_path / "venv").rename(tmp_path / "real")
    (tmp_path / "venv").symlink_to("real")
    opened = VenvRunner.open(tmp_path / "venv")
    assert opened.log_run(["python", "-c", "print(1)"]).stdout == "1\n"
    before = listing(tmp_path)
    for runner in (made, opened):
        with pytest.raises(NotAVenvError, match="venv"):
            runner.delete()
    assert listing(tmp_path) == before


def rename(venv: Path) -> Path:
    return venv.rename(venv.with_name("renamed"))


def copy(venv: Path) -> Path:
    subprocess.run(["cp", "-a", venv, venv.with_name("copied")], check=True)
    return venv.with_name("copied")


def upgrade(venv: Path) -> Path:
    """Let the environment be one of an interpreter that has been replaced since."""
    state = venv / ".venvrunner" / "state"
    first, second = map(json.loads, state.read_text().splitlines())
    second["interpreter"][2] = "3.11.0"
    state.write_text(f"{json.dumps(first)}\n{json.dumps(second)}\n")
    return venv


@pytest.mark.parametrize(
    ("change", "reason"), [(rename, "its directory was"), (copy, "its directory was"), (upgrade, "3.11.0")]
)
def test_an_environment_of_another_path_or_interpreter_is_not_reused(
    change: Callable[[Path], Path], reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its scripts would lead elsewhere; one line says so."""
    caplog.set_level(logging.INFO, "venvrunner")
    with VenvRunner("venv", tmp_path):
        (tmp_path / "venv" / "mark").touch()
    path = change(tmp_path / "venv")
    venv = VenvRunner(path.name, tmp_path, exist="reuse", wait=0)
    assert not (path / "mark").exists()
    assert venv.log_run(["pip", "--version"]).stdout.split()[3].startswith(f"{path}/")
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert [reason in text and "recreating" in text for text in told] == [True]


@pytest.mark.asyncio
async def test_a_cancelled_block_deletes_its_temporary_environment() -> None:
    """With the command that ran in it, and the cancellation goes on."""
    entered = asyncio.Event()
    folders: list[Path] = []

    async def use() -> None:
        async with VenvRunner.temporary(with_pip=False) as venv:
            folders.append(Path(venv.venv_dir).parent)
            code = ["python", "-c", "import time; print(1, flush=True); time.sleep(60)"]
            await venv.async_log_run(code, None, lambda _line: entered.set())

    task = asyncio.create_task(use())
    await asyncio.wait_for(entered.wait(), DEADLINE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [folder.exists() for folder in folders] == [False]


def _ways_to_finish() -> dict[str, Callable[[Path, Path], object]]:
    begun = '{"parent": null}\n'
    return {
        "begun": lambda _state, _other: None,
        "linked": lambda state, other: other.hardlink_to(state),
        "a link": lambda state, other: (other.write_text(begun), state.unlink(), state.symlink_to(other)),
        "cut": lambda state, _other: state.write_text(begun.strip()),
        "empty": lambda state, _other: state.write_text(""),
        "finished": lambda state, _other: state.write_text(begun + "{}\n"),
        "no text": lambda state, _other: state.write_bytes(b"\xff\n"),
        "missing": lambda state, _other: state.unlink(),
    }


@pytest.mark.parametrize("kind", _ways_to_finish())
def test_the_end_of_a_creation_is_noted_in_the_environments_own_file_only(kind: str, tmp_path: Path) -> None:
    """It is added to the file of the beginning; one that is a link, has another name, or was changed is replaced."""
    (tmp_path / ".venvrunner").mkdir()
    owner, state, other = Ownership(str(tmp_path)), tmp_path / ".venvrunner" / "state", tmp_path / "other"
    owner.begin()
    number = state.stat().st_ino
    assert (owner.unfinished(), owner.purpose()) == (True, None)
    _ways_to_finish()[kind](state, other)
    owner.finish({"folder": "here"})
    assert (owner.unfinished(), owner.purpose()) == (False, {"folder": "here"})
    assert not state.is_symlink()
    assert kind != "begun" or state.stat().st_ino == number
    if other.exists():
        assert other.read_text() == '{"parent": null}\n'
    assert os.listdir(state.parent) == ["state"]
