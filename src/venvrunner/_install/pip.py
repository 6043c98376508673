"""The command lines of pip; this module runs nothing."""

import os
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from venvrunner._install import pip_settings
from venvrunner._install.locked_file import LockedFile, requirement_lines
from venvrunner._install.request import Request
from venvrunner._venv.paths import local_path
from venvrunner.exceptions import InstallerNotFoundError, InvalidRequirementError

__tracebackhide__ = True

_SINCE = {"config_settings": (22, 1), "build_constraints": (25, 3), "exclude_newer": (26, 0)}
"""The first version of pip that supports each keyword."""
_LOCKS_SINCE = (25, 1)
"""The first version of pip that writes lock files."""
_REPORTS_SINCE = (23, 0)
"""The first version of pip whose report has a stable format."""
_EXTRAS = re.compile(r"(?P<url>file:(//)?(?P<path>[^\s\[#]+))(?P<extras>\[[^\]]*\])(?P<marker> ; .*)?", re.IGNORECASE)


class Pip(NamedTuple):
    """The command lines of one pip.

    Args:
        start: the arguments with which an interpreter runs it.
        version: its version; ``""`` if it is unknown.

    >>> Pip.own().install(Request(requirements=("wheel",), requirements_files=("/r.txt",)), "/v/bin/python")
    ['/v/bin/python', '-I', '-m', 'pip', 'install', '--requirement=/r.txt', '--', 'wheel']
    """

    start: tuple[str, ...]
    version: str = ""

    @property
    def index_variable(self) -> str:
        """The environment variable for the index; it overrides a ``pip.conf``."""
        return "PIP_INDEX_URL"

    @property
    def starts_python(self) -> bool:
        """Whether it finds installed packages with the environment's Python, so that it sees those that a fork inherits."""
        return True

    @property
    def file_variable(self) -> str:
        """The environment variable that names the configuration file."""
        return pip_settings.FILE_VARIABLE

    @classmethod
    def own(cls, version: str = "") -> "Pip":
        """Return the pip of the environment; with ``-I``, so that a ``pip.py`` in the working directory is not imported."""
        return cls(("-I", "-m", "pip"), version)

    @classmethod
    def from_wheel(cls, path: str) -> "Pip":
        """Return the pip in a wheel, for environments without pip; it is run as pip's own documentation describes."""
        return cls(("-I", os.path.join(path, "pip")), os.path.basename(path).split("-")[1])

    def install(self, request: Request, python: str) -> list[str]:
        """Return the command line for an installation; nothing after ``--`` is an option.

        Raises:
            InstallerNotFoundError: this pip is too old for a keyword.
            InvalidRequirementError: pip cannot read a path or a marker.
        """
        self._check(request)
        options = [
            *(["--pre"] if request.pre else []),
            *(["--force-reinstall"] if request.reinstall else []),
            *([f"--uploaded-prior-to={request.exclude_newer}"] if request.exclude_newer else []),
            *(f"--build-constraint={path}" for path in request.build_constraints),
            *(f"--config-settings={setting}" for setting in request.config_settings),
        ]
        spelled = request._replace(editable=tuple(map(_editable, request.editable)))
        requirements = map(_requirement, request.requirements)
        return [python, *self.start, "install", *spelled.options(), *options, "--", *requirements]

    def reported(self, command: list[str], path: str, variables: Mapping[str, str]) -> tuple[list[str], str]:
        """Return an installation that also writes a report to a file, and ``""``; or the same one, and why it does not."""
        if variables.get("PIP_REPORT"):
            return command, "PIP_REPORT sends the report of pip elsewhere"
        if not self._numbers() >= _REPORTS_SINCE:
            return command, f"that needs pip {'.'.join(map(str, _REPORTS_SINCE))} or newer, and this pip is {self.version}"
        place = 1 + len(self.start) + 1  # after "install"
        return [*command[:place], f"--report={path}", *command[place:]], ""

    def _check(self, request: Request) -> None:
        numbers = self._numbers()
        for keyword, since in _SINCE.items():
            if getattr(request, keyword) and numbers and numbers < since:
                msg = (
                    f"{keyword}= needs pip {since[0]}.{since[1]} or newer, and this pip is {self.version}. "
                    "Upgrade it with install('pip', upgrade=True), or use installer='uv'."
                )
                raise InstallerNotFoundError(msg)

    def _numbers(self) -> tuple[int, ...]:
        """Return the first two numbers of the version; ``()`` if it is unknown."""
        found = re.match(r"(\d+)\.(\d+)", self.version)
        return () if found is None else tuple(map(int, found.groups()))

    def lock_file(self, files: Iterable[LockedFile]) -> tuple[str, str]:
        """Return the name and the text of a file that makes :meth:`install` install exactly these files."""
        return "locked.txt", "\n".join(requirement_lines(files, indexed=False))

    def lock(self, request: Request, python: str, output: str, *, universal: bool) -> tuple[list[str], list[str]]:
        """Return the command line that writes a lock file, and no lines to append.

        Raises:
            InstallerNotFoundError: this pip is too old.
            InvalidRequirementError: pip cannot read a path or a marker, or *universal* is true.
        """
        if universal:
            msg = "pip locks for one platform and one Python only. Use installer='uv' for a lock file for all of them."
            raise InvalidRequirementError(msg)
        if (numbers := self._numbers()) and numbers < _LOCKS_SINCE:
            needed = ".".join(map(str, _LOCKS_SINCE))
            msg = (
                f"a lock file needs pip {needed} or newer, and this pip is {self.version}. "
                "Upgrade it with install('pip', upgrade=True), or use installer='uv'."
            )
            raise InstallerNotFoundError(msg)
        command = self.install(request._replace(upgrade=False), python)
        place = command.index("install")
        return [*command[:place], "lock", f"--output={output}", *command[place + 1 :]], []

    def wheel(self, request: Request, python: str, output: str) -> list[str]:
        """Return the command line that builds the wheel of the one requirement, a local directory."""
        command = self.install(request._replace(deps=False), python)
        place = command.index("install")
        return [*command[:place], "wheel", f"--wheel-dir={output}", *command[place + 1 :]]

    def overruled(
        self, env: Mapping[str, str], venv_dir: str, cwd: str, *, is_exact: bool
    ) -> tuple[Mapping[str, str | None], str]:
        """Return the variables that keep configuration files from redirecting an installation, and ``""`` for no file."""
        limits = pip_settings.NO_LIMITS if is_exact else {}
        return {**pip_settings.overruled(env, venv_dir, cwd), **limits}, ""

    def uninstall(self, names: Iterable[str], python: str) -> list[str]:
        """Return the command line that removes packages without a prompt."""
        return [python, *self.start, "uninstall", "--yes", "--", *names]


def _requirement(text: str) -> str:
    """Return a requirement in pip's form: pip accepts extras after a path, but not after a URL."""
    match = _EXTRAS.fullmatch(text)
    if match is None:
        return text
    path = local_path(match["path"])
    if ";" in path:
        remedy = f"Use 'NAME{match['extras']} @ {match['url']}' with the project's name, or move it."
        msg = f"pip cannot install extras of {path!r}: it treats the text after ';' as a marker. {remedy}"
        raise InvalidRequirementError(msg)
    return f"{path}{match['extras']}{match['marker'] or ''}"


def _editable(text: str) -> str:
    if text.startswith("file:") and " ; " in text:
        remedy = f"Use 'NAME @ {text}' with the project's name, or installer='uv'."
        msg = f"pip does not accept a marker for an editable project without a name, as in {text!r}. {remedy}"
        raise InvalidRequirementError(msg)
    return text
