"""Prepared environments: made once by virtualenv for each interpreter, kept in the cache as packs."""

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
    """Return the pack of an environment, from the cache or made anew.

    Args:
        interpreter: what it is for.
        with_pip: whether pip is in it.
        fresh: replace the one in the cache.

    Returns:
        the pack; ``None`` if environments can't be moved on this system.

    Raises:
        SystemExit, OSError, RuntimeError, ValueError: what virtualenv raises.
    """
    if not CURRENT.movable:
        return None
    import hashlib  # slow to import

    about = _about(interpreter, with_pip=with_pip)
    key = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:32]
    data = None if fresh else cache.load(key)
    if data is not None and archive.about(data) == about:
        return data
    with temporary_directory() as folder:
        venv_dir = os.path.join(os.path.realpath(folder), "venv")
        build(venv_dir, interpreter, with_pip=with_pip)
        copy_settings(venv_dir, venv_dir)
        try:
            data = archive.collect(venv_dir, CURRENT.scripts(venv_dir), _is_left_out, about)
        except archive.NotMovableError:
            return None
    cache.store(key, data)
    return data


def build(venv_dir: str, interpreter: Interpreter, *, with_pip: bool) -> None:
    """Make an environment with virtualenv itself, without the network.

    Raises:
        SystemExit, OSError, RuntimeError, ValueError: what virtualenv raises.
    """
    import virtualenv  # it takes 0.1 s

    # Neither variables nor a virtualenv.ini of the user's may change what is made.
    env = {name: value for name, value in get_clean_environment().items() if not name.startswith(CREATION_PREFIX)}
    env["VIRTUALENV_CONFIG_FILE"] = os.devnull
    seed = ["--no-download", "--no-periodic-update", "--no-setuptools"] if with_pip else ["--no-seed"]
    # virtualenv starts every interpreter that it is told of, but not the running one.
    which = [] if is_running(interpreter) else [f"--python={interpreter.executable}"]
    with silenced(), temporary_directory() as folder:
        options = None
        # Without packs, on Windows, the user's cache saves time, and there are locks; without a home, it would be in "~".
        if CURRENT.movable or cache.usual_place("virtualenv") is None:
            env["VIRTUALENV_OVERRIDE_APP_DATA"] = folder  # older versions create the default data too
            options = _options(folder)
        arguments = [*seed, *which, "--activators=", venv_dir]
        with virtualenv.session_via_cli(arguments, options, setup_logging=False, env=env) as session:
            session.run()


def _options(folder: str) -> "VirtualEnvOptions":
    """Return options that give virtualenv its data in a folder of its own, and no locks.

    The user's cache has lock files. Where there is no flock, virtualenv fails, or takes a lock file that another process has
    left for a lock that is held, and waits for ever.
    """
    from virtualenv.app_data.via_disk_folder import AppDataDiskFolder  # slow to import
    from virtualenv.config.cli.parser import VirtualEnvOptions  # the same
    from virtualenv.util.lock import NoOpFileLock  # the same

    class Options(VirtualEnvOptions):
        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, data if name == "app_data" else value)

    data = AppDataDiskFolder(folder)
    # As in virtualenv's read-only data.
    vars(data)["lock"] = NoOpFileLock(folder)
    return Options()


def is_current(data: bytes) -> bool:
    """Tell whether a pack can still be of use: its interpreter and virtualenv are what they were."""
    about = archive.about(data)
    if about is None or about.get("virtualenv") != _virtualenv():
        return False
    try:
        executable, _implementation, _version, stamp = about["interpreter"]
        return isinstance(executable, str) and bool(stamp == list(stamp_of(executable)))
    except (OSError, LookupError, TypeError, ValueError):
        return False


def _about(interpreter: Interpreter, *, with_pip: bool) -> dict[str, Any]:
    # Through JSON, so that it is equal to what is read from a pack.
    about = {"interpreter": interpreter, "virtualenv": _virtualenv(), "pip": with_pip}
    return dict[str, Any](json.loads(json.dumps(about)))


def _virtualenv() -> list[object]:
    """Return what tells one installed virtualenv from another; its metadata would take 50 ms to import a reader for."""
    spec = importlib.util.find_spec("virtualenv")
    assert spec is not None
    assert spec.origin is not None
    path = os.path.join(os.path.dirname(spec.origin), "version.py")
    while not os.path.exists(path):  # it is in an archive, a zipapp
        path = os.path.dirname(path)
    status = os.stat(path)
    return [spec.origin, status.st_size, status.st_mtime_ns]


def _is_left_out(name: str) -> bool:
    # The last is a note that virtualenv makes for itself.
    return name.endswith((".pyc", "__pycache__", ".virtualenv"))
