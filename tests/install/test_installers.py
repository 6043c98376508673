"""Installing with pip and with uv: the same request, the same receipt, the same kind of failure."""

import asyncio
import hashlib
import json
import logging
import os
import pickle
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args
from unittest import mock

import pytest

from helpers.environments import packages
from helpers.index_server import dated_index
from helpers.waiting import wait_until
from helpers.wheels import make_wheel
from venvrunner import (
    CommandError,
    FakeVenvRunner,
    HashError,
    InstallationError,
    InstallerNotFoundError,
    InvalidRequirementError,
    LockFileError,
    NoFittingVersionError,
    NoSuchPackageError,
    Receipt,
    VenvInUseError,
    VenvRunner,
)
from venvrunner._install.credentials import secrets_of, texts_of
from venvrunner._install.exclude_newer import cutoff
from venvrunner._install.request import make_request
from venvrunner.installing import InstallerName

if TYPE_CHECKING:
    from venvrunner._install.options import RequestOptions

INSTALLERS = get_args(InstallerName)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of wheels, in place of an index."""
    folder = tmp_path_factory.mktemp("wheels")
    for version in ("1.0", "2.0", "3.0"):
        make_wheel(folder, "pocket", version)
    make_wheel(folder, "needy", requires=["pocket>=2"])
    make_wheel(folder, "later", metadata="Requires-Python: >=3.99\n")
    return folder


# pip takes a second for each call, so most tests of it are left to those who have the time.
@pytest.fixture(params=[pytest.param("pip", marks=pytest.mark.slow), "uv"])
def venv(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VenvRunner]:
    """An environment of one's own, without pip: neither installer needs it there."""
    with VenvRunner.temporary(with_pip=False, installer=request.param) as runner:
        yield runner


@pytest.fixture
def offline(wheels: Path) -> dict[str, Any]:
    """Where to look."""
    return {"find_links": [wheels], "no_index": True}


@pytest.mark.parametrize("venv", [pytest.param("pip", marks=pytest.mark.slow), "uv"], indirect=True)
def test_a_receipt_lists_what_has_changed(venv: VenvRunner, offline: dict[str, Any]) -> None:
    """Added, changed from and to, removed; `installed` says what is there; all of it the same for both installers."""
    receipt = venv.install("pocket==1.0", **offline)
    assert isinstance(receipt, subprocess.CompletedProcess)
    assert (receipt.added, receipt.changed, receipt.removed) == ({"pocket": "1.0"}, {}, {})
    receipt = venv.install("needy", **offline)
    assert (receipt.added, receipt.changed, receipt.removed) == ({"needy": "1.0"}, {"pocket": ("1.0", "3.0")}, {})
    assert str(receipt) == repr(receipt) == "added    needy   1.0\nchanged  pocket  1.0 -> 3.0"
    assert pickle.loads(pickle.dumps(receipt)).changed == receipt.changed
    assert venv.installed() == {"needy": "1.0", "pocket": "3.0"}
    receipt = venv.install("needy", **offline)
    assert repr(receipt) == "nothing changed"
    receipt = venv.uninstall("Needy", "pocket")
    assert (receipt.added, receipt.changed, receipt.removed) == ({}, {}, {"needy": "1.0", "pocket": "3.0"})
    assert venv.installed() == {}


def test_options_are_those_of_the_request(venv: VenvRunner, offline: dict[str, Any], tmp_path: Path) -> None:
    """Constraints hold, `deps=False` leaves out what is needed, `upgrade` renews, a file lists more."""
    (tmp_path / "c.txt").write_text("pocket<3\n")
    (tmp_path / "r.txt").write_text("pocket\n")
    assert venv.install("needy", deps=False, **offline).added == {"needy": "1.0"}
    assert venv.install(requirements_files=[tmp_path / "r.txt"], constraints=[tmp_path / "c.txt"], **offline).added == {
        "pocket": "2.0"
    }
    assert not venv.install("pocket", **offline).changed
    assert venv.install("pocket", upgrade=True, **offline).changed == {"pocket": ("2.0", "3.0")}


def test_a_dependency_group_is_installed_by_name(
    venv: VenvRunner, offline: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the project in the working directory or of a named file, with what it includes (PEP 735)."""
    text = """
[dependency-groups]
base = ["pocket<3"]
test = [{include-group = "base"}, "needy"]
odd = ["-r x"]
loop = [{include-group = "loop"}]
"""
    (tmp_path / "pyproject.toml").write_text(text)
    path = tmp_path / "pyproject.toml"
    assert venv.install(dependency_groups=[f"{path}:test"], **offline).added == {"needy": "1.0", "pocket": "2.0"}
    monkeypatch.chdir(tmp_path)
    assert not venv.install(dependency_groups=["base"], **offline).added
    for name, why in (("none", "none"), ("odd", "-r x"), ("loop", "(?i)cycl")):
        with pytest.raises(InvalidRequirementError, match=why):
            venv.install(dependency_groups=[name])
    with pytest.raises(InvalidRequirementError, match=r"missing\.toml"):
        venv.install(dependency_groups=["missing.toml:test"])


def make_builder(folder: Path, *, requires: str = "") -> Path:
    """Write a project whose build back end puts its settings and the version of pocket that it sees into the package."""
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        f'[build-system]\nrequires = [{requires}]\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    wheel = make_wheel(folder, "built", modules={})
    (folder / "backend.py").write_text(_BUILDER.format(wheel=str(wheel)))
    return folder


_BUILDER = """import importlib.metadata, json, os, shutil, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    path = shutil.copy({wheel!r}, folder)
    with zipfile.ZipFile(path, "a") as archive:
        version = [one.version for one in importlib.metadata.distributions(name="pocket")]
        archive.writestr("built.json", json.dumps([version, config_settings]))
    return os.path.basename(path)
"""


def seen_by_build(venv: VenvRunner) -> Any:
    """Return what the build back end of `make_builder` has seen: versions of pocket, and its settings."""
    return json.loads((packages(venv) / "built.json").read_text())


@pytest.mark.parametrize("venv", INSTALLERS, indirect=True)
def test_settings_and_constraints_reach_a_build(venv: VenvRunner, offline: dict[str, Any], tmp_path: Path) -> None:
    """Each setting as it is; one that is given several times is a list."""
    project = make_builder(tmp_path / "project", requires='"pocket"')
    (tmp_path / "build.txt").write_text("pocket<3\n")
    settings = {"plain": "a=b,c", "--build-option": ["--one", "--two"], "empty": ""}
    venv.install(str(project), config_settings=settings, build_constraints=[tmp_path / "build.txt"], **offline)
    assert seen_by_build(venv) == [["2.0"], settings]


@pytest.mark.parametrize("venv", INSTALLERS, indirect=True)
def test_a_pre_release_is_taken_if_asked_for(venv: VenvRunner, tmp_path: Path) -> None:
    """And only then."""
    for version in ("1.0", "2.0rc1"):
        make_wheel(tmp_path, "pocket", version)
    assert venv.install("pocket", find_links=[tmp_path], no_index=True).added == {"pocket": "1.0"}
    changed = venv.install("pocket", pre=True, upgrade=True, find_links=[tmp_path], no_index=True).changed
    assert changed == {"pocket": ("1.0", "2.0rc1")}


@pytest.mark.parametrize("venv", INSTALLERS, indirect=True)
def test_releases_after_a_time_are_left_out(venv: VenvRunner, wheels: Path) -> None:
    """A date begins in UTC, for both installers and whatever zone this machine is in; an age counts back from now."""
    pocket_2 = datetime(2020, 1, 1, tzinfo=UTC)
    limits: list[tuple[Any, str]] = [
        ("2020-01-01", "1.0"),
        ("2020-01-01T00:00:01Z", "2.0"),
        (date(2020, 1, 1), "1.0"),
        (pocket_2 + timedelta(seconds=1), "2.0"),
        (datetime.now(UTC) - pocket_2 - timedelta(days=1), "2.0"),
        ("P1D", "2.0"),
    ]
    with dated_index(wheels) as index:
        for limit, version in limits:
            options: dict[str, Any] = {"index_url": f"{index}/simple/", "extra_env": {"TZ": "Pacific/Kiritimati"}}
            if venv.installer == "pip":
                options["extra_env"]["PIP_NO_CACHE_DIR"] = "1"
            assert venv.install("pocket", exclude_newer=limit, **options).added == {"pocket": version}, limit
            venv.uninstall("pocket")


@pytest.mark.parametrize(
    ("limit", "why"),
    [
        ("yesterday", "not a time. Use a form of ISO 8601"),
        ("", "not a time"),
        ("P1W", "not a time"),
        ("2020-01-01T00:00:00", "needs a time zone"),
        (datetime(2020, 1, 1), "needs a time zone"),  # noqa: DTZ001  this is the case
        (timedelta(days=-1), "negative age"),
        (timedelta(days=999_999), "before the year 1"),
    ],
)
def test_a_time_that_installers_read_differently_is_refused(limit: Any, why: str) -> None:
    """Such as one without a zone."""
    with pytest.raises(InvalidRequirementError, match=f"^exclude_newer .*{why}"):
        cutoff(limit)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"config_settings": {"a=b": "c"}}, "a name without '='"),
        ({"config_settings": {"": "c"}}, "a name without '='"),
        ({"config_settings": {"a": "b\nc"}}, "one line for each"),
        ({"build_constraints": ["missing.txt"]}, "^the build constraints file 'missing.txt' does not exist"),
        ({"lock": "x", "pre": True}, "lock= installs exactly"),
        ({"lock": "x", "exclude_newer": "2020-01-01"}, "lock= installs exactly"),
    ],
)
def test_a_bad_value_of_a_keyword_is_refused(options: dict[str, Any], why: str) -> None:
    """Before anything is started."""
    with pytest.raises(InvalidRequirementError, match=why):
        make_request([] if "lock" in options else ["pocket"], cast("RequestOptions", options))


@pytest.mark.parametrize(
    "options",
    [
        {"pre": "yes"},
        {"exclude_newer": 7},
        {"build_constraints": "c.txt"},
        {"config_settings": ["a=b"]},
        {"config_settings": {"a": 1}},
        {"config_settings": {1: "a"}},
    ],
)
def test_a_keyword_of_the_wrong_type_is_a_type_error(options: dict[str, Any]) -> None:
    """It names the keyword."""
    with pytest.raises(TypeError, match=f"^{next(iter(options))} must"):
        make_request(["pocket"], cast("RequestOptions", options))


@pytest.mark.parametrize(
    ("options", "since"),
    [
        ({"exclude_newer": "2020-01-01"}, "26.0"),
        ({"build_constraints": [os.devnull]}, "25.3"),
        ({"config_settings": {"a": "b"}}, "22.1"),
    ],
)
def test_a_pip_that_is_too_old_for_a_keyword_is_not_started(options: dict[str, Any], since: str, tmp_path: Path) -> None:
    """The error names both versions; nothing else asks which pip it is."""
    with VenvRunner.temporary() as venv:
        (info,) = packages(venv).glob("pip-*.dist-info")
        info.rename(info.with_name("pip-22.0.4.dist-info"))
        (tmp_path / "c.txt").touch()
        if "build_constraints" in options:
            options = {"build_constraints": [tmp_path / "c.txt"]}
        with pytest.raises(
            InstallerNotFoundError, match=rf"^{next(iter(options))}= needs pip {since} or newer, .* is 22\.0\.4\. Upgrade"
        ):
            venv.install("pip", **options)
        assert repr(venv.install("pip", no_index=True)) == "nothing changed"


def test_a_receipt_lists_the_first_package_after_the_last(venv: VenvRunner, offline: dict[str, Any]) -> None:
    """pip removes the directory of packages with the last of them."""
    venv.install("pocket", **offline)
    venv.uninstall("pocket")
    assert venv.install("pocket==1.0", **offline).added == {"pocket": "1.0"}


@pytest.mark.parametrize("venv", INSTALLERS, indirect=True)
@pytest.mark.parametrize("is_async", [False, True])
def test_a_file_may_be_at_a_url(is_async: bool, venv: VenvRunner, offline: dict[str, Any], tmp_path: Path) -> None:
    """Requirements, constraints, constraints of a build, and a lock file; with a password, which is in no argument."""

    def install(*args: str, **options: Any) -> Receipt:
        return asyncio.run(venv.async_install(*args, **options)) if is_async else venv.install(*args, **options)

    wheel = make_wheel(tmp_path, "needy", requires=["pocket"])
    (tmp_path / "r.txt").write_text("needy\n")
    (tmp_path / "c.txt").write_text("pocket<3\n")
    with dated_index(tmp_path) as http:
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        (tmp_path / "pylock.toml").write_text(_LOCK.format(url=f"{http}/{wheel.name}", digest=digest))
        secret = http.replace("//", f"//me:{SECRET}@")
        receipt = install(requirements_files=[f"{secret}/r.txt"], constraints=[f"{secret}/c.txt"], **offline)
        assert receipt.added == {"needy": "1.0", "pocket": "2.0"}
        assert SECRET not in "".join(receipt.args)
        project = make_builder(tmp_path / "project", requires='"pocket"')
        install(str(project), build_constraints=[f"{http}/c.txt"], **offline)
        assert seen_by_build(venv)[0] == ["2.0"]
        venv.uninstall("needy")
        assert install(lock=f"{secret}/pylock.toml").added == {"needy": "1.0"}
        assert install(lock=(tmp_path / "pylock.toml").as_uri()).added == {}
        with pytest.raises(LockFileError, match=r"/missing.toml' cannot be used: .*404") as caught:
            install(lock=f"{secret}/missing.toml")
        assert SECRET not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(InvalidRequirementError, match="has a password"):
        install("pocket", build_constraints=[f"{secret}/c.txt"])
    with pytest.raises(InvalidRequirementError, match="Use lock="):
        install(requirements_files=[f"{http}/pylock.toml"])


@pytest.mark.parametrize("is_async", [False, True])
def test_a_lock_file_at_a_url_offers_choices_and_no_paths(is_async: bool, tmp_path: Path) -> None:
    """What it lists by a path is not looked for here, even if there is such a path."""
    wheel = make_wheel(tmp_path, "needy")
    (tmp_path / "project").mkdir()
    with dated_index(tmp_path) as http, VenvRunner.temporary(installer="uv") as venv:
        text = _LOCK.format(url=f"{http}/{wheel.name}", digest=hashlib.sha256(wheel.read_bytes()).hexdigest())
        dev = """marker = "'dev' in dependency_groups"\n"""
        project = f'[[packages]]\nname = "project"\ndirectory = {{ path = "{tmp_path}/project" }}\n'
        text = text.replace("[[packages]]", 'dependency-groups = ["dev"]\n[[packages]]').replace("wheels", f"{dev}wheels")
        (tmp_path / "pylock.toml").write_text(text + project)
        url = f"{http}/pylock.toml"

        def install(**options: Any) -> Receipt:
            return asyncio.run(venv.async_install(lock=url, **options)) if is_async else venv.install(lock=url, **options)

        with pytest.raises(LockFileError, match=r"lists the path .*/project/?', but was read from a URL\. Download it"):
            install()
        assert install(lock_projects=False).added == {}
        assert install(lock_projects=False, lock_groups=["dev"]).added == {"needy": "1.0"}
        with pytest.raises(LockFileError, match="'tset' is not in it: its dependency groups are 'dev'"):
            install(lock_groups=["tset"])


_LOCK = """lock-version = "1.0"
created-by = "test"
[[packages]]
name = "needy"
version = "1.0"
wheels = [{{ url = "{url}", hashes = {{ sha256 = "{digest}" }} }}]
"""


def test_the_reader_for_secrets_finds_what_installers_find(tmp_path: Path) -> None:
    """Files that name each other, whatever their encoding, with blanks in their paths, over several lines."""
    inner = tmp_path / "two words"
    inner.mkdir()
    forms = {
        "quoted.txt": '-r "two words/{}"',
        "single.txt": "--requirement='two words/{}'",
        "plain.txt": "-r two words/{}  # why",
        "escaped.txt": r"-c two\ words/{}",
        "joined.txt": '-r \\\n"two words/{}"',
        "url.txt": f"--constraint {inner.as_uri()}/{{}}",
        "variable.txt": '-r "${{WORDS}}/{}"',
    }
    encodings = ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp500"]
    for encoding in encodings:
        head = "# -*- coding: cp1252 -*-\n" if encoding == "cp500" else ""
        actual = "cp1252" if head else encoding
        for name, line in forms.items():
            path = tmp_path / name
            path.write_bytes(f"{head}{line.format('inner.txt')}\n".encode(actual))
            (inner / "inner.txt").write_bytes(f"{head}--index-url https://me:gr\u00f6\u00dfe@host.example/\n".encode(actual))
            found = secrets_of(texts_of([str(path)], {"WORDS": "two words"}))
            assert "gr\u00f6\u00dfe" in found, (name, encoding)


FAILURES: list[tuple[str, type[InstallationError], str]] = [
    ("no-such-thing", NoSuchPackageError, "Check the spelling"),
    ("pocket>9", NoFittingVersionError, "No version satisfies"),
    ("later", NoFittingVersionError, "another python="),
]


@pytest.mark.parametrize("venv", INSTALLERS, indirect=True)
@pytest.mark.parametrize(("requirement", "kind", "advice"), FAILURES)
def test_a_failure_is_of_one_kind_and_says_what_to_do(
    requirement: str, kind: type[InstallationError], advice: str, venv: VenvRunner, wheels: Path
) -> None:
    """Whichever installer it was; its own words come first, and nothing is installed."""
    with pytest.raises(kind) as caught:
        venv.install(requirement, find_links=[wheels], no_index=True)
    assert isinstance(caught.value, CommandError | LookupError)
    assert type(caught.value) is kind
    own, remedy = caught.value.__notes__
    assert requirement.split(">", maxsplit=1)[0] in own
    assert advice in remedy
    assert venv.installed() == {}
    assert type(pickle.loads(pickle.dumps(caught.value))) is kind


@pytest.mark.parametrize("venv", INSTALLERS, indirect=True)
def test_a_wrong_hash_is_an_error_of_its_own(venv: VenvRunner, wheels: Path, tmp_path: Path) -> None:
    """Both for a hash that does not fit and for one that is missing; nothing is installed."""
    (tmp_path / "wrong.txt").write_text(f"pocket==1.0 --hash=sha256:{'0' * 64}\n")
    (tmp_path / "missing.txt").write_text("pocket==1.0\n")
    for name in ("wrong", "missing"):
        with pytest.raises(HashError) as caught:
            venv.install(requirements_files=[tmp_path / f"{name}.txt"], require_hashes=True, find_links=[wheels], no_index=True)
        assert "Find out why" in caught.value.__notes__[-1]
    assert venv.installed() == {}


def test_any_other_failure_has_no_advice(venv: VenvRunner, tmp_path: Path) -> None:
    """What the installer said must do."""
    broken = tmp_path / "broken-1.0-py3-none-any.whl"
    broken.write_bytes(b"no archive")
    with pytest.raises(InstallationError) as caught:
        venv.install(str(broken), no_index=True)
    assert type(caught.value) is InstallationError
    assert len(caught.value.__notes__) == 1


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"index_url": "--pre"}, "index_url"),
        ({"index_url": "https://host.example/a b"}, "index_url"),
        ({"index_url": "https://host.example/\n--pre"}, "index_url"),
        ({"extra_index_urls": ["ftp://host.example"]}, "extra_index_urls"),
        ({"find_links": ["no/such/folder"]}, "find_links"),
        ({"find_links": ["\0"]}, "find_links"),
        ({"constraints": ["missing.txt"]}, "missing.txt"),
        ({"editable": ["missing"]}, "missing"),
        ({"editable": ["--pre"]}, "--pre"),
        ({"editable": [""]}, "empty"),
        ({"editable": ["pocket"]}, "pocket"),
    ],
)
def test_a_bad_option_is_refused_before_anything_starts(
    options: dict[str, Any], why: str, venv: VenvRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names it."""
    monkeypatch.setattr("venvrunner.subprocess_util.log_run", None)
    with pytest.raises(InvalidRequirementError, match=why):
        venv.install("pocket", **options)


@pytest.mark.parametrize(
    "options", [{"upgrade": 1}, {"find_links": "wheels"}, {"editable": [1]}, {"index_url": 3}, {"unknown": 1}]
)
def test_an_option_of_the_wrong_type_is_a_type_error(options: dict[str, Any], venv: VenvRunner) -> None:
    """And one that is not known."""
    with pytest.raises(TypeError, match=next(iter(options))):
        venv.install("pocket", **options)


def test_an_unknown_keyword_is_refused_before_anything_starts(venv: VenvRunner) -> None:
    """With those of an installation, which are more than those of a command; nothing is waited for."""

    def async_install(*args: str, **options: Any) -> None:
        asyncio.run(venv.async_install(*args, **options))

    calls: list[tuple[Callable[..., object], dict[str, Any], str]] = [
        (
            venv.install,
            {"upgrad": 1},
            "upgrad= is unknown. Did you mean upgrade=? The keywords are: build_constraints, ",
        ),
        (venv.install, {"check": False}, "check= is unknown. "),
        (venv.install, {"shell": True}, "shell= can't be used here: "),
        (venv.uninstall, {"upgrade": True}, "upgrade= is unknown. The keywords are: carriage_return, close_fds, "),
        (async_install, {"no_idx": True}, "no_idx= is unknown. "),
    ]
    with mock.patch.object(VenvRunner, "_changing", None):
        for change, options, message in calls:
            with pytest.raises(TypeError) as caught:
                change("pocket", **options)
            assert str(caught.value).startswith(message)


def test_a_list_instead_of_its_items_is_refused(venv: VenvRunner) -> None:
    """And one string in the place of a list."""
    for change in (venv.install, venv.uninstall):
        with pytest.raises(TypeError, match=r"not list\. Use one argument for each: install\(\*names\)\.$"):
            change(["a", "b"])  # type: ignore[arg-type]  # a wrong value on purpose
    with pytest.raises(TypeError, match=r"collection of values\. Use \['\.'\]\.$"):
        venv.install(editable=".")
    with pytest.raises(InvalidRequirementError, match=r"^there is nothing to uninstall\. Name a package\.$"):
        venv.uninstall()
    with pytest.raises(
        InvalidRequirementError, match=r"^the constraints file 'no\.txt' does not exist\. A relative path is resolved"
    ):
        venv.install("a", constraints=["no.txt"])


@pytest.mark.parametrize("name", ["", "-y", "a b", "a==1", "../x", "a\nb", "é"])
def test_only_a_name_can_be_uninstalled(name: str, venv: VenvRunner) -> None:
    """Nothing of this starts an installer."""
    with pytest.raises(InvalidRequirementError):
        venv.uninstall(name)


def test_there_are_two_installers() -> None:
    """Another name is an error that lists them."""
    with pytest.raises(ValueError, match=r"'conda' is not an installer\. Use one of 'pip', 'uv'"):
        VenvRunner.temporary(installer="conda")  # type: ignore[arg-type]  # a wrong value on purpose


def test_uv_is_never_taken_from_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the one beside this package, and its absence is one clear error."""
    monkeypatch.setitem(sys.modules, "uv", None)
    venv = VenvRunner.temporary(with_pip=False, installer="uv")
    with venv, pytest.raises(InstallerNotFoundError, match=r"venvrunner\[uv\]"):
        venv.install("pocket")


SECRET = "hunter2-and-more"


WAYS = ["argument", "extra", "find_links", "requirement", "file"]
VARIABLES = {"pip": ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"], "uv": ["UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX"]}


@pytest.mark.parametrize(
    ("venv", "how"),
    [
        *[("uv", how) for how in WAYS + VARIABLES["uv"]],
        *[pytest.param("pip", how, marks=pytest.mark.slow) for how in WAYS + VARIABLES["pip"]],
    ],
    indirect=["venv"],
)
def test_a_credential_is_shown_nowhere(
    how: str, venv: VenvRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in a log, nor in the exception, nor in the arguments of the process, which every user can see."""
    caplog.set_level(1)
    url = f"http://me:{SECRET}@127.0.0.1:9/simple"
    options: dict[str, Any] = {"stdout_loglevel": "info", "extra_env": {"PIP_RETRIES": "0", "UV_HTTP_RETRIES": "0"}}
    requirements = ["no-such-thing-anywhere"]
    match how:
        case "argument":
            options["index_url"] = url
        case "extra":
            options["extra_index_urls"] = [url]
        case "find_links":
            options |= {"find_links": [url], "no_index": True}
        case "requirement":
            requirements = [f"{url}/pocket-1.0-py3-none-any.whl"]
        case "file":
            (tmp_path / "r.txt").write_text(f"--index-url {url}\n")
            options["requirements_files"] = [tmp_path / "r.txt"]
        case _:
            monkeypatch.setenv(how, url)
    with pytest.raises(InstallationError) as caught:
        venv.install(*requirements, **options)
    error = caught.value
    shown = "\n".join([str(error), repr(error), *error.__notes__, *map(repr, caplog.records), caplog.text])
    assert SECRET not in shown
    assert SECRET not in "".join(error.cmd)
    assert caplog.records


def test_a_second_installation_waits_and_says_so(
    venv: VenvRunner, offline: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Two threads fill one environment one after the other."""
    receipts: list[object] = []

    def second() -> None:
        receipts.append(VenvRunner.open(venv.venv_dir, installer=venv.installer).install("pocket", **offline).added)

    with caplog.at_level(logging.WARNING):
        thread = threading.Thread(target=second)
        with venv._changing():
            thread.start()
            wait_until(lambda: "waiting for" in caplog.text, "the second one tells that it waits")
        thread.join()
    assert receipts == [{"pocket": "3.0"}]


def test_coroutines_install_one_after_the_other(venv: VenvRunner, offline: dict[str, Any]) -> None:
    """On one loop, which goes on meanwhile: neither blocks the other's end."""

    async def main() -> list[dict[str, str]]:
        receipts = await asyncio.gather(
            venv.async_install("pocket", **offline), venv.async_install("needy", deps=False, **offline)
        )
        return [receipt.added for receipt in receipts]

    assert asyncio.run(main()) == [{"pocket": "3.0"}, {"needy": "1.0"}]


def test_a_cancelled_installation_leaves_the_environment_usable(venv: VenvRunner, offline: dict[str, Any]) -> None:
    """The installer is gone, and the next one does not wait."""

    async def main() -> None:
        task = asyncio.create_task(venv.async_install("pocket", **offline))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await venv.async_install("pocket", **offline)).added

    asyncio.run(main())


def test_a_timeout_is_the_same_for_both(venv: VenvRunner) -> None:
    """No installer is done in no time."""
    with pytest.raises(subprocess.TimeoutExpired):
        venv.install("pocket", no_index=True, timeout=0)


def test_a_frozen_parent_is_not_installed_into(venv: VenvRunner, offline: dict[str, Any], tmp_path: Path) -> None:
    """Its fork is; and it has the parent's packages in its list."""
    venv.install("pocket<3", **offline)
    child = venv.fork("child", tmp_path)
    with pytest.raises(VenvInUseError, match="child"):
        venv.install("needy", **offline)
    assert child.installer == venv.installer
    assert child.installed() == {"pocket": "2.0"}
    assert child.install("pocket", upgrade=True, **offline).changed == {"pocket": ("2.0", "3.0")}
    child.delete()


def test_installed_reads_old_forms_of_metadata(venv: VenvRunner) -> None:
    """An .egg-info file or directory, and what has no name at all."""
    (packages,) = Path(venv.venv_dir).glob("lib/*/site-packages")
    (packages / "Old_Thing.egg-info").write_text("Metadata-Version: 1.0\nName: Old_Thing\nVersion: 0.1\n")
    (packages / "empty.egg-info").mkdir()
    assert venv.installed() == {"old-thing": "0.1"}


@pytest.mark.parametrize("installer", get_args(InstallerName))
def test_requirements_of_the_constructor_use_the_installer(installer: InstallerName, tmp_path: Path, wheels: Path) -> None:
    """Also without pip in it."""
    wheel = str(wheels / "pocket-3.0-py3-none-any.whl")
    venv = VenvRunner("venv", tmp_path, with_pip=False, requirements=[wheel], installer=installer)
    assert venv.installed() == {"pocket": "3.0"}


def test_the_fake_does_not_install() -> None:
    """Nor does it remove anything."""
    with pytest.raises(NotImplementedError):
        FakeVenvRunner().install_package("pocket")
