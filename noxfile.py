"""The checks of this project, each in an environment of its own: `nox -l` lists them."""

import glob
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

import nox
from packaging.requirements import Requirement

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.sessions = ["tests", "lint", "types"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
SUPPORTED = [
    name.rpartition(" ")[2] for name in PYPROJECT["project"]["classifiers"] if re.fullmatch(r".* :: Python :: 3\.\d+", name)
]
FETCHED = ["python3.14", "python3.15", "pypy3.11"]
"""What few machines have yet."""
PLATFORMS = os.environ.get("VENVRUNNER_PLATFORMS") or os.path.expanduser("~/.cache/venvrunner-platforms")
"""Where interpreters are kept that the session interpreters has fetched."""
NOT_POSSIBLE = 69
"""The exit status of what fetches them where that can't be done (EX_UNAVAILABLE in sysexits.h)."""
HOSTS_READ = {
    "github-workflows": glob.glob(".github/workflows/*.yml"),
    "github-issue-forms": [".github/ISSUE_TEMPLATE/bug.yml", ".github/ISSUE_TEMPLATE/feature.yml"],
    "github-issue-config": [".github/ISSUE_TEMPLATE/config.yml"],
    "dependabot": [".github/dependabot.yml"],
    "readthedocs": [".readthedocs.yaml"],
}
"""The kinds of files that the hosts of the repository and of the docs read."""
FULLY_COVERED = ["*/_process/lines.py", "*/_process/supervisor.py"]


def find_pythons() -> list[str]:
    """Return the supported versions that are on this machine, and put them on PATH with what was fetched.

    A shim on PATH may stand for a version that is not active, so each candidate has to prove its version.
    """
    os.environ["PATH"] += os.pathsep + os.path.join(PLATFORMS, "bin")
    found: list[str] = []
    for version in SUPPORTED:
        installed = glob.glob(os.path.expanduser(f"~/.pyenv/versions/{version}.*/bin/python{version}"))
        candidates = [shutil.which(f"python{version}"), *sorted(installed), sys.executable]
        for python in candidates:
            if python is not None and _version(python) == version:
                found.append(version)
                if os.path.basename(python).startswith(f"python{version}"):
                    os.environ["PATH"] = os.path.dirname(python) + os.pathsep + os.environ["PATH"]
                break
    if not found:
        msg = f"none of Python {', '.join(SUPPORTED)} was found! Install one of them."
        raise RuntimeError(msg)
    return found


def _version(python: str) -> str | None:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        return subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


PYTHONS = find_pythons()


def group(name: str) -> list[str]:
    """Return what a dependency group of pyproject.toml holds."""
    return list(nox.project.dependency_groups(PYPROJECT, name))


@nox.session(python=False)
def interpreters(session: nox.Session) -> None:
    """Fetch the newest Pythons and PyPy from Debian's packages, without installing anything; what is there stays."""
    done = subprocess.run([os.path.join(".ci", "get-interpreters"), PLATFORMS, *FETCHED], check=False)
    if done.returncode == NOT_POSSIBLE:
        session.skip(f"NOT TESTED on {', '.join(FETCHED)}: they can't be fetched on this machine!")
    if done.returncode:
        session.error("the interpreters can't be fetched; why, is said above")


@nox.session(python=SUPPORTED)
def tests(session: nox.Session) -> None:
    """Run the tests on every supported Python, in development mode; nox names those that are not on this machine."""
    session.install(*group("test"), "-e", ".")
    results = os.path.join(session.create_tmp(), "results.xml")
    if os.path.exists(results):  # of an earlier run
        os.remove(results)
    options = ["-m", "", *session.posargs]
    try:
        session.run("python", "-X", "dev", "-m", "pytest", f"--junitxml={results}", *options)
    finally:
        _write_figures(session, results, options)


def _write_figures(session: nox.Session, results: str, options: list[str]) -> None:
    """Write into the docs what a run of all tests gave, or of all but the slow ones."""
    last = options[len(options) - options[::-1].index("-m")]
    chosen = {"": "all", "not slow": "all but the slow ones"}.get(last)
    if chosen is not None and set(options) <= {"-m", "", "not slow", "-n", "auto", "2", "4"} and os.path.exists(results):
        version = session.run("python", "-c", "import platform; print(platform.python_version())", silent=True)
        session.run("python", os.path.join("tests", "platforms", "pythons.py"), results, str(version).strip(), chosen)


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure branch coverage of the whole package; pyproject.toml says what is required."""
    session.install(*group("test"), "-e", ".")
    session.run("python", "-m", "pytest", "-n", "auto", "-m", "", "--cov", *session.posargs)


@nox.session
def policy(session: nox.Session) -> None:
    """Require 100 % branch coverage of the process policy by its own tests alone; takes seconds."""
    session.install(*group("policy"), "-e", ".")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", "-q", "tests/process/test_lines.py", "tests/process/test_supervisor.py")
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report", f"--include={','.join(FULLY_COVERED)}", "--fail-under=100")
    session.run("coverage", "erase")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    session.install(*group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy and pyright, and that the public interface is typed completely."""
    # Not editable: pyright looks for py.typed in site-packages.
    session.install(*group("types"), ".")
    session.run("mypy")
    session.run("pyright")
    session.run("pyright", "--verifytypes", "venvrunner", "--ignoreexternal")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; every warning is an error."""
    session.install(*group("docs"), "-e", ".")
    session.run("sphinx-build", "-W", "-n", "--keep-going", "-q", "-b", "html", "docs", "docs/_build/html", *session.posargs)


@nox.session
def package(session: nox.Session) -> None:
    """Build the wheel and test it installed, where `src` can't be imported by accident."""
    session.install("build", *group("test"))
    with tempfile.TemporaryDirectory() as folder:
        # By way of the source distribution, so that this is tested too.
        session.run("python", "-m", "build", "--outdir", folder, ".")
        session.install(*glob.glob(os.path.join(folder, "*.whl")))
        for name in ("tests", "docs"):
            shutil.copytree(name, os.path.join(folder, name), ignore=shutil.ignore_patterns("_build", "__pycache__"))
        for name in ("CONTRIBUTING.md", "LICENSE", "README.md", "pyproject.toml"):
            shutil.copy(name, folder)
        with session.chdir(folder):
            session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def downstream(session: nox.Session) -> None:
    """Run the tests of antsibull-docs, a caller of the established interface, with its imports changed to this package."""
    name = "antsibull-docs"
    with tempfile.TemporaryDirectory() as folder:
        session.run("pip", "download", "--quiet", "--no-deps", f"--no-binary={name}", f"--dest={folder}", name)
        (archive,) = glob.glob(os.path.join(folder, "*.tar.gz"))
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        source = archive.removesuffix(".tar.gz")
        changed = [path for path in glob.glob(os.path.join(source, "**", "*.py"), recursive=True) if _change_imports(path)]
        if not changed:
            session.error(f"{name} does not import the established interface any more")
        session.install(".", f"{source}[test]")
        with session.chdir(source):
            session.run("python", "-m", "pytest", "-q", *session.posargs)


def _change_imports(path: str) -> bool:
    with open(path, encoding="utf-8") as file:
        text = file.read()
    changed = re.sub(r"\bantsibull_core\.(venv|subprocess_util)\b", r"venvrunner.\1", text)
    with open(path, "w", encoding="utf-8") as file:
        file.write(changed)
    return changed != text


@nox.session
def workflows(session: nox.Session) -> None:
    """Check the files that the hosts of the repository and of the docs read: their form, and that workflows are safe."""
    session.install(*group("workflows"))
    for schema, files in HOSTS_READ.items():
        session.run("check-jsonschema", f"--builtin-schema=vendor.{schema}", *files)
    session.run("zizmor", "--offline", "--persona=pedantic", ".github")


@nox.session(python=PYTHONS[0])
def minimums(session: nox.Session) -> None:
    """Run the tests with the lowest versions of the dependencies that pyproject.toml declares."""
    declared = [Requirement(text) for text in PYPROJECT["project"]["dependencies"]]
    session.install(*map(_lowest, declared), *group("test"), "-e", ".")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(venv_backend="none")
def windows(session: nox.Session) -> None:
    """Run Windows Python under Wine: what tests/platforms/windows.py checks, and some of the tests; about five minutes."""
    job = subprocess.run([sys.executable, os.path.join("tests", "platforms", "windows_job.py")], check=False)
    if job.returncode == NOT_POSSIBLE:
        session.skip("NOT TESTED: .ci/get-wine is not possible on this machine.")
    if job.returncode:
        session.error("the tests on Windows have failed")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the budgets, with the peers beside this package; not a part of the tests."""
    session.install(*group("bench"), ".")
    session.run("python", "tests/bench", *session.posargs)


def _lowest(requirement: Requirement) -> str:
    lowest = [clause.version for clause in requirement.specifier if clause.operator == ">="]
    if len(lowest) != 1:
        msg = f"{requirement} must have exactly one lower bound (>=)!"
        raise ValueError(msg)
    return f"{requirement.name}=={lowest[0]}"
