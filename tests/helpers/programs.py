"""Programs that run in an interpreter of their own and import the package."""

import os
import subprocess
import sys
from pathlib import Path

import venvrunner

MEASURED: dict[str, str] = {}
"""Environment variables for children that run what no test runs in its own process."""
SOURCE = str(Path(venvrunner.__file__).parents[1])


def run_python(code: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run Python source that can import the package."""
    environ = {**os.environ, "PYTHONPATH": SOURCE, **env}
    return subprocess.run([sys.executable, "-c", code, *args], env=environ, capture_output=True, text=True, check=False)


WATCH = """
import os, signal, sys

def strike(folder, step, number):
    # Send this process a signal at one of the things that it does to files of a folder; return how many there were so far.
    done = []
    # Relative paths are those in the folder, by its descriptor.
    within = (folder, "/proc/self/fd/", ".venvrunner")
    def is_meant(event, path):
        return path.startswith(within) or (event.startswith("os.") and not path.startswith("/"))
    def watch(event, args):
        if any(isinstance(arg, (str, os.PathLike)) and is_meant(event, os.fspath(arg)) for arg in args):
            done.append(event)
            if len(done) == step:
                os.kill(os.getpid(), number)
    sys.addaudithook(watch)
    return done
"""
"""Source that makes a signal come at every moment that matters, in turn."""
