"""What makes two environments equal: each ingredient of a key by itself, and what is none."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.index_server import dated_index
from helpers.stores import builds, environments, make_project, store, take
from helpers.system import find_tool
from helpers.wheels import make_wheel
from venvrunner import VenvRunner
from venvrunner._store import keys, maintenance
from venvrunner.installing import InstallerName

__all__ = ["store"]

CHANGES: list[dict[str, Any]] = [
    {"with_pip": True},
    {"prompt": "mine"},
    {"installer": "pip"},
    {"requirements": ["needy", "pocket", "wires"]},
    {"requirements": ["needy[more]", "pocket"]},
    {"requirements": ["needy", "pocket==1.0"]},
]


@pytest.mark.parametrize("change", CHANGES, ids="-".join)
def test_each_argument_is_an_ingredient(store: Path, change: dict[str, Any]) -> None:
    """Another value means another entry, unless other requirements resolve to the same files."""
    options: dict[str, Any] = {"requirements": ["needy", "pocket"], "installer": "uv", "with_pip": False}
    for chosen in (options, options | change):
        with VenvRunner.temporary(cached=True, **chosen):
            pass
    same_files = {"needy[more]", "pocket==1.0"} & set(change.get("requirements", ()))
    assert len(environments(store)) == (1 if same_files else 2)
    assert len(list(store.glob("locks/*"))) == 2


def test_the_order_of_requirements_is_none(store: Path) -> None:
    """One resolution and one entry serve all orders."""
    take("needy", "wires")
    take("wires", "needy")
    assert len(environments(store)) == len(list(store.glob("locks/*"))) == 1


LOCK = """lock-version = "1.0"
created-by = "hand"
extras = ["more", "other"]
dependency-groups = ["test"]

[[packages]]
name = "pocket"
version = "1.0"
wheels = [{{ path = {wheel!r}, hashes = {{ sha256 = "{digest}" }} }}]

[[packages]]
name = "wires"
version = "1.0"
marker = "'more' in extras or 'test' in dependency_groups"
wheels = [{{ path = {other!r}, hashes = {{ sha256 = "{other_digest}" }} }}]
"""


def test_the_choice_from_a_lock_file_is_an_ingredient(store: Path, tmp_path: Path) -> None:
    """Each choice of extras and groups has its entry, whatever their order; the path of the file does not matter."""
    wheels = [tmp_path / "wheelhouse" / f"{name}-1.0-py3-none-any.whl" for name in ("pocket", "wires")]
    (pocket, wires), (first, second) = map(str, wheels), (keys.hash_of_file(str(wheel)) for wheel in wheels)
    text = LOCK.format(wheel=pocket, digest=first, other=wires, other_digest=second)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "pylock.toml"
        path.write_text(text)
        assert take(requirements=(), lock=path) == ["pocket"]
        assert take(requirements=(), lock=path, lock_extras=["more", "other"]) == ["pocket", "wires"]
        assert take(requirements=(), lock=path, lock_extras=["other", "more"]) == ["pocket", "wires"]
        assert take(requirements=(), lock=path, lock_groups=["test"]) == ["pocket", "wires"]
    assert len(environments(store)) == 3


def settings(cwd: object = os.sep, /, **variables: str) -> str:
    return keys.settings("uv", {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1", **variables}, str(cwd))


@pytest.mark.parametrize(
    "name",
    [
        *("PIP_INDEX_URL", "PIP_CONSTRAINT", "PIP_FIND_LINKS", "PIP_PRE", "PIP_NO_BINARY", "UV_INDEX_URL", "UV_EXCLUDE_NEWER"),
        *("UV_DEFAULT_INDEX", "SETUPTOOLS_SCM_PRETEND_VERSION", "CFLAGS", "CC"),
    ],
)
def test_each_variable_that_decides_is_an_ingredient(name: str) -> None:
    """Of the installers, of build back ends and of compilers."""
    assert len({settings(), settings(**{name: "a"}), settings(**{name: "b"})}) == 3


@pytest.mark.parametrize(
    "name", ["PIP_CACHE_DIR", "PIP_TIMEOUT", "PIP_NO_COLOR", "UV_CACHE_DIR", "UV_HTTP_TIMEOUT", "UV_LINK_MODE", "LANG", "PATH"]
)
def test_variables_that_decide_nothing_are_none(name: str) -> None:
    """Caches, time limits, and the looks of the output."""
    assert settings() == settings(**{name: "a"})


def test_a_password_is_none() -> None:
    """Tokens change with every job of a CI service; the host and the path are ingredients."""
    found = {settings(PIP_INDEX_URL=f"https://me:{password}@host/simple") for password in ("hunter2", "hunter3")}
    assert len(found) == 1
    assert settings(PIP_INDEX_URL="https://me:hunter2@other/simple") not in found


@pytest.mark.parametrize("form", ["{path}", "file://{path}", "constraints.txt", "/nowhere {path}", "outer.txt"])
def test_a_constraints_file_is_known_by_its_contents(form: str, tmp_path: Path) -> None:
    """However the variable names it: with an absolute or a relative path, as a URL, among others, or in another such file."""
    path = tmp_path / "constraints.txt"
    (tmp_path / "outer.txt").write_text("-c constraints.txt\n")
    found = set()
    for text in ("pocket<2", "pocket<3"):
        path.write_text(text)
        found.add(settings(tmp_path, PIP_CONSTRAINT=form.format(path=path)))
        found.add(settings(tmp_path, PIP_CONSTRAINT=form.format(path=path)))
    assert len(found) == 2


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_a_configuration_file_is_known_by_its_contents(installer: str, tmp_path: Path) -> None:
    """And so are the files that it names; the text of a password in it is no ingredient."""
    path = tmp_path / ("pip.conf" if installer == "pip" else "uv.toml")
    variable = "PIP_CONFIG_FILE" if installer == "pip" else "UV_CONFIG_FILE"
    (tmp_path / "limits.txt").write_text("pocket<2")

    def found(text: str) -> str:
        path.write_text(text)
        return keys.settings(installer, {"PIP_CONFIG_FILE": os.devnull, variable: str(path)}, str(tmp_path))

    url = "[global]\nindex-url = {}\n" if installer == "pip" else "index-url = '{}'\n"
    one, other = found(url.format("https://me:one@host/")), found(url.format("https://me:two@host/"))
    assert one == other != found(url.format("https://me:one@other/"))
    names = "[install]\nconstraint = limits.txt\n" if installer == "pip" else "[pip]\nconstraint = 'limits.txt'\n"
    before = found(names)
    (tmp_path / "limits.txt").write_text("pocket<3")
    assert found(names) != before


def test_a_project_directory_may_have_the_settings_of_uv(tmp_path: Path) -> None:
    """Those of the working directory count for uv only."""
    variables = {"PIP_CONFIG_FILE": os.devnull, "HOME": str(tmp_path)}
    found = []
    for text in ("[pip]\npre = true\n", "[pip]\npre = false\n"):
        (tmp_path / "uv.toml").write_text(text)
        found.append([keys.settings(installer, variables, str(tmp_path)) for installer in ("pip", "uv")])
    assert found[0][0] == found[1][0]
    assert found[0][1] != found[1][1]


def test_settings_are_ingredients_of_entries(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is taken from an entry of other settings, not even what is locked."""
    (tmp_path / "locks").mkdir()  # no wheel is below it: the paths of those would be relative
    lock = tmp_path / "locks" / "pylock.toml"
    with VenvRunner.temporary(installer="uv") as maker:
        maker.lock(lock, "pocket")
    for value in ("1", "2"):
        monkeypatch.setenv("CFLAGS", value)
        take("pocket")
        take(requirements=(), lock=lock)
    assert len(environments(store)) == 2  # the lock file has the text that the requirement resolves to


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_a_local_wheel_is_known_by_its_contents(store: Path, tmp_path: Path, installer: InstallerName) -> None:
    """An equal one elsewhere is the same; another one at the same path is not."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(tmp_path / "wheelhouse" / "pocket-1.0-py3-none-any.whl", tmp_path / folder)
        take(tmp_path / folder / "pocket-1.0-py3-none-any.whl", installer=installer)
    assert len(environments(store)) == 1
    make_wheel(tmp_path / "a", "pocket", modules={"pocket.py": "VERSION = 'other'\n"})
    wheel = tmp_path / "a" / "pocket-1.0-py3-none-any.whl"
    with VenvRunner.temporary(requirements=[wheel], installer=installer, with_pip=False, cached=True) as venv:
        assert venv.log_run(["python", "-c", "import pocket; print(pocket.VERSION)"]).stdout == "other\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a package, a link and a file that can be executed."""
    folder = make_project(tmp_path / "project")
    (folder / "package").mkdir()
    (folder / "package" / "data.txt").write_text("data")
    (folder / "link").symlink_to("mine.py")
    (folder / "run.sh").write_text("")
    return folder


def edit(project: Path) -> None:
    path = project / "mine.py"
    times = path.stat()
    path.write_text(path.read_text().replace("1", "2"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def rename_with_data(project: Path) -> None:
    (project / "package").rename(project / "packagf")


def link_outside(project: Path) -> None:
    (project.parent / "shared.txt").write_text("1")
    (project / "outside").symlink_to("../shared.txt")


def add_file(project: Path) -> None:
    (project / "new.py").touch()


def add_hidden_file(project: Path) -> None:
    (project / ".hidden").touch()


def remove_file(project: Path) -> None:
    (project / "package" / "data.txt").unlink()


def change_mode(project: Path) -> None:
    (project / "run.sh").chmod(0o755)


def change_target(project: Path) -> None:
    (project / "link").unlink()
    (project / "link").symlink_to("run.sh")


def add_package_called_build(project: Path) -> None:
    (project / "build").mkdir()
    (project / "build" / "__init__.py").touch()


def add_build_in_a_package(project: Path) -> None:
    (project / "package" / "build").mkdir()
    (project / "package" / "build" / "x.py").touch()


CONTENTS = [edit, rename_with_data, link_outside, add_file, add_hidden_file, remove_file, change_mode, change_target]
CONTENTS += [add_package_called_build, add_build_in_a_package]


@pytest.mark.parametrize("change", CONTENTS)
def test_a_change_of_contents_is_another_project(project: Path, change: Callable[[Path], None]) -> None:
    """Bytes without a new time, names, modes, the targets of links, and a package that is called build."""
    before = keys.content(str(project))
    change(project)
    assert keys.content(str(project)) != before


def test_what_a_link_leads_to_is_content(project: Path) -> None:
    """Outside of the project too, where a circle ends."""
    link_outside(project)
    (project.parent / "tree").mkdir()
    (project.parent / "tree" / "back").symlink_to("..")
    (project / "tree").symlink_to("../tree")
    before = keys.content(str(project))
    (project.parent / "shared.txt").write_text("2")
    assert keys.content(str(project)) != before


def test_a_link_to_a_directory_around_the_project_is_not_followed(project: Path) -> None:
    """It could be the whole disk."""
    (project / "root").symlink_to(os.sep)
    (project / "up").symlink_to("..")
    before = keys.content(str(project))
    (project.parent / "elsewhere.txt").touch()
    assert keys.content(str(project)) == before


def test_names_and_targets_do_not_run_together(tmp_path: Path) -> None:
    """Two trees that differ are told apart wherever their names are split."""
    for folder, target, name in (("a", "x", "yz"), ("b", "xy", "z")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "link").symlink_to(target)
        (tmp_path / folder / f"m{name}").touch()
        (tmp_path / folder / "setup.py").touch()
    assert keys.content(str(tmp_path / "a")) != keys.content(str(tmp_path / "b"))


@pytest.mark.parametrize(
    "path",
    [
        *("__pycache__/a.pyc", "package/__pycache__/a.pyc", "mine.egg-info/PKG-INFO", "build/lib/mine.py", "dist/mine.whl"),
        *(
            ".git/HEAD",
            ".venv/pyvenv.cfg",
            "env/pyvenv.cfg",
            "sub/env/pyvenv.cfg",
            ".tox/x",
            ".pytest_cache/x",
            "package/.x.swp",
        ),
        *("htmlcov/index.html", "coverage.xml", "coverage.json", "coverage.lcov"),
    ],
)
def test_what_is_left_behind_is_none(project: Path, path: str) -> None:
    """By builds, tests, editors and version control, at any depth, and environments of any name."""
    before = keys.content(str(project))
    (project / path).parent.mkdir(parents=True, exist_ok=True)
    (project / path).write_text("anything")
    assert keys.content(str(project)) == before


def test_data_of_a_package_with_the_name_of_a_report_is_content(project: Path) -> None:
    """Only the top of a project has reports."""
    before = keys.content(str(project))
    (project / "package").mkdir(exist_ok=True)
    (project / "package" / "coverage.json").touch()
    assert keys.content(str(project)) != before


def test_neither_path_nor_time_is_content(project: Path) -> None:
    """So a fresh checkout elsewhere needs no build."""
    before = keys.content(str(project))
    shutil.copytree(project, project.parent / "copy", symlinks=True, copy_function=shutil.copyfile)
    (project.parent / "copy" / "run.sh").chmod(0o644)
    assert keys.content(str(project.parent / "copy")) == before
    os.mkfifo(project / "pipe")
    assert keys.content(str(project)) == before


def git(folder: Path, *args: str) -> None:
    tool = find_tool("git")
    if tool is None:
        pytest.skip("git is missing")
    names = ["-c", "user.name=me", "-c", "user.email=me@localhost", "-c", "init.defaultBranch=main"]
    subprocess.run([tool, *names, *args], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize("is_worktree", [False, True])
def test_a_new_tag_is_content_if_the_version_comes_from_it(project: Path, is_worktree: bool) -> None:
    """And only then; in the work tree of another repository too, and whether Git keeps tags in files or packs them."""
    git(project, "init")
    git(project, "add", ".")
    git(project, "commit", "-m", "one")
    place = project
    if is_worktree:
        place = project.parent / "other"
        git(project, "worktree", "add", str(place))
    text = (place / "pyproject.toml").read_text()
    found = set()
    for number in (1, 2, 3):
        git(place, "tag", f"v{number}")
        found.add(keys.content(str(place)))
    assert len(found) == 1
    named = text.replace('version = "1.0"\n', "").replace("dependencies", "version")
    for written in (f"{text}[tool.setuptools_scm]\n", f'{named}[tool.x]\nurl = "https://git.example"\n'):
        (place / "pyproject.toml").write_text(written)
        found = set()
        for number in (1, 2):
            git(place, "tag", "--force", f"w{number}{len(written)}")
            found.add(keys.content(str(place)))
        assert len(found) == 2
    before = keys.content(str(place))
    (place / "pyproject.toml").write_text(f'{text}[project.urls]\nHome = "https://github.com/me/mine"\n')
    after = keys.content(str(place))
    git(place, "tag", "v9")
    assert keys.content(str(place)) == after != before


@pytest.mark.parametrize("name", ["setup.py", "setup.cfg"])
def test_a_version_from_the_history_may_be_set_beside_the_project_file(project: Path, name: str) -> None:
    """A ``pyproject.toml`` may have the settings of tools only."""
    (project / "pyproject.toml").write_text("[tool.ruff]\n")
    git(project, "init")
    git(project, "add", ".")
    git(project, "commit", "-m", "one")
    git(project, "tag", "v0")
    before = keys.content(str(project))
    git(project, "tag", "v1")
    assert keys.content(str(project)) == before
    (project / name).write_text("import versioneer\n")
    before = keys.content(str(project))
    git(project, "tag", "v2")
    assert keys.content(str(project)) != before


@pytest.mark.parametrize("start", [b"", b"dirstate-v2\n"])
def test_a_commit_of_mercurial_is_content_if_the_version_comes_from_it(project: Path, start: bytes) -> None:
    """The times of files, which Mercurial keeps in the same file, are not."""
    with (project / "pyproject.toml").open("a") as file:
        file.write("[tool.setuptools_scm]\n")
    (project / ".hg").mkdir()
    found = []
    for commit, times in ((b"1", b"1"), (b"1", b"2"), (b"2", b"2")):
        (project / ".hg" / "dirstate").write_bytes(start + commit * 64 + times * 9 if start else commit * 40 + times * 9)
        found.append(keys.content(str(project)))
    (project / ".hg" / "localtags").write_text("1 v1\n")
    found.append(keys.content(str(project)))
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_no_repository_is_no_content(project: Path) -> None:
    """The version may come from a repository that is not there, as in an unpacked archive."""
    before = keys.content(str(project))
    with (project / "pyproject.toml").open("a") as file:
        file.write("[tool.setuptools_scm]\n")
    assert keys.content(str(project)) != before


def test_a_project_that_a_build_writes_into_is_built_until_it_is_stable(store: Path, project: Path, tmp_path: Path) -> None:
    """A back end may write the version into a module; the wheel is kept for the contents that it was built from."""
    back_end = project / "backend.py"
    back_end.write_text(
        back_end.read_text().replace("import zipfile\n", "import zipfile\nopen('_version.py', 'w').write('1')\n")
    )
    for _ in range(2):
        assert take(project) == ["mine", "pocket"]
    assert builds(tmp_path) == 2
    back_end.write_text(back_end.read_text().replace("write('1')", "write(str(__import__('time').time_ns()))"))
    assert take(project) == ["mine", "pocket"]
    assert builds(tmp_path) == 2 + 3 + 1


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_no_credentials_are_in_the_store(
    store: Path, tmp_path: Path, installer: InstallerName, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither those of an index nor those of a requirement; without them the entry is used, and can be prepared again."""
    with dated_index(tmp_path / "wheelhouse") as url:
        login = url.replace("http://", "http://me:hunter2@")
        for name in ("NO_INDEX", "FIND_LINKS", "OFFLINE"):
            for prefix in ("PIP", "UV"):
                monkeypatch.delenv(f"{prefix}_{name}", raising=False)
        monkeypatch.setenv("PIP_INDEX_URL", f"{login}/simple/")
        monkeypatch.setenv("UV_INDEX_URL", f"{login}/simple/")
        monkeypatch.setenv("UV_NO_CACHE", "1")
        requirement = f"pocket @ {login}/pocket-1.0-py3-none-any.whl"
        for _ in range(2):
            assert take(requirement, "needy", installer=installer) == ["needy", "pocket"]
            assert len(environments(store)) == 1
            for path in store.rglob("*"):
                assert "hunter2" not in path.name
                if path.is_file() and not path.is_symlink():
                    assert b"hunter2" not in path.read_bytes(), path
            take(requirement, "needy", installer=installer)
            assert maintenance.prune(str(store), 0)[0] == 1
