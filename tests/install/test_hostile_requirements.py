"""Strings that want to be more than one requirement, path or URL: none of them starts a process or becomes an option."""

import importlib
import logging
import os
import subprocess
from pathlib import Path
from typing import Any, NoReturn, get_args

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from venvrunner import InvalidRequirementError, VenvRunner, subprocess_util
from venvrunner.installing import InstallerName

OPTIONS = ["editable", "constraints", "requirements_files", "dependency_groups", "index_url", "extra_index_urls", "find_links"]
SLOTS = ["requirements", "uninstall", *OPTIONS]

HOSTILE = [
    # What is an option, in all spellings, also behind blanks.
    "-", "--", "-r", "-r requirements.txt", "-rrequirements.txt", "--requirement=requirements.txt", "-c constraints.txt",
    "-e", "-e .", "-e.", "-e git+https://evil.example/x", "--editable=.", "-i https://evil.example", "--pre", "-U", "-t /",
    "--index-url=https://evil.example/simple", "--extra-index-url https://evil.example", "-f /", "--find-links=/",
    "--target=/", "--prefix=/", "--root=/", "--python=/bin/sh", "--config-settings=x=y", "--global-option=x",
    "--trusted-host=evil.example", "--no-index", "--user", "--break-system-packages", "--log=/x", "--cache-dir=/", "--",
    "-- --pre", " -e .", "   --pre",
    # Dashes that are none, and characters that are invisible.
    "\u2010\u2010pre", "\u2013r x", "\u2014pre", "\u2212-pre", "\ufe63r x", "\uff0d\uff0dpre", "\u200b--pre", "\ufeff--pre",
    "\u00ad--pre", "\u00a0--pre", "\u3000--pre", "\u202e--pre",
    # A second line, for whatever takes for one.
    "\n", "\r", "one\n--pre", "one\r--pre", "one\r\ntwo", "one\x0b--pre", "one\x0c--pre", "one\x1c--pre", "one\x1d--pre",
    "one\x1e--pre", "one\x85--pre", "one\u2028--pre", "one\u2029--pre", "one\n", "\none", "one \\\n --pre", "\t--pre",
    # What ends a string or a terminal's patience.
    "\0", "one\0two", "one\0--pre", "one\x1b[2J", "one\x07", "one\x7f", "one\ud800", "\udcff", "one\udcff--pre",
    # Nothing.
    "", " ", "      ",
    # A second thing behind a good beginning.
    "one two", "one --pre", "one -e .", "one --index-url=https://evil.example", "one --hash=sha256:00", "one;--pre",
    "one; -r x", "one # --pre", "one,two", "one, --pre", "one[", "[", "]", "one[extra", "one]", "one[a]b", "one==",
    "one==1.0 --pre", "one>=1 -r x", "one @", "one @ ", "one @ -r x", "one @ -r", "one@-r", "one @ --pre",
    "@ file:///etc/passwd", "@", "one @ x y", "one; os_name != 'a -e .'", "one; os_name != 'a --config-settings=x=y b'",
    "one; python_version", "one; import os", "one;",
    # What another program takes for an option.
    "git+https://evil.example/x@--upload-pack=touch", "git+ssh://-oProxyCommand=touch/x",
    "hg+https://evil.example/x@--config=x", "git+ssh://git@-oProxyCommand=touch/x", "one @ git+https://evil.example/x@-b",
    "git+ext::sh -c touch% x", "svn+ssh://-x/",
    # What is put in from the environment.
    "${HOME}", "one @ https://evil.example/${HOME}", "git+https://evil.example/${HOME}", "one==${HOME}",
    # Paths and addresses of what is not there, or can't be.
    "./missing", "../missing.whl", "/no/such/folder", "~/missing", "missing.tar.gz/", "one\\two", "\\\\evil.example\\share",
    "C:\\", "https://", "file://", "javascript:alert(1)", "ftp://evil.example/x.whl", "https://evil.example/a b",
    # A shell's delight.
    "$(touch x)", "`touch x`", "one && two", "one | two", "one > x", "*", "?", "!one", "~", "%", "one;rm -rf /",
    # Longer or deeper than any requirement.
    "a" * 200_000, "one; " + "(" * 5_000, "./" + "a/" * 5_000, "one" + "[" * 5_000, "-" * 5_000,
]  # fmt: skip
"""Nothing of this is one requirement, name, group, path or URL."""


@pytest.fixture(scope="module")
def venvs(tmp_path_factory: pytest.TempPathFactory) -> list[VenvRunner]:
    """One environment for each installer."""
    top = tmp_path_factory.mktemp("hostile")
    return [VenvRunner(name, top, with_pip=False, installer=name) for name in get_args(InstallerName)]


@pytest.fixture
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def _no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*args: object, **kwargs: object) -> NoReturn:
        msg = f"a process was started: {args}"
        raise AssertionError(msg)

    monkeypatch.setattr(subprocess.Popen, "__init__", start)
    for name in ("posix_spawn", "posix_spawnp", "fork", "forkpty", "execve", "system"):
        monkeypatch.setattr(os, name, start, raising=False)


def put(venv: VenvRunner, slot: str, text: str) -> object:
    """Pass a string to one of the arguments that take one."""
    options: Any = {slot: text if slot == "index_url" else [text]}
    match slot:
        case "requirements":
            return venv.install(text)
        case "uninstall":
            return venv.uninstall(text)
        case "editable" | "requirements_files" | "dependency_groups":
            return venv.install(**options)
    return venv.install("one", **options)


@pytest.mark.parametrize("text", HOSTILE, ids=[ascii(text)[1:31] for text in HOSTILE])
@pytest.mark.usefixtures("_no_process", "_in_empty_folder")
def test_a_hostile_string_starts_nothing(text: str, venvs: list[VenvRunner]) -> None:
    """Wherever it is given, and for either installer; the message names it."""
    for venv in venvs:
        for slot in SLOTS:
            with pytest.raises(InvalidRequirementError) as caught:
                put(venv, slot, text)
            parts = text.rpartition(":") if slot == "dependency_groups" else [text]
            message = str(caught.value)
            assert all(repr(part[:80].strip(" "))[1:-1] in message for part in parts)
            assert message.endswith((".", "!"))


def test_the_table_is_long_enough() -> None:
    """At least sixty different strings."""
    assert len(set(HOSTILE)) >= 60


class Recorded(Exception):  # noqa: N818  no error: it ends a call before a process would start
    """What would have been run."""

    def __init__(self, argv: list[str], lines: list[str], parsed: list[Any], index: str | None) -> None:
        super().__init__(argv)
        self.argv = argv
        self.lines = lines
        self.parsed = parsed
        self.index = index


@pytest.fixture
def _recording(monkeypatch: pytest.MonkeyPatch) -> None:
    loggers = logging.getLoggerClass()
    pip = importlib.import_module("pip._internal.req.req_file")
    logging.setLoggerClass(loggers)  # it has set its own, for all loggers of this process
    content = pip.get_file_content
    monkeypatch.setattr(
        pip, "get_file_content", lambda url, *args, **options: (url, "") if "://" in url else content(url, *args, **options)
    )

    def record(argv: list[str], **options: Any) -> NoReturn:
        own = [arg.partition("=")[2] for arg in argv if arg.startswith("--requirement=") and "venvrunner-" in arg]
        lines = [line for path in own for line in Path(path).read_text(encoding="utf-8").split("\n")[:-1]]
        parsed = [found for path in own for found in pip.parse_requirements(path, session=None)]
        index = options["extra_env"].get("PIP_INDEX_URL") or options["extra_env"].get("UV_DEFAULT_INDEX")
        raise Recorded(argv, lines, parsed, index)

    monkeypatch.setattr(subprocess_util, "log_run", record)


PLACES = ("--extra-index-url ", "--find-links ", "--constraint ", "--requirement ")
KNOWN = (
    *("--python=", "--no-progress", "--requirement=", "--constraint=", "--editable=", "--find-links="),
    *("--extra-index-url=", "--report="),
)
START = {"pip": ["-I", "install", "uninstall", "--yes"], "uv": ["pip", "install", "uninstall"]}
CREDENTIALS = [
    "https://me:hunter2@host.example/",
    "git+https://me:hunter2@host.example/x",
    "http://hunter2hunter2@host.example/",
]
TAILS = st.one_of(st.text(alphabet="-ae=./:@[];\\\n >'\"#$%{}~,\u2028", max_size=14), st.text(max_size=20))
TEXTS = st.one_of(
    st.builds(lambda *parts: "".join(parts), st.sampled_from(["", "one @ ", "one[a]@"]), st.sampled_from(CREDENTIALS), TAILS),
    st.builds(lambda url, marker: f"one @ {url} ; os_name != {marker}", st.sampled_from(CREDENTIALS), st.builds(repr, TAILS)),
    st.sampled_from(HOSTILE),
    TAILS,
    st.from_regex(r"\A[a-z-]{1,5}[ \n]?[-@;<>=\[ ]{0,3}[a-z0-9/.:-]{0,8}\Z"),
)


def written(text: str) -> str:
    """Return a URL with what a file of requirements can't have written as a number (RFC 3986, 2.4)."""
    return text.replace("$", "%24").replace("\\", "%5C").replace("'", "%27").replace('"', "%22")


@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS, slot=st.sampled_from(SLOTS))
@example(text="https://me:hunter2@host.example/x\\", slot="requirements")
@example(text="one @ https://me:hunter2@host.example/x ; os_name != ' #'", slot="requirements")
@example(
    text="""one @ https://me:hunter2@host.example/x ; os_name != 'a --config-settings=x=y "' or os_name != '"' """,
    slot="requirements",
)
@example(text="https://me:hunter2@host.example/'\"", slot="extra_index_urls")
@example(text="git+https://me:hunter2@host.example/x'", slot="editable")
@example(text="one @ git+https://me:hunter2@host.example/x ; os_name != ''", slot="editable")
@pytest.mark.usefixtures("_recording", "_in_empty_folder")
def test_any_string_is_refused_or_stays_one_value(text: str, slot: str, venvs: list[VenvRunner]) -> None:
    """It is behind `--`, in one argument with its option, or one line of a file that pip's own parser reads as one thing."""
    for venv in venvs:
        try:
            put(venv, slot, text)
        except InvalidRequirementError:
            continue
        except Recorded as recorded:
            found = recorded
        else:
            pytest.fail("nothing would have been run")
        *options, last = [*found.argv, ""][: found.argv.index("--") + 1]
        assert last == "--"
        words = [word for word in options[1:] if word not in START[venv.installer] and not word.endswith(("/pip", "/python"))]
        assert all(word.startswith(KNOWN) for word in words), "something became an option"
        behind = found.argv[len(options) + 1 :]
        assert len(behind) <= 1
        assert not any(word.startswith("-") for word in behind)
        assert "hunter2" not in "".join(found.argv)
        assert len(found.lines) <= 1
        assert not any(entry.options for entry in found.parsed)
        places = [line for line in found.lines if line.startswith(PLACES)]
        assert len(found.parsed) + len(places) == len(found.lines)
        if found.parsed:
            assert written(found.parsed[0].requirement) == written(text.strip(" "))
        assert found.lines or found.index or text.strip(" ") in behind or os.path.exists(text) or len(words) > 0
