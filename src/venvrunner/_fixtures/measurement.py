"""The measurement of tests' environments: coverage runs in their commands, and its data is merged into that of the tests."""

import importlib.util
import json
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest

from venvrunner._fixtures import coverage_start
from venvrunner._venv.paths import within

_PTH = "zzz_venvrunner_coverage.pth"
"""The name of the file in an environment: Python reads it after those that make packages importable."""
_INSTALLED = re.compile(r".*[\\/]site-packages[\\/](?P<path>.+)", re.DOTALL)


class Sources(NamedTuple):
    """The source files that the tests measure.

    Attributes:
        areas: the directories and files that are measured.
        roots: the directories from which the names of modules count, in the order of preference.
        names: the top-level names of the modules that are measured.
    """

    areas: tuple[str, ...]
    roots: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, sources: Iterable[str], directory: str, root: str) -> Self:
        """Return the source files for the settings of coverage.

        Args:
            sources: directories, and names of packages and modules; none: the whole rootdir.
            directory: the working directory that coverage was started in.
            root: the rootdir of pytest.
        """
        areas, roots, names = list[str](), list[str](), list[str]()
        for source in [*sources] or [root]:
            path = os.path.realpath(os.path.join(directory, source))
            if os.path.isdir(path):
                top = _import_root(path)
                tops = [top, *([src] if top == path and os.path.isdir(src := os.path.join(top, "src")) else [])]
                # A directory above may be a namespace package.
                rootdir = os.path.realpath(root)
                above = [one for one in map(str, Path(top).parents) if within(one, rootdir) is not None]
                areas.append(path)
                roots += [*reversed(tops), *above]
                names += _names(tops) if top == path else [os.path.relpath(path, top).split(os.sep)[0]]
                names += [os.path.relpath(path, one).split(os.sep)[0] for one in above]
            else:
                name = source.partition(".")[0]
                names.append(name)
                for found in _places(name, directory, root):
                    roots.append(found)
                    areas += _modules(os.path.join(found, *source.split(".")))
        return cls(*(tuple(dict.fromkeys(values)) for values in (areas, roots, names)))

    def path_for(self, path: str) -> str | None:
        """Return the source file of a file that was measured in an environment; ``None``: it is not to be measured."""
        installed = _INSTALLED.fullmatch(path)
        candidates = [path] if installed is None else [os.path.join(root, installed["path"]) for root in self.roots]
        return next((file for file in candidates if self._has(file) and os.path.isfile(file)), None)

    def _has(self, path: str) -> bool:
        return any(path == area or path.startswith(os.path.join(area, "")) for area in self.areas)


class Measurement:
    """The measurement of all commands in the environments of one process of a test run.

    Args:
        running: the ``coverage.Coverage`` of the tests.
        sources: the source files that it measures.
        directory: the directory in which another one for the data is created.
        start: the working directory that coverage was started in.
    """

    def __init__(self, running: Any, sources: Sources, directory: str, start: str) -> None:
        self._running = running
        self._sources = sources
        self._start = start
        self._directory = tempfile.mkdtemp(prefix="coverage-", dir=directory)
        config = running.config
        patch = [name for name in getattr(config, "patch", ()) if name != "subprocess"]  # from coverage 7.10 on
        options = {"run:sigterm": config.sigterm, **({"run:patch": patch} if patch else {})}
        settings = {
            "site": os.path.dirname(os.path.dirname(os.path.abspath(sys.modules["coverage"].__file__ or ""))),
            "arguments": {
                "config_file": False,
                "branch": config.branch,
                "timid": config.timid,
                "concurrency": [name for name in config.concurrency if name != "multiprocessing"] or ["thread"],
                "source": [area for area in sources.areas if os.path.isdir(area)],
                "source_pkgs": sources.names,
                "messages": False,
            },
            "options": options,
        }
        with open(os.path.join(self._directory, "settings.json"), "w", encoding="utf-8") as file:
            json.dump(settings, file)

    def add(self, site_packages: str) -> None:
        """Have each Python of an environment measured: a file in its site-packages starts coverage."""
        program, directory = ascii(coverage_start.__file__), ascii(self._directory)
        code = (
            f"if os.path.isdir({directory}):\n"
            f"    with open({program}, 'rb') as file:\n"
            f"        names = {{'__name__': 'venvrunner_coverage_start', '__file__': {program}}}\n"
            f"        exec(compile(file.read(), {program}, 'exec'), names)\n"
            f"    names['start']({directory})\n"
        )
        with open(os.path.join(site_packages, _PTH), "w", encoding="ascii") as file:
            file.write(f"import os; exec({code!r}, {{'os': os}})\n")

    def merge(self) -> None:
        """Add the data of all commands that have ended to that of the tests; warn if commands could not be measured."""
        import coverage

        found: dict[str, set[Any]] = {}
        reasons: set[str] = set()
        for entry in sorted(os.scandir(self._directory), key=lambda entry: entry.name):
            if entry.name.startswith("error-"):
                with open(entry.path, encoding="utf-8") as file:
                    reasons.add(file.read())
            elif entry.name.startswith("data.") and not entry.name.endswith("-journal"):
                data = coverage.CoverageData(entry.path)
                # A command that was killed may leave half a file.
                with closing(data), suppress(coverage.CoverageException):
                    data.read()
                    self._collect(data, found)
        if found:
            # The modules have been imported, if only in an environment.
            for warning in ("_warn_no_data", "_warn_unimported_source"):  # as pytest-cov does
                setattr(self._running, warning, False)
            data = self._running.get_data()
            data.set_context(self._running.config.context or "")  # not that of the last test
            add: Any = data.add_arcs if self._running.config.branch else data.add_lines
            add(found)
        for reason in sorted(reasons):
            msg = f"venv_coverage: commands could not be measured. {reason}"
            warnings.warn(msg, pytest.PytestWarning, stacklevel=2)

    def _collect(self, data: Any, found: dict[str, set[Any]]) -> None:
        matcher = self._running._inorout  # noqa: SLF001  the only place of the patterns as coverage reads them
        config = self._running.config
        for path in data.measured_files():
            file = self._sources.path_for(path)
            if file is None or (matcher.omit_match and matcher.omit_match.match(file)):
                continue
            if matcher.include_match and not config.source and not matcher.include_match.match(file):
                continue
            name = os.path.relpath(file, self._start) if config.relative_files else file
            found.setdefault(name, set()).update(data.arcs(path) if config.branch else data.lines(path))


def _import_root(path: str) -> str:
    """Return the nearest directory above a package that is not a package; the path itself, if it is none."""
    while os.path.exists(os.path.join(path, "__init__.py")):
        path = os.path.dirname(path)
    return path


def _names(directories: Iterable[str]) -> list[str]:
    """Return the names of the modules and packages in directories."""
    entries = (entry for directory in directories for entry in os.scandir(directory))
    names = (entry.name if entry.is_dir() else entry.name.removesuffix(".py") for entry in entries)
    return sorted({name for name in names if name.isidentifier() and name != "__pycache__"})


def _places(name: str, directory: str, root: str) -> list[str]:
    """Return the directories in which a module or package is: that of the one that the tests import comes first."""
    spec = None
    with suppress(ImportError, ValueError):  # ValueError: a module in sys.modules has no specification
        spec = importlib.util.find_spec(name)
    files: list[str] = []
    if spec is not None:
        files += spec.submodule_search_locations or []
        files += [spec.origin] if spec.has_location and spec.origin else []
    tops = [os.path.dirname(file) for file in files if os.path.splitext(os.path.basename(file))[0] == name]
    guesses = [os.path.join(top, *src) for top in (directory, root) for src in (["src"], [])]
    return [top for top in dict.fromkeys(map(os.path.realpath, [*tops, *guesses])) if _modules(os.path.join(top, name))]


def _modules(path: str) -> list[str]:
    """Return the directory of a package, and the file of a module, if they exist."""
    return [found for found in (path, f"{path}.py") if os.path.exists(found)]


def measure(config: pytest.Config, directory: str) -> Measurement | None:
    """Return the measurement of the environments; ``None`` if the tests are not measured."""
    import coverage

    running = coverage.Coverage.current()
    if running is None:
        return None
    start, settings = str(config.invocation_params.dir), running.config
    sources = [*(settings.source or []), *settings.source_pkgs, *getattr(settings, "source_dirs", [])]
    return Measurement(running, Sources.of(sources, start, str(config.rootpath)), directory, start)
