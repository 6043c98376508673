"""The one start of every command, whoever waits for it."""

import os
import subprocess
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from venvrunner._process import failures
from venvrunner._process.child import Child
from venvrunner._process.command import Command
from venvrunner._process.native import default_path, system_root, variable_name
from venvrunner._process.session import HAS_JOBS, HAS_SELECTABLE_PIPES, KILL, Group, group_of, is_child, start_options
from venvrunner._process.source import Source
from venvrunner.exceptions import ContainmentError

if TYPE_CHECKING:
    from venvrunner._process.subreaper import Subreaper

__tracebackhide__ = True


def start(command: Command, numbers: Iterable[int], wake: Any) -> Source:
    """Start a command, and return where its output comes from.

    Args:
        command: what to run.
        numbers: the streams to read: 1 and 2, or fewer; what is not read is inherited.
        wake: as for :class:`Child`.

    Raises:
        OSError, KeyError, subprocess.SubprocessError: it can't be started; the message says why, and shows no secret.
    """
    options: dict[str, Any] = {"bufsize": 0}
    if command.input is not None:
        options["stdin"] = subprocess.PIPE
    if numbers:
        options["stdout"] = subprocess.PIPE
        options["stderr"] = subprocess.STDOUT if command.merge_stderr else subprocess.PIPE
    argv, subreaper = command.argv, None
    try:
        options = {**start_options(command.popen), **options}
        if command.contain and not HAS_JOBS and not is_replaced():
            subreaper = _subreaper()
            argv, options = subreaper.wrap(argv, options, grace=command.grace)
        process = _open(argv, options)
        group = _tree_of(process, command)
        if subreaper is not None:
            subreaper.started()
    except Exception as exc:  # noqa: BLE001  raised afresh: the frames of the standard library show the arguments
        failure = failures.explained(exc, command)
        if subreaper is not None:
            subreaper.close()
    else:
        if HAS_SELECTABLE_PIPES and not _has_descriptors(process):
            from venvrunner._process.mocked_popen import faked_source  # tests only

            return faked_source(process, command)
        child = Child(process, numbers, command, subreaper, group)
        try:
            child.open(wake)
        except BaseException:
            child.kill()
            child.close()
            raise
        return child
    raise failure


def _on_windows(argv: list[str], options: dict[str, Any]) -> tuple[list[str] | str, dict[str, Any]]:
    """Return a command line and the keywords for it, with the program looked up in the command's own ``PATH``."""
    from venvrunner._process import windows_programs  # Windows only

    env: Any = options.get("env") or os.environ
    path = next((value for name, value in env.items() if variable_name(name) == "PATH"), None) or default_path()
    line, program = windows_programs.prepared(argv, options.get("executable"), path, system_root())
    return line, {**options, "executable": program}


def _open(argv: list[str], options: dict[str, Any]) -> Any:
    """Return what ``Popen`` returns. If it raises after the child was started, the child is ended."""
    if is_replaced():
        return subprocess.Popen(argv, **options)
    popen: type[subprocess.Popen[bytes]] = subprocess.Popen
    process = popen.__new__(popen)
    line: list[str] | str = argv
    if HAS_JOBS:
        line, options = _on_windows(argv, options)
    try:
        popen.__init__(process, line, **options)
    except Exception:
        if is_child(getattr(process, "pid", None)):
            group_of(process).send(KILL)
            process.wait()
        raise
    return process


def _tree_of(process: Any, command: Command) -> Group | None:
    """Return what ends a new process with all that it starts on Windows; elsewhere, it leads something of its own.

    Raises:
        ContainmentError: the command is to be contained, and that is not possible.
        OSError: it does not begin.
    """
    if not HAS_JOBS or is_replaced():
        return None
    from venvrunner._process.process_tree import tree_of  # it imports ctypes, which only Windows needs

    try:
        return tree_of(process, grace=command.grace if command.contain else None)
    except OSError as exc:
        process.kill()
        process.wait()
        if not command.contain:
            raise
        msg = f"contain=True is not possible here: the command could not be put into a job object ({exc}). Leave it out."
        raise ContainmentError(msg) from None


def _subreaper() -> "Subreaper":
    from venvrunner._process.subreaper import Subreaper  # few need it

    return Subreaper()


def is_replaced() -> bool:
    """Return whether ``subprocess.Popen`` is not that of the standard library."""
    popen: object = subprocess.Popen
    return not (isinstance(popen, type) and popen.__module__ == "subprocess")


def _has_descriptors(process: Any) -> bool:
    """Return whether the pipes of a process are pipes, unlike those of a faked ``Popen``."""
    if type(process.pid) is not int:
        return False
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            try:
                if type(pipe.fileno()) is not int:
                    return False
            except (AttributeError, OSError, ValueError):  # io.UnsupportedOperation is both
                return False
    return True
