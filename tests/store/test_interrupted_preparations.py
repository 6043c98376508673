"""Preparations that are killed or interrupted: nothing half-made is taken, and nothing is left for good."""

import os
import random
import signal
import subprocess
from pathlib import Path

import pytest

from helpers.processes import children
from helpers.programs import WATCH, run_python
from helpers.stores import environments, leftovers, make_project, store, take
from helpers.waiting import wait_until
from venvrunner import VenvRunner
from venvrunner._store import maintenance

__all__ = ["store"]

PREPARE = f"""{WATCH}
store, step, seconds, number, kind, installer, wanted = sys.argv[1:]
from venvrunner import VenvRunner
options = {{"lock": wanted}} if kind == "lock" else {{"requirements": [wanted]}}
signal.signal(signal.SIGINT, signal.default_int_handler)
done = strike(store, int(step), int(number))
signal.setitimer(signal.ITIMER_REAL, float(seconds))  # its signal ends the process at once
with VenvRunner.temporary(installer=installer, cached=True, with_pip=False, **options) as venv:
    print(len(done), *sorted(venv.installed()))
"""

EXPECTED = {"requirements": ["needy", "pocket"], "lock": ["needy", "pocket"], "project": ["mine", "pocket"]}


class Preparation:
    """A process that prepares an environment, and ends at some moment."""

    def __init__(self, folder: Path, store: Path, kind: str, installer: str) -> None:
        self.folder = folder
        self.store = store
        self.kind = kind
        self.installer = installer
        self.wanted = {"requirements": "needy", "lock": str(folder / "pylock.toml"), "project": str(folder / "project")}[kind]
        (folder / "temporary").mkdir()
        if kind == "project":
            make_project(folder / "project")
        elif kind == "lock":
            with VenvRunner.temporary(installer="uv") as venv:
                venv.lock(self.wanted, "needy")

    def run(self, step: int = -1, seconds: float = 0, number: int = signal.SIGKILL) -> subprocess.CompletedProcess[str]:
        """Run it until a step or a time, and wait for the installers that it has left."""
        args = [str(self.store), str(step), str(seconds), str(int(number)), self.kind, self.installer, self.wanted]
        before = children().keys()
        done = run_python(PREPARE, *args, TMPDIR=str(self.folder / "temporary"))
        wait_until(lambda: children().keys() <= before, "an installer runs on")
        return done

    def check(self) -> None:
        """Check that nothing half-made is used: the next environment is complete, and everything in the store is whole."""
        assert maintenance.verify(str(self.store)) == {}
        options = {"lock": self.wanted, "requirements": ()} if self.kind == "lock" else {"requirements": [self.wanted]}
        assert take(installer=self.installer, **options) == EXPECTED[self.kind]
        assert maintenance.verify(str(self.store)) == {}

    def forget(self) -> None:
        """Begin again with an empty store."""
        maintenance.prune(str(self.store), 0, 0)
        assert environments(self.store) == []


@pytest.mark.parametrize("kind", EXPECTED)
def test_what_a_killed_process_leaves_is_not_used(store: Path, tmp_path: Path, kind: str) -> None:
    """Killed at any moment of a preparation: the next environment is right, and a later `prune` removes the rest."""
    preparation = Preparation(tmp_path, store, kind, "uv")
    steps = int(preparation.run().stdout.split()[0])
    for tenth in (2, 5, 9):
        preparation.forget()
        killed = preparation.run(steps * tenth // 10)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        preparation.check()
    for path in leftovers(store):
        os.utime(path, (0, 0))
    maintenance.prune(str(store), 10**9)
    assert leftovers(store) == []


@pytest.mark.slow
@pytest.mark.parametrize("installer", ["pip", "uv"])
@pytest.mark.parametrize("kind", EXPECTED)
def test_a_storm_of_kills_spoils_nothing(store: Path, tmp_path: Path, kind: str, installer: str) -> None:
    """Fifty times at a random step or time, one after another in the same store: it stays whole."""
    preparation = Preparation(tmp_path, store, kind, installer)
    steps = int(preparation.run().stdout.split()[0])
    rolls = random.Random(18)
    for number in range(50):
        if number % 5 == 0:
            preparation.forget()
        preparation.run(rolls.randrange(1, steps)) if number % 2 else preparation.run(seconds=rolls.uniform(0.05, 2))
        assert maintenance.verify(str(store)) == {}
        if number % 10 == 9:
            preparation.check()
    preparation.check()
    maintenance.prune(str(store), 10**9)
    assert all(item.python or item.kind == "wheel" for item in maintenance.items(str(store))), "what is unfinished is left"


@pytest.mark.parametrize("kind", ["requirements", "project"])
def test_an_interrupted_preparation_leaves_nothing(store: Path, tmp_path: Path, kind: str) -> None:
    """Ctrl-C is raised at once, and neither a temporary file nor an unfinished entry is left."""
    preparation = Preparation(tmp_path, store, kind, "uv")
    steps = int(preparation.run().stdout.split()[0])
    for tenth in (1, 4, 6, 8):
        preparation.forget()
        done = preparation.run(steps * tenth // 10, number=signal.SIGINT)
        assert "KeyboardInterrupt" in done.stderr
        assert leftovers(store) == []
        assert list((tmp_path / "temporary").iterdir()) == []
        assert all(item.python or item.kind == "wheel" for item in maintenance.items(str(store)))
    preparation.check()


def test_what_is_unfinished_stays_while_another_process_creates_it(store: Path) -> None:
    """Only the rest of a preparation that has ended is removed."""
    from venvrunner._store import location
    from venvrunner._store.entries import Entry

    take("pocket")
    (item,) = environments(store)
    entry = Entry(str(store), item.key)
    entry.forget()
    with location.turn(str(store), item.key):
        assert maintenance.prune(str(store), 0) == (0, 0)
    assert maintenance.prune(str(store), 10**9)[0] == 1
