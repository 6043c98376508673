"""One installation from start to end, written once for sync and async calls."""

import json
import logging
import os
import subprocess
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, cast

from venvrunner._create import cache
from venvrunner._install.credentials import secrets_of, secrets_of_variables, texts_of
from venvrunner._install.expected import ASK, expected_names
from venvrunner._install.format_control import NO_LIMITS, Limits, limits_of
from venvrunner._install.inherited_metadata import linked_metadata
from venvrunner._install.installer import Installer, Target
from venvrunner._install.inventory import look
from venvrunner._install.locked_file import requirement_lines
from venvrunner._install.metadata import Distribution, versions
from venvrunner._install.options import HEARTBEAT
from venvrunner._install.pylock import Lock, LockText, unusable
from venvrunner._install.receipt import Receipt
from venvrunner._install.report import packages_of
from venvrunner._install.request import Request
from venvrunner._install.requirement_forms import shown
from venvrunner._install.steps import Call, Steps
from venvrunner._install.uv_settings import origins
from venvrunner._process.invocation import CompletedCommand
from venvrunner._process.loggers import log_method
from venvrunner._redaction import Redactor
from venvrunner._venv.paths import absolute
from venvrunner.exceptions import CommandError, CommandTimeoutError, InvalidPathError, NotInstalledError

__tracebackhide__ = True

_SHOWN = 1000
"""Maximum number of characters of an installer's output in a note."""
_SETTINGS = "settings.toml"
"""The name of the file with the user's settings, without those that would redirect an installation."""


def install(installer: Installer, request: Request, target: Target, options: Mapping[str, Any]) -> Steps[Receipt]:
    """Yield the commands of an installation, be sent their outcomes, and return the receipt.

    Raises:
        InstallationError: the installation failed.
        LockFileError: the lock file does not match the environment.
    """
    parts, what = [request], _named(request)
    if request.lock is not None:
        what = [request.lock.path]
        parts = yield from _unlocked(installer, request, request.lock, target, options)
    commands: list[list[str]] = []
    variables = {**target.variables, **_added(options)}
    reports: list[str] = []
    why, secrets = "", set[str]()
    files: list[str] = []
    expected: set[str] = set()
    for number, part in enumerate(parts):
        expected |= expected_names(part)
        public, texts, hidden = _public(part, target, f"requirements-{number}.txt")
        files += texts
        secrets |= hidden
        reports.append(os.path.join(target.directory, f"report-{number}.json"))
        command, why = installer.reported(installer.install(public, target.python), reports[-1], variables)
        commands.append(command)
    keywords = _keywords(installer, request, target, options)
    around = nullcontext() if installer.starts_python else linked_metadata(target.venv_dir)
    limits = limits_of({**target.variables, **_added(keywords)}, files)
    aim = _Aim(what, "installed", limits, expected, lambda: why or _packages(reports))
    return (yield from _change(commands, target, keywords, secrets, aim, around))


def lock(
    installer: Installer, request: Request, target: Target, options: Mapping[str, Any], output: str, *, universal: bool = False
) -> Steps[subprocess.CompletedProcess[str]]:
    """Yield the command that resolves a request and writes a lock file, and be sent its outcome.

    Args:
        installer: the installer whose resolver is used.
        request: what to resolve; it must not name a lock file.
        target: the environment that the packages are selected for; nothing is installed into it.
        options: the keywords of the call.
        output: the path of the lock file, which must not exist; relative paths in it start at its directory.
        universal: resolve for all platforms and Pythons.

    Raises:
        InstallationError: the request cannot be resolved.
        InstallerNotFoundError: the installer is too old.
    """
    public, files, secrets = _public(request, target, "requirements.txt")
    command, lines = installer.lock(public, target.python, output, universal=universal)
    if lines:
        command.append(_write(target, "requirements.in", "\n".join(lines)))
    keywords = _keywords(installer, request, target, options)
    limits = limits_of({**target.variables, **_added(keywords)}, files)
    done = yield from _perform([command], target, keywords, secrets, _Aim(_named(request), "locked", limits))
    return done[0]


def build_wheel(
    installer: Installer, request: Request, target: Target, options: Mapping[str, Any], output: str
) -> Steps[subprocess.CompletedProcess[str]]:
    """Yield the command that builds the wheel of one local project, and be sent its outcome.

    Args:
        installer: the installer that runs the build.
        request: the project as its one requirement, and where the requirements of its build come from.
        target: the environment that the wheel is for; nothing is installed into it.
        options: the keywords of the call.
        output: the directory that the wheel is written to.

    Raises:
        BuildFailedError: the project cannot be built.
    """
    public, files, secrets = _public(request, target, "requirements.txt")
    keywords = _keywords(installer, request, target, options)
    limits = limits_of({**target.variables, **_added(keywords)}, files)
    aim = _Aim(_named(request), "built", limits)
    done = yield from _perform([installer.wheel(public, target.python, output)], target, keywords, secrets, aim)
    return done[0]


def _named(request: Request) -> list[str]:
    """Return the names of what is requested, for messages."""
    return [*map(shown, (*request.requirements, *request.editable)), *request.requirements_files]


def _public(request: Request, target: Target, name: str) -> tuple[Request, list[str], set[str]]:
    """Write the values with credentials to a file of a given name, since every user can see the arguments of a process.

    Returns:
        the request with the file instead of these values, the texts of its files, and the secrets in both.
    """
    public, lines = request.without_secrets()
    if lines:
        path = _write(target, name, "\n".join(lines))
        public = public._replace(requirements_files=(*public.requirements_files, path))
    texts = list(texts_of([*public.requirements_files, *public.constraints, *public.build_constraints], target.variables))
    return public, texts, secrets_of([*lines, *texts])


def _keywords(installer: Installer, request: Request, target: Target, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of an installer's command, with the variables for the request."""
    given = cast("Mapping[str, str | None]", options.get("extra_env") or {})
    index = {} if request.index_url is None else {installer.index_variable: request.index_url}
    overruled = _overruled(installer, target, {**options, "extra_env": {**given, **index}}, is_exact=request.lock is not None)
    return {**options, "extra_env": {**given, **index, **overruled}}


def _check(
    receipt: Receipt, packages: Collection[str], expected: Collection[str], target: Target, options: Mapping[str, Any]
) -> Steps[None]:
    """Check that the installer has installed the expected packages.

    Args:
        receipt: the receipt of the installer.
        packages: the names of the packages that are installed now.
        expected: the names of the packages that must be installed.
        target: the environment.
        options: the keywords of the call.

    Raises:
        NotInstalledError: neither the metadata nor the interpreter knows a package.
    """
    unknown = sorted(name for name in expected if name not in packages)
    if not unknown:
        return
    asked = yield _ask(target, [target.python, "-I", "-c", ASK, *unknown], options, check=False)
    if names := [name for name in unknown if name in asked.stdout.split()]:
        redactor = Redactor(options["secrets"])
        shown = redactor.mask_all(receipt.args)
        error = NotInstalledError(0, receipt.args, receipt.stdout, receipt.stderr, shown=shown, packages=names)
        error.add_note(f"The installer's last lines:\n{redactor.mask(receipt.stdout + receipt.stderr)[-_SHOWN:].strip()}")
        error.add_note(
            "A setting may redirect packages, exclude them or cause a dry run: check env=, extra_env= and configuration files."
        )
        raise error


def _overruled(
    installer: Installer, target: Target, options: Mapping[str, Any], *, is_exact: bool = False
) -> dict[str, str | None]:
    """Return the variables that keep the user's configuration from redirecting an installation, or limiting an exact one."""
    extra = cast("Mapping[str, str | None]", options.get("extra_env") or {})
    env = {name: value for name, value in {**target.variables, **extra}.items() if value is not None}
    cwd = absolute(options.get("cwd") or os.curdir)
    variables, text = installer.overruled(env, target.venv_dir, cwd, is_exact=is_exact)
    return {**_home(env), **variables, **({installer.file_variable: _write(target, _SETTINGS, text)} if text else {})}


def _users_own(target: Target) -> Callable[[str], str]:
    """Return a function that replaces the name of our settings file in a message with the names of the user's files."""
    path = os.path.join(target.directory, _SETTINGS)
    try:
        with open(path, encoding="utf-8") as file:
            names = ", ".join(origins(file.readline()))
    except FileNotFoundError:
        return str
    return lambda text: text.replace(path, names)


def _home(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that pip and uv need without a home directory: pip would crash, and uv requires a cache."""
    found: dict[str, str] = {}
    if not os.path.isabs(env.get("HOME", os.path.expanduser("~"))):
        found["HOME"] = os.sep  # as containers set it for an unknown user
    if "UV_CACHE_DIR" not in env and cache.usual_location("uv") is None:
        found["UV_NO_CACHE"] = "1"
    return found


def _unlocked(
    installer: Installer, request: Request, lock: Lock, target: Target, options: Mapping[str, Any]
) -> Steps[list[Request]]:
    """Return the requests that install what a lock file selects for the environment; files with a hash come first."""
    from venvrunner._install.selection import has_other_commit, is_other_file, select  # slow to import

    description = yield from _described(target, options)
    files, requirements, editable, remark = select(lock, description, require_hashes=request.require_hashes)
    if remark:
        log_method(options.get("logger") or logging.getLogger("venvrunner"), "warning")(remark)
    present = yield from look(target.venv_dir, target.variables, options)
    parts: list[Request] = []
    if files or not (requirements or editable):
        name, text = installer.lock_file(files)
        if request.has_sources():
            name, text = "locked.txt", "\n".join(requirement_lines(files, indexed=True))
        path = _write(target, name, text)
        part = request._replace(lock=None, requirements_files=(path,), require_hashes=True, deps=False)
        parts.append(part._replace(reinstall=any(is_other_file(present, file) for file in files)))
    if requirements or editable:
        # Separately: if one file needs a hash, an installer requires hashes for all, and a directory has none.
        part = request._replace(lock=None, requirements=requirements, editable=editable, deps=False)
        parts.append(part._replace(reinstall=has_other_commit(requirements, present)))
    return parts


def _described(target: Target, options: Mapping[str, Any]) -> Steps[str]:
    """Return what :mod:`.describe` prints about the environment's interpreter.

    The ``packaging`` of this program may be too new for it; that of the pip that serves it is not.
    """
    import packaging  # only for its path

    from venvrunner._install.bundled_pip import pip_wheel  # rarely needed

    command = [target.python, "-I", "-S", _program("describe")]
    described = yield _ask(target, [*command, str(packaging.__file__)], options, check=False)
    if described.returncode:
        described = yield _ask(target, [*command, pip_wheel(target.venv_dir)], options)
    return described.stdout


def _program(name: str) -> str:
    """Return the path of a module in this package that is run as a program."""
    return os.path.join(os.path.dirname(__file__), f"{name}.py")


def _ask(target: Target, argv: list[str], options: Mapping[str, Any], *, check: bool = True) -> Call:
    """Return the call of an interpreter whose output is not logged."""
    quiet = {"stdout_loglevel": None, "stderr_loglevel": None, "env": target.variables, "check": check}
    return Call(argv, {**{name: options[name] for name in ("logger", "timeout") if name in options}, **quiet})


def fetch_lock(lock: str, python: str, options: Mapping[str, Any]) -> Steps[LockText]:
    """Yield the command that fetches a lock file from a URL, be sent its outcome, and return the file.

    Raises:
        LockFileError: the file cannot be fetched.
    """
    quiet = {"stdout_loglevel": None, "stderr_loglevel": None, "input": lock, "env": options.get("env")}
    kept = {name: options[name] for name in ("logger", "timeout", "extra_env") if name in options}
    try:
        done = yield Call([python, "-I", _program("fetch")], {**kept, **quiet})
    except CommandError as exc:
        raise unusable(lock, str(exc.stderr).strip()) from None
    return LockText(lock, done.stdout)


def _write(target: Target, name: str, text: str) -> str:
    path = os.path.join(target.directory, name)
    try:
        with open(path, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(f"{text}\n")
    except OSError as exc:
        msg = f"the temporary file {path!r} cannot be written: {exc.strerror or exc}. Free some space, or set TMPDIR."
        raise InvalidPathError(msg) from exc
    return path


def uninstall(installer: Installer, names: list[str], target: Target, options: Mapping[str, Any]) -> Steps[Receipt]:
    """Yield the command that removes packages, be sent its outcome, and return the receipt; see :func:`install`."""
    given = cast("Mapping[str, str | None]", options.get("extra_env") or {})
    keywords = {**options, "extra_env": {**given, **_overruled(installer, target, options)}}
    aim = _Aim(names, "removed")
    return (yield from _change([installer.uninstall(names, target.python)], target, keywords, set(), aim, nullcontext()))


class _Aim(NamedTuple):
    """The purpose of a change.

    Attributes:
        what: the packages, for messages.
        verb: the verb for messages.
        limits: the forbidden kinds of files.
        expected: the names of the packages that must be installed then.
        packages: returns what the installer reports to have installed, or why that is unknown.
    """

    what: list[str]
    verb: str
    limits: Limits = NO_LIMITS
    expected: Collection[str] = ()
    packages: Callable[[], list[dict[str, Any]] | str] = lambda: "the call has removed packages"


def _packages(reports: list[str]) -> list[dict[str, Any]] | str:
    """Return the packages in the reports of an installer, or why they are unknown."""
    found: list[dict[str, Any]] = []
    try:
        for path in reports:
            with open(path, encoding="utf-8") as file:
                found += packages_of(json.load(file))
    except (OSError, ValueError, LookupError, TypeError) as exc:
        return f"the report of pip cannot be read ({type(exc).__name__})"
    return found


def _change(
    commands: list[list[str]],
    target: Target,
    options: Mapping[str, Any],
    secrets: set[str],
    aim: _Aim,
    around: AbstractContextManager[None],
) -> Steps[Receipt]:
    before = yield from look(target.venv_dir, target.variables, options)
    with around:
        done = yield from _perform(commands, target, options, secrets, aim, before)
    after = yield from look(target.venv_dir, target.variables, options)
    receipt = _receipt(_joined(done), before, after, aim.packages())
    if all(isinstance(one, CompletedCommand) for one in done):  # a patched log_run installs nothing
        secret = {"secrets": _all_secrets(options, secrets, target.variables)}
        yield from _check(receipt, after, aim.expected, target, {**options, **secret})
    return receipt


def _perform(
    commands: list[list[str]],
    target: Target,
    options: Mapping[str, Any],
    secrets: set[str],
    aim: _Aim,
    before: Mapping[str, Distribution] | None = None,
) -> Steps[list[subprocess.CompletedProcess[str]]]:
    """Yield the commands of an installer, and return what they completed with.

    Args:
        commands: the command lines.
        target: the environment.
        options: the keywords of the call.
        secrets: strings to mask.
        aim: the purpose, for messages.
        before: the packages that are installed now; ``None`` if the commands do not change them.

    Raises:
        InstallationError: the installer failed; a note has its reason.
    """
    keywords: dict[str, Any] = {
        "heartbeat": HEARTBEAT,
        **options,
        "env": target.variables,
        "secrets": _all_secrets(options, secrets, target.variables),
    }
    # A killed installer cannot remove its temporary files, so it gets a temporary directory of ours. And uv breaks lines at the
    # width of the terminal, including those of a build.
    own = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), target.directory) | {"COLUMNS": "1000"}
    keywords["extra_env"] = own | dict(options.get("extra_env") or {})
    done: list[subprocess.CompletedProcess[str]] = []
    try:
        for argv in commands:
            done.append((yield Call(argv, keywords)))  # noqa: PERF401  a generator cannot yield in a comprehension
    except CommandError as exc:
        from venvrunner._install.failures import explained  # slow to import, and few installations fail

        if before is not None:
            _note_changes(exc, before, (yield from look(target.venv_dir, target.variables, options)))
        mask, users_own = Redactor(keywords["secrets"]).mask, _users_own(target)
        error = explained(
            exc, aim.what, lambda text: mask(users_own(text)), aim.limits, verb=aim.verb, keep=options.get("keep")
        )
        error.__notes__ = list(map(users_own, getattr(error, "__notes__", ())))
        raise error from None
    except CommandTimeoutError as exc:
        if before is not None:
            _note_changes(exc, before, (yield from look(target.venv_dir, target.variables, options)))
        raise
    return done


def _joined(done: list[subprocess.CompletedProcess[str]]) -> subprocess.CompletedProcess[str]:
    """Return one completed process for several: the last command line, and the output of all."""
    if len(done) == 1:
        return done[0]
    stdout, stderr = "".join(one.stdout for one in done), "".join(one.stderr for one in done)
    return subprocess.CompletedProcess(done[-1].args, done[-1].returncode, stdout, stderr)


def _all_secrets(options: Mapping[str, Any], secrets: set[str], variables: Mapping[str, str]) -> list[str]:
    given = options.get("secrets") or ()
    return [*given, *sorted(secrets | secrets_of_variables({**variables, **_added(options)}))]


def _added(options: Mapping[str, Any]) -> dict[str, str]:
    extra = cast("Mapping[str, object]", options.get("extra_env") or {})
    return {name: value for name, value in extra.items() if isinstance(value, str)}


def _note_changes(error: BaseException, before: Mapping[str, Distribution], after: Mapping[str, Distribution]) -> None:
    if shown := _receipt(subprocess.CompletedProcess([], 0), before, after).table():
        error.add_note(f"Changed before it failed:\n{shown}")


def _receipt(
    done: subprocess.CompletedProcess[str],
    before: Mapping[str, Distribution],
    after: Mapping[str, Distribution],
    packages: list[dict[str, Any]] | str = "",
) -> Receipt:
    old, new = ({name: one.source for name, one in side.items() if one.source is not None} for side in (before, after))
    return Receipt(done, versions(before), versions(after), old, new, packages)
