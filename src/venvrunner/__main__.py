"""The command line: run one command in a temporary environment, or write a lock file.

The command's own output passes through unchanged; the messages of venvrunner go to standard error.
"""

import os
import sys

# "python -m" puts the working directory first on sys.path: a file there must not shadow a module of the standard library.
if not sys.flags.safe_path and sys.path[0] != os.path.dirname(os.path.dirname(os.path.abspath(__file__))):
    del sys.path[0]

import argparse
import signal
import subprocess
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from types import FrameType
from typing import Any, NoReturn, get_args

from venvrunner import VenvOptions, VenvRunner
from venvrunner._create import cache, seed
from venvrunner._display import Lines, complain, logged, say, shown
from venvrunner._install.replacement import lock_path
from venvrunner._process import drivers
from venvrunner._process.command import Command, RunOptions, TimedOut
from venvrunner._process.flow import Run
from venvrunner._process.session import lost_reason
from venvrunner._venv.paths import absolute
from venvrunner.exceptions import InvalidPathError, VenvError
from venvrunner.installing import InstallerName, ReportOptions

TIMEOUT, FAILURE, NOT_EXECUTABLE, NOT_FOUND, SIGNAL = 124, 125, 126, 127, 128
"""Exit codes, the same as those of timeout(1) and the shells."""

_DESCRIPTION = """\
Create a temporary virtual environment, install packages, run one command in it, and delete it.

The command's standard output and standard error are passed through unchanged. The messages of venvrunner and
the output of the installer go to standard error."""

_EPILOG = """\
examples:
  python -m venvrunner --with build -- python -m build --wheel .
  python -m venvrunner --with . --with pytest -- pytest -q
  python -m venvrunner --python 3.12 -r requirements.txt -- python script.py
  python -m venvrunner --keep .venv --with ruff -- ruff --version
  python -m venvrunner --cached --with ruff -- ruff --version
  python -m venvrunner store --help
  python -m venvrunner lock --help
  python -m venvrunner cache --help

exit codes:
  the command's own; 128+n if signal n ended the command or venvrunner
  124   the command timed out
  125   the environment could not be created, or the installation failed
  126   the command cannot be run
  127   the environment has no such command
  2     the arguments are wrong

Ctrl-C, SIGTERM and SIGHUP stop the command and all its children; then the environment is deleted."""


_LOCK_DESCRIPTION = """\
Write a lock file (PEP 751) of what requirements resolve to. Nothing is installed.

The file replaces an old one at once; if anything fails, the old one stays. The messages of venvrunner and the
output of the installer go to standard error."""

_LOCK_EPILOG = """\
examples:
  python -m venvrunner lock -r requirements.in
  python -m venvrunner lock --group test -o pylock.test.toml
  python -m venvrunner lock . --installer uv --universal --python 3.11

exit codes:
  0     the lock file was written
  125   the requirements cannot be resolved, or the file cannot be written
  128+n signal n ended venvrunner
  2     the arguments are wrong"""


class _SignalledError(SystemExit):
    """A signal that ends the program, as an exception that no ``except Exception`` catches."""

    def __init__(self, signum: int) -> None:
        super().__init__(SIGNAL + signum)
        self.status = SIGNAL + signum


class _InterruptedError(_SignalledError, KeyboardInterrupt):
    """Ctrl-C as such an exception: as a ``KeyboardInterrupt``, it also makes the command get SIGINT first."""


class _Signals:
    """Raises an exception for each signal that ends the program, and remembers the signal.

    Python drops an exception that a handler raises in a finalizer, in the callback of a weak reference (each import has one),
    or where C code checks for signals and ignores errors.
    """

    def __init__(self) -> None:
        self._received: list[int] = []

    def take(self, names: Iterable[str]) -> None:
        """Install handlers for these signals, except for those that are ignored, as under nohup."""
        for name in names:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._raise)

    def check(self) -> None:
        """Raise the exception of a received signal again if Python dropped it."""
        if self._received:
            raise _error_of(self._received[0])

    def _raise(self, signum: int, frame: FrameType | None) -> NoReturn:
        self._received.append(signum)
        raise _error_of(signum)


def _error_of(signum: int) -> _SignalledError:
    return _InterruptedError(signum) if signum == signal.SIGINT else _SignalledError(signum)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Args:
        argv: the arguments; default: those of this process.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments[:1] == ["cache"]:
        return _cache(arguments[1:])
    if arguments[:1] == ["store"]:
        from venvrunner import _store_command  # only here

        return _store_command.main(arguments[1:])
    signals = _Signals()
    if arguments[:1] == ["lock"]:
        task = partial(_lock, _parse_lock(arguments[1:]), signals)
    else:
        task = partial(_run, *_parse(arguments), signals)
    signals.take(["SIGINT", "SIGTERM", "SIGHUP"])
    try:
        return task()
    except _SignalledError as exc:
        return exc.status


def _cache(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m venvrunner cache",
        description="Manage the cache of prepared environments, from which new ones are created.",
        epilog=f"The cache can be deleted at any time. Set {cache.VARIABLE} to use another directory.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "what",
        choices=["dir", "size", "prune"],
        help="show the directory of the cache; show its size in bytes; remove files that can no longer be used",
    )
    what = parser.parse_args(argv).what
    try:
        return _answer(what)
    except (VenvError, OSError) as exc:
        say(str(exc))
        return FAILURE


def _answer(what: str) -> int:
    if what == "dir":
        print(cache.location())  # noqa: T201  a command line prints
    elif what == "size":
        print(cache.size())  # noqa: T201  a command line prints
    else:
        print("removed {} files, {} bytes".format(*cache.prune(seed.is_current)))  # noqa: T201  a command line prints
    return 0


def _new_parser(
    prog: str, usage: str, description: str, epilog: str
) -> tuple[argparse.ArgumentParser, list[str], Callable[..., None]]:
    """Return a parser, the names of its options, and the function that adds an option to both."""
    parser = argparse.ArgumentParser(
        prog=prog,
        usage=f"%(prog)s {usage}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    names = ["-h", "--help"]

    def add(*flags: str, **details: Any) -> None:
        names.extend(flags)
        parser.add_argument(*flags, **details)

    return parser, names, add


def _parse_lock(argv: list[str]) -> argparse.Namespace:
    parser, names, add = _new_parser("python -m venvrunner lock", "[OPTION]... [REQ]...", _LOCK_DESCRIPTION, _LOCK_EPILOG)
    parser.add_argument("requirements", metavar="REQ", nargs="*", help="a requirement, a path or a URL")
    add("-o", "--output", metavar="FILE", default="pylock.toml", help="the lock file (default: pylock.toml)")
    add(
        "-r", "--requirements-file", metavar="FILE", dest="files", action="append", default=[],
        help="lock what a requirements file lists; may be repeated",
    )  # fmt: skip
    add(
        "--group", metavar="NAME", dest="groups", action="append", default=[],
        help="lock a dependency group of ./pyproject.toml, or of PATH/pyproject.toml:NAME; may be repeated",
    )  # fmt: skip
    add("--python", metavar="P", help="the interpreter: a path, a version or a range (default: the running one)")
    add("--installer", choices=get_args(InstallerName), default="pip", help="the installer that resolves (default: pip)")
    add("--universal", action="store_true", help="resolve for all platforms and newer Pythons; needs --installer uv")
    add("--index-url", metavar="URL", help="the package index, instead of the configured one")
    add(
        "--find-links", metavar="PLACE", dest="links", action="append", default=[],
        help="a directory of wheels, or a page with links to them; may be repeated",
    )  # fmt: skip
    add("--no-index", action="store_true", help="search --find-links only")
    options, unknown = parser.parse_known_intermixed_args(argv)
    if unknown:
        parser.error(_unrecognized(unknown[0], names, ""))
    if not (options.requirements or options.files or options.groups):
        parser.error("nothing to lock. Name a requirement, -r FILE or --group NAME.")
    if options.universal and options.installer != "uv":
        parser.error("--universal needs --installer uv.")
    try:
        lock_path(options.output)
    except InvalidPathError as exc:
        parser.error(str(exc))
    return options


def _lock(options: argparse.Namespace, signals: _Signals) -> int:
    names = [*options.requirements, *options.files, *options.groups]
    try:
        with (
            shown(is_long=True) as display,
            VenvRunner.temporary(python=options.python, installer=options.installer) as venv,
        ):
            signals.check()
            display.begin(f"Locking {_in_one_line(names)}")
            venv.lock(
                options.output,
                *options.requirements,
                requirements_files=options.files,
                dependency_groups=options.groups,
                index_url=options.index_url,
                find_links=options.links,
                no_index=options.no_index,
                universal=options.universal,
                **_reported(display),
            )
            signals.check()
    except (VenvError, OSError) as exc:
        complain(exc)
        return FAILURE
    say(f"Wrote {options.output}")
    return 0


def _parse(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser, names, add = _new_parser("python -m venvrunner", "[OPTION]... -- COMMAND [ARG]...", _DESCRIPTION, _EPILOG)
    add("--version", action="store_true", help="show the version of venvrunner and exit")
    add("--python", metavar="P", help="the interpreter: a path, a version or a range (default: the running one)")
    add(
        "--with", metavar="REQ", dest="requirements", action="append", default=[],
        help="install a requirement, a path or a URL; may be repeated",
    )  # fmt: skip
    add(
        "-r", "--requirements-file", metavar="FILE", dest="files", action="append", default=[],
        help="install what a requirements file lists; may be repeated",
    )  # fmt: skip
    add("--timeout", metavar="S", type=float, help="stop the command after this many seconds")
    add(
        "--contain", action="store_true",
        help="stop all that the command leaves running, daemons included; kill the command too if this program is killed",
    )  # fmt: skip
    add(
        "--cached", action="store_true",
        help="take the environment with what --with lists from the store; the first time, it is prepared there",
    )  # fmt: skip
    add("--keep", metavar="DIR", help="create the environment in DIR and keep it; an existing one is recreated")
    # Everything after the first "--" belongs to the command, whatever it looks like.
    cut = argv.index("--") if "--" in argv else len(argv)
    options, unknown = parser.parse_known_args(argv[:cut])
    if unknown:
        parser.error(_unrecognized(unknown[0], names))
    if options.version:
        print(f"venvrunner {_version()}")  # noqa: T201  a command line prints
        parser.exit()
    command = argv[cut + 1 :]
    if not command:
        parser.error("no command. Put it at the end, after '--'.")
    if options.keep == "":
        parser.error("--keep must name a directory, such as .venv, but is empty.")
    if options.timeout is not None and not options.timeout > 0:
        parser.error(f"--timeout must be a positive number of seconds, not {options.timeout:g}.")
    return options, command


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and rarely needed

    try:
        return version("venvrunner")
    except PackageNotFoundError:  # a zipapp has no metadata
        return "of unknown version"


_AFTER = " The command goes after '--'."


def _unrecognized(argument: str, names: list[str], after: str = _AFTER) -> str:
    """Return the message for an argument that is not an option.

    Args:
        argument: the argument.
        names: the names of all options.
        after: the last sentence.
    """
    message = f"unrecognized argument {argument!r}."
    if not argument.startswith("-"):
        return f"{message}{after}"
    from difflib import get_close_matches  # slow to import, and rarely needed

    guess = "".join(f" Did you mean {match!r}?" for match in get_close_matches(argument.partition("=")[0], names, 1))
    return f"{message}{guess} The options are {', '.join(names)}.{after}"


def _run(options: argparse.Namespace, command: list[str], signals: _Signals) -> int:
    try:
        with ExitStack() as stack:
            to_install = [*options.requirements, *options.files]
            with shown(is_long=bool(to_install)) as display:
                with logged(display):
                    venv = stack.enter_context(_environment(options))
                signals.check()
                if options.cached:
                    to_install = options.files
                if to_install:
                    display.begin(f"Installing {_in_one_line(to_install)}")
                    requirements = () if options.cached else options.requirements
                    venv.install(*requirements, requirements_files=options.files, **_reported(display))
                    signals.check()
            try:
                argv = venv.resolve(command)
            except ValueError as exc:
                complain(exc)
                return NOT_FOUND
            try:
                return _status(_pass_through(venv, argv, options))
            except OSError as exc:
                say(f"{argv[0]!r} cannot be run: {exc.strerror}. Check its mode, and the interpreter in its first line.")
                return NOT_EXECUTABLE
    except (VenvError, OSError) as exc:
        complain(exc)
    except TimedOut:
        say(f"{command[0]!r} timed out after {options.timeout} seconds. Use a larger --timeout.")
        return TIMEOUT
    return FAILURE


@contextmanager
def _environment(options: argparse.Namespace) -> Generator[VenvRunner]:
    about: VenvOptions = {"python": options.python, "cached": options.cached}
    if options.cached:
        about["requirements"] = options.requirements
    if options.keep is None:
        with VenvRunner.temporary(**about) as venv:
            yield venv
    else:
        top_dir, name = os.path.split(absolute(options.keep))
        yield VenvRunner(name, top_dir, **about)


def _in_one_line(names: Iterable[str]) -> str:
    """Return names in one line: GitHub Actions may read the start of a line as a command."""
    return " ".join(", ".join(names).split())


def _reported(display: Lines) -> ReportOptions:
    """Return the keywords that show an installer's output on a display."""
    shown: ReportOptions = {"logger": display, "stdout_loglevel": display.line, "stderr_loglevel": display.line}
    return {**shown, "heartbeat": display.heartbeat}


def _pass_through(venv: VenvRunner, argv: list[str], options: argparse.Namespace) -> int:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # pyright: ignore[reportUnnecessaryComparison]  the calling process may have closed it
            stream.flush()
    stdin = subprocess.DEVNULL if sys.stdin is None else 0  # pyright: ignore[reportUnnecessaryComparison]  it may be closed
    keywords: RunOptions = {"env": venv.environment(), "timeout": options.timeout, "stdin": stdin, "contain": options.contain}
    returncode = drivers.run(Run(Command(argv, keywords), {})).returncode
    if returncode is None:
        say(f"{argv[0]!r} {lost_reason()}")
        return FAILURE
    return returncode


def _status(returncode: int) -> int:
    return SIGNAL - returncode if returncode < 0 else returncode


if __name__ == "__main__":
    sys.exit(main())
