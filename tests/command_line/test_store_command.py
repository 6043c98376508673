"""The command line of the store: `python -m venvrunner store`, and `--cached`."""

import json
from pathlib import Path

import pytest

from helpers.command_line import run
from helpers.stores import environments, store
from venvrunner import VenvRunner
from venvrunner._store.location import parse_size

__all__ = ["store"]


def test_a_command_runs_in_an_environment_from_the_store(store: Path) -> None:
    """The first time, it says that it prepares one; the second time, nothing."""
    for said in (b"venvrunner: preparing an environment in the store: needy\n", b""):
        done = run("--cached", "--with", "needy", "--", "pocket")
        assert (done.returncode, done.stdout.split()[:2], done.stderr) == (0, [b"pocket", b"1.0"], said)
    assert len(environments(store)) == 1


def test_a_kept_environment_may_come_from_the_store_too(store: Path, tmp_path: Path) -> None:
    """It is a copy; what a requirements file lists is installed into it."""
    (tmp_path / "more.txt").write_text("wires\n")
    done = run(
        "--cached", "--with", "pocket", "-r", str(tmp_path / "more.txt"), "--keep", str(tmp_path / "kept"), "--", "pocket"
    )
    assert done.returncode == 0, done.stderr
    assert VenvRunner.open(tmp_path / "kept").installed().keys() == {"pip", "pocket", "wires"}
    assert [item.what for item in environments(store)] == [["pocket"]]


def test_the_store_is_listed_with_what_it_has(store: Path) -> None:
    """For people as a table, for programs as JSON."""
    assert run("store", "list").stdout == b"the store is empty\n"
    VenvRunner.temporary(requirements=["pocket"], cached=True).delete()
    rows = run("store", "list").stdout.decode().splitlines()
    assert [row.split()[:2] for row in rows] == [["KIND", "CONTENTS"], ["environment", "pocket"]]
    (item,) = json.loads(run("store", "list", "--json").stdout)
    assert item["what"] == ["pocket"]
    assert item["size"] == int(run("store", "size").stdout) > 100_000
    assert json.loads(run("store", "dir", "--json").stdout) == {"dir": str(store)}


def test_pruning_removes_what_is_not_in_use(store: Path) -> None:
    """By size and by age."""
    with VenvRunner.temporary(requirements=["pocket"], cached=True):
        assert run("store", "prune", "--max-size", "0").stdout == b"removed 0 items, 0 bytes\n"
    assert run("store", "prune", "--unused-for", "1d").stdout == b"removed 0 items, 0 bytes\n"
    (item,) = environments(store)
    assert json.loads(run("store", "prune", "--max-size", "1kB", "--json").stdout) == {"removed": 1, "bytes": item.size}
    assert environments(store) == []


def test_verifying_finds_a_changed_file(store: Path) -> None:
    """It says which; the environment is prepared again when it is next needed."""
    VenvRunner.temporary(requirements=["pocket"], cached=True).delete()
    assert (run("store", "verify").returncode, run("store", "verify").stdout) == (0, b"all environments are intact\n")
    (item,) = environments(store)
    changed = next(Path(item.path).glob("lib/*/site-packages/pip/py.typed"))
    changed.write_text("changed")
    for found in ([], ["something was installed or removed"]):  # it is reported until it is prepared again
        done = run("store", "verify", "--json")
        assert done.returncode == 1
        assert json.loads(done.stdout) == {item.key: [*found, f"{str(changed)!r} has changed"]}
    with VenvRunner.temporary(requirements=["pocket"], cached=True) as venv:
        assert venv.log_run(["pocket"]).stdout
    assert changed.read_text() != "changed"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["prune", "--max-size", "much"], b"'much' is not a size. Write for instance 500MB or 5GB."),
        (["prune", "--unused-for", "1x"], b"'1x' is not a time. Write for instance 12h or 30d."),
        ([], b"the following arguments are required: COMMAND"),
    ],
)
def test_wrong_arguments_are_explained(arguments: list[str], said: bytes) -> None:
    """With the exit code of wrong arguments."""
    done = run("store", *arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_wrong_limit_is_said_before_anything_starts(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the name of the variable."""
    monkeypatch.setenv("VENVRUNNER_STORE_MAX_SIZE", "large")
    with pytest.raises(ValueError, match="VENVRUNNER_STORE_MAX_SIZE: 'large' is not a size"):
        VenvRunner.temporary(requirements=["pocket"], cached=True)
    assert not store.exists()
    done = run("store", "prune")
    assert (done.returncode, done.stdout) == (125, b"")


@pytest.mark.parametrize(("text", "size"), [("0", 0), ("12", 12), ("1kB", 1000), ("1KiB", 1024), (" 2 G ", 2 * 10**9)])
def test_sizes_have_units(text: str, size: int) -> None:
    """Decimal ones, and binary ones with an i."""
    assert parse_size(text) == size


@pytest.mark.parametrize("command", ["list", "size", "prune", "verify"])
def test_a_directory_that_is_no_store_is_left_alone(command: str, store: Path) -> None:
    """Even if something in it has a name that things in a store have."""
    wheel = store / "wheels" / f"{0:032x}" / "mine.whl"
    wheel.parent.mkdir(parents=True)
    wheel.touch()
    done = run("store", command, *(["--max-size", "0"] if command == "prune" else []))
    assert (done.returncode, done.stdout) == (125, b"")
    assert b"is not a store that only this user can change" in done.stderr
    assert wheel.exists()
