"""An index with a password: it opens the index, and it is never shown."""

import asyncio
import base64
import logging
import os
import subprocess
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args
from urllib.parse import quote

import pytest

from helpers.index_server import PASSWORD, USER, Index, forget_settings, index
from helpers.system import LINUX
from venvrunner import (
    IndexUnreachableError,
    InstallationError,
    InvalidRequirementError,
    NoSuchPackageError,
    Receipt,
    VenvRunner,
)
from venvrunner.installing import InstallerName

__all__ = ["index"]

WRONG = "not-that-one%/@"
VERBOSE = {"PIP_VERBOSE": "3", "RUST_LOG": "debug"}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_settings(monkeypatch, tmp_path)


@pytest.fixture
def venv(request: pytest.FixtureRequest) -> Iterator[VenvRunner]:
    """An environment of one's own, for the installer that the test names."""
    with VenvRunner.temporary(with_pip=False, installer=request.param) as runner:
        yield runner


both = pytest.mark.parametrize("venv", get_args(InstallerName), indirect=True)


class Ways:
    """How an installer gets to know a password: each returns requirements and options."""

    def __init__(self, index: Index, folder: Path) -> None:
        self.index = index
        self.folder = folder

    def argument(self, password: str) -> tuple[list[str], dict[str, Any]]:
        return ["pocket"], {"index_url": self.index.url(password)}

    def extra(self, password: str) -> tuple[list[str], dict[str, Any]]:
        return ["pocket"], {"index_url": self.empty(), "extra_index_urls": [self.index.url(password)]}

    def links(self, password: str) -> tuple[list[str], dict[str, Any]]:
        return ["pocket"], {"find_links": [self.index.url(password, "simple/pocket/")], "no_index": True}

    def direct(self, password: str) -> tuple[list[str], dict[str, Any]]:
        url = self.index.url(password, "packages/pocket-2.0-py3-none-any.whl")
        return [f"pocket @ {url} ; python_version > '3'"], {"no_index": True}

    def address(self, password: str) -> tuple[list[str], dict[str, Any]]:
        return [self.index.url(password, "packages/pocket-2.0-py3-none-any.whl")], {"no_index": True}

    def file(self, password: str) -> tuple[list[str], dict[str, Any]]:
        inner = self.folder / "inner.txt"
        inner.write_text(f"--index-url {self.index.url(password)}\npocket\n")
        outer = self.folder / "outer.txt"
        outer.write_text("# nothing but:\n-r inner.txt\n")
        return [], {"requirements_files": [outer]}

    def spaced(self, password: str) -> tuple[list[str], dict[str, Any]]:
        folder = self.folder / "two words"
        folder.mkdir(exist_ok=True)
        (folder / "inner.txt").write_text(f"--index-url {self.index.url(password)}\npocket\n", encoding="utf-16")
        outer = self.folder / "outer.txt"
        outer.write_text('-r "two words/inner.txt"\n', encoding="utf-16")
        return [], {"requirements_files": [outer]}

    def filled_in(self, password: str) -> tuple[list[str], dict[str, Any]]:
        path = self.folder / "filled-in.txt"
        path.write_text(f"--index-url {self.index.url('X').replace('X', '${SECRET}')}\npocket\n")
        return [], {"requirements_files": [path], "extra_env": {"SECRET": quote(password, safe="")}}

    def netrc(self, password: str) -> tuple[list[str], dict[str, Any]]:
        path = self.folder / "netrc"
        escaped = password.replace("\\", "\\\\").replace('"', '\\"')
        path.write_text(f'machine 127.0.0.1\nlogin {USER}\npassword "{escaped}"\n')
        path.chmod(0o600)
        return ["pocket"], {"index_url": self.index.url(None), "extra_env": {"NETRC": str(path)}}

    def named(self, password: str) -> tuple[list[str], dict[str, Any]]:
        secrets = {"UV_INDEX_MINE_USERNAME": USER, "UV_INDEX_MINE_PASSWORD": password}
        return ["pocket"], {"extra_env": {"UV_DEFAULT_INDEX": f"mine={self.index.url(None)}", **secrets}}

    def variable(self, name: str, password: str) -> tuple[list[str], dict[str, Any]]:
        other = {"PIP_EXTRA_INDEX_URL": "PIP_INDEX_URL"}.get(name, "UV_DEFAULT_INDEX" if "UV" in name else "PIP_INDEX_URL")
        return ["pocket"], {"extra_env": {other: self.empty(), name: self.index.url(password)}}

    def empty(self) -> str:
        folder = self.folder / "empty"
        folder.mkdir(exist_ok=True)
        return folder.as_uri()

    def get(self, name: str, password: str) -> tuple[list[str], dict[str, Any]]:
        return self.variable(name, password) if name.isupper() else getattr(self, name)(password)


WAYS = ["argument", "extra", "links", "direct", "address", "file", "spaced", "filled_in", "netrc"]
ONLY = {"pip": ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"], "uv": ["UV_DEFAULT_INDEX", "UV_INDEX", "UV_EXTRA_INDEX_URL", "named"]}


# What becomes of a wrong password; what the other ways do is the same.
REFUSED: dict[str, dict[str, type[InstallationError]]] = {
    "pip": {
        "argument": NoSuchPackageError,
        "file": NoSuchPackageError,
        "spaced": NoSuchPackageError,
        "address": InstallationError,
    },
    "uv": dict.fromkeys([*WAYS, *ONLY["uv"]], NoSuchPackageError)
    | dict.fromkeys(["address", "direct", "links"], InstallationError),
}


class Seen(NamedTuple):
    """All that people could have seen of one installation."""

    outcome: object
    texts: list[str]


def install(venv: VenvRunner, *requirements: str, is_async: bool, **options: Any) -> Receipt:
    """Install in one of the two ways."""
    if is_async:
        return asyncio.run(venv.async_install(*requirements, **options))
    return venv.install(*requirements, **options)


def attempt(venv: VenvRunner, requirements: list[str], options: dict[str, Any], *, is_async: bool) -> Seen:
    """Install, and collect what is shown: logs, streamed lines, command lines of processes, exceptions and receipts."""
    texts: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts.extend([record.getMessage(), repr(vars(record))])
            if LINUX and len(texts) < 20:
                texts.append(command_lines())

    logger = logging.getLogger("venvrunner.tests.index")
    logger.setLevel(1)
    logger.handlers.clear()
    logger.addHandler(Handler())
    options = {"logger": logger, "stdout_loglevel": "info", **options}
    outcome: object
    try:
        outcome = install(venv, *requirements, is_async=is_async, **options)
        texts += [repr(outcome), repr(outcome.args)]
    except InstallationError as exc:
        outcome = exc
        texts += [str(exc), repr(exc), repr(exc.cmd), repr(exc.shown), *exc.__notes__, *traceback.format_exception(exc)]
    return Seen(outcome, texts)


def command_lines() -> str:
    """Return those of all processes of this machine; the server's own, which knows the password, is not among them."""
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_text(errors="replace")
        except OSError:
            continue
        found += [] if "pypiserver" in text else [text]
    return "\n".join(found)


def forms(password: str) -> list[str]:
    """Return the ways to write a password."""
    return [password, quote(password, safe=""), quote(password), base64.b64encode(f"{USER}:{password}".encode()).decode()]


# All of uv's, which is quick, and of pip's those that differ.
QUICK = [("pip", way) for way in ("argument", "address")] + [("uv", way) for way in WAYS + ONLY["uv"]]
SLOW = [("pip", way) for way in WAYS + ONLY["pip"] if ("pip", way) not in QUICK]


@pytest.mark.parametrize(
    ("venv", "way"), [*QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)], indirect=["venv"]
)
def test_a_password_opens_the_index_and_is_never_shown(way: str, venv: VenvRunner, index: Index, tmp_path: Path) -> None:
    """Right or wrong, however it is given, and though the installer tells all that it does."""
    ways = Ways(index, tmp_path)
    for password, is_async in ((WRONG, True), (PASSWORD, False)):
        if password == WRONG and way not in REFUSED[venv.installer]:
            continue
        requirements, options = ways.get(way, password)
        options["extra_env"] = {**VERBOSE, **options.get("extra_env", {})}
        seen = attempt(venv, requirements, options, is_async=is_async)
        text = "\n".join(seen.texts)
        assert "Running subprocess" in text
        assert not [form for form in forms(password) if form in text], "the password is shown"
        if password == WRONG:
            assert type(seen.outcome) is REFUSED[venv.installer][way]
            assert venv.installed() == {}
    assert venv.installed() == {"pocket": "2.0"}


@both
def test_the_callers_index_is_the_one_that_counts(venv: VenvRunner, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever index the user has configured, with credentials or without."""
    for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.setenv(name, index.url(None, "nowhere/"))
    assert venv.install("pocket<2", index_url=index.url()).added == {"pocket": "1.0"}


@both
def test_a_callable_gets_the_truth(venv: VenvRunner, index: Index) -> None:
    """Only what goes to people is masked; still, no installer prints a password by itself."""
    lines: list[str] = []
    venv.install("pocket", index_url=index.url(), stdout_loglevel=lines.append, stderr_loglevel=lines.append)
    assert lines
    assert not [form for form in forms(PASSWORD) if form in "\n".join(lines)]


@both
@pytest.mark.parametrize("password", ["hun/ter2", "hun?ter2", "hun#ter2"])
def test_a_password_that_ends_its_url_is_refused(password: str, venv: VenvRunner) -> None:
    """An installer would take its rest for a path, and show it; the message says how to write it, and not what it was."""
    url = f"https://me:{password}@host.example/simple"
    for requirements, options in ((["pocket"], {"index_url": url}), ([f"pocket @ {url}"], {}), ([f"git+{url}"], {})):
        with pytest.raises(InvalidRequirementError, match="Write these as %2F, %3F and %23") as caught:
            venv.install(*requirements, **options)  # type: ignore[arg-type]  # several types
        assert password not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("venv", ["pip"], indirect=True)
def test_a_group_that_is_wrong_shows_no_password(venv: VenvRunner, tmp_path: Path) -> None:
    """Not even in the exception behind the exception."""
    path = tmp_path / "pyproject.toml"
    path.write_text('[dependency-groups]\ntest = ["x @ https://me:hunter2@host.example/ a b"]\n')
    with pytest.raises(InvalidRequirementError) as caught:
        venv.install(dependency_groups=[f"{path}:test"])
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@both
@pytest.mark.parametrize("is_async", [False, True])
def test_an_index_that_never_answers_is_a_timeout(is_async: bool, venv: VenvRunner, index: Index) -> None:
    """Of the kind that subprocess raises, without the password, and with no process left (the fixture looks)."""
    options: dict[str, Any] = {"index_url": index.url(path="hang/"), "timeout": 1.5}
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        install(venv, "pocket", is_async=is_async, **options)
    assert not [form for form in forms(PASSWORD) if form in "".join(traceback.format_exception(caught.value))]
    assert venv.installed() == {}


@both
def test_an_index_that_takes_its_time_is_waited_for(venv: VenvRunner, index: Index) -> None:
    """Without `timeout`, as long as the installer itself waits."""
    assert venv.install("pocket", index_url=index.url(path="slow/simple/")).added == {"pocket": "2.0"}


@both
def test_an_index_that_cannot_be_reached_is_no_missing_package(venv: VenvRunner) -> None:
    """Both say so, though pip only by the way."""
    with pytest.raises(InstallationError, match=r"^pocket could not be installed: ") as caught:
        venv.install("pocket", index_url="http://127.0.0.1:9/simple", extra_env={"PIP_RETRIES": "1"})
    assert type(caught.value) is IndexUnreachableError
    assert caught.value.__notes__[-1].startswith("Check the network, the proxy and index_url=")


@both
def test_a_proxys_password_is_masked(venv: VenvRunner, caplog: pytest.LogCaptureFixture) -> None:
    """Also that of a proxy without a scheme."""
    env = {"HTTP_PROXY": "me:hunter2@127.0.0.1:9", "PIP_RETRIES": "0"}
    caplog.set_level(1)
    with pytest.raises(InstallationError) as caught:
        venv.install("hunter2", index_url="http://host.invalid/simple", extra_env=env, stdout_loglevel="info")
    assert "hunter2" not in caplog.text + "".join(caught.value.__notes__)
    assert os.environ.get("HTTP_PROXY") is None
