"""What is installed: the same that `pip list` shows, and what receipts say the same that `pip freeze` does."""

import json
import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from helpers.environments import listed, packages, run
from helpers.wheels import make_wheel
from venvrunner import CreationError, VenvError, VenvRunner
from venvrunner._venv.packages import search_path
from venvrunner.installing import InstallerName

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="the layout is that of POSIX")]


def put_info(folder: Path, directory: str, name: str | None = None, version: str = "1.0", file: str = "METADATA") -> None:
    """Put metadata into a directory of packages; without a name, an empty directory."""
    (folder / directory).mkdir(parents=True)
    if name is not None:
        (folder / directory / file).write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: wrong\n")


def _dist_info_without_metadata(site: Path, top: Path) -> None:
    put_info(site, "bare-1.0.dist-info")


def _two_of_one_project(site: Path, top: Path) -> None:
    for version in ("1.0", "2.0", "1.5"):
        put_info(site, f"twice-{version}.dist-info", "twice", version)
    put_info(site, "Twice-3.0.dist-info", "Twice", "3.0")


def _interrupted(site: Path, top: Path) -> None:
    put_info(site, "~lf-1.0.dist-info", "elf")
    put_info(site, "-lf-1.0.dist-info", "elf")


def _versions(site: Path, top: Path) -> None:
    for number, version in enumerate(["01.0", "1.0-alpha.1", "v2", "1.0.post", "1!2.0", "1.0+Local-1", "1.0.DEV3"]):
        put_info(site, f"odd{number}-{version.replace('-', '_')}.dist-info", f"odd{number}", version)
        put_info(site, f"egg{number}.egg-info", f"egg{number}", version, "PKG-INFO")


def _egg_infos(site: Path, top: Path) -> None:
    put_info(site, "Old.Thing-0.1-py3.11.egg-info", "Old.Thing", "0.1", "PKG-INFO")
    (site / "older-0.1.egg-info").write_text("Metadata-Version: 1.0\nName: older\nVersion: 0.1\n")


def _eggs(site: Path, top: Path) -> None:
    put_info(site / "tree-1.0-py3.11.egg", "EGG-INFO", "tree", "1.0", "PKG-INFO")
    with zipfile.ZipFile(site / "zipped-1.0-py3.11.egg", "w") as file:
        file.writestr("EGG-INFO/PKG-INFO", "Metadata-Version: 1.0\nName: zipped\nVersion: 1.0\n")
    put_info(site / "unlisted-1.0-py3.11.egg", "EGG-INFO", "unlisted", "1.0", "PKG-INFO")
    (site / "easy-install.pth").write_text("./tree-1.0-py3.11.egg\nzipped-1.0-py3.11.egg\n")


def _egg_link(site: Path, top: Path) -> None:
    put_info(top / "project" / "src", "linked.egg-info", "linked", "3.0", "PKG-INFO")
    (site / "linked.egg-link").write_text(f"{top}/project/src\n../")


def _pth(site: Path, top: Path) -> None:
    put_info(site / "beside", "relative-1.0.dist-info", "relative")
    put_info(top / "élsewhere", "absolute-1.0.dist-info", "absolute")
    put_info(top / "hidden", "hidden-1.0.dist-info", "hidden")
    put_info(site, "first-1.0.dist-info", "first")
    put_info(site / "beside", "first-2.0.dist-info", "first", "2.0")
    (site / "some.pth").write_text(f"# {top}/hidden\n\nimport os\nbeside\n/missing\n{top}/élsewhere\n", encoding="utf-8")


def _disagreements(site: Path, top: Path) -> None:
    put_info(site, "directory-1.0.dist-info", "in_the.metadata", "2.0")
    put_info(site, "no_version.dist-info", "has_version", "3.0")
    put_info(site, "nonsense-x.y.dist-info", "nonsense", "4.0")
    put_info(site, "empty-.dist-info", "other", "5.0")
    put_info(site, "-6.0.dist-info", "unnamed", "5.0")
    put_info(site, "old-1.0.egg-info", "new", "7.0", "PKG-INFO")
    put_info(site, "upper-1.0.DIST-INFO", "lower", "8.0")
    texts = {
        "nameless": "Version: 1.0\n",
        "later": "Metadata-Version: 2.1\n\nName: no-header\n",
        "broken": "no header\nName: no-header\n",
        "marked": "\ufeffName: no-header\nVersion: 1.0\n",
        "windows": "nAME: of-windows\r\nVersion: 1.0\r\n",
        "second": "Name: the-first\nName: the-second\n",
        "folded": "Summary: of\n Name: no-header\nName: after-it\n",
    }
    for name, text in texts.items():
        put_info(site, f"{name}-1.0.dist-info")
        (site / f"{name}-1.0.dist-info" / "METADATA").write_bytes(text.encode())


ODDITIES: list[Callable[[Path, Path], None]] = [
    _dist_info_without_metadata,
    _two_of_one_project,
    _interrupted,
    _versions,
    _egg_infos,
    _eggs,
    _egg_link,
    _pth,
    _disagreements,
]


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> VenvRunner:
    """An environment with one of each."""
    venv = VenvRunner("parent", tmp_path_factory.mktemp("odd"))
    for oddity in ODDITIES:
        oddity(packages(venv), Path(venv.top_dir))
    return venv


def as_pip_lists(venv: VenvRunner) -> dict[str, str]:
    """Return what pip lists, without its warnings."""
    result = venv.log_run(["python", "-m", "pip", "list", "--format=json"])
    found = {entry["name"]: entry["version"] for entry in json.loads(result.stdout)}
    return {name.lower().replace(".", "-").replace("_", "-"): version for name, version in sorted(found.items())}


def test_whatever_form_a_package_has_it_is_listed_as_pip_does(parent: VenvRunner) -> None:
    """Old and new metadata, eggs, links, other directories, leftovers, duplicates, and versions of any spelling."""
    found = parent.installed()
    assert found == as_pip_lists(parent)
    assert found.items() >= {"old-thing": "0.1", "tree": "1.0", "zipped": "1.0", "linked": "3.0", "absolute": "1.0"}.items()
    assert found.items() >= {"odd0": "1.0", "odd1": "1.0a1", "egg6": "1.0.dev3", "first": "1.0", "bare": "1.0"}.items()
    assert found.items() >= {"in-the-metadata": "1.0", "nonsense": "4.0", "unnamed": "6.0", "nameless": "1.0"}.items()


def test_of_two_with_one_name_the_one_named_like_its_directory_is_listed() -> None:
    """As it is the one that pip would remove; a name that is none is not listed."""
    with VenvRunner.temporary(with_pip=False) as venv:
        for name in ("aaa", "mine", "zzz"):
            put_info(packages(venv), f"{name}-{len(name)}.0.dist-info", "mine")
        put_info(packages(venv), "good-1.0.dist-info", "~no name")
        assert venv.installed() == {"good": "1.0", "mine": "4.0"}


HIDDEN = {
    "the name begins with a dot": (".dot.pth", b"added\n"),
    "a byte order mark": ("mark.pth", b"\xef\xbb\xbfadded\n"),
    "a byte order mark before a comment": ("comment.pth", b"\xef\xbb\xbf# added\nadded\n"),
    "lines of Windows": ("lines.pth", b"\r\n\radded\r"),
    "lines of Unicode": ("lines.pth", "missing\u2028added".encode()),
}


@pytest.mark.parametrize("python", [None, "3.12", "3.13", "/usr/bin/python3"])
def test_a_pth_file_counts_if_it_does_for_the_python_of_the_environment(python: str | None, tmp_path: Path) -> None:
    """Which files are hidden, and how they are read, depends on its version."""
    try:
        venv = VenvRunner("venv", tmp_path, python=python)
    except VenvError:
        pytest.skip(f"there is no such Python: {python}")
    for number, (name, text) in enumerate(HIDDEN.values()):
        put_info(packages(venv) / f"added{number}", f"hidden{number}-1.0.dist-info")
        (packages(venv) / name.replace(".pth", f"{number}.pth")).write_bytes(text.replace(b"added", b"added%d" % number))
    assert venv.installed() == as_pip_lists(venv)
    assert "hidden3" in venv.installed()
    fork = venv.fork("fork", tmp_path)
    assert fork.installed() == as_pip_lists(fork)


def test_a_pth_file_with_the_flag_of_a_hidden_one_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As macOS has it, and Windows an attribute; here the system's answer is changed."""
    (tmp_path / "pyvenv.cfg").write_text("version = 3.13.0\n")
    (tmp_path / "some.pth").write_text("added\n")
    (tmp_path / "added").mkdir()
    assert search_path([str(tmp_path)], str(tmp_path)) == [str(tmp_path), str(tmp_path / "added")]
    for name, flag in (("st_flags", stat.UF_HIDDEN), ("st_file_attributes", stat.FILE_ATTRIBUTE_HIDDEN)):
        monkeypatch.setattr(os, "lstat", lambda _path, found={name: flag}: SimpleNamespace(**found))
        assert search_path([str(tmp_path)], str(tmp_path)) == [str(tmp_path)]
    (tmp_path / "pyvenv.cfg").write_text("version_info = 3.12.1.final.0\n")
    assert search_path([str(tmp_path)], str(tmp_path)) == [str(tmp_path), str(tmp_path / "added")]


@pytest.mark.parametrize("standalone", [False, True])
def test_a_forks_packages_are_listed_as_pip_does(standalone: bool, parent: VenvRunner, tmp_path: Path) -> None:
    """What its parent's .pth files add comes after its own."""
    child = parent.fork("child", tmp_path, standalone=standalone)
    put_info(packages(child), "first-0.5.dist-info", "first", "0.5")
    put_info(packages(child) / "own", "tree-9.0.dist-info", "tree", "9.0")
    (packages(child) / "own.pth").write_text("own\n")
    grandchild = child.fork("grandchild", tmp_path)
    for fork in (child, grandchild):
        assert fork.installed() == as_pip_lists(fork)
        # A standalone fork has its parent's .pth files as its own, and they come before this one by their names.
        assert fork.installed().items() >= {"first": "0.5", "tree": "1.0" if standalone else "9.0", "linked": "3.0"}.items()


@pytest.mark.parametrize("python", [None, "/usr/bin/python3"])
def test_the_packages_of_the_system_are_listed_where_they_are_seen(python: str | None, tmp_path: Path) -> None:
    """Where each distribution has them; those of the environment come first, and a fork has them too."""
    if python is not None and not os.path.exists(python):
        pytest.skip("this system has no Python of its own")
    venv = VenvRunner("venv", tmp_path, python=python, system_site_packages=True)
    venv.install(str(make_wheel(tmp_path, "pocket")), no_index=True)
    child = venv.fork("child", tmp_path)
    for one in (venv, child):
        assert one.installed() == as_pip_lists(one)
        assert one.installed()["pocket"] == "1.0"
    receipt = child.install(str(make_wheel(tmp_path, "pocket", "2.0")), no_index=True)
    assert (receipt.added, receipt.removed, receipt.changed) == ({}, {}, {"pocket": ("1.0", "2.0")})


def make_project(folder: Path) -> Path:
    """Make a project whose own back end needs nothing; return its directory."""
    folder.mkdir()
    wheel = make_wheel(folder, "mine")
    (folder / "pyproject.toml").write_text('[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n')
    (folder / "backend.py").write_text(
        f"import os, shutil\nwheel = {str(wheel)!r}\n"
        "def build_wheel(folder, *args):\n    return os.path.basename(shutil.copy(wheel, folder))\n"
        "build_editable = build_wheel\n"
    )
    return folder


def frozen(venv: VenvRunner) -> str:
    """Return how pip freezes the project."""
    (line,) = [line for line in run(venv, "python", "-m", "pip", "freeze").splitlines() if line[0] != "#"]
    return line


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_a_receipt_shows_another_source_of_the_same_version(installer: InstallerName, tmp_path: Path) -> None:
    """From an index, from a directory, as editable, from another directory: each is a change, as it is for `pip freeze`."""
    first, second = make_project(tmp_path / "first"), make_project(tmp_path / "second")
    venv = VenvRunner("venv", tmp_path, installer=installer)
    receipt = venv.install("mine", no_index=True, find_links=[str(first)])
    assert (receipt.added, receipt.sources, frozen(venv)) == ({"mine": "1.0"}, {}, "mine==1.0")
    receipt = venv.install(str(first), no_index=True)
    assert receipt.sources == {"mine": (None, first.as_uri())}
    assert frozen(venv) == f"mine @ {first.as_uri()}"
    receipt = venv.install(editable=[str(first)], no_index=True)
    assert receipt.sources == {"mine": (first.as_uri(), f"-e {first.as_uri()}")}
    assert frozen(venv) == f"-e {first}"
    receipt = venv.install(editable=[str(second)], no_index=True)
    assert receipt.changed == {"mine": ("1.0", "1.0")}
    assert str(receipt) == f"changed  mine  1.0 (-e {first.as_uri()}) -> 1.0 (-e {second.as_uri()})"
    receipt = venv.uninstall("mine")
    assert (receipt.changed, receipt.removed) == ({}, {"mine": "1.0"})


def test_a_directory_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is taken for removed; the error names the environment."""
    venv = VenvRunner("venv", tmp_path)
    site = packages(venv)
    shutil.move(site, site.with_name("aside"))
    site.symlink_to(site)  # so that no user can read it, root included
    with pytest.raises(CreationError, match=r"cannot list the installed packages in '.*/venv'"):
        venv.installed()
    site.unlink()
    shutil.move(site.with_name("aside"), site)
    assert venv.installed() == listed(venv)
    listdir = os.listdir

    def refuse(path: str) -> list[str]:
        if path == str(site):
            raise PermissionError(13, "Permission denied", path)
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refuse)
    for change in (venv.install, venv.uninstall):
        with pytest.raises(CreationError, match=r"cannot list the installed packages in '.*/venv': .*Permission denied"):
            change("pip")
    monkeypatch.undo()
    assert venv.installed() == listed(venv)
