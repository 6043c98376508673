"""Checks of a machine: what venvrunner needs or profits from, whether it works, and what to do if not."""

import contextlib
import os
import stat
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import NamedTuple

from venvrunner._create import cache
from venvrunner._create.interpreter import running
from venvrunner._create.interpreters import bundled_wheels
from venvrunner._store import location
from venvrunner._venv import file_locks, layout
from venvrunner._venv.temporary import temporary_directory
from venvrunner.exceptions import VenvError

__tracebackhide__ = True

_SPACE = 200 * 10**6
"""The bytes that an environment with a few packages and its downloads may take."""
_FILES = 5000
_LONGEST = 127
"""Bytes of a ``#!`` line that every kernel reads."""
_SKEW = 2.0
"""Seconds; some file systems keep the time of a file only this exactly."""
_MODULES = {"zlib": "zlib", "ssl": "OpenSSL", "hashlib": "OpenSSL", "ctypes": "libffi", "select": "the operating system"}
"""Modules that installers or venvrunner need, and what a build of Python without them lacked."""


class Finding(NamedTuple):
    """The result of one check.

    Attributes:
        check: what was checked.
        is_ok: whether it works.
        message: what was found.
        remedy: what to do; ``""`` if it works.
    """

    check: str
    is_ok: bool
    message: str
    remedy: str = ""


def findings() -> Iterator[Finding]:
    """Run every check; at the end, nothing on the machine has changed."""
    for name, check in _CHECKS.items():
        try:
            problems = [Finding(name, is_ok=False, message=what, remedy=remedy) for what, remedy in check()]
            found = problems or [Finding(name, is_ok=True, message=_SUMMARIES[name]())]
        except (VenvError, OSError) as exc:
            remedy = " ".join(getattr(exc, "__notes__", ())) or "Solve the other problems first."
            found = [Finding(name, is_ok=False, message=str(exc), remedy=remedy)]
        yield from found


Problems = Iterable[tuple[str, str]]
"""What is wrong, and what to do."""


def _python() -> Problems:
    running()
    missing: dict[str, list[str]] = {}
    for module, library in _MODULES.items():
        try:
            __import__(module)
        except ImportError:
            missing.setdefault(library, []).append(module)
    for library, modules in missing.items():
        yield (
            f"this Python has no {' and no '.join(modules)}: it was built without {library}",
            f"Use another Python, or install the headers of {library} and build this one again.",
        )


def _umask() -> Problems:
    mask = _mask()
    if mask & 0o700:
        yield f"the umask {mask:04o} keeps you from your own new files", "Set another one: umask 022"
    elif not mask & 0o002 and hasattr(os, "geteuid"):
        yield f"the umask {mask:04o} lets every user change the code in new environments", "Set another one: umask 022"


def _home() -> Problems:
    remedy = (
        f"Set HOME to a directory of yours. If there is none, set {cache.VARIABLE}, PIP_CACHE_DIR and UV_CACHE_DIR to"
        " directories that are kept."
    )
    path = os.path.expanduser("~")
    if cache.chosen_by(cache.VARIABLE) is not None:
        return
    if not os.path.isabs(path):
        yield "the home directory is unknown", remedy
    elif not os.path.isdir(path):
        yield f"the home directory {path!r} does not exist", remedy
    elif not _writable(path):
        yield f"the home directory {path!r} is not writable", remedy


def _temporary() -> Problems:
    name, chosen = next(((name, os.environ[name]) for name in ("TMPDIR", "TEMP", "TMP") if os.environ.get(name)), ("", ""))
    try:
        path = _temporary_path()
    except FileNotFoundError as exc:
        yield f"there is no directory for temporary files: {exc.strerror}", "Set TMPDIR to a writable directory with space."
        return
    if chosen and not _is_same(chosen, path):
        reason = "no file can be written there, perhaps because it is full"
        if not os.path.isdir(chosen):
            reason = "it is not an existing directory"
        elif not _writable(chosen):
            reason = "it is not writable"
        yield f"{name}={chosen!r} is not used: {reason}. {path!r} is used instead", f"Set {name} to a writable directory."
    try:
        layout.target("venvrunner-12345678", path)
    except VenvError as exc:
        yield f"no environment can be in {path!r}: {exc}", "Set TMPDIR to another directory."
    if len(os.fsencode(os.path.join(path, "venvrunner-12345678", "bin", "python3"))) + len("#!") > _LONGEST:
        yield (
            f"the path {path!r} is so long that scripts in temporary environments may not start, and sockets may not open",
            "Set TMPDIR to a directory with a shorter path, such as /tmp.",
        )
    yield from _mounted(path, "TMPDIR")


def _mounted(path: str, variable: str) -> Problems:
    """Yield what is wrong with the file system of an existing directory."""
    if not hasattr(os, "statvfs"):
        return
    status = os.statvfs(path)
    if status.f_flag & getattr(os, "ST_NOEXEC", 0):
        yield f"{path!r} is mounted noexec: no command in it can be run", f"Set {variable} to a directory elsewhere."
    if status.f_bavail * status.f_frsize < _SPACE:
        free = status.f_bavail * status.f_frsize // 10**6
        yield f"{path!r} has only {free} MB free", f"Remove files there, or set {variable} to a directory elsewhere."
    if status.f_files and status.f_favail < _FILES:
        what = f"the file system of {path!r} has room for only {status.f_favail} more files"
        yield what, f"Remove files there, or set {variable} to a directory elsewhere."


def _cache() -> Problems:
    path = cache.location()
    reason = _unusable(path)
    if reason is not None:
        remedy = f"Correct that, or set {cache.VARIABLE} to a directory of yours. Without a cache, environments take longer."
        yield f"the cache {path!r} is not used: {reason}", remedy


def _store() -> Problems:
    remedy = f"Correct that, or set {location.VARIABLE} to a directory of yours. Without a store, nothing is prepared."
    path = location.location()
    reason = _unusable(path)
    if reason is None:
        try:
            location.existing()
            yield from _mounted(_existing(path), location.VARIABLE)
        except VenvError as exc:
            reason = str(exc).rstrip(".")
    if reason is not None:
        yield f"the store {path!r} is not used: {reason}", remedy
    try:
        location.max_size()
    except ValueError as exc:
        yield str(exc).rstrip("."), f"Correct {location.SIZE_VARIABLE}, or unset it."


def _unusable(path: str) -> str | None:
    """Return why a directory cannot be used or created; the rules are those of ``cache.private``, which creates it."""
    there = _existing(path)
    if not os.path.isdir(there):
        return f"{there!r} is not a directory"
    if not _writable(there):
        return f"{there!r} is not writable"
    status, has_owners = os.lstat(there), hasattr(os, "geteuid")  # on Windows, the mode does not describe others' access
    reasons = {
        "it is a link": stat.S_ISLNK(status.st_mode),
        "it belongs to another user": has_owners and status.st_uid != os.geteuid(),
        "other users can write to it": has_owners and status.st_mode & 0o022 and os.listdir(there),
    }
    return next((reason for reason, holds in reasons.items() if holds), None) if there == path else None


def _locks() -> Problems:
    for path in _places():
        with contextlib.suppress(OSError), _unnamed_file(path) as number:
            reason = file_locks.why_not(number)
            if reason is not None:
                yield (
                    f"files in {path!r} cannot be locked ({reason}): other processes can delete an environment in use",
                    f"Set TMPDIR, {cache.VARIABLE} and {location.VARIABLE} to directories on a local disk.",
                )


def _clock() -> Problems:
    for path in _places():
        with contextlib.suppress(OSError), _unnamed_file(path) as number:
            skew = os.fstat(number).st_mtime - time.time()
            if abs(skew) > _SKEW:
                order = "newer" if skew > 0 else "older"
                yield (
                    f"a new file in {path!r} is {abs(skew):.0f} seconds {order} than the clock of this machine",
                    "Set the clocks of this machine and of its file server, for example with NTP.",
                )


def _pip() -> Problems:
    if not _pip_version():
        yield (
            f"virtualenv has no pip for Python {_version()}",
            "Install virtualenv from PyPI again: pip install --force-reinstall virtualenv. Or use --installer uv.",
        )


def _uv() -> Problems:
    from venvrunner import subprocess_util
    from venvrunner._install.uv import Uv

    if not _has_uv():
        return
    path = Uv.bundled().path
    try:
        subprocess_util.log_run([path, "--version"], timeout=30)
    except (VenvError, OSError) as exc:
        yield f"uv does not run: {exc}", "Install it again: pip install --force-reinstall uv"


def _environment() -> Problems:
    from venvrunner import VenvRunner

    before = os.environ.get(cache.VARIABLE)
    with temporary_directory() as directory:
        # What is in the cache stays as it is.
        os.environ[cache.VARIABLE] = os.path.join(directory, "cache")
        try:
            with VenvRunner.temporary() as venv:
                venv.log_run(["python", "-c", "import pip"])
        finally:
            del os.environ[cache.VARIABLE]
            if before is not None:
                os.environ[cache.VARIABLE] = before
    return ()


def _has_uv() -> bool:
    from importlib.util import find_spec  # rarely needed

    return find_spec("uv") is not None


def _uv_version() -> str:
    from importlib.metadata import version  # slow to import

    return f"uv {version('uv')}" if _has_uv() else "not installed; only --installer uv needs it"


def _pip_version() -> str:
    wheel = bundled_wheels().get_embed_wheel("pip", _version())
    return "" if wheel is None or not os.path.exists(wheel.path) else f"pip {wheel.version}"


def _mask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _temporary_path() -> str:
    import tempfile  # slow to import

    return tempfile.gettempdir()


def _places() -> list[str]:
    """Return the directories of temporary environments, of the cache and of the store, or those that they will be in."""
    found: dict[str, None] = {}
    for where in (_temporary_path, cache.location, location.location):
        with contextlib.suppress(OSError, VenvError):
            found[_existing(where())] = None
    return list(found)


def _existing(path: str) -> str:
    """Return the nearest directory of a path that exists, or the path itself."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


def _writable(path: str) -> bool:
    return os.access(path, os.W_OK | os.X_OK)


def _is_same(first: str, second: str) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samefile(first, second)
    return False


@contextlib.contextmanager
def _unnamed_file(directory: str) -> Generator[int]:
    """Yield the descriptor of a new file; where the system can, it has no name, so the directory does not change."""
    import tempfile  # slow to import

    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(b"0")
        file.flush()
        yield file.fileno()


_CHECKS: dict[str, Callable[[], Problems]] = {
    "python": _python,
    "umask": _umask,
    "home": _home,
    "temporary directory": _temporary,
    "cache": _cache,
    "store": _store,
    "locks": _locks,
    "clock": _clock,
    "pip": _pip,
    "uv": _uv,
    "environment": _environment,
}
_SUMMARIES: dict[str, Callable[[], str]] = {
    "python": lambda: str(running()),
    "umask": lambda: f"{_mask():04o}",
    "home": lambda: os.path.expanduser("~"),
    "temporary directory": _temporary_path,
    "cache": cache.location,
    "store": location.location,
    "locks": lambda: "files can be locked",
    "clock": lambda: "new files have the time of this machine",
    "pip": _pip_version,
    "uv": _uv_version,
    "environment": lambda: "one was created, used and deleted",
}
