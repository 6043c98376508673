"""Lock files: what they choose, how exactly it is installed, and what is refused before anything starts."""

import asyncio
import base64
import hashlib
import io
import json
import shutil
import sys
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote, urlsplit

import pytest
from uv import find_uv_bin

from helpers.environments import ONLINE
from helpers.wheels import make_wheel
from venvrunner import HashError, InstallationError, InvalidRequirementError, LockFileError, VenvRunner, subprocess_util
from venvrunner.installing import InstallerName, InstallOptions

INSTALLERS = get_args(InstallerName)
PASSWORD = "hunter2${HOME}"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of wheels, in place of an index."""
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
    """Wherever the caller is, and whatever the directories are called."""
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
    return build(folder, "built.py", "")
def build_editable(folder, config_settings=None, metadata_directory=None):
    return build(folder, "built.pth", os.getcwd())
def build(folder, path, text):
    name = "built-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        archive.writestr(path, text)
        archive.writestr("built-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: built\\nVersion: 1.0\\n")
        archive.writestr("built-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr("built-1.0.dist-info/RECORD", "")
    return name
"""
BUILT = {
    "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
    "backend.py": SDIST_BACKEND,
    "PKG-INFO": "Metadata-Version: 2.1\nName: built\nVersion: 1.0\n",
}
NO_INDEX = {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1"}


def built_project(folder: Path) -> Path:
    """Write the project "built" into a new directory."""
    folder.mkdir(parents=True)
    for name, text in BUILT.items():
        (folder / name).write_text(text)
    return folder


def origins(venv: VenvRunner) -> list[dict[str, Any]]:
    """Return where packages are from that are from no index (PEP 610)."""
    return [json.loads(path.read_text()) for path in Path(venv.venv_dir).rglob("direct_url.json")]


@pytest.mark.parametrize("kind", ["sdist", "archive"])
def test_a_source_distribution_is_built(kind: str, venv: VenvRunner, tmp_path: Path) -> None:
    """If the lock file has nothing else for a package; its hash is checked like that of a wheel."""
    path = tmp_path / "built-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in BUILT.items():
            member = tarfile.TarInfo(f"built-1.0/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    lock = write(tmp_path, f'[[packages]]\nname = "built"\nversion = "1.0"\n{kind} = {entry(path)}\n')
    assert venv.install(lock=lock, extra_env=NO_INDEX).added == {"built": "1.0"}
    venv.uninstall("built")
    write(tmp_path, f'[[packages]]\nname = "built"\nversion = "1.0"\n{kind} = {entry(path, digest="0" * 64)}\n')
    with pytest.raises(HashError):
        venv.install(lock=lock, extra_env=NO_INDEX)


@pytest.mark.parametrize("venv", INSTALLERS, indirect=True)
@pytest.mark.parametrize("editable", [False, True])
def test_the_project_itself_is_installed(venv: VenvRunner, wheels: Path, tmp_path: Path, *, editable: bool) -> None:
    """A directory at the lock file or below it, after all that has a hash, in the mode that the lock says; or left out."""
    folder = tmp_path / "a b $HOME [é]"  # uv takes no editable project where a "#" is in the path
    project = built_project(folder / "part")
    entry_of = f'directory = {{path = ".", subdirectory = "part", editable = {json.dumps(editable)}}}'
    listed = package("needy", "1.0", entry(wheel(wheels, "needy")))
    lock = write(folder, f'[[packages]]\nname = "built"\n{entry_of}\n', listed)
    with pytest.raises(LockFileError, match="'built' has no hash, but require_hashes=True needs one"):
        venv.install(lock=lock, require_hashes=True)
    assert venv.install(lock=lock, lock_projects=False, require_hashes=True).added == {"needy": "1.0"}
    receipt = asyncio.run(venv.async_install(lock=lock, extra_env=NO_INDEX))
    assert receipt.added == {"built": "1.0"}
    assert "built" in receipt.stdout + receipt.stderr
    (origin,) = origins(venv)
    assert unquote(urlsplit(origin["url"]).path) == str(project)
    assert origin["dir_info"] == ({"editable": True} if editable else {})


@pytest.mark.parametrize("venv", INSTALLERS, indirect=True)
def test_no_project_is_installed_if_a_hash_is_wrong(venv: VenvRunner, wheels: Path, tmp_path: Path) -> None:
    """Nor anything else; and if the project can't be built, the note says what is there nevertheless."""
    project = built_project(tmp_path / "part")
    mine = '[[packages]]\nname = "built"\ndirectory = {path = "part"}\n'
    wrong = write(tmp_path, mine, package("needy", "1.0", entry(wheel(wheels, "needy"), digest="0" * 64)))
    with pytest.raises(HashError):
        venv.install(lock=wrong, extra_env=NO_INDEX)
    assert venv.installed() == {}
    (project / "backend.py").write_text("raise SystemExit('no build today')")
    right = write(tmp_path, mine, package("needy", "1.0", entry(wheel(wheels, "needy"))))
    with pytest.raises(InstallationError) as caught:
        venv.install(lock=right, extra_env=NO_INDEX)
    assert venv.installed() == {"needy": "1.0"}
    assert any("Changed before it failed:\nadded    needy  1.0" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("venv", INSTALLERS, indirect=True)
def test_a_commit_of_a_repository_is_installed(venv: VenvRunner, tmp_path: Path) -> None:
    """What is pinned by its full id is what it was when it was locked, whatever the branch is now."""
    built_project(tmp_path / "repo" / "part")
    git = ["git", "-C", str(tmp_path / "repo"), "-c", "user.name=me", "-c", "user.email=me@x.example"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess_util.log_run([*git, *command])
    first = subprocess_util.log_run([*git, "rev-parse", "HEAD"]).stdout.strip()
    (tmp_path / "repo" / "part" / "backend.py").write_text("raise SystemExit('a later commit')")
    subprocess_util.log_run([*git, "commit", "-qam", "second"])
    url = (tmp_path / "repo").as_uri()
    source = f'{{type = "git", url = "{url}", requested-revision = "main", commit-id = "{first}", subdirectory = "part"}}'
    lock = write(tmp_path, f'[[packages]]\nname = "built"\nversion = "1.0"\nvcs = {source}\n')
    assert venv.install(lock=lock, lock_projects=False, extra_env=NO_INDEX).added == {"built": "1.0"}
    (origin,) = origins(venv)
    assert origin["url"] == url
    assert origin["vcs_info"]["commit_id"] == first
    subprocess_util.log_run([*git, "revert", "--no-edit", "HEAD"])  # another commit of the same version
    third = subprocess_util.log_run([*git, "rev-parse", "HEAD"]).stdout.strip()
    lock = write(tmp_path, f'[[packages]]\nname = "built"\nversion = "1.0"\nvcs = {source.replace(first, third)}\n')
    assert venv.install(lock=lock, extra_env=NO_INDEX).changed == {"built": ("1.0", "1.0")}
    (origin,) = origins(venv)
    assert origin["vcs_info"]["commit_id"] == third
    assert not venv.install(lock=lock, extra_env=NO_INDEX).changed


@pytest.mark.parametrize("venv", INSTALLERS, indirect=True)
def test_an_editable_project_is_not_the_file_of_a_lock(venv: VenvRunner, tmp_path: Path) -> None:
    """Whatever its version: the file is installed in its place, and nothing the next time."""
    venv.install(editable=[built_project(tmp_path / "project")], extra_env=NO_INDEX)
    file = make_wheel(tmp_path, "built")
    lock = write(tmp_path, package("built", "1.0", entry(file)))
    assert venv.install(lock=lock, extra_env=NO_INDEX).changed == {"built": ("1.0", "1.0")}
    assert not venv.install(lock=lock, extra_env=NO_INDEX).changed


@pytest.mark.parametrize("venv", INSTALLERS, indirect=True)
def test_another_archive_of_the_same_version_is_installed(venv: VenvRunner, tmp_path: Path) -> None:
    """As that of another commit: its hash is known of what is installed."""
    for number in (1, 2, 2):
        path = tmp_path / f"built-{number}.tar.gz"
        folder = built_project(tmp_path / f"project{number}") if not path.exists() else tmp_path
        if not path.exists():
            (folder / "note.txt").write_text(str(number))
            with tarfile.open(path, "w:gz") as archive:
                archive.add(folder, "built-1.0")
        lock = write(tmp_path, f'[[packages]]\nname = "built"\nversion = "1.0"\narchive = {entry(path)}\n')
        changed = venv.install(lock=lock, extra_env=NO_INDEX).changed
    assert not changed
    assert "built-2" in str(origins(venv))


@pytest.mark.parametrize("venv", INSTALLERS, indirect=True)
@pytest.mark.parametrize(
    ("name", "in_url"),
    [("lantern_oil-2.0-py3-none-any.whl", "Lantern.Oil-2.0-py3-none-any.whl"), ("built-1.0.tar.gz", "Built-1.0.tar.gz")],
)
def test_a_url_may_spell_the_name_otherwise(name: str, in_url: str, venv: VenvRunner, tmp_path: Path) -> None:
    """uv writes both just then: ``markupsafe-…`` of ``MarkupSafe-…``, ``jaraco_text-…`` of ``jaraco.text-…``."""
    path = tmp_path / in_url
    if name.endswith(".whl"):
        make_wheel(tmp_path, "Lantern.Oil", "2.0")
        kind, shown = "wheels = [{}]", ("lantern-oil", "2.0")
    else:
        with tarfile.open(path, "w:gz") as archive:
            archive.add(built_project(tmp_path / "built"), "built-1.0")
        kind, shown = "sdist = {}", ("built", "1.0")
    file = entry(path, url=True).replace("{url", f'{{name = "{name}", url', 1)
    lock = write(tmp_path, f'[[packages]]\nname = "{shown[0]}"\nversion = "{shown[1]}"\n{kind.format(file)}\n')
    assert venv.install(lock=lock, extra_env=NO_INDEX).added == dict([shown])


FILES = {
    "a constraint": 'constraint-dependencies = ["pocket==2.0"]',
    "an override": 'override-dependencies = ["pocket==2.0"]',
    "an exclusion": 'exclude-dependencies = ["pocket"]',
    "no wheels": "no-binary = true",
    "no wheel of one": 'no-binary-package = ["pocket"]',
    "no wheels for pip": '[pip]\nno-binary = [":all:"]',
    "no builds": "no-build = true",
}


@pytest.mark.parametrize("find", [False, True])
@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
@pytest.mark.parametrize("where", ["uv.toml", "pyproject.toml", "the user's", "UV_CONFIG_FILE"])
def test_limits_in_files_of_uv_do_not_reach_a_lock(
    where: str, text: str, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, find: bool
) -> None:
    """Nor from a directory above; all other settings stay: here the index, which is relative to its file."""
    lock = write(tmp_path, package("pocket", "1.0", entry(wheel(wheels, "pocket"))))
    cwd = tmp_path / "top" / "below"
    cwd.mkdir(parents=True)
    (tmp_path / "top" / "links").symlink_to(wheels)
    text = f'find-links = ["links"]\nno-index = true\n{text}\n'
    if where == "pyproject.toml":
        text = "[tool.uv.workspace]\n[tool.uv]\n" + text.replace("[pip]", "[tool.uv.pip]")
    path = tmp_path / "top" / (where if where.endswith(".toml") else "uv.toml")
    if where == "the user's":
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        path = tmp_path / "config" / "uv" / "uv.toml"
        path.parent.mkdir(parents=True)
        (path.parent / "links").symlink_to(wheels)
    elif where == "UV_CONFIG_FILE":
        monkeypatch.setenv("UV_CONFIG_FILE", str(path))
    path.write_text(text)
    options: InstallOptions = {"lock": lock, "cwd": cwd}
    if find:
        options["extra_index_urls"] = ["http://127.0.0.1:9/simple"]  # no server is there, and none is asked
    with VenvRunner.temporary(with_pip=False, installer="uv") as venv:
        assert venv.install(**options).added == {"pocket": "1.0"}


@pytest.mark.parametrize("find", [False, True])
@pytest.mark.parametrize("setting", ["constraint = {}", "no-binary = :all:", "only-binary = :all:"])
@pytest.mark.parametrize("section", ["global", "install"])
def test_limits_in_files_of_pip_do_not_reach_a_lock(
    section: str, setting: str, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, find: bool
) -> None:
    """Whatever section they are in."""
    (tmp_path / "limits.txt").write_text("pocket==2.0")
    (tmp_path / "pip.conf").write_text(f"[{section}]\n{setting.format(tmp_path / 'limits.txt')}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    lock = write(tmp_path, package("pocket", "1.0", entry(wheel(wheels, "pocket"))))
    options: InstallOptions = {"lock": lock}
    if find:
        options |= {"find_links": [wheels], "no_index": True}
    with VenvRunner.temporary(with_pip=False) as venv:
        assert venv.install(**options).added == {"pocket": "1.0"}


GROUPS = """extras = ["fast"]
dependency-groups = ["default", "dev"]
default-groups = ["default"]
"""


@pytest.mark.parametrize("venv", INSTALLERS, indirect=True)
def test_extras_and_groups_are_chosen(venv: VenvRunner, wheels: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By default what the file says; and if that is nothing of much, a warning says what there is."""
    lock = write(
        tmp_path,
        package("pocket", "1.0", entry(wheel(wheels, "pocket")), more="marker = \"'fast' in extras\""),
        package("needy", "1.0", entry(wheel(wheels, "needy")), more="marker = \"'dev' in dependency_groups\""),
        more=GROUPS,
    )
    assert venv.install(lock=lock).added == {}
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "Select from its 2 packages with lock_groups=['default', 'dev'] or lock_extras=['fast']" in warning
    caplog.clear()
    assert venv.install(lock=lock, lock_groups=[]).added == {}
    assert "WARNING" not in caplog.text
    assert venv.install(lock=lock, lock_groups=["Dev"]).added == {"needy": "1.0"}
    assert venv.install(lock=lock, lock_extras=("FAST",)).added == {"pocket": "1.0"}
    with pytest.raises(LockFileError, match=r"'slow' is not in it: its extras are 'fast'. Use one of these in lock_extras="):
        venv.install(lock=lock, lock_extras=["slow"])
    with pytest.raises(LockFileError, match="'docs' is not in it: its dependency groups are 'default', 'dev'"):
        venv.install(lock=lock, lock_groups=["docs"])
    with pytest.raises(InvalidRequirementError, match="Pass it as lock="):
        venv.install("needy", lock_groups=["dev"])
    with pytest.raises(TypeError, match="lock_groups must be a list"):
        venv.install(lock=lock, lock_groups="dev")


@pytest.mark.parametrize("find", [False, True])
@pytest.mark.parametrize(
    ("venv", "variable", "text"),
    [
        ("pip", "PIP_CONSTRAINT", "pocket==2.0"),
        ("pip", "PIP_NO_BINARY", ""),
        ("pip", "PIP_ONLY_BINARY", ""),
        ("uv", "UV_CONSTRAINT", "pocket==2.0"),
        ("uv", "UV_OVERRIDE", "pocket==2.0"),
        ("uv", "UV_EXCLUDE", "pocket"),
        ("uv", "UV_NO_BINARY", ""),
    ],
    indirect=["venv"],
)
def test_limits_of_the_user_do_not_reach_a_lock(
    variable: str, text: str, venv: VenvRunner, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, find: bool
) -> None:
    """Variables that change what is installed, wherever the files come from."""
    limits = tmp_path / "limits.txt"
    limits.write_text(text)
    value = str(limits) if text else ":all:" if variable.startswith("PIP") else "1"
    monkeypatch.setenv(variable, value)
    lock = write(tmp_path, package("pocket", "1.0", entry(wheel(wheels, "pocket"))))
    options: InstallOptions = {"lock": lock, "extra_env": {variable: value} if find else {}}
    if find:
        options |= {"find_links": [wheels], "no_index": True}
    assert venv.install(**options).added == {"pocket": "1.0"}


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
    with pytest.raises(InvalidRequirementError, match="exactly what the lock file lists"):
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
    command += ["--python", venv.python_executable]  # else the file is for the newest Python of this machine
    subprocess_util.log_run(command, cwd=tmp_path, extra_env=ONLINE)
    assert venv.install(lock=lock, extra_env=ONLINE).added.keys() == {"pytest", "iniconfig", "packaging", "pluggy", "pygments"}
    assert venv.log_run(["pytest", "--version"], cwd=tmp_path).stdout == "pytest 8.4.2\n"


@pytest.mark.parametrize("url", [False, True])
def test_an_archive_of_no_index_is_installed_with_its_origin(
    venv: VenvRunner, wheels: Path, tmp_path: Path, *, url: bool
) -> None:
    """As a direct reference (PEP 610); also a local file with a URL, as pip writes it, though uv itself reads only a path."""
    text = entry(wheel(wheels, "needy"), url=url)
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


def project(path: str, more: str = "", *, tool: str = "hand") -> str:
    """Return a lock file with a directory."""
    text = HEAD.replace('"test"', json.dumps(tool))
    return f'{text}[[packages]]\nname = "mine"\ndirectory = {{path = "{path}{more}"}}\n'


def commit(commit_id: str, *, url: str = "https://x.example/x.git", type: str = "git", tool: str = "hand") -> str:  # noqa: A002  the file's word
    """Return a lock file with a commit of a repository."""
    text = HEAD.replace('"test"', json.dumps(tool))
    return f'{text}[[packages]]\nname = "mine"\nvcs = {{type = "{type}", url = "{url}", commit-id = "{commit_id}"}}\n'


WRONG = {
    "empty": ("", "lock-version"),
    "not TOML": ("lock-version = ", "(?i)invalid"),
    "not UTF-8": ("\udcff", "utf-8"),
    "a later version": (HEAD.replace("1.0", "2.0") + "packages = []", r"2\.0.*Write it with"),
    "no hash": (one(GOOD.replace(f'sha256 = "{DIGEST}"', "")), "hash"),
    "a weak hash": (one(GOOD.replace(f'sha256 = "{DIGEST}"', f'md5 = "{DIGEST[:32]}"')), "without a valid hash of sha256"),
    "a short hash": (one(GOOD.replace("aa", "a")), "valid hash"),
    "no hexadecimal hash": (one(GOOD.replace("aa", "xx")), "valid hash"),
    "a line in a hash": (one(GOOD.replace('sha256 = "', 'sha256 = "\\n--pre ')), "valid hash"),
    "no such file": (one(GOOD.replace("needy-", "x/needy-")), "which does not exist"),
    "NUL in a path": (one(GOOD.replace("needy-", "\\u0000")), "(?i)wheel"),
    "another scheme": (at("ftp://x.example/needy-1.0-py3-none-any.whl"), "is not the URL of a file"),
    "an option": (at("--pre"), "is not the URL of a file"),
    "a blank in a URL": (at("https://x.example/ /needy-1.0-py3-none-any.whl"), "is not the URL of a file"),
    "a line in a URL": (at("https://x.example/\\n--pre/needy-1.0-py3-none-any.whl"), "is not the URL of a file"),
    "a password": (at("ftp://me:hunter2@x.example/needy-1.0-py3-none-any.whl"), r"\*\*\*\*@x\.example"),
    "a raw password": (at("https://me:p/w@x.example/needy-1.0-py3-none-any.whl"), "Write these as %2F"),
    "another name": (at("https://x.example/42"), "does not end with its name"),
    "no file that fits": (
        at("https://x.example/x", "needy-1.0-cp27-cp27m-win32.whl"),
        "wheels only for cp27-cp27m-win32; this environment takes cp",
    ),
    "no name of a wheel": (at("https://x.example/x", "needy.txt"), "needy.txt"),
    "another Python": (
        HEAD + 'requires-python = "<3"\npackages = []',
        r"for Python <3, but this environment has Python 3.*python='<3'",
    ),
    "another platform": (
        HEAD + "environments = [\"sys_platform == 'none'\"]\npackages = []",
        "it is for sys_platform == .none.; ",
    ),
    "another Python for a package": (
        HEAD + package("needy", "1.0", GOOD, more='requires-python = "<3"'),
        "its package 'needy' is for Python <3, but this environment has Python 3",
    ),
    "twice": (HEAD + package("needy", "1.0", GOOD) * 2, "Multiple packages"),
    "a directory outside": (
        project("..", tool="uv"),
        "outside.*lock_projects=False, or lock without it: uv export --no-emit-project",
    ),
    "a directory outside, absolute": (project("/"), "outside the lock file's own directory"),
    "a directory that is not there": (project("none", tool="pip"), "which does not exist.*pip lock -r"),
    "a control character in a directory": (project("\\n--pre"), "is not a plain path"),
    "a directory's subdirectory outside": (project(".", '", subdirectory = "..'), "subdirectory"),
    "a branch": (commit("main"), "'main', which is not the full id of a commit"),
    "a short commit": (commit("0123456", tool="uv"), "'0123456', which is not the full id.*uv export --no-emit-package mine"),
    "a Subversion revision": (commit("1" * 40, type="svn"), "type 'svn', whose commit ids are not hashes"),
    "an option in a repository": (commit("1" * 40, url="git://--upload-pack=x/y"), "could become an option"),
    "a local name of a repository": (commit("1" * 40, url="git@x.example:y/z"), "is not the URL of a repository"),
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


KINDS = {
    "requirements.txt": (
        "# what we need\nrequests[socks]>=2 \\\n    --hash=sha256:aa\n",
        r"requirements_files=\['.*requirements.txt'\]",
    ),
    "requirements.in": ("", "requirements_files="),
    "needs": ("-r other.txt\n", "requirements_files="),
    "needs.lock": ("pip @ https://x.example/pip.whl ; python_version > '3'\n", "requirements_files="),
    "uv.lock": ('version = 1\n[[package]]\nname = "x"\n', "uv export --format pylock.toml"),
    "mine.toml": ('version = 1\n[[package]]\nname = "x"\n', "uv's own lock file.*uv export"),
    "poetry.lock": ('[[package]]\nname = "x"\n[metadata]\nlock-version = "2.1"\n', "poetry export --format pylock.toml"),
    "my-poetry.toml": ('[[package]]\nname = "x"\n[metadata]\nlock-version = "2.1"\n', "poetry's own lock file"),
    "pdm.lock": ('[metadata]\nlock_version = "4.5.0"\n', "pdm export --format pylock"),
    "my-pdm.toml": ('[metadata]\nlock_version = "4.5.0"\n[[package]]\nname = "x"\n', "pdm's own lock file"),
    "Pipfile.lock": ("{}", "pipenv requirements --hash"),
    "pyproject.toml": ('[project]\nname = "x"\n', "describes a project.*pip lock ."),
    "my-project.toml": ('[project]\nname = "x"\n', "describes a project"),
    "pylock.toml": ("<html>\n", "Invalid"),
}


@pytest.mark.parametrize(("name", "text", "why"), [(name, *rest) for name, rest in KINDS.items()], ids=KINDS)
def test_a_file_of_another_kind_is_named_by_its_kind(name: str, text: str, why: str, tmp_path: Path) -> None:
    """And with what to do with it."""
    (tmp_path / name).write_text(text)
    with pytest.raises(LockFileError, match=why):
        VenvRunner("venv", tmp_path, lock=tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_directory_is_not_a_lock_file(tmp_path: Path) -> None:
    """It says so."""
    with pytest.raises(LockFileError, match=r"(?i)is a directory"):
        VenvRunner("venv", tmp_path, lock=tmp_path)


def test_tags_of_wheels_that_do_not_fit_are_shown(tmp_path: Path) -> None:
    """Those of this Python first, and not all of a hundred."""
    described = ".".join(map(str, sys.version_info[:2])).replace(".", "")
    names = [f"needy-1.0-cp{number}-cp{number}-win32.whl" for number in (27, *range(310, 330))]
    names.append(f"needy-1.0-cp{described}-cp{described}-odd_1_0.whl")
    files = (f'{{name = "{name}", url = "https://x.example/{name}", hashes = {{sha256 = "{DIGEST}"}}}}' for name in names)
    lock = write(tmp_path, package("needy", "1.0", *files))
    why = f"wheels only for cp{described}-cp{described}-odd_1_0, .* and 14 more; this environment takes cp{described}"
    with VenvRunner.temporary(with_pip=False) as venv, pytest.raises(LockFileError, match=why):
        venv.install(lock=lock)


def test_reuse_sees_other_choices_and_a_changed_project(wheels: Path, tmp_path: Path) -> None:
    """An editable project is never stale, unless its metadata have changed."""
    project = built_project(tmp_path / "part")
    listed = package("needy", "1.0", entry(wheel(wheels, "needy")), more="marker = \"'dev' in dependency_groups\"")
    mine = '[[packages]]\nname = "built"\ndirectory = {path = "part", editable = true}\n'
    lock = write(tmp_path, mine, listed, more='dependency-groups = ["dev"]')

    def again(**choice: Any) -> tuple[dict[str, str], bool]:
        with VenvRunner("venv", tmp_path, installer="uv", with_pip=False, lock=lock, exist="reuse", **choice) as venv:
            mark = Path(venv.venv_dir, "mine")
            was_there = mark.exists()
            mark.touch()
            return venv.installed(), was_there

    assert again() == ({"built": "1.0"}, False)
    (project / "new.py").touch()
    assert again() == ({"built": "1.0"}, True)
    assert again(lock_groups=["dev"]) == ({"built": "1.0", "needy": "1.0"}, False)
    assert again(lock_groups=["dev"], lock_projects=False) == ({"needy": "1.0"}, False)
    assert again() == ({"built": "1.0"}, False)
    (project / "pyproject.toml").write_text(BUILT["pyproject.toml"] + "\n[tool.mine]\n")
    assert again() == ({"built": "1.0"}, False)


def test_a_lock_file_is_installed_by_itself(venv: VenvRunner, wheels: Path, tmp_path: Path) -> None:
    """With other requirements, what is installed would not be what is locked; and by another name it is no lock file."""
    lock = write(tmp_path, "packages = []")
    with pytest.raises(InvalidRequirementError, match="Use lock="):
        venv.install(requirements_files=[lock])
    with pytest.raises(InvalidRequirementError, match="Use lock="):
        venv.install("needy", constraints=[lock])
    with pytest.raises(InvalidRequirementError, match="exactly what the lock file lists"):
        venv.install("needy", lock=lock)
    with pytest.raises(InvalidRequirementError, match="exactly what the lock file lists"):
        venv.install(editable=[str(tmp_path)], lock=lock)
    with pytest.raises(LockFileError, match=r"it does not exist\. Write it"):
        venv.install(lock=tmp_path / "missing.toml")
