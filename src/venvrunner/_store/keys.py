"""Keys: hashes of everything that decides what an environment contains."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from venvrunner._create import seed
from venvrunner._create.interpreter import Interpreter
from venvrunner._description import Description
from venvrunner._install import pip_settings, uv_settings
from venvrunner._venv.copying import entries
from venvrunner._venv.file_locks import without_waiting
from venvrunner._venv.state import portable

__tracebackhide__ = True

_FORMAT = 1
"""Changes whenever entries of an older version of this package cannot be used."""
_LENGTH = 32
_PREFIXES = ("PIP_", "UV_")
_IRRELEVANT = re.compile(
    r"PIP_(CACHE_DIR|NO_INPUT|DISABLE_PIP_VERSION_CHECK|PROGRESS_BAR|.*(TIMEOUT|RETRIES|COLOR|LOG|QUIET|VERBOSE)|USER)"
    r"|UV_(CACHE_DIR|NO_CACHE|NO_PROGRESS|SYSTEM_PYTHON|LINK_MODE|CONCURRENT_.*|.*TIMEOUT|.*RETRIES)"
)
"""Variables of the installers that change no package."""
_FILES = re.compile(r"(?<![^\s=\"'])(/[^\s\"',\]]+|[A-Za-z]:[\\/][^\s\"',\]]+)")
"""Absolute paths in settings, such as those of constraints files."""
_LARGEST = 1 << 20
"""Maximum size of a file that settings name: a constraints file, but not a wheel."""
_GENERATED = re.compile(
    r"__pycache__|\.(git|hg|svn|bzr|venv|tox|nox|eggs|pytest_cache|mypy_cache|ruff_cache|hypothesis|idea|vscode|venvrunner)"
    r"|.*\.(egg-info|dist-info|pyc|pyo|swp)|\.coverage.*|\.DS_Store"
)
"""Names of what builds, tests and editors leave behind, at any depth."""
_BUILD_OUTPUT = {"build", "dist"}
"""Directories at the top of a project that are not content, unless they are packages of it."""
_FROM_HISTORY = re.compile(rb"scm|vcs|versioneer|versioningit|dunamai|dynamic-versioning|git", re.IGNORECASE)
"""What a ``pyproject.toml`` contains if the version of the project comes from its repository."""


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


def settings(installer: str, variables: Mapping[str, str], venv_dir: str, cwd: str) -> str:
    """Return the hash of the settings that decide where packages come from, and which: variables and configuration files.

    Args:
        installer: the name of the installer.
        variables: its environment variables.
        venv_dir: any environment.
        cwd: its working directory.
    """
    chosen = {
        name: value for name, value in variables.items() if name.startswith(_PREFIXES) and not _IRRELEVANT.fullmatch(name)
    }
    paths = pip_settings.files(variables, venv_dir, cwd)
    if installer == "uv":
        paths += uv_settings.paths(variables, cwd)
    texts = {path: _text(path) for path in paths}
    named = {path for text in (*chosen.values(), *texts.values()) for path in _FILES.findall(text or "")}
    # A netrc file has passwords only: it decides whether an index can be reached, not what it contains.
    further = {path: _hash_of(path) for path in sorted(named - texts.keys())}
    return digest(chosen, texts, further)


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", opener=without_waiting) as file:
            return file.read()
    except (OSError, ValueError):
        return None


def _hash_of(path: str) -> str | None:
    """Return the hash of a small file; ``None`` for everything else."""
    try:
        if not os.path.isfile(path) or os.path.getsize(path) > _LARGEST:
            return None
        return hash_of_file(path)
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
    the project comes from it.

    Raises:
        OSError: the directory cannot be read.
    """
    found = hashlib.sha256()
    for name, path in _walk(project, ""):
        found.update(os.fsencode(name) + b"\0")
        if os.path.islink(path):
            found.update(b"l" + os.fsencode(os.readlink(path)))
        else:
            found.update(b"x" if os.access(path, os.X_OK) else b"-")
            found.update(hash_of_file(path).encode())
    for path in _history(project):
        found.update((_hash_of(path) or "").encode() + b"\0")
    return found.hexdigest()


def _walk(directory: str, prefix: str) -> Iterator[tuple[str, str]]:
    for entry in sorted(entries(directory), key=lambda entry: entry.name):
        if _GENERATED.fullmatch(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            if prefix or not _is_output(entry):
                yield from _walk(entry.path, f"{prefix}{entry.name}/")
        elif entry.is_symlink() or entry.is_file():
            yield prefix + entry.name, entry.path


def _is_output(entry: os.DirEntry[str]) -> bool:
    is_environment = os.path.exists(os.path.join(entry.path, "pyvenv.cfg"))
    is_package = os.path.exists(os.path.join(entry.path, "__init__.py"))
    return is_environment or (entry.name in _BUILD_OUTPUT and not is_package)


def _history(project: str) -> Iterable[str]:
    """Return the files that name the commit and the tags of a repository, if the version of the project comes from them."""
    try:
        with open(os.path.join(project, "pyproject.toml"), "rb", opener=without_waiting) as file:
            text = file.read()
    except OSError:
        text = b"git"  # a setup.py may do anything
    if not _FROM_HISTORY.search(text):
        return
    directory = project
    while not os.path.exists(os.path.join(directory, ".git")) and directory != os.path.dirname(directory):
        directory = os.path.dirname(directory)
    repository = os.path.join(directory, ".git")
    yield from (os.path.join(repository, name) for name in ("HEAD", "packed-refs"))
    for kind in ("heads", "tags"):
        for parent, _directories, names in os.walk(os.path.join(repository, "refs", kind)):
            yield from (os.path.join(parent, name) for name in sorted(names))
