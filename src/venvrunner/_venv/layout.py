"""The layout of an environment: where its scripts and packages are, and which names and paths it can have."""

import functools
import os
import re
import stat
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from venvrunner._process.checks import check_args
from venvrunner._process.native import PROGRAM_SUFFIXES
from venvrunner._types import StrPath
from venvrunner._venv.paths import absolute
from venvrunner.exceptions import InvalidCommandError, InvalidPathError

__tracebackhide__ = True


class Layout(NamedTuple):
    """The layout of virtual environments on one kind of system.

    Attributes:
        scheme: the name of the sysconfig scheme, which defines the script directory.
        suffixes: the suffixes of a command's file name, in the order in which they are tried.
        packages: patterns of the package directories.
        base_python: the path of the executable in an interpreter's installation.
        movable: whether scripts are text, so that a copied environment can be repaired.
        pip_settings: the name of pip's configuration files, one of which may be in an environment.

    >>> POSIX.scripts("/v"), WINDOWS.command_names("pip")[:2]
    ('/v/bin', ['pip.com', 'pip.exe'])
    """

    scheme: str
    suffixes: tuple[str, ...]
    packages: tuple[str, ...]
    base_python: str
    movable: bool
    pip_settings: str

    def scripts(self, venv_dir: str) -> str:
        """Return the script directory of an environment."""
        return os.path.join(venv_dir, _script_directory(self.scheme))

    def command_names(self, command: str) -> list[str]:
        """Return the possible file names of a command, in the order in which they are tried."""
        if not self.suffixes:
            return [command]
        from venvrunner._process.windows_programs import names_of  # Windows only

        return names_of(command)

    def find_command(self, venv_dir: str, command: str) -> str | None:
        """Return the path of a command in an environment, or ``None``."""
        directory = self.scripts(venv_dir)
        for name in self.command_names(command):
            path = os.path.join(directory, name)
            if os.path.isfile(path):
                return path
        return None

    def package_directories(self, venv_dir: str) -> list[str]:
        """Return the package directories of an environment; usually one.

        Raises:
            OSError: a directory cannot be read.
        """
        unique: dict[str, str] = {}
        for pattern in self.packages:
            found = [venv_dir]
            for part in pattern.split("/"):
                found = [os.path.join(path, name) for path in found for name in (_list(path) if part == "*" else [part])]
            for path in filter(_is_directory, found):
                unique.setdefault(os.path.realpath(path), path)  # lib64 is often a link to lib
        return list(unique.values())

    def managers(self, env: Mapping[str, str]) -> dict[str, str]:
        """Return the directories in which pyenv, asdf and mise have interpreters, by the name of the manager."""
        home = env.get("HOME") or os.path.expanduser("~")
        data = env.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
        return {
            "pyenv": os.path.join(env.get("PYENV_ROOT") or os.path.join(home, ".pyenv"), "versions"),
            "asdf": os.path.join(env.get("ASDF_DATA_DIR") or os.path.join(home, ".asdf"), "installs", "python"),
            "mise": os.path.join(env.get("MISE_DATA_DIR") or os.path.join(data, "mise"), "installs", "python"),
        }

    def managed_interpreters(self, env: Mapping[str, str]) -> list[str]:
        """Return the interpreters in the directories of pyenv, asdf and mise."""
        found: list[str] = []
        for root in self.managers(env).values():
            for name in _readable(root):
                path = os.path.join(root, name, *self.base_python.split("/"))
                # python-discovery cannot inspect a Python 2.
                if os.path.isfile(path) and not re.match(r"\D*2(?!\d)", name):
                    found.append(path)
        return found

    def why_not(self, venv_dir: str, command: str) -> str:
        """Return the message for a command that does not exist in an environment."""
        import difflib  # only needed here

        directory = self.scripts(venv_dir)
        message = f"{os.path.join(directory, command)!r} does not exist!"
        if len(words := command.split()) > 1:
            return f"{message} Pass each argument as a separate item: {words}."
        try:
            names = os.listdir(directory)
            if command in names and self.suffixes:
                return f"{message} The file {command!r} is not a program: its name ends in none of {', '.join(self.suffixes)}."
            similar = difflib.get_close_matches(command, names, n=3)
        except OSError:
            return f"{message} The environment itself no longer exists."
        if similar:
            return f"{message} Did you mean {' or '.join(map(repr, similar))}?"
        import shutil  # slow to import

        if shutil.which(command):
            own = f"subprocess_util.log_run([{command!r}, ...], env=venv.environment())"
            return f"{message} Install the package that provides this command. To run the system's command, use {own}."
        return f"{message} Install the package that provides this command first."


_PYTHON = re.compile(r"(?:python|pypy)[\d.]*w?(?:\.exe)?", re.IGNORECASE)
"""The name of an interpreter."""


def _list(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _readable(path: str) -> list[str]:
    """Return the names in a directory; none if it cannot be read, since its contents are of no use then."""
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def _is_directory(path: str) -> bool:
    """Same as :func:`os.path.isdir`, but raise if it is unknown: otherwise an environment could look empty."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


POSIX = Layout(
    "posix_venv", (), ("lib/*/site-packages", "lib64/*/site-packages"), "bin/python", movable=True, pip_settings="pip.conf"
)
WINDOWS = Layout("nt_venv", PROGRAM_SUFFIXES, ("Lib/site-packages",), "python.exe", movable=False, pip_settings="pip.ini")
CURRENT = WINDOWS if os.name == "nt" else POSIX


@functools.cache
def _script_directory(scheme: str) -> str:
    """Return the name of a scheme's script directory; cached, as sysconfig takes a millisecond."""
    import sysconfig  # slow to import

    # Not expanded: that would import all of the interpreter's build variables. A relative path, not one below the root: on
    # Windows, the root and a name would be joined to a network share.
    return sysconfig.get_path("scripts", scheme, expand=False).removeprefix("{base}").lstrip("/\\")


def current_scripts() -> str:
    """Return the script directory of the running interpreter."""
    import sysconfig  # slow to import

    return sysconfig.get_path("scripts")


def current_version() -> str:
    """Return the version of the running interpreter, such as ``3.13.1``."""
    return ".".join(map(str, sys.version_info[:3]))


def current_packages() -> str:
    """Return the package directory of the running interpreter."""
    import sysconfig  # slow to import

    return sysconfig.get_path("purelib")


def expected_packages(venv_dir: str) -> str:
    """Return the package directory that an environment of the running interpreter has."""
    import sysconfig  # slow to import

    return sysconfig.get_path("purelib", CURRENT.scheme, {"base": venv_dir})


def config_directories(env: Mapping[str, str]) -> tuple[list[str], str]:
    """Return the system's configuration directories in the order of their priority, and the user's."""
    home = env.get("HOME") or os.path.expanduser("~")
    if CURRENT is WINDOWS:
        home = env.get("USERPROFILE") or home
        return [env.get("PROGRAMDATA") or r"C:\ProgramData"], env.get("APPDATA") or os.path.join(home, "AppData", "Roaming")
    system = (env.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)
    return [*system, "/etc"], env.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")


def pip_directories(env: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return the directories of pip's configuration files, the system's and the user's; later ones override earlier ones."""
    system, user = config_directories(env)
    home = (CURRENT is WINDOWS and env.get("USERPROFILE")) or env.get("HOME") or os.path.expanduser("~")
    if sys.platform == "darwin":
        library = os.path.join("Library", "Application Support", "pip")
        native = os.path.join(home, library)
        user = native if os.path.isdir(native) else os.path.join(home, ".config", "pip")
        return [os.path.join(os.sep, library)], [os.path.join(home, ".pip"), user]
    directories = [os.path.join(directory, "pip") for directory in system if directory != "/etc"]
    if CURRENT is POSIX:
        return [*directories, "/etc"], [os.path.join(home, ".pip"), os.path.join(user, "pip")]
    return directories, [os.path.join(home, "pip"), os.path.join(user, "pip")]


IS_MACOS = sys.platform == "darwin"
"""Whether files are cloned with clonefile(2)."""
_CONTROLS = {"Cc", "Zl", "Zp"}
_HARMFUL = '"$`\\' if CURRENT is POSIX else '"$`'


def is_plain_name(name: str) -> bool:
    r"""Return whether a string is one component of a path, on any system.

    >>> [name for name in ("a", "a b", "", ".", "..", "a/b", "a\\b", "C:", "\0") if is_plain_name(name)]
    ['a', 'a b']
    """
    return name not in {"", ".", ".."} and set("/\\:\0").isdisjoint(name)


def plain_command(args: Sequence[StrPath]) -> list[str]:
    """Return a command line as a list, after a check that it starts with the plain name of a command.

    Raises:
        InvalidCommandError: the command line starts with anything else.
        TypeError, ValueError: *args* is not a command line.

    >>> plain_command(["/bin/pip"])
    Traceback (most recent call last):
    ...
    venvrunner.exceptions.InvalidCommandError: '/bin/pip' must not be an absolute path!
    """
    command, *rest = check_args(args)
    if os.path.isabs(command):
        advice = " Use 'python'." if _PYTHON.fullmatch(os.path.basename(command)) else ""
        msg = f"{command!r} must not be an absolute path!{advice}"
        raise InvalidCommandError(msg)
    if not is_plain_name(command):
        msg = f"{command!r} must be the plain name of a command. Only commands of the environment can be run."
        raise InvalidCommandError(msg)
    return [command, *rest]


def target(name: str, top_dir: str | os.PathLike[str]) -> str:
    """Return the absolute path of an environment that is to be created.

    Args:
        name: one component of a path.
        top_dir: its parent directory; a relative path starts at the working directory.

    Raises:
        TypeError: *name* is not a str, or *top_dir* is not a path.
        InvalidPathError: an environment cannot have this path, or its scripts would not work.

    >>> target("..", "/somewhere")
    Traceback (most recent call last):
    ...
    venvrunner.exceptions.InvalidPathError: '..' cannot be the name of an environment. Use one plain directory name.
    """
    if not isinstance(name, str):
        msg = f"name must be a str, not {type(name).__name__}."
        raise TypeError(msg)
    if not is_plain_name(name):
        msg = f"{name!r} cannot be the name of an environment. Use one plain directory name."
        raise InvalidPathError(msg)
    path = _absolute("top_dir", top_dir, name)
    _refuse_harmful(path)
    return path


def parent(given: str | os.PathLike[str]) -> str:
    """Return the absolute path of the existing directory in which a temporary environment is to be created.

    Raises:
        TypeError: *given* is not a path.
        InvalidPathError: it is not an existing directory, or an environment would not work there.

    >>> parent("/missing")
    Traceback (most recent call last):
    ...
    venvrunner.exceptions.InvalidPathError: dir='/missing' does not exist. Create it first, or use an existing directory.
    """
    path = _absolute("dir", given)
    _refuse_harmful(path)
    if not os.path.isdir(path):
        what = "is not a directory" if os.path.lexists(path) else "does not exist"
        msg = f"dir={os.fspath(given)!r} {what}. Create it first, or use an existing directory."
        raise InvalidPathError(msg)
    return path


def _absolute(argument: str, given: str | os.PathLike[str], *names: str) -> str:
    is_path = isinstance(given, str) or hasattr(type(given), "__fspath__")
    directory: object = os.fspath(given) if is_path else given
    if not isinstance(directory, str):
        msg = f"{argument} must be a str or a path of str, not {type(given).__name__}."
        raise TypeError(msg)
    if not directory:
        msg = f"{argument} must not be empty. Use '.' for the working directory."
        raise InvalidPathError(msg)
    return absolute(os.path.join(directory, *names)) if "\0" not in directory else directory


def _refuse_harmful(path: str) -> None:
    for char in path:
        if char in _HARMFUL or char == os.pathsep or unicodedata.category(char) in _CONTROLS:
            msg = (
                f"an environment in {path!r} would not work: the path contains {char!r}, which breaks scripts or PATH."
                " Use another directory."
            )
            raise InvalidPathError(msg)
