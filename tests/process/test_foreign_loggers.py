"""A finished text reaches a logger of any kind unchanged, however it formats its messages and whatever wraps it."""

import copy
import functools
import io
import json
import logging
import logging.handlers
import pickle
import queue
import string
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import loguru
import pytest
import structlog
import twiggy  # type: ignore[import-untyped]  # it has no types
from hypothesis import given
from hypothesis import strategies as st

from helpers.callers import Caller
from venvrunner._process.loggers import log_method
from venvrunner._process.preformatted import PreformattedText, preformatted

NASTY = [
    "plain",
    "100%",
    "%s %d %%",
    "%(x)s",
    "{}",
    "{0} {x} {y.z} {0[1]}",
    "{{}} {{x}}",
    "} {",
    "{x!r:>9} %s }{ %%",
    "a }{ %d",
    "",
]
"""Lines that a format, applied to them, changes or trips over."""

Sent = Callable[[str], Any]


class Logger:
    """A logger of no known library.

    Args:
        form: what it makes of a message, before it writes it.
        put: takes what it writes.
    """

    def __init__(self, form: Callable[..., object], put: Sent) -> None:
        self.form = form
        self.put = put

    def info(self, message: str, *args: object, **kwargs: object) -> None:
        self.put(f"{self.form(message, *args, **kwargs)}")


class Wrapper:
    """Keeps a logger in an attribute, and is of no class of its library."""

    def __init__(self, logger: Any) -> None:
        self.logger = logger

    def info(self, format_spec: str, *args: object, **kwargs: object) -> None:
        self.logger.info(format_spec, *args, **kwargs)


class Formatting(Wrapper):
    """Formats what it passes on."""

    def info(self, format_spec: str, *args: object, **kwargs: object) -> None:
        self.logger.info(format_spec.format(*args, **kwargs))


class Rendered:
    """A message that is formatted when it is shown."""

    def __init__(self, message: str, args: tuple[object, ...]) -> None:
        self.message = message
        self.args = args

    def __str__(self) -> str:
        return self.message.format(*self.args)


FORMS: dict[str, Callable[..., object]] = {
    "braces": lambda message, *args, **kwargs: message.format(*args, **kwargs),
    "braces, with fields of its own": lambda message, *args, **kwargs: message.format(*args, x=1, y=SimpleNamespace(z=2)),
    "a mapping": lambda message, *args, **kwargs: message.format_map(kwargs),
    "percent, always": lambda message, *args, **kwargs: message % args,
    "percent with a mapping": lambda message, *args, **kwargs: message % (args or {"x": 1}),
    "first a string": lambda message, *args, **kwargs: str(message).format(*args, **kwargs),
    "formatted twice": lambda message, *args, **kwargs: message.format(*args, **kwargs).format(*args, **kwargs) % args,
    "stripped": lambda message, *args, **kwargs: message.rstrip("\n").format(*args),
    "cut": lambda message, *args, **kwargs: message[:1000] % args,
    "rendered late": lambda message, *args, **kwargs: Rendered(message, args),
}
TEMPLATES: dict[str, tuple[Callable[..., object], str, str]] = {
    "something before": (lambda message, *args: ("[{job}] " + message).format(*args, job=7), "[7] ", ""),
    "something after": (lambda message, *args: (message + " [%(job)s]") % {"job": 7}, "", " [7]"),
    "on both sides": (lambda message, *args: ("{{a}} " + message + " {}\n").format("b"), "{a} ", " b\n"),
}
RAW: dict[str, Callable[..., object]] = {
    "str.format": str.format,
    "Formatter": lambda message, *args, **kwargs: string.Formatter().format(message, *args, **kwargs),
    "str.__mod__": lambda message, *args, **kwargs: str.__mod__(message, args),
    "str.__mod__ with a mapping": lambda message, *args, **kwargs: str.__mod__(message, kwargs),
}
"""Those that look at the characters themselves, where no class can help."""
COMPOSED: dict[str, Callable[..., object]] = {
    "f-string, then braces": lambda message, *args, **kwargs: f"[7] {message}".format(*args, **kwargs),
    "f-string, then percent": lambda message, *args, **kwargs: f"[7] {message}" % args,
    "join, then percent": lambda message, *args, **kwargs: " ".join([*("[7]",), message]) % args,
}


def logged(form: Callable[..., object], lines: list[str], wrap: Callable[[Any], Any] = lambda logger: logger) -> list[str]:
    """Return what a logger of a form writes of lines."""
    written: list[str] = []
    log = log_method(wrap(Logger(form, written.append)), "info")
    for line in lines:
        log(line)
    return written


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_logger_may_format_its_messages_as_it_likes(form: Callable[..., object]) -> None:
    """In either style, always or only with arguments, early or late."""
    assert logged(form, NASTY) == NASTY


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_logger_may_be_wrapped_in_others(form: Callable[..., object]) -> None:
    """In any number of layers, of which each may format too."""
    assert logged(form, NASTY, lambda logger: Wrapper(Wrapper(logger))) == NASTY
    assert logged(form, NASTY, lambda logger: Formatting(Formatting(logger))) == NASTY
    assert logged(form, NASTY, lambda logger: SimpleNamespace(info=functools.partial(logger.info))) == NASTY


@pytest.mark.parametrize(("form", "before", "after"), TEMPLATES.values(), ids=TEMPLATES)
def test_what_a_logger_adds_to_a_message_is_still_a_format(form: Callable[..., object], before: str, after: str) -> None:
    """A prefix with a field in it is filled in, the text beside it is not."""
    assert logged(form, NASTY) == [f"{before}{line}{after}" for line in NASTY]


@given(text=st.text(), before=st.text(), after=st.text())
def test_a_finished_text_is_a_string_that_no_format_changes(text: str, before: str, after: str) -> None:
    """Equal to the plain one, with the same hash, and never changed by a format, also as a part of a longer one."""
    message = PreformattedText(text)
    assert (message, hash(message), len(message), f"{message}!", repr(message)) == (
        text,
        hash(text),
        len(text),
        f"{text}!",
        repr(text),
    )
    assert message.format("x", y=1) == message.format_map({}) == message % () == message % {} == str(message) == text
    template = before.replace("{", "{{").replace("}", "}}") + message + after.replace("{", "{{").replace("}", "}}")
    assert template.format() == before + text + after
    template = before.replace("%", "%%") + message + after.replace("%", "%%")
    assert template % () == before + text + after
    assert f"{before}{message}{after}" == before + message + after == before + text + after
    assert (message + message).format() == text + text


def test_a_finished_text_becomes_a_plain_string_elsewhere() -> None:
    """A copy, a pickle and JSON need nothing of this package."""
    message = preformatted("{x} %s")
    assert type(message) is PreformattedText
    for plain in (
        copy.copy(message),
        copy.deepcopy(message),
        pickle.loads(pickle.dumps(message)),
        json.loads(json.dumps(message)),
    ):
        assert type(plain) is str
        assert plain == "{x} %s"
    assert b"venvrunner" not in pickle.dumps(message)
    with pytest.raises(TypeError):
        message + 1  # type: ignore[operator]  # that is what is tried
    with pytest.raises(TypeError):
        1 + message  # type: ignore[operator]  # that is what is tried


def test_a_line_without_any_format_is_a_plain_string() -> None:
    """That is what almost every line is; a serializer may refuse subclasses."""
    seen: list[type[str]] = []
    logged(lambda message: seen.append(type(message)), ["plain", "", "with @ $ and \\n"])
    assert set(seen) == {str}


@pytest.mark.parametrize("form", [*RAW.values(), *COMPOSED.values()], ids=[*RAW, *COMPOSED])
def test_a_line_on_which_a_format_fails_is_logged_escaped(form: Callable[..., object]) -> None:
    """Once that has happened, doubled braces and percent signs stay doubled too."""
    prefix = "[7] " if form in COMPOSED.values() else ""
    lines = ["plain", "{x} %d", *NASTY]
    assert logged(form, lines) == [prefix + line for line in lines]
    lines = ["%(x)s {", *NASTY]
    assert logged(form, lines) == [prefix + line for line in lines]


def test_a_template_with_dollar_signs_is_escaped_too() -> None:
    """The third style of the standard library."""
    lines = ["plain", "costs $5", "$x {y} %s", "$$"]
    assert logged(lambda message: string.Template(message).substitute(), lines) == lines


def test_a_serializer_that_refuses_subclasses_gets_a_plain_string() -> None:
    """Some take nothing but `str` itself."""

    def serialize(message: str) -> str:
        if type(message) is not str:
            msg = f"Encoding objects of type {type(message).__name__} is unsupported"
            raise TypeError(msg)
        return message

    assert logged(serialize, NASTY) == NASTY


@pytest.mark.parametrize(
    "error", [ValueError("closed"), KeyError("x"), TypeError("no"), OSError("gone"), UnicodeEncodeError("a", "b", 0, 1, "c")]
)
def test_an_error_of_the_logger_itself_propagates(error: Exception) -> None:
    """It is not taken for one of formatting, and the line is not logged twice."""
    calls: list[str] = []

    def fail(message: str) -> None:
        calls.append(message)
        raise error

    log = log_method(SimpleNamespace(info=fail), "info")
    with pytest.raises(type(error)) as caught:
        log("plain")
    assert caught.value is error
    assert calls == ["plain"]


def test_the_first_error_is_the_one_that_propagates() -> None:
    """If no way to log a line helps."""
    errors = [KeyError("first"), KeyError("second"), KeyError("third"), KeyError("more"), KeyError("last")]
    left = iter(errors)

    def fail(message: str) -> None:
        raise next(left)

    with pytest.raises(KeyError) as caught:
        log_method(SimpleNamespace(info=fail), "info")("{x} %(y)s")
    assert caught.value is errors[0]


def twiggy_logger(**options: object) -> tuple[Any, list[str]]:
    output = twiggy.outputs.ListOutput(format=lambda message: message.text, close_atexit=False)
    return twiggy.logger.InternalLogger(output=output).options(**options), output.messages


@pytest.mark.parametrize("style", ["braces", "percent"])
@pytest.mark.parametrize("wrap", [lambda logger: logger, Wrapper, lambda logger: Wrapper(Wrapper(logger))], ids=[0, 1, 2])
def test_twiggy_gets_each_line_in_each_style(style: str, wrap: Callable[[Any], Any]) -> None:
    """Itself or wrapped: it reports a failed format nowhere but on standard error, and the line would be lost."""
    logger, messages = twiggy_logger(style=style)
    log = log_method(wrap(logger), "info")
    for line in NASTY:
        log(line)
    assert messages == NASTY


@pytest.mark.parametrize("kind", ["TwiggyLogger", "PythonLogger"])
def test_the_loggers_of_the_established_api_lose_no_line(drive: Caller, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Its own wrappers take each message for a format in brace style."""
    module = pytest.importorskip("antsibull_core.logging")
    caplog.set_level(logging.DEBUG)
    inner, messages = twiggy_logger() if kind == "TwiggyLogger" else (logging.getLogger("of.its.own"), [])
    source = "import sys; print('on stderr: {x} %s {}', file=sys.stderr); print('{{}} %%', file=sys.stderr)"
    drive(drive.code(source, "{y}"), getattr(module, kind)(inner), None, "info")
    messages = messages or [record.getMessage() for record in caplog.records if record.name == inner.name]
    assert len(messages) == 4
    assert messages[0].endswith("'{y}']")
    assert "stderr: on stderr: {x} %s {}" in messages[1]
    assert "stderr: {{}} %%" in messages[2]


@pytest.mark.parametrize("options", [{}, {"record": True}, {"lazy": True}, {"raw": True}, {"capture": False}], ids=str)
def test_loguru_gets_each_line_with_each_option(options: dict[str, bool]) -> None:
    """Also where it puts the record into the message."""
    texts: list[str] = []
    number = loguru.logger.add(lambda message: texts.append(message.record["message"]), format="{message}")
    try:
        log = log_method(loguru.logger.opt(**options), "info")
        for line in ["{x}", *NASTY]:
            log(line)
    finally:
        loguru.logger.remove(number)
    assert texts == ["{x}", *NASTY]


def test_loguru_gets_plain_strings() -> None:
    """It formats only if there are arguments, and its records go to any serializer."""
    types: list[type] = []
    number = loguru.logger.add(lambda message: types.append(type(message.record["message"])), format="{message}")
    try:
        log_method(loguru.logger, "info")("{x} %s")
    finally:
        loguru.logger.remove(number)
    assert types == [str]


def structlog_logger(inner: Any) -> Any:
    return structlog.wrap_logger(inner, [lambda _logger, _name, event: event["event"]])


def test_structlog_gets_plain_strings() -> None:
    """Its own loggers never format a message without arguments, and render it with any serializer."""
    stream = io.StringIO()
    log = log_method(structlog.wrap_logger(structlog.PrintLogger(stream), [structlog.processors.JSONRenderer()]), "info")
    for line in NASTY:
        log(line)
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == NASTY
    assert type(log_method(structlog_logger(structlog.ReturnLogger()), "info")("{x} %s")) is str


def test_structlog_may_wrap_a_logger_that_formats() -> None:
    """It passes the message on."""
    written: list[str] = []
    twiggys, messages = twiggy_logger()
    for inner in (Logger(FORMS["braces"], written.append), Logger(FORMS["percent, always"], written.append), twiggys):
        log = log_method(structlog_logger(structlog_logger(inner)), "info")
        for line in NASTY:
            log(line)
    assert (written, messages) == (NASTY * 2, NASTY)


class BraceAdapter(logging.LoggerAdapter[logging.Logger]):
    """Brace style on top of the standard library, as its cookbook has it."""

    def log(self, level: int, msg: Any, *args: Any, stacklevel: int = 1, **kwargs: Any) -> None:
        if self.isEnabledFor(level):
            msg, more = self.process(msg, kwargs)
            self.logger.log(level, Rendered(msg, args), stacklevel=stacklevel + 1, **more)


class BraceLogger(logging.Logger):
    """One whose records are formatted in brace style."""

    def makeRecord(  # noqa: N802  its name there
        self, name: str, level: int, fn: str, lno: int, msg: Any, *args: Any, **kwargs: Any
    ) -> logging.LogRecord:
        return super().makeRecord(name, level, fn, lno, msg.format(), *args, **kwargs)


class HandleLogger(logging.Logger):
    """One that formats a record when it handles it."""

    def handle(self, record: logging.LogRecord) -> None:
        record.msg = record.msg.format()
        super().handle(record)


class PercentLogger(logging.Logger):
    """One that formats before it looks for arguments."""

    def _log(self, level: int, msg: Any, args: Any, **kwargs: Any) -> None:  # type: ignore[override]  # that is what is tried
        super()._log(level, msg % args, (), **kwargs)


class MethodLogger(logging.Logger):
    """One with a method of its own."""

    def info(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        super().info(msg.format(*args), **kwargs)


@pytest.mark.parametrize(
    "make",
    [
        lambda: logging.Logger("of.its.own"),  # noqa: LOG001  no other test finds it
        lambda: logging.LoggerAdapter(logging.Logger("of.its.own"), {"job": 7}),  # noqa: LOG001  the same
        lambda: BraceAdapter(logging.Logger("of.its.own"), {}),  # noqa: LOG001  the same
        lambda: logging.LoggerAdapter(BraceAdapter(logging.Logger("of.its.own"), {}), {}),  # noqa: LOG001  the same
        lambda: BraceLogger("of.its.own"),
        lambda: HandleLogger("of.its.own"),
        lambda: PercentLogger("of.its.own"),
        lambda: MethodLogger("of.its.own"),
    ],
    ids=["logger", "adapter", "brace adapter", "adapter of it", "brace records", "brace handling", "percent", "own method"],
)
def test_a_subclass_of_a_standard_logger_may_format(make: Callable[[], Any], caplog: pytest.LogCaptureFixture) -> None:
    """Early, late, in the record, or never."""
    logger: Any = make()
    base = logger
    while isinstance(base, logging.LoggerAdapter):
        base = base.logger
    base.addHandler(caplog.handler)
    log = log_method(logger, "info")
    for line in NASTY:
        log(line)
    assert [record.getMessage() for record in caplog.records] == NASTY
    assert {record.funcName for record in caplog.records} == {"test_a_subclass_of_a_standard_logger_may_format"}


def test_a_record_factory_may_format(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """It is one for all loggers of the process."""

    class Record(logging.LogRecord):
        def getMessage(self) -> str:  # noqa: N802  its name there
            return str(self.msg).format(*self.args or ())

    monkeypatch.setattr(logging, "_logRecordFactory", Record)
    log = log_method(logging.getLogger("mine"), "warning")
    for line in NASTY:
        log(line)
    assert [record.getMessage() for record in caplog.records] == NASTY


def test_a_standard_logger_gets_plain_strings(caplog: pytest.LogCaptureFixture) -> None:
    """Its handlers pass a record on to queues, sockets and serializers of all kinds."""
    for logger in (logging.getLogger("mine"), logging.LoggerAdapter(logging.getLogger("mine"), {})):
        log_method(logger, "warning")("{x} %s")
    assert [type(record.msg) for record in caplog.records] == [str, str]


def test_a_logger_may_queue_its_messages() -> None:
    """What another thread formats later is not changed either."""
    waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    written: list[str] = []

    def write() -> None:
        while (message := waiting.get()) is not None:
            written.append(message.format())

    thread = threading.Thread(target=write)
    thread.start()
    log = log_method(SimpleNamespace(info=waiting.put), "info")
    for line in NASTY:
        log(line)
    waiting.put(None)
    thread.join(30)
    assert written == NASTY


def test_a_logger_may_send_its_messages_elsewhere() -> None:
    """A pickled message is the plain text."""
    sent: list[bytes] = []
    log = log_method(SimpleNamespace(info=lambda message: sent.append(pickle.dumps(message))), "info")
    for line in NASTY:
        log(line)
    assert [pickle.loads(data) for data in sent] == NASTY


@pytest.mark.parametrize("make", [MagicMock, lambda: MagicMock(spec=twiggy.log), lambda: MagicMock(spec=logging.Logger)])
def test_a_mock_sees_the_text_as_its_one_argument(make: Callable[[], Any], drive: Caller) -> None:
    """Equal to a plain string, so that a caller's own tests can compare it."""
    logger = make()
    drive(["printf", "%s\\n", "{x} %s"], logger, "info")
    logger.info.assert_called_once_with("stdout: {x} %s")
    assert logger.debug.call_args_list[0].args == ("Running subprocess: ['printf', '%s\\\\n', '{x} %s']",)


@pytest.mark.parametrize(("form", "line"), [(RAW["str.format"], "{{x}}"), (COMPOSED["f-string, then percent"], "100%%")])
def test_a_raw_format_may_halve_doubled_signs(form: Callable[..., object], line: str) -> None:
    """The limit: before the first failure, nothing tells that such a logger formats, and doubled signs become single ones."""
    assert logged(form, [line]) != [line]
