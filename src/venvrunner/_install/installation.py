"""One installation from its beginning to its end, written once for the sync and the async call."""

import os
import subprocess
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping
from typing import Any, NamedTuple, Protocol, cast

from venvrunner._create.fork import package_folders
from venvrunner._install.credentials import secrets_of, secrets_of_variables, texts_of
from venvrunner._install.explanation import explained
from venvrunner._install.metadata import installed
from venvrunner._install.receipt import Receipt, table
from venvrunner._install.request import Request
from venvrunner.exceptions import CommandError, CommandTimeoutError


class Installer(Protocol):
    """Builds command lines, and runs nothing."""

    def install(self, request: Request, python: str) -> list[str]:
        """Return the command line for an installation."""
        ...

    def uninstall(self, names: Iterable[str], python: str) -> list[str]:
        """Return the command line that removes packages."""
        ...


class Call(NamedTuple):
    """A command that is to be run, with the keywords of ``log_run``."""

    argv: list[str]
    options: dict[str, Any]


Steps = Generator[Call, subprocess.CompletedProcess[str], Receipt]


class Place(NamedTuple):
    """Where something is installed.

    Args:
        venv_dir: the environment.
        python: its interpreter.
        folder: a temporary folder, which only this user can read.
        variables: the environment variables of the installer.
    """

    venv_dir: str
    python: str
    folder: str
    variables: Mapping[str, str]


def install(installer: Installer, request: Request, place: Place, options: Mapping[str, Any]) -> Steps:
    """Yield the command of an installation, be sent its outcome, and return the receipt.

    Raises:
        InstallationError: it failed.
    """
    public, lines = request.without_secrets()
    if lines:
        path = os.path.join(place.folder, "requirements.txt")
        with open(path, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write("".join(f"{line}\n" for line in lines))
        public = public._replace(requirements_files=(*public.requirements_files, path))
    secrets = secrets_of(lines) | secrets_of(texts_of([*request.requirements_files, *request.constraints]))
    return (yield from _change(installer.install(public, place.python), place, options, secrets))


def uninstall(installer: Installer, names: list[str], place: Place, options: Mapping[str, Any]) -> Steps:
    """Same as :func:`install`, but removes packages."""
    return (yield from _change(installer.uninstall(names, place.python), place, options, set()))


def _change(argv: list[str], place: Place, options: Mapping[str, Any], secrets: set[str]) -> Steps:
    folders = package_folders(place.venv_dir)
    before = installed(folders)
    keywords = {**options, "env": place.variables, "secrets": _all_secrets(options, secrets, place.variables)}
    # An installer that is ended can't remove what it unpacked, so it gets a temporary folder of its own.
    keywords["extra_env"] = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), place.folder) | dict(options.get("extra_env") or {})
    try:
        done = yield Call(argv, keywords)
    except CommandError as exc:
        error = explained(exc)
        _note_changes(error, before, installed(folders))
        raise error from None
    except CommandTimeoutError as exc:
        _note_changes(exc, before, installed(folders))
        raise
    return Receipt(done, before, installed(folders))


def _all_secrets(options: Mapping[str, Any], secrets: set[str], variables: Mapping[str, str]) -> list[str]:
    extra = cast("Mapping[str, object]", options.get("extra_env") or {})
    added = {name: value for name, value in extra.items() if isinstance(value, str)}
    given = options.get("secrets") or ()
    return [*given, *sorted(secrets | secrets_of_variables({**variables, **added}))]


def _note_changes(error: BaseException, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    receipt = Receipt(subprocess.CompletedProcess([], 0), before, after)
    if shown := table(receipt.added, receipt.changed, receipt.removed):
        error.add_note(f"Changed before it failed:\n{shown}")


def run(steps: Steps, perform: Callable[[Call], subprocess.CompletedProcess[str]]) -> Receipt:
    """Do the steps one after the other."""
    try:
        call = next(steps)
        while True:
            try:
                done = perform(call)
            except BaseException as exc:  # noqa: BLE001  the steps decide what becomes of it
                call = steps.throw(exc)
            else:
                call = steps.send(done)
    except StopIteration as end:
        receipt: Receipt = end.value
        return receipt


async def run_async(steps: Steps, perform: Callable[[Call], Coroutine[Any, Any, subprocess.CompletedProcess[str]]]) -> Receipt:
    """Same as :func:`run`, but a coroutine."""
    try:
        call = next(steps)
        while True:
            try:
                done = await perform(call)
            except BaseException as exc:  # noqa: BLE001  the steps decide what becomes of it
                call = steps.throw(exc)
            else:
                call = steps.send(done)
    except StopIteration as end:
        receipt: Receipt = end.value
        return receipt
