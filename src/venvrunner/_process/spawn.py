"""Start of a command: the only place that calls ``Popen``, for all drivers."""

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
    """Start a command, and return the source of its output.

    Args:
        command: the command.
        numbers: the streams to read: 1 and 2, or fewer; the child inherits the others from this process.
        wake: called from other threads when a pipe has data, on systems where pipes can't be waited for.

    Raises:
        OSError, KeyError, subprocess.SubprocessError: it cannot be started; the message says why, and shows no secret.
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
    except Exception as exc:  # noqa: BLE001  a new one is raised: the frames of this one show the arguments
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
    """Return a command line and its keywords, with the program looked up on the command's own ``PATH``."""
    from venvrunner._process import windows_programs  # Windows only

    env: Any = options.get("env") or os.environ
    path = next((value for name, value in env.items() if variable_name(name) == "PATH"), None) or default_path()
    line, program = windows_programs.prepared(argv, options.get("executable"), path, system_root())
    return line, {**options, "executable": program}


def _open(argv: list[str], options: dict[str, Any]) -> Any:
    """Return a new ``Popen``. If it raises after the child was started, kill the child."""
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
    """Return the process tree of a new process on Windows; ``None`` elsewhere, where it leads a session.

    Raises:
        ContainmentError: the command is to be contained, and that is not possible.
        OSError: the process cannot be resumed.
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
        msg = f"contain=True is not possible here: the command cannot be put into a job object ({exc}). Leave out contain=True."
        raise ContainmentError(msg) from None


def _subreaper() -> "Subreaper":
    from venvrunner._process.subreaper import Subreaper  # few need it

    return Subreaper()


def is_replaced() -> bool:
    """Return whether ``subprocess.Popen`` is replaced, by a mock for instance."""
    popen: object = subprocess.Popen
    return not (isinstance(popen, type) and popen.__module__ == "subprocess")


def _has_descriptors(process: Any) -> bool:
    """Return whether a process has real pipes, unlike a mocked ``Popen``."""
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
