"""Virtual environments as objects: create, install, run, with the output streamed and nothing left behind.

A name is loaded when it is first used: importing the package costs next to nothing, so that a pytest plugin or a command
line may import it and never use it.
"""

from importlib import import_module

TYPE_CHECKING = False  # typing.TYPE_CHECKING would cost the import of typing; type checkers know this form too
if TYPE_CHECKING:
    from venvrunner import subprocess_util
    from venvrunner.environment import get_clean_environment
    from venvrunner.exceptions import (
        BuildFailedError,
        CallError,
        CommandError,
        CommandStoppedError,
        CommandTimeoutError,
        ContainmentError,
        CreationError,
        ExitCodeLostError,
        ExpectationError,
        HashError,
        IndexUnreachableError,
        InstallationError,
        InstallerNotFoundError,
        InterpreterNotFoundError,
        InvalidCommandError,
        InvalidPathError,
        InvalidRequirementError,
        LockFileError,
        NoFittingVersionError,
        NoSuchPackageError,
        NotAVenvError,
        NotInstalledError,
        OutputDecodeError,
        RecordingError,
        VenvError,
        VenvExistsError,
        VenvInUseError,
    )
    from venvrunner.fake import FakeVenvRunner
    from venvrunner.installing import InstallOptions, LockOptions, Receipt
    from venvrunner.runner import Runner
    from venvrunner.spec import VenvSpec
    from venvrunner.subprocess_util import CompletedCommand, async_log_run, log_run
    from venvrunner.venv import VenvOptions, VenvRunner

__all__ = [
    "BuildFailedError",
    "CallError",
    "CommandError",
    "CommandStoppedError",
    "CommandTimeoutError",
    "CompletedCommand",
    "ContainmentError",
    "CreationError",
    "ExitCodeLostError",
    "ExpectationError",
    "FakeVenvRunner",
    "HashError",
    "IndexUnreachableError",
    "InstallOptions",
    "InstallationError",
    "InstallerNotFoundError",
    "InterpreterNotFoundError",
    "InvalidCommandError",
    "InvalidPathError",
    "InvalidRequirementError",
    "LockFileError",
    "LockOptions",
    "NoFittingVersionError",
    "NoSuchPackageError",
    "NotAVenvError",
    "NotInstalledError",
    "OutputDecodeError",
    "Receipt",
    "RecordingError",
    "Runner",
    "VenvError",
    "VenvExistsError",
    "VenvInUseError",
    "VenvOptions",
    "VenvRunner",
    "VenvSpec",
    "async_log_run",
    "get_clean_environment",
    "log_run",
    "subprocess_util",
]

_ELSEWHERE = {
    "CompletedCommand": "subprocess_util",
    "FakeVenvRunner": "fake",
    "InstallOptions": "installing",
    "LockOptions": "installing",
    "Receipt": "installing",
    "Runner": "runner",
    "VenvOptions": "venv",
    "VenvRunner": "venv",
    "VenvSpec": "spec",
    "async_log_run": "subprocess_util",
    "get_clean_environment": "environment",
    "log_run": "subprocess_util",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    if name == "subprocess_util":
        return import_module("venvrunner.subprocess_util")
    return getattr(import_module(f"venvrunner.{_ELSEWHERE.get(name, 'exceptions')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
