"""Installation reports of pip, as the packages of a lock file, without I/O.

https://pip.pypa.io/en/stable/reference/installation-report/
"""

from collections.abc import Mapping
from typing import Any

from venvrunner._install.metadata import normalized
from venvrunner._install.portable import without_login

__tracebackhide__ = True


def packages_of(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the packages that a report lists, as a lock file (PEP 751) lists them, without passwords.

    >>> archive = {"url": "https://me:pw@x.example/a-1.zip", "archive_info": {"hashes": {}}}
    >>> packages_of({"install": [{"metadata": {"name": "A", "version": "1"}, "download_info": archive}]})
    [{'name': 'a', 'version': '1', 'sdist': {'name': 'a-1.zip', 'url': 'https://x.example/a-1.zip', 'hashes': {}}}]
    """
    return [_package(entry) for entry in report.get("install", [])]


def _package(entry: Mapping[str, Any]) -> dict[str, Any]:
    metadata, info = entry["metadata"], entry["download_info"]
    name, url = {"name": normalized(metadata["name"])}, without_login(info["url"])
    below = {"subdirectory": info["subdirectory"]} if info.get("subdirectory") else {}
    if "dir_info" in info:
        editable = {"editable": True} if info["dir_info"].get("editable") else {}
        return {**name, "directory": {"path": url, **editable, **below}}
    named = {**name, "version": metadata["version"]}
    if "vcs_info" in info:
        vcs = info["vcs_info"]
        revision = {"requested-revision": vcs["requested_revision"]} if vcs.get("requested_revision") else {}
        return {**named, "vcs": {"type": vcs["vcs"], "url": url, **revision, "commit-id": vcs["commit_id"], **below}}
    hashes: dict[str, str] = dict(info["archive_info"].get("hashes") or {})
    if entry.get("is_direct"):
        return {**named, "archive": {"url": url, "hashes": hashes, **below}}
    file = url.partition("#")[0].rpartition("/")[2]
    found: dict[str, Any] = {"url": url, "hashes": hashes}
    return {**named, **({"wheels": [{"name": file, **found}]} if file.endswith(".whl") else {"sdist": {"name": file, **found}})}
