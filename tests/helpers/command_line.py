"""The console script `venvrunner`, as a real process."""

import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from helpers.programs import MEASURED, SOURCE
from helpers.waiting import DEADLINE

MODULE = [sys.executable, "-m", "venvrunner"]
_SCRIPT = Path(sysconfig.get_path("scripts"), "venvrunner")
PROGRAM = [str(_SCRIPT)] if _SCRIPT.exists() else MODULE
"""The console script; where the package is not installed, and on Windows, where it starts a second process, the module."""
PATIENCE = 4 * DEADLINE
"""Seconds for a whole run: an environment is made, filled and deleted."""


@contextmanager
def started(
    *args: str, cwd: Path | None = None, program: Sequence[str] = PROGRAM, **env: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the command line with all streams piped, and wait for its end."""
    argv = [*program, *args]
    environ = {**os.environ, **MEASURED, "PYTHONPATH": SOURCE, "PIP_NO_INDEX": "1", **env}
    environ.setdefault("GITHUB_ACTIONS", "")
    environ.setdefault("PYTHONFAULTHANDLER", "1")
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, cwd=cwd, env=environ) as process:
        try:
            yield process
            process.wait(PATIENCE)
        finally:
            if process.poll() is None:
                process.send_signal(getattr(signal, "SIGABRT", signal.SIGTERM))  # faulthandler shows where it is
                print(process.communicate()[1].decode(errors="replace"))


def run(
    *args: str, cwd: Path | None = None, stdin: bytes = b"", program: Sequence[str] = PROGRAM, **env: str
) -> subprocess.CompletedProcess[bytes]:
    """Run the command line to its end."""
    with started(*args, cwd=cwd, program=program, **env) as process:
        stdout, stderr = process.communicate(stdin, PATIENCE)
    return subprocess.CompletedProcess(args, process.returncode, stdout, stderr)
