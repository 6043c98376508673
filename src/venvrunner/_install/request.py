"""Requests: the arguments of an installation, checked before anything starts."""

import os
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple, cast

from venvrunner._install.exclude_newer import cutoff
from venvrunner._install.misuse import option_advice
from venvrunner._install.options import RequestOptions
from venvrunner._install.pylock import Choice, Lock, read_lock
from venvrunner._install.requirement_forms import quoted
from venvrunner._install.requirements import (
    check_credentials,
    editable,
    file_url,
    local_place,
    requirement,
    requirements_file,
)
from venvrunner._redaction import Redactor
from venvrunner._types import StrPath
from venvrunner.exceptions import InvalidRequirementError

__tracebackhide__ = True

_URL = re.compile(r"(https?|file)://\S+", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Request(NamedTuple):
    """One checked installation: paths are absolute, those to install are ``file:`` URLs, and no value can become an option."""

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
    pre: bool = False
    exclude_newer: str | None = None
    build_constraints: tuple[str, ...] = ()
    config_settings: tuple[str, ...] = ()
    reinstall: bool = False

    def contents(self) -> tuple[str, ...]:
        """Return the texts that identify the contents of an environment: requirements, or the text of a lock file."""
        return self.requirements if self.lock is None else self.lock.contents()

    def is_empty(self) -> bool:
        """Return whether there is nothing to install."""
        return self.lock is None and not (self.requirements or self.editable or self.requirements_files)

    def has_sources(self) -> bool:
        """Return whether the caller has chosen where packages come from."""
        return self.no_index or self.index_url is not None or bool(self.extra_index_urls or self.find_links)

    def options(self) -> list[str]:
        """Return the options that all installers share, each as one argument; the index goes into a variable."""
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
        """Return the request without values that contain credentials, and the lines of a requirements file for those.

        Every user of a machine can see the arguments of a process.
        """
        lines: list[str] = []

        def public(option: str, values: Iterable[str]) -> tuple[str, ...]:
            kept: list[str] = []
            for value in values:
                if Redactor().mask(value) == value:
                    kept.append(value)
                else:
                    # In a requirements file, installers replace ${NAME}, join a line that ends with a backslash to the next,
                    # and split options as a shell does; in a requirement, quotes belong to its markers.
                    line = value.replace("$", "%24").replace("\\", "%5C")
                    lines.append(option + (line.replace("'", "%27").replace('"', "%22") if option else line))
            return tuple(kept)

        request = self._replace(
            extra_index_urls=public("--extra-index-url ", self.extra_index_urls),
            find_links=public("--find-links ", self.find_links),
            editable=public("--editable ", self.editable),
            requirements=public("", self.requirements),
            requirements_files=public("--requirement ", self.requirements_files),
            constraints=public("--constraint ", self.constraints),
        )
        return request, lines


def make_request(requirements: Iterable[StrPath], options: RequestOptions) -> Request:
    """Check the arguments of an installation, and return them as a request.

    Args:
        requirements: requirements, paths and URLs.
        options: the keywords of the installation.

    Raises:
        TypeError: a value has the wrong type.
        InvalidRequirementError: a value is not a requirement, an existing file or a URL.
        LockFileError: the lock file cannot be used.
    """
    _check_several("requirements", requirements)
    names = _requirements(list(requirements))
    names += group_requirements(_several("dependency_groups", options.get("dependency_groups", ())))
    projects = tuple(editable(text) for text in _several("editable", options.get("editable", ())))
    files = tuple(requirements_file(path) for path in _several("requirements_files", options.get("requirements_files", ())))
    limits = _several("constraints", options.get("constraints", ()))
    constraints = tuple(requirements_file(path, "constraints") for path in limits)
    lock = options.get("lock")
    if not isinstance(lock, str | os.PathLike | None):
        msg = f"lock must be a str or a path, such as 'pylock.toml', not {type(lock).__name__}."
        raise TypeError(msg)
    pre, limit = _flag(options, "pre", default=False), options.get("exclude_newer")
    if lock is not None and (names or projects or files or constraints or pre or limit is not None):
        msg = "lock= installs exactly what the lock file lists. Install anything else with another call."
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
        pre=pre,
        exclude_newer=None if limit is None else cutoff(limit),
        build_constraints=tuple(_build_constraints(options)),
        config_settings=tuple(_settings(options.get("config_settings", {}))),
    )


def _lock(path: StrPath | None, options: RequestOptions) -> Lock | None:
    choice = Choice(
        extras=_names("lock_extras", options.get("lock_extras")),
        groups=_names("lock_groups", options.get("lock_groups")),
        projects=_flag(options, "lock_projects", default=True),
    )
    if path is not None:
        return read_lock(local_place(path), choice)
    if choice != Choice():
        msg = "lock_extras=, lock_groups= and lock_projects= select from a lock file. Pass it as lock=."
        raise InvalidRequirementError(msg)
    return None


def _names(name: str, values: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(os.fspath(value) for value in _several(name, values))


def _build_constraints(options: RequestOptions) -> Iterable[str]:
    for path in _several("build_constraints", options.get("build_constraints", ())):
        found = requirements_file(path, "build constraints")
        if Redactor().mask(found) != found:
            msg = f"build_constraints: {found!r} has a password, which every user of this machine could see. Download the file."
            raise InvalidRequirementError(Redactor().mask(msg))
        yield found


def _settings(value: object) -> Iterable[str]:
    """Yield the settings of a build back end, each as ``NAME=VALUE``."""
    if not isinstance(value, Mapping):
        msg = f"config_settings must be a dict, such as {{'name': 'value'}}, not {type(value).__name__}."
        raise TypeError(msg)
    for name, given in cast("Mapping[object, object]", value).items():
        is_list = isinstance(given, Iterable) and not isinstance(given, str | bytes)
        values = cast("Iterable[object]", given if is_list else [given])
        for one in values:
            if not isinstance(name, str) or not isinstance(one, str):
                msg = f"config_settings must contain strings, or lists of strings, not {name!r}: {one!r}."
                raise TypeError(Redactor().mask(msg))
            if not name.strip() or "=" in name or _CONTROL.search(name + one):
                msg = f"config_settings cannot be {name!r}: {one!r}. Use a name without '=', and one line for each value."
                raise InvalidRequirementError(Redactor().mask(msg))
            yield f"{name}={one}"


def _requirements(given: list[StrPath]) -> list[str]:
    found: list[str] = []
    for number, one in enumerate(given):
        if isinstance(one, str) and one.strip(" ").startswith("-") and " " not in one.strip(" "):
            advice = option_advice(one.strip(" "), given[number + 1] if number + 1 < len(given) else None)
            msg = f"{one!r} is an option, not a requirement. {advice}"
            raise InvalidRequirementError(Redactor().mask(msg))
        found.append(requirement(one))
    return found


def group_requirements(groups: Iterable[StrPath]) -> list[str]:
    """Return the requirements of dependency groups (PEP 735).

    Args:
        groups: names of groups in the ``pyproject.toml`` of the working directory, or ``path/to/pyproject.toml:name``.

    Raises:
        InvalidRequirementError: the file or the group does not exist or is invalid.
    """
    found: list[str] = []
    for text in groups:
        import tomllib  # slow to import, and few have groups

        path, colon, name = os.fspath(text).rpartition(":")
        path = path if colon else "pyproject.toml"
        if "\0" in path or not os.path.isfile(path):
            raise _no_group(name, path, "the file does not exist")
        try:
            with open(path, "rb") as file:
                tables = tomllib.load(file).get("dependency-groups", {})
            from packaging.dependency_groups import resolve_dependency_groups  # slow to import

            found += [requirement(line) for line in resolve_dependency_groups(tables, name)]
        except InvalidRequirementError:
            raise
        except ExceptionGroup as exc:
            raise _no_group(name, path, exc.exceptions[0]) from None
        except (OSError, LookupError, ValueError, TypeError, AttributeError, RecursionError) as exc:
            raise _no_group(name, path, exc) from None
    return found


def _no_group(name: str, path: str, why: object) -> InvalidRequirementError:
    msg = Redactor().mask(f"the dependency group {name!r} of {path!r} cannot be used: {str(why).rstrip('.')}.")
    return InvalidRequirementError(msg)


def _check_several(name: str, values: object) -> None:
    if isinstance(values, str | bytes | os.PathLike) or not isinstance(values, Iterable):
        remedy = f" Use [{Redactor().mask(repr(values))}]." if isinstance(values, str) else ""
        msg = f"{name} must be a list or another collection of values.{remedy}"
        raise TypeError(msg)


def _several(name: str, values: object) -> list[StrPath]:
    _check_several(name, values)
    found = list(cast("Iterable[StrPath]", values))
    for value in found:
        text: object = os.fspath(value) if isinstance(value, os.PathLike) else value
        if not isinstance(text, str):
            msg = f"{name} must contain strings or paths, not {type(text).__name__}."
            raise TypeError(msg)
    return found


def _place(name: str, value: StrPath) -> str:
    """Return a URL; for an existing path, its ``file:`` URL."""
    if not isinstance(value, str | os.PathLike):
        msg = f"{name} must be a str or a path, not {type(value).__name__}."
        raise TypeError(msg)
    text = os.fspath(value)
    if isinstance(value, str) and _URL.fullmatch(text) and not _UNSAFE.search(text):
        check_credentials(text)
        return quoted(text)
    if text and "\0" not in text and "\n" not in text and os.path.exists(text):
        return file_url(text)
    msg = f"{name}: {Redactor().mask(repr(text))} is neither a URL nor an existing directory."
    raise InvalidRequirementError(msg)


def _flag(options: RequestOptions, name: str, *, default: bool) -> bool:
    value: object = options.get(name, default)
    if not isinstance(value, bool):
        msg = f"{name} must be True or False, not {type(value).__name__}."
        raise TypeError(msg)
    return value
