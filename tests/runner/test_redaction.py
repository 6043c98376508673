"""What people see has no credentials; what the caller gets is true."""

import asyncio
import base64
import html
import json
import logging
import pickle
import re
import shlex
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.callers import Caller
from venvrunner import CommandError, CommandTimeoutError, ExpectationError, FakeVenvRunner, InstallationError
from venvrunner._fixtures.journal import Entry, Journal
from venvrunner._fixtures.runners import NotedRunner
from venvrunner._redaction import MASK, Redactor, userinfos
from venvrunner.testing import RecordingVenvRunner, ScriptedVenvRunner


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("https://me:pw@host/x", "https://****@host/x"),
        ("https://token@host/x", "https://****@host/x"),
        ("https://:pw@host", "https://****@host"),
        ("https://me:@host", "https://****@host"),
        ("https://__token__:pypi-AgEI@upload.example/legacy/", "https://****@upload.example/legacy/"),
        ("git+https://me:pw@host/x.git@v1.0#egg=x", "git+https://****@host/x.git@v1.0#egg=x"),
        ("HTTPS://ME:PW@HOST", "HTTPS://****@HOST"),
        ("postgresql+psycopg://me:pw@host:5432/db", "postgresql+psycopg://****@host:5432/db"),
        ("redis://:pw@host:6379/0", "redis://****@host:6379/0"),
        ("ssh://me:pw@host/x", "ssh://****@host/x"),
        ("git+ssh://me:pw@host/x", "git+ssh://****@host/x"),
        ("https://me:p@w@host/x", "https://****@host/x"),
        ("https://me:p:w@host/x", "https://****@host/x"),
        ("https://me:p/w@host/x", "https://****@host/x"),
        ("https://me:p#w@host/x", "https://****@host/x"),
        ("https://me:p?w@host/x", "https://****@host/x"),
        ("https://me:0#@host/x", "https://****@host/x"),
        ("https://me:8080?@host/x", "https://****@host/x"),
        ("https://me:p'w@host/x", "https://****@host/x"),
        ("https://me:a:b/c#d?e@host/x", "https://****@host/x"),
        ("https://me:p%40w@host/x", "https://****@host/x"),
        ("https://me:8080@host/x", "https://****@host/x"),
        ("https://me@corp.example:pw@host/x", "https://****@host/x"),
        ("https://me:pw@[2001:db8::1]:8443/x", "https://****@[2001:db8::1]:8443/x"),
        ("https://me:pw@10.0.0.1:8080/x", "https://****@10.0.0.1:8080/x"),
        ("name @ https://me:pw@host/x", "name @ https://****@host/x"),
        ("name@https://me:pw@host/x", "name@https://****@host/x"),
        ("--index-url=https://me:pw@host/simple", "--index-url=https://****@host/simple"),
        ("PIP_INDEX_URL='https://me:pw@host/simple'", "PIP_INDEX_URL='https://****@host/simple'"),
        ("x" * 100 + "://me:pw@host", "x" * 100 + "://****@host"),
        ("https://a:b@one https://c:d@two\nhttps://e@three", "https://****@one https://****@two\nhttps://****@three"),
        ("https://a:b@one,https://c:d@two;https://e@three", "https://****@one,https://****@two;https://****@three"),
        ("https://u:1234/PW@h", "https://****@h"),
        ("https://u:1234/P/W@10.0.0.1/x", "https://****@10.0.0.1/x"),
        ("https://u:1234/PW@h:8080/x@v1", "https://****@h:8080/x@v1"),
        ("https://me:p/w@x@host/x@1", "https://****@host/x@1"),
        ('https://u:P"W@h', "https://****@h"),
        ('https://u:P"w"W@h', "https://****@h"),
        ('see https://u:P",W@h', 'see https://u:P",W@h'),
        ('"https://u:P\\"W@h"', '"https://****@h"'),
        ('"https://u:P\\",W@h"', '"https://****@h"'),
        ("'https://u:P\",W@h'", "'https://****@h'"),
        ("https://u:P<W@h", "https://****@h"),
        ("https://u:P>W@h", "https://****@h"),
        ("https://u:P W@h", "https://****@h"),
        ("https://u:P W X@h/x", "https://****@h/x"),
        ("https://u:P  W@[::1]/x", "https://****@[::1]/x"),
        (r"https:\/\/u:PW@h\/x", r"https:\/\/****@h\/x"),
        (r"https:\/\/u:P\/W@h\/x", r"https:\/\/****@h\/x"),
        (r"https:\\/\\/u:PW@h", r"https:\\/\\/****@h"),
        (r"https:\/\/u:1234\/PW@h", r"https:\/\/****@h"),
        (r"{\"u\":\"https:\/\/u:PW@h\",\"m\":\"a@b\"}", r"{\"u\":\"https:\/\/****@h\",\"m\":\"a@b\"}"),
        ("to=https%3A%2F%2Fu%3AP%252FW%40h%2Fx", "to=https%3A%2F%2F****%40h%2Fx"),
        ("to=https%3a%2f%2ftoken%40h&m=a%40b", "to=https%3a%2f%2f****%40h&m=a%40b"),
        ("ssh%3A%2F%2Fg%3Ap%40h", "ssh%3A%2F%2F****%40h"),
    ],
)
def test_the_userinfo_of_a_url_is_masked(text: str, masked: str) -> None:
    """`scheme://user:password@` and a lone token are masked, whatever the password has in it; the host stays."""
    assert Redactor().mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "https://host/x",
        "https://host:8080/x@v1",
        "git+https://host:8443/org/x.git@v1.0#egg=x",
        "https://host/x@v1.0",
        "https://host?mail=me@host",
        "https://host#me:pw@host",
        "http://[::1]/x",
        "http://[::1]:8080/x@v1",
        "ssh://git@host/x",
        "git+ssh://git@host:22/x.git@main",
        "git@host:org/x.git",
        "me@host.example",
        "file:///x/y@1",
        "://",
        "",
        "a 100% {normal} %s line: with @ and ://",
        '["http://host:80", "me@host"]',
        "see https://host/x and mail a@b",
        "see https://host:8080 and mail a@b",
        "see https://host:8080/x and mail a@b",
        "see https://host and mail a@b",
        "see https://host:x and mail a@b",
        "see https://host:x and then mail a@b",
        r"{\"u\":\"http://host:x\",\"m\":\"a@b\"}",
        "see https://host: mail a@b",
        "see https://host:x (a@b)",
        "see <https://host:x> or <a@b>",
        "see <a href='http://host:x'>me</a> a@b",
        "see <b>http://host:x</b>a@b",
        "see \"http://host:x\", 'http://host:x', a@b",
        "['http://host:x','a@b']",
        '{"http://host:x":"a@b"}',
        '<a href="http://host:x"/>a@b',
        "http://localhost:4873/@types/node",
        "http://registry:4873/@types/node",
        "http://localhost:8080/users/me@host",
        "http://10.0.0.1:8080/users/me@host",
        "http://registry:5000/image@sha256:0123",
        "http://proxy:8080/module@latest",
        "http://host:8080/x@1.2.3",
        "http://host:8080/x@1.2.3-rc.1",
        "http://host:8080/x@fedcba9876543210fedcba9876543210fedcba98",
        "git+https://host:8443/org/x.git@feature",
        "http://host:8080/x?mail=me@host",
        "to=https%3A%2F%2Fhost%2Fx%40v1",
        "to=https%3A%2F%2Fhost&m=a%40b",
        "ssh%3A%2F%2Fgit%40host",
    ],
)
def test_what_has_no_credential_stays(text: str) -> None:
    """A masked line is worth less to its reader: ports, versions, git's user and mail addresses are not masked."""
    assert Redactor().mask(text) == text


@pytest.mark.parametrize("length", [100, 513, 2000, 5000])
def test_a_long_token_is_masked(length: int) -> None:
    """Signed tokens of package indexes have thousands of characters."""
    token = "aZ0_-." * length
    assert Redactor().mask(f"https://aws:{token}@host/x") == f"https://{MASK}@host/x"
    assert Redactor().mask(f"https://{token}@host/x") == f"https://{MASK}@host/x"


def test_credentials_in_json_are_masked_and_the_json_stays_json() -> None:
    """What is masked never reaches over a quotation mark."""
    value = {"url": "https://me:p/w@host/x", "plain": "http://host:x", "mail": "a@b", "list": ["https://t@h", "c@d"]}
    masked = {"url": "https://****@host/x", "plain": "http://host:x", "mail": "a@b", "list": ["https://****@h", "c@d"]}
    for separators in ((",", ":"), (", ", ": ")):
        assert json.loads(Redactor().mask(json.dumps(value, separators=separators))) == masked


passwords = st.text(st.characters(min_codepoint=33, exclude_characters='@/"<>', exclude_categories=["Z", "C"]), min_size=1)


@given(user=st.from_regex(r"[A-Za-z0-9._~-]{0,20}", fullmatch=True), password=passwords)
def test_no_password_gets_through(user: str, password: str) -> None:
    """Any printable password goes, quoted or not."""
    for form in (password, quote(password, safe="")):
        assert Redactor().mask(f"get https://{user}:{form}@host/x now") == "get https://****@host/x now"


@pytest.mark.parametrize(
    ("secrets", "text", "masked"),
    [
        pytest.param([], "hunter2", "hunter2", id="none"),
        pytest.param(["hunter2"], "a hunter2, hunter2hunter2", "a ****, ********", id="every place"),
        pytest.param([r"a.c[1]+(\d)$^|"], r"abc a.c[1]+(\d)$^|", "abc ****", id="regexp characters"),
        pytest.param(["pass", "password1"], "password1 pass", "**** ****", id="one a part of the other"),
        pytest.param(["password1", "pass"], "password1 pass", "**** ****", id="one a part of the other, turned"),
        pytest.param(["pä ss/w&rd"], "x=p%C3%A4%20ss%2Fw%26rd", "x=****", id="quoted for a URL"),
        pytest.param(["hunter2\n"], "is hunter2!", "is ****!", id="with the line end of its file"),
        pytest.param(["abc\n"], "is abc!", "is ****!", id="short, with the line end of its file"),
        pytest.param(["hunter2 \n"], "is hunter2", "is ****", id="with a blank that the text may lose"),
        pytest.param(["one-1\r\ntwo-2"], "one-1 and two-2", "**** and ****", id="of several lines"),
        pytest.param(["one-1\ntwo-2"], "<one-1\ntwo-2>", "<****>", id="of several lines, as a whole"),
        pytest.param(["\\g<0>"], "a \\g<0> b", "a **** b", id="a replacement template"),
        pytest.param(["a\0b"], "x a\0b", "x ****", id="NUL"),
        pytest.param(["tok\udcff"], "x tok\udcff", "x ****", id="a byte that is not text, as os.environ has it"),
        pytest.param(["", " ", "\n\t"], "a  b\n\tc", "a  b\n\tc", id="empty ones say nothing"),
        pytest.param(["", "hunter2"], "a hunter2", "a ****", id="an empty one beside another"),
        pytest.param(["hunter2"], "https://me:hunter2@host", "https://****@host", id="in a URL too"),
        pytest.param(["host"], "https://me:pw@host/x", "https://****@****/x", id="beside a URL's"),
    ],
)
def test_secrets_are_masked_in_every_form(secrets: list[str], text: str, masked: str) -> None:
    """A secret is masked as it is, line by line, and as a URL has it."""
    assert Redactor(secrets).mask(text) == masked


@pytest.mark.parametrize(
    ("secrets", "text", "masked"),
    [
        pytest.param(["abcdef", "defghi"], "<abcdefghi>", "<****>", id="overlap"),
        pytest.param(["abcdef", "abcd"], "abcdef abcd", "**** ****", id="prefix"),
        pytest.param(["abcdef", "cdef"], "abcdef cdef", "**** ****", id="suffix"),
        pytest.param(["abcdef", "cd"], "<abcdef>", "<****>", id="middle"),
        pytest.param(["abab"], "<ababab>", "<****>", id="itself"),
        pytest.param(["aaaa"], "<aaaaaaa>", "<****>", id="of one character"),
        pytest.param(["abc/", "/def"], "<abc%2Fdef>", "<****>", id="in another spelling"),
        pytest.param(["abcd", "efgh"], "<abcdefgh>", "<********>", id="side by side"),
        pytest.param(["w@host"], "https://me:pw@host/x", "https://****/x", id="with a URL's"),
    ],
)
def test_secrets_that_overlap_leave_no_tail(secrets: list[str], text: str, masked: str) -> None:
    """Whatever two of them share, and whichever is longer."""
    assert Redactor(secrets).mask(text) == masked
    assert Redactor(reversed(secrets)).mask(text) == masked


def lower_case(text: str) -> str:
    return re.sub("%..", lambda match: match[0].lower(), quote(text, safe=""))


SPELLINGS: dict[str, Callable[[str], str]] = {
    "quote": quote,
    "quote, no slash": lambda secret: quote(secret, safe=""),
    "quote, lower case": lower_case,
    "quote_plus": quote_plus,
    "quote, twice": lambda secret: quote(quote(secret, safe=""), safe=""),
    "json": lambda secret: json.dumps(secret)[1:-1],
    "json, Unicode": lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    "json, slashes": lambda secret: json.dumps(secret)[1:-1].replace("/", r"\/"),
    "json in json": lambda secret: json.dumps(json.dumps(secret))[3:-3],
    "repr": lambda secret: repr(secret)[1:-1],
    "ascii": lambda secret: ascii(secret)[1:-1],
    "bytes": lambda secret: repr(secret.encode())[2:-1],
    "backslashreplace": lambda secret: secret.encode("ascii", "backslashreplace").decode(),
    "html": html.escape,
    "shell": lambda secret: shlex.quote(f" {secret}")[2:-1],
}
PRINTED = "p/w d+&=\"'\\ ä€😀<x>\t%"


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_a_secret_is_masked_as_programs_print_it(spell: Callable[[str], str]) -> None:
    """As a part of a URL, of JSON, of a `repr`, of a page or of a command line."""
    assert Redactor([PRINTED]).mask(f"<{spell(PRINTED)}>") == f"<{MASK}>"


@given(
    secret=st.text(st.characters(exclude_characters="<>", exclude_categories=["Cs"])).filter(str.strip),
    spell=st.sampled_from(sorted(SPELLINGS)),
)
def test_no_spelling_lets_a_secret_through(secret: str, spell: str) -> None:
    """Whatever characters it has."""
    secret = secret.strip()
    assert Redactor([secret]).mask(f"<{SPELLINGS[spell](secret)}>").replace(MASK, "") == "<>"


def base64_forms(data: bytes) -> Iterator[str]:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(data).decode()
        yield from (text, text.rstrip("="), quote(text, safe=""))


@given(secret=st.text(min_size=4).filter(lambda secret: len(secret.strip()) >= 4))
def test_base64_of_a_secret_is_masked(secret: str) -> None:
    """In either alphabet, padded or not."""
    secret = secret.strip()
    for form in base64_forms(secret.encode()):
        assert Redactor([secret]).mask(f"Bearer <{form}>") == f"Bearer <{MASK}>"


@given(secret=st.text(min_size=4).filter(lambda secret: len(secret.strip()) >= 4), before=st.binary(), after=st.binary())
def test_base64_of_what_contains_a_secret_is_masked(secret: str, before: bytes, after: bytes) -> None:
    """What is left of it are whole bytes of what is before and after: for a user and a password, not one of the password."""
    secret = secret.strip()
    for form in base64_forms(before + secret.encode() + after):
        if "%" in form:
            continue
        left, *_, right = Redactor([secret]).mask(f"<{form}").removeprefix("<").split(MASK)
        shown_from = len(form.rstrip("=")) - len(right.rstrip("="))
        assert len(left) * 6 <= len(before) * 8
        assert shown_from * 6 >= len(before + secret.encode()) * 8


@pytest.mark.parametrize("secret", ["https://me:p%2Fw-1@host/x", "me:p/w-1", "see https://me:p%2Fw-1@host/ and more"])
def test_the_userinfo_of_a_secret_url_is_secret(secret: str) -> None:
    """Its password alone, unquoted, and as it is sent to a server."""
    sent = base64.b64encode(b"me:p/w-1").decode()
    assert Redactor([secret]).mask(f"Authorization: Basic {sent}") == f"Authorization: Basic {MASK}"
    if "://" in secret:
        assert Redactor([secret]).mask("p/w-1 p%2fw-1 me host") == f"{MASK} {MASK} me host"


@pytest.mark.parametrize("secret", ["https://builder@host/x", "https://me:pw@host/x", "ssh://git@host"])
def test_a_short_name_in_a_secret_url_is_not_secret(secret: str) -> None:
    """It would be masked in every other word."""
    assert Redactor([secret]).mask("git builder pw host") == "git builder pw host"


def test_a_token_in_a_secret_url_is_secret() -> None:
    """In the place of a user."""
    assert Redactor(["https://ghp_0123456789@host"]).mask("ghp_0123456789") == MASK


def test_a_secret_of_many_backslashes_takes_no_time() -> None:
    """A run of them could be shared out among them in exponentially many ways."""
    began = time.process_time()
    Redactor(["\\" * 30 + "x", "a\\\\b\\\\c"]).mask("\\" * 2000 + "a\\\\\\\\b\\\\\\\\")
    assert time.process_time() - began < 5.0


def test_a_very_long_secret_is_masked_as_it_is() -> None:
    """A pattern for all its spellings would take long to make."""
    secret = "a/b " * 25_000 + "c"
    began = time.process_time()
    assert Redactor([secret]).mask(f"<{secret}>") == f"<{MASK}>"
    assert time.process_time() - began < 3.0


@pytest.mark.parametrize("url", ["https://u:1234/PW@h", "https://u:P W@h", "https://host:8080/x@y"])
def test_a_guess_is_good_enough_to_mask_but_not_to_refuse(url: str) -> None:
    """What may be a password is masked; a URL that may be right is not refused for it."""
    assert Redactor().mask(url) != url
    assert not list(userinfos(url))


@given(secrets=st.lists(st.text(min_size=1).filter(str.strip)), texts=st.lists(st.text()))
def test_no_secret_gets_through(secrets: list[str], texts: list[str]) -> None:
    """Cut at the masks, no piece of the text has a whole secret."""
    parts = [part for pair in zip(texts, secrets, strict=False) for part in pair]
    pieces = Redactor(secrets).mask("\x01".join(parts)).split(MASK)
    assert not [secret for secret in secrets for piece in pieces if secret in piece and secret not in MASK]


ADVERSARIAL = {
    "schemes": "a://" * 1_000_000,
    "users": "a://b:" * 700_000,
    "ends": "a://b:@" * 600_000,
    "tokens": ("a://" + "x" * 508) * 8000,
    "user and password": ("a://" + "x" * 250 + ":" + "y" * 250) * 8000,
    "at signs": "a://x:" + "@" * 4_000_000,
    "one long scheme": "a" * 4_000_000 + "://",
    "dots": "a+.-" * 1_000_000 + "://",
    "no end": "a://b:" + "x" * 4_000_000,
    "almost": "a:/" * 1_300_000 + "://",
    "quotation marks": "a://b:" + '"x' * 2_000_000 + "@",
    "tags": "a://b:" + "<x" * 2_000_000 + "@",
    "blanks": "a://b:x" + " x" * 2_000_000 + "@",
    "slashes": "a://b:1/" + "/x" * 2_000_000 + "@",
    "versions": "a://b:1/@" + "1." * 2_000_000,
    "quoted": "%3A%2F%2Fa%40" * 300_000,
    "backslashes": ":" + "\\" * 4_000_000 + "//a:b@",
    "one secret": "hunter2" * 600_000,
    "halves of secrets": "aa" * 2_000_000 + "hunter" * 10,
}


@pytest.mark.slow
@pytest.mark.parametrize("text", ADVERSARIAL.values(), ids=ADVERSARIAL)
def test_a_line_of_megabytes_cannot_stall_the_masking(text: str) -> None:
    """A command chooses its output, and a line may have 64 MiB: the work for each character is small and bounded.

    Four million characters take about a second of this process, ten if it is traced; quadratic work would take hours.
    """
    began = time.process_time()
    Redactor(["hunter2", "aab", "aaaa", "é\\\\x", "a b"]).mask(f"{text}@")
    assert time.process_time() - began < 100.0


URL = "https://me:pw-in-url@host/x"
SECRET = "s3cr3t-value"
NOISE = f"import sys; print('out', {URL!r}, {SECRET!r}); print('err', {URL!r}, {SECRET!r}, file=sys.stderr, flush=True)"
TRUE = [f"out {URL} {SECRET}", f"err {URL} {SECRET}"]
MASKED = ["out https://****@host/x ****", "err https://****@host/x ****"]


def assert_clean(text: str) -> None:
    assert MASK in text
    assert "pw-in-url" not in text
    assert SECRET not in text


def assert_shows_nothing(error: BaseException) -> None:
    for text in (str(error), repr(error), "\n".join(error.__notes__), "".join(traceback.format_exception(error))):
        assert_clean(text)


def test_what_reaches_a_log_is_masked(call: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """The logged command line and the logged lines are masked; the result is true."""
    caplog.set_level(logging.DEBUG, "venvrunner")
    args = call.code(NOISE, "--index-url", URL, f"--token={SECRET}")
    result = call(args, None, "info", "error", secrets=[SECRET])
    messages = [record.getMessage() for record in caplog.records if record.name == "venvrunner"]
    command, *lines, _end = messages
    assert command.startswith("Running subprocess: [")
    assert command.endswith("'--index-url', 'https://****@host/x', '--token=****']")
    assert_clean(command)
    assert sorted(lines) == [f"stderr: {MASKED[1]}", f"stdout: {MASKED[0]}"]
    assert (result.args[1:], [result.stdout, result.stderr]) == (args[1:], [f"{line}\n" for line in TRUE])


def test_callables_get_the_truth(call: Caller) -> None:
    """A callback works with the output, so nothing is masked in it."""
    lines: list[str] = []
    call.run(NOISE, None, lines.append, lines.append, secrets=[SECRET])
    assert sorted(lines) == sorted(TRUE)


@pytest.mark.parametrize("lines", ["logger", "callable"])
def test_a_failed_command_shows_no_credential(call: Caller, lines: str) -> None:
    """`str`, `repr`, notes and traceback are masked; `cmd`, `stdout` and `stderr` are true, whoever took the lines."""
    args = call.code(f"{NOISE}; sys.exit(3)", URL, SECRET)
    with pytest.raises(CommandError) as caught:
        call(args, None, None, "debug" if lines == "logger" else lambda line: None, secrets=[SECRET])
    error = caught.value
    assert_shows_nothing(error)
    assert_shows_nothing(pickle.loads(pickle.dumps(error)))
    assert (error.cmd[1:], error.returncode) == (args[1:], 3)
    assert [error.stdout, error.stderr] == [f"{line}\n" for line in TRUE]


def test_a_timeout_shows_no_credential(drive: Caller) -> None:
    """The same for a command whose time was up."""
    args = drive.code(f"{NOISE}; sys.stdout.flush(); import signal; signal.pause()", URL, SECRET)
    with pytest.raises(CommandTimeoutError) as caught:
        drive(args, secrets=[SECRET], timeout=2.0)
    error: Any = caught.value
    assert_shows_nothing(error)
    assert_shows_nothing(pickle.loads(pickle.dumps(error)))
    assert error.cmd[1:] == args[1:]
    assert [error.stdout, error.stderr] == [f"{line}\n" for line in TRUE]


def test_a_credential_is_masked_before_the_text_is_cut(drive: Caller) -> None:
    """Half a credential is still a secret: no piece of one is left where the note begins, however much was printed."""
    secret = "x" * 999 + "y"
    for words, end in ((300, " "), (3, " "), (300, "\n")):
        source = f"import sys; sys.stderr.write(('x' * 999 + 'y' + {end!r}) * {words}); sys.exit(1)"
        with pytest.raises(CommandError) as caught:
            drive.run(source, secrets=[secret])
        assert "xxxx" not in caught.value.__notes__[0]


CUT = "cannot read https://me:pw-in-url@host/x\nlast\n"


@pytest.mark.parametrize("keep", range(5, len(CUT) + 1))
def test_a_credential_that_keep_has_cut_is_in_no_note(keep: int, drive: Caller) -> None:
    """Its rest would not be recognized, so a line whose begin was dropped is left out; a whole one is shown."""
    with pytest.raises(CommandError) as caught:
        drive.run(f"import sys; sys.exit({CUT.rstrip()!r})", keep=keep)
    (note,) = caught.value.__notes__
    assert note == "The last lines of stderr:\n" + (CUT.replace("me:pw-in-url", MASK).rstrip() if keep == len(CUT) else "last")
    assert caught.value.stderr == CUT[-keep:]


@pytest.mark.parametrize("keep", range(5, len(CUT) + 1))
def test_a_credential_that_keep_has_cut_is_in_no_reason(keep: int) -> None:
    """Why an installation failed is told from what is left of its output."""
    venv = ScriptedVenvRunner()
    venv.answer([...], stderr=f"ERROR: {CUT}", returncode=1)
    with pytest.raises(InstallationError) as caught:
        venv.install("pocket", keep=keep)
    assert "url@" not in "".join(traceback.format_exception_only(caught.value))
    entry = Entry(["pip"], [], keep)
    entry.end("failed", caught.value.stdout, caught.value.stderr)
    assert "url@" not in entry.text
    assert "last" in entry.text or keep <= 4 * len("last\n")


class Noted(NotedRunner, FakeVenvRunner):
    """A fake whose commands a journal records, as the pytest plugin's runners."""

    _journal = Journal()


def recorded() -> str:
    """Return the journal's report of the last command."""
    return Noted._journal._entries[-1].text


@pytest.mark.parametrize("way", ["lines", "async_lines"])
def test_the_report_of_a_loop_over_lines_shows_no_secret(way: str) -> None:
    """An iterator of secrets is read once, and by default only the last bytes are kept, which may begin in a credential."""
    source = "import sys; print('hunter2'); print('https://me:' + 'x' * 70_000 + '@host'); print('last')"

    async def loop() -> None:
        async for _line in Noted().async_lines(["python", "-c", source], secrets=iter(["hunter2"])):
            pass

    if way == "lines":
        assert len(list(Noted().lines(["python", "-c", source], secrets=iter(["hunter2"])))) == 3
    else:
        asyncio.run(loop())
    assert "last" in recorded()
    assert "hunter2" not in recorded()
    assert "xxx" not in recorded()


def test_a_wrong_keep_is_told_as_without_a_journal() -> None:
    """It is what cuts the output for the report, too."""
    with pytest.raises(TypeError, match=r"^keep must be a number of bytes or None, not str\.$"):
        Noted().log_run(["python", "-c", ""], keep="x")


@pytest.mark.parametrize("args", [f"git clone {URL}", ["git", f"{URL}\0"], ["git", URL.encode()]], ids=["str", "NUL", "bytes"])
def test_the_message_about_a_wrong_argument_shows_no_credential(drive: Caller, args: str | list[str]) -> None:
    """An error message ends up in a log like any other text."""
    with pytest.raises((TypeError, ValueError)) as caught:
        drive(args)
    assert "pw-in-url" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"stdout_loglevel": "hunter2"},
        {"logger": "hunter2"},
        {"errors": "hunter2"},
        {"carriage_return": "hunter2"},
        {"stop_signal": "hunter2"},
        {"timeout": "hunter2"},
        {"extra_env": {"hunter2": 3}},
        {"extra_env": {"hunter2=": "x"}},
        {"hunter2": 1},
    ],
    ids=str,
)
def test_the_message_about_a_wrong_option_shows_no_secret(drive: Caller, options: dict[str, Any]) -> None:
    """Whichever option it was put into by mistake."""
    with pytest.raises((TypeError, ValueError)) as caught:
        drive(["true"], secrets=iter(["hunter2"]), **options)
    assert "hunter2" not in "".join(traceback.format_exception_only(caught.value))
    assert "hunter2" not in repr(caught.value)


@pytest.mark.parametrize("secrets", [SECRET, [SECRET, 1], [None], SECRET.encode()], ids=repr)
def test_secrets_are_several_strings(call: Caller, secrets: object) -> None:
    """One string would be taken for its characters, and mask every letter."""
    with pytest.raises(TypeError, match="secrets must be"):
        call.run("", secrets=secrets)


def test_a_secret_is_masked_although_it_was_split_into_words(call: Caller) -> None:
    """What was one text is shown as the list that it should have been."""
    with pytest.raises((TypeError, ValueError, FileNotFoundError)) as caught:
        call(["tool --token two words"], secrets=["two words"])
    assert "two" not in "".join(traceback.format_exception_only(caught.value))
    assert "****" in str(caught.value)


@pytest.mark.parametrize("args", [(f"tool {SECRET}",), ("tool", SECRET), ([f"tool {SECRET}"],)], ids=["text", "texts", "item"])
def test_a_wrong_command_line_shows_no_secret(call: Caller, args: tuple[Any, ...]) -> None:
    """Before a process is started, and whoever refuses it: a runner, its environment, or the system."""
    with pytest.raises((TypeError, ValueError, FileNotFoundError)) as caught:
        call(*args, secrets=iter([SECRET]))
    assert_clean("".join(traceback.format_exception(caught.value)))


def test_a_secret_with_blanks_is_masked_in_a_command_line_that_is_one_text(call: Caller) -> None:
    """The message splits the text into words, none of which is the secret."""
    with pytest.raises(TypeError) as caught:
        call("tool --token 'two words'", secrets=iter(["two words"]))
    assert str(caught.value).endswith("Use ['tool', '--token', \"'****'\"].")


@pytest.mark.parametrize(
    "args", ["tool 'two words'", b"tool 'two words'", Path("tool 'two words'"), ["tool two words"]], ids=repr
)
def test_a_double_shows_no_secret_of_a_wrong_command_line_either(args: Any, tmp_path: Path) -> None:
    """Nor does a recording, which refuses what a replay could not answer."""
    for runner in (ScriptedVenvRunner(), RecordingVenvRunner(FakeVenvRunner(), tmp_path / "recording.json")):
        with pytest.raises((TypeError, ValueError, FileNotFoundError, ExpectationError)) as caught:
            runner.log_run(args, secrets=iter(["two words"]))
        assert "two" not in str(caught.value)


def test_secrets_may_be_any_iterable(call: Caller) -> None:
    """Also one that can be read only once."""
    with pytest.raises(CommandError) as caught:
        call(call.code("raise SystemExit(1)", SECRET), secrets=(word for word in [SECRET]))
    assert_clean(str(caught.value))
