"""Specifications: values that travel between processes, and become the same environment wherever they arrive."""

import hashlib
import pickle
import shutil
import sys
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest

from helpers.index_server import dated_index
from helpers.wheels import make_wheel
from venvrunner import InterpreterNotFoundError, InvalidRequirementError, LockFileError, LockOptions, VenvSpec, subprocess_util

LOCK = """lock-version = "1.0"
created-by = "test"
[[packages]]
name = "pocket"
version = "1.0"
wheels = [{{ url = "{url}", hashes = {{ sha256 = "{digest}" }} }}]
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock file whose one file has an address that holds for the whole machine."""
    wheel = make_wheel(tmp_path, "pocket")
    path = tmp_path / "pylock.toml"
    path.write_text(LOCK.format(url=wheel.as_uri(), digest=hashlib.sha256(wheel.read_bytes()).hexdigest()))
    return path


ARRIVAL = """import pickle, sys
with open(sys.argv[1], "rb") as file:
    spec = pickle.load(file)
with spec.temporary() as venv:
    print(venv.installed())
"""


def test_equal_specifications_are_one_key(lock: Path) -> None:
    """However they were written; and a specification can't be changed."""
    first = VenvSpec(requirements=["pocket>=1"], python="3.12")
    assert first == VenvSpec(python="3.12", requirements=("pocket>=1",))
    assert len({first, VenvSpec(requirements=("pocket>=1",), python="3.12"), VenvSpec()}) == 2
    assert VenvSpec(lock=lock) == VenvSpec(lock=str(lock))
    before = VenvSpec(lock=lock)
    lock.write_bytes(lock.read_bytes().replace(b"\n", b"\r\n"))
    assert VenvSpec(lock=lock) == before
    lock.write_text(lock.read_text() + "\n# changed\n")
    assert VenvSpec(lock=lock) != before
    with pytest.raises(FrozenInstanceError):
        first.python = "3.13"  # type: ignore[misc]  # it is frozen


def test_a_specification_shows_what_is_special_and_no_password(lock: Path) -> None:
    """In a log, in the name of a test, on the dashboard of a cluster."""
    spec = VenvSpec(
        python="3.12", requirements=["https://me:hunter2@host.example/pocket.zip", "name @ https://x:pw@host/a.whl"]
    )
    assert repr(spec) == (
        "VenvSpec(python='3.12', requirements=('https://****@host.example/pocket.zip', 'name @ https://****@host/a.whl'))"
    )
    assert repr(VenvSpec()) == "VenvSpec()"
    spec = VenvSpec(lock=lock)
    assert repr(spec) == f"VenvSpec(lock={str(lock)!r})"
    assert (str(spec.lock), repr(spec.lock)) == (str(lock), f"<lock file {str(lock)!r}>")


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_a_specification_is_locked(installer: Any, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Its own requirements and further ones go into the lock file; all else stays, and it travels as text."""
    files = tmp_path_factory.mktemp("files")
    for version in ("1.0", "2.0"):
        make_wheel(files, "pocket", version)
    make_wheel(files, "needy", requires=["pocket"])
    spec = VenvSpec(requirements=["needy"], prompt="mine", with_pip=False, installer=installer)
    path = tmp_path / "pylock.toml"
    options: LockOptions = {"find_links": [files], "no_index": True}
    locked = spec.locked(path, "pocket<2", **options)
    assert locked == replace(spec, requirements=(), lock=path)
    path.unlink()
    with pickle.loads(pickle.dumps(locked)).temporary() as venv:
        assert venv.installed() == {"needy": "1.0", "pocket": "1.0"}
    with pytest.raises(InvalidRequirementError, match=r"is locked already, by .*Call locked\(\) on one with the requirements"):
        locked.locked(path)
    with pytest.raises(InvalidRequirementError, match="there is nothing to lock"):
        VenvSpec().locked(path)
    path.write_text("# old\n")
    options["find_links"] = [shutil.copytree(files, tmp_path / "files")]
    with pytest.raises(LockFileError, match=r"lists files or directories by path.* Use an index, or find_links="):
        spec.locked(path, **options)
    assert path.read_text() == "# old\n"


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_a_specification_arrives_in_another_process(installer: Any, lock: Path, tmp_path: Path) -> None:
    """With the text of its lock file, which need not be there any more."""
    spec = VenvSpec(lock=lock, installer=installer, with_pip=False)
    lock.unlink()
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert replace(replace(spec, prompt="mine"), prompt=None) == spec
    with pytest.raises(InvalidRequirementError, match="exactly"):
        replace(spec, requirements=["pocket"])
    (tmp_path / "spec").write_bytes(pickle.dumps(spec))
    result = subprocess_util.log_run([sys.executable, "-c", ARRIVAL, tmp_path / "spec"])
    assert result.stdout == "{'pocket': '1.0'}\n"


def test_a_lock_file_may_be_at_a_url(lock: Path, tmp_path: Path) -> None:
    """It is fetched where the specification is written; its text travels."""
    with dated_index(lock.parent) as http:
        spec = VenvSpec(lock=f"{http}/pylock.toml", with_pip=False, installer="uv")
        with pytest.raises(LockFileError, match="404"):
            VenvSpec(lock=f"{http}/missing.toml")
    assert spec == VenvSpec(lock=lock.as_uri(), with_pip=False, installer="uv")
    with pickle.loads(pickle.dumps(spec)).create("venv", tmp_path) as venv:
        assert venv.installed() == {"pocket": "1.0"}


def test_an_environment_is_kept_for_an_equal_specification(lock: Path, tmp_path: Path) -> None:
    """And recreated for another one."""
    with VenvSpec(lock=lock, with_pip=False).create("venv", tmp_path) as venv:
        mark = Path(venv.venv_dir, "mark")
        mark.touch()
    with VenvSpec(lock=lock, with_pip=False).create("venv", tmp_path):
        assert mark.exists()
    with VenvSpec(with_pip=False).create("venv", tmp_path) as venv:
        assert not mark.exists()
        assert venv.installed() == {}


def test_every_option_reaches_the_environment(tmp_path: Path) -> None:
    """As the class takes them."""
    spec = VenvSpec(python=sys.executable, with_pip=False, system_site_packages=True, prompt="mine", installer="uv")
    with spec.create("venv", tmp_path) as venv:
        text = Path(venv.venv_dir, "pyvenv.cfg").read_text()
        assert venv.installer == "uv"
        assert not list(Path(venv.venv_dir).rglob("*.dist-info"))
    assert "include-system-site-packages = true" in text
    assert "mine" in text


@pytest.mark.parametrize(
    ("arguments", "kind", "why"),
    [
        ({"requirements": ["-r x"]}, InvalidRequirementError, "-r x"),
        ({"requirements": ["."]}, InvalidRequirementError, "is a path, which another machine may not have"),
        ({"requirements": [Path("pocket")]}, InvalidRequirementError, "is a path"),
        ({"requirements": ["file:pocket"]}, InvalidRequirementError, "is a path"),
        ({"requirements": ["./pocket[a]; python_version > '3'"]}, InvalidRequirementError, "is a path"),
        ({"requirements": ["pocket @ ./pocket"]}, InvalidRequirementError, "is a path"),
        ({"requirements": ["pocket[extra]@/pocket"]}, InvalidRequirementError, "is a path"),
        ({"requirements": "pocket"}, TypeError, "a list or another collection"),
        ({"python": 3.12}, TypeError, "python must be a str"),
        ({"python": Path("python")}, TypeError, "python must be a str"),
        ({"with_pip": "no"}, TypeError, "True or False"),
        ({"system_site_packages": None}, TypeError, "True or False"),
        ({"prompt": 7}, TypeError, "prompt must be a str"),
        ({"prompt": "two\nlines"}, ValueError, "printable"),
        ({"installer": "conda"}, ValueError, "conda"),
        ({"lock": "missing.toml"}, LockFileError, r"missing\.toml"),
        ({"lock": "pylock.toml", "requirements": ["pocket"]}, InvalidRequirementError, "exactly"),
        ({"lock": "pylock.toml"}, LockFileError, "lists files or directories by path"),
        ({"unknown": 1}, TypeError, "unknown"),
    ],
)
def test_a_wrong_specification_is_refused_where_it_is_written(
    arguments: dict[str, Any], kind: type[Exception], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not first on the machine where the environment is made."""
    monkeypatch.chdir(tmp_path)
    text = LOCK.format(url="pocket-1.0-py3-none-any.whl", digest="a" * 64).replace("url =", "path =")
    Path("pylock.toml").write_text(text)
    with pytest.raises(kind, match=why):
        VenvSpec(**arguments)


@pytest.mark.usefixtures("few_interpreters")
def test_an_interpreter_is_looked_for_where_the_environment_is_made(tmp_path: Path) -> None:
    """Another machine has others."""
    spec = VenvSpec(python=">=3.99")
    with pytest.raises(InterpreterNotFoundError, match="found"):
        spec.create("venv", tmp_path)
    assert not (tmp_path / "venv").exists()


def test_choices_from_a_lock_file_travel(lock: Path) -> None:
    """They tell one specification from another, and a directory that is left out may be named by its path."""
    text = lock.read_text() + '\n[[packages]]\nname = "mine"\ndirectory = {path = "."}\n'
    lock.write_text(
        text.replace("packages]]", "packages]]\nmarker = \"'dev' in dependency_groups\"", 1).replace(
            '"1.0"\n', '"1.0"\ndependency-groups = ["dev"]\n', 1
        )
    )
    with pytest.raises(LockFileError, match="lock_projects=False"):
        VenvSpec(lock=lock)
    spec = VenvSpec(lock=lock, lock_groups=["dev"], lock_projects=False)
    assert pickle.loads(pickle.dumps(spec)) == spec == VenvSpec(lock=lock, lock_groups=("dev",), lock_projects=False)
    assert {spec: 1} != {VenvSpec(lock=lock, lock_projects=False): 1}
    assert "lock_groups=('dev',), lock_projects=False" in repr(spec)
    with spec.temporary() as venv:
        assert venv.installed().items() >= {("pocket", "1.0")}
    with VenvSpec(lock=lock, lock_projects=False, with_pip=False).temporary() as venv:
        assert venv.installed() == {}
