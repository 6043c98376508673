"""Seeds: prepared environments, created once by virtualenv for each interpreter, and cached as archives."""

import importlib.util
import json
import os
from typing import TYPE_CHECKING, Any

from venvrunner._create import archive, cache
from venvrunner._create.interpreter import Interpreter, is_running, stamp_of
from venvrunner._create.quiet import silenced
from venvrunner._venv.layout import CURRENT
from venvrunner._venv.pyvenv_cfg import copy_settings
from venvrunner._venv.temporary import temporary_directory
from venvrunner.environment import CREATION_PREFIX, get_clean_environment

__tracebackhide__ = True

if TYPE_CHECKING:
    from virtualenv.config.cli.parser import VirtualEnvOptions


def get(interpreter: Interpreter, *, with_pip: bool, fresh: bool = False) -> bytes | None:
    """Return the archive of a prepared environment, from the cache or newly created.

    Args:
        interpreter: the interpreter of the environment.
        with_pip: install pip.
        fresh: replace the archive in the cache.

    Returns:
        the archive; ``None`` if environments cannot be moved on this system.

    Raises:
        SystemExit, OSError, RuntimeError, ValueError: virtualenv failed.
    """
    if not CURRENT.movable:
        return None
    import hashlib  # slow to import

    about = _about(interpreter, with_pip=with_pip)
    key = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:32]
    data = None if fresh else cache.load(key)
    if data is not None and archive.about(data) == about:
        return data
    with temporary_directory() as directory:
        venv_dir = os.path.join(os.path.realpath(directory), "venv")
        build(venv_dir, interpreter, with_pip=with_pip)
        copy_settings(venv_dir, venv_dir)
        try:
            data = archive.collect(venv_dir, CURRENT.scripts(venv_dir), _is_left_out, about)
        except archive.NotMovableError:
            return None
    cache.store(key, data)
    return data


def build(venv_dir: str, interpreter: Interpreter, *, with_pip: bool) -> None:
    """Create an environment with virtualenv itself, without the network.

    Raises:
        SystemExit, OSError, RuntimeError, ValueError: virtualenv failed.
    """
    import virtualenv  # takes 0.1 s

    # Neither variables nor the user's virtualenv.ini may change the result.
    env = {name: value for name, value in get_clean_environment().items() if not name.startswith(CREATION_PREFIX)}
    env["VIRTUALENV_CONFIG_FILE"] = os.devnull
    seed = ["--no-download", "--no-periodic-update", "--no-setuptools"] if with_pip else ["--no-seed"]
    # virtualenv starts every interpreter that is passed to it, but not the running one.
    which = [] if is_running(interpreter) else [f"--python={interpreter.executable}"]
    with silenced(), temporary_directory() as directory:
        options = None
        # On Windows there are no archives: the user's cache saves time, and its locks work. Without a home, it would be in "~".
        if CURRENT.movable or cache.usual_location("virtualenv") is None:
            env["VIRTUALENV_OVERRIDE_APP_DATA"] = directory  # older versions create the default directory too
            options = _options(directory)
        arguments = [*seed, *which, "--activators=", venv_dir]
        with virtualenv.session_via_cli(arguments, options, setup_logging=False, env=env) as session:
            session.run()


def _options(directory: str) -> "VirtualEnvOptions":
    """Return options that make virtualenv keep its data in a directory of ours, without locks.

    The user's cache has lock files. Without flock, virtualenv fails, or it mistakes a leftover lock file for a held lock and
    waits forever.
    """
    from virtualenv.app_data.via_disk_folder import AppDataDiskFolder  # slow to import
    from virtualenv.config.cli.parser import VirtualEnvOptions  # slow to import
    from virtualenv.util.lock import NoOpFileLock  # slow to import

    class Options(VirtualEnvOptions):
        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, data if name == "app_data" else value)

    data = AppDataDiskFolder(directory)
    # As virtualenv does for read-only data.
    vars(data)["lock"] = NoOpFileLock(directory)
    return Options()


def is_current(data: bytes) -> bool:
    """Return whether an archive is current: neither its interpreter nor virtualenv has changed."""
    about = archive.about(data)
    if about is None or about.get("virtualenv") != _virtualenv():
        return False
    try:
        executable, _implementation, _version, stamp = about["interpreter"]
        return isinstance(executable, str) and bool(stamp == list(stamp_of(executable)))
    except (OSError, LookupError, TypeError, ValueError):
        return False


def _about(interpreter: Interpreter, *, with_pip: bool) -> dict[str, Any]:
    # Through JSON, so that the value is equal to one that is read from an archive.
    about = {"interpreter": interpreter, "virtualenv": _virtualenv(), "pip": with_pip}
    return dict[str, Any](json.loads(json.dumps(about)))


def version() -> object:
    """Return the version of the installed virtualenv, which decides which pip is installed; or else its identity."""
    import re  # only here

    try:
        with open(_version_file()[1], encoding="utf-8") as file:
            match = re.search(r"\bversion\b[^\n]*=\s*['\"]([\w.+!-]+)['\"]", file.read())
    except (OSError, ValueError):  # virtualenv is in a zipapp
        match = None
    return _virtualenv() if match is None else match[1]


def _virtualenv() -> list[object]:
    """Return the identity of the installed virtualenv; importing a reader for its metadata would take 50 ms."""
    origin, path = _version_file()
    status = os.stat(path)
    return [origin, status.st_size, status.st_mtime_ns]


def _version_file() -> tuple[str, str]:
    """Return the path of virtualenv, and that of its file with the version, or of the zipapp that contains it."""
    spec = importlib.util.find_spec("virtualenv")
    assert spec is not None
    assert spec.origin is not None
    path = os.path.join(os.path.dirname(spec.origin), "version.py")
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return spec.origin, path


def _is_left_out(name: str) -> bool:
    # ".virtualenv" is a file that virtualenv writes for itself.
    return name.endswith((".pyc", "__pycache__", ".virtualenv"))
