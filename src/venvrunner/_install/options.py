"""The keywords of an installation, in a module that costs little to import: the signatures of methods need them."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypedDict

from venvrunner._types import StrPath

if TYPE_CHECKING:
    import datetime as dt

    ExcludeNewer = str | dt.date | dt.timedelta
else:  # the import takes 2 ms, and so does the annotation as a string, which is compiled
    ExcludeNewer = object

HEARTBEAT = 10.0
"""The default number of seconds after which "still running" is logged for an installer that prints nothing."""


class ResolveOptions(TypedDict, total=False):
    """The keywords that change what requirements resolve to; see :class:`.InstallOptions`."""

    requirements_files: Iterable[StrPath]
    constraints: Iterable[StrPath]
    editable: Iterable[StrPath]
    dependency_groups: Iterable[str]
    index_url: StrPath | None
    extra_index_urls: Iterable[StrPath]
    find_links: Iterable[StrPath]
    no_index: bool
    deps: bool
    pre: bool
    exclude_newer: ExcludeNewer | None
    build_constraints: Iterable[StrPath]
    config_settings: Mapping[str, str | Iterable[str]]


class RequestOptions(ResolveOptions, total=False):
    """The keywords of an installation; see :class:`.InstallOptions`."""

    lock: StrPath | None
    lock_extras: Iterable[str] | None
    lock_groups: Iterable[str] | None
    lock_projects: bool
    require_hashes: bool
    upgrade: bool
