"""What one installation is to do, checked before anything starts."""

import os
import pathlib
import re
from collections.abc import Iterable
from typing import NamedTuple, TypedDict, cast

from venvrunner._install.lock import Choice, Lock, read_lock
from venvrunner._install.requirements import check_credentials, editable, quoted, requirement, requirements_file
from venvrunner._process.sinks import Redactor
from venvrunner._types import StrPath
from venvrunner.exceptions import InvalidRequirementError

__tracebackhide__ = True

_URL = re.compile(r"(https?|file)://\S+", re.IGNORECASE)
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class RequestOptions(TypedDict, total=False):
    """The keywords of an installation; see :class:`.InstallOptions`."""

    requirements_files: Iterable[StrPath]
    constraints: Iterable[StrPath]
    editable: Iterable[str]
    dependency_groups: Iterable[str]
    lock: StrPath | None
    lock_extras: Iterable[str] | None
    lock_groups: Iterable[str] | None
    lock_projects: bool
    index_url: str | None
    extra_index_urls: Iterable[str]
    find_links: Iterable[StrPath]
    no_index: bool
    require_hashes: bool
    upgrade: bool
    deps: bool


class Request(NamedTuple):
    """One installation; all paths are absolute, and nothing in it can be taken for an option."""

    requirements: tuple[str, ...] = ()
    editable: tuple[str, ...] = ()
    requirements_files: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    require_hashes: bool = False
    upgrade: bool = False
    deps: bool = True
    lock: Lock | None = None

    def contents(self) -> tuple[str, ...]:
        """Return what tells one environment's contents from another's: requirements, or the text of a lock file."""
        return self.requirements if self.lock is None else self.lock.contents()

    def is_empty(self) -> bool:
        """Tell whether there is nothing to install."""
        return self.lock is None and not (self.requirements or self.editable or self.requirements_files)

    def has_sources(self) -> bool:
        """Tell whether the caller has said where to look."""
        return self.no_index or self.index_url is not None or bool(self.extra_index_urls or self.find_links)

    def options(self) -> list[str]:
        """Return the options that all installers share, each in one argument; the index goes into a variable."""
        return [
            *(f"--requirement={path}" for path in self.requirements_files),
            *(f"--constraint={path}" for path in self.constraints),
            *(f"--editable={what}" for what in self.editable),
            *(f"--extra-index-url={url}" for url in self.extra_index_urls),
            *(f"--find-links={place}" for place in self.find_links),
            *(["--no-index"] if self.no_index else []),
            *(["--require-hashes"] if self.require_hashes else []),
            *(["--upgrade"] if self.upgrade else []),
            *([] if self.deps else ["--no-deps"]),
        ]

    def without_secrets(self) -> "tuple[Request, list[str]]":
        """Return it without what holds credentials, and the lines of a requirements file for these.

        Every user of a machine can see the arguments of a process.
        """
        lines: list[str] = []

        def public(option: str, values: Iterable[str]) -> tuple[str, ...]:
            kept: list[str] = []
            for value in values:
                if Redactor().mask(value) == value:
                    kept.append(value)
                else:
                    # Installers put variables in for ${NAME}, take a backslash at the end as the begin of a longer line, and
                    # options apart as a shell does; in a requirement, quotes are those of its markers.
                    line = value.replace("$", "%24").replace("\\", "%5C")
                    lines.append(option + (line.replace("'", "%27").replace('"', "%22") if option else line))
            return tuple(kept)

        request = self._replace(
            extra_index_urls=public("--extra-index-url ", self.extra_index_urls),
            find_links=public("--find-links ", self.find_links),
            editable=public("--editable ", self.editable),
            requirements=public("", self.requirements),
        )
        return request, lines


def make_request(requirements: Iterable[str], options: RequestOptions) -> Request:
    """Check what is to be installed.

    Args:
        requirements: requirements, paths and URLs.
        options: the keywords.

    Raises:
        TypeError: something is of the wrong type.
        InvalidRequirementError: something is no requirement, no file or no place to look in.
        LockFileError: the lock file can't be used.
    """
    _check_several("requirements", requirements)
    names = [requirement(text) for text in requirements]
    names += group_requirements(_several("dependency_groups", options.get("dependency_groups", ())))
    projects = tuple(editable(text) for text in _several("editable", options.get("editable", ())))
    files = tuple(requirements_file(path) for path in _several("requirements_files", options.get("requirements_files", ())))
    limits = _several("constraints", options.get("constraints", ()))
    constraints = tuple(requirements_file(path, "constraints") for path in limits)
    lock = options.get("lock")
    if not isinstance(lock, str | os.PathLike | None):
        msg = f"lock must be a str or a path, such as 'pylock.toml', not {type(lock).__name__}!"
        raise TypeError(msg)
    if lock is not None and (names or projects or files or constraints):
        msg = "lock= installs exactly what its file lists! Install anything else by another call."
        raise InvalidRequirementError(msg)
    index_url = options.get("index_url")
    return Request(
        requirements=tuple(names),
        editable=projects,
        requirements_files=files,
        constraints=constraints,
        index_url=None if index_url is None else _place("index_url", index_url),
        extra_index_urls=tuple(
            _place("extra_index_urls", url) for url in _several("extra_index_urls", options.get("extra_index_urls", ()))
        ),
        find_links=tuple(_place("find_links", place) for place in _several("find_links", options.get("find_links", ()))),
        no_index=_flag(options, "no_index", default=False),
        require_hashes=_flag(options, "require_hashes", default=False),
        upgrade=_flag(options, "upgrade", default=False),
        deps=_flag(options, "deps", default=True),
        lock=_lock(lock, options),
    )


def _lock(path: StrPath | None, options: RequestOptions) -> Lock | None:
    choice = Choice(
        extras=_names("lock_extras", options.get("lock_extras")),
        groups=_names("lock_groups", options.get("lock_groups")),
        projects=_flag(options, "lock_projects", default=True),
    )
    if path is not None:
        return read_lock(path, choice)
    if choice != Choice():
        msg = "lock_extras=, lock_groups= and lock_projects= choose from a lock file. Name it with lock=."
        raise InvalidRequirementError(msg)
    return None


def _names(name: str, values: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(_several(name, values))


def group_requirements(groups: Iterable[str]) -> list[str]:
    """Return the requirements of dependency groups (PEP 735).

    Args:
        groups: names of groups in the ``pyproject.toml`` of the working directory, or ``path/to/pyproject.toml:name``.

    Raises:
        InvalidRequirementError: there is no such file or group, or it is wrong.
    """
    found: list[str] = []
    for text in groups:
        import tomllib  # noqa: PLC0415  slow to import, and few have groups

        path, colon, name = text.rpartition(":")
        path = path if colon else "pyproject.toml"
        if "\0" in path or not os.path.isfile(path):
            raise _no_group(name, path, "there is no such file")
        try:
            with open(path, "rb") as file:
                tables = tomllib.load(file).get("dependency-groups", {})
            from packaging.dependency_groups import resolve_dependency_groups  # noqa: PLC0415  slow to import

            found += [requirement(line) for line in resolve_dependency_groups(tables, name)]
        except InvalidRequirementError:
            raise
        except ExceptionGroup as exc:
            raise _no_group(name, path, exc.exceptions[0]) from None
        except (OSError, LookupError, ValueError, TypeError, AttributeError) as exc:
            raise _no_group(name, path, exc) from None
    return found


def _no_group(name: str, path: str, why: object) -> InvalidRequirementError:
    msg = Redactor().mask(f"the dependency group {name!r} of {path!r} can't be used: {why}!")
    return InvalidRequirementError(msg)


def _check_several(name: str, values: object) -> None:
    if isinstance(values, str | bytes | os.PathLike) or not isinstance(values, Iterable):
        remedy = f" Use [{Redactor().mask(repr(values))}]." if isinstance(values, str) else ""
        msg = f"{name} must be several values, such as a list!{remedy}"
        raise TypeError(msg)


def _several(name: str, values: object) -> list[str]:
    found: list[str] = []
    _check_several(name, values)
    for value in cast("Iterable[object]", values):
        text: object = os.fspath(cast("os.PathLike[str]", value)) if isinstance(value, os.PathLike) else value
        if not isinstance(text, str):
            msg = f"{name} must hold strings or paths, not {type(text).__name__}!"
            raise TypeError(msg)
        found.append(text)
    return found


def _place(name: str, value: str) -> str:
    """Return a URL, or the absolute path of what is there."""
    if not isinstance(value, str):
        msg = f"{name} must be a str, not {type(value).__name__}!"
        raise TypeError(msg)
    if _URL.fullmatch(value) and not _UNSAFE.search(value):
        check_credentials(value)
        return quoted(value)
    if value and "\0" not in value and "\n" not in value and os.path.exists(value):
        path = os.path.abspath(value)
        return pathlib.Path(path).as_uri() if "," in path else path
    msg = f"{name}: {Redactor().mask(repr(value))} is neither a URL nor a folder that is there!"
    raise InvalidRequirementError(msg)


def _flag(options: RequestOptions, name: str, *, default: bool) -> bool:
    value: object = options.get(name, default)
    if not isinstance(value, bool):
        msg = f"{name} must be true or false, not {type(value).__name__}!"
        raise TypeError(msg)
    return value
