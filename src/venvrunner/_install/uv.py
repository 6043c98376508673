"""The command lines of uv; this module runs nothing."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from venvrunner._install import uv_settings
from venvrunner._install.locked_file import LockedFile, pylock_text
from venvrunner._install.request import Request
from venvrunner._install.requirement_forms import ARCHIVES, FILE
from venvrunner._install.requirements import is_lock_name
from venvrunner._venv.paths import local_path
from venvrunner.exceptions import InstallerNotFoundError, InvalidRequirementError

__tracebackhide__ = True

_HASH = re.compile(r"(?P<url>file:(//)?(?P<path>[^\s\[#]*%23[^\s\[#]*))", re.IGNORECASE)
_FRAGMENT = re.compile(r"(?P<url>file:[^\s#]*/(?P<file>[^\s/#]+)#[^\s;]+)(?P<marker> ;.*)?", re.IGNORECASE)
_LIMITS = (
    *("UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE", "UV_NO_EDITABLE", "UV_REQUIRE_HASHES"),
    *("UV_NO_BINARY", "UV_NO_BINARY_PACKAGE", "UV_NO_BUILD", "UV_NO_BUILD_PACKAGE"),
)
"""Variables that change which packages uv installs, or from which kind of file."""


class Uv(NamedTuple):
    """The command lines of one uv.

    Args:
        path: the path of its executable.

    >>> Uv("/uv").install(Request(requirements=("wheel",), upgrade=True), "/v/bin/python")
    ['/uv', 'pip', 'install', '--python=/v/bin/python', '--no-progress', '--upgrade', '--', 'wheel']
    """

    path: str

    @property
    def index_variable(self) -> str:
        """The environment variable for the index; it overrides a ``uv.toml``, and also ``--index-url``."""
        return "UV_DEFAULT_INDEX"

    @property
    def starts_python(self) -> bool:
        """Whether it finds installed packages with the environment's Python; uv looks into the package directory itself."""
        return False

    @property
    def file_variable(self) -> str:
        """The environment variable that names the one configuration file to read."""
        return uv_settings.FILE_VARIABLE

    @classmethod
    def bundled(cls) -> "Uv":
        """Return the uv of the installed ``uv`` package, never one that happens to be on ``PATH``.

        Raises:
            InstallerNotFoundError: the package is not installed beside this one.
        """
        try:
            from uv import find_uv_bin  # an extra
        except ImportError as exc:
            msg = "installer='uv' needs the uv package, which is not installed beside venvrunner. Install venvrunner[uv]."
            raise InstallerNotFoundError(msg) from exc
        try:
            return cls(find_uv_bin())
        except FileNotFoundError as exc:
            msg = f"installer='uv' needs uv, but the uv package lacks its program ({exc}). Reinstall venvrunner[uv]."
            raise InstallerNotFoundError(msg) from exc

    def install(self, request: Request, python: str) -> list[str]:
        """Return the command line for an installation; nothing after ``--`` is an option.

        Raises:
            InvalidRequirementError: uv cannot read a path.
        """
        _check(request)
        requirements = map(_named, request.requirements)
        # uv recognizes a lock file by its name.
        lock = any(is_lock_name(path) for path in request.requirements_files)
        preview = ["--preview-features=pylock"] if lock else []
        options = [*(["--reinstall"] if request.reinstall else []), *_options(request)]
        return [*self._start("install", python), *preview, *request.options(), *options, "--", *requirements]

    def reported(self, command: list[str], path: str, variables: Mapping[str, str]) -> tuple[list[str], str]:
        """Return the installation unchanged, and that uv writes no report."""
        return command, "uv does not report them"

    def lock_file(self, files: Iterable[LockedFile]) -> tuple[str, str]:
        """Return the name and the text of a file that makes :meth:`install` install exactly these files."""
        return "pylock.toml", pylock_text(files)

    def lock(self, request: Request, python: str, output: str, *, universal: bool) -> tuple[list[str], list[str]]:
        """Return the command line that writes a lock file, and the lines of a requirements file to append to it.

        Raises:
            InvalidRequirementError: uv cannot read a path.
        """
        _check(request)
        lines = [*map(_named, request.requirements), *(f"--editable {what}" for what in request.editable)]
        others = request._replace(requirements_files=(), editable=(), require_hashes=False, upgrade=False).options()
        # It prints the file too, with passwords. A header and annotations would name temporary paths.
        form = ["--format=pylock.toml", "--quiet", "--no-header", "--no-annotate", *(["--universal"] if universal else [])]
        command = [*self._start("compile", python), *form, f"--output-file={output}", *others, *_options(request)]
        return [*command, "--", *request.requirements_files], lines

    def wheel(self, request: Request, python: str, output: str) -> list[str]:
        """Return the command line that builds the wheel of the one requirement, a local directory."""
        match = FILE.fullmatch(request.requirements[0])
        path = request.requirements[0] if match is None else local_path(match["path"])
        others = request._replace(requirements=()).options()
        options = [option for option in others if option != "--no-deps"]
        # Without a project's own configuration: its sources and workspaces are those of its developers.
        return [
            self.path,
            "build",
            "--wheel",
            f"--python={python}",
            "--no-progress",
            f"--out-dir={output}",
            *options,
            *_options(request),
            "--",
            path,
        ]

    def overruled(
        self, env: Mapping[str, str], venv_dir: str, cwd: str, *, is_exact: bool
    ) -> tuple[Mapping[str, str | None], str]:
        """Return the variables that lift limits, and the text of a configuration file that replaces the user's files.

        No option of uv overrides a setting in its files.
        """
        limits = dict.fromkeys(_LIMITS) if is_exact else {}
        return limits, uv_settings.overruled(env, cwd, is_exact=is_exact)

    def uninstall(self, names: Iterable[str], python: str) -> list[str]:
        """Return the command line that removes packages."""
        return [*self._start("uninstall", python), "--", *names]

    def _start(self, command: str, python: str) -> list[str]:
        return [self.path, "pip", command, f"--python={python}", "--no-progress"]


def _check(request: Request) -> None:
    """Check that uv can read all paths."""
    for text in (*request.requirements, *request.editable):
        if match := _HASH.match(text):
            remedy = f"Use 'NAME @ {match['url']}' with the project's name, or move it."
            path = local_path(match["path"])
            msg = f"uv cannot install from {path!r}: it reads '#' as the end of the path. {remedy}"
            raise InvalidRequirementError(msg)


def _options(request: Request) -> list[str]:
    """Return the options of an installation that also change what a request resolves to."""
    return [
        *(["--prerelease=allow"] if request.pre else []),
        *([f"--exclude-newer={request.exclude_newer}"] if request.exclude_newer else []),
        *(f"--build-constraints={path}" for path in request.build_constraints),
        *(f"--config-setting={setting}" for setting in request.config_settings),
    ]


def _named(text: str) -> str:
    """Return a requirement; a file with a fragment gets its name, without which uv treats the fragment as part of the path.

    Raises:
        InvalidRequirementError: the file's name does not contain the name of the project.

    >>> _named("file:///w/mine-1.0.tar.gz#sha256=0a"), _named("mine"), _named("file:///w/mine#subdirectory=x")
    ('mine @ file:///w/mine-1.0.tar.gz#sha256=0a', 'mine', 'file:///w/mine#subdirectory=x')
    """
    match = _FRAGMENT.fullmatch(text)
    file = "" if match is None else local_path(match["file"])
    if match is None or not file.lower().endswith(ARCHIVES):
        return text
    from packaging.utils import (  # slow to import
        InvalidSdistFilename,
        InvalidWheelFilename,
        parse_sdist_filename,
        parse_wheel_filename,
    )

    try:
        name = (parse_wheel_filename(file) if file.lower().endswith(".whl") else parse_sdist_filename(file))[0]
    except (InvalidSdistFilename, InvalidWheelFilename) as exc:
        msg = f"uv treats the text after '#' as part of the path. Use 'NAME @ {match['url']}' with the project's name."
        raise InvalidRequirementError(msg) from exc
    return f"{name} @ {text}"
