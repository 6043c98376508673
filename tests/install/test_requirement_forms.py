"""Every form of a requirement, and what pip and uv make of it: the corpus of `requirement_forms.toml` against both."""

import hashlib
import json
import os
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from helpers.index_server import dated_index, forget_settings
from helpers.waiting import DEADLINE
from helpers.wheels import make_wheel
from venvrunner import InstallationError, InvalidRequirementError, VenvRunner
from venvrunner._install.pip import Pip
from venvrunner._install.request import make_request
from venvrunner._install.uv import Uv

CORPUS = tomllib.loads(Path(__file__).with_name("requirement_forms.toml").read_text(encoding="utf-8"))

_PROJECT = """[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "mine"
version = "1.0"
[project.optional-dependencies]
test = ["pocket"]
"""
_BACK_END = """import os, shutil
def build_wheel(folder, config_settings=None, metadata_directory=None):
    return os.path.basename(shutil.copy({wheel!r}, folder))
build_editable = build_wheel
"""


class Case(NamedTuple):
    """A row of the corpus, with the answers of pip and uv."""

    text: str
    is_editable: bool
    answers: dict[str, str]


def is_possible(name: str) -> bool:
    """Return whether a directory can have a name on this system."""
    return os.name != "nt" or not set(name) & set(':*?"<>|\\/')


IMPOSSIBLE = [name for name in CORPUS["directories"] if not is_possible(name)]
CASES = [
    Case(text, name == "editable", {"pip": answers[0], "uv": answers[-1]})
    for name in ("requirements", "editable")
    for text, *answers in CORPUS[name]
    if not any(name in text for name in IMPOSSIBLE)
]


class Target(NamedTuple):
    """Where the corpus is at home."""

    root: Path
    http: str

    def filled(self, text: str) -> str:
        """Return a text of the corpus with this place in it."""
        digest = hashlib.sha256((self.root / "pocket-1.0-py3-none-any.whl").read_bytes()).hexdigest()
        for name, value in {"root": str(self.root), "url": self.root.as_uri(), "http": self.http, "sha256": digest}.items():
            text = text.replace(f"{{{name}}}", value)
        return text


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A directory with all that the corpus names, which is served too."""
    root = tmp_path_factory.mktemp("forms").resolve()
    make_wheel(root, "pocket")
    (root / "r.txt").write_text("pocket\n")
    wheels = tmp_path_factory.mktemp("wheels")
    extra = "Provides-Extra: test\nRequires-Dist: pocket; extra == 'test'\n"
    wheel = make_wheel(wheels, "mine", metadata=extra)
    for name in filter(is_possible, CORPUS["directories"]):
        (root / name).mkdir()
        (root / name / "pyproject.toml").write_text(_PROJECT)
        (root / name / "backend.py").write_text(_BACK_END.format(wheel=str(wheel)))
    with dated_index(root) as http:
        yield Target(root, http)


@pytest.fixture
def place(corpus: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Target:
    """The same, as the working directory, without the user's settings."""
    forget_settings(monkeypatch, tmp_path)
    monkeypatch.chdir(corpus.root)
    return corpus


BUILDERS: dict[str, Pip | Uv] = {"pip": Pip(()), "uv": Uv("uv")}


def command_line(case: Case, installer: str, place: Target) -> list[str] | None:
    """Return the arguments after `install`; `None` for what is refused before an installer starts."""
    text = place.filled(case.text)
    try:
        request = make_request([], {"editable": [text]}) if case.is_editable else make_request([text], {})
        argv = BUILDERS[installer].install(request, "python")
    except InvalidRequirementError:
        return None
    return argv[argv.index("install") + 1 :]


@pytest.mark.parametrize("installer", BUILDERS)
def test_what_is_refused_is_known_before_anything_starts(installer: str, place: Target) -> None:
    """And what is accepted is one argument, without a blank before a dash."""
    for case in CASES:
        argv = command_line(case, installer, place)
        assert (argv is None) == (case.answers[installer] == "refused"), (case.text, argv)
        if argv is not None:
            rest = [word for word in argv if not word.startswith(("--python=", "--no-progress"))]
            assert len(rest) == 2, (case.text, rest)
            assert rest.count("--") == 1


def test_a_checked_requirement_is_the_same_when_checked_again(place: Target) -> None:
    """It travels: in a specification, from one process of a test run to another."""
    for case in CASES:
        if not case.is_editable and set(case.answers.values()) != {"refused"}:
            once = make_request([place.filled(case.text)], {}).requirements
            assert make_request(once, {}).requirements == once, case.text


_PIP = """
import contextlib, io, json, logging, sys
from pip._internal.cli.main import main
answers = []
for argv in json.load(sys.stdin):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            status = main(argv)
        except SystemExit as exc:
            status = exc.code
    answers.append([status, said.getvalue()])
print(json.dumps(answers))
"""


def ask_pip(venv: VenvRunner, lines: list[list[str]]) -> list[tuple[int, str]]:
    """Let one pip do all of it: it takes a second to start."""
    options = ["install", "--dry-run", "--no-index", "--find-links=.", "--no-build-isolation", "--disable-pip-version-check"]
    done = venv.log_run(["python", "-c", _PIP], input=json.dumps([[*options, *line] for line in lines]), timeout=30 * DEADLINE)
    return [tuple(answer) for answer in json.loads(done.stdout.splitlines()[-1])]


def ask_uv(venv: VenvRunner, lines: list[list[str]]) -> list[tuple[int, str]]:
    """Let uv do each."""
    options = [Uv.bundled().path, "pip", "install", "--dry-run", "--no-index", "--find-links=.", f"--python={venv.venv_dir}"]
    found = []
    for line in lines:
        done = subprocess.run([*options, *line], capture_output=True, text=True, check=False, timeout=DEADLINE)
        found.append((done.returncode, done.stdout + done.stderr))
    return found


def would_install(answer: tuple[int, str]) -> str:
    """Return what a dry run would install, as the corpus has it."""
    status, said = answer
    if status:
        return "failed"
    names = [name for name in ("mine", "pocket") if f" + {name}" in said]
    for line in said.splitlines():
        if line.startswith("Would install ") and not line.endswith(("package", "packages")):
            names += [word.rpartition("-")[0] for word in line.split()[2:]]
    return " ".join(sorted(names))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> VenvRunner:
    """An environment with a pip to ask, and nothing else."""
    return VenvRunner("target", tmp_path_factory.mktemp("forms"))


@pytest.mark.slow
def test_each_installer_does_what_the_corpus_says(place: Target, target: VenvRunner) -> None:
    """With each form as it is handed on; and what both take by themselves, to the same end, is never refused."""
    asked: dict[str, Any] = {"pip": ask_pip, "uv": ask_uv}
    raw: dict[str, list[str]] = {}
    wrong: list[tuple[str, str, str, str]] = []
    for installer, ask in asked.items():
        plain = [
            ["--editable", place.filled(text)] if is_editable else ["--", place.filled(text)] for text, is_editable, _ in CASES
        ]
        raw[installer] = list(map(would_install, ask(target, plain)))
        accepted = [(case, line) for case in CASES if (line := command_line(case, installer, place)) is not None]
        lines = [[word for word in line if not word.startswith(("--python=", "--no-progress"))] for _case, line in accepted]
        for (case, _line), answer in zip(accepted, ask(target, lines), strict=True):
            if would_install(answer) != case.answers[installer]:
                wrong.append((installer, case.text, would_install(answer), answer[1][-300:]))
    assert not wrong
    for case, pip, uv in zip(CASES, raw["pip"], raw["uv"], strict=True):
        if pip == uv != "failed":
            assert case.answers == {"pip": pip, "uv": uv}, case.text


def test_a_hashed_file_without_a_name_is_explained(place: Target, tmp_path: Path) -> None:
    """uv reads the file itself."""
    (tmp_path / "r.txt").write_text(place.filled("{url}/pocket-1.0-py3-none-any.whl#sha256={sha256}"))
    with VenvRunner.temporary(with_pip=False, installer="uv") as venv, pytest.raises(InstallationError) as caught:
        venv.install(requirements_files=[tmp_path / "r.txt"], no_index=True)
    assert "'NAME @ file:...#...'" in caught.value.__notes__[-1]
