"""Where things are in an environment: the rules of both systems, and a created one beside one of the standard library's."""

import fnmatch
import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from venvrunner import VenvRunner
from venvrunner._create import inheritance
from venvrunner._venv import layout
from venvrunner._venv.layout import POSIX, WINDOWS, Layout

BOTH = pytest.mark.parametrize("rules", [POSIX, WINDOWS], ids=["posix", "windows"])


def touch(*paths: Path) -> None:
    """Make files, and the directories that they are in."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_this_system_has_one_of_the_two_layouts() -> None:
    """The rules of the running interpreter are those of its sysconfig scheme for environments."""
    assert layout.CURRENT is (WINDOWS if os.name == "nt" else POSIX)
    places = sysconfig.get_paths("venv"), sysconfig.get_paths(layout.CURRENT.scheme)
    assert places[0] == places[1]


@BOTH
def test_the_rules_are_those_of_sysconfig(rules: Layout) -> None:
    """Scripts and packages are where sysconfig's scheme for environments says, for any version."""
    assert rules.scheme in sysconfig.get_scheme_names()
    places = dict.fromkeys(("base", "platbase", "installed_base", "installed_platbase"), "/v")
    paths = sysconfig.get_paths(rules.scheme, {**places, "py_version_short": "3.99", "platlibdir": "lib"})
    assert rules.scripts("/v").replace(os.sep, "/") == paths["scripts"].replace("\\", "/")
    for name in ("purelib", "platlib"):
        where = paths[name].replace("\\", "/").removeprefix("/v/")
        assert any(fnmatch.fnmatchcase(where, pattern) for pattern in rules.packages), where


@BOTH
def test_the_two_layouts_are_twins(rules: Layout) -> None:
    """Each has every attribute, and of the same form."""
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in rules.suffixes)
    assert all(not pattern.startswith("/") and pattern.endswith("site-packages") for pattern in rules.packages)
    assert os.path.basename(rules.base_python).partition(".")[0] == "python"
    assert {field: type(value) for field, value in rules._asdict().items()} == Layout.__annotations__ | {
        "suffixes": tuple,
        "packages": tuple,
    }


def test_a_command_has_one_name_on_posix_and_several_on_windows() -> None:
    """On Windows a program comes before a batch file, as in PATHEXT; a name with such a suffix is that of a program."""
    assert POSIX.command_names("pip") == ["pip"]
    assert WINDOWS.command_names("pip") == ["pip.com", "pip.exe", "pip.bat", "pip.cmd"]
    assert WINDOWS.command_names("pip.EXE")[0] == "pip.EXE"


@pytest.mark.parametrize(
    ("rules", "files", "command", "found"),
    [
        (POSIX, ["bin/tool", "bin/tool.exe"], "tool", "bin/tool"),
        (POSIX, ["bin/tool.exe", "Scripts/tool"], "tool", None),
        (POSIX, ["bin/tool.py"], "tool.py", "bin/tool.py"),
        (POSIX, ["bin/tool/inside"], "tool", None),
        (WINDOWS, ["Scripts/tool.exe", "Scripts/tool.bat"], "tool", "Scripts/tool.exe"),
        (WINDOWS, ["Scripts/tool.cmd", "Scripts/tool.bat"], "tool", "Scripts/tool.bat"),
        (WINDOWS, ["Scripts/tool.exe"], "tool.exe", "Scripts/tool.exe"),
        (WINDOWS, ["Scripts/tool.v2.exe"], "tool.v2", "Scripts/tool.v2.exe"),
        (WINDOWS, ["Scripts/tool", "Scripts/tool.exe"], "tool", "Scripts/tool.exe"),
        (WINDOWS, ["Scripts/tool", "Scripts/tool.bat"], "tool", "Scripts/tool.bat"),
        (WINDOWS, ["Scripts/tool"], "tool", None),
        (WINDOWS, ["bin/tool.exe", "Scripts/tool.txt", "Scripts/tool.dll"], "tool", None),
        (WINDOWS, ["Scripts/tool/inside", "Scripts/tool.com"], "tool", "Scripts/tool.com"),
    ],
)
def test_a_command_is_a_file_in_the_script_directory(
    rules: Layout, files: list[str], command: str, found: str | None, tmp_path: Path
) -> None:
    """A directory is none, and neither is a file elsewhere or with another ending."""
    touch(*(tmp_path / name for name in files))
    assert rules.find_command(str(tmp_path), command) == (None if found is None else str(tmp_path / found))


@BOTH
def test_a_missing_command_is_explained(rules: Layout, tmp_path: Path) -> None:
    """Similar names are told; without any, what to do; without an environment, that."""
    scripts = Path(rules.scripts(str(tmp_path)))
    assert rules.why_not(str(tmp_path), "tool").startswith(f"{str(scripts / 'tool')!r} does not exist! The environment itself")
    touch(scripts / "toolbox")
    assert "Did you mean 'toolbox'?" in rules.why_not(str(tmp_path), "tolbox")
    assert "Install the package" in rules.why_not(str(tmp_path), "other")


def test_a_file_that_is_not_a_program_is_explained(tmp_path: Path) -> None:
    """On Windows, what a program is its suffix says."""
    scripts = Path(WINDOWS.scripts(str(tmp_path)))
    touch(scripts / "tool")
    expected = "The file 'tool' is not a program: its name ends in none of .com, .exe, .bat, .cmd."
    assert WINDOWS.why_not(str(tmp_path), "tool") == f"{str(scripts / 'tool')!r} does not exist! {expected}"


@pytest.mark.skipif(os.name == "nt", reason="lib and Lib are one directory on Windows, and a name has no * and ?")
def test_the_directories_of_packages_are_found(tmp_path: Path) -> None:
    """Each once: lib64 is often a link to lib; characters that are special in patterns mean themselves."""
    for name in ("plain", "[a]*?"):
        root = tmp_path / name
        lib = root / "lib" / "python3.12" / "site-packages"
        windows = root / "Lib" / "site-packages"
        for folder in (lib, windows):
            folder.mkdir(parents=True, exist_ok=True)
        (root / "lib64").symlink_to("lib")
        assert POSIX.package_directories(str(root)) == [str(lib)]
        assert WINDOWS.package_directories(str(root)) == [str(windows)]
    (tmp_path / "plain" / "lib64").unlink()
    lib64 = tmp_path / "plain" / "lib64" / "python3.12" / "site-packages"
    lib64.mkdir(parents=True)
    assert POSIX.package_directories(str(tmp_path / "plain")) == [str(lib64).replace("lib64", "lib"), str(lib64)]
    assert POSIX.package_directories(str(tmp_path / "nothing")) == []


@BOTH
@pytest.mark.parametrize("where", ["variables", "home", "data"])
def test_the_interpreters_of_version_managers_are_found(rules: Layout, where: str, tmp_path: Path) -> None:
    """Where variables say, or in the usual directories below the home; what is incomplete not at all, and no Python 2."""
    home, data = tmp_path / "home", tmp_path / "home" / ".local" / "share"
    env = {"HOME": str(home)}
    roots = [home / ".pyenv", home / ".asdf", data / "mise"]
    if where == "data":
        env["XDG_DATA_HOME"] = str(tmp_path / "data")
        roots[2] = tmp_path / "data" / "mise"
    if where == "variables":
        roots = [tmp_path / "p", tmp_path / "a", tmp_path / "m"]
        env |= dict(zip(("PYENV_ROOT", "ASDF_DATA_DIR", "MISE_DATA_DIR"), map(str, roots), strict=True))
    folders = [roots[0] / "versions", *(root / "installs" / "python" for root in roots[1:])]
    expected = []
    for folder in folders:
        for version in ("3.9.18", "3.10.2", "3.13.1", "2.7.18"):
            touch(folder / version / rules.base_python)
        (folder / "3.14.0").mkdir()
        touch(folder / "3.15.0")
        expected += [str(folder / version / rules.base_python) for version in ("3.13.1", "3.10.2", "3.9.18")]
    assert sorted(rules.managed_interpreters(env)) == sorted(expected)
    assert rules.managed_interpreters({"HOME": str(tmp_path / "nobody")}) == []


_LOOK = """
import ensurepip, json, site, sys, sysconfig
print(json.dumps({
    "sys": {name: getattr(sys, name, None) for name in (
        "prefix", "exec_prefix", "base_prefix", "base_exec_prefix", "executable", "_base_executable", "platlibdir", "path",
        "flags", "warnoptions", "dont_write_bytecode", "pycache_prefix", "abiflags", "version")},
    "paths": sysconfig.get_paths(), "scheme": sysconfig.get_default_scheme(), "config": sysconfig.get_config_h_filename(),
    "schemes": {name: sysconfig.get_preferred_scheme(name) for name in ("prefix", "home", "user")},
    "site": [site.getsitepackages(), site.ENABLE_USER_SITE, site.PREFIXES, site.getuserbase()],
    "modules": sorted(sys.modules), "files": {name: getattr(module, "__file__", None) for name, module in sys.modules.items()},
    "finders": [repr(finder).partition(" at 0x")[0] for finder in (*sys.meta_path, *sys.path_hooks)],
}, default=str))
"""


def look(venv_dir: Path) -> Any:
    """Return what an environment's interpreter says of itself, with `<venv>` in place of the directory."""
    python = Path(layout.CURRENT.find_command(str(venv_dir), "python") or "")
    result = subprocess.run([python, "-c", _LOOK], capture_output=True, text=True, check=True, cwd="/")
    return json.loads(result.stdout.replace(json.dumps(str(venv_dir))[1:-1], "<venv>"))


def stdlib_venv(venv_dir: Path, *options: str) -> Path:
    """Make an environment with the standard library."""
    python = getattr(sys, "_base_executable", sys.executable)
    subprocess.run([python, "-I", "-m", "venv", *options, str(venv_dir)], capture_output=True, check=True)
    return venv_dir


def walk(venv_dir: Path) -> dict[str, str]:
    """Return what is in an environment: of each path its kind, of each link what it leads to in the end."""
    found = {}
    for path in venv_dir.rglob("*"):
        name = path.relative_to(venv_dir).as_posix()
        kind = "folder" if path.is_dir() else "program" if os.access(path, os.X_OK) else "file"
        found[name] = f"link to {os.path.realpath(path)}" if path.is_symlink() else kind
    return found


def config(venv_dir: Path) -> dict[str, str]:
    """Return the values in an environment's pyvenv.cfg."""
    lines = (venv_dir / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    return {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines)}


OURS = re.compile(r"\.venvrunner(/.*)?|CACHEDIR\.TAG|\.gitignore|(bin|Scripts)/pip-[\d.]+(\.exe)?|Scripts/python3(\.exe)?")
"""What an environment has beside the standard library's: our own state, marks for backups and git, and more names."""
PI = "\N{MATHEMATICAL ITALIC SMALL PI}thon"
"""A joke of Python 3.14: one more name of the interpreter."""
THEIRS = re.compile(
    rf"(bin|Scripts)/[Aa]ctivate(\..*)?|(bin|Scripts)/deactivate\.bat|lib64|include/python[\d.]+t?|\.gitignore|bin/{PI}"
)
"""What it does not have: scripts that a shell sources, a link that nothing needs, an empty directory for headers, a joke."""
PACKAGES = re.compile(r"[Ll]ib/(python[\d.]+t?/)?site-packages/(.+)")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An environment of ours with pip, and one of the standard library's."""
    folder = tmp_path_factory.mktemp("pair")
    return Path(VenvRunner("ours", folder).venv_dir), stdlib_venv(folder / "theirs")


def test_an_environment_has_the_structure_of_a_standard_one(pair: tuple[Path, Path]) -> None:
    """Every path is of the same kind and leads to the same interpreter, but for the few differences named above."""
    trees = []
    for venv_dir, allowed in zip(pair, (OURS, THEIRS), strict=True):
        trees.append(
            {
                name: kind
                for name, kind in walk(venv_dir).items()
                if not allowed.fullmatch(name) and not PACKAGES.fullmatch(name)
            }
        )
    assert trees[0] == trees[1]


def test_pip_is_installed_as_a_standard_one_is(pair: tuple[Path, Path]) -> None:
    """Its files are there with its metadata; the standard library adds setuptools before Python 3.12, and compiles."""
    parts = []
    for venv_dir in pair:
        paths = (PACKAGES.fullmatch(name) for name in walk(venv_dir))
        parts.append({path[2].partition("/")[0] for path in paths if path})
    ours, theirs = ({re.sub(r"-[\d.]+\.", "-", name) for name in names} for names in parts)
    # By an empty file virtualenv knows what it has made.
    assert ours - {"pip-virtualenv"} == {"pip", "pip-dist-info"}
    assert theirs - ours <= {
        "setuptools",
        "setuptools-dist-info",
        "pkg_resources",
        "_distutils_hack",
        "distutils-precedence.pth",
    }
    metadata = next(pair[0].glob("[Ll]ib/**/site-packages/pip-*.dist-info"))
    assert {"METADATA", "RECORD", "INSTALLER", "entry_points.txt"} <= {path.name for path in metadata.iterdir()}


@pytest.mark.parametrize("system_site_packages", [False, True], ids=["isolated", "open"])
@pytest.mark.parametrize("prompt", [None, "it's (mine) 漢字"], ids=["no prompt", "prompt"])
def test_its_interpreter_reports_the_same_as_a_standard_one(
    prompt: str | None, system_site_packages: bool, tmp_path: Path
) -> None:
    """The paths and flags, the configuration, the modules loaded at the start and where they come from."""
    venv = VenvRunner("ours", tmp_path, with_pip=False, prompt=prompt, system_site_packages=system_site_packages)
    options = ["--without-pip"]
    options += ["--system-site-packages"] if system_site_packages else []
    options += [] if prompt is None else ["--prompt", prompt]
    theirs = stdlib_venv(tmp_path / "theirs", *options)
    seen = look(Path(venv.venv_dir))
    assert seen == look(theirs)
    assert seen["sys"]["prefix"] == "<venv>"
    assert seen["sys"]["base_prefix"] == sys.base_prefix
    mine, standard = config(Path(venv.venv_dir)), config(theirs)
    for name in ("home", "include-system-site-packages", "version", "executable", "prompt"):
        assert mine.get(name) == standard.get(name), name
    assert ("prompt" in mine) == (prompt is not None)


def test_an_environment_without_pip_has_none(tmp_path: Path) -> None:
    """Its directory of packages is as empty as a standard one's, and so are its commands but for the interpreter."""
    venv = VenvRunner("ours", tmp_path, with_pip=False)
    theirs = stdlib_venv(tmp_path / "theirs", "--without-pip")
    for folder in layout.CURRENT.package_directories(venv.venv_dir):
        assert os.listdir(folder) == []
    scripts = layout.CURRENT.scripts(venv.venv_dir)
    ours = {name for name in os.listdir(scripts) if not OURS.fullmatch(f"{os.path.basename(scripts)}/{name}")}
    standard = {name for name in os.listdir(layout.CURRENT.scripts(str(theirs))) if "ctivate" not in name}
    assert ours == standard - {PI}
    assert venv.log_run(["python", "-c", "import pip"], check=False).returncode == 1


def test_a_fork_has_the_structure_of_its_parent(tmp_path: Path) -> None:
    """It looks like a new one, but for the packages, which it sees through one line, and for what has no effect in it."""
    parent = VenvRunner("parent", tmp_path)
    child = parent.fork("child", tmp_path)
    trees = [walk(Path(venv.venv_dir)) for venv in (parent, child)]
    own = [{name: kind for name, kind in tree.items() if not re.match(r"\.venvrunner/", name)} for tree in trees]
    outside = [{name: kind for name, kind in tree.items() if not PACKAGES.fullmatch(name)} for tree in own]
    left_out = {".gitignore", "CACHEDIR.TAG", "include"}
    assert {name: kind for name, kind in outside[0].items() if name not in left_out} == outside[1]
    leading = {os.path.split(name) for name in set(own[1]) - set(outside[1])}
    assert all(inheritance.is_own(name) or name == "__pycache__" for folder, name in leading if "__pycache__" not in folder)
    assert {folder for folder, _name in leading if "__pycache__" not in folder} == {
        Path(folder).relative_to(child.venv_dir).as_posix() for folder in layout.CURRENT.package_directories(child.venv_dir)
    }
    seen = [look(Path(venv.venv_dir)) for venv in (parent, child)]
    assert seen[1]["sys"].pop("path")[-1] == layout.CURRENT.package_directories(parent.venv_dir)[0]
    del seen[0]["sys"]["path"]
    assert seen[0]["sys"] == seen[1]["sys"]
    assert (seen[0]["paths"], seen[0]["site"]) == (seen[1]["paths"], seen[1]["site"])
