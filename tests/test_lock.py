"""Lock files: what they choose, how exactly it is installed, and what is refused before anything starts."""

import asyncio
import base64
import hashlib
import io
import json
import shutil
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import get_args

import pytest
from uv import find_uv_bin

from projects import ONLINE, make_wheel
from venvrunner import HashError, InstallationError, InvalidRequirementError, LockFileError, VenvRunner, subprocess_util
from venvrunner.installing import InstallerName

INSTALLERS = get_args(InstallerName)
PASSWORD = "hunter2${HOME}"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of wheels, in place of an index."""
    folder = tmp_path_factory.mktemp("wheels")
    make_wheel(folder, "pocket", "1.0", requires=["missing"])
    make_wheel(folder, "pocket", "2.0")
    make_wheel(folder, "needy")
    return folder


# pip takes a second for each call, so most tests of it are left to those who have the time.
@pytest.fixture(params=[pytest.param("pip", marks=pytest.mark.slow), "uv"])
def venv(request: pytest.FixtureRequest) -> Iterator[VenvRunner]:
    """An environment of one's own, without pip."""
    with VenvRunner.temporary(with_pip=False, installer=request.param) as runner:
        yield runner


def entry(path: Path, *, url: bool = False, digest: str = "", algorithm: str = "sha256") -> str:
    """Return one file of a package in TOML."""
    digest = digest or hashlib.new(algorithm, path.read_bytes()).hexdigest()
    place = f"url = {json.dumps(path.as_uri())}" if url else f"path = {json.dumps(str(path))}"
    return f"{{{place}, hashes = {{{algorithm} = {json.dumps(digest)}}}}}"


def package(name: str, version: str, *files: str, more: str = "") -> str:
    """Return one package in TOML."""
    return f'[[packages]]\nname = "{name}"\nversion = "{version}"\n{more}\nwheels = [{", ".join(files)}]\n'


def write(folder: Path, *packages: str, version: str = "1.0", more: str = "") -> Path:
    """Write a lock file."""
    path = folder / "pylock.toml"
    path.write_text("\n".join([f'lock-version = "{version}"', 'created-by = "test"', more, *packages]))
    return path


def wheel(folder: Path, name: str, version: str = "1.0") -> Path:
    return folder / f"{name}-{version}-py3-none-any.whl"


@pytest.mark.parametrize(
    ("venv", "url"),
    [("pip", False), pytest.param("pip", True, marks=pytest.mark.slow), ("uv", False), ("uv", True)],
    indirect=["venv"],
)
def test_exactly_what_is_locked_is_installed(venv: VenvRunner, wheels: Path, tmp_path: Path, *, url: bool) -> None:
    """Not a newer version, and nothing that a package says it needs."""
    lock = write(
        tmp_path,
        package("pocket", "1.0", entry(wheel(wheels, "pocket"), url=url)),
        package("needy", "1.0", entry(wheel(wheels, "needy"), url=url)),
    )
    assert venv.install(lock=lock).added == {"pocket": "1.0", "needy": "1.0"}
    assert not venv.install(lock=str(lock)).added
    write(tmp_path, package("pocket", "2.0", entry(wheel(wheels, "pocket", "2.0"), url=url)))
    assert asyncio.run(venv.async_install(lock=lock)).changed == {"pocket": ("1.0", "2.0")}
    assert not list(Path(venv.venv_dir).rglob("direct_url.json"))


def test_a_path_is_relative_to_the_lock_file(
    venv: VenvRunner, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the caller is, and whatever the folders are called."""
    folder = tmp_path / "a b $HOME ${HOME} é #1"
    folder.mkdir()
    shutil.copy(wheel(wheels, "needy"), folder)
    lock = write(folder, package("needy", "1.0", entry(wheel(folder, "needy")).replace(str(folder), ".")))
    monkeypatch.chdir(tmp_path)
    assert venv.install(lock=lock.relative_to(tmp_path)).added == {"needy": "1.0"}


@pytest.fixture
def served(wheels: Path) -> Iterator[tuple[str, list[str]]]:
    """A server of these wheels that wants a password: its address, and the passwords that it was told."""
    told: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            scheme, _blank, credentials = self.headers.get("Authorization", "").partition(" ")
            told.append(base64.b64decode(credentials).decode())
            if scheme == "Basic" and told[-1] == f"me:{PASSWORD}":
                super().do_GET()
            else:
                self.send_error(401, "no", "no")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name that it has
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(wheels)))
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}", told
        server.shutdown()
        thread.join()


def test_files_are_fetched_and_passwords_are_not_shown(
    venv: VenvRunner, wheels: Path, tmp_path: Path, served: tuple[str, list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    """A password in an address of the lock file is used, and in no log, no exception and no argument."""
    caplog.set_level(1)
    address, told = served
    path = wheel(wheels, "needy")
    text = entry(path, url=True)
    url = f"http://me:{PASSWORD.replace('$', '%24')}@{address}/{path.name}"
    lock = write(tmp_path, package("needy", "1.0", text.replace(path.as_uri(), url)))
    receipt = venv.install(lock=lock)
    assert receipt.added == {"needy": "1.0"}
    assert f"me:{PASSWORD}" in told
    assert PASSWORD not in "".join(receipt.args)
    venv.uninstall("needy")
    write(tmp_path, package("needy", "1.0", text.replace(path.as_uri(), url.replace("hunter2", "hunter3"))))
    with pytest.raises(InstallationError) as caught:
        venv.install(lock=lock, extra_env={"UV_CACHE_DIR": str(tmp_path / "cache"), "PIP_NO_CACHE_DIR": "1"})
    error = caught.value
    shown = "".join([str(error), repr(error), *error.__notes__, *map(repr, map(vars, caplog.records)), caplog.text])
    assert "hunter" not in shown


SDIST_BACKEND = """import os, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "built-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        archive.writestr("built.py", "")
        archive.writestr("built-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: built\\nVersion: 1.0\\n")
        archive.writestr("built-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr("built-1.0.dist-info/RECORD", "")
    return name
"""


@pytest.mark.parametrize("kind", ["sdist", "archive"])
def test_a_source_distribution_is_built(kind: str, venv: VenvRunner, tmp_path: Path) -> None:
    """If the lock file has nothing else for a package; its hash is checked like that of a wheel."""
    path = tmp_path / "built-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in {
            "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
            "backend.py": SDIST_BACKEND,
            "PKG-INFO": "Metadata-Version: 2.1\nName: built\nVersion: 1.0\n",
        }.items():
            member = tarfile.TarInfo(f"built-1.0/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    lock = write(tmp_path, f'[[packages]]\nname = "built"\nversion = "1.0"\n{kind} = {entry(path)}\n')
    offline = {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1"}
    assert venv.install(lock=lock, extra_env=offline).added == {"built": "1.0"}
    venv.uninstall("built")
    write(tmp_path, f'[[packages]]\nname = "built"\nversion = "1.0"\n{kind} = {entry(path, digest="0" * 64)}\n')
    with pytest.raises(HashError):
        venv.install(lock=lock, extra_env=offline)


def test_a_new_environment_has_what_is_locked(wheels: Path, tmp_path: Path) -> None:
    """The constructor takes a lock file in place of requirements; `exist="reuse"` sees that it has changed."""
    lock = write(tmp_path, package("pocket", "1.0", entry(wheel(wheels, "pocket"))))
    with VenvRunner("venv", tmp_path, with_pip=False, lock=lock) as venv:
        assert venv.installed() == {"pocket": "1.0"}
        Path(venv.venv_dir, "mine").touch()
    with VenvRunner("venv", tmp_path, with_pip=False, lock=lock, exist="reuse") as venv:
        assert Path(venv.venv_dir, "mine").exists()
    write(tmp_path, package("pocket", "2.0", entry(wheel(wheels, "pocket", "2.0"))), more="# another size")
    with VenvRunner("venv", tmp_path, with_pip=False, lock=lock, exist="reuse") as venv:
        assert venv.installed() == {"pocket": "2.0"}
    with pytest.raises(InvalidRequirementError, match="exactly what its file lists"):
        VenvRunner("other", tmp_path, requirements=["needy"], lock=lock)
    with pytest.raises(LockFileError):
        VenvRunner("other", tmp_path, lock=tmp_path / "missing.toml")
    assert not (tmp_path / "other").exists()


@pytest.mark.network
@pytest.mark.parametrize("venv", [pytest.param("pip", marks=pytest.mark.slow), "uv"], indirect=True)
def test_a_lock_file_of_a_real_tool_is_installed(venv: VenvRunner, tmp_path: Path) -> None:
    """Written by uv for all platforms; both installers do the same with it."""
    (tmp_path / "in.txt").write_text("pytest==8.4.2\n")
    lock = tmp_path / "pylock.toml"
    command = [find_uv_bin(), "pip", "compile", "in.txt", "--format=pylock.toml", "--universal", "--output-file=pylock.toml"]
    subprocess_util.log_run(command, cwd=tmp_path, extra_env=ONLINE)
    assert venv.install(lock=lock, extra_env=ONLINE).added.keys() == {"pytest", "iniconfig", "packaging", "pluggy", "pygments"}
    assert venv.log_run(["pytest", "--version"], cwd=tmp_path).stdout == "pytest 8.4.2\n"


def test_an_archive_of_no_index_is_installed_with_its_origin(venv: VenvRunner, wheels: Path, tmp_path: Path) -> None:
    """As a direct reference (PEP 610)."""
    text = entry(wheel(wheels, "needy"))
    lock = write(tmp_path, f'[[packages]]\nname = "needy"\nversion = "1.0"\narchive = {text}\n')
    assert venv.install(lock=lock).added == {"needy": "1.0"}
    assert list(Path(venv.venv_dir).rglob("direct_url.json"))


def test_markers_and_tags_are_those_of_the_environment(venv: VenvRunner, wheels: Path, tmp_path: Path) -> None:
    """Not those of the interpreter that asks for it."""
    described = venv.log_run(["python", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).stdout.strip()
    python = wheels / f"tagged-1.0-py{described.replace('.', '')}-none-any.whl"
    wrong = wheels / "tagged-1.0-cp27-cp27m-win32.whl"
    for path in (python, wrong):
        shutil.copy(make_wheel(tmp_path, "tagged"), path)
    lock = write(
        tmp_path,
        package("pocket", "1.0", entry(wheel(wheels, "pocket")), more="marker = \"sys_platform == 'none'\""),
        package("needy", "1.0", entry(wheel(wheels, "needy")), more=f"marker = \"python_version == '{described}'\""),
        package("tagged", "1.0", entry(wrong), entry(python)),
    )
    assert venv.install(lock=lock).added == {"needy": "1.0", "tagged": "1.0"}


def test_a_lock_of_nothing_changes_nothing(venv: VenvRunner, tmp_path: Path) -> None:
    """It is no error."""
    assert repr(venv.install(lock=write(tmp_path, "packages = []"))) == "nothing changed"


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_a_wrong_hash_installs_nothing(algorithm: str, venv: VenvRunner, wheels: Path, tmp_path: Path) -> None:
    """Not even the packages whose hash is right."""
    wrong = hashlib.new(algorithm, b"something else").hexdigest()
    lock = write(
        tmp_path,
        package("needy", "1.0", entry(wheel(wheels, "needy"), algorithm=algorithm)),
        package("pocket", "1.0", entry(wheel(wheels, "pocket"), algorithm=algorithm, digest=wrong)),
    )
    with pytest.raises(HashError) as caught:
        venv.install(lock=lock)
    assert "Find out why" in caught.value.__notes__[-1]
    assert venv.installed() == {}


@pytest.mark.parametrize("venv", INSTALLERS, indirect=True)
def test_the_strongest_hash_is_the_one_that_counts(venv: VenvRunner, wheels: Path, tmp_path: Path) -> None:
    """A file that fits only a weaker one is not the file that was locked."""
    right = hashlib.sha256(wheel(wheels, "needy").read_bytes()).hexdigest()
    text = entry(wheel(wheels, "needy")).replace("hashes = {", f'hashes = {{sha512 = "{"0" * 128}", ')
    assert right in text
    with pytest.raises(HashError):
        venv.install(lock=write(tmp_path, package("needy", "1.0", text)))
    assert venv.installed() == {}


def test_files_come_from_where_the_caller_says(venv: VenvRunner, wheels: Path, tmp_path: Path) -> None:
    """With `find_links`, the addresses in the lock file are not used; its hashes are."""
    elsewhere = "https://files.example/needy-1.0-py3-none-any.whl"
    text = entry(wheel(wheels, "needy"), url=True).replace(wheel(wheels, "needy").as_uri(), elsewhere)
    lock = write(tmp_path, package("needy", "1.0", text))
    assert venv.install(lock=lock, find_links=[wheels], no_index=True).added == {"needy": "1.0"}
    venv.uninstall("needy")
    digest = hashlib.sha256(wheel(wheels, "needy").read_bytes()).hexdigest()
    write(tmp_path, package("needy", "1.0", text.replace(digest, "0" * 64)))
    with pytest.raises(HashError):
        venv.install(lock=lock, find_links=[wheels], no_index=True)
    assert venv.installed() == {}


HEAD = 'lock-version = "1.0"\ncreated-by = "test"\n'
DIGEST = "a" * 64
GOOD = f'{{path = "needy-1.0-py3-none-any.whl", hashes = {{sha256 = "{DIGEST}"}}}}'


def one(file: str) -> str:
    """Return a lock file with one file."""
    return HEAD + package("needy", "1.0", file)


def at(url: str, name: str = "needy-1.0-py3-none-any.whl") -> str:
    """Return a lock file with one file that has to be fetched."""
    return one(f'{{name = "{name}", url = "{url}", hashes = {{sha256 = "{DIGEST}"}}}}')


WRONG = {
    "empty": ("", "lock-version"),
    "not TOML": ("lock-version = ", "(?i)invalid"),
    "not UTF-8": ("\udcff", "utf-8"),
    "a later version": (HEAD.replace("1.0", "2.0") + "packages = []", r"2\.0.*Write it again"),
    "no hash": (one(GOOD.replace(f'sha256 = "{DIGEST}"', "")), "hash"),
    "a weak hash": (one(GOOD.replace(f'sha256 = "{DIGEST}"', f'md5 = "{DIGEST[:32]}"')), "without a valid hash of sha256"),
    "a short hash": (one(GOOD.replace("aa", "a")), "valid hash"),
    "no hexadecimal hash": (one(GOOD.replace("aa", "xx")), "valid hash"),
    "a line in a hash": (one(GOOD.replace('sha256 = "', 'sha256 = "\\n--pre ')), "valid hash"),
    "no such file": (one(GOOD.replace("needy-", "x/needy-")), "no such file"),
    "NUL in a path": (one(GOOD.replace("needy-", "\\u0000")), "(?i)wheel"),
    "another scheme": (at("ftp://x.example/needy-1.0-py3-none-any.whl"), "no address of a file"),
    "an option": (at("--pre"), "no address of a file"),
    "a blank in a URL": (at("https://x.example/ /needy-1.0-py3-none-any.whl"), "no address of a file"),
    "a line in a URL": (at("https://x.example/\\n--pre/needy-1.0-py3-none-any.whl"), "no address of a file"),
    "a password": (at("ftp://me:hunter2@x.example/needy-1.0-py3-none-any.whl"), r"\*\*\*\*@x\.example"),
    "a raw password": (at("https://me:p/w@x.example/needy-1.0-py3-none-any.whl"), "Write these as %2F"),
    "another name": (at("https://x.example/42"), "does not end with its name"),
    "no file that fits": (at("https://x.example/x", "needy-1.0-cp27-cp27m-win32.whl"), "Lock for this Python"),
    "no name of a wheel": (at("https://x.example/x", "needy.txt"), "needy.txt"),
    "another Python": (HEAD + 'requires-python = "<3"\npackages = []', "Lock for this Python"),
    "another platform": (HEAD + "environments = [\"sys_platform == 'none'\"]\npackages = []", "Lock for this Python"),
    "twice": (HEAD + package("needy", "1.0", GOOD) * 2, "Multiple packages"),
    "a folder": (HEAD + '[[packages]]\nname = "x"\ndirectory = {path = "."}', "editable="),
    "a repository": (
        HEAD + '[[packages]]\nname = "x"\nvcs = {type = "git", url = "https://x.example/x.git", commit-id = "1"}',
        "'x' is a folder or a repository",
    ),
    "a subdirectory": (
        HEAD + '[[packages]]\nname = "needy"\narchive = ' + GOOD.replace("}}", '}, subdirectory = "../x"}'),
        "subdirectory",
    ),
    "a wrong name": (HEAD + package("../x", "1.0", GOOD), "normalized"),
}


@pytest.mark.parametrize(("text", "why"), WRONG.values(), ids=WRONG)
def test_a_wrong_lock_file_is_one_clear_error(text: str, why: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It names the file and what is wrong; no installer is started."""
    caplog.set_level("DEBUG")
    make_wheel(tmp_path, "needy")
    path = tmp_path / "pylock.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with VenvRunner.temporary(with_pip=False) as venv, pytest.raises(LockFileError, match=why) as caught:
        venv.install(lock=path)
    assert str(path) in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "'install'" not in caplog.text


def test_a_lock_file_is_installed_by_itself(venv: VenvRunner, wheels: Path, tmp_path: Path) -> None:
    """With other requirements, what is installed would not be what is locked; and by another name it is no lock file."""
    lock = write(tmp_path, "packages = []")
    with pytest.raises(InvalidRequirementError, match="Give it as lock="):
        venv.install(requirements_files=[lock])
    with pytest.raises(InvalidRequirementError, match="Give it as lock="):
        venv.install("needy", constraints=[lock])
    with pytest.raises(InvalidRequirementError, match="exactly what its file lists"):
        venv.install("needy", lock=lock)
    with pytest.raises(InvalidRequirementError, match="exactly what its file lists"):
        venv.install(editable=[str(tmp_path)], lock=lock)
    with pytest.raises(LockFileError, match="there is no such file! Write it"):
        venv.install(lock=tmp_path / "missing.toml")
