"""How the package is built: who imports whom, what an import costs, and that every public name is explained."""

import ast
import gc
import graphlib
import importlib
import inspect
import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from itertools import chain
from pathlib import Path
from types import FrameType, ModuleType

import pytest

import venvrunner
from helpers.modules import MODULES, ROOT, first_line, imports, tree, unit
from helpers.programs import run_python

LAYERS = [
    {"exceptions", "_plain_imports", "_redaction", "_types"},
    {"_process"},
    {"environment", "subprocess_util"},
    {"_call"},
    {"_venv"},
    {"_create"},
    {"_install"},
    {"_command_runner"},
    {"runner"},
    {"installing"},
    {"_description"},
    {"_store"},
    {"_stored"},
    {"_async_runner"},
    {"fake", "venv"},
    {"spec"},
    {"venvrunner"},
    {"_reports", "testing"},
    {"_cli"},
    {"_fixtures"},
    {"pytest_plugin", "__main__"},
]
"""The units of the package, from the bottom up; `venvrunner` is the package's own `__init__`."""
TESTS = Path(__file__).parents[1]
TESTED = {
    "call": {"_call"},
    "process": {"_process"},
    "venv": {"_venv"},
    "create": {"_create"},
    "install": {"_install"},
    "store": {"_store", "_stored"},
    "runner": {"_async_runner", "_command_runner", "_description", "_redaction", "_types", "environment", "exceptions", "fake"}
    | {"installing", "runner", "spec", "subprocess_util", "venv", "venvrunner"},
    "testing": {"testing"},
    "plugin": {"_fixtures", "_plain_imports", "pytest_plugin"},
    "command_line": {"__main__", "_cli", "_reports"},
}
"""The directories of tests that mirror the package, and the units that each tests."""
SURROUNDINGS = {"bench", "docs", "helpers", "platforms", "repository"}
"""The directories of tests for what is around the code or across its parts."""
TEST_FILES = sorted(TESTS.rglob("*.py"))
PLATFORM_RULES = {"venvrunner._process.session", "venvrunner._process.native", "venvrunner._venv.layout"}
POLICY = [f"venvrunner._process.{name}" for name in ("lines", "supervisor", "redraws", "preformatted")]
REACH = {"asyncio", "fcntl", "glob", "logging", "multiprocessing", "os", "pathlib", "select", "selectors", "shutil"}
REACH |= {"signal", "socket", "subprocess", "sys", "tempfile", "threading", "time"}
"""Modules that reach the system, or what is outside of a function."""


def layer(module: str) -> int:
    return next(number for number, units in enumerate(LAYERS) if unit(module) in units)


@pytest.mark.parametrize("module", MODULES)
def test_each_module_has_its_layer(module: str) -> None:
    """Who adds a module says in which layer it is."""
    assert any(unit(module) in units for units in LAYERS)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_downwards_only(module: str) -> None:
    """From the plugin and the command line through the runners to the process half, never back."""
    own = [name for name in imports(module) if name.split(".")[0] == "venvrunner"]
    upwards = [name for name in own if unit(name) != unit(module) and layer(name) > layer(module)]
    assert not upwards


def test_no_modules_import_each_other() -> None:
    """Within a layer and within a unit there is an order too."""
    graph = {module: {name for name in imports(module) if name in MODULES} - {module} for module in MODULES}
    graph["venvrunner"] = set()  # it re-exports, each name when it is first used
    units: dict[str, set[str]] = {}
    for module, imported in graph.items():
        units.setdefault(unit(module), set()).update({unit(name) for name in imported} - {unit(module)})
    for relation in (graph, units):
        assert len(list(graphlib.TopologicalSorter(relation).static_order())) >= len(relation)


def test_the_tests_mirror_the_package() -> None:
    """Each unit is tested in one directory, and each directory of tests is for a unit or for what is around the code."""
    assert Counter(chain(*TESTED.values())) == Counter(chain(*LAYERS))
    directories = {path.relative_to(TESTS).parts[0] for path in TEST_FILES if path.parent != TESTS}
    assert directories == TESTED.keys() | SURROUNDINGS
    for name in TESTED:
        assert list((TESTS / name).glob("test_*.py")), name
    assert [path.name for path in TEST_FILES if path.parent == TESTS] == ["conftest.py"]


def test_no_test_module_imports_another() -> None:
    """What two of them need is in tests/helpers. They are imported by their base names, which are therefore unique."""
    names = [path.stem for path in TEST_FILES if path.name.startswith("test_")]
    assert len(set(names)) == len(names) > 80
    for path in TEST_FILES:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        imported = {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
        imported |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        assert not {name.rpartition(".")[2] for name in imported} & {*names, "conftest"}, path


def test_every_directory_of_tests_is_collected_and_checked(pytestconfig: pytest.Config) -> None:
    """By default, pytest and ruff leave out each directory that is named venv."""
    ignored = [*pytestconfig.getini("norecursedirs")]
    if (settings := TESTS.parent / "pyproject.toml").exists():
        ignored += tomllib.loads(settings.read_text(encoding="utf-8"))["tool"]["ruff"]["exclude"]
    assert ignored
    assert not [name for name in TESTED.keys() | SURROUNDINGS for pattern in ignored if fnmatch(name, pattern)]


def says_it_is_pure(module: str) -> bool:
    """Tell whether the first line of a module ends with "without I/O"."""
    return first_line(module).rstrip(".:").endswith("without I/O")


@pytest.mark.parametrize("module", POLICY)
def test_the_policy_is_without_io(module: str) -> None:
    """Lines, redraws and the state machine know no process, no clock, no file and no loop; and they say so."""
    assert set(imports(module)) <= {"codecs", "collections", "collections.abc", "enum", "io", "re", "typing"}
    assert says_it_is_pure(module)


@pytest.mark.parametrize("module", [name for name in MODULES if says_it_is_pure(name)])
def test_a_module_that_says_it_is_without_io_is(module: str) -> None:
    """Of the modules that reach the system, it uses nothing but names: it asks nothing and changes nothing."""
    pure = {"os", "subprocess", "os.path", "os.PathLike", "os.fspath", "os.fsdecode", "os.sep", "os.pathsep", "os.path.join"}
    pure |= {"os.path.isabs", "os.path.basename", "os.path.dirname", "subprocess.DEVNULL", "subprocess.SubprocessError"}
    used = {ast.unparse(node) for node in ast.walk(tree(module)) if isinstance(node, ast.Attribute)}
    assert {name for name in used | set(imports(module)) if name.partition(".")[0] in REACH} <= pure
    called = {node.func.id for node in ast.walk(tree(module)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"open", "print", "input"}


def test_only_the_async_side_imports_asyncio() -> None:
    """Who runs a command without a loop never loads it; the tests that are shipped call both sides."""
    found = {module for module in MODULES if "asyncio" in imports(module) and unit(module) != "testing"}
    assert found == {
        "venvrunner._process.readiness",  # when a loop is running, so that it is loaded
        "venvrunner._process.bridge",
        "venvrunner._call.program",  # in a process of its own, for a coroutine function
    }
    assert {name for name in ("trio", "anyio", "uvloop", "gevent") for module in MODULES if name in imports(module)} == set()


def test_nothing_of_the_loops_own_processes_is_used() -> None:
    """Children are started by `Popen` alone: transports and child watchers of asyncio are not ours to rely on."""
    banned = {"subprocess_exec", "subprocess_shell", "create_subprocess_exec", "create_subprocess_shell", "open_process"}
    banned |= {"SubprocessProtocol", "SubprocessTransport", "get_child_watcher", "connect_read_pipe", "connect_write_pipe"}
    for module in MODULES:
        assert not banned & {node.attr for node in ast.walk(tree(module)) if isinstance(node, ast.Attribute)}, module


def test_signals_are_sent_and_handlers_set_in_one_place_each() -> None:
    """What could reach a process that is not ours is in the module that proves whose it is; handlers are left alone."""
    calls = {"os.kill", "os.killpg", "signal.pidfd_send_signal", "signal.signal", "signal.set_wakeup_fd", "signal.siginterrupt"}
    found: dict[str, set[str]] = {}
    for module in MODULES:
        for name in calls & {ast.unparse(node) for node in ast.walk(tree(module)) if isinstance(node, ast.Attribute)}:
            found.setdefault(name, set()).add(module)
    tokens = {module for module in MODULES if "proc_signal_with_audittoken" in MODULES[module].read_text(encoding="utf-8")}
    assert tokens == {"venvrunner._process.libproc"}
    session, subreaper = "venvrunner._process.session", "venvrunner._process.subreaper_program"
    assert found == {
        "os.kill": {"venvrunner._process.process_tree"},
        "os.killpg": {session},
        "signal.pidfd_send_signal": {session, "venvrunner._process.descendants"},
        "signal.signal": {subreaper, "venvrunner._cli.signals"},  # both are programs of their own
        "signal.set_wakeup_fd": {subreaper},
    }


@pytest.mark.parametrize("module", sorted(MODULES.keys() - PLATFORM_RULES))
def test_platform_rules_are_in_three_modules(module: str) -> None:
    """How a tree is ended, how names are read and where files are: no other module asks which system this is."""
    asked = {"sys.platform", "os.name", "platform.system", "os.uname"}
    found = {ast.unparse(node) for node in ast.walk(tree(module)) if isinstance(node, ast.Attribute)} & asked
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} & asked
    assert not found
    assert "platform" not in set(imports(module))


@pytest.mark.parametrize("module", MODULES)
def test_a_module_can_be_read_in_one_go(module: str) -> None:
    """One noun. Its size follows from it, so this is only where to ask whether a module has become two."""
    length = len(MODULES[module].read_text(encoding="utf-8").splitlines())
    assert length < 450


def test_few_lines_silence_a_check() -> None:
    """At most 4 in 1,000: who needs one more of the same kind asks whether the rule or the code is wrong."""
    lines = [line for path in MODULES.values() for line in path.read_text(encoding="utf-8").splitlines()]
    silenced = [line for line in lines if re.search(r"#\s*(noqa|type: ignore|pyright: ignore|pragma: no)", line)]
    assert 0 < len(silenced) <= 4 * len(lines) / 1000


PUBLIC = [name for name in MODULES if not any(part.startswith("_") for part in name.split("."))]


@pytest.mark.parametrize("module", MODULES)
def test_each_module_says_what_it_is(module: str) -> None:
    """In its first line, as a sentence."""
    first = first_line(module)
    assert first
    assert first[-1] in ".:;?!"


def public_objects(module: ModuleType) -> Iterator[tuple[str, object]]:
    """Yield what a public module has of its own, and the public members of its classes."""
    names = getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")])
    for name in names:
        value = getattr(module, name)
        if not inspect.isclass(value) and not inspect.isroutine(value):
            continue
        if not value.__module__.startswith("venvrunner"):
            continue
        yield f"{module.__name__}.{name}", value
        if inspect.isclass(value):
            members = vars(value).items()
            yield from (
                (f"{module.__name__}.{name}.{member}", item.__func__ if isinstance(item, classmethod | staticmethod) else item)
                for member, item in members
                if not member.startswith("_") and (inspect.isroutine(item) or isinstance(item, property | classmethod))
            )


@pytest.mark.parametrize("module", [name for name in PUBLIC if name != "venvrunner.pytest_plugin"])
def test_every_public_name_is_explained(module: str) -> None:
    """Functions, classes, and their public methods and properties have a docstring whose first line is a sentence."""
    for name, value in public_objects(importlib.import_module(module)):
        first = (value.__doc__ or "").partition("\n")[0]
        assert first, name
        assert first[-1] in ".:;?!", name


def test_all_is_exactly_the_public_names() -> None:
    """Sorted, each there, and nothing public beside it; `dir()` shows them before they are loaded."""
    assert venvrunner.__all__ == sorted(venvrunner.__all__)
    assert len(set(venvrunner.__all__)) == len(venvrunner.__all__)
    for name in venvrunner.__all__:
        assert getattr(venvrunner, name) is not None
    namespace: dict[str, object] = {}
    exec("from venvrunner import *", namespace)
    assert {name for name in namespace if not name.startswith("_")} == set(venvrunner.__all__)
    # pytest rewrites the asserts of a package that has a plugin, and leaves names that begin with "@".
    extra = {name for name in dir(venvrunner) if not name.startswith(("_", "@"))} - set(venvrunner.__all__)
    modules = {name.split(".")[1] for name in MODULES if "." in name}
    assert extra <= modules | {"import_module", "TYPE_CHECKING"}


def test_all_of_each_public_module_is_there_and_sorted() -> None:
    """A star import of any of them works."""
    for name in PUBLIC:
        module = importlib.import_module(name)
        names = getattr(module, "__all__", [])
        assert names == sorted(names, key=lambda entry: (not entry.isupper(), entry)), name  # constants first, as ruff has it
        assert not [entry for entry in names if not hasattr(module, entry)], name


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """Names are loaded late; a wrong one is told like in any module."""
    with pytest.raises(AttributeError, match="module 'venvrunner' has no attribute 'VenvRuner'"):
        venvrunner.VenvRuner  # noqa: B018  the access raises
    with pytest.raises(ImportError, match="VenvRuner"):
        exec("from venvrunner import VenvRuner")


def loaded(source: str) -> set[str]:
    """Return the modules that a fresh interpreter has after running source; nothing else starts with it."""
    env = {**os.environ, "PYTHONPATH": str(ROOT.parent)}
    code = f"{source}\nimport sys; print(*sys.modules)"
    # Without site: its .pth files may load anything.
    done = subprocess.run([sys.executable, "-S", "-c", code], env=env, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


RUN = "subprocess_util.log_run([sys.executable, '-S', '-c', 'print(1)'], None, 'debug', 'debug')"
SLOW = {"asyncio", "virtualenv", "packaging", "pytest", "concurrent.futures", "importlib.metadata"}
SLOW |= {"urllib.request", "http.client", "ssl"}  # only to fetch a lock file


@pytest.mark.parametrize(
    "source",
    [
        "import venvrunner",
        "from venvrunner import VenvRunner",
        "from venvrunner import *",
        f"import sys; from venvrunner import subprocess_util; {RUN}",
        f"import sys; from venvrunner import subprocess_util; {RUN.replace(chr(39) + 'debug' + chr(39), 'print')}",
        "from venvrunner import FakeVenvRunner; FakeVenvRunner().log_run(['python', '-c', ''])",
        "import venvrunner.subprocess_util, venvrunner.venv, venvrunner.environment, venvrunner.exceptions",
    ],
)
def test_what_is_not_needed_is_not_imported(source: str) -> None:
    """Neither the package nor a sync run loads asyncio or virtualenv, or anything else that costs more than itself."""
    modules = loaded(source)
    assert "venvrunner" in modules
    assert not modules & SLOW


def test_the_import_of_a_runner_loads_neither_creation_nor_installation() -> None:
    """A program that opens an environment or runs commands pays for neither: the import has to stay below 40 ms."""
    modules = loaded("from venvrunner import VenvRunner")
    own = {name for name in modules if name.startswith("venvrunner")}
    light = {f"venvrunner._install{name}" for name in ("", ".options", ".pip_settings", ".receipt")}
    assert {name for name in own if name.startswith(("venvrunner._create", "venvrunner._install"))} == light
    assert len(own) <= 65  # one of them is the clock that no test can freeze, which every timeout needs
    assert not modules & {"json", "zlib", "shutil", "tempfile", "socket", "shlex"} - loaded("import subprocess")


def test_the_import_of_a_runner_compiles_no_annotation() -> None:
    """The first string that typing compiles costs 2 ms: it makes Python create the types of all syntax trees."""
    code = """
import sys
def note(event, args):
    if event == "compile" and args[1] == "<string>" and not args[0].startswith(b"lambda"):  # a named tuple compiles one
        print(args[0])
sys.addaudithook(note)
from venvrunner import FakeVenvRunner, VenvRunner
print(VenvRunner.__name__)
"""
    assert run_python(code).stdout == "VenvRunner\n"


def test_the_package_itself_loads_none_of_its_modules() -> None:
    """A plugin that imports it and never uses it pays for one small file."""
    assert {name for name in loaded("import venvrunner") if name.startswith("venvrunner")} == {"venvrunner"}


def test_the_async_call_is_what_loads_asyncio() -> None:
    """The check above can fail."""
    run = "asyncio.run(subprocess_util.async_log_run([sys.executable, '-S', '-c', '']))"
    assert "asyncio" in loaded(f"import sys; from venvrunner import subprocess_util\nimport asyncio; {run}")


def calls_before_the_start(run: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the functions of the package that are called until a command is started, without comprehensions."""
    calls: list[str] = []

    def note(frame: FrameType, event: str, _arg: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(f"{ROOT}{os.sep}") and not code.co_name.startswith("<"):
            calls.append(code.co_name)

    def start(*_args: object, **_options: object) -> None:
        sys.setprofile(None)
        raise FileNotFoundError

    run()  # the first call imports
    before = sys.getprofile()
    gc.collect()
    gc.disable()  # or finalizers of what other tests have left might be among the calls
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", start)
        sys.setprofile(note)
        try:
            with pytest.raises(FileNotFoundError):
                run()
        finally:
            sys.setprofile(before)
            gc.enable()
    return calls


def test_few_calls_lead_to_the_start_of_a_command(venv: venvrunner.VenvRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is slow just after another process had the core. It was 127 and 238 once; who needs more gives the reason here."""
    log_run = venvrunner.subprocess_util.log_run
    found = calls_before_the_start(lambda: log_run([sys.executable, "-S", "-c", ""]), monkeypatch)
    assert 0 < len(found) <= 63, found
    found = calls_before_the_start(lambda: venv.log_run(["python", "-S", "-c", ""]), monkeypatch)
    assert 0 < len(found) <= 119, found
