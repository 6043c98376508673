"""Prepared environments: made once by virtualenv for each interpreter, kept in the cache as packs."""

import contextlib
import hashlib
import importlib.util
import json
import os
from typing import Any

from venvrunner._create import cache, pack
from venvrunner._create.interpreter import Interpreter, is_running, stamp_of
from venvrunner._create.layout import CURRENT
from venvrunner._create.settings import copy_settings
from venvrunner._create.silence import silenced
from venvrunner._create.temporary import temporary_folder
from venvrunner.environment import CREATION_PREFIX, get_clean_environment

__tracebackhide__ = True


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
    about = _about(interpreter, with_pip=with_pip)
    key = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:32]
    data = None if fresh else cache.load(key)
    if data is not None and pack.about(data) == about:
        return data
    with temporary_folder() as folder:
        venv_dir = os.path.join(os.path.realpath(folder), "venv")
        build(venv_dir, interpreter, with_pip=with_pip)
        copy_settings(venv_dir, venv_dir)
        try:
            data = pack.collect(venv_dir, CURRENT.scripts(venv_dir), _is_left_out, about)
        except pack.NotMovableError:
            return None
    cache.store(key, data)
    return data


def build(venv_dir: str, interpreter: Interpreter, *, with_pip: bool) -> None:
    """Make an environment with virtualenv itself, without the network.

    Raises:
        SystemExit, OSError, RuntimeError, ValueError: what virtualenv raises.
    """
    import virtualenv  # noqa: PLC0415  it takes 0.1 s

    # Neither variables nor a virtualenv.ini of the user's may change what is made.
    env = {name: value for name, value in get_clean_environment().items() if not name.startswith(CREATION_PREFIX)}
    env["VIRTUALENV_CONFIG_FILE"] = os.devnull
    seed = ["--no-download", "--no-periodic-update", "--no-setuptools"] if with_pip else ["--no-seed"]
    # virtualenv starts every interpreter that it is told of, but not the running one.
    which = [] if is_running(interpreter) else [f"--python={interpreter.executable}"]
    with contextlib.ExitStack() as stack:
        stack.enter_context(silenced())
        data = []
        if cache.usual_place("virtualenv") is None:  # it would take a "~" for a name
            data = [f"--app-data={stack.enter_context(temporary_folder())}"]
        options = [*seed, *which, *data, "--activators=", venv_dir]
        stack.enter_context(virtualenv.session_via_cli(options, setup_logging=False, env=env)).run()


def is_current(data: bytes) -> bool:
    """Tell whether a pack can still be of use: its interpreter and virtualenv are what they were."""
    about = pack.about(data)
    if about is None or about.get("virtualenv") != _virtualenv():
        return False
    try:
        executable, _implementation, _version, stamp = about["interpreter"]
        return bool(stamp == list(stamp_of(executable)))
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
