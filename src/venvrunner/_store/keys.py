"""Keys: hashes of everything that decides what an environment contains."""

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from venvrunner._create import seed
from venvrunner._create.interpreter import Interpreter
from venvrunner._description import Description
from venvrunner._install import pip_settings, uv_settings
from venvrunner._redaction import Redactor
from venvrunner._venv.copying import entries
from venvrunner._venv.file_locks import without_waiting
from venvrunner._venv.paths import local_path, within
from venvrunner._venv.state import portable

__tracebackhide__ = True

_FORMAT = 2
"""Changes whenever entries of an older version of this package cannot be used."""
_LENGTH = 32
_PREFIXES = ("PIP_", "UV_")
_IRRELEVANT = re.compile(
    r"PIP_(CACHE_DIR|NO_INPUT|DISABLE_PIP_VERSION_CHECK|PROGRESS_BAR|(CLIENT_)?CERT|.*(TIMEOUT|RETRIES|COLOR|LOG|QUIET|VERBOSE)|USER)"
    r"|UV_(CACHE_DIR|NO_CACHE|NO_PROGRESS|SYSTEM_PYTHON|LINK_MODE|CONCURRENT_.*|.*TIMEOUT|.*RETRIES)"
)
"""Variables of the installers that change no package."""
_BUILD = re.compile(
    r"(SETUPTOOLS|HATCH|PDM|POETRY|FLIT|PBR|VERSIONEER|MATURIN|SKBUILD|MESON|CMAKE|CYTHON|NPY|DISTUTILS|CARGO)_.*"
    r"|(C|CXX|CPP|LD|RUST|ARCH)FLAGS|CC|CXX|SOURCE_DATE_EPOCH|MACOSX_DEPLOYMENT_TARGET"
)
"""Variables that build back ends and compilers read: a forced version, for instance."""
_WORD = re.compile(r"[^\s\"'=,\[\]]+")
"""Words of settings, each of which may be the path of a file, such as that of a constraints file."""
_INCLUDED = re.compile(r"^\s*(?:-[cr]|--constraint|--requirement)[\s=]*(\S+)", re.MULTILINE)
"""The further files that a constraints or requirements file names."""
_LARGEST = 1 << 20
"""Maximum size of a file that settings name: a constraints file, but not a wheel."""
_DEPTH = 5
"""How many files may name each other in a row, as constraints files do."""
_GENERATED = re.compile(
    r"__pycache__|\.(git|hg|svn|bzr|venv|tox|nox|eggs|pytest_cache|mypy_cache|ruff_cache|hypothesis|idea|vscode|venvrunner)"
    r"|.*\.(egg-info|dist-info|pyc|pyo|swp)|\.coverage.*|\.DS_Store"
)
"""Names of what builds, tests and editors leave behind, at any depth."""
_OUTPUT = {"build", "dist", "htmlcov"}
"""Directories at the top of a project that are not content, unless they are packages of it."""
_REPORTS = {"coverage.xml", "coverage.json", "coverage.lcov"}
"""Files at the top of a project that coverage writes: with each report, the next run would install the project again."""
_FROM_HISTORY = re.compile(rb"scm|vcs|versioneer|versioningit|dunamai|dynamic-versioning|pbr", re.IGNORECASE)
"""What a ``pyproject.toml`` contains if the version of the project comes from its repository."""
_MAYBE_FROM_HISTORY = re.compile(rb"git|mercurial|\bhg\b", re.IGNORECASE)
"""What it contains if that is so and it does not name the version; many name a repository on the web only."""
_OTHER_SETTINGS = ("setup.py", "setup.cfg")
"""Files that may say so too, beside a ``pyproject.toml`` without a version."""
REPOSITORIES = (".git", ".hg")
"""Where the history of a project is."""
_REFS = ("heads", "tags")


def digest(*parts: object) -> str:
    """Return the hash of some values that JSON can represent, as the name of a file."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:_LENGTH]


def base(interpreter: Interpreter, description: Description) -> list[Any]:
    """Return what identifies an environment without its packages."""
    return [
        *(_FORMAT, portable(interpreter.executable), *interpreter[1:3], list(interpreter.stamp)),
        *(seed.version() if description.with_pip else None, description.with_pip, description.system_site_packages),
        *(description.prompt, description.installer),
    ]


def settings(installer: str, variables: Mapping[str, str], cwd: str) -> str:
    """Return the hash of the settings that decide where packages come from, which, and how they are built.

    These are variables and configuration files, and the files that they name, such as constraints. Credentials do not count:
    they decide whether an index can be reached, not what it contains.

    Args:
        installer: the name of the installer.
        variables: its environment variables.
        cwd: its working directory.
    """
    chosen = {
        name: Redactor().mask(value)
        for name, value in variables.items()
        if _BUILD.fullmatch(name) or (name.startswith(_PREFIXES) and not _IRRELEVANT.fullmatch(name))
    }
    # The file of the environment itself does not count, because the environment is not there yet.
    paths = [path for path in pip_settings.files(variables, _NOWHERE, cwd) if not path.startswith(_NOWHERE)]
    if installer == "uv":
        paths += uv_settings.paths(variables, cwd)
    texts = {path: text for path in paths if (text := _text(path)) is not None}
    named = dict.fromkeys(texts, "")
    for value in chosen.values():
        _add_named(named, value, cwd, _DEPTH)
    for path, text in texts.items():
        _add_named(named, text, cwd, _DEPTH)  # pip resolves relative paths against the working directory, uv against the file's
        _add_named(named, text, os.path.dirname(path), _DEPTH)
    return digest(chosen, {path: Redactor().mask(text) for path, text in texts.items()}, named)


_NOWHERE = os.path.join(os.sep, "\0")
"""The path of no environment."""


def _add_named(found: dict[str, str], text: str, directory: str, depth: int) -> None:
    """Add the hash of each small file that a text names, by its path, and of those that these files include."""
    for word in dict.fromkeys(_WORD.findall(text)):
        url = re.match(r"file:(//(localhost)?)?(?P<path>/[^#]*)", word)
        path = os.path.normpath(os.path.join(directory, word if url is None else local_path(url["path"])))
        if path in found:
            continue
        try:
            if not stat.S_ISREG((status := os.stat(path)).st_mode) or status.st_size > _LARGEST:
                continue
            with open(path, "rb", opener=without_waiting) as file:
                content = file.read()
        except (OSError, ValueError):
            continue
        found[path] = hashlib.sha256(content).hexdigest()
        if depth and (b"-c" in content or b"-r" in content):
            included = _INCLUDED.findall(content.decode("utf-8", "surrogateescape"))
            _add_named(found, "\n".join(included), os.path.dirname(path), depth - 1)


def _text(path: str) -> str | None:
    content = _bytes(path)
    return None if content is None else content.decode("utf-8", "surrogateescape")


def _bytes(path: str) -> bytes | None:
    try:
        with open(path, "rb", opener=without_waiting) as file:
            return file.read()
    except (OSError, ValueError):
        return None


def hash_of_file(path: str) -> str:
    """Return the hash of the contents of a file.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb", opener=without_waiting) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content(project: str) -> str:
    """Return the hash of the contents of a project's directory: names, modes and bytes, but neither its path nor times.

    What builds, tests and editors leave behind does not count. The history of the repository counts only if the version of
    the project comes from it. What a build reads outside of the directory counts only if a link in it leads there.

    Raises:
        OSError: the directory cannot be read.
    """
    found = hashlib.sha256()
    for parts in (*map(_part, sources(project)), *_history(project)):
        found.update(json.dumps(parts).encode() + b"\n")
    return found.hexdigest()


def has_leftovers(project: str) -> bool:
    """Return whether an earlier build has left something in a project that could get into the next wheel.

    Raises:
        OSError: the directory cannot be read.
    """
    source = os.path.join(project, "src")
    found = [*entries(project), *(entries(source) if os.path.isdir(source) else ())]
    return any(one.name.endswith(".egg-info") or (one.name == "build" and _is_output(one, at_top=True)) for one in found)


class Source(NamedTuple):
    """A file or a link in a project's directory that is content.

    Attributes:
        name: its path below the directory, with slashes.
        path: the file or the link; elsewhere if a link leads there.
        is_link: whether it is a link.
    """

    name: str
    path: str
    is_link: bool = False


def sources(project: str) -> Iterator[Source]:
    """Yield the files and the links of a project's directory that are content, in the order of their names.

    After a link to a file or directory outside of the project comes its target, under the name of the link, except a directory
    that contains the project: it could be the whole disk.

    Raises:
        OSError: the directory cannot be read.
    """
    return _walk(project, project, "", set())


def _walk(project: str, directory: str, prefix: str, followed: set[str]) -> Iterator[Source]:
    for entry in sorted(entries(directory), key=lambda entry: entry.name):
        name = f"{prefix}{entry.name}"
        if _GENERATED.fullmatch(entry.name):
            continue
        if entry.is_symlink():
            yield Source(name, entry.path, is_link=True)
            yield from _walk_outside(project, entry, name, followed)
        elif entry.is_dir():
            if not _is_output(entry, at_top=not prefix):
                yield from _walk(project, entry.path, f"{name}/", followed)
        elif entry.is_file() and name not in _REPORTS:
            yield Source(name, entry.path)


def _walk_outside(project: str, link: os.DirEntry[str], name: str, followed: set[str]) -> Iterator[Source]:
    """Yield what a link leads to, unless that is in the project, where it counts already."""
    real = os.path.realpath(link.path)
    if within(real, project) is not None or within(project, real) is not None or real in followed:
        return
    if os.path.isfile(real):
        yield Source(name, real)
    elif os.path.isdir(real):
        yield from _walk(project, real, f"{name}/", followed | {real})


_Part = tuple[str, str, str]
"""A name, a kind or a mode, and a hash or the target of a link."""


def _part(source: Source) -> _Part:
    if source.is_link:
        return portable(source.name), "link", portable(os.readlink(source.path))
    return portable(source.name), _mode(source.path), hash_of_file(source.path)


def _mode(path: str) -> str:
    return "executable" if os.access(path, os.X_OK) else "file"


def _is_output(entry: os.DirEntry[str], *, at_top: bool) -> bool:
    is_environment = os.path.exists(os.path.join(entry.path, "pyvenv.cfg"))
    is_package = os.path.exists(os.path.join(entry.path, "__init__.py"))
    return is_environment or (at_top and entry.name in _OUTPUT and not is_package)


def _history(project: str) -> Iterator[_Part]:
    """Yield what names the commit and the tags of a repository, if the version of the project comes from them."""
    if not _is_versioned_by_history(project):
        return
    directory = project
    while not (found := [name for name in REPOSITORIES if os.path.lexists(os.path.join(directory, name))]):
        if directory == os.path.dirname(directory):
            return
        directory = os.path.dirname(directory)
    repository = os.path.join(directory, found[0])
    if found[0] == ".hg":
        # A commit is in the first bytes: https://wiki.mercurial-scm.org/DirState. The times of files follow.
        commit = _bytes(os.path.join(repository, "dirstate")) or b""
        yield "dirstate", "history", commit[: 76 if commit.startswith(b"dirstate-v2") else 40].hex()
        yield "localtags", "history", digest(_text(os.path.join(repository, "localtags")))
        return
    if (text := _text(repository)) is not None and text.startswith("gitdir:"):  # a work tree or a submodule
        repository = os.path.join(directory, text.removeprefix("gitdir:").strip())
    common = os.path.join(repository, (_text(os.path.join(repository, "commondir")) or "").strip())
    paths = [os.path.join(repository, "HEAD"), *(os.path.join(common, *name) for name in _TABLES)]
    for kind in _REFS:
        for parent, directories, names in os.walk(os.path.join(common, "refs", kind)):
            directories.sort()
            paths += [os.path.join(parent, name) for name in sorted(names)]
    for path in paths:
        if (text := _text(path)) is not None:
            yield portable(os.path.relpath(path, common)), "history", digest(text)


_TABLES = (("packed-refs",), ("reftable", "tables.list"))
"""The files that Git keeps several branches and tags in."""


def _is_versioned_by_history(project: str) -> bool:
    text = _bytes(os.path.join(project, "pyproject.toml"))
    if text is None:
        return True  # a setup.py may do anything
    if _FROM_HISTORY.search(text):
        return True
    texts = [text, *(_bytes(os.path.join(project, name)) or b"" for name in _OTHER_SETTINGS)]
    if not any(_MAYBE_FROM_HISTORY.search(one) or _FROM_HISTORY.search(one) for one in texts):
        return False
    import tomllib  # slow to import

    try:
        table: Any = tomllib.loads(text.decode()).get("project")
    except (ValueError, RecursionError):
        return True  # the build reports it
    return not (isinstance(table, dict) and "version" in table)
